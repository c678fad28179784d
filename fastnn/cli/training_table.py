"""Which rows of a table are learned from, and on which is the model measured?"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from fastnn.cli.reporter import Reporter
from fastnn.cli.settings import Goal, TableFile

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd

    from fastnn.tabular.schema import Schema

# Fewer rows than this are too few to hold a part back from training.
MIN_ROWS_TO_HOLD_OUT = 20


@dataclass(frozen=True)
class TrainingTable:
    """A table as it is learned from: its columns, its missing cells, and its rows in two parts.

    ``X_test`` and ``y_test`` are None where no rows are held out.
    """

    schema: Schema
    missing: int
    stratified: bool
    X: pd.DataFrame
    y: np.ndarray
    X_test: pd.DataFrame | None = None
    y_test: np.ndarray | None = None

    @property
    def rows(self) -> int:
        """The number of rows, those held out included."""
        return len(self.y) + (0 if self.y_test is None else len(self.y_test))


def read(table: TableFile, reporter: Reporter) -> pd.DataFrame:
    """Read a table's file."""
    from fastnn.tabular.read import read_table

    with reporter.busy(f"reading {table.path}"):
        return read_table(table.path, sep=table.sep, encoding=table.encoding, decimal=table.decimal)


def training_table(table: TableFile, goal: Goal, reporter: Reporter) -> TrainingTable:
    """Read a table, recognise its columns, and hold rows out."""
    from fastnn.tabular.encode import features, targets, with_known_target
    from fastnn.tabular.schema import recognise

    frame = with_known_target(read(table, reporter), goal.target, reporter.note)
    schema = recognise(
        frame, goal.target, task=goal.task, categorical=goal.categorical, drop=goal.drop
    )
    reasons: dict[str, list[str]] = {}
    for name, why in schema.left_out.items():
        reasons.setdefault(why, []).append(repr(name))
    for why, names in reasons.items():
        shown = ", ".join(names[:8]) + (f" and {len(names) - 8} more" if len(names) > 8 else "")
        reporter.note(f"column{'s' if len(names) > 1 else ''} {shown} left out: {why}")
    missing = int(frame[schema.columns].isna().to_numpy().sum())
    X, y = features(schema, frame, reporter.note), targets(schema, frame)
    return _hold_out(schema, missing, X, y, goal, reporter)


def _hold_out(
    schema: Schema, missing: int, X: Any, y: Any, goal: Goal, reporter: Reporter
) -> TrainingTable:
    """Split the rows; every class is in both parts in its share, where it has the rows for it."""
    import numpy as np
    from sklearn.utils import check_random_state

    from fastnn.training.data import hold_out, row_numbers

    n_test = int(np.ceil(goal.holdout * len(y)))
    if goal.holdout and (len(y) < MIN_ROWS_TO_HOLD_OUT or n_test < 2):
        reporter.note(
            f"{len(y)} rows are too few to keep any back:"
            " the model is trained on all of them and not measured"
        )
    if len(y) < MIN_ROWS_TO_HOLD_OUT or n_test < 2:
        return TrainingTable(schema, missing, False, X, y)
    counts = np.unique(y, return_counts=True)[1]
    stratified = (
        schema.task != "regression"
        and bool(counts.min() >= 2)
        and len(counts) <= min(n_test, len(y) - n_test)
    )
    rows, test = hold_out(
        row_numbers(len(y)), goal.holdout, y if stratified else None, check_random_state(goal.seed)
    )
    return TrainingTable(schema, missing, stratified, X.iloc[rows], y[rows], X.iloc[test], y[test])
