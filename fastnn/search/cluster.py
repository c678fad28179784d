"""How does a search use a Dask cluster? Its folds train on workers, which have the data by then.

A place where a fold trains is a worker's thread. What a worker was doing when it ended is done
again by another. Where the data were lost with it, they are sent again.
"""

from __future__ import annotations

import contextlib
import math
import threading
import time
import warnings
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import CancelledError
from dataclasses import dataclass, field, fields, replace
from typing import Any, ClassVar

from sklearn import config_context, get_config
from threadpoolctl import threadpool_limits

from fastnn._optional import require
from fastnn.dask.cluster import PATIENCE, WorkersLost, check_versions
from fastnn.search import machine
from fastnn.search.measure import Fold, Isolated, pickler
from fastnn.search.tasks import Task
from fastnn.search.workplace import Workplace, training_folds

POLL = 0.5  # seconds between two looks at whether a task is still of use, and can be done
ATTEMPTS = 4  # at a task whose workers end


@dataclass
class ClusterWorkplace(Workplace):
    """The workers of a Dask client: a thread that asks for a fold waits for one of them.

    All are of one kind of machine, that of most threads: seconds compare on one kind only.

    Parameters
    ----------
    client : distributed.Client

    Raises
    ------
    TypeError
        If what is sent to the workers cannot be pickled.
    WorkersLost
        If there has been no worker for a minute, or the scheduler does not answer.
    """

    client: Any
    kinds: dict[str, str] = field(default_factory=dict, init=False)  # of machines, by worker
    faults: ClassVar[tuple[type[Exception], ...]] = (WorkersLost,)

    def __post_init__(self) -> None:
        self.lock = threading.Lock()
        self.sent: Any = None
        self.busy = Counter[str | None]()  # how many tasks are with each worker
        _check_pickle(self.estimator, self.scorer)
        self.kind = ""
        found = self._workers(lambda: False)
        n_threads = Counter[str]()
        for worker, n in found.items():
            n_threads[self.kinds[worker]] += n
        ((self.kind, n), *others) = n_threads.most_common()
        if others:
            left_out = ", ".join(f"{m} of {kind}" for kind, m in others)
            warnings.warn(
                f"Workers are of {len(n_threads)} kinds of machines, among which seconds do not"
                f" compare: the search runs on {n} threads of {self.kind}, and leaves out"
                f" {left_out}.",
                stacklevel=6,
            )

    def __exit__(self, *exc: object) -> None:
        self.sent = None  # workers forget what no one wants

    def __enter__(self) -> ClusterWorkplace:
        return self

    @property
    def machine(self) -> str:
        """The kind of machine that measures."""
        return self.kind

    def n_at_once(self, n_jobs: int | None) -> int:
        """How many folds train at the same time: as many as workers have threads, or ``n_jobs``."""
        n = sum(self._workers(lambda: False).values())
        if n_jobs is None:
            return n
        return super().n_at_once(n_jobs) if n_jobs >= 0 else max(1, n + 1 + n_jobs)

    def train(
        self, params: Mapping[str, Any], number: int, is_over: Callable[[], bool], task: Task
    ) -> Fold | None:
        """See :meth:`Workplace.train`. Callbacks do not follow a fit to its worker."""
        with task.goes_on():
            return self._ask(is_over, _train, params, number, get_config())

    def measure(self, params: Mapping[str, Any], timeout: float | None) -> Isolated:
        """See :meth:`Workplace.measure`; in a fresh process of a worker's."""
        end = math.inf if timeout is None else self.clock.wall() + timeout
        found = self._ask(lambda: self.clock.wall() > end, _measure, params, timeout)
        if found is None:
            raise TimeoutError(f"not done after {timeout:.1f} s")
        return found

    def _workers(self, is_over: Callable[[], bool]) -> dict[str, int]:
        """The threads of each worker of the kind; waits for one; none if it is over before."""
        since = time.monotonic()
        while not is_over():
            found = self._threads()
            unknown = [worker for worker in found if worker not in self.kinds]
            if unknown:
                if not self.kinds:
                    check_versions(self.client)
                self.kinds |= self.client.run(machine.kind, workers=unknown, on_error="ignore")
            of_kind = {
                worker: n
                for worker, n in found.items()
                if worker in self.kinds and self.kind in ("", self.kinds[worker])
            }
            if of_kind:
                return of_kind
            if time.monotonic() - since > PATIENCE:
                kind = self.kind and f" of {self.kind}"
                raise WorkersLost(
                    f"The cluster of {self.client} has had no worker{kind} for {PATIENCE:.0f} s."
                    " Start workers, and search again."
                )
            time.sleep(0.05)
        return {}

    def _threads(self) -> dict[str, int]:
        """How many threads each worker has."""
        try:
            return dict(self.client.nthreads())
        except (OSError, AttributeError) as error:  # the latter of a client that is closed
            raise WorkersLost(
                f"The scheduler of {self.client} does not answer. Start it, and search again with a"
                " new client."
            ) from error

    def _ask(
        self, is_over: Callable[[], bool], function: Callable[..., Any], *args: Any
    ) -> Any | None:
        """What ``function(workplace, *args)`` returns on a worker; None if it is over before."""
        n_attempts = 0
        while n_attempts < ATTEMPTS:
            n_attempts += 1
            with self._place(is_over) as worker:
                if worker is None:
                    return None
                try:
                    sent = self._send()
                except (OSError, TimeoutError):  # the worker that should have it has just ended
                    continue
                future = self.client.submit(function, sent, *args, workers=[worker], pure=False)
                # A task whose worker has ended would wait for ever.
                while not _is_done(future) and worker in self._threads():
                    if is_over():
                        future.release()  # Dask tells the worker
                        return None
                if future.status == "error" and not _is_killed(future.exception()):
                    raise future.exception()
                if future.status == "cancelled" and worker in self._threads():
                    n_attempts -= 1  # the data were lost with another worker
                if future.status == "finished":
                    with contextlib.suppress(TimeoutError, CancelledError):  # it has just ended
                        return future.result(timeout=PATIENCE)
        raise RuntimeError(
            "every worker that it was given to ended; mostly it needs more memory than workers have"
        )

    @contextlib.contextmanager
    def _place(self, is_over: Callable[[], bool]) -> Iterator[str | None]:
        """The worker with the largest part of its threads free; None if it is over before."""
        workers = self._workers(is_over)
        with self.lock:
            worker = min(workers, key=lambda one: self.busy[one] / workers[one], default=None)
            self.busy[worker] += 1
        try:
            yield worker
        finally:
            with self.lock:
                self.busy[worker] -= 1

    def _send(self) -> Any:
        """The workplace that trains on workers: sent once, to one from which the others have it."""
        with self.lock:
            if self.sent is None or self.sent.status != "finished":
                parts = {f.name: getattr(self, f.name) for f in fields(Workplace)}
                self.sent = self.client.scatter(Workplace(**parts), hash=False)
            return self.sent


def _is_done(future: Any) -> bool:
    """Whether a task has come to an end, good or bad; waits for that a little."""
    distributed = require("distributed")
    try:
        distributed.wait([future], timeout=POLL)
    except TimeoutError:
        return False
    except CancelledError:
        pass
    return True


def _is_killed(error: BaseException) -> bool:
    """Whether a task failed as workers ended while they did it."""
    return isinstance(error, require("distributed").scheduler.KilledWorker)


def _check_pickle(*parts: Any) -> None:
    try:
        pickler.dumps(parts)
    except Exception as error:  # pickling runs the estimator's code, which may raise anything
        raise TypeError(
            "A search on a cluster sends estimator and scoring to its workers, and something in"
            f" them cannot be pickled for that: {str(error)[:200]}. Replace it, or search without"
            " client."
        ) from error


# ---- on a worker


def _train(
    workplace: Workplace, params: Mapping[str, Any], number: int, config: Mapping[str, Any]
) -> Fold | None:
    """Train a fold, until the search wants it no more."""
    worker = require("distributed").get_worker()
    key = worker.get_current_task()

    def is_over() -> bool:
        task = worker.state.tasks.get(key)
        return task is None or task.state == "cancelled"

    with (
        training_folds(),
        threadpool_limits(1, user_api="openmp"),  # of this thread
        config_context(**config),
    ):
        task = Task(workplace.estimator, workplace.dataset, None)
        return workplace.train(params, number, is_over, task)


def _measure(workplace: Workplace, params: Mapping[str, Any], timeout: float | None) -> Isolated:
    with replace(workplace) as own:
        return own.measure(params, timeout)
