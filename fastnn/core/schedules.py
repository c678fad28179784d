"""Which learning rate does the next pass use? Rules that see only the last rate and the rows trained on so far."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar


@dataclass(frozen=True)
class Constant:
    """``rate_init`` throughout; training ends when it no longer improves."""

    rate_init: float
    power_t: float = 0.5

    stop_message: ClassVar[str] = "Stopping."

    def after_pass(self, rate: float, t: int) -> float:
        """The rate of the next pass, after ``t`` rows in all."""
        return rate

    def on_plateau(self, rate: float) -> float | None:
        """The rate to go on with when training no longer improves; None means that it stops there."""
        return None


class InverseScaling(Constant):
    """``rate_init / (t + 1)**power_t`` from the second pass on, t counting rows as scikit-learn does."""

    def after_pass(self, rate: float, t: int) -> float:
        """The rate of the next pass, after ``t`` rows in all."""
        return self.rate_init / (t + 1) ** self.power_t


class Adaptive(Constant):
    """A fifth of the rate whenever training no longer improves, down to 1e-6."""

    stop_message: ClassVar[str] = "Learning rate too small. Stopping."

    def on_plateau(self, rate: float) -> float | None:
        """The rate to go on with when training no longer improves; None means that it stops there."""
        return rate / 5.0 if rate > 1e-6 else None


SCHEDULES = {"constant": Constant, "invscaling": InverseScaling, "adaptive": Adaptive}
