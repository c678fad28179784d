"""What may a hidden layer do to its weighted input? The activations, with their settings."""

from fastnn.core.activations import Activation, Identity, Logistic, ReLU, Tanh

__all__ = ["Activation", "Identity", "Logistic", "ReLU", "Tanh"]
