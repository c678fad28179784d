"""How does a training go on, pass by pass? Draw, run, record, tell the callbacks.

The arithmetic of a pass is the engine's; when to stop is :mod:`fastnn.training.stopping`'s. Where
nobody watches, several passes go into one call, never more than could end the fit; long passes are
cut into several calls, so that Ctrl-C is answered soon.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from functools import partial

import numpy as np
from numpy.typing import NDArray
from sklearn.exceptions import ConvergenceWarning

from fastnn.backends.base import Data, Engine, Passes, Trainer, TrainState
from fastnn.core.activations import Array
from fastnn.core.augmentations import Augmentation
from fastnn.training import shuffling
from fastnn.training.augmenting import trainer_of
from fastnn.training.callbacks import Callback, pass_ended, watching
from fastnn.training.state import LoopState
from fastnn.training.stopping import NoImprovement

# A call into the engine does about this many multiplications forward, a tenth of a second or so for
# each member, and visits this many rows, whose numbers take 2 MiB: more saves nothing.
CALL_WORK = 500_000_000
CALL_VISITS = 2**18

DIVERGED = "Solver produced non-finite parameter weights."
NON_FINITE = (
    f"{DIVERGED} The input data may contain large values and need"
    " to be preprocessed. Scale X to zero mean and unit variance (StandardScaler), scale a"
    " regression target alike, or lower learning_rate_init."
)
INTERRUPTED = "Training interrupted by user."


class InterruptedWarning(UserWarning):
    """Ctrl-C ended a training or a search; what was reached until then is kept."""


def train(
    loop: LoopState,
    engine: Engine,
    data: Data,
    callbacks: tuple[Callback, ...] = (),
    augmentations: Sequence[Augmentation] = (),
) -> None:
    """Train the network of ``loop`` in place on minibatches, until a rule or a callback ends it.

    Parameters
    ----------
    loop : LoopState
        A new one, or the checkpoint of a fit to go on with.
    engine : Engine
        For the network of ``loop``, on a backend that supports its plan.
    data : Data
    callbacks : tuple of Callback
        Told of each pass, before those of ``watched_by``; see :mod:`fastnn.training.callbacks`.
    augmentations : sequence of Augmentation
        What changes each batch, in turn; they need the loop's seed.

    Raises
    ------
    ValueError
        If parameters become NaN or infinite, and there is no snapshot of better ones.
    """
    assert loop.plan is not None  # L-BFGS alone has none
    trainer = trainer_of(engine, loop.plan, augmentations)
    go_on(loop, partial(drawn_passes, loop, trainer, data), callbacks)


def go_on(
    loop: LoopState,
    passes: Callable[[int], Sequence[float]],
    callbacks: tuple[Callback, ...] = (),
) -> None:
    """As :func:`train`, whatever does the passes.

    ``passes(n)`` trains the network of ``loop`` in place for ``n`` passes, and returns the mean
    loss of each.
    """
    callbacks = (*callbacks, *watching())
    try:
        while not loop.stopped and loop.n_iter < loop.rules.max_iter:
            losses = passes(_passes_of_next_call(loop, callbacks))
            if loop.best_params is None:
                check_finite_params(loop.params)
            for loss in losses:
                loop.record_pass(loss)
                pass_ended(loop, callbacks)
        planned = loop.schedule is not None and loop.schedule.has_horizon
        if loop.rules.converge and not loop.stopped and not planned:
            warnings.warn(
                f"Stochastic Optimizer: Maximum iterations ({loop.rules.max_iter}) reached and the"
                " optimization hasn't converged yet.",
                ConvergenceWarning,
                stacklevel=2,
            )
    except KeyboardInterrupt:
        loop.stopped = True
        warnings.warn(INTERRUPTED, InterruptedWarning, stacklevel=2)
    if loop.best_params is not None:
        loop.state.params[...] = loop.params[...] = loop.best_params
    check_finite_params(loop.params)


def check_finite_params(params: Array) -> None:
    """Raise ValueError if an element of ``params`` is NaN or infinite.

    Minimum and maximum carry NaN along and need no temporary array.
    """
    if not (np.isfinite(params.min()) and np.isfinite(params.max())):
        raise ValueError(NON_FINITE)


def _passes_of_next_call(loop: LoopState, callbacks: tuple[Callback, ...]) -> int:
    """One where anybody wants to see each; else none but the last may end the fit."""
    rules, n_visits = loop.rules, len(loop.rows)
    most = _most_visits(loop.state) // n_visits
    limits = [rules.max_iter - loop.n_iter, most]
    for callback in callbacks:
        if isinstance(callback, NoImprovement):
            limits.append(int(min(callback.passes_to_next_stop(loop), most)))
        else:
            limits.append(1)
    return max(1, min(limits))


def drawn_passes(loop: LoopState, trainer: Trainer, data: Data, n_passes: int) -> list[float]:
    """Do passes over ``loop.rows`` of ``data``, in orders that are drawn here."""
    assert loop.plan is not None
    orders, rates = _draw(loop, n_passes)
    losses = in_calls(trainer, loop.state, data, orders[None], rates[None], loop.plan.batch_size)
    return list(losses[0])


def _draw(loop: LoopState, n_passes: int) -> tuple[NDArray[np.integer], NDArray[np.float64]]:
    """The rows ``(n_passes, n_visits)`` in order of visit, and the rates of the steps.

    A single order is ``loop.rows`` itself, not a copy.
    """
    assert loop.plan is not None and loop.schedule is not None and loop.random_state is not None
    rows, n_visits = loop.rows, len(loop.rows)
    orders = rows[None] if n_passes == 1 else np.empty((n_passes, n_visits), rows.dtype)
    for order in orders:
        if loop.rules.shuffle:
            shuffling.shuffle(rows, loop.random_state)
        order[...] = rows
    n_steps = -(-n_visits // loop.plan.batch_size)
    n_rows = range(loop.t, loop.t + n_passes * n_visits, n_visits)
    return orders, loop.schedule.rates(loop.state.step, n_steps, n_rows, loop.rate)


def in_calls(
    trainer: Trainer,
    state: TrainState,
    data: Data,
    orders: NDArray[np.integer],
    rates: NDArray[np.float64],
    batch_size: int,
) -> NDArray[np.float64]:
    """As ``trainer.train``; a single pass is cut into calls of whole batches."""
    n_passes, n_visits = orders.shape[1:]
    batches = max(1, _most_visits(state) // batch_size)
    per_call = n_visits if n_passes > 1 else batches * batch_size
    totals = np.zeros((len(state.params), n_passes))
    for start in range(0, n_visits, per_call):
        rows = np.ascontiguousarray(orders[:, :, start : start + per_call], np.int64)
        first = start // batch_size
        n_steps = -(-rows.shape[2] // batch_size)
        passes = Passes(rows, rates[:, :, first : first + n_steps])
        totals += trainer.train(state, data, passes) * rows.shape[2]
    return totals / n_visits


def _most_visits(state: TrainState) -> int:
    """How many rows each member visits in a call, however many members there are."""
    return min(CALL_VISITS, CALL_WORK // state.params.shape[1])
