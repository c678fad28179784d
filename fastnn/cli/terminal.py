"""How does a program behave in a terminal? Progress bars, Ctrl-C, and finding out early that an output cannot be written."""

from __future__ import annotations

import contextlib
import io
import os
import re
import signal
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from types import FrameType
from typing import Any

from fastnn._optional import require

# Room that must be free where something will be written after long work: a report or model is
# seldom larger.
ROOM = 8 << 20


@contextlib.contextmanager
def watching_interrupts() -> Iterator[list[int]]:
    """Note every Ctrl-C in the list that is given, and raise KeyboardInterrupt as usual.

    A fit that is interrupted keeps what it has and returns as if nothing had happened; the exit
    status should still say so.
    """
    seen: list[int] = []

    def note_and_raise(number: int, frame: FrameType | None) -> None:
        seen.append(number)
        raise KeyboardInterrupt

    try:
        before = signal.signal(signal.SIGINT, note_and_raise)
    except ValueError:  # not in the main thread: nobody can press Ctrl-C here
        yield seen
        return
    try:
        yield seen
    finally:
        signal.signal(signal.SIGINT, before)


def refuse_unwritable(path: str | None) -> None:
    """Raise OSError now if ``path`` cannot be written later: no folder, no permission, no room."""
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


def _progress(*columns: Any) -> Any:
    """Return rich's progress display on standard error; it shows nothing where that is no terminal."""
    console = require("rich.console").Console(stderr=True)
    console.quiet = (
        not console.is_terminal
    )  # a disabled display alone still ends with an empty line, in rich up to 14
    return require("rich.progress").Progress(
        *columns, console=console, transient=True, disable=console.quiet
    )


@contextlib.contextmanager
def busy(what: str) -> Iterator[None]:
    """Show that something of unknown length is being done."""
    progress = require("rich.progress")
    with _progress(
        progress.SpinnerColumn(),
        progress.TextColumn("{task.description}"),
        progress.TimeElapsedColumn(),
    ) as display:
        display.add_task(what)
        yield


class _EpochLines(io.TextIOBase):
    """Where a verbose fit prints: every "Iteration 3, loss = 0.5" moves a progress bar, and nothing is printed."""

    def __init__(self, display: Any, task: Any) -> None:
        self.display, self.task = display, task

    def write(self, text: str) -> int:
        found = re.match(r"Iteration (\d+), loss = (\S+)", text)
        if found:
            self.display.update(
                self.task,
                completed=int(found[1]),
                description=f"training, loss {float(found[2]):.4f}",
            )
        return len(text)


@contextlib.contextmanager
def epochs(n_epochs: int) -> Iterator[None]:
    """Show the epochs of the verbose fit in the body."""
    with (
        _progress() as display,
        contextlib.redirect_stdout(
            _EpochLines(display, display.add_task("training", total=n_epochs))
        ),
    ):
        yield


@contextlib.contextmanager
def exploring(search: Any) -> Iterator[None]:
    """Show how far ``search`` is while the body fits it: by time where that is what ends it, and how many were tried."""
    total = search.max_time or search.n_trials
    with _progress() as display:
        task = display.add_task("exploring", total=total)
        count = _Candidates(display, task, by_time=bool(search.max_time))
        if hasattr(search, "set_callbacks"):  # scikit-learn >= 1.9
            search.set_callbacks(count)
        done, start = threading.Event(), time.monotonic()

        def advance() -> None:
            while not done.wait(0.2):
                display.update(task, completed=min(time.monotonic() - start, total))

        ticking = threading.Thread(target=advance, daemon=True)
        if search.max_time:
            ticking.start()
        try:
            yield
        finally:
            done.set()
            if hasattr(search, "set_callbacks"):
                search.set_callbacks()


class _Candidates:
    """A scikit-learn callback that counts the candidates that are done."""

    def __init__(self, display: Any, task: Any, by_time: bool) -> None:
        self.display, self.task, self.by_time, self.n_done = display, task, by_time, 0

    def setup(self, estimator: Any, context: Any) -> None:
        """Nothing is needed before a search."""

    def on_fit_task_begin(self, estimator: Any, context: Any, **_: Any) -> None:
        """Say that the second stage of the search has begun."""
        if context.task_name == "measure-front":
            self.display.update(self.task, description="measuring the front")

    def on_fit_task_end(self, estimator: Any, context: Any, **_: Any) -> None:
        """Count a candidate that the search has tried."""
        if context.task_name == "candidate" and context.parent.task_name == "search":
            self.n_done += 1
            self.display.update(self.task, description=f"exploring, {self.n_done} candidates")
            if not self.by_time:
                self.display.update(self.task, completed=self.n_done)

    def teardown(self, estimator: Any, context: Any) -> None:
        """Nothing is left after a search."""
