"""Do the estimators work where scikit-learn's do? In searches, ensembles, pipelines and threads."""

from __future__ import annotations

import inspect
import os
import signal
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from types import SimpleNamespace
from typing import Any

import joblib
import numpy as np
import pandas as pd
import pytest
import sklearn
import sklearn.neural_network
from sklearn.calibration import CalibratedClassifierCV
from sklearn.compose import ColumnTransformer, TransformedTargetRegressor
from sklearn.datasets import load_iris, make_multilabel_classification
from sklearn.ensemble import (
    AdaBoostClassifier,
    BaggingClassifier,
    BaggingRegressor,
    StackingClassifier,
    VotingClassifier,
)
from sklearn.inspection import partial_dependence, permutation_importance
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import (
    GridSearchCV,
    RandomizedSearchCV,
    cross_val_predict,
    cross_val_score,
    cross_validate,
    learning_curve,
    validation_curve,
)
from sklearn.multiclass import OneVsRestClassifier
from sklearn.multioutput import ClassifierChain, MultiOutputClassifier, RegressorChain
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler
from sklearn.semi_supervised import SelfTrainingClassifier
from support.parity import difference, numbers, train

import fastnn
from fastnn import backends
from fastnn.backends.base import Plan
from fastnn.core.network import NetworkSpec
from fastnn.core.optimizers import SGD

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")

X, Y = load_iris(return_X_y=True)
PARAMS = {"hidden_layer_sizes": (8,), "max_iter": 30, "learning_rate_init": 0.02, "random_state": 0}


def both(kind: str, backend: str, **params: Any) -> list[Any]:
    """Our estimator and scikit-learn's, to be put to the same use."""
    return [
        getattr(fastnn, kind)(**PARAMS | params, backend=backend),
        getattr(sklearn.neural_network, kind)(**PARAMS | params),
    ]


def scaled(model: Any) -> Any:
    return make_pipeline(StandardScaler(), model)


# ---- meta-estimators: the same numbers as with scikit-learn's own


META = {
    "pipeline": scaled,
    "grid search": lambda model: GridSearchCV(
        model, {"alpha": [1e-4, 1.0], "hidden_layer_sizes": [(3,), (8,)]}, cv=3
    ),
    "grid search in a pipeline": lambda model: GridSearchCV(
        scaled(model), {f"{name_of(model)}__alpha": [1e-4, 10.0]}, cv=3
    ),
    "randomised search": lambda model: RandomizedSearchCV(
        model,
        {"activation": ["relu", "tanh"], "alpha": [0.1, 1.0, 3.0]},
        n_iter=3,
        cv=2,
        random_state=0,
    ),
    "calibration": lambda model: CalibratedClassifierCV(model, cv=3),
    "calibration, isotonic": lambda model: CalibratedClassifierCV(
        scaled(model), method="isotonic", cv=2, ensemble=False
    ),
    "bagging": lambda model: BaggingClassifier(model, n_estimators=3, random_state=0),
    "boosting": lambda model: AdaBoostClassifier(model, n_estimators=3, random_state=0),
    "voting": lambda model: VotingClassifier(
        [("a", model), ("b", LogisticRegression())], voting="soft"
    ),
    "stacking": lambda model: StackingClassifier([("a", model)], LogisticRegression(), cv=2),
    "one against the rest": lambda model: OneVsRestClassifier(model),
}


def name_of(model: Any) -> str:
    return type(model).__name__.lower()


@pytest.mark.parametrize("wrap", META.values(), ids=META)
def test_a_meta_estimator_gives_what_it_gives_with_scikit_learns(backend, wrap):
    ours, theirs = (wrap(model).fit(X, Y) for model in both("MLPClassifier", backend))
    np.testing.assert_allclose(ours.predict_proba(X), theirs.predict_proba(X), rtol=1e-6, atol=1e-9)
    if hasattr(ours, "best_params_"):
        assert {k.split("__")[-1]: v for k, v in ours.best_params_.items()} == {
            k.split("__")[-1]: v for k, v in theirs.best_params_.items()
        }
        np.testing.assert_array_equal(
            ours.cv_results_["mean_test_score"], theirs.cv_results_["mean_test_score"]
        )


def test_self_training(backend):
    y = np.where(np.arange(len(Y)) % 5 == 0, Y, -1)
    ours, theirs = (
        SelfTrainingClassifier(model, threshold=0.6).fit(X, y)
        for model in both("MLPClassifier", backend)
    )
    np.testing.assert_array_equal(ours.labeled_iter_, theirs.labeled_iter_)
    np.testing.assert_allclose(ours.predict_proba(X), theirs.predict_proba(X), rtol=1e-6)


MULTI = {
    "many outputs": lambda model: MultiOutputClassifier(model),
    "chain": lambda model: ClassifierChain(model, random_state=0),
}


@pytest.mark.parametrize("wrap", MULTI.values(), ids=MULTI)
def test_one_model_for_each_of_many_outputs(backend, wrap):
    X, Y = make_multilabel_classification(n_samples=80, n_classes=3, random_state=0)
    ours, theirs = (wrap(model).fit(X, Y) for model in both("MLPClassifier", backend))
    np.testing.assert_array_equal(ours.predict(X), theirs.predict(X))


REGRESSION = {
    "transformed target": lambda model: TransformedTargetRegressor(
        scaled(model), transformer=StandardScaler()
    ),
    "bagging": lambda model: BaggingRegressor(scaled(model), n_estimators=2, random_state=0),
    "chain": lambda model: RegressorChain(scaled(model), random_state=0),
}


@pytest.mark.parametrize("wrap", REGRESSION.values(), ids=REGRESSION)
def test_a_regressor_in_a_meta_estimator(backend, wrap):
    y = X[:, 2:4] if wrap is REGRESSION["chain"] else X[:, 3]
    ours, theirs = (wrap(model).fit(X[:, :2], y) for model in both("MLPRegressor", backend))
    np.testing.assert_allclose(ours.predict(X[:, :2]), theirs.predict(X[:, :2]), rtol=1e-6)


@pytest.mark.parametrize("n_jobs", [None, 2])
def test_cross_validation(backend, n_jobs):
    ours, theirs = both("MLPClassifier", backend)
    expected = cross_val_score(theirs, X, Y, cv=4)
    np.testing.assert_array_equal(cross_val_score(ours, X, Y, cv=4, n_jobs=n_jobs), expected)
    with joblib.parallel_config("threading"):
        result = cross_validate(ours, X, Y, cv=4, n_jobs=n_jobs, return_estimator=True)
    np.testing.assert_array_equal(result["test_score"], expected)
    for model in result["estimator"]:
        assert len(model.loss_curve_) == model.n_iter_ == 30


def test_curves_and_importances(backend):
    ours, theirs = both("MLPClassifier", backend)
    for show in (
        lambda model: learning_curve(
            model, X, Y, train_sizes=[0.3, 1.0], cv=2, shuffle=True, random_state=0
        )[2],
        lambda model: validation_curve(
            model, X, Y, param_name="alpha", param_range=[1e-3, 10], cv=2
        )[1],
        lambda model: cross_val_predict(model, X, Y, cv=3),
        lambda model: (
            permutation_importance(model.fit(X, Y), X, Y, n_repeats=2, random_state=0).importances
        ),
    ):
        np.testing.assert_array_equal(show(ours), show(theirs))
    ours, theirs = (
        partial_dependence(model.fit(X, Y), X, [0], grid_resolution=5)["average"]
        for model in (ours, theirs)
    )
    np.testing.assert_allclose(ours, theirs, rtol=1e-6)


def test_a_search_takes_our_own_parameters(backend):
    search = GridSearchCV(
        fastnn.MLPClassifier(**PARAMS), {"backend": [backend], "n_threads": [1, 2]}, cv=2
    ).fit(X, Y)
    first, second = search.cv_results_["mean_test_score"]
    assert first == second
    assert search.best_estimator_.backend == backend


def test_frames_through_a_pipeline(backend):
    frame = pd.DataFrame(X, columns=["sepal length", "sepal width", "petal length", "petal width"])
    frame["colour"] = np.where(X[:, 0] > 5, "blue", "white")
    models = []
    for model in both("MLPClassifier", backend):
        columns = ColumnTransformer(
            [("words", OneHotEncoder(sparse_output=False), ["colour"])], remainder=StandardScaler()
        )
        models.append(make_pipeline(columns, model).set_output(transform="pandas").fit(frame, Y))
    ours, theirs = models
    assert list(ours[-1].feature_names_in_) == list(theirs[-1].feature_names_in_)
    np.testing.assert_allclose(ours.predict_proba(frame), theirs.predict_proba(frame), rtol=1e-6)


def test_sparse_features_through_a_pipeline(backend):
    words = np.array(
        [["blue", "small"], ["red", "large"], ["blue", "large"], ["red", "small"]] * 20
    )
    ours, theirs = (
        make_pipeline(OneHotEncoder(), model).fit(words, words[:, 0] == "red")
        for model in both("MLPClassifier", backend)
    )
    np.testing.assert_allclose(ours.predict_proba(words), theirs.predict_proba(words), rtol=1e-6)


def test_sample_weights_are_routed(backend):
    weight = np.random.default_rng(0).uniform(0.1, 5, len(Y))
    with sklearn.config_context(enable_metadata_routing=True):
        results = []
        for model in both("MLPClassifier", backend):
            model.set_fit_request(sample_weight=True).set_score_request(sample_weight=True)
            model.set_partial_fit_request(sample_weight=True, classes=True)
            pipe = make_pipeline(StandardScaler().set_fit_request(sample_weight=False), model).fit(
                X, Y, sample_weight=weight
            )
            scores = cross_val_score(model, X, Y, cv=3, params={"sample_weight": weight})
            results.append((pipe.predict_proba(X), scores))
        (ours, our_scores), (theirs, their_scores) = results
    np.testing.assert_allclose(ours, theirs, rtol=1e-6)
    np.testing.assert_allclose(our_scores, their_scores, rtol=1e-12)
    unweighted = make_pipeline(StandardScaler(), both("MLPClassifier", backend)[0]).fit(X, Y)
    assert not np.allclose(unweighted.predict_proba(X), ours)


# ---- the same face


def arguments(function: Any) -> list[tuple[str, Any, Any]]:
    """Name, kind and default of each argument."""
    return [(p.name, p.kind, p.default) for p in inspect.signature(function).parameters.values()]


def assert_theirs_and_ours(ours: Any, theirs: Any) -> None:
    """scikit-learn's arguments stand in its order; ours are by keyword, with defaults."""
    found, expected = arguments(ours), arguments(theirs)
    assert [argument for argument in found if argument in expected] == expected
    for name, kind, default in [argument for argument in found if argument not in expected]:
        assert kind == inspect.Parameter.KEYWORD_ONLY, name
        assert default is not inspect.Parameter.empty, name


@pytest.mark.parametrize("name", ["MLPClassifier", "MLPRegressor"])
def test_parameters_are_scikit_learns_and_ours(name):
    ours, theirs = getattr(fastnn, name), getattr(sklearn.neural_network, name)
    assert_theirs_and_ours(ours, theirs)
    ours = {name: default for name, _, default in arguments(ours)}
    assert (ours["backend"], ours["n_threads"]) == ("auto", None)


@pytest.mark.parametrize("name", ["MLPClassifier", "MLPRegressor"])
def test_methods_have_scikit_learns_arguments_and_ours(name):
    ours, theirs = getattr(fastnn, name), getattr(sklearn.neural_network, name)
    methods = {name for name in dir(theirs) if not name.startswith("_")}
    assert {"fit", "predict", "partial_fit", "score", "get_params"} <= methods
    for method in methods:
        assert_theirs_and_ours(getattr(ours, method), getattr(theirs, method))


@pytest.mark.parametrize("solver", ["adam", "sgd", "lbfgs"])
@pytest.mark.parametrize("kind", ["MLPClassifier", "MLPRegressor"])
def test_fitted_attributes_are_scikit_learns_and_ours(kind, solver):
    ours, theirs = (
        {name for name in vars(model.fit(X, Y)) if name.endswith("_")}
        for model in both(kind, "auto", solver=solver)
    )
    assert ours >= theirs >= {"coefs_", "intercepts_", "loss_", "n_iter_", "t_"}


def test_nothing_of_scikit_learns_networks_is_imported():
    code = """
import sys, fastnn
fastnn.MLPClassifier
print(sorted(name for name in sys.modules if name.startswith("sklearn.neural")))
"""
    printed = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    ).stdout
    assert printed == "[]\n"


# ---- threads


def test_two_fits_in_two_threads_give_what_they_give_one_after_the_other(backend):
    def fit(seed: int, solver: str) -> Any:
        return fastnn.MLPClassifier(
            **PARAMS | {"random_state": seed, "solver": solver}, backend=backend
        ).fit(X, Y)

    jobs = [(0, "adam"), (1, "sgd"), (2, "adam"), (3, "lbfgs")]
    expected = [fit(*job) for job in jobs]
    found: list[Any] = [None] * len(jobs)
    start = threading.Barrier(len(jobs))

    def run(i: int) -> None:
        start.wait()
        found[i] = fit(*jobs[i])

    threads = [threading.Thread(target=run, args=(i,)) for i in range(len(jobs))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for model, reference in zip(found, expected, strict=True):
        assert difference(numbers(model, X), numbers(reference, X))[0] == 0


def test_two_threads_may_predict_with_one_model(backend):
    model = fastnn.MLPClassifier(**PARAMS, backend=backend).fit(X, Y)
    expected = model.predict_proba(X)
    with ThreadPoolExecutor(4) as pool:
        for probabilities in pool.map(lambda _: model.predict_proba(X), range(20)):
            np.testing.assert_array_equal(probabilities, expected)


@pytest.mark.parametrize("solver", ["adam", "lbfgs"])
def test_the_interpreter_is_free_while_a_pass_runs(compiled_backend, solver):
    """A second Python thread makes progress in the middle of one call into the backend.

    The interpreter is told never to take itself away from a running thread, so that only a backend
    that lets go of it by itself lets the other thread count.
    """
    rng = np.random.default_rng(0)
    X, y = rng.normal(size=(4_000, 60)), rng.normal(size=4_000)
    model = fastnn.MLPRegressor(
        "squared_error",
        (120, 120),
        solver=solver,
        max_iter=2,
        random_state=0,
        backend=compiled_backend,
        n_threads=1,
    )
    model.fit(X[:300], y[:300])  # whatever is compiled or imported at first use is so now
    inside, counted, done = threading.Event(), [0], threading.Event()

    def count() -> None:
        inside.wait()
        while not done.is_set():
            counted[0] += 1
            time.sleep(0)

    spec = NetworkSpec.dense([1, 1], "relu", "squared_error")
    one = backends.load(compiled_backend).engine(spec, X.dtype)
    engine = type(one if solver == "lbfgs" else one.trainer(Plan(SGD())))
    method = "gradient" if solver == "lbfgs" else "train"
    original = getattr(engine, method)
    progress = []

    def watched(self: Any, *arguments: Any) -> Any:
        inside.set()
        before = counted[0]
        result = original(self, *arguments)
        progress.append(counted[0] - before)
        return result

    watcher = threading.Thread(target=count)
    interval = sys.getswitchinterval()
    sys.setswitchinterval(1000)
    try:
        setattr(engine, method, watched)
        watcher.start()
        model.fit(X, y)
    finally:
        setattr(engine, method, original)
        sys.setswitchinterval(interval)
        inside.set()
        done.set()
        watcher.join()
    assert max(progress) > 10, progress  # where nobody lets go of it: 1 at most


# ---- Ctrl-C


def interrupt_after(n_lines: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Send this process Ctrl-C once ``n_lines`` lines of progress have been printed."""
    printed = []

    def write(line: str) -> int:
        if line.startswith("Iteration"):
            printed.append(line)
            if len(printed) == n_lines:
                signal.raise_signal(signal.SIGINT)
        return len(line)

    monkeypatch.setattr(sys, "stdout", SimpleNamespace(write=write, flush=lambda: None))


@pytest.mark.parametrize("solver", ["adam", "sgd"])
@pytest.mark.parametrize("early_stopping", [False, True], ids=["", "early stopping"])
def test_ctrl_c_keeps_the_partly_trained_model(backend, solver, early_stopping, monkeypatch):
    shown = []
    for model in both(
        "MLPClassifier",
        backend,
        solver=solver,
        early_stopping=early_stopping,
        max_iter=500,
        verbose=True,
    ):
        with monkeypatch.context() as patch:
            interrupt_after(4, patch)
            given = train(model, lambda model: model.fit(X, Y))
        assert [text.partition(": ")[2] for text in given] == ["Training interrupted by user."]
        shown.append(numbers(model, X))
    found, where = difference(*shown)
    assert found <= 1e-6, where


def test_ctrl_c_keeps_what_lbfgs_has_reached(backend, monkeypatch):
    model = fastnn.MLPClassifier(
        **PARAMS | {"solver": "lbfgs", "max_iter": 500, "alpha": 1.0}, verbose=True, backend=backend
    )
    with monkeypatch.context() as patch:
        interrupt_after(4, patch)
        given = train(model, lambda model: model.fit(X, Y))
    assert given == ["InterruptedWarning: Training interrupted by user."]
    expected = fastnn.MLPClassifier(
        **PARAMS | {"solver": "lbfgs", "max_iter": 4, "alpha": 1.0}, backend=backend
    )
    train(expected, lambda model: model.fit(X, Y))
    assert difference(numbers(model, X), numbers(expected, X))[0] < 1e-6


def test_ctrl_c_in_a_quiet_fit(backend):
    # Nobody watches, so many passes go into one call of the backend; the interrupt must be answered
    # all the same.
    model = fastnn.MLPRegressor(
        **PARAMS | {"max_iter": 10**9, "n_iter_no_change": np.inf}, backend=backend
    )
    initial = fastnn.MLPRegressor(
        **PARAMS | {"max_iter": 1, "learning_rate_init": 1e-30}, backend=backend
    )
    initial = initial.fit(X[:, :3], X[:, 3]).coefs_[0]
    timer = threading.Timer(0.3, os.kill, (os.getpid(), signal.SIGINT))
    timer.start()
    given = train(model, lambda model: model.fit(X[:, :3], X[:, 3]))
    timer.join()
    assert given == ["InterruptedWarning: Training interrupted by user."]
    assert len(model.loss_curve_) == model.n_iter_ < 10**9
    assert model.t_ == len(X) * model.n_iter_
    assert not np.array_equal(model.coefs_[0], initial)
    assert np.isfinite(model.predict(X[:, :3])).all()
