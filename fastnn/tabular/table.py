"""What columns has a table - a DataFrame, an array, a sparse matrix - and what do cells hold?"""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from datetime import date, timedelta
from typing import Any

import numpy as np
import scipy.sparse
from numpy.typing import NDArray
from sklearn.utils import check_array

from fastnn._optional import require
from fastnn.tabular.tally import Numbers

DAY = np.timedelta64(1, "D")
PLAIN = frozenset({float, int, bool, np.bool_, np.float64, np.float32, np.int64, np.int32})
TIMES = {"M": (date, type(None)), "m": (timedelta, type(None))}  # by NumPy's letters


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
                f"Column {self.name!r} is one of numbers or dates, but not all of its cells are:"
                f" {error}. Read texts of dates as dates, by pandas.to_datetime say. If it holds"
                " categories, name it in categorical_features, and fit."
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
            return days(values, kind)
        if hasattr(values, "to_numpy"):
            return values.to_numpy(dtype=np.float64, na_value=np.nan)
        return values.astype(np.float64)

    def levels(self) -> tuple[Sequence[Any], NDArray[np.int64]]:
        """Distinct values, and the place of each row's among them; -1 where it is missing."""
        array = getattr(self.values, "array", self.values)
        if hasattr(array, "codes"):
            return list(array.categories), np.asarray(array.codes, np.int64)
        try:
            if hasattr(array, "factorize"):  # a Series' own would make dates of what looks like it
                codes, distinct = array.factorize()
                return distinct.tolist(), np.asarray(codes, np.int64)
            cells = self.values.tolist() if hasattr(self.values, "tolist") else list(self.values)
            places = dict.fromkeys(cells, -1)
        except TypeError as error:
            raise TypeError(
                f"Column {self.name!r} is one of categories, but not all of its cells can be:"
                f" {error}. Make texts or numbers of them, or leave the column out."
            ) from error
        levels = [level for level in places if not is_missing(level)]
        places |= {level: i for i, level in enumerate(levels)}
        return levels, np.fromiter(map(places.__getitem__, cells), np.int64, len(cells))


class SparseColumn(Column):
    """A column of a CSC matrix, dense only while it is read."""

    def __init__(self, name: str, X: Any, place: int) -> None:
        self.name = name
        self.values_of = X, place

    @property
    def values(self) -> np.ndarray:
        """Its numbers, ``(n_rows,)``."""
        X, place = self.values_of
        own = slice(X.indptr[place], X.indptr[place + 1])
        values = np.zeros(X.shape[0], X.dtype)
        np.add.at(values, X.indices[own], X.data[own])  # entries of one cell add up
        return values


def days(values: Any, kind: str) -> Any:
    """Dates, or lengths of time, of NumPy's; NaN where one is missing."""
    return (values.astype(f"{kind}8[us]") - np.array(0, f"{kind}8[us]")) / DAY


def is_missing(value: Any) -> bool:
    """None, NaN, NaT and pandas' NA, none of which equals itself."""
    if value is None or isinstance(value, str):
        return value is None
    differs = value != value
    return bool(differs) if isinstance(differs, bool | np.bool_) else not hasattr(value, "__len__")


def plain_number(cell: Any) -> Any:
    """What :meth:`Column.numbers` makes of a number, a date or a missing cell; None of others."""
    if type(cell) in PLAIN:
        return cell
    if is_missing(cell):
        return np.nan
    time = cell.to_numpy() if hasattr(cell, "to_numpy") else cell
    kind = getattr(time, "dtype", np.dtype(object)).kind
    return days(time, kind) if kind in TIMES else None


def columns_of(X: Any) -> list[Column]:
    """The columns of a DataFrame, of an array ``(n_rows, n_columns)`` or of a sparse matrix."""
    if hasattr(X, "iloc"):
        return [Column(str(name), X.iloc[:, i]) for i, name in enumerate(X.columns)]
    if scipy.sparse.issparse(X):
        X = scipy.sparse.csc_array(X)
        return [SparseColumn(f"x{i}", X, i) for i in range(X.shape[1])]
    return [Column(f"x{i}", X[:, i]) for i in range(X.shape[1])]


def as_table(X: Any) -> Any:
    """A pandas DataFrame, an array of two dimensions, or a sparse matrix.

    Whatever turns into the first, or has the interchange protocol of DataFrames, becomes one.
    TypeError for a plan of a table, which holds no rows.
    """
    if hasattr(X, "collect_schema") and hasattr(X, "collect"):
        raise TypeError(f"X is a {type(X).__name__}, which holds no rows yet. Give X.collect().")
    if hasattr(X, "iloc") and X.ndim == 2:
        return X
    if hasattr(X, "to_pandas"):  # those of Polars and Arrow; not all have the protocol
        return X.to_pandas()
    if hasattr(X, "__dataframe__"):
        with warnings.catch_warnings():  # pandas 3 says that the protocol is deprecated
            warnings.filterwarnings("ignore", "The Dataframe Interchange Protocol")
            return require("pandas").api.interchange.from_dataframe(X)
    sparse = ("csr", "csc")
    return check_array(X, accept_sparse=sparse, dtype=None, ensure_all_finite="allow-nan")
