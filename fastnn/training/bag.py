"""How do several networks train side by side, each on its folds? A bag: epochs of all its members.

Each member holds out rows of its own, is measured on them after every epoch, and ends with the
parameters that did best. All members that still train go into one call of the engine.
"""

from __future__ import annotations

import time
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from fastnn.backends.base import Data, Engine, Passes, Plan, TrainState
from fastnn.core.activations import Array
from fastnn.training.loop import INTERRUPTED, NON_FINITE, InterruptedWarning

Rows = NDArray[np.int64]


@dataclass(frozen=True)
class BagRules:
    """How long the members of a bag train.

    Attributes
    ----------
    max_iter : int
        The most epochs.
    cycle_ends : frozenset of int
        Epochs, counted from 1, after which a member stops that did not improve since the last one.
    max_time : float or None
        Seconds; the epoch in which they end is the last.
    """

    max_iter: int
    cycle_ends: frozenset[int] = frozenset()
    max_time: float | None = None


@dataclass
class Member:
    """What a member remembers: its rows, its best parameters, how good each epoch was.

    Attributes
    ----------
    rows, held_out : ndarray of int
        The rows to train and to validate on.
    best_params : ndarray of shape (n_params,)
    best_value : float
        The measure of ``best_params``; smaller is better.
    best_iter : int
        Their epoch, from 1.
    losses, values : list of float
        The training loss and the measure of each epoch.
    """

    rows: Rows
    held_out: Rows
    best_params: Array
    best_value: float = np.inf
    best_iter: int = 0
    losses: list[float] = field(default_factory=list)
    values: list[float] = field(default_factory=list)
    value_at_cycle: float = np.inf

    def record(self, loss: float, value: float, params: Array) -> None:
        """Note an epoch; keep its parameters where none were better."""
        self.losses.append(loss)
        self.values.append(value)
        if value <= self.best_value and np.isfinite(value):
            self.best_value, self.best_iter = value, len(self.values)
            self.best_params[...] = params

    def ends_cycle(self) -> bool:
        """Whether this member stops at the end of a cycle: no better than at the last one."""
        stops = self.best_value >= self.value_at_cycle
        self.value_at_cycle = self.best_value
        return stops


@dataclass(frozen=True)
class Bag:
    """What all members have in common.

    Attributes
    ----------
    engine : Engine
    plan : Plan
        Its batch size must not exceed the rows of any member. The rows left over by whole batches
        wait for another epoch, with another order.
    n_out : int
        The network's outputs.
    data : Data
    measure : callable ``(member, predictions (n_held_out, n_out)) -> float``
        How bad a member's predictions of its held-out rows are.
    random_state : RandomState
        Draws the orders of the rows.
    """

    engine: Engine
    plan: Plan
    n_out: int
    data: Data
    measure: Callable[[Member, Array], float]
    random_state: np.random.RandomState

    def train(
        self,
        members: Sequence[Member],
        rates: NDArray[np.float64],
        rules: BagRules,
        on_epoch: Callable[[int], bool | None] = lambda epoch: None,
    ) -> None:
        """Train each member from its ``best_params``, which are its best at the end.

        Parameters
        ----------
        members : sequence of Member
        rates : ndarray of shape (max_iter, n_steps)
            The learning rate of each step.
        rules : BagRules
        on_epoch : callable ``epoch -> bool or None``
            Called after each epoch; True ends the training.

        Raises
        ------
        ValueError
            If a member has measured nothing finite.
        """
        try:
            self._train(members, rates, rules, on_epoch)
        except KeyboardInterrupt:
            if not all(member.values for member in members):  # nothing is worth keeping yet
                raise
            warnings.warn(INTERRUPTED, InterruptedWarning, stacklevel=2)
        if not all(member.best_iter for member in members):
            raise ValueError(NON_FINITE)

    def _train(
        self,
        members: Sequence[Member],
        rates: NDArray[np.float64],
        rules: BagRules,
        on_epoch: Callable[[int], bool | None],
    ) -> None:
        """As :meth:`train`, whatever comes of it."""
        trainer, optimizer = self.engine.trainer(self.plan), self.plan.optimizer
        params = np.stack([member.best_params for member in members])
        state, active = TrainState(params, optimizer.new_slots(params)), list(members)
        held_out = {id(member): self.data.X[member.held_out] for member in members}
        n_visits, started = rates.shape[1] * self.plan.batch_size, time.monotonic()
        for epoch in range(1, rules.max_iter + 1):
            orders = [self.random_state.permutation(member.rows)[:n_visits] for member in active]
            rows = np.stack(orders)[:, None].astype(np.int64, copy=False)
            losses = trainer.train(state, self.data, Passes(rows, rates[None, None, epoch - 1]))
            averaged = state.params if optimizer.ema is None else state.slots[:, -1]
            for member, loss, vector in zip(active, losses[:, 0], averaged, strict=True):
                out = np.empty((len(member.held_out), self.n_out), vector.dtype)
                self.engine.predict(vector, held_out[id(member)], out)
                member.record(float(loss), self.measure(member, out), vector)
            timed_out = rules.max_time is not None and time.monotonic() - started >= rules.max_time
            if on_epoch(epoch) or timed_out:
                return
            if epoch in rules.cycle_ends:
                goes_on = [not member.ends_cycle() for member in active]
                active = [member for member, on in zip(active, goes_on, strict=True) if on]
                if not active:
                    return
                state = replace(state, params=state.params[goes_on], slots=state.slots[goes_on])
