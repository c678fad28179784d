"""Which bags do the export tests carry away? Random ones, of tables with all kinds of columns."""

from __future__ import annotations

from typing import Any

import numpy as np

from fastnn import TabularClassifier, TabularRegressor
from fastnn.core.activations import ACTIVATIONS
from fastnn.losses import Quantile
from fastnn.tabular.embed import as_number, as_text
from fastnn.tabular.table import is_missing

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


def feed(session: Any, X: Any) -> dict[str, np.ndarray]:
    """What a session of ONNX Runtime takes, of a DataFrame or an array."""
    found = {}
    for one in session.get_inputs():
        if one.name == "X" and not hasattr(X, "columns"):
            found["X"] = np.array([[_number(cell) for cell in row] for row in X.tolist()])
            continue
        cells = list(X[one.name] if hasattr(X, "columns") else X[:, int(one.name[1:])])
        each = map(_text if one.type == "tensor(string)" else _number, cells)
        kind = object if one.type == "tensor(string)" else float
        found[one.name] = np.array([*each], kind).reshape(-1, 1)
    return found


def _text(cell: Any) -> str:
    return "" if is_missing(cell) else cell if isinstance(cell, str) else as_text(cell)


def _number(cell: Any) -> float:
    """Also of dates, as days."""
    if is_missing(cell):
        return np.nan
    if hasattr(cell, "isoformat"):
        return (np.datetime64(cell, "us") - np.datetime64(0, "us")) / np.timedelta64(1, "D")
    cell = as_number(cell) if isinstance(cell, str) else cell
    return np.nan if isinstance(cell, str) else float(cell)


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
    spread = 3 / np.sqrt(sum(settings["hidden_layer_sizes"]) + 20)
    model._params = model._params + rng.normal(0, spread, model._params.shape).astype(
        model._params.dtype
    )
    return model


def random_bag(seed: int) -> tuple[Any, Any]:
    """A bag of any task, shape and columns, and rows to ask it: some of them unlike its own."""
    rng = np.random.default_rng(seed)
    task, n = str(rng.choice(TASKS)), int(rng.integers(30, 80))
    style = str(rng.choice(["frame", "frame", "frame", "numbers", "objects"]))
    known = {"frame": KINDS, "numbers": KINDS[:10], "objects": KINDS[:-3]}[style]
    kinds = rng.choice(known, rng.integers(1, 8))
    X, asked = (frame(kinds, rng, n) for _ in range(2))
    if style != "frame":
        X, asked = (table.to_numpy(float if style == "numbers" else object) for table in (X, asked))
    y = targets(task, rng, n, LABELS[rng.integers(len(LABELS))])
    model = bag(
        task,
        X,
        y,
        seed,
        n_members=int(rng.integers(1, 4)),
        hidden_layer_sizes=tuple(map(int, rng.integers(1, 30, rng.integers(1, 4)))),
        activation=None if rng.random() < 0.5 else str(rng.choice(list(ACTIVATIONS))),
        n_bins=int(rng.choice([1, 2, 5, 32, 255])),
        embedding_size=int(rng.integers(1, 10)),
        max_categories=int(rng.choice([1, 3, 254])),
        dtype=str(rng.choice(["float32", "float64"])),
        backend="numpy",
    )
    return model, asked
