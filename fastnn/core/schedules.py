"""Which learning rate does each step take? Rules that are asked pass by pass, and on a plateau.

A plateau is where training no longer improves: :mod:`fastnn.training.stopping` says when that is.
Every schedule takes all solvers but L-BFGS, with one exception that is scikit-learn's: the name
"adam" ignores the names "invscaling" and "adaptive".
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import KW_ONLY, dataclass, field
from typing import Any, ClassVar

import numpy as np

from fastnn.core.family import OPEN, Allowed, Member, Numbers, by_name, is_count, number

NOT_NEGATIVE = number("[0, inf)")


@dataclass(repr=False)
class Schedule(Member):
    """A rule for the learning rate. It keeps no state: what changes is handed to it.

    Parameters
    ----------
    learning_rate_init : float or None
        What rates are multiples of; without a warm-up mostly the first of them.
    warmup : float, default=0.0
        How long the rate rises to what the rule says: by equal steps, of which the last reaches it.
        From 1 a number of passes, below a share of ``max_iter``.
    max_iter : int or None
        The passes that shares and horizons count. In ``partial_fit`` these are the passes of all
        calls; after them the last rate stays.
    """

    learning_rate_init: float = OPEN
    _: KW_ONLY
    warmup: float = 0.0
    max_iter: int = OPEN

    flat: ClassVar[Mapping[str, Any]] = {"learning_rate_init": 0.001, "max_iter": 200}
    allowed: ClassVar[Mapping[str, Allowed]] = {
        "learning_rate_init": number("(0, inf)"),
        "warmup": number("[0, inf)"),
        "max_iter": Allowed("a whole number from 1", is_count),
    }
    stop_message: ClassVar[str] = "Stopping."
    has_horizon: ClassVar[bool] = False
    cycle_ends: ClassVar[tuple[float, ...]] = ()  # shares of the steps, where a cycle ends at 0

    def rates(self, first_step: int, n_steps: int, n_rows: Sequence[int], rate: float) -> Numbers:
        """The learning rates of some passes, a rate for each step.

        Parameters
        ----------
        first_step : int
            How many steps the optimizer has done before the first of these passes.
        n_steps : int
            Steps of a pass.
        n_rows : sequence of int, length n_passes
            How many rows were trained on before each of them, in all fits of a warm start.
        rate : float
            ``learning_rate_init``, or what the last plateau made of it.

        Returns
        -------
        rates : ndarray of float64, shape (n_passes, n_steps)
        """
        rates = self.ruled(first_step, n_steps, n_rows, rate)
        if self.warmup:
            done = first_step + np.arange(1, rates.size + 1).reshape(rates.shape)
            rates = rates * np.minimum(1, done / (self.passes(self.warmup) * n_steps))
        return rates

    @abstractmethod
    def ruled(self, first_step: int, n_steps: int, n_rows: Sequence[int], rate: float) -> Numbers:
        """As :meth:`rates`, without the warm-up."""

    def passes(self, length: float) -> float:
        """A length in passes: from 1 it is one, below 1 it is a share of ``max_iter``."""
        return length if length >= 1 else length * self.max_iter

    def on_plateau(self, rate: float) -> float | None:
        """The rate to go on with after a plateau; None means that training stops there."""
        return None


class Constant(Schedule):
    """``learning_rate_init`` throughout; training stops on a plateau."""

    name = "constant"

    def ruled(self, first_step: int, n_steps: int, n_rows: Sequence[int], rate: float) -> Numbers:
        """``rate``."""
        return np.full((len(n_rows), n_steps), rate)


@dataclass(repr=False)
class WarmUp(Constant):
    """A warm-up to ``learning_rate_init``, which then stays: :class:`Constant` by another default.

    Every schedule has the setting ``warmup``.
    """

    warmup: float = field(default=0.05, kw_only=True)

    name = "warmup"


@dataclass(repr=False)
class InverseScaling(Schedule):
    """``learning_rate_init / (n_rows + 1)**power_t``, as in scikit-learn.

    The first pass of a new optimizer takes ``learning_rate_init``.
    """

    power_t: float = OPEN

    name = "invscaling"
    flat: ClassVar[Mapping[str, Any]] = {**Schedule.flat, "power_t": 0.5}
    allowed: ClassVar[Mapping[str, Allowed]] = {**Schedule.allowed, "power_t": number("[0, inf)")}

    def ruled(self, first_step: int, n_steps: int, n_rows: Sequence[int], rate: float) -> Numbers:
        """The same rate for the whole of a pass."""
        # Powers of Python's: NumPy's may differ with the number of passes, in the last bit.
        each = [self.learning_rate_init / (n + 1) ** self.power_t for n in n_rows]
        if first_step == 0:
            each[0] = self.learning_rate_init
        return np.repeat(each, n_steps).reshape(len(each), n_steps)


class Adaptive(Constant):
    """``learning_rate_init`` until a plateau, then a fifth of the rate, down to 1e-6."""

    name = "adaptive"
    stop_message = "Learning rate too small. Stopping."

    def on_plateau(self, rate: float) -> float | None:
        """A fifth, unless the rate is too small already."""
        return rate / 5.0 if rate > 1e-6 else None


class Horizon(Schedule):
    """Rates that are planned until an end, ``max_iter`` passes: a factor of ``learning_rate_init``.

    A fit goes on to the end: a plateau of the training loss does not stop it, as the rule itself
    lowers the rate. One of the validation score does, with ``early_stopping``.
    """

    has_horizon = True

    def ruled(self, first_step: int, n_steps: int, n_rows: Sequence[int], rate: float) -> Numbers:
        """``rate`` times the factor at the share of steps done before each."""
        done = first_step + np.arange(len(n_rows) * n_steps)
        planned = self.max_iter * n_steps
        factors = self.factors(np.minimum(done, planned - 1), planned)
        return rate * factors.reshape(len(n_rows), n_steps)

    def factors(self, done: Numbers, planned: int) -> Numbers:
        """The factors of steps before which ``done (n,)`` of ``planned`` steps are done."""
        return self.factor(done / planned)

    @abstractmethod
    def factor(self, t: Numbers) -> Numbers:
        """The factor where ``t (n,)``, in [0, 1), is the share of the steps that are done."""


@dataclass(repr=False)
class Cosine(Horizon):
    """``end + (1 - end) (1 + cos(pi t)) / 2``: half a period, without restarts.

    Loshchilov and Hutter 2017 (arXiv 1608.03983). Here t counts from the end of the warm-up.

    Parameters
    ----------
    end : float, default=0.0
        The factor at the end, in [0, 1].
    """

    end: float = field(default=0.0, kw_only=True)

    name = "cosine"
    allowed: ClassVar[Mapping[str, Allowed]] = {**Schedule.allowed, "end": number("[0, 1]")}

    def factor(self, t: Numbers) -> Numbers:
        """From 1 down to ``end``."""
        start = min(self.passes(self.warmup) / self.max_iter, 1 - 1e-9)  # less than all
        t = np.maximum(t - start, 0) / (1 - start)
        return self.end + (1 - self.end) * (1 + np.cos(np.pi * t)) / 2


@dataclass(repr=False)
class OneCycle(Cosine):
    """Up and down once (Smith 2018, arXiv 1803.09820): :class:`Cosine` after a long warm-up.

    ``learning_rate_init`` is the peak, and may be several times what is right for a constant rate.
    Momentum does not change on the way.
    """

    warmup: float = field(default=0.3, kw_only=True)

    name = "one_cycle"


@dataclass(repr=False)
class Step(Horizon):
    """``fall ** floor(t / every)``.

    Parameters
    ----------
    fall : float, default=0.1
        What each fall multiplies the rate by, in (0, 1].
    every : float, default=1/3
        The time between falls: from 1 a number of passes, below a share of ``max_iter``.
    """

    fall: float = field(default=0.1, kw_only=True)
    every: float = field(default=1 / 3, kw_only=True)

    name = "step"
    allowed: ClassVar[Mapping[str, Allowed]] = {
        **Schedule.allowed,
        "fall": number("(0, 1]"),
        "every": number("(0, inf)"),
    }

    def factor(self, t: Numbers) -> Numbers:
        """Rounding of t, such as of thirds, must not delay a fall."""
        return self.fall ** np.floor(t * self.max_iter / self.passes(self.every) + 1e-9)


class CosLog4(Horizon):
    """``(1 - cos(2 pi log2(1 + 15 t))) / 2``: four cycles, each twice as long as the one before.

    That of RealMLP (Holzmüller et al. 2024, arXiv 2407.04491). Fewer steps than could follow the
    first cycle take the mean factor of their time: the first of few would stand still, at 0.
    """

    name = "coslog4"
    cycle_ends: ClassVar[tuple[float, ...]] = (1 / 15, 3 / 15, 7 / 15)

    def factor(self, t: Numbers) -> Numbers:
        """0 at the ends of cycles: t = 0, 1/15, 3/15, 7/15 and 1."""
        return (1 - np.cos(2 * np.pi * np.log2(1 + 15 * t))) / 2

    def factors(self, done: Numbers, planned: int) -> Numbers:
        """Means of 100 moments within each step, where the first cycle is less than 2 steps."""
        if planned >= 30:
            return super().factors(done, planned)
        moments = done[:, None] + (np.arange(100) + 0.5) / 100
        return self.factor(moments / planned).mean(axis=1)


@dataclass(repr=False)
class Function(Horizon):
    """Any function of the share of steps done: what ``learning_rate=function`` means.

    Parameters
    ----------
    function : callable ``float -> float``
        From t in [0, 1) to a factor of ``learning_rate_init``, finite and not negative.
    """

    function: Callable[[float], float] = OPEN
    learning_rate_init: float = field(default=OPEN, kw_only=True)

    name = "function"
    allowed: ClassVar[Mapping[str, Allowed]] = {
        **Schedule.allowed,
        "function": Allowed("a function of the share of steps done", callable),
    }

    def factor(self, t: Numbers) -> Numbers:
        """ValueError where the function's value is no factor."""
        factors = np.empty(len(t))
        for i, share in enumerate(t.tolist()):
            try:
                value = self.function(share)
            except Exception as error:
                raise ValueError(
                    "learning_rate must be a function of one number, the share of the steps that"
                    f" are done; at t={share!r} it raised {type(error).__name__}: {error}"
                ) from error
            if not NOT_NEGATIVE.holds(np.asarray(value)[()]):  # an array of one number, too
                raise ValueError(
                    "learning_rate must be a function whose values are finite and not negative, got"
                    f" {value!r} at t={share!r}."
                )
            factors[i] = value
        return factors


SCHEDULES: dict[str, Schedule] = by_name(
    Constant(), InverseScaling(), Adaptive(), Cosine(), OneCycle(), WarmUp(), Step(), CosLog4()
)
