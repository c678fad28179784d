"""What must hold of the arrays that an engine is given? Asked once on entry, for all engines.

Compiled code does not look at what it reads: a row number or a CSR index out of range would be a
read beyond the array.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array

from fastnn.core.activations import Array

if TYPE_CHECKING:
    from fastnn.backends.base import Data, Passes, Plan, TrainState
    from fastnn.core.network import NetworkSpec


class NotFinite(ValueError):
    """A dense X holds NaN or infinity."""


def check_finite(X: Array | csr_array) -> None:
    """Raise NotFinite if a dense X holds NaN or infinity; no temporary array is made."""
    if isinstance(X, np.ndarray) and X.size and not np.isfinite([X.min(), X.max()]).all():
        raise NotFinite


def check_passes(state: TrainState, data: Data, passes: Passes, batch_size: int) -> None:
    """Raise ValueError or IndexError if ``passes`` do not fit the members, the batches or ``data``.

    Every engine calls it once on entry of ``train``.
    """
    n_members, (n, n_passes, n_visits) = len(state.params), passes.rows.shape
    if n not in (1, n_members):
        raise ValueError(f"rows must be for 1 or {n_members} members, got {n}.")
    n_steps = -(-n_visits // batch_size)
    if passes.rates.shape not in [(1, n_passes, n_steps), (n_members, n_passes, n_steps)]:
        raise ValueError(
            f"rates must have shape (1 or {n_members}, {n_passes}, {n_steps}), got"
            f" {passes.rates.shape}."
        )
    check_rows(data, passes.rows)


def check_rows(data: Data, rows: NDArray[np.int64]) -> None:
    """Raise IndexError if a row number lies outside ``data``."""
    n_rows = data.X.shape[0]
    if rows.size and not (0 <= rows.min() and rows.max() < n_rows):
        raise IndexError(
            f"rows must lie in [0, {n_rows}), got values from {rows.min()} to {rows.max()}."
        )


def check_csr(X: Array | csr_array) -> None:
    """Raise ValueError if X is a CSR matrix whose arrays contradict each other."""
    if isinstance(X, np.ndarray):
        return
    indices, indptr = X.indices, X.indptr
    if (
        indptr[0] != 0
        or (np.diff(indptr) < 0).any()
        or indptr[-1] > len(indices)
        or len(indices) != len(X.data)
    ):
        raise ValueError(
            "X is no valid CSR matrix: indptr must begin with 0, not decrease, and end within"
            " indices and data."
        )
    if indices.size and not (0 <= indices.min() and indices.max() < X.shape[1]):
        raise ValueError(
            f"X.indices must lie in [0, {X.shape[1]}), got values from {indices.min()} to"
            f" {indices.max()}."
        )


def why_unsupported(
    spec: NetworkSpec,
    dtype: np.dtype,
    plan: Plan | None,
    *,
    activations: Collection[str],
    losses: Collection[str],
    optimizers: Collection[str],
) -> str | None:
    """What a compiled backend that knows these names says of a network: None, or the reason."""
    if np.dtype(dtype) not in (np.float32, np.float64):
        return f"it computes in float32 or float64, not in {np.dtype(dtype)}."
    asked = [("activation", layer.activation, activations) for layer in spec.layers]
    asked.append(("loss", spec.loss, losses))
    if plan is not None:
        asked.append(("optimizer", plan.optimizer.name, optimizers))
    for kind, name, known in asked:
        if name not in known:
            return f"its kernels do not know the {kind} {name!r}; README.md says how to add it."
    return None
