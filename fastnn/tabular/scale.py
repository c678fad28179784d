"""On which scale is a quantity learned? Standardised as it is, or its logarithm."""

from __future__ import annotations

from typing import Any

import numpy as np
from sklearn.base import BaseEstimator, TransformerMixin
from sklearn.utils.validation import check_is_fitted


class LogScale(TransformerMixin, BaseEstimator):
    """The standardised logarithm of positive numbers.

    What comes back from it is between the smallest and the largest number that it was fitted to:
    beyond these a small error of the logarithm is a large one of the number.

    Attributes
    ----------
    mean_, scale_ : float
        Mean and standard deviation of the logarithms.
    low_, high_ : float
        The least and the largest logarithm.
    """

    def fit(self, X: Any, y: Any = None) -> LogScale:
        """Learn the spread of the logarithms.

        Parameters
        ----------
        X : array-like of shape (n_rows, n_columns)
            Positive numbers.
        y : None
            Ignored.

        Raises
        ------
        ValueError
            If a number is not positive.
        """
        X = np.asarray(X, float)
        if not (X > 0).all():
            raise ValueError(f"A logarithm needs positive numbers, got {X.min():g}.")
        logs = np.log(X)
        self.mean_, self.scale_ = float(logs.mean()), float(logs.std()) or 1.0
        self.low_, self.high_ = float(logs.min()), float(logs.max())
        return self

    def transform(self, X: Any) -> np.ndarray:
        """Return standardised logarithms, float64, of the shape of X."""
        check_is_fitted(self)
        return (np.log(np.asarray(X, float)) - self.mean_) / self.scale_

    def inverse_transform(self, X: Any) -> np.ndarray:
        """Return the numbers of the standardised logarithms X, within the range of those seen."""
        check_is_fitted(self)
        logs = np.asarray(X, float) * self.scale_ + self.mean_
        return np.exp(np.clip(logs, self.low_, self.high_))
