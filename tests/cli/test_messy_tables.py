"""Do tables in the dress that people have go through the command line, with their options?"""

from __future__ import annotations

import json

import numpy as np
import pytest

pd = pytest.importorskip("pandas", reason="pandas comes with fastnn[cli]")
for package in ("rich", "skops"):
    pytest.importorskip(package, reason="fastnn[cli] is not installed")

from sklearn.metrics import accuracy_score  # noqa: E402

from fastnn.cli import main as cli  # noqa: E402
from fastnn.persistence import load_model  # noqa: E402


def homes(n=120, seed=0):
    rng = np.random.default_rng(seed)
    area, town = rng.normal(90, 25, n).clip(20), rng.choice(["Oslo", "rome", "Rome"], n)
    price = 3000 * area + 90_000 * (town == "Oslo")
    return pd.DataFrame(
        {
            "row id": rng.permutation(n),
            "area, m2": [f"{a:.1f}".replace(".", ",") for a in area],
            "town": town,
            "listed": pd.date_range("2023-03-01", periods=n, freq="33h").strftime("%d.%m.%Y"),
            "price": [f"€ {p:,.0f}".replace(",", ".") for p in price],
            "kind": np.where(price > np.median(price), "01", "1"),
        }
    )


@pytest.fixture(autouse=True)
def in_a_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    homes().to_csv("homes.csv", sep="~", encoding="utf-16-le")


@pytest.fixture
def run(capsys):
    """Run the command line, which must succeed; return standard output and standard error."""

    def run(*argv):
        assert cli.main([str(word) for word in argv]) == 0
        captured = capsys.readouterr()
        return captured.out, captured.err

    return run


def test_a_messy_table_and_a_later_one(run):
    said = ("--sep", "~", "--encoding", "utf-16-le", "--target", "kind", "-o", "m", "--epochs", 60)
    _, err = run("fit", "homes.csv", *said, "--drop", "price")
    notes = [line.removeprefix("fastnn: note: ") for line in err.splitlines()]
    assert "column 'Unnamed: 0': left out: it counts the rows, like a saved index " in err
    assert "column 'row id': left out: all its whole numbers are different, like id" in err
    assert (
        "column 'area, m2': read as numbers with the decimal mark ',' (120 cells); "
        "--thousands and --decimal overrule"
    ) in notes
    # neither the separator nor the encoding is said again, and left-out columns are not needed
    homes(60, 1).drop(columns=["row id", "price"]).to_csv(
        "later.csv", sep="~", encoding="utf-16-le", index=False
    )
    out_of_later, err = run("predict", "m", "later.csv")
    labels = out_of_later.splitlines()[1:]
    assert err == "" and set(labels) == {"01", "1"}
    accuracy = accuracy_score(homes(60, 1)["kind"], labels)
    assert accuracy > 0.7
    out, _ = run("evaluate", "m", "later.csv", "--json")
    assert json.loads(out)["accuracy"] == pytest.approx(accuracy)
    # a table that is written otherwise
    typed = homes(60, 1).assign(**{"area, m2": lambda f: f["area, m2"].str.replace(",", ".")})
    typed.to_csv("points.csv")
    assert (
        run("predict", "m", "points.csv", "--decimal", ".")[0]
        == "kind\n" + "\n".join(labels) + "\n"
    )


def test_the_options_for_types(run):
    said = ["--sep", "~", "--encoding", "utf-16-le", "--target", "price", "-o", "m", "--epochs", 2]
    run("fit", "homes.csv", *said, "--keep", "row id", "--drop", "kind,listed",
        "--categorical", "Unnamed: 0", "--ignore-case", "--missing", "rome,-")  # fmt: skip
    schema = load_model("m").schema
    assert schema.reading == {"sep": "~", "encoding": "utf-16-le"}
    assert list(schema.numbers) == ["row id", "area, m2"]
    assert {"kind", "listed"} == set(schema.left_out)
    assert schema.categorical["town"] == ["Oslo", "Rome"] and schema.missing == ["rome", "-"]
    assert schema.ignore_case and len(schema.categorical["Unnamed: 0"]) == 120
    assert schema.target_notation.thousands == "." and schema.target_notation.prefix == "€"
    run("fit", "homes.csv", *said, "--no-day-first", "--thousands", ".", "--drop", "area, m2")
    schema = load_model("m").schema
    assert {"listed", "area, m2"} <= set(schema.left_out)
    assert schema.target_notation.thousands == "."
