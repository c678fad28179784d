"""Is a network the one of the arrays, the activations and the loss that it is asked about?"""

from __future__ import annotations

import numpy as np
import pytest
import sklearn.neural_network
from support.parity import train

import fastnn
from fastnn.core.losses import LOSSES
from fastnn.core.network import NetworkSpec
from fastnn.training.model import Network

SQUARED_ERROR = LOSSES["squared_error"]
X = np.random.default_rng(0).normal(size=(30, 4))


def network(activations=("relu", "tanh"), loss="squared_error"):
    spec = NetworkSpec.dense([4, 5, 3, 1], activations, loss)
    return Network.create(spec, np.dtype(np.float64), np.random.RandomState(0))


def test_it_holds_its_own_arrays_in_any_sequence():
    one = network()
    assert one.holds(list(one.coefs), list(one.intercepts), ["relu", "tanh"], SQUARED_ERROR)
    same = network("relu")
    assert same.holds(same.coefs, same.intercepts, "relu", SQUARED_ERROR)


@pytest.mark.parametrize(
    ("activation", "loss"),
    [
        ("relu", "squared_error"),
        ("tanh", "squared_error"),
        (("relu", "relu"), "squared_error"),
        (("tanh", "tanh"), "squared_error"),
        (("relu",), "squared_error"),
        (("relu", "tanh"), "poisson"),
    ],
)
def test_it_does_not_hold_another_network(activation, loss):
    one = network()
    assert not one.holds(one.coefs, one.intercepts, activation, LOSSES[loss])


def test_it_does_not_hold_copies():
    one = network()
    coefs = [one.coefs[0].copy(), *one.coefs[1:]]
    assert not one.holds(coefs, one.intercepts, ("relu", "tanh"), "squared_error")
    assert not one.holds(one.coefs, one.intercepts[:2], ("relu", "tanh"), "squared_error")


def test_an_activation_set_after_the_fit_is_used_as_in_scikit_learn(backend):
    y, params = X[:, 0], {"hidden_layer_sizes": (5, 3), "max_iter": 3, "random_state": 0}
    ours = fastnn.MLPRegressor(**params, backend=backend)
    theirs = sklearn.neural_network.MLPRegressor(**params)
    for model in (ours, theirs):
        train(model, lambda model: model.fit(X, y))
        model.set_params(activation="tanh")
    np.testing.assert_allclose(ours.predict(X), theirs.predict(X), rtol=1e-9)
