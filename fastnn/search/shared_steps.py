"""What need not be fitted again? Candidates that differ in the last step of a Pipeline have the other steps in common."""

from __future__ import annotations

import contextlib
import itertools
import threading
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from sklearn.base import BaseEstimator
from sklearn.pipeline import Pipeline

from fastnn.search.measure import Clock

MOST_BYTES = (
    16 << 20
)  # of what a step makes of a fold's rows: on larger tables training takes the time, and memory is short


def differ_in_the_last_step(estimator: BaseEstimator, names: Iterable[str]) -> bool:
    """Whether candidates of these parameters' names are Pipelines of which only the last step differs."""
    return (
        type(estimator) is Pipeline
        and estimator.memory is None
        and all(name.partition("__")[0] == estimator.steps[-1][0] for name in names)
    )


@dataclass
class Loan:
    """The seconds that a fit saved, since another had done its preprocessing: they belong to what it costs."""

    wall: float = 0.0
    cpu: float = 0.0


class Preprocessing:
    """The steps before the last one of Pipelines that are fitted on the same rows: each step is
    fitted once.

    It is lent to a Pipeline as its ``memory``, scikit-learn's own way of not fitting a step again.
    That is meant for files and tells what it knows by hashing X; here it is known that the steps
    and the rows are the same.
    """

    def __init__(self, clock: Clock) -> None:
        self.clock = clock
        self.lock = threading.Lock()
        self.steps: list[
            tuple[Any, float, float] | None
        ] = []  # what a step returned, and its seconds; None if too large

    @contextlib.contextmanager
    def lent_to(self, pipeline: BaseEstimator, loan: Loan) -> Iterator[None]:
        """Spare ``pipeline``, in the body, from fitting what has been fitted, and note in ``loan`` what that saves."""
        pipeline.set_params(memory=_Lent(self, loan))
        try:
            yield
        finally:
            pipeline.set_params(memory=None)

    def step(
        self, number: int, loan: Loan, function: Callable[..., Any], arguments: Any, keywords: Any
    ) -> Any:
        """What ``function``, which fits the step of this number, returns."""
        with self.lock:
            if number == len(self.steps):
                start, start_cpu = self.clock.wall(), self.clock.thread_cpu()
                done = function(*arguments, **keywords)
                seconds, cpu_seconds = (
                    self.clock.wall() - start,
                    self.clock.thread_cpu() - start_cpu,
                )
                small = getattr(done[0], "nbytes", MOST_BYTES) < MOST_BYTES
                self.steps.append((done, seconds, cpu_seconds) if small else None)
                return _own(*done) if small else done
            known = self.steps[number]
        if known is None:
            return function(*arguments, **keywords)
        done, seconds, cpu_seconds = known
        loan.wall += seconds
        loan.cpu += cpu_seconds
        return _own(*done)


class _Lent:
    """What one Pipeline sees: something with the interface of joblib.Memory, asked for its steps in their order."""

    def __init__(self, preprocessing: Preprocessing, loan: Loan) -> None:
        self.preprocessing, self.loan = preprocessing, loan

    def cache(self, function: Callable[..., Any], **_: Any) -> Callable[..., Any]:
        """``function``, which fits a step, but each step once."""
        numbers = itertools.count()
        return lambda *arguments, **keywords: self.preprocessing.step(
            next(numbers), self.loan, function, arguments, keywords
        )


def _own(X: Any, transformer: Any) -> tuple[Any, Any]:
    """A copy of X, since a later step may work in place."""
    return X.copy(), transformer
