"""Which private names of scikit-learn does fastnn use? These; no other file imports one.

Each stands here under the name that the rest of fastnn uses. None of them has a public counterpart.
`sklearn.utils._safe_indexing` is listed in scikit-learn's API reference in spite of its name.
`BaseSearchCV` decides who gets ``sample_weight``, with and without metadata routing; that rests on
private methods of scorers, and differs from version to version. `positive_label` reads what scorers
keep to themselves.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sklearn.base import _fit_context as fit_context
from sklearn.utils import _safe_indexing as safe_indexing
from sklearn.utils._param_validation import HasMethods, Interval, Options, StrOptions

if TYPE_CHECKING:
    from sklearn.model_selection import TunedThresholdClassifierCV
    from sklearn.model_selection._search import BaseSearchCV

__all__ = [
    "BaseSearchCV",
    "HasMethods",
    "Interval",
    "Options",
    "StrOptions",
    "fit_context",
    "positive_label",
    "safe_indexing",
]


def positive_label(model: TunedThresholdClassifierCV) -> Any:
    """The label whose probability a fitted model's threshold is one of; None is the second."""
    return model._curve_scorer._get_pos_label()


def __getattr__(name: str) -> Any:
    if name == "BaseSearchCV":  # importing it takes longer than fitting a small network
        from sklearn.model_selection._search import BaseSearchCV

        return BaseSearchCV
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
