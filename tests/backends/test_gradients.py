"""Is a backend's gradient the derivative of the loss it reports? Finite differences tell."""

from __future__ import annotations

import itertools
from dataclasses import replace

import numpy as np
import pytest
from support.problems import as_csr, fresh_state, problem

from fastnn.backends import load
from fastnn.core.activations import ACTIVATIONS, ELU, LeakyReLU
from fastnn.core.losses import LOSSES
from fastnn.core.network import NetworkSpec
from fastnn.core.optimizers import SGD

HIDDEN = {  # activations, sizes, dropout
    "linear": ([], [], 0),
    **{f"{name}, one hidden": ([name], [5], 0) for name in ACTIVATIONS},
    **{f"{name}, two hidden": ([name, name], [4, 3], 0) for name in ACTIVATIONS},
    **{
        f"{member!r}, two hidden": ([member, type(member)()], [4, 3], 0)
        for member in (LeakyReLU(0.3), ELU(1.7))
    },
    "mixed": (["tanh", "relu", "logistic"], [3, 9, 2], 0),
    "mixed otherwise": (["logistic", "identity", "tanh"], [3, 9, 2], 0),
    **{f"{name}, dropout": ([name, name], [4, 3], [0.5, 0.5]) for name in ACTIVATIONS},
    "mixed, dropout in one": (["tanh", "relu", "logistic"], [3, 9, 2], [0, 0.5, 0]),
}
# Every hidden part with every loss; the rest in turn: pairs, not the whole product.
CASES = [
    (hidden, loss, (1, 3)[i % 2], bool(i // 2 % 2), bool(i // 4 % 2))
    for i, (hidden, loss) in enumerate(itertools.product(HIDDEN, LOSSES))
]
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


@pytest.mark.parametrize(("hidden", "loss", "n_out", "sparse", "weighted"), CASES)
def test_gradient_is_the_derivative_of_the_loss(backend, hidden, loss, n_out, sparse, weighted):
    if loss == "log_loss" and n_out == 1:
        n_out = 2  # one class out of one is no question
    activations, sizes, dropout = HIDDEN[hidden]
    spec = NetworkSpec.dense([4, *sizes, n_out], activations or "relu", loss)
    spec = spec.with_dropout(dropout)
    data = problem(spec, 9, seed=3, weighted=weighted)
    if sparse:
        data = as_csr(data)
    engine = load(backend).engine(spec, np.dtype(np.float64))
    rows = np.array([[0, 3, 4, 4, 8, 1]], np.int64)
    state = replace(fresh_state(spec, SGD(), seed=1), step=4)
    # The squared error is averaged over the outputs but its gradient is not (scikit-learn's issue
    # 8349; see losses.py).
    factor = n_out if loss == "squared_error" else 1
    scratch = np.empty_like(state.params)

    def loss_sum(params: np.ndarray) -> float:
        (value,), _ = engine.gradient(replace(state, params=params[None]), data, rows, scratch)
        return factor * value

    params = state.params[0].copy()
    grad = np.empty_like(state.params)
    _, (weight_sum,) = engine.gradient(state, data, rows, grad)
    expected_weight = 6 if data.weight is None else data.weight[rows].sum()
    assert weight_sum == pytest.approx(expected_weight, rel=1e-14)
    np.testing.assert_array_equal(state.params[0], params)
    np.testing.assert_allclose(grad[0], numeric_gradient(loss_sum, params), rtol=1e-6, atol=1e-8)
