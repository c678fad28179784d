"""Which callbacks does a user give to an estimator? scikit-learn's and ours, by ``set_callbacks``.

scikit-learn has callbacks from 1.9 on. It keeps them in one list, copies that to clones and hands
down what a pipeline or a search has; ours stand in the same list, each in a `Watching`.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any

import sklearn

from fastnn.training.callbacks import Callback, Origin, watched_by
from fastnn.training.model import Network
from fastnn.training.state import LoopState

try:
    from sklearn.callback import CallbackSupportMixin as _Support
except ModuleNotFoundError:  # before scikit-learn 1.9
    _Support = None

_Base: Any = object if _Support is None else _Support


@dataclass(frozen=True)
class Watching:
    """A callback of ours, which sees passes, where scikit-learn keeps its own, which see tasks."""

    callback: Callback

    def setup(self, estimator: Any, context: Any) -> None:
        """Do nothing, as in the next three."""

    def on_fit_task_begin(self, estimator: Any, context: Any) -> None:
        """Do nothing."""

    def on_fit_task_end(self, estimator: Any, context: Any) -> None:
        """Do nothing."""

    def teardown(self, estimator: Any, context: Any) -> None:
        """Do nothing."""


class CallbackSupport(_Base):
    """What an estimator has to take callbacks."""

    _skl_callbacks: list[Any]  # scikit-learn's name

    def set_callbacks(self, *callbacks: Any) -> Any:
        """Set who looks on during ``fit``, and may stop it; no callbacks remove those set before.

        During ``fit_batches`` fastnn's look on, too: a batch is a fit of one pass.

        Parameters
        ----------
        *callbacks : object
            fastnn's, such as :class:`fastnn.callbacks.Checkpoint` or any object with a method
            ``on_pass_end(loop)``; and scikit-learn's, such as ``sklearn.callback.ProgressBar``,
            which need scikit-learn 1.9. To those a fit is a task that has a subtask for each pass.

        Returns
        -------
        self : object
            The estimator.

        Raises
        ------
        TypeError
            If one is neither, or a class.
        ImportError
            If one is scikit-learn's, and scikit-learn is older than 1.9.
        """
        for callback in callbacks:
            of_ours, of_theirs = (hasattr(callback, name) for name in ("on_pass_end", "setup"))
            if isinstance(callback, type) or not (of_ours or of_theirs):
                raise TypeError(
                    "set_callbacks takes objects with a method on_pass_end, and scikit-learn's"
                    f" callbacks, got {callback!r}."
                )
        kept = [Watching(c) if hasattr(c, "on_pass_end") else c for c in callbacks]
        if _Support is not None:
            return super().set_callbacks(*kept)
        for callback in kept:
            if not isinstance(callback, Watching):
                raise ImportError(
                    f"{callback!r} is not a callback of fastnn's, as it has no method on_pass_end,"
                    f" and scikit-learn {sklearn.__version__} has no callbacks: those need"
                    " scikit-learn 1.9 or later."
                )
        self._skl_callbacks = kept
        return self

    def _as_of(self, loop: LoopState, origin: Origin) -> dict[str, Any]:
        """The attributes of the estimator, had the fit ended with this pass."""
        params = loop.params if loop.best_params is None else loop.best_params
        network = Network(origin.spec, params.copy())
        return {
            "_model": network,
            "coefs_": list(network.coefs),
            "intercepts_": list(network.intercepts),
            "n_outputs_": origin.spec.n_out,
            "n_layers_": len(origin.spec.layers) + 1,
        }

    def __sklearn_clone__(self) -> Any:
        copy = super().__sklearn_clone__()
        if hasattr(self, "_skl_callbacks"):
            copy._skl_callbacks = self._skl_callbacks  # by itself only from 1.9 on
        return copy

    def _own_callbacks(self) -> list[Callback]:
        """Those of fastnn's kind."""
        callbacks = getattr(self, "_skl_callbacks", [])
        return [kept.callback for kept in callbacks if isinstance(kept, Watching)]

    @contextmanager
    def _watched(self, X: Any, y: Any, sample_weight: Any, max_iter: int) -> Iterator[None]:
        """Show the fit in this block to the callbacks that are set."""
        ours = self._own_callbacks()
        if len(ours) == len(getattr(self, "_skl_callbacks", [])):
            with watched_by(*ours):
                yield
            return
        metadata = None if sample_weight is None else {"sample_weight": sample_weight}
        shown = {"estimator": self, "X": X, "y": y, "metadata": metadata}
        context = self._init_callback_context(max_subtasks=max_iter)
        context.call_on_fit_task_begin(**shown)
        passes = _Subtasks(context, shown)
        with watched_by(passes, *ours):
            yield
        passes.close()
        context.call_on_fit_task_end(**shown, reconstruction_attributes={})


class _Subtasks:
    """Shows each pass of a fit to scikit-learn's callbacks, as a subtask of ``context``."""

    origin: Origin

    def __init__(self, context: Any, shown: dict[str, Any]) -> None:
        self.context = context
        self.shown = shown
        self.subtask: Any = None  # the pass that is under way

    def on_fit_begin(self, loop: LoopState, origin: Origin) -> None:
        """Begin the first pass."""
        self.origin = origin
        self._begin(loop)

    def on_pass_end(self, loop: LoopState) -> bool:
        """End a pass, and begin the next if there is one."""
        fitted = partial(self.shown["estimator"]._as_of, loop, self.origin)
        stops = self.subtask.call_on_fit_task_end(**self.shown, reconstruction_attributes=fitted)
        self.subtask = None
        if not stops:
            self._begin(loop)
        return stops

    def close(self) -> None:
        """End what was begun and has not been run: others have stopped the fit."""
        if self.subtask is not None:
            self.subtask.call_on_fit_task_end(estimator=self.shown["estimator"])

    def _begin(self, loop: LoopState) -> None:
        if not loop.stopped and loop.n_iter < loop.rules.max_iter:
            self.subtask = self.context.subcontext(task_name="pass")
            self.subtask.call_on_fit_task_begin(**self.shown)
