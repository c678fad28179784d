"""Does training in bfloat16 round what it says, and sum in the order that it says?"""

from __future__ import annotations

from contextlib import nullcontext
from dataclasses import replace

import numpy as np
import pytest
from support import instruction_sets
from support.problems import as_csr, fresh_state, problem

from fastnn.backends import choose, load, threads
from fastnn.backends.base import Data, Passes, Plan
from fastnn.core.bfloat16 import rounded
from fastnn.core.embedding import Embedding
from fastnn.core.network import NetworkSpec
from fastnn.core.optimizers import SGD, Adam

FLOAT32 = np.dtype(np.float32)
# Around 32 members of a sum, tiles and vectors; 1100 rows are two blocks.
SHAPES = {
    "odd": ([33, 47, 18, 3], 77),
    "blocks": ([5, 70, 40, 13], 1100),
    "inputs beyond a cache": ([700, 16, 1], 31),
    "one of each": ([1, 1, 1], 1),
}
each_shape = pytest.mark.parametrize(("units", "n_rows"), SHAPES.values(), ids=SHAPES)


@pytest.fixture
def rounding_backend(backend):
    if backend == "numba":
        pytest.skip("Numba does not train in bfloat16")
    return backend


ADAM = Adam()


def network(units, loss="squared_error", activation="relu", bfloat16=True) -> NetworkSpec:
    return replace(NetworkSpec.dense(units, activation, loss), bfloat16=bfloat16)


def gradient_of(backend: str, spec: NetworkSpec, data: Data, state) -> np.ndarray:
    grad = np.empty_like(state.params)
    rows = np.arange(data.X.shape[0])[None]
    load(backend).engine(spec, FLOAT32).gradient(state, data, rows, grad)
    return grad[0]


def in_order(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """``a @ b`` as csrc/README.md defines it, one number after the other.

    A product of two numbers of 8 bits is exact, so that adding it is a fused multiply-add.
    """
    a, b = rounded(a), rounded(b)
    total = np.zeros((len(a), b.shape[1]), np.float32)
    for start in range(0, len(b), 32):
        apart = np.zeros((2, *total.shape), np.float32)
        for i in range(start, min(start + 32, len(b))):
            apart[i % 2] += a[:, i, None] * b[i]
        total += apart[0] + apart[1]
    return total


def weight_gradients(spec: NetworkSpec, params: np.ndarray, data: Data, product) -> list:
    """Of a ReLU network with squared error, whose elementwise arithmetic is exact in any order."""
    coefs, intercepts = spec.layout.coefs(params), spec.layout.intercepts(params)
    inputs = [data.X]
    for W, b in zip(coefs, intercepts, strict=True):
        inputs.append(np.maximum(product(inputs[-1], W) + b, 0))
    inputs[-1] = product(inputs[-2], coefs[-1]) + intercepts[-1]
    delta, found = inputs[-1] - data.y, []
    for a, W in zip(reversed(inputs[:-1]), reversed(coefs), strict=True):
        found.append(product(a.T, delta))
        delta = product(delta, W.T) * (a > 0)
    return found[::-1]


@each_shape
def test_products_are_those_of_the_definition_bit_for_bit(backend, units, n_rows):
    if backend != "cython":
        pytest.skip("only compiled sums have the order of the definition")
    spec = network(units)
    data, state = problem(spec, n_rows, FLOAT32), fresh_state(spec, SGD(), FLOAT32)
    found = spec.layout.coefs(gradient_of(backend, spec, data, state))
    for ours, expected in zip(
        found, weight_gradients(spec, state.params[0], data, in_order), strict=True
    ):
        np.testing.assert_array_equal(ours, expected)


@each_shape
def test_the_reference_rounds_the_same_operands(units, n_rows):
    spec = network(units)
    data, state = problem(spec, n_rows, FLOAT32), fresh_state(spec, SGD(), FLOAT32)
    found = gradient_of("numpy", spec, data, state)
    plain = gradient_of("numpy", replace(spec, bfloat16=False), data, state)
    of_weights = spec.layout.weights[-1].stop
    expected = np.concatenate(
        [g.ravel() for g in weight_gradients(spec, state.params[0], data, in_order)]
    )
    size = np.linalg.norm(expected)
    assert np.linalg.norm(found[:of_weights] - expected) < 1e-6 * size
    assert np.linalg.norm(plain[:of_weights] - expected) > 1e-3 * size  # what rounding changes


KINDS = {
    "tanh": {"activation": "tanh"},
    "gelu": {"activation": "gelu"},  # keeps slopes
    "one class of many": {"loss": "log_loss", "activation": ["relu", "selu"]},
}


@pytest.mark.parametrize("kind", KINDS.values(), ids=KINDS)
@pytest.mark.parametrize("sparse", [False, True], ids=["dense", "csr"])
@pytest.mark.parametrize("dropout", [0.0, 0.4])
def test_backends_agree(rounding_backend, kind, sparse, dropout):
    spec = network([20, 35, 50, 9], **kind).with_dropout(dropout)
    data = problem(spec, 75, FLOAT32, weighted=True)
    data = as_csr(data) if sparse else data
    state = fresh_state(spec, SGD(), FLOAT32)
    expected = gradient_of("numpy", spec, data, state)
    found = gradient_of(rounding_backend, spec, data, state)
    plain = gradient_of("numpy", replace(spec, bfloat16=False), data, state)
    # An activation or a delta now and then falls to the other side of a rounding.
    size = np.linalg.norm(expected)
    assert np.linalg.norm(found - expected) < 1e-3 * size
    assert np.linalg.norm(plain - expected) > 2e-3 * size


def test_of_an_encoded_table_the_dense_layers_round(rounding_backend):
    edges = ((0.0, 1.0, 2.0, 3.0), (-1.0, 0.0, 1.0))
    embedding = Embedding(edges, size=5, n_indicators=2, hot=(1.0,) * 6)
    spec = replace(network([embedding.n_out, 20, 1], activation="tanh"), embedding=embedding)
    data = problem(spec, 40, FLOAT32)
    state = fresh_state(spec, SGD(), FLOAT32)
    found = gradient_of(rounding_backend, spec, data, state)
    expected = gradient_of("numpy", spec, data, state)
    plain = gradient_of("numpy", replace(spec, bfloat16=False), data, state)
    for segment in (*spec.layout.weights, *spec.layout.embedding):
        ours, theirs, exact = (segment.view(grad) for grad in (found, expected, plain))
        size = np.linalg.norm(theirs)
        assert np.linalg.norm(ours - theirs) < 2e-4 * size
        assert np.linalg.norm(exact - theirs) > 5e-4 * size


def worth_all(engine, call) -> int:
    return engine.n_threads


def trained(backend, spec, data, n_threads, n_members, optimizer=ADAM):
    """Parameters and losses after a pass."""
    plan = Plan(optimizer, 200, alpha=0.01)
    state = fresh_state(spec, plan.optimizer, FLOAT32, n_members=n_members)
    rows = np.random.default_rng(0).permutation(len(data.y))[None, None]
    passes = Passes(rows, np.full((1, 1, -(-rows.size // 200)), 1e-3))
    losses = load(backend).engine(spec, FLOAT32, n_threads).trainer(plan).train(state, data, passes)
    return state, losses


@pytest.mark.parametrize("n_members", [1, 3])
def test_neither_threads_nor_members_change_a_bit(backend, monkeypatch, n_members):
    if backend != "cython":
        pytest.skip("the others compute in the calling thread")
    granted = []
    monkeypatch.setattr(threads, "reserve", lambda n: nullcontext(granted.append(n) or n))
    monkeypatch.setattr("fastnn.backends.cython_backend.CythonEngine._worth", worth_all)
    spec = network([200, 300, 100, 10], "log_loss").with_dropout(0.3)
    data = problem(spec, 230, FLOAT32, weighted=True)
    expected, losses = trained(backend, spec, data, 1, 3)
    for n_threads in [2, 3]:
        state, found = trained(backend, spec, data, n_threads, n_members)
        np.testing.assert_array_equal(state.params, expected.params[:n_members])
        np.testing.assert_array_equal(found, losses[:n_members])
    assert granted == [1, 2, 3]


@pytest.fixture(params=instruction_sets.VECTORS_OF.items(), ids=str)
def tiles_and_vectors(request, monkeypatch):
    """A function that switches the compiled backend to tiles, or to the vectors they go with."""
    compiled = pytest.importorskip(
        "fastnn.backends.cython_backend", reason="no C extension", exc_type=ImportError
    )
    if missing := set(request.param) - set(compiled.BACKEND.available):
        pytest.skip(f"this CPU cannot run {', '.join(sorted(missing))}")
    tiles, vectors = request.param

    def switch(with_tiles: bool) -> None:
        monkeypatch.setattr(compiled.BACKEND, "isa", tiles if with_tiles else vectors)

    return switch


def bits(numbers: np.ndarray) -> np.ndarray:
    """Of float32 numbers; those of NaN, whose other bits mean nothing, are alike."""
    return np.where(np.isnan(numbers), np.float32(np.nan), numbers).view(np.uint32)


SPECIAL = [0x00800000, 0x007FFFFF, 0x80000001, 0x7F7FFFFF, 0xFF7FFFFF, 0x7F800000, 0x7F800001]


@each_shape
@pytest.mark.parametrize("n_special", [0, 1, 3])
def test_tiles_compute_what_vectors_do(tiles_and_vectors, units, n_rows, n_special):
    """Tiny, huge, denormal and infinite numbers and NaN included."""
    spec = network(units, activation="identity")
    data, state = problem(spec, n_rows, FLOAT32), fresh_state(spec, SGD(), FLOAT32)
    rng = np.random.default_rng(n_special)
    for numbers in (data.X, state.params) if n_special else ():
        numbers *= np.exp2(rng.integers(-70, 20, numbers.shape)).astype(np.float32)
        where = rng.integers(0, numbers.size, n_special)
        numbers.flat[where] = rng.choice(np.array(SPECIAL, np.uint32), n_special).view(np.float32)
    found = []
    for with_tiles in (True, False):
        tiles_and_vectors(with_tiles)
        found.append(bits(gradient_of("cython", spec, data, state)))
    np.testing.assert_array_equal(*found)


@pytest.mark.parametrize("kind", ["dense", "csr", "encoded"])
@pytest.mark.parametrize("n_threads", [1, 3])
def test_a_fit_in_tiles_has_the_bits_of_one_in_vectors(
    tiles_and_vectors, monkeypatch, kind, n_threads
):
    monkeypatch.setattr("fastnn.backends.cython_backend.CythonEngine._worth", worth_all)
    embedding = Embedding(((0.0, 1.0, 2.0), (-1.0, 0.0, 1.0)), size=9, n_indicators=2)
    spec = network([embedding.n_out, 70, 33, 10], "log_loss", ["gelu", "relu"]).with_dropout(0.3)
    spec = replace(spec, embedding=embedding if kind == "encoded" else None)
    data = problem(spec, 430, FLOAT32, weighted=True)  # its last batch ends within half a tile
    data = as_csr(data) if kind == "csr" else data
    found = []
    for with_tiles in (True, False):
        tiles_and_vectors(with_tiles)
        state, losses = trained("cython", spec, data, n_threads, 2, Adam(max_norm=0.1, ema=0.9))
        found.append([bits(state.params), bits(state.slots), losses])
    for tiles, vectors in zip(*found, strict=True):
        np.testing.assert_array_equal(tiles, vectors)


def test_bfloat16_is_fast_where_there_are_instructions_for_it():
    compiled = pytest.importorskip(
        "fastnn.backends.cython_backend", reason="no C extension", exc_type=ImportError
    )
    for isa in set(compiled.BACKEND.available) - {"amx"}:  # which the system may refuse
        found = compiled.CythonBackend(isa).has_fast_bfloat16
        assert found == (isa in instruction_sets.VECTORS_OF), isa


def test_predictions_are_those_of_float32(rounding_backend):
    spec = network([20, 30, 3], "log_loss")
    data = problem(spec, 50, FLOAT32)
    params = fresh_state(spec, SGD(), FLOAT32).params[0]
    found, expected = np.empty((2, 50, 3), FLOAT32)
    load(rounding_backend).engine(spec, FLOAT32).predict(params, data.X, found)
    exact = replace(spec, bfloat16=False)
    load(rounding_backend).engine(exact, FLOAT32).predict(params, data.X, expected)
    np.testing.assert_array_equal(found, expected)


def test_special_numbers_round_as_the_processors_instructions_do():
    given = np.array(
        [0x3F808000, 0x3F818000, 0x3F808001, 0x7F7FFFFF, 0x7F800000, 0x007FFFFF, 0x80000001],
        np.uint32,
    )  # two ties, just above a tie, the largest number, infinity, two denormals
    nearest = [0x3F800000, 0x3F820000, 0x3F810000, 0x7F800000, 0x7F800000, 0, 0x80000000]
    found = rounded(given.view(np.float32))
    np.testing.assert_array_equal(found.view(np.uint32), np.array(nearest, np.uint32))
    for bits in (0x7FFFFFFF, 0x7F800001, 0xFFFFFFFF):
        assert np.isnan(rounded(np.array([bits], np.uint32).view(np.float32))).all()


def test_what_is_not_finite_stays_so(rounding_backend):
    spec = network([40, 3], activation="identity")
    data = problem(spec, 9, FLOAT32)
    state = fresh_state(spec, SGD(), FLOAT32)
    data.X[4, 7], data.X[5, 8] = np.array([0x7F800001, 0x7F7FFFFF], np.uint32).view(np.float32)
    with np.errstate(over="ignore", invalid="ignore"):
        grad = gradient_of(rounding_backend, spec, data, state)
    assert np.isnan(spec.layout.coefs(grad)[0]).all()


def test_what_is_missing_counts_as_zero(backend):
    """Beside the last row there is nothing that infinity would turn into NaN."""
    if backend != "cython":
        pytest.skip("the others have no vectors to fill")
    spec = network([40, 3], activation="identity")
    data = problem(spec, 9, FLOAT32)
    data.X[8, 7] = np.array([0x7F7FFFFF], np.uint32).view(np.float32)[0]
    grad = gradient_of(backend, spec, data, fresh_state(spec, SGD(), FLOAT32))
    assert np.isinf(spec.layout.coefs(grad)[0][7]).all()


@pytest.mark.parametrize(("n_rows", "sign"), [(68, 0), (96, 0x80000000)])
def test_a_sum_that_was_flushed_to_zero_keeps_its_sign_beside_its_like(backend, n_rows, sign):
    """What is missing in the last 32 is added as 0, as a tile's padding is."""
    if backend != "cython":
        pytest.skip("NumPy flushes nothing")
    spec = network([1, 1])
    data = Data(np.full((n_rows, 1), 2.0**-60, np.float32), np.zeros((n_rows, 1), np.float32))
    for first in (0, 64, 65):  # two whose sum is flushed to -0: the whole, the even ones, the odd
        data.y[[first, first + (2 if first else 32)], 0] = -1.25 * 2.0**-66, 1.5 * 2.0**-66
    data.X[68:], data.y[68:] = -0.0, -1.0
    state = fresh_state(spec, SGD(), FLOAT32)
    state.params[...] = 0
    assert bits(gradient_of(backend, spec, data, state)[:1]) == sign


@pytest.mark.parametrize("name", ["numba", "numpy", "cython"])
def test_what_cannot_round_says_so(name):
    spec = network([3, 4, 1])
    reason = "to train in bfloat16 its numbers must be float32, not float64"
    if name == "numba":
        pytest.importorskip("numba")
        reason = "its kernels do not train in bfloat16; backend='cython' and 'numpy' do"
    with pytest.raises(ValueError, match=f"backend='{name}' cannot run this network: {reason}"):
        choose(name, spec, np.dtype(np.float64))
    if name == "numba":
        with pytest.raises(ValueError, match=reason):
            choose(name, spec, FLOAT32)
