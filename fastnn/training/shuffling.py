"""How are rows put in a new order? By scikit-learn's stream of random numbers; in C, to the same orders, where it was built."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

try:
    from fastnn.backends._core import shuffle as shuffle_int32
except ImportError:
    shuffle_int32 = None


def shuffle(rows: NDArray[np.integer], random_state: np.random.RandomState) -> None:
    """Shuffle ``rows (n,)`` in place, exactly as ``random_state.shuffle(rows)`` does."""
    if shuffle_int32 and rows.dtype == np.int32:
        shuffle_int32(rows, random_state)
    else:
        random_state.shuffle(rows)
