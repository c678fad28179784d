"""What does a Dask user see who has a table? Bags of networks, whose members train on workers."""

from __future__ import annotations

from functools import partial
from numbers import Integral
from typing import Any, ClassVar

import numpy as np
from sklearn.utils import check_random_state

from fastnn._sklearn import fit_context
from fastnn.dask import tables
from fastnn.dask.base import (
    CLIENT,
    ClassifierOnCluster,
    OnCluster,
    RegressorOnCluster,
    with_parameters,
)
from fastnn.dask.cluster import Cluster
from fastnn.dask.partitions import is_dask, partitions
from fastnn.estimators.base import unchanged_on_error
from fastnn.estimators.targets import ValidationRows
from fastnn.tabular.base import BaseTabular, check_n_rows
from fastnn.tabular.estimator import TabularClassifier, TabularRegressor
from fastnn.training.callbacks import watching
from fastnn.training.stopping import warn_of_time


class _DaskTabular(OnCluster, BaseTabular):
    """What both estimators share."""

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
        """Fit a bag of networks where the partitions are.

        Every partition is counted and encoded where it is. The encoded rows, 5 bytes for each
        number, go to every worker that trains members: each trains some, on the rows of all folds
        but theirs. A worker that ends is made good by the others, or by its successor.

        Parameters
        ----------
        X : dask Array or DataFrame of shape (n_samples, n_features)
            Numbers and categories; cells may be missing. Partitions may be empty, chunks of unknown
            size. A column holds categories where it does in any partition.
        y : dask Array, Series or DataFrame of shape (n_samples,) or (n_samples, n_outputs)
            The target values, partitioned as X is. No partition need hold all classes.
        sample_weight : dask Array or Series of shape (n_samples,), default=None
            How much each row counts; rows of weight 0 are as if absent.
        X_val, y_val, sample_weight_val : array-like, default=None
            Rows in memory to validate on; see :meth:`fastnn.TabularClassifier.fit`.

        Returns
        -------
        self : object

        Raises
        ------
        TypeError
            If X, y or sample_weight is no Dask collection.
        ValueError
            If the input is not usable, or training diverges; the model is then as it was before.
        WorkersLost
            If workers ended, and what they held cannot be computed again; or if there are none.
        """
        if not (self.cv is None or isinstance(self.cv, Integral)):
            raise ValueError(
                f"cv={self.cv!r} needs all rows, which lie on the workers. Give the number of"
                " folds, or X_val and y_val, in memory."
            )
        if self._own_callbacks() or getattr(self, "_skl_callbacks", []) or watching():
            raise ValueError(
                "Members train on the workers, where no callback sees them. Remove callbacks by"
                " set_callbacks(), and fit outside of watched_by."
            )
        validation = ValidationRows.given(X_val, y_val, sample_weight_val)
        if validation is not None and self.cv is not None:
            raise ValueError("X_val takes the place of folds: leave out cv, or X_val and y_val.")
        with unchanged_on_error(self):
            blocks = partitions(X, y, sample_weight)
            fit = tables.Fit(self._unfitted(), self._recipe(0), validation)
            state, stopped_after = self._fitted(fit, blocks)
            self._take(state)
        if stopped_after is not None and self.max_time is not None:
            warn_of_time(stopped_after, self.max_time)
        return self

    def _unfitted(self) -> BaseTabular:
        """A local model whose random numbers are the same on all workers."""
        parameters = self.get_params(deep=False)
        del parameters["client"]
        if not isinstance(self.random_state, Integral):
            parameters["random_state"] = check_random_state(self.random_state).randint(2**31 - 1)
        model: BaseTabular = self._local_class(**parameters)
        return model

    def _fitted(self, fit: tables.Fit, blocks: list[Any]) -> tuple[dict[str, Any], int | None]:
        """What a fitted local model knows; the epoch at which time was up, or None."""
        cluster = Cluster(self.client, blocks, partial(tables.look, fit=fit), joins=False)
        n_rows = sum(one.n_rows for one in cluster.found)
        check_n_rows(n_rows)
        encoder = fit.model._new_encoder(fit.recipe)
        encoder.look(cluster.found[0].first)
        kinds = [one.categorical for one in cluster.found]
        for shard, own in zip(cluster.shards, kinds, strict=True):
            if len(own) != len(kinds[0]):
                raise ValueError(
                    f"Partition {shard.partitions[0]} of X has {len(own)} columns, but partition"
                    f" {cluster.shards[0].partitions[0]} has {len(kinds[0])}. Give all the same."
                )
        categorical = np.any(kinds, axis=0)
        told = cluster.told(fit)
        count = tables.tallies if len(kinds) == 1 else tables.sketches
        encoder = cluster.merged(
            count, told, encoder, categorical, merge=tables.added, last=encoder.learn
        )
        knowing = cluster.told(encoder)
        cluster.map(tables.encoded, told, knowing)
        parts = [shard.future for shard in cluster.shards]
        n_members = self._recipe(n_rows).n_members
        n_tasks = min(len(cluster.workers()), n_members)
        tasks = [range(i, n_members, n_tasks) for i in range(n_tasks)]
        found: tuple[dict[str, Any], int | None] = cluster.spread(
            tables.trained, tasks, told, knowing, *parts, last=tables.shown
        )
        return found

    def _take(self, state: dict[str, Any]) -> None:
        """Become what a local model is, but for its parameters."""
        parameters = set(self.get_params(deep=False))
        known = {name: value for name, value in state.items() if name not in parameters}
        for name in set(vars(self)) - parameters:
            if name.endswith("_"):
                delattr(self, name)
        self.__setstate__({**vars(self), **known})

    @property
    def oof_prediction_(self) -> Any:  # type: ignore[override]
        """Absent: there is one for each row of a table that lies in partitions."""
        raise AttributeError(
            f"{type(self).__name__} has no oof_prediction_, which would be as long as the table;"
            " validation_score_ is what score gives of these predictions."
        )

    def _by_member(self, X: Any) -> Any:
        if is_dask(X):
            raise TypeError(
                "Intervals and sets are for rows in memory. Take to_local(), and ask it for those"
                " of each partition."
            )
        return super()._by_member(X)


@with_parameters
class DaskTabularClassifier(_DaskTabular, ClassifierOnCluster, TabularClassifier):  # noqa: D101
    __doc__ = f"""A bag of small networks for tables, fitted on a Dask cluster: classes.

    Parameters
    ----------
    **parameters
        Those of :class:`fastnn.TabularClassifier`. ``cv`` is an int or None, ``max_time`` is for
        the training of each worker, ``verbose`` prints nothing.
    {CLIENT}

    Attributes
    ----------
    **attributes
        Those of :class:`fastnn.TabularClassifier`, but for ``oof_prediction_``.

    Examples
    --------
    >>> from distributed import Client  # doctest: +SKIP
    >>> from fastnn.dask import DaskTabularClassifier
    >>> client = Client()  # doctest: +SKIP
    >>> model = DaskTabularClassifier(random_state=0).fit(X, y)  # doctest: +SKIP
    >>> model.predict(X).compute()  # doctest: +SKIP
    """

    _parameter_constraints: ClassVar[dict[str, list[Any]]] = {
        **TabularClassifier._parameter_constraints,
        "client": [object],
    }
    _local_class = TabularClassifier

    def _no_answer(self, local: Any, method: str, X: Any) -> np.ndarray:
        answers: dict[str, np.ndarray] = {
            "predict": local.classes_[:0],
            "predict_proba": np.empty((0, len(local.classes_))),
        }
        return answers[method]


@with_parameters
class DaskTabularRegressor(_DaskTabular, RegressorOnCluster, TabularRegressor):  # noqa: D101
    __doc__ = f"""A bag of small networks for tables, fitted on a Dask cluster: numbers.

    Parameters
    ----------
    **parameters
        Those of :class:`fastnn.TabularRegressor`. ``cv`` is an int or None, ``max_time`` is for the
        training of each worker, ``verbose`` prints nothing.
    {CLIENT}

    Attributes
    ----------
    **attributes
        Those of :class:`fastnn.TabularRegressor`, but for ``oof_prediction_``.

    Examples
    --------
    >>> from distributed import Client  # doctest: +SKIP
    >>> from fastnn.dask import DaskTabularRegressor
    >>> client = Client()  # doctest: +SKIP
    >>> model = DaskTabularRegressor(random_state=0).fit(X, y)  # doctest: +SKIP
    >>> float(model.score(X, y))  # doctest: +SKIP
    """

    _parameter_constraints: ClassVar[dict[str, list[Any]]] = {
        **TabularRegressor._parameter_constraints,
        "client": [object],
    }
    _local_class = TabularRegressor

    def _no_answer(self, local: Any, method: str, X: Any) -> np.ndarray:
        answer: np.ndarray = local._shown(np.zeros((1, local._n_out)))
        return answer[:0]

    def _learns_quantiles(self) -> bool:
        return hasattr(self, "_loss") and bool(self._loss.levels)
