"""How do scikit-learn's callbacks follow a search? As a tree of tasks, from scikit-learn 1.9 on."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any

from sklearn.base import BaseEstimator

from fastnn.search.measure import Dataset


class Task:
    """One task of a search: the whole fit, a stage of it, a candidate, or a fold.

    It is the only place that calls scikit-learn's callbacks; before 1.9 there are none, and all of
    it does nothing.

    Parameters
    ----------
    search : estimator object
        Whose callbacks are called.
    dataset : Dataset
        What callbacks are told of the data.
    context : CallbackContext or None
        scikit-learn's node of the tree; None before 1.9, and where no callback hears of the task.
    """

    def __init__(self, search: BaseEstimator, dataset: Dataset, context: Any) -> None:
        self.search, self.dataset, self.context = search, dataset, context

    @classmethod
    def root(cls, search: BaseEstimator, dataset: Dataset, max_subtasks: int | None) -> Task:
        """The task of the whole fit; ``max_subtasks`` is None if that is not known."""
        begin = getattr(search, "_init_callback_context", None)
        return cls(search, dataset, begin and begin(max_subtasks=max_subtasks))

    def subtask(self, name: str, max_subtasks: int | None = 0) -> Task:
        """A part of this task; ``max_subtasks`` 0 is a leaf, and None not known."""
        if self.context is None:
            return self
        context = self.context.subcontext(task_name=name, max_subtasks=max_subtasks)
        return Task(self.search, self.dataset, context)

    def begin(self, on_all_rows: bool = True) -> Task:
        """Tell callbacks that the task begins; returns itself.

        ``on_all_rows`` is whether it works on the whole data set, which callbacks then receive.
        """
        if self.context is not None:
            self.context.call_on_fit_task_begin(**self._about(on_all_rows))
        return self

    def end(self, on_all_rows: bool = True) -> bool:
        """Tell callbacks that the task ends; True if one of them asks to stop."""
        if self.context is None:
            return False
        return bool(self.context.call_on_fit_task_end(**self._about(on_all_rows)))

    def propagate_to(self, estimator: BaseEstimator) -> contextlib.AbstractContextManager[Any]:
        """In the body, the callbacks follow the fit of ``estimator`` too."""
        if self.context is None:
            return contextlib.nullcontext()
        return self.context.propagate_callback_context(estimator)

    @contextlib.contextmanager
    def goes_on(self, estimator: BaseEstimator | None = None) -> Iterator[None]:
        """In the body, the task goes on, on some rows; callbacks follow ``estimator``'s fit too."""
        with contextlib.nullcontext() if estimator is None else self.propagate_to(estimator):
            self.begin(on_all_rows=False)
            yield
        self.end(on_all_rows=False)

    def _about(self, on_all_rows: bool) -> dict[str, Any]:
        if not on_all_rows:
            return {"estimator": self.search}
        data = self.dataset
        return {"estimator": self.search, "X": data.X, "y": data.y, "metadata": data.metadata}
