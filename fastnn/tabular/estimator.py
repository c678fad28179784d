"""What does a scikit-learn user train on a table? A bag of small networks, with scores."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray
from sklearn.base import ClassifierMixin, RegressorMixin
from sklearn.utils import Tags, assert_all_finite
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import (
    check_array,
    check_is_fitted,
    column_or_1d,
)

from fastnn._sklearn import StrOptions
from fastnn.backends.base import Data
from fastnn.core.activations import Array
from fastnn.core.losses import LOSSES, Loss
from fastnn.core.optimizers import Optimizer
from fastnn.core.schedules import Schedule
from fastnn.estimators import targets
from fastnn.estimators.targets import Targets
from fastnn.tabular.base import BaseTabular
from fastnn.tabular.conformal import class_sets, intervals
from fastnn.tabular.parameters import ATTRIBUTES, PARAMETERS, TabularParameters
from fastnn.tabular.table import is_missing
from fastnn.training.data import refuse_dates


class TabularClassifier(ClassifierMixin, BaseTabular):  # noqa: D101 - see below
    __doc__ = f"""A bag of small networks for tables: classes.

    Parameters
    ----------
    {PARAMETERS}
    class_weight : dict of label to float, 'balanced' or None, default=None
        How much the rows of each class count, beside ``sample_weight``; 1 for a label that is not
        named. 'balanced' is ``n_samples / (n_classes * count of the class)``. It applies to rows
        that are held out, too.

    Attributes
    ----------
    classes_ : ndarray of shape (n_classes,)
        The class labels.
    {ATTRIBUTES}

    Examples
    --------
    >>> from fastnn import TabularClassifier
    >>> from sklearn.datasets import load_iris
    >>> X, y = load_iris(return_X_y=True, as_frame=True)
    >>> model = TabularClassifier("fast", random_state=0).fit(X, y)
    >>> model.predict(X[:3])
    array([0, 0, 0])
    """

    _parameter_constraints: ClassVar[dict[str, list[Any]]] = {
        **TabularParameters._parameter_constraints,
        "class_weight": [None, dict, StrOptions({"balanced"})],
    }

    def __init__(
        self,
        preset: str = "balanced",
        *,
        n_members: int | None = None,
        hidden_layer_sizes: Any = None,
        activation: Any = None,
        max_iter: int | None = None,
        n_bins: int | None = None,
        embedding_size: int | None = None,
        max_categories: int | None = None,
        solver: str | Optimizer | None = None,
        learning_rate: str | Schedule | Callable[[float], float] | None = None,
        learning_rate_init: float | None = None,
        bias_rate: float | None = None,
        embedding_rate: float | None = None,
        scale_rate: float | None = None,
        batch_size: int | None = None,
        dtype: str | None = None,
        categorical_features: Any = "from_dtype",
        eval_metric: Any = None,
        cv: Any = None,
        max_time: float | None = None,
        importance_repeats: int = 0,
        random_state: Any = None,
        backend: str = "auto",
        n_threads: int | None = None,
        verbose: bool = False,
        class_weight: Any = None,
    ) -> None:
        self._keep(locals())

    def _checked_targets(self, y: Any) -> np.ndarray:
        y = column_or_1d(y, warn=True)
        if y.dtype == object and any(map(is_missing, y)):
            raise ValueError("Input y contains NaN.")
        assert_all_finite(y, input_name="y")
        check_classification_targets(y)
        return y

    def _learned(self, y: np.ndarray) -> Targets:
        self.classes_, codes = np.unique(y, return_inverse=True)
        if len(self.classes_) < 2:
            raise ValueError(
                f"y holds one class only, {self.classes_.tolist()[0]!r}; a classifier needs at"
                " least 2 classes."
            )
        weights = None
        if self.class_weight is not None:
            weights = targets.weights_of_classes(self.class_weight, self.classes_, y, False)
        loss = LOSSES["log_loss"].filled()
        return Targets(codes.astype(np.int32), len(self.classes_), loss, class_weight=weights)

    def _as_learned(self, y: np.ndarray) -> np.ndarray:
        if len(unknown := np.setdiff1d(y, self.classes_)):
            raise ValueError(f"y_val holds classes that y does not: {unknown.tolist()}.")
        return np.searchsorted(self.classes_, y).astype(np.int32)

    def _shown(self, predictions: NDArray[np.float64]) -> NDArray[np.float64]:
        return predictions / predictions.sum(axis=1, keepdims=True)  # 1 in float64, too

    def _missed_by(self, predictions: Array, y: np.ndarray) -> NDArray[np.float64]:
        return 1 - predictions[np.arange(len(y)), y].astype(np.float64)

    def _judged(self, predictions: Array, held_out: Data) -> float:
        return targets.accuracy(predictions, held_out)

    def predict_set(self, X: Any, coverage: float = 0.9) -> NDArray[np.bool_]:
        """Which classes each row may have, by CV+; see :mod:`fastnn.tabular.conformal`.

        Parameters
        ----------
        X : DataFrame, array-like or sparse matrix of shape (n_samples, n_features)
        coverage : float, default=0.9
            The share of rows whose class should be among them, in (0, 1).

        Returns
        -------
        sets : ndarray of bool, shape (n_samples, n_classes)
            In the order of ``classes_``. Rows of no class are unlike those of the training.
        """
        return class_sets(self._by_judged(X), self._misses, coverage)

    def predict_proba(self, X: Any) -> NDArray[np.float64]:
        """Probabilities of the classes, ``(n_samples, n_classes)``."""
        return self._shown(self._predictions(X))

    def predict(self, X: Any) -> np.ndarray:
        """The likeliest class, ``(n_samples,)``."""
        probabilities = self._predictions(X)  # NotFittedError comes before classes_ are missed
        return self.classes_[probabilities.argmax(axis=1)]


class TabularRegressor(RegressorMixin, BaseTabular):  # noqa: D101 - see below
    __doc__ = f"""A bag of small networks for tables: numbers.

    Parameters
    ----------
    {PARAMETERS}
    loss : str or Loss, default='squared_error'
        What is minimised, of targets that are divided by their standard deviation: 'squared_error',
        'absolute_error', 'huber', 'quantile' (the median); or 'poisson', which needs ``y >= 0``,
        or 'gamma', which needs ``y > 0``, of targets divided by their mean: these predict through
        an exponential. An object of :mod:`fastnn.losses` brings its own settings:
        ``Huber(delta=0.5)``, ``Quantile([0.05, 0.5, 0.95])``. A bag predicts the mean of what its
        members predict, on the scale of the targets.

    Attributes
    ----------
    {ATTRIBUTES}

    Examples
    --------
    >>> from fastnn import TabularRegressor
    >>> from sklearn.datasets import load_diabetes
    >>> X, y = load_diabetes(return_X_y=True, as_frame=True)
    >>> model = TabularRegressor("fast", random_state=0).fit(X, y)
    >>> model.predict(X[:3]).shape
    (3,)
    """

    _parameter_constraints: ClassVar[dict[str, list[Any]]] = {
        **TabularParameters._parameter_constraints,
        "loss": [StrOptions(targets.NUMBER_LOSSES), Loss],
    }

    def __init__(
        self,
        preset: str = "balanced",
        *,
        n_members: int | None = None,
        hidden_layer_sizes: Any = None,
        activation: Any = None,
        max_iter: int | None = None,
        n_bins: int | None = None,
        embedding_size: int | None = None,
        max_categories: int | None = None,
        solver: str | Optimizer | None = None,
        learning_rate: str | Schedule | Callable[[float], float] | None = None,
        learning_rate_init: float | None = None,
        bias_rate: float | None = None,
        embedding_rate: float | None = None,
        scale_rate: float | None = None,
        batch_size: int | None = None,
        dtype: str | None = None,
        categorical_features: Any = "from_dtype",
        eval_metric: Any = None,
        cv: Any = None,
        max_time: float | None = None,
        importance_repeats: int = 0,
        random_state: Any = None,
        backend: str = "auto",
        n_threads: int | None = None,
        verbose: bool = False,
        loss: str | Loss = "squared_error",
    ) -> None:
        self._keep(locals())

    def _checked_targets(self, y: Any) -> np.ndarray:
        refuse_dates(np.asarray(y), "y")
        y = check_array(y, ensure_2d=False, dtype=np.float64, order="C", input_name="y")
        return column_or_1d(y, warn=True) if y.ndim == 2 and y.shape[1] == 1 else y

    def _learned(self, y: np.ndarray) -> Targets:
        loss = targets.chosen_loss(self, LOSSES, "numbers")
        encoded = targets.encode_numbers(y, loss)
        y = y.reshape(len(y), -1)
        self._low, self._high = y.min(axis=0), y.max(axis=0)
        with np.errstate(over="ignore", invalid="ignore"):
            self._mean, self._std = y.mean(axis=0), y.std(axis=0)
        wrong = ~np.isfinite(self._std) | ((self._std == 0) & (self._low < self._high))
        if wrong.any():
            raise ValueError(
                f"y has a variance that float64 cannot hold, with numbers from"
                f" {self._low[wrong][0]:g} to {self._high[wrong][0]:g}. Fit it in another unit."
            )
        if loss.inverse_link == "exp":  # what is predicted must stay positive
            self._mean, self._std = np.zeros_like(self._mean), self._mean
        self._std[self._std == 0] = 1
        return replace(encoded, values=(y - self._mean) / self._std)

    def _as_learned(self, y: np.ndarray) -> np.ndarray:
        columns = y.reshape(len(y), -1)
        if columns.shape[1] != len(self._mean):
            raise ValueError(f"y_val has {columns.shape[1]} outputs, but y has {len(self._mean)}.")
        targets.encode_numbers(y, self._loss)  # refuses what the loss is not made for
        return (columns - self._mean) / self._std

    def _shown(self, predictions: NDArray[np.float64]) -> NDArray[np.float64]:
        columns = self._shown_columns(predictions)
        return columns.ravel() if self._n_out == 1 else columns

    def _shown_columns(self, predictions: np.ndarray) -> NDArray[np.float64]:
        """The same of any number of axes, the last of which counts the outputs."""
        shown = predictions * self._std + self._mean
        return np.minimum(np.maximum(shown, self._low), self._high)

    def _missed_by(self, predictions: Array, y: np.ndarray) -> NDArray[np.float64]:
        return np.abs(self._shown_columns(predictions) - self._shown_columns(y))

    def _judged(self, predictions: Array, held_out: Data) -> float:
        shown, y = self._shown_columns(predictions), self._shown_columns(held_out.y)
        held_out = replace(held_out, y=y)
        return targets.score_of_numbers(self._loss, shown, held_out)

    def predict_interval(
        self, X: Any, coverage: float = 0.9
    ) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Where the target of each row lies, by CV+; see :mod:`fastnn.tabular.conformal`.

        Parameters
        ----------
        X : DataFrame, array-like or sparse matrix of shape (n_samples, n_features)
        coverage : float, default=0.9
            The share of rows whose target should lie between the ends, in (0, 1).

        Returns
        -------
        low, high : ndarray of shape (n_samples,) or (n_samples, n_outputs)
            Not below 0 where the loss is "poisson" or "gamma".
        """
        shown = self._shown_columns(self._by_judged(X))
        ends = [
            intervals(shown[:, :, i], [miss[:, i] for miss in self._misses], coverage)
            for i in range(shown.shape[2])
        ]
        low, high = (np.stack(columns, axis=1) for columns in zip(*ends, strict=True))
        if self._loss.inverse_link == "exp":
            low = np.maximum(low, 0)
        return (low.ravel(), high.ravel()) if self._n_out == 1 else (low, high)

    def predict(self, X: Any) -> NDArray[np.float64]:
        """Predicted values, ``(n_samples,)`` or ``(n_samples, n_outputs)``.

        Of several quantiles ``(n_samples, n_quantiles)``, in increasing order in each row.
        """
        return self._shown(self._predictions(X))

    def score(self, X: Any, y: Any, sample_weight: Any = None) -> float:
        """Return R2 on the given data; for a loss of quantiles the mean D2 pinball score."""
        check_is_fitted(self)
        if self._loss.levels:
            predictions = self.predict(X).reshape(-1, self._n_out)
            return targets.d2_pinball(self._loss, predictions, np.asarray(y), sample_weight)
        return super().score(X, y, sample_weight)

    def __sklearn_tags__(self) -> Tags:
        tags = super().__sklearn_tags__()
        tags.target_tags.multi_output = True
        return tags
