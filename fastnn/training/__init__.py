"""How long is a network trained? The loop, its state, who watches and stops it, and the network."""

from fastnn._lazy import submodules

__getattr__ = submodules(__name__)
