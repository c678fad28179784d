"""What does a scikit-learn user see? MLPClassifier and MLPRegressor: targets in, answers out."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from numbers import Real
from typing import Any, ClassVar

import numpy as np
from sklearn.base import ClassifierMixin, RegressorMixin
from sklearn.preprocessing import LabelBinarizer
from sklearn.utils import Tags
from sklearn.utils.metaestimators import available_if
from sklearn.utils.multiclass import unique_labels
from sklearn.utils.validation import check_is_fitted

from fastnn._sklearn import StrOptions, fit_context
from fastnn.backends.base import Data
from fastnn.core.activations import Array
from fastnn.core.losses import LABEL_LOSSES, LOSSES, Loss
from fastnn.core.optimizers import Optimizer
from fastnn.core.schedules import Schedule
from fastnn.estimators import targets
from fastnn.estimators.base import BaseMLP, unchanged_on_error
from fastnn.estimators.parameters import ATTRIBUTES, PARAMETERS, Number, SharedParameters
from fastnn.estimators.targets import Targets


class MLPClassifier(ClassifierMixin, BaseMLP):  # noqa: D101 - the f-string is its docstring
    __doc__ = f"""Multi-layer perceptron classifier: scikit-learn's, with a compiled training pass.

    Minimises the log loss, or another. The same parameters and ``random_state`` give scikit-learn's
    model, up to rounding.

    Parameters
    ----------
    {PARAMETERS}
    class_weight : dict of label to float, 'balanced' or None, default=None
        How much the rows of each class count, beside ``sample_weight``; 1 for a label that is not
        named. 'balanced' is ``n_samples / (n_classes * count of the class)``. It applies to rows
        to validate on, too. Not for multilabel targets, whose rows have no single class.
    loss : {{'log_loss', 'squared_error', 'focal'}} or Loss, default='log_loss'
        What is minimised: the cross-entropy; the squared error of the probabilities, Brier's score;
        the focal loss. An object of :mod:`fastnn.losses` brings its own settings:
        ``Focal(gamma=3.0)``; of your own, for two classes or several labels,
        ``Function(value, slope, inverse_link="logistic")``.
    label_smoothing : float, default=0.0
        In [0, 1]: the share of each row's label that is spread evenly over all classes; for two
        classes and for labels of a multilabel target over yes and no.

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

    _parameter_constraints: ClassVar[dict[str, list[Any]]] = {
        **SharedParameters._parameter_constraints,
        "class_weight": [None, dict, StrOptions({"balanced"})],
        "loss": [StrOptions(LABEL_LOSSES.keys()), Loss],
        "label_smoothing": [Number(Real, 0, 1, closed="both")],
    }
    _families: ClassVar[dict[str, Any]] = {**SharedParameters._families, "loss": LABEL_LOSSES}

    def _default_score(self, predictions: Array, held_out: Data) -> float:
        return targets.accuracy(predictions, held_out)

    def __init__(
        self,
        hidden_layer_sizes: Any = (100,),
        activation: Any = "relu",
        *,
        solver: str | Optimizer = "adam",
        alpha: float = 0.0001,
        batch_size: int | str = "auto",
        learning_rate: str | Schedule | Callable[[float], float] = "constant",
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
        restore_best: bool | str = "auto",
        max_time: float | None = None,
        dropout: Any = 0.0,
        augment: Any = None,
        class_weight: Any = None,
        loss: str | Loss = "log_loss",
        label_smoothing: float = 0.0,
    ) -> None:
        self._keep(locals())

    def _decoded(self, y: np.ndarray) -> np.ndarray:
        if self._label_binarizer.y_type_.startswith("multilabel"):
            return y
        return self.classes_.take(y.astype(int).ravel())

    def _encode_targets(self, y: Any, incremental: bool) -> Targets:
        if self.class_weight is not None:
            targets.check_one_class_a_row(self.class_weight, y)
        if not hasattr(self, "classes_") or not (self.warm_start or incremental):
            self._label_binarizer = LabelBinarizer().fit(y)
            self.classes_ = self._label_binarizer.classes_
        else:
            targets.check_known_labels(y, self._label_binarizer, all_of_them=self.warm_start)
        loss = targets.chosen_loss(self, LABEL_LOSSES, "classes")
        encoded = targets.encode_labels(y, self._label_binarizer, loss)
        if self.class_weight is None:
            return encoded
        weights = targets.weights_of_classes(self.class_weight, self.classes_, y, incremental)
        return replace(encoded, class_weight=weights, may_weigh_nothing=incremental)

    def _encode_known(self, y: np.ndarray) -> Targets:
        targets.check_known_labels(y, self._label_binarizer, all_of_them=False)
        loss = targets.chosen_loss(self, LABEL_LOSSES, "classes")
        return targets.encode_labels(y, self._label_binarizer, loss)

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

    @available_if(lambda self: self._has_passes("partial_fit"))
    @fit_context(prefer_skip_nested_validation=True)
    def partial_fit(
        self,
        X: Any,
        y: Any,
        sample_weight: Any = None,
        classes: Any = None,
        *,
        n_epochs: int = 1,
    ) -> MLPClassifier:
        """Update the model with one or more iterations over the given data.

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
            An indicator matrix has a column for each, and needs no ``classes``.
        n_epochs : int, default=1
            How many passes over the data to do, whatever the loss does.

        Returns
        -------
        self : MLPClassifier
            The trained model.
        """
        with unchanged_on_error(self):
            return self._learn_more(X, y, sample_weight, n_epochs, classes=classes)

    @available_if(lambda self: self._has_passes("fit_batches"))
    @fit_context(prefer_skip_nested_validation=True)
    def fit_batches(self, batches: Any, *, classes: Any = None, n_epochs: int = 1) -> MLPClassifier:
        """Fit the model to data that comes in batches, which need not fit into memory.

        Each batch is trained on as by ``partial_fit``, in minibatches of ``batch_size`` rows. The
        random numbers go on from batch to batch. Starts anew, unless ``warm_start=True``.

        Parameters
        ----------
        batches : iterable of tuple, or callable that returns one
            Tuples ``(X, y)`` or ``(X, y, sample_weight)``. An iterator can be read once; for more
            epochs give a list, or a function that returns a new one.
        classes : array of shape (n_classes,), default=None
            All classes of all batches; indicator matrices need none.
        n_epochs : int, default=1
            How often to go through all batches.

        Returns
        -------
        self : MLPClassifier
            The trained model. ``loss_curve_`` holds the mean loss of each epoch, ``n_iter_`` says
            how many there were.

        Raises
        ------
        ValueError
            If a batch is not usable, or training diverges; the model is then as it was before.
        """
        return self._fit_batches(batches, n_epochs, classes=classes)

    def _learn_more(
        self, X: Any, y: Any, sample_weight: Any, n_epochs: int, *, classes: Any = None
    ) -> Any:
        binarizer = targets.first_binarizer(y, classes, getattr(self, "classes_", None))
        if binarizer is not None:
            self._label_binarizer = binarizer
            self.classes_ = binarizer.classes_ if classes is None else unique_labels(classes)
        return super()._learn_more(X, y, sample_weight, n_epochs)

    def __sklearn_tags__(self) -> Tags:
        tags = super().__sklearn_tags__()
        tags.classifier_tags.multi_label = True
        return tags


class MLPRegressor(RegressorMixin, BaseMLP):  # noqa: D101 - the f-string is its docstring
    __doc__ = f"""Multi-layer perceptron regressor: scikit-learn's, with a compiled training pass.

    Minimises half the squared error, or another loss. The same parameters and ``random_state`` give
    scikit-learn's model, up to rounding.

    Parameters
    ----------
    loss : str or Loss, default='squared_error'
        What is minimised: 'squared_error', 'absolute_error', 'huber', 'quantile' (the median),
        'poisson', which needs ``y >= 0``, or 'gamma', which needs ``y > 0``; the last two are half
        deviances and predict through an exponential. An object of :mod:`fastnn.losses` brings its
        own settings: ``Huber(delta=0.5)``, ``Quantile([0.05, 0.5, 0.95])``; of your own,
        ``Function(value, slope)``.
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
    _families: ClassVar[dict[str, Any]] = {**SharedParameters._families, "loss": LOSSES}

    def _default_score(self, predictions: Array, held_out: Data) -> float:
        return targets.score_of_numbers(self._loss, predictions, held_out)

    def _decoded(self, y: np.ndarray) -> np.ndarray:
        one_target = y.shape[1] == 1 or len(self._loss.levels) > 1
        return y[:, 0] if one_target else y

    def __init__(
        self,
        loss: str | Loss = "squared_error",
        hidden_layer_sizes: Any = (100,),
        activation: Any = "relu",
        *,
        solver: str | Optimizer = "adam",
        alpha: float = 0.0001,
        batch_size: int | str = "auto",
        learning_rate: str | Schedule | Callable[[float], float] = "constant",
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
        restore_best: bool | str = "auto",
        max_time: float | None = None,
        dropout: Any = 0.0,
        augment: Any = None,
    ) -> None:
        self._keep(locals())

    def _encode_known(self, y: np.ndarray) -> Targets:
        return targets.encode_numbers(y, self._trained_by())

    def _encode_targets(self, y: np.ndarray, incremental: bool) -> Targets:
        return targets.encode_numbers(y, targets.chosen_loss(self, LOSSES, "numbers"))

    def predict(self, X: Any) -> np.ndarray:
        """Predict using the multi-layer perceptron model.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
            The input data.

        Returns
        -------
        y : ndarray of shape (n_samples,) or (n_samples, n_outputs)
            The predicted values. Of several quantiles ``(n_samples, n_quantiles)``, in increasing
            order in each row.
        """
        predictions = self._predictions(X)
        return predictions.ravel() if predictions.shape[1] == 1 else predictions

    def score(self, X: Any, y: Any, sample_weight: Any = None) -> float:
        """Return R2 on the given data; for a loss of quantiles the mean D2 pinball score.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
            The input data.
        y : array-like of shape (n_samples,) or (n_samples, n_outputs)
            The true values.
        sample_weight : array-like of shape (n_samples,), default=None
            How much each row counts.

        Returns
        -------
        score : float
            At most 1. D2 is the share of the pinball loss that is left out of that of the best
            constants; scikit-learn's ``d2_pinball_score``, averaged over the quantiles.
        """
        check_is_fitted(self)
        loss = self._trained_by()
        if loss.levels:
            y = np.asarray(y)
            loss.check_targets(y)
            return targets.d2_pinball(loss, self._predictions(X), y, sample_weight)
        return super().score(X, y, sample_weight)

    @fit_context(prefer_skip_nested_validation=True)
    def partial_fit(
        self, X: Any, y: Any, sample_weight: Any = None, *, n_epochs: int = 1
    ) -> MLPRegressor:
        """Update the model with one or more iterations over the given data.

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
        n_epochs : int, default=1
            How many passes over the data to do, whatever the loss does.

        Returns
        -------
        self : MLPRegressor
            The trained model.
        """
        with unchanged_on_error(self):
            return self._learn_more(X, y, sample_weight, n_epochs)

    @available_if(lambda self: self._has_passes("fit_batches"))
    @fit_context(prefer_skip_nested_validation=True)
    def fit_batches(self, batches: Any, *, n_epochs: int = 1) -> MLPRegressor:
        """Fit the model to data that comes in batches, which need not fit into memory.

        Each batch is trained on as by ``partial_fit``, in minibatches of ``batch_size`` rows. The
        random numbers go on from batch to batch. Starts anew, unless ``warm_start=True``.

        Parameters
        ----------
        batches : iterable of tuple, or callable that returns one
            Tuples ``(X, y)`` or ``(X, y, sample_weight)``. An iterator can be read once; for more
            epochs give a list, or a function that returns a new one.
        n_epochs : int, default=1
            How often to go through all batches.

        Returns
        -------
        self : MLPRegressor
            The trained model. ``loss_curve_`` holds the mean loss of each epoch, ``n_iter_`` says
            how many there were.

        Raises
        ------
        ValueError
            If a batch is not usable, or training diverges; the model is then as it was before.
        """
        return self._fit_batches(batches, n_epochs)
