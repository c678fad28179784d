"""What does a hidden layer do to its weighted input? Elementwise functions and their slopes.

Every ``value_and_slope`` takes ``z`` of any shape and returns ``(a, da/dz)``, two new arrays of the
same shape and dtype. They are the definition of correct: the compiled backends are tested against
them.
"""

from __future__ import annotations

import math
from abc import abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import ClassVar, Literal

import numpy as np
from scipy.special import expit, ndtr

from fastnn.core import functions
from fastnn.core.family import Allowed, Member, by_name, number
from fastnn.core.functions import Array


class Activation(Member):
    """An elementwise function together with its slope.

    Attributes
    ----------
    keeps : {"output", "input"}
        What the backward pass needs. With "output" the slope is a function of ``a`` alone, as for
        tanh: a compiled backend keeps ``a``. With "input" it is not, as for gelu: the backend
        writes the slope beside ``a``.
    """

    keeps: ClassVar[Literal["output", "input"]] = "output"

    def bound(self, n_in: int, n_out: int) -> float:
        """The initial parameters of a layer are uniform in ``+-bound``.

        Glorot and Bengio's (2010), as in scikit-learn, if nothing else is said.
        """
        return math.sqrt(6 / (n_in + n_out))

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

    def bound(self, n_in: int, n_out: int) -> float:
        """As in scikit-learn."""
        return math.sqrt(2 / (n_in + n_out))

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


@dataclass(repr=False)
class LeakyReLU(Activation):
    """``a = z`` where z > 0, else ``negative_slope z`` (Maas, Hannun and Ng 2013).

    Parameters
    ----------
    negative_slope : float, default=0.01
        Not negative: a keeps the sign of z.
    """

    negative_slope: float = 0.01

    name = "leaky_relu"
    allowed: ClassVar[Mapping[str, Allowed]] = {"negative_slope": number("[0, inf)")}

    def value_and_slope(self, z: Array) -> tuple[Array, Array]:
        """The slope at zero is ``negative_slope``."""
        s = float(self.negative_slope)
        a = np.where(z < 0, s * z, z)
        return a, np.where(a > 0, 1, s).astype(z.dtype)


@dataclass(repr=False)
class ELU(Activation):
    """``a = z`` where z > 0, else ``alpha (exp(z) - 1)`` (Clevert et al. 2015, arXiv 1511.07289).

    Parameters
    ----------
    alpha : float, default=1.0
        Positive; a is greater than -alpha.
    """

    alpha: float = 1.0

    name = "elu"
    allowed: ClassVar[Mapping[str, Allowed]] = {"alpha": number("(0, inf)")}

    def value_and_slope(self, z: Array) -> tuple[Array, Array]:
        """The slope is 1 where a > 0, else ``a + alpha``."""
        alpha = float(self.alpha)
        a = np.where(z > 0, z, alpha * np.expm1(np.minimum(z, 0)))
        return a, np.where(a > 0, 1, a + alpha).astype(z.dtype)


class SELU(Activation):
    """``a = 1.0507 z`` where z > 0, else ``1.7581 (exp(z) - 1)``.

    Layers of it keep mean 0 and variance 1 (Klambauer et al. 2017, arXiv 1706.02515, whose
    constants these are) where weights begin with variance ``1 / n_in``: so they do here.
    """

    name = "selu"
    SCALE: ClassVar[float] = 1.0507009873554805
    ALPHA: ClassVar[float] = 1.6732632423543772

    def bound(self, n_in: int, n_out: int) -> float:
        """The variance of what is uniform in ``+-sqrt(3 / n_in)`` is LeCun's, ``1 / n_in``."""
        return math.sqrt(3 / n_in)

    def value_and_slope(self, z: Array) -> tuple[Array, Array]:
        """The slope is SCALE where a > 0, else ``a + SCALE ALPHA``."""
        floor = self.SCALE * self.ALPHA
        a = np.where(z > 0, self.SCALE * z, floor * np.expm1(np.minimum(z, 0)))
        return a, np.where(a > 0, self.SCALE, a + floor).astype(z.dtype)


class GELU(Activation):
    """``a = z Phi(z)``, Phi the normal distribution (Hendrycks and Gimpel 2016, arXiv 1606.08415).

    Exact, by the error function.
    """

    name = "gelu"
    keeps = "input"

    def value_and_slope(self, z: Array) -> tuple[Array, Array]:
        """The slope is ``Phi(z) + z phi(z)``, phi the normal density."""
        share = ndtr(z)
        with np.errstate(over="ignore"):
            phi = np.exp(-0.5 * z * z) * (1 / math.sqrt(2 * math.pi))
        return z * share, share + z * phi


class SiLU(Activation):
    """``a = z p`` with ``p = 1 / (1 + exp(-z))``; also known as swish."""

    name = "silu"
    keeps = "input"

    def value_and_slope(self, z: Array) -> tuple[Array, Array]:
        """The slope is ``p + a (1 - p)``."""
        p = expit(z)
        a = z * p
        return a, p + a * expit(-z)


class Mish(Activation):
    """``a = z tanh(softplus(z))`` (Misra 2019, arXiv 1908.08681), by one exponential.

    With ``e = exp(z)`` and ``n = e (e + 2)`` it is ``z n / (n + 2)``.
    """

    name = "mish"
    keeps = "input"

    def value_and_slope(self, z: Array) -> tuple[Array, Array]:
        """The slope is ``n / (n + 2) + 4 z e (e + 1) / (n + 2)**2``."""
        small = np.minimum(z, 24)  # beyond it a is z in either dtype, and nothing overflows
        e = np.exp(small)
        n = e * (e + 2)
        share = n / (n + 2)
        return z * share, share + small * (4 * e / (n + 2)) * ((e + 1) / (n + 2))


class Softplus(Activation):
    """``a = log(1 + exp(z))``."""

    name = "softplus"
    keeps = "input"

    def value_and_slope(self, z: Array) -> tuple[Array, Array]:
        """The slope is ``1 / (1 + exp(-z))``."""
        return np.logaddexp(z, 0), expit(z)


@dataclass(repr=False)
class Function(functions.Function, Activation):
    """An activation of your own, written elementwise with NumPy's functions.

    The same text serves all backends: NumPy calls it on arrays, Numba compiles it for the compiled
    ones, number by number. So it asks with ``np.where``, not with ``if``.

    Parameters
    ----------
    value : callable
        ``z -> a``.
    slope : callable
        ``z -> da/dz``; with ``keeps="output"`` it takes a instead.
    name : str, default="function"
        What messages call it.
    keeps : {"input", "output"}, default="input"

    Examples
    --------
    >>> import numpy as np
    >>> from fastnn.activations import Function
    >>> def bent(z):
    ...     return 0.5 * (np.sqrt(z * z + 1) - 1) + z
    >>> def slope_of_bent(z):
    ...     return 0.5 * z / np.sqrt(z * z + 1) + 1
    >>> Function(bent, slope_of_bent, name="bent identity")
    Function(bent, slope_of_bent, name='bent identity', keeps='input')
    """

    keeps: Literal["input", "output"] = field(  # type: ignore[misc]
        default="input", kw_only=True
    )

    allowed: ClassVar[Mapping[str, Allowed]] = {
        **functions.Function.allowed,
        "keeps": Allowed("'input' or 'output'", lambda value: value in ("input", "output")),
    }

    @property
    def takes(self) -> Literal["input", "output", "target"]:
        """What ``keeps`` says."""
        return self.keeps

    def check(self, parameter: str) -> None:
        """Also raise ValueError where the slope is not the derivative: finite differences tell."""
        super().check(parameter)
        self.check_slope(parameter, z=functions.PLACES)


ACTIVATIONS: dict[str, Activation] = by_name(
    Identity(),
    Logistic(),
    Tanh(),
    ReLU(),
    LeakyReLU(),
    ELU(),
    SELU(),
    GELU(),
    SiLU(),
    Mish(),
    Softplus(),
)
