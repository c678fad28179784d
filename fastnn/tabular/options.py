"""What can a person say about a training table, to overrule what its cells look like?"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

from fastnn.tabular.notation import AMBIGUOUS, ORDERS
from fastnn.tabular.schema import (
    DASHES,
    MISSING,
    MISSING_LABELS,
    TASKS,
    TableError,
    mark_numbers,
    usual_or,
)


@dataclass(frozen=True)
class TypeOptions:
    """What a person says about a training table; it overrules what the cells look like.

    Parameters
    ----------
    task : str or None
        "binary", "multiclass" or "regression".
    categorical : sequence of str
        Columns that are categories although they hold numbers. Here and in the next three, a text
        that names no column is a list of columns with commas between.
    numeric : sequence of str
        Columns that are numbers although they look like codes, dates or identifiers.
    drop : sequence of str
        Columns to leave out.
    keep : sequence of str
        Columns to use although they look like identifiers or names.
    missing : sequence of str or None
        What stands for a missing cell, in place of the usual marks; an empty cell always does.
    also_missing : sequence of str
        What stands for a missing cell besides these.
    decimal, thousands : str or None
        The marks in numbers: before the fraction, and between groups of digits.
    day_first : bool or None
        Whether 1/2/2024 is the first of February; None finds out from days after the twelfth.
    ignore_case : bool
        Whether categories and labels that differ in case alone are the same.
    """

    task: str | None = None
    categorical: Sequence[str] = ()
    numeric: Sequence[str] = ()
    drop: Sequence[str] = ()
    keep: Sequence[str] = ()
    missing: Sequence[str] | None = None
    also_missing: Sequence[str] = ()
    decimal: str | None = None
    thousands: str | None = None
    day_first: bool | None = None
    ignore_case: bool = False

    def __post_init__(self) -> None:
        if self.task not in (None, *TASKS):
            raise TableError(f"There is no task {self.task!r}; there are {', '.join(TASKS)}.")
        for name in ("categorical", "numeric", "drop", "keep", "missing", "also_missing"):
            if isinstance(getattr(self, name), str):
                raise TableError(f"{name}={getattr(self, name)!r} is a text; give a list of texts.")
        if self.decimal not in (None, ".", ","):
            raise TableError(f"The decimal mark is . or , and not {self.decimal!r}.")
        if self.thousands not in (None, "", ",", ".", " ", "'"):
            raise TableError(
                f"The thousands mark is , or . or ' or a blank, and not {self.thousands!r}."
            )
        if self.thousands and self.thousands == self.decimal:
            raise TableError(
                f"The decimal mark and the thousands mark are both {self.decimal!r}; they differ."
            )

    @property
    def marks(self) -> tuple[str, ...]:
        """What stands for a missing cell."""
        return usual_or(MISSING, self.missing, self.also_missing)

    @property
    def label_marks(self) -> tuple[str, ...]:
        """What stands for a missing cell in a column of labels."""
        return usual_or(MISSING_LABELS, self.missing, self.also_missing)

    @property
    def number_marks(self) -> tuple[str, ...]:
        """What stands for a missing cell in a column of numbers."""
        return usual_or(MISSING + DASHES, self.missing, self.also_missing)

    @cached_property
    def mark_numbers(self) -> list[float]:
        """The numbers among the marks."""
        return mark_numbers(self.marks)

    @property
    def orders(self) -> tuple[str, ...]:
        """The orders of day, month and year that are possible."""
        if self.day_first is None:
            return tuple(ORDERS)
        other = AMBIGUOUS[0 if self.day_first else 1]
        return tuple(order for order in ORDERS if order != other)
