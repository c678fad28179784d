"""What does a network read of a row? Numbers after arithmetic, and look-ups of categories' codes.

A fitted front end is followed column by column: each of its parts takes columns and gives columns,
whatever it does to rows. To let another part be exported, add it to ``PARTS``.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.compose import ColumnTransformer
from sklearn.impute import SimpleImputer
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import (
    FunctionTransformer,
    MaxAbsScaler,
    MinMaxScaler,
    OneHotEncoder,
    OrdinalEncoder,
    RobustScaler,
    StandardScaler,
)

from fastnn.tabular.encode import TableEncoder
from fastnn.tabular.table import is_missing

Floats = NDArray[np.float64]

ARITHMETIC: dict[str, Callable[..., Any]] = {
    "impute": lambda v, fill: np.where(np.isnan(v), fill, v),
    "missing": lambda v, yes, no: np.where(np.isnan(v), yes, no),
    "scale": lambda v, shift, factor: (v - shift) * factor,
    "unscale": lambda v, factor, shift: v * factor + shift,
    "limit": lambda v, bound: v / np.hypot(1, v / bound),
    "clip": lambda v, low, high: np.minimum(np.maximum(v, low), high),
    "exp": np.exp,
    "expm1": np.expm1,
}


@dataclass(frozen=True)
class Step:
    """Arithmetic on every column ``v``, with operands ``(n_columns,)`` in float64.

    ========  =====================================================
    impute    ``fill`` where v is NaN; a text where v is a category
    missing   ``yes`` where v is NaN, else ``no``
    scale     ``(v - shift) * factor``
    unscale   ``v * factor + shift``
    limit     ``v / sqrt(1 + (v / bound)**2)``
    clip      ``min(max(v, low), high)``
    exp       ``exp(v)``
    expm1     ``exp(v) - 1``
    ========  =====================================================
    """

    kind: str
    operands: tuple[NDArray[Any], ...] = ()

    def for_columns(self, n: int) -> Step:
        """The step for n columns; what is done to a target is done to each of its quantiles."""
        return replace(self, operands=tuple(np.resize(operand, n) for operand in self.operands))

    def of(self, j: int) -> Step:
        """The step for column j alone."""
        return replace(self, operands=tuple(operand[j : j + 1] for operand in self.operands))


@dataclass(frozen=True)
class Column:
    """One number that a network reads of a row.

    Attributes
    ----------
    source : int
        Which column of the table it is made of.
    steps : tuple of Step
        What happens to that column's number, one column each.
    levels : tuple or None
        The categories that the codes of the table's column stand for; None where it is a number.
    table : ndarray of float64, shape (n_levels + 2,), or None
        Of a category, in place of steps: the number of each code, of an unknown one, of none.
    """

    source: int
    steps: tuple[Step, ...] = ()
    levels: tuple[Any, ...] | None = None
    table: Floats | None = None

    @property
    def kinds(self) -> tuple[str, ...]:
        """Of its steps."""
        return tuple(step.kind for step in self.steps)

    def then(self, step: Step) -> Column:
        """The column after one step more; a look-up's numbers go through it here and now."""
        if self.table is None:
            return replace(self, steps=(*self.steps, step))
        return replace(self, table=ARITHMETIC[step.kind](self.table, *step.operands))


Columns = Sequence[Column]


def stacked(columns: Columns) -> tuple[Step, ...]:
    """The steps of columns that all go through the same, as steps of all of them."""
    return tuple(
        Step(
            each[0].kind,
            tuple(map(np.concatenate, zip(*(one.operands for one in each), strict=True))),
        )
        for each in zip(*(column.steps for column in columns), strict=True)
    )


def follow(part: Any, columns: Columns) -> list[Column]:
    """The columns that a fitted part of a front end makes of columns.

    Raises
    ------
    TypeError
        If it is something else than arithmetic on columns and encoding of categories.
    ValueError
        If one of its parameters cannot be exported.
    """
    if part is None or part == "passthrough":
        return list(columns)
    if isinstance(part, Pipeline):
        for _, inner in part.steps:
            columns = follow(inner, columns)
        return list(columns)
    is_function = isinstance(part, FunctionTransformer) and part.func is not None
    if type(part) not in PARTS or is_function:
        raise TypeError(
            f"{full_name(part)} is not plain arithmetic on columns of numbers and cannot be"
            f" exported to C; these can: {', '.join(known.__name__ for known in PARTS)}. Apply it"
            " before, and export the rest of the model, as in model[1:]; or export to ONNX."
        )
    return PARTS[type(part)](part, columns)


def scaler_steps(scaler: Any) -> tuple[Step, ...]:
    """What a scaler in ``SCALERS`` does to its columns."""
    return SCALERS[type(scaler)](scaler)


def full_name(thing: Any) -> str:
    """The class of an object, with its module."""
    return f"{type(thing).__module__}.{type(thing).__qualname__}"


def _through(steps: Sequence[Step], columns: Columns) -> list[Column]:
    for step in steps:
        columns = [column.then(step.of(j)) for j, column in enumerate(columns)]
    return list(columns)


def _scaled(part: Any, columns: Columns) -> list[Column]:
    return _through(scaler_steps(part), columns)


def _scale(n_columns: int, shift: Any, divisor: Any) -> tuple[Step, ...]:
    """``(v - shift) / divisor``; None is no shift, or no divisor."""
    shift = np.zeros(n_columns) if shift is None else np.asarray(shift, np.float64)
    divisor = np.ones(n_columns) if divisor is None else np.asarray(divisor, np.float64)
    return (Step("scale", (shift, 1 / divisor)),)


def _standard(part: StandardScaler) -> tuple[Step, ...]:
    return _scale(part.n_features_in_, part.mean_ if part.with_mean else None, part.scale_)


def _robust(part: RobustScaler) -> tuple[Step, ...]:
    return _scale(part.n_features_in_, part.center_, part.scale_)


def _max_abs(part: MaxAbsScaler) -> tuple[Step, ...]:
    return _scale(part.n_features_in_, None, part.scale_)


def _min_max(part: MinMaxScaler) -> tuple[Step, ...]:
    steps = _scale(part.n_features_in_, -part.min_ / part.scale_, 1 / part.scale_)
    if part.clip:
        low, high = (np.full(part.n_features_in_, float(end)) for end in part.feature_range)
        steps += (Step("clip", (low, high)),)
    return steps


def _imputed(part: SimpleImputer, columns: Columns) -> list[Column]:
    missing = part.missing_values
    if not (isinstance(missing, float) and np.isnan(missing)):
        raise ValueError(f"SimpleImputer can be exported with missing_values=nan, got {missing!r}.")
    if part.add_indicator:
        raise ValueError(
            "SimpleImputer cannot be exported with add_indicator=True; set it to False."
        )
    fill = part.statistics_
    empty = [is_missing(value) for value in fill.tolist()]
    if any(empty):
        raise ValueError(
            f"SimpleImputer drops column {empty.index(True)}, which has no value in"
            " training; drop it from the table, or set keep_empty_features=True."
        )
    return _through([Step("impute", (fill,))], columns)


def _chosen(part: ColumnTransformer, columns: Columns) -> list[Column]:
    """What a ColumnTransformer makes of the columns that it chooses, in its order."""
    names = list(getattr(part, "feature_names_in_", ()))
    found: list[tuple[int, list[Column]]] = []
    for name, inner, which in part.transformers_:
        own = [columns[i] for i in _places(which, names, len(columns))]
        if own and inner != "drop":
            found.append((part.output_indices_[name].start, follow(inner, own)))
    found.sort(key=lambda each: each[0])
    return [column for _, own in found for column in own]


def _places(which: Any, names: list[Any], n: int) -> list[int]:
    """The columns that are meant by names or places, one, several or a slice of them, or a mask."""
    if isinstance(which, slice) and isinstance(which.start or which.stop, str):
        stop = None if which.stop is None else names.index(which.stop) + 1
        which = slice(None if which.start is None else names.index(which.start), stop)
    if not isinstance(which, slice):
        which = [which] if isinstance(which, str) else which
        which = np.atleast_1d(np.asarray(which))
        if which.dtype.kind in "OU":
            which = np.array([names.index(name) for name in which.tolist()], np.int64)
        elif not len(which):
            return []
    return np.arange(n)[which].tolist()


def _encoded(part: Any, columns: Columns) -> list[Column]:
    """What a OneHotEncoder or an OrdinalEncoder answers of each code, for it is asked."""
    found = []
    for j, column in enumerate(columns):
        if column.table is not None or {*column.kinds} - {"impute"}:
            raise TypeError(
                f"{type(part).__name__} after arithmetic on its columns cannot be exported to C; it"
                " can be first, or after a SimpleImputer."
            )
        levels = tuple(np.asarray(part.categories_[j], object).tolist())
        gap: Any = None if any(level is None for level in levels) else np.nan
        if column.steps:
            gap = column.steps[0].operands[0].tolist()[0]
        own = _own_columns(part, j)
        asked = (levels, (unlike(levels),), (gap,))
        table = np.concatenate([_asked(part, j, values, own) for values in asked])
        found += [Column(column.source, (), levels, values) for values in table.T]
    return found


def _asked(part: Any, j: int, values: Sequence[Any], own: slice) -> Floats:
    """What an encoder makes of ``values`` in its column j, where all others hold known ones.

    NaN in the first column stands for an error, which C lacks; nothing after it takes NaN away.
    """
    rows = np.empty((len(values), len(part.categories_)), object)
    rows[:] = [levels[0] for levels in part.categories_]
    rows[:, j] = values
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of columns without names, of unknown values
        try:
            encoded = part.transform(rows)
        except ValueError:
            refused = np.zeros((len(values), own.stop - own.start))
            refused[:, :1] = np.nan
            return refused
    encoded = encoded.toarray() if hasattr(encoded, "toarray") else encoded
    return np.asarray(encoded, np.float64)[:, own]


def _own_columns(part: Any, j: int) -> slice:
    """The columns that an encoder makes of its column j."""
    counts = [1] * len(part.categories_)
    if isinstance(part, OneHotEncoder):
        rare = getattr(part, "infrequent_categories_", None) or [None] * len(counts)
        drop = [None] * len(counts) if part.drop_idx_ is None else part.drop_idx_
        counts = [
            len(levels) - (0 if own is None else len(own) - 1) - (dropped is not None)
            for levels, own, dropped in zip(part.categories_, rare, drop, strict=True)
        ]
    start = sum(counts[:j])
    return slice(start, start + counts[j])


def unlike(levels: Sequence[Any]) -> Any:
    """A category that is none of ``levels``."""
    numbers = [level for level in levels if not is_missing(level)]
    if any(isinstance(level, str) for level in numbers):
        return "+".join(map(str, numbers)) + "+"  # longer than each of them
    return max(numbers, default=0) + 1


def _table(part: TableEncoder, columns: Columns) -> list[Column]:
    """What the command line's tables of numbers and categories go through."""
    names = part.feature_names_in_.tolist()
    numbers = [columns[names.index(name)] for name in names if name not in part.categories_]
    n = len(numbers)
    limits = () if part.limit is None else (Step("limit", (part.limit * part.distance_,)),)
    filled = Step("impute", (part.median_,))
    found = _through([filled, *_scale(n, part.median_, None), *limits], numbers)
    missing = Step("missing", (np.ones(1), np.zeros(1)))
    found += [numbers[j].then(missing) for j in part.has_missing_]
    found = _through(_scale(len(found), part.mean_, part.scale_), found)
    for name, places in part.places_.items():
        # The last of the values stands for all that the training table lacks.
        levels, source = tuple(part.categories_[name][:-1]), columns[names.index(name)].source
        for place in sorted({*places.tolist()} - {-1}):
            found.append(Column(source, (), levels, (places == place).astype(np.float64)))
    return found


SCALERS: dict[type, Callable[[Any], tuple[Step, ...]]] = {
    StandardScaler: _standard,
    MinMaxScaler: _min_max,
    MaxAbsScaler: _max_abs,
    RobustScaler: _robust,
}
PARTS: dict[type, Callable[[Any, Columns], list[Column]]] = {
    **dict.fromkeys(SCALERS, _scaled),
    SimpleImputer: _imputed,
    ColumnTransformer: _chosen,
    OrdinalEncoder: _encoded,
    OneHotEncoder: _encoded,
    TableEncoder: _table,
    FunctionTransformer: lambda part, columns: list(columns),  # of no function: passthrough
}
