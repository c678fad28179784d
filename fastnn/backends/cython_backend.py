"""How is a network run by the C core? Translates specs, plans and data for ``_core``, and starts the threads of a call."""

from __future__ import annotations

import contextlib
import threading
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array

from fastnn.backends import threads as workers
from fastnn.backends.base import (
    Data,
    Engine,
    NotFinite,
    Passes,
    Plan,
    TrainState,
    check_batches,
    check_csr,
    check_rows,
)
from fastnn.core.activations import ACTIVATIONS, Array
from fastnn.core.losses import LOSSES
from fastnn.core.network import NetworkSpec
from fastnn.core.optimizers import SGD, Adam

try:
    import fastnn.backends._core as _core
except ModuleNotFoundError as error:
    raise ImportError(
        "fastnn's C extension was not built: there was no C compiler when fastnn was installed, or compiling failed. "
        "Install a C compiler (gcc, clang) and reinstall with `pip install --force-reinstall --no-deps fastnn`; "
        "in a source checkout run `python setup.py build_ext --inplace`."
    ) from error


THREAD_WORK = (
    20_000_000  # rows times parameters of a prediction that are worth a thread: half a millisecond
)


class CythonEngine:
    """See :class:`fastnn.backends.base.Engine`. Its C engine stays between calls, and with it the scratch."""

    def __init__(self, spec: NetworkSpec, plan: Plan, dtype: np.dtype, isa: str) -> None:
        self.plan = plan
        self.dtype = np.dtype(dtype)
        optimizer = plan.optimizer
        match optimizer:
            case SGD():
                numbers = (optimizer.nesterov, optimizer.momentum, 0.0, 0.0)
            case Adam():
                numbers = (False, optimizer.beta_1, optimizer.beta_2, optimizer.epsilon)
        layers = [
            (layer.n_in, layer.n_out, ACTIVATIONS[layer.activation].code) for layer in spec.layers
        ]
        self._core = _core.Engine(
            isa,
            self.dtype == np.float64,
            layers,
            LOSSES[spec.loss].code,
            optimizer.code,
            *numbers,
            plan.alpha,
            plan.batch_size,
        )

    def train(self, state: TrainState, data: Data, passes: Passes) -> NDArray[np.float64]:
        check_batches(data, passes, self.plan.batch_size)
        rates = np.ascontiguousarray(passes.rates, np.float64)
        optimizer = self.plan.optimizer
        if isinstance(optimizer, Adam):
            steps = np.arange(
                state.step + 1, state.step + 1 + rates.size, dtype=np.float64
            ).reshape(rates.shape)
            rates = rates * (np.sqrt(1 - optimizer.beta_2**steps) / (1 - optimizer.beta_1**steps))
        losses = np.zeros(len(passes.rows))
        rows = np.ascontiguousarray(passes.rows)
        if rows.size:
            X = _for_c(data.X)
            self._run(
                _core.Call(
                    self._core,
                    state.params,
                    state.slots,
                    None,
                    X,
                    data.y,
                    data.weight,
                    rows,
                    rates,
                    losses,
                )
            )
        state.step += rates.size
        return losses

    def loss_grad(
        self, state: TrainState, data: Data, rows: NDArray[np.int64], grad: Array
    ) -> float:
        check_rows(data, rows)
        loss = np.zeros(1)
        if len(rows) == 0:
            grad[...] = 0
            return 0.0
        rows = np.ascontiguousarray(rows, np.int64).reshape(1, -1)
        call = _core.Call(
            self._core,
            state.params,
            None,
            grad,
            _for_c(data.X),
            data.y,
            data.weight,
            rows,
            None,
            loss,
        )
        self._run(call)
        return float(loss[0])

    def forward(
        self,
        params: Array,
        X: Array | csr_array,
        out: Array,
        link: bool = False,
        check: bool = False,
    ) -> None:
        if not isinstance(X, np.ndarray):
            values, indices, indptr, _ = _for_c(X)
            self._core.forward_csr(params, values, indices, indptr, X.shape[0], out, link)
            return
        finite = None
        n_threads = min(len(out) * self._core.n_params // THREAD_WORK, self.plan.n_threads)
        if n_threads > 1:
            with (
                contextlib.suppress(RuntimeError),  # the system has no more threads to give
                workers.take(n_threads) as n_threads,
                ThreadPoolExecutor(n_threads) as pool,
            ):
                cuts = [len(out) * i // n_threads for i in range(n_threads + 1)]
                parts = [slice(*ends) for ends in pairwise(cuts)]
                finite = all(
                    pool.map(
                        lambda part: self._core.forward(params, X[part], out[part], link, check),
                        parts,
                    )
                )
        if finite is None:
            finite = self._core.forward(params, X, out, link, check)
        if not finite:
            raise NotFinite

    def _worth(self, call: _core.Call) -> int:
        """How many threads the call is worth: the C core's cost model, at most what the plan allows."""
        return call.n_threads(self.plan.n_threads)

    def _run(self, call: _core.Call) -> None:
        """Work with as many threads as the call is worth and the process has to spare, this one among them."""
        with workers.take(self._worth(call)) as n_threads:
            call.prepare(n_threads)
            crew = [
                threading.Thread(target=call.work, args=(me,), name=f"fastnn-{me}")
                for me in range(1, n_threads)
            ]
            started = []
            try:
                for thread in crew:
                    try:
                        thread.start()
                    except RuntimeError:  # the system has no more threads to give
                        break
                    started.append(thread)
                call.lead(1 + len(started))
            finally:
                call.dismiss()
                for thread in started:
                    thread.join()
                call.finish()


def _for_c(X: Array | csr_array) -> Any:
    """A dense X as it is; of a checked CSR matrix its three arrays, one index type for both, and the most entries of a row."""
    check_csr(X)
    if isinstance(X, np.ndarray):
        return X
    indices, indptr = X.indices, X.indptr
    if indices.dtype != indptr.dtype:
        indices, indptr = indices.astype(np.int64), indptr.astype(np.int64)
    return X.data, indices, indptr, int(np.diff(indptr).max(initial=0))


class CythonBackend:
    """See :class:`fastnn.backends.base.Backend`.

    Parameters
    ----------
    isa : str
        One of :attr:`available`; by default the best, or the one that the environment variable FASTNN_CPU names.
    """

    name = "cython"
    available: tuple[str, ...] = _core.INSTRUCTION_SETS

    def __init__(self, isa: str = _core.DEFAULT) -> None:
        if isa not in self.available:
            raise ValueError(
                f"isa must be one of {', '.join(self.available)} on this CPU, got {isa!r}."
            )
        self.isa = isa

    def supports(self, spec: NetworkSpec, dtype: np.dtype) -> str | None:
        if np.dtype(dtype) not in (np.float32, np.float64):
            return f"it computes in float32 or float64, not in {np.dtype(dtype)}."
        for layer in spec.layers:
            if layer.activation not in _core.CODES:
                return f"its kernels do not know the activation {layer.activation!r}; README.md says how to add it."
        return None

    def engine(self, spec: NetworkSpec, plan: Plan, dtype: np.dtype) -> Engine:
        return CythonEngine(spec, plan, dtype, self.isa)


BACKEND = CythonBackend()
