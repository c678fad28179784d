"""What predicts from a table as it is? A fitted pipeline with the schema that reads for it."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from fastnn._version import __version__
from fastnn.tabular.encode import features, targets, with_known_target
from fastnn.tabular.schema import Schema, TableError

if TYPE_CHECKING:
    import pandas as pd


class TableWarning(UserWarning):
    """A table is not quite as the training table was; the message says what was made of it."""


def _warn(sentence: str) -> None:
    warnings.warn(sentence, TableWarning, stacklevel=4)


@dataclass
class TableModel:
    """A fitted pipeline and the schema of its columns: it predicts from tables as they are.

    Attributes
    ----------
    model : estimator
        Reads what `fastnn.tabular.encode.features` makes of a table.
    schema : Schema
        What the training table taught.
    about : dict
        Free-form notes on how the model came about, of JSON types only.
    version : str
        The version of fastnn that trained it.
    """

    model: Any
    schema: Schema
    about: dict[str, Any] = field(default_factory=dict)
    version: str = __version__

    @property
    def classes_(self) -> np.ndarray:
        """The classes, as they were written in the training table."""
        if self.schema.task == "regression":
            raise AttributeError("a model of numbers has no classes")
        return np.asarray(self.model.classes_)

    def written_with(self, decimal: str | None = None, thousands: str | None = None) -> TableModel:
        """Return this model for tables whose numbers have other marks; None keeps a mark."""
        return replace(self, schema=self.schema.written_with(decimal, thousands))

    def predict(self, frame: pd.DataFrame, note: Callable[[str], None] = _warn) -> np.ndarray:
        """Predict the target of each row.

        Parameters
        ----------
        frame : pandas.DataFrame of shape (n_rows, ...)
            A table as `fastnn.tabular.read.read_table` returns it, or of columns of any dtype.
        note : callable
            Receives a sentence about everything that is ignored or unknown; by default each is a
            `TableWarning`.

        Returns
        -------
        ndarray of shape (n_rows,)
            float64, or the classes as they were written in the training table.

        Raises
        ------
        TableError
            When the table does not have the columns of the training table.
        """
        return self.predicted(features(self.schema, frame, note))

    def predicted(self, X: pd.DataFrame) -> np.ndarray:
        """Predict rows that `fastnn.tabular.encode.features` has made of a table."""
        return np.ravel(self.model.predict(X))  # CatBoost has its labels in a column

    def predict_proba(self, frame: pd.DataFrame, note: Callable[[str], None] = _warn) -> np.ndarray:
        """Predict the probability of each class.

        Parameters
        ----------
        frame, note
            As for `predict`.

        Returns
        -------
        ndarray of shape (n_rows, n_classes)
            float64, columns in the order of ``classes_``.

        Raises
        ------
        TableError
            When the model predicts numbers, or as for `predict`.
        """
        if self.schema.task == "regression":
            raise TableError(
                f"Probabilities are for classes, but {self.schema.target!r} is predicted as a "
                "number."
            )
        return np.asarray(self.model.predict_proba(features(self.schema, frame, note)))

    def score(self, frame: pd.DataFrame, note: Callable[[str], None] = _warn) -> float:
        """Return the accuracy, or R2 of predicted numbers, on the rows whose target is known.

        Parameters
        ----------
        frame, note
            As for `predict`; the table has the target column.
        """
        frame = with_known_target(self.schema, frame, note)
        y = targets(self.schema, frame)
        return float(self.model.score(features(self.schema, frame, note), y))
