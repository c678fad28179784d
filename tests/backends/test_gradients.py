"""Is a backend's gradient the derivative of the loss it reports? Finite differences tell."""

from __future__ import annotations

import numpy as np
import pytest
from support.problems import as_csr, fresh_state, problem

from fastnn.backends import load
from fastnn.backends.base import Plan
from fastnn.core.activations import ACTIVATIONS
from fastnn.core.losses import LOSSES
from fastnn.core.network import NetworkSpec
from fastnn.core.optimizers import SGD

HIDDEN = {
    "linear": ("relu", []),  # without hidden layers the activation plays no part
    **{
        f"{activation}-{depth}": (activation, sizes)
        for activation in ACTIVATIONS
        for depth, sizes in {
            "one hidden": [5],
            "two hidden": [4, 3],
            "three hidden": [3, 9, 2],
        }.items()
    },
}
EPSILON = 1e-6


def numeric_gradient(function, params: np.ndarray) -> np.ndarray:
    """Central differences of ``function`` at ``params (n_params,)``."""
    grad = np.empty_like(params)
    for i in range(len(params)):
        high, low = params.copy(), params.copy()
        high[i] += EPSILON
        low[i] -= EPSILON
        grad[i] = (function(high) - function(low)) / (2 * EPSILON)
    return grad


@pytest.mark.parametrize("weighted", [False, True], ids=["unweighted", "weighted"])
@pytest.mark.parametrize("sparse", [False, True], ids=["dense", "csr"])
@pytest.mark.parametrize("n_out", [1, 3])
@pytest.mark.parametrize(("activation", "hidden"), HIDDEN.values(), ids=HIDDEN)
@pytest.mark.parametrize("loss", LOSSES)
def test_gradient_is_the_derivative_of_the_loss(
    backend, activation, loss, hidden, n_out, sparse, weighted
):
    if loss == "log_loss" and n_out == 1:
        n_out = 2  # one class out of one is no question
    spec = NetworkSpec.dense([4, *hidden, n_out], activation, loss)
    data = problem(spec, 9, seed=3, weighted=weighted)
    if sparse:
        data = as_csr(data)
    alpha = 0.3
    engine = load(backend).engine(spec, Plan(SGD(), alpha=alpha), np.dtype(np.float64))
    rows = np.array([0, 3, 4, 4, 8, 1], np.int64)
    state = fresh_state(spec, SGD(), seed=1)
    scratch = np.empty_like(state.params)
    total = len(rows) if data.weight is None else data.weight[rows].sum()
    # The squared error is averaged over the outputs but its gradient is not (scikit-learn's issue
    # 8349; see losses.py).
    data_factor = n_out if loss == "squared_error" else 1

    def objective(params: np.ndarray) -> float:
        state.params = params
        value = engine.loss_grad(state, data, rows, scratch)
        weights = params[: spec.layout.n_weights]
        penalty = 0.5 * alpha * np.dot(weights, weights) / total
        return data_factor * (value - penalty) + penalty

    params = state.params.copy()
    grad = np.empty_like(params)
    engine.loss_grad(state, data, rows, grad)
    np.testing.assert_array_equal(state.params, params)
    np.testing.assert_allclose(grad, numeric_gradient(objective, params), rtol=1e-6, atol=1e-8)
