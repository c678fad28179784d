"""Which rows of a table are learned from, and on which is the model measured?"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from fastnn.cli.reporter import Reporter
from fastnn.cli.settings import Goal, TableFile
from fastnn.tabular.options import TypeOptions

if TYPE_CHECKING:
    from collections.abc import Mapping

    import numpy as np
    import pandas as pd

    from fastnn.tabular.schema import Schema

# Fewer rows than this are too few to hold a part back from training.
MIN_ROWS_TO_HOLD_OUT = 20


@dataclass(frozen=True)
class TrainingTable:
    """A table as it is learned from: its columns, its missing cells, and its rows in two parts.

    ``X_test`` and ``y_test`` are None where no rows are held out, and ``split``, the Python code
    that does it, is empty.
    """

    schema: Schema
    missing: int
    X: pd.DataFrame
    y: np.ndarray
    X_test: pd.DataFrame | None = None
    y_test: np.ndarray | None = None
    split: str = ""

    @property
    def rows(self) -> int:
        """The number of rows, those held out included."""
        return len(self.y) + (0 if self.y_test is None else len(self.y_test))


def read(
    table: TableFile | pd.DataFrame, reporter: Reporter, remembered: Mapping[str, str] | None = None
) -> pd.DataFrame:
    """Read a table's file; a frame is one already.

    ``remembered`` is how the training table was said to be written.
    """
    if not isinstance(table, TableFile):
        return table
    from fastnn.tabular.read import read_table

    with reporter.busy(f"reading {table.path}"):
        return read_table(
            table.path,
            sep=table.sep,
            encoding=table.encoding,
            remembered=remembered,
            note=reporter.note,
        )


def training_table(
    table: TableFile | pd.DataFrame, goal: Goal, types: TypeOptions, reporter: Reporter
) -> TrainingTable:
    """Read a table, recognise its columns, and hold rows out."""
    from fastnn.tabular.encode import features, targets, with_known_target
    from fastnn.tabular.recognise import recognise

    frame = read(table, reporter)
    reading = table.said if isinstance(table, TableFile) else None
    schema = recognise(frame, goal.target, types, reading=reading)
    for line in schema.notes:
        reporter.note(line)
    frame = with_known_target(schema, frame, reporter.note)
    X, y = features(schema, frame), targets(schema, frame)
    return _hold_out(schema, int(X.isna().to_numpy().sum()), X, y, goal, reporter)


def _hold_out(
    schema: Schema, missing: int, X: Any, y: Any, goal: Goal, reporter: Reporter
) -> TrainingTable:
    """Split the rows; every class is in both parts in its share, where it has the rows for it.

    A row that is the only one of its class is learned from.
    """
    import numpy as np

    n_test = int(np.ceil(goal.holdout * len(y)))
    if goal.holdout and (len(y) < MIN_ROWS_TO_HOLD_OUT or n_test < 2):
        reporter.note(
            f"{len(y)} rows are too few to keep any back: the model is trained on all of them"
        )
    if len(y) < MIN_ROWS_TO_HOLD_OUT or n_test < 2:
        return TrainingTable(schema, missing, X, y)
    single = rows_alone(schema, y)
    common = np.flatnonzero(~single)
    stratified = can_stratify(schema, y[common], goal.holdout)
    rows, test = split(common, y[common] if stratified else None, goal.holdout, goal.seed)
    rows = np.append(rows, np.flatnonzero(single))
    code = _split_code(goal, stratified, bool(single.any()))
    return TrainingTable(schema, missing, X.iloc[rows], y[rows], X.iloc[test], y[test], code)


def rows_alone(schema: Schema, y: np.ndarray) -> np.ndarray:
    """Return which rows of ``y (n_rows,)`` are the only ones of their class."""
    import numpy as np

    if schema.task == "regression":
        return np.zeros(len(y), bool)
    _, codes, counts = np.unique(y, return_inverse=True, return_counts=True)
    return np.asarray(counts[codes] == 1)


def can_stratify(schema: Schema, y: np.ndarray, share: float) -> bool:
    """Whether a ``share`` of the rows can be held out so that every class is in both parts."""
    import numpy as np

    if schema.task == "regression":
        return False
    counts = np.unique(y, return_counts=True)[1]
    n_test = int(np.ceil(share * len(y)))
    return bool(counts.min() >= 2) and len(counts) <= min(n_test, len(y) - n_test)


def split(
    rows: np.ndarray, strata: np.ndarray | None, share: float, seed: int
) -> tuple[np.ndarray, np.ndarray]:
    """Return the row numbers to train on and those held out, as `train_test_split` draws them."""
    from sklearn.utils import check_random_state

    from fastnn.training.data import hold_out

    return hold_out(rows, share, strata, check_random_state(seed))


def _split_code(goal: Goal, stratified: bool, has_single: bool) -> str:
    """Return the Python code that splits X and y as `_hold_out` does."""
    how = f"test_size={goal.holdout}, random_state={goal.seed}"
    top = "from sklearn.model_selection import train_test_split"
    if not has_single:
        how += ", stratify=y" if stratified else ""
        return f"{top}\nX, X_test, y, y_test = train_test_split(X, y, {how})"
    how += ", stratify=y[~single]" if stratified else ""
    return "\n".join(
        [
            "import numpy as np",
            top,
            "_, codes, counts = np.unique(y, return_inverse=True, return_counts=True)",
            "single = counts[codes] == 1",
            f"rows, test = train_test_split(np.flatnonzero(~single), {how})",
            "rows = np.append(rows, np.flatnonzero(single))",
            "X, X_test, y, y_test = X.iloc[rows], X.iloc[test], y[rows], y[test]",
        ]
    )
