"""How much does a bag need each column? What rows that were held out lose where it is shuffled.

Permutation importance (Breiman 2001, Machine Learning 45; Fisher, Rudin and Dominici 2019, JMLR 20)
of members on rows that they did not see, in the encoding: no cell is encoded twice.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from fastnn.backends.base import Engine
from fastnn.core.activations import Array
from fastnn.core.embedding import Encoded
from fastnn.tabular.embed import EmbeddingEncoder
from fastnn.training.bag import Member


def permutation_importances(
    engine: Engine,
    encoder: EmbeddingEncoder,
    X: Encoded,
    members: Sequence[Member],
    measure: Callable[[Member, Array], float],
    n_repeats: int,
    random_state: np.random.RandomState,
) -> NDArray[np.float64]:
    """How much the measure grows, ``(n_features,)``; the mean over members and repeats."""
    grown = np.zeros(encoder.n_features_in_)
    parts = encoder.encoded_places()
    for member in members:
        rows, out = X[member.held_out], np.empty_like(member.best_predictions)
        for place, own in enumerate(parts):
            if not any(own.values()):  # the column says nothing
                continue
            for _ in range(n_repeats):
                order = random_state.permutation(len(member.held_out))
                engine.predict(member.best_params, _shuffled(rows, own, order), out)
                grown[place] += measure(member, out) - member.best_value
    return grown / (len(members) * n_repeats)


def _shuffled(X: Encoded, own: dict[str, list[int]], order: NDArray[np.integer]) -> Encoded:
    """X with the cells of some columns of its arrays in another order of the rows."""
    shuffled = {}
    for name, columns in own.items():
        shuffled[name] = getattr(X, name).copy()
        shuffled[name][:, columns] = shuffled[name][np.ix_(order, columns)]
    return replace(X, **shuffled)
