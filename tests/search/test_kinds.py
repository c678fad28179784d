"""Does a search know what to vary in each kind of estimator, and begin where it is told to?"""

from __future__ import annotations

import logging

import numpy as np
import pytest
from scipy import stats
from sklearn.base import BaseEstimator
from sklearn.ensemble import HistGradientBoostingRegressor, RandomForestClassifier
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from support.timed import Timed
from threadpoolctl import threadpool_info

from fastnn import TabularClassifier, TabularRegressor, TradeoffSearchCV
from fastnn.core.cost import predict_flops
from fastnn.search.default_space import as_it_is, default_space
from fastnn.search.measure import flops
from fastnn.search.space import Space
from fastnn.search.workplace import _single_threaded

optuna = pytest.importorskip("optuna")

X, y = np.arange(24.0).reshape(12, 2), np.array([0, 1] * 6)


@pytest.mark.parametrize(
    "estimator",
    [
        TabularClassifier(),
        make_pipeline(StandardScaler(), TabularRegressor("fast", max_iter=9)),
        HistGradientBoostingRegressor(max_iter=50),
        make_pipeline(StandardScaler(), LogisticRegression()),
        Ridge(),
    ],
    ids=lambda estimator: type(estimator).__name__,
)
def test_the_default_space_of_each_kind_holds_the_estimator_itself(estimator):
    space = default_space(estimator, 100)
    assert not any(name.endswith("max_iter") for name in space) or isinstance(
        estimator, TabularClassifier
    )
    candidate = as_it_is(estimator, space)
    assert candidate == {name: estimator.get_params()[name] for name in space}
    found = Space(space)
    back = found.read(found.draws(candidate))
    assert back.keys() == candidate.keys()
    for name, value in candidate.items():
        assert back[name] == (pytest.approx(value) if isinstance(value, float) else value)


def test_a_bag_varies_what_a_preset_sets():
    space = default_space(TabularClassifier(), 100)
    varied = {"preset", "n_members", "hidden_layer_sizes", "max_iter", "learning_rate_init"}
    assert set(space) == varied
    assert "n_members" not in default_space(TabularClassifier(n_members=2), 100)


SPACE = {
    "a": [1, "x", None, (2, 3)],
    "b": stats.loguniform(0.1, 10),
    "c": optuna.distributions.IntDistribution(1, 9),
    "d": optuna.distributions.CategoricalDistribution(["p", "q"]),
}


def test_a_candidate_is_found_in_its_part_of_a_space():
    space = Space([{"other": [1]}, SPACE])
    for a in SPACE["a"]:
        candidate = {"a": a, "b": 2.5, "c": 7, "d": "q"}
        assert space.read(space.draws(candidate)) == candidate | {"b": pytest.approx(2.5)}
    assert space.read(space.draws({"other": 1})) == {"other": 1}


@pytest.mark.parametrize(
    ("wrong", "reason"),
    [
        ({"a": 4}, r"4 is not among \[1, 'x', None, \(2, 3\)\]"),
        ({"b": 11.0}, "11.0 is not among"),
        ({"c": 10}, "10 is not among"),
        ({"d": "r"}, "'r' is not among"),
        ({"e": 1}, r"it has the parameters \['a', 'b', 'c', 'd'\]"),
    ],
)
def test_a_candidate_that_the_space_does_not_hold_is_an_error(wrong, reason):
    candidate = {"a": 1, "b": 1.0, "c": 1, "d": "p"} | wrong
    with pytest.raises(ValueError, match=f"which param_distributions does not: {reason}"):
        Space(SPACE).draws(candidate)


def test_first_candidates_come_first_and_once(tmp_path, monkeypatch):
    said = []
    handler = logging.Handler()
    handler.emit = said.append
    monkeypatch.setattr(logging.getLogger("optuna"), "handlers", [handler])
    skills = [round(0.1 * i, 1) for i in range(10)]
    first = [{"skill": 0.7}, {"skill": 0.2}]

    def tried(n_trials):
        search = TradeoffSearchCV(
            Timed(),
            {"skill": skills},
            objectives=("score", "model_bytes"),
            n_trials=n_trials,
            cv=2,
            random_state=0,
            storage=str(tmp_path / "search.log"),
            first_candidates=first,
        )
        return search.fit(X, y).cv_results_["param_skill"].tolist()

    assert tried(2) == [0.7, 0.2]
    later = tried(10)
    assert later[:2] == [0.7, 0.2] and sorted(later) == skills
    assert not said  # those that are known are nothing to tell
    search = TradeoffSearchCV(Timed(), {"skill": skills}, first_candidates=[{"skill": 3}])
    with pytest.raises(ValueError, match=r"first_candidates holds \{'skill': 3\}, which param_dis"):
        search.fit(X, y)


class Threads(BaseEstimator):
    """Learns how many threads OpenMP may use where it is fitted."""

    def __init__(self, which=0):
        self.which = which

    def fit(self, X, y):
        HistGradientBoostingRegressor(max_iter=1).fit(X, y)  # OpenMP is loaded
        self.n_ = max(i["num_threads"] for i in threadpool_info() if i["user_api"] == "openmp")
        return self

    def score(self, X, y):
        return self.n_


def test_a_fold_has_one_thread_of_openmp():
    search = TradeoffSearchCV(Threads(), {"which": [0, 1]}, objectives=("score",), cv=2)
    assert search.set_params(n_jobs=2).fit(X, y).cv_results_["mean_test_score"].tolist() == [1, 1]


def test_threads_that_were_asked_for_are_one_in_a_fold():
    forest = make_pipeline(RandomForestClassifier(n_jobs=4))
    assert _single_threaded(forest)[-1].n_jobs == 1
    assert _single_threaded(RandomForestClassifier()).n_jobs is None
    assert _single_threaded(TabularClassifier()).n_threads == 1


def test_the_work_of_a_bag_is_that_of_its_networks():
    bag = TabularClassifier("fast", n_members=3, max_iter=1, hidden_layer_sizes=(4,)).fit(X, y)
    assert flops(make_pipeline(bag)) == 3 * predict_flops(bag.network_) > 0
