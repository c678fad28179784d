"""Is what a candidate costs measured as it says: by the clock, on which rows, how often?"""

from __future__ import annotations

import json
import pickle
import threading
from dataclasses import asdict, replace
from typing import ClassVar

import numpy as np
import pytest
import scipy.sparse
from sklearn.base import BaseEstimator
from sklearn.compose import TransformedTargetRegressor
from sklearn.datasets import load_iris
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import check_scoring
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import StandardScaler
from support.timed import CLOCK, Timed, advance, now

from fastnn import MLPClassifier, MLPRegressor
from fastnn.search import measure
from fastnn.search.measure import Clock, Dataset, Effort, Fold, measure_fold, measure_isolated
from fastnn.search.quantities import QUANTITIES
from fastnn.search.trials import Candidate

X, y = load_iris(return_X_y=True)
TRAIN, TEST = np.arange(0, 150, 2), np.arange(1, 150, 2)


def measured(estimator, clock=CLOCK, **params):
    data = Dataset(X, y, **params)
    train, test = data.rows(TRAIN), data.rows(TEST)
    return measure_fold(estimator, train, test, check_scoring(estimator), clock)


def test_a_fold_is_timed_by_the_clock():
    fold = measured(Timed(skill=0.75, seconds=4.0))
    assert (fold.score, fold.fit_time, fold.cpu_time) == (0.75, 4.0, 4.0)


def test_predictions_are_timed_by_the_clock():
    effort = Effort(min_repeats=3, max_repeats=30, seconds=0.02)
    latency_us, row_us = measure.prediction_times(Timed(latency=2**-10).fit(X, y), X, effort, now)
    assert latency_us == [1e6 * 2**-10] * 21  # the call that passes 0.02 seconds is the last
    assert row_us == [1e6 * 2**-10 / len(X)] * 21


@pytest.mark.parametrize("kind", [np.asarray, list])
def test_a_fold_learns_from_its_own_rows_and_weights(kind):
    weight = np.arange(150.0)
    estimator = Timed()
    measured(estimator, fit_params={"sample_weight": kind(weight)})
    assert estimator.weight_ == weight[TRAIN].sum()


def test_of_parameters_only_what_has_an_element_for_each_row_is_cut():
    whole = {"name": "x" * 150, "rate": 3.0, "few": [1, 2], "nothing": None}
    cut = {"sparse": scipy.sparse.dia_array(np.eye(150)), "list": list(range(150))}
    params = Dataset(X, y, fit_params=whole | cut).rows(TRAIN).fit_params
    assert {name: params[name] for name in whole} == whole
    np.testing.assert_array_equal(params["sparse"].toarray(), np.eye(150)[TRAIN])
    assert params["list"] == TRAIN.tolist()


def test_cpu_seconds_are_those_of_the_calling_thread():
    ticks = iter(range(100))
    fold = measured(Timed(), clock=Clock(now, lambda: float(next(ticks)), lambda: np.nan))
    assert fold.cpu_time == 1.0


@pytest.mark.parametrize("score", [np.nan, np.inf, None, "good", np.array([1.0, 2.0])], ids=str)
def test_a_score_that_is_no_number_is_an_error(score):
    data = Dataset(X, y)
    with pytest.raises(ValueError, match="the score must be a finite number"):
        measure_fold(Timed(), data, data, lambda *args: score, CLOCK)


@pytest.mark.parametrize(("latency", "count"), [(0.0, 30), (0.25, 8), (1.0, 5)])
def test_repeats_end_by_count_or_by_time(latency, count):
    passed = [0.0]  # a clock from 0, whose sums are exact
    calls = Effort(min_repeats=5, max_repeats=30, seconds=2.0).repeat(
        lambda: passed.append(passed[-1] + latency), lambda: passed[-1]
    )
    assert calls == [latency] * count


def test_folds_go_through_json():
    fold = replace(
        measured(LogisticRegression(), clock=Clock()), of_model={"flops": 1.0}, further={"auc": 0.5}
    )
    assert Fold(**json.loads(json.dumps(asdict(fold)))) == fold


@pytest.mark.filterwarnings("ignore:.*Maximum iterations")
@pytest.mark.parametrize(
    "wrap",
    [
        lambda network: network,
        lambda network: make_pipeline(StandardScaler(), network),
        lambda network: TransformedTargetRegressor(make_pipeline(StandardScaler(), network)),
        lambda network: GridSearchCV(network, {"alpha": [0.1]}, cv=2),
    ],
    ids=["bare", "pipeline", "target", "search"],
)
def test_flops_and_bytes_in_c_are_those_of_the_network_inside(wrap):
    estimator = wrap(MLPRegressor(hidden_layer_sizes=(7, 5), max_iter=1)).fit(X, y)
    n_weights, n_units = 4 * 7 + 7 * 5 + 5 * 1, 7 + 5 + 1
    assert measure.flops(estimator) == 2 * n_weights
    scaler = 4 * 3 * 4 if isinstance(getattr(estimator, "regressor_", estimator), Pipeline) else 0
    found = [measure.size_in_c(weights, estimator) for weights in ("float32", "int8")]
    assert found == [4 * (n_weights + n_units) + scaler, n_weights + 8 * n_units + scaler]


def test_model_bytes_are_those_of_the_pickle():
    estimator = Timed(n_bytes=100_000)
    assert measured(estimator).measured("model_bytes") == pytest.approx(
        len(pickle.dumps(estimator)), rel=0.01
    )


SECONDS = iter([8.0, 0.25, 0.25, 0.5, 1.0, 1.0])


class Uneven(Timed):
    """Each fit takes the next of ``SECONDS``, and notes its rows."""

    n_rows: ClassVar[list[int]] = []

    def fit(self, X, y):
        self.n_rows.append(len(X))
        advance(next(SECONDS))
        self.classes_ = y[:1]
        return self


def test_isolated_warms_up_on_few_rows_and_repeats_quick_fits():
    isolated = measure_isolated(Uneven(latency=2**-8), Dataset(X, y), CLOCK)
    assert isolated.fit_time == isolated.cpu_time == [0.25, 0.25, 0.5]
    assert set(isolated.latency_us) == {1e6 * 2**-8}
    assert Uneven.n_rows == [100, 150, 150, 150]


def test_isolated_takes_a_long_fit_once():
    assert measure_isolated(Timed(seconds=64.0), Dataset(X, y), CLOCK).fit_time == [64.0]


class Bare(BaseEstimator):
    """It cannot predict, cannot be pickled once it is fitted, and holds no network."""

    def fit(self, X, y):
        self.lock_ = threading.Lock()
        return self


@pytest.fixture(scope="module")
def candidates():
    """A network, and a model that lacks what a model can lack: measured both ways, once each."""
    network = MLPClassifier((4,), solver="lbfgs", max_iter=500, random_state=0)
    train, test = Dataset(X, y).rows(TRAIN), Dataset(X, y).rows(TEST)
    found = []
    for estimator in (network, Bare()):
        fold = measure_fold(estimator, train, test, lambda *args: 0.5, Clock())
        times = measure.prediction_times(estimator, X, Effort(1, 1, 0.0), Clock().wall)
        fold = Fold(**{**asdict(fold), "latency_us": times[0], "row_us": times[1]})
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(measure, "FITS_ISOLATED", Effort(1, 1, 0.0))
            patch.setattr(measure, "PREDICTIONS_ISOLATED", Effort(1, 1, 0.0))
            isolated = measure_isolated(estimator, Dataset(X, y), Clock())
        found.append(Candidate({}, [fold], isolated=isolated))
    return found


@pytest.mark.parametrize("quantity", QUANTITIES)
def test_every_quantity_is_measured(candidates, quantity):
    network, bare = candidates
    row = QUANTITIES[quantity]
    assert np.isfinite(network.value(quantity, in_search=True)) == row.in_search
    assert np.isfinite(network.value(quantity))
    known = np.isfinite(bare.value(quantity))
    assert known == (not row.unknown)  # what may be unknown says why
