"""How may a gradient change the parameters? The optimizers, with their settings."""

from fastnn.core.optimizers import SGD, Adam, Optimizer

__all__ = ["SGD", "Adam", "Optimizer"]
