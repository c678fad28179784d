"""What does a bag in a pipeline answer of its training rows, and how sure is it of others?

Each training row is answered by the members that have not learned from it, so that these answers
serve as those of rows held out.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.pipeline import Pipeline

from fastnn.estimators.inspect import innermost


def is_bag(model: Any) -> bool:
    """Whether ``model`` is a fitted bag of networks, or has one inside."""
    return hasattr(innermost(model), "members_")


def out_of_fold(model: Any) -> tuple[NDArray[np.bool_], NDArray[np.float64]]:
    """What a fitted bag answers of the rows that it was fitted to.

    Parameters
    ----------
    model : fitted estimator
        A bag, or a Pipeline or a TransformedTargetRegressor around one.

    Returns
    -------
    known : ndarray of bool, shape (n_rows,)
        Which rows have an answer: those that at least one member has not learned from.
    answers : ndarray of shape (n_known,) or (n_known, n_classes)
        Predicted numbers, or probabilities in the order of ``classes_``.
    """
    found = innermost(model).oof_prediction_
    known = ~np.isnan(found.reshape(len(found), -1)).any(axis=1)
    return known, _turned_back(model, found[known])


def intervals(
    model: Any, X: Any, coverage: float
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Where the target of each row lies, on the scale of ``model.predict``.

    Parameters
    ----------
    model : fitted estimator
        As for `out_of_fold`, of numbers.
    X : DataFrame or array-like of shape (n_rows, n_columns)
        As ``model.predict`` takes it.
    coverage : float
        The share of rows whose target should lie between the ends, in (0, 1).

    Returns
    -------
    low, high : ndarray of shape (n_rows,)
    """
    ends = innermost(model).predict_interval(_before_last(model, X), coverage)
    low, high = (_turned_back(model, end) for end in ends)
    return low, high


def sets(model: Any, X: Any, coverage: float) -> NDArray[np.bool_]:
    """Which classes each row may have, ``(n_rows, n_classes)``; as `intervals`."""
    found: NDArray[np.bool_] = innermost(model).predict_set(_before_last(model, X), coverage)
    return found


def _before_last(model: Any, X: Any) -> Any:
    """The rows as the last step of a Pipeline takes them."""
    return model[:-1].transform(X) if isinstance(model, Pipeline) and len(model) > 1 else X


def _turned_back(model: Any, values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Answers of the innermost estimator on the scale of the target."""
    last = model[-1] if isinstance(model, Pipeline) else model
    if not hasattr(last, "transformer_"):
        return values
    columns = last.transformer_.inverse_transform(values.reshape(len(values), -1))
    return np.asarray(columns, np.float64).reshape(values.shape)
