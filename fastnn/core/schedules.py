"""Which learning rate does each step take? Rules that are asked pass by pass, and on a plateau.

A plateau is where training no longer improves: :mod:`fastnn.training.stopping` says when that is.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from fastnn.core.family import OPEN, Member, by_name


@dataclass(repr=False)
class Schedule(Member):
    """A rule for the learning rate. It keeps no state: what changes is handed to it.

    Parameters
    ----------
    learning_rate_init : float or None
        The first learning rate.
    """

    learning_rate_init: float = OPEN

    flat: ClassVar[Mapping[str, Any]] = {"learning_rate_init": 0.001}
    stop_message: ClassVar[str] = "Stopping."

    @abstractmethod
    def rates(
        self, first_step: int, n_steps: int, n_rows: Sequence[int], rate: float
    ) -> NDArray[np.float64]:
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

    def on_plateau(self, rate: float) -> float | None:
        """The rate to go on with after a plateau; None means that training stops there."""
        return None


class Constant(Schedule):
    """``learning_rate_init`` throughout; training stops on a plateau."""

    name = "constant"

    def rates(
        self, first_step: int, n_steps: int, n_rows: Sequence[int], rate: float
    ) -> NDArray[np.float64]:
        """``rate``."""
        return np.full((len(n_rows), n_steps), rate)


@dataclass(repr=False)
class InverseScaling(Schedule):
    """``learning_rate_init / (n_rows + 1)**power_t``, as in scikit-learn.

    The first pass of a new optimizer takes ``learning_rate_init``.
    """

    power_t: float = OPEN

    name = "invscaling"
    flat: ClassVar[Mapping[str, Any]] = {**Schedule.flat, "power_t": 0.5}

    def rates(
        self, first_step: int, n_steps: int, n_rows: Sequence[int], rate: float
    ) -> NDArray[np.float64]:
        """The same rate for the whole of a pass."""
        # Powers of Python's: NumPy's may differ with the number of passes, in the last bit.
        each = [self.learning_rate_init / (n + 1) ** self.power_t for n in n_rows]
        if first_step == 0:
            each[0] = self.learning_rate_init
        return np.repeat(each, n_steps).reshape(len(each), n_steps)


class Adaptive(Schedule):
    """``learning_rate_init`` until a plateau, then a fifth of the rate, down to 1e-6."""

    name = "adaptive"
    stop_message = "Learning rate too small. Stopping."

    def rates(
        self, first_step: int, n_steps: int, n_rows: Sequence[int], rate: float
    ) -> NDArray[np.float64]:
        """``rate``."""
        return np.full((len(n_rows), n_steps), rate)

    def on_plateau(self, rate: float) -> float | None:
        """A fifth, unless the rate is too small already."""
        return rate / 5.0 if rate > 1e-6 else None


SCHEDULES: dict[str, Schedule] = by_name(Constant(), InverseScaling(), Adaptive())
