"""What does it mean that a model equals scikit-learn's? What is compared, and by what measure."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

# Everything a fitted MLP shows of itself. What is absent there must be absent here.
ATTRIBUTES = [
    "loss_curve_",
    "loss_",
    "best_loss_",
    "validation_scores_",
    "best_validation_score_",
    "n_iter_",
    "t_",
    "n_layers_",
    "n_outputs_",
    "out_activation_",
    "classes_",
    "n_features_in_",
    "feature_names_in_",
]


def numbers(model: Any, X: Any) -> dict[str, Any]:
    """What ``model`` shows: its attributes, and its predictions for ``X``."""
    shown = {name: getattr(model, name) for name in ATTRIBUTES if hasattr(model, name)}
    for name in ("coefs_", "intercepts_"):
        shown |= {f"{name}[{i}]": array.copy() for i, array in enumerate(getattr(model, name))}
    shown["predict"] = model.predict(X)
    if hasattr(model, "predict_proba"):
        shown["predict_proba"] = model.predict_proba(X)
    return shown


def train(model: Any, history: Callable[[Any], None]) -> list[str]:
    """Run ``history(model)``; return the warnings it gave, NumPy's about overflow apart."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        history(model)
    return [
        f"{w.category.__name__}: {w.message}"
        for w in caught
        if not issubclass(w.category, RuntimeWarning)
    ]


def difference(shown: Mapping[str, Any], expected: Mapping[str, Any]) -> tuple[float, str]:
    """The largest relative difference between two models' numbers, and where it stands.

    A number's difference is taken relative to the number itself, but not below a thousandth of its
    array's largest: 1e-6 then asks a weight of 1e-5 in an array of ones to be right to 1e-9.
    Whatever is no float must be the same, or the difference is infinite, as is that of different
    names, shapes, types or places of NaN.
    """
    if shown.keys() != expected.keys():
        return np.inf, f"names {sorted(shown.keys() ^ expected.keys())}"
    largest = 0.0, ""
    for name, value in expected.items():
        ours, theirs = np.asarray(shown[name]), np.asarray(value)
        if (
            ours.shape != theirs.shape
            or ours.dtype != theirs.dtype
            or isinstance(shown[name], list) != isinstance(value, list)
        ):
            found = np.inf
        elif theirs.dtype.kind != "f":
            found = 0.0 if np.array_equal(ours, theirs) else np.inf
        elif not np.array_equal(np.isfinite(ours), np.isfinite(theirs)):
            found = np.inf
        else:
            finite = np.isfinite(theirs)
            ours, theirs = ours[finite], theirs[finite]
            scale = np.maximum(np.abs(theirs), 1e-3 * np.abs(theirs).max(initial=0))
            found = np.max(np.abs(ours - theirs) / np.where(scale > 0, scale, 1), initial=0)
        if found > largest[0]:
            largest = float(found), f"{name}: {shown[name]!r} instead of {value!r}"
    return largest
