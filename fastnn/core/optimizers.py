"""How does a gradient change the parameters? Elementwise update rules, and a step of a network.

A rule's ``update(params, grad, slots, rate)`` changes ``params (n,)`` and ``slots (rule_slots, n)``
in place; ``rate`` is the effective learning rate of this step. A compiled backend knows a rule by
its ``kernel`` and gets its ``settings``. What all rules have in common is around the rule, in
:func:`step`: clipping, decay, the average of the parameters. What differs between parts of a
network is no matter of a rule but of its segments.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import KW_ONLY, dataclass, field, fields
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from fastnn.core import arrays
from fastnn.core.activations import Array
from fastnn.core.family import OPEN, Allowed, Member, Numbers, by_name, number

if TYPE_CHECKING:
    from fastnn.core.network import Segment

POSITIVE = number("(0, inf)")


@dataclass(repr=False)
class Optimizer(Member):
    """An update rule, and what all of them have in common.

    Parameters
    ----------
    weight_decay : float, default=0.0
        Decoupled weight decay (Loshchilov and Hutter 2019, arXiv 1711.05101): before its step a
        weight is multiplied by ``1 - rate * weight_decay``; biases are not. It is no part of the
        loss.
    l1 : float, default=0.0
        L1 penalty ``l1 * sum |w|`` on the weights, scaled like the estimator's ``alpha`` and part
        of the reported loss. Its gradient is ``l1 * sign(w)``, 0 where w is 0; weights come near 0,
        and rarely to it.
    max_norm : float or None, default=None
        The gradient of a batch, penalties included, is scaled down to this Euclidean norm over all
        parameters that train (Pascanu et al. 2013, arXiv 1211.5063).
    ema : float or None, default=None
        Keeps an exponential moving average of the parameters, which is validated and handed over in
        their place. It begins with the first parameters; step i, from 0, keeps the share
        ``min(ema, (1 + i) / (10 + i))`` of it, so that the beginning is soon forgotten.

    Attributes
    ----------
    rule_slots : int
        Numbers that the rule remembers for each parameter.
    """

    _: KW_ONLY
    weight_decay: float = 0.0
    l1: float = 0.0
    max_norm: float | None = None
    ema: float | None = None

    rule_slots: ClassVar[int]
    allowed: ClassVar[Mapping[str, Allowed]] = {
        "weight_decay": number("[0, inf)"),
        "l1": number("[0, inf)"),
        "max_norm": POSITIVE.or_none(),
        "ema": number("[0, 1)").or_none(),
    }

    @property
    def kernel(self) -> str:
        """The name of the rule in compiled backends."""
        return self.name

    @property
    def n_slots(self) -> int:
        """The rule's slots, and behind them the average where ``ema`` keeps one."""
        return self.rule_slots + (self.ema is not None)

    def settings(self) -> Numbers:
        """The rule's own settings: those that are not keyword-only."""
        own = [field.name for field in fields(self) if not field.kw_only]
        return np.array([getattr(self, name) for name in own], np.float64)

    def new_slots(self, params: Array) -> Array:
        """Slots ``(n_members, n_slots, n_params)`` for ``params (n_members, n_params)``."""
        n_members, n_params = params.shape
        slots = arrays.zeros((n_members, self.n_slots, n_params), params.dtype)
        if self.ema is not None:
            slots[:, -1] = params
        return slots

    def effective_rates(self, rates: Numbers, first_step: int) -> Numbers:
        """What ``update`` takes for learning rates of any shape, whose steps count on in C order.

        ``first_step`` is the number of the first, from 1.
        """
        return rates

    def steps(self, rates: Numbers, first_step: int) -> Numbers:
        """What :func:`step` reads, for the learning rates of some passes.

        Parameters
        ----------
        rates : ndarray of shape (n_members, n_passes, n_steps)
        first_step : int
            The number of their first step, from 1, the same for every member.

        Returns
        -------
        numbers : ndarray of float64, shape (n_members, n_passes, n_steps, 3)
            The rate, the effective rate, and the new parameters' share in the average.
        """
        numbers = np.zeros((*rates.shape, 3))
        numbers[..., 0] = rates
        numbers[..., 1] = [self.effective_rates(member, first_step) for member in rates]
        if self.ema is not None:
            i = np.arange(first_step - 1, first_step - 1 + rates[0].size, dtype=np.float64)
            kept = np.minimum(self.ema, (1 + i) / (10 + i))
            numbers[..., 2] = 1 - kept.reshape(rates.shape[1:])
        return numbers

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
    allowed: ClassVar[Mapping[str, Allowed]] = {
        **Optimizer.allowed,
        "momentum": number("[0, 1]"),
        "nesterovs_momentum": Allowed("True or False", lambda value: value in (True, False)),
    }
    rule_slots = 1

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
    allowed: ClassVar[Mapping[str, Allowed]] = {
        **Optimizer.allowed,
        "beta_1": number("[0, 1)"),
        "beta_2": number("[0, 1)"),
        "epsilon": POSITIVE,
    }
    rule_slots = 2

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


@dataclass(repr=False)
class AdamW(Adam):
    """Adam with decoupled weight decay (Loshchilov and Hutter 2019, arXiv 1711.05101).

    :class:`Adam` with another default. The estimator's L2 penalty ``alpha`` counts, too; set it to
    0 for the decay alone.

    Parameters
    ----------
    beta_1, beta_2, epsilon : float or None
        As in :class:`Adam`.
    """

    weight_decay: float = field(default=0.01, kw_only=True)

    name = "adamw"

    @property
    def kernel(self) -> str:
        """That of :class:`Adam`."""
        return Adam.name


@dataclass(repr=False)
class RMSprop(Optimizer):
    """RMSprop (Tieleman and Hinton 2012, lecture 6e), as PyTorch has it, not centered.

    ``v <- rho v + (1 - rho) g^2``, ``b <- momentum b + g / (sqrt(v) + epsilon)``, ``p <- p - rate
    b``.

    Parameters
    ----------
    rho : float, default=0.99
        Decay rate of the average of the squared gradient, in [0, 1): PyTorch's ``alpha``.
    momentum : float, default=0.0
        In [0, 1]; not the estimator's, which is meant for SGD.
    epsilon : float or None
    """

    rho: float = 0.99
    momentum: float = 0.0
    epsilon: float = OPEN

    name = "rmsprop"
    flat: ClassVar[Mapping[str, Any]] = {"epsilon": 1e-8}
    allowed: ClassVar[Mapping[str, Allowed]] = {
        **Optimizer.allowed,
        "rho": number("[0, 1)"),
        "momentum": number("[0, 1]"),
        "epsilon": POSITIVE,
    }
    rule_slots = 2

    def update(
        self, params: Array, grad: Array, slots: Array, rate: float, epsilon_factor: float = 1.0
    ) -> None:
        """One step, in place."""
        v, b = slots
        v *= self.rho
        v += (1 - self.rho) * (grad * grad)
        b *= self.momentum
        b += grad / (v**0.5 + self.epsilon * epsilon_factor)
        params -= rate * b


@dataclass(repr=False)
class Lion(Optimizer):
    """Lion (Chen et al. 2023, arXiv 2302.06675).

    ``p <- p - rate sign(beta_1 m + (1 - beta_1) g)``, then ``m <- beta_2 m + (1 - beta_2) g``. Each
    step has the size of the rate: the authors take a third to a tenth of Adam's, and as many times
    its weight decay.

    Parameters
    ----------
    beta_1, beta_2 : float, default=0.9, 0.99
        In [0, 1); not the estimator's, which are meant for Adam.
    """

    beta_1: float = 0.9
    beta_2: float = 0.99

    name = "lion"
    allowed: ClassVar[Mapping[str, Allowed]] = {
        **Optimizer.allowed,
        "beta_1": number("[0, 1)"),
        "beta_2": number("[0, 1)"),
    }
    rule_slots = 1

    def update(
        self, params: Array, grad: Array, slots: Array, rate: float, epsilon_factor: float = 1.0
    ) -> None:
        """One step, in place; there is no epsilon."""
        (m,) = slots
        params -= rate * np.sign(self.beta_1 * m + (1 - self.beta_1) * grad)
        m *= self.beta_2
        m += (1 - self.beta_2) * grad


def step(
    optimizer: Optimizer,
    segments: Sequence[Segment],
    params: Array,
    grad: Array,
    slots: Array,
    numbers: Numbers,
) -> None:
    """One step of every segment that trains, in place, each by its own factors.

    In this order: the gradient is clipped, weights decay (by the learning rate without bias
    correction: ``p <- (1 - rate rate_s weight_decay decay_s) p``), the rule updates, the average
    follows.

    Parameters
    ----------
    params, grad : ndarray of shape (n_params,)
    slots : ndarray of shape (n_slots, n_params)
    numbers : ndarray of shape (3,)
        This step's of ``optimizer.steps``.
    """
    rate, effective_rate, share = map(float, numbers)
    training = [
        (segment, slice(segment.start, segment.stop)) for segment in segments if segment.trainable
    ]
    if optimizer.max_norm is not None:
        exact = [grad[part].astype(np.float64) for _, part in training]
        norm = float(np.sqrt(sum(np.dot(g, g) for g in exact)))
        if norm > optimizer.max_norm:
            grad *= optimizer.max_norm / norm
    for segment, part in training:
        decay = optimizer.weight_decay * segment.decay
        if decay:
            params[part] *= 1 - rate * segment.rate * decay
        optimizer.update(
            params[part],
            grad[part],
            slots[: optimizer.rule_slots, part],
            effective_rate * segment.rate,
            segment.epsilon,
        )
        if optimizer.ema is not None:
            slots[-1, part] += share * (params[part] - slots[-1, part])


OPTIMIZERS: dict[str, Optimizer] = by_name(SGD(), Adam(), AdamW(), RMSprop(), Lion())
