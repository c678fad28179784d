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
HALVINGS = 64  # of a range of numbers, until none is left between its ends


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
    ascending = [np.sort(own) for own in residuals]
    return -_kth_sums(-predictions, ascending, k), _kth_sums(predictions, ascending, k)


def _kth_sums(predictions: Numbers, residuals: Sequence[Numbers], k: int) -> Numbers:
    """The k-th smallest, from 0, of all members' prediction + residual, for each row ``(n_rows,)``.

    Found by halving the range that it lies in, since the sums of many rows and residuals would not
    fit in memory; residuals ascend.
    """
    members = [(p, own) for p, own in zip(predictions, residuals, strict=True) if len(own)]
    low = np.min([p + own[0] for p, own in members], axis=0)
    high = np.max([p + own[-1] for p, own in members], axis=0)
    for _ in range(HALVINGS):
        middle = low + (high - low) / 2
        n_up_to = sum(np.searchsorted(own, middle - p, side="right") for p, own in members)
        enough = n_up_to > k
        high, low = np.where(enough, middle, high), np.where(enough, low, middle)
    found, nearest = high, np.full(len(high), np.inf)
    for p, own in members:  # the sum that the range has shrunk to
        after = np.searchsorted(own, high - p)
        for at in (after - 1, after):
            sums = p + own[at.clip(0, len(own) - 1)]
            closer = np.abs(sums - high) < nearest
            found = np.where(closer, sums, found)
            nearest = np.where(closer, np.abs(sums - high), nearest)
    return found


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
