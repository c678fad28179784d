"""How does a file become a frame? Text tables, Parquet, JSON and Excel, told apart by content.

Everything that can be wrong with a file is a `TableError` that names the file and the way out.
Cells of text files stay text: what they mean is for the schema to say.
"""

from __future__ import annotations

import csv
import difflib
import importlib
import io
import json
import re
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fastnn._optional import require
from fastnn.tabular.layout import (
    find_layout,
    length_of_record,
    look_for_merged_rows,
    other_separator,
    rows_of,
    said_above,
)
from fastnn.tabular.schema import TableError, counted, refuse_repeated, shown
from fastnn.tabular.unpack import decode, unpack

if TYPE_CHECKING:
    import pandas as pd
    import pyarrow as pa


def read_table(
    path: str,
    *,
    sep: str | None = None,
    encoding: str | None = None,
    remembered: Mapping[str, str] | None = None,
    note: Callable[[str], None] = lambda _: None,
) -> pd.DataFrame:
    """Read a table from a file, whose kind is known by its content.

    Parameters
    ----------
    path : str
        The file, or "-" for standard input.
    sep : str or None
        What stands between the cells of a text file; None finds out.
    encoding : str or None
        The encoding of a text file; None: as its byte order mark says, else UTF-8.
    remembered : mapping of str to str, optional
        `Schema.reading`: "sep" and "encoding" as they were said of the training table, which hold
        unless the file plainly shows others.
    note : callable
        Receives a sentence about everything that is left out or unusual.

    Returns
    -------
    pandas.DataFrame
        At least one row and one column; column names are text and differ from each other. Columns
        of text files are text, null where a cell is empty; others keep their types, as Arrow's.

    Raises
    ------
    TableError
        When there is no such file, or it is not a table with a header and at least one row.
    """
    pd = require("pandas")
    name = "standard input" if path == "-" else path
    raw = unpack(name, _read_bytes(path))
    remembered = remembered or {}
    if raw[:4] == b"PAR1":
        frame = _read_parquet(name, raw, note)
    elif raw[:4] == b"PK\x03\x04":
        frame = _read_excel(name, raw, note)
    else:
        text = decode(name, raw, encoding, remembered.get("encoding"))
        if text[:1000].lstrip()[:1] in ("{", "[") and (rows := _json_rows(name, text)) is not None:
            frame = pd.DataFrame(rows, dtype=object)
        else:
            table = _read_text(name, text, sep, remembered.get("sep"), note)
            frame = table.to_pandas(types_mapper=pd.ArrowDtype)
    frame = frame.set_axis([str(column).strip() for column in frame.columns], axis=1)
    refuse_repeated(name, list(frame.columns))
    if not len(frame):
        raise TableError(
            f"{name} has no rows: a header of {counted(frame.shape[1], 'column')} and nothing "
            "below it."
        )
    return frame


def _read_bytes(path: str) -> bytes:
    """Return the bytes of a file."""
    if path == "-":
        return sys.stdin.buffer.read()
    if Path(path).is_dir():
        raise TableError(
            f"{path} is a directory, not a file. Name the CSV or Parquet file inside it."
        )
    try:
        return Path(path).read_bytes()
    except FileNotFoundError as error:
        near = difflib.get_close_matches(Path(path).name, _names_beside(path), n=1)
        hint = f" Did you mean {Path(path).with_name(near[0])}?" if near else ""
        raise TableError(f"There is no file {path}.{hint}") from error
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        raise TableError(f"{path} cannot be read: {reason}.") from error


def _names_beside(path: str) -> list[str]:
    folder = Path(path).parent
    return [entry.name for entry in folder.iterdir()] if folder.is_dir() else []


# ---- tables that know their types


def _read_parquet(name: str, raw: bytes, note: Callable[[str], None]) -> pd.DataFrame:
    """Return the table of a Parquet file, every column of the type it has there."""
    pa, parquet = require("pyarrow"), require("pyarrow.parquet")
    try:
        table = parquet.read_table(pa.BufferReader(raw))
    except (OSError, ValueError, pa.ArrowException) as error:
        reason = str(error).partition("\n")[0]
        raise TableError(
            f"{name} begins like a Parquet file but cannot be read as one: {reason}"
        ) from error
    index = [column for column in table.column_names if column.startswith("__index_level_")]
    table = table.drop_columns(index)
    metadata = (table.schema.pandas_metadata or {}).get("index_columns", [])
    for column in metadata:
        if isinstance(column, str) and column in table.column_names:
            note(f"the index {column!r} is read as a column")
    refuse_repeated(name, table.column_names)
    return table.to_pandas(types_mapper=require("pandas").ArrowDtype, ignore_metadata=True)


def _read_excel(name: str, raw: bytes, note: Callable[[str], None]) -> pd.DataFrame:
    """Return the first sheet of an Excel file."""
    try:
        openpyxl = importlib.import_module("openpyxl")
    except ImportError as error:
        raise TableError(
            f"{name} is an Excel file. Save it as CSV, or install openpyxl (pip install openpyxl)."
        ) from error
    try:
        book = openpyxl.load_workbook(io.BytesIO(raw), read_only=True, data_only=True)
        sheets = book.sheetnames
        rows = [list(row) for row in book[sheets[0]].iter_rows(values_only=True)]
    except Exception as error:  # openpyxl raises whatever it stumbles over
        raise TableError(f"{name} begins like an Excel file but cannot be read: {error}") from error
    if len(sheets) > 1:
        note(f"of {len(sheets)} sheets the first is read, {sheets[0]!r}")
    while rows and all(cell is None for cell in rows[-1]):
        rows.pop()
    if not rows:
        raise TableError(f"{name} is empty: its sheet {sheets[0]!r} holds no cells.")
    header = ["" if cell is None else str(cell) for cell in rows[0]]
    columns = [list(column) for column in zip(*rows[1:], strict=True)] or [[] for _ in header]
    kept = _named(header, [all(cell is None for cell in column) for column in columns], note)
    data = {label: columns[j] for j, label in kept}
    refuse_repeated(name, [label for _, label in kept])
    return require("pandas").DataFrame(data, dtype=object)


def _json_rows(name: str, text: str) -> list[dict[str, Any]] | None:
    """Return the rows of JSON lines or of a JSON array of objects; None where it is no JSON."""
    where = ""
    try:
        if text.lstrip()[0] == "[":
            rows = json.loads(text)
        else:
            rows = []
            # No other ends of lines: JSON's texts may hold those.
            for number, line in enumerate(re.split(r"\r\n|\n|\r", text), 1):
                where = f"line {number} "
                if line.strip():
                    rows.append(json.loads(line))
    except json.JSONDecodeError as error:
        if re.match(r'\s*\[?\s*\{\s*["}]', text):
            what = f"{error.msg} at character {error.colno}" if where else error
            raise TableError(
                f"{name} begins like JSON lines, but {where}holds no JSON: {what}"
            ) from error
        return None
    if not isinstance(rows, list) or not all(isinstance(row, dict) for row in rows) or not rows:
        raise TableError(f"{name} is JSON, but not of rows: one {{...}} for each row is read.")
    return rows


# ---- text


def _read_text(
    name: str, text: str, sep: str | None, remembered: str | None, note: Callable[[str], None]
) -> pa.Table:
    """Parse delimited text; ``name`` is what the messages call it."""
    text = text.rstrip("\x1a").rstrip("\r\n")
    if not text.strip():
        raise TableError(
            f"{name} is empty. "
            "A table has a first line with the names of its columns, and rows below."
        )
    start = _start_of_line(text, 0)
    if said := re.match(r'"?sep=(.)"?(?:\r\n|\n|\r)+(?=.)', text[start:]):  # as Excel is told
        start, sep = _start_of_line(text, start + said.end()), sep or said[1]
    layout = find_layout(name, text[start:], sep, remembered)
    sep = layout.sep
    if layout.above:
        note(said_above(layout.above, _n_lines(text[:start]) + 1))
    for title in layout.above:
        start = _start_of_line(text, text.index(title, start) + len(title))
    line, text = _n_lines(text[:start]) + 1, text[start:]
    length = length_of_record(text)
    header = next(rows_of(text[:length], sep))
    rest = text[length:].lstrip("\r\n")
    if not rest:
        raise TableError(
            f"{name} has no rows: a header of {counted(len(header), 'column')} and nothing below "
            "it."
        )
    first_row = line + _n_lines(text[: len(text) - len(rest)])
    width = len(next(rows_of(rest[: length_of_record(rest)], sep)))
    columns = _parse(rest, sep, width)
    if columns is None:
        columns = _parse_slowly(name, rest, sep, width, first_row, len(header))
    last = columns[-1][-1].as_py() or ""
    if "\n" in last and not text.rstrip().endswith('"'):
        raise TableError(
            f"{name} is not a regular table: the last row's last cell has {last.count(chr(10)) + 1}"
            " lines and no quote at its end. A quote may not be closed."
        )
    n_breaks = rest.count("\n") or rest.count("\r")
    if '"' in rest and width > 1 and n_breaks >= len(columns[0]):
        look_for_merged_rows(name, rest, sep, width, first_row, note)
    if width == len(header) - 1 and not header[-1].strip():
        header = header[:-1]
        note("the header ends with a separator, and the rows do not: its last, empty name left out")
    if width == len(header) + 1:
        header = _names_for_one_more(name, header, columns, sep, note)
    elif width != len(header):
        title = f" If line {line} is a title, take it away." if len(header) == 1 else ""
        raise TableError(
            f"{name} is not a regular table: its header has {counted(len(header), 'name')}, but "
            f"line {first_row} has {counted(width, 'cell')} (cells are separated by {sep!r}; --sep "
            f"changes that).{title}"
        )
    if width == 1:
        other = repr(mark) if (mark := other_separator(text)) else "something"
        option = f"--sep {mark!r}" if mark else "--sep"
        note(f"{name} has one column only; if its cells are separated by {other}, say {option}")
    kept = _named(header, [column.null_count == len(column) for column in columns], note)
    refuse_repeated(name, [label for _, label in kept])
    pa = require("pyarrow")
    return pa.table([columns[j] for j, _ in kept], names=[label for _, label in kept])


def _start_of_line(text: str, start: int) -> int:
    """Return where the first line that is not empty begins, from ``start`` on."""
    return len(text) - len(text[start:].lstrip("\r\n"))


def _n_lines(text: str) -> int:
    """Return how many lines end in ``text``."""
    return len(re.findall(r"\r\n|\n|\r", text))


def _parse(rest: str, sep: str, width: int) -> list[pa.Array] | None:
    """Return the cells below the header as columns of text; None where they are irregular."""
    pa, reader = require("pyarrow"), require("pyarrow.csv")
    if f'{sep} "' in rest and sep != " ":
        return None  # a blank before a quote, which Arrow takes for text
    raw = rest.encode()
    names = [str(j) for j in range(width)]
    try:
        table = reader.read_csv(
            pa.BufferReader(raw),
            reader.ReadOptions(
                column_names=names, block_size=min(len(raw) + 1, 2**31 - 1), use_threads=False
            ),
            reader.ParseOptions(delimiter=sep, newlines_in_values=True),
            reader.ConvertOptions(
                column_types=dict.fromkeys(names, pa.large_string()),
                strings_can_be_null=True,
                null_values=[""],
                check_utf8=False,
            ),
        )
    except pa.ArrowException:
        return None
    return [_one(column) for column in table.columns]


def _one(column: pa.ChunkedArray) -> pa.Array:
    """Return the chunks of a column as one array."""
    whole = column.combine_chunks()
    pa = require("pyarrow")
    return pa.concat_arrays(whole.chunks) if isinstance(whole, pa.ChunkedArray) else whole


def _parse_slowly(
    name: str, text: str, sep: str, width: int, first_line: int, n_names: int
) -> list[pa.Array]:
    """Return the columns by Python's own reader, which knows the line of a row that is ragged."""
    pa = require("pyarrow")
    reader = rows_of(text, sep)
    rows: list[list[str | None]] = []
    line = first_line
    try:
        for row in reader:
            if width > 1 and len(row) == 1 and not row[0].strip():
                row = []  # a line of blanks
            if len(row) != width and row:
                quote = " A quote may not be closed." if any("\n" in cell for cell in row) else ""
                n, other, width_there = len(row), "first row", width
                if n == n_names and len(rows) == 1:  # the first row is the odd one
                    line, n, other, width_there = first_line, width, "header", n_names
                raise TableError(
                    f"{name} is not a regular table: line {line} has {counted(n, 'cell')} "
                    f"and the {other} {width_there} (cells are separated by {sep!r}; --sep changes "
                    f"that).{quote}"
                )
            if row:
                rows.append([cell or None for cell in row])
            line = reader.line_num + first_line
    except csv.Error as error:
        raise TableError(
            f"{name} is not a regular table: line {line}: {error} (--sep changes what separates)."
        ) from error
    return [pa.array(column, pa.large_string()) for column in zip(*rows, strict=True)]


def _names_for_one_more(
    name: str, header: list[str], columns: list[pa.Array], sep: str, note: Callable[[str], None]
) -> list[str]:
    """Return names for rows that have one cell more than the header: R's, or a last empty one."""
    if columns[-1].null_count == len(columns[-1]):
        return [*header, ""]
    first = columns[0]
    if first.null_count or len(first.unique()) < len(first):
        raise TableError(
            f"{name} is not a regular table: its header has {counted(len(header), 'name')}, but "
            f"every row has {len(columns)} cells (cells are separated by {sep!r}; --sep changes "
            "that)."
        )
    note(
        f"the header has one name fewer than the rows have cells, as R writes tables: "
        f"the first of them names the second column ({shown(header[0])})"
    )
    return ["row names", *header]


def _named(
    header: Sequence[str], empty: Sequence[bool], note: Callable[[str], None]
) -> list[tuple[int, str]]:
    """Return the columns to keep, each with its name: empty ones without a name are dropped."""
    kept, dropped = [], 0
    for j, label in enumerate(header):
        if label.strip():
            kept.append((j, label.strip()))
        elif empty[j]:
            dropped += 1
        else:
            kept.append((j, f"Unnamed: {j}"))  # as pandas names it
    if dropped:
        note(f"{dropped} empty column{'s' if dropped > 1 else ''} without a name left out")
    return kept
