"""How are rows put in a new order? By scikit-learn's stream of random numbers.

In C, to the same orders, where the compiled backend can be used.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from fastnn.backends import compiled


def shuffle(rows: NDArray[np.integer], random_state: np.random.RandomState) -> None:
    """Shuffle ``rows (n,)`` in place, exactly as ``random_state.shuffle(rows)`` does."""
    own = compiled("shuffle") if rows.dtype == np.int32 else None
    if own is None:
        random_state.shuffle(rows)
    else:
        own(rows, random_state)
