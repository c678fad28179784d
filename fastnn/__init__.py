"""Neural networks on CPUs: scikit-learn's MLP, with its whole training pass compiled."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

from fastnn._lazy import submodules
from fastnn._version import __version__

if TYPE_CHECKING:
    from fastnn import (
        activations,
        augment,
        backends,
        callbacks,
        dask,
        export,
        losses,
        optimizers,
        persistence,
        report,
        schedules,
    )
    from fastnn.cli.functions import evaluate_table, explore_table, fit_table, predict_table
    from fastnn.display import LossCurveDisplay, WeightsDisplay
    from fastnn.environment import show_config
    from fastnn.estimators.mlp import MLPClassifier, MLPRegressor
    from fastnn.search.display import TradeoffDisplay
    from fastnn.search.estimator import TradeoffSearchCV
    from fastnn.tabular.estimator import TabularClassifier, TabularRegressor

__all__ = [
    "LossCurveDisplay",
    "MLPClassifier",
    "MLPRegressor",
    "TabularClassifier",
    "TabularRegressor",
    "TradeoffDisplay",
    "TradeoffSearchCV",
    "WeightsDisplay",
    "__version__",
    "activations",
    "augment",
    "backends",
    "callbacks",
    "dask",
    "evaluate_table",
    "explore_table",
    "export",
    "fit_table",
    "losses",
    "optimizers",
    "persistence",
    "predict_table",
    "report",
    "schedules",
    "show_config",
]

# Where each public name is defined, None for a module. Each is imported when it is first asked for,
# so that `import fastnn` costs next to nothing.
_HOMES = {
    "LossCurveDisplay": "fastnn.display",
    "MLPClassifier": "fastnn.estimators.mlp",
    "MLPRegressor": "fastnn.estimators.mlp",
    "TabularClassifier": "fastnn.tabular.estimator",
    "TabularRegressor": "fastnn.tabular.estimator",
    "TradeoffDisplay": "fastnn.search.display",
    "TradeoffSearchCV": "fastnn.search.estimator",
    "WeightsDisplay": "fastnn.display",
    "activations": None,
    "augment": None,
    "backends": None,
    "callbacks": None,
    "dask": None,
    "evaluate_table": "fastnn.cli.functions",
    "explore_table": "fastnn.cli.functions",
    "export": None,
    "fit_table": "fastnn.cli.functions",
    "losses": None,
    "optimizers": None,
    "persistence": None,
    "predict_table": "fastnn.cli.functions",
    "report": None,
    "schedules": None,
    "show_config": "fastnn.environment",
}


_submodule = submodules(__name__)


def __getattr__(name: str) -> object:
    home = _HOMES.get(name)
    value = getattr(importlib.import_module(home), name) if home else _submodule(name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return list(__all__)
