"""What does a network cost, before anything is timed? Parameters, FLOPs, bytes: pure arithmetic.

A FLOP is one addition or one multiplication, so that a multiply-add counts 2, and only useful ones
are counted: the products of the matrices as they are, without padding, activations or the
optimizer's elementwise work. These are the figures that a share of the machine's peak is stated on.
With layer sizes ``n_0 .. n_L``, ``P_w = sum n_{l-1} n_l`` weights and R rows:

* forward pass: ``2 R P_w``;
* gradient of the weights, ``A' dZ`` in each layer: ``2 R P_w``;
* gradient of the activations, ``dZ W'`` in each layer but the first, whose input needs none: ``2 R
(P_w - n_0 n_1)``.
"""

from __future__ import annotations

import os

import numpy as np
from numpy.typing import DTypeLike

from fastnn.core.network import NetworkSpec


def n_params(spec: NetworkSpec) -> int:
    """Weights and biases of the network, ``sum (n_{l-1} + 1) n_l``."""
    return spec.layout.n_params


def _n_weights(spec: NetworkSpec) -> int:
    return sum(layer.n_in * layer.n_out for layer in spec.layers)


def predict_flops(spec: NetworkSpec, n_rows: int = 1) -> int:
    """FLOPs to predict ``n_rows`` rows: ``2 R P_w``."""
    return 2 * n_rows * _n_weights(spec)


def step_flops(spec: NetworkSpec, batch_size: int) -> int:
    """FLOPs of one training step on ``batch_size`` rows: ``6 R P_w - 2 R n_0 n_1``.

    It is proportional to the rows, so an epoch over ``n_rows`` rows costs ``step_flops(spec,
    n_rows)`` however it is cut.
    """
    first = spec.layers[0]
    return batch_size * (6 * _n_weights(spec) - 2 * first.n_in * first.n_out)


def param_bytes(spec: NetworkSpec, dtype: DTypeLike) -> int:
    """Bytes of the parameters in ``dtype``."""
    return n_params(spec) * np.dtype(dtype).itemsize


def state_bytes(spec: NetworkSpec, dtype: DTypeLike, n_slots: int) -> int:
    """Bytes of what training changes: parameters, and ``n_slots`` slots each (SGD 1, Adam 2)."""
    return (1 + n_slots) * param_bytes(spec, dtype)


def check_memory(spec: NetworkSpec, dtype: DTypeLike) -> None:
    """Raise MemoryError if training would need more memory than this machine has.

    Counted are parameters, two slots, transposed panels and a snapshot: five times the parameters.
    """
    needed = 5 * param_bytes(spec, dtype)
    try:
        present = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (AttributeError, ValueError, OSError):  # not a POSIX system: allocation itself will tell
        return
    if needed > present:
        sizes = [layer.n_out for layer in spec.layers[:-1]]
        raise MemoryError(
            f"A network with {spec.n_in} features, hidden layers of {sizes} and {spec.n_out}"
            f" outputs has {n_params(spec):,} parameters and needs about {needed / 2**30:.1f} GiB"
            f" to train; this machine has {present / 2**30:.1f} GiB. Choose fewer or smaller hidden"
            " layers (hidden_layer_sizes), or fewer features."
        )
