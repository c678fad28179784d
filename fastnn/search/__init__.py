"""What does accuracy cost? The trade-off explorer: search, measurement, front and picture."""

from fastnn._lazy import submodules

__getattr__ = submodules(__name__)
