"""Which processes work on one search? Each holds a lock, which the system takes away with it."""

from __future__ import annotations

import contextlib
import datetime
import os
import platform
import sys
import tempfile
import time
import uuid
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import BinaryIO

if sys.platform == "win32":
    import msvcrt
else:
    import fcntl

# Locks of another machine, or of a user who hides them, cannot be seen. What was begun there is
# left to it for so long.
TRUST_THE_UNSEEN = datetime.timedelta(days=1)
SECONDS_BETWEEN_TRIES = 0.01


class Sharing:
    """The processes that use one storage, those of this user on this machine in turns.

    Parameters
    ----------
    name : str
        Of the storage; processes with the same name share it.

    Attributes
    ----------
    mark : list of str
        The machine, and the file that this process keeps locked: what others look at to know
        whether it is at work. Plain text, so that a storage can keep it.
    """

    def __init__(self, name: str) -> None:
        user = os.getuid() if hasattr(os, "getuid") else ""  # Windows' folder is of one user
        folder = Path(tempfile.gettempdir())
        self._turns = folder / f"fastnn-{user}-{name}.lock"
        path = folder / f"fastnn-{user}-{name}-{uuid.uuid4().hex}.lock"
        self.mark = [platform.node(), str(path)]
        self._file = _locked(path)

    def close(self) -> None:
        """Say that this process is no longer at work."""
        self._file.close()
        Path(self.mark[1]).unlink(missing_ok=True)

    @contextlib.contextmanager
    def in_turns(self) -> Iterator[None]:
        """The body runs in one of the processes at a time."""
        with _locked(self._turns):
            yield

    def is_seen(self, mark: Sequence[str]) -> bool:
        """Whether the end of the process of ``mark`` can be seen from here."""
        machine, path = mark
        return machine == self.mark[0] and (os.access(path, os.R_OK) or not os.path.exists(path))

    def is_at_work(self, mark: Sequence[str], since: datetime.datetime) -> bool:
        """Whether the process of ``mark`` still is at work on what it began at ``since``."""
        if not self.is_seen(mark):
            return datetime.datetime.now() - since < TRUST_THE_UNSEEN
        try:
            with open(mark[1], "rb") as file:
                return not _lock(file)
        except FileNotFoundError:
            return False


def _locked(path: Path) -> BinaryIO:
    """Return an open file that this process alone has locked, until it is closed."""
    file = open(path, "ab")  # noqa: SIM115 - the caller closes it
    while not _lock(file):
        time.sleep(SECONDS_BETWEEN_TRIES)
    return file


def _lock(file: BinaryIO) -> bool:
    """Lock an open file unless another one has it locked; return whether that was so."""
    try:
        if sys.platform == "win32":
            msvcrt.locking(file.fileno(), msvcrt.LK_NBLCK, 1)
        else:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    return True
