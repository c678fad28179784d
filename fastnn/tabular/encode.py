"""How does a table become numbers? By its schema: features, targets, and a pipeline for them."""

from __future__ import annotations

import contextlib
import difflib
from collections.abc import Callable, Sequence
from shlex import quote
from typing import TYPE_CHECKING, Any, Self

import numpy as np
from sklearn.base import BaseEstimator, TransformerMixin
from sklearn.utils.validation import check_is_fitted

from fastnn._optional import require
from fastnn.tabular.cells import Distinct, cells, distinct, is_number, is_time, is_usable, to_floats
from fastnn.tabular.notation import NEARLY_ALL, Notation, find_notation, read_times
from fastnn.tabular.schema import (
    Schema,
    Spellings,
    TableError,
    counted,
    find,
    is_plain_integer,
    mark_numbers,
    plain_columns,
    shown,
    without,
)

if TYPE_CHECKING:
    import pandas as pd
    import pyarrow as pa

# Numbers beyond this overflow when they are squared, as standardising them does.
LARGEST = 1e150
# So many rows are encoded at once, which the caches hold.
BLOCK_ROWS = 2048
# What stands for every value that the training table does not have.
UNSEEN = "(never seen in training)"


def _silent(sentence: str) -> None:
    """Note nothing."""


def features(
    schema: Schema, frame: pd.DataFrame, note: Callable[[str], None] = _silent
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
        Numbers and the parts of dates as float64, then categories as ``category``, their values in
        the order of the schema with `UNSEEN` after them; missing cells are NaN.

    Raises
    ------
    TableError
        When columns are absent, a number is no number, or a cell is infinite.
    """
    pd = require("pandas")
    index = frame.index if isinstance(frame, pd.DataFrame) else None
    frame = plain_columns(frame)
    _refuse_absent(schema, frame)
    known = {*schema.columns, *schema.left_out, schema.target}
    extra = [name for name in frame.columns if name not in known]
    if extra:
        note(f"columns the model does not know are ignored: {', '.join(map(shown, extra))}")

    missing = schema.marks
    arrays = {name: _usable(name, cells(frame[name])) for name in schema.columns}
    numbers = np.empty((len(frame), len(schema.numeric)), order="F")
    for j, (name, notation) in enumerate(schema.numbers.items()):
        numbers[:, j] = _numbers(name, arrays[name], notation, schema.number_marks, note)
    j = len(schema.numbers)
    for name, dates in schema.dates.items():
        times = _times(name, arrays[name], dates.order, missing, note)
        for values in dates.numbers(times).values():
            numbers[:, j] = values
            j += 1
    parts = [pd.DataFrame(numbers, columns=schema.numeric, index=index, copy=False)]
    categories = {}
    for name, seen in schema.categorical.items():
        codes = _codes(schema, name, arrays[name], missing, note)
        values = pd.Categorical.from_codes(codes, categories=[*seen, _unseen(seen)])
        categories[name] = pd.Series(values, index=index)
    if categories:
        parts.append(pd.DataFrame(categories, index=index))
    return pd.concat(parts, axis=1) if len(parts) > 1 else parts[0]


def _unseen(seen: Sequence[str]) -> str:
    """Return a name for all values that the training table does not have, which is none of them."""
    name = UNSEEN
    while name in seen:
        name = f"({name})"
    return name


def _refuse_absent(schema: Schema, frame: pd.DataFrame) -> None:
    """Raise, with those that may be meant, where the frame lacks columns of the schema."""
    absent = [name for name in schema.columns if name not in frame.columns]
    if not absent:
        return
    lower = {name.lower(): name for name in frame.columns if name not in schema.columns}
    near = {
        name: lower[close[0]]
        for name in absent
        if (close := difflib.get_close_matches(name.lower(), lower, n=1))
    }
    meant = "".join(f" Is {shown(got)} meant to be {name!r}?" for name, got in near.items())
    names = ", ".join(map(shown, absent[:30]))
    more = f" and {len(absent) - 30} more" if len(absent) > 30 else ""
    raise TableError(f"The model needs columns that are not there: {names}{more}.{meant}")


def _usable(name: str, array: pa.Array) -> pa.Array:
    if not is_usable(array):
        raise TableError(f"Column {name!r} holds cells of type {array.type}, no text or numbers.")
    return array


def _numbers(
    name: str,
    array: pa.Array,
    notation: Notation,
    missing: Sequence[str],
    note: Callable[[str], None] = _silent,
) -> np.ndarray:
    """Return a column of numbers as float64, NaN where missing; a few other texts are noted."""
    if is_time(array):
        raise TableError(f"Column {name!r} is one of numbers, but holds dates ({array[0]}).")
    values = None
    if is_number(array) or notation.is_plain:
        with contextlib.suppress(require("pyarrow").ArrowInvalid):
            values = to_floats(array)
    if values is None:
        found = distinct(array, [*missing, *notation.words])
        read = notation.read(found.values)
        _refuse_many(name, "numbers", found, np.isnan(read), note)
        if new := set(notation.negatives_in(found.values)) - set(notation.negatives):
            written = " and ".join(map(repr, sorted(new)))
            note(f"column {shown(name)}: numbers written like {written} are read as -5 is")
        values = found.spread(read)
    values = without(values, mark_numbers(missing))
    infinite = np.isinf(values)
    if infinite.any():
        row = int(np.argmax(infinite)) + 1
        raise TableError(
            f"Column {name!r} holds infinity, or a number too large for one, in "
            f"{counted(int(infinite.sum()), 'row')}, such as row {row}. "
            "Empty these cells: missing values are allowed, infinite ones are not."
        )
    largest = np.max(np.abs(values), initial=0, where=~np.isnan(values))
    if largest > LARGEST:
        raise TableError(
            f"Column {name!r} holds numbers up to {largest:.3g}, too large to be standardised; "
            f"at most {LARGEST:g} are allowed. Scale the column, or take its logarithm."
        )
    return values


def _refuse_many(
    name: str, kind: str, found: Distinct, odd: np.ndarray, note: Callable[[str], None]
) -> None:
    """Note texts that are none of a ``kind`` where they are few, as in training; else raise."""
    n_odd = int(found.counts[odd].sum())
    if not n_odd:
        return
    places = np.flatnonzero(odd)
    row = int(np.flatnonzero(np.isin(found.codes, places))[0])
    example = shown(found.values[int(found.codes[row])])
    if n_odd <= (1 - NEARLY_ALL) * found.counts.sum():
        note(
            f"column {shown(name)}: texts among the {kind} count as missing: {example} "
            f"({counted(n_odd, 'cell')})"
        )
        return
    pa = require("pyarrow")
    others = distinct(found.values.take(pa.array(places)), ())
    meant = find_notation(others) if kind == "numbers" else None
    hint = ""
    if meant is not None:
        other = meant[0]
        hint = "; they are numbers with " + (other.unusual or f"the decimal mark {other.decimal!r}")
        if not (other.prefix or other.suffix):
            said = f" --thousands {quote(other.thousands)}" if other.thousands else ""
            hint += f", which --decimal {other.decimal}{said} says"
    raise TableError(
        f"Column {name!r} is one of {kind}, but holds {example} in row {row + 1}"
        + (f" (and {counted(n_odd - 1, 'more such cell')})." if n_odd > 1 else ".")
        + f" Correct these cells or empty them{hint}; empty cells are allowed."
    )


def _times(
    name: str, array: pa.Array, order: str, missing: Sequence[str], note: Callable[[str], None]
) -> np.ndarray:
    """Return a column of dates as datetime64[us], NaT where missing."""
    if is_time(array):
        times: np.ndarray = array.to_numpy(zero_copy_only=False).astype("M8[us]")
        return times
    found = distinct(array, missing)
    times = read_times(found.values, order)
    _refuse_many(name, f"dates in the order {order}", found, np.isnat(times), note)
    return found.spread(times)


def _codes(
    schema: Schema,
    name: str,
    array: pa.Array,
    missing: Sequence[str],
    note: Callable[[str], None],
) -> np.ndarray:
    """Return categories as int64 positions in the schema's list; -1 missing, its length unseen."""
    seen = schema.categorical[name]
    found = distinct(array, missing)
    places = Spellings(seen, schema.ignore_case).codes(found.values)
    unseen = np.flatnonzero(places == -2)
    if len(unseen):
        values = ", ".join(shown(found.values[int(i)]) for i in unseen[:3])
        rows = counted(int(found.counts[unseen].sum()), "row")
        note(
            f"column {shown(name)} holds values never seen in training ({values}) in {rows}; "
            "they count as rare ones"
        )
        places[unseen] = len(seen)
    return np.append(places, -1)[found.codes]


# ---- the target


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
        float64 for regression; int64 or text labels otherwise, as they were written in training.
    """
    values, known = _target(schema, frame)
    if not known.all():
        raise TableError(
            f"The target {schema.target!r} is missing in {int((~known).sum())} of {len(known)} "
            "rows."
        )
    return values


def with_known_target(
    schema: Schema, frame: pd.DataFrame, note: Callable[[str], None] = _silent
) -> pd.DataFrame:
    """Return the rows whose target is known; ``note`` receives how many are not.

    Raises
    ------
    TableError
        When there is none.
    """
    _, known = _target(schema, frame)
    if known.all():
        return frame
    if not known.any():
        raise TableError(f"The target {schema.target!r} is missing in every row.")
    note(
        f"{counted(int((~known).sum()), 'row')} of {len(frame)} left out: "
        f"the target {schema.target!r} is missing there"
    )
    return frame[known].reset_index(drop=True)


def _target(schema: Schema, frame: pd.DataFrame) -> tuple[np.ndarray, np.ndarray]:
    """Return the target and in which rows it is known."""
    frame = plain_columns(frame)
    find(frame, schema.target)
    array = _usable(schema.target, cells(frame[schema.target]))
    if schema.task == "regression":
        values = _numbers(schema.target, array, schema.target_notation, schema.number_marks)
        return values, ~np.isnan(values)
    found = distinct(array, schema.label_marks)
    places = Spellings(schema.labels, schema.ignore_case).codes(found.values)
    labels = [
        text if place < 0 else schema.labels[place]
        for text, place in zip(found.values.to_pylist(), places.tolist(), strict=True)
    ]
    odd = next((label for label in labels if not is_plain_integer(label)), None)
    if schema.integer_labels and odd is not None:
        raise TableError(
            f"The target {schema.target!r} had whole numbers as classes in training, "
            f"but holds {shown(odd)} here."
        )
    kind = np.int64 if schema.integer_labels else str
    return np.array([*labels, "0"]).astype(kind)[found.codes], found.codes >= 0


# ---- the pipeline


class TableColumns(TransformerMixin, BaseEstimator):
    """Pass on what `features` returns, for a model that encodes it itself; refuse a raw table.

    Attributes
    ----------
    feature_names_in_ : ndarray of shape (n_columns,)
        The columns' names.
    """

    def fit(self, X: pd.DataFrame, y: Any = None) -> Self:
        """Remember the columns and their categories.

        Parameters
        ----------
        X : pandas.DataFrame of shape (n_rows, n_columns)
            From `features`.
        y : None
            Ignored.
        """
        _refuse_raw(X)
        self.feature_names_in_ = np.array(X.columns, dtype=object)
        self.n_features_in_ = X.shape[1]
        self.categories_ = _categories(X)
        return self

    def transform(self, X: pd.DataFrame) -> Any:
        """Return ``X``, which is from `features`, by the schema that the training table had."""
        check_is_fitted(self)
        _refuse_raw(X, self.feature_names_in_, self.categories_)
        return X


class TableEncoder(TableColumns):
    """Turn what `features` returns into one matrix of numbers.

    Numbers are imputed by the median, with an indicator where cells of the training table were
    missing, limited smoothly where they are far from all others, and standardised. Each category
    has a column; rare and unknown ones share one.

    Parameters
    ----------
    limit : float, default=30
        How far from the median a number counts, in typical distances from it: x / sqrt(1 +
        (x / limit)^2). Ordinary tails stay nearly as they are, and a single cell of 1e12 does not
        rule its column. None limits nothing.
    min_share : float, default=0.002
        The share of the rows below which a category is rare: with fewer than one row of 500 there
        are too few examples for weights of its own.

    Attributes
    ----------
    feature_names_in_ : ndarray of shape (n_columns,)
        The columns' names.
    """

    def __init__(self, limit: float | None = 30.0, min_share: float = 0.002) -> None:
        self.limit = limit
        self.min_share = min_share

    def fit(self, X: pd.DataFrame, y: Any = None) -> Self:
        """Learn medians, scales and which categories are rare.

        Parameters
        ----------
        X : pandas.DataFrame of shape (n_rows, n_columns)
            From `features`.
        y : None
            Ignored.
        """
        super().fit(X)
        numbers = self._numbers(X)
        holes = np.isnan(numbers)
        self.has_missing_ = np.flatnonzero(holes.any(axis=0))
        statistics = [_spread(numbers[:, j]) for j in range(numbers.shape[1])]
        self.median_, self.distance_ = np.array(statistics).reshape(-1, 2).T
        blocks = self._filled(numbers, holes)
        self.mean_, self.scale_ = blocks.mean(axis=0), blocks.std(axis=0)
        self.scale_[self.scale_ == 0] = 1.0
        self.places_: dict[str, np.ndarray] = {}
        start = blocks.shape[1]
        for name, values in self.categories_.items():
            # The last place is of missing cells, the one before of unseen values.
            codes = X[name].cat.codes.to_numpy().astype(np.int64)
            counts = np.bincount(np.where(codes < 0, len(values), codes), minlength=len(values) + 1)
            frequent = counts >= max(self.min_share * len(X), 1)
            places = np.full(len(counts), -1)
            places[frequent] = start + np.arange(np.count_nonzero(frequent))
            start += np.count_nonzero(frequent)
            if np.any((counts > 0) & ~frequent):
                places[~frequent] = start
                start += 1
            self.places_[name] = places
        self.n_out_ = start
        return self

    def transform(self, X: pd.DataFrame) -> np.ndarray:
        """Return the matrix.

        Parameters
        ----------
        X : pandas.DataFrame of shape (n_rows, n_columns)
            From `features`, by the schema that the training table had.

        Returns
        -------
        ndarray of shape (n_rows, n_out)
            float64: numbers, indicators of missing ones, categories.
        """
        X = super().transform(X)
        numbers = self._numbers(X)
        # A missing cell's code is -1, which is the last place.
        codes = [(places, X[name].cat.codes.to_numpy()) for name, places in self.places_.items()]
        out = np.zeros((len(X), self.n_out_))
        for start in range(0, len(X), BLOCK_ROWS):
            rows = slice(start, start + BLOCK_ROWS)
            here, part = out[rows], numbers[rows]
            filled = self._filled(part, np.isnan(part))
            np.divide(filled - self.mean_, self.scale_, out=here[:, : filled.shape[1]])
            for places, code in codes:
                columns = places[code[rows]]
                has_place = np.flatnonzero(columns >= 0)
                here[has_place, columns[has_place]] = 1.0
        return out

    def get_feature_names_out(self, input_features: Any = None) -> np.ndarray:
        """Return the name of each column of the matrix."""
        check_is_fitted(self)
        numeric = [name for name in self.feature_names_in_ if name not in self.categories_]
        names = numeric + [f"{numeric[j]} is missing" for j in self.has_missing_]
        for name, values in self.categories_.items():
            words = [*map(str, values), "(missing)"]
            places = self.places_[name]
            for place in sorted({*places.tolist()} - {-1}):
                held = np.flatnonzero(places == place)
                names.append(f"{name} = {words[held[0]] if len(held) == 1 else '(rare)'}")
        return np.array(names, dtype=object)

    def _numbers(self, X: pd.DataFrame) -> np.ndarray:
        names = [name for name in X.columns if name not in self.categories_]
        return X[names].to_numpy(dtype=float)

    def _filled(self, numbers: np.ndarray, holes: np.ndarray) -> np.ndarray:
        """Return numbers, medians where cells are missing, limited; then the indicators."""
        filled = numbers - self.median_
        filled[holes] = 0.0
        if self.limit is not None:
            filled /= np.hypot(1.0, filled / (self.limit * self.distance_))
        return np.hstack([filled, holes[:, self.has_missing_].astype(float)])


def _spread(values: np.ndarray) -> tuple[float, float]:
    """Return the median, and the median distance from it of those that differ from it."""
    values = values[~np.isnan(values)]
    if not len(values):
        return 0.0, 1.0
    median = float(np.median(values))
    distances = np.abs(values - median)
    distances = distances[distances > 0]
    return median, float(np.median(distances)) if len(distances) else 1.0


def _categories(X: pd.DataFrame) -> dict[str, list[str]]:
    """Return the values of each column of categories."""
    category = require("pandas").CategoricalDtype
    return {
        name: list(dtype.categories)
        for name, dtype in X.dtypes.items()
        if isinstance(dtype, category)
    }


def _refuse_raw(
    X: Any, names: np.ndarray | None = None, categories: dict[str, list[str]] | None = None
) -> None:
    """Raise unless ``X`` is what `features` returns, with these columns and categories."""
    if not isinstance(X, require("pandas").DataFrame):
        raise TableError(f"The columns come as a pandas.DataFrame, not a {type(X).__name__}.")
    found = _categories(X)
    raw = [
        name for name, dtype in X.dtypes.items() if name not in found and dtype.kind not in "iuf"
    ]
    changed = [] if categories is None else [n for n in found if found[n] != categories.get(n)]
    if raw or changed or (names is not None and list(X.columns) != list(names)):
        which = f" (see column {(raw or changed)[0]!r})" if raw or changed else ""
        raise TableError(
            "This pipeline reads what `fastnn.tabular.encode.features(schema, frame)` makes of a "
            f"table, not the table itself{which}; `predict(frame)` of the loaded model does."
        )


def table_model(
    schema: Schema, estimator: Any, encoder: Any = None, *, log_target: bool = False
) -> Any:
    """Return a pipeline from the schema's columns to the target: encoding, then ``estimator``.

    Regression targets are standardised and turned back.

    Parameters
    ----------
    schema : Schema
        What the columns are.
    estimator : estimator
        A classifier, or for the task "regression" a regressor.
    encoder : transformer or None
        What encodes the columns; None is a TableEncoder.
    log_target : bool
        Whether a regression learns the logarithm of its target, which must be positive.

    Returns
    -------
    sklearn.pipeline.Pipeline
        Steps "columns" and "model"; reads what `features` returns.
    """
    from sklearn.compose import TransformedTargetRegressor
    from sklearn.pipeline import Pipeline
    from sklearn.preprocessing import StandardScaler

    from fastnn.tabular.scale import LogScale

    if schema.task == "regression":
        scale = LogScale() if log_target else StandardScaler()
        estimator = TransformedTargetRegressor(regressor=estimator, transformer=scale)
    return Pipeline([("columns", encoder or TableEncoder()), ("model", estimator)])
