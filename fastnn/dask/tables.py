"""What does a worker do for a bag of networks? It counts and encodes its partitions, and trains.

These functions run on workers. All of them do what one machine does; only where rows lie differs.
"""

from __future__ import annotations

import copy
import warnings
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from fastnn._optional import require
from fastnn._sklearn import safe_indexing
from fastnn.core.activations import Array
from fastnn.core.embedding import Encoded
from fastnn.dask.shards import Rows
from fastnn.estimators.targets import ValidationRows
from fastnn.tabular.base import BaseTabular, Given, Learnable
from fastnn.tabular.embed import EmbeddingEncoder
from fastnn.tabular.folds import Counted
from fastnn.tabular.recipe import Recipe
from fastnn.tabular.tally import Levels, Tally
from fastnn.training.bag import Bag, BagLoop, Member
from fastnn.training.callbacks import watched_by
from fastnn.training.data import row_weights
from fastnn.training.stopping import TimeLimit

NO_ROWS = np.empty(0, np.int64)
Tallies = list[Tally | Levels]


@dataclass(frozen=True)
class Fit:
    """What all workers are told.

    Attributes
    ----------
    model : TabularClassifier or TabularRegressor
        Not fitted; its ``random_state`` is an int.
    recipe : Recipe
    validation : ValidationRows or None
    """

    model: BaseTabular
    recipe: Recipe
    validation: ValidationRows | None

    def weight(self, rows: Rows) -> Array | None:
        """Of each row of a partition."""
        X, _, weight = rows
        return row_weights(weight, X.shape[0], self.recipe.floats, part=True)

    def counted(self, rows: Rows) -> Any:
        """X of the rows of a partition that are learned from."""
        X = rows[0]
        own = Counted.of(X.shape[0], self.weight(rows)).first
        return X if len(own) == X.shape[0] else safe_indexing(X, own)


# ---- what a partition is asked


@dataclass(frozen=True)
class Found:
    """What a fit has to know of a partition before it begins.

    Attributes
    ----------
    first : DataFrame, ndarray or sparse matrix of shape (1, n_columns)
    categorical : ndarray of bool, shape (n_columns,)
        Which columns hold categories here.
    n_rows : int
        How many rows are learned from.
    """

    first: Any
    categorical: NDArray[np.bool_]
    n_rows: int


def look(rows: Rows, fit: Fit) -> Found | None:
    """What is found in a partition, or None if it is empty; ValueError if y cannot be learned."""
    X, y, _ = rows
    if not X.shape[0]:
        return None
    with warnings.catch_warnings():
        # scikit-learn wonders about rows with as many classes, of which a part may hold few.
        warnings.filterwarnings("ignore", "The number of unique classes is greater")
        fit.model._checked_targets(y)
    first, X = safe_indexing(X, [0]), fit.counted(rows)
    n_rows = X.shape[0]
    categorical = fit.model._new_encoder(fit.recipe).look(X if n_rows else first)
    return Found(first, categorical & bool(n_rows), n_rows)


def tallies(
    rows: Rows, fit: Fit, encoder: EmbeddingEncoder, categorical: NDArray[np.bool_]
) -> Tallies:
    """The counts of each column; none where no row counts."""
    X = fit.counted(rows)
    return encoder.tallies(X, categorical) if X.shape[0] else []


def sketches(*args: Any) -> Tallies:
    """As :func:`tallies`, but where they are one part of several: not all values are sent."""
    return [tally.sketch() for tally in tallies(*args)]


def added(*parts: Tallies) -> Tallies:
    """The counts of several partitions, in their order."""
    columns = zip(*(part for part in parts if part), strict=True)
    return [column[0].added(column) for column in columns]


@dataclass(frozen=True)
class Part:
    """A partition, encoded.

    Attributes
    ----------
    X : Encoded
        The rows that are learned from.
    y : ndarray
        Their targets.
    weight : ndarray of shape (n_rows,) or None
        That of all rows.
    n_rows : int
        How many these are.
    """

    X: Encoded
    y: np.ndarray
    weight: Array | None
    n_rows: int


def encoded(rows: Rows, fit: Fit, encoder: EmbeddingEncoder) -> Part:
    """The partition, in 5 bytes for each number and 4 for each category."""
    X, y, _ = rows
    weight = fit.weight(rows)
    own = Counted.of(X.shape[0], weight).first
    return Part(encoder.transform(X)[own], y[own], weight, X.shape[0])


# ---- training


class Trained(NamedTuple):
    """Some members of the bag after their training, without their rows; when time was up."""

    members: list[Member]
    stopped_after: int | None


def trained(own: Sequence[int], fit: Fit, encoder: EmbeddingEncoder, *parts: Part) -> Trained:
    """Train some members of the bag."""
    begun = _begun(fit, encoder, parts)
    loop = begun.loop
    loop.members = [loop.members[j] for j in own]
    limit = fit.model.max_time
    with watched_by(*([] if limit is None else [TimeLimit(limit)])):
        begun.bag.train(loop, begun.rates)
    members = [replace(member, rows=NO_ROWS, held_out=NO_ROWS) for member in loop.members]
    return Trained(members, loop.n_iter if loop.stopped else None)


def shown(
    found: Sequence[Trained], fit: Fit, encoder: EmbeddingEncoder, *parts: Part
) -> tuple[dict[str, Any], int | None]:
    """What the fitted model knows, but for what it answers to each row held out; as `Trained`.

    Worker i has trained the members i, i + n and so on of n workers.
    """
    begun = _begun(fit, encoder, parts)
    loop, n = begun.loop, len(found)
    found = copy.deepcopy(found)  # compiled code cannot read what lies askew, sent between workers
    loop.members = [
        replace(found[j % n].members[j // n], rows=one.rows, held_out=one.held_out)
        for j, one in enumerate(loop.members)
    ]
    n_iters = [len(member.values) for member in loop.members]
    for i in range(max(n_iters)):
        loop.record_epoch([one for one, n in zip(loop.members, n_iters, strict=True) if n > i])
    begun.model._show(begun.bag, loop, begun.learnable)
    state = begun.model.__getstate__()
    del state["oof_prediction_"]
    stopped = [one.stopped_after for one in found if one.stopped_after is not None]
    return state, min(stopped, default=None)


@dataclass(frozen=True)
class _Begun:
    """A fit whose members have not trained yet, the same on every worker."""

    model: BaseTabular
    learnable: Learnable
    bag: Bag
    loop: BagLoop
    rates: NDArray[np.float64]


def _begun(fit: Fit, encoder: EmbeddingEncoder, parts: Sequence[Part]) -> _Begun:
    """The fit of all rows, put together in the order of the partitions."""
    model = copy.copy(fit.model)
    n_threads = require("distributed").get_worker().state.nthreads
    model.n_threads = min(model.n_threads or n_threads, n_threads)
    model._keep_encoder(encoder)
    weight = None
    if parts[0].weight is not None:
        weight = np.concatenate([part.weight for part in parts])
    counted = Counted.of(sum(part.n_rows for part in parts), weight)
    X = Encoded.joined([part.X for part in parts])
    y = model._checked_targets(np.concatenate([part.y for part in parts]))
    given = Given(X, y, counted.weight, None, fit.validation)
    random_state = np.random.RandomState(model.random_state)
    recipe = model._recipe(len(y))
    learnable = model._split(recipe, given, counted, None, random_state)
    return _Begun(model, learnable, *model._bag(learnable, random_state))
