"""How is a table learned that is larger than one machine? Where it lies, on a Dask cluster."""

from __future__ import annotations

from fastnn._lazy import submodules
from fastnn.dask.cluster import WorkersLost
from fastnn.dask.estimators import DaskMLPClassifier, DaskMLPRegressor
from fastnn.dask.tabular import DaskTabularClassifier, DaskTabularRegressor

__all__ = [
    "DaskMLPClassifier",
    "DaskMLPRegressor",
    "DaskTabularClassifier",
    "DaskTabularRegressor",
    "WorkersLost",
]

__getattr__ = submodules(__name__)
