"""How does a search go on? It explores and measures the front, in turns, until time is up."""

from __future__ import annotations

import contextlib
import pickle
import threading
import time
import warnings
from collections.abc import Iterable, Mapping
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn import config_context, get_config
from threadpoolctl import threadpool_limits

from fastnn.search.budget import Budget
from fastnn.search.front import pareto_front, select
from fastnn.search.measure import Fold
from fastnn.search.quantities import QUANTITIES, described
from fastnn.search.tasks import Task
from fastnn.search.trials import Candidate, Trials
from fastnn.search.workplace import Workplace, training_folds

# If so many candidates fail from the start, all for the same reason, it is not the candidates.
MAX_EQUAL_FAILURES = 5
SECONDS_BETWEEN_LOOKS = 0.1  # at what other processes have done


@dataclass
class Run:
    """One run of a search: the loop that proposes, trains and measures, within its time.

    Parameters
    ----------
    workplace : Workplace
        Where folds train.
    refit : "knee", a quantity, limits, a callable or False
        As in :class:`fastnn.TradeoffSearchCV`.
    trials : Trials
    n_jobs : int
        Folds that train at the same time.
    n_trials : float
        Candidates to have at the end, those found in the storage included; may be infinite.
    budget : Budget
    """

    workplace: Workplace
    refit: Any
    trials: Trials
    n_jobs: int
    n_trials: float
    budget: Budget
    stopped: bool = field(default=False, init=False)
    ended: bool = field(default=False, init=False)  # by an error or Ctrl-C: no fit is of use now
    not_isolated: set[int] = field(default_factory=set, init=False)  # no time, or it failed there

    def __post_init__(self) -> None:
        self.clock, self.n_folds = self.workplace.clock, len(self.workplace.splits)

    # ---- what is known so far

    @property
    def succeeded(self) -> dict[int, Candidate]:
        """The candidates that did not fail, by number."""
        return {number: one for number, one in self.trials.candidates.items() if not one.failure}

    def front(self, in_search: bool = False) -> NDArray[np.intp]:
        """Numbers of the candidates on the front.

        With ``in_search`` that of what all showed in the search, without what is isolated.
        """
        found = self.succeeded
        values = {
            q: np.array([one.value(q, in_search) for one in found.values()])
            for q in self.trials.objectives
        }
        return np.array(list(found), np.intp)[pareto_front(values)]

    def chosen(self) -> int:
        """Number of the candidate that ``refit`` selects; ValueError if none is within limits."""
        numbers, candidates = list(self.trials.candidates), list(self.trials.candidates.values())
        names = dict.fromkeys([*QUANTITIES, *self.trials.objectives])
        values = {q: np.array([one.value(q) for one in candidates]) for q in names}
        errors = {
            q: np.array([one.standard_error(q) for one in candidates])
            for q in self.trials.objectives
            if described(q).better == "max"
        }
        front = np.array([numbers.index(number) for number in self.front()], np.intp)
        return numbers[select(self.refit, values, self.trials.objectives, front, errors)]

    def _fit_times(self, numbers: Any) -> list[float]:
        return [self.trials.candidates[number].value("fit_time") for number in numbers]

    def _waiting(self) -> list[int]:
        """Numbers of the candidates on the front that are still to be measured in isolation.

        Those on the front of what all showed in the search count, too: in isolation fits are
        quicker, so the first candidate measured would hide them.
        """
        if not self.budget.remeasures:
            return []
        numbers = np.union1d(self.front(), self.front(in_search=True)).tolist()
        return [
            number
            for number in numbers
            if self.trials.candidates[number].isolated is None and number not in self.not_isolated
        ]

    def _reserve(self) -> None:
        """Bring the budget up to date with what is known so far."""
        if self.succeeded:
            fit_times = self._fit_times(self.succeeded)
            front, waiting = self._fit_times(self.front()), self._fit_times(self._waiting())
            put_off = [seconds for seconds in map(self._seconds, self.trials.put_off) if seconds]
            self.budget.reserve(fit_times, front, waiting, put_off)

    def _time_is_up(self) -> bool:
        """Whether no more folds should start; one candidate is finished in any case."""
        late = self.clock.wall() >= self.budget.explore_until
        return self.stopped or (late and bool(self.succeeded))

    def _seconds(self, number: int) -> float:
        """The longest fit among the folds that are done of a candidate that is put off."""
        return max((fold.fit_time for fold in self.trials.put_off[number].values()), default=0.0)

    def _due(self) -> list[int]:
        """Numbers of the candidates put off that go on now, the quickest first.

        They are those that are as quick as is usual, by what is known now; once there are no new
        ones, all that there is time for. Late, with none that succeeded, one has to be finished.
        """
        no_new = self.trials.exhausted or self.trials.n_known >= self.n_trials
        now = self.clock.wall()

        def is_due(number: int) -> bool:
            if not self.succeeded:
                return no_new or now >= self.budget.end
            seconds = self._seconds(number)
            n_left = self.n_folds - len(self.trials.put_off[number])
            in_time = self.budget.has_time_for(n_left, seconds, now)
            return in_time and (no_new or seconds <= self.budget.max_fold_s)

        return sorted(filter(is_due, self.trials.put_off), key=self._seconds)

    def _next(self) -> int | None:
        """Number of the candidate to go on with; None if there is none, for now or for good."""
        if self._time_is_up():
            return None
        if due := self._due():
            return due[0]
        number = self.trials.propose(self.n_trials)
        return next(iter(self._due()), None) if number is None else number

    def _wants_more(self) -> bool:
        """Whether exploring goes on after the front has been measured."""
        if self._time_is_up():
            return False
        is_new = not self.trials.exhausted and self.trials.n_known < self.n_trials
        return is_new or bool(self._due())

    def run(self, root: Task) -> None:
        """Explore and measure the front, in turns.

        The end comes with enough candidates, when time is up, or when a callback says stop.
        How long measuring takes is known only afterwards, so more is set aside for it than it
        usually takes. The rest goes to exploring again, and what that brings onto the front is
        measured as well.
        """
        with self.trials, self.workplace:
            try:
                more = True
                while more:
                    self._explore(root)
                    self._measure_front(root)
                    self._reserve()
                    more = self._wants_more()
            finally:
                self._give_up_slow()

    def _give_up_slow(self) -> None:
        """Say of the candidates that were put off for it that they are too slow."""
        for number in list(self.trials.put_off):
            seconds = self._seconds(number)
            if seconds > self.budget.max_fold_s:
                self.trials.give_up(
                    number,
                    f"too slow: a fold took {seconds:.3g} s, and all would use up the time of many"
                    " others; raise max_time",
                )

    # ---- exploring

    def _explore(self, root: Task) -> None:
        """Propose, train and record candidates until there are enough or exploring has to stop."""
        n_left = max(0, self.n_trials - len(self.trials.candidates))
        # Where time is limited, a candidate that is put off is a task more than once.
        known = np.isfinite(n_left) and np.isinf(self.budget.end)
        task = root.subtask("search", int(n_left) if known else None).begin()
        self._reserve()
        with (
            training_folds(),
            # OpenMP's limit, which the trees of scikit-learn go by, is each thread's own.
            ThreadPoolExecutor(
                self.n_jobs, "fastnn-fold", initializer=threadpool_limits, initargs=(1,)
            ) as pool,
        ):
            try:
                self._run_candidates(pool, task)
            except BaseException:
                self.stopped = self.ended = True
                pool.shutdown(wait=False, cancel_futures=True)
                raise
        if not self.succeeded:
            raise self._all_failed()
        task.end()

    def _run_candidates(self, pool: ThreadPoolExecutor, task: Task) -> None:
        folds: dict[Future[Fold | None], int] = {}  # those that the pool still has, by candidate
        running: dict[int, _Running] = {}
        while True:
            while len(folds) < self.n_jobs and (number := self._next()) is not None:
                running[number] = self._begin(pool, number, task)
                folds.update(dict.fromkeys(running[number].folds.values(), number))
            if folds:
                done = _first_done(folds)
            elif self.trials.awaited and not self._time_is_up():
                time.sleep(SECONDS_BETWEEN_LOOKS)  # until other processes are done
                continue
            else:
                return
            for number in dict.fromkeys(folds.pop(future) for future in done):
                if all(future.done() for future in running[number].folds.values()):
                    for future in running[number].folds.values():
                        folds.pop(future, None)
                    self._finish(number, running.pop(number))

    def _begin(self, pool: ThreadPoolExecutor, number: int, task: Task) -> _Running:
        """Give a candidate's folds to the pool, those that are not done."""
        done, params = self.trials.put_off.pop(number, {}), self.trials.params(number)
        left = [i for i in range(self.n_folds) if i not in done]
        candidate = task.subtask("candidate", len(left)).begin()
        config = get_config()  # scikit-learn's configuration belongs to a thread
        enough = threading.Event()
        folds = {
            i: pool.submit(self._fold, params, i, candidate.subtask("fold"), config, enough)
            for i in left
        }
        return _Running(params, done, folds, candidate, enough)

    def _fold(
        self,
        params: dict[str, Any],
        number: int,
        task: Task,
        config: dict[str, Any],
        enough: threading.Event,
    ) -> Fold | None:
        """Train and measure one fold, in a thread of the pool.

        Returns None if time was up, or ``enough`` known of the candidate, before it began, and if
        the search was over before it was done.
        """
        if enough.is_set() or self._time_is_up():
            return None
        try:
            with config_context(**config):
                found = self.workplace.train(params, number, self._is_over, task)
        except Exception:
            enough.set()  # one failure is enough
            raise
        if found is None:
            return None
        in_time = self.clock.wall() < self.budget.end
        if found.fit_time > self.budget.max_fold_s and (self.succeeded or in_time):
            enough.set()
        return found

    def _is_over(self) -> bool:
        """Whether a fold that still trains is of no use: one candidate is finished in any case."""
        return self.ended or (self.clock.wall() >= self.budget.end and bool(self.succeeded))

    def _finish(self, number: int, running: _Running) -> None:
        """Record a candidate whose folds are done, or put it off."""
        errors = [future.exception() for future in running.folds.values()]
        error = next((one for one in errors if one is not None), None)
        if isinstance(error, self.workplace.faults):
            raise error
        if error is not None:
            failure = f"{type(error).__name__}: {error}"
            self.trials.record(number, Candidate(running.params, failure=failure))
            self._check_failures()
        else:
            found = {i: future.result() for i, future in running.folds.items()}
            folds = running.done | {i: fold for i, fold in found.items() if fold is not None}
            if len(folds) == self.n_folds:
                in_order = [folds[i] for i in range(len(folds))]
                self.trials.record(number, Candidate(running.params, in_order))
            else:
                self.trials.put_off[number] = folds
        self._reserve()
        if running.task.end():
            self.stopped = True

    def _check_failures(self) -> None:
        """Raise if candidates fail from the start, all for one reason."""
        failures = [one.failure for one in self.trials.candidates.values()]
        if len(failures) >= MAX_EQUAL_FAILURES and len(set(failures)) == 1 and failures[0]:
            raise self._all_failed()

    def _all_failed(self) -> Exception:
        failures = [one.failure for one in self.trials.candidates.values()]
        reasons = "\n".join(
            f"{failures.count(reason)} of them: {reason}" for reason in dict.fromkeys(failures)
        )
        by_type = all(reason.startswith("TypeError") for reason in failures)
        kind = TypeError if by_type else ValueError
        return kind(f"All of the {len(failures)} candidates tried failed.\n{reasons}")

    # ---- measuring the front

    def _measure_front(self, root: Task) -> None:
        """Measure the candidates on the front in isolation, until all that are on it have been.

        A candidate that turns out slower may let another one onto the front, which is then measured
        as well. What there is no time for, or fails there, stays as it was measured in the search.
        """
        task = root.subtask("measure-front", None).begin()
        while waiting := self._waiting():
            self._isolate(self._first_of(waiting), task)
        task.end()

    def _first_of(self, waiting: list[int]) -> int:
        """Which candidate to measure first, should time be short.

        The one that is chosen as things stand, else the most accurate.
        """
        if isinstance(self.refit, str | Mapping):
            with contextlib.suppress(ValueError):  # so far, nothing is within the limits
                if (number := self.chosen()) in waiting:
                    return number
        return max(waiting, key=lambda number: self.trials.candidates[number].value("score"))

    def _isolate(self, number: int, task: Task) -> None:
        """Measure a candidate in a fresh process, or leave it as it is."""
        candidate = self.trials.candidates[number]
        start = self.clock.wall()
        fit_time, front = candidate.value("fit_time"), self._fit_times(self.front())
        try:
            timeout = self.budget.measuring_timeout(start, fit_time, front)
        except TimeoutError:
            self.not_isolated.add(number)
            return
        step = task.subtask("candidate").begin(on_all_rows=False)
        try:
            isolated = self.workplace.measure(candidate.params, timeout)
            self.trials.record_isolated(number, isolated)
            self.budget.note_isolated(self.clock.wall() - start, isolated.fit_time)
        except self.workplace.faults:
            raise
        except (TimeoutError, pickle.PicklingError):
            self.not_isolated.add(number)
        except RuntimeError as error:  # its folds succeeded: the process or the machine is at fault
            self.not_isolated.add(number)
            warnings.warn(
                f"A candidate stays as it was measured in the search; isolated, {error}",
                stacklevel=6,
            )
        step.end(on_all_rows=False)


def _first_done(folds: Iterable[Future[Fold | None]]) -> set[Future[Fold | None]]:
    """Those of ``folds`` that are done, as soon as one is; KeyboardInterrupt in time for Ctrl-C."""
    # A signal that another thread receives does not end this thread's wait.
    while not (done := wait(folds, 0.2, FIRST_COMPLETED).done):
        pass
    return done


@dataclass(frozen=True)
class _Running:
    """A candidate whose folds the pool has."""

    params: dict[str, Any]
    done: dict[int, Fold]  # of an earlier turn, by the fold's number
    folds: dict[int, Future[Fold | None]]
    task: Task
    enough: threading.Event  # no more folds are needed: one failed, or was too slow
