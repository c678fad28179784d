"""Is the candidate that ``refit`` asks for chosen, and a wrong parameter named before training?"""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.datasets import load_iris
from support.timed import Timed

from fastnn import TradeoffSearchCV
from fastnn.search.front import select
from fastnn.search.measure import Isolated
from fastnn.search.process import FreshProcesses

pytest.importorskip("optuna")

X, y = load_iris(return_X_y=True)


def chosen(refit, settings, objectives=("score", "fit_time"), **params):
    parts = [{"skill": [a], "seconds": [b], "latency": [c]} for a, b, c in settings]
    return TradeoffSearchCV(
        Timed(), parts, objectives=objectives, refit=refit, cv=2, random_state=0, **params
    )


SETTINGS = [(0.9, 8.0, 2**-6), (0.8, 2.0, 2**-8), (0.6, 1.0, 2**-12), (0.5, 4.0, 2**-5)]


@pytest.mark.parametrize(
    ("refit", "skill"),
    [
        ("score", 0.9),
        ("fit_time", 0.6),
        ("latency_us", 0.6),
        ("knee", 0.9),
        ({"fit_time": 4, "score": "max"}, 0.8),
        ({"latency_us": 5000, "score": "max"}, 0.8),
        ({"latency_us": 300, "score": "max"}, 0.6),
        ({"score": 0.7, "fit_time": "min"}, 0.8),
        ({"score": "max"}, 0.9),
        (lambda results: int(np.argmin(results["mean_test_score"])), 0.5),
    ],
    ids=lambda value: (
        "callable" if callable(value) else str(value)
    ),  # a lambda's repr differs from process to process
)
def test_refit(clock, no_processes, refit, skill):
    search = chosen(refit, SETTINGS).fit(X, y)
    assert search.best_params_["skill"] == skill
    assert search.best_score_ == skill
    assert search.best_estimator_.skill == skill
    assert search.refit_time_ == search.best_params_["seconds"]


def skill(model, X, y):
    return model.skill


def thrift(model, X, y):
    return -model.n_bytes


def both_ways(refit="knee", **params):
    """A search of three candidates, each better than the others in a score, and a worse one."""
    parts = [{"skill": [i / 8], "n_bytes": [100 * i]} for i in (3, 1, 2)]
    parts.append({"skill": [1 / 8], "n_bytes": [200]})
    params = {"objectives": ("score",), "scoring": {"skill": skill, "thrift": thrift}} | params
    return TradeoffSearchCV(Timed(), parts, refit=refit, cv=2, random_state=0, **params)


def test_several_scores_are_objectives(tmp_path):
    search = both_ways(storage=tmp_path / "log").fit(X, y)
    assert search.objectives_ == ("score", "thrift")
    results = search.cv_results_
    for i, params in enumerate(results["params"]):
        assert results["mean_test_score"][i] == results["split1_test_score"][i] == params["skill"]
        assert results["mean_test_thrift"][i] == results["split1_test_thrift"][i]
        assert results["mean_test_thrift"][i] == -params["n_bytes"]
        dominated = (params["skill"], params["n_bytes"]) == (1 / 8, 200)
        assert results["on_front"][i] == (not dominated)
    assert sorted(results["rank_test_thrift"]) == [1, 2, 2, 4]
    assert search.best_score_ == search.score(X, y) == 3 / 8  # by the first score
    again = both_ways(storage=tmp_path / "log").fit(X, y)
    np.testing.assert_array_equal(
        again.cv_results_["mean_test_thrift"], results["mean_test_thrift"]
    )


@pytest.mark.parametrize(
    ("refit", "skill"),
    [
        ("thrift", 1 / 8),
        ({"thrift": -250, "score": "max"}, 2 / 8),
        ({"score": 0.3, "thrift": "max"}, 3 / 8),
    ],
)
def test_refit_by_several_scores(refit, skill):
    assert both_ways(refit).fit(X, y).best_params_["skill"] == skill


def test_the_knee_of_several_scores_is_within_the_error_of_each():
    """By the first score, all but the last are level; by the second, two of those are."""
    values = {
        "score": np.array([0.9, 0.89, 0.885, 0.5]),
        "auc": np.array([0.5, 0.7, 0.69, 0.9]),
        "fit_time": np.array([1.0, 8.0, 4.0, 0.5]),
    }
    errors = dict.fromkeys(("score", "auc"), np.array([0.02] * 4))
    assert select("knee", values, tuple(values), np.arange(4), errors) == 2


@pytest.mark.parametrize("scoring", [[], ["roc_auc", "roc_auc"], {"flops": skill}, [len]])
def test_scores_are_named_once_and_not_like_quantities(scoring):
    message = r"scoring must name at least one score, each once and none like a quantity, \['score"
    with pytest.raises(ValueError, match=message):
        both_ways(scoring=scoring).fit(X, y)


def test_a_score_that_is_no_number_is_named():
    scoring = {"skill": skill, "odd": lambda model, X, y: float("nan")}
    with pytest.raises(ValueError, match="the score odd must be a finite number, got nan"):
        both_ways(scoring=scoring).fit(X, y)


@pytest.mark.parametrize(
    ("index", "error", "message"),
    [
        (
            "first",
            TypeError,
            "refit must return an index into cv_results_, an integer; got 'first'",
        ),
        (4, IndexError, "refit must return an index into cv_results_, from 0 to 3; got 4"),
        (-1, IndexError, "refit must return an index into cv_results_, from 0 to 3; got -1"),
    ],
)
def test_a_callable_that_returns_no_index_is_named(clock, no_processes, index, error, message):
    search = chosen(lambda results: index, SETTINGS)
    with pytest.raises(error, match=message):
        search.fit(X, y)
    assert len(search.pareto_front_) == 3


def test_what_refit_limits_is_an_objective(clock, no_processes):
    search = chosen({"latency_us": 300, "score": "max"}, SETTINGS).fit(X, y)
    assert search.objectives_ == ("score", "fit_time", "latency_us")


def test_no_refit(clock, no_processes):
    search = chosen(False, SETTINGS).fit(X, y)
    assert len(search.pareto_front_) == 3
    assert not hasattr(search, "best_estimator_") and not hasattr(search, "predict")


def test_a_limit_that_nothing_meets_names_the_nearest(clock, no_processes):
    search = chosen({"fit_time": 0.25, "score": "max"}, SETTINGS)
    with pytest.raises(
        ValueError,
        match=r"refit asks for fit_time <= 0.25, and no candidate is within it. The nearest,"
        r" candidate \d, reaches fit_time = 1, score = 0.6. Loosen the limit",
    ):
        search.fit(X, y)
    assert len(search.pareto_front_) == 3
    assert len(search.cv_results_["params"]) == 4


@pytest.mark.parametrize(
    ("params", "message"),
    [
        ({"refit": "speed"}, "refit must be 'knee', one of"),
        ({"refit": True}, "refit must be 'knee', one of"),
        ({"refit": {}}, "refit must be 'knee', one of"),
        ({"refit": {"speed": 3, "score": "max"}}, "refit names 'speed', which is not measured"),
        ({"refit": {"latency_us": 3}}, "refit needs limits and one quantity to optimise"),
        ({"refit": {"fit_time": "max"}}, "refit needs limits and one quantity to optimise"),
        (
            {"refit": {"fit_time": "min", "score": "max"}},
            "refit needs limits and one quantity to optimise",
        ),
        (
            {"refit": {"fit_time": np.nan, "score": "max"}},
            r"refit\['fit_time'\] must be a finite number",
        ),
        ({"objectives": ()}, "objectives must name at least one quantity"),
        (
            {"objectives": ("score", "score")},
            "objectives must name at least one quantity, and each once",
        ),
        ({"objectives": ("score", "beauty")}, "objectives must be among .*got 'beauty'"),
        ({"objectives": ("score", "peak_bytes")}, "known of the front only; limit it by refit"),
        (
            {"param_distributions": {"skill": []}},
            r"param_distributions\['skill'\] must be a non-empty list",
        ),
        (
            {"param_distributions": {"skill": "high"}},
            r"param_distributions\['skill'\] must be a non-empty list",
        ),
        ({"param_distributions": []}, "param_distributions must be a dict or a list of dicts"),
        (
            {"param_distributions": {"talent": [1]}},
            "Invalid parameter 'talent' for estimator Timed",
        ),
        (
            {"param_distributions": None},
            "param_distributions=None needs an estimator that is or holds a network",
        ),
        ({"max_time": 0}, "'max_time' parameter"),
        ({"n_trials": 0}, "'n_trials' parameter"),
        ({"scoring": "beauty"}, "'scoring' parameter"),
    ],
    ids=lambda value: str(value) if isinstance(value, dict) else "",
)
def test_bad_parameters_are_named_before_anything_is_trained(params, message, monkeypatch):
    monkeypatch.setattr(Timed, "fit", lambda *args: pytest.fail("trained"))
    search = TradeoffSearchCV(Timed(), {"skill": [0.5]}).set_params(**params)
    with pytest.raises(ValueError, match=message):
        search.fit(X, y)


def test_what_would_be_chosen_is_measured_first(clock, monkeypatch):
    tried = []

    def isolate(self, estimator, timeout=None):
        tried.append(estimator.skill)
        return Isolated([estimator.seconds], [estimator.seconds], [1.0], [1.0], 0.0, [1.0], "")

    monkeypatch.setattr(FreshProcesses, "measure", isolate)
    chosen({"fit_time": 2.5, "score": "max"}, SETTINGS).fit(X, y)
    assert tried == [0.8, 0.9, 0.6]
    tried.clear()
    with pytest.raises(ValueError, match="no candidate is within it"):
        chosen({"fit_time": 0.25, "score": "max"}, SETTINGS).fit(X, y)
    assert tried == [0.9, 0.8, 0.6]
