"""What is trained on a table, and for how long? The presets, and what follows from them.

Every constant is that of a study of nineteen tables; most go back to RealMLP (Holzmueller et al.
2024, arXiv 2407.04491), the embedding to Gorishniy et al. (2022, arXiv 2203.05556).
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastnn.backends.base import Plan
from fastnn.core.activations import Array
from fastnn.core.embedding import Embedding
from fastnn.core.losses import Loss
from fastnn.core.network import NetworkSpec, Segment, initialise_embedding
from fastnn.core.optimizers import Adam, Optimizer
from fastnn.core.schedules import CosLog4, Schedule


def averaging_adam() -> Adam:
    """Adam with an average of the parameters (EMA)."""
    return Adam(beta_1=0.9, beta_2=0.95, epsilon=1e-8, ema=0.99)


MANY_ROWS = 8192  # from here on rows are visited more rarely
LEAST_MEMBERS = 2  # a bag: each checks the other


@dataclass(frozen=True)
class Recipe:
    """How the members of a bag are made and trained.

    Attributes
    ----------
    n_members, n_folds : int
        Member j holds out fold j of ``n_folds``.
    hidden_layer_sizes : tuple of int
    activation : str, Activation, list of these or None
        None means SELU for classes and Mish for numbers.
    max_iter : int
        Epochs.
    n_bins, embedding_size : int
        Of a numeric column.
    max_categories : int
        Of a categorical column.
    solver : Optimizer
    learning_rate : Schedule
    learning_rate_init : float or None
        None means 0.04 for classes and 0.07 for numbers; beyond 8192 rows less, by their fourth
        root.
    bias_rate, embedding_rate, scale_rate : float
        What multiplies the learning rate of the biases, of the embedding and of the scaling layer
        that follows it.
    batch_size : int or None
        None means 64 for at most 1024 rows, 128 for at most 8192, else 256.
    dtype : str
    """

    n_members: int = 6
    n_folds: int = 8
    hidden_layer_sizes: tuple[int, ...] = (128, 128)
    activation: Any = None
    max_iter: int = 64
    n_bins: int = 32
    embedding_size: int = 8
    max_categories: int = 254
    solver: Optimizer = field(default_factory=averaging_adam)
    learning_rate: Schedule = field(default_factory=CosLog4)
    learning_rate_init: float | None = None
    bias_rate: float = 0.1
    embedding_rate: float = 2.0
    scale_rate: float = 6.0
    batch_size: int | None = None
    dtype: str = "float32"

    def for_rows(self, n_rows: int) -> Recipe:
        """The same for a table of ``n_rows``; up to 8192 it is this one.

        Beyond, how often all members together visit a row falls with the root of the rows. Members
        go first, as they are the more alike the more rows they share; epochs once two are left, as
        a row that is rarely seen is not learned.
        """
        share = math.sqrt(MANY_ROWS / max(n_rows, MANY_ROWS))
        least = min(self.n_members, LEAST_MEMBERS)
        n_members = max(math.ceil(self.n_members * share), least)
        max_iter = math.ceil(self.max_iter * min(self.n_members * share / least, 1))
        return replace(self, n_members=n_members, max_iter=max_iter)

    @property
    def floats(self) -> np.dtype:
        """The floating type of all arrays; in bfloat16 nothing but operands is."""
        return np.dtype(np.float32 if self.dtype == "bfloat16" else self.dtype)

    def network(self, embedding: Embedding, n_out: int, loss: Loss) -> NetworkSpec:
        """What a member is."""
        units = [embedding.n_out, *self.hidden_layer_sizes, n_out]
        activation = self.activation or ("selu" if loss.y_is_codes else "mish")
        return replace(NetworkSpec.dense(units, activation, loss), embedding=embedding)

    def batch_size_for(self, n_rows: int) -> int:
        """Rows of a batch, where a member trains on ``n_rows``."""
        by_rows = 64 if n_rows <= 1024 else 128 if n_rows <= 8192 else 256
        return min(self.batch_size or by_rows, n_rows)

    def plan(self, spec: NetworkSpec, batch_size: int) -> Plan:
        """The optimizer, and the factors of each segment."""
        return Plan(self.solver, batch_size, segments=self._segments(spec))

    def rates(self, spec: NetworkSpec, batch_size: int, n_steps: int) -> NDArray[np.float64]:
        """The learning rate of each step, ``(max_iter, n_steps)``."""
        share = min(1, MANY_ROWS / (n_steps * batch_size))
        by_rows = (0.04 if spec.loss.y_is_codes else 0.07) * share**0.25  # more steps, less noise
        rate = self.learning_rate_init or by_rows
        schedule = self.learning_rate.filled(
            {"learning_rate_init": rate, "max_iter": self.max_iter, "power_t": 0.5}
        )
        rows_before = np.arange(self.max_iter) * n_steps * batch_size
        return schedule.rates(0, n_steps, rows_before.tolist(), schedule.learning_rate_init)

    def cycle_ends(self) -> frozenset[int]:
        """The epochs after which the schedule's rate is 0, but for the last."""
        shares = self.learning_rate.cycle_ends
        return frozenset(max(1, round(self.max_iter * share)) for share in shares)

    def _segments(self, spec: NetworkSpec) -> tuple[Segment, ...]:
        """The factors of each segment.

        Weights drawn with variance 1 and divided by ``sqrt(n_in)`` in each product, as the study
        has them, are weights of variance ``1 / n_in`` with the learning rate divided, and epsilon
        multiplied, by that root.
        """
        layout = spec.layout
        roots = [math.sqrt(layer.n_in) for layer in spec.layers]
        weights = [
            replace(segment, rate=1 / root, epsilon=root, penalty=0.0)
            for segment, root in zip(layout.weights, roots, strict=True)
        ]
        biases = [replace(one, rate=self.bias_rate, penalty=0.0) for one in layout.biases]
        factors = (*[self.embedding_rate] * 3, self.scale_rate)  # bins, linear, bias; scale
        embedding = [
            replace(segment, rate=factor, penalty=0.0)
            for segment, factor in zip(layout.embedding, factors, strict=True)
        ]
        return (*weights, *biases, *embedding)


def first_parameters(
    spec: NetworkSpec, dtype: np.dtype, random_state: np.random.RandomState
) -> Array:
    """Parameters ``(n_params,)`` before the first step; the output layer is 0."""
    params, layout = np.zeros(spec.layout.n_params, dtype), spec.layout
    hidden = zip(spec.layers[:-1], layout.weights[:-1], layout.biases[:-1], strict=True)
    for layer, weight, bias in hidden:
        scale = 1 / math.sqrt(layer.n_in)
        weight.view(params)[...] = random_state.normal(0, scale, weight.shape)
        bias.view(params)[...] = random_state.normal(0, 1, bias.shape)
    initialise_embedding(layout, params, random_state)
    return params


PRESETS = {
    "fast": Recipe(n_members=7, hidden_layer_sizes=(64, 64), max_iter=32),
    "balanced": Recipe(),
    "best": Recipe(n_members=8),
}
