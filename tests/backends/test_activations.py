"""How exact are the values and slopes of each activation, with its settings, on each backend?"""

from __future__ import annotations

import numpy as np
import pytest

from fastnn.backends import load
from fastnn.backends.base import Data, TrainState
from fastnn.core.activations import ACTIVATIONS, ELU, Activation, LeakyReLU
from fastnn.core.network import NetworkSpec

MEMBERS = [*ACTIVATIONS.values(), LeakyReLU(0.3), LeakyReLU(0), ELU(0.7)]
Z = np.concatenate(
    [
        np.random.default_rng(0).uniform(-12, 12, 400),
        np.outer([1, -1], [0, 1e-30, 1e-7, 1e-3, 23.9, 24.1, 90, 800, 1e4, 1e30]).ravel(),
    ]
)


def found_by(backend: str, member: Activation, z: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Values and slopes, by way of networks 1-1-1 whose weights are 1."""
    spec = NetworkSpec.dense([1, 1, 1], member, "squared_error")
    engine = load(backend).engine(spec, z.dtype)
    params = np.array([1, 1, 0, 0], z.dtype)  # weights, then biases
    values = np.empty((len(z), 1), z.dtype)
    engine.forward(params, z[:, None], values)
    # A member for each z, whose error is 1: its bias's gradient is the slope.
    state = TrainState(np.tile(params, (len(z), 1)), np.empty((len(z), 0, 4), z.dtype))
    grad, rows = np.empty_like(state.params), np.arange(len(z))[:, None]
    small = abs(values) < 1e4  # where 1 counts; elsewhere the error is the value itself
    y = np.where(small, values - 1, 0).astype(z.dtype)
    engine.gradient(state, Data(z[:, None], y), rows, grad)
    with np.errstate(invalid="ignore"):  # of infinite z
        return values[:, 0], grad[:, 2] / (values - y)[:, 0]


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("member", MEMBERS, ids=repr)
def test_values_to_units_of_the_last_place_and_slopes_to_rounding(compiled_backend, member, dtype):
    z, info = Z.astype(dtype), np.finfo(dtype)
    expected, slope = member.value_and_slope(z.astype(np.float64))
    values, slopes = found_by(compiled_backend, member, z)
    units = 4.0
    if member.name == "gelu":  # what rounding z**2 does to an exponential, SciPy's in float64
        units = (10 + np.minimum(z.astype(float), 0) ** 2) * (1 if dtype == np.float32 else 3)
    unit = np.maximum(np.spacing(np.abs(expected).astype(dtype)), info.tiny)
    error = np.abs(values - expected) / unit
    assert (error <= units).all(), f"{error.max()} units at {z[error.argmax()]}"
    np.testing.assert_allclose(slopes, slope, rtol=0, atol=8 * info.eps)


@pytest.mark.parametrize("member", MEMBERS, ids=repr)
def test_nan_and_infinity_are_what_they_are_in_numpy(compiled_backend, member):
    z = np.array([np.nan, np.inf, -np.inf])
    with np.errstate(all="ignore"):
        expected = member.value_and_slope(z)[0]
    values = found_by(compiled_backend, member, z)[0]
    np.testing.assert_array_equal(values[:2], expected[:2])
    assert np.isfinite(values[2]) == np.isfinite(expected[2])
