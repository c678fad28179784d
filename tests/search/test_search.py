"""Does the explorer find the true front, hand over the right model, and lose nothing when something goes wrong?"""

from __future__ import annotations

import _thread
import itertools
import os
import signal
import subprocess
import sys
import threading
import time

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
from support.timed import CLOCK, Timed

from fastnn import MLPClassifier, TradeoffSearchCV
from fastnn.search import measure
from fastnn.search import run as exploration
from fastnn.search.front import pareto_front
from fastnn.search.measure import QUANTITIES

optuna = pytest.importorskip("optuna")

X, y = load_iris(return_X_y=True)
X = StandardScaler().fit_transform(X)


@pytest.fixture
def clock(monkeypatch):
    monkeypatch.setattr(TradeoffSearchCV, "_clock", CLOCK)


@pytest.fixture
def no_processes(monkeypatch):
    """Measure the front in this process, where that is not what is tested."""
    monkeypatch.setattr(
        exploration.FreshProcesses,
        "measure",
        lambda self, estimator, timeout: measure.alone(estimator, self.table, self.clock),
    )


def brute_force(points):
    """The front of rows of costs, written out: what no other row is as good as everywhere and better than somewhere."""
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
    sizes, alphas = [(), (2,), (3,), (8,), (5, 4)], [1e-4, 1.0, 30.0]
    network = MLPClassifier(max_iter=60, solver="lbfgs", random_state=0)
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
        fits = [
            clone(estimator).set_params(n_threads=1).fit(X[train], y[train])
            for train, _ in search_folds(y, 3)
        ]
        points.append(
            (
                -cross_val_score(estimator, X, y, cv=3).mean(),
                float(sum(2 * a * b for a, b in itertools.pairwise(units))),
                float(np.median([len(measure.pickler.dumps(fit)) for fit in fits])),
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
    return StratifiedKFold(k).split(np.zeros((len(y), 1)), y)


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
    assert set(search.cv_results_["measured"][search.pareto_front_]) == {"alone"}
    assert set(np.delete(search.cv_results_["measured"], search.pareto_front_)) == {"beside others"}


def test_the_front_is_made_anew_from_what_candidates_show_alone(clock, monkeypatch):
    """What looked quick beside others and is slow alone leaves the front, and what it had hidden is measured and comes in."""
    seconds_alone = {0.9: 8.0, 0.8: 2.0, 0.7: 1.0}
    tried = []

    def measure_alone(self, estimator, timeout=None):
        tried.append(estimator.skill)
        seconds = seconds_alone[estimator.skill]
        return measure.Alone([seconds], [seconds], [1.0], [1.0], 0.0, [1.0], "")

    monkeypatch.setattr(exploration.FreshProcesses, "measure", measure_alone)
    parts = [{"skill": [a], "seconds": [b]} for a, b in ((0.9, 0.5), (0.8, 0.75), (0.7, 1.0))]
    search = TradeoffSearchCV(Timed(), parts, cv=2, random_state=0).fit(X, y)
    assert tried == [0.9, 0.8, 0.7]
    front = search.cv_results_["mean_test_score"][search.pareto_front_]
    np.testing.assert_allclose(front, [0.7, 0.8, 0.9])


def test_the_first_measured_alone_does_not_hide_those_that_are_not(clock, monkeypatch):
    """Alone, everything takes half the time; the front stays, and who is not on it is said to take half the time too."""

    def measure_alone(self, estimator, timeout=None):
        seconds = estimator.seconds / 2
        return measure.Alone([seconds], [seconds], [1.0], [1.0], 0.0, [1.0], "")

    monkeypatch.setattr(exploration.FreshProcesses, "measure", measure_alone)
    parts = [
        {"skill": [a], "seconds": [b]}
        for a, b in ((0.6, 1.0), (0.7, 1.125), (0.8, 1.25), (0.9, 1.375), (0.5, 1.5))
    ]
    results = TradeoffSearchCV(Timed(), parts, cv=2, random_state=0).fit(X, y).cv_results_
    assert sorted(results["mean_test_score"][results["on_front"]]) == pytest.approx(
        [0.6, 0.7, 0.8, 0.9]
    )
    np.testing.assert_array_equal(
        results["measured"], np.where(results["on_front"], "alone", "beside others")
    )
    np.testing.assert_allclose(
        results["fit_time"], [params["seconds"] / 2 for params in results["params"]]
    )


def test_what_is_handed_over_is_measured_first(clock, monkeypatch):
    tried = []

    def measure_alone(self, estimator, timeout=None):
        tried.append(estimator.skill)
        return measure.Alone([estimator.seconds], [estimator.seconds], [1.0], [1.0], 0.0, [1.0], "")

    monkeypatch.setattr(exploration.FreshProcesses, "measure", measure_alone)
    chosen({"fit_time": 2.5, "score": "max"}, SETTINGS).fit(X, y)
    assert tried == [0.8, 0.9, 0.6]
    tried.clear()
    with pytest.raises(ValueError, match="no candidate keeps within it"):
        chosen({"fit_time": 0.25, "score": "max"}, SETTINGS).fit(X, y)
    assert tried == [0.9, 0.8, 0.6]


def test_a_candidate_that_fails_alone_stays_as_it_was(clock, monkeypatch):
    def measure_alone(self, estimator, timeout=None):
        if estimator.skill == 0.9:
            raise RuntimeError("it died")
        return measure.Alone([1.0], [1.0], [1.0], [1.0], 0.0, [1.0], "")

    monkeypatch.setattr(exploration.FreshProcesses, "measure", measure_alone)
    search = TradeoffSearchCV(Timed(), [{"skill": [0.5], "seconds": [0.5]}, {"skill": [0.9]}], cv=2)
    with pytest.warns(UserWarning, match="stays as it was measured beside others; alone it died"):
        search.fit(X, y)
    assert search.best_params_ == {"skill": 0.9}
    assert sorted(search.cv_results_["measured"]) == ["alone", "beside others"]


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


def test_a_quantity_that_a_candidate_lacks_is_its_failure():
    model = Pipeline([("model", LogisticRegression())])
    parts = [
        {"model": [LogisticRegression()]},
        {"model": [MLPClassifier(solver="lbfgs", hidden_layer_sizes=())]},
    ]
    search = TradeoffSearchCV(model, parts, objectives=("score", "flops"), cv=3).fit(X, y)
    reason = "flops is an objective, but cannot be told: the model holds no network"
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


# ---- choosing


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
        match=r"refit asks for fit_time <= 0.25, and no candidate keeps within it. The nearest, candidate"
        r" \d, reaches fit_time = 1, score = 0.6. Loosen the limit",
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
        ({"refit": {"speed": 3, "score": "max"}}, "refit speaks of 'speed', which is not measured"),
        ({"refit": {"latency_us": 3}}, "refit needs one quantity to optimise"),
        ({"refit": {"fit_time": "max"}}, "refit needs one quantity to optimise"),
        ({"refit": {"fit_time": "min", "score": "max"}}, "refit needs one quantity to optimise"),
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


# ---- when something goes wrong


def test_candidates_that_fail_are_recorded_and_the_search_goes_on(clock, no_processes):
    parts = [{"skill": [0.1 * i], "fails": ["", "out of luck"]} for i in range(1, 5)] + [
        {"skill": [np.nan]}
    ]
    search = TradeoffSearchCV(Timed(), parts, cv=2, random_state=0).fit(X, y)
    failures = search.cv_results_["failure"]
    assert sorted(failures) == [""] * 4 + ["RuntimeError: out of luck"] * 4 + [
        "ValueError: the score must be a finite number, got nan"
    ]
    failed = failures != ""
    assert np.isnan(search.cv_results_["mean_test_score"][failed]).all()
    assert not search.cv_results_["on_front"][failed].any()
    assert (search.cv_results_["rank_test_score"][failed] == 5).all()


@pytest.mark.filterwarnings(
    "ignore:overflow", "ignore:invalid value", "ignore:.*Maximum iterations"
)
def test_divergence_is_a_failure_of_the_candidate():
    network = MLPClassifier((8,), solver="sgd", random_state=0, max_iter=5)
    space = {"learning_rate_init": [1e-2, 1e300]}
    search = TradeoffSearchCV(network, space, objectives=("score", "flops"), cv=3)
    search.fit(X, y)
    (failure,) = [reason for reason in search.cv_results_["failure"] if reason]
    assert failure.startswith("ValueError: Solver produced non-finite parameter weights.")
    assert search.best_params_ == {"learning_rate_init": 1e-2}


def test_all_candidates_failing_is_an_error_with_the_reasons():
    parts = [{"fails": ["a", "b"]}]
    with pytest.raises(
        ValueError,
        match=r"All of the 2 candidates tried failed.\n1 of them: RuntimeError: [ab]\n1 of them: ",
    ):
        TradeoffSearchCV(Timed(), parts, cv=2).fit(X, y)


def test_a_search_without_hope_ends_early():
    space = {"skill": stats.uniform(0, 1), "fails": ["always"]}
    with pytest.raises(
        ValueError, match=r"All of the 5 candidates tried failed.\n5 of them: RuntimeError: always"
    ):
        TradeoffSearchCV(Timed(), space, cv=2).fit(X, y)


class Interrupting(Timed):
    """Presses Ctrl-C while the candidate of skill 0.5 is fitted."""

    def fit(self, X, y):
        if self.skill == 0.5:
            _thread.interrupt_main()
            time.sleep(0.2)
        return super().fit(X, y)


def test_ctrl_c_ends_with_what_has_been_found(clock, no_processes):
    parts = [{"skill": [skill]} for skill in (0.9, 0.6, 0.5, 0.2, 0.1, 0.3)]
    search = TradeoffSearchCV(Interrupting(), parts, cv=2, random_state=3)
    with pytest.warns(
        UserWarning,
        match=r"Search interrupted by user; it ends with the \d candidates found so far.",
    ):
        search.fit(X, y)
    n_found = len(search.cv_results_["params"])
    assert 0 < n_found < 6
    assert 0.5 not in [params["skill"] for params in search.cv_results_["params"]]
    assert search.best_score_ == max(search.cv_results_["mean_test_score"])
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("fastnn-fold")]


def test_ctrl_c_before_anything_is_found_is_passed_on():
    with pytest.raises(KeyboardInterrupt):
        TradeoffSearchCV(Interrupting(), {"skill": [0.5]}, cv=2).fit(X, y)


SCRIPT = """
import numpy as np
from support.timed import Sleepy
from fastnn import TradeoffSearchCV
X, y = np.zeros((20, 1)), np.arange(20) % 2
space = {"skill": [i / 16 for i in range(12)], "seconds": [0.05]}
search = TradeoffSearchCV(Sleepy(), space, objectives=("score", "model_bytes"), cv=2, random_state=0, storage=STORAGE)
search.fit(X, y)
print(sorted(search.cv_results_["mean_test_score"].tolist()))
print(search.cv_results_["mean_test_score"][search.pareto_front_].tolist())
"""


@pytest.mark.skipif(sys.platform == "win32", reason="there is no SIGKILL")
@pytest.mark.parametrize("kind", ["file", "database"])
def test_a_killed_search_goes_on_where_it_was(tmp_path, kind):
    storage = tmp_path / "search.log"
    if kind == "database":
        storage = f"sqlite:///{tmp_path / 'search.db'}"
    fits = tmp_path / "fits"
    environment = {
        **os.environ,
        "FASTNN_TEST_FITS": str(fits),
        "PYTHONPATH": os.pathsep.join(path for path in sys.path if path),
    }
    command = [sys.executable, "-c", f"STORAGE = {os.fspath(storage)!r}\n{SCRIPT}"]
    process = subprocess.Popen(
        command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    deadline = time.monotonic() + 120
    while not fits.exists() or len(fits.read_text().splitlines()) < 9:
        assert process.poll() is None, process.communicate()[1].decode()
        assert time.monotonic() < deadline
        time.sleep(0.01)
    process.send_signal(signal.SIGKILL)
    process.communicate()
    before = fits.read_text().splitlines()

    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    scores, front = done.stdout.splitlines()
    assert scores == str([i / 16 for i in range(12)])
    assert front == str([11 / 16])
    after = fits.read_text().splitlines()[len(before) :]
    # Two folds a candidate, one at a time: of those before, at most the last and the one then begun
    # were not recorded.
    finished = {skill for skill in before if before.count(skill) == 2} - {before[-1]}
    assert len(finished) >= 3
    assert not finished & set(after[:-1])  # the last is the chosen one's fit on all rows
    assert len(after) - 1 == 2 * (12 - len(finished)) or len(after) - 1 == 2 * (
        12 - len(finished) - 1
    )


def test_a_storage_keeps_searches_apart(clock, tmp_path):
    search = TradeoffSearchCV(
        Timed(),
        {"skill": [0.5, 0.25]},
        cv=2,
        storage=tmp_path / "log",
        objectives=("score", "model_bytes"),
    )
    search.fit(X, y)
    with pytest.warns(UserWarning, match="holds 1 other search"):
        clone(search).fit(X[:100], y[:100])
    again = clone(search).fit(X, y)
    assert len(again.study_.trials) == len(search.study_.trials)
    assert again.cv_results_["params"] == search.cv_results_["params"]


def test_candidates_measured_alone_are_not_measured_again(
    clock, no_processes, tmp_path, monkeypatch
):
    search = TradeoffSearchCV(Timed(), {"skill": [0.5]}, cv=2, storage=tmp_path / "log").fit(X, y)
    monkeypatch.setattr(
        exploration.FreshProcesses, "measure", lambda *args: pytest.fail("measured again")
    )
    again = clone(search).fit(X, y)
    np.testing.assert_array_equal(
        again.cv_results_["repeats_fit_time"][0], search.cv_results_["repeats_fit_time"][0]
    )


def test_a_storage_that_cannot_be_written_is_an_error_before_the_search(tmp_path, monkeypatch):
    monkeypatch.setattr(Timed, "fit", lambda *args: pytest.fail("trained"))
    with pytest.raises(OSError, match="nowhere"):
        TradeoffSearchCV(Timed(), {"skill": [0.5]}, storage=tmp_path / "nowhere" / "log").fit(X, y)


def test_without_optuna_the_extra_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "optuna", None)
    with pytest.raises(ImportError, match=r'needs optuna.*pip install .*\[search\]"'):
        TradeoffSearchCV(Timed(), {"skill": [0.5]}).fit(X, y)
