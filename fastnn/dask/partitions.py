"""How do Dask's Arrays and DataFrames become partitions, and answers of partitions an Array?

All of it is lazy; nothing here asks for a cluster.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from fastnn._optional import require


def is_dask(X: Any) -> bool:
    """Whether X is a collection of Dask's, which is told without importing Dask."""
    return hasattr(X, "__dask_graph__")


def partitions(X: Any, y: Any, sample_weight: Any = None) -> list[Any]:
    """A Delayed :func:`block` for each partition of X, y and the weights, in their order.

    Dask lets go of what workers hold of X, y and the weights when the caller does.

    Parameters
    ----------
    X : dask.array.Array or dask.dataframe.DataFrame of shape (n_samples, n_features)
        Chunks may have unknown sizes. Columns that are cut into several chunks are put together.
    y, sample_weight : dask Array, Series or DataFrame, partitioned as X is
        Arrays whose chunks are known are cut anew where they are cut otherwise.

    Raises
    ------
    TypeError
        If one of them is no collection of Dask's.
    ValueError
        If X is not two-dimensional, or their partitions do not go together.
    """
    given = {"X": X, "y": y}
    if sample_weight is not None:
        given["sample_weight"] = sample_weight
    for name, collection in given.items():
        _check(name, collection)
    if X.ndim != 2:
        raise ValueError(f"X must have two dimensions, got {X.ndim}.")
    columns = [_delayed(_like(X, name, collection)) for name, collection in given.items()]
    for name, column in zip(given, columns, strict=True):
        if len(column) != len(columns[0]):
            raise ValueError(
                f"X has {len(columns[0])} partitions, but {name} has {len(column)}. Partition them"
                " alike: take them from one table, or repartition one of them."
            )
    delayed = require("dask").delayed
    return [delayed(block)(i, *parts) for i, parts in enumerate(zip(*columns, strict=True))]


def block(number: int, X: Any, y: Any, weight: Any = None) -> tuple[Any, Any, Any]:
    """A partition as it is kept: X (n, n_features), y and weights; ValueError if n differs."""
    for name, part in (("y", y), ("sample_weight", weight)):
        if part is not None and len(part) != X.shape[0]:
            raise ValueError(
                f"Partition {number} of X has {X.shape[0]} rows, but that of {name} has"
                f" {len(part)}. Partition them alike: take them from one table."
            )
    return X, np.asarray(y), None if weight is None else np.asarray(weight)


def made_up_row(X: Any) -> Any:
    """A row as those of X, a Dask Array or DataFrame of numbers, may be."""
    _check("X", X)
    return X._meta_nonempty if _is_frame(X) else np.zeros((1, X.shape[1]), X.dtype)


def answers(X: Any, answer: Callable[[Any], np.ndarray], empty: np.ndarray) -> Any:
    """What ``answer`` makes of the rows of X, a dask Array that is partitioned as X is.

    Parameters
    ----------
    X : dask.array.Array or dask.dataframe.DataFrame of shape (n_samples, n_features)
    answer : callable ``X (n, n_features) -> ndarray (n,) or (n, n_out)``, n at least 1
    empty : ndarray of shape (0,) or (0, n_out)
        The answer to no rows, which tells the type and the shape of all.
    """
    _check("X", X)
    dask, array = require("dask"), require("dask.array")
    kept = dask.delayed(answer)  # in the graph once, not in every partition
    kind = {"dtype": empty.dtype, "meta": empty}
    if not _is_frame(X):
        columns = {"chunks": (X.chunks[0], empty.shape[1:])} if empty.ndim > 1 else {"drop_axis": 1}
        return _like(X, "X", X).map_blocks(_answered, answer=kept, empty=empty, **columns, **kind)
    answered = dask.delayed(_answered)
    found = [
        array.from_delayed(answered(part, kept, empty), (np.nan, *empty.shape[1:]), **kind)
        for part in _delayed(X)
    ]
    return array.concatenate(found, allow_unknown_chunksizes=True)


def _answered(part: Any, answer: Callable[[Any], np.ndarray], empty: np.ndarray) -> np.ndarray:
    return answer(part) if part.shape[0] else empty


def _check(name: str, collection: Any) -> None:
    if not is_dask(collection) or not hasattr(collection, "ndim"):
        raise TypeError(
            f"{name} must be a Dask Array or DataFrame, got {type(collection).__name__}. Data in"
            " memory are learned by the estimators of fastnn itself."
        )


def _is_frame(collection: Any) -> bool:
    return not hasattr(collection, "numblocks")


def _like(X: Any, name: str, collection: Any) -> Any:
    """The collection with its columns together, and its rows cut as X is, where that is known."""
    if _is_frame(collection):
        return collection
    chunks = {axis: -1 for axis in range(1, collection.ndim)}
    if not _is_frame(X) and not np.isnan([*X.chunks[0], *collection.chunks[0]]).any():
        if collection.shape[0] != X.shape[0]:
            raise ValueError(f"X has {X.shape[0]} rows, but {name} has {collection.shape[0]}.")
        chunks[0] = X.chunks[0]
    return collection.rechunk(chunks)


def _delayed(collection: Any) -> list[Any]:
    # Dask 2025.1 loses a persisted Array where it optimizes.
    return list(np.ravel(collection.to_delayed(optimize_graph=_is_frame(collection))))
