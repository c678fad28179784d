"""How are rows put in a new order? By scikit-learn's stream of random numbers; in C, to the same orders, where it was built."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

try:
    from fastnn.backends._core import shuffle
except ImportError:

    def shuffle(rows: NDArray[np.int64], random_state: np.random.RandomState) -> None:
        """Shuffle ``rows (n,)`` in place."""
        random_state.shuffle(rows)


__all__ = ["shuffle"]
