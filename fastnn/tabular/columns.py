"""What is each column of a training table: numbers, dates, categories, or nothing to learn from?"""

from __future__ import annotations

import contextlib
import re
from dataclasses import dataclass, replace
from shlex import quote
from typing import TYPE_CHECKING

import numpy as np

from fastnn._optional import require
from fastnn.tabular.cells import (
    EXACT,
    Distinct,
    as_text,
    distinct,
    is_number,
    is_text,
    is_time,
    is_usable,
    to_floats,
)
from fastnn.tabular.notation import (
    ALSO_NUMBERS,
    NEARLY_ALL,
    Notation,
    find_notation,
    find_order,
    mixed_units,
)
from fastnn.tabular.options import TypeOptions
from fastnn.tabular.schema import (
    DASHES,
    MISSING_LABELS,
    Dates,
    TableError,
    counted,
    cut,
    shown,
    without,
)

if TYPE_CHECKING:
    import pyarrow as pa

# Text with more different values than this, and mostly different in every row, is a name or an
# identifier.
MAX_FREE_TEXT_VALUES = 20
# Fewer whole numbers than this are evenly spaced by chance, or because they are a measurement.
MIN_ROWS_TO_COUNT = 20
# A number such as -999 in this share of the rows is pointed out.
SHARE_OF_MARKS = 0.01
# So many texts among numbers are remembered as standing for missing cells.
MAX_WORDS = 100

_NAMED_ID = re.compile(
    r"(?i:(?:^|[\W_]|customer|client|user|order|product|patient|passenger|session|account)id$)"
    r"|(?i:(?:^|[\W_])(?:uuid|guid|index|idx|key|nr|no|number|row|row[ _.]?names)$)"
    r"|[a-z](?:Id|ID|Index|Key|Nr|No|Number)$"
    r"|^(?:Unnamed: 0(?:_level_0)?|__index_level_\d+__)$"  # the index of a part of a table
)
_CODE = r"^(?:[0-9a-fA-F]{16,}|[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12})$"
# A number with a mark, and one whose marks stand before groups of three digits.
_MARKED = r"\d[.,]\d|^[.,]"
_GROUPED = r"^\D*[1-9]\d{0,2}(?:(?:,\d{3})+|(?:\.\d{3})+)(?:[^\d.,]|$)"
_SAVED_INDEX = re.compile(r"|index|Unnamed: \d+(?:_level_\d+)?|__index_level_\d+__")
_MARK = re.compile(r"-?9{2,}|-9|-1")
# Whole numbers that look like codes: with zeros before them, or with an E between digits.
_ZEROS = r"^\s*0\d+\s*$"
_EXPONENT = r"^\s*\d+[eE]\d+\s*$"
# Numbers that look like versions: up to two digits each before and after the point; 1.10 among
# others such as 1.9. More different ones than this are measurements.
_VERSION = r"^\d{1,2}\.\d{1,2}$"
MAX_VERSIONS = 50
COMPOSED = "accents written apart are put together, as in Unicode's form NFC"


class Notes:
    """Sentences about columns; the same sentence about several is said once, cells added up."""

    def __init__(self) -> None:
        self._said: dict[tuple[str, str], list[tuple[str, int]]] = {}

    def add(self, column: str, what: str, n_cells: int = 0, way_out: str = "") -> None:
        """Note ``what`` of a column, in how many cells, and which option overrules it."""
        self._said.setdefault((what, way_out), []).append((column, n_cells))

    def lines(self) -> list[str]:
        """Return the notes, a line each."""
        lines = []
        for (what, way_out), columns in self._said.items():
            names = ", ".join(shown(name) for name, _ in columns[:8])
            more = f" and {len(columns) - 8} more" if len(columns) > 8 else ""
            n_cells = sum(n for _, n in columns)
            cells_ = f" ({n_cells} cell{'s' if n_cells != 1 else ''})" if n_cells else ""
            out = f"; {way_out}" if way_out else ""
            plural = "s" if len(columns) > 1 else ""
            lines.append(f"column{plural} {names}{more}: {what}{cells_}{out}")
        return lines


def merged(name: str, found: Distinct, ignore_case: bool, notes: Notes) -> dict[str, int]:
    """Return each value with its number of cells, spellings merged where case is ignored.

    Spellings that differ in case alone are noted either way.
    """
    counts = dict(zip(found.values.to_pylist(), found.counts.tolist(), strict=True))
    spellings: dict[str, list[tuple[int, str]]] = {}
    for value, count in counts.items():
        spellings.setdefault(value.casefold(), []).append((count, value))
    if len(spellings) == len(counts):
        return counts
    several = [sorted(alike, reverse=True) for alike in spellings.values() if len(alike) > 1]
    example = " and ".join(shown(value) for _, value in several[0][:3])
    n_cells = sum(count for alike in several for count, _ in alike[1:])
    if not ignore_case:
        notes.add(name, f"{example} differ in case alone", n_cells, "--ignore-case merges them")
        return counts
    kept = f"{example} are one value, written {shown(several[0][0][1])}"
    notes.add(name, kept, n_cells, "without --ignore-case they are not")
    return {max(alike)[1]: sum(count for count, _ in alike) for alike in spellings.values()}


# ---- the numbers in a column


@dataclass(frozen=True)
class Numbers:
    """A column read as numbers.

    Attributes
    ----------
    notation : Notation
        How they are written.
    values : ndarray of shape (n_rows,)
        float64, NaN where a cell is missing or a text.
    whole : bool
        Whether all are written as whole numbers: without fraction, exponent and missing cells.
    found : Distinct or None
        The different texts of the column, where they had to be looked at.
    """

    notation: Notation
    values: np.ndarray
    whole: bool
    found: Distinct | None = None


def as_numbers(
    array: pa.Array, options: TypeOptions, *, as_said: bool = False
) -> Numbers | Distinct | None:
    """Read usable cells as numbers, or return the different texts that they are.

    Whole numbers that float64 cannot hold are texts, and so are those with zeros before them unless
    the column is one of numbers ``as_said``: they are codes. Nothing but missing cells is neither.
    """
    pa = require("pyarrow")
    if is_time(array):
        return distinct(array, options.marks)
    values = None
    if is_number(array) or (options.decimal != "," and options.thousands != "."):
        with contextlib.suppress(pa.ArrowInvalid):
            values = without(to_floats(array), options.mark_numbers)
    if values is not None:
        if np.isnan(values).all():
            return None
        whole = bool(np.all(np.floor(values) == values)) and not _has_points(array)
        if _too_long(values) and (whole or not _has_points(array)):
            return distinct(array, options.marks)
        if not as_said and is_text(array) and _is_whole(values) and zeros_before(array)[1]:
            return distinct(array, options.marks)
        return Numbers(Notation(), values, whole)
    found = distinct(array, options.number_marks)
    read = find_notation(found, options.decimal, options.thousands) if len(found.values) else None
    texts = found if not any(mark in found.marks for mark in DASHES) else None
    if read is None:
        texts = texts or distinct(array, options.marks)
        return texts if len(texts.values) else None
    notation, numbers = read
    odd = np.flatnonzero(np.isnan(numbers))
    odd = odd[np.argsort(-found.counts[odd], kind="stable")][:MAX_WORDS]
    words = tuple(found.values.take(pa.array(odd)).to_pylist())
    values = without(found.spread(numbers), options.mark_numbers)
    if np.isnan(values).all():
        return None
    points = _has_points(found.values)
    whole = bool(np.all(np.floor(values) == values)) and not points
    is_code = not as_said and zeros_before(found.values, found.counts)[1]
    if is_code or (_too_long(values) and not points):
        return texts or distinct(array, options.marks)
    return Numbers(replace(notation, words=words), values, whole, found)


def zeros_before(text: pa.Array, counts: np.ndarray | None = None) -> tuple[int, bool]:
    """Return how many cells are whole numbers with zeros before them, and whether that makes codes.

    It does where they are more than a few of all cells, or where all are equally long.

    Parameters
    ----------
    text : pyarrow.Array of shape (n_values,)
    counts : ndarray of shape (n_values,), optional
        In how many cells each is; None is one.
    """
    pc = require("pyarrow.compute")
    padded = pc.fill_null(pc.match_substring_regex(text, _ZEROS), False)
    if not pc.any(padded, min_count=0).as_py():
        return 0, False
    counts = text.is_valid().to_numpy(zero_copy_only=False) if counts is None else counts
    n = int(counts[padded.to_numpy(zero_copy_only=False)].sum())
    digits = pc.match_substring_regex(text, r"^\s*\d+\s*$")
    lengths = pc.unique(pc.utf8_length(pc.utf8_trim_whitespace(text.filter(digits))))
    few = n < (1 - NEARLY_ALL) * counts.sum()
    return n, not _has_points(text.filter(pc.match_substring_regex(text, r"^[\s\d.eE]+$"))) and (
        not few or len(lengths) == 1
    )


def _is_whole(values: np.ndarray) -> bool:
    """Whether all numbers, beside missing ones, are whole; the first ones mostly tell."""
    return not any(np.any(np.floor(part) < part) for part in (values[:100], values))


def _too_long(values: np.ndarray) -> bool:
    """Whether at least half of the numbers are beyond what float64 tells apart."""
    n_long = np.count_nonzero(np.abs(values) >= EXACT)
    return bool(n_long) and bool(2 * n_long >= np.count_nonzero(~np.isnan(values)))


def _has_points(array: pa.Array) -> bool:
    """Whether a cell holds a fraction or an exponent: the column is not of whole numbers."""
    pc = require("pyarrow.compute")
    if not is_text(array):
        return bool(require("pyarrow").types.is_floating(array.type))
    return any(pc.any(pc.match_substring(array, mark)).as_py() for mark in ".eE")


def say_notation(name: str, numbers: Numbers, notes: Notes, as_text: str = "") -> None:
    """Note how the numbers are written where that is unusual, and the texts among them.

    ``as_text`` is the option that would make the column one of text, if there is one.
    """
    notation = numbers.notation
    if numbers.found is not None and notation.occurs_in(numbers.found.values):
        n = int(np.count_nonzero(~np.isnan(numbers.values)))
        marked = notation.thousands or notation.decimal != "."
        option = (
            "--thousands and --decimal overrule" if marked else as_text and f"{as_text} overrules"
        )
        notes.add(name, f"read as numbers with {notation.unusual}", n, option)
    marks = {} if numbers.found is None else numbers.found.marks
    for mark in DASHES:
        if n := marks.get(mark, 0):
            notes.add(name, f"{mark!r} counts as missing", n, "--missing says what does")
    if notation.words:
        assert numbers.found is not None
        words = ", ".join(map(shown, notation.words[:3]))
        words += " ..." if len(notation.words) > 3 else ""
        gone = int((numbers.found.codes >= 0).sum() - np.count_nonzero(~np.isnan(numbers.values)))
        option = "correct them" + (f", or {as_text} keeps them" if as_text else "")
        notes.add(name, f"texts among the numbers count as missing, such as {words}", gone, option)


def almost_numbers(found: Distinct) -> str:
    """Return the way out where most of the texts, but not nearly all, are numbers."""
    numbers = Notation().read(found.values)
    odd = np.flatnonzero(np.isnan(numbers))
    n_odd = int(found.counts[odd].sum())
    if not n_odd or 2 * n_odd >= found.counts.sum():
        return ""
    example = shown(found.values[int(odd[0])])
    rows = counted(n_odd, "row")
    return (
        f"; it holds numbers, but also {example} and the like in {rows}: correct them, "
        "or say --also-missing where they mean missing"
    )


# ---- the columns


class Columns:
    """Looks at the columns of a table one by one, in the rows whose target is known."""

    def __init__(self, options: TypeOptions, notes: Notes, known: np.ndarray) -> None:
        self.options, self.notes = options, notes
        self.known = None if known.all() else require("pyarrow").array(known)
        self.dates: dict[str, Dates] = {}
        self.categorical: dict[str, list[str]] = {}
        self.left_out: dict[str, str] = {}
        self._numbers: dict[str, Numbers] = {}
        # What `settle_marks` needs: columns that leave open which mark is the decimal one, and
        # the decimal marks of the others.
        self._open: dict[str, pa.Array] = {}
        self._marks: set[str] = set()

    @property
    def numbers(self) -> dict[str, Notation]:
        """The columns of numbers and how they are written."""
        return {name: found.notation for name, found in self._numbers.items()}

    def look(self, name: str, array: pa.Array) -> None:
        """Decide what a column is."""
        if self.known is not None:
            array = array.filter(self.known)
        options = self.options
        if name in options.drop:
            self.left_out[name] = "you asked for it"
            return
        if not is_usable(array):
            self.left_out[name] = f"its cells are of type {_plain_type(array)}"
            return
        asked, is_said = name in options.categorical, name in options.numeric
        found = (
            distinct(array, options.marks) if asked else as_numbers(array, options, as_said=is_said)
        )
        if is_said and isinstance(found, Distinct) and len(found.values):
            raise TableError(
                f"{name!r} is said to be numeric, but holds {no_number(found)}. Correct these"
                " cells, or say what stands for a missing one (--also-missing)."
            )
        if isinstance(found, Numbers):
            self._number(name, array, found)
        elif found is None or not len(found.values):
            self.left_out[name] = "every cell is missing"
        elif asked:
            self._category(name, found)
        elif is_time(array):
            times = array.to_numpy(zero_copy_only=False).astype("M8[us]")
            self._date(name, found, "year-month-day", times, sure=True)
        elif (dates := find_order(found, options.orders)) is not None:
            order, times, sure = dates
            self._date(name, found, order, found.spread(times), sure)
        elif why := self._why_no_category(name, found):
            self.left_out[name] = why
        else:
            self._category(name, found)

    def settle_marks(self, target: str) -> TypeOptions | None:
        """Read columns that leave the decimal mark open as the other columns are written.

        Where ``target`` is among them, returns the options to read it by.
        """
        if self._marks != {","} or self.options.decimal or self.options.thousands:
            return None
        options = replace(self.options, decimal=",")
        for name, array in self._open.items():
            found = as_numbers(array, options)
            if isinstance(found, Numbers) and name != target:
                self._numbers[name] = found
        return options if target in self._open else None

    def say(self) -> None:
        """Note how numbers are written and which columns are left out."""
        for name, numbers in self._numbers.items():
            say_notation(name, numbers, self.notes, f"--categorical {quote(name)}")
            self._say_mark(name, numbers.values)
        for name, why in self.left_out.items():
            self.notes.add(name, f"left out: {why}")

    def _number(self, name: str, array: pa.Array, numbers: Numbers) -> None:
        is_said = name in self.options.numeric
        if not is_said and not _NAMED_ID.search(name) and (dates := as_dates(array, numbers)):
            order, times, found = dates
            self._date(name, found, order, found.spread(times), sure=True)
            return
        if why := self._why_no_number(name, array, numbers):
            self.left_out[name] = why
            return
        self._numbers[name] = numbers
        if is_text(array):
            self.look_at_marks(name, array, numbers)
            if not is_said:
                self._say_codes(name, array, numbers)

    def _say_codes(self, name: str, array: pa.Array, numbers: Numbers) -> None:
        """Note numbers that may be codes or versions, which a number does not keep as written."""
        pc = require("pyarrow.compute")
        way_out = f"--categorical {quote(name)} keeps them as written"
        values = numbers.values
        if _is_whole(values):
            if n := zeros_before(array)[0]:
                self.notes.add(name, "zeros before whole numbers are not kept", n, way_out)
            coded = array.filter(pc.fill_null(pc.match_substring_regex(array, _EXPONENT), False))
            if len(coded):
                example = f"{shown(coded[0])} is read as {float(coded[0].as_py()):g}"
                self.notes.add(name, example, len(coded), way_out)
        elif all(len({*values[:n].tolist()}) <= MAX_VERSIONS for n in (60, len(values))):
            text = distinct(array, self.options.marks).values
            if pc.all(pc.match_substring_regex(text, _VERSION)).as_py():
                tenth = text.filter(pc.match_substring_regex(text, r"\.[1-9]0$"))
                if len(tenth) and pc.any(pc.match_substring_regex(text, r"\.\d$")).as_py():
                    example = f"{shown(tenth[0])} is read as {float(tenth[0].as_py()):g}"
                    self.notes.add(name, example, 0, way_out)

    def look_at_marks(self, name: str, array: pa.Array, numbers: Numbers) -> None:
        """Remember whether a column of text tells which mark is the decimal one, or leaves it open.

        It is open where every mark stands before groups of three digits: 4,102 and 1.234.567.
        """
        if numbers.whole and numbers.found is None:
            return
        text = array if numbers.found is None else numbers.found.values
        first = [cell for cell in text.slice(0, 20).to_pylist() if cell is not None]
        marked = [cell for cell in first if re.search(_MARKED, cell)]
        if all(re.search(_GROUPED, cell) for cell in marked):  # the first cells mostly tell
            pc = require("pyarrow.compute")
            others = text.filter(pc.match_substring_regex(text, _MARKED))
            if pc.all(pc.match_substring_regex(others, _GROUPED), min_count=0).as_py():
                if len(others):
                    self._open[name] = array
                return
        self._marks.add(numbers.notation.decimal)

    def _why_no_number(self, name: str, array: pa.Array, numbers: Numbers) -> str:
        """Return why numbers cannot help, or an empty string."""
        values = numbers.values
        if name in (*self.options.keep, *self.options.numeric):
            return ""
        # A column that is one value or missing still says something: where it is missing.
        if values[0] == values[-1] and np.all(values == values[0]):
            return f"it is constant ({cut(as_text(array.slice(0, 1))[0])} in every row)"
        named = bool(_NAMED_ID.search(name))
        if named:  # with a gap among them, pandas writes identifiers as 7.0
            values = values[~np.isnan(values)]
        if not numbers.whole and not (named and np.all(np.floor(values) == values)):
            return ""
        way_out = f"(--keep {quote(name)} uses it)"
        if _SAVED_INDEX.fullmatch(name) and np.all(np.diff(values) == 1):
            return f"it counts the rows, like a saved index {way_out}"
        if not named and len(values) < MIN_ROWS_TO_COUNT:
            return ""
        gaps = np.diff(np.sort(values))
        if np.any(gaps == 0):
            return ""
        if named:
            return f"all its whole numbers are different, like identifiers {way_out}"
        if np.all(gaps == gaps[0]):
            return (
                f"its whole numbers are all different and evenly spaced, like identifiers {way_out}"
            )
        return ""

    def _say_mark(self, name: str, values: np.ndarray) -> None:
        """Note a number such as -999 that many rows hold, far from all others."""
        present = values[np.isfinite(values)]
        if not len(present):
            return
        for mark in (present.min(), present.max()):
            share = int(np.count_nonzero(present == mark))
            if share < SHARE_OF_MARKS * len(values) or not _MARK.fullmatch(f"{mark:.0f}"):
                continue
            rest = present[present != mark]
            if len(rest) and abs(mark) > 10 and np.abs(rest - mark).min() > 2 * np.ptp(rest):
                self.notes.add(
                    name,
                    f"{mark:.0f} stands far from all other numbers",
                    share,
                    f'--also-missing "{mark:.0f}" if it means missing',
                )

    def _why_no_category(self, name: str, found: Distinct) -> str:
        """Return why texts cannot help as categories, or an empty string."""
        pc = require("pyarrow.compute")
        n, n_rows = len(found.values), len(found.codes)
        if n == 1 and found.counts[0] == n_rows:
            return f"it is constant ({cut(found.values[0])} in every row)"
        many = n > max(MAX_FREE_TEXT_VALUES, n_rows / 2)
        if name in self.options.keep or (n < n_rows and not many):
            return ""
        way_out = f"(--keep {quote(name)} uses it)"
        if pc.all(pc.match_substring_regex(found.values, _CODE)).as_py() and n > 2:
            return f"{n} different long codes in {n_rows} rows, like identifiers {way_out}"
        if not many:
            return ""
        if zeros_before(found.values, found.counts)[1]:
            way_out = f"(--keep {quote(name)} uses it, --numeric {quote(name)} as numbers)"
            return f"{n} different codes in {n_rows} rows, like identifiers {way_out}"
        if units := mixed_units(found):
            return _said_of_units(units)
        return (
            f"{n} different texts in {n_rows} rows, like names or identifiers {way_out}"
            + almost_numbers(found)
        )

    def _category(self, name: str, found: Distinct) -> None:
        if found.n_blank:
            self.notes.add(name, "blanks around the values are taken away", found.n_blank)
        if found.n_decomposed:
            self.notes.add(name, COMPOSED, found.n_decomposed)
        for mark, n in found.marks.items():
            # Words a person may have meant as a value; what only programs write goes unsaid.
            if mark and mark not in MISSING_LABELS:
                self.notes.add(name, f"{mark!r} counts as missing", n, "--missing says what does")
        numbers = Notation().read(found.values)
        odd = np.flatnonzero(np.isnan(numbers))
        n_odd = int(found.counts[odd].sum())
        asked = name in (*self.options.categorical, *self.options.keep)
        n_padded, are_codes = zeros_before(found.values, found.counts)
        if not asked and are_codes and n_odd <= (1 - NEARLY_ALL) * found.counts.sum():
            why = "a category, because of zeros before whole numbers"
            self.notes.add(name, why, n_padded, f"--numeric {quote(name)} reads numbers")
        elif not asked and 0 < 2 * n_odd < found.counts.sum():
            word = shown(found.values[int(odd[np.argmax(found.counts[odd])])])
            why = f"a category, though most cells are numbers; others are not, such as {word}"
            self.notes.add(name, why, n_odd, "if they mean missing, --also-missing says so")
        if not asked and (units := mixed_units(found)):
            self.notes.add(name, f"a category: {_said_of_units(units)}")
        self.categorical[name] = sorted(merged(name, found, self.options.ignore_case, self.notes))

    def _date(self, name: str, found: Distinct, order: str, times: np.ndarray, sure: bool) -> None:
        known = times[~np.isnat(times)]
        every = Dates(order, str(known.min()), ("year", "month", "day", "weekday", "hour", "days"))
        parts = every.numbers(known)
        vary = tuple(part for part, values in parts.items() if values.min() != values.max())
        if not vary and len(known) == len(times):
            self.left_out[name] = f"it is constant ({cut(found.values[0])} in every row)"
            return
        self.dates[name] = replace(every, parts=vary or ("days",))
        said = f"dates in the order {order}" + ("" if sure else ", though no day is after the 12th")
        way_out = f"--drop {quote(name)} leaves it out" if sure else "--day-first overrules"
        if order in ALSO_NUMBERS:
            way_out = f"--numeric {quote(name)} reads numbers"
        self.notes.add(name, f"{said}, used as {', '.join(vary)}", len(known), way_out)
        if bad := int((found.codes >= 0).sum()) - len(known):
            self.notes.add(name, "texts among the dates count as missing", bad, "correct them")


def as_dates(array: pa.Array, numbers: Numbers) -> tuple[str, np.ndarray, Distinct] | None:
    """Return order, dates and texts of a column of numbers each of which is a date: 20230517."""
    low, high = np.fmin.reduce(numbers.values), np.fmax.reduce(numbers.values)
    is_day = low >= 1900_01_01 and _is_whole(numbers.values)
    is_month = low >= 1.19 and high < 12.21 and is_text(array)
    if numbers.notation.words or not (is_day or is_month):
        return None
    found = distinct(array, ())
    if (read := find_order(found, ALSO_NUMBERS)) is None or np.isnat(read[1]).any():
        return None
    return read[0], read[1], found


def no_number(found: Distinct) -> str:
    """Return a text that is no number, as messages show it."""
    odd = np.flatnonzero(np.isnan(Notation().read(found.values)))
    return shown(found.values[int(odd[0]) if len(odd) else 0])


def _said_of_units(units: list[str]) -> str:
    one, other = map(shown, units)
    return f"its numbers have different units, such as {one} and {other}: write all in one"


def _plain_type(array: pa.Array) -> str:
    """Return the type of compound cells as one word."""
    return str(array.type).partition("<")[0].partition("[")[0].removeprefix("large_")
