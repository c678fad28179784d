"""Which learning rate may each step take? The schedules, with their settings."""

from fastnn.core.schedules import Adaptive, Constant, InverseScaling, Schedule

__all__ = ["Adaptive", "Constant", "InverseScaling", "Schedule"]
