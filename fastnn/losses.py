"""What may be minimised? The losses, with their settings."""

from fastnn.core.losses import BinaryLogLoss, LogLoss, Loss, Poisson, SquaredError

__all__ = ["BinaryLogLoss", "LogLoss", "Loss", "Poisson", "SquaredError"]
