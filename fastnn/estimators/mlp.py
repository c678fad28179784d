"""What does a scikit-learn user see? MLPClassifier and MLPRegressor: parameters, validation, fit and predict in named steps."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from numbers import Integral
from typing import Any, ClassVar

import numpy as np
from sklearn.base import BaseEstimator, ClassifierMixin, RegressorMixin
from sklearn.preprocessing import LabelBinarizer
from sklearn.utils import Tags, check_random_state
from sklearn.utils.metaestimators import available_if
from sklearn.utils.multiclass import _check_partial_fit_first_call, type_of_target
from sklearn.utils.validation import check_is_fitted, column_or_1d, validate_data

from fastnn._sklearn import StrOptions, fit_context
from fastnn.backends import choose
from fastnn.backends.base import Data
from fastnn.backends.checks import NotFinite
from fastnn.core.network import NetworkSpec, initialise
from fastnn.core.optimizers import OPTIMIZERS
from fastnn.estimators.parameters import ATTRIBUTES, PARAMETERS, SharedParameters
from fastnn.training.data import (
    check_known_labels,
    design_matrix,
    encode_labels,
    row_weights,
    target_columns,
)
from fastnn.training.loop import Memory
from fastnn.training.model import Network, check_memory
from fastnn.training.solvers import SOLVERS

_FLOATS = (np.float64, np.float32)
_SPARSE = ("csr", "csc")

# The loss whose raw output goes through each link scikit-learn calls `out_activation_`.
_LOSS_OF_LINK = {
    "identity": "squared_error",
    "exp": "poisson",
    "logistic": "binary_log_loss",
    "softmax": "log_loss",
}


@contextmanager
def _unchanged_on_error(estimator: BaseEstimator) -> Iterator[None]:
    """Give every attribute back its old value if the body raises: a failed fit leaves a fitted model as it was."""
    before = vars(estimator).copy()
    try:
        yield
    except BaseException:
        vars(estimator).clear()
        vars(estimator).update(before)
        raise


class _BaseMLP(SharedParameters):
    """What the classifier and the regressor share. Attributes with a trailing underscore are the truth outside a fit."""

    _memory: (
        Memory  # what partial_fit goes on from; absent before the first fit with 'adam' or 'sgd'
    )
    _model: Network  # the vector that coefs_ and intercepts_ are views of; absent from pickles

    # ---- fitting

    @fit_context(prefer_skip_nested_validation=True)
    def fit(self, X: Any, y: Any, sample_weight: Any = None) -> Any:
        """Fit the model to data matrix X and target(s) y.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
            The input data. With ``dtype="auto"`` float32 is trained in float32, everything else in float64.
        y : array-like of shape (n_samples,) or (n_samples, n_outputs)
            The target values: class labels in classification, real numbers in regression.
        sample_weight : array-like of shape (n_samples,), default=None
            How much each row counts; not negative.

        Returns
        -------
        self : object
            The trained model.

        Raises
        ------
        ValueError
            If the input is not usable, or training diverges; the model is then as it was before the call.
        MemoryError
            If the network is too large for this machine.
        """
        with _unchanged_on_error(self):
            return self._fit(X, y, sample_weight, incremental=False)

    def _fit(self, X: Any, y: Any, sample_weight: Any, incremental: bool) -> Any:
        if incremental:
            self._validate_params()  # scikit-learn does so at the first call only, and then takes a negative alpha
        hidden = self._hidden_sizes()
        if self.early_stopping and incremental and self.solver in OPTIMIZERS:
            raise ValueError("partial_fit does not support early_stopping=True")
        first = not hasattr(self, "coefs_") or not (self.warm_start or incremental)
        X, y = validate_data(
            self,
            X,
            y,
            accept_sparse=_SPARSE,
            multi_output=True,
            dtype=self._converts_to(_FLOATS),
            order="C",
            reset=first,
            **self._y_checks,
        )
        if y.ndim == 2 and y.shape[1] == 1:
            y = column_or_1d(y, warn=True)
        y, n_outputs, link = self._encode_targets(y, incremental)
        dtype = X.dtype if first else self._network().params.dtype
        if self.solver == "lbfgs":
            dtype = np.dtype(np.float64)  # as in scikit-learn, whatever X is
        weight, design = row_weights(sample_weight, X, dtype), design_matrix(X, dtype)
        random_state = check_random_state(self.random_state)

        if first:
            self._forget_curves()
            self.n_outputs_, self.out_activation_ = n_outputs, link
            spec = NetworkSpec.dense(
                [X.shape[1], *hidden, n_outputs], self.activation, _LOSS_OF_LINK[link]
            )
            check_memory(spec, dtype)
            choose(
                self.backend, spec, dtype
            )  # a backend that cannot run this says so before a number is drawn
            params = initialise(spec, X.dtype, random_state)
            network = Network(spec, params.astype(dtype, copy=False))
        else:
            network = self._network().copy(dtype)  # a copy, so that a diverging call costs nothing
            n_hidden = len(network.spec.layers) - 1
            if len(hidden) != n_hidden:
                raise ValueError(
                    f"hidden_layer_sizes is {hidden}, but the model to go on from has {n_hidden} hidden layers."
                    " Set warm_start=False and call fit to start anew."
                )
            if n_outputs != network.spec.n_out:
                raise ValueError(
                    f"y has {n_outputs} outputs, but this model was fitted with {network.spec.n_out}."
                )
        if link != "softmax":
            y = target_columns(y, dtype)
        data = Data(design, y, weight)

        self.n_layers_ = len(network.spec.layers) + 1
        SOLVERS[self.solver](self, network, data, random_state, first, incremental)
        self._adopt(network)
        return self

    def _adopt(self, network: Network) -> None:
        """Show ``network`` as ``coefs_`` and ``intercepts_``: lists of the user's own, so that an array put in is noticed."""
        self._model, self.coefs_, self.intercepts_ = (
            network,
            list(network.coefs),
            list(network.intercepts),
        )

    def _hidden_sizes(self) -> list[int]:
        """``hidden_layer_sizes`` as a list."""
        sizes = np.atleast_1d(np.asarray(self.hidden_layer_sizes, dtype=object)).tolist()
        if not all(isinstance(size, Integral) and not isinstance(size, bool) for size in sizes):
            raise ValueError(
                f"hidden_layer_sizes must hold whole numbers, got {self.hidden_layer_sizes}."
            )
        if any(size <= 0 for size in sizes):
            raise ValueError(f"hidden_layer_sizes must be > 0, got {sizes}.")
        return sizes

    def _forget_curves(self) -> None:
        """Make room for a first fit; what an earlier fit with another solver left would describe another model."""
        for name in (
            "loss_curve_",
            "best_loss_",
            "validation_scores_",
            "best_validation_score_",
            "_memory",
        ):
            self.__dict__.pop(name, None)
        self.t_ = self.n_iter_ = self._no_improvement_count = 0

    # ---- predicting

    def _network(self) -> Network:
        """The network of ``coefs_`` and ``intercepts_``; they are copied only if any was assigned anew since the fit."""
        arrays = self.coefs_, self.intercepts_, self.activation, _LOSS_OF_LINK[self.out_activation_]
        model = getattr(self, "_model", None)
        if model is not None and model.holds(*arrays):
            return model
        network = Network.gather(*arrays)
        if network.spec.n_in != self.n_features_in_:
            raise ValueError(
                f"coefs_[0] must have {self.n_features_in_} rows, one for each feature, got {network.spec.n_in}."
            )
        if network.spec.n_out != self.n_outputs_:
            raise ValueError(
                f"coefs_[-1] must have {self.n_outputs_} columns, one for each output, got {network.spec.n_out}."
            )
        return network

    def _predictions(self, X: Any) -> np.ndarray:
        """Predictions ``(n_samples, n_outputs)`` through the link, for X as a user gives it."""
        if not hasattr(self, "coefs_"):
            check_is_fitted(self)
        if self._is_plain(X):
            plain = X if self.dtype == "auto" else self._convert(X)
            with suppress(NotFinite):
                return self._network().predict(plain, self.backend, self.n_threads)
        dtype = self._converts_to("numeric")
        X = validate_data(self, X, accept_sparse=_SPARSE, dtype=dtype, reset=False)
        return self._network().predict(X, self.backend, self.n_threads)

    def _convert(self, X: np.ndarray) -> np.ndarray:
        """Plain X in the type that ``dtype`` names; the engine finds what overflows."""
        dtype = self._converts_to(None)
        if X.dtype == dtype:
            return X
        with np.errstate(over="ignore"):
            return X.astype(dtype)

    def _converts_to(self, auto: Any) -> Any:
        """What ``validate_data`` converts X to: ``auto``, unless ``dtype`` names a type."""
        if self.dtype not in ("auto", "float32", "float64"):  # set after the fit that checks it
            raise ValueError(f"dtype must be 'auto', 'float32' or 'float64', got {self.dtype!r}.")
        return auto if self.dtype == "auto" else self.dtype

    def _is_plain(self, X: Any) -> bool:
        """Whether validation could only find numbers that are not finite, which the engine sees on its way, in microseconds."""
        return (
            type(X) is np.ndarray
            and X.dtype.type in _FLOATS
            and X.ndim == 2
            and X.shape[1] == self.n_features_in_
            and X.shape[0] > 0
            and X.flags.c_contiguous
            and not hasattr(self, "feature_names_in_")
        )

    # ---- scikit-learn's conventions

    def __getstate__(self) -> dict[str, Any]:
        state = super().__getstate__()
        return {
            name: value for name, value in state.items() if name != "_model"
        }  # coefs_ hold the same numbers

    def __setstate__(self, state: dict[str, Any]) -> None:
        super().__setstate__(state)
        if "coefs_" in state:
            with suppress(
                ValueError, KeyError
            ):  # arrays edited into shapes that do not fit stay as they are
                self._adopt(self._network())

    def __sklearn_tags__(self) -> Tags:
        tags = super().__sklearn_tags__()
        tags.input_tags.sparse = True
        return tags


class MLPClassifier(ClassifierMixin, _BaseMLP):  # noqa: D101 - the f-string is its docstring
    __doc__ = f"""Multi-layer perceptron classifier: scikit-learn's, with its training pass compiled.

    Minimises the log loss. The same parameters and ``random_state`` give scikit-learn's model, up to rounding.

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
    _y_checks: ClassVar[dict[str, bool]] = {}

    def _encode_targets(self, y: Any, incremental: bool) -> tuple[np.ndarray, int, str]:
        """Targets as a backend reads them, the number of outputs, and the link."""
        if not hasattr(self, "classes_") or not (self.warm_start or incremental):
            self._label_binarizer = LabelBinarizer().fit(y)
            self.classes_ = self._label_binarizer.classes_
        else:
            check_known_labels(y, self._label_binarizer, all_of_them=self.warm_start)
        return encode_labels(y, self._label_binarizer)

    def _strata(self, y: np.ndarray) -> np.ndarray | None:
        """What to stratify a hold-out by: the two classes; as in scikit-learn, more than two are not stratified."""
        return (
            y.astype(bool) if self.out_activation_ == "logistic" and self.n_outputs_ == 1 else None
        )

    def _decide(self, probabilities: np.ndarray) -> np.ndarray:
        """Codes from probabilities: the likeliest class ``(n,)``, or yes/no for each output ``(n, n_outputs)``."""
        return (
            probabilities.argmax(axis=1)
            if self.out_activation_ == "softmax"
            else probabilities > 0.5
        )

    def _validation_score(self, network: Network, held_out: Data) -> float:
        from sklearn.metrics import (
            accuracy_score,  # only early stopping needs it; it would make importing slower
        )

        decided = self._decide(network.predict(held_out.X, self.backend, self.n_threads))
        return float(accuracy_score(held_out.y, decided, sample_weight=held_out.weight))

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
        return self.classes_.take(self._decide(probabilities).ravel(), mode="clip")

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
        with _unchanged_on_error(self):
            if _check_partial_fit_first_call(self, classes):
                is_multilabel = type_of_target(y).startswith("multilabel")
                self._label_binarizer = LabelBinarizer().fit(y if is_multilabel else classes)
            return self._fit(X, y, sample_weight, incremental=True)

    def _solver_is_stochastic(self) -> bool:
        if self.solver not in OPTIMIZERS:
            raise AttributeError(
                f"partial_fit is only available for stochastic optimizers. {self.solver} is not stochastic."
            )
        return True

    def __sklearn_tags__(self) -> Tags:
        tags = super().__sklearn_tags__()
        tags.classifier_tags.multi_label = True
        return tags


class MLPRegressor(RegressorMixin, _BaseMLP):  # noqa: D101 - the f-string is its docstring
    __doc__ = f"""Multi-layer perceptron regressor: scikit-learn's, with its training pass compiled.

    Minimises half the squared error or half the Poisson deviance. The same parameters and ``random_state`` give
    scikit-learn's model, up to rounding.

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
        "loss": [StrOptions({"squared_error", "poisson"})],
    }
    _y_checks: ClassVar[dict[str, bool]] = {"y_numeric": True}

    def __init__(
        self,
        loss: str = "squared_error",
        hidden_layer_sizes: Any = (100,),
        activation: str = "relu",
        *,
        solver: str = "adam",
        alpha: float = 0.0001,
        batch_size: int | str = "auto",
        learning_rate: str = "constant",
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

    def _encode_targets(self, y: np.ndarray, incremental: bool) -> tuple[np.ndarray, int, str]:
        """Targets as a backend reads them, the number of outputs, and the link."""
        if y.dtype.kind not in "biuf":
            y = y.astype(np.float64)  # before anything is drawn: words are no numbers
        if self.loss == "poisson" and (y < 0).any():
            raise ValueError(f"loss='poisson' needs y >= 0, got values down to {y.min()}.")
        link = next(link for link, loss in _LOSS_OF_LINK.items() if loss == self.loss)
        return y, 1 if y.ndim == 1 else y.shape[1], link

    def _strata(self, y: np.ndarray) -> None:
        """Numbers are not stratified."""

    def _validation_score(self, network: Network, held_out: Data) -> float:
        from sklearn.metrics import r2_score  # as above

        predictions = network.predict(held_out.X, self.backend, self.n_threads)
        if not np.isfinite(predictions).all():
            return np.nan
        return float(r2_score(held_out.y, predictions, sample_weight=held_out.weight))

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
        with _unchanged_on_error(self):
            return self._fit(X, y, sample_weight, incremental=True)
