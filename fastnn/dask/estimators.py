"""What does a Dask user see? MLPClassifier and MLPRegressor, fitted where the partitions lie."""

from __future__ import annotations

import copy
import inspect
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Any, ClassVar

import numpy as np
from sklearn.base import is_classifier
from sklearn.utils.validation import check_is_fitted

from fastnn._sklearn import fit_context, safe_indexing
from fastnn.dask import scores
from fastnn.dask.cluster import Cluster
from fastnn.dask.partitions import answers, is_dask, partitions
from fastnn.dask.site import ClusterSite
from fastnn.estimators.base import BaseMLP, unchanged_on_error
from fastnn.estimators.mlp import MLPClassifier, MLPRegressor
from fastnn.estimators.targets import Targets, ValidationRows
from fastnn.training.callbacks import watched_by, watching
from fastnn.training.checkpoint import Checkpoint

PARAMETERS = """client : distributed.Client or None, default=None
        Where to fit; None takes the current client. It is not copied, nor kept in a pickle.
    synchronous : bool, default=False
        How the minibatches of all solvers but 'lbfgs', which is exact, are learned. False: every
        worker does a pass over its own rows, then the networks and the optimizer's memory are
        averaged by rows: one exchange a pass. True: each minibatch is one of all rows, and its
        gradient is summed over the workers: the fit of one machine to rounding, but an exchange
        for every minibatch. Not with ``augment``."""

_CONSTRAINTS: dict[str, list[Any]] = {"client": [object], "synchronous": ["boolean"]}


class _DaskMLP(BaseMLP):
    """What both estimators share."""

    _local_class: ClassVar[type[BaseMLP]]
    client: Any
    synchronous: bool

    @fit_context(prefer_skip_nested_validation=True)
    def fit(
        self,
        X: Any,
        y: Any,
        sample_weight: Any = None,
        *,
        X_val: Any = None,
        y_val: Any = None,
        sample_weight_val: Any = None,
    ) -> Any:
        """Fit the model where the partitions are.

        What is persisted stays on its workers; what is lazy is loaded by all of them. Nothing is
        gathered. A worker that ends is made good by the others, or by its successor.

        Parameters
        ----------
        X : dask Array or DataFrame of shape (n_samples, n_features)
            Partitions may be empty, chunks of unknown size.
        y : dask Array, Series or DataFrame of shape (n_samples,) or (n_samples, n_outputs)
            The target values, partitioned as X is. No partition need hold all classes.
        sample_weight : dask Array or Series of shape (n_samples,), default=None
            How much each row counts; not negative.
        X_val, y_val, sample_weight_val : array-like, default=None
            Rows in memory to validate on after each pass; see :class:`fastnn.MLPClassifier`.

        Returns
        -------
        self : object
            The trained model.

        Raises
        ------
        TypeError
            If X, y or sample_weight is no Dask collection.
        ValueError
            If the input is not usable, or training diverges; the model is then as it was before.
        WorkersLost
            If workers ended, and what they held cannot be computed again; or if there are none.
        """
        if self.early_stopping and X_val is None:
            raise ValueError(
                "early_stopping=True holds out rows, which lie on the workers. Give fit X_val and"
                " y_val, in memory, or set early_stopping=False."
            )
        if self.synchronous and self.augment is not None:
            raise ValueError(
                f"augment={self.augment!r} cannot be used with synchronous=True, whose minibatches"
                " lie on several workers. Set synchronous=False, or leave augment out."
            )
        if any(isinstance(one, Checkpoint) for one in (*self._own_callbacks(), *watching())):
            raise ValueError(
                "Checkpoint cannot tell fits apart whose rows lie on the workers. Remove it by"
                " set_callbacks()."
            )
        given = ValidationRows.given(X_val, y_val, sample_weight_val)
        with (
            watched_by(*self._time_limit()),
            self._watched(X, y, sample_weight, self.max_iter),
            unchanged_on_error(self),
        ):
            blocks = partitions(X, y, sample_weight)
            cluster = Cluster(self.client, blocks, is_classifier(self))
            site = partial(self._site, cluster)
            return self._fit(*self._sample(cluster), None, 0, validation=given, site=site)

    def _site(self, cluster: Cluster, *fit: Any) -> ClusterSite:
        model = self._local()
        return ClusterSite(*fit, cluster=cluster, model=model, synchronous=self.synchronous)

    def _sample(self, cluster: Cluster) -> tuple[Any, Any]:
        """X and y of a row or more, from which a fit learns all but numbers."""
        return cluster.found[0].first

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
        return answers(X, getattr(self.to_local(), method))

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
        model : MLPClassifier or MLPRegressor
            A copy, which needs neither Dask nor a client.
        """
        check_is_fitted(self)
        return self._local()

    def _local(self) -> Any:
        parameters = self.get_params(deep=False)
        own = {name: parameters.pop(name) for name in ("client", "synchronous")}
        local = self._local_class(**parameters)
        state = {
            name: copy.deepcopy(value)
            for name, value in self.__getstate__().items()
            if name not in {*own, *parameters, "_skl_callbacks"}
        }
        local.__setstate__({**vars(local), **state})
        return local

    def _learn_more(self, *args: Any, **kwargs: Any) -> Any:
        raise AttributeError(
            f"{type(self).__name__} has no partial_fit and no fit_batches. Call fit again with"
            " warm_start=True, or take to_local(), which has both."
        )

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


def _with_parameters(cls: Any) -> Any:
    """Give ``cls`` the constructor of its local class with two more parameters."""

    def __init__(
        self: Any, *args: Any, client: Any = None, synchronous: bool = False, **parameters: Any
    ) -> None:
        cls._local_class.__init__(self, *args, **parameters)
        self.client, self.synchronous = client, synchronous

    inherited = inspect.signature(cls._local_class.__init__)
    own = list(inspect.signature(__init__).parameters.values())[2:4]
    shown = inherited.replace(parameters=[*inherited.parameters.values(), *own])
    __init__.__signature__ = shown  # type: ignore[attr-defined]
    __init__.__qualname__ = f"{cls.__qualname__}.__init__"
    cls.__init__ = __init__
    return cls


@_with_parameters
class DaskMLPClassifier(_DaskMLP, MLPClassifier):  # noqa: D101 - the f-string is its docstring
    __doc__ = f"""Multi-layer perceptron classifier, fitted on a Dask cluster.

    Parameters
    ----------
    **parameters
        Those of :class:`fastnn.MLPClassifier`.
    {PARAMETERS}

    Attributes
    ----------
    class_count_ : ndarray of shape (n_classes,)
        How many rows have each class; None for several labels a row.
    **attributes
        Those of :class:`fastnn.MLPClassifier`.

    Examples
    --------
    >>> from distributed import Client  # doctest: +SKIP
    >>> from fastnn.dask import DaskMLPClassifier
    >>> client = Client()  # doctest: +SKIP
    >>> model = DaskMLPClassifier(random_state=0).fit(X, y)  # doctest: +SKIP
    >>> model.predict(X).compute()  # doctest: +SKIP
    """

    _parameter_constraints: ClassVar[dict[str, list[Any]]] = {
        **MLPClassifier._parameter_constraints,
        **_CONSTRAINTS,
    }
    _local_class = MLPClassifier

    def _sample(self, cluster: Cluster) -> tuple[Any, Any]:
        """A row's X again and again, and beside it a y that holds every class twice."""
        X, y = super()._sample(cluster)
        found = [one for one in cluster.found if one.labels is not None]
        self.class_count_ = None
        if not found:
            return X, y
        labels, place = np.unique(
            np.concatenate([one.labels for one in found]), return_inverse=True
        )
        counts = np.concatenate([one.counts for one in found])
        self.class_count_ = np.bincount(place, counts).astype(np.int64)
        y = np.tile(labels, 2)
        return safe_indexing(X, [0] * len(y)), y

    def _encode_targets(self, y: Any, incremental: bool) -> Targets:
        targets = super()._encode_targets(y, incremental)
        if self.class_weight != "balanced" or self.class_count_ is None:
            return targets
        count = self.class_count_
        return replace(targets, class_weight=count.sum() / (len(count) * count))

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

    def predict_log_proba(self, X: Any) -> Any:
        """Return the log of probability estimates, by partition.

        Parameters
        ----------
        X : dask Array or DataFrame, or array-like, of shape (n_samples, n_features)

        Returns
        -------
        log_y_prob : dask Array of shape (n_samples, n_classes)
            Lazy; an ndarray where X is in memory.
        """
        return self._answer("predict_log_proba", X)

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


@_with_parameters
class DaskMLPRegressor(_DaskMLP, MLPRegressor):  # noqa: D101 - the f-string is its docstring
    __doc__ = f"""Multi-layer perceptron regressor, fitted on a Dask cluster.

    Parameters
    ----------
    **parameters
        Those of :class:`fastnn.MLPRegressor`.
    {PARAMETERS}

    Attributes
    ----------
    **attributes
        Those of :class:`fastnn.MLPRegressor`.

    Examples
    --------
    >>> from distributed import Client  # doctest: +SKIP
    >>> from fastnn.dask import DaskMLPRegressor
    >>> client = Client()  # doctest: +SKIP
    >>> model = DaskMLPRegressor(solver="lbfgs").fit(X, y)  # doctest: +SKIP
    >>> float(model.score(X, y))  # doctest: +SKIP
    """

    _parameter_constraints: ClassVar[dict[str, list[Any]]] = {
        **MLPRegressor._parameter_constraints,
        **_CONSTRAINTS,
    }
    _local_class = MLPRegressor

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
        if is_dask(X) and hasattr(self, "coefs_") and self._trained_by().levels:
            raise ValueError(
                "The score of quantiles, D2, needs quantiles of all targets, which lie in"
                " partitions. Score a sample of the rows: to_local().score(X, y)."
            )
        return self._lazy_score(X, y, sample_weight, scores.moments, scores.r2)
