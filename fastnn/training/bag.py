"""How do several networks train side by side, each on its folds? A bag: epochs of all its members.

Each member holds out rows of its own, is measured on them after every epoch, and ends with the
parameters that did best. All members that still train go into one call of the engine. What a member
becomes does not depend on which others are beside it.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, NamedTuple, cast

import numpy as np
from numpy.typing import NDArray

from fastnn.backends.base import Data, Engine, Plan, TrainState
from fastnn.core import arrays
from fastnn.core.activations import Array
from fastnn.training.callbacks import Callback, pass_ended, watching
from fastnn.training.loop import DIVERGED, INTERRUPTED, InterruptedWarning, in_calls

Rows = NDArray[np.int64]


class Measured(NamedTuple):
    """How bad predictions of held-out rows are; smaller is better.

    Attributes
    ----------
    value : float
        By this the best epoch is chosen.
    loss : float
        By this a cycle is judged.
    halves : tuple of two floats
        As ``value``, of every second row from the first and from the second; NaN where that cannot
        be told.
    """

    value: float
    loss: float
    halves: tuple[float, float] = (np.nan, np.nan)


@dataclass(frozen=True)
class BagRules:
    """How long the members of a bag train.

    Attributes
    ----------
    max_iter : int
        The most epochs.
    cycle_ends : frozenset of int
        Epochs, counted from 1, after which a member stops whose least loss on the rows that it
        holds out is that of the cycles before.
    """

    max_iter: int
    cycle_ends: frozenset[int] = frozenset()


@dataclass
class Member:
    """What a member remembers: its rows, its best parameters, how good each epoch was.

    Attributes
    ----------
    rows, held_out : ndarray of int
        The rows to train and to validate on.
    best_params : ndarray of shape (n_params,)
    random_state : RandomState
        Draws the orders of its rows.
    best_value : float
        The value of ``best_params``; smaller is better.
    best_iter : int
        Their epoch, from 1.
    answers : ndarray of shape (n_held_out, n_out)
        What the member predicts of the rows held out; empty before the first epoch. Of each half
        the epoch that does best on the other one answers: an epoch chosen by the very rows that it
        answers would look better than it is.
    losses, values, held_out_losses : list of float
        The training loss, and what was measured of the rows held out, of each epoch.
    """

    rows: Rows
    held_out: Rows
    best_params: Array
    random_state: np.random.RandomState
    best_value: float = np.inf
    best_iter: int = 0
    answers: Array = field(default_factory=lambda: np.empty((0, 0)))
    chosen_by: list[float] = field(default_factory=lambda: [np.inf, np.inf])
    losses: list[float] = field(default_factory=list)
    values: list[float] = field(default_factory=list)
    held_out_losses: list[float] = field(default_factory=list)
    loss_at_cycle: float = np.inf

    def record(self, loss: float, measured: Measured, params: Array, predictions: Array) -> None:
        """Note an epoch; keep its parameters, and its predictions, where none were better."""
        value = measured.value
        self.losses.append(loss)
        self.values.append(value)
        self.held_out_losses.append(measured.loss)
        if value <= self.best_value and np.isfinite(value):
            self.best_value, self.best_iter = value, len(self.values)
            self.best_params[...] = params
        if not self.answers.size:
            self.answers = predictions.copy()
        for half, other in enumerate(reversed(measured.halves)):
            chosen_by = value if np.isnan(other) else other
            if chosen_by <= self.chosen_by[half] and np.isfinite(chosen_by):
                self.chosen_by[half] = chosen_by
                self.answers[half::2] = predictions[half::2]

    def ends_cycle(self) -> bool:
        """Whether this member stops at the end of a cycle: no better than at the last one."""
        least = float(np.fmin.reduce(self.held_out_losses))
        stops = least >= self.loss_at_cycle
        self.loss_at_cycle = least
        return stops


@dataclass
class BagLoop:
    """What callbacks see of a bag; the names are those of `fastnn.training.state.LoopState`.

    Attributes
    ----------
    members : sequence of Member
    rules : BagRules
    n_iter : int
        Epochs done.
    losses, validation_losses, values : list of float
        The training loss, and the loss and the value of the rows held out, of each epoch; means of
        the members that trained in it.
    stopped : bool
        Whether anything has ended the training.
    """

    members: Sequence[Member]
    rules: BagRules
    n_iter: int = 0
    losses: list[float] = field(default_factory=list)
    validation_losses: list[float] = field(default_factory=list)
    values: list[float] = field(default_factory=list)
    stopped: bool = False

    def record_epoch(self, active: Sequence[Member]) -> None:
        """Note an epoch of the members that trained in it."""
        i, self.n_iter = self.n_iter, self.n_iter + 1
        last = [(one.losses[i], one.held_out_losses[i], one.values[i]) for one in active]
        for curve, mean in zip(
            (self.losses, self.validation_losses, self.values), np.mean(last, axis=0), strict=True
        ):
            curve.append(float(mean))


@dataclass(frozen=True)
class Bag:
    """What all members have in common.

    Attributes
    ----------
    engine : Engine
    plan : Plan
        All batches are whole: rows left over wait for another epoch, with another order.
    n_out : int
        The network's outputs.
    data : Data
    measure : callable ``(member, predictions (n_held_out, n_out)) -> Measured``
        How bad a member's predictions of its held-out rows are.
    """

    engine: Engine
    plan: Plan
    n_out: int
    data: Data
    measure: Callable[[Member, Array], Measured]

    def train(
        self,
        loop: BagLoop,
        rates: NDArray[np.float64],
        callbacks: tuple[Callback, ...] = (),
    ) -> None:
        """Train each member from its ``best_params``, which are its best at the end.

        Parameters
        ----------
        loop : BagLoop
        rates : ndarray of shape (max_iter, n_steps)
            The learning rate of each step. A member with fewer rows than an epoch's steps visit
            visits them more than once.
        callbacks : tuple of Callback
            Told of each epoch, before those of ``watched_by``; they see ``loop``.

        Raises
        ------
        ValueError
            If a member has measured nothing finite.

        Warns
        -----
        InterruptedWarning
            If Ctrl-C ends it. Whole epochs count alone, but for the first: that one ends where it
            is, and a second Ctrl-C, while it is measured, is a KeyboardInterrupt.
        """
        members = loop.members
        params = arrays.copy(np.stack([member.best_params for member in members]))
        state = TrainState(params, self.plan.optimizer.new_slots(params))
        message = INTERRUPTED
        try:
            self._train(loop, state, rates, (*callbacks, *watching()))
        except KeyboardInterrupt:
            if not loop.n_iter:
                if np.array_equal(params, [member.best_params for member in members]):
                    raise  # before the first step
                self._end_epoch(loop, members, state, np.full(len(members), np.nan))
                message = f"{INTERRUPTED} The first epoch is kept, as far as it went."
            loop.stopped = True
            warnings.warn(message, InterruptedWarning, stacklevel=2)
        if not all(member.best_iter for member in members):
            raise ValueError(f"{DIVERGED} Lower learning_rate_init, or take another loss.")

    def _train(
        self,
        loop: BagLoop,
        state: TrainState,
        rates: NDArray[np.float64],
        callbacks: tuple[Callback, ...],
    ) -> None:
        """As :meth:`train`, whatever comes of it."""
        trainer = self.engine.trainer(self.plan)
        active, shown = list(loop.members), cast(Any, loop)  # it has what callbacks look at
        n_visits = rates.shape[1] * self.plan.batch_size
        while not loop.stopped and active and loop.n_iter < loop.rules.max_iter:
            rows = np.empty((len(active), 1, n_visits), np.int64)
            for member, own in zip(active, rows[:, 0], strict=True):
                own[...] = np.resize(member.random_state.permutation(member.rows), n_visits)
            own_rates, batch_size = rates[None, None, loop.n_iter], self.plan.batch_size
            losses = in_calls(trainer, state, self.data, rows, own_rates, batch_size)
            self._end_epoch(loop, active, state, losses[:, 0])
            pass_ended(shown, callbacks)
            if loop.n_iter in loop.rules.cycle_ends:
                goes_on = [not member.ends_cycle() for member in active]
                active = [member for member, on in zip(active, goes_on, strict=True) if on]
                state = replace(state, params=state.params[goes_on], slots=state.slots[goes_on])

    def _end_epoch(
        self,
        loop: BagLoop,
        active: Sequence[Member],
        state: TrainState,
        losses: NDArray[np.float64],
    ) -> None:
        """Measure those that trained in an epoch, and note it: of all, or of none."""
        averaged = state.params if self.plan.optimizer.ema is None else state.slots[:, -1]
        found = []
        for member, vector in zip(active, averaged, strict=True):
            out = np.empty((len(member.held_out), self.n_out), vector.dtype)
            self.engine.predict(vector, self.data.X[member.held_out], out)
            found.append((self.measure(member, out), vector, out))
        for member, loss, each in zip(active, losses, found, strict=True):
            member.record(float(loss), *each)
        loop.record_epoch(active)
