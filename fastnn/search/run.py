"""How does a search go on? It trains folds in threads and measures the front alone, in turns, until its time is up."""

from __future__ import annotations

import contextlib
import math
import pickle
import threading
import warnings
from collections.abc import Iterator, Mapping
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn import config_context, get_config
from sklearn.base import BaseEstimator, clone
from sklearn.exceptions import ConvergenceWarning
from threadpoolctl import threadpool_limits

from fastnn.search.front import check_refit, choose, pareto_front
from fastnn.search.measure import (
    FITS,
    GLANCE,
    QUANTITIES,
    Clock,
    Fold,
    FreshProcesses,
    Table,
    fold,
    prediction_times,
)
from fastnn.search.shared_steps import Loan, Preprocessing, differ_in_the_last_step
from fastnn.search.trials import Candidate, Trials

Split = tuple[np.ndarray, np.ndarray]  # rows to train on, rows to test on

HOPELESS = 5  # so many candidates failing from the start, all for the same reason: it is not the candidates
PATIENCE = 4.0  # times the expected seconds, where time is limited: one candidate must not use up that of all others
# Of max_time: a candidate that will take more, and PATIENCE times as long as others, is given up.
# Networks' fits differ a thousandfold in time: in 15 seconds on phoneme, 4,300 rows, 4 to 21
# candidates were tried without this and 11 to 53 with it, and the best score was 0.8620 and 0.8706
# (means of four seeds).
DEAR = 0.1
STARTUP_S = 2.0  # a fresh process: interpreter, imports and the repeats of its predictions


@dataclass
class Run:
    """One run of a search: the loop that proposes, trains and measures, within its time.

    Attributes
    ----------
    search : TradeoffSearchCV
        Whose callbacks are called.
    estimator : estimator object
        What the candidates' parameters are set on.
    table : Table
    splits : list of (train, test)
    trials : Trials
    clock : Clock
    n_jobs : int
    n_trials : float
        Candidates to have at the end, those found in the storage included.
    end : float
        When ``fit`` has to be done, by the clock.
    """

    search: Any
    estimator: BaseEstimator
    table: Table
    splits: list[Split]
    trials: Trials
    clock: Clock
    n_jobs: int
    n_trials: float
    end: float

    def __post_init__(self) -> None:
        self.half = (self.end - self.clock.wall()) / 2
        # A fold's seconds beyond which a candidate is given up; until one has succeeded, those with
        # which none could be done.
        k = len(self.splits)
        self.too_slow = (
            2
            * self.half
            / (math.ceil(k / self.n_jobs) + (k / max(1, k - 1)) * (self.search.refit is not False))
        )
        self.startup = STARTUP_S
        self.search_end = self.end
        self.left: set[int] = set()  # candidates that could not be measured alone
        names = {name for part in self.trials.space.parts for name in part}
        self.preprocessing = (
            [Preprocessing(self.clock) for _ in self.splits]
            if differ_in_the_last_step(self.estimator, names)
            else []
        )
        self.processes = FreshProcesses(self.table, self.clock, self.splits[0][0])
        self.stop = False

    # ---- what is known so far

    @property
    def succeeded(self) -> dict[int, Candidate]:
        """The candidates that did not fail, by number."""
        return {number: one for number, one in self.trials.candidates.items() if not one.failure}

    def front(self, beside: bool = False) -> NDArray[np.intp]:
        """Numbers of the candidates on the front; with ``beside``, on that of what all showed beside others."""
        found = self.succeeded
        values = {
            q: np.array([one.value(q, beside) for one in found.values()])
            for q in self.trials.objectives
        }
        return np.array(list(found), np.intp)[pareto_front(values)]

    def choice(self) -> int:
        """Number of the candidate of the front that ``refit`` takes; ValueError if none keeps within its limits."""
        numbers, candidates = list(self.trials.candidates), list(self.trials.candidates.values())
        values = {q: np.array([one.value(q) for one in candidates]) for q in QUANTITIES}
        errors = np.array([one.standard_error() for one in candidates])
        front = np.array([numbers.index(number) for number in self.front()], np.intp)
        return numbers[choose(self.search.refit, values, self.trials.objectives, front, errors)]

    def _seconds_alone(self, candidate: Candidate) -> float:
        """How long it will take to measure a candidate alone."""
        seconds = candidate.value("fit_time")
        return self.startup + min((1 + FITS.most) * seconds, 2 * seconds + FITS.seconds)

    def _seconds_refit(self) -> float:
        """How long fitting the chosen candidate on all rows may take: as long as any of the front's."""
        if self.search.refit is False:
            return 0.0
        k = len(self.splits)
        slowest = max(self.trials.candidates[number].value("fit_time") for number in self.front())
        return slowest * k / max(1, k - 1)

    def _measures_again(self) -> bool:
        """Whether the front is timed again: only if it hangs on a time, and so on what ran beside a candidate."""
        return any(
            QUANTITIES[q].timed for q in [*self.trials.objectives, *check_refit(self.search.refit)]
        )

    def _waiting(self) -> list[int]:
        """Numbers of the candidates on the front that are still to be measured alone.

        Those on the front of what all showed beside others, too: the first measured alone is the
        quicker for it, and would hide them.
        """
        numbers = np.union1d(self.front(), self.front(beside=True)).tolist()
        return [
            one
            for one in numbers
            if self.trials.candidates[one].alone is None and one not in self.left
        ]

    def _reserve(self) -> None:
        """Set aside the time for a fold that still runs, to measure the front alone, and for the
        last fit; at most half.

        Room for one more candidate is left: what runs when exploring ends may come onto the front.
        """
        if self.end < math.inf and self.succeeded:
            fits = [one.value("fit_time") for one in self.succeeded.values()]
            dear = DEAR * 2 * self.half * self.n_jobs / len(self.splits)
            self.too_slow = max(dear, PATIENCE * float(np.median(fits)))
            seconds = self._seconds_refit() + max(fits)
            if self._measures_again():
                candidates = self.trials.candidates
                seconds += sum(
                    self._seconds_alone(candidates[number]) for number in self._waiting()
                )
                seconds += max(self._seconds_alone(candidates[number]) for number in self.front())
            self.search_end = self.end - min(seconds, self.half)

    def _time_is_up(self) -> bool:
        """Whether no more folds should start; one candidate is finished in any case."""
        return self.stop or (self.clock.wall() >= self.search_end and bool(self.succeeded))

    def spend(self, root: Any) -> None:
        """Explore and measure the front alone, in turns, until candidates are enough, time is up,
        or a callback says stop.

        How long measuring takes is known only afterwards, so more is set aside for it than it
        mostly takes. What is left over goes to exploring again, and what that brings onto the front
        is measured as well.
        """
        with self.processes:
            more = True
            while more:
                self._explore(root)
                self._measure_front(root)
                self._reserve()
                more = self._wants_more(0)

    # ---- exploring

    def _explore(self, root: Any) -> None:
        """Propose, train and record candidates until they are enough, the reserve begins, or a callback says stop."""
        n_left = (
            None
            if self.n_trials == math.inf
            else max(0, int(self.n_trials) - len(self.trials.candidates))
        )
        task = root.subcontext(task_name="search", max_subtasks=n_left)
        task.call_on_fit_task_begin(
            estimator=self.search, X=self.table.X, y=self.table.y, metadata=self.table.metadata
        )
        running: dict[Future[Fold | None], int] = {}
        begun: dict[int, Begun] = {}
        self._reserve()
        with (
            warnings.catch_warnings(),
            threadpool_limits(
                limits=1
            ),  # as many threads as folds, and a thread's CPU seconds tell the whole of its fold
            ThreadPoolExecutor(self.n_jobs, thread_name_prefix="fastnn-fold") as pool,
        ):
            warnings.simplefilter(
                "ignore", ConvergenceWarning
            )  # how long to train is for the search to find out
            try:
                while True:
                    while len(running) < self.n_jobs and self._wants_more(len(begun)):
                        proposal = self.trials.propose()
                        if proposal is None:
                            self.n_trials = len(self.trials.candidates) + len(
                                begun
                            )  # there are no others
                            break
                        number, params = proposal
                        begun[number] = self._begin(pool, params, task)
                        running.update(dict.fromkeys(begun[number].folds, number))
                    if not running:
                        break
                    done = wait(running, return_when=FIRST_COMPLETED).done
                    for number in dict.fromkeys(running.pop(future) for future in done):
                        if all(one.done() for one in begun[number].folds):
                            for one in begun[number].folds:
                                running.pop(one, None)
                            self._finish(number, begun.pop(number))
            except BaseException:
                self.stop = True
                pool.shutdown(wait=False, cancel_futures=True)
                raise
        if not self.succeeded:
            raise self._all_failed()
        task.call_on_fit_task_end(
            estimator=self.search, X=self.table.X, y=self.table.y, metadata=self.table.metadata
        )

    def _wants_more(self, n_begun: int) -> bool:
        return len(self.trials.candidates) + n_begun < self.n_trials and not self._time_is_up()

    def _begin(self, pool: ThreadPoolExecutor, params: dict[str, Any], task: Any) -> Begun:
        """Hand a candidate's folds to the pool."""
        context = task.subcontext(task_name="candidate", max_subtasks=len(self.splits))
        context.call_on_fit_task_begin(
            estimator=self.search, X=self.table.X, y=self.table.y, metadata=self.table.metadata
        )
        config = get_config()  # scikit-learn's is the thread's own
        enough = threading.Event()
        folds = [
            pool.submit(self._fold, params, i, context.subcontext(task_name="fold"), config, enough)
            for i in range(len(self.splits))
        ]
        return Begun(params, folds, context, enough)

    def _fold(
        self,
        params: dict[str, Any],
        number: int,
        context: Any,
        config: Any,
        enough: threading.Event,
    ) -> Fold | None:
        """Train and measure one fold, in a thread of the pool; None if the time was up, or ``enough`` known, before."""
        if enough.is_set() or self._time_is_up():
            return None
        try:
            with config_context(**config):
                found = self._train(params, number, context)
        except Exception:
            enough.set()  # one failure will do
            raise
        if found.fit_time > self.too_slow and (self.succeeded or self.clock.wall() < self.end):
            enough.set()
        return found

    def _train(self, params: dict[str, Any], number: int, context: Any) -> Fold:
        estimator = _single_threaded(with_params(self.estimator, params))
        split, loan = self.splits[number], Loan()
        during_fit = self._during_fit(context, estimator, number, loan)
        found = fold(estimator, self.table, split, self.search.scorer_, self.clock, during_fit)
        found = replace(
            found, fit_time=found.fit_time + loan.wall, cpu_time=found.cpu_time + loan.cpu
        )
        if number > 0:
            return found
        X, _ = self.table.rows(estimator, split[1], split[0])
        latency_us, row_us = prediction_times(estimator, X, GLANCE, self.clock.wall)
        return replace(found, latency_us=latency_us, row_us=row_us)

    @contextlib.contextmanager
    def _during_fit(
        self, context: Any, estimator: BaseEstimator, number: int, loan: Loan
    ) -> Iterator[None]:
        """Tell callbacks of a fit, hand them on to the estimator for its time, and lend it what other fits have done for it."""
        with contextlib.ExitStack() as stack:
            if self.preprocessing:
                stack.enter_context(self.preprocessing[number].lent_to(estimator, loan))
            stack.enter_context(context.propagate_callback_context(estimator))
            context.call_on_fit_task_begin(estimator=self.search, metadata=self.table.metadata)
            yield
        context.call_on_fit_task_end(estimator=self.search, metadata=self.table.metadata)

    def _finish(self, number: int, begun: Begun) -> None:
        """Record a candidate with whose folds the pool is done, or put it off."""
        errors = [future.exception() for future in begun.folds]
        error = next((one for one in errors if one is not None), None)
        if error is not None:
            self.trials.record(
                number, Candidate(begun.params, failure=f"{type(error).__name__}: {error}")
            )
            self._check_hope()
        else:
            folds = [
                fold for fold in (future.result() for future in begun.folds) if fold is not None
            ]
            if len(folds) == len(self.splits):
                self.trials.record(number, Candidate(begun.params, folds))
            elif begun.enough.is_set():
                seconds = max(fold.fit_time for fold in folds)
                reason = f"too slow: a fold took {seconds:.3g} s, and all would use up the time of many others; raise max_time"
                self.trials.leave(number, Candidate(begun.params, failure=reason))
            else:
                self.trials.put_off(number)
        self._reserve()
        if begun.context.call_on_fit_task_end(
            estimator=self.search, X=self.table.X, y=self.table.y, metadata=self.table.metadata
        ):
            self.stop = True

    def _check_hope(self) -> None:
        failures = [one.failure for one in self.trials.candidates.values()]
        if len(failures) >= HOPELESS and len(set(failures)) == 1 and failures[0]:
            raise self._all_failed()

    def _all_failed(self) -> Exception:
        failures = [one.failure for one in self.trials.candidates.values()]
        reasons = "\n".join(
            f"{failures.count(reason)} of them: {reason}" for reason in dict.fromkeys(failures)
        )
        kind = (
            TypeError if all(reason.startswith("TypeError") for reason in failures) else ValueError
        )
        return kind(f"All of the {len(failures)} candidates tried failed.\n{reasons}")

    # ---- measuring the front

    def _measure_front(self, root: Any) -> None:
        """Measure the candidates on the front alone, until all that are on it have been.

        A candidate that turns out dearer may let another one onto the front, which is then measured
        as well. What there is no time for, or fails there, stays as it was measured in the search.
        """
        task = root.subcontext(task_name="measure-front", max_subtasks=None)
        task.call_on_fit_task_begin(
            estimator=self.search, X=self.table.X, y=self.table.y, metadata=self.table.metadata
        )
        while self._measures_again() and (waiting := self._waiting()):
            self._measure_alone(self._most_wanted(waiting), task)
        task.call_on_fit_task_end(
            estimator=self.search, X=self.table.X, y=self.table.y, metadata=self.table.metadata
        )

    def _most_wanted(self, waiting: list[int]) -> int:
        """The candidate to measure first, should time be short: the one handed over as things stand, else the most accurate."""
        if isinstance(self.search.refit, str | Mapping):
            with contextlib.suppress(ValueError):  # so far, nothing keeps within the limits
                if (number := self.choice()) in waiting:
                    return number
        return max(waiting, key=lambda number: self.trials.candidates[number].value("score"))

    def _measure_alone(self, number: int, task: Any) -> None:
        """Measure a candidate in a fresh process, or leave it as it is."""
        candidate = self.trials.candidates[number]
        start = self.clock.wall()
        time_left = self.end - start - self._seconds_refit()
        expected = self._seconds_alone(candidate)
        if expected > time_left:
            self.left.add(number)
            return
        step = task.subcontext(task_name="candidate").call_on_fit_task_begin(estimator=self.search)
        try:
            timeout = None if time_left == math.inf else min(time_left, PATIENCE * expected)
            alone = self.processes.measure(with_params(self.estimator, candidate.params), timeout)
            self.trials.record_alone(number, alone)
            fits = alone.fit_time[0] + sum(alone.fit_time)
            self.startup = self.clock.wall() - start - fits  # the next will take as long
        except (TimeoutError, pickle.PicklingError):
            self.left.add(number)
        except (
            RuntimeError
        ) as error:  # its folds went well: what is wrong is the process, or the machine
            self.left.add(number)
            warnings.warn(
                f"A candidate stays as it was measured beside others; alone {error}", stacklevel=6
            )
        step.call_on_fit_task_end(estimator=self.search)


@dataclass(frozen=True)
class Begun:
    """A candidate whose folds are with the pool."""

    params: dict[str, Any]
    folds: list[Future[Fold | None]]
    context: Any
    enough: threading.Event  # no more folds are needed: one has failed, or was too slow


class Silent:
    """Stands in for scikit-learn's callback context in versions that have none."""

    def subcontext(self, **kwargs: Any) -> Silent:
        """Itself."""
        return self

    def call_on_fit_task_begin(self, **kwargs: Any) -> Silent:
        """Itself."""
        return self

    def call_on_fit_task_end(self, **kwargs: Any) -> bool:
        """False: nobody wants to stop."""
        return False

    def propagate_callback_context(
        self, estimator: BaseEstimator
    ) -> contextlib.AbstractContextManager[None]:
        """A context that does nothing."""
        return contextlib.nullcontext()


def with_params(estimator: BaseEstimator, params: Mapping[str, Any]) -> BaseEstimator:
    """A clone of ``estimator`` with ``params``; those that are estimators are cloned too: candidates must not share them."""
    return clone(estimator).set_params(**clone(dict(params), safe=False))


def _single_threaded(estimator: BaseEstimator) -> BaseEstimator:
    """Networks with one thread each, since there is one for each fold; never changes what they learn."""
    names = [
        name
        for name in estimator.get_params()
        if name == "n_threads" or name.endswith("__n_threads")
    ]
    return estimator.set_params(**dict.fromkeys(names, 1))
