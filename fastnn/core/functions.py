"""How does a function that a user writes stand among the members of a family?

As two: a value and its slope, elementwise, in NumPy's functions. The same text serves all backends:
NumPy calls it on arrays, Numba compiles it for the compiled ones, number by number. So it asks with
``np.where``, not with ``if``.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar, Literal

import numpy as np
from numpy.typing import NDArray

from fastnn.core.family import Allowed, Member, Numbers

Array = NDArray[np.floating]

# Aside from round numbers, where kinks are.
PLACES = np.linspace(-6, 6, 97) + 0.0123


@dataclass(repr=False)
class Function(Member):
    """What the families' own functions share.

    Attributes
    ----------
    takes : {"input", "output", "target"}
        What compiled code calls: ``value(z)`` with ``slope(z)``; with ``slope(a)`` of the value a;
        or both with a target beside z.
    arguments : str
        What the functions take, in words.
    """

    value: Callable[..., Array]
    slope: Callable[..., Array]
    name: str = field(default="function", kw_only=True)  # type: ignore[misc]

    allowed: ClassVar[Mapping[str, Allowed]] = {
        "value": Allowed("a function", callable),
        "slope": Allowed("a function", callable),
        "name": Allowed("a string", lambda value: isinstance(value, str)),
    }
    arguments: ClassVar[str] = "an array of numbers"

    @property
    def takes(self) -> Literal["input", "output", "target"]:
        """See above."""
        return "input"

    def settings(self) -> Numbers:
        """None: functions are no numbers."""
        return np.empty(0)

    def value_and_slope(self, *at: Array) -> tuple[Array, Array]:
        """What the two functions say, two new arrays in the dtype of the first argument."""
        dtype = at[0].dtype
        value = _numbers(self.value(*at), dtype)
        given = (_unwritable(value),) if self.takes == "output" else at
        return value, _numbers(self.slope(*given), dtype)

    def check_slope(self, parameter: str, scale: float = 1.0, **at: Numbers) -> None:
        """Raise ValueError where slope is not the derivative of value by the first argument.

        Finite differences tell, of steps of ``1e-5 scale`` or, where rounding hides those of small
        numbers, 1e-5; at the places ``at``, float64 arrays, all of one shape ``(n,)``.
        """
        z, *others = places = [_unwritable(array) for array in at.values()]
        try:
            with np.errstate(all="ignore"):
                value, slope = self.value_and_slope(*places)
                near, far = (
                    self._difference(z, others, 1e-5 * size) for size in (scale, max(scale, 1.0))
                )
        except Exception as error:
            raise ValueError(
                f"{parameter}={self!r}: value and slope must take {self.arguments}, leave them as"
                " they are, and give as many numbers; where they ask for a sign, by np.where rather"
                f" than if. Theirs raised {type(error).__name__}: {error}"
            ) from error
        for what, array in (("value", value), ("slope", slope)):
            if array.shape != z.shape:
                raise ValueError(
                    f"{parameter}={self!r}: {what} must give an array of the shape of its argument,"
                    f" {z.shape}, got {array.shape}."
                )
        with np.errstate(invalid="ignore", over="ignore"):
            expected = np.where(np.abs(slope - near) <= np.abs(slope - far), near, far)
            size = np.abs(expected)
            wrong = ~(np.abs(slope - expected) <= 1e-5 * (size + min(1.0, size.max())))
        if wrong.any():
            i = int(np.argmax(wrong))
            place = ", ".join(f"{name} = {array[i]:g}" for name, array in at.items())
            raise ValueError(
                f"{parameter}={self!r}: slope is not the derivative of value in {wrong.sum()} of"
                f" {len(z)} places, the first at {place}: slope gives {slope[i]:g}, finite"
                f" differences of value give {expected[i]:g}."
            )

    def _difference(self, z: Array, others: list[Array], step: float) -> Array:
        """The slope of value at z by a step to each side."""
        high, low = z + step, z - step
        above, below = (_numbers(self.value(end, *others), z.dtype) for end in (high, low))
        return (above - below) / (high - low)

    def __repr__(self) -> str:
        value, slope = (getattr(f, "__name__", repr(f)) for f in (self.value, self.slope))
        others = [
            f"{name}={setting!r}"
            for name, setting in self.get_params().items()
            if name not in ("value", "slope")
        ]
        return f"{type(self).__name__}({', '.join([value, slope, *others])})"


def _numbers(found: Any, dtype: np.dtype) -> Array:
    """What a function gives, as a new array; TypeError if it holds no real numbers."""
    return np.asarray(found).astype(dtype, casting="same_kind")


def _unwritable(array: Array) -> Array:
    """A view that a function cannot write to: what it wrote would be others' numbers."""
    view = array.view()
    view.flags.writeable = False
    return view
