"""Which rows does each member of a bag train on, and which does it hold out?"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from sklearn.utils import check_array

from fastnn.core.activations import Array
from fastnn.tabular.embed import sort_key
from fastnn.tabular.table import columns_of, is_missing
from fastnn.training.bag import Rows


class Split(NamedTuple):
    """The rows to train on, and those to be measured on."""

    rows: Rows
    held_out: Rows


@dataclass(frozen=True)
class Counted:
    """Which of the rows given to ``fit`` are learned from.

    Attributes
    ----------
    first : ndarray of int, shape (n_rows,)
        Where each row that is learned from stands among those given.
    places : ndarray of int, shape (n_given,)
        Which row each of those given is; -1 where it has no weight.
    weight : ndarray of shape (n_rows,) or None
    """

    first: Rows
    places: Rows
    weight: Array | None

    @classmethod
    def of(cls, n_given: int, weight: Array | None) -> Counted:
        """Every row that has a weight."""
        counts = np.ones(n_given, bool) if weight is None else weight > 0
        first = np.flatnonzero(counts)
        places = np.where(counts, np.cumsum(counts) - 1, -1)
        return cls(first, places, None if weight is None else weight[first])

    @classmethod
    def distinct(
        cls, X: Any, y: np.ndarray, weight: Array | None, splits: Sequence[Split]
    ) -> Counted:
        """Rows of the same cells, target and splits are one, with the sum of their weights.

        In an order that does not depend on theirs: where folds are given, a row of weight 2 is
        twice a row of weight 1, to the bit.
        """
        n_given = len(y)
        weight = np.ones(n_given, np.float32) if weight is None else weight
        members = np.zeros((2 * len(splits), n_given), bool)
        for i, split in enumerate(splits):
            members[2 * i, split.rows] = members[2 * i + 1, split.held_out] = True
        cells = [_ranks(column) for column in columns_of(X)]
        targets = [np.unique(own, return_inverse=True)[1] for own in y.reshape(n_given, -1).T]
        keys = np.stack([*cells, *targets, *members], axis=1)
        counted = np.flatnonzero(weight > 0)
        _, first, own = np.unique(keys[counted], axis=0, return_index=True, return_inverse=True)
        places = np.full(n_given, -1)
        places[counted] = own.ravel()  # NumPy 2.0 gives it another shape
        sums = np.bincount(places[counted], weights=weight[counted])
        return cls(counted[first], places, None if (sums == 1).all() else sums.astype(weight.dtype))

    def of_splits(self, splits: Sequence[Split]) -> list[Split]:
        """Splits of the given rows as those of the rows that are learned from."""
        found = []
        for i, split in enumerate(splits):
            rows, held_out = (np.unique(self.places[part]) for part in split)
            rows, held_out = rows[rows >= 0], held_out[held_out >= 0]
            if len(rows) < 1 or len(held_out) < 1:
                raise ValueError(
                    f"Split {i} of cv has {len(rows)} rows to train on and {len(held_out)} to hold"
                    " out, of those whose weight is above 0; at least 1 of each is needed."
                )
            found.append(Split(rows, held_out))
        return found


def _ranks(column: Any) -> Rows:
    """The place ``(n_rows,)`` of each cell among the column's values in order; NaN is one."""
    if not column.is_categorical:
        return np.unique(column.numbers(), return_inverse=True)[1]
    levels, codes = column.levels()
    order = sorted(range(len(levels)), key=lambda k: sort_key(levels[k]))
    ranks = np.empty(len(levels) + 1, np.int64)
    ranks[order], ranks[-1] = np.arange(len(levels)), -1
    return ranks[codes]


def given_splits(cv: Any, X: Any, y: np.ndarray, groups: Any) -> list[Split]:
    """The splits of a splitter of scikit-learn's, or of an iterable of (rows, held out)."""
    from sklearn.model_selection import check_cv  # it would make importing slower

    n_rows, splits = len(y), []
    for i, pair in enumerate(check_cv(cv).split(X, y, groups)):
        parts = [np.asarray(part) for part in pair]
        parts = [np.flatnonzero(part) if part.dtype == bool else part for part in parts]
        for part in parts:
            if len(part) and not (
                part.dtype.kind in "iu" and 0 <= part.min() <= part.max() < n_rows
            ):
                raise ValueError(
                    f"Split {i} of cv must hold row numbers from 0 to {n_rows - 1}, got"
                    f" {part.dtype} from {part.min()} to {part.max()}."
                )
        rows, held_out = (part.astype(np.int64) for part in parts)
        if len(both := np.intersect1d(rows, held_out)):
            raise ValueError(
                f"Split {i} of cv trains on rows that it holds out, such as row {both[0]}; what is"
                " measured on them would tell nothing."
            )
        splits.append(Split(rows, held_out))
    if not splits:
        raise ValueError(f"cv={cv!r} gives no split; at least 1 is needed.")
    return splits


def fold_splits(
    values: np.ndarray,
    groups: np.ndarray | None,
    n_folds: int,
    n_members: int,
    random_state: np.random.RandomState,
) -> list[Split]:
    """A split for each member: member j holds out fold j, and folds come round again."""
    if groups is None:
        n_folds = min(n_folds, len(values))
        folds = stratified_folds(values, n_folds, random_state)
    else:
        folds = group_folds(groups, n_folds, random_state)
        n_folds = int(folds.max()) + 1
    held_out = [folds == j % n_folds for j in range(n_members)]
    return [Split(np.flatnonzero(~own), np.flatnonzero(own)) for own in held_out]


def stratified_folds(
    values: np.ndarray, n_folds: int, random_state: np.random.RandomState
) -> NDArray[np.int64]:
    """The fold of each row: equal shares of each class, or of each part of a target's range."""
    order = random_state.permutation(len(values))
    first = values if values.ndim == 1 else values[:, 0]
    order = order[np.argsort(first[order], kind="stable")]
    folds = np.empty(len(values), np.int64)
    folds[order] = (np.arange(len(values)) + random_state.randint(n_folds)) % n_folds
    return folds


def group_folds(
    groups: np.ndarray, n_folds: int, random_state: np.random.RandomState
) -> NDArray[np.int64]:
    """The fold of each row: whole groups, the largest first, each to the fold of fewest rows."""
    labels, codes, counts = np.unique(groups, return_inverse=True, return_counts=True)
    if len(labels) < 2:
        raise ValueError(
            f"groups holds one group only, {labels.tolist()[0]!r}; rows to train on and rows to"
            " hold out need at least 2."
        )
    sizes, fold_of = np.zeros(min(n_folds, len(labels)), np.int64), np.empty(len(labels), np.int64)
    order = random_state.permutation(len(labels))
    for group in order[np.argsort(-counts[order], kind="stable")]:
        fold_of[group] = sizes.argmin()
        sizes[fold_of[group]] += counts[group]
    return fold_of[codes]


def checked_groups(groups: Any) -> np.ndarray | None:
    """Labels ``(n_samples,)``, numbers or texts; ValueError where one is missing."""
    if groups is None:
        return None
    labels = np.asarray(groups)
    if labels.dtype == object and any(map(is_missing, labels)):
        row = next(i for i, label in enumerate(labels) if is_missing(label))
        raise ValueError(f"groups has no label for row {row}; each row needs one.")
    return check_array(labels, ensure_2d=False, dtype=None, input_name="groups")
