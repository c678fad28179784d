"""How does a network learn from augmented rows? A trainer that changes each batch before its step.

A batch draws from a generator of its own, seeded by the fit's seed and the number of the step: how
steps are spread over calls, and who watches, changes nothing.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import scipy.sparse
from numpy.typing import NDArray

from fastnn.backends.base import Data, Engine, Passes, Plan, Trainer, TrainState
from fastnn.core.augmentations import Augmentation, Batch

NUMBERS = 2**20  # of augmented rows, at a time: memory stays small, and calls are few


def trainer_of(engine: Engine, plan: Plan, augmentations: Sequence[Augmentation]) -> Trainer:
    """What trains by ``plan``, from batches changed by each of the ``augmentations`` in turn."""
    return AugmentingTrainer(engine, plan, augmentations) if augmentations else engine.trainer(plan)


class AugmentingTrainer:
    """See :class:`fastnn.backends.base.Trainer`; for one network, whose state has a seed."""

    def __init__(self, engine: Engine, plan: Plan, augmentations: Sequence[Augmentation]) -> None:
        self.augmentations = augmentations
        self.batch_size = plan.batch_size
        copies = math.prod(one.copies for one in augmentations)
        self.trainer = engine.trainer(replace(plan, batch_size=copies * plan.batch_size))

    def train(self, state: TrainState, data: Data, passes: Passes) -> NDArray[np.float64]:
        """Train in place; the losses are of the augmented rows."""
        (rows,), (rates,) = passes.rows, passes.rates
        losses = np.zeros((1, len(rows)))
        n_batches = max(1, NUMBERS // (self.batch_size * data.X.shape[1]))
        for i, first in np.ndindex(len(rows), -(-rates.shape[1] // n_batches)):
            steps = slice(first * n_batches, (first + 1) * n_batches)
            visits = rows[i, steps.start * self.batch_size : steps.stop * self.batch_size]
            few = self._augmented(state, data, visits)
            numbers = np.arange(few.X.shape[0], dtype=np.int64)[None, None]
            loss = self.trainer.train(state, few, Passes(numbers, rates[None, i : i + 1, steps]))
            losses[0, i] += loss[0, 0] * len(visits)
        return losses / max(1, rows.shape[1])

    def _augmented(self, state: TrainState, data: Data, visits: NDArray[np.int64]) -> Data:
        """The batches of the next steps, one after another."""
        batches = []
        for j, start in enumerate(range(0, len(visits), self.batch_size)):
            rows = visits[start : start + self.batch_size]
            weight = None if data.weight is None else data.weight[rows]
            batch = Batch(data.X[rows], data.y[rows], weight)
            generator = np.random.default_rng((int(state.each_seed[0]), state.step + j))
            for one in self.augmentations:
                batch = one.applied(batch, generator)
            batches.append(batch)
        X, y, weight = zip(*batches, strict=True)
        dense = isinstance(data.X, np.ndarray)
        return Data(
            np.concatenate(X) if dense else scipy.sparse.vstack(X, format="csr"),
            np.concatenate(y),
            None if weight[0] is None else np.concatenate(weight),
        )
