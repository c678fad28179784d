"""How much does a bag need each column? What rows that were held out lose where it is shuffled.

Permutation importance (Breiman 2001, Machine Learning 45; Fisher, Rudin and Dominici 2019, JMLR 20)
of members on rows that they did not see, in the encoding: no cell is encoded twice.
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import replace
from typing import cast

import numpy as np
from numpy.typing import NDArray

from fastnn.core.embedding import Encoded
from fastnn.tabular.embed import EmbeddingEncoder
from fastnn.training.bag import Bag, Member
from fastnn.training.loop import InterruptedWarning


def permutation_importances(
    bag: Bag, members: Sequence[Member], encoder: EmbeddingEncoder, n_repeats: int
) -> NDArray[np.float64] | None:
    """How much the measure grows, ``(n_features,)``; the mean over members and repeats.

    Ctrl-C ends it with an InterruptedWarning: the mean is that of the members done, None if none.
    """
    whole, n_whole = np.zeros(encoder.n_features_in_), 0
    try:
        for member in members:
            whole = whole + _by_member(bag, member, encoder, n_repeats)
            n_whole += 1
    except KeyboardInterrupt:
        kept = f"are the mean of {n_whole} of {len(members)} members" if n_whole else "are missing"
        message = f"Interrupted by user: the model is fitted, its feature_importances_ {kept}."
        warnings.warn(message, InterruptedWarning, stacklevel=2)
    return whole / (n_whole * n_repeats) if n_whole else None


def _by_member(
    bag: Bag, member: Member, encoder: EmbeddingEncoder, n_repeats: int
) -> NDArray[np.float64]:
    """How much the measure of one member grows, ``(n_features,)``; the sum over repeats."""
    grown = np.zeros(encoder.n_features_in_)
    X, out = bag.data.X[member.held_out], np.empty_like(member.answers)
    for place, own in enumerate(encoder.encoded_places()):
        for _ in range(n_repeats if any(own.values()) else 0):  # else it says nothing
            order = member.random_state.permutation(len(member.held_out))
            shuffled = _shuffled(cast(Encoded, X), own, order)
            bag.engine.predict(member.best_params, shuffled, out)
            grown[place] += bag.measure(member, out).value - member.best_value
    return grown


def _shuffled(X: Encoded, own: dict[str, list[int]], order: NDArray[np.integer]) -> Encoded:
    """X with the cells of some columns of its arrays in another order of the rows."""
    shuffled = {}
    for name, columns in own.items():
        shuffled[name] = getattr(X, name).copy()
        shuffled[name][:, columns] = shuffled[name][order][:, columns]
    return replace(X, **shuffled)
