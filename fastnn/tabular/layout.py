"""Where does the table in a delimited text begin, what separates its cells, and which cells merged?

Titles and comments stand above tables, separators are not said, and a stray quote makes one cell of
many rows: each is found by the number of cells in the lines.
"""

from __future__ import annotations

import csv
import io
import re
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from fastnn.tabular.schema import TableError, as_number, counted, shown

SEPARATORS = ",;\t|"
# So much of a text is looked at, and so many lines may stand above a header.
SAMPLE_CHARACTERS, SAMPLE_LINES, MAX_ABOVE = 100_000, 50, 10


@dataclass(frozen=True)
class Layout:
    """What separates the cells of a text, and which lines stand above its table."""

    sep: str
    above: tuple[str, ...] = ()


def find_layout(name: str, text: str, sep: str | None, remembered: str | None) -> Layout:
    """Find what separates the cells of a text, and how many lines stand above its header.

    Parameters
    ----------
    name : str
        What messages call the file.
    text : str
        It begins with a line that is not empty.
    sep : str or None
        What is said to separate cells.
    remembered : str or None
        What separated those of the training table: it holds where the header has it.

    Returns
    -------
    Layout

    Raises
    ------
    TableError
        Where ``sep`` is no separator, or plainly not the one of the table.
    """
    sep = None if sep is None else separator(sep)
    bare = re.sub(r'"[^"]*"', "", text[: length_of_record(text)])
    if sep is None and remembered and remembered in bare:
        sep = remembered
    lines = [line for line in text[:SAMPLE_CHARACTERS].splitlines() if line.strip()]
    lines = lines[: -1 if len(text) > SAMPLE_CHARACTERS else None][:SAMPLE_LINES]
    regular = {}
    for one in SEPARATORS if sep is None else sep:
        if (shape := _regular(lines, one)) is not None:
            regular[one] = shape
    if regular:
        best = max(regular, key=lambda one: regular[one].likely)
        return Layout(best, tuple(lines[: regular[best].start]))
    found = max(SEPARATORS, key=bare.count)
    if sep is None:
        return Layout(found if found in bare else _blank_or_comma(lines))
    if found in bare and not any(sep in line for line in lines):
        raise TableError(
            f"--sep {sep!r} is nowhere in {name}, but {found!r} is in its header: say --sep "
            f"{found!r}, or leave --sep out."
        )
    return Layout(sep)


def separator(text: str) -> str:
    """Return the separator that is said, a tab also as a word.

    Raises
    ------
    TableError
        When it is not one character that can separate cells.
    """
    sep = {"\\t": "\t", "tab": "\t"}.get(text, text)
    if len(sep) != 1 or sep in '"\r\n' or not sep.isascii():
        raise TableError(
            f"--sep {sep!r} is not one character, such as ; or | or a tab (--sep tab)."
        )
    return sep


def other_separator(text: str) -> str:
    """Return what may separate the cells of a text of one column: as often in each line, or ''."""
    lines = [line for line in text[:SAMPLE_CHARACTERS].splitlines() if line.strip()][:-1]
    lines = lines[:SAMPLE_LINES]
    marks = dict.fromkeys(re.findall(r"[^\w\s\"'.\-+]", lines[0])) if len(lines) > 1 else ()
    counts = {mark: {line.count(mark) for line in lines} for mark in marks}
    return next((mark for mark, found in counts.items() if len(found) == 1), "")


@dataclass(frozen=True)
class _Shape:
    """How many lines stand above a header, and how many cells each line from it on has."""

    start: int
    width: int
    is_short: bool = False  # a header with one cell less, as R writes it

    @property
    def likely(self) -> tuple[bool, int]:
        """The greater, the likelier: by another separator, decimal commas may look regular."""
        return not (self.start or self.is_short), self.width


def _regular(lines: list[str], sep: str) -> _Shape | None:
    """Return the shape of a table by its first lines; None where they are not regular."""
    rows = list(csv.reader(lines, delimiter=sep, skipinitialspace=True))
    width = len(rows[-1]) if rows else 0
    if len(rows) != len(lines) or width < 2:
        return None
    widths = [len(row) for row in rows]
    start = next((k for k in range(len(rows)) if all(w == width for w in widths[k:])), 0)
    is_short = start == 1 and widths[0] == width - 1
    if is_short and not (_is_title(lines[0], rows[0], width) or _is_header(rows[1], rows[2:])):
        return _Shape(0, width, is_short)
    if start and lines[start - 1].startswith("#"):
        while start < len(rows) and lines[start].startswith("#"):
            start += 1
    is_padded = not start and width > 2 and bool(rows[0][0].strip())
    if is_padded:  # a title, perhaps, that was written as a row
        start = next((k for k, row in enumerate(rows) if all(map(str.strip, row))), 0)
    if not start:
        return _Shape(0, width)
    is_above = is_short or all(
        lines[k].startswith("#") or _is_title(lines[k], rows[k], width) for k in range(start)
    )
    numbers = [as_number(cell) is not None for cell in rows[start]]
    is_header = start + 1 < len(rows) and not (any if is_padded else all)(numbers)
    if is_padded and not (is_above and is_header):
        return _Shape(0, width)
    return _Shape(start, width) if is_above and is_header and start <= MAX_ABOVE else None


def _is_title(line: str, row: list[str], width: int) -> bool:
    """Whether a line is no row of a table of ``width`` columns, but a comment or a title."""
    n_filled = sum(bool(cell.strip()) for cell in row)
    # One cell above two may be a header that R wrote, which puts names into quotes.
    words = width > 2 or (" " in line.strip() and not line.startswith('"'))
    return (line.startswith("#") and len(row) != width) or (n_filled <= 1 and words)


def _is_header(row: list[str], below: list[list[str]]) -> bool:
    """Whether a row names columns of which one holds numbers below it."""
    return bool(below) and any(
        as_number(cell) is None and all(as_number(other[j]) is not None for other in below)
        for j, cell in enumerate(row)
    )


def _blank_or_comma(lines: list[str]) -> str:
    """Return a blank where every row has as many of them, as R writes tables; else a comma."""
    widths = [len(row) for row in csv.reader(lines, delimiter=" ") if row]
    header, others = widths[0], {*widths[1:]}
    regular = header >= 2 and others <= {header, header + 1} and len(others) == 1
    return " " if regular and len(lines) > 2 else ","


def length_of_record(text: str) -> int:
    """Return how many characters the first record has: a line break in quotes does not end it."""
    quoted = False
    for match in re.finditer(r'"|\r\n|\n|\r', text):
        if match[0] == '"':
            quoted = not quoted
        elif not quoted:
            return match.start()
    return len(text) if not quoted else len(text.partition("\n")[0])


def rows_of(text: str, sep: str) -> Any:
    """Return an iterator over the rows of ``text``."""
    csv.field_size_limit(sys.maxsize)
    return csv.reader(io.StringIO(text, newline=""), delimiter=sep, skipinitialspace=True)


def look_for_merged_rows(
    name: str, text: str, sep: str, width: int, first_line: int, note: Callable[[str], None]
) -> None:
    """Note cells in quotes that seem to be several rows, and refuse them where the quotes are odd.

    Parameters
    ----------
    name : str
        What messages call the file.
    text : str
        The rows below the header.
    sep : str
    width : int
        The number of columns.
    first_line : int
        The number of the line with which ``text`` begins.
    note : callable

    Raises
    ------
    TableError
        Where the text goes on after a quote that ends a cell of several rows.
    """
    found = []
    for start, lines in _records_of_several_lines(text, sep):
        widths = [len(line.split(sep)) for line in lines]
        if all(n == width for n in widths) or (width > 2 and width in widths[1:-1]):
            first, last = first_line + start, first_line + start + len(lines) - 1
            found.append((first, last))
            try:
                list(csv.reader(lines, delimiter=sep, skipinitialspace=True, strict=True))
            except csv.Error as error:
                raise TableError(
                    f"{name} is not a regular table: a quote in line {first} makes one cell of the "
                    f"lines up to {last}, which have {width} cells each without it: "
                    f"{shown(lines[0].strip())}. Take stray quotes away, or write them twice."
                ) from error
    if found:
        first, last = found[0]
        more = f" ({counted(len(found) - 1, 'more such cell')})" if len(found) > 1 else ""
        note(
            f"a cell in quotes holds line breaks from line {first} to {last}, where lines have "
            f"{width} cells each without the quotes{more}: if they are rows, take the quotes away"
        )


def _records_of_several_lines(text: str, sep: str) -> Iterator[tuple[int, list[str]]]:
    """Yield records with a line break in quotes: the line's number, from 0 on, and the lines."""
    lines = [line + "\n" for line in re.split(r"\r\n|\n|\r", text)]
    reader = rows_of(text, sep)
    before = 0
    for _ in reader:
        if reader.line_num - before > 1:
            yield before, lines[before : reader.line_num]
        before = reader.line_num


def said_above(above: tuple[str, ...], first_line: int) -> str:
    """Say which lines above a header are left out."""
    where = f"line {first_line}" if len(above) == 1 else f"lines from {first_line} on"
    more = ", ..." if len(above) > 3 else ""
    return f"{where} left out, above the header: {', '.join(map(shown, above[:3]))}{more}"
