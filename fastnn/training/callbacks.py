"""Who looks on while a network trains? Callbacks: one call after each pass, which may stop the fit.

A fit calls its own callbacks in this order: `PrintLoss`; `Validation` measures, `BestSnapshot`
compares, :class:`fastnn.training.stopping.NoImprovement` decides; `PrintDecision`. Those of
`watched_by` come last and see what was decided.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Protocol

import numpy as np

from fastnn.backends.base import Data, Engine
from fastnn.core.activations import Array
from fastnn.training.state import LoopState


class Callback(Protocol):
    """Whatever has this method."""

    def on_pass_end(self, loop: LoopState) -> bool | None:
        """Look at a fit after a pass (an iteration of L-BFGS); True stops the fit there.

        ``loop.n_iter`` counts the passes, ``loop.losses[-1]`` is the last one's loss. To keep a
        checkpoint, pickle ``loop``.
        """
        ...


_watching: ContextVar[tuple[Callback, ...]] = ContextVar("fastnn_watching", default=())


@contextmanager
def watched_by(*callbacks: Callback) -> Iterator[None]:
    """Show every fit of this thread, or of this context, to ``callbacks`` while the block runs.

    Blocks inside one another add up. The fitted models are the same to the bit.

    Examples
    --------
    >>> from fastnn import MLPRegressor
    >>> from fastnn.training.callbacks import watched_by
    >>> class StopAfterTwo:
    ...     def on_pass_end(self, loop):
    ...         return loop.n_iter == 2
    >>> with watched_by(StopAfterTwo()):
    ...     model = MLPRegressor().fit([[0.0], [1.0]], [0.0, 1.0])
    >>> model.n_iter_
    2
    """
    token = _watching.set((*_watching.get(), *callbacks))
    try:
        yield
    finally:
        _watching.reset(token)


def watching() -> tuple[Callback, ...]:
    """The callbacks of the `watched_by` blocks around this call."""
    return _watching.get()


def pass_ended(loop: LoopState, callbacks: tuple[Callback, ...]) -> bool:
    """Show a pass to every callback; return whether any of them stops the fit."""
    return any([callback.on_pass_end(loop) for callback in callbacks])


class Validation:
    """Measures a score on rows held out, after each pass.

    Parameters
    ----------
    engine : Engine
    n_out : int
        The network's outputs.
    held_out : Data
    score : callable ``(predictions (n_rows, n_out), held_out) -> float``
        Greater is better.
    """

    def __init__(
        self, engine: Engine, n_out: int, held_out: Data, score: Callable[[Array, Data], float]
    ) -> None:
        self.engine = engine
        self.n_out = n_out
        self.held_out = held_out
        self.score = score

    def on_pass_end(self, loop: LoopState) -> None:
        """Add the present parameters' score to the curve."""
        X, params = self.held_out.X, loop.params
        predictions = np.empty((X.shape[0], self.n_out), params.dtype)
        self.engine.predict(params, X, predictions)
        loop.scores.append(self.score(predictions, self.held_out))


class BestSnapshot:
    """Keeps the parameters of the best score, for the fit to end with."""

    def on_pass_end(self, loop: LoopState) -> None:
        """Copy the parameters if the last pass scored better than any before."""
        if loop.scores[-1] > loop.best_score:
            loop.best_params = loop.params.copy()


class PrintLoss:
    """Prints the loss of each pass, as ``verbose=True`` does in scikit-learn."""

    def on_pass_end(self, loop: LoopState) -> None:
        """Print it before anything is measured or decided."""
        print(f"Iteration {loop.n_iter}, loss = {loop.losses[-1]:.8f}")


class PrintDecision:
    """Prints the score, where there is one, and what was decided about stopping."""

    def on_pass_end(self, loop: LoopState) -> None:
        """Print both in scikit-learn's words."""
        if loop.scores:
            print(f"Validation score: {loop.scores[-1]:f}")
        if loop.note:
            print(loop.note)
