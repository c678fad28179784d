"""What does a hidden layer do to its weighted input? Elementwise functions and their slopes.

Every function takes ``z`` of any shape and returns ``(a, da/dz)``, two new arrays of the same shape
and dtype. They are the definition of correct: the compiled backends are tested against them.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit

Array = NDArray[np.floating]


@dataclass(frozen=True)
class Activation:
    """A named elementwise function together with its slope.

    Attributes
    ----------
    name : str
    value_and_slope : callable ``z -> (a, da/dz)``
    keeps : {"output", "input"}
        What the backward pass needs. With "output" the slope is a function of ``a`` alone, as for
        tanh: a compiled backend keeps ``a``. With "input" it is not, as for gelu: the backend
        writes the slope beside ``a``.
    gain : float
        Initial parameters are uniform in ``+-sqrt(gain / (n_in + n_out))``.
    """

    name: str
    value_and_slope: Callable[[Array], tuple[Array, Array]]
    keeps: Literal["output", "input"] = "output"
    gain: float = 6.0


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
    "identity": Activation("identity", identity),
    "logistic": Activation("logistic", logistic, gain=2.0),  # as in scikit-learn
    "tanh": Activation("tanh", tanh),
    "relu": Activation("relu", relu),
}
