"""Neural networks on CPUs: scikit-learn's MLP, with its whole training pass compiled."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from fastnn.display import LossCurveDisplay, TradeoffDisplay
    from fastnn.environment import show_config
    from fastnn.estimators import MLPClassifier, MLPRegressor
    from fastnn.search import TradeoffSearchCV

__version__ = "0.1.0"

__all__ = [
    "LossCurveDisplay",
    "MLPClassifier",
    "MLPRegressor",
    "TradeoffDisplay",
    "TradeoffSearchCV",
    "__version__",
    "show_config",
]

# Each name's module is imported when the name is first asked for, so that `import fastnn` costs next to nothing.
_HOMES = {
    "LossCurveDisplay": "fastnn.display",
    "MLPClassifier": "fastnn.estimators",
    "MLPRegressor": "fastnn.estimators",
    "TradeoffDisplay": "fastnn.display",
    "TradeoffSearchCV": "fastnn.search",
    "show_config": "fastnn.environment",
}


def __getattr__(name: str) -> object:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(importlib.import_module(_HOMES[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
