"""What is in a training table? The task, and what each column is, decided from all its cells."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from fastnn.tabular.cells import Distinct, cells, distinct, is_text, is_time, is_usable
from fastnn.tabular.columns import (
    COMPOSED,
    MAX_FREE_TEXT_VALUES,
    Columns,
    Notes,
    Numbers,
    almost_numbers,
    as_dates,
    as_numbers,
    merged,
    no_number,
    say_notation,
)
from fastnn.tabular.notation import Notation, find_order
from fastnn.tabular.options import TypeOptions
from fastnn.tabular.schema import (
    Schema,
    TableError,
    counted,
    cut,
    find,
    is_plain_integer,
    plain_columns,
    refuse_repeated,
    shown,
)

if TYPE_CHECKING:
    import pandas as pd
    import pyarrow as pa

# A target of whole numbers is taken for classes when it has at most this many different values, and
# each in this many rows on average: ratings and codes are few and repeat, counts and prices do not.
# `--task` overrules it.
MAX_INTEGER_CLASSES = 20
MIN_ROWS_PER_INTEGER_CLASS = 5


def recognise(
    frame: pd.DataFrame,
    target: str,
    options: TypeOptions | None = None,
    *,
    reading: Mapping[str, str] | None = None,
) -> Schema:
    """Decide the task and what each column is.

    Parameters
    ----------
    frame : pandas.DataFrame
        The training table, as `fastnn.tabular.read.read_table` returns it or with columns of any
        dtype. Columns of text are judged by their cells, others by their dtype.
    target : str
        The column to be predicted. Rows where it is missing are not looked at.
    options : TypeOptions, optional
        What overrules the looks of the table.
    reading : mapping of str to str, optional
        How the file was said to be written, to be remembered.

    Returns
    -------
    Schema

    Raises
    ------
    TableError
        When a named column does not exist, the target cannot be learned, or no column is left.
    """
    options = options or TypeOptions()
    notes: list[str] = []
    frame = plain_columns(frame, notes.append)
    find(frame, target)
    options = replace(
        options,
        categorical=columns_named(frame, options.categorical),
        numeric=columns_named(frame, options.numeric),
        drop=columns_named(frame, options.drop),
        keep=columns_named(frame, options.keep),
    )
    said_of_target, said = Notes(), Notes()
    array = cells(frame[target])
    goal = _recognise_target(target, array, options, said_of_target)
    finder = Columns(options, said, goal.known)
    if goal.numbers is not None and is_text(array):
        finder.look_at_marks(target, array, goal.numbers)
    for name in frame.columns:
        if name != target:
            finder.look(name, cells(frame[name]))
    if (settled := finder.settle_marks(target)) is not None:
        said_of_target = Notes()
        goal = _recognise_target(target, array, settled, said_of_target)
    if not finder.numbers and not finder.categorical and not finder.dates:
        reasons = (
            "; ".join(f"{shown(name)}: {why}" for name, why in finder.left_out.items())
            or "there is no other column"
        )
        raise TableError(f"Nothing is left to predict {target!r} from: {reasons}.")
    finder.say()
    schema = Schema(
        target,
        goal.task,
        goal.reason,
        goal.labels,
        goal.integer_labels,
        Notation() if goal.numbers is None else goal.numbers.notation,
        finder.numbers,
        finder.dates,
        finder.categorical,
        finder.left_out,
        None if options.missing is None else list(options.missing),
        list(options.also_missing),
        options.ignore_case,
        notes + said_of_target.lines() + said.lines(),
        dict(reading or {}),
    )
    refuse_repeated("With dates taken apart, the table", [*schema.numeric, *schema.categorical])
    return schema


def columns_named(frame: pd.DataFrame, texts: Sequence[str]) -> tuple[str, ...]:
    """Return column names: a text that is none of them is several, with commas between.

    Raises
    ------
    TableError
        When there is no such column.
    """
    names: list[str] = []
    for text in texts:
        parts = [part.strip() for part in text.split(",") if part.strip()]
        names += [text] if text in frame.columns or not parts else parts
    for name in names:
        find(frame, name)
    return tuple(names)


# ---- the target


@dataclass
class _Goal:
    """What the target is, and in which rows it is known."""

    task: str
    reason: str
    labels: list[str]
    integer_labels: bool
    numbers: Numbers | None
    known: np.ndarray


def _recognise_target(name: str, array: pa.Array, options: TypeOptions, notes: Notes) -> _Goal:
    """Decide the task; ``array`` holds the target of all rows."""
    if not is_usable(array):
        raise TableError(f"The target {name!r} holds cells of type {array.type}.")
    found = distinct(array, options.label_marks)
    if not len(found.values):
        raise TableError(f"The target {name!r} is missing in every row.")
    read = as_numbers(array, options, as_said=options.task == "regression")
    numbers = read if isinstance(read, Numbers) else None
    if numbers is not None and np.isinf(numbers.values).any():
        infinite = np.isinf(numbers.values)
        raise TableError(
            f"The target {name!r} holds infinity, or a number too large for one, in "
            f"{counted(int(infinite.sum()), 'row')}, such as row {int(np.argmax(infinite)) + 1}."
        )
    if numbers is not None and options.task != "regression":
        # Codes and words are classes together, and so are 007 and 7 where there is nothing else.
        mixed = bool(numbers.notation.words) and _are_classes(numbers.values)
        n_values = len(np.unique(numbers.values[~np.isnan(numbers.values)]))
        if mixed or (n_values == 1 < len(found.values)):
            numbers = None
    if numbers is None:
        are_dates = is_time(array) or find_order(found, options.orders) is not None
    else:
        are_dates = options.task is None and as_dates(array, numbers) is not None
    if are_dates:
        way_out = "" if numbers is None else ", or say --task regression to learn it as it is"
        raise TableError(
            f"The target {name!r} holds dates ({cut(found.values[0])}). "
            f"Turn it into a number first, such as days from a start{way_out}."
        )
    values = np.zeros(0) if numbers is None else numbers.values[~np.isnan(numbers.values)]
    whole = numbers is not None and bool(np.all(np.floor(values) == values))
    n = len(found.values) if numbers is None else len(np.unique(values))
    n_rows = int(found.counts.sum()) if numbers is None else len(values)
    if n == 1:
        kind = "class" if whole or numbers is None else "value"
        raise _only_one(name, kind, found.values[0], n_rows, len(array))
    task, reason = options.task, "as asked for"
    if task is None and numbers is not None and not _are_classes(values):
        task = "regression"
        what = f"{n} different whole numbers" if whole else "numbers with fractions"
        reason = f"{name!r} holds {what}"
    if task == "regression":
        if numbers is None:
            raise TableError(
                f"Regression needs a target of numbers, but {name!r} holds {no_number(found)}."
            )
        say_notation(name, numbers, notes)
        return _Goal(task, reason, [], False, numbers, ~np.isnan(numbers.values))

    if not whole and numbers is not None:
        fraction = values[np.floor(values) != values][0]
        raise TableError(f"The target {name!r} holds fractions such as {fraction}: not classes.")
    labels = _labels(name, found, options, notes)
    n = len(labels)
    if n == 1:
        raise _only_one(name, "class", labels[0], n_rows, len(array))
    if task is not None and (task == "binary") != (n == 2):
        raise TableError(
            f"The target {name!r} holds {n} different values, which is not a {task} task."
        )
    if task is None:
        if numbers is None and n > max(MAX_FREE_TEXT_VALUES, n_rows / 2):
            raise TableError(
                f"The target {name!r} holds {n} different texts in {n_rows} rows "
                f"(such as {shown(found.values[0])}): neither classes nor numbers"
                + (almost_numbers(found) or "; merge rare classes, or choose another --target")
                + "."
            )
        task = "binary" if n == 2 else "multiclass"
        kind = "values" if numbers is None else "whole numbers"
        way_out = "" if numbers is None or n == 2 else "; --task regression if they are quantities"
        reason = f"{name!r} holds {n} different {kind}{way_out}"
    integer = all(map(is_plain_integer, labels))
    if integer:
        labels.sort(key=int)
    return _Goal(task, reason, labels, integer, None, found.codes >= 0)


def _only_one(name: str, kind: str, value: str, n_known: int, n_rows: int) -> TableError:
    """Return the error of a target with one value in the rows where it is known."""
    n_missing = n_rows - n_known
    missing = f", and is missing in {n_missing} (--missing says what is)" if n_missing else ""
    return TableError(
        f"The target {name!r} holds one {kind} only ({cut(value)}) in all "
        f"{counted(n_known, 'row')}{missing}: "
        "nothing to learn. Choose another --target, or a table with more."
    )


def _are_classes(values: np.ndarray) -> bool:
    """Whether numbers look like classes: whole ones, few and repeated."""
    values = values[~np.isnan(values)]
    if not np.all(np.floor(values) == values):
        return False
    n = len(np.unique(values))
    return n <= 2 or (n <= MAX_INTEGER_CLASSES and n * MIN_ROWS_PER_INTEGER_CLASS <= len(values))


def _labels(name: str, found: Distinct, options: TypeOptions, notes: Notes) -> list[str]:
    """Return the classes, sorted, and note what is odd about them."""
    if found.n_blank:
        notes.add(name, "blanks around the classes are taken away", found.n_blank)
    if found.n_decomposed:
        notes.add(name, COMPOSED, found.n_decomposed)
    labels = merged(name, found, options.ignore_case, notes)
    single = [label for label, count in labels.items() if count == 1]
    if single and len(single) < len(labels):
        examples = ", ".join(map(shown, single[:3])) + (" ..." if len(single) > 3 else "")
        notes.add(
            name,
            f"{counted(len(single), 'class')} of {len(labels)} with one row only ({examples})",
            way_out="more rows of them, or one name for rare classes, make them learnable",
        )
    return sorted(labels)
