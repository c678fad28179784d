"""What does a Dask user see? MLPClassifier and MLPRegressor, fitted where the partitions lie."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import Any, ClassVar

import numpy as np
from sklearn.base import is_classifier

from fastnn._sklearn import fit_context, safe_indexing
from fastnn.dask.base import (
    CLIENT,
    ClassifierOnCluster,
    OnCluster,
    RegressorOnCluster,
    with_parameters,
)
from fastnn.dask.cluster import Cluster
from fastnn.dask.partitions import made_up_row, partitions
from fastnn.dask.shards import look
from fastnn.dask.site import ClusterSite
from fastnn.estimators.base import BaseMLP, unchanged_on_error
from fastnn.estimators.mlp import MLPClassifier, MLPRegressor
from fastnn.estimators.targets import Targets, ValidationRows
from fastnn.training.callbacks import watched_by, watching
from fastnn.training.checkpoint import Checkpoint

PARAMETERS = f"""{CLIENT}
    synchronous : bool, default=False
        How the minibatches of all solvers but 'lbfgs', which is exact, are learned. False: every
        worker does a pass over its own rows, then the networks and the optimizer's memory are
        averaged by rows: one exchange a pass. True: each minibatch is one of all rows, and its
        gradient is summed over the workers: the fit of one machine to rounding, but an exchange
        for every minibatch. Not with ``augment``."""

_CONSTRAINTS: dict[str, list[Any]] = {"client": [object], "synchronous": ["boolean"]}


class _DaskMLP(OnCluster, BaseMLP):
    """What both estimators share."""

    _more_parameters: ClassVar[dict[str, Any]] = {"client": None, "synchronous": False}
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
            cluster = Cluster(self.client, blocks, partial(look, classifies=is_classifier(self)))
            site = partial(self._site, cluster)
            return self._fit(*self._sample(cluster), None, 0, validation=given, site=site)

    def _site(self, cluster: Cluster, *fit: Any) -> ClusterSite:
        model = self._local()
        return ClusterSite(*fit, cluster=cluster, model=model, synchronous=self.synchronous)

    def _sample(self, cluster: Cluster) -> tuple[Any, Any]:
        """X and y of a row or more, from which a fit learns all but numbers."""
        return cluster.found[0].first

    def _no_answer(self, local: Any, method: str, X: Any) -> np.ndarray:
        answer: np.ndarray = getattr(local, method)(made_up_row(X))
        return answer[:0]

    def _learn_more(self, *args: Any, **kwargs: Any) -> Any:
        raise AttributeError(
            f"{type(self).__name__} has no partial_fit and no fit_batches. Call fit again with"
            " warm_start=True, or take to_local(), which has both."
        )


@with_parameters
class DaskMLPClassifier(_DaskMLP, ClassifierOnCluster, MLPClassifier):  # noqa: D101 - see below
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


@with_parameters
class DaskMLPRegressor(_DaskMLP, RegressorOnCluster, MLPRegressor):  # noqa: D101 - see below
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

    def _learns_quantiles(self) -> bool:
        return hasattr(self, "coefs_") and bool(self._trained_by().levels)
