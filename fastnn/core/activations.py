"""What does a hidden layer do to its weighted input? Elementwise functions and their slopes.

Every function takes ``z`` of any shape and returns ``(a, da/dz)``, two new arrays of the same shape
and dtype. They are the definition of correct: the compiled backends are tested against them.
``code`` is the number the compiled backends use.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit

Array = NDArray[np.floating]


@dataclass(frozen=True)
class Activation:
    """A named elementwise function together with its slope."""

    name: str
    code: int
    value_and_slope: Callable[[Array], tuple[Array, Array]]


def identity(z: Array) -> tuple[Array, Array]:
    """``a = z``."""
    return z.copy(), np.ones_like(z)


def logistic(z: Array) -> tuple[Array, Array]:
    """``a = 1 / (1 + exp(-z))``; its slope is ``a (1 - a)``."""
    a = expit(z)
    return a, a * (1 - a)


def tanh(z: Array) -> tuple[Array, Array]:
    """``a = tanh(z)``; its slope is ``1 - a**2``."""
    a = np.tanh(z)
    return a, 1 - a * a


def relu(z: Array) -> tuple[Array, Array]:
    """``a = max(z, 0)``; the slope at zero is taken as 0, as in scikit-learn. NaN stays NaN."""
    a = np.maximum(z, 0)
    return a, (a != 0).astype(z.dtype)


ACTIVATIONS = {
    "identity": Activation("identity", 0, identity),
    "logistic": Activation("logistic", 1, logistic),
    "tanh": Activation("tanh", 2, tanh),
    "relu": Activation("relu", 3, relu),
}
