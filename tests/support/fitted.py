"""Which networks do the export tests carry away? Random ones, and one for each task."""

from __future__ import annotations

from typing import Any

import numpy as np

from fastnn import MLPClassifier, MLPRegressor
from fastnn.core.activations import ACTIVATIONS
from fastnn.losses import Quantile

TASKS = ("two classes", "classes", "labels", "squared_error", "poisson", "quantiles")
QUANTILES = Quantile([0.1, 0.5, 0.9])

# What the activations are that targets have an entry for, whether or not the core has them yet.
FORMULAS = {
    "softsign": lambda z: z / (1 + np.abs(z)),
}


def network(task: str, seed: int = 0, dtype: Any = np.float64, **parameters: Any) -> Any:
    """A network fitted by one pass over rows of its own, which stand in ``model.rows``.

    Rows are float32 numbers in ``dtype``, so that every target reads the same input. One pass, and
    larger weights than it leaves: what matters is that no two units are alike.
    """
    rng = np.random.default_rng(seed)
    n_features = parameters.pop("n_features", 7)
    labels = parameters.pop("labels", np.array([3, 5, 8]))
    X = rng.normal(size=(60, n_features)).astype(np.float32).astype(dtype)
    if task in ("squared_error", "poisson", "quantiles"):
        n_outputs = parameters.pop("n_outputs", 1)
        y = rng.poisson(2, size=(60, n_outputs)).astype(float)
        loss = QUANTILES if task == "quantiles" else task
        model = MLPRegressor(loss, random_state=seed, **parameters)
        model.partial_fit(X, y.ravel() if n_outputs == 1 else y)
    elif task == "labels":
        n_outputs = parameters.pop("n_outputs", 4)
        y = (rng.random((60, n_outputs)) < 0.5).astype(int)
        model = MLPClassifier(random_state=seed, **parameters)
        model.partial_fit(X, y, classes=np.arange(n_outputs))
    else:
        labels = np.asarray(labels)[: 2 if task == "two classes" else None]
        model = MLPClassifier(random_state=seed, **parameters)
        model.partial_fit(X, rng.permutation(np.resize(labels, 60)), classes=np.unique(labels))
    for coef in model.coefs_:
        coef *= 1.5
    model.rows = X
    return model


def random_network(seed: int, dtype: Any) -> Any:
    """Any task, depth, width, activation and kind of labels."""
    rng = np.random.default_rng(seed)
    labels = ([0, 1, 2], ["no", "yes, é", "mäßig"], [-7, 2**40, 9], ["1", "2", "", "*/"])
    return network(
        str(rng.choice(TASKS)),
        seed,
        dtype,
        n_features=int(rng.integers(1, 40)),
        hidden_layer_sizes=tuple(map(int, rng.integers(1, 60, rng.integers(0, 4)))),
        activation=str(rng.choice(list(ACTIVATIONS))),
        labels=labels[rng.integers(len(labels))],
        backend="numpy",
    )


def answers(model: Any, X: Any) -> np.ndarray:
    """Probabilities or predictions, ``(n_rows, n_outputs)``."""
    answer = model.predict_proba if hasattr(model, "predict_proba") else model.predict
    return np.asarray(answer(X)).reshape(len(X), -1)
