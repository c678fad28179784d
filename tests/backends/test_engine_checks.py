"""Does every engine refuse arrays that do not fit, in one sentence, before it changes anything?"""

from __future__ import annotations

from dataclasses import replace
from functools import partial

import numpy as np
import pytest
from support.problems import fresh_state, problem

from fastnn.backends import load
from fastnn.backends.base import Passes, Plan
from fastnn.core.network import NetworkSpec
from fastnn.core.optimizers import Adam

SPEC = NetworkSpec.dense([3, 4, 2], "tanh", "squared_error")
CODES = NetworkSpec.dense([3, 4, 2], "tanh", "log_loss")
F64, P, N = np.dtype(np.float64), SPEC.layout.n_params, 12
DROPS = SPEC.with_dropout(0.5)
PLAN = Plan(Adam(), 5)


def read_only(array):
    array = array.copy()
    array.flags.writeable = False
    return array


NOT_TO_WRITE = "must be writable and in C order: it is changed in place"
PARAMS = {
    "one vector": (lambda a: a[0], rf"must have shape \(n_members, {P}\), got \({P},\)"),
    "too short": (lambda a: a[:, 1:], rf"must have shape \(n_members, {P}\), got \(2, {P - 1}\)"),
    "float32": (lambda a: a.astype(np.float32), "must have dtype float64, got float32"),
}
SLOTS = {
    "one slot": (lambda a: a[:, :1], rf"must have shape \(2, 2, {P}\), got \(2, 1, {P}\)"),
    "one member": (lambda a: a[:1], rf"must have shape \(2, 2, {P}\), got \(1, 2, {P}\)"),
    "too short": (lambda a: a[..., 1:], rf"must have shape \(2, 2, {P}\), got \(2, 2, {P - 1}\)"),
    "float32": (lambda a: a.astype(np.float32), "must have dtype float64, got float32"),
    "Fortran": (np.asfortranarray, NOT_TO_WRITE),
    "read-only": (read_only, NOT_TO_WRITE),
}
GRAD = {
    "one member": (lambda a: a[:1], rf"must have shape \(2, {P}\), got \(1, {P}\)"),
    "one vector": (lambda a: a[0], rf"must have shape \(2, {P}\), got \({P},\)"),
    "float32": (lambda a: a.astype(np.float32), "must have dtype float64, got float32"),
    "Fortran": (np.asfortranarray, NOT_TO_WRITE),
    "read-only": (read_only, NOT_TO_WRITE),
}
SEEDS = {
    "none": (lambda a: a[:0], "must be given, for the network has dropout; there are none"),
    "three": (lambda a: a[[0, 1, 1]], r"must have shape \(2,\), got \(3,\)"),
    "int64": (lambda a: a.astype(np.int64), "must have dtype uint32, got int64"),
}
DATA = {
    "X": (lambda d: replace(d, X=d.X[:, :2]), r"X must have shape \(12, 3\), got \(12, 2\)"),
    "X's dtype": (
        lambda d: replace(d, X=d.X.astype(np.float32)),
        "X must have dtype float64, got float32",
    ),
    "y": (lambda d: replace(d, y=d.y[:5]), r"y must have shape \(12, 2\), got \(5, 2\)"),
    "weight": (
        lambda d: replace(d, weight=np.ones(5)),
        r"weight must have shape \(12,\), got \(5,\)",
    ),
}


def cases(table):
    return pytest.mark.parametrize(("change", "message"), table.values(), ids=table)


def refused(call, message, *unchanged):
    before = [array.copy() for array in unchanged]
    with pytest.raises(ValueError, match=rf"^{message}\.$"):
        call()
    for array, expected in zip(unchanged, before, strict=True):
        np.testing.assert_array_equal(array, expected)


def train(backend, state, data, spec=SPEC):
    passes = Passes(np.tile(np.arange(N), (1, 2, 1)), np.full((1, 2, 3), 0.01))
    return load(backend).engine(spec, F64).trainer(PLAN).train(state, data, passes)


def gradient(backend, state, data, rows=None, grad=None, spec=SPEC):
    rows = np.arange(N)[None] if rows is None else rows
    grad = np.zeros((2, P)) if grad is None else grad
    return load(backend).engine(spec, F64).gradient(state, data, rows, grad)


@pytest.fixture
def state():
    return fresh_state(SPEC, Adam(), n_members=2)


@pytest.fixture
def data():
    return problem(SPEC, N)


@cases(
    {**PARAMS, "Fortran": (np.asfortranarray, NOT_TO_WRITE), "locked": (read_only, NOT_TO_WRITE)}
)
def test_train_refuses_params(backend, state, data, change, message):
    wrong = replace(state, params=change(state.params))
    refused(lambda: train(backend, wrong, data), f"params {message}", state.params, state.slots)


@cases(SLOTS)
def test_train_refuses_slots(backend, state, data, change, message):
    wrong = replace(state, slots=change(state.slots))
    refused(lambda: train(backend, wrong, data), f"slots {message}", state.params, state.slots)


@cases(SEEDS)
def test_train_and_gradient_refuse_seeds(backend, data, change, message):
    state, grad = fresh_state(DROPS, Adam(), n_members=2), np.full((2, P), 7.0)
    wrong = replace(state, seeds=change(state.seeds))
    refused(lambda: train(backend, wrong, data, DROPS), f"seeds {message}", state.params)
    call = partial(gradient, backend, wrong, data, grad=grad, spec=DROPS)
    refused(call, f"seeds {message}", grad)


@cases(PARAMS)
def test_gradient_refuses_params(backend, state, data, change, message):
    wrong, grad = replace(state, params=change(state.params)), np.full((2, P), 7.0)
    refused(lambda: gradient(backend, wrong, data, grad=grad), f"params {message}", grad)


@cases(GRAD)
def test_gradient_refuses_grad(backend, state, data, change, message):
    grad = change(np.full((2, P), 7.0))
    refused(lambda: gradient(backend, state, data, grad=grad), f"grad {message}", grad)


@pytest.mark.parametrize("shape", [(3, N), (N,)])
def test_gradient_refuses_rows(backend, state, data, shape):
    rows, grad = np.zeros(shape, np.int64), np.full((2, P), 7.0)
    message = (
        rf"rows must have shape \(1 or 2, n\), got {str(shape).translate({40: '[(]', 41: '[)]'})}"
    )
    refused(lambda: gradient(backend, state, data, rows, grad), message, grad)


@cases(DATA)
def test_train_and_gradient_refuse_data(backend, state, data, change, message):
    wrong = change(data)
    refused(lambda: train(backend, state, wrong), message, state.params, state.slots)
    refused(lambda: gradient(backend, state, wrong), message)


def test_label_codes_are_int32(backend, state):
    data = problem(CODES, N)
    wrong = replace(data, y=data.y.astype(np.int64))
    message = "y must have dtype int32, got int64"
    refused(lambda: gradient(backend, state, wrong, spec=CODES), message)


def test_gradient_takes_params_that_are_read_only(backend, state, data):
    expected = gradient(backend, state, data)
    sums = gradient(backend, replace(state, params=read_only(state.params)), data)
    np.testing.assert_array_equal(sums, expected)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            lambda s: s[:3],
            r"segments must be 4, one for each of the network's layout, got 3",
        ),
        (
            lambda s: (replace(s[0], start=1), *s[1:]),
            r"segments\[0\] must have the start, stop and shape of the network's layout,"
            r" \(0, 12, \(3, 4\)\), got \(1, 12, \(3, 4\)\)",
        ),
        (
            lambda s: (s[0], s[2], s[1], s[3]),
            r"segments\[1\] must have .* \(12, 20, \(4, 2\)\), got \(20, 24, \(4,\)\)",
        ),
    ],
    ids=["too few", "shifted", "another order"],
)
def test_a_trainer_refuses_segments_that_are_not_those_of_the_layout(backend, change, message):
    plan = replace(PLAN, segments=change(SPEC.layout.segments))
    refused(lambda: load(backend).engine(SPEC, F64).trainer(plan), message)
