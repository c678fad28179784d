"""By what is the best epoch of a member chosen? A measure of the rows that it holds out.

By the fewest errors, and by the log loss where they are as few. Beside the log loss alone that
multiplies 1 - AUC, the error and the log loss by 0.989, 0.988 and 0.995 ("fast") and by 0.97, 0.96
and 1.00 ("balanced") on the six tables of classes that the recipe was tuned on, with standard
errors of 0.003 and 0.017, and by 0.953, 0.966, 0.963 and 0.96, 0.97, 0.98 on four others: members
of a bag may learn longer than one network alone. A member stops by the loss whatever the metric
is: errors, which are few, do not tell whether a cycle brought anything. Halves of the rows, whose
answers need an epoch that the other half chooses, go by the metric, too, but by the loss where that
is a scorer, which need not be defined on so few.
"""

from __future__ import annotations

import copy
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np

from fastnn.backends.base import Data
from fastnn.core.activations import Array
from fastnn.core.losses import Loss
from fastnn.estimators.targets import mean_loss
from fastnn.training.bag import Measured, Member

Measure = Callable[[Array, np.ndarray, Array | None], float]

TIE = 1e-6  # of log loss, beside a share of rows: it decides where these are the same


def log_loss(probabilities: Array, y: np.ndarray, weight: Array | None) -> float:
    """Of codes ``(n_rows,)``."""
    tiny = np.finfo(probabilities.dtype).tiny
    each = -np.log(np.maximum(probabilities[np.arange(len(y)), y], tiny))
    return float(np.average(each, weights=weight))


def error(probabilities: Array, y: np.ndarray, weight: Array | None) -> float:
    """The share of rows whose likeliest class is not theirs; NaN if there is none."""
    if not np.isfinite(probabilities).all():
        return np.nan
    return float(np.average(probabilities.argmax(axis=1) != y, weights=weight))


def error_then_log_loss(probabilities: Array, y: np.ndarray, weight: Array | None) -> float:
    """The error; of epochs that have the same, the log loss decides."""
    return error(probabilities, y, weight) + TIE * log_loss(probabilities, y, weight)


def rmse(predictions: Array, y: np.ndarray, weight: Array | None) -> float:
    """In the units of the network's targets."""
    with np.errstate(over="ignore", invalid="ignore"):  # infinite is what it then is
        each = ((predictions - y) ** 2).mean(axis=1)
    return float(np.sqrt(np.average(each, weights=weight)))


def trained_loss(loss: Loss, predictions: Array, y: np.ndarray, weight: Array | None) -> float:
    """The loss that is trained."""
    if loss.y_is_codes:
        return log_loss(predictions, y, weight)
    with np.errstate(over="ignore", invalid="ignore"):
        return mean_loss(loss, predictions, Data(predictions, y, weight))


OF_CLASSES: dict[str, Measure] = {"log_loss": log_loss, "error": error}
OF_NUMBERS: dict[str, Measure] = {"rmse": rmse}


def measure_by(
    eval_metric: Any, estimator: Any, loss: Loss, data: Data, y: np.ndarray, by_halves: bool
) -> Callable[[Member, Array], Measured]:
    """How bad a member's predictions of its held-out rows are, by the metric and by the loss.

    Parameters
    ----------
    eval_metric : None, str or callable
        None is the default; "loss"; a name above; one of scikit-learn's scorers.
    estimator : TabularClassifier or TabularRegressor
        What a scorer sees is a copy of it that predicts as the member does.
    loss : Loss
    data : Data
    y : ndarray of shape (n_rows,) or (n_rows, n_outputs)
        The targets of ``data`` as the user gave them.
    by_halves : bool
        Whether each half of the held-out rows is measured, too.

    Raises
    ------
    ValueError
        If there is no such metric, or a scorer gives NaN.
    """
    loss_of = partial(trained_loss, loss)
    own: dict[Any, Measure] = {
        **(OF_CLASSES if loss.y_is_codes else OF_NUMBERS),
        "loss": loss_of,
        None: error_then_log_loss if loss.y_is_codes else loss_of,
    }
    by_scorer = None
    if eval_metric is not None and eval_metric not in own:
        by_scorer = _by_scorer(eval_metric, estimator, data, y, sorted(filter(None, own)))

    chosen = own.get(eval_metric, loss_of)

    def half(member: Member, predictions: Array, first: int) -> float:
        rows = member.held_out[first::2]
        weight = None if data.weight is None else data.weight[rows]
        if not by_halves or not (len(rows) if weight is None else weight.any()):
            return np.nan
        return chosen(predictions[first::2], data.y[rows], weight)

    def measure(member: Member, predictions: Array) -> Measured:
        rows = member.held_out, None if data.weight is None else data.weight[member.held_out]
        held_out = data.y[rows[0]], rows[1]
        found = value = loss_of(predictions, *held_out)
        if by_scorer is not None:
            value = by_scorer(predictions, *rows)
        elif chosen is not loss_of:
            value = chosen(predictions, *held_out)
        halves = half(member, predictions, 0), half(member, predictions, 1)
        return Measured(value, found, halves)

    return measure


def _by_scorer(
    eval_metric: Any, estimator: Any, data: Data, y: np.ndarray, names: list[str]
) -> Measure:
    """Minus the score of a scorer of scikit-learn's, of predictions of rows and their weights."""
    from sklearn.metrics import get_scorer  # it would make importing slower

    try:
        scorer = get_scorer(eval_metric)
    except ValueError as failure:
        raise ValueError(
            f"eval_metric={eval_metric!r} is none of {', '.join(names)}, and no name of"
            " sklearn.metrics.get_scorer_names()."
        ) from failure
    present = copy.copy(estimator)  # what a member predicts, with the user's methods

    def measure(predictions: Array, rows: np.ndarray, weight: Array | None) -> float:
        if not np.isfinite(predictions).all():
            return np.nan
        present._predictions = lambda X: predictions.astype(np.float64)
        weights = {} if weight is None else {"sample_weight": weight}
        found = float(scorer(present, data.X[rows], y[rows], **weights))
        if np.isnan(found):
            raise ValueError(
                f"eval_metric={eval_metric!r} gives NaN for the rows that a member holds out. Do"
                " they hold all classes? Give another cv, or choose another metric."
            )
        return -found

    return measure
