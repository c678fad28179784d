"""What do the cells of a column hold? Any pandas column as an Arrow array: text, numbers or times.

Arrow keeps what pandas may lose: whole numbers beside missing cells, decimals, text as written.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from fastnn._optional import require

if TYPE_CHECKING:
    import pandas as pd
    import pyarrow as pa

# What surrounds a cell without being part of it: blanks of every width, byte order marks.
BLANKS = " \t\r\n\v\f\u00a0\u1680\u2000\u2001\u2002\u2003\u2004\u2005\u2006\u2007\u2008\u2009\u200a"
BLANKS += "\u200b\u2028\u2029\u202f\u205f\u3000\ufeff"
# Whole numbers up to this are exact as float64.
EXACT = 2**53


def cells(column: pd.Series) -> pa.Array:
    """Return a column as an Arrow array of one of the types that the rest of the package knows.

    Parameters
    ----------
    column : pandas.Series of shape (n_rows,)
        Of any dtype.

    Returns
    -------
    pyarrow.Array of shape (n_rows,)
        Text (also of truth values, decimals, times of day, and whatever Arrow has no type for),
        int64, uint64, float64 or a timestamp without time zone; null where a cell is missing.
        Lists and other compound cells keep their type, see `is_usable`.
    """
    pa = require("pyarrow")
    pc = require("pyarrow.compute")
    try:
        array = pa.array(column, from_pandas=True)
        if isinstance(array, pa.ChunkedArray):
            array = array.combine_chunks()
    except (pa.ArrowException, OverflowError, TypeError, ValueError, NotImplementedError):
        array = _as_written(column)
    kind = array.type
    if pa.types.is_dictionary(kind):
        array = array.dictionary_decode()
        kind = array.type
    if isinstance(kind, pa.BaseExtensionType):
        array = _as_written(column)
    elif pa.types.is_boolean(kind):
        array = pc.if_else(array, "True", "False")
    elif pa.types.is_null(kind) or pa.types.is_decimal(kind) or pa.types.is_time(kind):
        array = array.cast(pa.string())
    elif pa.types.is_unsigned_integer(kind):
        array = array.cast(pa.uint64())
    elif pa.types.is_signed_integer(kind):
        array = array.cast(pa.int64())
    elif pa.types.is_floating(kind):
        array = array.cast(pa.float64())
        if array.null_count < len(array):
            array = pc.if_else(pc.is_nan(array), None, array)
    elif pa.types.is_date(kind):
        array = array.cast(pa.timestamp("us"))
    elif pa.types.is_timestamp(kind):
        array = pc.local_timestamp(array) if kind.tz else array
        array = array.cast(pa.timestamp("us"), safe=False)
    elif pa.types.is_string_view(kind):
        array = array.cast(pa.large_string())
    return array


def _as_written(column: pd.Series) -> pa.Array:
    """Return each cell as Python prints it, null where it is missing."""
    missing = column.isna().to_numpy()
    # Half of a surrogate pair, as JSON may hold, is no text that can be stored.
    texts = [
        None if gone else str(cell).encode(errors="backslashreplace").decode()
        for cell, gone in zip(column, missing, strict=True)
    ]
    return require("pyarrow").array(texts, require("pyarrow").large_string())


def is_text(array: pa.Array) -> bool:
    """Whether the cells are text."""
    types = require("pyarrow").types
    return bool(types.is_string(array.type) or types.is_large_string(array.type))


def is_time(array: pa.Array) -> bool:
    """Whether the cells are points in time."""
    return bool(require("pyarrow").types.is_timestamp(array.type))


def is_number(array: pa.Array) -> bool:
    """Whether the cells are numbers."""
    types = require("pyarrow").types
    return bool(types.is_integer(array.type) or types.is_floating(array.type))


def is_usable(array: pa.Array) -> bool:
    """Whether the cells are text, numbers or times, rather than lists and the like."""
    return is_text(array) or is_number(array) or is_time(array)


def as_text(array: pa.Array) -> pa.Array:
    """Return usable cells as text: text as written, whole numbers without ``.0``."""
    pa, pc = require("pyarrow"), require("pyarrow.compute")
    if is_text(array):
        return array
    if pa.types.is_floating(array.type):
        values = array.drop_null().to_numpy()
        whole = np.isfinite(values) & (np.abs(values) < EXACT)
        if np.all(whole & (np.floor(values) == values)):
            array = array.cast(pa.int64())
        else:
            # Python's shortest text that reads as the same number, as CSV writers write it.
            texts = [None if value is None else repr(value) for value in array.to_pylist()]
            return pa.array(texts, pa.string())
    if is_time(array):
        return pc.replace_substring_regex(array.cast(pa.string()), r"( 00:00:00)?\.0+$", "")
    return array.cast(pa.string())


def strip(text: pa.Array) -> pa.Array:
    """Return text without the blanks around it."""
    return require("pyarrow.compute").utf8_trim(text, characters=BLANKS)


def to_floats(array: pa.Array) -> np.ndarray:
    """Return numbers, or text that reads as plain numbers, as float64; NaN where null.

    Raises
    ------
    pyarrow.ArrowInvalid
        When some text is no number.
    """
    pa, pc = require("pyarrow"), require("pyarrow.compute")
    numbers = pc.cast(array, pa.float64(), safe=is_text(array))
    values: Any = numbers.to_numpy(zero_copy_only=False)
    return values


@dataclass(frozen=True)
class Distinct:
    """The different values of a column, and which of them each cell holds.

    Attributes
    ----------
    values : pyarrow.Array of shape (n_values,)
        Text without blanks around it, in Unicode's composed form (NFC), in order of appearance; no
        value is missing.
    codes : ndarray of shape (n_rows,)
        int64 positions in ``values``; -1 where a cell is missing.
    counts : ndarray of shape (n_values,)
        In how many cells each value is.
    n_blank : int
        How many cells have blanks around their value.
    n_decomposed : int
        How many cells are written with accents of their own, other than Unicode's composed form.
    marks : dict of str to int
        The marks of missing cells that occur, and in how many cells.
    """

    values: pa.Array
    codes: np.ndarray
    counts: np.ndarray
    n_blank: int
    n_decomposed: int
    marks: dict[str, int]

    def spread(self, of_values: np.ndarray) -> np.ndarray:
        """Return what ``of_values`` (n_values,) says of each cell; NaN or NaT where missing."""
        return np.append(of_values, np.array([np.nan]).astype(of_values.dtype))[self.codes]


def distinct(array: pa.Array, missing: Sequence[str]) -> Distinct:
    """Return the different values of usable cells; empty ones and ``missing`` are missing."""
    pa, pc = require("pyarrow"), require("pyarrow.compute")
    found = as_text(array).dictionary_encode()
    codes = pc.fill_null(found.indices, -1).to_numpy(zero_copy_only=False).astype(np.int64)
    counts = np.bincount(codes + 1, minlength=len(found.dictionary) + 1)[1:]
    stripped = strip(found.dictionary)
    had_blanks = pc.not_equal(stripped, found.dictionary).to_numpy(zero_copy_only=False)
    composed = stripped
    if not pc.all(pc.string_is_ascii(stripped), min_count=0).as_py():
        apart = stripped.to_pylist()  # Arrow 16 leaves them apart
        composed = pa.array([unicodedata.normalize("NFC", text) for text in apart], stripped.type)
    decomposed = pc.not_equal(composed, stripped).to_numpy(zero_copy_only=False)
    merged = composed.dictionary_encode()
    values = merged.dictionary
    gone = pc.is_in(values, value_set=pa.array(["", *missing], values.type))
    gone = gone.to_numpy(zero_copy_only=False)
    places = np.where(gone, -1, np.cumsum(~gone) - 1)[merged.indices.to_numpy()]
    of_merged = np.bincount(merged.indices.to_numpy(), counts, len(values)).astype(np.int64)
    marks = {values[int(i)].as_py(): int(of_merged[i]) for i in np.flatnonzero(gone)}
    return Distinct(
        values.filter(pa.array(~gone)),
        np.append(places, -1)[codes],
        of_merged[~gone],
        int(counts[had_blanks].sum()),
        int(counts[decomposed].sum()),
        marks,
    )
