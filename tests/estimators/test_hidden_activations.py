"""Does ``hidden_activations`` give what scikit-learn's forward pass computes, layer by layer?"""

from __future__ import annotations

import numpy as np
import pytest
import scipy.sparse
import sklearn.neural_network
from sklearn.exceptions import NotFittedError
from support.parity import train

import fastnn
from fastnn.core.activations import ACTIVATIONS

X = np.random.default_rng(0).normal(size=(50, 4))
TARGETS = {
    "binary": ("MLPClassifier", X[:, 0] > 0, {}),
    "multiclass": ("MLPClassifier", np.argmax(X[:, :3], axis=1), {}),
    "multilabel": ("MLPClassifier", (X > 0).astype(int), {}),
    "regression": ("MLPRegressor", X[:, 0], {}),
    "two outputs": ("MLPRegressor", X[:, :2], {}),
    "poisson": ("MLPRegressor", np.abs(X[:, 0]), {"loss": "poisson"}),
}
SKLEARN_ACTIVATIONS = ["identity", "logistic", "tanh", "relu"]


def fitted(library, kind, y, **params):
    model = getattr(library, kind)(**{"max_iter": 3, "random_state": 0, **params})
    train(model, lambda model: model.fit(X, y))
    return model


@pytest.mark.parametrize("sizes", [(), (5,), (6, 3)], ids=str)
@pytest.mark.parametrize("activation", SKLEARN_ACTIVATIONS)
@pytest.mark.parametrize(("kind", "y", "params"), TARGETS.values(), ids=TARGETS)
def test_they_are_scikit_learns(kind, y, params, activation, sizes):
    params = {**params, "hidden_layer_sizes": sizes, "activation": activation}
    ours, theirs = (fitted(lib, kind, y, **params) for lib in (fastnn, sklearn.neural_network))
    theirs.coefs_, theirs.intercepts_ = ours.coefs_, ours.intercepts_
    expected = theirs._forward_pass([X] + [None] * (len(sizes) + 1))[1:]
    found = ours.hidden_activations(X)
    assert len(found) == len(expected) == len(sizes) + 1
    for ours_, theirs_ in zip(found, expected, strict=True):
        np.testing.assert_allclose(ours_, theirs_, rtol=1e-13, atol=1e-15)


@pytest.mark.parametrize("kind", ["MLPClassifier", "MLPRegressor"])
def test_the_last_one_is_the_prediction(backend, kind):
    model = fitted(fastnn, kind, np.argmax(X[:, :3], axis=1), backend=backend)
    last = model.hidden_activations(X)[-1]
    predicted = model.predict_proba(X) if kind == "MLPClassifier" else model.predict(X)[:, None]
    np.testing.assert_allclose(last, predicted, rtol=1e-12)


@pytest.mark.parametrize(
    "make", [scipy.sparse.csr_array, scipy.sparse.csc_matrix, np.asfortranarray]
)
def test_any_X_that_predict_takes(make):
    model = fitted(fastnn, "MLPRegressor", X[:, 0], hidden_layer_sizes=(6, 3))
    for found, expected in zip(
        model.hidden_activations(make(X)), model.hidden_activations(X), strict=True
    ):
        assert type(found) is np.ndarray
        np.testing.assert_allclose(found, expected, rtol=1e-12, atol=1e-14)


def test_edited_weights_are_used():
    model = fitted(fastnn, "MLPRegressor", X[:, 0], hidden_layer_sizes=(6,), activation="identity")
    before = model.hidden_activations(X)[0]
    model.coefs_[0] *= 2
    model.intercepts_[0] = 2 * model.intercepts_[0]
    np.testing.assert_allclose(model.hidden_activations(X)[0], 2 * before, rtol=1e-12)


def test_float32_stays_float32():
    model = fitted(fastnn, "MLPRegressor", X[:, 0], dtype="float32")
    assert {a.dtype for a in model.hidden_activations(X)} == {np.dtype(np.float32)}


def test_every_activation_is_tested():
    assert set(SKLEARN_ACTIVATIONS) <= set(ACTIVATIONS)


def test_bad_calls_say_what_predict_says():
    with pytest.raises(NotFittedError, match="^This MLPRegressor instance is not fitted yet"):
        fastnn.MLPRegressor().hidden_activations(X)
    model = fitted(fastnn, "MLPRegressor", X[:, 0])
    with pytest.raises(ValueError, match="X has 3 features, but MLPRegressor is expecting 4"):
        model.hidden_activations(X[:, :3])
    with pytest.raises(ValueError, match="Input X contains NaN"):
        model.hidden_activations(np.full((2, 4), np.nan))
