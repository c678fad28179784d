"""How fast is this core at this moment? The FMA loop of calibrator.c, and measurements it has watched.

A shared or virtual machine changes its clock and loses time to its neighbours. A figure is believed only if the peak before and
after it differ by at most ``TOLERANCE``; otherwise it is measured again.
"""

from __future__ import annotations

import ctypes
import os
import subprocess
import tempfile
from collections.abc import Callable
from pathlib import Path
from time import perf_counter
from typing import Any

TOLERANCE = 0.05
_ATTEMPTS = 8
_SOURCE = Path(__file__).with_suffix(".c")


class Calibrator:
    """The peak of the core this thread runs on. Compiles its loop for the machine when created, with ``$CC`` or ``cc``."""

    def __init__(self, seconds: float = 2e-3) -> None:
        with tempfile.TemporaryDirectory() as folder:
            library = Path(folder) / "calibrator.so"
            compiler = os.environ.get("CC", "cc").split()
            subprocess.run([*compiler, "-O2", "-march=native", "-shared", "-fPIC", "-o", library, _SOURCE], check=True)
            self._library = ctypes.CDLL(str(library))
        self._sink = ctypes.c_double()
        self._turns = {}
        for dtype in ("float32", "float64"):
            loop = self._loop(dtype)
            loop.argtypes, loop.restype = [ctypes.c_long, ctypes.POINTER(ctypes.c_double)], ctypes.c_double
            self._turns[dtype] = 1000
            while self._time(dtype)[1] < seconds:
                self._turns[dtype] *= 2
        self.rejected = 0  # measurements thrown away so far

    def _loop(self, dtype: str) -> Any:
        return getattr(self._library, f"peak_{dtype}")

    def _time(self, dtype: str) -> tuple[float, float]:
        start = perf_counter()
        flops = self._loop(dtype)(self._turns[dtype], self._sink)
        return flops, perf_counter() - start

    def gflops(self, dtype: str = "float32") -> float:
        """The best of three runs of a few milliseconds, in GFLOP/s: short enough to fall between two interruptions."""
        return max(flops / seconds for flops, seconds in (self._time(dtype) for _ in range(3))) / 1e9

    def watch(self, measure: Callable[[], Any], dtype: str = "float32") -> tuple[Any, float]:
        """What ``measure()`` returns and the mean peak around it, in GFLOP/s; repeated until the two peaks agree.

        Raises
        ------
        RuntimeError
            If the machine never holds still.
        """
        for _ in range(_ATTEMPTS):
            before = self.gflops(dtype)
            value = measure()
            after = self.gflops(dtype)
            if abs(after / before - 1) <= TOLERANCE:
                return value, (before + after) / 2
            self.rejected += 1
        raise RuntimeError(f"The core's peak moved by more than {TOLERANCE:.0%} around each of {_ATTEMPTS} measurements.")
