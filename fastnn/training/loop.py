"""When does training stop? The one loop over passes: shuffling, learning rates, validation,
stopping, the best snapshot.

The arithmetic of a pass is the engine's. Where nobody watches, several passes go into one call,
never more than could end the fit; long passes are cut into several calls, so that Ctrl-C is
answered soon.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray
from sklearn.exceptions import ConvergenceWarning

from fastnn.backends.base import Data, Passes, Trainer, TrainState
from fastnn.core.activations import Array
from fastnn.core.optimizers import Optimizer
from fastnn.core.schedules import Constant
from fastnn.training import shuffling

# A call into the engine does about this many multiplications, a tenth of a second or so, and visits
# this many rows, whose numbers take 2 MiB: more saves nothing.
CALL_WORK = 2_000_000_000
CALL_VISITS = 2**18

NON_FINITE = (
    "Solver produced non-finite parameter weights. The input data may contain large values and need to be preprocessed."
    " Scale X to zero mean and unit variance (StandardScaler), scale a regression target alike, or lower learning_rate_init."
)


@dataclass(frozen=True)
class Rules:
    """How a fit goes on and ends; the names are scikit-learn's. ``warn`` is False where stopping at max_iter is expected."""

    batch_size: int
    max_iter: int
    tol: float
    n_iter_no_change: float
    shuffle: bool
    verbose: bool
    warn: bool = True


@dataclass
class Memory:
    """What ``partial_fit`` goes on from: the optimizer and schedule of the first call, as in scikit-learn, and their state."""

    optimizer: Optimizer
    schedule: Constant
    slots: Array
    step: int
    rate: float


@dataclass
class LoopState:
    """What a fit remembers beside its TrainState. The curves hold this call's passes only."""

    rate: float
    t: int = 0
    n_iter: int = 0
    no_improvement_count: int = 0
    best_loss: float = np.inf
    best_score: float = -np.inf
    best_params: Array | None = None
    losses: list[float] = field(default_factory=list)
    scores: list[float] = field(default_factory=list)

    def record_pass(self, loss: float, n_rows: int) -> None:
        """Note that a pass over ``n_rows`` rows was done, before anything that Ctrl-C could interrupt."""
        self.n_iter += 1
        self.t += n_rows
        self.losses.append(loss)

    def judge_loss(self, tol: float) -> None:
        """Without validation, the last pass's loss decides whether training improves."""
        loss = self.losses[-1]
        self.no_improvement_count = (
            self.no_improvement_count + 1 if loss > self.best_loss - tol else 0
        )
        self.best_loss = min(self.best_loss, loss)

    def judge_score(self, score: float, tol: float, params: Array) -> None:
        """With validation, the score decides, and the best one's parameters are kept."""
        self.scores.append(score)
        self.no_improvement_count = (
            self.no_improvement_count + 1 if score < self.best_score + tol else 0
        )
        if score > self.best_score:
            self.best_score = score
            self.best_params = params.copy()


def train(
    trainer: Trainer,
    state: TrainState,
    data: Data,
    rows: NDArray[np.integer],
    schedule: Constant,
    rules: Rules,
    loop: LoopState,
    random_state: np.random.RandomState,
    validation_score: Callable[[], float] | None = None,
) -> None:
    """Train ``state`` in place until a rule ends it.

    Parameters
    ----------
    rows : ndarray of shape (n_visits,)
        The rows of ``data`` to visit in each pass; shuffled in place, so that permutations compose as scikit-learn's do.
    validation_score : callable ``() -> float``, optional
        The present parameters' score. With it, the score decides when to stop, and the best parameters are restored at the end.

    Raises
    ------
    ValueError
        If parameters become NaN or infinite and no validation keeps better ones.
    """
    watched = validation_score is not None or rules.verbose
    what = "Training loss" if validation_score is None else "Validation score"
    n_steps = -(-len(rows) // rules.batch_size)
    try:
        while loop.n_iter < rules.max_iter:
            n_passes = (
                1 if watched else _passes_to_next_stop(rules, loop, len(rows), state.params.shape[1])
            )
            rates = np.empty((n_passes, n_steps))
            for i in range(n_passes):
                rates[i] = loop.rate
                loop.rate = schedule.after_pass(loop.rate, loop.t + (i + 1) * len(rows))
            orders = _orders(rows, n_passes, rules.shuffle, random_state)
            losses = _run(trainer, state, data, orders, rates, rules.batch_size)
            if validation_score is None and not all_finite(state.params):
                raise ValueError(NON_FINITE)

            for loss in losses:
                loop.record_pass(loss, len(rows))
                if rules.verbose:
                    print(f"Iteration {loop.n_iter}, loss = {loss:.8f}")
                if validation_score is None:
                    loop.judge_loss(rules.tol)
                else:
                    score = validation_score()
                    loop.judge_score(score, rules.tol, state.params[0])
                    if rules.verbose:
                        print(f"Validation score: {score:f}")

            if loop.no_improvement_count > rules.n_iter_no_change:
                message = f"{what} did not improve more than tol={rules.tol:f} for {rules.n_iter_no_change:d} consecutive epochs."
                next_rate = schedule.on_plateau(loop.rate)
                if next_rate is None:
                    if rules.verbose:
                        print(message, schedule.stop_message)
                    break
                if rules.verbose:
                    print(message, f"Setting learning rate to {next_rate:f}")
                loop.rate = next_rate
                loop.no_improvement_count = 0
        else:
            if rules.warn:
                warnings.warn(
                    f"Stochastic Optimizer: Maximum iterations ({rules.max_iter}) reached and the optimization hasn't"
                    " converged yet.",
                    ConvergenceWarning,
                    stacklevel=2,
                )
    except KeyboardInterrupt:
        warnings.warn("Training interrupted by user.", stacklevel=2)
    if validation_score is not None and loop.best_params is not None:
        state.params[0] = loop.best_params
    if not all_finite(state.params):
        raise ValueError(NON_FINITE)


def all_finite(params: Array) -> bool:
    """Whether no element is NaN or infinite; minimum and maximum carry NaN along and need no temporary array."""
    return bool(np.isfinite(params.min()) and np.isfinite(params.max()))


def _passes_to_next_stop(rules: Rules, loop: LoopState, n_visits: int, n_params: int) -> int:
    """How many passes one call may do: none but the last can end the fit."""
    until_stop = rules.n_iter_no_change + 1 - loop.no_improvement_count
    per_call = min(CALL_VISITS, CALL_WORK // n_params) // n_visits
    return int(max(1, min(rules.max_iter - loop.n_iter, until_stop, per_call)))


def _orders(
    rows: NDArray[np.integer], n_passes: int, shuffle: bool, random_state: np.random.RandomState
) -> NDArray[np.integer]:
    """The order of visit of each pass ``(n_passes, n_visits)``; a single one is ``rows`` itself, not a copy."""
    if n_passes == 1:
        if shuffle:
            shuffling.shuffle(rows, random_state)
        return rows[None]
    orders = np.empty((n_passes, len(rows)), rows.dtype)
    for order in orders:
        if shuffle:
            shuffling.shuffle(rows, random_state)
        order[...] = rows
    return orders


def _run(
    trainer: Trainer,
    state: TrainState,
    data: Data,
    orders: NDArray[np.integer],
    rates: NDArray[np.float64],
    batch_size: int,
) -> NDArray[np.float64]:
    """The mean loss of each pass. A long pass is cut into calls of whole batches."""
    n_passes, n_visits = orders.shape
    batches = max(1, min(CALL_VISITS, CALL_WORK // state.params.shape[1]) // batch_size)
    per_call = n_visits if n_passes > 1 else batches * batch_size
    totals = np.zeros(n_passes)
    for start in range(0, n_visits, per_call):
        rows = orders[:, start : start + per_call].astype(np.int64, copy=False)
        first = start // batch_size
        passes = Passes(rows[None], rates[None, :, first : first + -(-rows.shape[1] // batch_size)])
        totals += trainer.train(state, data, passes)[0] * rows.shape[1]
    return totals / n_visits
