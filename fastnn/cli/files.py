"""Can a result be written to a file, and how? Found out before the work that makes it."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fastnn._optional import require

if TYPE_CHECKING:
    import pandas as pd

# Room that must be free where something will be written after long work; few reports and models
# are larger.
ROOM = 8 << 20


def refuse_unwritable(path: str | None) -> None:
    """Raise OSError if ``path`` cannot be written later: no folder, no permission, no room.

    None, no file, can always be written. A device or pipe receives an empty line.
    """
    if path is None:
        return
    target = Path(path)
    if target.is_dir():
        raise IsADirectoryError(0, "is a directory; name a file", path)
    if not target.parent.is_dir():
        raise FileNotFoundError(
            0, f"cannot be written: there is no folder {str(target.parent)!r}", path
        )
    try:
        if target.exists() and not target.is_file():  # a device or a pipe
            with open(target, "w", encoding="utf-8") as file:
                file.write("\n")
            return
        if target.exists() and not os.access(target, os.W_OK):
            raise PermissionError(0, "permission denied")
        with tempfile.NamedTemporaryFile(dir=target.parent, prefix=".fastnn-") as probe:
            probe.write(bytes(ROOM))
            probe.flush()
            os.fsync(probe.fileno())
    except OSError as error:
        raise OSError(
            error.errno or 0, f"cannot be written: {(error.strerror or str(error)).lower()}", path
        ) from error


def table_writer(path: str) -> Callable[[pd.DataFrame], None]:
    """Return what writes a table to ``path`` in the format of its ending.

    Raises
    ------
    ValueError
        If there is no format of that ending.
    OSError
        If ``path`` cannot be written.
    """
    refuse_unwritable(path)
    ending = ending_of(path)
    return lambda frame: _WRITERS[ending](frame, path)


def ending_of(path: str) -> str:
    """Return the ending of a table's name, which says how it is written.

    Raises
    ------
    ValueError
        If there is no format of that ending.
    """
    is_file = Path(path).is_file() or not Path(path).exists()
    ending = Path(path).suffix.lower() if is_file else ".csv"  # a device or a pipe
    if ending not in _WRITERS:
        raise ValueError(
            f"{path}: the ending of its name must be one of {', '.join(_WRITERS)}, which says how"
            f" the table is written; got {repr(ending) if ending else 'none'}."
        )
    return ending


def export_ending_of(path: str) -> str:
    """Return the ending of an exported model's name, which says what it becomes.

    Raises
    ------
    ValueError
        If a model cannot become that.
    """
    ending = Path(path).suffix.lower()
    if ending not in (".onnx", ".c"):
        raise ValueError(f"{path}: a model is exported to a name that ends in .onnx or .c.")
    return ending


def _write_parquet(frame: Any, path: str) -> None:
    from fastnn.tabular.cells import cells, is_usable

    pd = require("pandas")
    plain = frame.copy(deep=False)
    for name in frame.columns:
        # Objects may be whole numbers beyond 64 bits, or texts beside numbers.
        if frame[name].dtype == object and is_usable(array := cells(frame[name])):
            plain[name] = pd.Series(pd.arrays.ArrowExtensionArray(array), frame.index)
    plain.to_parquet(path, index=False)


def _write_json(frame: Any, path: str, lines: bool) -> None:
    """Write rows as JSON, which has no dates, durations and bytes: they become text."""
    from fastnn.tabular.cells import as_text, cells, is_time, is_usable

    plain = frame.copy(deep=False)
    for name in frame.columns:
        if is_time(array := cells(frame[name])):
            plain[name] = as_text(array).to_pylist()
        elif not is_usable(array) and not array.type.num_fields:  # no list, no struct
            plain[name] = [None if cell is None else str(cell) for cell in array.to_pylist()]
    plain.to_json(path, orient="records", double_precision=15, lines=lines)


_WRITERS: dict[str, Callable[[Any, str], None]] = {
    ".csv": lambda frame, path: frame.to_csv(path, index=False),
    ".parquet": _write_parquet,
    ".pq": _write_parquet,
    ".json": lambda frame, path: _write_json(frame, path, lines=False),
    ".jsonl": lambda frame, path: _write_json(frame, path, lines=True),
}
