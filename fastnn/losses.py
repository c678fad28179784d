"""What may be minimised? The losses, with their settings."""

from fastnn.core.losses import (
    AbsoluteError,
    Brier,
    Focal,
    Function,
    Gamma,
    Huber,
    LabelLoss,
    LogLoss,
    Loss,
    Poisson,
    Quantile,
    SquaredError,
)

__all__ = [
    "AbsoluteError",
    "Brier",
    "Focal",
    "Function",
    "Gamma",
    "Huber",
    "LabelLoss",
    "LogLoss",
    "Loss",
    "Poisson",
    "Quantile",
    "SquaredError",
]
