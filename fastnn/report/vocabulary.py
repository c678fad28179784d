"""What are costs and parameters called, and how are their values written?"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from fastnn.estimators.inspect import innermost
from fastnn.report.figures import si
from fastnn.search.quantities import described

# What the kinds of estimators are called, by how the names of their classes begin.
KINDS = {
    "Tabular": "bag of networks",
    "MLP": "plain network",
    "HistGradientBoosting": "gradient boosting of scikit-learn",
    "LGBM": "LightGBM",
    "CatBoost": "CatBoost",
    "LogisticRegression": "linear model",
    "Ridge": "linear model",
}


def kind(estimator: Any) -> str:
    """What kind of estimator it is, or has inside."""
    name = type(innermost(estimator)).__name__
    return next((words for start, words in KINDS.items() if name.startswith(start)), name)


def kind_of_candidate(params: Mapping[str, Any]) -> str:
    """What kind of estimator a candidate's parameters say it is; "" where they do not."""
    kinds = [kind(value) for value in params.values() if hasattr(value, "predict")]
    return kinds[0] if kinds else ""


def cost(name: str, value: float) -> str:
    """Write a measured cost with its unit."""
    row = described(name)
    return si(value * row.scale, row.unit)


def cost_name(name: str) -> str:
    """What a cost is called."""
    return described(name).label


def say(value: Any) -> str:
    """Write a parameter's value for reading."""
    if isinstance(value, (float, np.floating)):
        return f"{value:.3g}"
    if isinstance(value, (tuple, list)):
        return " \u00d7 ".join(map(say, value)) or "none"
    return type(value).__name__ if hasattr(value, "get_params") else str(value)


def short(name: str) -> str:
    """The parameter's own name, without the steps of the pipeline before it."""
    return name.rpartition("__")[2]
