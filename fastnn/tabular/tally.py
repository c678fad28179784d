"""What must be known of a column before edges and categories are chosen? Counts, which add up.

The counts of a table are the sum of those of its parts, so that a table may lie in parts on several
machines. They are exact where there is one part, or a column has at most 2 SIZE different values.
Else they are a sketch: each time that counts are added, ranks of numbers and what is known of the
count of a category are moved by at most 1 / SIZE of the cells.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastnn.backends import compiled

Numbers = NDArray[np.float64]

SIZE = 8192


@dataclass(frozen=True)
class Tally:
    """How often each number of a column occurs.

    Attributes
    ----------
    values : ndarray of float64, shape (n_values,)
        Ascending and different.
    counts : ndarray of int64, shape (n_values,)
    n_missing : int
        How many cells hold none.
    """

    values: Numbers
    counts: NDArray[np.int64]
    n_missing: int = 0

    @classmethod
    def of(cls, x: Numbers) -> Tally:
        """Of the cells of a column, NaN where one is missing."""
        x = np.require(x, np.float64, ["C", "ALIGNED"])
        values, counts = np.empty(len(x)), np.empty(len(x), np.int64)
        n_values = (compiled("count_numbers") or count_numbers)(x, values, counts)
        for each in (values, counts):
            each.resize(n_values, refcheck=False)  # copies nothing
        return cls(values, counts, len(x) - int(counts.sum()))

    @classmethod
    def of_counts(cls, values: Numbers, counts: NDArray[np.int64], n_missing: int = 0) -> Tally:
        """Of numbers in any order, some of which may be equal, and how often each occurs."""
        if (values[1:] > values[:-1]).all() and counts.all():
            return cls(values, counts, n_missing)  # as most are
        order = np.argsort(values, kind="stable")
        order = order[counts[order] > 0]
        values, counts = values[order], counts[order]
        starts = np.flatnonzero(np.append(True, values[1:] != values[:-1])[: len(values)])
        return cls(values[starts], np.add.reduceat(counts, starts), n_missing)

    @property
    def n_known(self) -> int:
        """How many cells hold a number."""
        return int(self.counts.sum())

    def of_values(self, function: Callable[[Numbers], Numbers]) -> Tally:
        """The tally of what ``function`` makes of every number."""
        return Tally.of_counts(function(self.values), self.counts, self.n_missing)

    def filled(self, value: float) -> Tally:
        """The tally with a number in the cells that hold none."""
        values, counts = np.append(self.values, value), np.append(self.counts, self.n_missing)
        return Tally.of_counts(values, counts)

    def quantiles(self, shares: Any) -> Numbers:
        """To the bit what `numpy.quantile` gives of the cells, for each share in [0, 1]."""
        ends = np.cumsum(self.counts)
        at = np.asarray(shares, np.float64) * (ends[-1] - 1)
        below = np.floor(at)
        ranks = below, np.minimum(below + 1, ends[-1] - 1)
        low, high = (self.values[np.searchsorted(ends, rank, side="right")] for rank in ranks)
        up, between = at - below, high - low
        return np.where(up < 0.5, low + between * up, high - between * (1 - up))

    @classmethod
    def added(cls, parts: Sequence[Tally]) -> Tally:
        """Of the column that these are parts of."""
        if len(parts) == 1:
            return parts[0]
        values = np.concatenate([part.values for part in parts])
        counts = np.concatenate([part.counts for part in parts])
        return cls.of_counts(values, counts, sum(part.n_missing for part in parts)).sketch()

    def sketch(self) -> Tally:
        """Fewer numbers, where there are many.

        Numbers that more than 1 / SIZE of the cells hold stay, and so do the ends. The others
        become groups of neighbours, at most 2 / SIZE of the cells each, whose number is the one in
        their middle.
        """
        if len(self.values) <= 2 * SIZE:
            return self
        counts, before = self.counts, np.cumsum(self.counts) - self.counts
        share = self.n_known / SIZE
        stays = counts > share
        stays[[0, -1]] = True
        group = np.floor(before / share)
        new = stays | np.append(True, stays[:-1] | (group[1:] != group[:-1]))
        starts = np.flatnonzero(new)
        sums = np.add.reduceat(counts, starts)
        middles = np.searchsorted(before, before[starts] + sums / 2) - 1
        return Tally(self.values[middles], sums, self.n_missing)


def count_numbers(x: Numbers, values: Numbers, counts: NDArray[np.int64]) -> int:
    """Write the different numbers, ascending, and how often each occurs; return how many there are.

    The definition, which the compiled one equals to the bit: NaN is none, and -0.0 is 0.0.

    Parameters
    ----------
    x : ndarray of shape (n,)
    values, counts : ndarray of shape (n,)
        Where to write.
    """
    found = np.unique(x[~np.isnan(x)] + 0.0, return_counts=True)
    for own, all_ in zip((values, counts), found, strict=True):
        own[: len(all_)] = all_
    return len(found[0])


@dataclass(frozen=True)
class Levels:
    """How often each category of a column occurs.

    Attributes
    ----------
    counts : dict of level to int
        In the order of the table.
    n_rows : int
        How many cells there are, missing ones among them.
    """

    counts: dict[Any, int]
    n_rows: int

    @classmethod
    def of(cls, levels: Sequence[Any], codes: NDArray[np.int64]) -> Levels:
        """Of the place of each cell among the levels; -1 where it is missing."""
        counts = np.bincount(codes + 1, minlength=len(levels) + 1)[1:]
        return cls(dict(zip(levels, counts.tolist(), strict=True)), len(codes))

    @classmethod
    def added(cls, parts: Sequence[Levels]) -> Levels:
        """Of the column that these are parts of, in their order."""
        if len(parts) == 1:
            return parts[0]
        sums: dict[Any, int] = {}
        for part in parts:
            for level, n in part.counts.items():
                sums[level] = sums.get(level, 0) + n
        return cls(sums, sum(part.n_rows for part in parts)).sketch()

    def sketch(self) -> Levels:
        """The most frequent categories, where there are many."""
        if len(self.counts) <= 2 * SIZE:
            return self
        kept = set(self.most_frequent(SIZE))
        return Levels({one: n for one, n in self.counts.items() if one in kept}, self.n_rows)

    def most_frequent(self, n: int) -> list[Any]:
        """At most ``n`` levels that occur, of equally frequent ones the first."""
        frequent = sorted(self.counts, key=lambda level: -self.counts[level])[:n]
        return [level for level in frequent if self.counts[level]]
