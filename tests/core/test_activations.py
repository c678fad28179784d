"""Are the activations what they claim: slopes, settings, the size of initial parameters?"""

from __future__ import annotations

import numpy as np
import pytest
from scipy.special import erf

from fastnn.core.activations import ACTIVATIONS, ELU, LeakyReLU
from fastnn.core.network import NetworkSpec, initialise

MEMBERS = [*ACTIVATIONS.values(), LeakyReLU(0.3), ELU(0.7)]
Z = np.linspace(-9, 9, 2000)  # 0 is not among them


@pytest.mark.parametrize("member", MEMBERS, ids=repr)
def test_the_slope_is_the_derivative(member):
    high, low = (member.value_and_slope(Z + h)[0] for h in (1e-5, -1e-5))
    np.testing.assert_allclose(member.value_and_slope(Z)[1], (high - low) / 2e-5, atol=1e-8)


def test_formulas_as_they_are_published():
    for name, formula in {
        "leaky_relu": lambda z: np.where(z < 0, 0.01 * z, z),
        "elu": lambda z: np.where(z < 0, np.exp(z) - 1, z),
        "selu": lambda z: (
            1.0507009873554805 * np.where(z < 0, 1.6732632423543772 * (np.exp(z) - 1), z)
        ),
        "gelu": lambda z: 0.5 * z * (1 + erf(z / np.sqrt(2))),
        "silu": lambda z: z / (1 + np.exp(-z)),
        "mish": lambda z: z * np.tanh(np.log(1 + np.exp(z))),
        "softplus": lambda z: np.log(1 + np.exp(z)),
    }.items():
        value = ACTIVATIONS[name].value_and_slope(Z)[0]
        np.testing.assert_allclose(value, formula(Z), atol=1e-14, rtol=1e-12, err_msg=name)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("member", MEMBERS, ids=repr)
def test_nothing_overflows_and_the_dtype_stays(member, dtype):
    z = np.array([-1e30, -1e4, -100, 0, 100, 1e4, 1e30], dtype)
    with np.errstate(over="raise", invalid="raise", divide="raise"):
        a, slope = member.value_and_slope(z)
    assert a.dtype == slope.dtype == dtype
    assert np.isfinite(a).all()
    assert np.isfinite(slope).all()


def test_settings_of_numpy_do_not_widen_float32():
    for member in (LeakyReLU(np.float64(0.3)), ELU(np.float64(0.7))):
        for array in member.value_and_slope(Z.astype(np.float32)):
            assert array.dtype == np.float32


@pytest.mark.parametrize(
    ("activation", "variance"),
    [("relu", 2 / 500), ("logistic", 2 / 3 / 500), ("selu", 1 / 400), ("gelu", 2 / 500)],
)
def test_initial_weights_have_the_variance_that_the_activation_asks_for(activation, variance):
    spec = NetworkSpec.dense([400, 100, 1], activation, "squared_error")
    params = initialise(spec, np.dtype(float), np.random.RandomState(0))
    assert spec.layout.coefs(params)[0].var() == pytest.approx(variance, rel=0.02)


def test_selu_keeps_mean_0_and_variance_1_through_many_layers():
    spec = NetworkSpec.dense([200] * 12, "selu", "squared_error")
    params = initialise(spec, np.dtype(float), np.random.RandomState(0))
    a = np.random.default_rng(0).normal(size=(500, 200))
    for W, b in zip(spec.layout.coefs(params), spec.layout.intercepts(params), strict=True):
        a = ACTIVATIONS["selu"].value_and_slope(a @ W + b)[0]
    assert abs(a.mean()) < 0.1
    assert 0.7 < a.var() < 1.3
