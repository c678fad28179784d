"""How is a member of a family chosen? By its name, or as a small object with settings of its own.

The families are activations, losses, optimizers and schedules. Each keeps a dict from names to
members with default settings. Members obey scikit-learn's parameter protocol, so that an estimator
that holds one can be cloned, and a grid can name ``solver__weight_decay``.
"""

from __future__ import annotations

from abc import ABC
from collections.abc import Callable, Mapping
from copy import copy
from dataclasses import dataclass, fields, replace
from numbers import Real
from typing import Any, ClassVar, NamedTuple, Self, TypeVar

import numpy as np
from numpy.typing import NDArray

Numbers = NDArray[np.float64]

OPEN: Any = None  # a setting for which the estimator's parameter of that name is meant


class Allowed(NamedTuple):
    """What a setting may be: in words, and as a test of a value."""

    words: str
    holds: Callable[[Any], bool]

    def or_none(self) -> Allowed:
        """The same, or None."""
        return Allowed(f"{self.words} or None", lambda value: value is None or self.holds(value))


def number(interval: str) -> Allowed:
    """A number in an interval written as in mathematics: ``"[0, 1)"``, ``"(0, inf)"``."""
    low, high = (float(end) for end in interval[1:-1].split(","))

    def holds(value: Any) -> bool:
        if isinstance(value, bool) or not isinstance(value, Real):
            return False
        try:
            x = float(value)
        except OverflowError:  # a whole number beyond all floating ones
            return False
        above = x >= low if interval[0] == "[" else x > low
        return above and (x <= high if interval[-1] == "]" else x < high)

    return Allowed(f"a number in {interval}", holds)


def is_count(value: Any) -> bool:
    """Whether ``value`` is a whole number from 1."""
    return number("[1, inf)").holds(value) and value == int(value)


@dataclass(repr=False)
class Member(ABC):
    """The base of all members; their dataclass fields are their settings.

    Attributes
    ----------
    name : str
        The member's name in its family's dict, and that of its kernel in compiled backends.
    flat : mapping of str to float
        Settings that an estimator has as parameters of its own, and scikit-learn's defaults. Such a
        field is None where the estimator's value is meant: see :meth:`filled`.
    allowed : mapping of str to Allowed
        What each setting may be, those of ``flat`` also None: see :meth:`check`.
    """

    name: ClassVar[str]
    flat: ClassVar[Mapping[str, Any]] = {}
    allowed: ClassVar[Mapping[str, Allowed]] = {}

    def check(self, parameter: str) -> None:
        """Raise ValueError, a sentence that begins with ``parameter``, if a setting is wrong."""
        for name, allowed in self.allowed.items():
            value = getattr(self, name)
            is_open = value is OPEN and name in self.flat
            if not (is_open or allowed.holds(value)):
                raise ValueError(
                    f"{parameter}={self!r}: {name} must be {allowed.words}, got {value!r}."
                )

    def settings(self) -> Numbers:
        """The numbers that a compiled backend's kernel of this name reads, float64 ``(n,)``."""
        return np.array([getattr(self, field.name) for field in fields(self)], np.float64)

    def filled(self, flat: Mapping[str, Any] | None = None) -> Self:
        """A copy whose settings that are None are those of ``flat``, or scikit-learn's."""
        given = {**self.flat, **(flat or {})}
        missing = [name for name in self.flat if getattr(self, name) is None]
        return replace(self, **{name: given[name] for name in missing})

    def get_params(self, deep: bool = True) -> dict[str, Any]:
        """The settings by name, as scikit-learn's ``get_params``."""
        return {field.name: getattr(self, field.name) for field in fields(self)}

    def set_params(self, **params: Any) -> Self:
        """Change settings in place, as scikit-learn's ``set_params``; return self.

        ValueError, before anything is changed, if there is no such setting.
        """
        known = self.get_params()
        for name in params:
            if name not in known:
                raise ValueError(
                    f"{type(self).__name__} has no setting {name!r}; it has"
                    f" {', '.join(known) or 'none'}."
                )
        for name, value in params.items():
            setattr(self, name, value)
        return self

    def __repr__(self) -> str:
        # Text is compared: an unpickled number is another object, an array has no one truth value.
        shown = [(f, repr(getattr(self, f.name))) for f in fields(self)]
        changed = [f"{f.name}={value}" for f, value in shown if value != repr(f.default)]
        return f"{type(self).__name__}({', '.join(changed)})"


M = TypeVar("M", bound=Member)


def chosen(parameter: str, value: str | M, family: Mapping[str, M]) -> M:
    """The member of ``family`` that ``value`` names; or a copy of ``value``, if it is one.

    ValueError, naming the parameter, if there is none of that name, or a setting is wrong.
    """
    if isinstance(value, Member):
        value.check(parameter)
        return copy(value)  # set_params changes the user's in place, but no network made of it
    if value not in family:
        raise ValueError(f"{parameter} must be one of {sorted(family)}, got {value!r}.")
    return family[value]


def by_name(*members: M) -> dict[str, M]:
    """The dict of a family."""
    return {member.name: member for member in members}
