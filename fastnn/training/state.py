"""What does a fit remember? All of it stands in one `LoopState`, which is its checkpoint."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastnn.backends.base import Plan, TrainState
from fastnn.core import arrays
from fastnn.core.activations import Array
from fastnn.core.schedules import Schedule


@dataclass(frozen=True)
class Rules:
    """How a fit goes on and ends; the names are scikit-learn's.

    Attributes
    ----------
    max_iter : int
        The most passes.
    tol : float
        An improvement below this does not count.
    n_iter_no_change : float
        How many passes without improvement are a plateau, once exceeded.
    shuffle : bool
        Whether each pass visits the rows in a new order.
    early_stopping : bool
        Whether the validation score, not the training loss, says what an improvement is.
    converge : bool
        Whether a plateau ends the fit, and reaching ``max_iter`` before is worth a
        ConvergenceWarning; else exactly ``max_iter`` passes are asked for.
    """

    max_iter: int
    tol: float = 0.0
    n_iter_no_change: float = np.inf
    shuffle: bool = True
    early_stopping: bool = False
    converge: bool = True


@dataclass
class LoopState:
    """What a fit remembers between two passes: plain data.

    Kept at the end of a pass and given to :func:`fastnn.training.loop.train` again, with an engine
    for the same network and the same data, it goes on to the numbers of the fit that was never
    interrupted. :mod:`fastnn.training.checkpoint` keeps it in a file.

    Attributes
    ----------
    state : TrainState
        One network: its parameters, the optimizer's slots, the steps done, the seed.
    rules : Rules
    plan : Plan or None
        The optimizer, the batch size and the penalty; None for L-BFGS, which steps by itself.
    schedule : Schedule or None
    rate : float
        The schedule's rate, as the last plateau left it.
    rows : ndarray of int, shape (n_visits,)
        The rows to visit, in the order of the last pass. Each pass shuffles the order of the one
        before, as in scikit-learn.
    held_out : ndarray of int, shape (n_rows,)
        The rows that are held out to validate on; mostly none.
    random_state : RandomState or None
        Draws the orders.
    t : int
        Rows trained on, in all fits of a warm start.
    n_iter : int
        Passes done.
    no_improvement_count : int
        Passes since the last improvement.
    best_loss, best_score : float
    best_params : ndarray of shape (n_params,) or None
        The parameters to end with, whatever the last ones are.
    losses : list of float
        The loss of each pass.
    scores, validation_losses : list of float
        The score and the loss of the validation rows after each pass, where there are any.
    note : str
        What the last pass decided about stopping, in scikit-learn's words; mostly empty.
    converged : bool
        Whether a plateau has ended the fit.
    stopped : bool
        Whether anything has ended it: a plateau, a callback, Ctrl-C.
    origin : dict
        What the fit started from, as a checkpoint notes it; mostly empty.
    """

    state: TrainState
    rules: Rules
    plan: Plan | None = None
    schedule: Schedule | None = None
    rate: float = 0.0
    rows: NDArray[np.integer] = field(default_factory=lambda: np.empty(0, np.int32))
    held_out: NDArray[np.integer] = field(default_factory=lambda: np.empty(0, np.int32))
    random_state: np.random.RandomState | None = None
    t: int = 0
    n_iter: int = 0
    no_improvement_count: int = 0
    best_loss: float = np.inf
    best_score: float = -np.inf
    best_params: Array | None = None
    losses: list[float] = field(default_factory=list)
    scores: list[float] = field(default_factory=list)
    validation_losses: list[float] = field(default_factory=list)
    note: str = ""
    converged: bool = False
    stopped: bool = False
    origin: dict[str, Any] = field(default_factory=dict)

    @property
    def params(self) -> Array:
        """The network's parameters ``(n_params,)``, as they are validated and handed over.

        Where the optimizer keeps an average of them, that is the last of its slots.
        """
        return self.state.slots[0, -1] if self._averages else self.state.params[0]

    @property
    def _averages(self) -> bool:
        return self.plan is not None and self.plan.optimizer.ema is not None

    def record_pass(self, loss: float) -> None:
        """Note a finished pass, before anything that Ctrl-C could interrupt."""
        self.n_iter += 1
        self.t += len(self.rows)
        self.losses.append(loss)
        self.note = ""

    # ---- from one call to the next

    @classmethod
    def begin(
        cls, rules: Rules, plan: Plan, schedule: Schedule, earlier: LoopState | None
    ) -> LoopState:
        """A fit with a new optimizer; the counters of ``earlier`` go on, as in a warm start."""
        loop = cls(_nothing(), rules, plan, schedule, schedule.learning_rate_init)
        if earlier is not None:
            loop.t = earlier.t
            loop.no_improvement_count = earlier.no_improvement_count
            loop.best_loss, loop.best_score = earlier.best_loss, earlier.best_score
        return loop

    @classmethod
    def without_plan(cls, rules: Rules) -> LoopState:
        """A fit by L-BFGS."""
        return cls(_nothing(), rules)

    def resume(self, rules: Rules, alpha: float) -> LoopState:
        """Go on with the optimizer and the schedule of this fit, as ``partial_fit`` does."""
        assert self.plan is not None  # L-BFGS is not gone on with
        plan = replace(self.plan, alpha=alpha)
        return replace(self, rules=rules, plan=plan, n_iter=0, losses=[], stopped=False)

    def set_params(self, params: Array) -> None:
        """Train ``params (n_params,)``, with slots of their dtype.

        In place, unless the optimizer keeps an average: then the parameters that it follows are
        others, those of the last call or, where ``params`` are not what that left, ``params``.

        ValueError if there are slots already, of another number of parameters.
        """
        slots, trained = self.state.slots, params[None]
        if not self.state.step:
            slots = np.empty((1, 0, len(params)))
            if self.plan is not None:
                slots = self.plan.optimizer.new_slots(trained)
        elif slots.shape[2] != len(params):
            raise ValueError(
                f"coefs_ and intercepts_ hold {len(params)} numbers, but the optimizer to go on"
                f" with has trained {slots.shape[2]}. Call fit, whose optimizer is a new one."
            )
        slots = arrays.copy(slots, params.dtype)
        if self._averages:
            if self.state.step and np.array_equal(slots[:, -1], trained):
                trained = self.state.params
            slots[:, -1] = params
            trained = arrays.copy(trained, params.dtype)
        self.state = replace(self.state, params=trained, slots=slots)

    def draw_seed(self) -> None:
        """Draw what dropout and augmentations go by, unless the fit to go on from has."""
        assert self.random_state is not None
        if not len(self.state.seeds):
            self.state.seeds = self.random_state.randint(2**32, size=1, dtype=np.uint32)

    def at_rest(self) -> LoopState:
        """What a later call goes on from.

        Without parameters, which live in ``coefs_``, except those that an average there follows;
        and without rows, generator and curves.
        """
        params = self.state.params if self._averages else _nothing().params
        return replace(
            self,
            state=replace(self.state, params=params),
            rows=np.empty(0, np.int32),
            held_out=np.empty(0, np.int32),
            random_state=None,
            best_params=None,
            losses=[],
            scores=[],
            validation_losses=[],
            converged=False,
            origin={},
        )


def _nothing() -> TrainState:
    """The state of no network, until there is one."""
    return TrainState(np.empty((1, 0)), np.empty((1, 0, 0)))
