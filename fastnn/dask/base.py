"""What do all estimators on a cluster share? A client, answers by partition, and a local model."""

from __future__ import annotations

import copy
import inspect
from collections.abc import Callable
from typing import Any, ClassVar

import numpy as np
from sklearn.base import BaseEstimator
from sklearn.utils.validation import check_is_fitted

from fastnn.dask import scores
from fastnn.dask.partitions import answers, is_dask, partitions

CLIENT = """client : distributed.Client or None, default=None
        Where to fit; None takes the current client. It is not copied, nor kept in a pickle."""


class OnCluster(BaseEstimator):
    """An estimator like its local class, but for where it is fitted and answers.

    Subclasses also inherit from that class, which stands after this one.
    """

    _local_class: ClassVar[Any]
    _more_parameters: ClassVar[dict[str, Any]] = {"client": None}  # and their defaults
    client: Any

    def predict(self, X: Any) -> Any:
        """Predict by partition.

        Parameters
        ----------
        X : dask Array or DataFrame, or array-like, of shape (n_samples, n_features)

        Returns
        -------
        y : dask Array of shape (n_samples,) or (n_samples, n_outputs)
            Lazy, and partitioned as X is; an ndarray where X is in memory.
        """
        return self._answer("predict", X)

    def _answer(self, method: str, X: Any) -> Any:
        if not is_dask(X):
            return getattr(self._local_class, method)(self, X)
        local = self.to_local()
        return answers(X, getattr(local, method), self._no_answer(local, method, X))

    def _no_answer(self, local: Any, method: str, X: Any) -> np.ndarray:
        """What ``local`` answers to no rows."""
        raise NotImplementedError

    def _lazy_score(self, X: Any, y: Any, sample_weight: Any, *sums: Callable[..., Any]) -> Any:
        """``sums`` are those of a partition, and the score that they add up to."""
        if not is_dask(X):
            return self._local_class.score(self, X, y, sample_weight)
        blocks = partitions(X, y, sample_weight)
        return scores.lazy_score(blocks, self.to_local().predict, *sums)

    def to_local(self) -> Any:
        """The same model without Dask.

        Returns
        -------
        model : estimator
            A copy of the local class, which needs neither Dask nor a client.
        """
        check_is_fitted(self)
        return self._local()

    def _local(self) -> Any:
        parameters = self.get_params(deep=False)
        own = {name: parameters.pop(name) for name in self._more_parameters}
        local = self._local_class(**parameters)
        state = {
            name: copy.deepcopy(value)
            for name, value in self.__getstate__().items()
            if name not in {*own, *parameters, "_skl_callbacks"}
        }
        local.__setstate__({**vars(local), **state})
        return local

    def __sklearn_clone__(self) -> Any:
        client, self.client = self.client, None  # which cannot be copied
        try:
            clone = super().__sklearn_clone__()
        finally:
            self.client = client
        clone.client = client
        return clone

    def __getstate__(self) -> dict[str, Any]:
        return {**super().__getstate__(), "client": None}


class ClassifierOnCluster(OnCluster):
    """What classifiers answer beside."""

    def predict_proba(self, X: Any) -> Any:
        """Probability estimates by partition.

        Parameters
        ----------
        X : dask Array or DataFrame, or array-like, of shape (n_samples, n_features)

        Returns
        -------
        y_prob : dask Array of shape (n_samples, n_classes)
            Lazy; an ndarray where X is in memory.
        """
        return self._answer("predict_proba", X)

    def score(self, X: Any, y: Any, sample_weight: Any = None) -> Any:
        """Return the accuracy on the given data.

        Parameters
        ----------
        X, y, sample_weight : dask collections as in ``fit``, or array-like

        Returns
        -------
        score : dask Array without dimensions
            Lazy: ``float(score)`` computes it; X and y must last until then. A float where X is in
            memory.
        """
        return self._lazy_score(X, y, sample_weight, scores.hits, scores.accuracy)


class RegressorOnCluster(OnCluster):
    """How regressors are scored."""

    def score(self, X: Any, y: Any, sample_weight: Any = None) -> Any:
        """Return R2 on the given data.

        Parameters
        ----------
        X, y, sample_weight : dask collections as in ``fit``, or array-like

        Returns
        -------
        score : dask Array without dimensions
            Lazy: ``float(score)`` computes it; X and y must last until then. A float where X is in
            memory.

        Raises
        ------
        ValueError
            If the loss is one of quantiles and X lies in partitions: D2 needs the quantiles of all
            targets.
        """
        if is_dask(X) and self._learns_quantiles():
            raise ValueError(
                "The score of quantiles, D2, needs quantiles of all targets, which lie in"
                " partitions. Score a sample of the rows: to_local().score(X, y)."
            )
        return self._lazy_score(X, y, sample_weight, scores.moments, scores.r2)

    def _learns_quantiles(self) -> bool:
        """Whether the loss of a fitted model is one of quantiles."""
        raise NotImplementedError


def with_parameters(cls: Any) -> Any:
    """Give ``cls`` the constructor of its local class with a few more parameters."""
    more = cls._more_parameters

    def __init__(self: Any, *args: Any, **parameters: Any) -> None:
        own = {name: parameters.pop(name, default) for name, default in more.items()}
        cls._local_class.__init__(self, *args, **parameters)
        vars(self).update(own)

    inherited = inspect.signature(cls._local_class.__init__)
    shown = [
        inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=default)
        for name, default in more.items()
    ]
    parameters = [*inherited.parameters.values(), *shown]
    __init__.__signature__ = inherited.replace(parameters=parameters)  # type: ignore[attr-defined]
    __init__.__qualname__ = f"{cls.__qualname__}.__init__"
    cls.__init__ = __init__
    return cls
