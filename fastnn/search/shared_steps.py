"""What need not be fitted again? The steps that candidates have in common in a Pipeline."""

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

# Of what a step makes of a fold's rows. On larger tables training takes the time, and memory is
# short.
MAX_BYTES = 16 << 20


def differ_in_the_last_step(estimator: BaseEstimator, names: Iterable[str]) -> bool:
    """Whether candidates are Pipelines, and these ``names`` parameters of the last step only."""
    return (
        type(estimator) is Pipeline
        and estimator.memory is None
        and all(name.partition("__")[0] == estimator.steps[-1][0] for name in names)
    )


@dataclass
class SavedTime:
    """The seconds that a fit saves because another has fitted its steps; they count as its own."""

    wall: float = 0.0
    cpu: float = 0.0


class SharedSteps:
    """The steps before the last one of Pipelines that are fitted on the same rows.

    Each step is fitted once.
    A Pipeline gets them as its ``memory``, scikit-learn's own way of not fitting a step again. A
    memory is meant for files and recognises a step by hashing X; here the steps and the rows are
    known to be the same.
    """

    def __init__(self, clock: Clock) -> None:
        self.clock = clock
        self.lock = threading.Lock()
        # What each step returned, with its wall and CPU seconds; None if that is too large to keep.
        self.steps: list[tuple[Any, float, float] | None] = []

    def __reduce__(self) -> tuple[type[SharedSteps], tuple[Clock]]:
        return SharedSteps, (self.clock,)  # each process fits its own

    @contextlib.contextmanager
    def used_by(self, pipeline: BaseEstimator, saved: SavedTime) -> Iterator[None]:
        """Let ``pipeline`` use them in the body; ``saved`` adds up the time that this saves."""
        pipeline.set_params(memory=_StepMemory(self, saved))
        try:
            yield
        finally:
            pipeline.set_params(memory=None)

    def step(
        self,
        number: int,
        saved: SavedTime,
        fit_step: Callable[..., Any],
        arguments: Any,
        keywords: Any,
    ) -> Any:
        """The transformed X and the transformer of step ``number``, which ``fit_step`` makes."""
        with self.lock:
            if number == len(self.steps):
                start, start_cpu = self.clock.wall(), self.clock.thread_cpu()
                result = fit_step(*arguments, **keywords)
                wall = self.clock.wall() - start
                cpu = self.clock.thread_cpu() - start_cpu
                small = getattr(result[0], "nbytes", MAX_BYTES) < MAX_BYTES
                self.steps.append((result, wall, cpu) if small else None)
                return _with_a_copy_of_X(*result) if small else result
            known = self.steps[number]
        if known is None:
            return fit_step(*arguments, **keywords)
        result, wall, cpu = known
        saved.wall += wall
        saved.cpu += cpu
        return _with_a_copy_of_X(*result)


class _StepMemory:
    """What one Pipeline sees: the interface of joblib.Memory. It asks for its steps in order."""

    def __init__(self, shared: SharedSteps, saved: SavedTime) -> None:
        self.shared, self.saved = shared, saved

    def cache(self, fit_step: Callable[..., Any], **_: Any) -> Callable[..., Any]:
        """A function like ``fit_step`` that fits each step once."""
        numbers = itertools.count()
        return lambda *arguments, **keywords: self.shared.step(
            next(numbers), self.saved, fit_step, arguments, keywords
        )


def _with_a_copy_of_X(X: Any, transformer: Any) -> tuple[Any, Any]:
    """The result of a step; X is copied, since a later step may work in place."""
    return X.copy(), transformer
