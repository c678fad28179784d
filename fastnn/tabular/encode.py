"""How do the columns of a frame become numbers? By a schema: features, targets, and a pipeline."""

from __future__ import annotations

import difflib
import re
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np

from fastnn._optional import require
from fastnn.tabular.schema import Schema, TableError, as_text, decimal_hint, find

if TYPE_CHECKING:
    import pandas as pd

# Numbers beyond this overflow when they are squared, as standardising them does.
LARGEST = 1e150


def features(
    schema: Schema, frame: pd.DataFrame, note: Callable[[str], None] = lambda _: None
) -> pd.DataFrame:
    """Put any table into the columns, order and types the model was trained on.

    Parameters
    ----------
    schema : Schema
        From the training table.
    frame : pandas.DataFrame
        A table with at least the schema's columns, in any order.
    note : callable
        Receives a sentence about everything that is ignored or unknown.

    Returns
    -------
    pandas.DataFrame of shape (n_rows, n_columns)
        Numeric columns as float64, then categories as text; missing cells are NaN.

    Raises
    ------
    TableError
        When columns are absent, a number is no number, or a cell is infinite.
    """
    pd = require("pandas")
    absent = [name for name in schema.columns if name not in frame.columns]
    if absent:
        lower = {
            str(column).lower(): str(column)
            for column in frame.columns
            if column not in schema.columns
        }
        near = {
            name: lower[close[0]]
            for name in absent
            if (close := difflib.get_close_matches(name.lower(), lower, n=1))
        }
        meant = "".join(f" Is {got!r} meant to be {name!r}?" for name, got in near.items())
        raise TableError(
            f"The model needs columns that are not there: {', '.join(map(repr, absent))}.{meant}"
        )
    extra = [
        str(name)
        for name in frame.columns
        if name not in {*schema.columns, *schema.left_out, schema.target}
    ]
    if extra:
        note(f"columns the model does not know are ignored: {', '.join(map(repr, extra))}")

    columns: dict[str, Any] = {}
    for name in schema.numeric:
        columns[name] = _as_numbers(frame[name])
    for name, seen in schema.categorical.items():
        columns[name] = text = as_text(frame[name])
        unknown = text[text.notna() & ~text.isin(seen)]
        if len(unknown):
            shown = ", ".join(map(repr, unknown.unique()[:3]))
            note(
                f"column {name!r} holds values never seen in training ({shown}) in "
                f"{len(unknown)} rows; they count as rare ones"
            )
    return pd.DataFrame(columns, index=frame.index)


def _as_numbers(column: pd.Series) -> pd.Series:
    pd = require("pandas")
    numbers = pd.to_numeric(column, errors="coerce").astype("float64")
    bad = column[numbers.isna() & column.notna()]
    if len(bad):
        raise TableError(
            f"Column {column.name!r} is one of numbers, but holds {str(bad.iloc[0])!r} in row "
            f"{bad.index[0] + 1}"
            + (f" (and {len(bad) - 1} more such cells)." if len(bad) > 1 else ".")
            + f" Correct these cells or empty them{decimal_hint(bad)}; empty cells are allowed."
        )
    infinite = np.isinf(numbers)
    if infinite.any():
        raise TableError(
            f"Column {column.name!r} holds infinity in {int(infinite.sum())} rows. "
            "Empty these cells: missing values are allowed, infinite ones are not."
        )
    if (most := numbers.abs().max()) > LARGEST:
        raise TableError(
            f"Column {column.name!r} holds numbers up to {most:.3g}, too large to be "
            f"standardised; at most {LARGEST:g} are"
            " allowed. Scale the column, or take its logarithm."
        )
    return numbers


def targets(schema: Schema, frame: pd.DataFrame) -> np.ndarray:
    """Return the target column as numbers or class labels.

    Parameters
    ----------
    schema : Schema
        From the training table.
    frame : pandas.DataFrame
        A table with the target column, no cell of it missing.

    Returns
    -------
    ndarray of shape (n_rows,)
        float64 for regression; int64 or text labels otherwise.
    """
    find(frame, schema.target)
    column = frame[schema.target]
    if column.isna().any():
        raise TableError(
            f"The target {schema.target!r} is missing in {int(column.isna().sum())} of "
            f"{len(column)} rows."
        )
    if schema.task == "regression":
        return _as_numbers(column).to_numpy()
    labels = as_text(column).to_numpy().astype(str)
    if schema.integer_labels:
        odd = next((label for label in labels if not re.fullmatch(r"-?\d+", label)), None)
        if odd is not None:
            raise TableError(
                f"The target {schema.target!r} had whole numbers as classes in training, but "
                f"holds {str(odd)!r} here."
            )
        return labels.astype(np.int64)
    return labels


def with_known_target(
    frame: pd.DataFrame, target: str, note: Callable[[str], None]
) -> pd.DataFrame:
    """Return the rows whose target is known; ``note`` receives how many are not."""
    find(frame, target)
    known = frame[target].notna()
    if known.all() or not known.any():
        return frame
    note(
        f"{int((~known).sum())} of {len(frame)} rows are left out: their target {target!r} is "
        "missing"
    )
    return frame[known].reset_index(drop=True)


def table_model(schema: Schema, estimator: Any) -> Any:
    """Return a pipeline from the schema's columns to the target: preprocessing, then ``estimator``.

    Numbers are imputed by the median, with an indicator where cells were missing, and standardised.
    Categories become one column each; rare and unknown ones share one. Regression targets are
    standardised and turned back.

    Parameters
    ----------
    schema : Schema
        What the columns are.
    estimator : estimator
        A classifier, or for the task "regression" a regressor.

    Returns
    -------
    sklearn.pipeline.Pipeline
        Steps "columns" and "network"; reads what `features` returns.
    """
    from sklearn.compose import ColumnTransformer, TransformedTargetRegressor
    from sklearn.impute import SimpleImputer
    from sklearn.pipeline import Pipeline, make_pipeline
    from sklearn.preprocessing import OneHotEncoder, StandardScaler

    parts: list[tuple[str, Any, list[str]]] = []
    if schema.numeric:
        numbers = make_pipeline(
            SimpleImputer(strategy="median", add_indicator=True), StandardScaler()
        )
        parts.append(("numbers", numbers, schema.numeric))
    if schema.categorical:
        # 0.002: a category in fewer than one of 500 rows has too few examples for its own weights.
        one_hot = OneHotEncoder(
            handle_unknown="infrequent_if_exist", min_frequency=0.002, sparse_output=False
        )
        categories = make_pipeline(
            SimpleImputer(strategy="constant", fill_value="(missing)"), one_hot
        )
        parts.append(("categories", categories, list(schema.categorical)))
    if schema.task == "regression":
        estimator = TransformedTargetRegressor(regressor=estimator, transformer=StandardScaler())
    return Pipeline([("columns", ColumnTransformer(parts)), ("network", estimator)])
