"""Are the steps that candidates share fitted once a fold, with results as if each fitted them?"""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.base import BaseEstimator, TransformerMixin, clone
from sklearn.datasets import load_iris
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import cross_val_score
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import StandardScaler
from support.timed import CLOCK, Timed, advance

from fastnn import TradeoffSearchCV
from fastnn.search import shared_steps

pytest.importorskip("optuna")

X, y = load_iris(return_X_y=True)


class Slow(TransformerMixin, BaseEstimator):
    """Doubles X, and takes eight seconds to learn that."""

    n_fits = 0

    def fit(self, X, y=None):
        Slow.n_fits += 1
        advance(8.0)
        self.n_features_in_ = X.shape[1]
        return self

    def transform(self, X):
        return 2.0 * X


@pytest.fixture
def searched(monkeypatch):
    def search(pipeline, space, **params):
        Slow.n_fits = 0
        params = {
            "objectives": ("score", "model_bytes"),
            "cv": 3,
            "random_state": 0,
            "refit": False,
        } | params
        return TradeoffSearchCV(pipeline, space, **params).fit(X, y)

    monkeypatch.setattr(TradeoffSearchCV, "_clock", CLOCK)
    return search


def test_it_is_fitted_once_a_fold_and_counts_for_every_candidate(searched):
    pipeline = Pipeline([("slow", Slow()), ("model", Timed())])
    search = searched(pipeline, {"model__skill": [0.25, 0.5, 0.75], "model__seconds": [1.0, 2.0]})
    assert Slow.n_fits == 3
    expected = [8.0 + params["model__seconds"] for params in search.cv_results_["params"]]
    assert list(search.cv_results_["fit_time"]) == list(search.cv_results_["cpu_time"]) == expected


@pytest.mark.parametrize(
    "space",
    [{"slow": [Slow(), "passthrough"], "model__skill": [0.5]}, {"skip": ["passthrough", None]}],
    ids=["itself", "another"],
)
def test_where_preprocessing_is_varied_each_candidate_fits_its_own(searched, space):
    searched(Pipeline([("skip", None), ("slow", Slow()), ("model", Timed())]), space)
    assert Slow.n_fits == (3 if "slow" in space else 6)


def test_of_a_large_table_nothing_is_kept(searched, monkeypatch):
    monkeypatch.setattr(shared_steps, "MAX_BYTES", 100 * X.shape[1] * 8)
    searched(Pipeline([("slow", Slow()), ("model", Timed())]), {"model__skill": [0.25, 0.5]})
    assert Slow.n_fits == 6


def test_scores_and_models_are_those_of_whole_pipelines(searched):
    """The second step works in place, and the next candidate needs the result of the first one."""
    pipeline = Pipeline(
        [
            ("double", Slow()),
            ("none", "passthrough"),
            ("scale", StandardScaler(copy=False)),
            ("model", LogisticRegression()),
        ]
    )
    search = searched(pipeline, {"model__C": [0.01, 0.1, 1.0]}, n_jobs=2, refit="score")
    for params, score in zip(
        search.cv_results_["params"], search.cv_results_["mean_test_score"], strict=True
    ):
        assert cross_val_score(
            clone(pipeline).set_params(**params), X, y, cv=3
        ).mean() == pytest.approx(score, abs=1e-12)
    assert search.best_estimator_.memory is None
    expected = clone(pipeline).set_params(**search.best_params_).fit(X, y)
    np.testing.assert_array_equal(search.predict_proba(X), expected.predict_proba(X))


def test_the_bytes_of_a_model_are_those_without_what_is_shared(searched):
    pipeline = Pipeline([("slow", Slow()), ("model", Timed())])
    search = searched(pipeline, {"model__skill": [0.25, 0.5]})
    assert search.cv_results_["model_bytes"].max() < X.nbytes


def test_a_step_that_fails_fails_for_every_candidate(searched):
    class Failing(Slow):
        def fit(self, X, y=None):
            raise RuntimeError("out of luck")

    pipeline = Pipeline([("slow", Failing()), ("model", Timed())])
    with pytest.raises(ValueError, match=r"2 of them: RuntimeError: out of luck"):
        searched(pipeline, {"model__skill": [0.25, 0.5]})


def test_threads_wait_for_each_other(searched):
    pipeline = Pipeline([("slow", Slow()), ("model", Timed())])
    searched(pipeline, {"model__skill": [i / 16 for i in range(16)]}, n_jobs=4)
    assert Slow.n_fits == 3
