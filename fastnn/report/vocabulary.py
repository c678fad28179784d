"""What are costs and parameters called, and how are their values written?"""

from __future__ import annotations

from typing import Any

import numpy as np

from fastnn.report.figures import si
from fastnn.search.quantities import described


def cost(name: str, value: float) -> str:
    """Write a measured cost with its unit."""
    row = described(name)
    return si(value * row.scale, row.unit)


def cost_name(name: str) -> str:
    """What a cost is called."""
    return described(name).label


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
