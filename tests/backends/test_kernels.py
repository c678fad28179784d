"""Do the C kernels compute what the NumPy reference says?

On every instruction set, and at every awkward size.
"""

from __future__ import annotations

import itertools
import os
import subprocess
import sys
import threading
from dataclasses import replace

import numpy as np
import pytest
from scipy.special import erfcx
from support import instruction_sets
from support.problems import LOSS_VARIANTS, RULES, as_csr, copy_state, fresh_state, problem

from fastnn.backends.base import Data, Passes, Plan
from fastnn.backends.numpy_backend import NumpyBackend
from fastnn.core.activations import ACTIVATIONS
from fastnn.core.functions import Function
from fastnn.core.losses import LOSSES
from fastnn.core.network import NetworkSpec
from fastnn.core.optimizers import SGD, Adam

cython_backend = pytest.importorskip(
    "fastnn.backends.cython_backend", reason="the C extension was not built", exc_type=ImportError
)
_core = cython_backend._core

SIZES = [*range(1, 10), 15, 16, 17, 31, 32, 33, 63, 64, 65, 100]
# Relative to the largest entry; what rounding alone makes of three steps at these sizes is a tenth
# of it.
TOLERANCE = {"float64": 2e-12, "float32": 1e-3}

each_isa = pytest.mark.parametrize("isa", instruction_sets.with_vectors(_core.INSTRUCTION_SETS))
each_dtype = pytest.mark.parametrize("dtype", ["float64", "float32"])


@pytest.fixture(autouse=True)
def note_the_instruction_set(request):
    """Count the instruction set as tested (see conftest.py)."""
    if "isa" in request.fixturenames:
        request.node.user_properties.append(
            ("backend", f"cython[{request.getfixturevalue('isa')}]")
        )


def work_for(rng: np.random.Generator, n_rows: int, batch: int, n_passes: int = 2) -> Passes:
    rows = np.array([[rng.permutation(n_rows) for _ in range(n_passes)]], dtype=np.int64)
    return Passes(rows, rng.uniform(0.001, 0.01, (1, n_passes, -(-n_rows // batch))))


def engines(isa: str, spec: NetworkSpec, dtype: str):
    return [b.engine(spec, np.dtype(dtype)) for b in (of(isa), NumpyBackend())]


def of(isa: str):
    """The backend on an instruction set."""
    return cython_backend.CythonBackend(isa)


def assert_near(value, expected, dtype: str, what: str) -> None:
    """Near for the largest entry's size, where the rounding of sums comes from."""
    scale = np.abs(expected).max(initial=0) + 1e-3
    np.testing.assert_allclose(value, expected, rtol=0, atol=TOLERANCE[dtype] * scale, err_msg=what)


def assert_agree(
    isa: str, spec: NetworkSpec, plan: Plan, data: Data, dtype: str, seed: int = 0
) -> None:
    """Gradient, train and forward of the kernels and of the reference, from the same state."""
    rng = np.random.default_rng(seed)
    n_rows = len(data.y)
    passes = work_for(rng, n_rows, plan.batch_size)
    ours, reference = engines(isa, spec, dtype)
    state = fresh_state(spec, plan.optimizer, dtype)
    expected = copy_state(state)

    grad, expected_grad = np.empty_like(state.params), np.empty_like(state.params)
    sums = ours.gradient(state, data, passes.rows[:, 0], grad)
    expected_sums = reference.gradient(expected, data, passes.rows[:, 0], expected_grad)
    assert_near(sums, expected_sums, dtype, "sums")
    assert_near(grad, expected_grad, dtype, "gradient")

    losses = ours.trainer(plan).train(state, data, passes)
    expected_losses = reference.trainer(plan).train(expected, data, passes)
    assert state.step == expected.step
    assert_near(losses, expected_losses, dtype, "mean losses")
    assert_near(state.params, expected.params, dtype, "parameters")
    for slot, expected_slot in zip(state.slots[0], expected.slots[0], strict=True):
        assert_near(slot, expected_slot, dtype, "slots")

    out, expected_out = (np.empty((n_rows, spec.n_out), dtype) for _ in range(2))
    ours.forward(expected.params[0], data.X, out)
    reference.forward(expected.params[0], data.X, expected_out)
    assert_near(out, expected_out, dtype, "raw outputs")


@each_dtype
@each_isa
def test_every_size_around_a_vector(isa, dtype):
    # Each size stands once for each role: inputs, hidden neurons, outputs, batch, and rows of the
    # short last batch.
    rng = np.random.default_rng(1)
    roles = [rng.permutation(SIZES) for _ in range(5)]
    for n_in, n_hidden, n_out, batch, left in zip(*roles, strict=True):
        spec = NetworkSpec.dense([int(n_in), int(n_hidden), int(n_out)], "tanh", "squared_error")
        n_rows = int(batch + min(left, batch))
        assert_agree(
            isa, spec, Plan(Adam(), int(batch), alpha=0.1), problem(spec, n_rows, dtype), dtype
        )


@each_dtype
@each_isa
def test_every_activation_loss_and_optimizer(isa, dtype):
    losses = [loss for loss in LOSS_VARIANTS.values() if not isinstance(loss, Function)]
    combinations = itertools.product(ACTIVATIONS, losses)
    for i, (activation, loss) in enumerate(combinations):
        optimizer = RULES[(i + i // len(losses)) % len(RULES)]
        spec = NetworkSpec.dense(
            [(5, 9, 17)[i % 3], (7, 33, 12)[i % 3], (20, 8)[i % 2], (1, 3, 10)[i % 3]],
            activation,
            loss,
        )
        data = problem(spec, 45, dtype, seed=i, weighted=bool(i % 2))
        assert_agree(
            isa,
            spec,
            Plan(optimizer, 20, alpha=(0.0, 0.05)[i % 2]),
            as_csr(data) if i % 5 == 0 else data,
            dtype,
        )


@pytest.mark.parametrize("index_dtype", [np.int32, np.int64])
@each_dtype
@each_isa
def test_sparse_input(isa, dtype, index_dtype):
    for n_in, n_hidden, n_out in [(40, 33, 3), (1, 1, 1), (100, 5, 2), (17, 100, 1)]:
        spec = NetworkSpec.dense([n_in, n_hidden, n_out], "relu", "squared_error")
        data = as_csr(problem(spec, 50, dtype, weighted=True))
        X = data.X
        X.data[::7] = 0  # stored zeros count as entries
        X.indices, X.indptr = X.indices.astype(index_dtype), X.indptr.astype(index_dtype)
        assert_agree(isa, spec, Plan(Adam(), 16, alpha=0.1), replace(data, X=X), dtype)
    linear = NetworkSpec.dense([60, 4], "identity", "log_loss")
    assert_agree(isa, linear, Plan(SGD(), 16), as_csr(problem(linear, 50, dtype)), dtype)


def test_a_csr_row_without_entries_and_indices_out_of_order():
    spec = NetworkSpec.dense([6, 9, 2], "tanh", "squared_error")
    data = as_csr(problem(spec, 12))
    X = data.X.tolil()
    X[3] = X[7] = 0
    X = X.tocsr()
    for i in range(12):
        part = slice(X.indptr[i], X.indptr[i + 1])
        X.indices[part], X.data[part] = X.indices[part][::-1].copy(), X.data[part][::-1].copy()
    for isa in _core.INSTRUCTION_SETS:
        assert_agree(isa, spec, Plan(Adam(), 5), Data(X, data.y), "float64")


def test_indices_and_indptr_may_differ_in_dtype():
    spec, plan = NetworkSpec.dense([6, 9, 2], "tanh", "squared_error"), Plan(Adam(), 5)
    data = as_csr(problem(spec, 12))
    data.X.indptr = data.X.indptr.astype(np.int64)
    assert data.X.indices.dtype == np.int32
    assert_agree(cython_backend.BACKEND.isa, spec, plan, data, "float64")


@pytest.mark.parametrize("weighted", [False, True], ids=["unweighted", "weighted"])
@pytest.mark.parametrize("sparse", [False, True], ids=["dense", "csr"])
@each_dtype
@each_isa
def test_a_batch_of_several_blocks(isa, dtype, sparse, weighted):
    # train.c works in blocks of at most 1024 rows and adds up their gradients.
    spec = NetworkSpec.dense([9, 20, 3], "tanh", "log_loss")
    data = problem(spec, 3000, dtype, weighted=weighted)
    assert_agree(isa, spec, Plan(Adam(), 2500, alpha=0.1), as_csr(data) if sparse else data, dtype)


@each_dtype
@each_isa
def test_more_inputs_than_one_block_of_depth(isa, dtype):
    spec = NetworkSpec.dense([700, 30, 400, 3], "relu", "squared_error")
    assert_agree(isa, spec, Plan(SGD(0.0, False), 60, alpha=0.1), problem(spec, 100, dtype), dtype)


@each_dtype
@each_isa
def test_one_row_is_predicted_as_among_many(isa, dtype):
    for n_in, n_hidden, n_out in itertools.product([1, 3, 16, 50], [1, 9, 64, 100], [1, 5, 17]):
        for activation in ACTIVATIONS:
            spec = NetworkSpec.dense([n_in, n_hidden, n_out], activation, "squared_error")
            engine = of(isa).engine(spec, np.dtype(dtype))
            params = fresh_state(spec, SGD(), dtype).params[0]
            X = problem(spec, 70, dtype).X
            together, alone = np.empty((70, n_out), dtype), np.empty((70, n_out), dtype)
            engine.forward(params, X, together)
            for i in range(70):
                engine.forward(params, X[i : i + 1], alone[i : i + 1])
            np.testing.assert_array_equal(alone, together)


@each_dtype
@each_isa
def test_no_byte_beyond_an_array_is_read_or_written(isa, dtype):
    # Arrays stand between rows of NaN: what is read too far shows in the results, what is written
    # too far in the borders.
    def between(array):
        room = np.full(array.size + 64, np.nan, array.dtype)
        room[32:-32] = array.ravel()
        return room, room[32:-32].reshape(array.shape)

    for units in ([3, 5, 2], [17, 33, 9], [1, 1, 1]):
        spec = NetworkSpec.dense(units, "relu", "squared_error")
        plan, data = Plan(Adam(), 7, alpha=0.1), problem(spec, 19, dtype, weighted=True)
        passes = work_for(np.random.default_rng(0), 19, 7)
        results = []
        for guard in (False, True):
            state = fresh_state(spec, plan.optimizer, dtype)
            out, rooms, X, y, weight = (
                np.zeros((19, units[-1]), dtype),
                [],
                data.X,
                data.y,
                data.weight,
            )
            if guard:
                guarded = [
                    between(array) for array in (state.params, state.slots, X, y, weight, out)
                ]
                rooms = [room for room, _ in guarded]
                state.params, state.slots, X, y, weight, out = (array for _, array in guarded)
            engine = of(isa).engine(spec, np.dtype(dtype))
            losses = engine.trainer(plan).train(state, Data(X, y, weight), passes)
            engine.predict(state.params[0], X, out)  # NaN beyond X would be found
            first = np.zeros_like(out[:1])
            engine.predict(state.params[0], X[-1:], first)
            results.append([losses, state.params, state.slots, out, first])
            for room in rooms:
                assert np.isnan(room[:32]).all()
                assert np.isnan(room[-32:]).all()
        for value, expected in zip(*results, strict=True):
            np.testing.assert_array_equal(value, expected)


@pytest.fixture
def share_out(monkeypatch):
    """Has calls worked by a number of threads, whatever the cost model says of them."""

    def by(n_threads: int) -> None:
        monkeypatch.setattr(cython_backend.threads, "available_cpus", lambda: n_threads)
        monkeypatch.setattr(cython_backend.CythonEngine, "_worth", lambda self, call: n_threads)

    return by


@pytest.fixture
def started(monkeypatch) -> list[threading.Thread]:
    """The threads that were started."""
    found, start = [], threading.Thread.start
    monkeypatch.setattr(threading.Thread, "start", lambda self: (found.append(self), start(self)))
    return found


@pytest.fixture
def tuning():
    """Sets what a line of memory costs between cores."""
    yield _core.tuning
    _core.tuning(0)


def test_threads_that_are_too_many_for_these_cores_leave(monkeypatch, tuning):
    spec = NetworkSpec.dense([9, 20, 3], "relu", "log_loss")
    work = work_for(np.random.default_rng(0), 40, 10, 2)
    data, rule = problem(spec, 40, "float32"), Adam()
    expected = fresh_state(spec, rule, "float32")
    cython_backend.BACKEND.engine(spec, np.dtype("float32")).trainer(Plan(rule, 10)).train(
        expected, data, work
    )
    trainer = cython_backend.BACKEND.engine(spec, np.dtype("float32"), 3).trainer(Plan(rule, 10))
    asked = []
    monkeypatch.setattr(cython_backend.threads, "available_cpus", lambda: 3)
    monkeypatch.setattr(
        cython_backend.CythonEngine,
        "_worth",
        lambda self, call: asked.append(tuning(0)) or (1 if len(asked) == 2 else 3),
    )
    for _ in range(50):  # a probe is given up where another process has the core
        asked.clear()
        state = fresh_state(spec, rule, "float32")
        trainer.train(state, data, work)
        np.testing.assert_array_equal(state.params, expected.params)
        if len(asked) == 2:
            break


def test_a_probe_is_tried_ten_times(tuning):
    """Each of these takes half a millisecond: there is no worker to take turns with."""
    spec = NetworkSpec.dense([9, 1], "relu", "squared_error")
    data, state = problem(spec, 40, "float32"), fresh_state(spec, SGD(), "float32")
    engine = cython_backend.BACKEND.engine(spec, np.dtype("float32"), 2)

    def probed(with_worker: bool) -> bool:
        call = engine.call(None, state, data, np.arange(40)[None, None], np.zeros(1))
        call.gradient(np.empty_like(state.params), np.zeros(1)).prepare(2)
        worker = threading.Thread(target=call.work, args=(1,))
        if with_worker:
            worker.start()
        found = call.probe()
        call.give_up()
        if with_worker:
            worker.join()
        call.finish()
        return found

    tuning(0)
    assert not any(probed(with_worker=False) for _ in range(10))
    assert not any(probed(with_worker=True) for _ in range(50))
    for _ in range(50):  # whoever has the core in between
        tuning(0)
        if probed(with_worker=True):
            break
    else:
        pytest.skip("this machine is too busy for two threads to take turns")


@pytest.mark.parametrize("n_members", [1, 3])
@each_dtype
@each_isa
def test_threads_do_not_change_a_bit(isa, dtype, n_members, share_out, started):
    # 2 and 3 threads take whole members where there are 3; 7 share each.
    for units, batch, sparse in [
        ([20, 33, 5], 100, False),
        ([20, 33, 5], 2500, False),
        ([300, 40, 2], 200, True),
    ]:
        spec = NetworkSpec.dense(units, "relu", "log_loss")
        data = problem(spec, 2600 if batch > 1000 else 450, dtype, weighted=True)
        data = as_csr(data) if sparse else data
        passes, plan = (
            work_for(np.random.default_rng(2), len(data.y), batch),
            Plan(Adam(), batch, 0.1),
        )
        results = []
        for n_threads in (1, 2, 3, 7):
            share_out(n_threads)
            started.clear()
            engine = of(isa).engine(spec, np.dtype(dtype))
            state = fresh_state(spec, Adam(), dtype, n_members=n_members)
            losses = engine.trainer(plan).train(state, data, passes)
            grad = np.empty_like(state.params)
            sums = engine.gradient(state, data, passes.rows[:, 0], grad)
            assert len(started) == 2 * (n_threads - 1)
            results.append([losses, state.params, state.slots, sums, grad])
        for other in results[1:]:
            for value, expected in zip(other, results[0], strict=True):
                np.testing.assert_array_equal(value, expected)


@pytest.mark.parametrize("n_members", [1, 4])
def test_a_call_works_with_the_threads_it_gets(n_members, share_out, monkeypatch):
    spec, plan = NetworkSpec.dense([20, 33, 5], "relu", "log_loss"), Plan(Adam(), 100)
    data, passes = problem(spec, 300), work_for(np.random.default_rng(2), 300, 100)
    trainer = cython_backend.BACKEND.engine(spec, np.dtype("float64")).trainer(plan)
    expected = fresh_state(spec, Adam(), n_members=n_members)
    trainer.train(expected, data, passes)
    share_out(4)
    start, begun = threading.Thread.start, []

    def second_fails(thread):
        if begun:
            raise RuntimeError("can't start new thread")
        begun.append(thread)
        start(thread)

    monkeypatch.setattr(threading.Thread, "start", second_fails)
    state = fresh_state(spec, Adam(), n_members=n_members)
    trainer.train(state, data, passes)
    np.testing.assert_array_equal(state.params, expected.params)
    assert not begun[0].is_alive()

    def interrupted(thread):
        if len(begun) == 2:
            raise KeyboardInterrupt
        begun.append(thread)
        start(thread)

    monkeypatch.setattr(threading.Thread, "start", interrupted)
    before = copy_state(state)
    with pytest.raises(KeyboardInterrupt):
        trainer.train(state, data, passes)
    assert not begun[1].is_alive()  # it returned; it does not wait for a start
    np.testing.assert_array_equal(state.params, before.params)
    monkeypatch.setattr(threading.Thread, "start", start)
    trainer.train(state, data, passes)  # and the engine is free again


@pytest.mark.parametrize(
    ("units", "n_passes", "n_members", "line_ns", "fewest", "most"),
    [
        ([10, 16, 1], 1000, 1, 25, 1, 1),  # a step is too short to share
        ([64, 100, 10], 1, 1, 25, 1, 1),  # all is done before a thread has started
        ([64, 100, 10], 1000, 1, 25, 2, 11),
        ([64, 100, 10], 1000, 1, 150, 1, 1),  # cores that share no cache
        ([784, 256, 128, 10], 1000, 1, 150, 2, 11),
        ([784, 1024, 512, 10], 10, 1, 25, 12, 12),  # as many as there are
        ([10, 16, 1], 1000, 5, 150, 5, 5),  # one for each member
        ([10, 16, 1], 1, 5, 25, 1, 1),
    ],
)
def test_a_call_takes_as_many_threads_as_it_can_use(
    units, n_passes, n_members, line_ns, fewest, most, monkeypatch, tuning
):
    tuning(line_ns)
    worth = []
    monkeypatch.setattr(
        cython_backend.CythonEngine, "run", lambda self, call: worth.append(self._worth(call))
    )
    spec = NetworkSpec.dense(units, "relu", "log_loss")
    engine = cython_backend.BACKEND.engine(spec, np.dtype("float32"), n_threads=12)
    engine.trainer(Plan(Adam(), 192)).train(
        fresh_state(spec, Adam(), "float32", n_members=n_members),
        problem(spec, 384, "float32"),
        work_for(np.random.default_rng(0), 384, 192, n_passes),
    )
    assert fewest <= worth[0] <= most


@pytest.mark.parametrize("n_given", [0, 1])
def test_a_prediction_does_without_the_threads_it_does_not_get(n_given, monkeypatch):
    monkeypatch.setattr(cython_backend, "THREAD_WORK", 1000)
    monkeypatch.setattr(cython_backend.threads, "available_cpus", lambda: 3)
    spec = NetworkSpec.dense([9, 20, 3], "relu", "log_loss")
    params, X = fresh_state(spec, SGD()).params[0], problem(spec, 1000).X
    engine = cython_backend.BACKEND.engine(spec, np.dtype("float64"), n_threads=3)
    expected, out = np.zeros((2, len(X), 3))
    cython_backend.BACKEND.engine(spec, np.dtype("float64")).forward(params, X, expected)
    start, started = threading.Thread.start, []

    def fails(thread):
        if len(started) == n_given:
            raise RuntimeError("can't start new thread")
        started.append(thread)
        start(thread)

    monkeypatch.setattr(threading.Thread, "start", fails)
    engine.forward(params, X, out)
    np.testing.assert_array_equal(out, expected)
    assert len(started) == n_given


@pytest.mark.skipif(not os.path.exists("/proc/self/status"), reason="reads Linux's /proc")
def test_scratch_does_not_grow_with_the_rows():
    code = """
import numpy as np
from fastnn.backends.base import Data, Passes, Plan, TrainState
from fastnn.backends.cython_backend import BACKEND
from fastnn.core.network import NetworkSpec, initialise
from fastnn.core.optimizers import SGD

def peak():
    for line in open("/proc/self/status"):
        if line.startswith("VmHWM"):
            return int(line.split()[1]) * 1024

n = 400_000
spec = NetworkSpec.dense([20, 50, 1], "relu", "squared_error")
X, y, rows = np.ones((n, 20), "f4"), np.ones((n, 1), "f4"), np.arange(n).reshape(1, 1, -1)
params = initialise(spec, np.dtype("float32"), np.random.RandomState(0))[None]
state = TrainState(params, np.zeros((1, 1, spec.layout.n_params), "f4"))
engine = BACKEND.engine(spec, np.dtype("float32"))
out, grad = np.empty((n, 1), np.float32), np.empty_like(params)
out[...] = 0
before = peak()
engine.trainer(Plan(SGD(), n)).train(state, Data(X, y), Passes(rows, np.full((1, 1, 1), 1e-3)))
engine.gradient(state, Data(X, y), rows[0], grad)
engine.forward(state.params[0], X, out)
print(peak() - before)
"""
    grown = int(
        subprocess.run(
            [sys.executable, "-c", code], capture_output=True, text=True, check=True
        ).stdout
    )
    assert grown < 8_000_000  # the hidden layer's activations alone are 80 MB


@each_isa
@each_dtype
@pytest.mark.parametrize("function", _core.FUNCTIONS)
def test_errors_in_units_of_the_last_place(isa, dtype, function):
    limit = {"tanh": 4, "logistic": 4, "mills_ratio": 10}.get(function, 2)
    if function == "mills_ratio" and dtype == "float64":
        limit += 8  # SciPy's own: no function of long double is at hand
    if dtype == "float64" and np.finfo(np.longdouble).nmant <= 52:
        pytest.skip("long double is no wider than double here")
    wide = np.float64 if dtype == "float32" else np.longdouble
    info = np.finfo(dtype)
    largest = float(np.log(info.max))
    rng = np.random.default_rng(3)
    if function == "log":
        x = np.concatenate(
            [np.geomspace(info.tiny, info.max / 4, 100_000), rng.uniform(0.4, 2.5, 100_000)]
        )
    elif function == "exp":
        x = np.concatenate([rng.uniform(-largest + 1, largest, 200_000), rng.normal(size=100_000)])
    elif function in ("log1p", "mills_ratio"):  # the exponential of x^2 / 2 is finite in float32
        x = np.concatenate([np.geomspace(info.tiny, 1, 100_000), rng.uniform(0, 13, 100_000)])
    elif function == "expm1_of_negative":
        x = -np.geomspace(info.tiny, largest, 200_000)
    else:  # where e^-x leaves the range logistic is allowed to stop short of 0
        span = -float(np.log(info.tiny)) - 1
        x = np.concatenate([rng.uniform(-span, span, 100_000), 3 * rng.normal(size=200_000)])
        x = np.concatenate(
            [x, np.geomspace(info.tiny, 1, 50_000), -np.geomspace(info.tiny, 1, 50_000)]
        )
    x = x.astype(dtype)
    x = np.concatenate([x, np.nextafter(x, np.array(np.inf, dtype)), np.array([1], dtype)])
    exact = {
        "exp": np.exp,
        "log": np.log,
        "tanh": np.tanh,
        "logistic": lambda v: 1 / (1 + np.exp(-v)),
        "expm1_of_negative": np.expm1,
        "log1p": np.log1p,
        "mills_ratio": lambda v: erfcx(v.astype(float) / np.sqrt(2)) / 2,
    }[function](x.astype(wide))
    value = x.copy()
    _core.apply(isa, function, value)
    unit = np.spacing(np.abs(exact).astype(dtype)).astype(wide)
    error = np.abs(value.astype(wide) - exact) / np.maximum(unit, wide(info.tiny) * wide(info.eps))
    assert error.max() <= limit, f"{error.max()} units at {x[error.argmax()]!r}"


@each_isa
@each_dtype
def test_special_values(isa, dtype):
    inf, nan, big = np.inf, np.nan, np.finfo(dtype).max
    for function, x, expected in [
        ("exp", [inf, -inf, nan, 0.0, big, -big], [inf, 0, nan, 1, inf, 0]),
        ("log", [inf, -inf, nan, 0.0, -0.0, -1.0, 1.0], [inf, nan, nan, -inf, -inf, nan, 0]),
        ("tanh", [inf, -inf, nan, 0.0, -0.0, big, -big], [1, -1, nan, 0.0, -0.0, 1, -1]),
        ("logistic", [inf, nan, 0.0, big], [1, nan, 0.5, 1]),
    ]:
        value = np.array(x, dtype)
        _core.apply(isa, function, value)
        np.testing.assert_array_equal(value, np.array(expected, dtype), err_msg=function)
        np.testing.assert_array_equal(
            np.signbit(value[~np.isnan(value)]), np.signbit(np.array(expected)[~np.isnan(expected)])
        )
    for x in (-inf, -big):
        value = np.array([x], dtype)
        _core.apply(isa, "logistic", value)
        assert 0 <= value[0] <= 4 * np.finfo(dtype).tiny


@each_isa
@each_dtype
@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_what_is_not_finite_is_not_swallowed(isa, dtype, bad):
    for activation, loss in itertools.product(ACTIVATIONS, LOSSES):
        spec = NetworkSpec.dense([4, 9, 2], activation, loss)
        data = problem(spec, 40, dtype)
        data.X[6, 1] = bad
        ours, reference = engines(isa, spec, dtype)
        state = fresh_state(spec, SGD(), dtype)
        out, expected = np.empty((40, 2), dtype), np.empty((40, 2), dtype)
        rows, grad = np.arange(40)[None], np.empty_like(state.params)
        with np.errstate(all="ignore"):
            ours.forward(state.params[0], data.X, out)
            reference.forward(state.params[0], data.X, expected)
            (value,), _ = ours.gradient(state, data, rows, grad)
            (expected_value,), _ = reference.gradient(state, data, rows, np.empty_like(grad))
        np.testing.assert_array_equal(np.isfinite(out), np.isfinite(expected), err_msg=activation)
        assert np.isfinite(value) == np.isfinite(expected_value), (activation, loss)
        if np.isnan(bad):
            assert np.isnan(grad).any()


def test_denormals_are_full_numbers_again_after_training():
    spec = NetworkSpec.dense([4, 9, 2], "relu", "squared_error")
    data = problem(spec, 40)
    trainer = cython_backend.BACKEND.engine(spec, np.dtype("float64")).trainer(Plan(SGD(), 10))
    trainer.train(fresh_state(spec, SGD()), data, work_for(np.random.default_rng(0), 40, 10))
    tiny = np.finfo(np.float64).tiny
    assert np.array([tiny])[0] / 2 > 0
