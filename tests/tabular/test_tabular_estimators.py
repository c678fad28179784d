"""Do the estimators of tables learn, keep scikit-learn's contract, and tell the truth?"""

from __future__ import annotations

import pickle

import numpy as np
import pandas as pd
import pytest
from sklearn.base import clone
from sklearn.model_selection import GridSearchCV, cross_val_score
from sklearn.utils.estimator_checks import parametrize_with_checks
from support.bags import QUICK, homes

from fastnn import TabularClassifier, TabularRegressor


@parametrize_with_checks(
    [kind("fast", n_members=2, max_iter=16) for kind in (TabularClassifier, TabularRegressor)]
)
def test_scikit_learns_checks(estimator, check):
    check(estimator)


@pytest.fixture(scope="module")
def regressor():
    X, y, _ = homes()
    return TabularRegressor("fast", n_members=4, random_state=0).fit(X, y)


@pytest.fixture(scope="module")
def classifier():
    X, _, kind = homes()
    return TabularClassifier("fast", random_state=0).fit(X, kind)


def test_they_learn(regressor, classifier):
    X, y, kind = homes(2000, seed=1)
    assert regressor.score(X, y) > 0.95
    assert classifier.score(X, kind) > 0.85
    np.testing.assert_allclose(classifier.predict_proba(X).sum(axis=1), 1, rtol=1e-15)


def test_each_row_is_answered_by_those_that_did_not_see_it(regressor):
    _, y, _ = homes()
    oof = regressor.oof_prediction_
    answered = np.isfinite(oof)
    assert answered.mean() == pytest.approx(0.5)  # four of eight folds
    new_X, new_y, _ = homes(2000, seed=1)
    honest = np.sqrt(np.mean((oof - y)[answered] ** 2))
    fresh = np.sqrt(np.mean((regressor.predict(new_X) - new_y) ** 2))
    assert honest == pytest.approx(fresh, rel=0.25)


def test_predictions_stay_within_the_range_of_the_target(regressor):
    X, y, _ = homes()
    far = X.assign(area=1e9)
    assert regressor.predict(far).max() <= y.max()


@pytest.mark.parametrize("coverage", [0.8, 0.9])
def test_intervals_and_sets_cover(regressor, classifier, coverage):
    X, y, kind = homes(3000, seed=1)
    low, high = regressor.predict_interval(X, coverage)
    assert np.mean((low <= y) & (y <= high)) == pytest.approx(coverage, abs=0.06)
    sets = classifier.predict_set(X, coverage)
    own = np.searchsorted(classifier.classes_, kind)
    assert np.mean(sets[np.arange(len(kind)), own]) == pytest.approx(coverage, abs=0.06)


@pytest.mark.parametrize("n_threads", [1, 3])
def test_the_same_numbers_for_any_number_of_threads(n_threads):
    X, _, kind = homes(120)
    one = TabularClassifier(**QUICK, n_threads=n_threads).fit(X, kind)
    expected = TabularClassifier(**QUICK).fit(X, kind)
    np.testing.assert_array_equal(one.predict_proba(X), expected.predict_proba(X))


def test_numpy_agrees():
    X, y, _ = homes(120)
    fast = TabularRegressor(**QUICK).fit(X, y)
    slow = TabularRegressor(**QUICK, backend="numpy").fit(X, y)
    np.testing.assert_allclose(fast.predict(X), slow.predict(X), rtol=1e-2, atol=1e-2)


def test_several_targets():
    X, y, _ = homes(200)
    Y = np.asfortranarray(np.column_stack([y, -y]))
    model = TabularRegressor("fast", random_state=0).fit(X, Y)
    assert model.predict(X).shape == (200, 2)
    assert model.score(X, Y) > 0.9
    low, high = model.predict_interval(X, 0.8)
    assert low.shape == high.shape == (200, 2)


def test_rows_of_weight_0_are_as_if_absent():
    X, _, kind = homes(150)
    weight = np.where(np.arange(150) < 100, 1.0, 0.0)
    some = TabularClassifier(**QUICK).fit(X, kind, sample_weight=weight)
    fewer = TabularClassifier(**QUICK).fit(X[:100], kind[:100])
    np.testing.assert_allclose(some.predict_proba(X), fewer.predict_proba(X), rtol=1e-5)
    np.testing.assert_allclose(some.oof_prediction_[:100], fewer.oof_prediction_, rtol=1e-5)
    assert np.isnan(some.oof_prediction_[100:]).all()
    weight = weight[::-1]  # the last rows count
    some = TabularClassifier(**QUICK).fit(X, kind, sample_weight=weight)
    assert np.isnan(some.oof_prediction_[:50]).all()
    assert np.isfinite(some.oof_prediction_[50:]).any()


def test_a_parameter_overrules_the_preset():
    X, _, kind = homes(150)
    model = TabularClassifier("fast", n_members=3, max_iter=2, random_state=0).fit(X, kind)
    assert model.n_iter_ == 2
    assert len(model.loss_curve_) == len(model.validation_curve_) == 2
    assert model._by_member(X).shape == (3, 150, 3)


def test_clones_pickles_and_searches():
    X, _, kind = homes(150)
    model = TabularClassifier(**QUICK).fit(X, kind)
    same = pickle.loads(pickle.dumps(model))
    np.testing.assert_array_equal(same.predict_proba(X), model.predict_proba(X))
    again = clone(model).fit(X, kind)
    np.testing.assert_array_equal(again.predict_proba(X), model.predict_proba(X))
    assert len(cross_val_score(model, X, kind, cv=2)) == 2
    grid = GridSearchCV(model, {"n_members": [1, 2]}, cv=2).fit(X, kind)
    assert grid.best_params_["n_members"] in (1, 2)


def test_a_fit_that_fails_leaves_the_model_as_it_was():
    X, _, kind = homes(150)
    model = TabularClassifier(**QUICK).fit(X, kind)
    before = model.predict(X)
    with pytest.raises(ValueError, match="non-finite"):
        model.set_params(learning_rate_init=1e30, batch_size=4).fit(X[["area"]], X["town"])
    np.testing.assert_array_equal(model.predict(X), before)


def test_columns_of_polars_have_names():
    pl = pytest.importorskip("polars")
    X, y, _ = homes(150)
    table = pl.DataFrame(X.to_dict("list"))
    model = TabularRegressor(**QUICK).fit(table, y)
    assert model.feature_names_in_.tolist() == list(X)
    turned = table.select(reversed(table.columns))
    np.testing.assert_array_equal(model.predict(turned), model.predict(table))
    with pytest.raises(ValueError, match="X lacks columns that the model was fitted with: 'pool'"):
        model.predict(table.drop("pool"))
    for call in (lambda X: TabularRegressor(**QUICK).fit(X, y), model.predict):
        with pytest.raises(
            TypeError, match=r"X is a LazyFrame, .* no rows yet\. Give X\.collect\(\)"
        ):
            call(table.lazy())


@pytest.mark.parametrize("n", [2, 3, 7, 11])
def test_few_rows(n):
    X, y, _ = homes(n)
    model = TabularRegressor("fast", max_iter=2, random_state=0).fit(X, y)
    assert np.isfinite(model.predict(X)).all()


HARD = {
    "nothing known": pd.DataFrame({"a": [np.nan] * 20, "b": ["x"] * 20}),
    "many categories": pd.DataFrame({"a": [f"c{i}" for i in range(20)]}),
    "constant": pd.DataFrame({"a": [1.0] * 20}),
}


@pytest.mark.parametrize("name", HARD)
def test_tables_that_teach_nothing(name):
    y = np.arange(20) % 2
    model = TabularClassifier(**QUICK).fit(HARD[name], y)
    assert model.predict_proba(HARD[name]).shape == (20, 2)


def test_a_constant_target_is_predicted():
    X, _, _ = homes(30)
    model = TabularRegressor(**QUICK).fit(X, np.full(30, 7.0))
    np.testing.assert_array_equal(model.predict(X), 7.0)


def test_what_cannot_be_fitted_is_refused():
    X, y, _ = homes(30)
    with pytest.raises(ValueError, match=r"y holds one class only, 'a'; .* at least 2 classes"):
        TabularClassifier().fit(X, ["a"] * 30)
    message = "Column 'area' of X contains infinity. Replace it by NaN, which is taken as missing,"
    for infinite in (np.inf, -np.inf):
        with pytest.raises(ValueError, match=message):
            TabularRegressor().fit(X.assign(area=infinite), y)


@pytest.mark.parametrize(
    ("y", "message"),
    [
        (pd.Series(["a", "b", None] * 10, dtype="string"), "Input y contains NaN"),
        (np.array(["a", "b", None] * 10, object), "Input y contains NaN"),
    ],
)
def test_classes_must_not_be_missing(y, message):
    X, _, _ = homes(30)
    with pytest.raises(ValueError, match=message):
        TabularClassifier(**QUICK).fit(X, y)


@pytest.mark.parametrize(
    ("y", "message"),
    [
        (np.arange(30) * 1e200, "y has a variance that float64 cannot hold, .* 0 to 2.9e\\+201"),
        (np.arange(30) * 1e-200, "y has a variance that float64 cannot hold"),
        (pd.date_range("2020-01-01", periods=30), "y must hold real numbers, got dates"),
    ],
)
def test_targets_that_no_network_can_learn_are_refused(y, message):
    X, _, _ = homes(30)
    with pytest.raises((ValueError, TypeError), match=message):
        TabularRegressor(**QUICK).fit(X, y)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"hidden_layer_sizes": (0,)}, "hidden_layer_sizes must be > 0"),
        ({"hidden_layer_sizes": (1.5,)}, "hidden_layer_sizes must hold whole numbers"),
        ({"categorical_features": [0.5]}, "categorical_features names 0.5, which is no column"),
        ({"categorical_features": [None]}, "categorical_features names None, which is no column"),
        ({"learning_rate_init": 1e30}, "non-finite parameter weights.*learning_rate_init"),
    ],
)
def test_parameters_that_make_no_network_are_refused(given, message):
    X, y, _ = homes(200)
    with pytest.raises(ValueError, match=message):
        TabularRegressor(**{**QUICK, **given}).fit(X[["area"]], y)


def test_tables_without_rows_or_columns_are_refused(classifier):
    X, y, _ = homes(30)
    with pytest.raises(ValueError, match=r"Expected (2D array|a 2-dimensional container)"):
        TabularRegressor(**QUICK).fit(X["area"], y)
    with pytest.raises(ValueError, match="X has no columns; at least 1 is required"):
        TabularRegressor(**QUICK).fit(X[[]], y)
    with pytest.raises(ValueError, match=r"Expected (2D array|a 2-dimensional container)"):
        classifier.predict(X.iloc[0])
