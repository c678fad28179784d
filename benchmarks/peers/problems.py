"""What is computed?

Networks, data, first weights and the order of rows, the same to the bit in every process.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Any

import numpy as np
import scipy.sparse
from numpy.typing import NDArray

Array = NDArray[Any]
Weights = list[tuple[Array, Array]]  # of each layer: weight (n_in, n_out), bias (n_out,)

# scikit-learn's defaults, which every peer trains with
ALPHA, RATE, BETA_1, BETA_2, EPSILON = 1e-4, 1e-3, 0.9, 0.999, 1e-8
SEED = 0

ACTIVATIONS: dict[str, Callable[[Array], Array]] = {
    "relu": lambda z: np.maximum(z, 0),
    "tanh": np.tanh,
    "logistic": lambda z: 1 / (1 + np.exp(-z)),
}


@dataclass(frozen=True)
class Problem:
    """A network and how it is trained.

    Sizes from input to output, minibatch, minibatches of an epoch.

    One output is a binary classifier, several are classes; a regressor has ``regression`` set.
    ``density`` below 1 makes X sparse (CSR). ``dtype`` may be "bfloat16": X and the first weights
    are float32 then, and a peer rounds what it holds in bfloat16 by itself.
    """

    name: str
    units: tuple[int, ...]
    batch: int
    n_batches: int
    regression: bool = False
    activation: str = "relu"
    dtype: str = "float32"
    density: float = 1.0

    def but(self, **changes: Any) -> Problem:
        """The same problem with some fields changed."""
        return replace(self, **changes)

    @property
    def array_dtype(self) -> str:
        """The dtype of X and of the first weights."""
        return "float32" if self.dtype == "bfloat16" else self.dtype

    @property
    def n_rows(self) -> int:
        return self.batch * self.n_batches

    @property
    def step_flops(self) -> int:
        """Useful FLOPs of a training step.

        ``4 B n_0 n_1`` (of its non-zeros) and ``6 B n_i n_j`` for every later layer.
        """
        first, *others = [n_in * n_out for n_in, n_out in pairwise(self.units)]
        return round(self.batch * (4 * first * self.density + 6 * sum(others)))

    def data(self) -> tuple[Any, Array]:
        """``X (n_rows, n_in)`` and ``y (n_rows,)``.

        Numbers, or codes of classes as a noisy function of X.
        """
        random = np.random.RandomState(SEED + 1)
        n_in, n_out = self.units[0], self.units[-1]
        if self.density < 1:
            X = scipy.sparse.random(
                self.n_rows, n_in, self.density, "csr", self.array_dtype, random
            )
        else:
            X = random.standard_normal((self.n_rows, n_in)).astype(self.array_dtype)
        scores = X @ random.standard_normal((n_in, max(n_out, 2))) / np.sqrt(n_in * self.density)
        scores += random.standard_normal(scores.shape)
        if self.regression:
            return X, scores[:, 0].astype(self.array_dtype)
        return X, scores.argmax(axis=1)

    def start(self) -> tuple[Weights, np.random.RandomState]:
        """The first weights, drawn as scikit-learn draws them, and the generator after that."""
        random = np.random.RandomState(SEED)
        weights = []
        for n_in, n_out in zip(self.units, self.units[1:], strict=False):
            bound = np.sqrt((2 if self.activation == "logistic" else 6) / (n_in + n_out))
            weight = random.uniform(-bound, bound, (n_in, n_out)).astype(self.array_dtype)
            weights.append((weight, random.uniform(-bound, bound, n_out).astype(self.array_dtype)))
        return weights, random

    def orders(self, random: np.random.RandomState, n_epochs: int) -> Iterator[NDArray[np.int64]]:
        """The rows of each epoch in scikit-learn's order.

        Permutations compose from one epoch to the next.
        """
        rows = np.arange(self.n_rows)
        for _ in range(n_epochs):
            random.shuffle(rows)
            yield rows

    def loss(self, weights: Weights) -> float:
        """The mean loss of these weights over all rows in float64, by one formula for all."""
        X, y = self.data()
        raw = X.astype(np.float64)
        for i, (weight, bias) in enumerate(weights):
            raw = (raw if i == 0 else ACTIVATIONS[self.activation](raw)) @ weight.astype(
                np.float64
            ) + bias
        if self.regression:
            return float(np.mean((raw[:, 0] - y) ** 2) / 2)
        if raw.shape[1] == 1:
            return float(np.mean(np.logaddexp(0, raw[:, 0]) - y * raw[:, 0]))
        raw -= raw.max(axis=1, keepdims=True)
        return float(np.mean(np.log(np.exp(raw).sum(axis=1)) - raw[np.arange(len(y)), y]))


REGRESSOR = Problem("regressor 30-100-1", (30, 100, 1), 200, 100, regression=True)
CLASSIFIER = Problem("classifier 30-100-1", (30, 100, 1), 200, 100)
SPARSE = Problem("0.5 % non-zero", (10_000, 100, 1), 200, 100, density=0.005)
