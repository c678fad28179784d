"""Is a stored model the model? Pickle, joblib and copy, and use of what they give back."""

from __future__ import annotations

import copy
import pickle
from collections.abc import Callable
from typing import Any

import joblib
import numpy as np
import pytest
from sklearn.base import clone
from support.parity import difference, numbers, train

import fastnn

RNG = np.random.default_rng(2)
X = RNG.normal(size=(60, 5))
Y_CLF = np.array(["left", "right", "middle"])[RNG.integers(3, size=60)]
Y_REG = X[:, 0] - 2 * X[:, 3]
CLASSES = ["left", "middle", "right"]


def mapped(model: Any, path: Any) -> Any:
    joblib.dump(model, path / "model.joblib")
    return joblib.load(path / "model.joblib", mmap_mode="r")


def joblibbed(model: Any, path: Any, **dump: Any) -> Any:
    joblib.dump(model, path / "model.joblib", **dump)
    return joblib.load(path / "model.joblib")


STORED: dict[str, Callable[[Any, Any], Any]] = {
    "pickle": lambda model, path: pickle.loads(pickle.dumps(model)),
    "pickle, oldest protocol": lambda model, path: pickle.loads(pickle.dumps(model, protocol=2)),
    "joblib": joblibbed,
    "joblib, compressed": lambda model, path: joblibbed(model, path, compress=3),
    "joblib, mapped": mapped,
    "deepcopy": lambda model, path: copy.deepcopy(model),
    "twice": lambda model, path: copy.deepcopy(pickle.loads(pickle.dumps(model))),
}
each_storage = pytest.mark.parametrize("stored", STORED.values(), ids=STORED)
SOLVERS = {
    "adam": {"solver": "adam"},
    "sgd": {"solver": "sgd", "learning_rate": "adaptive", "n_iter_no_change": 2, "tol": 0.5},
    "early stopping": {"early_stopping": True},
    "lbfgs": {"solver": "lbfgs"},
}
each_solver = pytest.mark.parametrize("params", SOLVERS.values(), ids=SOLVERS)


def fitted(backend: str, classifier: bool = True, dtype: Any = np.float64, **params: Any) -> Any:
    kind, y = (fastnn.MLPClassifier, Y_CLF) if classifier else (fastnn.MLPRegressor, Y_REG)
    model = kind(
        **{"hidden_layer_sizes": (7, 4), "max_iter": 6, "random_state": 0, "backend": backend}
        | params
    )
    train(model, lambda model: model.fit(X.astype(dtype), y))
    return model


def assert_same(model: Any, expected: Any) -> None:
    found, where = difference(numbers(model, X), numbers(expected, X))
    assert found == 0, where


@each_storage
@each_solver
@pytest.mark.parametrize("classifier", [True, False], ids=["classifier", "regressor"])
@pytest.mark.parametrize("dtype", [np.float64, np.float32], ids=["float64", "float32"])
def test_a_stored_model_shows_the_same_numbers(
    backend, stored, params, classifier, dtype, tmp_path
):
    model = fitted(backend, classifier, dtype, **params)
    again = stored(model, tmp_path)
    assert_same(again, model)
    assert again.get_params() == model.get_params()
    # What is done to the one does not reach the other.
    predictions = model.predict(X)
    again.coefs_ = [0 * coef for coef in again.coefs_]
    np.testing.assert_array_equal(model.predict(X), predictions)


@each_storage
@pytest.mark.parametrize("params", [SOLVERS["adam"], SOLVERS["sgd"]], ids=["adam", "sgd"])
def test_a_stored_model_goes_on_where_it_was(backend, stored, params, tmp_path):
    # The optimizer's memory, its step and the fallen learning rate are stored too.
    model = fitted(backend, **params)
    again = stored(model, tmp_path)
    for each in (model, again):
        for _ in range(8):
            each.partial_fit(X, Y_CLF)
        train(each.set_params(warm_start=True), lambda each: each.fit(X, Y_CLF))
    assert_same(again, model)


@each_storage
def test_a_stored_stream_goes_on_where_it_was(backend, stored, tmp_path):
    model = fitted(backend, random_state=np.random.RandomState(4))
    again = stored(model, tmp_path)
    for each in (model, again):
        each.partial_fit(X, Y_CLF)
    assert_same(again, model)


@each_storage
def test_edits_of_a_stored_model_are_used(backend, stored, tmp_path):
    model = fitted(backend)
    again = stored(model, tmp_path)
    for each in (model, again):
        each.coefs_[0][2] += 1
        each.intercepts_[1] = np.ones(4)
    assert_same(again, model)
    for each in (model, again):
        each.partial_fit(X, Y_CLF)
    assert_same(again, model)


@each_storage
def test_an_edited_model_is_stored_as_edited(backend, stored, tmp_path):
    model = fitted(backend)
    model.coefs_[0][2] += 1
    model.intercepts_[1] = np.ones(4)
    assert_same(stored(model, tmp_path), model)


@each_storage
def test_an_unfitted_model_can_be_stored(backend, stored, tmp_path):
    again = stored(fastnn.MLPRegressor(backend=backend, max_iter=3), tmp_path)
    assert not hasattr(again, "coefs_")
    assert again.get_params() == {
        **fastnn.MLPRegressor().get_params(),
        "backend": backend,
        "max_iter": 3,
    }


@pytest.mark.parametrize(("solver", "n_slots"), [("lbfgs", 0), ("sgd", 1), ("adam", 2)])
@pytest.mark.parametrize(
    "used", ["fitted", "after predicting", "stored twice", "after early stopping"]
)
def test_a_pickle_holds_the_network_once(backend, solver, n_slots, used):
    params = (
        {"early_stopping": True, "validation_fraction": 0.3}
        if used == "after early stopping"
        else {}
    )
    model = fitted(backend, hidden_layer_sizes=(100, 100), solver=solver, **params)
    if used == "after predicting":
        model.predict(X)
        model.predict(X.astype(np.float32))
    if used == "stored twice":
        model = pickle.loads(pickle.dumps(model))
    n_bytes = sum(array.nbytes for array in model.coefs_ + model.intercepts_)
    assert len(pickle.dumps(model)) < (1 + n_slots) * n_bytes + 6000


def test_a_clone_is_unfitted_and_trains_the_same_model(backend):
    model = fitted(backend)
    again = clone(model)
    assert not hasattr(again, "coefs_")
    train(again, lambda model: model.fit(X, Y_CLF))
    assert_same(again, model)


def test_a_shallow_copy_keeps_working(backend):
    model = fitted(backend)
    again = copy.copy(model)
    predictions = model.predict(X)
    again.partial_fit(X, Y_CLF)
    np.testing.assert_array_equal(model.predict(X), predictions)
    assert not np.array_equal(again.predict_proba(X), model.predict_proba(X))


def test_a_model_moves_between_backends(backend):
    # Whatever it was trained with: the state of training is the same arrays for every backend.
    model = fitted(backend)
    again = pickle.loads(pickle.dumps(model)).set_params(backend="numpy")
    for each in (model, again):
        each.partial_fit(X, Y_CLF)
    found, where = difference(numbers(again, X), numbers(model, X))
    assert found <= 1e-9, where


def test_the_attributes_themselves_can_be_pickled_and_copied():
    model = fastnn.MLPRegressor(
        hidden_layer_sizes=(4,), solver="lbfgs", max_iter=500, random_state=0
    )
    X = np.random.default_rng(0).normal(size=(30, 2))
    model.fit(X, X[:, 0]).predict(X)
    for attributes in (pickle.loads(pickle.dumps(vars(model))), copy.deepcopy(vars(model))):
        np.testing.assert_array_equal(attributes["coefs_"][0], model.coefs_[0])
        np.testing.assert_array_equal(attributes["_model"].params, model._model.params)
