"""Does every engine keep the laws of fastnn/backends/base.py? Fit, partial_fit and L-BFGS are built on them."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace

import numpy as np
import pytest
from support.problems import as_csr, copy_state, fresh_state, problem

from fastnn.backends import load
from fastnn.backends import threads as workers
from fastnn.backends.base import Data, NotFinite, Passes, Plan
from fastnn.core.losses import LINKS, LOSSES
from fastnn.core.network import NetworkSpec
from fastnn.core.optimizers import SGD, Adam

OPTIMIZERS = {
    "plain": SGD(momentum=0.0, nesterov=False),
    "momentum": SGD(momentum=0.9, nesterov=False),
    "nesterov": SGD(momentum=0.8, nesterov=True),
    "adam": Adam(),
    "adam, other betas": Adam(beta_1=0.5, beta_2=0.9, epsilon=1e-3),
}
# 37 rows in batches of 10: three whole batches and a shorter one; widths on both sides of the
# vector and tile widths.
N_ROWS, BATCH = 37, 10
NETWORKS = {
    "linear": ([7, 1], "squared_error"),
    "narrow": ([3, 1, 2], "log_loss"),
    "usual": ([7, 20, 3], "log_loss"),
    "deep": ([17, 33, 8, 5, 1], "binary_log_loss"),
    "wide": ([5, 66, 31, 4], "squared_error"),
    "counts": ([4, 9, 2], "poisson"),
}
TOLERANCE = {np.float64: {"rtol": 1e-10, "atol": 1e-12}, np.float32: {"rtol": 2e-4, "atol": 2e-5}}

each_network = pytest.mark.parametrize(("units", "loss"), NETWORKS.values(), ids=NETWORKS)
each_optimizer = pytest.mark.parametrize("optimizer", OPTIMIZERS.values(), ids=OPTIMIZERS)
each_dtype = pytest.mark.parametrize("dtype", [np.float64, np.float32], ids=["float64", "float32"])
each_input = pytest.mark.parametrize("sparse", [False, True], ids=["dense", "csr"])


def network(units: list[int], loss: str, activation: str = "tanh") -> NetworkSpec:
    """A dense network; smooth by default, so that rounding cannot flip a neuron."""
    return NetworkSpec.dense(units, activation, loss)


def passes(n_rows: int, n_passes: int = 3, batch: int = BATCH, seed: int = 0) -> Passes:
    """Shuffled visits at rates that differ from step to step."""
    rng = np.random.default_rng(seed)
    rows = np.array([rng.permutation(n_rows) for _ in range(n_passes)], dtype=np.int64)
    return Passes(rows, rng.uniform(0.001, 0.02, (n_passes, -(-n_rows // batch))))


def problem_for(
    spec: NetworkSpec, dtype=np.float64, sparse: bool = False, weighted: bool = False
) -> Data:
    """N_ROWS rows."""
    data = problem(spec, N_ROWS, dtype, seed=5, weighted=weighted)
    return as_csr(data) if sparse else data


def assert_same(state, expected) -> None:
    """Bit for bit."""
    np.testing.assert_array_equal(state.params, expected.params)
    np.testing.assert_array_equal(state.slots, expected.slots)
    assert state.step == expected.step


@pytest.mark.parametrize("weighted", [False, True], ids=["unweighted", "weighted"])
@each_input
@each_dtype
@each_optimizer
@each_network
def test_train_is_loss_grad_and_update_in_turn(
    backend, units, loss, optimizer, dtype, sparse, weighted
):
    spec, plan = network(units, loss), Plan(optimizer, BATCH, alpha=0.05)
    data, work = problem_for(spec, dtype, sparse, weighted), passes(N_ROWS)
    engine = load(backend).engine(spec, plan, np.dtype(dtype))
    state = fresh_state(spec, optimizer, dtype)
    expected = copy_state(state)
    losses = engine.train(state, data, work)

    grad = np.empty_like(expected.params)
    expected_losses = np.zeros(len(work.rows))
    for i in range(len(work.rows)):
        for j, rate in enumerate(work.rates[i]):
            batch = work.rows[i, j * BATCH : (j + 1) * BATCH]
            expected_losses[i] += (
                len(batch) / N_ROWS * engine.loss_grad(expected, data, batch, grad)
            )
            expected.step += 1
            optimizer.update(expected.params, grad, expected.slots, float(rate), expected.step)

    assert losses.dtype == np.float64
    assert state.params.dtype == state.slots.dtype == dtype
    assert state.step == expected.step == 3 * 4
    np.testing.assert_allclose(losses, expected_losses, **TOLERANCE[dtype])
    np.testing.assert_allclose(state.params, expected.params, **TOLERANCE[dtype])
    np.testing.assert_allclose(state.slots, expected.slots, **TOLERANCE[dtype])


@each_input
@each_dtype
@each_network
def test_weight_two_is_the_row_twice_and_weight_zero_is_no_row(backend, units, loss, dtype, sparse):
    spec = network(units, loss)
    data = problem_for(spec, dtype, sparse)
    engine = load(backend).engine(spec, Plan(SGD(), alpha=0.1), np.dtype(dtype))
    state = fresh_state(spec, SGD(), dtype)
    weight = np.ones(N_ROWS, dtype)
    weight[[2, 11]] = 2
    weight[[5, 20, 36]] = 0
    rows = np.arange(N_ROWS)
    grad, expected = np.empty_like(state.params), np.empty_like(state.params)
    value = engine.loss_grad(state, replace(data, weight=weight), rows, grad)
    expected_value = engine.loss_grad(state, data, np.repeat(rows, weight.astype(int)), expected)
    assert value == pytest.approx(expected_value, rel=TOLERANCE[dtype]["rtol"])
    np.testing.assert_allclose(grad, expected, **TOLERANCE[dtype])


@each_input
@each_optimizer
@each_network
def test_many_passes_in_one_call_are_as_many_calls(backend, units, loss, optimizer, sparse):
    spec, plan = network(units, loss, "relu"), Plan(optimizer, BATCH, alpha=0.01)
    data, work = problem_for(spec, sparse=sparse), passes(N_ROWS, n_passes=4)
    engine = load(backend).engine(spec, plan, np.dtype(np.float64))
    state = fresh_state(spec, optimizer)
    expected = copy_state(state)
    losses = engine.train(state, data, work)
    expected_losses = [
        engine.train(expected, data, Passes(work.rows[i : i + 1], work.rates[i : i + 1]))[0]
        for i in range(len(work.rows))
    ]
    np.testing.assert_array_equal(losses, expected_losses)
    assert_same(state, expected)


@each_input
@each_network
def test_only_the_order_of_visits_counts_not_the_order_of_storage(backend, units, loss, sparse):
    spec, plan = network(units, loss, "relu"), Plan(Adam(), BATCH, alpha=0.01)
    data, work = problem_for(spec, weighted=True), passes(N_ROWS)
    order = np.random.default_rng(9).permutation(N_ROWS)
    moved = Data(data.X[order], data.y[order], data.weight[order])
    if sparse:
        data, moved = as_csr(data), as_csr(moved)
    engine = load(backend).engine(spec, plan, np.dtype(np.float64))
    state = fresh_state(spec, Adam())
    expected = copy_state(state)
    expected_losses = engine.train(expected, data, work)
    losses = engine.train(state, moved, replace(work, rows=np.argsort(order)[work.rows]))
    np.testing.assert_array_equal(losses, expected_losses)
    assert_same(state, expected)


@pytest.fixture
def granted(monkeypatch) -> list[int]:
    """A machine of eight processors, and the numbers of threads that calls were given on it."""
    grants = []

    @contextmanager
    def take(n_wanted: int) -> Iterator[int]:
        grants.append(n_wanted)
        yield n_wanted

    monkeypatch.setattr(workers, "take", take)
    return grants


@each_input
@each_dtype
@each_network
def test_the_number_of_threads_does_not_change_a_bit(backend, units, loss, dtype, sparse):
    spec = network(units, loss, "relu")
    data, work = problem_for(spec, dtype, sparse, weighted=True), passes(N_ROWS, batch=30)
    results = []
    for n_threads in [1, 2, 3, 7]:
        engine = load(backend).engine(
            spec, Plan(Adam(), 30, alpha=0.01, n_threads=n_threads), np.dtype(dtype)
        )
        state = fresh_state(spec, Adam(), dtype)
        losses = engine.train(state, data, work)
        grad, out = np.empty_like(state.params), np.empty((N_ROWS, spec.n_out), dtype)
        value = engine.loss_grad(state, data, work.rows[0], grad)
        engine.forward(state.params, data.X, out)
        results.append([losses, state.params, state.slots, value, grad, out])
    for other in results[1:]:
        for array, expected in zip(other, results[0], strict=True):
            np.testing.assert_array_equal(array, expected)


@each_dtype
def test_the_number_of_threads_does_not_change_a_bit_where_threads_pay(backend, dtype, granted):
    # Large enough that a cost model would share the step out among threads.
    spec = network([200, 300, 100, 10], "log_loss", "relu")
    data = problem(spec, 230, dtype, weighted=True)
    results = []
    for n_threads in [1, 2, 3, 7]:
        engine = load(backend).engine(
            spec, Plan(Adam(), 200, alpha=0.01, n_threads=n_threads), np.dtype(dtype)
        )
        state = fresh_state(spec, Adam(), dtype)
        losses = engine.train(state, data, passes(230, n_passes=1, batch=200))
        out = np.empty((230, spec.n_out), dtype)
        engine.forward(state.params, data.X, out)
        results.append([losses, state.params, state.slots, out])
    assert not granted or {1, 2, 3, 7} <= set(granted)  # a backend that uses threads did so
    for other in results[1:]:
        for array, expected in zip(other, results[0], strict=True):
            np.testing.assert_array_equal(array, expected)


@each_input
@each_dtype
def test_inputs_are_only_read(backend, dtype, sparse):
    spec, plan = network([7, 20, 3], "log_loss"), Plan(Adam(), BATCH)
    data, work = problem_for(spec, dtype, sparse, weighted=True), passes(N_ROWS)
    state = fresh_state(spec, Adam(), dtype)
    expected = copy_state(state)
    engine = load(backend).engine(spec, plan, np.dtype(dtype))
    engine.train(expected, data, work)
    arrays = [data.X.data, data.X.indices, data.X.indptr] if sparse else [data.X]
    for array in [*arrays, data.y, data.weight, work.rows, work.rates]:
        array.flags.writeable = False
    engine.train(state, data, work)
    assert_same(state, expected)
    state.params.flags.writeable = False
    grad, out = np.empty_like(state.params), np.empty((N_ROWS, 3), dtype)
    engine.loss_grad(state, data, work.rows[0], grad)
    engine.forward(state.params, data.X, out)
    assert np.isfinite(grad).all()
    assert np.isfinite(out).all()


@each_input
@pytest.mark.parametrize("bad", [-1, N_ROWS, np.iinfo(np.int64).max, np.iinfo(np.int64).min])
def test_rows_out_of_range_raise_before_anything_changes(backend, sparse, bad):
    spec, plan = network([7, 20, 3], "log_loss"), Plan(Adam(), BATCH)
    data, work = problem_for(spec, sparse=sparse), passes(N_ROWS)
    work.rows[-1, -1] = bad
    engine = load(backend).engine(spec, plan, np.dtype(np.float64))
    state = fresh_state(spec, Adam())
    before = copy_state(state)
    message = rf"rows must lie in \[0, {N_ROWS}\), got values from {work.rows.min()} to {work.rows.max()}\."
    with pytest.raises(IndexError, match=message):
        engine.train(state, data, work)
    assert_same(state, before)
    grad = np.full_like(state.params, 7)
    with pytest.raises(IndexError, match=r"rows must lie in \[0, 37\), got values from"):
        engine.loss_grad(state, data, work.rows[-1], grad)
    assert (grad == 7).all()


def test_rates_for_another_number_of_steps_raise_before_anything_changes(backend):
    spec, plan = network([7, 20, 3], "log_loss"), Plan(Adam(), BATCH)
    work = passes(N_ROWS)
    engine = load(backend).engine(spec, plan, np.dtype(np.float64))
    state = fresh_state(spec, Adam())
    before = copy_state(state)
    with pytest.raises(ValueError, match=r"rates must have shape \(3, 4\), got \(3, 3\)\."):
        engine.train(state, problem_for(spec), replace(work, rates=work.rates[:, :3]))
    assert_same(state, before)


@each_input
def test_an_engine_remembers_nothing_between_calls(backend, sparse):
    spec, plan = network([7, 20, 3], "log_loss"), Plan(Adam(), BATCH)
    data, work = problem_for(spec, sparse=sparse, weighted=True), passes(N_ROWS)
    used, fresh = (load(backend).engine(spec, plan, np.dtype(np.float64)) for _ in range(2))
    other = fresh_state(spec, Adam(), seed=8)
    larger = problem(spec, 90, seed=2)
    used.train(other, larger, passes(90))
    used.loss_grad(other, larger, np.arange(90), np.empty_like(other.params))
    state = fresh_state(spec, Adam())
    expected = copy_state(state)
    np.testing.assert_array_equal(used.train(state, data, work), fresh.train(expected, data, work))
    assert_same(state, expected)


@each_input
def test_one_batch_may_be_larger_than_the_batch_size(backend, sparse):
    # L-BFGS asks for the loss of all rows at once; it is the mean of the batches' where they are
    # equally long.
    spec = network([7, 20, 3], "log_loss")
    data = problem(spec, 1000)
    if sparse:
        data = as_csr(data)
    engine = load(backend).engine(spec, Plan(SGD(), 100), np.dtype(np.float64))
    state = fresh_state(spec, SGD())
    whole, part = np.empty_like(state.params), np.empty_like(state.params)
    value = engine.loss_grad(state, data, np.arange(1000), whole)
    values, parts = [], np.zeros_like(whole)
    for start in range(0, 1000, 100):
        values.append(engine.loss_grad(state, data, np.arange(start, start + 100), part))
        parts += part / 10
    assert value == pytest.approx(np.mean(values), rel=1e-12)
    np.testing.assert_allclose(whole, parts, rtol=1e-9, atol=1e-14)


@pytest.mark.parametrize("loss", LOSSES)
@each_input
def test_what_is_not_finite_stays_so(backend, loss, sparse):
    # A NaN that an activation swallowed (max(NaN, 0) = 0 on some hardware) would hide divergence.
    spec = network([4, 9, 2], loss, "relu")
    data = problem(spec, N_ROWS)
    data.X[6, 1] = np.nan
    if sparse:
        data = as_csr(data)
    engine = load(backend).engine(spec, Plan(SGD(), BATCH), np.dtype(np.float64))
    state = fresh_state(spec, SGD())
    out = np.empty((N_ROWS, 2))
    with np.errstate(all="ignore"):
        engine.forward(state.params, data.X, out)
        losses = engine.train(state, data, passes(N_ROWS, n_passes=1))
    np.testing.assert_array_equal(
        np.isnan(out), np.repeat(np.arange(N_ROWS) == 6, 2).reshape(-1, 2)
    )
    assert np.isnan(losses[0])
    assert np.isnan(state.params).any()


@each_input
@each_dtype
@each_network
def test_threads_may_share_an_engine_to_predict(backend, units, loss, dtype, sparse):
    spec = network(units, loss)
    data = problem(spec, 200, dtype)
    if sparse:
        data = as_csr(data)
    engine = load(backend).engine(spec, Plan(SGD()), np.dtype(dtype))
    params = fresh_state(spec, SGD(), dtype).params
    expected = np.empty((200, spec.n_out), dtype)
    engine.forward(params, data.X, expected)
    outs = [np.empty_like(expected) for _ in range(4)]
    start = threading.Barrier(4)

    def predict(out):
        start.wait()
        for _ in range(5):
            engine.forward(params, data.X, out)

    threads = [threading.Thread(target=predict, args=(out,)) for out in outs]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for out in outs:
        np.testing.assert_array_equal(out, expected)


@each_dtype
@each_network
@pytest.mark.parametrize("n_rows", [1, 5, 100])
@pytest.mark.parametrize("scale", [1.0, 200.0])
def test_predictions_are_the_link_of_the_raw_outputs(backend, units, loss, dtype, n_rows, scale):
    spec = network(units, loss, "relu")
    X = problem(spec, n_rows, dtype).X * dtype(scale)
    engine = load(backend).engine(spec, Plan(SGD()), np.dtype(dtype))
    params = fresh_state(spec, SGD(), dtype).params
    raw, predictions = np.empty((n_rows, spec.n_out), dtype), np.empty((n_rows, spec.n_out), dtype)
    engine.forward(params, X, raw)
    engine.forward(params, X, predictions, link=True)
    expected = LINKS[LOSSES[loss].link](raw)
    np.testing.assert_allclose(
        predictions, expected, rtol=20 * np.finfo(dtype).eps, atol=np.finfo(dtype).tiny
    )


@each_dtype
@pytest.mark.parametrize("n_rows", [1, 3, 50])
@pytest.mark.parametrize("n_in", [1, 7, 16, 33, 70])
def test_a_check_finds_what_is_not_finite_wherever_it_stands(backend, dtype, n_rows, n_in):
    spec = NetworkSpec.dense([n_in, 5, 2], "relu", "squared_error")
    engine = load(backend).engine(spec, Plan(SGD()), np.dtype(dtype))
    params, out = fresh_state(spec, SGD(), dtype).params, np.empty((n_rows, 2), dtype)
    X = problem(spec, n_rows, dtype).X
    engine.forward(params, X, out, check=True)
    for place in range(0, X.size, 1 + X.size // 100):
        for value in (np.nan, np.inf, -np.inf):
            bad = X.copy()
            bad.flat[place] = value
            with pytest.raises(NotFinite):
                engine.forward(params, bad, out, check=True)


@each_dtype
@pytest.mark.parametrize("n_threads", [2, 3, 7])
def test_a_prediction_on_several_threads_is_the_same_to_the_bit(dtype, n_threads, monkeypatch):
    cython_backend = pytest.importorskip("fastnn.backends.cython_backend")
    monkeypatch.setattr(cython_backend, "THREAD_WORK", 1000)
    monkeypatch.setattr("fastnn.backends.threads.available_cpus", lambda: n_threads)
    spec = NetworkSpec.dense([9, 20, 3], "tanh", "log_loss")
    params, X = fresh_state(spec, SGD(), dtype).params, problem(spec, 1001, dtype).X
    outs = []
    for most in (1, n_threads):
        engine = cython_backend.BACKEND.engine(spec, Plan(SGD(), n_threads=most), np.dtype(dtype))
        outs.append(np.empty((len(X), 3), dtype))
        engine.forward(params, X, outs[-1], link=True, check=True)
    np.testing.assert_array_equal(*outs)
    X[-1, -1] = np.nan
    with pytest.raises(NotFinite):
        engine.forward(params, X, outs[-1], check=True)
