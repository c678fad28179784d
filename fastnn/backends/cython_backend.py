"""How is a network run by the C core?

Specs, plans and data are translated for ``_core``, and the threads of a call started.
"""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array

from fastnn.backends import threads
from fastnn.backends.base import Data, Engine, Passes, Plan, Trainer, TrainState, csr_arrays
from fastnn.backends.checks import (
    Inputs,
    NotFinite,
    check_csr,
    check_gradient,
    check_inputs,
    check_training,
    why_unsupported,
)
from fastnn.core.embedding import Encoded
from fastnn.core.family import Member
from fastnn.core.functions import Array, Function
from fastnn.core.network import NetworkSpec

try:
    import fastnn.backends._core as _core
except ModuleNotFoundError as error:
    raise ImportError(
        "fastnn's C extension was not built: there was no C compiler when fastnn was installed, or"
        " compiling failed. Install a C compiler (gcc, clang) and reinstall with `pip install"
        " --force-reinstall --no-deps fastnn`; in a source checkout run `python setup.py build_ext"
        " --inplace`."
    ) from error


THREAD_WORK = 20_000_000  # rows times parameters of a prediction worth a thread: half a millisecond


def _kernel(
    member: Member, settings: NDArray[np.float64], dtype: np.dtype
) -> tuple[str, NDArray[np.float64], int]:
    """What C takes for an activation or a loss: a name, settings, the address of one from outside.

    Where there is an address, it takes the place of the kernel of that name.
    """
    if not isinstance(member, Function):
        return member.name, settings, 0
    from fastnn.backends.numba.functions import address_of

    replaced = "absolute_error" if member.takes == "target" else "identity"
    return replaced, settings, address_of(member, dtype)


class CythonTrainer:
    """See :class:`fastnn.backends.base.Trainer`."""

    def __init__(self, engine: CythonEngine, plan: Plan) -> None:
        self.engine = engine
        self.plan = plan
        factors = {
            segment.start: (
                segment.rate,
                segment.penalty,
                segment.decay,
                segment.epsilon,
                segment.trainable,
            )
            for segment in plan.segments_of(engine.spec)
        }
        layout = engine.spec.layout
        optimizer = plan.optimizer
        self._core = _core.Plan(
            optimizer.kernel,
            optimizer.settings(),
            (
                plan.alpha,
                optimizer.l1,
                optimizer.weight_decay,
                optimizer.max_norm,
                optimizer.ema is not None,
            ),
            plan.batch_size,
            [factors[segment.start] for segment in layout.weights],
            [factors[segment.start] for segment in layout.biases],
            [factors[segment.start] for segment in layout.embedding],
        )

    def train(self, state: TrainState, data: Data, passes: Passes) -> NDArray[np.float64]:
        check_training(self.engine.spec, self.engine.dtype, self.plan, state, data, passes)
        rows = np.ascontiguousarray(passes.rows, np.int64)
        losses = np.zeros((len(state.params), rows.shape[1]))
        if losses.size and rows.size:
            steps = self.plan.optimizer.steps(passes.rates, state.step + 1)
            call = self.engine.call(self._core, state, data, rows, losses)
            self.engine.run(call.train(state.slots, steps))
        state.step += passes.rates[0].size
        return losses


class CythonEngine:
    """See :class:`fastnn.backends.base.Engine`.

    Its C engine stays between calls, and with it the scratch.
    """

    def __init__(self, spec: NetworkSpec, dtype: np.dtype, n_threads: int, isa: str) -> None:
        self.spec = spec
        self.dtype = np.dtype(dtype)
        self.n_threads = n_threads
        layout = spec.layout
        layers = [
            (
                layer.n_in,
                layer.n_out,
                *_kernel(layer.activation, layer.activation.settings(), self.dtype),
                layer.dropout,
                weights.start,
                biases.start,
            )
            for layer, weights, biases in zip(
                spec.layers, layout.weights, layout.biases, strict=True
            )
        ]
        kernel = _kernel(spec.loss, spec.loss.settings_for(spec.n_out), self.dtype)
        loss = *kernel, spec.loss.inverse_link
        embedding = _embedding(spec)
        precision = "bfloat16" if spec.bfloat16 else self.dtype.name
        self._core = _core.Engine(isa, precision, layers, layout.n_params, loss, embedding)

    def forward(self, params: Array, X: Inputs, out: Array) -> None:
        self._answer(self._core.forward, params, X, out)

    def predict(self, params: Array, X: Inputs, out: Array) -> None:
        if not self._answer(self._core.predict, params, X, out):
            raise NotFinite

    def _answer(self, call: Callable[..., bool], params: Array, X: Inputs, out: Array) -> bool:
        """Call ``forward`` or ``predict`` of C, with several threads where there are many rows."""
        if self.spec.embedding is not None or not isinstance(X, np.ndarray):
            arrays = _arrays(X)
            if not (isinstance(X, Encoded) and self._core.takes(arrays, out.shape[-2])):
                check_inputs(self.spec, self.dtype, X)  # says what does not fit
            check_csr(X)
            return call(params, arrays, out)
        n_threads = min(len(out) * self._core.n_params // THREAD_WORK, self.n_threads)
        if n_threads > 1:
            with (
                contextlib.suppress(RuntimeError),  # the system has no more threads to give
                threads.reserve(n_threads) as n_threads,
                ThreadPoolExecutor(n_threads) as pool,
            ):
                cuts = [len(out) * i // n_threads for i in range(n_threads + 1)]
                parts = [slice(*ends) for ends in pairwise(cuts)]
                return all(pool.map(lambda part: call(params, X[part], out[part]), parts))
        return call(params, X, out)

    def gradient(
        self, state: TrainState, data: Data, rows: NDArray[np.int64], grad: Array
    ) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        check_gradient(self.spec, self.dtype, state, data, rows, grad)
        loss_sums, weight_sums = np.zeros((2, len(state.params)))
        if rows.size:
            rows = np.ascontiguousarray(rows[:, None], np.int64)
            call = self.call(None, state, data, rows, loss_sums)
            self.run(call.gradient(grad, weight_sums))
        else:
            grad[...] = 0
        return loss_sums, weight_sums

    def trainer(self, plan: Plan) -> Trainer:
        return CythonTrainer(self, plan)

    def call(
        self,
        plan: _core.Plan | None,
        state: TrainState,
        data: Data,
        rows: NDArray[np.int64],
        losses: NDArray[np.float64],
    ) -> _core.Call:
        """A call of the C core: what ``train`` and ``gradient`` have in common."""
        X = data.csr if isinstance(data.X, csr_array) else _arrays(data.X)
        members = state.params, state.each_seed, state.step
        return _core.Call(self._core, plan, *members, X, data.y, data.weight, rows, losses)

    def run(self, call: _core.Call) -> None:
        """Work with as many threads as the call is worth and the process has to spare.

        The calling thread is one of them.
        """
        with threads.reserve(self._worth(call)) as n_threads:
            call.prepare(n_threads)
            team = [
                threading.Thread(target=call.work, args=(me,), name=f"fastnn-{me}")
                for me in range(1, n_threads)
            ]
            started = []
            try:
                for thread in team:
                    try:
                        thread.start()
                    except RuntimeError:  # the system has no more threads to give
                        break
                    started.append(thread)
                n_started = 1 + len(started)
                if n_started > 1 and call.probe():  # fewer are worth it where lines are dear
                    n_started = min(n_started, self._worth(call))
                call.lead(n_started)
            finally:
                call.give_up()
                for thread in started:
                    thread.join()
                call.finish()

    def _worth(self, call: _core.Call) -> int:
        """How many threads the call is worth: the C core's cost model, at most the engine's."""
        return call.n_threads(self.n_threads)


def _embedding(spec: NetworkSpec) -> _core.Embedding | None:
    """The embedding as C takes it."""
    own = spec.embedding
    if own is None:
        return None
    return _core.Embedding(
        own.size,
        own.n_indicators,
        own.starts,
        own.lower,
        own.widths,
        np.array(own.hot, np.float64),
        [segment.start for segment in spec.layout.embedding],
    )


def _arrays(X: Inputs) -> Any:
    """X as C takes it: an array, or a tuple of arrays."""
    if isinstance(X, Encoded):
        each = X.fractions, X.bins, X.indicators, X.codes
        return _core.Encoded(*map(np.ascontiguousarray, each))
    return csr_arrays(X) if isinstance(X, csr_array) else X


class CythonBackend:
    """See :class:`fastnn.backends.base.Backend`.

    Parameters
    ----------
    isa : str
        One of :attr:`available`; by default the best, or the one that the environment variable
        FASTNN_CPU names. "amx" and "avx512_bf16" are "avx512" but for bfloat16; "_lowered" is what
        computes their instructions by others, to be tested on any CPU.
    """

    name = "cython"
    available: tuple[str, ...] = _core.INSTRUCTION_SETS
    shuffle = staticmethod(_core.shuffle)  # see fastnn.training.shuffling
    find_bins = staticmethod(_core.find_bins)  # see fastnn.tabular.bins

    def __init__(self, isa: str = _core.DEFAULT) -> None:
        if isa not in self.available:
            raise ValueError(
                f"isa must be one of {', '.join(self.available)} on this CPU, got {isa!r}."
            )
        self.isa = isa

    @property
    def has_fast_bfloat16(self) -> bool:
        """Whether networks of some width train faster in bfloat16 than in float32."""
        return _core.flops(self.isa, "bfloat16") > _core.flops(self.isa, "float32")

    def supports(self, spec: NetworkSpec, dtype: np.dtype, plan: Plan | None = None) -> str | None:
        return why_unsupported(
            spec,
            dtype,
            plan,
            activations=_core.ACTIVATIONS,
            losses=_core.LOSSES,
            inverse_links=_core.INVERSE_LINKS,
            optimizers=_core.OPTIMIZERS,
            rounds=True,
        )

    def engine(self, spec: NetworkSpec, dtype: np.dtype, n_threads: int = 1) -> Engine:
        return CythonEngine(spec, dtype, n_threads, self.isa)


BACKEND = CythonBackend()
