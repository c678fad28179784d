"""How does a program behave in a terminal? Results, notes, one line of progress, and Ctrl-C."""

from __future__ import annotations

import codecs
import contextlib
import os
import signal
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from types import FrameType
from typing import Any

from fastnn.cli.reporter import Reporter
from fastnn.training.callbacks import Callback, watched_by

SECONDS_BETWEEN_DRAWINGS = 0.1
BAR = 24  # characters


# What stands for a character that the output's encoding does not have.
_PLAIN = {
    "\N{MULTIPLICATION SIGN}": "x",
    "\N{PLUS-MINUS SIGN}": "+-",
    "\N{MICRO SIGN}": "u",
    "\N{SUPERSCRIPT TWO}": "2",
    "\N{EN DASH}": "-",
    "\N{HORIZONTAL ELLIPSIS}": "...",
}


def _without_the_character(error: UnicodeError) -> tuple[str, int]:
    """Replace what cannot be encoded by a plain character, or by its escape."""
    assert isinstance(error, UnicodeEncodeError)
    character = error.object[error.start]
    return _PLAIN.get(character, ascii(character)[1:-1]), error.start + 1


codecs.register_error("fastnn", _without_the_character)


def write(text: str) -> None:
    """Write a line or more to standard output, whatever its encoding is."""
    encoding = getattr(sys.stdout, "encoding", None) or "utf-8"
    print(text.encode(encoding, "fastnn").decode(encoding), flush=True)


def width() -> int | None:
    """Return how many characters a line of standard output holds; None where it is no terminal."""
    if sys.stdout is None or not sys.stdout.isatty():
        return None
    return os.get_terminal_size(sys.stdout.fileno()).columns or 80  # 0: not known


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


@dataclass
class Status:
    """What is being done, which share of it is done, and the seconds it may take; None: unknown."""

    text: str
    share: float | None = None
    seconds: float | None = None

    def line(self, elapsed: float) -> str:
        """Return the line to show after ``elapsed`` seconds."""
        share = elapsed / self.seconds if self.seconds else self.share
        bar = ""
        if share is not None:
            n_full = round(min(share, 1) * BAR)
            bar = f"  [{'#' * n_full}{'-' * (BAR - n_full)}]"
        minutes, seconds = divmod(int(elapsed), 60)
        return f"{self.text}{bar}  {minutes}:{seconds:02}"


class Quiet(Reporter):
    """A reporter that writes results and nothing else."""

    def show(self, text: str) -> None:
        """Write a part of the result."""
        write(text)


class Terminal(Quiet):
    """A reporter on standard error: notes everywhere, progress where that is a terminal."""

    def __init__(self, verbose: bool = False) -> None:
        self.verbose = verbose
        self._said: set[str] = set()
        self._lock = threading.Lock()  # of the line: the thread that draws, and notes
        self._width = 0  # of what the line shows

    def note(self, message: str) -> None:
        """Print a note, the same one once."""
        if message not in self._said:
            self._said.add(message)
            self._print(f"fastnn: note: {message}")

    def detail(self, message: str) -> None:
        """Print a detail if these are wanted."""
        if self.verbose:
            self._print(f"fastnn: {message}")

    def _print(self, line: str) -> None:
        with self._lock:
            self._draw("")
            print(line, file=sys.stderr)

    @contextlib.contextmanager
    def busy(self, what: str) -> Iterator[None]:
        """Show ``what`` and the seconds since."""
        with self._showing(Status(what)):
            yield

    @contextlib.contextmanager
    def training(self, n_epochs: int) -> Iterator[None]:
        """Show the epochs and the loss of the fit in the body."""
        status = Status("training", share=0.0)
        with self._showing(status) as is_shown, contextlib.ExitStack() as stack:
            if is_shown or self.verbose:
                stack.enter_context(watched_by(Epochs(status, n_epochs, self)))
            yield

    @contextlib.contextmanager
    def exploring(self, search: Any) -> Iterator[None]:
        """Show how far ``search`` is: by time where that is what ends it, else by candidates."""
        status = Status("exploring", share=0.0, seconds=search.max_time)
        takes_callbacks = hasattr(search, "set_callbacks")  # scikit-learn >= 1.9
        if takes_callbacks:
            search.set_callbacks(Candidates(status, search.n_trials))
        try:
            with self._showing(status):
                yield
        finally:
            if takes_callbacks:
                search.set_callbacks()

    @contextlib.contextmanager
    def _showing(self, status: Status) -> Iterator[bool]:
        """Draw ``status`` from a thread while the body runs; yields whether there is a terminal."""
        if sys.stderr is None or not sys.stderr.isatty():
            yield False
            return
        start, done = time.monotonic(), threading.Event()

        def draw() -> None:
            with self._lock:
                self._draw(status.line(time.monotonic() - start))

        def keep_drawing() -> None:
            while not done.wait(SECONDS_BETWEEN_DRAWINGS):
                draw()

        draw()
        drawing = threading.Thread(target=keep_drawing, daemon=True)
        drawing.start()
        try:
            yield True
        finally:
            done.set()
            drawing.join()
            draw()
            with self._lock:
                self._draw("")

    def _draw(self, text: str) -> None:
        """Replace what the line shows; an empty text leaves the line free."""
        if not text and not self._width:
            return
        columns = os.get_terminal_size(sys.stderr.fileno()).columns or 80  # 0: not known
        text = text[: columns - 1]
        blank = " " * (self._width - len(text))
        print(f"\r{text}{blank}" + ("" if text else "\r"), end="", file=sys.stderr, flush=True)
        self._width = len(text)


class Epochs(Callback):
    """Keeps a status at the epoch and the loss of the fit that it watches, and tells a reporter."""

    def __init__(self, status: Status, n_epochs: int, reporter: Reporter) -> None:
        self.status, self.n_epochs, self.reporter = status, n_epochs, reporter

    def on_pass_end(self, loop: Any) -> None:
        """Take over the epoch and the loss."""
        self.status.text = f"training, loss {loop.losses[-1]:.4f}"
        self.status.share = loop.n_iter / self.n_epochs
        held_out = [f", held out {loss:.8f}" for loss in loop.validation_losses[-1:]]
        self.reporter.detail(f"epoch {loop.n_iter}, loss {loop.losses[-1]:.8f}" + "".join(held_out))


class Candidates:
    """Keeps a status at the candidates that a search has tried; a callback of scikit-learn's."""

    def __init__(self, status: Status, n_trials: int | None) -> None:
        self.status, self.n_trials, self.n_done = status, n_trials, 0

    def setup(self, estimator: Any, context: Any) -> None:
        """Nothing is needed before a search."""

    def on_fit_task_begin(self, estimator: Any, context: Any, **_: Any) -> None:
        """Say that the second stage of the search has begun."""
        if context.task_name == "measure-front":
            self.status.text = "measuring the front"

    def on_fit_task_end(self, estimator: Any, context: Any, **_: Any) -> None:
        """Count a candidate that the search has tried."""
        if context.task_name == "candidate" and context.parent.task_name == "search":
            self.n_done += 1
            self.status.text = f"exploring, {self.n_done} candidates"
            if self.n_trials:
                self.status.share = self.n_done / self.n_trials

    def teardown(self, estimator: Any, context: Any) -> None:
        """Nothing is left after a search."""
