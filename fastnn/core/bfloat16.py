"""What does training in bfloat16 round? The operands of its matrix products, and nothing else.

A network that trains in bfloat16 is one of float32: its parameters, the optimizer's slots, biases,
weighted inputs, activations, slopes, deltas, sums and losses are. But where a training step
multiplies matrices of a dense layer, each number is taken rounded to bfloat16, float32's sign and
exponent with 8 bits of mantissa: to the nearest, ties to even, denormals to 0.

============  ==============================  =================================
product       operands                        result
============  ==============================  =================================
forward       inputs ``a``, weights ``W``     ``a @ W``, to which a bias is added
backward      deltas ``d``, weights ``W``     ``d @ W.T``, before it meets slopes
gradient      inputs ``a``, deltas ``d``      ``a.T @ d``, the gradient of ``W``
============  ==============================  =================================

A bias's gradient is the sum of deltas that are not rounded. What a layer makes of sparse input, and
the embedding of an encoded table, is computed in float32: those sums are no dense products. So are
predictions.

The order of the sums is that of the C core: see "bfloat16" in ``csrc/README.md``.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from fastnn.core.activations import Array


def rounded(numbers: Array) -> Array:
    """The same numbers rounded to bfloat16, in float32."""
    bits = np.ascontiguousarray(numbers, np.float32).view(np.uint32)
    nearest = (bits + (0x7FFF + (bits >> 16 & 1))) & np.uint32(0xFFFF0000)
    nearest[(bits & 0x7F800000) == 0] &= np.uint32(0x80000000)
    return np.where(np.isnan(numbers), numbers, nearest.view(np.float32))


def product(a: Any, b: Array) -> Array:
    """``a @ b`` in float32 of rounded numbers; where ``a`` is sparse, of numbers as they are."""
    return rounded(a) @ rounded(b) if isinstance(a, np.ndarray) else a @ b
