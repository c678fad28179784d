"""Does `fastnn export` write what answers as the saved model does, or say why it cannot?"""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest
from sklearn.naive_bayes import GaussianNB
from support.c_files import check
from support.homes import homes, pd

from fastnn.persistence import load_model, save_model
from fastnn.tabular.encode import features

FIT = ["--network", "plain", "--epochs", 30, "-o", "m"]


def table(target, drop):
    """A table of numbers without gaps, one cell of which is far from all others."""
    frame = (
        homes(200).drop(columns=["town", drop]).assign(size=lambda frame: frame["size"].fillna(90))
    )
    frame.loc[3, "age"] = 1e5
    frame.to_csv("numbers.csv", index=False)
    return frame


@pytest.mark.parametrize(
    ("target", "drop", "more"),
    [
        ("kind", "price", []),
        ("price", "kind", []),
        ("price", "kind", ["--target-transform", "log"]),
    ],
    ids=["classes", "numbers", "logarithms"],
)
def test_it_answers_as_the_saved_model(run, target, drop, more):
    runtime = pytest.importorskip("onnxruntime")
    frame = table(target, drop)
    status, _, err = run("fit", "numbers.csv", "--target", target, *FIT, *more)
    assert status == 0, err
    status, out, _ = run("export", "m", "-o", "m.onnx")
    assert status == 0 and out.splitlines() == [
        "reads                      rows of 2 columns: size, age",
        "saved                      m.onnx",
    ]
    model = load_model("m")
    X = features(model.schema, frame.drop(columns=target))
    X.loc[5, "age"] = np.nan  # the median stands for it
    X.loc[6, "size"] = 1e4  # a logarithm stays in the range that was seen
    session = runtime.InferenceSession("m.onnx", providers=["CPUExecutionProvider"])
    answers = session.run(None, {name: X[[name]].to_numpy() for name in X})
    if target == "price":
        np.testing.assert_allclose(answers[0][:, 0], model.model.predict(X), rtol=1e-4)
    else:
        assert answers[0].tolist() == model.model.predict(X).tolist()
        np.testing.assert_allclose(answers[1], model.model.predict_proba(X), atol=1e-5)


@pytest.mark.skipif(shutil.which("cc") is None, reason="there is no C compiler")
def test_c_answers_as_the_saved_model(run, tmp_path):
    frame = table("price", "kind")
    run("fit", "numbers.csv", "--target", "price", *FIT, "--target-transform", "log")
    said = json.loads(run("export", "m", "-o", "m.c", "--json")[1])
    assert said == {"files": ["m.c", "m.h"], "inputs": ["size", "age"], "texts": []}
    model = load_model("m")
    X = features(model.schema, frame.drop(columns="price"))[:4]
    rows = ", ".join(f"{v!r}f" for v in X.to_numpy().ravel().tolist())
    main = f"""#include <stdio.h>
#include "m.h"
int main(void) {{
    const float X[] = {{{rows}}};
    for (int i = 0; i < 4; i++) {{
        float out[1];
        m_predict(X + 2 * i, out);
        printf("%.9g\\n", out[0]);
    }}
    return 0;
}}
"""
    (tmp_path / "main.c").write_text(main)
    subprocess.run(["cc", "-std=c99", "main.c", "m.c", "-lm", "-o", "main"], check=True)
    out = subprocess.run(["./main"], capture_output=True, check=True, text=True).stdout
    np.testing.assert_allclose(np.array(out.split(), float), model.model.predict(X), rtol=1e-5)


@pytest.mark.parametrize(
    ("target", "kind"),
    [
        ("price", ["--preset", "fast", "--epochs", 2, "--target-transform", "log"]),
        ("kind", ["--preset", "fast", "--epochs", 2, "--threshold", 0.3]),
        ("kind", [*FIT[:-2], "--threshold", 0.7]),
    ],
    ids=["logarithms by a bag", "classes by a bag", "classes by a plain network"],
)
def test_columns_of_a_table_are_inputs(run, target, kind):
    """Texts, dates, missing cells, and numbers that stand for them."""
    runtime = pytest.importorskip("onnxruntime")
    frame = homes(200).drop(columns={"price": "kind", "kind": "price"}[target])
    days = pd.Series(np.random.default_rng(0).integers(-9e4, 9e4, 200) + 0.25)
    frame["sold"] = np.datetime64("1970-01-01") + pd.to_timedelta(days, unit="D")
    frame.loc[::7, "age"] = -999
    frame.loc[::5, "town"] = "?"
    frame.to_csv("all.csv", index=False)
    status, _, err = run(
        *("fit", "all.csv", "--target", target, *kind, "--also-missing", "-999", "-o", "m")
    )
    assert status == 0, err
    status, out, err = run("export", "m", "-o", "m.onnx")
    assert status == 0, err
    assert (
        out.splitlines()[0]
        == "reads " + " " * 21 + "rows of 4 columns: size, age, sold, town; text: town"
    )
    model = load_model("m")
    assert run("export", "m", "-o", "m.c")[0] == 0
    first = model.schema.dates["sold"].first
    assert f"sold: its days count from {first}, hours included" in Path("m.h").read_text()
    read = pd.read_csv("all.csv", keep_default_na=False).drop(columns=target)
    read.loc[3, "town"] = "Atlantis"
    feed = {
        "size": pd.to_numeric(read[["size"]].squeeze()).to_numpy(float)[:, None],
        "age": read[["age"]].to_numpy(float),
        "sold": days.to_numpy()[:, None],
        "town": read[["town"]].to_numpy(object),
    }
    session = runtime.InferenceSession("m.onnx", providers=["CPUExecutionProvider"])
    *labels, numbers = session.run(None, feed)
    if labels:
        assert labels[0].tolist() == model.predict(read, note=lambda _: None).tolist()
        want = model.predict_proba(read, note=lambda _: None)
    else:
        want = model.predict(read, note=lambda _: None)[:, None]
    np.testing.assert_allclose(numbers, want, rtol=1e-4)


@pytest.mark.skipif(shutil.which("gcc") is None, reason="there is no C compiler")
@pytest.mark.parametrize(
    ("target", "words"),
    [
        ("kind", [*FIT, "--threshold", 0.4]),
        ("kind", ["--preset", "fast", "--epochs", 2, "-o", "m", "--threshold", 0.4]),
        ("price", ["--preset", "fast", "--epochs", 2, "-o", "m", "--target-transform", "log"]),
    ],
    ids=["plain", "classes", "logarithms"],
)
def test_tables_of_categories_with_missing_cells_go_to_c(run, target, words, tmp_path):
    file = "homes.csv" if target == "kind" else "prices.csv.gz"
    assert run("fit", file, "--target", target, *words)[0] == 0
    status, out, err = run("export", "m", "-o", "m.c")
    assert status == 0, err
    assert out.startswith("reads                      rows of 3 columns: size, age, town\n")
    assert (
        " * x[2]: town, NAN where it is missing, -1 if it is none of\n *     0: Lima\n"
        in (tmp_path / "m.h").read_text()
    )
    model = load_model("m")
    frame = homes(60, seed=1)
    frame.loc[3, "town"] = "Ulm"
    check(model.model, features(model.schema, frame), tmp_path, 2e-6)


def test_what_cannot_be_exported_is_said(run):
    run("fit", "homes.csv", "--target", "kind", *FIT)
    model = load_model("m")
    model.model.steps[-1] = ("model", GaussianNB().fit(np.eye(7)[:4], ["house", "flat"] * 2))
    save_model("m", model)
    status, _, err = run("export", "m", "-o", "m.c")
    assert status == 1 and "A sklearn.naive_bayes.GaussianNB cannot be exported; fastnn's" in err
    assert not Path("m.c").exists()
    status, _, err = run("export", "m", "-o", "m.txt")
    assert status == 2 and "m.txt: a model is exported to a name that ends in .onnx or .c." in err
