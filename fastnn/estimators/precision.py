"""In which floating type does an estimator compute? A wrapper that makes it a parameter, so that a search can weigh it."""

from __future__ import annotations

from typing import Any

import numpy as np
from scipy.sparse import issparse
from sklearn.base import BaseEstimator, MetaEstimatorMixin, clone
from sklearn.utils import Tags, get_tags
from sklearn.utils.metadata_routing import (
    MetadataRouter,
    MethodMapping,
    _routing_enabled,
    process_routing,
)
from sklearn.utils.metaestimators import available_if
from sklearn.utils.validation import check_is_fitted


def _has(method: str) -> Any:
    return available_if(lambda self: hasattr(getattr(self, "estimator_", self.estimator), method))


class InPrecision(MetaEstimatorMixin, BaseEstimator):
    """An estimator that sees X in one floating type, and so, if it is a network of fastnn, computes
    in it.

    Parameters
    ----------
    estimator : estimator object
    dtype : {"float32", "float64"}, default="float32"

    Attributes
    ----------
    estimator_ : the fitted estimator

    Examples
    --------
    >>> from fastnn import MLPClassifier
    >>> from fastnn.estimators.precision import InPrecision
    >>> from sklearn.datasets import load_iris
    >>> X, y = load_iris(return_X_y=True)
    >>> InPrecision(MLPClassifier(max_iter=500, random_state=0)).fit(X, y).estimator_.coefs_[0].dtype
    dtype('float32')
    """

    def __init__(self, estimator: BaseEstimator, dtype: str = "float32") -> None:
        self.estimator = estimator
        self.dtype = dtype

    def _cast(self, X: Any) -> Any:
        if issparse(X):
            return X.astype(self.dtype, copy=False)
        if hasattr(X, "iloc"):  # a pandas frame keeps its column names
            return X.astype(self.dtype)
        X = np.asarray(X)
        return (
            X if X.dtype.kind == "c" else X.astype(self.dtype, copy=False)
        )  # complex numbers: the estimator will object

    def fit(self, X: Any, y: Any = None, **params: Any) -> InPrecision:
        """Fit a clone of ``estimator`` on X in ``dtype``; ``params`` go to its ``fit``."""
        if self.dtype not in ("float32", "float64"):
            raise ValueError(f"dtype must be 'float32' or 'float64', got {self.dtype!r}.")
        self.estimator_ = clone(self.estimator).fit(self._cast(X), y, **self._routed("fit", params))
        return self

    def _fitted(self) -> Any:
        if not hasattr(self, "estimator_"):  # asked first, since check_is_fitted takes microseconds
            check_is_fitted(self)
        return self.estimator_

    @_has("predict")
    def predict(self, X: Any) -> Any:
        """``estimator_.predict`` on X in ``dtype``."""
        return self._fitted().predict(self._cast(X))

    @_has("predict_proba")
    def predict_proba(self, X: Any) -> Any:
        """``estimator_.predict_proba`` on X in ``dtype``."""
        return self._fitted().predict_proba(self._cast(X))

    @_has("predict_log_proba")
    def predict_log_proba(self, X: Any) -> Any:
        """``estimator_.predict_log_proba`` on X in ``dtype``."""
        return self._fitted().predict_log_proba(self._cast(X))

    @_has("score")
    def score(self, X: Any, y: Any = None, **params: Any) -> float:
        """``estimator_.score`` on X in ``dtype``."""
        return self._fitted().score(self._cast(X), y, **self._routed("score", params))

    def _routed(self, method: str, params: dict[str, Any]) -> dict[str, Any]:
        return (
            process_routing(self, method, **params).estimator[method]
            if _routing_enabled()
            else params
        )

    def get_metadata_routing(self) -> MetadataRouter:
        """Fit and score parameters go to the estimator."""
        mapping = (
            MethodMapping().add(caller="fit", callee="fit").add(caller="score", callee="score")
        )
        return MetadataRouter(owner=self).add(estimator=self.estimator, method_mapping=mapping)

    @property
    def classes_(self) -> np.ndarray:
        """The class labels, where the estimator is a classifier."""
        return self.estimator_.classes_

    @property
    def n_features_in_(self) -> int:
        """The number of features seen in fit."""
        return self.estimator_.n_features_in_

    @property
    def feature_names_in_(self) -> np.ndarray:
        """The names of the features seen in fit, where X had names."""
        return self.estimator_.feature_names_in_

    def __sklearn_is_fitted__(self) -> bool:
        return hasattr(self, "estimator_")

    def __sklearn_tags__(self) -> Tags:
        return get_tags(self.estimator)
