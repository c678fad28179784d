"""How does a row of the model's table become one of the C file's, and back?

In C a category is its code, a number from 0 on; what is missing is NaN, and -1 is a category that
the model does not know. The rows of the self-test go both ways: they are answered by both.
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.base import is_classifier
from sklearn.pipeline import Pipeline

from fastnn._optional import require
from fastnn.estimators.inspect import innermost
from fastnn.export.c_program import Input
from fastnn.export.columns import unlike
from fastnn.tabular.embed import as_text
from fastnn.tabular.encode import TableColumns
from fastnn.tabular.table import Column, as_table, columns_of, is_missing
from fastnn.tabular.unseen import is_bag


def rows_in_c(inputs: Sequence[Input], X: Any, n: int | None = None) -> NDArray[np.float32]:
    """The rows of ``X``, as the model takes it, for C: ``(n_rows, n_inputs)``; the first n."""
    if np.ndim(X) != 2 or np.shape(X)[1] != len(inputs) or not np.shape(X)[0]:
        raise ValueError(
            f"X_val must have shape (n_rows, {len(inputs)}), at least one row, got {np.shape(X)}."
        )
    if hasattr(X, "iloc"):
        labels, names = [*map(str, X.columns)], [str(one.name) for one in inputs]
        if {*labels} == {*names}:
            X = X.iloc[:, [labels.index(name) for name in names]]
    columns = columns_of(as_table(X[:n]))
    with np.errstate(over="ignore"):
        each = [
            column.numbers() if one.levels is None else _codes(column, one.levels)
            for one, column in zip(inputs, columns, strict=True)
        ]
        return np.stack(each, axis=1).astype(np.float32)


def random_rows(inputs: Sequence[Input], n: int) -> NDArray[np.float32]:
    """Rows for C, of known categories; the same ones in each run."""
    rng = np.random.default_rng(0)
    rows = np.empty((n, len(inputs)), np.float32)
    for j, one in enumerate(inputs):
        middle, spread = one.typical
        if one.levels is None:
            rows[:, j] = rng.normal(middle, spread, n)
        else:
            rows[:, j] = rng.integers(max(len(one.levels), 1), size=n)
    return rows


def _codes(column: Column, levels: Sequence[Any]) -> NDArray[np.float64]:
    codes = {level: float(k) for k, level in enumerate(levels) if not is_missing(level)}
    found, rows = column.levels()
    own = [codes.get(level, codes.get(as_text(level), -1.0)) for level in found]
    return np.array([*own, np.nan])[rows]


def answers(model: Any, inputs: Sequence[Input], rows: NDArray[np.float32]) -> NDArray[np.float64]:
    """What Python answers rows of the C file, ``(n_rows, n_outputs)``, in float64."""
    X = _as_the_model_takes_them(model, inputs, rows)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "X does not have valid feature names")
        warnings.filterwarnings("ignore", "Found unknown categories")
        answer = model.predict_proba if is_classifier(model) else model.predict
        return np.asarray(answer(X), np.float64).reshape(len(rows), -1)


def _as_the_model_takes_them(model: Any, inputs: Sequence[Input], rows: NDArray[np.float32]) -> Any:
    columns = [
        column if one.levels is None else _categories(one.levels, column)
        for one, column in zip(inputs, rows.T.astype(np.float64), strict=True)
    ]
    if inputs[0].name is None:
        return np.stack(columns, axis=1)
    pd = require("pandas")
    X = pd.DataFrame(dict(zip((one.name for one in inputs), columns, strict=True)))
    found = getattr(model, "best_estimator_", model)
    if is_bag(found):
        X.columns = innermost(found)._encoder.labels_  # which need not be texts
    if isinstance(found, Pipeline) and isinstance(found[0], TableColumns):
        for name, values in found[0].categories_.items():
            unseen = ~X[name].isin(values) & X[name].notna()
            cells = X[name].where(~unseen, values[-1])
            X[name] = pd.Categorical(cells, categories=values)
    return X


def _categories(levels: Sequence[Any], codes: NDArray[np.float64]) -> NDArray[Any]:
    """The categories of codes; an array of numbers where they are."""
    known = np.empty(len(levels) + 2, object)
    known[:] = [*levels, unlike(levels), np.nan]
    is_known = (codes >= 0) & (codes < len(levels))
    places = np.where(is_known, np.nan_to_num(codes), len(levels)).astype(np.int64)
    values = known[np.where(np.isnan(codes), -1, places)]
    is_number = all(isinstance(level, int | float | np.number) for level in levels)
    return values.astype(np.float64) if is_number else values
