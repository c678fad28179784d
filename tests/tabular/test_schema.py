"""Is the task of a table recognised, and what each column is?"""

from __future__ import annotations

import numpy as np
import pytest

pd = pytest.importorskip("pandas", reason="pandas comes with fastnn[cli]")

from support.tables import people  # noqa: E402

from fastnn.tabular.encode import targets  # noqa: E402
from fastnn.tabular.schema import TableError, recognise  # noqa: E402

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
        match=r"There is no column 'Bought'\. Did you mean 'bought'\? "
        "The columns are: 'age', 'city', 'bought'",
    ):
        recognise(people(), "Bought")
    with pytest.raises(TableError, match=r"There is no column 'qqq'\. The columns are"):
        recognise(people(), "bought", drop=["qqq"])
    wide = pd.DataFrame(np.zeros((2, 50))).add_prefix("f")
    with pytest.raises(TableError, match=r"'f29' and 20 more\.$"):
        recognise(wide, "target")


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
        left_out.pop("typo") == "it holds numbers, but also '12..5' (in 1 rows such cells); "
        "correct or empty them to use it"
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
