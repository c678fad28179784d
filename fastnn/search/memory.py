"""How much memory does a fit take? The rise of this process's resident memory."""

from __future__ import annotations

import contextlib
import gc
import math
import sys
from pathlib import Path

if sys.platform != "win32":
    import resource


class PeakMemory:
    """How far the resident memory of this process rises above where it is now.

    Linux can reset a process's high-water mark. macOS cannot, so there the rise is that above the
    highest mark before.
    """

    def __init__(self) -> None:
        gc.collect()
        with contextlib.suppress(OSError):
            Path("/proc/self/clear_refs").write_text("5")  # proc(5): resets VmHWM to VmRSS
        self.before = _high_water_mark()

    def rise(self) -> float:
        """Bytes between then and the peak since; NaN where the system does not tell."""
        return _high_water_mark() - self.before


def _high_water_mark() -> float:
    """Resident bytes at the peak. Pages of files do not count: libraries' code is shared."""
    with contextlib.suppress(OSError):
        status = Path("/proc/self/status").read_text()
        peak, of_files = (int(status.split(name)[1].split()[0]) for name in ("VmHWM:", "RssFile:"))
        return 1024.0 * (peak - of_files)
    if sys.platform == "win32":
        return math.nan
    return float(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)
