"""What is worth varying in an estimator? A space for each kind that is known, by its class's name.

Another kind of estimator is one entry of `SPACES` away.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

from scipy import stats
from sklearn.base import BaseEstimator

from fastnn.backends import load, why_not

Space = dict[str, Any]
LEAVES = [7, 15, 31, 63]


def default_space(estimator: BaseEstimator, n_rows: int) -> Space:
    """A space for the network, bag, tree or linear model in ``estimator``, around what works.

    Of a network it varies width, depth, activation, learning rate, batch size, penalty, epochs and
    dtype; of a bag preset, members, layers, epochs and learning rate. A network is tried in
    bfloat16 too where the processor has instructions for it. What was set to another value than the
    default stays as it was set. Only what the estimator has a parameter for is varied:
    scikit-learn's network has no ``dtype``. The distributions are lists and scipy.stats', which
    scikit-learn's own searches take as well.

    Parameters
    ----------
    estimator : estimator object
        One of the kinds of `SPACES`, or anything that holds one, such as a Pipeline.
    n_rows : int
        Rows to learn from; no batch of a network is larger than half of them.

    Returns
    -------
    param_distributions : dict of str to list or scipy.stats distribution

    Raises
    ------
    ValueError
        If there is none of these kinds, or each of its parameters has been set.
    """
    path, found = _known(estimator)
    space = SPACES[_kind(found)](n_rows)
    if "dtype" in space and _is_faster_in_bfloat16(found):
        space["dtype"].append("bfloat16")
    free = {
        path + name: values
        for name, values in space.items()
        if _parameter(found, name) and repr(_value(found, name)) == repr(_default(found, name))
    }
    if not free:
        raise ValueError(
            f"param_distributions=None varies {', '.join(space)} of the estimator, but the"
            f" {type(found).__name__} sets each of them. Leave one at its default, or give"
            " param_distributions."
        )
    return free


def as_it_is(estimator: BaseEstimator, space: Space) -> dict[str, Any]:
    """The candidate of ``space``, a `default_space`, that ``estimator`` is itself."""
    path, found = _known(estimator)
    return {name: _value(found, name.removeprefix(path)) for name in space}


def _known(estimator: BaseEstimator) -> tuple[str, BaseEstimator]:
    """The outermost estimator that has a space, and the path of its parameters."""
    parts = {"": estimator} | {
        f"{name}__": part
        for name, part in estimator.get_params().items()
        if hasattr(part, "get_params") and not isinstance(part, type)
    }
    known = [path for path, part in parts.items() if _kind(part)]
    if not known:
        raise ValueError(
            "param_distributions=None needs an estimator that is or holds a network, or another"
            f" kind whose settings are known ({', '.join(SPACES)}), to know what to vary; got"
            f" {estimator!r}. Give param_distributions."
        )
    path = min(known, key=len)
    return path, parts[path]


def _kind(estimator: Any) -> str:
    """The name in `SPACES` of an estimator's class or of one that it derives from; "" if none."""
    names = [base.__name__ for base in type(estimator).__mro__]
    return next((name for name in names if name in SPACES), "")


def _parameter(estimator: Any, name: str) -> inspect.Parameter | None:
    return inspect.signature(type(estimator)).parameters.get(name)


def _default(estimator: Any, name: str) -> Any:
    parameter = _parameter(estimator, name)
    return None if parameter is None else parameter.default


def _value(estimator: Any, name: str) -> Any:
    """A parameter's value; CatBoost's ``get_params`` has those alone that were set."""
    return estimator.get_params(deep=False).get(name, _default(estimator, name))


def _is_faster_in_bfloat16(network: BaseEstimator) -> bool:
    if _value(network, "backend") not in ("auto", "cython") or _value(network, "solver") == "lbfgs":
        return False
    compiled: Any = load("cython") if why_not("cython") is None else None
    return compiled is not None and compiled.has_fast_bfloat16


def _network(n_rows: int) -> Space:
    return {
        "hidden_layer_sizes": [
            (),
            *((width,) * depth for depth in (1, 2, 3) for width in (8, 16, 32, 64, 128, 256)),
        ],
        "activation": ["relu", "tanh", "logistic"],
        "learning_rate_init": stats.loguniform(3e-4, 3e-2),
        "batch_size": [size for size in (32, 64, 128, 256, 512) if size <= n_rows // 2] or ["auto"],
        "alpha": stats.loguniform(1e-6, 1e-1),
        "max_iter": [5, 10, 20, 40, 80, 160],
        "dtype": ["float32", "float64"],
    }


def _bag(n_rows: int) -> Space:
    """Around the presets, whose own settings are None."""
    layers = [(32,), (64,), (64, 64), (128, 128), (256, 256), (128, 128, 128)]
    return {
        "preset": ["fast", "balanced", "best"],
        "n_members": [None, 2, 4, 8, 16],
        "hidden_layer_sizes": [None, *layers],
        "max_iter": [None, 8, 16, 32, 64, 128],
        "learning_rate_init": [None, 0.01, 0.02, 0.04, 0.08],
    }


def _hist_gradient_boosting(n_rows: int) -> Space:
    return {
        "max_iter": [25, 50, 100, 200, 400],
        "learning_rate": stats.loguniform(0.01, 0.5),
        "max_leaf_nodes": LEAVES,
        "min_samples_leaf": [5, 20, 50],
    }


def _lightgbm(n_rows: int) -> Space:
    return {
        "n_estimators": [25, 50, 100, 200, 400],
        "learning_rate": stats.loguniform(0.01, 0.5),
        "num_leaves": LEAVES,
        "min_child_samples": [5, 20, 50],
    }


def _catboost(n_rows: int) -> Space:
    return {
        "iterations": [100, 300, 1000],
        "depth": [4, 6, 8],
        "learning_rate": stats.loguniform(0.01, 0.5),
    }


SPACES: dict[str, Callable[[int], Space]] = {
    "MLPClassifier": _network,
    "MLPRegressor": _network,
    "BaseTabular": _bag,
    "BaseHistGradientBoosting": _hist_gradient_boosting,
    "LGBMModel": _lightgbm,
    "CatBoost": _catboost,
    "LogisticRegression": lambda n_rows: {"C": stats.loguniform(1e-3, 1e3)},
    "Ridge": lambda n_rows: {"alpha": stats.loguniform(1e-3, 1e3)},
}
