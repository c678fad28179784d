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

if sys.platform == "win32":
    import msvcrt
else:
    import fcntl

# Another machine's locks cannot be seen. What was begun there is left to it for so long.
TRUST_OTHER_MACHINES = datetime.timedelta(days=1)
SECONDS_BETWEEN_TRIES = 0.01


class Sharing:
    """The processes of this machine that use one storage.

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
        folder = Path(tempfile.gettempdir())
        self._turns = folder / f"fastnn-{name}.lock"
        path = folder / f"fastnn-{name}-{uuid.uuid4().hex}.lock"
        self.mark = [platform.node(), str(path)]
        self._file = _locked(path)

    def close(self) -> None:
        """Say that this process is no longer at work."""
        with contextlib.suppress(OSError):  # Windows removes no open file, others may have done so
            os.close(self._file)
            os.remove(self.mark[1])

    @contextlib.contextmanager
    def in_turns(self) -> Iterator[None]:
        """The body runs in one of the processes at a time."""
        file = _locked(self._turns)
        try:
            yield
        finally:
            os.close(file)

    def is_here(self, mark: Sequence[str]) -> bool:
        """Whether ``mark`` is of this machine."""
        return mark[0] == self.mark[0]

    def is_at_work(self, mark: Sequence[str], since: datetime.datetime) -> bool:
        """Whether the process of ``mark`` still is at work on what it began at ``since``."""
        if not self.is_here(mark):
            return datetime.datetime.now() - since < TRUST_OTHER_MACHINES
        try:
            file = os.open(mark[1], os.O_RDWR)
        except FileNotFoundError:
            return False
        except OSError:  # it is of another user
            return True
        try:
            return not _lock(file)
        finally:
            os.close(file)


def _locked(path: Path) -> int:
    """Return an open file that this process alone has locked, until it is closed."""
    file = os.open(path, os.O_RDWR | os.O_CREAT, 0o666)
    while not _lock(file):
        time.sleep(SECONDS_BETWEEN_TRIES)
    return file


def _lock(file: int) -> bool:
    """Lock an open file unless another one has it locked; return whether that was so."""
    try:
        if sys.platform == "win32":
            msvcrt.locking(file, msvcrt.LK_NBLCK, 1)
        else:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    return True
