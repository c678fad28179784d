"""What does a worker do with its partitions? It keeps them as one shard, and answers with sums.

These functions run on workers. Sums are lists of numbers and arrays, which add up over shards.
"""

from __future__ import annotations

import copy
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import reduce
from operator import add
from typing import Any

import numpy as np
import scipy.sparse
from numpy.typing import NDArray
from sklearn.utils import check_array
from sklearn.utils.multiclass import check_classification_targets, type_of_target

from fastnn._optional import require
from fastnn._sklearn import safe_indexing
from fastnn.backends import choose
from fastnn.backends.base import Data, Engine, Passes, Plan, TrainState
from fastnn.core import arrays
from fastnn.core.augmentations import Augmentation
from fastnn.core.network import NetworkSpec
from fastnn.estimators.targets import Targets, ValidationRows
from fastnn.training.augmenting import trainer_of
from fastnn.training.model import thread_limit

Sums = list[Any]
Rows = tuple[Any, Any, Any]  # X, y, weight or None


# ---- partitions to a shard


def joined(*blocks: Rows) -> Rows:
    """The rows of some partitions, one after another; those that are empty left out."""
    kept = [block for block in blocks if block[0].shape[0]] or list(blocks[:1])
    if len(kept) == 1:
        return kept[0]
    X, y, weight = zip(*kept, strict=True)
    return _stacked(X), np.concatenate(y), None if weight[0] is None else np.concatenate(weight)


def _stacked(parts: Sequence[Any]) -> Any:
    if scipy.sparse.issparse(parts[0]):
        return scipy.sparse.vstack(parts, format="csr")
    if isinstance(parts[0], np.ndarray):
        return np.concatenate(parts)
    return require("pandas").concat(parts)


def n_rows(block: Rows) -> int:
    """How many rows there are."""
    return block[0].shape[0]


@dataclass(frozen=True)
class Found:
    """What a fit has to know of a shard before it begins.

    Attributes
    ----------
    first : tuple
        X ``(1, n_features)`` and y ``(1,)`` or ``(1, n_outputs)`` of its first row.
    labels, counts : ndarray of shape (n_labels,), or None
        The sorted labels of y, and how many rows have each; None for several labels a row, and for
        a regression.
    """

    first: tuple[Any, Any]
    labels: np.ndarray | None = None
    counts: NDArray[np.integer] | None = None


def look(rows: Rows, classifies: bool) -> Found | None:
    """What is found in a shard, or None if it is empty; ValueError if y cannot be classes."""
    X, y, _ = rows
    if not X.shape[0]:
        return None
    first = safe_indexing(X, [0]), y[:1]
    if not classifies:
        return Found(first)
    y = check_array(y, ensure_2d=False, dtype=None, input_name="y")
    if type_of_target(y).startswith("multilabel"):
        return Found(first)
    check_classification_targets(y)
    return Found(first, *np.unique(y, return_counts=True))


def encoded(rows: Rows, model: Any, like: Targets, dtype: np.dtype) -> Data:
    """The rows of a shard, encoded as those of the fit that ``model`` is in."""
    return model._encode_rows(ValidationRows(*rows), like, dtype, part=True)


def weight_sum(data: Data) -> float:
    """How much all rows count."""
    return float(data.X.shape[0] if data.weight is None else data.weight.sum(dtype=np.float64))


# ---- what shards are asked


@dataclass(frozen=True)
class Question:
    """What all shards are told: the network as it is, and how to train it.

    Attributes
    ----------
    state : TrainState
    spec : NetworkSpec
    backend : str
    n_threads : int or None
    plan : Plan or None
    augmentations : tuple of Augmentation
    rates : ndarray of shape (n_steps,)
        Of a pass; a shard that has fewer steps takes the first of them.
    shuffle : int or None
        What a shard's order is drawn by; None goes through the rows as they are.
    """

    state: TrainState
    spec: NetworkSpec
    backend: str
    n_threads: int | None
    plan: Plan | None = None
    augmentations: tuple[Augmentation, ...] = ()
    rates: NDArray[np.float64] | None = None
    shuffle: int | None = None

    def engine(self) -> Engine:
        """What computes here, on the threads that this worker has for a task."""
        dtype = self.state.params.dtype
        n_threads = min(self.n_threads or 2**31, require("distributed").get_worker().state.nthreads)
        backend = choose(self.backend, self.spec, dtype, self.plan)
        return backend.engine(self.spec, dtype, thread_limit(n_threads))


def gradient(
    data: Data, question: Question, number: int, rows: NDArray[np.int64] | None = None
) -> Sums:
    """``[loss_sum, weight_sum, grad (n_params,)]`` of rows, or of all, of shard ``number``."""
    state, data = _of_shard(question.state, number), _aligned(data)
    rows = (
        np.arange(data.X.shape[0], dtype=np.int64)
        if rows is None
        else np.require(rows, requirements="A")
    )
    grad = np.empty_like(state.params)
    (loss,), (weight,) = question.engine().gradient(state, data, rows[None], grad)
    return [loss, weight, grad[0]]


def local_pass(data: Data, question: Question, number: int, share: float) -> Sums:
    """A pass over all rows of shard ``number``, by itself.

    Returns ``share`` times its mean loss, the parameters and the slots that it ends with.
    """
    assert question.plan is not None and question.rates is not None
    n_rows = data.X.shape[0]
    order = np.arange(n_rows, dtype=np.int64)
    if question.shuffle is not None:
        np.random.default_rng((question.shuffle, number)).shuffle(order)
    rates = question.rates[: -(-n_rows // question.plan.batch_size)]
    state, data = _of_shard(question.state, number), _aligned(data)
    trainer = trainer_of(question.engine(), question.plan, question.augmentations)
    losses = trainer.train(state, data, Passes(order[None, None], rates[None, None]))
    return [share * losses[0, 0], share * state.params, share * state.slots]


def _of_shard(state: TrainState, number: int) -> TrainState:
    """A copy to change, whose dropout and augmentations are others in each shard."""
    seeds = state.seeds + np.uint32(number)
    params, slots = arrays.copy(state.params), arrays.copy(state.slots)
    return replace(state, params=params, slots=slots, seeds=seeds)


def _aligned(data: Data) -> Data:
    """The same data; what was moved between workers may lie askew in memory, and is copied."""
    X: Any = data.X
    arrays = [X.data, X.indices, X.indptr] if scipy.sparse.issparse(X) else [X]
    arrays += [data.y] if data.weight is None else [data.y, data.weight]
    return data if all(array.flags.aligned for array in arrays) else copy.deepcopy(data)


def added(*sums: Sums) -> Sums:
    """The sums of several shards, in this order."""
    return [reduce(add, parts) for parts in zip(*sums, strict=True)]
