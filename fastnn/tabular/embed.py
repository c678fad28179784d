"""How does a table become what an embedding reads? Bins and fractions of numbers, codes of texts.

Numbers are centred on their median, divided by the distance of their quartiles and clipped
smoothly, so that no outlier rules a column (Holzmueller et al. 2024, arXiv 2407.04491). Missing
numbers are the median, and where the training table has any, an indicator says so.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.base import BaseEstimator, TransformerMixin
from sklearn.utils import Tags
from sklearn.utils.validation import check_is_fitted, validate_data

from fastnn.backends.checks import NotFinite
from fastnn.core.embedding import Embedding, Encoded
from fastnn.tabular.bins import (
    HUGE,
    Numbers,
    NumericColumns,
    RobustScale,
    bin_edges,
    hot_values,
)
from fastnn.tabular.table import Column, as_table, columns_of, plain_number
from fastnn.tabular.tally import Levels, Tally

INDICATOR_SCALE = 0.25  # one-hot columns would otherwise be a network's largest inputs


@dataclass
class CategoricalColumn:
    """What a categorical column's training cells taught.

    Attributes
    ----------
    place : int
        Of the column in the table.
    levels : list
        In order; any other is unknown.
    first : int
        The hot column of the first level.
    indicator : ndarray of shape (3,) or None
        In place of hot columns: the numbers of two levels, and of none of them.
    """

    place: int
    levels: list[Any]
    first: int = 0
    indicator: NDArray[np.float32] | None = None

    def __post_init__(self) -> None:
        self._codes = {level: self.first + k for k, level in enumerate(self.levels)}
        self._of_texts = all(isinstance(level, str) for level in self.levels)

    def __getstate__(self) -> dict[str, Any]:
        return {name: value for name, value in vars(self).items() if name[0] != "_"}

    def __setstate__(self, state: dict[str, Any]) -> None:
        vars(self).update(state)
        self.__post_init__()

    def codes(self, column: Column) -> NDArray[np.int64]:
        """The hot column of each row's level; -1 where it is missing or unknown."""
        levels, rows = column.levels()
        return np.array([*map(self.code, levels), -1])[rows]

    def code(self, level: Any) -> int:
        """That of one level; numbers are texts, and texts numbers, as in the training table."""
        code = self._codes.get(level)
        if code is None and isinstance(level, str) != self._of_texts:
            code = self._codes.get(as_text(level) if self._of_texts else as_number(level))
        return -1 if code is None else code


def as_text(level: Any) -> str:
    """A number as a text; whole ones without a fraction, whatever missing cells made of them."""
    whole = isinstance(level, float) and level.is_integer()
    return str(int(level) if whole else level)


def as_number(level: str) -> float | str:
    """The number or truth value that a text spells, or the text; as :func:`as_text` writes it."""
    if level in ("False", "True"):
        return level == "True"
    try:
        return float(level)
    except ValueError:
        return level


class EmbeddingEncoder(TransformerMixin, BaseEstimator):
    """Encodes a table of numbers and categories for a network with an embedding.

    Parameters
    ----------
    n_bins : int, default=32
        The most bins of a numeric column, at most 255.
    embedding_size : int, default=8
        Numbers that a numeric column becomes in the network.
    categorical_features : "from_dtype", None or array-like, default="from_dtype"
        Which columns hold categories: those of texts, truth values and categorical types; none;
        or names, places or a mask.
    max_categories : int, default=254
        A column of more categories keeps the most frequent ones.

    Attributes
    ----------
    embedding_ : Embedding
        What the network needs to know of the encoding.
    n_features_in_, feature_names_in_
        As in scikit-learn.
    """

    def __init__(
        self,
        n_bins: int = 32,
        embedding_size: int = 8,
        categorical_features: Any = "from_dtype",
        max_categories: int = 254,
    ) -> None:
        self.n_bins = n_bins
        self.embedding_size = embedding_size
        self.categorical_features = categorical_features
        self.max_categories = max_categories

    def fit(self, X: Any, y: Any = None) -> EmbeddingEncoder:
        """Learn scales, edges and categories.

        Parameters
        ----------
        X : DataFrame, array-like or sparse matrix of shape (n_rows, n_columns)
        y : None
            Ignored.

        Raises
        ------
        ValueError
            If a cell is infinite, or no number where one is meant.
        """
        X = as_table(X)
        categorical = self.look(X)
        return self.learn(self.tallies(X, categorical))

    def fit_transform(self, X: Any, y: Any = None) -> Encoded:
        """As :meth:`fit` and :meth:`transform`; each column of categories is looked up once.

        Parameters
        ----------
        X : DataFrame, array-like or sparse matrix of shape (n_rows, n_columns)
        y : None
            Ignored.

        Returns
        -------
        encoded : Encoded
            In float32.
        """
        X = as_table(X)
        categorical = self.look(X)
        columns = self._columns(X, self, reset=False)
        for column in columns:
            column.levels = cache(column.levels)  # type: ignore[method-assign]
        self.learn(self._tallies(columns, categorical))
        return self._encode(len(columns[0].values), columns.__getitem__)

    def look(self, X: Any) -> NDArray[np.bool_]:
        """Learn the names of the columns; return which hold categories, ``(n_columns,)``.

        A column of a table that lies in parts holds them where it does in any part.
        """
        columns = self._columns(X, self, reset=True)
        if not columns:
            raise ValueError("X has no columns; at least 1 is required.")
        return self._categorical(columns)

    def tallies(self, X: Any, categorical: NDArray[np.bool_]) -> list[Tally | Levels]:
        """The counts of each column of a table, or of a part of it."""
        return self._tallies(self._columns(X, self, reset=False), categorical)

    def _tallies(
        self, columns: Sequence[Column], categorical: NDArray[np.bool_]
    ) -> list[Tally | Levels]:
        return [
            Levels.of(*column.levels())
            if of_categories
            else Tally.of(column.numbers().clip(-HUGE, HUGE))
            for column, of_categories in zip(columns, categorical, strict=True)
        ]

    def learn(self, tallies: Sequence[Tally | Levels]) -> EmbeddingEncoder:
        """Choose scales, edges and categories by the counts of each column."""
        gaps: dict[int, NDArray[np.float32]] = {}
        self.categories_: list[CategoricalColumn] = []
        numbers: list[tuple[int, float, RobustScale, Numbers]] = []
        hot: list[float] = []
        for place, tally in enumerate(tallies):
            if isinstance(tally, Levels):
                self._learn_categories(place, tally, hot)
            else:
                self._learn_numbers(place, tally, numbers, gaps)
        places, fills, scales, edges = zip(*numbers, strict=True) if numbers else [()] * 4
        self.numbers_ = NumericColumns.of(places, fills, scales, edges)
        self.gaps_ = np.array(list(gaps), np.int64)
        self.gap_signals_ = np.array(list(gaps.values()), np.float32).reshape(-1, 2).T
        n_indicators = len(gaps)
        n_indicators += sum(one.indicator is not None for one in self.categories_)
        if not (edges or n_indicators or hot):
            n_indicators = 1  # always 0: a network needs an input
        self.embedding_ = Embedding(
            tuple(tuple(own.tolist()) for own in edges),
            self.embedding_size,
            n_indicators,
            tuple(hot),
        )
        return self

    def _learn_numbers(
        self,
        place: int,
        x: Tally,
        found: list[tuple[int, float, RobustScale, Numbers]],
        gaps: dict[int, NDArray[np.float32]],
    ) -> None:
        if not len(x.values):
            return
        fill = float(x.quantiles(0.5))
        if x.n_missing:
            known_or_not = np.array([x.n_known, x.n_missing])
            scale = RobustScale.of(Tally.of_counts(np.array([0.0, 1.0]), known_or_not))
            gaps[place] = (INDICATOR_SCALE * scale(np.array([1.0, 0.0]))).astype(np.float32)
            x = x.filled(fill)
        if len(x.values) > 1:
            scale = RobustScale.of(x)
            edges = bin_edges(x.of_values(scale), self.n_bins)
            if len(edges) > 1:
                found.append((place, fill, scale, edges))

    def _learn_categories(self, place: int, tally: Levels, hot: list[float]) -> None:
        counts, n_rows = tally.counts, tally.n_rows
        kept = sorted(tally.most_frequent(self.max_categories), key=sort_key)
        if len(kept) == 2 or (len(kept) == 1 and sum(counts.values()) < n_rows):
            found = CategoricalColumn(place, kept)
            signs, of_signs = np.array([-1.0, 1.0, 0.0]), np.zeros(3, np.int64)
            for level, n in counts.items():
                of_signs[found.code(level)] += n
            of_signs[-1] += n_rows - sum(counts.values())
            scale = RobustScale.of(Tally.of_counts(signs, of_signs))
            found.indicator = (INDICATOR_SCALE * scale(signs)).astype(np.float32)
            self.categories_.append(found)
        elif len(kept) > 2:
            self.categories_.append(CategoricalColumn(place, kept, len(hot)))
            own = np.array([counts[level] for level in kept], np.int64)
            hot += (INDICATOR_SCALE * hot_values(own, n_rows)).tolist()

    def transform(self, X: Any) -> Encoded:
        """Encode a table.

        Parameters
        ----------
        X : DataFrame, array-like or sparse matrix of shape (n_rows, n_columns)
            A DataFrame's columns are found by name, in any order.

        Returns
        -------
        encoded : Encoded
            In float32.
        """
        return self.encode(X, self)

    def encode(self, X: Any, asked: BaseEstimator) -> Encoded:
        """As :meth:`transform`; ``asked`` is whom errors name."""
        if not hasattr(self, "embedding_"):
            check_is_fitted(self)
        with suppress(NotFinite, OverflowError):  # of which the full validation says more
            if plain := self._plain(X):
                return self._encode(*plain)
        columns = self._columns(X, asked, reset=False)
        return self._encode(len(columns[0].values) if columns else 0, columns.__getitem__)

    def _plain(self, X: Any) -> tuple[int, Callable[[int], Column], Numbers] | None:
        """Of a table in which validation could find infinity alone: rows, columns, numbers.

        The numbers ``(n_rows, n_columns)`` are worth nothing where a column holds categories. An
        array of floats is such a table; and one row of a DataFrame with the columns of the training
        table, in any order.
        """
        if type(X) is np.ndarray:
            if (
                X.dtype.type in (np.float64, np.float32)
                and X.ndim == 2
                and X.shape[1] == self.n_features_in_
                and len(X) > 0
                and X.flags.c_contiguous
                and X.flags.aligned
                and self.labels_ is None
            ):
                return len(X), lambda i: Column(f"x{i}", X[:, i]), X.astype(np.float64, copy=False)
            return None
        if not hasattr(X, "iloc") or X.ndim != 2 or len(X) != 1 or self.labels_ is None:
            return None
        row, labels = X.iloc[0], self.labels_
        if row.dtype.kind == "f" and self.categories_:  # whole numbers may have lost digits
            return None
        cells = dict(zip(X.columns.tolist(), row.tolist(), strict=True))
        if len(cells) < X.shape[1] or cells.keys() != set(labels):
            return None
        places = sorted({*self.numbers_.places.tolist(), *self.gaps_.tolist()})
        own = [plain_number(cells[labels[place]]) for place in places]
        if None in own:
            return None
        numbers = np.zeros((1, len(cells)))
        numbers[0, places] = own
        return 1, lambda i: Column(str(labels[i]), [cells[labels[i]]]), numbers

    def _encode(
        self, n_rows: int, column: Callable[[int], Column], numbers: Numbers | None = None
    ) -> Encoded:
        """The table's rows; NotFinite if one of ``numbers``, all of its own, is infinite."""
        n_numeric = len(self.numbers_.places)
        bins = np.empty((n_rows, n_numeric), np.uint8)
        fractions = np.empty((n_rows, n_numeric), np.float32)
        indicators = np.zeros((n_rows, self.embedding_.n_indicators), np.float32)
        n_gaps = len(self.gaps_)
        if numbers is None:
            self._read_each(column, bins, fractions, indicators)
        elif not self.numbers_.find(numbers, range(n_numeric), bins, fractions):
            raise NotFinite
        elif n_gaps:
            absent = np.isnan(numbers[:, self.gaps_])
            indicators[:, :n_gaps] = np.where(absent, *self.gap_signals_)
        n_hot = sum(found.indicator is None for found in self.categories_)
        codes, k, c = np.empty((n_rows, n_hot), np.int32), n_gaps, 0
        for found in self.categories_:
            each = found.codes(column(found.place))
            if found.indicator is None:
                codes[:, c], c = each, c + 1
            else:
                indicators[:, k], k = found.indicator[each], k + 1
        return Encoded(bins, fractions, indicators, codes)

    def encoded_places(self) -> list[dict[str, list[int]]]:
        """For each column of the table, those of each array of `Encoded` that are made of it."""
        places: list[dict[str, list[int]]] = [
            {"bins": [], "fractions": [], "indicators": [], "codes": []}
            for _ in range(self.n_features_in_)
        ]
        counts = dict.fromkeys(places[0], 0) if places else {}

        def note(place: int, *names: str) -> None:
            for name in names:
                places[place][name].append(counts[name])
                counts[name] += 1

        for place in self.numbers_.places.tolist():
            note(place, "bins", "fractions")
        for place in self.gaps_.tolist():
            note(place, "indicators")
        for found in self.categories_:
            note(found.place, "codes" if found.indicator is None else "indicators")
        return places

    def _read_each(
        self,
        column: Callable[[int], Column],
        bins: NDArray[np.uint8],
        fractions: NDArray[np.float32],
        indicators: NDArray[np.float32],
    ) -> None:
        """Write what the numbers of each column become."""
        known = {place: j for j, place in enumerate(self.numbers_.places.tolist())}
        gaps = {place: k for k, place in enumerate(self.gaps_.tolist())}
        for place in sorted({*known, *gaps}):
            x = np.require(column(place).numbers(), requirements=["C", "ALIGNED"])
            if place in known:
                j = known[place]
                self.numbers_.find(x[:, None], range(j, j + 1), bins, fractions)
            if place in gaps:
                k = gaps[place]
                indicators[:, k] = np.where(np.isnan(x), *self.gap_signals_[:, k])

    def _columns(self, X: Any, asked: BaseEstimator, reset: bool) -> list[Column]:
        X = as_table(X)
        has_labels = hasattr(X, "iloc") and X.columns.is_unique
        if reset:
            self.labels_ = X.columns.tolist() if has_labels else None
        elif hasattr(X, "iloc") and self.labels_ is not None:
            X = self._in_order(X, self.labels_)
        validate_data(asked, X, reset=reset, skip_check_array=True)
        return columns_of(X)

    def _in_order(self, X: Any, labels: list[Any]) -> Any:
        """The known columns of a DataFrame; ValueError if any is absent, or new.

        As in scikit-learn, columns without names, those numbered, are found by place where the
        table has none of their numbers.
        """
        absent = [label for label in labels if label not in X.columns]
        if len(absent) == len(labels) and not all(isinstance(label, str) for label in labels):
            return X
        if absent:
            raise ValueError(
                f"X lacks columns that the model was fitted with: {', '.join(map(repr, absent))}."
            )
        known = set(labels)
        if new := [label for label in X.columns if label not in known]:
            raise ValueError(
                "X has columns that the model was not fitted with:"
                f" {', '.join(map(repr, new))}. Leave them out."
            )
        return X[labels]

    def _categorical(self, columns: Sequence[Column]) -> NDArray[np.bool_]:
        """Which columns hold categories."""
        given = self.categorical_features
        if given is None:
            return np.zeros(len(columns), bool)
        if isinstance(given, str):
            if given != "from_dtype":
                raise ValueError(
                    "categorical_features must be 'from_dtype', None or an array-like of names,"
                    f" places or truth values, got {given!r}."
                )
            return np.array([column.is_categorical for column in columns], bool)
        given = np.asarray(given)
        if given.dtype == bool and len(given) == len(columns):
            return given
        names = [column.name for column in columns]
        found = np.zeros(len(columns), bool)
        for one in given.tolist():
            if isinstance(one, str) and one in names:
                found[names.index(one)] = True
            elif isinstance(one, int) and not isinstance(one, bool) and 0 <= one < len(columns):
                found[one] = True
            else:
                raise ValueError(
                    f"categorical_features names {one!r}, which is no column of X; it has"
                    f" {len(columns)} columns{': ' + ', '.join(names[:30]) if names else ''}."
                )
        return found

    def __sklearn_tags__(self) -> Tags:
        tags = super().__sklearn_tags__()
        tags.input_tags.sparse = tags.input_tags.allow_nan = True
        tags.input_tags.string = tags.input_tags.categorical = True
        return tags


def sort_key(level: Any) -> tuple[str, Any]:
    """Sorts levels of several types, each among its own."""
    numeric = isinstance(level, int | float | np.number)
    return ("", level) if numeric else (type(level).__name__, str(level))
