"""What is trained on a table, and for how long? The presets, and what follows from them.

Every constant is that of a study of nineteen tables; most go back to RealMLP (Holzmueller et al.
2024, arXiv 2407.04491), the embedding to Gorishniy et al. (2022, arXiv 2203.05556).
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from fastnn.backends.base import Plan
from fastnn.core.activations import Array
from fastnn.core.embedding import Embedding
from fastnn.core.losses import Loss
from fastnn.core.network import NetworkSpec, Segment, initialise_embedding
from fastnn.core.optimizers import Adam
from fastnn.core.schedules import CosLog4

N_CYCLES = 4  # of the schedule


@dataclass(frozen=True)
class Recipe:
    """How the members of a bag are made and trained.

    Attributes
    ----------
    n_members, n_folds : int
        Member j holds out fold j of ``n_folds``.
    hidden_layer_sizes : tuple of int
    max_iter : int
        Epochs.
    n_bins, embedding_size : int
        Of a numeric column.
    learning_rate_init : float or None
        None means 0.04 for classes and 0.07 for numbers.
    batch_size : int or None
        None means 64 for at most 1024 rows, 128 for at most 8192, else 256.
    """

    n_members: int = 4
    n_folds: int = 8
    hidden_layer_sizes: tuple[int, ...] = (128, 128)
    max_iter: int = 64
    n_bins: int = 32
    embedding_size: int = 8
    learning_rate_init: float | None = None
    batch_size: int | None = None

    def network(self, embedding: Embedding, n_out: int, loss: Loss) -> NetworkSpec:
        """SELU for classes, Mish for numbers."""
        units = [embedding.n_out, *self.hidden_layer_sizes, n_out]
        spec = NetworkSpec.dense(units, "selu" if loss.y_is_codes else "mish", loss)
        return replace(spec, embedding=embedding)

    def batch_size_for(self, n_rows: int) -> int:
        """Rows of a batch, where a member trains on ``n_rows``."""
        by_rows = 64 if n_rows <= 1024 else 128 if n_rows <= 8192 else 256
        return min(self.batch_size or by_rows, n_rows)

    def plan(self, spec: NetworkSpec, batch_size: int) -> Plan:
        """Adam with an average of the parameters, and the factors of each segment."""
        optimizer = Adam(beta_1=0.9, beta_2=0.95, epsilon=1e-8, ema=0.99)
        return Plan(optimizer, batch_size, segments=_segments(spec))

    def rates(self, spec: NetworkSpec, n_steps: int) -> NDArray[np.float64]:
        """The learning rate of each step, ``(max_iter, n_steps)``."""
        rate = self.learning_rate_init or (0.04 if spec.loss.y_is_codes else 0.07)
        t = np.arange(self.max_iter * n_steps) / (self.max_iter * n_steps)
        return (rate * CosLog4().factor(t)).reshape(self.max_iter, n_steps)

    def cycle_ends(self) -> frozenset[int]:
        """The epochs after which the schedule's rate is 0, but for the last."""
        shares = [(2**j - 1) / (2**N_CYCLES - 1) for j in range(1, N_CYCLES)]
        return frozenset(max(1, round(self.max_iter * share)) for share in shares)


def _segments(spec: NetworkSpec) -> tuple[Segment, ...]:
    """The factors of each segment.

    Weights drawn with variance 1 and divided by ``sqrt(n_in)`` in each product, as the study has
    them, are weights of variance ``1 / n_in`` with the learning rate divided, and epsilon
    multiplied, by that root.
    """
    layout = spec.layout
    roots = [math.sqrt(layer.n_in) for layer in spec.layers]
    weights = [
        replace(segment, rate=1 / root, epsilon=root, penalty=0.0)
        for segment, root in zip(layout.weights, roots, strict=True)
    ]
    biases = [replace(segment, rate=0.1, penalty=0.0) for segment in layout.biases]
    factors = (2.0, 2.0, 2.0, 6.0)  # bins, linear, bias; scale
    embedding = [
        replace(segment, rate=factor, penalty=0.0)
        for segment, factor in zip(layout.embedding, factors, strict=True)
    ]
    return (*weights, *biases, *embedding)


def first_parameters(spec: NetworkSpec, random_state: np.random.RandomState) -> Array:
    """Parameters ``(n_params,)`` in float32 before the first step; the output layer is 0."""
    params, layout = np.zeros(spec.layout.n_params, np.float32), spec.layout
    hidden = zip(spec.layers[:-1], layout.weights[:-1], layout.biases[:-1], strict=True)
    for layer, weight, bias in hidden:
        scale = 1 / math.sqrt(layer.n_in)
        weight.view(params)[...] = random_state.normal(0, scale, weight.shape)
        bias.view(params)[...] = random_state.normal(0, 1, bias.shape)
    initialise_embedding(layout, params, random_state)
    return params


PRESETS = {
    "fast": Recipe(n_members=8, hidden_layer_sizes=(64, 64), max_iter=32),
    "balanced": Recipe(n_members=6),
    "best": Recipe(n_members=8),
}
