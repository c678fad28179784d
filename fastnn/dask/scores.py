"""How good are predictions that lie in partitions? Each is summed up, the sums make the score."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from fastnn._optional import require
from fastnn.dask.shards import Rows

Moments = tuple[float, np.ndarray, np.ndarray, np.ndarray]


def lazy_score(
    blocks: Sequence[Any],
    predict: Callable[[Any], np.ndarray],
    of_block: Callable[[np.ndarray, np.ndarray, Any], Any],
    of_all: Callable[[list[Any]], np.floating],
) -> Any:
    """A dask Array without dimensions: ``of_all`` of ``of_block``, or None, of each partition."""
    delayed = require("dask").delayed
    kept = delayed(predict)
    parts = [delayed(_measured)(block, kept, of_block) for block in blocks]
    return require("dask.array").from_delayed(delayed(of_all)(parts), (), dtype=np.float64)


def _measured(rows: Rows, predict: Callable[[Any], np.ndarray], of_block: Callable) -> Any:
    X, y, weight = rows
    return of_block(predict(X), y, weight) if X.shape[0] else None


def hits(predicted: np.ndarray, y: np.ndarray, weight: Any) -> tuple[float, float]:
    """The weight of the rows whose labels are all right, and of all rows."""
    weights = np.ones(len(y)) if weight is None else np.asarray(weight, np.float64)
    right = (predicted == y.reshape(predicted.shape)).reshape(len(y), -1).all(axis=1)
    return float(weights @ right), float(weights.sum())


def accuracy(parts: list[tuple[float, float] | None]) -> np.floating:
    """The share of the weight that is right."""
    right, all_rows = np.sum([part for part in parts if part is not None], axis=0)
    return np.float64(right / all_rows)


def moments(predicted: np.ndarray, y: np.ndarray, weight: Any) -> Moments:
    """Of y's columns ``(n_outputs,)``: weight, mean, squared deviations from it, and residuals."""
    y = y.reshape(len(y), -1).astype(np.float64)
    weights = np.ones(len(y)) if weight is None else np.asarray(weight, np.float64)
    total = float(weights.sum())
    mean = weights @ y / total if total else np.zeros(y.shape[1])
    residuals = weights @ (y - predicted.reshape(y.shape)) ** 2
    return total, mean, weights @ (y - mean) ** 2, residuals


def r2(parts: list[Moments | None]) -> np.floating:
    """scikit-learn's R2, the mean over outputs, from the moments of all partitions.

    Deviations are merged as by Chan, Golub and LeVeque (1979), "Updating formulae and a pairwise
    algorithm for computing sample variances".
    """
    given = [part for part in parts if part is not None]
    weights, means, deviations, residuals = (
        np.array(column) for column in zip(*given, strict=True)
    )
    mean = weights @ means / weights.sum()
    total = deviations.sum(axis=0) + weights @ (means - mean) ** 2
    residual = residuals.sum(axis=0)
    # As there: a constant output has the score 1 if it is met, else 0.
    scores = np.where(residual == 0, 1.0, 0.0)
    np.divide(-residual, total, out=scores, where=total != 0)
    return np.mean(np.where(total != 0, 1 + scores, scores))
