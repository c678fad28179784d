"""Does every file that is not a proper table say so, and does every proper one become the right numbers?"""

from __future__ import annotations

import gzip
import io
import json
import os
import sys
from pathlib import Path

import numpy as np
import pytest

pd = pytest.importorskip("pandas", reason="pandas comes with fastnn[cli]")

from sklearn.linear_model import LinearRegression, LogisticRegression  # noqa: E402

from fastnn.tabular.tables import (  # noqa: E402
    TableError,
    features,
    read_table,
    recognise,
    table_model,
    targets,
    with_known_target,
)

SHARED = Path(__file__).parents[3] / "shared" / "data"


def write(folder, text, name="data.csv"):
    path = folder / name
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return str(path)


def people(n=40):
    """A table with a number, a category and missing cells, and a target of two classes."""
    rng = np.random.default_rng(0)
    age = rng.integers(18, 80, n).astype(float)
    city = rng.choice(["Oslo", "Rome"], n).astype(object)
    age[3], city[5] = np.nan, np.nan
    return pd.DataFrame({"age": age, "city": city, "bought": rng.choice(["no", "yes"], n)})


# ---- reading


@pytest.mark.parametrize("sep", [",", ";", "\t", "|"])
def test_csv_in_any_dress(tmp_path, sep):
    text = f"a{sep}b b{sep}c\n1{sep}x{sep}0.5\n?{sep}{sep}1\n"
    for raw, name in [
        (text.encode(), "t.csv"),
        (gzip.compress(text.encode()), "t.csv.gz"),
        (("\ufeff" + text).encode(), "bom.csv"),
    ]:
        frame = read_table(write(tmp_path, raw, name))
        assert list(frame.columns) == ["a", "b b", "c"]
        assert frame["a"].tolist()[0] == 1 and frame["a"].isna().tolist() == [False, True]
        assert frame["b b"].isna().tolist() == [False, True]


def test_decimal_commas_are_read_on_request_and_pointed_out_otherwise(tmp_path):
    path = write(tmp_path, "a;b;y\n" + "".join(f"{i},{i % 10};{i % 7};{i},5\n" for i in range(200)))
    frame = read_table(path, decimal=",")
    assert frame.loc[13].tolist() == [13.3, 6, 13.5]
    assert recognise(frame, "y").task == "regression"

    as_text = read_table(path)
    hint = "; if these are numbers with a decimal comma, say --decimal ,"
    with pytest.raises(TableError, match=f"neither classes nor numbers{hint}"):
        recognise(as_text, "y")
    with pytest.raises(TableError, match=f"Nothing is left .* such as '0,0'{hint}"):
        recognise(as_text, "b")
    with pytest.raises(
        TableError, match=f"Column 'a' is one of numbers, but holds '0,0' .*empty them{hint}; empty"
    ):
        features(recognise(frame, "y"), as_text)
    names = pd.DataFrame({"y": [f"{i} Main Street, {i}" for i in range(200)], "b": range(200)})
    with pytest.raises(TableError, match=r"neither classes nor numbers\.$"):
        recognise(names, "y")


def test_separators_inside_quotes_do_not_count(tmp_path):
    frame = read_table(write(tmp_path, '"a;b;c;d",e\n1,2\n'))
    assert list(frame.columns) == ["a;b;c;d", "e"]


def test_parquet_is_known_by_its_content(tmp_path):
    pytest.importorskip("pyarrow", reason="pyarrow comes with fastnn[cli]")
    people().to_parquet(tmp_path / "t.bin")
    pd.testing.assert_frame_equal(read_table(str(tmp_path / "t.bin")), people(), check_dtype=False)


def test_standard_input(monkeypatch):
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(b"a,b\n1,2\n")))
    assert read_table("-").shape == (1, 2)


@pytest.mark.parametrize(
    ("raw", "message"),
    [
        (b"", r"data\.csv is empty\. A table has a first line"),
        (b"\n\n", r"data\.csv is empty"),
        (b"a,b\n", r"has no rows: a header of 2 columns and nothing below it"),
        (
            b"a,b\n1,2\n1,2,3\n",
            r"not a regular table: Expected 2 fields in line 3, saw 3 \(cells are separated by ','; --sep",
        ),
        (b"a,a\n1,2\n", r"more than one column named 'a'; rename them"),
        (b"a,b\ncaf\xe9,2\n", r"is not utf-8 text: byte 0xe9 at position 7\..*--encoding latin-1"),
        (
            b"\x7fELF\x00\x00",
            r"not text \(it holds zero bytes\).*CSV \(plain or \.gz\) and Parquet",
        ),
        (b"\x1f\x8b\x08\x00broken", r"is gzip but damaged"),
        (b"PAR1 and then nonsense", r"begins like a Parquet file but cannot be read"),
    ],
)
def test_files_that_are_no_tables_say_why(tmp_path, raw, message):
    with pytest.raises(TableError, match=message):
        read_table(write(tmp_path, raw))


def test_a_file_that_is_not_there(tmp_path):
    write(tmp_path, "a\n1\n", "sales.csv")
    with pytest.raises(
        TableError, match=r"There is no file .*sale\.csv\. Did you mean .*sales\.csv\?"
    ):
        read_table(str(tmp_path / "sale.csv"))
    with pytest.raises(TableError, match="is a directory, not a file"):
        read_table(str(tmp_path))
    with pytest.raises(TableError, match="There is no file"):
        read_table(str(tmp_path / "no" / "folder.csv"))


def test_another_encoding(tmp_path):
    path = write(tmp_path, "caf\u00e9,b\n1,2\n".encode("latin-1"))
    assert read_table(path, encoding="latin-1").columns[0] == "caf\u00e9"
    with pytest.raises(TableError, match="Unknown encoding 'klingon'"):
        read_table(path, encoding="klingon")


# ---- the task


@pytest.mark.parametrize(
    ("values", "task"),
    [
        (["no", "yes"] * 20, "binary"),
        ([0, 1] * 20, "binary"),
        ([True, False] * 20, "binary"),
        ([1.0, 2.0] * 20, "binary"),
        (["a", "b", "c", "d"] * 10, "multiclass"),
        ([1, 2, 3, 4] * 10, "multiclass"),
        (
            [3, 4, 5, 6, 7, 8, 9, 10] * 4 + [1] * 8,
            "regression",
        ),  # nine values in forty rows: too few rows each for classes
        (list(range(40)), "regression"),
        ([0.5, 1.5] * 20, "regression"),
    ],
)
def test_the_task_is_recognised(values, task):
    frame = pd.DataFrame({"x": np.arange(40.0), "y": values})
    schema = recognise(frame, "y")
    assert schema.task == task
    y = targets(schema, frame)
    assert y.dtype.kind == (
        "f"
        if task == "regression"
        else "i"
        if isinstance(values[0], int | float) and values[0] is not True
        else "U"
    )


def test_the_task_can_be_overruled():
    frame = pd.DataFrame({"x": np.arange(40.0), "y": [1, 2, 3, 4] * 10})
    assert recognise(frame, "y", task="regression").task == "regression"
    with pytest.raises(
        TableError, match="'y' holds 4 different values, which is not a binary task"
    ):
        recognise(frame, "y", task="binary")
    with pytest.raises(
        TableError, match="Regression needs a target of numbers, but 'word' holds 'no'"
    ):
        recognise(pd.DataFrame({"x": [1, 2], "word": ["no", "yes"]}), "word", task="regression")
    with pytest.raises(TableError, match=r"'y' holds fractions such as 0\.5: not classes"):
        recognise(pd.DataFrame({"x": np.arange(4), "y": [0.5, 1, 2, 3]}), "y", task="multiclass")


@pytest.mark.parametrize(
    ("y", "message"),
    [
        (["a"] * 40, r"'y' holds one class only \(a\) in all 40 rows: nothing to learn"),
        ([2.5] * 40, r"'y' holds one value only \(2\.5\) in all 40 rows"),
        ([None] * 40, r"'y' is missing in every row"),
        ([1.5, np.inf] * 20, r"'y' holds infinity in 20 rows"),
        (
            [f"2024-01-{i % 28 + 1:02d}" for i in range(40)],
            r"'y' holds dates \(2024-01-01\)\. Turn it into a number first",
        ),
        (
            [f"person {i}" for i in range(40)],
            r"'y' holds 40 different texts in 40 rows .*neither classes nor numbers",
        ),
    ],
)
def test_targets_that_cannot_be_learned_say_why(y, message):
    with pytest.raises(TableError, match=message):
        recognise(pd.DataFrame({"x": np.arange(40.0), "y": y}), "y")


def test_a_missing_target_column_names_those_there_are():
    with pytest.raises(
        TableError,
        match=r"There is no column 'Bought'\. Did you mean 'bought'\? The columns are: 'age', 'city', 'bought'",
    ):
        recognise(people(), "Bought")
    with pytest.raises(TableError, match=r"There is no column 'qqq'\. The columns are"):
        recognise(people(), "bought", drop=["qqq"])
    wide = pd.DataFrame(np.zeros((2, 50))).add_prefix("f")
    with pytest.raises(TableError, match=r"'f29' and 20 more\.$"):
        recognise(wide, "target")


def test_rows_without_a_target_are_left_out_and_counted():
    frame = people()
    frame.loc[[0, 7], "bought"] = None
    notes = []
    assert len(with_known_target(frame, "bought", notes.append)) == 38
    assert notes == ["2 of 40 rows are left out: their target 'bought' is missing"]
    with pytest.raises(TableError, match="'bought' is missing in 2 of 40 rows"):
        targets(recognise(frame, "bought"), frame)


# ---- the columns


def test_columns_are_sorted_into_numbers_and_categories():
    frame = people().assign(vip=[True, False] * 20, zone=[1, 2, 3, 4] * 10)
    schema = recognise(frame, "bought", categorical=["zone"])
    assert schema.numeric == ["age", "vip"]
    assert schema.categorical == {"city": ["Oslo", "Rome"], "zone": ["1", "2", "3", "4"]}
    assert schema.columns == ["age", "vip", "city", "zone"] and not schema.left_out


def test_useless_columns_are_left_out_with_the_reason():
    frame = people().assign(
        same=7,
        empty=np.nan,
        when=[f"2024-01-{i % 28 + 1:02d} 10:00" for i in range(40)],
        stamp=pd.date_range("2024-01-01", periods=40),
        name=[f"person {i}" for i in range(40)],
        typo=["12..5", *map(str, range(39))],
        lists=[[1, 2]] * 40,
        half=["x", None] * 20,
    )
    left_out = recognise(frame, "bought", drop=["city"]).left_out
    assert left_out.pop("same") == "it is constant (7 in every row)"
    assert left_out.pop("empty") == "every cell is missing"
    assert left_out.pop("when").startswith(
        "it holds dates (2024-01-01 10:00); to use it, turn it into numbers first"
    )
    assert left_out.pop("stamp").startswith("it holds dates (2024-01-01 00:00:00)")
    assert (
        left_out.pop("name")
        == "40 different texts in 40 rows, like names or identifiers (--categorical name keeps it)"
    )
    assert (
        left_out.pop("typo")
        == "it holds numbers, but also '12..5' (in 1 rows such cells); correct or empty them to use it"
    )
    assert left_out.pop("lists") == "its cells are of type list"
    assert left_out.pop("city") == "you asked for it"
    assert not left_out  # `half` says something by being missing
    assert "name" in recognise(frame, "bought", categorical=["name"]).categorical


@pytest.mark.parametrize("text", ["1.2.3.4", "12-24", "2024", "3/4", "a-b-c"])
def test_text_that_only_looks_like_dates(text):
    frame = pd.DataFrame({"x": [text, "other"] * 10, "y": [0, 1] * 10})
    assert list(recognise(frame, "y").categorical) == ["x"]


def test_nothing_left_to_learn_from():
    with pytest.raises(
        TableError,
        match=r"Nothing is left to predict 'y' from: 'x': it is constant \(1 in every row\)\.",
    ):
        recognise(pd.DataFrame({"x": [1, 1], "y": [0, 1]}), "y")
    with pytest.raises(TableError, match="there is no other column"):
        recognise(pd.DataFrame({"y": [0, 1]}), "y")


# ---- later tables


def test_a_later_table_is_put_into_the_same_shape():
    frame = people()
    schema = recognise(frame, "bought")
    notes = []
    shuffled = frame[["bought", "city", "age"]]
    pd.testing.assert_frame_equal(features(schema, shuffled, notes.append), features(schema, frame))
    assert not notes
    later = pd.DataFrame(
        {"more": [1, 2, 3], "city": ["Bern", "Rome", None], "age": ["30", "", "41"]}
    ).replace("", None)
    X = features(schema, later, notes.append)
    assert X["age"].tolist()[::2] == [30.0, 41.0] and np.isnan(X["age"][1])
    assert X["city"].tolist()[:2] == ["Bern", "Rome"]
    assert notes == [
        "columns the model does not know are ignored: 'more'",
        "column 'city' holds values never seen in training ('Bern') in 1 rows; they count as rare ones",
    ]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda f: f.drop(columns="age"), r"needs columns that are not there: 'age'\.$"),
        (
            lambda f: f.rename(columns={"age": "Age"}),
            r"not there: 'age'\. Is 'Age' meant to be 'age'\?",
        ),
        (
            lambda f: f.assign(age=["old"] * 2 + [30] * 38),
            r"'age' is one of numbers, but holds 'old' in row 1 \(and 1 more such",
        ),
        (
            lambda f: f.assign(age=[np.inf] + [30.0] * 39),
            r"'age' holds infinity in 1 rows\. Empty these cells",
        ),
        (
            lambda f: f.assign(age=[-1e200] + [30.0] * 39),
            r"'age' holds numbers up to 1e\+200, too large .*Scale the column",
        ),
    ],
)
def test_a_later_table_that_does_not_fit_says_why(change, message):
    schema = recognise(people(), "bought")
    with pytest.raises(TableError, match=message):
        features(schema, change(people()))


def test_whole_numbers_as_categories_survive_missing_cells():
    whole = pd.DataFrame({"zone": [1, 2] * 10, "y": ["a", "b"] * 10})
    schema = recognise(whole, "y", categorical=["zone"])
    holed = pd.DataFrame(
        {"zone": [1.0, np.nan, 2.0]}
    )  # pandas makes floats of whole numbers beside missing cells
    notes = []
    assert features(schema, holed, notes.append)["zone"].tolist()[::2] == ["1", "2"]
    assert not notes


def test_labels_of_whole_numbers_stay_such():
    schema = recognise(pd.DataFrame({"x": np.arange(40), "y": [0, 1] * 20}), "y")
    assert targets(schema, pd.DataFrame({"y": [0.0, 1.0]})).tolist() == [0, 1]
    with pytest.raises(
        TableError, match="'y' had whole numbers as classes in training, but holds 'maybe' here"
    ):
        targets(schema, pd.DataFrame({"y": ["maybe", "1"]}))


# ---- the pipeline


def test_the_pipeline_takes_missing_and_unknown_cells():
    frame = people(200)
    schema = recognise(frame, "bought")
    model = table_model(schema, LogisticRegression()).fit(
        features(schema, frame), targets(schema, frame)
    )
    columns = model[0].transform(features(schema, frame))
    assert np.isfinite(columns).all()
    np.testing.assert_allclose(columns[:, 0].std(), 1)
    later = pd.DataFrame({"city": ["Atlantis", None], "age": [None, 50]})
    assert set(model.predict(features(schema, later))) <= {"no", "yes"}


def test_regression_targets_are_standardised_and_turned_back():
    x = np.linspace(0, 1, 30)
    frame = pd.DataFrame({"x": x, "y": 1e6 + 1e5 * x})
    schema = recognise(frame, "y")
    model = table_model(schema, LinearRegression()).fit(
        features(schema, frame), targets(schema, frame)
    )
    np.testing.assert_allclose(model.predict(features(schema, frame)), frame["y"])
    np.testing.assert_allclose(
        model[-1].regressor_.predict(model[:-1].transform(features(schema, frame))).std(), 1
    )


@pytest.mark.skipif(not SHARED.is_dir(), reason=f"{SHARED} is not there")
@pytest.mark.parametrize("name", ["titanic", "credit_g", "insurance", "california", "satimage"])
def test_real_tables(name):
    meta = json.loads((SHARED / "meta.json").read_text())[name]
    frame = read_table(os.fspath(SHARED / f"{name}.csv.gz"))
    schema = recognise(frame, "target")
    assert schema.task == meta["task"]
    assert len(schema.numeric) + len(schema.categorical) + len(schema.left_out) == len(
        meta["numeric"]
    ) + len(meta["categorical"])
    X, y = features(schema, frame), targets(schema, frame)
    assert X.isna().to_numpy().sum() == meta["missing_cells"] and len(X) == len(y) == meta["rows"]
