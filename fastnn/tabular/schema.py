"""What does a training table teach? Its task, and for each column what it is and how it is written.

That is a `Schema`: plain data, saved beside the model. Every later table is read by it, never by a
fresh guess. How it is found out is in `recognise`.
"""

from __future__ import annotations

import difflib
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from fastnn._optional import require
from fastnn.tabular.notation import ORDERS, Notation

if TYPE_CHECKING:
    import pandas as pd
    import pyarrow as pa

TASKS = ("binary", "multiclass", "regression")
# What stands for a missing cell, unless it is said otherwise; an empty cell is always missing.
MISSING = (
    "NA", "N/A", "n/a", "NaN", "nan", "-NaN", "-nan", "null", "NULL", "Null", "None", "<NA>",
    "#N/A", "#N/A N/A", "#NA", "1.#IND", "-1.#IND", "1.#QNAN", "-1.#QNAN", "?", "NaT",
    "#DIV/0!", "#VALUE!", "#REF!", "#NAME?", "#NUM!", "#NULL!",
)  # fmt: skip
# Among numbers a dash, too, which among texts may be a value.
DASHES = ("-", "--", "\u2013", "\u2014")
# Of these, what only programs write: missing in a column of labels, too, where None and NA may be
# answers.
MISSING_LABELS = tuple(
    mark
    for mark in MISSING
    if mark[0] in "#<?" or mark.strip("-").lower() == "nan" or mark == "NaT"
)
LONGEST_SHOWN = 60  # characters of a cell or a name in a message
FORMAT = 2  # of `Schema.to_dict`


class TableError(ValueError):
    """A table, a column or a cell that cannot be used: which, why, and the way out."""


@dataclass(frozen=True)
class Dates:
    """How a column of dates or times is written, and what is made of it.

    Attributes
    ----------
    order : str
        A key of `fastnn.tabular.notation.ORDERS`.
    first : str
        The earliest date of the training table, from which days are counted.
    parts : tuple of str
        Of "year", "month", "day", "weekday", "hour" and "days", those that vary.
    """

    order: str
    first: str
    parts: tuple[str, ...]

    def __post_init__(self) -> None:
        if self.order not in ORDERS:
            raise TableError(f"Dates have no order {self.order!r}; there are {', '.join(ORDERS)}.")

    def numbers(self, times: np.ndarray) -> dict[str, np.ndarray]:
        """Return each part of ``times`` (n_rows,), datetime64[us], as float64; NaN for NaT."""
        days = times.astype("M8[D]")
        month = times.astype("M8[M]")
        found = {
            "year": times.astype("M8[Y]").astype(np.int64) + 1970,
            "month": month.astype(np.int64) % 12 + 1,
            "day": (days - month.astype("M8[D]")).astype(np.int64) + 1,
            "weekday": (days.astype(np.int64) + 3) % 7,  # Monday is 0
            "hour": (times - days.astype("M8[us]")) / np.timedelta64(1, "h") // 1,
            "days": (times - np.datetime64(self.first, "us")) / np.timedelta64(1, "D"),
        }
        return {part: np.where(np.isnat(times), np.nan, found[part]) for part in self.parts}


@dataclass(frozen=True)
class Schema:
    """What a training table taught about its columns: plain data, kept beside the model.

    Attributes
    ----------
    target : str
        The column to be predicted.
    task : str
        "binary", "multiclass" or "regression".
    reason : str
        Why it is that task, as half a sentence.
    labels : list of str
        The classes as they were written; empty for regression.
    integer_labels : bool
        Whether labels are whole numbers that a model gives back as int64, rather than text.
    target_notation : Notation
        How the numbers of a regression target are written.
    numbers : dict of str to Notation
        Columns used as numbers, and how they are written.
    dates : dict of str to Dates
        Columns of dates and times, each used as several numbers.
    categorical : dict of str to list of str
        Columns used as categories, each with the values seen.
    left_out : dict of str to str
        Columns that are not used, each with the reason. Later tables need not have them.
    missing : list of str or None
        What stands for a missing cell; None for the usual marks.
    also_missing : list of str
        What stands for a missing cell besides those.
    ignore_case : bool
        Whether categories and labels that differ in case alone are the same.
    notes : list of str
        What a person should know about how the table was read, a line each.
    reading : dict of str to str
        How the file was said to be written ("sep", "encoding"); later files are read in the same
        way.
    """

    target: str
    task: str
    reason: str
    labels: list[str] = field(default_factory=list)
    integer_labels: bool = False
    target_notation: Notation = field(default_factory=Notation)
    numbers: dict[str, Notation] = field(default_factory=dict)
    dates: dict[str, Dates] = field(default_factory=dict)
    categorical: dict[str, list[str]] = field(default_factory=dict)
    left_out: dict[str, str] = field(default_factory=dict)
    missing: list[str] | None = None
    also_missing: list[str] = field(default_factory=list)
    ignore_case: bool = False
    notes: list[str] = field(default_factory=list)
    reading: dict[str, str] = field(default_factory=dict)

    def to_dict(self) -> dict[str, Any]:
        """Return the schema as plain dicts, lists and strings, with the number of this format."""
        return {"format": FORMAT, **asdict(self)}

    @classmethod
    def from_dict(cls, content: dict[str, Any]) -> Schema:
        """Return the schema that `to_dict` has written.

        Raises
        ------
        TableError
            When it is of another format.
        """
        content = dict(content)
        found = content.pop("format", 1)
        if found != FORMAT:
            raise TableError(
                f"The model's table description has format {found}; this version of fastnn reads "
                f"format {FORMAT}. Train the model again."
            )
        notations = {name: _notation(plain) for name, plain in content.pop("numbers").items()}
        dates = {
            name: Dates(plain["order"], plain["first"], tuple(plain["parts"]))
            for name, plain in content.pop("dates").items()
        }
        target = _notation(content.pop("target_notation"))
        return cls(**content, numbers=notations, dates=dates, target_notation=target)

    @property
    def columns(self) -> list[str]:
        """The columns of a table that a model of this schema reads."""
        return [*self.numbers, *self.dates, *self.categorical]

    @property
    def numeric(self) -> list[str]:
        """The columns of numbers that `features` makes, those made of dates included."""
        made = [f"{name}: {part}" for name, dates in self.dates.items() for part in dates.parts]
        return [*self.numbers, *made]

    @property
    def marks(self) -> tuple[str, ...]:
        """What stands for a missing cell."""
        return usual_or(MISSING, self.missing, self.also_missing)

    @property
    def label_marks(self) -> tuple[str, ...]:
        """What stands for a missing cell in a column of labels."""
        return usual_or(MISSING_LABELS, self.missing, self.also_missing)

    @property
    def number_marks(self) -> tuple[str, ...]:
        """What stands for a missing cell in a column of numbers."""
        return usual_or(MISSING + DASHES, self.missing, self.also_missing)

    def written_with(self, decimal: str | None = None, thousands: str | None = None) -> Schema:
        """Return this schema for a table whose numbers have other marks; None keeps a mark."""

        def other(notation: Notation) -> Notation:
            mark = notation.decimal if decimal is None else decimal
            between = notation.thousands if thousands is None else thousands
            return replace(notation, decimal=mark, thousands="" if between == mark else between)

        return replace(
            self,
            numbers={name: other(notation) for name, notation in self.numbers.items()},
            target_notation=other(self.target_notation),
        )


def usual_or(
    usual: tuple[str, ...], said: Sequence[str] | None, also: Sequence[str]
) -> tuple[str, ...]:
    """Return the marks of missing cells: the usual ones unless others are said, and ``also``."""
    return (*(usual if said is None else said), *also)


def counted(n: int, noun: str) -> str:
    """Return a number of things: 1 row, 2 rows."""
    return f"{n} {noun}" if n == 1 else f"{n} {noun}{'e' if noun.endswith('s') else ''}s"


def cut(text: Any) -> str:
    """Return a value as text, cut where it is long."""
    text = str(text)
    return text if len(text) <= LONGEST_SHOWN else f"{text[: LONGEST_SHOWN - 3]}..."


def shown(text: Any) -> str:
    """Return a value as messages show it: quoted, and cut where it is long."""
    return repr(cut(text))


def _notation(plain: dict[str, Any]) -> Notation:
    tuples = {name: tuple(plain[name]) for name in ("words", "negatives")}
    return Notation(**{**plain, **tuples})


# ---- what reading by a schema and finding one share


def plain_columns(
    frame: pd.DataFrame, note: Callable[[str], None] = lambda _: None
) -> pd.DataFrame:
    """Return a frame whose column names are different texts, and whose named index is a column.

    Parameters
    ----------
    frame : pandas.DataFrame
    note : callable
        Receives a sentence where an index has become a column.

    Raises
    ------
    TableError
        When it is no frame, or two columns have the same name.
    """
    if not isinstance(frame, require("pandas").DataFrame):
        kind = f"{type(frame).__module__.partition('.')[0]}.{type(frame).__name__}"
        raise TableError(f"A table is a pandas.DataFrame, not a {kind}.")
    named = [name for name in frame.index.names if name is not None and name not in frame.columns]
    if named:
        frame = frame.reset_index(level=[frame.index.names.index(name) for name in named])
        note(f"the index {', '.join(repr(str(name)) for name in named)} is read as a column")
    names = [str(name).strip() for name in frame.columns]
    refuse_repeated("The table", names)
    return frame.set_axis(names, axis=1)


def refuse_repeated(what: str, names: Sequence[str]) -> None:
    """Raise, naming them, where columns have the same name."""
    repeated = (
        sorted({name for name in names if names.count(name) > 1})
        if len(set(names)) < len(names)
        else []
    )
    if repeated:
        raise TableError(
            f"{what} has more than one column named {', '.join(map(shown, repeated))}; rename them."
        )


def find(frame: pd.DataFrame, name: str) -> None:
    """Raise, naming the columns there are, unless ``name`` is one."""
    if name in frame.columns:
        return
    names = [str(column) for column in frame.columns]
    lower = {column.lower(): column for column in names}
    near = (
        [name.lower()]
        if name.lower() in lower
        else difflib.get_close_matches(name.lower(), lower, n=3)
    )
    meant = f" Did you mean {' or '.join(shown(lower[close]) for close in near)}?" if near else ""
    listed = ", ".join(map(shown, names[:30])) + (
        f" and {len(names) - 30} more" if len(names) > 30 else ""
    )
    raise TableError(f"There is no column {name!r}.{meant} The columns are: {listed}.")


def mark_numbers(missing: Sequence[str]) -> list[float]:
    """Return the marks of missing cells that are numbers, such as -999."""
    return [number for number in map(as_number, missing) if number is not None]


def without(values: np.ndarray, marks: Sequence[float]) -> np.ndarray:
    """Return ``values`` (n_rows,), float64, with NaN for each number that marks a missing cell."""
    return np.where(np.isin(values, marks), np.nan, values) if marks else values


def as_number(text: str) -> float | None:
    """Return the number that ``text`` is in plain notation, None where it is none."""
    try:
        value = float(text) if "_" not in text else None
    except ValueError:
        return None
    return value if value is not None and np.isfinite(value) else None


class Spellings:
    """Which known value is meant by a text? Written alike, the same number, or but for its case.

    Parameters
    ----------
    known : sequence of str
        The values as they were written in the training table.
    ignore_case : bool
        Whether case matters not; in truth values it never does.
    """

    def __init__(self, known: Sequence[str], ignore_case: bool) -> None:
        self.known = list(known)
        self.ignore_case = ignore_case
        self._others: dict[str | float, int] | None = None

    def codes(self, values: pa.Array) -> np.ndarray:
        """Return the position of each value in ``known``.

        Parameters
        ----------
        values : pyarrow.Array of shape (n_values,)
            Text without blanks around it.

        Returns
        -------
        ndarray of shape (n_values,)
            int64; -2 where a value is none of the known.
        """
        pa, pc = require("pyarrow"), require("pyarrow.compute")
        places = pc.fill_null(pc.index_in(values, value_set=pa.array(self.known, values.type)), -2)
        codes = places.to_numpy(zero_copy_only=False).astype(np.int64)
        for i in np.flatnonzero(codes == -2):
            codes[i] = self._near(values[int(i)].as_py())
        return codes

    def _near(self, text: str) -> int:
        """Return the position of the value that is meant by a text that is written otherwise."""
        if self._others is None:
            self._others = {}
            for i, value in enumerate(self.known):
                for key in self._keys(value):
                    # Where two known values have the same key, it tells neither.
                    self._others[key] = -2 if key in self._others else i
        places = [self._others[key] for key in self._keys(text) if key in self._others]
        return places[0] if places else -2

    def _keys(self, text: str) -> list[str | float]:
        number = as_number(text)
        keys: list[str | float] = [] if number is None else [number]
        folded = text.casefold()
        if self.ignore_case or folded in ("true", "false"):
            keys.append(folded)
        return keys


def is_plain_integer(text: str) -> bool:
    """Whether ``text`` is how a whole number that fits 64 bits is printed: no 007, +1 or 1.0."""
    try:
        return len(text) < 21 and str(int(text)) == text and -(2**63) <= int(text) < 2**63
    except ValueError:
        return False
