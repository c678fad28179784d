"""How much does a bag need each column? What rows that were held out lose where it is shuffled.

Permutation importance (Breiman 2001, Machine Learning 45; Fisher, Rudin and Dominici 2019, JMLR 20)
of members on rows that they did not see, in the encoding: no cell is encoded twice.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import cast

import numpy as np
from numpy.typing import NDArray

from fastnn.core.embedding import Encoded
from fastnn.tabular.embed import EmbeddingEncoder
from fastnn.training.bag import Bag, Member


def permutation_importances(
    bag: Bag, members: Sequence[Member], encoder: EmbeddingEncoder, n_repeats: int
) -> NDArray[np.float64]:
    """How much the measure grows, ``(n_features,)``; the mean over members and repeats."""
    grown, parts = np.zeros(encoder.n_features_in_), encoder.encoded_places()
    for member in members:
        X, out = bag.data.X[member.held_out], np.empty_like(member.answers)
        for place, own in enumerate(parts):
            for _ in range(n_repeats if any(own.values()) else 0):  # else it says nothing
                order = member.random_state.permutation(len(member.held_out))
                shuffled = _shuffled(cast(Encoded, X), own, order)
                bag.engine.predict(member.best_params, shuffled, out)
                grown[place] += bag.measure(member, out).value - member.best_value
    return grown / (len(members) * n_repeats)


def _shuffled(X: Encoded, own: dict[str, list[int]], order: NDArray[np.integer]) -> Encoded:
    """X with the cells of some columns of its arrays in another order of the rows."""
    shuffled = {}
    for name, columns in own.items():
        shuffled[name] = getattr(X, name).copy()
        shuffled[name][:, columns] = shuffled[name][order][:, columns]
    return replace(X, **shuffled)
