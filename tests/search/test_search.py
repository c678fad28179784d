"""Does the explorer find the true front, and return what it found as scikit-learn's searches do?"""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from scipy import stats
from sklearn.base import clone
from sklearn.datasets import load_iris
from sklearn.dummy import DummyClassifier
from sklearn.exceptions import NotFittedError
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import StratifiedKFold, cross_val_score
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.tree import DecisionTreeClassifier
from support.timed import Timed

from fastnn import MLPClassifier, TradeoffSearchCV
from fastnn.search.front import pareto_front
from fastnn.search.measure import Isolated, pickler
from fastnn.search.process import FreshProcesses
from fastnn.search.quantities import QUANTITIES

optuna = pytest.importorskip("optuna")

X, y = load_iris(return_X_y=True)
X = StandardScaler().fit_transform(X)


def brute_force(points):
    """The front of rows of costs, by comparing each row with each other."""
    return {
        i
        for i, p in enumerate(points)
        if not any(all(a <= b for a, b in zip(q, p, strict=True)) and q != p for q in points)
    }


def found(search, *columns):
    return [
        tuple(row)
        for row in np.column_stack([search.cv_results_[name] for name in columns]).tolist()
    ]


# ---- the front


@pytest.mark.filterwarnings("ignore:lbfgs failed to converge")
def test_a_finite_space_is_enumerated_and_its_front_is_the_true_one():
    sizes, alphas = [(), (2,), (8,), (5, 4)], [1e-4, 30.0]
    network = MLPClassifier(max_iter=25, solver="lbfgs", random_state=0)
    space = {"hidden_layer_sizes": sizes, "alpha": alphas}
    objectives = ("score", "flops", "model_bytes")
    search = TradeoffSearchCV(network, space, objectives=objectives, n_jobs=2, cv=3, random_state=0)
    search.fit(X, y)

    assert sorted(map(str, search.cv_results_["params"])) == sorted(
        str({"hidden_layer_sizes": size, "alpha": alpha})
        for size, alpha in itertools.product(sizes, alphas)
    )
    points = []
    for params in search.cv_results_["params"]:
        estimator = clone(network).set_params(**params)
        units = [4, *params["hidden_layer_sizes"], 3]
        estimator.set_params(n_threads=1)
        folds = search_folds(y, 3)
        fits = [clone(estimator).fit(X[train], y[train]) for train, _ in folds]
        scores = [fit.score(X[test], y[test]) for fit, (_, test) in zip(fits, folds, strict=True)]
        points.append(
            (
                -float(np.mean(scores)),
                float(sum(2 * a * b for a, b in itertools.pairwise(units))),
                float(np.median([len(pickler.dumps(fit)) for fit in fits])),
            )
        )
    reported = [(-s, f, b) for s, f, b in found(search, "mean_test_score", "flops", "model_bytes")]
    np.testing.assert_allclose(reported, points, rtol=1e-12)
    assert set(search.pareto_front_) == brute_force(points)
    assert list(search.cv_results_["flops"][search.pareto_front_]) == sorted(
        search.cv_results_["flops"][search.pareto_front_]
    )


def test_the_front_is_that_of_brute_force_with_equals_and_unknowns():
    rng = np.random.RandomState(0)
    for n in (0, 1, 7, 60):
        values = {q: rng.randint(0, 6, n).astype(float) for q in ("score", "fit_time", "flops")}
        values["flops"][rng.rand(n) < 0.1] = np.nan
        points = [(-s, t, f) for s, t, f in zip(*values.values(), strict=True)]
        known = [i for i in range(n) if not np.isnan(points[i]).any()]
        front = pareto_front(values)
        assert sorted(front) == sorted(known[i] for i in brute_force([points[i] for i in known]))
        assert list(values["fit_time"][front]) == sorted(values["fit_time"][front])


def search_folds(y, k):
    return list(StratifiedKFold(k).split(np.zeros((len(y), 1)), y))


def test_the_front_of_times_is_the_true_one(clock):
    rng = np.random.RandomState(0)
    settings = [
        (float(skill), 2.0**seconds, 2.0**latency)
        for skill, seconds, latency in zip(
            rng.permutation(9) / 16, rng.randint(-4, 5, 9), rng.randint(-14, -4, 9), strict=True
        )
    ]
    parts = [{"skill": [a], "seconds": [b], "latency": [c]} for a, b, c in settings]
    search = TradeoffSearchCV(
        Timed(), parts, objectives=("score", "fit_time", "latency_us"), cv=2, random_state=0
    ).fit(X, y)
    points = [(-s, t, u) for s, t, u in found(search, "mean_test_score", "fit_time", "latency_us")]
    expected = [
        (-p["skill"], p["seconds"], 1e6 * p["latency"]) for p in search.cv_results_["params"]
    ]
    assert points == expected
    assert sorted((-a, b, c / 1e6) for a, b, c in points) == sorted(settings)
    assert set(search.pareto_front_) == brute_force(points)
    assert set(search.cv_results_["measured"][search.pareto_front_]) == {"isolated"}
    assert set(np.delete(search.cv_results_["measured"], search.pareto_front_)) == {"in search"}


def test_the_front_is_recomputed_from_isolated_measurements(clock, monkeypatch):
    """A candidate that is slow in isolation leaves the front; those it hid are measured as well."""
    isolated_seconds = {0.9: 8.0, 0.8: 2.0, 0.7: 1.0}
    tried = []

    def isolate(self, estimator, timeout=None):
        tried.append(estimator.skill)
        seconds = isolated_seconds[estimator.skill]
        return Isolated([seconds], [seconds], [1.0], [1.0], 0.0, [1.0], "")

    monkeypatch.setattr(FreshProcesses, "measure", isolate)
    parts = [{"skill": [a], "seconds": [b]} for a, b in ((0.9, 0.5), (0.8, 0.75), (0.7, 1.0))]
    search = TradeoffSearchCV(Timed(), parts, cv=2, random_state=0).fit(X, y)
    assert tried == [0.9, 0.8, 0.7]
    front = search.cv_results_["mean_test_score"][search.pareto_front_]
    np.testing.assert_allclose(front, [0.7, 0.8, 0.9])


def test_the_first_isolated_candidate_does_not_hide_the_others(clock, monkeypatch):
    """Isolated, all take half the time: the front stays, and the others' times are halved, too."""

    def isolate(self, estimator, timeout=None):
        seconds = estimator.seconds / 2
        return Isolated([seconds], [seconds], [1.0], [1.0], 0.0, [1.0], "")

    monkeypatch.setattr(FreshProcesses, "measure", isolate)
    parts = [
        {"skill": [a], "seconds": [b]}
        for a, b in ((0.6, 1.0), (0.7, 1.125), (0.8, 1.25), (0.9, 1.375), (0.5, 1.5))
    ]
    results = TradeoffSearchCV(Timed(), parts, cv=2, random_state=0).fit(X, y).cv_results_
    assert sorted(results["mean_test_score"][results["on_front"]]) == pytest.approx(
        [0.6, 0.7, 0.8, 0.9]
    )
    np.testing.assert_array_equal(
        results["measured"], np.where(results["on_front"], "isolated", "in search")
    )
    np.testing.assert_allclose(
        results["fit_time"], [params["seconds"] / 2 for params in results["params"]]
    )


def test_a_candidate_that_fails_in_isolation_stays_as_it_was(clock, monkeypatch):
    def isolate(self, estimator, timeout=None):
        if estimator.skill == 0.9:
            raise RuntimeError("it died")
        return Isolated([1.0], [1.0], [1.0], [1.0], 0.0, [1.0], "")

    monkeypatch.setattr(FreshProcesses, "measure", isolate)
    search = TradeoffSearchCV(Timed(), [{"skill": [0.5], "seconds": [0.5]}, {"skill": [0.9]}], cv=2)
    with pytest.warns(
        UserWarning, match="stays as it was measured in the search; isolated, it died"
    ):
        search.fit(X, y)
    assert search.best_params_ == {"skill": 0.9}
    assert sorted(search.cv_results_["measured"]) == ["in search", "isolated"]


def test_kinds_of_estimators_lie_on_one_front():
    model = Pipeline([("scale", StandardScaler()), ("model", DummyClassifier())])
    parts = [
        {"model": [DummyClassifier()]},
        {"model": [LogisticRegression()], "model__C": [0.1, 1.0]},
        {"model": [DecisionTreeClassifier(random_state=0)], "model__max_depth": [1, 3]},
        {
            "model": [MLPClassifier(solver="lbfgs", random_state=0, max_iter=500)],
            "model__hidden_layer_sizes": [(), (4,)],
        },
    ]
    search = TradeoffSearchCV(
        model, parts, objectives=("score", "model_bytes"), cv=3, random_state=0
    ).fit(X, y)
    assert len(search.cv_results_["params"]) == 7
    assert not any(search.cv_results_["failure"])
    points = [(-s, b) for s, b in found(search, "mean_test_score", "model_bytes")]
    assert set(search.pareto_front_) == brute_force(points)
    kinds = {type(params["model"]).__name__ for params in search.cv_results_["params"]}
    assert kinds == {
        "DummyClassifier",
        "LogisticRegression",
        "DecisionTreeClassifier",
        "MLPClassifier",
    }
    assert search.cv_results_["param_model__C"].count() == 2
    for part in parts:  # the estimators in the space are cloned, never fitted
        with pytest.raises(NotFittedError):
            part["model"][0].predict(X)


@pytest.mark.parametrize(
    ("quantity", "why"),
    [
        ("flops", "the model holds no network"),
        ("flash_bytes", "the model cannot be exported to C"),
    ],
)
def test_a_quantity_that_a_candidate_lacks_is_its_failure(quantity, why):
    model = Pipeline([("model", DecisionTreeClassifier())])
    parts = [
        {"model": [DecisionTreeClassifier()]},
        {"model": [MLPClassifier(solver="lbfgs", hidden_layer_sizes=())]},
    ]
    search = TradeoffSearchCV(model, parts, objectives=("score", quantity), cv=3).fit(X, y)
    reason = f"{quantity} is an objective, but it is unknown: {why}"
    assert sorted(search.cv_results_["failure"]) == ["", reason]


# ---- what a search returns


@pytest.fixture(scope="module")
def searched():
    space = {"C": stats.loguniform(1e-3, 10), "fit_intercept": [True, False]}
    return TradeoffSearchCV(
        LogisticRegression(),
        space,
        objectives=("score", "model_bytes"),
        cv=3,
        n_trials=8,
        random_state=0,
    ).fit(X, y)


def test_results_go_straight_into_a_frame(searched):
    pandas = pytest.importorskip("pandas")
    frame = pandas.DataFrame(searched.cv_results_)
    assert len(frame) == 8
    sklearns = {
        "params",
        "param_C",
        "param_fit_intercept",
        "mean_fit_time",
        "std_fit_time",
        "mean_score_time",
        "std_score_time",
    }
    scores = {
        "split0_test_score",
        "split2_test_score",
        "mean_test_score",
        "std_test_score",
        "rank_test_score",
    }
    ours = {*QUANTITIES, "measured", "energy_source", "failure", "on_front"} - {"score"}
    repeats = {
        f"{how}_{q}" for how in ("iqr", "repeats") for q in QUANTITIES if QUANTITIES[q].timed
    }
    assert sklearns | scores | ours | repeats <= set(frame)
    splits = frame[[f"split{i}_test_score" for i in range(3)]]
    np.testing.assert_allclose(frame.mean_test_score, splits.mean(axis=1))
    assert list(np.flatnonzero(frame.on_front)) == sorted(searched.pareto_front_)
    best = frame.iloc[searched.best_index_]
    assert best.params == searched.best_params_ and best.mean_test_score == searched.best_score_
    assert frame.rank_test_score.min() == 1
    assert searched.measurements_.keys() == {*QUANTITIES, "machine"}


def test_the_scores_are_those_of_cross_validation(searched):
    for params, score in zip(
        searched.cv_results_["params"], searched.cv_results_["mean_test_score"], strict=True
    ):
        assert cross_val_score(LogisticRegression(**params), X, y, cv=3).mean() == pytest.approx(
            score, abs=1e-12
        )


def test_the_chosen_model_is_handed_over(searched):
    expected = LogisticRegression(**searched.best_params_).fit(X, y)
    np.testing.assert_array_equal(searched.predict(X), expected.predict(X))
    np.testing.assert_array_equal(searched.predict_proba(X), expected.predict_proba(X))
    assert searched.score(X, y) == expected.score(X, y)
    assert list(searched.classes_) == [0, 1, 2]
    assert not hasattr(searched, "transform")


def test_the_same_random_state_searches_the_same(searched):
    again = clone(searched).fit(X, y)
    assert again.cv_results_["params"] == searched.cv_results_["params"]
    np.testing.assert_array_equal(
        again.cv_results_["mean_test_score"], searched.cv_results_["mean_test_score"]
    )


def test_fifty_trials_unless_told_otherwise(clock):
    search = TradeoffSearchCV(
        Timed(), {"skill": stats.uniform(0, 1)}, objectives=("score", "model_bytes"), cv=2
    ).fit(X, y)
    assert len(search.cv_results_["params"]) == 50


def test_optunas_distributions(clock):
    space = {
        "skill": optuna.distributions.FloatDistribution(0.25, 0.75, step=0.25),
        "n_bytes": optuna.distributions.IntDistribution(1, 3),
        "seconds": optuna.distributions.CategoricalDistribution([1.0, 2.0]),
    }
    search = TradeoffSearchCV(
        Timed(), space, objectives=("score", "model_bytes"), cv=2, random_state=0
    ).fit(X, y)
    combinations = {(p["skill"], p["n_bytes"], p["seconds"]) for p in search.cv_results_["params"]}
    assert combinations == set(itertools.product((0.25, 0.5, 0.75), (1, 2, 3), (1.0, 2.0)))
    assert len(search.cv_results_["params"]) == 18


def test_scipys_discrete_distributions_are_finite(clock):
    space = {"n_bytes": stats.randint(3, 9), "skill": [0.5]}
    search = TradeoffSearchCV(
        Timed(), space, objectives=("score", "model_bytes"), cv=2, random_state=0
    ).fit(X, y)
    assert sorted(p["n_bytes"] for p in search.cv_results_["params"]) == [3, 4, 5, 6, 7, 8]
