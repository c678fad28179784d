"""Who looks on while a network trains? Callbacks: one call after each pass, which may stop the fit.

A fit calls its own callbacks in this order: `PrintLoss`; `Validation` measures,
:class:`fastnn.training.stopping.NoImprovement` decides, `Best` notes the best; `PrintDecision`.
Those of `watched_by` come last and see what was decided.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from fastnn.backends.base import Data, Engine
from fastnn.core.activations import Array
from fastnn.core.network import NetworkSpec
from fastnn.training.state import LoopState


class Callback(Protocol):
    """Whatever has this method; one that has ``on_fit_begin(loop, origin)`` is called there too."""

    def on_pass_end(self, loop: LoopState) -> bool | None:
        """Look at a fit after a pass (an iteration of L-BFGS); True stops the fit there.

        ``loop.n_iter`` counts the passes, ``loop.losses[-1]`` is the last one's loss.
        ``loop.stopped`` says whether those who came before stop the fit.
        """
        ...


@dataclass(frozen=True)
class Origin:
    """What a fit starts from, beside its `LoopState`: the same origin means the same numbers.

    Attributes
    ----------
    spec : NetworkSpec
    data : Data
    validation : Data or None
        Rows to validate on that are not among those of ``data``.
    parameters : callable ``() -> dict of str to str``
        Tells the settings on which the numbers depend, each as text.
    warm : bool
        Whether the first weights are those of an earlier fit.
    seeded : bool
        Whether another process draws the same random numbers.
    """

    spec: NetworkSpec
    data: Data
    validation: Data | None = None
    parameters: Callable[[], dict[str, str]] = dict
    warm: bool = False
    seeded: bool = True


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


def fit_begins(loop: LoopState, origin: Origin) -> None:
    """Tell those of `watched_by` who want to know before the first pass; they may change ``loop``.

    A checkpoint puts it where the fit before was interrupted.
    """
    for callback in watching():
        if hasattr(callback, "on_fit_begin"):
            callback.on_fit_begin(loop, origin)


def pass_ended(loop: LoopState, callbacks: tuple[Callback, ...]) -> None:
    """Show a pass to every callback; note whether any of them stops the fit."""
    for callback in callbacks:
        if callback.on_pass_end(loop):
            loop.stopped = True


Measure = Callable[[Array, Data], float]


class Validation:
    """Measures loss and score on rows that are not trained on, after each pass.

    Parameters
    ----------
    engine : Engine
    n_out : int
        The network's outputs.
    held_out : Data
    loss, score : callable ``(predictions (n_rows, n_out), held_out) -> float``
        Less loss is better, a greater score is.
    """

    def __init__(
        self, engine: Engine, n_out: int, held_out: Data, loss: Measure, score: Measure
    ) -> None:
        self.engine = engine
        self.n_out = n_out
        self.held_out = held_out
        self.loss = loss
        self.score = score

    def on_pass_end(self, loop: LoopState) -> None:
        """Add what the present parameters reach to the curves."""
        X, params = self.held_out.X, loop.params
        predictions = np.empty((X.shape[0], self.n_out), params.dtype)
        self.engine.predict(params, X, predictions)
        loop.validation_losses.append(self.loss(predictions, self.held_out))
        loop.scores.append(self.score(predictions, self.held_out))


class Best:
    """Notes the best score and, to ``restore`` them at the end, the parameters that reached it."""

    def __init__(self, restore: bool) -> None:
        self.restore = restore

    def on_pass_end(self, loop: LoopState) -> None:
        """Compare the last pass with the best before."""
        if loop.scores[-1] > loop.best_score:
            loop.best_score = loop.scores[-1]
            if self.restore:
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
