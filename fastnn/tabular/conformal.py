"""How far can a prediction of a bag be trusted? Intervals and sets that cover a wanted share.

From out-of-fold residuals, by CV+ of Barber, Candes, Ramdas and Tibshirani (2021, arXiv
1905.02928); for classes as Romano, Sesia and Candes (2020, arXiv 2006.02544) have it, with score
``1 - p``. Without any assumption on the model they cover at least ``2 coverage - 1`` of rows drawn
like those of the training, and about ``coverage`` in practice.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

Numbers = NDArray[np.float64]
BLOCK = 256  # rows at a time


def check_coverage(coverage: float, n_residuals: int) -> None:
    """Raise ValueError unless ``coverage`` is a share that so many residuals can give."""
    if not 0 < coverage < 1:
        raise ValueError(f"coverage must be a number in (0, 1), got {coverage!r}.")
    needed = int(np.ceil(coverage / (1 - coverage)))
    if n_residuals < needed:
        raise ValueError(
            f"coverage={coverage} needs at least {needed} rows that were held out, got"
            f" {n_residuals}. Ask for less, fit more rows, or more members."
        )


def intervals(
    predictions: Numbers, residuals: Sequence[Numbers], coverage: float
) -> tuple[Numbers, Numbers]:
    """Lower and upper ends ``(n_rows,)``.

    Parameters
    ----------
    predictions : ndarray of shape (n_members, n_rows)
        What each member predicts of the new rows.
    residuals : sequence of ndarray
        For each member the absolute errors on the rows that it held out.
    coverage : float
        The share of rows that the intervals should hold.
    """
    n = sum(map(len, residuals))
    check_coverage(coverage, n)
    k = int(np.ceil(coverage * (n + 1))) - 1  # from 0, in ascending order
    low, high = np.empty((2, predictions.shape[1]))
    for start in range(0, predictions.shape[1], BLOCK):
        part = predictions[:, start : start + BLOCK, None]
        above = np.concatenate([p + r for p, r in zip(part, residuals, strict=True)], axis=1)
        below = np.concatenate([r - p for p, r in zip(part, residuals, strict=True)], axis=1)
        high[start : start + BLOCK] = np.partition(above, k, axis=1)[:, k]
        low[start : start + BLOCK] = -np.partition(below, k, axis=1)[:, k]
    return low, high


def class_sets(
    probabilities: Numbers, scores: Sequence[Numbers], coverage: float
) -> NDArray[np.bool_]:
    """Which classes each row may have, ``(n_rows, n_classes)``.

    Parameters
    ----------
    probabilities : ndarray of shape (n_members, n_rows, n_classes)
    scores : sequence of ndarray
        For each member ``1 - p`` of the true class on the rows that it held out.
    coverage : float
    """
    n = sum(map(len, scores))
    check_coverage(coverage, n)
    smaller = np.zeros(probabilities.shape[1:], np.int64)
    for own, held_out in zip(probabilities, scores, strict=True):
        smaller += np.searchsorted(np.sort(held_out), 1 - own, side="left")
    return smaller < coverage * (n + 1)
