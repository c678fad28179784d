"""What is a network, and what is its maths?

Layers, activations, losses, optimizers, schedules, costs; NumPy alone.
"""

from fastnn._lazy import submodules

__getattr__ = submodules(__name__)
