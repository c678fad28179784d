"""What are costs and parameters called, and how are their values written?"""

from __future__ import annotations

from typing import Any

import numpy as np

from fastnn.report.figures import si

# What each cost is called, its unit, and what one of ours is in that unit.
COSTS = {
    "fit_time": ("fit time", "s", 1.0),
    "cpu_time": ("CPU time of a fit", "s", 1.0),
    "latency_us": ("latency of one row", "s", 1e-6),
    "row_us": ("time per row in bulk", "s", 1e-6),
    "model_bytes": ("model size", "B", 1.0),
    "flops": ("work per prediction", "FLOP", 1.0),
    "peak_bytes": ("peak memory of a fit", "B", 1.0),
    "energy_j": ("energy of a fit", "J", 1.0),
}


def cost(name: str, value: float) -> str:
    """Write a measured cost with its unit."""
    _, unit, scale = COSTS.get(name, (name, "", 1.0))
    return si(value * scale, unit)


def cost_name(name: str) -> str:
    """What a cost is called."""
    return COSTS.get(name, (name.replace("_", " "), "", 1.0))[0]


def say(value: Any) -> str:
    """Write a parameter's value for reading."""
    if isinstance(value, (float, np.floating)):
        return f"{value:.3g}"
    if isinstance(value, (tuple, list)):
        return " \u00d7 ".join(map(say, value)) or "none"
    return type(value).__name__ if hasattr(value, "get_params") else str(value)


def short(name: str) -> str:
    """The parameter's own name, without the steps of the pipeline before it."""
    return name.rpartition("__")[2]
