"""How is a candidate isolated? In a new Python process that does nothing else."""

from __future__ import annotations

import contextlib
import os
import pickle
import signal
import subprocess
import sys
import tempfile
import threading
import warnings
from pathlib import Path
from typing import IO, cast

import numpy as np
from sklearn.base import BaseEstimator

from fastnn.search.measure import Clock, Dataset, Isolated, measure_isolated, pickler

FORKS = sys.platform == "linux"


class FreshProcesses:
    """Measures candidates one after the other, each in a new process.

    Use it as a context manager. Starting Python and importing takes over a second, three times as
    long as measuring a small network. So on Linux one process, the server, does that and forks for
    each candidate; it never computes anything. Elsewhere forking is not safe, and each candidate's
    process starts Python anew. Both measure the same: times within their spread, peaks within 1 %.

    Parameters
    ----------
    dataset : Dataset
    clock : Clock
    rows : ndarray or None, default=None
        Those that candidates are fitted on; None is all of them.
    """

    def __init__(self, dataset: Dataset, clock: Clock, rows: np.ndarray | None = None) -> None:
        self.dataset, self.clock, self.rows = dataset, clock, rows
        self.server: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> FreshProcesses:
        self.folder = tempfile.TemporaryDirectory(prefix="fastnn-")
        return self

    def __exit__(self, *exc: object) -> None:
        self._end()
        self.folder.cleanup()

    def measure(self, estimator: BaseEstimator, timeout: float | None = None) -> Isolated:
        """Measure ``estimator``.

        Parameters
        ----------
        estimator : estimator object
        timeout : float or None, default=None
            Seconds after which the process is ended.

        Returns
        -------
        isolated : Isolated

        Raises
        ------
        TimeoutError
            If it takes longer than ``timeout``.
        RuntimeError
            If it fails there; the message ends with the last line that the process wrote.
        pickle.PicklingError
            If it cannot be sent there.
        """
        folder = Path(self.folder.name)
        (folder / "result").unlink(missing_ok=True)
        try:
            (folder / "candidate").write_bytes(pickler.dumps(estimator))
        except TypeError as error:
            raise pickle.PicklingError(str(error)) from error
        server = self._start() if self.server is None else self.server
        deadline = threading.Timer(
            threading.TIMEOUT_MAX if timeout is None else timeout, _kill, [server]
        )
        deadline.start()
        try:
            with contextlib.suppress(BrokenPipeError):  # it is dead; what it wrote says why
                cast(IO[bytes], server.stdin).write(b"\n")
            answer = cast(IO[bytes], server.stdout).readline()  # empty once the server has ended
            if deadline.finished.is_set():
                raise TimeoutError(f"not done after {timeout:.1f} s")
        except BaseException:
            self._end()
            raise
        finally:
            deadline.cancel()
        if not answer:
            self._end()
        if not (folder / "result").exists():
            lines = (folder / "errors").read_text(errors="replace").strip().splitlines()
            last = lines[-1] if lines else "it was ended from outside"
            raise RuntimeError(f"it failed in a process of its own: {last}")
        return pickle.loads((folder / "result").read_bytes())

    def _start(self) -> subprocess.Popen[bytes]:
        folder = Path(self.folder.name)
        if not (folder / "dataset").exists():
            dataset = self.dataset if self.rows is None else self.dataset.rows(self.rows)
            (folder / "dataset").write_bytes(pickler.dumps((dataset, self.clock)))
        code = f"from fastnn.search.process import serve; serve(forks={FORKS})"
        path = os.pathsep.join(path for path in sys.path if path)
        with (folder / "errors").open("ab") as errors:
            self.server = subprocess.Popen(
                [sys.executable, "-c", code, self.folder.name],
                # Threads of trees that wait let others run, on a busy machine too.
                env={"OMP_WAIT_POLICY": "passive", **os.environ, "PYTHONPATH": path},
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=errors,
                bufsize=0,
                start_new_session=True,  # so that Ctrl-C reaches the search, which ends both
            )
        return self.server

    def _end(self) -> None:
        if self.server is not None:
            _kill(self.server)
            with self.server:  # closes its pipes and waits
                self.server = None


def _kill(server: subprocess.Popen[bytes]) -> None:
    """End a server and the process that it has forked."""
    if hasattr(os, "killpg"):
        with contextlib.suppress(ProcessLookupError):
            os.killpg(server.pid, signal.SIGKILL)
    else:
        server.kill()


def serve(forks: bool) -> None:
    """Measure the candidate in the folder that the command line names, for each line of input.

    This is what the new process runs.
    """
    warnings.simplefilter("ignore")
    folder = Path(sys.argv[1])
    answers = os.dup(1)
    os.dup2(2, 1)  # what an estimator prints is no answer
    while sys.stdin.readline():
        os.truncate(2, 0)
        # Unpickling imports what the candidate is made of, once for all children.
        estimator = pickle.loads((folder / "candidate").read_bytes())
        if forks and (child := os.fork()):
            os.waitpid(child, 0)
            os.write(answers, b"\n")
            continue
        dataset, clock = pickle.loads((folder / "dataset").read_bytes())
        result = measure_isolated(estimator, dataset, clock)
        (folder / "result").write_bytes(pickle.dumps(result))
        os._exit(0)  # a regular exit of the interpreter takes as long as measuring
