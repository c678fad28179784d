"""Do the cost formulas count what a forward and a backward pass multiply?"""

from itertools import pairwise

import numpy as np
import pytest

from fastnn.core.cost import n_params, param_bytes, predict_flops, state_bytes, step_flops
from fastnn.core.network import NetworkSpec


class CountingMatrix(np.ndarray):
    """A matrix that adds up the FLOPs of every product it takes part in."""

    flops = 0

    def __matmul__(self, other):
        CountingMatrix.flops += 2 * self.shape[0] * self.shape[1] * other.shape[1]
        return np.asarray(np.asarray(self) @ np.asarray(other)).view(CountingMatrix)


@pytest.fixture(
    params=[(3, 1), (24, 8, 2), (4, 32, 16, 4), (10, 46, 46, 10), (28, 300, 300, 300, 300, 300, 1)],
    ids=str,
)
def units(request):
    return request.param


def test_flops_are_those_of_the_products_of_a_pass(units):
    spec = NetworkSpec.dense(units, "relu", "squared_error")
    n_rows = 7
    CountingMatrix.flops = 0
    inputs = [np.ones((n_rows, units[0])).view(CountingMatrix)]
    coefs = [np.ones((layer.n_in, layer.n_out)).view(CountingMatrix) for layer in spec.layers]
    for W in coefs:
        inputs.append(inputs[-1] @ W)
    assert predict_flops(spec, n_rows) == CountingMatrix.flops

    delta = inputs[-1]
    for i in reversed(range(len(coefs))):
        assert (inputs[i].T @ delta).shape == coefs[i].shape
        if i:
            delta = delta @ coefs[i].T
    assert step_flops(spec, n_rows) == CountingMatrix.flops


def test_published_step_costs():
    """The MFLOP per step of four published shapes, to the digits in which they are stated."""
    for units, batch_size, mflop in [
        ((24, 8, 2), 200, 0.173),
        ((10, 46, 46, 10), 128, 2.21),
        ((100, 128, 64, 10), 200, 20.8),
        ((784, 512, 512, 10), 200, 642),
    ]:
        spec = NetworkSpec.dense(units, "relu", "log_loss")
        assert step_flops(spec, batch_size) / 1e6 == pytest.approx(mflop, rel=0.004)


def test_bytes_are_those_of_the_arrays(units):
    spec = NetworkSpec.dense(units, "tanh", "squared_error")
    arrays = [np.zeros((a, b), np.float32) for a, b in pairwise(units)] + [
        np.zeros(b, np.float32) for b in units[1:]
    ]
    assert n_params(spec) == sum(a.size for a in arrays)
    assert param_bytes(spec, np.float32) == sum(a.nbytes for a in arrays)
    assert state_bytes(spec, "float64", n_slots=2) == 3 * 2 * param_bytes(spec, np.float32)
