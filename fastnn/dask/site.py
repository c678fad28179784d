"""How are rows learned that lie on workers? The loops are those of a fit in one process.

L-BFGS and synchronous minibatches ask for sums of gradients, which are those of one machine, to
rounding. Otherwise a pass is one on each worker, whose networks are then averaged by their rows
(McMahan et al. 2017, "Communication-efficient learning of deep networks from decentralized data").
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastnn.backends.base import Data, Engine, Passes, Plan, TrainState
from fastnn.core.activations import Array
from fastnn.core.augmentations import Augmentation
from fastnn.core.losses import batch_objective
from fastnn.core.optimizers import step
from fastnn.dask import shards
from fastnn.dask.cluster import Cluster
from fastnn.dask.shards import Question
from fastnn.estimators.site import Site
from fastnn.estimators.targets import Targets
from fastnn.training import lbfgs
from fastnn.training.callbacks import Callback, Origin
from fastnn.training.data import row_numbers
from fastnn.training.loop import drawn_passes, go_on
from fastnn.training.state import LoopState


class ClusterSite(Site):
    """See :class:`fastnn.estimators.site.Site`; ``origin.data`` are a sample.

    Parameters
    ----------
    engine, origin, targets : Engine, Origin, Targets
    cluster : Cluster
        Its rows are encoded here.
    model : MLPClassifier or MLPRegressor
        In the middle of a fit: it knows the targets, and has no parameters yet.
    synchronous : bool
    """

    def __init__(
        self,
        engine: Engine,
        origin: Origin,
        targets: Targets,
        *,
        cluster: Cluster,
        model: Any,
        synchronous: bool,
    ) -> None:
        super().__init__(engine, origin, targets)
        self.cluster = cluster
        self.synchronous = synchronous
        cluster.map(shards.encoded, model, _settings(targets), origin.data.X.dtype)
        if not sum(cluster.each(shards.weight_sum)):
            raise ValueError("Sample weights must contain at least one non-zero number.")
        spec = origin.spec.with_dropout(model.dropout)
        self.question = partial(
            Question, spec=spec, backend=model.backend, n_threads=model.n_threads
        )

    def row_numbers(self) -> NDArray[np.integer]:
        """The rows of all partitions; where workers draw their own orders, their number is all."""
        if self.synchronous:
            return row_numbers(self.cluster.n_rows)
        return np.broadcast_to(np.int32(0), self.cluster.n_rows)  # takes no memory

    def sums(self) -> lbfgs.Sums:
        """Sums over all shards."""

        def sums(params: Array) -> tuple[float, float, Array]:
            state = TrainState(params[None], np.empty((1, 0, len(params))))
            everywhere = dict.fromkeys(range(len(self.cluster.shards)))
            loss, weight, grad = self.cluster.total(
                shards.gradient, self.question(state), everywhere
            )
            return loss, weight, np.array(grad)  # what comes from afar may be read-only

        return sums

    def train(
        self,
        loop: LoopState,
        callbacks: tuple[Callback, ...],
        augmentations: Sequence[Augmentation],
    ) -> None:
        """Train on minibatches of all rows, or on each worker's own."""
        assert loop.plan is not None
        if self.synchronous:
            trainer = SummingTrainer(self, loop.plan)
            go_on(loop, partial(drawn_passes, loop, trainer, self.origin.data), callbacks)
        else:
            go_on(loop, partial(self._averaged_passes, loop, tuple(augmentations)), callbacks)

    def _averaged_passes(
        self, loop: LoopState, augmentations: tuple[Augmentation, ...], n_passes: int
    ) -> list[float]:
        """Passes of each worker over its own rows; after each the networks are averaged."""
        assert loop.plan is not None and loop.schedule is not None
        assert loop.random_state is not None
        cluster, n_visits = self.cluster, len(loop.rows)
        n_steps = max(-(-shard.n_rows // loop.plan.batch_size) for shard in cluster.shards)
        own = {i: shard.n_rows / cluster.n_rows for i, shard in enumerate(cluster.shards)}
        n_rows = range(loop.t, loop.t + n_passes * n_visits, n_visits)
        rates = loop.schedule.rates(loop.state.step, n_steps, n_rows, loop.rate)
        losses = []
        for of_pass in rates:
            shuffle = int(loop.random_state.randint(2**31 - 1)) if loop.rules.shuffle else None
            question = self.question(
                loop.state,
                plan=loop.plan,
                augmentations=augmentations,
                rates=of_pass,
                shuffle=shuffle,
            )
            loss, params, slots = cluster.total(shards.local_pass, question, own)
            loop.state.params[...], loop.state.slots[...] = params, slots
            loop.state.step += n_steps
            losses.append(float(loss))
        return losses


class SummingTrainer:
    """See :class:`fastnn.backends.base.Trainer`; each batch's gradient is a sum over shards."""

    def __init__(self, site: ClusterSite, plan: Plan) -> None:
        self.site = site
        self.plan = plan
        self.segments = plan.segments_of(site.origin.spec)

    def train(self, state: TrainState, data: Data, passes: Passes) -> NDArray[np.float64]:
        """Train in place, on rows of all partitions; ``data`` are not looked at."""
        plan, cluster = self.plan, self.site.cluster
        (rows,) = passes.rows
        (numbers,) = plan.optimizer.steps(passes.rates, state.step + 1)
        losses = np.zeros((1, len(rows)))
        params = state.params[0]
        for i, j in np.ndindex(passes.rates.shape[1:]):
            batch = rows[i, j * plan.batch_size : (j + 1) * plan.batch_size]
            own = cluster.rows_of_shards(batch)
            question = self.site.question(replace(state, slots=state.slots[:, :0]))
            loss_sum, weight_sum, grad = cluster.total(shards.gradient, question, own)
            grad = np.array(grad)  # as above
            loss = batch_objective(
                loss_sum, weight_sum, params, grad, self.segments, plan.alpha, plan.optimizer.l1
            )
            losses[0, i] += len(batch) * loss
            step(plan.optimizer, self.segments, params, grad, state.slots[0], numbers[i, j])
            state.step += 1
        return losses / max(1, rows.shape[1])


def _settings(targets: Targets) -> Targets:
    """What rows elsewhere need of the sample's targets: not its values."""
    return Targets(
        targets.values[:0], targets.n_outputs, targets.loss, class_weight=targets.class_weight
    )
