"""How does a gradient change the parameters? Elementwise update rules.

``update(params, grad, slots, rate, step)`` changes ``params (n,)`` and ``slots (n_slots, n)`` in
place; ``rate`` is the learning rate of this step and ``step`` counts from 1. ``code`` is the number
the compiled backends use.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar

from fastnn.core.activations import Array


@dataclass(frozen=True)
class SGD:
    """Stochastic gradient descent with momentum, as in scikit-learn.

    ``v <- momentum v - rate g``, then ``p <- p + v``, or with Nesterov's momentum ``p <- p +
    momentum v - rate g``.
    """

    momentum: float = 0.9
    nesterov: bool = True

    name: ClassVar[str] = "sgd"
    code: ClassVar[int] = 0
    n_slots: ClassVar[int] = 1

    def update(self, params: Array, grad: Array, slots: Array, rate: float, step: int) -> None:
        """One step, in place."""
        (velocity,) = slots
        velocity *= self.momentum
        velocity -= rate * grad
        if self.nesterov:
            params += self.momentum * velocity - rate * grad
        else:
            params += velocity


@dataclass(frozen=True)
class Adam:
    """Adam (Kingma and Ba 2014, arXiv 1412.6980, the last lines of section 2: bias correction
    folded into the rate).

    ``epsilon`` is added to the uncorrected root, as in scikit-learn; PyTorch adds it to the
    corrected one.
    """

    beta_1: float = 0.9
    beta_2: float = 0.999
    epsilon: float = 1e-8

    name: ClassVar[str] = "adam"
    code: ClassVar[int] = 1
    n_slots: ClassVar[int] = 2

    def corrected_rate(self, rate: float, step: int) -> float:
        """The learning rate of step ``step`` (from 1) with both bias corrections folded in."""
        return rate * math.sqrt(1 - self.beta_2**step) / (1 - self.beta_1**step)

    def update(self, params: Array, grad: Array, slots: Array, rate: float, step: int) -> None:
        """One step, in place."""
        m, v = slots
        m *= self.beta_1
        m += (1 - self.beta_1) * grad
        v *= self.beta_2
        v += (1 - self.beta_2) * (grad * grad)
        params -= self.corrected_rate(rate, step) * m / (v**0.5 + self.epsilon)


Optimizer = SGD | Adam

OPTIMIZERS: dict[str, type[SGD | Adam]] = {"sgd": SGD, "adam": Adam}
