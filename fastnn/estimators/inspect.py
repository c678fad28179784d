"""Which network or bag does an estimator hold? The one it is, ends in or wraps."""

from __future__ import annotations

from typing import Any

from sklearn.frozen import FrozenEstimator


def innermost(estimator: Any) -> Any:
    """What a Pipeline, a search, or another estimator around one has inside; or itself."""
    if isinstance(estimator, FrozenEstimator):
        return innermost(estimator.estimator)
    if hasattr(estimator, "steps"):
        return innermost(estimator.steps[-1][1])
    for name in ("estimator_", "regressor_", "best_estimator_"):
        if hasattr(estimator, name):
            return innermost(getattr(estimator, name))
    return estimator


def network_of(estimator: Any) -> Any:
    """The fitted network in ``estimator``.

    Parameters
    ----------
    estimator : fitted estimator
        A network, fastnn's or scikit-learn's, a Pipeline that ends in one, or an estimator that
        wraps one, such as a TransformedTargetRegressor or a search.

    Returns
    -------
    network : MLPClassifier, MLPRegressor or None
        None if there is none.
    """
    found = innermost(estimator)
    return found if isinstance(getattr(found, "coefs_", None), list) else None
