"""Where are the edges of a column's bins? Equal shares of rows, a place for frequent values.

Equal-frequency bins alone fail on columns where few values hold most rows: many edges would fall
together, and the rest of the column share what is left of them.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Numbers = NDArray[np.float64]


def bin_edges(x: Numbers, n_bins: int) -> Numbers:
    """Edges of at most ``n_bins`` bins, ascending and different; one more than there are bins.

    A column of few values takes all of them as edges. Else a value that more than ``n / n_bins``
    rows hold is an edge of its own, and the other rows share equal-frequency edges.

    Parameters
    ----------
    x : ndarray of shape (n_rows,)
        Finite numbers, two different ones at least.
    n_bins : int
    """
    values, counts = np.unique(x, return_counts=True)
    if len(values) <= n_bins + 1:
        return values
    frequent = values[counts > len(x) / n_bins]
    if not len(frequent):
        return np.unique(np.quantile(x, np.linspace(0, 1, n_bins + 1)))
    rest = np.repeat(values, np.where(counts > len(x) / n_bins, 0, counts))
    shares = np.linspace(0, 1, max(n_bins - len(frequent), 1) + 1)
    edges = np.unique(np.concatenate([frequent, np.quantile(rest, shares)]))
    if len(edges) > n_bins + 1:
        inner = np.quantile(edges[1:-1], np.linspace(0, 1, n_bins - 1))
        edges = np.unique(np.concatenate([edges[:1], inner, edges[-1:]]))
    return edges


def find_bins(x: Numbers, edges: Numbers) -> tuple[NDArray[np.uint8], Numbers]:
    """The bin of each number ``(n_rows,)``, and where in it the number stands.

    From 0 to 1 between the outer edges; beyond them from -1 to 2. What is further away than the
    outer bin is wide counts as that far: a network is linear there, with a slope that a narrow
    bin's rows hardly tell, and would answer anything at all.
    """
    bins = np.searchsorted(edges[1:-1], x, side="right")
    lower = edges[bins]
    return bins.astype(np.uint8), ((x - lower) / (edges[bins + 1] - lower)).clip(-1, 2)
