"""How does a file become a frame? CSV (plain or gzipped) and Parquet, told apart by content.

Everything that can be wrong with a file is a `TableError` that names the file and the way out.
"""

from __future__ import annotations

import difflib
import gzip
import io
import re
import sys
import zlib
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from fastnn._optional import require
from fastnn.tabular.schema import TableError

if TYPE_CHECKING:
    import pandas as pd


def read_table(
    path: str, *, sep: str | None = None, encoding: str = "utf-8", decimal: str = "."
) -> pd.DataFrame:
    """Read a CSV file (plain or gzipped) or a Parquet file, known by its content.

    Parameters
    ----------
    path : str
        The file, or "-" for standard input.
    sep : str or None
        What stands between the cells of a CSV file; None takes the most frequent of
        ``, ; tab |`` in its first line.
    encoding : str
        The encoding of a CSV file.
    decimal : str
        What stands before the fraction of a number in a CSV file, "." or ",".

    Returns
    -------
    pandas.DataFrame
        At least one row and one column; column names are text and differ from each other.

    Raises
    ------
    TableError
        When there is no such file, or it is not a table with a header and at least one row.
    """
    pd = require("pandas")
    raw = _read_bytes(path)
    name = "standard input" if path == "-" else path
    if raw[:4] == b"PAR1":
        require("pyarrow")
        try:
            frame = pd.read_parquet(io.BytesIO(raw))
        except (OSError, ValueError) as error:
            raise TableError(
                f"{name} begins like a Parquet file but cannot be read as one: {error}"
            ) from error
        frame = frame.set_axis([str(column) for column in frame.columns], axis=1)
        _refuse_repeated(name, list(frame.columns))
    else:
        frame = _read_csv(name, raw, sep, encoding, decimal)
    if not len(frame):
        raise TableError(
            f"{name} has no rows: a header of {frame.shape[1]} columns and nothing below it."
        )
    return frame.reset_index(drop=True)


def _read_bytes(path: str) -> bytes:
    """Return the bytes of a file, unzipped when they are gzip's."""
    if path == "-":
        raw = sys.stdin.buffer.read()
    elif Path(path).is_dir():
        raise TableError(
            f"{path} is a directory, not a file. Name the CSV or Parquet file inside it."
        )
    else:
        try:
            raw = Path(path).read_bytes()
        except FileNotFoundError as error:
            near = difflib.get_close_matches(Path(path).name, _names_beside(path), n=1)
            hint = f" Did you mean {Path(path).with_name(near[0])}?" if near else ""
            raise TableError(f"There is no file {path}.{hint}") from error
        except OSError as error:
            raise TableError(f"{path} cannot be read: {error.strerror}.") from error
    if raw[:2] == b"\x1f\x8b":
        try:
            raw = gzip.decompress(raw)
        except (OSError, EOFError, zlib.error) as error:
            raise TableError(f"{path} is gzip but damaged: {error}") from error
    return raw


def _names_beside(path: str) -> list[str]:
    folder = Path(path).parent
    return [entry.name for entry in folder.iterdir()] if folder.is_dir() else []


def _read_csv(name: str, raw: bytes, sep: str | None, encoding: str, decimal: str) -> pd.DataFrame:
    """Parse CSV text; ``name`` is what the messages call it."""
    pd = require("pandas")
    if b"\0" in raw[:100_000]:
        raise TableError(
            f"{name} is not text (it holds zero bytes), so it is no CSV file. fastnn reads CSV "
            "(plain or .gz) and Parquet."
        )
    try:
        text = raw.decode("utf-8-sig" if encoding.lower() in ("utf-8", "utf8") else encoding)
    except LookupError as error:
        raise TableError(
            f"Unknown encoding {encoding!r}; for example utf-8, latin-1 or cp1252."
        ) from error
    except UnicodeDecodeError as error:
        raise TableError(
            f"{name} is not {encoding} text: byte 0x{raw[error.start]:02x} at position "
            f"{error.start}. "
            "If it is text in another encoding, say which, for example --encoding latin-1."
        ) from error
    first_line = text.lstrip("\r\n").partition("\n")[0]
    if not first_line.strip():
        raise TableError(
            f"{name} is empty. A table has a first line with the names of its columns, and rows "
            "below."
        )
    if sep is None:
        bare = re.sub(r'"[^"]*"', "", first_line)
        sep = max(",;\t|", key=bare.count)
    try:
        # The header is read by itself, since pandas renames repeated columns silently.
        header = pd.read_csv(
            io.StringIO(text), sep=sep, header=None, nrows=1, dtype=str, keep_default_na=False
        ).iloc[0]
        frame = pd.read_csv(
            io.StringIO(text),
            sep=sep,
            decimal=decimal,
            na_values=["?"],
            skipinitialspace=True,
            index_col=False,
        )
    except pd.errors.ParserError as error:
        detail = str(error).strip().removeprefix("Error tokenizing data. C error: ")
        raise TableError(
            f"{name} is not a regular table: {detail} (cells are separated by {sep!r}; --sep "
            "changes that)."
        ) from error
    _refuse_repeated(name, [str(column).strip() for column in header])
    return frame.set_axis([str(column).strip() for column in frame.columns], axis=1)


def _refuse_repeated(name: str, columns: Sequence[str]) -> None:
    repeated = sorted({column for column in columns if columns.count(column) > 1})
    if repeated:
        raise TableError(
            f"{name} has more than one column named {', '.join(map(repr, repeated))}; rename them."
        )
