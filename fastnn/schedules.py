"""Which learning rate may each step take? The schedules, with their settings."""

from fastnn.core.schedules import (
    Adaptive,
    Constant,
    Cosine,
    CosLog4,
    Function,
    InverseScaling,
    OneCycle,
    Schedule,
    Step,
    WarmUp,
)

__all__ = [
    "Adaptive",
    "Constant",
    "CosLog4",
    "Cosine",
    "Function",
    "InverseScaling",
    "OneCycle",
    "Schedule",
    "Step",
    "WarmUp",
]
