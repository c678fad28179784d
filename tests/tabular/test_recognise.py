"""Is the task of a table recognised, and what each column is?"""

from __future__ import annotations

import decimal
import json
import shlex
import uuid

import numpy as np
import pytest

pd = pytest.importorskip("pandas", reason="pandas comes with fastnn[cli]")

import pyarrow as pa  # noqa: E402
from support.tables import beside, learned, people  # noqa: E402

from fastnn.tabular.encode import UNSEEN, features, targets  # noqa: E402
from fastnn.tabular.options import TypeOptions  # noqa: E402
from fastnn.tabular.read import read_table  # noqa: E402
from fastnn.tabular.recognise import recognise  # noqa: E402
from fastnn.tabular.schema import Schema, TableError  # noqa: E402

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
    frame = pd.DataFrame({"x": np.arange(40) / 2, "y": values})
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
    assert recognise(frame, "y", TypeOptions(task="regression")).task == "regression"
    with pytest.raises(
        TableError, match="'y' holds 4 different values, which is not a binary task"
    ):
        recognise(frame, "y", TypeOptions(task="binary"))
    with pytest.raises(
        TableError, match="Regression needs a target of numbers, but 'word' holds 'no'"
    ):
        recognise(
            pd.DataFrame({"x": [1, 2], "word": ["no", "yes"]}),
            "word",
            TypeOptions(task="regression"),
        )
    with pytest.raises(TableError, match=r"'y' holds fractions such as 0\.5: not classes"):
        recognise(
            pd.DataFrame({"x": np.arange(4), "y": [0.5, 1, 2, 3]}),
            "y",
            TypeOptions(task="multiclass"),
        )


@pytest.mark.parametrize(
    ("y", "message"),
    [
        (["a"] * 40, r"'y' holds one class only \(a\) in all 40 rows: nothing to learn"),
        ([2.5] * 40, r"'y' holds one value only \(2\.5\) in all 40 rows"),
        ([None] * 40, r"'y' is missing in every row"),
        (
            [1.5, np.inf] * 20,
            r"'y' holds infinity, .* in 20 rows, such as row 2",
        ),
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
        match=r"There is no column 'Bought'\. Did you mean 'bought'\? "
        "The columns are: 'age', 'city', 'bought'",
    ):
        recognise(people(), "Bought")
    with pytest.raises(TableError, match=r"There is no column 'qqq'\. The columns are"):
        recognise(people(), "bought", TypeOptions(drop=["qqq"]))
    wide = pd.DataFrame(np.zeros((2, 50))).add_prefix("f")
    with pytest.raises(TableError, match=r"'f29' and 20 more\.$"):
        recognise(wide, "target")


# ---- the columns


def test_columns_are_sorted_into_numbers_and_categories():
    frame = people().assign(vip=[True, False] * 20, zone=[1, 2, 3, 4] * 10)
    schema = recognise(frame, "bought", TypeOptions(categorical=["zone"]))
    assert schema.numeric == ["age"]
    assert schema.categorical == {
        "city": ["Oslo", "Rome"],
        "vip": ["False", "True"],
        "zone": ["1", "2", "3", "4"],
    }
    assert schema.columns == ["age", "city", "vip", "zone"] and not schema.left_out


def test_useless_columns_are_left_out_with_the_reason():
    frame = people().assign(
        same=7,
        empty=np.nan,
        day=["2024-01-01"] * 40,
        stamp=[pd.Timestamp("2024-01-01")] * 40,
        name=[f"person {i}" for i in range(40)],
        typo=["12..5", *map(str, range(20)), *["a lot"] * 5, *map(str, range(40, 54))],
        lists=[[1, 2]] * 40,
        spans=pd.to_timedelta(np.arange(40), unit="s"),
        half=["x", None] * 20,
    )
    schema = recognise(frame, "bought", TypeOptions(drop=["city"]))
    left_out = dict(schema.left_out)
    assert left_out.pop("same") == "it is constant (7 in every row)"
    assert left_out.pop("empty") == "every cell is missing"
    assert left_out.pop("day") == "it is constant (2024-01-01 in every row)"
    assert left_out.pop("stamp") == "it is constant (2024-01-01 in every row)"
    assert (
        left_out.pop("name")
        == "40 different texts in 40 rows, like names or identifiers (--keep name uses it)"
    )
    assert (
        left_out.pop("typo")
        == "36 different texts in 40 rows, like names or identifiers (--keep typo uses it); "
        "it holds numbers, but also '12..5' and the like in 6 rows: correct them, or say "
        "--also-missing where they mean missing"
    )
    assert left_out.pop("lists") == "its cells are of type list"
    assert left_out.pop("spans") == "its cells are of type duration"
    assert left_out.pop("city") == "you asked for it"
    assert not left_out  # `half` says something by being missing
    assert (
        "columns 'day', 'stamp': left out: it is constant (2024-01-01 in every row)" in schema.notes
    )
    for options in (TypeOptions(categorical=["name"]), TypeOptions(keep=["name"])):
        assert "name" in recognise(frame, "bought", options).categorical
    # what is left out need not be there later
    later = frame.drop(columns=[*schema.left_out, "bought"])
    assert len(features(schema, later)) == 40


IDENTIFIERS = [
    ("Unnamed: 0", range(40), "it counts the rows, like a saved index"),
    ("customer_id", np.random.default_rng(0).permutation(90)[:40] ** 2, "all its whole numbers"),
    ("Unnamed: 0", np.random.default_rng(0).permutation(90)[:40] ** 2, "all its whole numbers"),
    ("row names", np.arange(40) ** 2 + 7, "all its whole numbers"),
    ("order_id", [*np.arange(39) ** 2, np.nan], "all its whole numbers"),
    ("CustomerId", np.arange(40) ** 2 + 7, "all its whole numbers are different, like identifiers"),
    ("row no.", np.arange(0, 400, 10), "its whole numbers are all different and evenly spaced"),
    ("anything", np.random.default_rng(0).permutation(40), "its whole numbers are all different"),
    (
        "key",
        [10**19 + i for i in range(40)],
        "40 different long codes in 40 rows, like identifiers",
    ),
    ("hash", [f"{i:032x}" for i in range(40)], "40 different long codes in 40 rows"),
    ("uuid", [str(uuid.UUID(int=i)) for i in range(40)], "40 different long codes in 40 rows"),
]


@pytest.mark.parametrize(
    ("name", "values", "why"), IDENTIFIERS, ids=[row[0] for row in IDENTIFIERS]
)
@pytest.mark.parametrize("as_text", [False, True])
def test_identifiers_are_left_out_and_can_be_kept(name, values, why, as_text):
    values = [str(value) for value in values] if as_text else list(values)
    frame = beside(values, name)
    schema, _, _ = learned(frame)
    assert schema.left_out[name].startswith(why)
    assert schema.left_out[name].endswith(f"(--keep {shlex.quote(name)} uses it)")
    assert schema.notes == [f"column {name!r}: left out: {schema.left_out[name]}"]
    assert len(features(schema, frame.drop(columns=name))) == 40
    assert name in learned(frame, keep=[name])[0].columns


@pytest.mark.parametrize(
    ("name", "values"),
    [
        ("year", [*range(1990, 2029), 2000]),  # one comes twice
        ("paid", np.arange(40) ** 2),  # all different, but neither spaced nor named so
        ("x", np.arange(40) / 2),
        ("id", [*range(39), 3]),
        ("grid", np.arange(40) ** 2),
        ("small", [1, 2, 3, 4]),
        ("holes", [*range(39), np.nan]),
    ],
)
@pytest.mark.parametrize("as_text", [False, True])
def test_numbers_that_are_no_identifiers_are_kept(name, values, as_text):
    values = pd.Series(values)
    frame = beside(values.map(str).where(values.notna()) if as_text else values, name)
    assert name in learned(frame)[0].numbers


def test_nothing_left_to_learn_from():
    with pytest.raises(
        TableError,
        match=r"Nothing is left to predict 'y' from: 'x': it is constant \(1 in every row\)\.$",
    ):
        recognise(pd.DataFrame({"x": [1, 1], "y": [0, 1]}), "y")
    with pytest.raises(TableError, match="there is no other column"):
        recognise(pd.DataFrame({"y": [0, 1]}), "y")


# ---- labels


LABELS = {
    "leading zeros": ["007", "7", "0123"],
    "fractions that are none": ["1.0", "2.0"],
    "capitals": ["TRUE", "FALSE"],
    "signs": ["+1", "-1"],
    "beyond 2^53": [str(2**53), str(2**53 + 1)],
    "beyond 2^63": [str(2**63), str(2**63 + 1), str(2**80)],
    "blank inside": ["a b", "a  b"],
    "words": ["None", "NA", "N/A", "null"],
    "marks": ["-", "--"],
    "text of digits": ["1e3", "1000.0"],
    "accents": ["gro\u00df", "GROSS"],
}


@pytest.mark.parametrize("labels", LABELS.values(), ids=LABELS)
def test_labels_come_back_as_they_were_written(labels, tmp_path):
    y = labels * 20
    frame = beside(np.resize([0.5, 1.5, 2.25, 7], len(y)), target=y)
    frame.to_csv(tmp_path / "t.csv", index=False)
    frame.to_parquet(tmp_path / "t.parquet")
    for table in (
        frame,
        frame.astype({"y": "category"}),
        frame.astype({"y": pd.ArrowDtype(pa.string())}),
        read_table(str(tmp_path / "t.csv")),
        read_table(str(tmp_path / "t.parquet")),
    ):
        schema, _, found = learned(table, task="multiclass" if len(labels) > 2 else "binary")
        assert [str(label) for label in found] == y
        assert sorted(schema.labels) == sorted(labels)
        # a later table with one of them only
        assert [str(label) for label in targets(schema, table.iloc[[1, 1]])] == [labels[1]] * 2


def test_typed_labels():
    n = 2**53
    for values, dtype in [
        ([n, n + 1], "int64"),
        ([n, n + 1], "Int64"),
        ([2**63, 2**63 + 1], "uint64"),
        ([decimal.Decimal("1.50"), decimal.Decimal("2.50")], pd.ArrowDtype(pa.decimal128(9, 2))),
        ([True, False], "bool"),
    ]:
        frame = beside([0.5, 1.5, 2.25, 7] * 10, target=pd.Series(values * 20, dtype=dtype))
        if values[0] == decimal.Decimal("1.50"):
            assert learned(frame)[0].task == "regression"
            assert learned(frame)[2].tolist() == [1.5, 2.5] * 20
        else:
            assert [str(y) for y in learned(frame)[2]] == [str(y) for y in values * 20]


def test_words_are_labels_unless_they_are_said_to_be_missing():
    frame = beside([0.5, 1.5, 2.25, 7] * 10, target=["None", "Mild"] * 20)
    assert learned(frame)[0].labels == ["Mild", "None"]
    with pytest.raises(
        TableError,
        match=r"'y' holds one class only \(Mild\) in all 20 rows, and is missing in 20 \(--m",
    ):
        learned(frame, missing=["None"])


def test_blanks_and_case():
    x = ["red", " red", "red ", "\u00a0red", "Red", "blue", "BLUE", "blue"] * 5
    frame = beside(x, target=["yes", "yes ", "no", "No"] * 10)
    schema, X, y = learned(frame)
    assert schema.categorical["x"] == ["BLUE", "Red", "blue", "red"]
    assert schema.labels == ["No", "no", "yes"]
    assert schema.notes == [
        "column 'y': blanks around the classes are taken away (10 cells)",
        "column 'y': 'no' and 'No' differ in case alone (10 cells); --ignore-case merges them",
        "column 'x': blanks around the values are taken away (15 cells)",
        "column 'x': 'red' and 'Red' differ in case alone (10 cells); --ignore-case merges them",
    ]
    schema, X, y = learned(frame, ignore_case=True)
    assert (
        schema.categorical["x"] == ["blue", "red"]
        and X["x"].tolist()[:7] == ["red"] * 5 + ["blue"] * 2
    )
    assert y.tolist()[:4] == ["yes", "yes", "no", "no"]
    later = beside(["RED", " bLue"], target=["NO", "YES"])
    assert features(schema, later)["x"].tolist() == ["red", "blue"]
    assert targets(schema, later).tolist() == ["no", "yes"]


def test_what_counts_as_missing():
    frame = beside(["a", "NA", "None", "?", "-", "", None, "b"] * 5)
    schema, _, _ = learned(frame)
    assert schema.categorical["x"] == ["-", "a", "b"]
    assert schema.notes == [
        "column 'x': 'NA' counts as missing (5 cells); --missing says what does",
        "column 'x': 'None' counts as missing (5 cells); --missing says what does",
    ]
    schema, _, _ = learned(frame, missing=["-"])
    assert schema.categorical["x"] == ["?", "NA", "None", "a", "b"]
    assert features(schema, frame)["x"].isna().sum() == 15
    assert learned(beside(["1.5", "-", "2.5"] * 8), missing=["-"])[0].numeric == ["x", "other"]


def test_classes_of_one_row_and_one_yes_in_many():
    frame = beside([0.5, 1.5, 2.25, 7] * 300, target=["yes"] + ["no"] * 1199)
    schema, _, y = learned(frame)
    assert schema.task == "binary" and (y == "yes").sum() == 1
    assert schema.notes == [
        "column 'y': 1 class of 2 with one row only ('yes'); "
        "more rows of them, or one name for rare classes, make them learnable"
    ]


def test_words_among_numeric_classes_are_a_class():
    schema, _, _ = learned(beside([0.5, 1.5] * 50, target=["0", "1"] * 49 + ["unknown"] * 2))
    assert schema.labels == ["0", "1", "unknown"] and schema.task == "multiclass"
    y = [*map(str, np.arange(98) / 4), "unknown", "unknown"]
    schema, _, values = learned(beside([0.5, 1.5] * 50, target=y))
    assert schema.task == "regression" and len(values) == 98
    assert schema.notes[0].startswith("column 'y': texts among the numbers count as missing")


def test_the_schema_is_plain_data():
    frame = beside(["$1,200", "$3", "unknown", *["$7.50"] * 37]).assign(
        when=pd.date_range("2024", periods=40), town=["Oslo", "Rome"] * 20, same=1
    )
    schema = recognise(frame, "y", TypeOptions(missing=["?"]), reading={"sep": ";"})
    again = Schema.from_dict(json.loads(json.dumps(schema.to_dict())))
    assert again == schema and again.reading == {"sep": ";"}
    with pytest.raises(TableError, match="has format 9; this version of fastnn reads format 2"):
        Schema.from_dict({**schema.to_dict(), "format": 9})


@pytest.mark.parametrize(
    ("said", "message"),
    [
        (
            {"task": "classes"},
            "There is no task 'classes'; there are binary, multiclass, regression",
        ),
        ({"drop": "x"}, "drop='x' is a text; give a list of texts"),
        ({"decimal": ";"}, r"The decimal mark is \. or , and not ';'"),
        ({"thousands": ";"}, "The thousands mark is .* and not ';'"),
        ({"decimal": ",", "thousands": ","}, "are both ','; they differ"),
    ],
)
def test_options_that_cannot_be(said, message):
    with pytest.raises(TableError, match=message):
        TypeOptions(**said)


def test_frames_that_are_odd():
    with pytest.raises(TableError, match=r"A table is a pandas\.DataFrame, not a builtins\.dict"):
        recognise({}, "y")
    twice = pd.DataFrame(np.zeros((4, 2)), columns=["y", "y"])
    with pytest.raises(TableError, match="more than one column named 'y'; rename them"):
        recognise(twice, "y")
    indexed = beside([1, 2, 2, 1] * 10).set_index("x")
    schema, X, _ = learned(indexed)
    assert schema.numeric == ["x", "other"] and X["x"].tolist() == [1, 2, 2, 1] * 10
    assert schema.notes == ["the index 'x' is read as a column"]
    half = learned(beside(pd.Series(["\ud800", "a"] * 20, dtype=object)))[0]
    assert half.categorical["x"] == ["\\ud800", "a"]
    numbered = pd.DataFrame(np.random.default_rng(0).normal(size=(40, 2))).assign(y=[0, 1] * 20)
    assert recognise(numbered, "y").numeric == ["0", "1"]


def test_columns_may_be_named_one_by_one_or_with_commas():
    frame = people().assign(**{"a,b": [1, 2] * 20, "a": [3, 4] * 20, "b": [5, 6] * 20})
    for drop in (["a,b"], ["a,b", "age"], ["a, b,age", "a,b"]):
        schema = recognise(frame, "bought", TypeOptions(drop=drop))
        assert "a,b" in schema.left_out
        assert ("age" in schema.left_out) == (len(drop) > 1)
        assert ("a" in schema.left_out) == ("a, b,age" in drop)
    with pytest.raises(TableError, match="There is no column 'c'"):
        recognise(frame, "bought", TypeOptions(keep=["a,c"]))


def test_names_that_are_made_and_names_that_are_there():
    frame = beside(pd.date_range("2024", periods=40)).assign(**{"x: days": [1, 2] * 20})
    with pytest.raises(TableError, match="With dates taken apart, the table has more than one"):
        recognise(frame, "y")
    schema, X, _ = learned(beside([UNSEEN, "a"] * 20))
    assert X["x"].tolist()[:2] == [UNSEEN, "a"]
    assert features(schema, beside(["b"]))["x"].tolist() == [f"({UNSEEN})"]
