"""How does a gradient change the parameters? Elementwise update rules.

``update(params, grad, slots, rate)`` changes ``params (n,)`` and ``slots (n_slots, n)`` in place;
``rate`` is the effective learning rate of this step, as ``effective_rates`` gives it. A compiled
backend knows a rule by its name and gets its ``settings``. What differs between parts of a network
is no matter of a rule but of its segments: see :func:`step`.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from fastnn.core.activations import Array
from fastnn.core.family import OPEN, Member, Numbers, by_name

if TYPE_CHECKING:
    from fastnn.core.network import Segment


class Optimizer(Member):
    """An update rule.

    Attributes
    ----------
    n_slots : int
        Numbers that it remembers for each parameter.
    """

    n_slots: ClassVar[int]

    def effective_rates(self, rates: Numbers, first_step: int) -> Numbers:
        """What ``update`` takes for learning rates of any shape, whose steps count on in C order.

        ``first_step`` is the number of the first, from 1.
        """
        return rates

    @abstractmethod
    def update(
        self, params: Array, grad: Array, slots: Array, rate: float, epsilon_factor: float = 1.0
    ) -> None:
        """One step, in place; the optimizer's epsilon, if any, is multiplied by the factor."""


@dataclass(repr=False)
class SGD(Optimizer):
    """Stochastic gradient descent with momentum, as in scikit-learn.

    ``v <- momentum v - rate g``, then ``p <- p + v``, or with Nesterov's momentum ``p <- p +
    momentum v - rate g``.

    Parameters
    ----------
    momentum : float or None
        In [0, 1].
    nesterovs_momentum : bool or None
    """

    momentum: float = OPEN
    nesterovs_momentum: bool = OPEN

    name = "sgd"
    flat: ClassVar[Mapping[str, Any]] = {"momentum": 0.9, "nesterovs_momentum": True}
    n_slots = 1

    def update(
        self, params: Array, grad: Array, slots: Array, rate: float, epsilon_factor: float = 1.0
    ) -> None:
        """One step, in place; there is no epsilon."""
        (velocity,) = slots
        velocity *= self.momentum
        velocity -= rate * grad
        if self.nesterovs_momentum:
            params += self.momentum * velocity - rate * grad
        else:
            params += velocity


@dataclass(repr=False)
class Adam(Optimizer):
    """Adam (Kingma and Ba 2014, arXiv 1412.6980).

    The bias corrections are folded into the rate, as in the last lines of its section 2.
    ``epsilon`` is added to the uncorrected root, as in scikit-learn; PyTorch adds it to the
    corrected one.

    Parameters
    ----------
    beta_1, beta_2 : float or None
        Decay rates of the averages of the gradient and of its square, in [0, 1).
    epsilon : float or None
    """

    beta_1: float = OPEN
    beta_2: float = OPEN
    epsilon: float = OPEN

    name = "adam"
    flat: ClassVar[Mapping[str, Any]] = {"beta_1": 0.9, "beta_2": 0.999, "epsilon": 1e-8}
    n_slots = 2

    def effective_rates(self, rates: Numbers, first_step: int) -> Numbers:
        """``rate sqrt(1 - beta_2^t) / (1 - beta_1^t)``: both bias corrections of step t."""
        steps = np.arange(first_step, first_step + rates.size, dtype=np.float64)
        corrections = np.sqrt(1 - self.beta_2**steps) / (1 - self.beta_1**steps)
        return rates * corrections.reshape(rates.shape)

    def update(
        self, params: Array, grad: Array, slots: Array, rate: float, epsilon_factor: float = 1.0
    ) -> None:
        """One step, in place."""
        m, v = slots
        m *= self.beta_1
        m += (1 - self.beta_1) * grad
        v *= self.beta_2
        v += (1 - self.beta_2) * (grad * grad)
        params -= rate * m / (v**0.5 + self.epsilon * epsilon_factor)


def step(
    optimizer: Optimizer,
    segments: Iterable[Segment],
    params: Array,
    grad: Array,
    slots: Array,
    rate: float,
    effective_rate: float,
) -> None:
    """One step of every segment that trains, in place, each by its own factors.

    Decoupled decay (Loshchilov and Hutter 2019, arXiv 1711.05101) comes first and takes the
    learning rate without bias correction: ``p <- (1 - rate rate_s decay_s) p``.

    Parameters
    ----------
    params, grad : ndarray of shape (n_params,)
    slots : ndarray of shape (n_slots, n_params)
    rate, effective_rate : float
        This step's learning rate, and what ``optimizer.effective_rates`` makes of it.
    """
    for segment in segments:
        if segment.trainable:
            part = slice(segment.start, segment.stop)
            if segment.decay:
                params[part] *= 1 - rate * segment.rate * segment.decay
            optimizer.update(
                params[part],
                grad[part],
                slots[:, part],
                effective_rate * segment.rate,
                segment.epsilon,
            )


OPTIMIZERS: dict[str, Optimizer] = by_name(SGD(), Adam())
