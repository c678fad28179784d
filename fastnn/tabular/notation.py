"""How are numbers and dates written in a column? A notation is found once, and read with later."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from fastnn._optional import require
from fastnn.tabular.cells import Distinct, strip, to_floats

if TYPE_CHECKING:
    import pyarrow as pa

# From this share of the cells on, a column is what they are; the others are taken as missing.
NEARLY_ALL = 0.95
# So many different texts tell which notations are in question.
SAMPLE = 1000
# Units before a number: currency signs and codes. Text before digits is otherwise a code (A1, B2).
PREFIX = (
    r"(?:[A-Z]{0,3}\p{Sc}|USD|EUR|GBP|CHF|JPY|CNY|INR|CAD|AUD|NZD|SEK|NOK|DKK|PLN|CZK|HUF|BRL"
    r"|RUB|TRY|ZAR|KRW|MXN|Rs\.?|kr\.?|Fr\.?)"
)
# Units after a number: no digits but the powers of m2, m3, CO2.
_UNIT = r"[^\d\s.,()+\-'][^\d()]"
SUFFIX = rf"(?:{_UNIT}{{0,11}}|(?:{_UNIT}{{0,9}})?\pL[23])"
MINUS = "\u2212\ufe63\uff0d"
# Ways to write a negative number besides a hyphen before it, each by minus five written so.
NEGATIVES = {
    "(5)": r"^\([^()]*\)$",
    "5-": r"^\d.*-$",
    "\u22125": rf"[{MINUS}]",
}
APOSTROPHE = "['\u2019]"
BLANK = "[ \u00a0\u2009\u202f]"
_AFFIXES = (
    rf"^\(?[+-]?{BLANK}*(?P<prefix>{PREFIX})?{BLANK}*[+-]?"
    rf"(?P<body>[.,]?\d(?:(?:[\d.,]|{APOSTROPHE}|{BLANK}\d)*)(?:[eE][+-]?\d+)?)"
    rf"{BLANK}*(?P<suffix>{SUFFIX})?\)?-?$"
)
# What can stand before a fraction and between thousands; the first that reads the most cells holds.
MARKS = [
    (".", ""),
    (".", ","),
    (".", " "),
    (".", "'"),
    (",", ""),
    (",", "."),
    (",", " "),
    (",", "'"),
]
_BETWEEN = {",": ",", ".": r"\.", " ": BLANK, "'": APOSTROPHE}


@dataclass(frozen=True)
class Notation:
    """How the numbers of a column are written.

    Attributes
    ----------
    decimal : str
        What stands before the fraction, "." or ",".
    thousands : str
        What may stand between groups of digits: ``,``, ``.``, a blank, ``'``, or nothing.
    prefix, suffix : str
        The unit that may stand before or after the number.
    words : tuple of str
        Texts seen among the numbers, taken as missing.
    negatives : tuple of str
        The keys of `NEGATIVES` that were seen; all of them are read.
    """

    decimal: str = "."
    thousands: str = ""
    prefix: str = ""
    suffix: str = ""
    words: tuple[str, ...] = ()
    negatives: tuple[str, ...] = ()

    def read(self, text: pa.Array) -> np.ndarray:
        """Return the numbers.

        Parameters
        ----------
        text : pyarrow.Array of shape (n_rows,)

        Returns
        -------
        ndarray of shape (n_rows,)
            float64; NaN where a cell is null or no number in this notation.
        """
        pa, pc = require("pyarrow"), require("pyarrow.compute")
        if self.is_plain:
            try:
                return to_floats(text)
            except pa.ArrowInvalid:
                pass
        t = _signed(text)
        if self.prefix:
            sign = rf"^([+-]?){BLANK}*{_quoted(self.prefix)}{BLANK}*"
            t = pc.replace_substring_regex(t, sign, r"\1")
        if self.suffix:
            t = pc.replace_substring_regex(t, rf"{BLANK}*{_quoted(self.suffix)}$", "")
        if _any_holds(t, "-"):
            t = pc.replace_substring_regex(t, rf"^([+-]){BLANK}+", r"\1")
            t = pc.replace_substring_regex(t, r"^(\d.*)-$", r"-\1")
        whole = r"\d+"
        if self.thousands:
            mark = _BETWEEN[self.thousands]
            # Also groups of two before the last three, as they are written in India.
            groups = (
                rf"(?:[1-9]\d{{0,2}}(?:{mark}\d{{3}})+|[1-9]\d?(?:{mark}\d{{2}})+{mark}\d{{3}})"
            )
            whole = rf"(?:{groups}|\d+)"
        point = _BETWEEN[self.decimal]
        shape = rf"^[+-]?(?:{whole}(?:{point}\d*)?|{point}\d+)(?:[eE][+-]?\d+)?$"
        t = pc.if_else(pc.match_substring_regex(t, shape), t, None)
        if self.thousands:
            literal = self.thousands in ",."
            replace = pc.replace_substring if literal else pc.replace_substring_regex
            t = replace(t, self.thousands if literal else _BETWEEN[self.thousands], "")
        if self.decimal != ".":
            t = pc.replace_substring(t, self.decimal, ".")
        return to_floats(t)

    def occurs_in(self, text: pa.Array) -> bool:
        """Whether any cell has one of the marks or units; marks may be said and yet be nowhere."""
        signs = [self.decimal.strip("."), self.thousands, self.prefix, self.suffix]
        return (
            bool(self.negatives)
            or any(_any_holds(text, sign) for sign in signs if sign.strip())
            or (self.thousands == " " and _any_holds(text, r"\d" + BLANK + r"\d", regex=True))
        )

    def negatives_in(self, text: pa.Array) -> tuple[str, ...]:
        """Return the keys of `NEGATIVES` by which numbers of ``text`` (n_values,) are written."""
        pc = require("pyarrow.compute")
        text = strip(text)
        found = []
        for kind, pattern in NEGATIVES.items():
            so = text.filter(pc.fill_null(pc.match_substring_regex(text, pattern), False))
            if len(so) and not np.isnan(self.read(so)).all():
                found.append(kind)
        return tuple(found)

    @property
    def is_plain(self) -> bool:
        """Whether plain numbers are read as they are."""
        return self.decimal == "." and not (self.thousands or self.prefix or self.suffix)

    @property
    def unusual(self) -> str:
        """What differs from plain numbers, as words; empty for plain numbers."""
        said = [f"the decimal mark {self.decimal!r}"] if self.decimal != "." else []
        said += [f"the thousands mark {self.thousands!r}"] if self.thousands else []
        said += [f"{self.prefix!r} before them"] if self.prefix else []
        said += [f"{self.suffix!r} after them"] if self.suffix else []
        said += [f"{' and '.join(map(repr, self.negatives))} for -5"] if self.negatives else []
        return " and ".join(said)


def _quoted(text: str) -> str:
    """Return ``text`` as a pattern for RE2, which knows fewer escapes than Python writes."""
    return re.sub(r"([\\.+*?()|\[\]{}^$\-])", r"\\\1", text)


def _signed(text: pa.Array) -> pa.Array:
    """Return text with a hyphen for every kind of minus: real minus signs, parentheses."""
    pc = require("pyarrow.compute")
    text = strip(text)
    for minus in MINUS:
        if _any_holds(text, minus):
            text = pc.replace_substring(text, minus, "-")
    if _any_holds(text, "("):
        text = pc.replace_substring_regex(text, r"^\(([^()]*)\)$", r"-\1")
    return text


def _any_holds(text: pa.Array, part: str, regex: bool = False) -> bool:
    """Whether any cell holds ``part``; looking is much cheaper than replacing."""
    pc = require("pyarrow.compute")
    match = pc.match_substring_regex if regex else pc.match_substring
    return bool(pc.any(match(text, part)).as_py())


def find_notation(
    found: Distinct, decimal: str | None = None, thousands: str | None = None
) -> tuple[Notation, np.ndarray] | None:
    """Find the notation in which nearly all cells of a column are numbers.

    Parameters
    ----------
    found : Distinct
        The different texts of the column.
    decimal, thousands : str or None
        The marks, where they are known.

    Returns
    -------
    notation : Notation
    numbers : ndarray of shape (n_values,)
        float64; NaN where a text is no number.

    Or None where there is no such notation.
    """
    counts = found.counts
    sample = np.unique(np.linspace(0, len(counts) - 1, min(len(counts), SAMPLE)).astype(int))
    values, n = found.values.take(require("pyarrow").array(sample)), counts[sample]
    pc = require("pyarrow.compute")
    digits = pc.match_substring_regex(values, r"\d").to_numpy(zero_copy_only=False)
    if not len(n) or n[digits].sum() < n.sum() / 2:
        return None
    parts = pc.extract_regex(_signed(values), _AFFIXES)
    fits = parts.is_valid().to_numpy(zero_copy_only=False)
    if n[fits].sum() < n.sum() / 2:
        return None
    prefix, suffix = (_commonest(parts.field(name), n) for name in ("prefix", "suffix"))
    possible = {}
    for mark, between in MARKS:
        if decimal in (None, mark) and thousands in (None, between):
            notation = Notation(mark, between, prefix, suffix)
            possible[notation] = int(n[~np.isnan(notation.read(values))].sum())
    # The sample says which are in question; between those, all cells decide.
    best, least, read = None, NEARLY_ALL * counts.sum(), np.zeros(0)
    for notation, in_sample in possible.items():
        if in_sample >= max(possible.values()) - n.sum() / 20 and in_sample:
            numbers = notation.read(found.values)
            n_read = counts[~np.isnan(numbers)].sum()
            if n_read > least or (best is None and n_read >= least):
                best, least, read = notation, n_read, numbers
    if best is None:
        return None
    best = replace(best, negatives=best.negatives_in(found.values))
    return best, read


def _commonest(parts: pa.Array, counts: np.ndarray) -> str:
    """Return the unit that at least half of the numbers have, or nothing."""
    units: dict[str, int] = {}
    for part, count in zip(parts.to_pylist(), counts.tolist(), strict=True):
        if part is not None:
            units[part.strip()] = units.get(part.strip(), 0) + count
    total = sum(units.values())
    units.pop("", None)
    unit = max(units, key=lambda unit: units[unit], default="")
    return unit if unit and 2 * units[unit] >= total else ""


def mixed_units(found: Distinct) -> list[str]:
    """Return the commonest two units where nearly all cells are numbers with units that differ."""
    parts = require("pyarrow.compute").extract_regex(_signed(found.values), _AFFIXES)
    n_cells: dict[str, int] = {}
    for part, count in zip(parts.to_pylist(), found.counts.tolist(), strict=True):
        if part is not None and (unit := (part["prefix"] or part["suffix"] or "").strip()):
            n_cells[unit] = n_cells.get(unit, 0) + count
    total = sum(n_cells.values())
    # Where nearly every number has a unit of its own, as in 1st, 2nd, 3rd, it is a word instead.
    if total < NEARLY_ALL * found.counts.sum() or len(found.values) < 3 * len(n_cells):
        return []
    return sorted(n_cells, key=lambda unit: -n_cells[unit])[:2] if len(n_cells) > 1 else []


# ---- dates

_TIME = (
    r"(?P<hour>\d{1,2}):(?P<minute>\d{2})(?::(?P<second>\d{2}(?:[.,]\d+)?))?"
    r"(?:\s*(?P<half>[AaPp]\.?[Mm]\.?))?"
)
_ZONE = r"\s*(?:Z|UTC|GMT|[+-]\d{2}:?(?:\d{2})?)?"
_LATER = rf"(?:(?:T|,?\s+){_TIME}{_ZONE})?$"
_COMPACT_TIME = rf"(?:T?(?P<hour>\d{{2}})(?P<minute>\d{{2}})(?P<second>\d{{2}})?{_ZONE})?$"
_MONTHS = ["jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"]
_WORD = rf"(?P<word>(?i:{'|'.join(_MONTHS)}))[A-Za-z]*\.?"
_YEAR, _MONTH, _DAY = r"(?P<year>\d{4}|\d{2})", r"(?P<month>\d{1,2})", r"(?P<day>\d{1,2})"
_THIS_YEAR = r"(?P<year>(?:19|20)\d{2})"  # of this century or the last
# The orders of a date, each with its pattern; where two read as many cells, the first holds.
ORDERS = {
    "year-month-day": rf"^(?P<year>\d{{4}})[-/.]{_MONTH}[-/.]{_DAY}{_LATER}",
    "yearmonthday": rf"^{_THIS_YEAR}(?P<month>\d{{2}})(?P<day>\d{{2}}){_COMPACT_TIME}",
    "year-month": rf"^(?P<year>\d{{4}})[-/]{_MONTH}$",
    "year-week": r"^(?P<year>\d{4})-?W(?P<week>\d{2})(?:-?(?P<weekday>[1-7]))?$",
    "month/year": rf"^{_MONTH}[-/.]{_THIS_YEAR}$",
    "month/day/year": rf"^{_MONTH}[-/]{_DAY}[-/]{_YEAR}{_LATER}",
    "day/month/year": rf"^{_DAY}[-/.]{_MONTH}[-/.]{_YEAR}{_LATER}",
    "day month year": rf"^{_DAY}\.?[-\s]*{_WORD}[-,\s]*{_YEAR}{_LATER}",
    "month day year": rf"^{_WORD}\s*{_DAY},?\s+{_YEAR}{_LATER}",
    "hour:minute": rf"^{_TIME}{_ZONE}$",
}
# Those whose dates are also numbers: a column is taken for them where every cell is such a date.
ALSO_NUMBERS = ("yearmonthday", "month/year")
AMBIGUOUS = ("month/day/year", "day/month/year")


def read_times(text: pa.Array, order: str) -> np.ndarray:
    """Return points in time, as the clock on the wall showed them.

    Parameters
    ----------
    text : pyarrow.Array of shape (n_rows,)
    order : str
        A key of `ORDERS`.

    Returns
    -------
    ndarray of shape (n_rows,)
        datetime64[us]; NaT where a cell is null or no date in this order.
    """
    pc = require("pyarrow.compute")
    parts = pc.extract_regex(strip(text), ORDERS[order])
    known = parts.is_valid().to_numpy(zero_copy_only=False)
    names = {field.name for field in parts.type}

    def part(name: str, default: float) -> np.ndarray:
        if name not in names:
            return np.full(len(text), default)
        found = pc.replace_substring(parts.field(name), ",", ".")
        found = pc.if_else(pc.equal(found, ""), None, found)
        values = to_floats(found)
        return np.where(np.isnan(values), default, values)

    year, day = part("year", 1970), part("day", 1)
    year = np.where(year < 69, year + 2000, np.where(year < 100, year + 1900, year))
    if "word" in names:
        words = [
            _MONTHS.index(word.lower()) + 1 if word else 0
            for word in parts.field("word").to_pylist()
        ]
        month = np.array(words, dtype=float)
    else:
        month = part("month", 1)
    hour, minute, second = part("hour", 0), part("minute", 0), part("second", 0)
    if "half" in names:
        halves = pc.utf8_lower(parts.field("half"))
        late = pc.fill_null(pc.starts_with(halves, "p"), False).to_numpy(zero_copy_only=False)
        has_half = pc.fill_null(pc.not_equal(halves, ""), False).to_numpy(zero_copy_only=False)
        known &= ~(has_half & ((hour < 1) | (hour > 12)))
        hour = np.where(has_half, hour % 12 + 12 * late, hour)
    known &= (1 <= month) & (month <= 12) & (hour < 24) & (minute < 60) & (second < 60) & (year > 0)
    out = np.full(len(text), np.datetime64("NaT"), dtype="M8[us]")
    y, m, d = (np.where(known, values, 1).astype(np.int64) for values in (year, month, day))
    months = (y - 1970).astype("M8[Y]").astype("M8[M]") + (m - 1)
    lengths = ((months + 1).astype("M8[D]") - months.astype("M8[D]")).astype(np.int64)
    known &= (1 <= d) & (d <= lengths)
    days = months.astype("M8[D]") + (d - 1)
    if "week" in names:
        week, weekday = part("week", 1).astype(np.int64), part("weekday", 1).astype(np.int64)
        days = _first_mondays(y) + 7 * (week - 1) + (weekday - 1)
        known &= (week >= 1) & (_first_mondays(y) + 7 * week <= _first_mondays(y + 1))
    seconds = hour * 3600 + minute * 60 + second
    times = days.astype("M8[us]") + np.round(np.where(known, seconds, 0) * 1e6).astype("m8[us]")
    out[known] = times[known]
    return out


def _first_mondays(year: np.ndarray) -> np.ndarray:
    """Return the Monday of each year's first ISO week, the one that holds the fourth of January."""
    fourth = (year - 1970).astype("M8[Y]").astype("M8[D]") + 3
    return fourth - (fourth.astype(np.int64) + 3) % 7


def find_order(
    found: Distinct, orders: Iterable[str] = tuple(ORDERS)
) -> tuple[str, np.ndarray, bool] | None:
    """Find the order in which nearly all cells of a column are dates or times.

    Parameters
    ----------
    found : Distinct
        The different texts of the column.
    orders : iterable of str
        The orders that are possible.

    Returns
    -------
    order : str
        A key of `ORDERS`.
    times : ndarray of shape (n_values,)
        datetime64[us]; NaT where a text is no date.
    is_sure : bool
        Whether the cells tell the day from the month.

    Or None where there is no such order.
    """
    first = found.values.slice(0, 20)
    pc = require("pyarrow.compute")
    if not pc.any(pc.match_substring_regex(first, r"\d.*[-/.: ]\w|[a-zW].*\d|^\d{8}")).as_py():
        return None
    possible = [order for order in orders if not np.isnat(read_times(first, order)).all()]
    times = {order: read_times(found.values, order) for order in possible}
    read = {order: int(found.counts[~np.isnat(times[order])].sum()) for order in possible}
    best = max(possible, key=lambda order: read[order], default="")
    if not best or read[best] < NEARLY_ALL * found.counts.sum():
        return None
    sure = best not in AMBIGUOUS or len({read.get(order) for order in AMBIGUOUS}) > 1
    return best, times[best], sure
