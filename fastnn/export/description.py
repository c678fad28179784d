"""What does a fitted model compute? Steps, dense layers, a link, labels: as every target sees it.

A target (ONNX, C) keeps a dict for activations, one for inverse links and one for steps, keyed by
the names used here. To export a new activation, add one entry to each target's dict.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray
from sklearn.compose import TransformedTargetRegressor
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import MaxAbsScaler, MinMaxScaler, RobustScaler, StandardScaler
from sklearn.utils.validation import check_is_fitted

from fastnn.core.activations import ACTIVATIONS, Activation
from fastnn.estimators.mlp import MLPClassifier, MLPRegressor
from fastnn.tabular.encode import TableEncoder
from fastnn.tabular.scale import LogScale


@dataclass(frozen=True)
class Dense:
    """A layer: ``weight (n_in, n_out)``, ``bias (n_out,)``, and the activation."""

    weight: NDArray[np.floating]
    bias: NDArray[np.floating]
    activation: Activation


@dataclass(frozen=True)
class Step:
    """Arithmetic on every column ``v``, with operands ``(n_columns,)`` in float64.

    ========  =====================================================
    impute    ``fill`` where v is NaN
    scale     ``(v - shift) * factor``
    unscale   ``v * factor + shift``
    limit     ``v / sqrt(1 + (v / bound)**2)``
    clip      ``min(max(v, low), high)``
    exp       ``exp(v)``
    expm1     ``exp(v) - 1``
    ========  =====================================================
    """

    kind: str
    operands: tuple[NDArray[np.float64], ...] = ()

    def for_columns(self, n: int) -> Step:
        """The step for n columns; what is done to a target is done to each of its quantiles."""
        return replace(self, operands=tuple(np.resize(operand, n) for operand in self.operands))


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
    before, after : tuple of Step
        What happens to the columns before the network, and to a regressor's predictions after it.
    feature_names : tuple of str
        As the user named the columns; empty where they have no names.
    """

    layers: tuple[Dense, ...]
    inverse_link: str
    classes: NDArray[Any] | None
    before: tuple[Step, ...] = ()
    after: tuple[Step, ...] = ()
    feature_names: tuple[str, ...] = ()

    @property
    def n_in(self) -> int:
        """Number of input columns."""
        return len(self.layers[0].weight)

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
        An :class:`~fastnn.MLPClassifier` or :class:`~fastnn.MLPRegressor`; a Pipeline or a
        TransformedTargetRegressor around one; a search whose ``best_estimator_`` is one of these.
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
    if isinstance(model, Pipeline):
        inner = describe(model[-1], dtype)
        before = tuple(step for _, part in model.steps[:-1] for step in _steps(part))
        return replace(inner, before=before + inner.before, feature_names=names)
    if isinstance(model, TransformedTargetRegressor):
        inner = describe(model.regressor_, dtype)
        back = tuple(step.for_columns(inner.n_out) for step in steps_back(model))
        return replace(inner, after=inner.after + back, feature_names=names)
    if type(model) in (LogisticRegression, Ridge):
        return replace(_linear(model, dtype), feature_names=names)
    if not isinstance(model, MLPClassifier | MLPRegressor):
        raise TypeError(
            f"A {_full_name(model)} cannot be exported; fastnn's MLPClassifier and MLPRegressor"
            " can, and LogisticRegression and Ridge, in a Pipeline or TransformedTargetRegressor"
            " too."
        )
    network = model._network()
    activations = [layer.activation for layer in network.spec.layers]
    layers = describe_layers(network.coefs, network.intercepts, activations, dtype)
    inverse_link = network.spec.loss.inverse_link
    return Description(layers, inverse_link, getattr(model, "classes_", None), feature_names=names)


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


def network_of(model: Any) -> Any:
    """The MLPClassifier or MLPRegressor inside a model that :func:`describe` takes."""
    model = getattr(model, "best_estimator_", model)
    if isinstance(model, Pipeline):
        return network_of(model[-1])
    if isinstance(model, TransformedTargetRegressor):
        return network_of(model.regressor_)
    return model


def steps_back(model: TransformedTargetRegressor) -> tuple[Step, ...]:
    """What a fitted TransformedTargetRegressor does to its regressor's predictions."""
    transformer = model.transformer_
    if type(transformer) is LogScale:
        spread, middle, *ends = (
            np.array([getattr(transformer, f"{name}_")])
            for name in ("scale", "mean", "low", "high")
        )
        return Step("unscale", (spread, middle)), Step("clip", tuple(ends)), Step("exp")
    if type(transformer) in _SCALERS:
        shift, factor = _steps(transformer)[0].operands  # a clip has no way back
        return (Step("unscale", (1 / factor, shift)),)
    inverse = model.inverse_func if model.transformer is None else transformer
    if inverse in _INVERSE_FUNCTIONS:
        return _INVERSE_FUNCTIONS[inverse]
    what = getattr(inverse, "__name__", _full_name(inverse))
    raise TypeError(
        f"TransformedTargetRegressor cannot be exported with {what}; it can with the transformers"
        f" {', '.join(scaler.__name__ for scaler in _SCALERS)} and the inverse functions"
        " numpy.exp and numpy.expm1."
    )


def _finite(name: str, array: NDArray[Any], dtype: DTypeLike) -> NDArray[np.floating]:
    with np.errstate(over="ignore"):
        converted = np.asarray(array, dtype)
    if not np.isfinite(converted).all():
        raise ValueError(
            f"{name} holds numbers that are not finite in {np.dtype(dtype)}; fit the model anew, on"
            " columns of similar size."
        )
    return converted


def _steps(part: Any) -> tuple[Step, ...]:
    """A part of a Pipeline as steps; a part that is not plain arithmetic on columns raises."""
    if part is None or part == "passthrough":
        return ()
    if isinstance(part, Pipeline):
        return tuple(step for _, inner in part.steps for step in _steps(inner))
    if type(part) not in _PARTS:
        raise TypeError(
            f"{_full_name(part)} is not plain arithmetic on columns of numbers and cannot be"
            f" exported to C; these can: {', '.join(known.__name__ for known in _PARTS)}. Apply it"
            " before, and export the rest of the model, as in model[1:]; or export to ONNX."
        )
    return _PARTS[type(part)](part)


def _scale(n_columns: int, shift: Any, divisor: Any) -> tuple[Step, ...]:
    """``(v - shift) / divisor``; None is no shift, or no divisor."""
    shift = np.zeros(n_columns) if shift is None else np.asarray(shift, np.float64)
    divisor = np.ones(n_columns) if divisor is None else np.asarray(divisor, np.float64)
    return (Step("scale", (shift, 1 / divisor)),)


def _standard(part: StandardScaler) -> tuple[Step, ...]:
    return _scale(part.n_features_in_, part.mean_ if part.with_mean else None, part.scale_)


def _robust(part: RobustScaler) -> tuple[Step, ...]:
    return _scale(part.n_features_in_, part.center_, part.scale_)


def _max_abs(part: MaxAbsScaler) -> tuple[Step, ...]:
    return _scale(part.n_features_in_, None, part.scale_)


def _min_max(part: MinMaxScaler) -> tuple[Step, ...]:
    steps = _scale(part.n_features_in_, -part.min_ / part.scale_, 1 / part.scale_)
    if part.clip:
        low, high = (np.full(part.n_features_in_, float(end)) for end in part.feature_range)
        steps += (Step("clip", (low, high)),)
    return steps


def _impute(part: SimpleImputer) -> tuple[Step, ...]:
    missing = part.missing_values
    if not (isinstance(missing, float) and np.isnan(missing)):
        raise ValueError(f"SimpleImputer can be exported with missing_values=nan, got {missing!r}.")
    if part.add_indicator:
        raise ValueError(
            "SimpleImputer cannot be exported with add_indicator=True; set it to False."
        )
    fill = part.statistics_.astype(np.float64)
    if np.isnan(fill).any():
        raise ValueError(
            f"SimpleImputer drops column {int(np.isnan(fill).argmax())}, which has no value in"
            " training; drop it from the table, or set keep_empty_features=True."
        )
    return (Step("impute", (fill,)),)


def _table(part: TableEncoder) -> tuple[Step, ...]:
    """What a table of numbers goes through, in which no cell was missing in training."""
    if part.categories_:
        raise ValueError(
            f"A table with categories, such as column {next(iter(part.categories_))!r}, cannot be"
            " exported; one of numbers can. Leave such columns out: --drop."
        )
    if len(part.has_missing_):
        raise ValueError(
            "A table with missing cells in training, such as those of column"
            f" {part.feature_names_in_[part.has_missing_[0]]!r}, cannot be exported. Fill these"
            " cells before training, or leave such columns out: --drop."
        )
    bounds = () if part.limit is None else (Step("limit", (part.limit * part.distance_,)),)
    centred = _scale(part.n_features_in_, part.median_, None)
    filled = Step("impute", (part.median_,))
    return (filled, *centred, *bounds, *_scale(part.n_features_in_, part.mean_, part.scale_))


def reads_a_table(model: Any) -> bool:
    """Whether ``model`` is a pipeline of the command line's."""
    return isinstance(model, Pipeline) and isinstance(model[0], TableEncoder)


def _full_name(thing: Any) -> str:
    return f"{type(thing).__module__}.{type(thing).__qualname__}"


_SCALERS: dict[type, Callable[[Any], tuple[Step, ...]]] = {
    StandardScaler: _standard,
    MinMaxScaler: _min_max,
    MaxAbsScaler: _max_abs,
    RobustScaler: _robust,
}
_PARTS = {**_SCALERS, SimpleImputer: _impute, TableEncoder: _table}
_INVERSE_FUNCTIONS: dict[Any, tuple[Step, ...]] = {
    None: (),
    np.exp: (Step("exp"),),
    np.expm1: (Step("expm1"),),
}
