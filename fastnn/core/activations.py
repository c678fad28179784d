"""What does a hidden layer do to its weighted input? Elementwise functions and their slopes.

Every ``value_and_slope`` takes ``z`` of any shape and returns ``(a, da/dz)``, two new arrays of the
same shape and dtype. They are the definition of correct: the compiled backends are tested against
them.
"""

from __future__ import annotations

from abc import abstractmethod
from typing import ClassVar, Literal

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit

from fastnn.core.family import Member, by_name

Array = NDArray[np.floating]


class Activation(Member):
    """An elementwise function together with its slope.

    Attributes
    ----------
    keeps : {"output", "input"}
        What the backward pass needs. With "output" the slope is a function of ``a`` alone, as for
        tanh: a compiled backend keeps ``a``. With "input" it is not, as for gelu: the backend
        writes the slope beside ``a``.
    gain : float
        Initial parameters are uniform in ``+-sqrt(gain / (n_in + n_out))``.
    """

    keeps: ClassVar[Literal["output", "input"]] = "output"
    gain: ClassVar[float] = 6.0

    @abstractmethod
    def value_and_slope(self, z: Array) -> tuple[Array, Array]:
        """``(a, da/dz)``."""


class Identity(Activation):
    """``a = z``."""

    name = "identity"

    def value_and_slope(self, z: Array) -> tuple[Array, Array]:
        """The slope is 1."""
        return z.copy(), np.ones_like(z)


class Logistic(Activation):
    """``a = 1 / (1 + exp(-z))``."""

    name = "logistic"
    gain = 2.0  # as in scikit-learn

    def value_and_slope(self, z: Array) -> tuple[Array, Array]:
        """The slope is ``a (1 - a)``."""
        a = expit(z)
        return a, a * (1 - a)


class Tanh(Activation):
    """``a = tanh(z)``."""

    name = "tanh"

    def value_and_slope(self, z: Array) -> tuple[Array, Array]:
        """The slope is ``1 - a**2``."""
        a = np.tanh(z)
        return a, 1 - a * a


class ReLU(Activation):
    """``a = max(z, 0)``; NaN stays NaN."""

    name = "relu"

    def value_and_slope(self, z: Array) -> tuple[Array, Array]:
        """The slope at zero is taken as 0, as in scikit-learn."""
        a = np.maximum(z, 0)
        return a, (a != 0).astype(z.dtype)


ACTIVATIONS: dict[str, Activation] = by_name(Identity(), Logistic(), Tanh(), ReLU())
