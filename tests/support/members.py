"""How does a test make an activation or a loss of a function? Members of a family, on the spot."""

from __future__ import annotations

from collections.abc import Callable

from fastnn.core.activations import Activation
from fastnn.core.losses import Loss


def activation(name: str, value_and_slope: Callable, keeps: str = "output") -> Activation:
    """An activation ``z -> (a, da/dz)``."""
    body = {"name": name, "keeps": keeps, "value_and_slope": staticmethod(value_and_slope)}
    return type("NewActivation", (Activation,), body)()


def loss(name: str, inverse_link: str, loss_and_grad: Callable) -> Loss:
    """A loss ``(raw, y) -> (loss, gradient)``."""
    body = {"inverse_link": inverse_link, "loss_and_grad": staticmethod(loss_and_grad)}
    return type("NewLoss", (Loss,), {"name": name, **body})()
