"""Does what Intel's cores are faster by leave every bit?"""

from __future__ import annotations

import numpy as np
import pytest
from support import instruction_sets
from support.problems import fresh_state, problem

from fastnn.backends.base import Data, Passes, Plan, TrainState
from fastnn.core.network import NetworkSpec
from fastnn.core.optimizers import Adam

cython_backend = pytest.importorskip(
    "fastnn.backends.cython_backend", reason="the C extension was not built", exc_type=ImportError
)
_core = cython_backend._core

each_isa = pytest.mark.parametrize("isa", instruction_sets.with_vectors(_core.INSTRUCTION_SETS))
each_dtype = pytest.mark.parametrize("dtype", ["float64", "float32"])


@pytest.fixture
def ways():
    """Goes the way of other processors, then that of Intel's."""
    _, intel = _core.tuning()
    yield (_core.tuning(intel=way) for way in (False, True))
    _core.tuning(intel=intel)


def trained(isa: str, spec: NetworkSpec, plan: Plan, state: TrainState, data: Data, work: Passes):
    engine = cython_backend.CythonBackend(isa).engine(spec, state.params.dtype)
    engine.trainer(plan).train(state, data, work)
    return state.params


@each_dtype
@each_isa
def test_training_has_the_same_bits(isa, dtype, ways):
    spec = NetworkSpec.dense([70, 33, 5], "relu", "log_loss")
    data, rng = problem(spec, 120, dtype), np.random.default_rng(0)
    data.X[:, 3] = 0  # some gradients stay 0: 0 / 0 where epsilon is 0
    rows = np.array([[rng.permutation(120) for _ in range(20)]])
    work = Passes(rows, rng.uniform(0.001, 0.01, (1, 20, 3)))
    params = []
    for _ in ways:
        for rule in (Adam(), Adam(epsilon=0.0)):
            state = fresh_state(spec, rule, dtype)
            state.params[:, ::7] = 0
            params.append(trained(isa, spec, Plan(rule, 40), state, data, work))
    np.testing.assert_array_equal(params[:2], params[2:])
    assert not np.isfinite(params[1]).all()
    assert np.isfinite(params[0]).all()


def hard_to_round(digits: int, n: int) -> np.ndarray:
    """Pairs of whole numbers whose quotients lie next to the middle between two of ``digits``.

    ``top * 2^k = below * middle + rest`` for an odd ``middle`` of one more digit, and a ``rest``
    as small as can be: what a quotient rounds to hangs on the last bits of the reciprocal.
    """
    found, rng = [], np.random.default_rng(0)
    while len(found) < n:
        below = int(rng.integers(2 ** (digits - 1), 2**digits)) | 1
        for rest in (-3, -1, 1, 3):
            modulus = 2 ** (digits + 1)
            middle = -rest * pow(below, -1, modulus) % modulus
            top = (below * middle + rest) // modulus
            if middle >= modulus // 2 and top >= 2 ** (digits - 1):
                found.append((top, below))
    return np.array(found[:n], np.float64).T


@pytest.mark.parametrize(("dtype", "digits"), [("float32", 24), ("float64", 53)])
@each_isa
def test_a_quotient_is_rounded_as_by_division(isa, dtype, digits, ways):
    top, below = hard_to_round(digits, 2000).astype(dtype)
    spec, rule = NetworkSpec.dense([1999, 1], "relu", "squared_error"), Adam(0.5, 0.5, 0.0)
    data = Data(np.zeros((1, 1999), dtype), np.zeros((1, 1), dtype))  # no gradient at all
    once = Passes(np.zeros((1, 1, 1), np.int64), np.ones((1, 1, 1)))
    for _ in ways:
        slots = np.stack([2 * top, 2 * below * below])[None]  # halved, as the rule has it
        state = TrainState(np.zeros((1, 2000), dtype), slots, 2000)
        found = trained(isa, spec, Plan(rule, 1), state, data, once)[0]
        np.testing.assert_array_equal(found, -(top / below))
