"""Which outputs does dropout silence? A hash of an output's place in the training says.

Dropout (Srivastava et al. 2014, JMLR 15) multiplies each output of a layer by 0 with probability
``share``, else by ``1 / (1 - share)``, so that its expectation stays and predicting needs nothing.
The place is the network's seed, the number of the step, the layer, the row's position in its batch,
and the unit: whatever computes a step, in whatever order, finds the same outputs silent.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import DTypeLike, NDArray

from fastnn.core.activations import Array

Words = NDArray[np.uint32]


def mix(x: Words) -> Words:
    """A permutation of the 32-bit words in which each bit depends on all bits.

    It is lowbias32 of Wellons, "Prospecting for hash functions" (2018).
    """
    x = (x ^ (x >> np.uint32(16))) * np.uint32(0x7FEB352D)
    x = (x ^ (x >> np.uint32(15))) * np.uint32(0x846CA68B)
    return x ^ (x >> np.uint32(16))


def lowest_kept(share: float) -> int:
    """An output is kept if its hash, as a signed number, is not below this."""
    return int(share * 2**32) - 2**31


def factors(
    share: float, place: tuple[int, int, int], shape: tuple[int, int], dtype: DTypeLike
) -> Array:
    """What a layer's outputs are multiplied by: 0, or ``1 / (1 - share)``.

    Parameters
    ----------
    share : float
        In [0, 1).
    place : (seed, step, layer)
        The network's seed; how many steps came before; how many layers are below.
    shape : (n_rows, n_out)
        Rows count from the first of the batch.

    Returns
    -------
    ndarray of ``shape`` and ``dtype``
    """
    key = np.zeros(1, np.uint32)
    for number in place:
        key = mix(key ^ np.uint32(int(number) % 2**32))
    rows, units = (np.arange(n, dtype=np.uint32) for n in shape)
    hashes = mix(mix(key ^ rows)[:, None] ^ units)
    kept = hashes.view(np.int32) >= lowest_kept(share)
    return np.where(kept, 1 / (1 - share), 0).astype(dtype)
