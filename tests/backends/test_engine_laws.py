"""Does every engine keep the laws of fastnn/backends/base.py?

Fit, partial_fit and L-BFGS are built on them.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace

import numpy as np
import pytest
from support.problems import (
    as_csr,
    copy_state,
    fresh_state,
    loss_and_gradient,
    member,
    problem,
)

from fastnn import backends
from fastnn.backends import load, threads
from fastnn.backends.base import Data, Passes, Plan
from fastnn.core.losses import LOSSES
from fastnn.core.network import NetworkSpec
from fastnn.core.optimizers import SGD, Adam, Lion, RMSprop, step

OPTIMIZERS = {
    "plain": SGD(momentum=0.0, nesterovs_momentum=False),
    "momentum": SGD(momentum=0.9, nesterovs_momentum=False),
    "nesterov": SGD(momentum=0.8, nesterovs_momentum=True),
    "adam": Adam(),
    "adam, other betas": Adam(beta_1=0.5, beta_2=0.9, epsilon=1e-3),
    "lion": Lion(),
    "all at once": RMSprop(0.9, 0.5, 0.1, weight_decay=0.5, l1=0.2, max_norm=0.3, ema=0.6),
}
# What an optimizer may have beside its rule, one at a time.
EXTRAS = {"weight_decay": 2.0, "l1": 0.2, "max_norm": 0.3, "ema": 0.6}
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
TOLERANCE = {
    np.float64: {"rtol": 1e-10, "atol": 1e-12},
    np.float32: {"rtol": 2e-4, "atol": 2e-5},
}
SUM_TOLERANCE = {  # of a gradient summed over N_ROWS
    np.float64: {"rtol": 1e-10, "atol": N_ROWS * 1e-12},
    np.float32: {"rtol": 2e-4, "atol": N_ROWS * 2e-5},
}
MIXED = [("tanh", "relu", "logistic"), ("logistic", "identity", "tanh")]

each_network = pytest.mark.parametrize(("units", "loss"), NETWORKS.values(), ids=NETWORKS)
each_optimizer = pytest.mark.parametrize("optimizer", OPTIMIZERS.values(), ids=OPTIMIZERS)
each_dtype = pytest.mark.parametrize("dtype", [np.float64, np.float32], ids=["float64", "float32"])
each_input = pytest.mark.parametrize("sparse", [False, True], ids=["dense", "csr"])


def network(units: list[int], loss: str, activation="tanh", dropout=0) -> NetworkSpec:
    """A dense network; smooth by default, so that rounding cannot flip a neuron."""
    return NetworkSpec.dense(units, activation, loss).with_dropout(dropout)


def passes(
    n_rows: int, n_passes: int = 3, batch: int = BATCH, seed: int = 0, n_members: int = 1
) -> Passes:
    """Shuffled visits at rates that differ from step to step."""
    rng = np.random.default_rng(seed)
    shape = n_members, n_passes
    rows = np.array([rng.permutation(n_rows) for _ in range(n_members * n_passes)], dtype=np.int64)
    rates = rng.uniform(0.001, 0.02, (*shape, -(-n_rows // batch)))
    return Passes(rows.reshape(*shape, n_rows), rates)


def only_pass(work: Passes, i: int) -> Passes:
    """One of the passes."""
    return Passes(work.rows[:, i : i + 1], work.rates[:, i : i + 1])


def reference(engine, plan: Plan, spec: NetworkSpec, state, data: Data, work: Passes) -> np.ndarray:
    """What ``train`` must be equal to: gradients and steps in turn, for one member."""
    grad = np.empty_like(state.params)
    ((_, n_passes, n_visits), (_, _, n_steps)) = work.rows.shape, work.rates.shape
    numbers = plan.optimizer.steps(work.rates, state.step + 1)
    losses = np.zeros((1, n_passes))
    for i, j in np.ndindex(n_passes, n_steps):
        batch = work.rows[0, i, j * plan.batch_size : (j + 1) * plan.batch_size]
        loss = loss_and_gradient(engine, plan, spec, state, data, batch, grad)
        losses[0, i] += len(batch) / n_visits * loss
        step(
            plan.optimizer,
            plan.segments_of(spec),
            state.params[0],
            grad[0],
            state.slots[0],
            numbers[0, i, j],
        )
        state.step += 1
    return losses


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


def assert_train_is_the_reference(backend, spec, plan, data, dtype) -> None:
    engine = load(backend).engine(spec, np.dtype(dtype))
    state = fresh_state(spec, plan.optimizer, dtype)
    expected = copy_state(state)
    work = passes(N_ROWS)
    losses = engine.trainer(plan).train(state, data, work)
    expected_losses = reference(engine, plan, spec, expected, data, work)
    assert losses.dtype == np.float64
    assert state.params.dtype == state.slots.dtype == dtype
    assert state.step == expected.step == 3 * 4
    np.testing.assert_allclose(losses, expected_losses, **TOLERANCE[dtype])
    np.testing.assert_allclose(state.params, expected.params, **TOLERANCE[dtype])
    np.testing.assert_allclose(state.slots, expected.slots, **TOLERANCE[dtype])


@each_input
@each_dtype
@each_optimizer
@each_network
def test_train_is_gradient_and_step_in_turn(backend, units, loss, optimizer, dtype, sparse):
    spec = network(units, loss)
    data = problem_for(spec, dtype, sparse, weighted=len(units) % 2 == 0)
    assert_train_is_the_reference(backend, spec, Plan(optimizer, BATCH, alpha=0.05), data, dtype)


@each_input
@each_dtype
@pytest.mark.parametrize("extra", EXTRAS)
def test_train_is_gradient_and_step_with_each_of_the_common_settings(backend, extra, dtype, sparse):
    spec = network(*NETWORKS["deep"])
    optimizer = Adam(epsilon=1e-3, **{extra: EXTRAS[extra]})
    data = problem_for(spec, dtype, sparse, weighted=True)
    assert_train_is_the_reference(backend, spec, Plan(optimizer, BATCH, alpha=0.05), data, dtype)


@each_input
@each_dtype
@pytest.mark.parametrize("dropout", [0, [0.3, 0, 0.5]], ids=["whole", "dropout"])
@pytest.mark.parametrize("activations", MIXED, ids="-".join)
def test_train_is_gradient_and_step_with_another_activation_in_each_layer(
    backend, activations, dropout, dtype, sparse
):
    spec = network([17, 33, 8, 5, 2], "log_loss", activations, dropout)
    data = problem_for(spec, dtype, sparse)
    assert_train_is_the_reference(backend, spec, Plan(Adam(), BATCH, alpha=0.05), data, dtype)


@each_input
@each_dtype
@each_optimizer
def test_every_segment_trains_by_its_own_factors(backend, optimizer, dtype, sparse):
    spec = network([7, 20, 9, 3], "log_loss")
    rng = np.random.default_rng(4)
    segments = [
        replace(
            segment,
            rate=rng.uniform(0.2, 3),
            penalty=rng.uniform(0.2, 3),
            decay=rng.uniform(0, 2),
            epsilon=rng.uniform(0.1, 10),
        )
        for segment in spec.layout.segments
    ]
    segments[1] = replace(segments[1], trainable=False)
    segments[3] = replace(segments[3], trainable=False)
    segments[4] = replace(segments[4], decay=0.0, penalty=0.0)
    plan = Plan(optimizer, BATCH, alpha=0.05, segments=tuple(segments))
    assert_train_is_the_reference(backend, spec, plan, problem_for(spec, dtype, sparse), dtype)
    state = fresh_state(spec, optimizer, dtype)
    before = copy_state(state)
    engine = load(backend).engine(spec, np.dtype(dtype))
    engine.trainer(plan).train(state, problem_for(spec, dtype, sparse), passes(N_ROWS))
    for i, segment in enumerate(segments):
        changed = (segment.view(state.params[0]) != segment.view(before.params[0])).any()
        assert changed == segment.trainable, f"segment {i}"


@each_input
@each_dtype
@pytest.mark.parametrize(
    ("shared", "dropout"), [(False, 0), (True, 0.3)], ids=["own rows", "shared rows, dropout"]
)
@each_network
def test_members_trained_in_one_call_are_each_trained_alone(
    backend, units, loss, shared, dropout, dtype, sparse
):
    optimizer, n = OPTIMIZERS["adam" if loss == "log_loss" else "all at once"], 5
    spec, plan = network(units, loss, "relu", dropout), Plan(optimizer, BATCH, alpha=0.05)
    data = problem_for(spec, dtype, sparse, weighted=True)
    work = passes(N_ROWS, n_members=1 if shared else n)
    engine = load(backend).engine(spec, np.dtype(dtype))
    state = fresh_state(spec, optimizer, dtype, n_members=n)
    alone = [member(state, i) for i in range(n)]
    losses = engine.trainer(plan).train(state, data, work)
    assert losses.shape == (n, 3)
    rows, grads = work.rows[:, 0], np.empty_like(state.params)
    sums = engine.gradient(state, data, rows, grads)
    for i, one in enumerate(alone):
        own = Passes(work.rows[[0 if shared else i]], work.rates[[0 if shared else i]])
        np.testing.assert_array_equal(engine.trainer(plan).train(one, data, own), losses[[i]])
        assert_same(member(state, i), one)
        grad = np.empty_like(one.params)
        np.testing.assert_array_equal(
            engine.gradient(one, data, own.rows[:, 0], grad), [s[[i]] for s in sums]
        )
        np.testing.assert_array_equal(grad, grads[[i]])


def test_rates_may_be_shared_where_rows_are_not(backend):
    spec, plan = network([7, 20, 3], "log_loss"), Plan(Adam(), BATCH)
    data, work = problem_for(spec), passes(N_ROWS, n_members=3)
    shared = replace(work, rates=work.rates[:1])
    trainer = load(backend).engine(spec, np.dtype(np.float64)).trainer(plan)
    state, expected = (fresh_state(spec, Adam(), n_members=3) for _ in range(2))
    losses = trainer.train(state, data, shared)
    full = replace(work, rates=np.repeat(work.rates[:1], 3, axis=0))
    np.testing.assert_array_equal(losses, trainer.train(expected, data, full))
    assert_same(state, expected)


@each_input
@each_network
def test_the_sums_of_two_places_add_up_to_those_of_one(backend, units, loss, sparse):
    spec = network(units, loss)
    data = problem_for(spec, sparse=sparse, weighted=True)
    engine = load(backend).engine(spec, np.dtype(np.float64))
    state, rows = fresh_state(spec, SGD()), np.arange(N_ROWS)[None]
    whole, first, second = (np.empty_like(state.params) for _ in range(3))
    expected = engine.gradient(state, data, rows, whole)
    parts = [
        engine.gradient(state, data, rows[:, :20], first),
        engine.gradient(state, data, rows[:, 20:], second),
    ]
    np.testing.assert_allclose(np.add(*parts), expected, rtol=1e-12)
    np.testing.assert_allclose(first + second, whole, rtol=1e-10, atol=1e-12)


@each_input
@each_dtype
@each_network
def test_weight_two_is_the_row_twice_and_weight_zero_is_no_row(backend, units, loss, dtype, sparse):
    spec = network(units, loss)
    data = problem_for(spec, dtype, sparse)
    engine = load(backend).engine(spec, np.dtype(dtype))
    state = fresh_state(spec, SGD(), dtype)
    weight = np.ones(N_ROWS, dtype)
    weight[[2, 11]] = 2
    weight[[5, 20, 36]] = 0
    rows = np.arange(N_ROWS)
    grad, expected = np.empty_like(state.params), np.empty_like(state.params)
    value, total = engine.gradient(state, replace(data, weight=weight), rows[None], grad)
    twice = np.repeat(rows, weight.astype(int))[None]
    expected_value, expected_total = engine.gradient(state, data, twice, expected)
    assert value == pytest.approx(expected_value, rel=TOLERANCE[dtype]["rtol"])
    assert total == expected_total == N_ROWS - 1
    np.testing.assert_allclose(grad, expected, **SUM_TOLERANCE[dtype])


@each_input
@each_optimizer
@each_network
def test_many_passes_in_one_call_are_as_many_calls(backend, units, loss, optimizer, sparse):
    spec, plan = network(units, loss, "relu", 0.3), Plan(optimizer, BATCH, alpha=0.01)
    data, work = problem_for(spec, sparse=sparse), passes(N_ROWS, n_passes=4)
    trainer = load(backend).engine(spec, np.dtype(np.float64)).trainer(plan)
    state = fresh_state(spec, optimizer)
    expected = copy_state(state)
    losses = trainer.train(state, data, work)
    expected_losses = [trainer.train(expected, data, only_pass(work, i))[0, 0] for i in range(4)]
    np.testing.assert_array_equal(losses, [expected_losses])
    assert_same(state, expected)


@each_input
@each_network
def test_only_the_order_of_visits_counts_not_the_order_of_storage(backend, units, loss, sparse):
    spec, plan = network(units, loss, "relu", 0.3), Plan(Adam(), BATCH, alpha=0.01)
    data, work = problem_for(spec, weighted=True), passes(N_ROWS)
    order = np.random.default_rng(9).permutation(N_ROWS)
    moved = Data(data.X[order], data.y[order], data.weight[order])
    if sparse:
        data, moved = as_csr(data), as_csr(moved)
    trainer = load(backend).engine(spec, np.dtype(np.float64)).trainer(plan)
    state = fresh_state(spec, Adam())
    expected = copy_state(state)
    expected_losses = trainer.train(expected, data, work)
    losses = trainer.train(state, moved, replace(work, rows=np.argsort(order)[work.rows]))
    np.testing.assert_array_equal(losses, expected_losses)
    assert_same(state, expected)


@pytest.fixture
def granted(monkeypatch) -> Iterator[list[int]]:
    """The numbers of threads that calls were given, on a machine whose threads wait for nothing."""
    grants: list[int] = []

    @contextmanager
    def reserve(n_wanted: int) -> Iterator[int]:
        grants.append(n_wanted)
        yield n_wanted

    monkeypatch.setattr(threads, "reserve", reserve)
    if backends.why_not("cython") is None:
        from fastnn.backends import _core

        _core.tuning(line_cost=0.001)
        yield grants
        _core.tuning(line_cost=0)
    else:
        yield grants


def results(backend, spec, plan, data, work, dtype, n_threads, n_members=1) -> list[np.ndarray]:
    """Everything an engine with so many threads computes."""
    engine = load(backend).engine(spec, np.dtype(dtype), n_threads)
    state = fresh_state(spec, plan.optimizer, dtype, n_members=n_members)
    losses = engine.trainer(plan).train(state, data, work)
    grad = np.empty_like(state.params)
    loss_sum, _ = engine.gradient(state, data, work.rows[:, 0], grad)
    out = np.empty((data.X.shape[0], spec.n_out), dtype)
    engine.forward(state.params[0], data.X, out)
    return [losses, state.params, state.slots, loss_sum, grad, out]


@each_input
@each_dtype
@pytest.mark.parametrize(
    ("optimizer", "n_members"), [("adam", 1), ("all at once", 1), ("all at once", 3)]
)
def test_the_number_of_threads_does_not_change_a_bit(
    backend, dtype, sparse, granted, optimizer, n_members
):
    # Large enough that a cost model shares a step out among threads on every instruction set.
    spec = network([200, 300, 100, 10], "log_loss", "relu", [0, 0.3])
    data = problem(spec, 230, dtype, weighted=True)
    if sparse:
        data = as_csr(data)
    plan = Plan(OPTIMIZERS[optimizer], 200, alpha=0.01)
    work = passes(230, 1, batch=200, n_members=n_members)
    expected = results(backend, spec, plan, data, work, dtype, 1, n_members)
    for n_threads in [2, 3, 7]:
        granted.clear()
        found = results(backend, spec, plan, data, work, dtype, n_threads, n_members)
        # NumPy and Numba compute in the calling thread alone: for them there is no law to keep.
        assert n_threads in granted or backend != "cython"
        for array, other in zip(found, expected, strict=True):
            np.testing.assert_array_equal(array, other)


@each_input
@each_dtype
def test_inputs_are_only_read(backend, dtype, sparse):
    spec, plan = network([7, 20, 3], "log_loss"), Plan(Adam(), BATCH)
    data, work = problem_for(spec, dtype, sparse, weighted=True), passes(N_ROWS)
    state = fresh_state(spec, Adam(), dtype)
    expected = copy_state(state)
    engine = load(backend).engine(spec, np.dtype(dtype))
    trainer = engine.trainer(plan)
    trainer.train(expected, data, work)
    arrays = [data.X.data, data.X.indices, data.X.indptr] if sparse else [data.X]
    for array in [*arrays, data.y, data.weight, work.rows, work.rates]:
        array.flags.writeable = False
    trainer.train(state, data, work)
    assert_same(state, expected)
    state.params.flags.writeable = False
    grad, out = np.empty_like(state.params), np.empty((N_ROWS, 3), dtype)
    engine.gradient(state, data, work.rows[:, 0], grad)
    engine.forward(state.params[0], data.X, out)
    assert np.isfinite(grad).all()
    assert np.isfinite(out).all()


@each_input
@pytest.mark.parametrize("bad", [-1, N_ROWS, np.iinfo(np.int64).max, np.iinfo(np.int64).min])
def test_rows_out_of_range_raise_before_anything_changes(backend, sparse, bad):
    spec, plan = network([7, 20, 3], "log_loss"), Plan(Adam(), BATCH)
    data, work = problem_for(spec, sparse=sparse), passes(N_ROWS)
    work.rows[-1, -1, -1] = bad
    engine = load(backend).engine(spec, np.dtype(np.float64))
    state = fresh_state(spec, Adam())
    before = copy_state(state)
    low, high = work.rows.min(), work.rows.max()
    message = rf"rows must lie in \[0, {N_ROWS}\), got values from {low} to {high}\."
    with pytest.raises(IndexError, match=message):
        engine.trainer(plan).train(state, data, work)
    assert_same(state, before)
    grad = np.full_like(state.params, 7)
    with pytest.raises(IndexError, match=r"rows must lie in \[0, 37\), got values from"):
        engine.gradient(state, data, work.rows[:, -1], grad)
    assert (grad == 7).all()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            lambda w: replace(w, rates=w.rates[:, :, :3]),
            r"rates must have shape \(1 or 2, 3, 4\), got \(2, 3, 3\)\.",
        ),
        (
            lambda w: replace(w, rates=np.repeat(w.rates[:1], 3, axis=0)),
            r"rates must have shape \(1 or 2, 3, 4\), got \(3, 3, 4\)\.",
        ),
        (
            lambda w: replace(w, rows=np.repeat(w.rows[:1], 3, axis=0)),
            r"rows must have shape \(1 or 2, n_passes, n_visits\), got \(3, 3, 37\)\.",
        ),
    ],
)
def test_passes_that_do_not_fit_raise_before_anything_changes(backend, change, message):
    spec, plan = network([7, 20, 3], "log_loss"), Plan(Adam(), BATCH)
    trainer = load(backend).engine(spec, np.dtype(np.float64)).trainer(plan)
    state = fresh_state(spec, Adam(), n_members=2)
    before = copy_state(state)
    with pytest.raises(ValueError, match=message):
        trainer.train(state, problem_for(spec), change(passes(N_ROWS, n_members=2)))
    assert_same(state, before)


def corrupt(X, fault: str):
    """A CSR matrix that contradicts itself."""
    X = X.copy()
    if fault == "index too large":
        X.indices[3] = X.shape[1]
    elif fault == "negative index":
        X.indices[3] = -1
    elif fault == "rows that go backwards":
        X.indptr[2] = X.indptr[1] - 1
    elif fault == "more entries than there are":
        X.indptr[-1] += 5
    elif fault == "a first row that begins elsewhere":
        X.indptr[0] = 1
    return X


@pytest.mark.parametrize(
    ("fault", "message"),
    [
        ("index too large", r"X\.indices must lie in \[0, 7\), got values from 0 to 7\."),
        ("negative index", r"X\.indices must lie in \[0, 7\), got values from -1 to 6\."),
        ("rows that go backwards", "X is no valid CSR matrix: indptr must begin with 0"),
        ("more entries than there are", "X is no valid CSR matrix: indptr must begin with 0"),
        ("a first row that begins elsewhere", "X is no valid CSR matrix: indptr must begin with"),
    ],
)
def test_a_csr_matrix_that_contradicts_itself_is_refused_wherever_it_enters(
    backend, fault, message
):
    spec = network([7, 20, 3], "log_loss")
    data = as_csr(problem_for(spec))
    X = corrupt(data.X, fault)
    with pytest.raises(ValueError, match=message):  # train and gradient take Data
        replace(data, X=X)
    engine = load(backend).engine(spec, np.dtype(np.float64))
    params, out = fresh_state(spec, SGD()).params[0], np.full((N_ROWS, 3), 7.0)
    for enter in (engine.forward, engine.predict):
        with pytest.raises(ValueError, match=message):
            enter(params, X, out)
    assert (out == 7).all()


@each_input
def test_an_engine_remembers_nothing_between_calls(backend, sparse):
    spec, plan = network([7, 20, 3], "log_loss"), Plan(Adam(), BATCH)
    data, work = problem_for(spec, sparse=sparse, weighted=True), passes(N_ROWS)
    engine, fresh = (load(backend).engine(spec, np.dtype(np.float64)) for _ in range(2))
    used = engine.trainer(plan)
    other = fresh_state(spec, Adam(), seed=8)
    larger = problem(spec, 90, seed=2)
    used.train(other, larger, passes(90))
    engine.gradient(other, larger, np.arange(90)[None], np.empty_like(other.params))
    state = fresh_state(spec, Adam())
    expected = copy_state(state)
    np.testing.assert_array_equal(
        used.train(state, data, work), fresh.trainer(plan).train(expected, data, work)
    )
    assert_same(state, expected)


@each_input
def test_a_gradient_may_be_of_more_rows_than_a_batch(backend, sparse):
    # L-BFGS asks for that of all rows at once.
    spec = network([7, 20, 3], "log_loss")
    data = problem(spec, 1000)
    if sparse:
        data = as_csr(data)
    engine = load(backend).engine(spec, np.dtype(np.float64))
    state = fresh_state(spec, SGD())
    whole, part = np.empty_like(state.params), np.empty_like(state.params)
    rows = np.arange(1000)[None]
    value, _ = engine.gradient(state, data, rows, whole)
    values, parts = 0.0, np.zeros_like(whole)
    for start in range(0, 1000, 100):
        values += engine.gradient(state, data, rows[:, start : start + 100], part)[0]
        parts += part
    assert value == pytest.approx(values, rel=1e-12)
    np.testing.assert_allclose(whole, parts, rtol=1e-9, atol=1e-11)


@pytest.mark.parametrize("loss", LOSSES)
@each_input
def test_what_is_not_finite_stays_so(backend, loss, sparse):
    # A NaN that an activation swallowed (max(NaN, 0) = 0 on some hardware) would hide divergence.
    spec = network([4, 9, 2], loss, "relu")
    data = problem(spec, N_ROWS)
    data.X[6, 1] = np.nan
    if sparse:
        data = as_csr(data)
    engine = load(backend).engine(spec, np.dtype(np.float64))
    state = fresh_state(spec, SGD())
    out = np.empty((N_ROWS, 2))
    with np.errstate(all="ignore"):
        engine.forward(state.params[0], data.X, out)
        losses = engine.trainer(Plan(SGD(), BATCH)).train(state, data, passes(N_ROWS, n_passes=1))
    np.testing.assert_array_equal(
        np.isnan(out), np.repeat(np.arange(N_ROWS) == 6, 2).reshape(-1, 2)
    )
    assert np.isnan(losses[0, 0])
    assert np.isnan(state.params).any()
