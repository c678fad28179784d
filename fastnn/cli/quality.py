"""How good is a model on rows that it has not learned from?"""

from __future__ import annotations

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


def measure(model: Any, schema: Schema, X: Any, y: Any) -> Quality:
    """Measure a fitted pipeline on X (n_rows, n_columns) and y (n_rows,)."""
    import numpy as np

    from fastnn.report.assessment import assess_classes, assess_values, predictions

    predicted, scores, are_probabilities = predictions(model, X)
    if schema.task == "regression":
        return Quality(schema.task, len(y), assess_values(y, predicted).metrics, None)
    classes = np.asarray(model.classes_)
    metrics = assess_classes(y, predicted, scores, are_probabilities, classes).metrics
    return Quality(schema.task, len(y), metrics, str(classes[1]) if len(classes) == 2 else None)
