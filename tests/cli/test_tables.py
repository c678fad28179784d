"""Do fit, predict and evaluate say and write what is true?"""

from __future__ import annotations

import gzip
import io
import json
import lzma
import re
import zipfile
from pathlib import Path

import numpy as np
import pytest
from sklearn.metrics import accuracy_score, r2_score
from support.homes import FIT_PLAIN, homes, pd

from fastnn.persistence import load_model


def test_fit_predict_evaluate(run):
    status, out, err = run(*FIT_PLAIN, "--epochs", "30")
    assert status == 0
    assert re.search(r"^task +binary \('kind' holds 2 different values\)$", out, re.M)
    assert re.search(r"^table +80 rows; 2 numeric and 1 categorical columns$", out, re.M)
    assert re.search(r"^missing +10 cells$", out, re.M) and re.search(
        r"^trained +on 64 rows, 30 epochs", out, re.M
    )
    assert re.search(r"^measured +on 16 rows held out$", out, re.M) and re.search(
        r"^saved +m\.skops$", out, re.M
    )
    assert (
        err == "fastnn: note: Maximum iterations (30) reached and the optimization hasn't converged"
        " yet. (--epochs)\n"
    )

    status, out, err = run("predict", "m.skops", "homes.csv")
    lines = out.splitlines()
    assert status == 0 and err == "" and lines[0] == "kind" and len(lines) == 81
    accuracy = accuracy_score(homes()["kind"], lines[1:])
    assert accuracy > 0.6

    status, out, _ = run("evaluate", "m.skops", "homes.csv")
    assert (
        status == 0
        and re.search(r"^precision, recall, F1 of +costly$", out, re.M)
        and f"{accuracy:.4g}" in re.search(r"^accuracy +(\S+)$", out, re.M)[1]
    )
    status, out, _ = run("evaluate", "m.skops", "homes.csv", "--json")
    found = json.loads(out)
    assert (
        found["task"] == "binary"
        and found["rows"] == 80
        and found["accuracy"] == pytest.approx(accuracy)
    )

    homes().assign(kind="palace").to_csv("palaces.csv", index=False)
    status, _, err = run("evaluate", "m.skops", "palaces.csv")
    assert (
        status == 1
        and "column 'kind' holds 'palace' and the like; the model's classes are cheap, costly."
        in err
    )


def test_regression(run):
    status, out, _ = run(
        "fit",
        "prices.csv.gz",
        "--target",
        "price",
        "-o",
        "m.skops",
        "--network",
        "plain",
        "--hidden",
        0,
        "--epochs",
        2000,
    )
    assert status == 0 and re.search(
        r"^task +regression \('price' holds numbers with fractions\)$", out, re.M
    )
    assert load_model("m.skops").model[-1].regressor_.hidden_layer_sizes == ()
    status, out, _ = run("predict", "m.skops", "prices.csv.gz")
    predicted = np.array(out.splitlines()[1:], dtype=float)
    assert r2_score(homes()["price"], predicted) > 0.8  # missing sizes cost the rest
    status, out, _ = run("evaluate", "m.skops", "prices.csv.gz", "--json")
    assert json.loads(out)["r2"] == pytest.approx(r2_score(homes()["price"], predicted))


def test_parquet_in_and_out(run):
    homes().to_parquet("t.parquet")
    assert (
        run(
            "fit",
            "t.parquet",
            "--target",
            "kind",
            "--drop",
            "price",
            "-o",
            "m.skops",
            "--epochs",
            5,
        )[0]
        == 0
    )
    assert run("predict", "m.skops", "t.parquet", "--proba", "-o", "p.parquet")[0] == 0
    out = pd.read_parquet("p.parquet")
    assert list(out.columns) == ["kind", "probability of cheap", "probability of costly"]
    np.testing.assert_allclose(out.iloc[:, 1] + out.iloc[:, 2], 1)
    assert (out["kind"] == np.where(out["probability of costly"] > 0.5, "costly", "cheap")).all()


def test_predictions_do_not_depend_on_the_order_of_columns(run):
    run("fit", "homes.csv", "--target", "kind", "-o", "m.skops", "--epochs", 5)
    homes()[["town", "kind", "age", "size", "price"]].to_csv("turned.csv", index=False)
    status, turned, err = run("predict", "m.skops", "turned.csv")
    assert (
        status == 0
        and err == "fastnn: note: columns the model does not know are ignored: 'price'\n"
    )
    assert turned == run("predict", "m.skops", "homes.csv")[1]


def test_unknown_categories_and_missing_targets_are_noted(run):
    run("fit", "homes.csv", "--target", "kind", "-o", "m.skops", "--epochs", 5)
    later = homes().drop(columns="price").assign(town="Bern")
    later.loc[:9, "kind"] = None
    later.to_csv("later.csv", index=False)
    status, out, err = run("evaluate", "m.skops", "later.csv")
    assert status == 0 and re.search(r"^rows +70$", out, re.M)
    assert "10 rows of 80 left out: the target 'kind' is missing there" in err
    assert "column 'town' holds values never seen in training ('Bern') in 70 rows" in err


def test_without_holding_rows_back(run):
    status, out, err = run(
        "fit", "homes.csv", "--target", "kind", "-o", "m.skops", "--epochs", 5, "--holdout", 0
    )
    assert status == 0 and "trained                    on 80 rows" in out
    assert "measured                   out of fold on 60 rows" in out  # by six of eight members
    plain = "fit homes.csv --target kind -o m.skops --epochs 5 --holdout 0 --network plain"
    assert "measured" not in run(*plain.split())[1]
    homes(12).to_csv("few.csv", index=False)
    status, out, err = run("fit", "few.csv", "--target", "price", "-o", "m.skops", "--epochs", 5)
    assert status == 0 and "12 rows are too few to keep any back" in err and "on 12 rows" in out


def test_rows_of_a_rare_class_can_be_held_out(run):
    frame = homes()
    frame.loc[0, "kind"] = "odd"  # one row cannot stand on both sides
    frame.drop(columns="price").to_csv("odd.csv", index=False)
    status, out, _ = run("fit", "odd.csv", "--target", "kind", "-o", "m.skops", "--epochs", 5)
    assert status == 0 and "multiclass" in out and "measured" in out


def test_seeds_decide(run):
    def fitted(seed):
        run(
            *["fit", "homes.csv", "--target", "kind", "-o", "m.skops", "--epochs", "20", "--seed"],
            seed,
        )
        return run("predict", "m.skops", "homes.csv", "--proba")[1]

    assert fitted(1) == fitted(1) != fitted(2)


def as_packed(ending):
    """The bytes of homes.csv packed, encoded or converted as the ending says."""
    raw = Path("homes.csv").read_bytes()
    frame = pd.read_csv("homes.csv")
    out = io.BytesIO()
    match ending:
        case "gz":
            return gzip.compress(raw)
        case "xz":
            return lzma.compress(raw)
        case "zip":
            with zipfile.ZipFile(out, "w") as archive:
                archive.writestr("homes.csv", raw)
        case "zst":
            pa = pytest.importorskip("pyarrow")
            sink = pa.BufferOutputStream()
            with pa.CompressedOutputStream(sink, "zstd") as stream:
                stream.write(raw)
            return sink.getvalue().to_pybytes()
        case "jsonl":
            frame.to_json(out, orient="records", lines=True)
        case "xlsx":
            pytest.importorskip("openpyxl")
            frame.to_excel(out, index=False)
        case _:
            return raw.decode().encode(ending)
    return out.getvalue()


@pytest.mark.parametrize(
    "ending", ["gz", "zip", "xz", "zst", "jsonl", "xlsx", "utf-8-sig", "utf-16", "utf-32"]
)
def test_the_same_table_in_any_file_is_the_same_model(run, ending):
    Path(f"homes.{ending}").write_bytes(as_packed(ending))
    answers = []
    for name in ("homes.csv", f"homes.{ending}"):
        fit = ["fit", name, "--target", "kind", "-o", f"{name}.model", "--epochs", 2]
        assert run(*fit)[0] == 0
        for model in ("homes.csv.model", f"{name}.model"):
            status, out, err = run("predict", model, name, "--proba")
            assert status == 0, err
            answers.append(out)
    assert len(answers[0].splitlines()) == 81
    assert set(answers) == {answers[0]}
