"""Do layers of few outputs, which the kernels work otherwise, get the bits of all others?"""

from __future__ import annotations

import numpy as np
import pytest
from support import instruction_sets
from support.problems import as_csr, fresh_state, problem

from fastnn.backends.base import Data, TrainState
from fastnn.core.network import NetworkSpec
from fastnn.core.optimizers import SGD

cython_backend = pytest.importorskip(
    "fastnn.backends.cython_backend", reason="the C extension was not built", exc_type=ImportError
)
_core = cython_backend._core

each_isa = pytest.mark.parametrize("isa", instruction_sets.tested(_core.INSTRUCTION_SETS))
each_dtype = pytest.mark.parametrize("dtype", ["float64", "float32"])

WIDER_THAN_ANY_OF_THEM = 65


@pytest.fixture(autouse=True)
def note_the_instruction_set(request):
    """Count the instruction set as tested (see conftest.py)."""
    request.node.user_properties.append(("backend", f"cython[{request.getfixturevalue('isa')}]"))


def gradients(isa, spec, dtype, params, data, n_threads=1):
    """Coefficients and intercepts of the gradient of all rows."""
    engine = cython_backend.CythonBackend(isa).engine(spec, np.dtype(dtype), n_threads)
    grad = np.empty((1, spec.layout.n_params), dtype)
    rows = np.arange(len(data.y), dtype=np.int64)[None]
    engine.gradient(
        TrainState(params[None], np.empty((1, 0, params.size), dtype)), data, rows, grad
    )
    return spec.layout.coefs(grad[0]), spec.layout.intercepts(grad[0])


@each_dtype
@each_isa
@pytest.mark.parametrize("sparse", [False, True], ids=["dense", "csr"])
def test_outputs_that_never_err_change_no_bit_below(isa, dtype, sparse):
    # Of more than 64 outputs, deltas come from other tiles, and are turned in a pass of its own.
    for n_out in [*range(1, 18), 64]:
        for n_hidden, n_rows in ((4 * n_out % 37 + 1, 50), (100, n_out)):
            narrow = NetworkSpec.dense([5, n_hidden, n_out], "tanh", "squared_error")
            wide = NetworkSpec.dense([5, n_hidden, WIDER_THAN_ANY_OF_THEM], "tanh", "squared_error")
            params = fresh_state(narrow, SGD(), dtype).params[0]
            coefs, intercepts = narrow.layout.coefs(params), narrow.layout.intercepts(params)
            missing = WIDER_THAN_ANY_OF_THEM - n_out
            wide_params = wide.layout.pack(
                [coefs[0], np.pad(coefs[1], ((0, 0), (0, missing)))],
                [intercepts[0], np.pad(intercepts[1], (0, missing))],
                np.dtype(dtype),
            )
            data = problem(narrow, n_rows, dtype)
            wide_data = Data(data.X, np.pad(data.y, ((0, 0), (0, missing))))
            if sparse:
                data, wide_data = as_csr(data), as_csr(wide_data)
            given = gradients(isa, narrow, dtype, params, data)
            expected = gradients(isa, wide, dtype, wide_params, wide_data, n_threads=2)
            np.testing.assert_array_equal(given[0][0], expected[0][0])
            np.testing.assert_array_equal(given[1][0], expected[1][0])


@each_dtype
@each_isa
def test_a_bias_gets_the_same_gradient_whatever_stands_beside_it(isa, dtype):
    # In full vectors of outputs it is summed up from turned deltas.
    wide = NetworkSpec.dense([3, WIDER_THAN_ANY_OF_THEM], "identity", "squared_error")
    params = fresh_state(wide, SGD(), dtype).params[0]
    coefs, intercepts = wide.layout.coefs(params)[0], wide.layout.intercepts(params)[0]
    data = problem(wide, 150, dtype)
    expected = gradients(isa, wide, dtype, params, data)[1][0]
    for n_out in [*range(1, 18), 33]:
        narrow = NetworkSpec.dense([3, n_out], "identity", "squared_error")
        of_some = narrow.layout.pack([coefs[:, :n_out]], [intercepts[:n_out]], np.dtype(dtype))
        given = gradients(isa, narrow, dtype, of_some, Data(data.X, data.y[:, :n_out].copy()))
        np.testing.assert_array_equal(given[1][0], expected[:n_out])


@each_dtype
@each_isa
def test_a_rows_probabilities_do_not_depend_on_the_rows_beside_it(isa, dtype):
    # Whole vectors of rows go through the softmax together.
    for n_out in [*range(2, 18), 33, 64, WIDER_THAN_ANY_OF_THEM]:
        spec = NetworkSpec.dense([4, n_out], "identity", "log_loss")
        engine = cython_backend.CythonBackend(isa).engine(spec, np.dtype(dtype))
        params = fresh_state(spec, SGD(), dtype).params[0]
        X = problem(spec, 37, dtype).X
        X[::3] *= 100  # some probabilities underflow
        together, alone = np.empty((37, n_out), dtype), np.empty((37, n_out), dtype)
        engine.predict(params, X, together)
        for i in range(37):
            engine.predict(params, X[i : i + 1], alone[i : i + 1])
        np.testing.assert_array_equal(alone, together)
