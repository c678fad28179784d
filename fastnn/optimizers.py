"""How may a gradient change the parameters? The optimizers, with their settings."""

from fastnn.core.optimizers import SGD, Adam, AdamW, Lion, Optimizer, RMSprop

__all__ = ["SGD", "Adam", "AdamW", "Lion", "Optimizer", "RMSprop"]
