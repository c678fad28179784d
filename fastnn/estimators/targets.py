"""How do targets become what a network learns? Labels to codes, numbers to columns, scores."""

from __future__ import annotations

from collections.abc import Iterator, Set
from dataclasses import dataclass
from typing import Any

import numpy as np
from sklearn.preprocessing import LabelBinarizer
from sklearn.utils.multiclass import type_of_target, unique_labels

from fastnn.backends.base import Data
from fastnn.core.activations import Array
from fastnn.core.losses import INVERSE_LINKS, LOSSES, Loss
from fastnn.training.data import refuse_dates

# The losses that labels are trained by; all others are of numbers.
MULTICLASS, BINARY = "log_loss", "binary_log_loss"


class _NumberLosses(Set[str]):
    """The names of the losses of numbers, those that were registered later among them."""

    def __contains__(self, name: object) -> bool:
        return name in LOSSES and name not in (MULTICLASS, BINARY)

    def __iter__(self) -> Iterator[str]:
        return filter(self.__contains__, LOSSES)

    def __len__(self) -> int:
        return sum(1 for _ in self)

    _from_iterable = frozenset  # what set operations return


NUMBER_LOSSES = _NumberLosses()


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
    """

    values: np.ndarray
    n_outputs: int
    loss: Loss
    strata: np.ndarray | None = None

    def as_dtype(self, dtype: np.dtype) -> np.ndarray:
        """The values as an engine reads them: codes, or columns ``(n_rows, n_outputs)``."""
        if self.loss.y_is_codes:
            return self.values
        columns = self.values if self.values.ndim == 2 else self.values[:, None]
        return np.require(columns, dtype, ["C", "ALIGNED"])


def encode_labels(y: np.ndarray, binarizer: LabelBinarizer) -> Targets:
    """Labels ``(n_rows,)``, or an indicator matrix ``(n_rows, n_labels)``, as targets.

    ``binarizer`` is fitted to all classes.
    """
    classes = binarizer.classes_
    if binarizer.y_type_ == "multiclass":
        return Targets(
            np.searchsorted(classes, y).astype(np.int32), len(classes), LOSSES[MULTICLASS]
        )
    if binarizer.y_type_.startswith("multilabel"):
        return Targets(binarizer.transform(y).astype(bool), len(classes), LOSSES[BINARY])
    # A single class is never the positive one.
    positive = (y == classes[-1]) & (len(classes) > 1)
    return Targets(positive, 1, LOSSES[BINARY], strata=y)


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
    if loss.name == "poisson" and (y < 0).any():
        raise ValueError(f"loss='poisson' needs y >= 0, got values down to {y.min()}.")
    return Targets(y, 1 if y.ndim == 1 else y.shape[1], loss)


def first_binarizer(y: Any, classes: Any, known: np.ndarray | None) -> LabelBinarizer | None:
    """The encoding of the first call of ``partial_fit``; None where ``known`` classes go on.

    ValueError, in scikit-learn's words, if ``classes`` are missing in the first call or others than
    the known ones in a later one.
    """
    if known is None:
        if classes is None:
            raise ValueError("classes must be passed on the first call to partial_fit.")
        multilabel = type_of_target(y).startswith("multilabel")
        return LabelBinarizer().fit(y if multilabel else classes)
    if classes is not None and not np.array_equal(known, unique_labels(classes)):
        raise ValueError(
            f"`classes={classes!r}` is not the same as on last call to partial_fit, was: {known!r}"
        )
    return None


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


def negative_loss(loss: Loss, predictions: Array, held_out: Data) -> float:
    """Minus the mean loss, weighted, without the penalty; NaN if a prediction is not finite."""
    if not np.isfinite(predictions).all():
        return np.nan
    raw = INVERSE_LINKS[loss.inverse_link].invert(predictions)
    losses, _ = loss.loss_and_grad(raw, held_out.y)
    return -float(np.average(losses, weights=held_out.weight))


def r2(predictions: Array, held_out: Data) -> float:
    """The coefficient of determination, weighted; NaN if a prediction is not finite."""
    from sklearn.metrics import r2_score  # as above

    if not np.isfinite(predictions).all():
        return np.nan
    return float(r2_score(held_out.y, predictions, sample_weight=held_out.weight))
