"""Which bags do the export tests carry away? Random ones, of tables with all kinds of columns."""

from __future__ import annotations

from typing import Any

import numpy as np

from fastnn import TabularClassifier, TabularRegressor
from fastnn.losses import Quantile

TASKS = ("classes", "squared_error", "huber", "poisson", "gamma", "quantiles", "two outputs")
LABELS = ([0, 1, 2], ["no", "yes, é", "mäßig"], [-7, 2**40, 9], ["1", "2", "", "*/"])
TEXTS = ("", "a", "b, c", "é", "*/", "%s", "<b>", "True", "5", 'label"\n')


def column(kind: str, rng: np.random.Generator, n: int) -> Any:
    """A column of ``n`` cells, as pandas holds it."""
    import pandas as pd

    numbers = rng.normal(size=n)
    found: dict[str, Any] = {
        "floats": lambda: numbers * 10 + 3,
        "gaps": lambda: np.where(rng.random(n) < 0.2, np.nan, numbers),
        "few": lambda: rng.choice([0.1, 0.2, 0.3, 1e9, 1e9 + 1], n),
        "far": lambda: 1.7e9 + np.round(numbers * 4, 1),
        "tails": lambda: np.exp(8 * numbers),
        "small": lambda: numbers.astype(np.float32),
        "counts": lambda: rng.poisson(3, n),
        "only gaps": lambda: np.where(rng.random(n) < 0.5, np.nan, 7.0),
        "constant": lambda: np.full(n, 4.0),
        "empty": lambda: np.full(n, np.nan),
        "bool": lambda: numbers > 0.3,
        "text": lambda: rng.choice(TEXTS, n),
        "two texts": lambda: np.where(numbers > 0, "yes", "no"),
        "text with gaps": lambda: np.where(rng.random(n) < 0.2, None, rng.choice(TEXTS[1:4], n)),
        "codes": lambda: pd.Categorical(rng.choice([3, 5, 2**40, -1], n)),
        "truth with gaps": lambda: np.array(rng.choice([True, False, None], n)),
        "mixed": lambda: np.array(rng.choice(np.array([1, 2.5, "x", "2", None], object), n)),
        "dates": lambda: np.datetime64("2020-01-01T12:34") + rng.integers(0, 10**8, n) * 7,
        "categories": lambda: pd.Categorical(rng.choice(list("pqrs"), n), list("srqpo")),
    }
    return found[kind]()


KINDS = (
    "floats", "gaps", "few", "far", "tails", "small", "counts", "only gaps", "constant", "empty",
    "bool", "text", "two texts", "text with gaps", "codes", "truth with gaps", "mixed", "dates",
    "categories",
)  # fmt: skip


def frame(kinds: Any, rng: np.random.Generator, n: int) -> Any:
    """A table of a column of each of these kinds."""
    import pandas as pd

    return pd.DataFrame({f"{i} {kind}": column(kind, rng, n) for i, kind in enumerate(kinds)})


def targets(task: str, rng: np.random.Generator, n: int, labels: Any = LABELS[0]) -> np.ndarray:
    """Those of ``n`` rows."""
    if task == "classes":
        return np.resize(np.array(labels), n)[rng.permutation(n)]
    if task in ("poisson", "gamma"):
        return rng.poisson(4, n) + (task == "gamma") * 0.5
    return 1000 + 30 * rng.normal(size=(n, 2) if task == "two outputs" else n)


def bag(task: str, X: Any, y: np.ndarray, seed: int = 0, **parameters: Any) -> Any:
    """A bag fitted by few epochs: what matters is that no two of its weights are alike."""
    settings = {"n_members": 2, "max_iter": 2, "hidden_layer_sizes": (9,), "random_state": seed}
    settings |= parameters
    rng = np.random.default_rng(seed)
    if task == "classes":
        model = TabularClassifier("fast", **settings)
    else:
        losses = {"quantiles": Quantile([0.1, 0.5, 0.9]), "two outputs": "squared_error"}
        model = TabularRegressor("fast", loss=losses.get(task, task), **settings)
    model.fit(X, y)
    model._params = model._params + rng.normal(0, 0.05, model._params.shape).astype(
        model._params.dtype
    )
    return model
