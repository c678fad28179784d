"""How does the Numba backend call its compiled functions? It prepares their arrays and settings.

Nothing compiles before an engine's first call, and what was compiled once is found on disk by the
next process.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array

from fastnn.backends.base import Data, Engine, Passes, Plan, Trainer, TrainState
from fastnn.backends.checks import (
    Inputs,
    check_csr,
    check_finite,
    check_gradient,
    check_inputs,
    check_training,
    why_unsupported,
)
from fastnn.backends.numba import passes as kernels
from fastnn.backends.numba.encoded import Encoding, encoding
from fastnn.backends.numba.layout import Places, aligned, kernel, lay_out
from fastnn.backends.numba.losses import LOSSES
from fastnn.backends.numba.math import ACTIVATIONS, OPTIMIZERS, code
from fastnn.core.activations import Array
from fastnn.core.embedding import Encoded
from fastnn.core.links import INVERSE_LINKS
from fastnn.core.network import NetworkSpec, Segment


class _Scratch:
    """The network and memory that an engine or a trainer keeps, for dense and for sparse input.

    ``n_lines`` counts vectors like the parameters: these, the gradient, and the slots.
    """

    def __init__(
        self, spec: NetworkSpec, dtype: np.dtype, segments: tuple[Segment, ...], n_lines: int
    ) -> None:
        self.spec = spec
        self.dtype = dtype
        self.segments = segments
        self.n_lines = n_lines
        self._kept: dict[bool, tuple[kernels.Network, Places | None]] = {}

    def network(self, X: Inputs) -> tuple[kernels.Network, Encoding | None]:
        """Made when the first such X comes."""
        sparse = isinstance(X, csr_array)
        if sparse not in self._kept:
            self._kept[sparse] = self.fresh(X, kernels.BLOCK_ROWS)
        network, places = self._kept[sparse]
        return network, self.encoding(places, X)

    def encoding(self, places: Places | None, X: Inputs) -> Encoding | None:
        """What kernels know of an embedding and its rows; None where there is none."""
        own = self.spec.embedding
        if own is None or places is None or not isinstance(X, Encoded):
            return None
        return encoding(own, places, X, _plain)

    def fresh(self, X: Inputs, n_rows: int) -> tuple[kernels.Network, Places | None]:
        """Another one, for ``n_rows`` rows at a time."""
        spec, dtype, n_lines = self.spec, self.dtype, self.n_lines
        layout = lay_out(
            spec, self.segments, dtype, n_rows, sparse=isinstance(X, csr_array), slopes=n_lines > 1
        )
        n = layout.n_padded
        padded = aligned(n_lines * n, dtype).reshape(n_lines, n)
        work = aligned(layout.n_work, dtype)
        loss, settings = kernel(LOSSES, spec.loss, dtype), spec.loss.settings_for(spec.n_out)
        return kernels.Network(*loss, settings, *layout[:3], padded, work), layout.places


class NumbaTrainer:
    """See :class:`fastnn.backends.base.Trainer`."""

    def __init__(self, spec: NetworkSpec, dtype: np.dtype, plan: Plan) -> None:
        self.spec = spec
        self.dtype = dtype
        self.plan = plan
        optimizer = plan.optimizer
        self._scratch = _Scratch(spec, dtype, plan.segments_of(spec), 2 + optimizer.n_slots)
        self._plan = (
            code(OPTIMIZERS, optimizer.kernel),
            optimizer.settings(),
            float(plan.alpha),
            float(optimizer.l1),
            float(optimizer.weight_decay),
            math.inf if optimizer.max_norm is None else float(optimizer.max_norm),
            int(plan.batch_size),
        )

    def train(self, state: TrainState, data: Data, passes: Passes) -> NDArray[np.float64]:
        check_training(self.spec, self.dtype, self.plan, state, data, passes)
        steps = self.plan.optimizer.steps(passes.rates, state.step + 1)
        task = kernels.Task(*self._plan, _plain(passes.rows), steps, _draws(state))
        losses = np.empty((len(state.params), passes.rows.shape[1]))
        network, encoded = self._scratch.network(data.X)
        source = _source(self.spec, data.X, data)
        kernels.train(network, task, state.params, state.slots, source, encoded, losses)
        state.step += passes.rates[0].size
        return losses


class NumbaEngine:
    """See :class:`fastnn.backends.base.Engine`."""

    def __init__(self, spec: NetworkSpec, dtype: np.dtype) -> None:
        self.spec = spec
        self.dtype = np.dtype(dtype)
        segments = spec.layout.segments
        self._forward = _Scratch(spec, self.dtype, segments, n_lines=1)
        self._gradient = _Scratch(spec, self.dtype, segments, n_lines=2)

    def forward(self, params: Array, X: Inputs, out: Array) -> None:
        check_csr(X)
        if self.spec.embedding is not None:
            check_inputs(self.spec, self.dtype, X)
        rows = np.arange(min(len(out), kernels.BLOCK_ROWS))
        network, places = self._forward.fresh(X, len(rows))
        encoded = self._forward.encoding(places, X)
        kernels.forward(network, _plain(params), _source(self.spec, X), encoded, rows, out)

    def predict(self, params: Array, X: Inputs, out: Array) -> None:
        if params.ndim == 2:
            for own, answer in zip(params, out, strict=True):
                self.predict(own, X, answer)
            return
        check_finite(X)
        self.forward(params, X, out)
        out[...] = INVERSE_LINKS[self.spec.loss.inverse_link].apply(out)

    def gradient(
        self, state: TrainState, data: Data, rows: NDArray[np.int64], grad: Array
    ) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        check_gradient(self.spec, self.dtype, state, data, rows, grad)
        sums = np.empty((len(state.params), 2))
        network, encoded = self._gradient.network(data.X)
        source = _source(self.spec, data.X, data)
        params, rows = _plain(state.params), _plain(rows)
        kernels.gradient(network, params, _draws(state), source, encoded, rows, grad, sums)
        return sums[:, 0], sums[:, 1]

    def trainer(self, plan: Plan) -> Trainer:
        return NumbaTrainer(self.spec, self.dtype, plan)


def _draws(state: TrainState) -> kernels.Draws:
    return kernels.Draws(state.each_seed, state.step)


NO_NUMBERS = {np.dtype(t): np.empty(0, t) for t in (np.float32, np.float64, np.int32)}


def _source(spec: NetworkSpec, X: Inputs, data: Data | None = None) -> kernels.Source:
    """The data as the kernels take it."""
    nothing, no_codes = NO_NUMBERS[X.dtype], NO_NUMBERS[np.dtype(np.int32)]
    indices, indptr, y, codes, weight = no_codes, no_codes, nothing, no_codes, nothing
    if isinstance(X, csr_array):
        values, indices, indptr = _plain(X.data), _short(X.indices), _short(X.indptr)
    else:
        values = nothing if isinstance(X, Encoded) else _plain(X).reshape(-1)
    if data is not None:
        if spec.loss.y_is_codes:
            codes = _plain(data.y)
        else:
            y = _plain(data.y).reshape(-1)
        if data.weight is not None:
            weight = _plain(data.weight)
    return kernels.Source(values, indices, indptr, y, codes, weight)


class _Unlocked:
    """A read-only array's memory as if it were writable: for Numba another type, compiled again."""

    def __init__(self, array: np.ndarray) -> None:
        self.array = array
        self.__array_interface__ = {**array.__array_interface__, "data": (array.ctypes.data, False)}


def _plain(array: np.ndarray) -> np.ndarray:
    """An array the kernels read, in C order and of the one type they are compiled for."""
    array = np.ascontiguousarray(array)
    return array if array.flags.writeable else np.asarray(_Unlocked(array))


def _short(indices: np.ndarray) -> np.ndarray:
    """Indices in 32 bits where they fit: for Numba another type, compiled again for 20 seconds."""
    fit = indices.size == 0 or indices.max() <= np.iinfo(np.int32).max
    return _plain(indices.astype(np.int32, copy=False) if fit else indices)


class NumbaBackend:
    """See :class:`fastnn.backends.base.Backend`."""

    name = "numba"

    def supports(self, spec: NetworkSpec, dtype: np.dtype, plan: Plan | None = None) -> str | None:
        return why_unsupported(
            spec,
            dtype,
            plan,
            activations=ACTIVATIONS,
            losses=LOSSES,
            inverse_links=INVERSE_LINKS,
            optimizers=OPTIMIZERS,
            rounds=False,
        )

    def engine(self, spec: NetworkSpec, dtype: np.dtype, n_threads: int = 1) -> Engine:
        return NumbaEngine(spec, dtype)


BACKEND = NumbaBackend()
