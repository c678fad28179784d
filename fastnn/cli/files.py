"""Can a result be written to a file? Found out before the work that makes it."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

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
