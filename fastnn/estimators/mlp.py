"""What does a scikit-learn user see? MLPClassifier and MLPRegressor: targets in, answers out."""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np
from sklearn.base import ClassifierMixin, RegressorMixin
from sklearn.preprocessing import LabelBinarizer
from sklearn.utils import Tags
from sklearn.utils.metaestimators import available_if
from sklearn.utils.multiclass import unique_labels

from fastnn._sklearn import StrOptions, fit_context
from fastnn.core.family import chosen
from fastnn.core.losses import LOSSES, Loss
from fastnn.core.optimizers import Optimizer
from fastnn.core.schedules import Schedule
from fastnn.estimators import targets
from fastnn.estimators.base import BaseMLP, unchanged_on_error
from fastnn.estimators.parameters import ATTRIBUTES, PARAMETERS, SharedParameters
from fastnn.estimators.targets import Targets


class MLPClassifier(ClassifierMixin, BaseMLP):  # noqa: D101 - the f-string is its docstring
    __doc__ = f"""Multi-layer perceptron classifier: scikit-learn's, with a compiled training pass.

    Minimises the log loss. The same parameters and ``random_state`` give scikit-learn's model, up
    to rounding.

    Parameters
    ----------
    {PARAMETERS}

    Attributes
    ----------
    classes_ : ndarray of shape (n_classes,)
        The class labels.
    {ATTRIBUTES}

    Examples
    --------
    >>> from fastnn import MLPClassifier
    >>> from sklearn.datasets import make_classification
    >>> X, y = make_classification(n_samples=100, random_state=1)
    >>> clf = MLPClassifier(random_state=1, max_iter=300).fit(X, y)
    >>> clf.predict(X[:5])
    array([1, 0, 1, 0, 1])
    """

    loss: ClassVar[str] = "log_loss"
    _default_score = staticmethod(targets.accuracy)

    def _decoded(self, y: np.ndarray) -> np.ndarray:
        if self._label_binarizer.y_type_.startswith("multilabel"):
            return y
        return self.classes_.take(y.astype(int).ravel())

    def _encode_targets(self, y: Any, first: bool, incremental: bool) -> Targets:
        if not hasattr(self, "classes_") or not (self.warm_start or incremental):
            self._label_binarizer = LabelBinarizer().fit(y)
            self.classes_ = self._label_binarizer.classes_
        else:
            targets.check_known_labels(y, self._label_binarizer, all_of_them=self.warm_start)
        return targets.encode_labels(y, self._label_binarizer)

    def predict(self, X: Any) -> np.ndarray:
        """Predict using the multi-layer perceptron classifier.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
            The input data.

        Returns
        -------
        y : ndarray of shape (n_samples,) or (n_samples, n_classes)
            The predicted classes.
        """
        probabilities = self._predictions(X)
        if self._label_binarizer.y_type_.startswith("multilabel"):
            return self._label_binarizer.inverse_transform(probabilities)
        codes = targets.decide(probabilities, self.out_activation_ == "softmax")
        return self.classes_.take(codes.ravel(), mode="clip")

    def predict_proba(self, X: Any) -> np.ndarray:
        """Probability estimates.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
            The input data.

        Returns
        -------
        y_prob : ndarray of shape (n_samples, n_classes)
            The probability of each class, ordered as in ``classes_``.
        """
        probabilities = self._predictions(X)
        if probabilities.shape[1] > 1:
            return probabilities
        return np.concatenate([1 - probabilities, probabilities], axis=1)

    def predict_log_proba(self, X: Any) -> np.ndarray:
        """Return the log of probability estimates.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
            The input data.

        Returns
        -------
        log_y_prob : ndarray of shape (n_samples, n_classes)
            ``log(predict_proba(X))``.
        """
        probabilities = self.predict_proba(X)
        return np.log(probabilities, out=probabilities)

    @available_if(lambda self: self._solver_is_stochastic())
    @fit_context(prefer_skip_nested_validation=True)
    def partial_fit(
        self, X: Any, y: Any, sample_weight: Any = None, classes: Any = None
    ) -> MLPClassifier:
        """Update the model with a single iteration over the given data.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
            The input data.
        y : array-like of shape (n_samples,) or (n_samples, n_classes)
            The target values.
        sample_weight : array-like of shape (n_samples,), default=None
            How much each row counts; not negative.
        classes : array of shape (n_classes,), default=None
            All classes of all calls; required at the first call only. y need not hold all of them.

        Returns
        -------
        self : MLPClassifier
            The trained model.
        """
        with unchanged_on_error(self):
            known = getattr(self, "classes_", None)
            binarizer = targets.first_binarizer(y, classes, known)
            if binarizer is not None:
                self._label_binarizer, self.classes_ = binarizer, unique_labels(classes)
            return self._fit(X, y, sample_weight, incremental=True)

    def _solver_is_stochastic(self) -> bool:
        if self.solver == "lbfgs":
            raise AttributeError(
                f"partial_fit is only available for stochastic optimizers. {self.solver} is not"
                " stochastic."
            )
        return True

    def __sklearn_tags__(self) -> Tags:
        tags = super().__sklearn_tags__()
        tags.classifier_tags.multi_label = True
        return tags


class MLPRegressor(RegressorMixin, BaseMLP):  # noqa: D101 - the f-string is its docstring
    __doc__ = f"""Multi-layer perceptron regressor: scikit-learn's, with a compiled training pass.

    Minimises half the squared error or half the Poisson deviance. The same parameters and
    ``random_state`` give scikit-learn's model, up to rounding.

    Parameters
    ----------
    loss : {{'squared_error', 'poisson'}}, default='squared_error'
        What is minimised. 'poisson' needs ``y >= 0`` and predicts through an exponential.
    {PARAMETERS}

    Attributes
    ----------
    {ATTRIBUTES}

    Examples
    --------
    >>> from fastnn import MLPRegressor
    >>> from sklearn.datasets import make_regression
    >>> X, y = make_regression(n_samples=200, n_features=20, random_state=1)
    >>> reg = MLPRegressor(random_state=1, max_iter=2000, tol=0.1).fit(X, y / y.std())
    >>> reg.predict(X[:2]).shape
    (2,)
    """

    _parameter_constraints: ClassVar[dict[str, list[Any]]] = {
        **SharedParameters._parameter_constraints,
        "loss": [StrOptions(targets.NUMBER_LOSSES), Loss],
    }
    _default_score = staticmethod(targets.r2)

    def _decoded(self, y: np.ndarray) -> np.ndarray:
        return y.ravel() if y.shape[1] == 1 else y

    def __init__(
        self,
        loss: str | Loss = "squared_error",
        hidden_layer_sizes: Any = (100,),
        activation: Any = "relu",
        *,
        solver: str | Optimizer = "adam",
        alpha: float = 0.0001,
        batch_size: int | str = "auto",
        learning_rate: str | Schedule = "constant",
        learning_rate_init: float = 0.001,
        power_t: float = 0.5,
        max_iter: int = 200,
        shuffle: bool = True,
        random_state: Any = None,
        tol: float = 1e-4,
        verbose: bool | int = False,
        warm_start: bool = False,
        momentum: float = 0.9,
        nesterovs_momentum: bool = True,
        early_stopping: bool = False,
        validation_fraction: float = 0.1,
        beta_1: float = 0.9,
        beta_2: float = 0.999,
        epsilon: float = 1e-8,
        n_iter_no_change: float = 10,
        max_fun: int = 15000,
        backend: str = "auto",
        n_threads: int | None = None,
        dtype: str = "auto",
        scoring: Any = None,
        dropout: Any = 0.0,
        augment: Any = None,
    ) -> None:
        # scikit-learn reads parameters off this signature, where `loss` comes first; all else is
        # the base's.
        parameters = {
            name: value
            for name, value in locals().items()
            if name not in ("self", "loss", "__class__")
        }
        super().__init__(**parameters)
        self.loss = loss

    def _encode_targets(self, y: np.ndarray, first: bool, incremental: bool) -> Targets:
        encoded = targets.encode_numbers(y, chosen("loss", self.loss, LOSSES))
        # A network goes on with the loss that it was fitted with.
        return encoded if first else targets.encode_numbers(encoded.values, self._trained_by())

    def predict(self, X: Any) -> np.ndarray:
        """Predict using the multi-layer perceptron model.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
            The input data.

        Returns
        -------
        y : ndarray of shape (n_samples,) or (n_samples, n_outputs)
            The predicted values.
        """
        predictions = self._predictions(X)
        return predictions.ravel() if predictions.shape[1] == 1 else predictions

    @fit_context(prefer_skip_nested_validation=True)
    def partial_fit(self, X: Any, y: Any, sample_weight: Any = None) -> MLPRegressor:
        """Update the model with a single iteration over the given data.

        With ``solver="lbfgs"`` it goes on with a whole L-BFGS fit from the present parameters, as
        in scikit-learn.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
            The input data.
        y : array-like of shape (n_samples,) or (n_samples, n_outputs)
            The target values.
        sample_weight : array-like of shape (n_samples,), default=None
            How much each row counts; not negative.

        Returns
        -------
        self : MLPRegressor
            The trained model.
        """
        with unchanged_on_error(self):
            return self._fit(X, y, sample_weight, incremental=True)
