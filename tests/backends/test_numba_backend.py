"""Does the Numba backend compute what the reference does, also without a cache or wide vectors?"""

from __future__ import annotations

import importlib
import itertools
import os
import platform
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from support.problems import LOSS_VARIANTS, RULES, as_csr, copy_state, fresh_state, problem

import fastnn
from fastnn import backends
from fastnn._optional import install
from fastnn.backends import load
from fastnn.backends.base import Data, Passes, Plan
from fastnn.core.activations import ACTIVATIONS
from fastnn.core.network import NetworkSpec
from fastnn.core.optimizers import SGD, Adam

pytest.importorskip("numba", reason="the Numba backend needs numba: pip install fastnn[numba]")

kernels = importlib.import_module("fastnn.backends.numba.passes")
KERNELS = kernels.forward, kernels.gradient, kernels.train
SIZES = [*range(1, 10), 15, 16, 17, 31, 32, 33, 63, 64, 65, 100]  # around vectors and tiles
TOLERANCE = {np.float64: {"rtol": 1e-11, "atol": 1e-13}, np.float32: {"rtol": 3e-4, "atol": 3e-5}}


@pytest.fixture(autouse=True)
def names_the_backend(request: pytest.FixtureRequest) -> None:
    """For the list of tested backends, see conftest.py."""
    request.node.user_properties.append(("backend", "numba"))


each_dtype = pytest.mark.parametrize("dtype", [np.float64, np.float32], ids=["float64", "float32"])


def passes(n_rows: int, batch: int, n_passes: int = 2) -> Passes:
    """Shuffled visits."""
    rng = np.random.default_rng(1)
    rows = np.array([[rng.permutation(n_rows) for _ in range(n_passes)]])
    return Passes(rows, rng.uniform(0.001, 0.02, (1, n_passes, -(-n_rows // batch))))


def engines(spec: NetworkSpec, dtype):
    """The reference and the one under test."""
    return [load(name).engine(spec, np.dtype(dtype)) for name in ("numpy", "numba")]


def assert_agree(spec: NetworkSpec, plan: Plan, data: Data, work: Passes, dtype) -> None:
    """Same gradient, same raw outputs and, after training, same parameters, memory and losses."""
    reference, engine = engines(spec, dtype)
    close = TOLERANCE[dtype]
    state = fresh_state(spec, plan.optimizer, dtype)
    expected_grad, grad = np.empty_like(state.params), np.full_like(state.params, np.nan)
    batch = work.rows[:, 0, : plan.batch_size]
    expected_sums = reference.gradient(state, data, batch, expected_grad)
    np.testing.assert_allclose(engine.gradient(state, data, batch, grad), expected_sums, **close)
    n = batch.size  # the tolerance is one of a mean
    np.testing.assert_allclose(grad / n, expected_grad / n, **close)

    raw = np.empty((2, data.X.shape[0], spec.n_out), dtype)
    for e, out in zip((reference, engine), raw, strict=True):
        e.forward(state.params[0], data.X, out)
    np.testing.assert_allclose(raw[1], raw[0], **close)

    expected = copy_state(state)
    losses = engine.trainer(plan).train(state, data, work)
    expected_losses = reference.trainer(plan).train(expected, data, work)
    np.testing.assert_allclose(losses, expected_losses, **close)
    np.testing.assert_allclose(state.params, expected.params, **close)
    np.testing.assert_allclose(state.slots, expected.slots, **close)
    assert state.step == expected.step


@each_dtype
@pytest.mark.parametrize(
    ("activation", "loss"),
    dict.fromkeys(  # each of both, in pairs
        [
            *zip(ACTIVATIONS, itertools.cycle(LOSS_VARIANTS)),
            *zip(itertools.cycle(ACTIVATIONS), LOSS_VARIANTS),
        ]
    ),
)
def test_agrees_for_every_activation_loss_optimizer_and_input(activation, loss, dtype):
    n_out = 1 if loss == "binary_log_loss" else 3
    spec = NetworkSpec.dense([6, 18, 7, n_out], activation, LOSS_VARIANTS[loss])
    for optimizer, sparse, weighted in itertools.product(RULES, [False, True], [False, True]):
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
    assert_agree(spec, Plan(SGD(), 8), data, passes(20, 8), np.float64)
    compiled = [len(one.signatures) for one in KERNELS]
    X = data.X
    X.indices, X.indptr = X.indices.astype(np.int64), X.indptr.astype(np.int64)
    X.indices[X.indptr[0] + 1] = X.indices[X.indptr[0]]  # the first row names one column twice
    assert_agree(spec, Plan(SGD(), 8), data, passes(20, 8), np.float64)
    # They are read in 32 bits, which hold them: no other kernels are compiled for long ones.
    assert [len(one.signatures) for one in KERNELS] == compiled


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
        for engine, result in zip(engines(spec, dtype), out, strict=True):
            engine.forward(params, z[:, None], result)
    # SciPy's expit is 0 in float32 before z times it is below the normal numbers.
    info = np.finfo(dtype)
    np.testing.assert_allclose(out[1], out[0], rtol=4 * info.eps, atol=100 * info.tiny)


@each_dtype
@pytest.mark.parametrize("loss", LOSS_VARIANTS)
def test_extreme_outputs_give_the_reference_loss(loss, dtype):
    """Clipped where the reference clips, infinite or NaN where it is."""
    spec = NetworkSpec.dense([2, 2], "identity", LOSS_VARIANTS[loss])
    params = np.array([1, 0, 0, 1, 0, 0], dtype)
    X = np.array(
        [[1, 2], [800, -800], [-800, 800], [40, -40], [17, 0], [-60, 60], [np.inf, 0], [np.nan, 0]],
        dtype,
    )
    y = np.array([[0, 1]] * len(X), dtype)
    data = Data(X, np.ones(len(X), np.int32) if spec.loss.y_is_codes else y)
    for row in range(len(X)):
        results = []
        for engine in engines(spec, dtype):
            state, grad = fresh_state(spec, SGD(), dtype), np.empty((1, 6), dtype)
            state.params[:] = params
            with np.errstate(all="ignore"):
                (value,), _ = engine.gradient(state, data, np.array([[row]]), grad)
            results.append((value, grad))
        (expected, expected_grad), (value, grad) = results
        eps = np.finfo(dtype).eps
        close = {"rtol": 20 * eps, "atol": 4 * eps, "err_msg": f"row {X[row]}"}
        np.testing.assert_allclose(value, expected, **close)
        np.testing.assert_allclose(grad, expected_grad, **close)


def test_a_relu_at_zero_has_no_slope():
    spec = NetworkSpec.dense([1, 1, 1], "relu", "squared_error")
    engine = engines(spec, np.float64)[1]
    state, grad = fresh_state(spec, SGD()), np.empty((1, 4))
    state.params[:] = [0, 1, 0, 0]
    engine.gradient(state, Data(np.ones((1, 1)), np.ones((1, 1))), np.array([[0]]), grad)
    np.testing.assert_array_equal(grad, [[0, 0, 0, -1]])


def test_a_batch_of_no_weight_changes_nothing_but_the_momentum():
    spec = NetworkSpec.dense([3, 4, 1], "tanh", "squared_error")
    data = problem(spec, 10)
    data = Data(data.X, data.y, np.where(np.arange(10) < 5, 0.0, 1.0))
    rows = np.arange(10)[None, None]
    for optimizer in (SGD(), Adam()):
        results = []
        for engine in engines(spec, np.float64):
            state = fresh_state(spec, optimizer)
            work = Passes(rows[..., ::-1], np.full((1, 1, 2), 0.01))
            losses = engine.trainer(Plan(optimizer, 5, alpha=0.5)).train(state, data, work)
            results.append(np.concatenate([losses[0], state.params[0], state.slots.ravel()]))
        np.testing.assert_allclose(*results, **TOLERANCE[np.float64])


def test_numbers_too_small_to_be_normal_are_zero_inside_and_unharmed_outside():
    """Training flushes them, for they would double its time; the caller's must not notice."""
    tiny = np.full(4, 1e-310)
    spec = NetworkSpec.dense([3, 2, 1], "tanh", "squared_error")
    data, engine = problem(spec, 8), engines(spec, np.float64)[1]
    state = fresh_state(spec, Adam())
    engine.trainer(Plan(Adam(), 4)).train(state, data, passes(8, 4))
    engine.gradient(state, data, np.arange(8)[None], np.empty_like(state.params))
    assert (tiny * 0.5 != 0).all()


def test_other_precisions_are_refused_with_the_reason():
    spec = NetworkSpec.dense([1, 1], "relu", "squared_error")
    with pytest.raises(ValueError, match="computes in float32 or float64, not in float16"):
        backends.choose("numba", spec, np.dtype(np.float16))
    assert load("numba").supports(spec, np.dtype(np.float32)) is None


# In a process of its own

# One call of ``forward``, which compiles sooner than the others, and with two activations.
FORWARD = """
import numpy as np
from fastnn.backends.numba import math
tanh, identity = (math._in_place(math.ACTIVATIONS[name][0]) for name in ("tanh", "identity"))
math.activate = math.by_code([tanh if name == "tanh" else identity for name in math.ACTIVATIONS])
from fastnn.backends import load
from fastnn.core.network import NetworkSpec, initialise

spec = NetworkSpec.dense([300, 40, 23, 3], "tanh", "log_loss")
rng = np.random.RandomState(0)
params, X = initialise(spec, np.dtype(np.float64), rng), rng.normal(size=(41, 300))
out, expected = np.empty((2, 41, 3))
for name, result in (("numba", out), ("numpy", expected)):
    load(name).engine(spec, np.dtype(np.float64)).forward(params, X, result)
np.testing.assert_allclose(out, expected, rtol=1e-11, atol=1e-13)
from fastnn.backends.numba import compiler, passes
hits, misses = passes.forward.stats.cache_hits, passes.forward.stats.cache_misses
print(sum(hits.values()), sum(misses.values()), compiler.VECTOR_BYTES)
"""
ROOT = Path(fastnn.__file__).parents[1]  # the folder that the package is in


def run(code: str, root: Path = ROOT, **environment: str) -> str:
    """What a fresh interpreter prints."""
    paths = os.pathsep.join(path for path in (str(root), os.environ.get("PYTHONPATH", "")) if path)
    environment = {**os.environ, "PYTHONPATH": paths, **environment}
    done = subprocess.run(
        [sys.executable, "-c", code],
        env=environment,
        cwd=root,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


# A function that is cached, as those of passes.py, and one of another file that it calls.
CALLED = """

@fast
def called():
    return {}
"""
CACHED = """

from fastnn.backends.numba.math import called

@entry
def cached(layers):
    return called() * layers.size
"""
CALL = """
import numpy as np
from fastnn.backends.numba import layout, passes

print(passes.cached(np.zeros(1, layout.LAYER)))
stats = passes.cached.stats
print(sum(stats.cache_hits.values()), sum(stats.cache_misses.values()))
"""


def test_code_is_found_on_disk_until_a_file_changes(tmp_path):
    """By the next process, and any file: also one whose functions are not cached by themselves."""
    shutil.copytree(ROOT / "fastnn", tmp_path / "fastnn", ignore=shutil.ignore_patterns("*.so"))
    package = tmp_path / "fastnn/backends/numba"
    math = (package / "math.py").read_text()

    def value_hits_and_misses() -> list[str]:
        return run(CALL, tmp_path, NUMBA_CACHE_DIR=str(tmp_path / "cache")).split()

    (package / "passes.py").write_text((package / "passes.py").read_text() + CACHED)
    (package / "math.py").write_text(math + CALLED.format(1))
    assert value_hits_and_misses() == ["1", "0", "1"]
    assert value_hits_and_misses() == ["1", "1", "0"]
    (package / "math.py").write_text(math + CALLED.format(2))
    assert value_hits_and_misses() == ["2", "0", "1"]


@pytest.mark.skipif(
    platform.machine() not in ("x86_64", "AMD64"), reason="the processors named are x86-64's"
)
@pytest.mark.parametrize(
    ("cpu", "features", "width"), [("generic", "", 16), ("haswell", "+avx,+avx2,+fma", 32)]
)
def test_agrees_with_shorter_vectors_and_where_nothing_can_be_cached(cpu, features, width):
    """As from a read-only installation without a home directory: Numba has no place for a cache."""
    no_place = "from numba.core import caching; caching.CacheImpl._locator_classes = []\n"
    printed = run(no_place + FORWARD, NUMBA_CPU_NAME=cpu, NUMBA_CPU_FEATURES=features)
    assert printed == f"0 1 {width}"


def test_numba_is_imported_by_its_backend_alone_and_compiles_nothing_then():
    code = """
import sys, fastnn.backends
print("numba" in sys.modules)
fastnn.backends.load("numba")
from fastnn.backends.numba import math, passes, tile
for module in (math, passes, tile):
    print([name for name, value in vars(module).items() if getattr(value, "signatures", None)])
"""
    assert run(code).split() == ["False", "[]", "[]", "[]"]


def test_a_missing_numba_is_an_import_error_that_names_the_extra():
    code = """
import sys
sys.modules["numba"] = None
from fastnn.backends import why_not
print(why_not("numba"))
"""
    reason = run(code)
    assert "it needs Numba, which cannot be imported" in reason
    assert install("numba") in reason
    assert '[numba]"' in reason
