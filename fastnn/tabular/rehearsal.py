"""Do the parts of a model from a file fit together? It answers a made-up table, or is refused.

What is wrong in a file can be anywhere: an array of another shape, a category without a place, a
name that nothing bears. Asking the model finds all that stands between a table and an answer, of
whatever kind the model is.
"""

from __future__ import annotations

import numpy as np

from fastnn._optional import require
from fastnn.tabular.model import TableModel
from fastnn.tabular.schema import Schema

MAX_CELLS = 100_000
UNKNOWN = "\ufffd"  # a category that no training table has


def rehearse(model: TableModel) -> None:
    """Predict rows that hold every category, an unknown one, and missing cells.

    Raises
    ------
    ValueError
        If there is no answer for each row and class.
    Exception
        Whatever predicting raises.
    """
    frame = _rows(model.schema)
    with np.errstate(all="ignore"):
        found = {"predictions": (model.predict(frame, _silent).shape, (len(frame),))}
        if model.schema.task != "regression":
            shape = model.predict_proba(frame, _silent).shape
            found["probabilities"] = shape, (len(frame), len(model.classes_))
    for what, (shape, wanted) in found.items():
        if shape != wanted:
            raise ValueError(f"{what} have shape {shape}, not {wanted}")


def _rows(schema: Schema):  # type: ignore[no-untyped-def]
    """Return a table of texts."""
    pd = require("pandas")
    most = max(map(len, schema.categorical.values()), default=0)
    n_rows = max(3, min(most + 2, MAX_CELLS // max(1, len(schema.columns))))
    cells = {name: ["", "1", "2"] for name in schema.numbers}
    cells |= dict.fromkeys(schema.dates, [""])
    cells |= {name: ["", UNKNOWN, *seen] for name, seen in schema.categorical.items()}
    columns = {name: np.resize(np.array(own, object), n_rows) for name, own in cells.items()}
    return pd.DataFrame(columns, dtype=str)


def _silent(sentence: str) -> None:
    """Note nothing."""
