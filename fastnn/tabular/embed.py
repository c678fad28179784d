"""How does a table become what an embedding reads? Bins and fractions of numbers, codes of texts.

Numbers are centred on their median, divided by the distance of their quartiles and clipped
smoothly, so that no outlier rules a column (Holzmueller et al. 2024, arXiv 2407.04491). Missing
numbers are the median, and where the training table has any, an indicator says so.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Any

import numpy as np
import scipy.sparse
from numpy.typing import NDArray
from sklearn.base import BaseEstimator, TransformerMixin
from sklearn.utils import Tags, check_array
from sklearn.utils.validation import check_is_fitted, validate_data

from fastnn._optional import require
from fastnn.core.embedding import Embedding, Encoded
from fastnn.tabular.bins import bin_edges, find_bins

Numbers = NDArray[np.float64]

INDICATOR_SCALE = 0.25  # one-hot columns would otherwise be a network's largest inputs
DAY = np.timedelta64(1, "D")
HUGE = 1e300  # numbers beyond it count as it: their differences are finite
LARGE = 1e100  # its square is finite
TIMES = {"M": (date, type(None)), "m": (timedelta, type(None))}  # by NumPy's letters


@dataclass(frozen=True)
class RobustScale:
    """``clip((x - center) * factor)``, with the smooth clip ``z / sqrt(1 + (z / 3)**2)``."""

    center: float
    factor: float

    @classmethod
    def of(cls, x: Numbers) -> RobustScale:
        """By median and quartiles; where these are equal, by the range."""
        low, center, high = np.quantile(x, [0.25, 0.5, 0.75])
        spread = high - low if high > low else (x.max() - x.min()) / 2
        return cls(float(center), float(1 / max(spread, 1 / HUGE)) if spread > 0 else 0.0)

    def __call__(self, x: Numbers) -> Numbers:
        """The scaled numbers, of the shape of ``x``."""
        with np.errstate(over="ignore"):  # the clip takes infinity for what it is
            z = ((x - self.center) * self.factor).clip(-LARGE, LARGE)
        return z / np.sqrt(1 + (z / 3) ** 2)


class Column:
    """A column of a table, whatever the table is."""

    def __init__(self, name: str, values: Any) -> None:
        self.name = name
        self.values = values

    @property
    def is_categorical(self) -> bool:
        """Whether it holds texts, truth values, a categorical type, or what is no number.

        An array of texts holds numbers where all of its cells are: NumPy makes texts of numbers
        that stand beside texts.
        """
        kind = self._kind
        if kind == "b" or str(self.values.dtype) == "category":
            return True
        if kind == "O" and any(isinstance(v, str | bytes | bool | np.bool_) for v in self.values):
            return True
        if kind not in "OUS":
            return False
        try:
            self._floats()
        except (TypeError, ValueError, OverflowError):
            return True
        return False

    def numbers(self) -> Numbers:
        """As float64, NaN where missing; dates become days. ValueError if a cell is no number."""
        try:
            array = self._floats()
        except (TypeError, ValueError, OverflowError) as error:
            raise ValueError(
                f"Column {self.name!r} is one of numbers, but not all of its cells are: {error}. If"
                " it holds categories, name it in categorical_features, and fit."
            ) from error
        if np.isinf(array).any():
            raise ValueError(
                f"Column {self.name!r} of X contains infinity. Replace it by NaN, which is taken as"
                " missing, or by a number."
            )
        return array

    @property
    def _kind(self) -> str:
        """NumPy's letter for the type of its cells."""
        return getattr(self.values.dtype, "kind", "O")

    def _floats(self) -> Numbers:
        """As float64, NaN where missing; TypeError, ValueError or OverflowError where none."""
        values, kind = self.values, self._kind
        if kind == "c":
            raise TypeError("Complex data not supported")
        if kind == "O":
            cells = (None if is_missing(v) else v for v in values)
            values = np.fromiter(cells, object, len(values))  # np.array unpacks lists
            kind = next((k for k in TIMES if all(isinstance(v, TIMES[k]) for v in values)), kind)
        if kind in "mM":
            if hasattr(values, "to_numpy"):  # its dates may have a time zone
                values = values.to_numpy(dtype=f"{kind}8[us]", na_value=np.array("NaT", f"{kind}8"))
            values = values.astype(f"{kind}8[us]", copy=False)
            return (values - np.array(0, f"{kind}8[us]")) / DAY
        if hasattr(values, "to_numpy"):
            return values.to_numpy(dtype=np.float64, na_value=np.nan)
        return values.astype(np.float64)

    def levels(self) -> tuple[Sequence[Any], NDArray[np.int64]]:
        """Distinct values, and the place of each row's among them; -1 where it is missing."""
        categorical = getattr(self.values, "array", self.values)
        if hasattr(categorical, "codes"):
            return list(categorical.categories), np.asarray(categorical.codes, np.int64)
        places: dict[Any, int] = {}
        cells = self.values.tolist() if hasattr(self.values, "tolist") else list(self.values)
        try:
            codes = [-1 if is_missing(v) else places.setdefault(v, len(places)) for v in cells]
        except TypeError as error:
            raise TypeError(
                f"Column {self.name!r} is one of categories, but not all of its cells can be:"
                f" {error}. Make texts or numbers of them, or leave the column out."
            ) from error
        return list(places), np.array(codes, np.int64)


def is_missing(value: Any) -> bool:
    """None, NaN, NaT and pandas' NA, none of which equals itself."""
    if value is None or isinstance(value, str):
        return value is None
    differs = value != value
    return bool(differs) if isinstance(differs, bool | np.bool_) else not hasattr(value, "__len__")


def columns_of(X: Any) -> list[Column]:
    """The columns of a DataFrame, of an array ``(n_rows, n_columns)`` or of a sparse matrix."""
    if hasattr(X, "iloc"):
        return [Column(str(name), X.iloc[:, i]) for i, name in enumerate(X.columns)]
    if scipy.sparse.issparse(X):
        X = X.toarray()
    return [Column(f"x{i}", X[:, i]) for i in range(X.shape[1])]


def as_table(X: Any) -> Any:
    """A pandas DataFrame, an array of two dimensions, or a sparse matrix.

    Whatever turns into the first, or has the interchange protocol of DataFrames, becomes one.
    """
    if hasattr(X, "iloc") and X.ndim == 2:
        return X
    if hasattr(X, "to_pandas"):  # those of Polars and Arrow; not all have the protocol
        return X.to_pandas()
    if hasattr(X, "__dataframe__"):
        return require("pandas").api.interchange.from_dataframe(X)
    sparse = ("csr", "csc")
    return check_array(X, accept_sparse=sparse, dtype=None, ensure_all_finite="allow-nan")


@dataclass
class NumericColumn:
    """What a numeric column's training cells taught.

    Attributes
    ----------
    place : int
        Of the column in the table.
    fill : float
        What stands for a missing number.
    scale, edges : RobustScale or None, ndarray or None
        None where all numbers are the same.
    missing : RobustScale or None
        Of the indicator; None where no number was missing.
    """

    place: int
    fill: float
    scale: RobustScale | None = None
    edges: Numbers | None = None
    missing: RobustScale | None = None


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
    sign : RobustScale or None
        Two levels are -1 and 1, scaled, in place of hot columns.
    """

    place: int
    levels: list[Any]
    first: int = 0
    sign: RobustScale | None = None

    def codes(self, column: Column) -> NDArray[np.int64]:
        """The hot column of each row's level; -1 where it is missing or unknown."""
        known = {level: self.first + k for k, level in enumerate(self.levels)}
        levels, rows = column.levels()
        return np.array([known.get(level, -1) for level in levels] + [-1])[rows]

    def signs(self, column: Column) -> Numbers:
        """-1 or 1 for each row, 0 where the level is missing or unknown."""
        return np.array([-1.0, 1.0, 0.0])[self.codes(column)]


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
        columns = self._columns(X, reset=True)
        if not columns:
            raise ValueError("X has no columns; at least 1 is required.")
        self.numbers_: list[NumericColumn] = []
        self.categories_: list[CategoricalColumn] = []
        hot: list[float] = []
        for place, (column, categorical) in enumerate(
            zip(columns, self._categorical(columns), strict=True)
        ):
            if categorical:
                self._fit_categories(place, column, hot)
            else:
                self._fit_numbers(place, column)
        known = [numbers.edges for numbers in self.numbers_]
        edges = tuple(tuple(own.tolist()) for own in known if own is not None)
        n_indicators = sum(numbers.missing is not None for numbers in self.numbers_)
        n_indicators += sum(one.sign is not None for one in self.categories_)
        if not (edges or n_indicators or hot):
            n_indicators = 1  # always 0: a network needs an input
        self.embedding_ = Embedding(edges, self.embedding_size, n_indicators, tuple(hot))
        return self

    def _fit_numbers(self, place: int, column: Column) -> None:
        x = column.numbers().clip(-HUGE, HUGE)
        absent = np.isnan(x)
        if absent.all():
            return
        found = NumericColumn(place, float(np.median(x[~absent])))
        if absent.any():
            found.missing = RobustScale.of(absent.astype(float))
            x = np.where(absent, found.fill, x)
        if x.min() < x.max():
            found.scale = RobustScale.of(x)
            edges = bin_edges(found.scale(x), self.n_bins)
            found.edges = edges if len(edges) > 1 else None
        self.numbers_.append(found)

    def _fit_categories(self, place: int, column: Column, hot: list[float]) -> None:
        levels, codes = column.levels()
        counts = np.bincount(codes[codes >= 0], minlength=len(levels))
        frequent = np.argsort(-counts, kind="stable")[: self.max_categories]
        kept = sorted((levels[k] for k in frequent if counts[k]), key=sort_key)
        if len(kept) == 2 or (len(kept) == 1 and (codes < 0).any()):
            found = CategoricalColumn(place, kept)
            found.sign = RobustScale.of(found.signs(column))
            self.categories_.append(found)
        elif len(kept) > 2:
            self.categories_.append(CategoricalColumn(place, kept, len(hot)))
            share = dict(zip(levels, counts, strict=True))
            for level in kept:
                scale = RobustScale.of((np.arange(len(codes)) < share[level]).astype(float))
                hot.append(INDICATOR_SCALE * float(scale(np.ones(1))[0] - scale(np.zeros(1))[0]))

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
        check_is_fitted(self)
        columns = self._columns(X, reset=False)
        n_rows = len(columns[0].values) if columns else 0
        n_numeric, n_indicators = len(self.embedding_.edges), self.embedding_.n_indicators
        one_hot = [found for found in self.categories_ if found.sign is None]
        bins = np.empty((n_rows, n_numeric), np.uint8)
        fractions = np.empty((n_rows, n_numeric), np.float32)
        indicators = np.zeros((n_rows, n_indicators), np.float32)
        codes = np.empty((n_rows, len(one_hot)), np.int32)
        j = k = 0
        for numbers in self.numbers_:
            x = columns[numbers.place].numbers()
            absent = np.isnan(x)
            if numbers.scale is not None and numbers.edges is not None:
                x = numbers.scale(np.where(absent, numbers.fill, x))
                bins[:, j], fractions[:, j] = find_bins(x, numbers.edges)
                j += 1
            if numbers.missing is not None:
                indicators[:, k] = INDICATOR_SCALE * numbers.missing(absent.astype(float))
                k += 1
        for found in self.categories_:
            if found.sign is not None:
                signs = found.signs(columns[found.place])
                indicators[:, k] = INDICATOR_SCALE * found.sign(signs)
                k += 1
        for c, found in enumerate(one_hot):
            codes[:, c] = found.codes(columns[found.place])
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

        for numbers in self.numbers_:
            if numbers.edges is not None:
                note(numbers.place, "bins", "fractions")
            if numbers.missing is not None:
                note(numbers.place, "indicators")
        for found in self.categories_:
            note(found.place, "codes" if found.sign is None else "indicators")
        return places

    def _columns(self, X: Any, reset: bool) -> list[Column]:
        X = as_table(X)
        if not reset and hasattr(X, "iloc") and hasattr(self, "feature_names_in_"):
            X = self._in_order(X)
        validate_data(self, X, reset=reset, skip_check_array=True)
        return columns_of(X)

    def _in_order(self, X: Any) -> Any:
        """The columns of a DataFrame in order; ValueError if any is absent, or new."""
        absent = [name for name in self.feature_names_in_ if name not in X.columns]
        if absent:
            raise ValueError(
                f"X lacks columns that the model was fitted with: {', '.join(map(repr, absent))}."
            )
        known = set(self.feature_names_in_)
        if new := [name for name in X.columns if name not in known]:
            raise ValueError(
                "X has columns that the model was not fitted with:"
                f" {', '.join(map(repr, new))}. Leave them out."
            )
        return X[list(self.feature_names_in_)]

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
