"""What does a fitted model compute? Steps, dense layers, a link, labels: as every target sees it.

A target (ONNX, C) keeps a dict for activations, one for inverse links and one for steps, keyed by
the names used here. To export a new activation, add one entry to each target's dict.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray
from sklearn.compose import TransformedTargetRegressor
from sklearn.frozen import FrozenEstimator
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.model_selection import FixedThresholdClassifier, TunedThresholdClassifierCV
from sklearn.pipeline import Pipeline
from sklearn.utils.validation import check_is_fitted

from fastnn._sklearn import positive_label
from fastnn.core.activations import ACTIVATIONS, Activation
from fastnn.estimators.mlp import MLPClassifier, MLPRegressor
from fastnn.export.columns import SCALERS, Column, Step, follow, full_name, scaler_steps
from fastnn.tabular.encode import TableEncoder
from fastnn.tabular.scale import LogScale


@dataclass(frozen=True)
class Dense:
    """A layer: ``weight (n_in, n_out)``, ``bias (n_out,)``, and the activation."""

    weight: NDArray[np.floating]
    bias: NDArray[np.floating]
    activation: Activation


@dataclass(frozen=True)
class Threshold:
    """Of two classes, number ``of`` is answered where its probability is at least ``least``."""

    least: float
    of: int


@dataclass(frozen=True)
class Description:
    """A fitted model as data.

    Attributes
    ----------
    layers : tuple of Dense
    inverse_link : str
        From the last layer's output to predictions; a name in ``INVERSE_LINKS``.
    classes : ndarray of shape (n_classes,) or None
        The labels of a classifier, in the order of its probabilities. None for a regressor.
    columns : tuple of Column
        What the network reads, one for each row of its first weights.
    n_in : int
        Number of columns of the table.
    after : tuple of Step
        What happens to a regressor's predictions after the network.
    feature_names : tuple of str
        As the user named the columns; empty where they have no names.
    threshold : Threshold or None
        None answers the likeliest class.
    """

    layers: tuple[Dense, ...]
    inverse_link: str
    classes: NDArray[Any] | None
    columns: tuple[Column, ...] = ()
    n_in: int = 0
    after: tuple[Step, ...] = ()
    feature_names: tuple[str, ...] = ()
    threshold: Threshold | None = None

    @property
    def n_out(self) -> int:
        """Number of the last layer's outputs."""
        return len(self.layers[-1].bias)

    @property
    def decides(self) -> str:
        """What is answered: "numbers", "two classes", "classes", or "labels" (yes/no for each)."""
        if self.classes is None:
            return "numbers"
        if self.inverse_link == "softmax":
            return "classes"
        return "two classes" if self.n_out == 1 else "labels"

    def check(
        self, target: str, activations: Mapping[str, Any], inverse_links: Mapping[str, Any]
    ) -> None:
        """Raise ValueError if ``target`` lacks an activation or an inverse link of this model."""
        for name in (layer.activation.name for layer in self.layers):
            if name not in activations:
                raise ValueError(
                    f"activation={name!r} cannot be exported to {target}; these can:"
                    f" {', '.join(activations)}."
                )
        if self.inverse_link not in inverse_links:
            raise ValueError(
                f"A loss whose inverse link is {self.inverse_link!r} cannot be exported to"
                f" {target}; these inverse links can: {', '.join(inverse_links)}."
            )


def describe(model: Any, dtype: DTypeLike) -> Description:
    """Describe a fitted network, alone or between steps of plain arithmetic.

    Parameters
    ----------
    model : estimator
        An :class:`~fastnn.MLPClassifier` or :class:`~fastnn.MLPRegressor`; a Pipeline, a
        TransformedTargetRegressor or a threshold around one; a search whose ``best_estimator_`` is
        one of these.
    dtype : dtype
        Of weights and biases in the description.

    Raises
    ------
    NotFittedError
        If the model is not fitted.
    TypeError
        If part of the model is something else; the message names it.
    ValueError
        If a parameter of a step, or a number in the network, cannot be exported.
    """
    model = getattr(model, "best_estimator_", model)
    check_is_fitted(model)
    names = tuple(map(str, getattr(model, "feature_names_in_", ())))
    # A Pipeline that begins with "passthrough" does not know it.
    parts = [model, *(part for _, part in getattr(undecided(model), "steps", ()))]
    n_in = next((part.n_features_in_ for part in parts if hasattr(part, "n_features_in_")), 0)
    described = _describe(model, dtype, tuple(map(Column, range(n_in))))
    return replace(described, n_in=n_in, feature_names=names)


def _describe(model: Any, dtype: DTypeLike, columns: tuple[Column, ...]) -> Description:
    """Describe a fitted model of ``columns``."""
    model = getattr(model, "best_estimator_", model)
    if (inside := undecided(model)) is not model:
        found = _describe(inside, dtype, columns)
        return replace(found, threshold=threshold_of(model) or found.threshold)
    if isinstance(model, Pipeline):
        return _describe(model[-1], dtype, tuple(follow(model[:-1], columns)))
    if isinstance(model, TransformedTargetRegressor):
        inner = _describe(model.regressor_, dtype, columns)
        back = tuple(step.for_columns(inner.n_out) for step in steps_back(model))
        return replace(inner, after=inner.after + back)
    if type(model) in (LogisticRegression, Ridge):
        return replace(_linear(model, dtype), columns=columns)
    if not isinstance(model, MLPClassifier | MLPRegressor):
        raise TypeError(
            f"A {full_name(model)} cannot be exported; fastnn's MLPClassifier and MLPRegressor"
            " can, and LogisticRegression and Ridge, in a Pipeline, TransformedTargetRegressor,"
            " FixedThresholdClassifier or TunedThresholdClassifierCV too."
        )
    network = model._network()
    activations = [layer.activation for layer in network.spec.layers]
    layers = describe_layers(network.coefs, network.intercepts, activations, dtype)
    classes = getattr(model, "classes_", None)
    return Description(layers, network.spec.loss.inverse_link, classes, columns)


def _linear(model: Any, dtype: DTypeLike) -> Description:
    """A linear model, which is a network of one layer."""
    coef = np.atleast_2d(model.coef_).T
    intercept = np.broadcast_to(model.intercept_, coef.shape[1:])
    layers = describe_layers([coef], [intercept], [ACTIVATIONS["identity"]], dtype)
    classes = getattr(model, "classes_", None)
    if classes is None:
        return Description(layers, "identity", None)
    if model.solver == "liblinear" and len(classes) > 2:
        raise TypeError(
            "A LogisticRegression of more than two classes cannot be exported with"
            " solver='liblinear'; choose 'lbfgs'."
        )
    return Description(layers, "logistic" if len(classes) == 2 else "softmax", classes)


def describe_layers(
    coefs: Sequence[NDArray[Any]],
    intercepts: Sequence[NDArray[Any]],
    activations: Sequence[Activation],
    dtype: DTypeLike,
) -> tuple[Dense, ...]:
    """Dense layers in ``dtype``; ValueError where a number is not finite in it."""
    return tuple(
        Dense(
            _finite(f"coefs_[{i}]", coef, dtype),
            _finite(f"intercepts_[{i}]", intercept, dtype),
            activation,
        )
        for i, (coef, intercept, activation) in enumerate(
            zip(coefs, intercepts, activations, strict=True)
        )
    )


def steps_back(model: TransformedTargetRegressor) -> tuple[Step, ...]:
    """What a fitted TransformedTargetRegressor does to its regressor's predictions."""
    transformer = model.transformer_
    if type(transformer) is LogScale:
        spread, middle, *ends = (
            np.array([getattr(transformer, f"{name}_")])
            for name in ("scale", "mean", "low", "high")
        )
        return Step("unscale", (spread, middle)), Step("clip", tuple(ends)), Step("exp")
    if type(transformer) in SCALERS:
        shift, factor = scaler_steps(transformer)[0].operands  # a clip has no way back
        return (Step("unscale", (1 / factor, shift)),)
    inverse = model.inverse_func if model.transformer is None else transformer
    if inverse in _INVERSE_FUNCTIONS:
        return _INVERSE_FUNCTIONS[inverse]
    what = getattr(inverse, "__name__", full_name(inverse))
    raise TypeError(
        f"TransformedTargetRegressor cannot be exported with {what}; it can with the transformers"
        f" {', '.join(scaler.__name__ for scaler in SCALERS)} and the inverse functions"
        " numpy.exp and numpy.expm1."
    )


def undecided(model: Any) -> Any:
    """What stands in a threshold, or frozen, fitted or not; itself where it stands in neither."""
    if isinstance(model, FrozenEstimator):
        return undecided(model.estimator)
    if isinstance(model, FixedThresholdClassifier | TunedThresholdClassifierCV):
        return undecided(getattr(model, "estimator_", model.estimator))
    return model


def threshold_of(model: Any) -> Threshold | None:
    """The threshold that a fitted model is; None if it is none.

    Raises
    ------
    ValueError
        If it is one of something else than probabilities.
    """
    if isinstance(model, FrozenEstimator):
        return threshold_of(model.estimator)
    if isinstance(model, FixedThresholdClassifier):
        least, label = model.threshold, model.pos_label
    elif isinstance(model, TunedThresholdClassifierCV):
        least, label = model.best_threshold_, positive_label(model)
    else:
        return None
    if model.response_method == "decision_function":
        raise ValueError(
            f"{type(model).__name__} cannot be exported with response_method='decision_function';"
            " choose 'predict_proba'."
        )
    is_first = label is not None and model.classes_[0] == label
    return Threshold(0.5 if least == "auto" else float(least), 0 if is_first else 1)


def _finite(name: str, array: NDArray[Any], dtype: DTypeLike) -> NDArray[np.floating]:
    with np.errstate(over="ignore"):
        converted = np.asarray(array, dtype)
    if not np.isfinite(converted).all():
        raise ValueError(
            f"{name} holds numbers that are not finite in {np.dtype(dtype)}; fit the model anew, on"
            " columns of similar size."
        )
    return converted


def reads_a_table(model: Any) -> bool:
    """Whether ``model`` is a pipeline of the command line's."""
    return isinstance(model, Pipeline) and isinstance(model[0], TableEncoder)


_INVERSE_FUNCTIONS: dict[Any, tuple[Step, ...]] = {
    None: (),
    np.exp: (Step("exp"),),
    np.expm1: (Step("expm1"),),
}
