"""What becomes of tables that no one would train on, and of tables unlike the one trained on?"""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
import scipy.sparse
from sklearn.calibration import CalibratedClassifierCV
from sklearn.ensemble import BaggingRegressor
from sklearn.feature_selection import SelectFromModel
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from support.bags import QUICK, homes

from fastnn import TabularClassifier, TabularRegressor

X, Y, KIND = homes(60)


@pytest.fixture(scope="module")
def regressor():
    return TabularRegressor(**QUICK).fit(X, Y)


NOTHING = {
    "missing": np.nan,
    "of one number": 3.0,
    "of one category": "a",
    "of missing texts": pd.Series([None] * 60, dtype="string"),
}


@pytest.mark.parametrize("name", NOTHING)
def test_columns_that_say_nothing_change_nothing(name, regressor):
    more = X.assign(more=NOTHING[name])
    model = TabularRegressor(**QUICK).fit(more, Y)
    np.testing.assert_array_equal(model.predict(more), regressor.predict(X))


def test_a_column_of_as_many_categories_as_rows():
    rows = np.arange(50_000)
    table = pd.DataFrame({"key": rows.astype(str), "x": rows % 7})
    settings = {**QUICK, "max_iter": 2, "batch_size": 256}
    model = TabularRegressor(**settings).fit(table, rows % 7)
    assert model._encoder.embedding_.n_out == 254 + 8  # one-hot columns of x and the most frequent
    assert model.score(table, rows % 7) > 0.9


def test_numbers_that_come_as_text_are_numbers(regressor):
    texts = X.assign(area=X["area"].map(repr))
    np.testing.assert_array_equal(regressor.predict(texts), regressor.predict(X))
    with pytest.raises(ValueError, match=r"Column 'area' is one of numbers or dates, .*'large'"):
        regressor.predict(texts.assign(area="large"))


def test_dates_that_come_as_text_are_refused():
    days = pd.DataFrame({"day": pd.date_range("2026-01-01", periods=60)})
    model = TabularRegressor(**QUICK).fit(days, Y)
    with pytest.raises(ValueError, match=r"'2026-01-01'\. Read texts of dates as dates, by pandas"):
        model.predict(days.astype(str))


def test_other_columns_are_named(regressor):
    with pytest.raises(ValueError, match=r"X lacks columns that .* fitted with: 'rooms', 'pool'"):
        regressor.predict(X[["area", "town"]])
    message = r"X has columns that the model was not fitted with: 'x', 1\. Leave them out\."
    with pytest.raises(ValueError, match=message):
        regressor.predict(X.assign(x=1).assign(**{"y": 1}).rename(columns={"y": 1}))
    model = TabularRegressor(**QUICK).fit(np.eye(60, 4), Y)
    with pytest.raises(ValueError, match="X has 3 features, but TabularRegressor is expecting 4"):
        model.predict(np.eye(60, 3))


def test_missing_and_unknown_cells_of_new_rows_are_answered(regressor):
    new = X.assign(area=np.nan, town="Atlantis", pool=None)
    assert np.isfinite(regressor.predict(new)).all()


@pytest.mark.parametrize("n", [2, 5])
def test_fewer_rows_than_folds(n):
    model = TabularClassifier(**{**QUICK, "n_members": 8}).fit(X[:n], np.arange(n) % 2)
    assert model.predict_proba(X).shape == (60, 2)
    assert np.isfinite(model.oof_prediction_).all()


def test_a_class_of_one_row():
    kind = np.where(np.arange(60) == 7, "rare", KIND)
    model = TabularClassifier(**QUICK).fit(X, kind)
    assert model.predict_proba(X).shape == (60, 4)


@pytest.mark.parametrize(
    ("weight", "message"),
    [
        (np.zeros(60), "Sample weights must contain at least one non-zero number"),
        (np.arange(60) == 3, r"at least 2 samples whose weight is above 0, got 1 sample\."),
        (1e300, "sample_weight contains infinity or a value too large for .*float32"),
        (-np.ones(60), "Negative values in data passed to `sample_weight`"),
    ],
)
def test_weights_that_leave_nothing_are_refused(weight, message):
    with pytest.raises(ValueError, match=message):
        TabularRegressor(**QUICK).fit(X, Y, sample_weight=weight)


def test_it_works_inside_what_scikit_learn_offers():
    numbers = X[["area", "rooms"]]
    scaled = make_pipeline(StandardScaler(), TabularRegressor(**QUICK))
    scaled.set_output(transform="pandas").fit(numbers, Y)
    assert scaled[-1].feature_names_in_.tolist() == ["area", "rooms"]
    calibrated = CalibratedClassifierCV(TabularClassifier(**QUICK), cv=2).fit(X, KIND)
    np.testing.assert_allclose(calibrated.predict_proba(X).sum(axis=1), 1)
    bagging = BaggingRegressor(TabularRegressor(**QUICK), 2, random_state=0).fit(X[["area"]], Y)
    assert bagging.predict(X[["area"]]).shape == (60,)
    chosen = SelectFromModel(TabularRegressor(**QUICK, importance_repeats=1)).fit(X, Y)
    assert chosen.transform(X).shape[1] < 4


def test_sparse_rows_are_the_same_rows():
    dense = np.where(np.random.default_rng(0).random((60, 5)) < 0.7, 0, X[["area"]])
    model = TabularRegressor(**QUICK).fit(dense, Y)
    for kind in (scipy.sparse.csr_array, scipy.sparse.csc_matrix):
        same = TabularRegressor(**QUICK).fit(kind(dense), Y)
        np.testing.assert_array_equal(same.predict(kind(dense)), model.predict(dense))
