"""Do the parts of a model from a file fit together? It answers made-up rows, or is refused.

What is wrong in a file can be anywhere: an array of another shape, a category without a place, a
name that nothing bears. Asking the model finds all that stands between a table and an answer, of
whatever kind the model is.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress
from itertools import cycle, islice
from typing import TYPE_CHECKING, Any

import numpy as np

from fastnn._optional import require
from fastnn.tabular.encode import features
from fastnn.tabular.model import TableModel

if TYPE_CHECKING:
    import pandas as pd

Cells = Mapping[str, Sequence[Any]]  # of each column

MAX_CHARACTERS = 1_000_000  # beyond three rows, whatever a file says of its categories
UNKNOWN = "\ufffd"  # a category that no training table has


def rehearse(model: TableModel) -> None:
    """Predict rows that hold every category, then an unknown one, and missing cells.

    Raises
    ------
    ValueError
        If there is no answer for each row and class.
    Exception
        Whatever predicting raises.
    """
    schema = model.schema
    dates: Cells = {name: [np.datetime64(one.first, "us")] for name, one in schema.dates.items()}
    numbers: Cells = dict.fromkeys(schema.numbers, ("1", "2"))
    with np.errstate(all="ignore"):
        _answer(model, _table({**numbers, **dates, **schema.categorical}))
        odd = dict.fromkeys({**numbers, **dates}, ("",))
        with suppress(ValueError):  # not every model takes such cells
            _answer(model, _table(odd | dict.fromkeys(schema.categorical, ("", UNKNOWN))))


def _answer(model: TableModel, frame: pd.DataFrame) -> None:
    """Raise ValueError unless there is an answer for each row and class."""
    X = features(model.schema, frame)
    _check("predictions", model.predicted(X), (len(X),))
    if model.schema.task != "regression":
        _check("probabilities", model.model.predict_proba(X), (len(X), len(model.classes_)))


def _check(what: str, found: np.ndarray, shape: tuple[int, ...]) -> None:
    if found.shape != shape:
        raise ValueError(f"{what} have shape {found.shape}, not {shape}")


def _table(cells: Cells) -> pd.DataFrame:
    """Return a table of at least three rows that holds each column's cells as far as they fit."""
    width = sum(max((len(str(cell)) for cell in own), default=0) for own in cells.values())
    n_rows = max(3, min(MAX_CHARACTERS // max(width, 1), max(map(len, cells.values()))))
    columns = {name: [*islice(cycle(own or [""]), n_rows)] for name, own in cells.items()}
    return require("pandas").DataFrame(columns)
