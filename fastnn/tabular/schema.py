"""What is in a table? The task, and what each column is, recognised from a training table.

Everything a person can get wrong with a table is a `TableError` whose message names the column and
the way out. What is learned is a `Schema`: plain data, saved beside the model, by which later
tables are put into the same columns, in the same order, with the same types.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from fastnn._optional import require

if TYPE_CHECKING:
    import pandas as pd

TASKS = ("binary", "multiclass", "regression")

# A target of whole numbers is taken for classes when it has at most this many different values, and
# each in this many rows on average: ratings and codes are few and repeat, counts and prices do not.
# `--task` overrules it.
MAX_INTEGER_CLASSES = 20
MIN_ROWS_PER_INTEGER_CLASS = 5
# Text with more different values than this, and mostly different in every row, is a name or an
# identifier.
MAX_FREE_TEXT_VALUES = 20

_DATE = re.compile(
    r"(\d{4}[-/.]\d{1,2}[-/.]\d{1,2}|\d{1,2}[-/.]\d{1,2}[-/.](\d{4}|\d{2}))([ T].*)?"
)
_DECIMAL_COMMA = re.compile(r"[-+]?\d+(,\d+)?")


class TableError(ValueError):
    """A table, a column or a cell that cannot be used: which, why, and the way out."""


@dataclass(frozen=True)
class Schema:
    """What a training table taught about its columns: plain data, kept beside the model.

    Attributes
    ----------
    target : str
        The column to be predicted.
    task : str
        "binary", "multiclass" or "regression".
    reason : str
        Why it is that task, as half a sentence.
    integer_labels : bool
        Whether class labels are whole numbers, rather than text.
    numeric : list of str
        Columns used as numbers.
    categorical : dict of str to list of str
        Columns used as categories, each with the values seen.
    left_out : dict of str to str
        Columns that are not used, each with the reason.
    """

    target: str
    task: str
    reason: str
    integer_labels: bool
    numeric: list[str]
    categorical: dict[str, list[str]]
    left_out: dict[str, str] = field(default_factory=dict)

    def to_dict(self) -> dict[str, Any]:
        """Return the schema as plain dicts, lists and strings."""
        return asdict(self)

    @property
    def columns(self) -> list[str]:
        """The columns a model of this schema reads, in its order."""
        return [*self.numeric, *self.categorical]


def recognise(
    frame: pd.DataFrame,
    target: str,
    *,
    task: str | None = None,
    categorical: Iterable[str] = (),
    drop: Iterable[str] = (),
) -> Schema:
    """Decide the task and what each column is.

    Parameters
    ----------
    frame : pandas.DataFrame
        The training table.
    target : str
        The column to be predicted.
    task : str or None
        "binary", "multiclass" or "regression" to overrule what the target looks like.
    categorical : iterable of str
        Columns that are categories although they hold numbers.
    drop : iterable of str
        Columns to leave out.

    Returns
    -------
    Schema

    Raises
    ------
    TableError
        When a named column does not exist, the target cannot be learned, or no column is left.
    """
    pd = require("pandas")
    categorical, drop = list(categorical), list(drop)
    for name in (target, *categorical, *drop):
        find(frame, name)
    known = frame[frame[target].notna()]
    task, reason, integer_labels = _recognise_task(known[target], task)

    numeric: list[str] = []
    categories: dict[str, list[str]] = {}
    left_out: dict[str, str] = {}
    for name in frame.columns:
        if name == target:
            continue
        column = known[name]
        why = "you asked for it" if name in drop else _why_useless(column)
        if why:
            left_out[name] = why
        elif name in categorical or not (
            pd.api.types.is_numeric_dtype(column) or pd.api.types.is_bool_dtype(column)
        ):
            text = as_text(column)
            distinct = text.dropna().unique()
            if name not in categorical and len(distinct) > max(
                MAX_FREE_TEXT_VALUES, len(column) / 2
            ):
                left_out[name] = _why_free_text(name, text.dropna(), len(distinct))
            else:
                categories[name] = sorted(distinct)
        else:
            numeric.append(name)
    if not numeric and not categories:
        reasons = (
            "; ".join(f"{name!r}: {why}" for name, why in left_out.items())
            or "there is no other column"
        )
        raise TableError(f"Nothing is left to predict {target!r} from: {reasons}.")
    return Schema(target, task, reason, integer_labels, numeric, categories, left_out)


def find(frame: pd.DataFrame, name: str) -> None:
    """Raise, naming the columns there are, unless ``name`` is one."""
    if name in frame.columns:
        return
    names = [str(column) for column in frame.columns]
    lower = {column.lower(): column for column in names}
    near = (
        [name.lower()]
        if name.lower() in lower
        else difflib.get_close_matches(name.lower(), lower, n=3)
    )
    meant = f" Did you mean {' or '.join(repr(lower[close]) for close in near)}?" if near else ""
    shown = ", ".join(map(repr, names[:30])) + (
        f" and {len(names) - 30} more" if len(names) > 30 else ""
    )
    raise TableError(f"There is no column {name!r}.{meant} The columns are: {shown}.")


def _recognise_task(y: pd.Series, task: str | None) -> tuple[str, str, bool]:
    """Return task, reason and whether labels are whole numbers; no cell of ``y`` is missing."""
    pd = require("pandas")
    name, n_rows = y.name, len(y)
    if not n_rows:
        raise TableError(f"The target {name!r} is missing in every row.")
    if _holds_dates(y):
        raise TableError(
            f"The target {name!r} holds dates ({y.iloc[0]}). Turn it into a number first, such "
            "as days from a start."
        )
    distinct = y.astype(str).unique() if y.dtype == object else y.unique()
    n = len(distinct)
    if n == 1:
        kind = "value" if pd.api.types.is_float_dtype(y) else "class"
        raise TableError(
            f"The target {name!r} holds one {kind} only ({distinct[0]!s}) in all {n_rows} rows: "
            "nothing to learn."
        )
    is_number = pd.api.types.is_numeric_dtype(y) and not pd.api.types.is_bool_dtype(y)
    whole = is_number and bool(np.all(np.isfinite(y) & (np.mod(y, 1) == 0)))
    if is_number and not np.all(np.isfinite(y.to_numpy(dtype=float))):
        raise TableError(
            f"The target {name!r} holds infinity in "
            f"{int(np.isinf(y.to_numpy(dtype=float)).sum())} rows."
        )

    if task == "regression":
        if not is_number:
            example = (
                next(value for value in y if not _is_number(value))
                if y.dtype != bool
                else y.iloc[0]
            )
            raise TableError(
                f"Regression needs a target of numbers, but {name!r} holds {str(example)!r}."
            )
        return task, "as asked for", False
    if task is not None:
        if (task == "binary") != (n == 2):
            raise TableError(
                f"The target {name!r} holds {n} different values, which is not a {task} task."
            )
        if is_number and not whole:
            raise TableError(
                f"The target {name!r} holds fractions such as {y[np.mod(y, 1) != 0].iloc[0]}: "
                "not classes."
            )
        return task, "as asked for", whole
    if is_number and not whole:
        return "regression", f"{name!r} holds numbers with fractions", False
    if is_number and n > 2 and (n > MAX_INTEGER_CLASSES or n * MIN_ROWS_PER_INTEGER_CLASS > n_rows):
        return "regression", f"{name!r} holds {n} different whole numbers", False
    if not is_number and n > max(MAX_FREE_TEXT_VALUES, n_rows / 2):
        raise TableError(
            f"The target {name!r} holds {n} different texts in {n_rows} rows (such as "
            f"{str(distinct[0])!r}): "
            f"neither classes nor numbers{decimal_hint(distinct)}."
        )
    kind = "whole numbers" if is_number else "values"
    way_out = "; --task regression if they are quantities" if is_number and n > 2 else ""
    return (
        ("binary" if n == 2 else "multiclass"),
        f"{name!r} holds {n} different {kind}{way_out}",
        whole,
    )


def _why_useless(column: pd.Series) -> str:
    """Return why a column cannot help, or an empty string."""
    present = column.dropna()
    if not len(present):
        return "every cell is missing"
    if not np.isscalar(present.iloc[0]) and not hasattr(present.iloc[0], "isoformat"):
        return f"its cells are of type {type(present.iloc[0]).__name__}"
    if _holds_dates(present):
        return (
            f"it holds dates ({present.iloc[0]!s}); to use it, turn it into numbers first: "
            "year, month, days from a start"
        )
    # A column that is one value or missing still says something: where it is missing.
    if present.astype(str).nunique() == 1 and len(present) == len(column):
        return f"it is constant ({present.iloc[0]!s} in every row)"
    return ""


def _why_free_text(name: str, text: pd.Series, n_distinct: int) -> str:
    """Return why a column of mostly different texts is left out: typing errors, or names."""
    odd = text[require("pandas").to_numeric(text, errors="coerce").isna()]
    if len(odd) < len(text) / 10:
        return (
            f"it holds numbers, but also {odd.iloc[0]!r} (in {len(odd)} rows such cells); "
            "correct or empty them to use it"
        )
    if hint := decimal_hint(text):
        return f"it holds texts such as {text.iloc[0]!r}{hint}"
    return (
        f"{n_distinct} different texts in {len(text)} rows, like names or identifiers "
        f"(--categorical {name} keeps it)"
    )


def decimal_hint(texts: Iterable[object]) -> str:
    """Return the way out where most texts are numbers with a decimal comma, else nothing."""
    words = [str(text).strip() for text in texts]
    found = [word for word in words if _DECIMAL_COMMA.fullmatch(word)]
    looks_so = len(found) > len(words) / 2 and any("," in word for word in found)
    return "; if these are numbers with a decimal comma, say --decimal ," if looks_so else ""


def _holds_dates(column: pd.Series) -> bool:
    pd = require("pandas")
    if pd.api.types.is_datetime64_any_dtype(column):
        return True
    if pd.api.types.is_numeric_dtype(column):
        return False
    sample = column.dropna().head(200)
    return len(sample) > 0 and all(
        hasattr(value, "isoformat") or _DATE.fullmatch(str(value).strip()) for value in sample
    )


def _is_number(value: object) -> bool:
    try:
        float(str(value))
    except ValueError:
        return False
    return True


def as_text(column: pd.Series) -> pd.Series:
    """Return a column as text (object dtype): missing cells NaN, whole numbers without ".0"."""
    pd = require("pandas")
    present = column.notna()
    values = column[present]
    if pd.api.types.is_float_dtype(values) and np.all(
        (np.mod(values, 1) == 0) & (np.abs(values) < 2**53)
    ):
        values = values.astype("int64")
    text = pd.Series(np.nan, index=column.index, dtype=object, name=column.name)
    text[present] = values.astype(str).astype(object)
    return text
