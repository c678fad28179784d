"""The Numba backend: hands a network, its data and aligned scratch memory to the compiled functions
of ``_numba_kernels``.

Nothing compiles before an engine's first call, and what was compiled once is found on disk by the
next process.
"""

from __future__ import annotations

from dataclasses import astuple
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array

from fastnn.backends.base import (
    Data,
    Engine,
    Passes,
    Plan,
    TrainState,
    check_batches,
    check_finite,
    check_rows,
)
from fastnn.backends.numba import kernels
from fastnn.core.activations import ACTIVATIONS, Array
from fastnn.core.losses import LINKS, LOSSES
from fastnn.core.network import NetworkSpec

# How the kernels find a layer. Offsets count elements.
LAYER = np.dtype(
    [
        ("n_in", np.int64),
        ("n_out", np.int64),
        ("activation", np.int64),
        ("ld_in", np.int64),  # from row to row of its input
        (
            "ld",
            np.int64,
        ),  # from row to row of its weights, outputs and deltas; n_out rounded up to whole vectors, or 1
        ("flat_w", np.int64),  # where its weights and biases start in the caller's parameter vector
        ("flat_b", np.int64),
        ("w", np.int64),  # and in the padded one
        ("b", np.int64),
        (
            "w_t",
            np.int64,
        ),  # where in the work space its transposed weights start, with rows of ld_in
        ("inp", np.int64),  # and its input, its output and its deltas, a row for each row of data
        ("out", np.int64),
        ("delta", np.int64),
    ]
)


class Source(NamedTuple):
    """``base.Data`` as vectors. What does not apply is empty.

    x (n_rows * n_in,) or the values of a CSR matrix with indices and indptr; y (n_rows * n_out,) or
    codes (n_rows,); weight (n_rows,).
    """

    x: np.ndarray
    indices: np.ndarray
    indptr: np.ndarray
    y: np.ndarray
    codes: np.ndarray
    weight: np.ndarray


class NumbaEngine:
    """See :class:`fastnn.backends.base.Engine`."""

    def __init__(self, spec: NetworkSpec, plan: Plan, dtype: np.dtype) -> None:
        self.spec = spec
        self.plan = plan
        self.dtype = np.dtype(dtype)
        self._loss = LOSSES[spec.loss].code
        self._scratch: dict[bool, tuple[np.ndarray, Array, Array]] = {}

    def train(self, state: TrainState, data: Data, passes: Passes) -> NDArray[np.float64]:
        check_batches(data, passes, self.plan.batch_size)
        layers, padded, work = self._own_scratch(data.X)
        losses = np.empty(len(passes.rows))
        plan = self.plan
        kernels.train(
            self._loss, plan.optimizer.code, np.array(astuple(plan.optimizer), np.float64), float(plan.alpha), plan.batch_size,
            layers, state.params, state.slots, state.step, self._source(data.X, data), _plain(passes.rows),
            _plain(passes.rates), padded, work, losses,
        )  # fmt: skip
        state.step += passes.rates.size
        return losses

    def loss_grad(
        self, state: TrainState, data: Data, rows: NDArray[np.int64], grad: Array
    ) -> float:
        check_rows(data, rows)
        layers, padded, work = self._own_scratch(data.X)
        alpha = float(self.plan.alpha)
        source = self._source(data.X, data)
        return kernels.loss_grad(
            self._loss,
            alpha,
            layers,
            _plain(state.params),
            source,
            _plain(rows),
            padded,
            work,
            grad,
        )

    def forward(
        self,
        params: Array,
        X: Array | csr_array,
        out: Array,
        link: bool = False,
        check: bool = False,
    ) -> None:
        if check:
            check_finite(X)
        rows = np.arange(min(len(out), kernels.BLOCK_ROWS))
        layers, n_padded, n_work = _lay_out(
            self.spec, self.dtype, len(rows), isinstance(X, csr_array)
        )
        padded, work = _aligned(n_padded, self.dtype), _aligned(n_work, self.dtype)
        kernels.forward(layers, _plain(params), self._source(X), rows, out, padded, work)
        if link:
            out[...] = LINKS[LOSSES[self.spec.loss].link](out)

    def _own_scratch(self, X: Array | csr_array) -> tuple[np.ndarray, Array, Array]:
        """(layers, padded, work) for ``X``, kept from call to call."""
        sparse = isinstance(X, csr_array)
        if sparse not in self._scratch:
            layers, n_padded, n_work = _lay_out(self.spec, self.dtype, kernels.BLOCK_ROWS, sparse)
            n_lines = 2 + self.plan.optimizer.n_slots
            padded = _aligned(n_lines * n_padded, self.dtype).reshape(n_lines, n_padded)
            self._scratch[sparse] = layers, padded, _aligned(n_work, self.dtype)
        return self._scratch[sparse]

    def _source(self, X: Array | csr_array, data: Data | None = None) -> Source:
        """The data as the kernels take it."""
        real, codes = np.empty(0, self.dtype), np.empty(0, np.int32)
        x = (
            (X.data, X.indices, X.indptr)
            if isinstance(X, csr_array)
            else (X.reshape(-1), codes, codes)
        )
        y = weight = real
        if data is not None:
            weight = real if data.weight is None else data.weight
            y, codes = (
                (real, data.y) if LOSSES[self.spec.loss].y_is_codes else (data.y.reshape(-1), codes)
            )
        return Source(*map(_plain, (*x, y, codes, weight)))


def _lay_out(
    spec: NetworkSpec, dtype: np.dtype, n_rows: int, sparse: bool
) -> tuple[np.ndarray, int, int]:
    """(layers, n_padded, n_work): where everything stands, with work space for ``n_rows`` rows at a time."""
    lanes = kernels.VECTOR_BYTES // np.dtype(dtype).itemsize

    def whole(n: int) -> int:
        return -(-n // lanes) * lanes

    layers = np.recarray(len(spec.layers), LAYER)
    widths = [_row_length(whole(layer.n_out), lanes) for layer in spec.layers]
    if spec.n_out == 1:
        widths[-1] = 1
    n_padded = 0
    n_work = kernels.ZEROS + max(whole(width) for width in widths)
    inp, ld_in = n_work, spec.n_in
    n_work += 0 if sparse else whole(n_rows * spec.n_in)  # a block's rows of X
    for i, (row, layer, ld) in enumerate(zip(layers, spec.layers, widths, strict=True)):
        row.n_in, row.n_out, row.activation = (
            layer.n_in,
            layer.n_out,
            ACTIVATIONS[layer.activation].code,
        )
        row.flat_w, row.flat_b = spec.layout.weights[i].start, spec.layout.biases[i].start
        row.ld_in, row.ld, row.inp = ld_in, ld, inp
        row.w, n_padded = n_padded, n_padded + whole(layer.n_in * ld)
        row.out, row.delta, row.w_t = (
            n_work,
            n_work + whole(n_rows * ld),
            n_work + 2 * whole(n_rows * ld),
        )
        n_work = row.w_t + (whole(layer.n_out * ld_in) if i else 0)
        inp, ld_in = row.out, ld
    for row, ld in zip(layers, widths, strict=True):
        row.b, n_padded = n_padded, n_padded + whole(ld)
    return layers, n_padded, n_work


def _row_length(n: int, lanes: int) -> int:
    """``n`` whole vectors, and one more where long rows would be an even number of them.

    Rows at a distance of a power of two fall on the same few lines of the first-level cache.
    """
    return n + lanes if n >= 8 * lanes and n // lanes % 2 == 0 else n


def _aligned(n: int, dtype: np.dtype) -> Array:
    """``n`` zeros that start where a vector register's load does not straddle two cache lines."""
    spare = kernels.VECTOR_BYTES // dtype.itemsize
    memory = np.zeros(n + spare, dtype)
    start = -memory.ctypes.data % kernels.VECTOR_BYTES // dtype.itemsize
    return memory[start : start + n]


class _Unlocked:
    """The memory of a read-only array as if it could be written to: for Numba that is another type, compiled once more."""

    def __init__(self, array: np.ndarray) -> None:
        self.array = array
        self.__array_interface__ = {**array.__array_interface__, "data": (array.ctypes.data, False)}


def _plain(array: np.ndarray) -> np.ndarray:
    """An array the kernels read, in C order and of the one type they are compiled for."""
    array = np.ascontiguousarray(array)
    return array if array.flags.writeable else np.asarray(_Unlocked(array))


class NumbaBackend:
    """See :class:`fastnn.backends.base.Backend`."""

    name = "numba"

    def supports(self, spec: NetworkSpec, dtype: np.dtype) -> str | None:
        if np.dtype(dtype) not in (np.float32, np.float64):
            return f"it computes in float32 or float64, not {np.dtype(dtype)}."
        for layer in spec.layers:
            if layer.activation not in kernels.KNOWN_ACTIVATIONS:
                return f"its kernels do not know the activation {layer.activation!r}; README.md says how to add it."
        return None

    def engine(self, spec: NetworkSpec, plan: Plan, dtype: np.dtype) -> Engine:
        return NumbaEngine(spec, plan, dtype)


BACKEND = NumbaBackend()
