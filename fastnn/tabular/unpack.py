"""How do the bytes of a file become text? Uncompressed by their first bytes, decoded by their mark.

A zip archive of several files, an encoding that does not fit and bytes that are no text are each
a `TableError`.
"""

from __future__ import annotations

import bz2
import codecs
import gzip
import io
import lzma
import zipfile
import zlib
from collections.abc import Callable

from fastnn._optional import require
from fastnn.tabular.schema import TableError

# Longer marks first: UTF-32's begins with UTF-16's.
_BYTE_ORDER_MARKS = (
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)


def unpack(name: str, raw: bytes) -> bytes:
    """Return the bytes of a file, uncompressed where they are of gzip, zip, xz, bz2 or zstd.

    Parameters
    ----------
    name : str
        What messages call the file.
    raw : bytes

    Returns
    -------
    bytes
        An Excel file, which is a zip archive, as it is.
    """
    for start, what, unpacked in _PACKED:
        if raw.startswith(start):
            try:
                return unpacked(raw)
            except _DAMAGED as error:
                raise TableError(f"{name} is {what} but damaged: {error}") from error
            except RuntimeError as error:  # a password
                raise TableError(f"{name} is {what} that cannot be read: {error}") from error
    if raw.startswith(b"\xd0\xcf\x11\xe0"):
        raise TableError(f"{name} is an old Excel file (.xls). Save it as .xlsx or CSV.")
    return raw


_DAMAGED = (OSError, EOFError, zlib.error, lzma.LZMAError, zipfile.BadZipFile, NotImplementedError)


def _unzip(raw: bytes) -> bytes:
    with zipfile.ZipFile(io.BytesIO(raw)) as archive:
        names = [
            name
            for name in archive.namelist()
            if not name.endswith("/") and not name.startswith("__MACOSX/")
        ]
        if "[Content_Types].xml" in names:
            return raw
        if len(names) != 1:
            shown = f" ({', '.join(names[:5])}{' ...' if len(names) > 5 else ''})" if names else ""
            raise TableError(
                f"The zip archive holds {len(names)} files{shown}; it must hold one table."
            )
        return archive.read(names[0])


def _unzstd(raw: bytes) -> bytes:
    pa = require("pyarrow")
    return bytes(pa.CompressedInputStream(pa.BufferReader(raw), "zstd").read())


_PACKED: tuple[tuple[bytes, str, Callable[[bytes], bytes]], ...] = (
    (b"\x1f\x8b", "gzip", gzip.decompress),
    (b"PK\x03\x04", "a zip archive", _unzip),
    (b"PK\x05\x06", "a zip archive", _unzip),  # an empty one
    (b"\xfd7zXZ\x00", "xz", lzma.decompress),
    (b"BZh", "bz2", bz2.decompress),
    (b"\x28\xb5\x2f\xfd", "zstd", _unzstd),
)


def decode(name: str, raw: bytes, said: str | None, remembered: str | None) -> str:
    """Return bytes as text.

    Parameters
    ----------
    name : str
        What messages call the file.
    raw : bytes
    said : str or None
        The encoding; a byte order mark counts for more.
    remembered : str or None
        The encoding of the training table: it holds unless the bytes are UTF-8 beyond ASCII.

    Raises
    ------
    TableError
        When the bytes are no text in that encoding.
    """
    marked = next((codec for mark, codec in _BYTE_ORDER_MARKS if raw.startswith(mark)), None)
    encoding = marked or said
    if encoding is None and remembered and (raw.isascii() or not _is_utf8(raw)):
        encoding = remembered
    encoding = encoding or "utf-8"
    try:
        text = raw.decode(encoding)
    except LookupError as error:
        raise TableError(
            f"Unknown encoding {encoding!r}; for example utf-8, latin-1 or cp1252."
        ) from error
    except UnicodeDecodeError as error:
        raise TableError(
            f"{name} is not {encoding} text: byte 0x{error.object[error.start]:02x} at position "
            f"{error.start}. "
            "If it is text in another encoding, say which, for example --encoding latin-1."
        ) from error
    except UnicodeError as error:
        raise TableError(f"{name} is not {encoding} text: {error}.") from error
    if "\0" in text:
        raise TableError(
            f"{name} is not text (it holds zero bytes), so it is no CSV file. fastnn reads CSV, "
            "JSON lines, Parquet and .xlsx; if it is UTF-16 text, say --encoding utf-16-le."
        )
    return text.removeprefix("\ufeff")


def _is_utf8(raw: bytes) -> bool:
    try:
        raw.decode()
    except UnicodeDecodeError:
        return False
    return b"\0" not in raw
