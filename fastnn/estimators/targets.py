"""How do targets become what a network learns? Labels to codes, numbers to columns, scores."""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Mapping, Set
from dataclasses import dataclass
from typing import Any

import numpy as np
from sklearn.preprocessing import LabelBinarizer
from sklearn.utils.class_weight import compute_class_weight
from sklearn.utils.multiclass import type_of_target, unique_labels

from fastnn.backends.base import Data
from fastnn.core import losses
from fastnn.core.activations import Array
from fastnn.core.family import chosen, number
from fastnn.core.links import INVERSE_LINKS
from fastnn.core.losses import LOSSES, Loss
from fastnn.training.data import refuse_dates


class _NumberLosses(Set[str]):
    """The names of the losses of numbers, those that were registered later among them."""

    def __contains__(self, name: object) -> bool:
        return name in LOSSES and LOSSES[str(name)].targets == "numbers"

    def __iter__(self) -> Iterator[str]:
        return filter(self.__contains__, LOSSES)

    def __len__(self) -> int:
        return sum(1 for _ in self)

    _from_iterable = frozenset  # what set operations return


NUMBER_LOSSES = _NumberLosses()


def chosen_loss(estimator: Any, family: Mapping[str, Loss], targets: losses.Targets) -> Loss:
    """What the ``loss`` of an estimator names in ``family`` or is, its open settings filled.

    ValueError if it is a loss of others than ``targets``.
    """
    loss = chosen("loss", estimator.loss, family)
    if not loss.is_for(targets):
        names = (name for name, member in family.items() if member.is_for(targets))
        of_two = ", for two classes or several labels a Function with inverse_link='logistic'"
        raise ValueError(
            f"loss={loss!r} is a loss of {loss.targets}, but {type(estimator).__name__} takes those"
            f" of {targets}: {', '.join(names)}, or such an object of fastnn.losses"
            f"{of_two if targets == 'classes' else ''}."
        )
    return loss.filled(vars(estimator))


@dataclass(frozen=True)
class ValidationRows:
    """What a user gives ``fit`` to validate on: ``X_val``, ``y_val``, ``sample_weight_val``."""

    X: Any
    y: Any
    weight: Any

    @classmethod
    def given(cls, X: Any, y: Any, weight: Any) -> ValidationRows | None:
        """Both X and y, or None; ValueError if one of them is missing."""
        if X is None and y is None and weight is None:
            return None
        if X is None or y is None:
            named = {"X_val": X, "y_val": y, "sample_weight_val": weight}
            passed = " and ".join(name for name, value in named.items() if value is not None)
            missing = " and ".join(name for name in ("X_val", "y_val") if named[name] is None)
            raise ValueError(f"{passed} is given without {missing}. Validation rows need both.")
        return cls(X, y, weight)


@dataclass(frozen=True)
class Targets:
    """Encoded targets.

    Attributes
    ----------
    values : ndarray
        Numbers or truth values ``(n_rows,)`` or ``(n_rows, n_outputs)``; for a loss whose y is
        codes, int32 positions ``(n_rows,)`` in the sorted classes.
    n_outputs : int
    loss : Loss
        The loss they are trained by.
    strata : ndarray of shape (n_rows,) or None
        What a hold-out is stratified by: the user's labels where there are two. As in
        scikit-learn, more than two are not stratified.
    class_weight : ndarray of shape (n_classes,) or None
        How much the rows of each class count, beside weights of their own.
    may_weigh_nothing : bool
        Whether the rows are some of many, so that all of them may be of classes of weight 0.
    """

    values: np.ndarray
    n_outputs: int
    loss: Loss
    strata: np.ndarray | None = None
    class_weight: np.ndarray | None = None
    may_weigh_nothing: bool = False

    def weigh(self, weight: Array | None, dtype: np.dtype) -> Array | None:
        """Row weights ``(n_rows,)``, or None, times those of the rows' classes.

        ValueError if no row is left that counts, but must be.
        """
        if self.class_weight is None:
            return weight
        of_rows = self.class_weight[self.values.astype(np.intp)]
        weight = (of_rows if weight is None else weight * of_rows).astype(dtype)
        if not (weight.any() or self.may_weigh_nothing):
            raise ValueError(
                f"class_weight gives the classes the weights {self.class_weight.tolist()}, which"
                " leave no row any weight."
            )
        return weight

    def as_dtype(self, dtype: np.dtype) -> np.ndarray:
        """The values as an engine reads them: codes, or columns ``(n_rows, n_outputs)``."""
        if self.loss.y_is_codes:
            return self.values
        columns = self.values if self.values.ndim == 2 else self.values[:, None]
        if columns.shape[1] != self.n_outputs:  # several outputs for one target
            columns = np.repeat(columns, self.n_outputs, axis=1)
        return np.require(columns, dtype, ["C", "ALIGNED"])


def encode_labels(y: np.ndarray, binarizer: LabelBinarizer, loss: Loss) -> Targets:
    """Labels ``(n_rows,)``, or an indicator matrix ``(n_rows, n_labels)``, as targets.

    ``binarizer`` is fitted to all classes; ``loss`` is one for classes. ValueError if it is for two
    of them only.
    """
    classes = binarizer.classes_
    if binarizer.y_type_ == "multiclass":
        if not loss.y_is_codes:
            raise ValueError(
                f"loss={loss!r} takes each output by itself: it is for two classes, or labels that"
                f" apply or not, but y has {len(classes)} classes. Fit one network for each class,"
                " by sklearn.multiclass.OneVsRestClassifier, or choose another loss."
            )
        return Targets(np.searchsorted(classes, y).astype(np.int32), len(classes), loss)
    loss = loss.for_labels()
    if binarizer.y_type_.startswith("multilabel"):
        values = binarizer.transform(y).astype(bool)
        loss.check_targets(values)
        return Targets(values, len(classes), loss)
    # A single class is never the positive one.
    positive = (y == classes[-1]) & (len(classes) > 1)
    loss.check_targets(positive)
    return Targets(positive, 1, loss, strata=y)


def encode_numbers(y: np.ndarray, loss: Loss) -> Targets:
    """Numbers ``(n_rows,)`` or ``(n_rows, n_outputs)`` as targets.

    Text of numbers is converted. Whatever else is no real number, dates and durations among them,
    raises TypeError; numbers that ``loss`` is not made for raise ValueError.
    """
    refuse_dates(y, "y")
    if y.dtype.kind not in "biufOUS":
        raise TypeError(f"y must hold real numbers, got dtype {y.dtype}.")
    if y.dtype.kind in "OUS":
        y = y.astype(np.float64)
    loss.check_targets(y)
    return Targets(y, loss.n_outputs(1 if y.ndim == 1 else y.shape[1]), loss)


def first_binarizer(y: Any, classes: Any, known: np.ndarray | None) -> LabelBinarizer | None:
    """The encoding of the first call of ``partial_fit``; None where ``known`` classes go on.

    ValueError, in scikit-learn's words, if ``classes`` are missing in the first call or others than
    the known ones in a later one.
    """
    if known is None:
        multilabel = type_of_target(y).startswith("multilabel")
        if classes is None and not multilabel:
            raise ValueError("classes must be passed on the first call to partial_fit.")
        binarizer = LabelBinarizer().fit(y if multilabel else classes)
        if multilabel and classes is not None and len(classes) != len(binarizer.classes_):
            raise ValueError(
                f"classes={classes!r} names {len(classes)} classes, but y has"
                f" {len(binarizer.classes_)} columns, one for each."
            )
        return binarizer
    if classes is not None and not np.array_equal(known, unique_labels(classes)):
        raise ValueError(
            f"`classes={classes!r}` is not the same as on last call to partial_fit, was: {known!r}"
        )
    return None


def check_one_class_a_row(class_weight: Any, y: np.ndarray) -> None:
    """Raise ValueError unless each row of y has one class, which ``class_weight`` can weigh."""
    kind = type_of_target(y)
    if kind not in ("binary", "multiclass"):
        raise ValueError(
            f"class_weight={class_weight!r} weighs rows by their class, which needs one label a"
            f" row, got y of the kind {kind!r}. Set class_weight=None; rows of any kind are weighed"
            " by sample_weight."
        )


def weights_of_classes(
    class_weight: Any, classes: np.ndarray, y: np.ndarray, incremental: bool
) -> np.ndarray:
    """The weight ``(n_classes,)`` of each class; 1 for one that is not named.

    ValueError if one is negative or not finite; and for 'balanced' where y need not hold all rows.
    A warning if some belong to no class while other classes have none: a wrong name, or rows that
    lack a class, as in a fold of cross-validation, which must not fail for it.
    """
    if isinstance(class_weight, dict):
        wrong = {
            label: weight
            for label, weight in class_weight.items()
            if not number("[0, inf)").holds(weight) or weight == np.inf
        }
        if wrong:
            raise ValueError(f"class_weight must hold finite numbers >= 0, got {wrong}.")
        known = classes.tolist()
        strange = [label for label in class_weight if label not in known]
        if strange and len(class_weight) - len(strange) < len(known):
            warnings.warn(
                f"class_weight={class_weight!r} names {strange}, but the classes of y are {known}.",
                stacklevel=2,
            )
        return np.array([class_weight.get(label, 1.0) for label in known], np.float64)
    elif incremental:
        raise ValueError(
            "class_weight='balanced' needs all rows at once, but partial_fit sees some of them."
            " Give a dict of weights instead, such as"
            " sklearn.utils.class_weight.compute_class_weight makes of all labels."
        )
    return compute_class_weight(class_weight, classes=classes, y=y)


def check_known_labels(y: np.ndarray, binarizer: LabelBinarizer, all_of_them: bool) -> None:
    """Raise ValueError, in scikit-learn's words, unless ``binarizer`` knows the labels of y.

    With ``all_of_them`` y must hold all of its classes, too.
    """
    labels, classes = unique_labels(y), binarizer.classes_
    if all_of_them:
        if set(labels) != set(classes):
            raise ValueError(
                "warm_start can only be used where `y` has the same classes as in the previous call"
                f" to fit. Previously got {classes}, `y` has {labels}"
            )
    elif len(np.setdiff1d(labels, classes, assume_unique=True)):
        raise ValueError(
            f"`y` has classes not in `self.classes_`. `self.classes_` has {classes}. 'y' has"
            f" {labels}."
        )
    if type_of_target(y).startswith("multilabel") != binarizer.y_type_.startswith("multilabel"):
        raise ValueError("The object was not fitted with multilabel input.")


def decide(probabilities: Array, multiclass: bool) -> np.ndarray:
    """The likeliest class ``(n_rows,)``, or yes or no for each output ``(n_rows, n_outputs)``."""
    return probabilities.argmax(axis=1) if multiclass else probabilities > 0.5


def accuracy(predictions: Array, held_out: Data) -> float:
    """The share of rows, weighted, whose labels are all decided right."""
    # Only early stopping needs it; it would make importing slower.
    from sklearn.metrics import accuracy_score

    decided = decide(predictions, multiclass=held_out.y.ndim == 1)
    return float(accuracy_score(held_out.y, decided, sample_weight=held_out.weight))


def mean_loss(loss: Loss, predictions: Array, held_out: Data) -> float:
    """The mean loss, weighted, without the penalty; NaN if a prediction is not finite."""
    if not np.isfinite(predictions).all():
        return np.nan
    raw = INVERSE_LINKS[loss.inverse_link].invert(predictions)
    losses, _ = loss.loss_and_grad(raw, held_out.y)
    return float(np.average(losses, weights=held_out.weight))


def negative_loss(loss: Loss, predictions: Array, held_out: Data) -> float:
    """Minus :func:`mean_loss`: the greater, the better."""
    return -mean_loss(loss, predictions, held_out)


def score_of_numbers(loss: Loss, predictions: Array, held_out: Data) -> float:
    """R2, or for quantiles the mean D2 pinball score; NaN if a prediction is not finite."""
    from sklearn.metrics import r2_score  # as above

    if not np.isfinite(predictions).all():
        return np.nan
    if loss.levels:
        return d2_pinball(loss, predictions, held_out.y, held_out.weight)
    return float(r2_score(held_out.y, predictions, sample_weight=held_out.weight))


def d2_pinball(loss: Loss, predictions: Array, y: np.ndarray, weight: Any) -> float:
    """The share of the best constants' pinball loss that is left out; the mean over outputs.

    Parameters
    ----------
    loss : Loss
        One of quantiles.
    predictions : ndarray of shape (n_rows, n_outputs)
    y : ndarray of shape (n_rows,), (n_rows, 1) or (n_rows, n_outputs)
    weight : array-like of shape (n_rows,) or None
    """
    from sklearn.metrics import d2_pinball_score  # as above

    columns = np.broadcast_to(y.reshape(len(y), -1), (len(y), predictions.shape[1]))
    levels = loss.settings_for(predictions.shape[1])
    scores = [
        d2_pinball_score(columns[:, j], predictions[:, j], sample_weight=weight, alpha=level)
        for j, level in enumerate(levels)
    ]
    return float(np.mean(scores))
