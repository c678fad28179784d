"""Does every engine silence the outputs that the reference does, wherever they stand?"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from support.problems import as_csr, copy_state, fresh_state, problem

from fastnn.backends import load
from fastnn.backends.base import Passes, Plan
from fastnn.core.network import NetworkSpec
from fastnn.core.optimizers import SGD

SPEC = NetworkSpec.dense([5, 19, 7, 2], ["tanh", "logistic"], "binary_log_loss")
N_ROWS = 1100  # more than any engine works at a time


@pytest.mark.parametrize("sparse", [False, True], ids=["dense", "csr"])
@pytest.mark.parametrize("dtype", [np.float64, np.float32], ids=["float64", "float32"])
@pytest.mark.parametrize("step", [0, 2**32 + 3])
def test_a_gradient_is_the_references(compiled_backend, step, dtype, sparse):
    spec = SPEC.with_dropout([0.5, 0.3])
    data = problem(spec, N_ROWS, dtype)
    data = as_csr(data) if sparse else data
    state = fresh_state(spec, SGD(), dtype, n_members=3)
    state = replace(state, seeds=np.array([0, 7, 2**32 - 1], np.uint32), step=step)
    grads, sums = {}, {}
    for name in (compiled_backend, "numpy"):
        engine = load(name).engine(spec, np.dtype(dtype))
        grads[name] = np.empty_like(state.params)
        sums[name] = engine.gradient(state, data, np.arange(N_ROWS)[None], grads[name])
    rtol = 1e-10 if dtype == np.float64 else 1e-4
    np.testing.assert_allclose(sums[compiled_backend], sums["numpy"], rtol=rtol)
    np.testing.assert_allclose(
        grads[compiled_backend], grads["numpy"], rtol=rtol, atol=N_ROWS * rtol / 100
    )


def test_members_share_a_single_seed(backend):
    spec = SPEC.with_dropout(0.5)
    data, one = problem(spec, 30), fresh_state(spec, SGD())
    twice = replace(one, params=np.repeat(one.params, 2, axis=0))
    grad = np.empty_like(twice.params)
    load(backend).engine(spec, np.dtype(np.float64)).gradient(
        twice, data, np.arange(30)[None], grad
    )
    np.testing.assert_array_equal(grad[0], grad[1])


def test_a_seed_changes_nothing_where_there_is_no_dropout(backend):
    data, plan = problem(SPEC, 30), Plan(SGD(), 10)
    passes = Passes(np.arange(30)[None, None], np.full((1, 1, 3), 0.1))
    plain = fresh_state(SPEC, SGD())
    seeded = replace(copy_state(plain), seeds=np.array([9], np.uint32))
    for state in (plain, seeded):
        load(backend).engine(SPEC, np.dtype(np.float64)).trainer(plan).train(state, data, passes)
    np.testing.assert_array_equal(seeded.params, plain.params)
