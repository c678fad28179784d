"""How is a candidate's cost measured? Once per fold while the search runs, and for the front again:
alone, in a fresh process.

While the search runs, folds train side by side in threads and disturb each other; that is good
enough to steer by. What is reported of the front comes from :func:`alone`: a new Python process
with nothing else running, which fits the candidate on the rows of the first fold, several times
where that is quick, and predicts. Only there can the peak of memory and the processor's energy
counters be told apart from those of other candidates.
"""

from __future__ import annotations

import contextlib
import gc
import math
import numbers
import os
import pickle
import platform
import signal
import subprocess
import sys
import tempfile
import threading
import time
import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any, cast

import numpy as np
from sklearn.base import BaseEstimator, clone
from sklearn.utils import _safe_indexing
from sklearn.utils.metaestimators import _safe_split
from sklearn.utils.validation import _check_method_params, _num_samples

from fastnn.backends.threads import available_cpus
from fastnn.core.cost import predict_flops
from fastnn.core.network import NetworkSpec

pickler: Any = pickle
with contextlib.suppress(ImportError):
    import cloudpickle  # type: ignore[import-untyped]

    pickler = cloudpickle  # takes along what a notebook or a script defined, which another process cannot import

if sys.platform != "win32":
    import resource


@dataclass(frozen=True)
class Quantity:
    """What a search can weigh: its unit, which way is better, and whether it is timed and so measured again for the front."""

    unit: str
    meaning: str
    timed: bool = True
    better: str = "min"


QUANTITIES = {
    "score": Quantity("", "score on the held-out fold, mean over folds", timed=False, better="max"),
    "fit_time": Quantity("s", "wall seconds of a fit"),
    "cpu_time": Quantity("s", "CPU seconds of a fit"),
    "latency_us": Quantity("us", "wall microseconds to predict one row"),
    "row_us": Quantity("us", "wall microseconds per row, predicting many at once"),
    "model_bytes": Quantity(
        "B", "bytes of the pickled fitted model, median over folds", timed=False
    ),
    "flops": Quantity(
        "FLOP", "floating-point operations of the network to predict one row", timed=False
    ),
    "peak_bytes": Quantity("B", "bytes that a fit adds to the memory of its process at its peak"),
    "energy_j": Quantity("J", "joules of a fit"),
}


@dataclass(frozen=True)
class Clock:
    """Where seconds come from; the tests put their own in."""

    wall: Callable[[], float] = time.perf_counter
    thread_cpu: Callable[[], float] = (
        time.thread_time
    )  # of the calling thread: folds run side by side
    process_cpu: Callable[[], float] = (
        time.process_time
    )  # of all threads: a candidate that runs alone


@dataclass(frozen=True)
class Effort:
    """How often predictions are repeated: at least ``least`` times, at most ``most``, no more once ``seconds`` have passed."""

    least: int
    most: int
    seconds: float

    def repeat(self, call: Callable[[], object], wall: Callable[[], float]) -> list[float]:
        """Seconds of each call. The first, which may be slower, does not move a median."""
        seconds: list[float] = []
        end = wall() + self.seconds
        while len(seconds) < self.least or (len(seconds) < self.most and wall() < end):
            start = wall()
            call()
            seconds.append(wall() - start)
        return seconds


FORKS = sys.platform == "linux"

# Beside others, a glance at the model of one fold, for those of the others answer as quickly:
# behind preprocessing of 7 ms, five folds' glances took a third of a search. Alone, enough for a
# median that another measurement repeats.
GLANCE = Effort(least=3, most=30, seconds=0.02)
CAREFUL = Effort(least=15, most=300, seconds=0.15)
LONG_FIT = 10.0
FITS = Effort(least=1, most=5, seconds=0.7)
BULK_ROWS = 10_000

POWERCAP = Path(
    "/sys/class/powercap"
)  # Linux, for Intel and AMD alike; root's alone on many systems


@dataclass(frozen=True)
class Fold:
    """What one fold showed. Plain numbers and lists, so that a storage can keep it as JSON."""

    score: float
    fit_time: float
    cpu_time: float
    score_time: float
    model_bytes: float  # NaN where it cannot be pickled
    flops: float  # NaN where the model holds no network
    latency_us: list[float] = field(default_factory=list)  # of the first fold alone, as row_us
    row_us: list[float] = field(default_factory=list)


@dataclass(frozen=True)
class Alone:
    """What a candidate showed alone in a fresh process, fitted on all rows: every repeat."""

    fit_time: list[float]
    cpu_time: list[float]
    latency_us: list[float]
    row_us: list[float]
    peak_bytes: float
    energy_j: list[float]
    energy_source: str


@dataclass(frozen=True)
class Table:
    """The data of a search, with the parameters that go to ``fit`` and to the scorer."""

    X: Any
    y: Any
    fit_params: Mapping[str, Any] = field(default_factory=dict)
    score_params: Mapping[str, Any] = field(default_factory=dict)

    @property
    def metadata(self) -> dict[str, Any] | None:
        """What scikit-learn's callbacks are told beside X and y."""
        weight = self.fit_params.get("sample_weight")
        return None if weight is None else {"sample_weight": weight}

    def at(self, estimator: BaseEstimator, rows: np.ndarray) -> Table:
        """A table of some rows, to fit on."""
        return Table(
            *self.rows(estimator, rows), _check_method_params(self.X, self.fit_params, rows)
        )

    def rows(
        self, estimator: BaseEstimator, indices: np.ndarray, fitted_on: np.ndarray | None = None
    ) -> tuple[Any, Any]:
        """X and y at ``indices``; y is None where the table has none."""
        return _safe_split(estimator, self.X, self.y, indices, fitted_on)


def fit(estimator: BaseEstimator, X: Any, y: Any, params: Mapping[str, Any]) -> None:
    """Fit with y, or without where there is none: not every estimator takes ``y=None``."""
    if y is None:
        estimator.fit(X, **params)
    else:
        estimator.fit(X, y, **params)


def fold(
    estimator: BaseEstimator,
    table: Table,
    split: tuple[np.ndarray, np.ndarray],
    scorer: Callable[..., float],
    clock: Clock,
    during_fit: contextlib.AbstractContextManager[None] = contextlib.nullcontext(),  # noqa: B008 - it has no state
) -> Fold:
    """Fit ``estimator`` on the first rows of ``split`` and measure it on the second; meant to run
    in a thread of its own.

    ``during_fit`` surrounds the fit alone: what it hangs on the estimator must be gone before that
    is pickled for its size.

    Raises whatever the estimator or the scorer raises, and ValueError if the score is not a finite
    number.
    """
    train, test = split
    X, y = table.rows(estimator, train)
    fit_params = _check_method_params(table.X, table.fit_params, train)
    with during_fit:
        start, start_cpu = clock.wall(), clock.thread_cpu()
        fit(estimator, X, y, fit_params)
        fit_time, cpu_time = clock.wall() - start, clock.thread_cpu() - start_cpu

    X, y = table.rows(estimator, test, train)
    score_params = _check_method_params(table.X, table.score_params, test)
    start = clock.wall()
    score: Any = (
        scorer(estimator, X, **score_params)
        if y is None
        else scorer(estimator, X, y, **score_params)
    )
    score_time = clock.wall() - start
    if not isinstance(score, numbers.Real) or not math.isfinite(score):
        raise ValueError(f"the score must be a finite number, got {score!r}")
    return Fold(
        float(score), fit_time, cpu_time, score_time, model_bytes(estimator), flops(estimator)
    )


def model_bytes(estimator: BaseEstimator) -> float:
    """Length of the pickled ``estimator``; NaN if it cannot be pickled."""
    try:
        return float(len(pickler.dumps(estimator)))
    except Exception:  # pickling runs code of the estimator's, which may raise anything
        return math.nan


def prediction_times(
    estimator: BaseEstimator, X: Any, effort: Effort, wall: Callable[[], float]
) -> tuple[list[float], list[float]]:
    """Microseconds to predict one row, and per row of many; nothing for an estimator that does not predict."""
    if not hasattr(estimator, "predict"):
        return [], []
    row, many = _safe_indexing(X, [0]), _safe_indexing(X, slice(0, BULK_ROWS))
    latency_us = [1e6 * s for s in effort.repeat(lambda: estimator.predict(row), wall)]
    n_rows = _num_samples(many)
    return latency_us, [
        1e6 * s / n_rows for s in effort.repeat(lambda: estimator.predict(many), wall)
    ]


def flops(estimator: BaseEstimator) -> float:
    """FLOPs to predict one row of the network in a fitted ``estimator``, preprocessing not counted; NaN without a network."""
    network = network_of(estimator)
    if network is None:
        return float("nan")
    units = [len(network.coefs_[0])] + [W.shape[1] for W in network.coefs_]
    return float(predict_flops(NetworkSpec.dense(units, "identity", "squared_error")))


def network_of(estimator: Any) -> Any:
    """The fitted network that an estimator is, ends in, or wraps, fastnn's or scikit-learn's; None if there is none."""
    if isinstance(getattr(estimator, "coefs_", None), list):
        return estimator
    if hasattr(estimator, "steps"):
        return network_of(estimator.steps[-1][1])
    inner = [
        getattr(estimator, name)
        for name in ("estimator_", "regressor_", "best_estimator_")
        if hasattr(estimator, name)
    ]
    return network_of(inner[0]) if inner else None


def alone(estimator: BaseEstimator, table: Table, clock: Clock) -> Alone:
    """Fit ``estimator`` on the table and predict with it; meant for a process in which nothing else happens."""
    params = _check_method_params(table.X, table.fit_params)
    fit_time: list[float] = []
    cpu_time: list[float] = []
    joules: list[float | None] = []
    peak = _PeakMemory()
    warm = False
    while (
        not warm
        or len(fit_time) < FITS.least
        or (len(fit_time) < FITS.most and sum(fit_time) < FITS.seconds)
    ):
        model = clone(estimator)
        before = rapl_joules()
        start, start_cpu = clock.wall(), clock.process_cpu()
        fit(model, table.X, table.y, params)
        seconds, cpu_seconds = clock.wall() - start, clock.process_cpu() - start_cpu
        # The first fit also pays for what the process loads once, such as compiled code; of a long
        # one that is a small part.
        if warm or seconds > LONG_FIT:
            fit_time.append(seconds)
            cpu_time.append(cpu_seconds)
            after = rapl_joules()
            joules.append(
                None if before is None or after is None or after <= before else after - before
            )
        warm = True
    peak_bytes = peak.rise()
    counted = [one for one in joules if one is not None]
    energy_j, source = (
        (counted, COUNTED) if counted else (estimated_joules(cpu_time), estimate_label())
    )
    latency_us, row_us = prediction_times(model, table.X, CAREFUL, clock.wall)
    return Alone(fit_time, cpu_time, latency_us, row_us, peak_bytes, energy_j, source)


# ---- memory


class _PeakMemory:
    """How far the resident memory of this process rises above where it stands now; NaN where the
    system does not tell.

    Linux can reset a process's high-water mark. macOS cannot, so there the rise is that above the
    highest mark before.
    """

    def __init__(self) -> None:
        gc.collect()
        with contextlib.suppress(OSError):
            Path("/proc/self/clear_refs").write_text("5")  # proc(5): resets VmHWM to VmRSS
        self.before = _high_water_mark()

    def rise(self) -> float:
        """Bytes between then and the peak since."""
        return _high_water_mark() - self.before


def _high_water_mark() -> float:
    """Resident bytes at the peak, without pages of files: libraries' code comes in as it is first used, and is shared."""
    with contextlib.suppress(OSError):
        status = Path("/proc/self/status").read_text()
        peak, of_files = (int(status.split(name)[1].split()[0]) for name in ("VmHWM:", "RssFile:"))
        return 1024.0 * (peak - of_files)
    if sys.platform == "win32":
        return math.nan
    return float(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)


# ---- energy


def rapl_joules(root: Path = POWERCAP) -> float | None:
    """Joules counted so far by the processor packages (Intel and AMD RAPL); None where they cannot
    be read.

    The counters count everything a package does, so they tell of a candidate only if nothing else
    runs. They wrap around after hours; a difference that comes out negative is to be thrown away.
    """
    try:
        counters = [int((zone / "energy_uj").read_text()) for zone in root.glob("intel-rapl:[0-9]")]
    except (OSError, ValueError):
        return None
    return sum(counters) * 1e-6 if counters else None


def estimated_joules(cpu_seconds: list[float]) -> list[float]:
    """CPU seconds times the stated wattage."""
    return [seconds * watts() for seconds in cpu_seconds]


def watts() -> float:
    """Watts that one busy core is taken to draw: 10, or what the environment variable FASTNN_WATTS says."""
    text = os.environ.get("FASTNN_WATTS", "10")
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not (0 < value < math.inf):
        raise ValueError(f"FASTNN_WATTS must be a positive number of watts, got {text!r}.")
    return value


def estimate_label() -> str:
    """How an estimated energy is labelled."""
    return f"estimated: CPU seconds x {watts():g} W"


COUNTED = "counted by the processor (RAPL, whole package)"


# ---- a fresh process


class FreshProcesses:
    """Measures candidates one after the other, each in a new Python process that holds the table
    and nothing else.

    Use as a context manager. Starting Python and importing takes over a second, three times as long
    as measuring a small network, so on Linux one process does that and forks for each candidate; it
    never computes anything. Elsewhere forking is not safe, and each candidate's process starts from
    nothing. Both measure the same: times within their spread, peaks within 1 %.

    Parameters
    ----------
    table : Table
    clock : Clock
    rows : ndarray or None
        Those to fit on; None is all of them.
    """

    def __init__(self, table: Table, clock: Clock, rows: np.ndarray | None = None) -> None:
        self.table, self.clock, self.rows = table, clock, rows
        self.server: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> FreshProcesses:
        self.folder = tempfile.TemporaryDirectory(prefix="fastnn-")
        return self

    def __exit__(self, *exc: object) -> None:
        self._end()
        self.folder.cleanup()

    def measure(self, estimator: BaseEstimator, timeout: float | None = None) -> Alone:
        """What ``estimator`` shows alone.

        Raises
        ------
        TimeoutError
            If it takes longer than ``timeout`` seconds; the process is then ended.
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
        if self.server is None:
            self._start(estimator)
        server = cast("subprocess.Popen[bytes]", self.server)
        deadline = threading.Timer(
            threading.TIMEOUT_MAX if timeout is None else timeout, _kill, [server]
        )
        deadline.start()
        try:
            with contextlib.suppress(BrokenPipeError):  # it has died; what it wrote says why
                cast(IO[bytes], server.stdin).write(b"\n")
            answer = cast(IO[bytes], server.stdout).readline()  # nothing once the server has ended
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
            lines = (folder / "errors").read_text(errors="replace").strip().splitlines() or [
                "it was ended from outside"
            ]
            raise RuntimeError(f"it failed in a process of its own: {lines[-1]}")
        return pickle.loads((folder / "result").read_bytes())

    def _start(self, estimator: BaseEstimator) -> None:
        folder = Path(self.folder.name)
        if not (folder / "table").exists():
            table = self.table if self.rows is None else self.table.at(estimator, self.rows)
            (folder / "table").write_bytes(pickler.dumps((table, self.clock)))
        command = [
            sys.executable,
            "-c",
            f"from fastnn.search.measure import _serve; _serve(forks={FORKS})",
            self.folder.name,
        ]
        environment = {
            **os.environ,
            "PYTHONPATH": os.pathsep.join(path for path in sys.path if path),
        }
        with (folder / "errors").open("ab") as errors:
            self.server = subprocess.Popen(
                command,
                env=environment,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=errors,
                bufsize=0,
                start_new_session=True,  # to end it with its child; Ctrl-C then comes to us alone, and we end both
            )

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


def _serve(forks: bool) -> None:
    """Measure the candidate in the folder named on the command line, for each line that is read: what the new process runs."""
    warnings.simplefilter("ignore")
    folder = Path(sys.argv[1])
    answers = os.dup(1)
    os.dup2(2, 1)  # what an estimator prints is no answer
    while sys.stdin.readline():
        os.truncate(2, 0)
        estimator = pickle.loads(
            (folder / "candidate").read_bytes()
        )  # imports what it is made of, once for all children
        if forks and (child := os.fork()):
            os.waitpid(child, 0)
            os.write(answers, b"\n")
            continue
        table, clock = pickle.loads((folder / "table").read_bytes())
        (folder / "result").write_bytes(pickle.dumps(alone(estimator, table, clock)))
        os._exit(0)  # taking down the interpreter piece by piece would take as long as measuring


def machine() -> str:
    """The machine that measured, in a line."""
    return f"{platform.system()} {platform.machine()}, {available_cpus()} CPUs, Python {platform.python_version()}"
