"""How good is a model on rows that it has not learned from?"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from fastnn.tabular.schema import Schema


@dataclass(frozen=True)
class Quality:
    """What was measured on rows that a model has not learned from.

    Attributes
    ----------
    task : str
        "binary", "multiclass" or "regression".
    rows : int
        How many rows.
    metrics : dict of str to float
        By the names in `fastnn.report.assessment.METRICS`.
    positive : str or None
        Of two classes, the one whose precision, recall and F1 are given.
    """

    task: str
    rows: int
    metrics: dict[str, float]
    positive: str | None


def constant(schema: Schema, y: Any) -> dict[str, Any]:
    """Return what predicts always the same, from training targets (n_rows,), as JSON types.

    The mean, or the share of each class in the order of the model's classes.
    """
    import numpy as np

    if schema.task == "regression":
        return {"target_mean": float(np.mean(y))}
    return {"class_shares": (np.unique(y, return_counts=True)[1] / len(y)).tolist()}


def measure(model: Any, schema: Schema, X: Any, y: Any, about: Mapping[str, Any]) -> Quality:
    """Measure a fitted pipeline on X (n_rows, n_columns) and y (n_rows,).

    ``about`` is the `TableModel`'s. Where it says that classes were trained with the same weight
    each, the log loss is also measured so. The constants that the model is compared with are those
    of the training rows, see `constant`.
    """
    import numpy as np
    from sklearn.metrics import log_loss
    from sklearn.utils.class_weight import compute_sample_weight

    from fastnn.report.assessment import assess_classes, assess_values, predictions

    predicted, scores, are_probabilities = predictions(model, X)
    if schema.task == "regression":
        metrics = assess_values(y, predicted).metrics
        if "target_mean" in about:
            off = y - about["target_mean"]
            metrics["always_mean_rmse"] = float(np.sqrt(np.mean(off**2)))
        return Quality(schema.task, len(y), metrics, None)
    classes = np.asarray(model.classes_)
    metrics = assess_classes(y, predicted, scores, are_probabilities, classes).metrics
    if "class_shares" in about:
        shares = np.array(about["class_shares"])
        metrics["always_most_frequent"] = float(np.mean(y == classes[np.argmax(shares)]))
        if "always_shares_log_loss" in metrics:
            chances = shares[np.searchsorted(classes, y[np.isin(y, classes)])]
            metrics["always_shares_log_loss"] = -float(np.mean(np.log(chances)))
    if about.get("class_weight") == "balanced" and scores is not None:
        known = np.isin(y, classes)
        weight = compute_sample_weight("balanced", y[known])
        metrics["balanced_log_loss"] = float(
            log_loss(y[known], scores[known], labels=classes, sample_weight=weight)
        )
        metrics["always_equal_log_loss"] = float(np.log(len(classes)))
    return Quality(schema.task, len(y), metrics, str(classes[1]) if len(classes) == 2 else None)


def against_constant(quality: Quality, about: Mapping[str, Any]) -> str | None:
    """Say so, in a sentence, where a model is no better than predicting always the same.

    What is compared is what was trained: where classes had the same weight each, their mean log
    loss; where a threshold was chosen, not the share of right decisions.
    """
    found = quality.metrics
    if quality.task == "regression":
        if found["rmse"] < found["always_mean_rmse"]:
            return None
        return (
            "the model does not beat a constant: its RMSE is"
            f" {found['rmse']:.4g}, that of the mean {found['always_mean_rmse']:.4g}"
        )
    if "always_shares_log_loss" not in found:  # rows of one class only: nothing to compare with
        return None
    loss, constant = found["log_loss"], found["always_shares_log_loss"]
    if "balanced_log_loss" in found:
        loss, constant = found["balanced_log_loss"], found["always_equal_log_loss"]
    of_loss = f"its log loss is {loss:.4g}, that of the class shares {constant:.4g}"
    right, most_frequent = found["accuracy"], found["always_most_frequent"]
    of_right = (
        f"its accuracy is {right:.4g}, that of always predicting the most frequent class"
        f" {most_frequent:.4g}"
    )
    if loss >= constant and (right <= most_frequent or "balanced_log_loss" in found):
        return f"the model does not beat a constant: {of_loss}; {of_right}"
    if loss >= constant:
        return f"the model's decisions beat a constant, but its probabilities do not: {of_loss}"
    if right <= most_frequent and not (about.get("class_weight") or about.get("threshold")):
        threshold = " or --threshold f1" if quality.task == "binary" else ""
        return (
            f"the model's probabilities beat a constant, but its decisions do not: {of_right}"
            f" (fit with --class-weight balanced{threshold} finds more of rare classes)"
        )
    return None
