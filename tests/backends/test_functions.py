"""Does what a user writes, activation or loss, run on every backend, and is it said where not?"""

from __future__ import annotations

import sys

import numpy as np
import pytest
from scipy.special import expit
from support.problems import as_csr, fresh_state, problem

from fastnn import backends
from fastnn.backends.base import Passes, Plan
from fastnn.core import losses
from fastnn.core.activations import ACTIVATIONS, Function
from fastnn.core.network import NetworkSpec
from fastnn.core.optimizers import Adam

ALPHA = 0.5


def inner(z):
    return np.exp(-np.abs(z))


def value(z):
    return np.where(z > 0, z + ALPHA * (1 - inner(z)), 2 * z**2 * inner(z))


def slope(z):
    return np.where(z > 0, 1 + ALPHA * inner(z), (4 * z + 2 * z**2) * inner(z))


def silu(z):
    return z * expit(z)


def slope_of_silu(z):
    p = 1 / (1 + np.exp(-z))
    return p + z * p * (1 - p)


def slope_of_tanh(a):
    return 1 - a**2


OWN = {
    "helpers, constants": Function(value, slope, name="own"),
    "by output": Function(np.tanh, slope_of_tanh, name="own tanh", keeps="output"),
    "all that is faster": Function(
        lambda z: (
            np.logaddexp(z, 0) + np.expm1(0.1 * z) + expit(z) + np.tanh(2 * z) + np.clip(z, -1, 2)
        ),
        lambda z: (
            expit(z)
            + 0.1 * np.exp(0.1 * z)
            + expit(z) * expit(-z)
            + 2 * (1 - np.tanh(2 * z) * np.tanh(2 * z))
            + np.where(abs(z - 0.5) < 1.5, 1, 0)
        ),
    ),
    "lambdas": Function(lambda z: z / (1 + abs(z)), lambda z: 1 / (1 + abs(z)) ** 2),
}
CLOSE = {"float64": {"rtol": 1e-10, "atol": 1e-12}, "float32": {"rtol": 1e-3, "atol": 1e-5}}


def results(backend, spec, dtype, data):
    """Predictions of many rows and of one, gradient, and parameters after training."""
    engine = backends.load(backend).engine(spec, np.dtype(dtype))
    plan, n = Plan(Adam(epsilon=1e-2, max_norm=0.1), 20, 0.1), len(data.y)
    state = fresh_state(spec, plan.optimizer, dtype, n_members=2)
    out, grad = np.empty((n, spec.n_out), dtype), np.empty_like(state.params)
    engine.forward(state.params[0], data.X, out)
    first = np.empty((1, spec.n_out), dtype)
    engine.forward(state.params[0], data.X[:1], first)
    engine.gradient(state, data, np.arange(n)[None], grad)
    rows = np.random.default_rng(0).permutation(n)[None, None]
    engine.trainer(plan).train(state, data, Passes(rows, np.full((1, 1, 3), 0.01)))
    return out, first, grad, state.params


@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize("sparse", [False, True], ids=["dense", "csr"])
@pytest.mark.parametrize("member", OWN.values(), ids=OWN)
def test_one_text_gives_the_same_numbers_everywhere(compiled_backend, member, sparse, dtype):
    member.check("activation")
    spec = NetworkSpec.dense([5, 19, 7, 3], [member, member], "squared_error")
    data = problem(spec, 45, dtype, weighted=True)
    data = as_csr(data) if sparse else data
    for found, expected in zip(
        results(compiled_backend, spec, dtype, data),
        results("numpy", spec, dtype, data),
        strict=True,
    ):
        np.testing.assert_allclose(found, expected, **CLOSE[dtype])


def poisson(raw, y):
    return np.exp(raw) - y * raw + np.where(y > 0, y * np.log(np.maximum(y, 1e-30)) - y, 0)


def slope_of_poisson(raw, y):
    return np.exp(raw) - y


@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize("n_out", [1, 3, 16])
def test_a_loss_is_that_of_the_same_formula(compiled_backend, n_out, dtype):
    own = losses.Function(poisson, slope_of_poisson, inverse_link="exp")
    specs = [NetworkSpec.dense([5, 9, n_out], "tanh", loss) for loss in (own, "poisson")]
    data = problem(specs[1], 45, dtype, weighted=True)
    own.check_targets(data.y)
    each = [results(compiled_backend, specs[0], dtype, data)]
    each += [results("numpy", spec, dtype, data) for spec in specs]
    for found, of_numpy, expected in zip(*each, strict=True):
        np.testing.assert_allclose(found, expected, **CLOSE[dtype])
        np.testing.assert_allclose(of_numpy, expected, **CLOSE[dtype])


def log_of_target(raw, y):
    return raw + np.log(y)


def test_rows_that_fill_up_a_vector_have_targets_of_their_own(compiled_backend):
    # At a target of 0 this loss is infinite: nothing of that may reach a gradient.
    loss = losses.Function(log_of_target, lambda raw, y: 1 / y)
    spec = NetworkSpec.dense([2, 3], "relu", loss)
    data = problem(spec, 5)
    data.y[...] = np.abs(data.y) + 0.5
    engine = backends.load(compiled_backend).engine(spec, np.dtype(np.float64))
    state = fresh_state(spec, Adam())
    grad = np.empty_like(state.params)
    (loss,), _ = engine.gradient(state, data, np.arange(5)[None], grad)
    assert np.isfinite(loss)
    assert np.isfinite(grad).all()


def test_it_stands_beside_the_built_in_ones(compiled_backend):
    own = Function(silu, slope_of_silu)
    networks = [["tanh", own, "relu"], ["tanh", "silu", "relu"]]
    specs = [NetworkSpec.dense([5, 9, 17, 8, 1], each, "poisson") for each in networks]
    data = problem(specs[0], 45)
    for found, expected in zip(
        *(results(compiled_backend, s, "f8", data) for s in specs), strict=True
    ):
        np.testing.assert_allclose(found, expected, rtol=1e-11, atol=1e-13)


def test_asking_makes_no_array_of_each_number():  # Numba's own np.where does: 400 times slower
    functions = pytest.importorskip("fastnn.backends.numba.functions")
    block = functions.block_function(value, slope, "input", "float64")
    assert "NRT_MemInfo_alloc" not in block.inspect_llvm()


def odd(z):
    return z * float(f"{2.0:.3f}")  # Numba formats no numbers


def in_place(z):
    return np.multiply(z, 2.0, dtype=z.dtype)  # nor has it that keyword


def odd_loss(raw, y):
    return odd(raw - y)


ODD = {
    "odd": (Function(odd, lambda z: 0 * z + 2, name="odd"), "squared_error"),
    "in place": (Function(in_place, lambda z: 0 * z + 2, name="odd"), "squared_error"),
    "loss": ("tanh", losses.Function(odd_loss, lambda raw, y: 0 * raw + 2, name="odd")),
}


@pytest.mark.parametrize(("activation", "loss"), ODD.values(), ids=ODD)
def test_what_numba_cannot_compile_runs_on_numpy(compiled_backend, activation, loss):
    spec, float64 = NetworkSpec.dense([3, 4, 1], activation, loss), np.dtype(np.float64)
    reason = r"Numba cannot compile the function 'odd': "
    with pytest.raises(ValueError, match=reason):
        backends.choose(compiled_backend, spec, float64)
    slower = rf"^backend='auto' runs this network on NumPy, which is slower: {reason}[^\n]*$"
    with pytest.warns(UserWarning, match=slower):
        assert backends.choose("auto", spec, float64).name == "numpy"


def test_without_numba_c_refuses_and_numpy_runs_it(monkeypatch):
    if backends.why_not("cython"):
        pytest.skip("the C extension was not built")
    backends.load("cython")
    for name in list(sys.modules):
        if name.startswith("fastnn.backends.numba"):
            monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "numba", None)
    spec = NetworkSpec.dense([3, 4, 1], Function(silu, slope_of_silu, name="mine"), "poisson")
    reason = (
        r"cannot run this network: to compile the function 'mine' it needs Numba, which cannot be"
        r" imported \(.*\): pip install .*\[numba\]"
    )
    with pytest.raises(ValueError, match=reason):
        backends.choose("cython", spec, np.dtype(np.float64))
    with pytest.warns(UserWarning, match=r"on NumPy, which is slower: to compile the function"):
        assert backends.choose("auto", spec, np.dtype(np.float64)).name == "numpy"


def test_numpy_gives_new_arrays_in_the_dtype_of_z():
    z = np.ones(3, np.float32)
    member = Function(lambda z: z, lambda z: np.float64(1) + 0 * z)
    a, found = member.value_and_slope(z)
    assert a is not z
    assert a.dtype == found.dtype == np.float32
    assert set(ACTIVATIONS).isdisjoint({member.name})
