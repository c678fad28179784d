"""How do numbers become bins? A scale that outliers do not rule, edges of equal shares of the rows.

Equal-frequency bins alone fail on columns where few values hold most rows: many edges would fall
together, and the rest of the column share what is left of them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from fastnn.backends import compiled
from fastnn.tabular.tally import Numbers, Tally

HUGE = 1e300  # numbers beyond it count as it: their differences are finite
LARGE = 1e100  # its square is finite
BEYOND = 1  # bins' widths: how far beyond the outer edges a number counts


@dataclass(frozen=True)
class RobustScale:
    """``clip((x - center) * factor)``, with the smooth clip ``z / sqrt(1 + (z / 3)**2)``."""

    center: float
    factor: float

    @classmethod
    def of(cls, x: Tally) -> RobustScale:
        """By median and quartiles; where these are equal, by the range."""
        low, center, high = x.quantiles([0.25, 0.5, 0.75])
        spread = high - low if high > low else (x.values[-1] - x.values[0]) / 2
        return cls(float(center), float(1 / max(spread, 1 / HUGE)) if spread > 0 else 0.0)

    def __call__(self, x: Numbers) -> Numbers:
        """The scaled numbers, of the shape of ``x``."""
        with np.errstate(over="ignore"):  # the clip takes infinity for what it is
            z = ((x - self.center) * self.factor).clip(-LARGE, LARGE)
        return z / np.sqrt(1 + (z / 3) ** 2)


def hot_values(counts: NDArray[np.int64], n_rows: int) -> Numbers:
    """How far apart :class:`RobustScale` puts 0 and 1 in columns of ``counts`` ones, for each.

    The quartiles of zeros and ones follow from how many there are.
    """
    at = np.array([0.25, 0.5, 0.75]) * (n_rows - 1)
    below = np.floor(at)
    zeros = n_rows - counts[:, None]
    values = (below >= zeros).astype(float)
    values += ((below + 1 >= zeros) - values) * (at - below)
    low, center, high = values.T
    spread = np.where(high > low, high - low, 0.5)
    ends = [RobustScale(center, 1 / spread)(x) for x in (1.0, 0.0)]  # type: ignore[arg-type]
    return np.where((counts > 0) & (counts < n_rows), ends[0] - ends[1], 0.0)


def bin_edges(x: Tally, n_bins: int) -> Numbers:
    """Edges of at most ``n_bins`` bins, ascending and different; one more than there are bins.

    A column of few values takes all of them as edges. Else a value that more than ``n / n_bins``
    rows hold is an edge of its own, and the other rows share equal-frequency edges.

    Parameters
    ----------
    x : Tally
        Of finite numbers, two different ones at least.
    n_bins : int
    """
    if len(x.values) <= n_bins + 1:
        return x.values
    is_frequent = x.counts > x.n_known / n_bins
    frequent = x.values[is_frequent]
    rest = Tally(x.values, np.where(is_frequent, 0, x.counts))
    shares = np.linspace(0, 1, max(n_bins - len(frequent), 1) + 1)
    edges = np.unique(np.concatenate([frequent, rest.quantiles(shares)]))
    if len(edges) > n_bins + 1:
        inner = np.quantile(edges[1:-1], np.linspace(0, 1, n_bins - 1))
        edges = np.unique(np.concatenate([edges[:1], inner, edges[-1:]]))
    return edges


@dataclass(frozen=True)
class NumericColumns:
    """What the numbers of a training table taught, all columns in arrays, in the order of bins.

    Attributes
    ----------
    places : ndarray of int64, shape (n_columns,)
        Where in the table each column stands.
    fills, centers, factors : ndarray of float64, shape (n_columns,)
        What stands for a missing number, and its :class:`RobustScale`.
    starts : ndarray of int64, shape (n_columns + 1,)
        Where each column's edges begin among all, and their number.
    edges : ndarray of float64, shape (n_edges,)
    """

    places: NDArray[np.int64]
    fills: Numbers
    centers: Numbers
    factors: Numbers
    starts: NDArray[np.int64]
    edges: Numbers

    @classmethod
    def of(
        cls,
        places: Sequence[int],
        fills: Sequence[float],
        scales: Sequence[RobustScale],
        edges: Sequence[Numbers],
    ) -> NumericColumns:
        """Of what each column taught."""
        return cls(
            np.array(places, np.int64),
            np.array(fills, np.float64),
            np.array([scale.center for scale in scales], np.float64),
            np.array([scale.factor for scale in scales], np.float64),
            np.cumsum([0, *map(len, edges)], dtype=np.int64),
            np.concatenate([np.empty(0), *edges]),
        )

    def __setstate__(self, state: dict[str, np.ndarray]) -> None:
        # What was sent between processes may lie askew in memory, where compiled code cannot read.
        aligned = {name: np.require(array, requirements="A") for name, array in state.items()}
        vars(self).update(aligned)
        # Where compiled code reads; it does not look.
        starts, n_edges = self.starts.tolist(), len(self.edges)
        each_has_two = all(stop - start >= 2 for start, stop in pairwise(starts))
        if not (each_has_two and [starts[0], starts[-1]] == [0, n_edges]):
            raise ValueError(
                f"starts must lead from 0 to {n_edges}, the number of edges, in steps of at least"
                f" 2, got {starts}."
            )

    def find(
        self,
        X: Numbers,
        columns: range,
        bins: NDArray[np.uint8],
        fractions: NDArray[np.float32],
    ) -> bool:
        """The bin of each number, and where in it the number stands; False if X holds infinity.

        From 0 to 1 between the outer edges; beyond them from -1 to 2. What is further away than the
        outer bin is wide counts as that far: a network is linear there, with a slope that a narrow
        bin's rows hardly tell, and would answer anything at all.

        Parameters
        ----------
        X : ndarray of shape (n_rows, n_in), C order
            A table, NaN where a number is missing; or the one column that is asked for, (n_rows,
            1).
        columns : range
            Which of these columns.
        bins, fractions : ndarray of shape (n_rows, n_columns), C order
            Where to write; other columns stay as they are.
        """
        return (compiled("find_bins") or find_bins)(self, X, columns, bins, fractions)


def find_bins(
    known: NumericColumns,
    X: Numbers,
    columns: range,
    bins: NDArray[np.uint8],
    fractions: NDArray[np.float32],
) -> bool:
    """As :meth:`NumericColumns.find`: the definition, which the compiled one equals to the bit."""
    if np.isinf(X).any():
        return False
    for c in columns:
        x = X[:, known.places[c] if X.shape[1] > 1 else 0]
        scale = RobustScale(known.centers[c], known.factors[c])
        z = scale(np.where(np.isnan(x), known.fills[c], x))
        edges = known.edges[known.starts[c] : known.starts[c + 1]]
        bins[:, c] = own = np.searchsorted(edges[1:-1], z, side="right")
        lower = edges[own]
        fractions[:, c] = ((z - lower) / (edges[own + 1] - lower)).clip(-BEYOND, 1 + BEYOND)
    return True
