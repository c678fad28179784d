"""How are rows put in a new order? By scikit-learn's stream of random numbers.

In C, to the same orders, where the compiled backend can be used.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache

import numpy as np
from numpy.typing import NDArray

from fastnn.backends import load, why_not

Shuffle = Callable[[NDArray[np.integer], np.random.RandomState], None]


def shuffle(rows: NDArray[np.integer], random_state: np.random.RandomState) -> None:
    """Shuffle ``rows (n,)`` in place, exactly as ``random_state.shuffle(rows)`` does."""
    compiled = _compiled() if rows.dtype == np.int32 else None
    if compiled is None:
        random_state.shuffle(rows)
    else:
        compiled(rows, random_state)


@cache  # an import that fails is tried anew each time
def _compiled() -> Shuffle | None:
    """The compiled backend's own, for int32 rows, where it can be used."""
    return None if why_not("cython") else getattr(load("cython"), "shuffle", None)
