"""How many joules does a fit take? Counted by the processor, or estimated from CPU seconds."""

from __future__ import annotations

import math
import os
from pathlib import Path

# Linux, for Intel and AMD alike; on many systems only root may read it.
POWERCAP = Path("/sys/class/powercap")
COUNTED = "counted by the processor (RAPL, whole package)"


def rapl_joules(root: Path = POWERCAP) -> float | None:
    """Joules counted so far by the processor packages (Intel and AMD RAPL); None if unreadable.

    The counters count everything a package does, so they describe a candidate only if nothing else
    runs. They wrap around after hours; discard a difference that is negative.
    """
    try:
        counters = [int((zone / "energy_uj").read_text()) for zone in root.glob("intel-rapl:[0-9]")]
    except (OSError, ValueError):
        return None
    return sum(counters) * 1e-6 if counters else None


def watts() -> float:
    """Watts that one busy core is assumed to draw: 10, or the environment variable FASTNN_WATTS."""
    text = os.environ.get("FASTNN_WATTS", "10")
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not (0 < value < math.inf):
        raise ValueError(f"FASTNN_WATTS must be a positive number of watts, got {text!r}.")
    return value


def estimate_label() -> str:
    """How an estimated energy is labelled."""
    return f"estimated: CPU seconds x {watts():g} W"
