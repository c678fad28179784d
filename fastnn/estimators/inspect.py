"""Which network does an estimator hold? The one it is, ends in or wraps."""

from __future__ import annotations

from typing import Any


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
    if isinstance(getattr(estimator, "coefs_", None), list):
        return estimator
    if hasattr(estimator, "steps"):
        return network_of(estimator.steps[-1][1])
    for name in ("estimator_", "regressor_", "best_estimator_"):
        if hasattr(estimator, name):
            return network_of(getattr(estimator, name))
    return None
