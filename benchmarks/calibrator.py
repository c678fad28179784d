"""How fast is this core at this moment, and is nobody else using it?

The core's FMA loop says so, and watches measurements.

A shared or virtual machine changes its clock and loses time to its neighbours. A figure is believed
only if the peak before and after it differ by at most ``TOLERANCE``, and what was measured was busy
all the while; otherwise it is measured again.

The peak that a figure is compared with is another: that of short runs right after the work, at the
clock it left. Some processors (Intel's with AVX-512) lower their clock where multiply-adds load
what they multiply, and the loop, which works on registers, raises it again within a millisecond.
"""

from __future__ import annotations

from collections.abc import Callable
from statistics import median
from time import perf_counter

from fastnn.backends import _core

TOLERANCE = 0.05
_ATTEMPTS, _PATIENCE = 8, 5.0  # a measurement is repeated so often at most, and for so many seconds


class Calibrator:
    """The peak of the core this thread runs on.

    Parameters
    ----------
    seconds : float
        Of one run of the loop.
    isa : str
        One of ``_core.INSTRUCTION_SETS``; by default the one with the widest vectors.

    Attributes
    ----------
    rejected, unsteady : int
        Measurements thrown away so far, and those kept because no attempt at them was any better.
    """

    def __init__(self, seconds: float = 2e-3, isa: str = _core.INSTRUCTION_SETS[0]) -> None:
        self.isa = isa
        self.rejected = self.unsteady = 0
        self._rounds = {"float32": 1000, "float64": 1000}
        for dtype in self._rounds:
            while min(self._time(dtype)[1] for _ in range(3)) < seconds:  # not one interruption
                self._rounds[dtype] *= 2

    def _time(self, dtype: str, share: int = 1) -> tuple[float, float]:
        start = perf_counter()
        flops = _core.fma_peak(self.isa, dtype, self._rounds[dtype] // share)
        return flops, perf_counter() - start

    def gflops(self, dtype: str = "float32") -> float:
        """The best of three runs of a few milliseconds, in GFLOP/s.

        They are short enough to fall between two interruptions.
        """
        return (
            max(flops / seconds for flops, seconds in (self._time(dtype) for _ in range(3))) / 1e9
        )

    def beside(self, dtype: str = "float32") -> float:
        """The median of five runs of some 30 microseconds, in GFLOP/s: call it after the work."""
        runs = (self._time(dtype, share=64) for _ in range(5))
        return median(flops / seconds for flops, seconds in runs) / 1e9

    def watch(
        self, measure: Callable[[], tuple[float, float]], dtype: str = "float32", flops: float = 0.0
    ) -> tuple[float, float]:
        """A measured number of seconds and the peak beside it, in GFLOP/s.

        Parameters
        ----------
        measure : callable ``() -> (seconds, busy)``
            ``busy`` is processor time over time: below 1 where others took the core in between.
        flops : float
            The work of a core in these seconds. A time in which it cannot be done at the core's
            peak is no measurement.

        Raises
        ------
        RuntimeError
            If no attempt yields a possible time.
        """
        attempts: list[tuple[float, float, float]] = []
        limit = perf_counter() + _PATIENCE
        for _ in range(_ATTEMPTS):
            if attempts and perf_counter() > limit:
                self.unsteady += 1
                break
            before = self.gflops(dtype)
            seconds, busy = measure()
            beside = self.beside(dtype)
            after = self.gflops(dtype)
            disturbance = max(abs(after / before - 1), 1 - busy)
            if seconds > flops / (1e9 * max(before, after)):
                attempts.append((disturbance, seconds, beside))
                if disturbance <= TOLERANCE:
                    break
            self.rejected += 1
        else:
            if not attempts:
                raise RuntimeError(
                    f"{_ATTEMPTS} measurements yielded no possible time: this machine is too busy."
                )
            self.unsteady += 1
        return min(attempts)[1:]
