"""Does a table become the right numbers, and a later one the same?"""

from __future__ import annotations

import json
import os
from pathlib import Path

import numpy as np
import pytest

pd = pytest.importorskip("pandas", reason="pandas comes with fastnn[cli]")

from sklearn.linear_model import LinearRegression, LogisticRegression  # noqa: E402
from support.tables import people  # noqa: E402

from fastnn.tabular.encode import features, table_model, targets, with_known_target  # noqa: E402
from fastnn.tabular.read import read_table  # noqa: E402
from fastnn.tabular.schema import TableError, recognise  # noqa: E402

SHARED = Path(__file__).parents[3] / "shared" / "data"


# ---- rows without a target


def test_rows_without_a_target_are_left_out_and_counted():
    frame = people()
    frame.loc[[0, 7], "bought"] = None
    notes = []
    assert len(with_known_target(frame, "bought", notes.append)) == 38
    assert notes == ["2 of 40 rows are left out: their target 'bought' is missing"]
    with pytest.raises(TableError, match="'bought' is missing in 2 of 40 rows"):
        targets(recognise(frame, "bought"), frame)


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
        "column 'city' holds values never seen in training ('Bern') in 1 rows; they count as "
        "rare ones",
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
