"""Does the Numba backend compute what the NumPy reference does, and keep to itself where Numba or its cache is missing?"""

from __future__ import annotations

import itertools
import os
import platform
import subprocess
import sys
import threading
import time
from pathlib import Path

import numpy as np
import pytest
from support.problems import as_csr, copy_state, fresh_state, problem

from fastnn.backends import load
from fastnn.backends.base import Data, Passes, Plan
from fastnn.core.activations import ACTIVATIONS
from fastnn.core.losses import LOSSES
from fastnn.core.network import NetworkSpec
from fastnn.core.optimizers import SGD, Adam

pytest.importorskip("numba", reason="the Numba backend needs numba: pip install fastnn[numba]")

SIZES = [
    *range(1, 10),
    15,
    16,
    17,
    31,
    32,
    33,
    63,
    64,
    65,
    100,
]  # around vectors and tiles of either precision
OPTIMIZERS = [SGD(0.0, False), SGD(0.9, False), SGD(0.8, True), Adam(), Adam(0.5, 0.9, 1e-3)]
TOLERANCE = {np.float64: {"rtol": 1e-11, "atol": 1e-13}, np.float32: {"rtol": 3e-4, "atol": 3e-5}}


@pytest.fixture(autouse=True)
def names_the_backend(request: pytest.FixtureRequest) -> None:
    """For the list of tested backends, see conftest.py."""
    request.node.user_properties.append(("backend", "numba"))


each_dtype = pytest.mark.parametrize("dtype", [np.float64, np.float32], ids=["float64", "float32"])


def passes(n_rows: int, batch: int, n_passes: int = 2) -> Passes:
    """Shuffled visits."""
    rng = np.random.default_rng(1)
    rows = np.array([rng.permutation(n_rows) for _ in range(n_passes)])
    return Passes(rows, rng.uniform(0.001, 0.02, (n_passes, -(-n_rows // batch))))


def engines(spec: NetworkSpec, plan: Plan, dtype):
    """The reference and the one under test."""
    return load("numpy").engine(spec, plan, np.dtype(dtype)), load("numba").engine(
        spec, plan, np.dtype(dtype)
    )


def assert_agree(spec: NetworkSpec, plan: Plan, data: Data, work: Passes, dtype) -> None:
    """Same gradient, same raw outputs and, after training, same parameters, memory and losses."""
    reference, engine = engines(spec, plan, dtype)
    close = TOLERANCE[dtype]
    state = fresh_state(spec, plan.optimizer, dtype)
    expected_grad, grad = np.empty_like(state.params), np.full_like(state.params, np.nan)
    batch = work.rows[0, : plan.batch_size]
    expected_loss, loss = (
        e.loss_grad(state, data, batch, g) for e, g in ((reference, expected_grad), (engine, grad))
    )
    np.testing.assert_allclose(loss, expected_loss, **close)
    np.testing.assert_allclose(grad, expected_grad, **close)

    raw = np.empty((2, data.X.shape[0], spec.n_out), dtype)
    for e, out in zip((reference, engine), raw, strict=True):
        e.forward(state.params, data.X, out)
    np.testing.assert_allclose(raw[1], raw[0], **close)

    expected = copy_state(state)
    np.testing.assert_allclose(
        engine.train(state, data, work), reference.train(expected, data, work), **close
    )
    np.testing.assert_allclose(state.params, expected.params, **close)
    np.testing.assert_allclose(state.slots, expected.slots, **close)
    assert state.step == expected.step


@each_dtype
@pytest.mark.parametrize("loss", LOSSES)
@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_agrees_for_every_activation_loss_optimizer_and_input(activation, loss, dtype):
    spec = NetworkSpec.dense([6, 18, 7, 1 if loss == "binary_log_loss" else 3], activation, loss)
    for optimizer, sparse, weighted in itertools.product(OPTIMIZERS, [False, True], [False, True]):
        data = problem(spec, 23, dtype, seed=3, weighted=weighted)
        assert_agree(
            spec,
            Plan(optimizer, 9, alpha=0.3),
            as_csr(data) if sparse else data,
            passes(23, 9),
            dtype,
        )


@each_dtype
@pytest.mark.parametrize("size", SIZES)
def test_agrees_for_sizes_around_vectors_and_tiles(size, dtype):
    plan = Plan(SGD(), batch_size=size, alpha=0.1)
    for units, loss in (
        ([size, size, 1], "squared_error"),
        ([5, size, size, 2], "binary_log_loss"),
        ([3, 4, size], "poisson"),
        ([size, max(size, 2)], "log_loss"),
        ([size, 1], "binary_log_loss"),
    ):
        spec = NetworkSpec.dense(units, "tanh", loss)
        assert_agree(
            spec, plan, problem(spec, 2 * size + 1, dtype), passes(2 * size + 1, size), dtype
        )


@each_dtype
def test_agrees_for_batches_of_many_blocks_and_long_sums(dtype):
    spec = NetworkSpec.dense([600, 130, 4], "logistic", "log_loss")
    data = problem(spec, 1100, dtype, weighted=True)
    plan = Plan(Adam(epsilon=1e-2), batch_size=700, alpha=0.1)
    assert_agree(spec, plan, data, passes(1100, 700), dtype)
    assert_agree(spec, plan, as_csr(data), passes(1100, 700), dtype)


def test_sparse_input_may_use_long_indices_and_repeat_entries():
    spec = NetworkSpec.dense([6, 5, 2], "relu", "squared_error")
    data = as_csr(problem(spec, 20))
    X = data.X
    X.indices, X.indptr = X.indices.astype(np.int64), X.indptr.astype(np.int64)
    X.indices[X.indptr[0] + 1] = X.indices[X.indptr[0]]  # the first row names one column twice
    assert_agree(spec, Plan(SGD(), 8), data, passes(20, 8), np.float64)


def test_arrays_may_be_read_only():
    spec = NetworkSpec.dense([4, 3, 1], "relu", "squared_error")
    data = problem(spec, 10, weighted=True)
    for array in (data.X, data.y, data.weight):
        array.flags.writeable = False
    assert_agree(spec, Plan(SGD(), 4), data, passes(10, 4), np.float64)


@each_dtype
@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_special_values_keep_their_meaning(activation, dtype):
    z = np.array(
        [np.nan, np.inf, -np.inf, 0.0, -0.0, 1e4, -1e4, 90, -90, 720, -720, 1e-30, -1e-30], dtype
    )
    spec = NetworkSpec.dense([1, 1, 1], activation, "squared_error")
    params = np.array([1, 1, 0, 0], dtype)
    out = np.empty((2, len(z), 1), dtype)
    with np.errstate(all="ignore"):
        for engine, result in zip(engines(spec, Plan(SGD()), dtype), out, strict=True):
            engine.forward(params, z[:, None], result)
    np.testing.assert_allclose(
        out[1], out[0], rtol=4 * np.finfo(dtype).eps, atol=np.finfo(dtype).tiny
    )


@each_dtype
@pytest.mark.parametrize("loss", LOSSES)
def test_extreme_outputs_give_the_reference_loss(loss, dtype):
    """Clipped where the reference clips, infinite or NaN where it is."""
    spec = NetworkSpec.dense([2, 2], "identity", loss)
    params = np.array([1, 0, 0, 1, 0, 0], dtype)
    X = np.array(
        [[1, 2], [800, -800], [-800, 800], [40, -40], [17, 0], [-60, 60], [np.inf, 0], [np.nan, 0]],
        dtype,
    )
    y = np.array([[0, 1]] * len(X), dtype)
    data = Data(X, np.ones(len(X), np.int32) if LOSSES[loss].y_is_codes else y)
    for row in range(len(X)):
        results = []
        for engine in engines(spec, Plan(SGD()), dtype):
            state, grad = fresh_state(spec, SGD(), dtype), np.empty(6, dtype)
            state.params[:] = params
            with np.errstate(all="ignore"):
                results.append((engine.loss_grad(state, data, np.array([row]), grad), grad))
        (expected, expected_grad), (value, grad) = results
        eps = np.finfo(dtype).eps
        np.testing.assert_allclose(
            value, expected, rtol=20 * eps, atol=4 * eps, err_msg=f"row {X[row]}"
        )
        np.testing.assert_allclose(
            grad, expected_grad, rtol=20 * eps, atol=4 * eps, err_msg=f"row {X[row]}"
        )


def test_a_relu_at_zero_has_no_slope():
    spec = NetworkSpec.dense([1, 1, 1], "relu", "squared_error")
    engine = engines(spec, Plan(SGD()), np.float64)[1]
    state, grad = fresh_state(spec, SGD()), np.empty(4)
    state.params[:] = [0, 1, 0, 0]
    engine.loss_grad(state, Data(np.ones((1, 1)), np.ones((1, 1))), np.array([0]), grad)
    np.testing.assert_array_equal(grad, [0, 0, 0, -1])


def test_numbers_too_small_to_be_normal_are_zero_inside_and_unharmed_outside():
    """Training flushes them, for they would double its time; the caller's thread must not notice."""
    tiny = np.full(4, 1e-310)
    spec = NetworkSpec.dense([3, 2, 1], "tanh", "squared_error")
    data, engine = problem(spec, 8), engines(spec, Plan(Adam(), 4), np.float64)[1]
    engine.train(fresh_state(spec, Adam()), data, passes(8, 4))
    engine.loss_grad(fresh_state(spec, Adam()), data, np.arange(8), np.empty(spec.layout.n_params))
    assert (tiny * 0.5 != 0).all()


def test_fits_in_two_threads_run_at_once_and_change_no_number():
    spec = NetworkSpec.dense([40, 64, 64, 1], "relu", "squared_error")
    plan, data, work = (
        Plan(Adam(), 50),
        problem(spec, 5000, np.float32),
        passes(5000, 50, n_passes=10),
    )
    engine = load("numba").engine(spec, plan, np.dtype(np.float32))
    alone = fresh_state(spec, plan.optimizer, np.float32)
    engine.train(alone, data, work)

    states = [fresh_state(spec, plan.optimizer, np.float32) for _ in range(2)]
    ticks = []

    def fit(state):
        load("numba").engine(spec, plan, np.dtype(np.float32)).train(state, data, work)

    threads = [threading.Thread(target=fit, args=(state,)) for state in states]
    for thread in threads:
        thread.start()
    while any(
        thread.is_alive() for thread in threads
    ):  # only without the GIL can this loop turn while both calls run
        ticks.append(time.perf_counter())
        time.sleep(0)
    for thread in threads:
        thread.join()
    assert len(ticks) > 100
    for state in states:
        np.testing.assert_array_equal(state.params, alone.params)


def test_threads_may_share_an_engine_to_predict():
    spec = NetworkSpec.dense([30, 50, 3], "relu", "log_loss")
    engine = engines(spec, Plan(Adam()), np.float64)[1]
    state, X = fresh_state(spec, Adam()), np.random.default_rng(0).normal(size=(3000, 30))
    expected = np.empty((3000, 3))
    engine.forward(state.params, X, expected)
    outs = [np.empty_like(expected) for _ in range(4)]
    threads = [threading.Thread(target=engine.forward, args=(state.params, X, out)) for out in outs]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for out in outs:
        np.testing.assert_array_equal(out, expected)


def test_other_precisions_are_refused_with_the_reason():
    spec = NetworkSpec.dense([1, 1], "relu", "squared_error")
    assert "float32 or float64, not float16" in load("numba").supports(spec, np.dtype(np.float16))
    assert load("numba").supports(spec, np.dtype(np.float32)) is None


# In a process of its own

# One call of ``forward``, which is compiled and cached as the others are, but sooner.
FORWARD = """
import numpy as np
from fastnn.backends import load
from fastnn.backends.base import Plan
from fastnn.core.network import NetworkSpec, initialise
from fastnn.core.optimizers import SGD

spec = NetworkSpec.dense([300, 40, 23, 3], "tanh", "log_loss")
rng = np.random.RandomState(0)
params, X = initialise(spec, np.dtype(np.float64), rng), rng.normal(size=(41, 300))
out, expected = np.empty((2, 41, 3))
load("numba").engine(spec, Plan(SGD()), np.dtype(np.float64)).forward(params, X, out)
load("numpy").engine(spec, Plan(SGD()), np.dtype(np.float64)).forward(params, X, expected)
np.testing.assert_allclose(out, expected, rtol=1e-11, atol=1e-13)
from fastnn.backends.numba import kernels
hits, misses = kernels.forward.stats.cache_hits, kernels.forward.stats.cache_misses
print(sum(hits.values()), sum(misses.values()), kernels.VECTOR_BYTES)
"""


def run(code: str, **environment: str) -> str:
    """What a fresh interpreter prints."""
    root = str(Path(__file__).parents[2])
    paths = os.pathsep.join(path for path in (root, os.environ.get("PYTHONPATH", "")) if path)
    environment = {**os.environ, "PYTHONPATH": paths, **environment}
    done = subprocess.run(
        [sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def test_the_second_process_finds_the_first_ones_code_on_disk(tmp_path):
    hits_and_misses = [run(FORWARD, NUMBA_CACHE_DIR=str(tmp_path)).split()[:2] for _ in range(2)]
    assert hits_and_misses == [["0", "1"], ["1", "0"]]


def test_works_where_nothing_can_be_cached():
    """As from a read-only installation without a home directory: Numba then has no place for its cache."""
    run("from numba.core import caching; caching.CacheImpl._locator_classes = []" + FORWARD)


@pytest.mark.skipif(
    platform.machine() not in ("x86_64", "AMD64"), reason="the processors named are x86-64's"
)
@pytest.mark.parametrize(
    ("cpu", "features", "width"), [("generic", "", 16), ("haswell", "+avx,+avx2,+fma", 32)]
)
def test_agrees_on_machines_with_shorter_vectors(cpu, features, width):
    assert run(FORWARD, NUMBA_CPU_NAME=cpu, NUMBA_CPU_FEATURES=features).split()[2] == str(width)


def test_importing_fastnn_imports_no_numba():
    assert (
        run(
            "import sys, fastnn, fastnn.backends; fastnn.MLPClassifier; print('numba' in sys.modules)"
        )
        == "False"
    )


def test_nothing_is_compiled_by_importing_the_backend():
    code = """
from fastnn.backends import load
load("numba")
from fastnn.backends.numba import kernels
print([name for name, value in vars(kernels).items() if getattr(value, "signatures", None)])
"""
    assert run(code) == "[]"


def test_a_missing_numba_is_an_import_error_that_names_the_extra():
    code = """
import sys
sys.modules["numba"] = None
from fastnn.backends import why_not
print(why_not("numba"))
"""
    reason = run(code)
    assert "cannot be imported" in reason
    assert "pip install fastnn[numba]" in reason
