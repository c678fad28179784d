"""Where does a candidate train? At a workplace, which has all that its folds need."""

from __future__ import annotations

import contextlib
import threading
import warnings
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any, ClassVar

import joblib
import numpy as np
from sklearn.base import BaseEstimator, clone
from sklearn.exceptions import ConvergenceWarning
from threadpoolctl import threadpool_limits

from fastnn.search import machine
from fastnn.search.measure import (
    PREDICTIONS_IN_SEARCH,
    Clock,
    Dataset,
    Fold,
    Isolated,
    measure_fold,
    prediction_times,
)
from fastnn.search.process import FreshProcesses
from fastnn.search.shared_steps import SavedTime, SharedSteps
from fastnn.search.tasks import Task
from fastnn.training.callbacks import watched_by
from fastnn.training.state import LoopState

Split = tuple[np.ndarray, np.ndarray]  # rows to train on, rows to test on


@dataclass
class Workplace:
    """This process: a fold trains in the thread that asks for it, several at the same time.

    Use it as a context manager.

    Parameters
    ----------
    estimator : estimator object
        What the candidates' parameters are set on.
    dataset : Dataset
    splits : list of (train, test)
        Row numbers of each fold.
    scorer : callable
        Of one score, or of several as a dict whose first one is "score".
    clock : Clock
    shares_steps : bool
        Whether candidates differ in the last step of a Pipeline only.

    Attributes
    ----------
    faults : tuple of exception types
        What says that the workplace is gone. Everything else is a candidate's failure.
    """

    estimator: BaseEstimator
    dataset: Dataset
    splits: list[Split]
    scorer: Callable[..., Any]
    clock: Clock
    shares_steps: bool
    faults: ClassVar[tuple[type[Exception], ...]] = ()

    def __post_init__(self) -> None:
        self.shared_steps = [SharedSteps(self.clock) for _ in self.splits * self.shares_steps]
        self.processes = FreshProcesses(self.dataset, self.clock, self.splits[0][0])

    def __enter__(self) -> Workplace:
        self.processes.__enter__()
        return self

    def __exit__(self, *exc: object) -> None:
        self.processes.__exit__(*exc)

    @property
    def machine(self) -> str:
        """The kind of machine that measures."""
        return machine.kind()

    def n_at_once(self, n_jobs: int | None) -> int:
        """How many folds train at the same time."""
        return int(joblib.effective_n_jobs(n_jobs))

    def train(
        self, params: Mapping[str, Any], number: int, is_over: Callable[[], bool], task: Task
    ) -> Fold | None:
        """Train and measure a fold.

        Parameters
        ----------
        params : dict of str to object
            Of the candidate.
        number : int
            Of the fold.
        is_over : callable
            Says whether the fold is of no use any more; a network's fit then ends after a pass.
        task : Task
            Of the fold.

        Returns
        -------
        fold : Fold or None
            None if it ended before it was done.
        """
        estimator = _single_threaded(with_params(self.estimator, params))
        train, test = map(self.dataset.rows, self.splits[number])
        saved, over = SavedTime(), _StopsWhen(is_over)
        during_fit = self._during_fit(task, estimator, number, saved)
        with watched_by(over):
            found = measure_fold(estimator, train, test, self.scorer, self.clock, during_fit)
        if over.stopped:
            return None
        found = replace(
            found, fit_time=found.fit_time + saved.wall, cpu_time=found.cpu_time + saved.cpu
        )
        if number > 0:
            return found
        times = prediction_times(estimator, test.X, PREDICTIONS_IN_SEARCH, self.clock.wall)
        return replace(found, latency_us=times[0], row_us=times[1])

    @contextlib.contextmanager
    def _during_fit(
        self, task: Task, estimator: BaseEstimator, number: int, saved: SavedTime
    ) -> Iterator[None]:
        """Let callbacks follow a fit, and share the steps that are fitted already."""
        with contextlib.ExitStack() as stack:
            if self.shared_steps:
                stack.enter_context(self.shared_steps[number].used_by(estimator, saved))
            stack.enter_context(task.goes_on(estimator))
            yield

    def measure(self, params: Mapping[str, Any], timeout: float | None) -> Isolated:
        """Measure a candidate in isolation: see :meth:`FreshProcesses.measure`."""
        return self.processes.measure(with_params(self.estimator, params), timeout)


class _StopsWhen:
    """Stops the networks' fits that it watches, after a pass, when something has come true."""

    def __init__(self, has_come_true: Callable[[], bool]) -> None:
        self.has_come_true, self.stopped = has_come_true, False

    def on_pass_end(self, loop: LoopState) -> bool:
        self.stopped = self.stopped or self.has_come_true()
        return self.stopped


def with_params(estimator: BaseEstimator, params: Mapping[str, Any]) -> BaseEstimator:
    """A clone of ``estimator`` with ``params``; estimators among these are cloned as well."""
    return clone(estimator).set_params(**clone(dict(params), safe=False))


def _single_threaded(estimator: BaseEstimator) -> BaseEstimator:
    """``estimator`` with one thread for each network or tree that counts its threads.

    That does not change what they learn. An ``n_jobs`` that is None is 1 already.
    """
    counts = {
        name: value
        for name, value in estimator.get_params().items()
        if name.split("__")[-1] in ("n_threads", "thread_count", "n_jobs")
    }
    names = [name for name, n in counts.items() if n is not None or name.endswith("n_threads")]
    return estimator.set_params(**dict.fromkeys(names, 1))


class _TrainsFolds:
    """This process while folds train in it; bodies that overlap in several threads are one."""

    def __init__(self) -> None:
        self.lock, self.n_bodies, self.settings = threading.Lock(), 0, contextlib.ExitStack()

    @contextlib.contextmanager
    def body(self) -> Iterator[None]:
        with self.lock:
            if not self.n_bodies:
                # As many threads as folds; and the CPU seconds of its thread are all of a fold's.
                self.settings.enter_context(threadpool_limits(limits=1))
                self.settings.enter_context(warnings.catch_warnings())
                warnings.simplefilter("ignore", ConvergenceWarning)  # the search varies max_iter
            self.n_bodies += 1
        try:
            yield
        finally:
            with self.lock:
                self.n_bodies -= 1
                if not self.n_bodies:
                    self.settings.close()


training_folds = _TrainsFolds().body
