"""Does every backend compute what the textbooks print for a two-layer sigmoid network?

With x (4, 2), one hidden layer of 2, sigmoid s everywhere and the cross-entropy summed over the
four rows::

    z1 = x W1 + b1      a1 = s(z1)      z2 = a1 W2 + b2      a2 = s(z2)
    dZ2 = a2 - y        dW2 = a1' dZ2   db2 = sum dZ2
    dZ1 = dZ2 W2' * s(z1) (1 - s(z1))   dW1 = x' dZ1         db1 = sum dZ1

and each iteration takes ``W <- W - 0.1 dW``.
"""

from __future__ import annotations

import numpy as np
import pytest

from fastnn import MLPClassifier, backends
from fastnn.backends.base import Data, Passes, Plan, TrainState
from fastnn.cli.demo import problems
from fastnn.core.network import NetworkSpec, initialise
from fastnn.core.optimizers import SGD

X = np.array([[0.0, 0.0], [0.0, 1.0], [1.0, 0.0], [1.0, 1.0]])
Y = np.array([[1.0], [1.0], [0.0], [0.0]])
RATE = 0.1
N_ITERATIONS = 1000
SPEC = NetworkSpec.dense([2, 2, 1], "logistic", "binary_log_loss")
TIGHT = {"rtol": 1e-11, "atol": 1e-14}


def sigmoid(z):
    return 1 / (1 + np.exp(-z))


def textbook(W1, b1, W2, b2):
    """The loss and the gradients (dW1, dW2, db1, db2), summed over the rows."""
    z1 = X @ W1 + b1
    a1 = sigmoid(z1)
    a2 = sigmoid(a1 @ W2 + b2)
    dZ2 = a2 - Y
    dW2 = a1.T @ dZ2
    dZ1 = dZ2 @ W2.T * sigmoid(z1) * (1 - sigmoid(z1))
    dW1 = X.T @ dZ1
    loss = -np.sum(Y * np.log(a2) + (1 - Y) * np.log(1 - a2))
    return loss, (dW1, dW2, dZ1.sum(axis=0), dZ2.sum(axis=0))


def descend(W1, b1, W2, b2, n_iterations):
    """Plain gradient descent; the losses met on the way and the parameters in the end."""
    losses = []
    for _ in range(n_iterations):
        loss, (dW1, dW2, db1, db2) = textbook(W1, b1, W2, b2)
        losses.append(loss)
        W1, b1, W2, b2 = W1 - RATE * dW1, b1 - RATE * db1, W2 - RATE * dW2, b2 - RATE * db2
    return np.array(losses), (W1, b1, W2, b2)


@pytest.fixture
def params():
    """A start away from every symmetry."""
    return initialise(SPEC, np.dtype(np.float64), np.random.RandomState(3)) + np.linspace(
        -1, 1, SPEC.layout.n_params
    )


def parts(params):
    (W1, W2), (b1, b2) = SPEC.layout.coefs(params), SPEC.layout.intercepts(params)
    return W1, b1, W2, b2


PLAN = Plan(SGD(momentum=0.0, nesterovs_momentum=False), batch_size=4)


def engine(backend):
    return backends.load(backend).engine(SPEC, np.dtype(np.float64))


def test_the_gradients_are_the_textbooks(backend, params):
    grad = np.full((1, params.size), np.nan)
    state = TrainState(params[None], np.zeros((1, 1, params.size)))
    (loss,), (n_rows,) = engine(backend).gradient(state, Data(X, Y), np.arange(4)[None], grad)
    assert n_rows == 4
    expected_loss, expected = textbook(*parts(params))
    np.testing.assert_allclose(loss, expected_loss, **TIGHT)
    np.testing.assert_allclose(
        grad[0], np.concatenate([part.ravel() for part in expected]), **TIGHT
    )


def test_a_thousand_iterations_are_the_textbooks(backend, params):
    expected_losses, expected = descend(*parts(params.copy()), N_ITERATIONS)
    state = TrainState(params[None], np.zeros((1, 1, params.size)))
    # The textbook sums over the four rows, fastnn averages.
    passes = Passes(
        np.tile(np.arange(4), (1, N_ITERATIONS, 1)), np.full((1, N_ITERATIONS, 1), 4 * RATE)
    )
    (losses,) = engine(backend).trainer(PLAN).train(state, Data(X, Y), passes)
    np.testing.assert_allclose(4 * losses, expected_losses, **TIGHT)
    for part, expected_part in zip(parts(state.params[0]), expected, strict=True):
        np.testing.assert_allclose(part, expected_part, **TIGHT)


def test_the_demos_network_is_the_textbooks(backend):
    (problem,) = [problem for problem in problems() if problem.title.startswith("textbook")]
    assert problem.settings["max_iter"] == N_ITERATIONS
    np.testing.assert_array_equal(problem.train[0], X)
    np.testing.assert_array_equal(problem.train[1], Y.ravel())

    with pytest.warns(UserWarning, match="Maximum iterations"):
        model = MLPClassifier(**problem.settings, backend=backend).fit(*problem.train)
    # The same start: scikit-learn's, drawn after Glorot and Bengio.
    start = initialise(
        SPEC, np.dtype(np.float64), np.random.RandomState(problem.settings["random_state"])
    )
    losses, (W1, b1, W2, b2) = descend(*parts(start), N_ITERATIONS)
    np.testing.assert_allclose(4 * np.array(model.loss_curve_), losses, **TIGHT)
    for fitted, expected in zip([*model.coefs_, *model.intercepts_], [W1, W2, b1, b2], strict=True):
        np.testing.assert_allclose(fitted, expected, **TIGHT)
