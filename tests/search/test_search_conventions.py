"""Does the explorer keep scikit-learn's conventions, and its default space what a user set?"""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats
from sklearn import config_context, neural_network
from sklearn.base import clone
from sklearn.datasets import load_iris
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.metrics import accuracy_score, make_scorer
from sklearn.model_selection import GroupKFold, StratifiedKFold
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils.estimator_checks import parametrize_with_checks
from support.timed import CLOCK, Timed

from fastnn import MLPClassifier, TradeoffSearchCV
from fastnn.search.default_space import default_space
from fastnn.search.space import Space

pytest.importorskip("optuna")

X, y = load_iris(return_X_y=True)
X = StandardScaler().fit_transform(X)


@pytest.mark.filterwarnings(
    "ignore:invalid value encountered in cast"
)  # scikit-learn's, of a y with infinities
@parametrize_with_checks(
    [
        TradeoffSearchCV(
            LogisticRegression(),
            {"C": [0.1, 1.0]},
            objectives=("score", "model_bytes"),
            cv=2,
            random_state=0,
        ),
        TradeoffSearchCV(
            Ridge(), {"alpha": [0.1, 1.0]}, objectives=("score", "model_bytes"), cv=2, refit="score"
        ),
        TradeoffSearchCV(
            make_pipeline(StandardScaler(), MLPClassifier((), solver="lbfgs", random_state=0)),
            {"mlpclassifier__alpha": [0.1, 1.0]},
            objectives=("score", "flops"),
            cv=2,
        ),
    ]
)
def test_estimator_checks(estimator, check):
    check(estimator)


def test_sample_weights_reach_fit_and_score():
    weight = np.where(y == 2, 0.0, 1.0)
    space = {"C": [0.1, 10.0]}
    search = TradeoffSearchCV(
        LogisticRegression(), space, objectives=("score", "model_bytes"), cv=3, scoring="accuracy"
    )
    search.fit(X, y, sample_weight=weight)
    expected = []
    for train, test in StratifiedKFold(3).split(X, y):
        model = LogisticRegression(**search.best_params_).fit(
            X[train], y[train], sample_weight=weight[train]
        )
        expected.append(accuracy_score(y[test], model.predict(X[test]), sample_weight=weight[test]))
    assert search.best_score_ == pytest.approx(np.mean(expected), abs=1e-12)


def test_metadata_is_routed():
    groups = np.arange(150) % 5
    weight = np.where(y == 2, 0.0, 1.0)
    with config_context(enable_metadata_routing=True):
        model = LogisticRegression().set_fit_request(sample_weight=True)
        scoring = make_scorer(accuracy_score).set_score_request(sample_weight=True)
        search = TradeoffSearchCV(
            Pipeline([("model", model)]),
            {"model__C": [1.0]},
            objectives=("score", "model_bytes"),
            cv=GroupKFold(5),
            scoring=scoring,
        ).fit(X, y, groups=groups, sample_weight=weight)
    scores = []
    for train, test in GroupKFold(5).split(X, y, groups):
        fitted = LogisticRegression().fit(X[train], y[train], sample_weight=weight[train])
        scores.append(accuracy_score(y[test], fitted.predict(X[test]), sample_weight=weight[test]))
    assert search.best_score_ == pytest.approx(np.mean(scores), abs=1e-12)


class Counting:
    """A callback of scikit-learn 1.9 that notes the tasks it hears of, and may stop the search."""

    def __init__(self, stop_after=None):
        self.begun, self.ended, self.torn_down, self.stop_after = [], [], 0, stop_after

    def setup(self, estimator, context):
        pass

    def on_fit_task_begin(self, estimator, context):
        self.begun.append(context.task_name)

    def on_fit_task_end(self, estimator, context):
        self.ended.append(context.task_name)
        return self.ended.count("candidate") == self.stop_after

    def teardown(self, estimator, context):
        self.torn_down += 1


@pytest.mark.skipif(
    not hasattr(TradeoffSearchCV, "set_callbacks"), reason="scikit-learn has callbacks from 1.9 on"
)
def test_callbacks_follow_the_search_and_can_stop_it(monkeypatch):
    monkeypatch.setattr(TradeoffSearchCV, "_clock", CLOCK)
    space = {"skill": [i / 8 for i in range(6)]}
    search = TradeoffSearchCV(
        Timed(), space, objectives=("score", "model_bytes"), cv=2, random_state=0
    )
    counting = Counting()
    search.set_callbacks(counting).fit(X, y)
    assert sorted(counting.begun) == sorted(counting.ended)
    assert counting.begun.count("candidate") == 6 and counting.begun.count("fold") == 12
    assert {"fit", "search", "measure-front", "refit-with-best-params"} <= set(counting.begun)
    assert counting.torn_down == 1

    search.set_callbacks(Counting(stop_after=2)).fit(X, y)
    assert len(search.cv_results_["params"]) == 2

    counting = Counting()
    search.set_params(param_distributions={"skill": stats.uniform()}, max_time=9.5).set_callbacks(
        counting
    ).fit(X, y)
    assert sorted(counting.begun) == sorted(counting.ended)  # a candidate that the time ends too
    assert counting.begun.count("candidate") == len(search.cv_results_["params"]) + 1


VARIED = {
    "hidden_layer_sizes",
    "activation",
    "learning_rate_init",
    "batch_size",
    "alpha",
    "max_iter",
    "dtype",
}


def test_the_default_space_varies_the_network_wherever_it_stands():
    for estimator, path in (
        (MLPClassifier(), ""),
        (make_pipeline(StandardScaler(), MLPClassifier()), "mlpclassifier__"),
    ):
        space = default_space(estimator, 100)
        assert set(space) == {path + name for name in VARIED}
        for seed in range(5):
            example = {
                name: values[0] if isinstance(values, list) else values.rvs(random_state=seed)
                for name, values in space.items()
            }
            clone(estimator).set_params(**example)
        assert max(space[f"{path}batch_size"]) <= 50
        assert Space(space).size == np.inf


def test_the_default_space_leaves_what_was_set():
    network = MLPClassifier((20, 10), max_iter=30, alpha=0.0001, dtype="float32")
    assert set(default_space(network, 100)) == VARIED - {"hidden_layer_sizes", "max_iter", "dtype"}
    assert set(default_space(neural_network.MLPClassifier(), 100)) == VARIED - {"dtype"}
    network.set_params(activation="tanh", learning_rate_init=0.01, batch_size=64, alpha=1.0)
    with pytest.raises(ValueError, match="but the MLPClassifier sets each of them"):
        default_space(network, 100)


def test_bfloat16_is_varied_where_it_is_faster(monkeypatch):
    compiled = pytest.importorskip(
        "fastnn.backends.cython_backend",
        reason="the C extension was not built",
        exc_type=ImportError,
    )
    for is_faster, network, expected in (
        (True, MLPClassifier(), ["float32", "float64", "bfloat16"]),
        (True, MLPClassifier(backend="numba"), ["float32", "float64"]),
        (True, MLPClassifier(solver="lbfgs"), ["float32", "float64"]),
        (False, MLPClassifier(), ["float32", "float64"]),
    ):
        monkeypatch.setattr(type(compiled.BACKEND), "has_fast_bfloat16", is_faster)
        assert default_space(network, 100)["dtype"] == expected


def test_the_default_space_end_to_end():
    search = TradeoffSearchCV(
        MLPClassifier(max_iter=30, random_state=0),
        objectives=("score", "flops"),
        cv=3,
        n_trials=6,
        random_state=1,
    )
    with pytest.warns(ConvergenceWarning, match="Maximum iterations"):  # the user's own number
        search.fit(X, y)
    assert search.best_score_ > 0.5
    assert search.best_estimator_.coefs_[0].dtype == search.best_params_["dtype"]
    assert search.best_estimator_.max_iter == 30
    assert not any(search.cv_results_["failure"])
