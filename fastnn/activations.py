"""What may a hidden layer do to its weighted input? The activations, with their settings."""

from fastnn.core.activations import (
    ELU,
    GELU,
    SELU,
    Activation,
    Function,
    Identity,
    LeakyReLU,
    Logistic,
    Mish,
    ReLU,
    SiLU,
    Softplus,
    Tanh,
)

__all__ = [
    "ELU",
    "GELU",
    "SELU",
    "Activation",
    "Function",
    "Identity",
    "LeakyReLU",
    "Logistic",
    "Mish",
    "ReLU",
    "SiLU",
    "Softplus",
    "Tanh",
]
