"""What does the C core say of itself, and what does it refuse?"""

from __future__ import annotations

import os
import re
import subprocess
import sys

import numpy as np
import pytest
from support.problems import fresh_state, problem

from fastnn.core.activations import ACTIVATIONS
from fastnn.core.links import INVERSE_LINKS
from fastnn.core.losses import LOSSES
from fastnn.core.network import NetworkSpec
from fastnn.core.optimizers import OPTIMIZERS, SGD

cython_backend = pytest.importorskip(
    "fastnn.backends.cython_backend", reason="the C extension was not built", exc_type=ImportError
)
_core = cython_backend._core


def of(isa: str):
    """The backend on an instruction set."""
    return cython_backend.CythonBackend(isa)


def test_what_c_says_of_a_name_is_what_the_registries_say():
    for known, registry in (
        (_core.ACTIVATIONS, ACTIVATIONS),
        (_core.LOSSES, LOSSES),
        (_core.OPTIMIZERS, [member.kernel for member in OPTIMIZERS.values()]),
    ):
        assert set(known) <= set(registry)
        assert [entry.code for entry in known.values()] == list(range(len(known)))
    for name, entry in _core.ACTIVATIONS.items():
        assert entry.keeps == ACTIVATIONS[name].keeps
        assert entry.n_settings == len(ACTIVATIONS[name].settings())
    for name, entry in _core.LOSSES.items():
        assert entry.y_is_codes == LOSSES[name].y_is_codes
        if entry.n_settings is not None:
            assert entry.n_settings == len(LOSSES[name].filled().settings())
    assert set(_core.INVERSE_LINKS) <= set(INVERSE_LINKS)
    for name, entry in _core.OPTIMIZERS.items():
        assert entry.n_slots == OPTIMIZERS[name].rule_slots
        assert entry.n_settings == len(OPTIMIZERS[name].filled().settings())


def test_a_plan_with_other_settings_than_the_kernels_is_refused():
    with pytest.raises(ValueError, match=r"The kernel of 'adam' reads 3 settings, got 2\."):
        _core.Plan("adam", np.zeros(2), (0.0, 0.0, 0.0, None, False), 10, [], [], [])


def test_a_precision_that_an_instruction_set_lacks_is_refused():
    spec = NetworkSpec.dense([4, 9, 2], "relu", "squared_error")
    message = r"The kernels for \w+ compute in float32 or float64 or bfloat16, not in float16\."
    with pytest.raises(ValueError, match=message):
        cython_backend.BACKEND.engine(spec, np.dtype("float16"))


def test_an_engine_at_work_is_refused_to_another_thread():
    spec = NetworkSpec.dense([4, 9, 2], "relu", "squared_error")
    engine = cython_backend.BACKEND.engine(spec, np.dtype("float64"))
    data, state = problem(spec, 40), fresh_state(spec, SGD())
    rows, grad = np.arange(40)[None], np.empty_like(state.params)
    call = engine.call(None, state, data, rows[:, None], np.zeros(1))
    call.prepare(1)
    with pytest.raises(RuntimeError, match="This engine is at work in another thread; train needs"):
        engine.gradient(state, data, rows, grad)
    call.finish()
    engine.gradient(state, data, rows, grad)


def test_an_array_of_another_kind_is_refused_by_name():
    spec = NetworkSpec.dense([4, 9, 2], "relu", "squared_error")
    data = problem(spec, 40)
    engine = cython_backend.BACKEND.engine(spec, np.dtype("float64"))
    state = fresh_state(spec, SGD())
    params, out = state.params[0], np.empty((40, 2))
    with pytest.raises(
        ValueError, match=r"X must hold 160 numbers of 8 bytes \(kind 'd'\), got 160 of 4 bytes"
    ):
        engine.forward(params, data.X.astype(np.float32), out)
    with pytest.raises(
        ValueError, match=r"X must hold 156 numbers of 8 bytes \(kind 'd'\), got 160 of"
    ):
        engine.forward(params, data.X, out[:39])
    with pytest.raises(
        ValueError, match=r"out must hold 80 numbers of 8 bytes \(kind 'd'\), got 40 of"
    ):
        engine.forward(params, data.X, out[:, :1].copy())
    with pytest.raises(ValueError, match=r"params must hold 65 numbers"):
        engine.forward(params[:-1], data.X, out)


@pytest.mark.skipif(sys.platform != "linux", reason="limits the process's memory")
@pytest.mark.parametrize(
    "call",
    [
        "engine.predict(state.params[0], X, out)",
        "engine.gradient(state, Data(X, y), np.arange(200)[None], grad[None])",
        "engine.trainer(Plan(SGD(), 200)).train(state, Data(X, y), passes)",
    ],
)
def test_no_memory_is_an_error_that_names_the_bytes(call):
    code = f"""
import resource
import numpy as np
from fastnn.backends.base import Data, Passes, Plan, TrainState
from fastnn.backends.cython_backend import BACKEND
from fastnn.core.network import NetworkSpec
from fastnn.core.optimizers import SGD

spec = NetworkSpec.dense([1, 1_000_000, 1], "relu", "squared_error")
engine = BACKEND.engine(spec, np.dtype("float64"))
n_params = spec.layout.n_params
state = TrainState(np.zeros((1, n_params)), np.zeros((1, 1, n_params)))
X, y, out, grad = np.zeros((200, 1)), np.zeros((200, 1)), np.zeros((200, 1)), np.zeros(n_params)
passes = Passes(np.arange(200).reshape(1, 1, -1), np.full((1, 1, 1), 1e-3))
with open("/proc/self/statm") as statm:
    used = int(statm.read().split()[0]) * resource.getpagesize()
resource.setrlimit(resource.RLIMIT_AS, (used + 2**24, used + 2**24))
try:
    {call}
except MemoryError as error:
    print(error)
"""
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    ).stdout
    n_bytes = re.fullmatch(r"No memory for (\d+) bytes of scratch\.", done.strip())
    assert n_bytes, done
    assert int(n_bytes[1]) > 2 * 1_000_000 * 8  # a row of the hidden layer, twice


@pytest.mark.parametrize("isa", _core.INSTRUCTION_SETS)
def test_the_environment_can_force_an_instruction_set(isa):
    code = "from fastnn.backends.cython_backend import BACKEND; print(BACKEND.isa)"
    done = subprocess.run(
        [sys.executable, "-c", code],
        env={**os.environ, "FASTNN_CPU": isa},
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.strip() == isa


def test_an_instruction_set_that_is_not_there_is_an_error_for_auto_too():
    code = "import fastnn; fastnn.MLPRegressor().fit([[0.0], [1.0]], [0.0, 1.0])"
    done = subprocess.run(
        [sys.executable, "-c", code],
        env={**os.environ, "FASTNN_CPU": "mmx"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1
    assert (
        "FASTNN_CPU is 'mmx'; this CPU can run " + ", ".join(_core.INSTRUCTION_SETS) in done.stderr
    )
    with pytest.raises(ValueError, match=r"isa must be one of .*generic on this CPU, got 'mmx'\."):
        cython_backend.CythonBackend("mmx")
