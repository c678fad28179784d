"""What must hold of the arrays that an engine is given? Asked once on entry, for all engines.

Compiled code does not look at what it reads: a wrong shape, or a row number or CSR index
out of range, would be a read or a write beyond the array.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import TYPE_CHECKING, TypeAlias

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array

from fastnn.core.embedding import Encoded
from fastnn.core.functions import Array, Function

if TYPE_CHECKING:
    from fastnn.backends.base import Data, Passes, Plan, TrainState
    from fastnn.core.network import NetworkSpec, Segment


Inputs: TypeAlias = "Array | csr_array | Encoded"


class NotFinite(ValueError):
    """A dense X holds NaN or infinity."""


def check_finite(X: Inputs) -> None:
    """Raise NotFinite if a dense X holds NaN or infinity; no temporary array is made."""
    if isinstance(X, np.ndarray) and X.size and not np.isfinite([X.min(), X.max()]).all():
        raise NotFinite


def check_training(
    spec: NetworkSpec, dtype: np.dtype, plan: Plan, state: TrainState, data: Data, passes: Passes
) -> None:
    """Raise ValueError or IndexError unless these arrays fit the network, the plan and each other.

    Every trainer calls it once on entry of ``train``.
    """
    n_members = _check_params(spec, dtype, state.params)
    _check_written("params", state.params)
    _check_array(
        "slots", state.slots, (n_members, plan.optimizer.n_slots, spec.layout.n_params), dtype
    )
    _check_written("slots", state.slots)
    _check_seeds(spec, state)
    _check_data(spec, dtype, data)
    rows, rates = passes.rows, passes.rates
    if rows.ndim != 3 or len(rows) not in (1, n_members):
        raise ValueError(
            f"rows must have shape (1 or {n_members}, n_passes, n_visits), got {rows.shape}."
        )
    _, n_passes, n_visits = rows.shape
    n_steps = -(-n_visits // plan.batch_size)
    if rates.shape not in [(1, n_passes, n_steps), (n_members, n_passes, n_steps)]:
        raise ValueError(
            f"rates must have shape (1 or {n_members}, {n_passes}, {n_steps}), got {rates.shape}."
        )
    _check_rows(data, rows)


def check_gradient(
    spec: NetworkSpec,
    dtype: np.dtype,
    state: TrainState,
    data: Data,
    rows: NDArray[np.int64],
    grad: Array,
) -> None:
    """Raise ValueError or IndexError unless these arrays fit the network and each other.

    Every engine calls it once on entry of ``gradient``, which reads no slots.
    """
    n_members = _check_params(spec, dtype, state.params)
    _check_array("grad", grad, (n_members, spec.layout.n_params), dtype)
    _check_written("grad", grad)
    _check_seeds(spec, state)
    _check_data(spec, dtype, data)
    if rows.ndim != 2 or len(rows) not in (1, n_members):
        raise ValueError(f"rows must have shape (1 or {n_members}, n), got {rows.shape}.")
    _check_rows(data, rows)


def check_segments(spec: NetworkSpec, segments: tuple[Segment, ...]) -> None:
    """Raise ValueError unless ``segments`` stand where those of the network's layout stand."""
    layout = spec.layout.segments
    if len(segments) != len(layout):
        raise ValueError(
            f"segments must be {len(layout)}, one for each of the network's layout, got"
            f" {len(segments)}."
        )
    for i, (ours, given) in enumerate(zip(layout, segments, strict=True)):
        place, got = (ours.start, ours.stop, ours.shape), (given.start, given.stop, given.shape)
        if got != place:
            raise ValueError(
                f"segments[{i}] must have the start, stop and shape of the network's layout,"
                f" {place}, got {got}."
            )


def _check_params(spec: NetworkSpec, dtype: np.dtype, params: Array) -> int:
    """Check the members' parameters; return how many members there are."""
    n_params = spec.layout.n_params
    if params.ndim != 2 or params.shape[1] != n_params:
        raise ValueError(f"params must have shape (n_members, {n_params}), got {params.shape}.")
    _check_dtype("params", params, dtype)
    return len(params)


def _check_seeds(spec: NetworkSpec, state: TrainState) -> None:
    if spec.drops and not len(state.seeds):
        raise ValueError("seeds must be given, for the network has dropout; there are none.")
    allowed = len(state.seeds) if len(state.seeds) < 2 else len(state.params)
    _check_array("seeds", state.seeds, (allowed,), np.dtype(np.uint32))


def _check_data(spec: NetworkSpec, dtype: np.dtype, data: Data) -> None:
    n_rows, codes = data.X.shape[0], spec.loss.y_is_codes
    check_inputs(spec, dtype, data.X)
    _check_array(
        "y",
        data.y,
        (n_rows,) if codes else (n_rows, spec.n_out),
        np.dtype(np.int32) if codes else dtype,
    )
    if data.weight is not None:
        _check_array("weight", data.weight, (n_rows,), dtype)


def check_inputs(spec: NetworkSpec, dtype: np.dtype, X: Inputs) -> None:
    """Raise ValueError unless the network can read X, an encoded one within its embedding."""
    embedding = spec.embedding
    if isinstance(X, Encoded) != (embedding is not None):
        raise ValueError(
            f"X must be {'an array or CSR' if embedding is None else 'Encoded'} for this network,"
            f" got {type(X).__name__}."
        )
    if embedding is None or not isinstance(X, Encoded):
        _check_array("X", X, (X.shape[0], spec.n_in), dtype)
        return
    n_rows, n_numeric = X.shape[0], len(embedding.edges)
    _check_array("X.bins", X.bins, (n_rows, n_numeric), np.dtype(np.uint8))
    _check_array("X.fractions", X.fractions, (n_rows, n_numeric), dtype)
    _check_array("X.indicators", X.indicators, (n_rows, embedding.n_indicators), dtype)
    _check_array("X.codes", X.codes, (n_rows, X.codes.shape[1]), np.dtype(np.int32))
    n_bins = np.diff(embedding.starts)
    if n_rows and n_numeric and (X.bins.max(axis=0) >= n_bins).any():
        raise ValueError(
            f"X.bins must lie below the columns' numbers of bins, {n_bins.tolist()}, got up to"
            f" {X.bins.max(axis=0).tolist()}."
        )
    if X.codes.size and not (-1 <= X.codes.min() and X.codes.max() < len(embedding.hot)):
        raise ValueError(
            f"X.codes must lie in [-1, {len(embedding.hot)}), got values from {X.codes.min()} to"
            f" {X.codes.max()}."
        )


def _check_array(
    name: str, array: np.ndarray | csr_array, shape: tuple[int, ...], dtype: np.dtype
) -> None:
    if array.shape != shape:
        raise ValueError(f"{name} must have shape {shape}, got {array.shape}.")
    _check_dtype(name, array, dtype)


def _check_dtype(name: str, array: np.ndarray | csr_array, dtype: np.dtype) -> None:
    if array.dtype != dtype:
        raise ValueError(f"{name} must have dtype {dtype}, got {array.dtype}.")


def _check_written(name: str, array: Array) -> None:
    if not array.flags.carray:
        raise ValueError(f"{name} must be writable and in C order: it is changed in place.")


def _check_rows(data: Data, rows: NDArray[np.int64]) -> None:
    """Raise IndexError if a row number lies outside ``data``."""
    n_rows = data.X.shape[0]
    if rows.size and not (0 <= rows.min() and rows.max() < n_rows):
        raise IndexError(
            f"rows must lie in [0, {n_rows}), got values from {rows.min()} to {rows.max()}."
        )


def check_csr(X: Inputs) -> None:
    """Raise ValueError if X is a CSR matrix whose arrays contradict each other."""
    if not isinstance(X, csr_array):
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


def _why_not_compiled(function: Function, dtype: np.dtype) -> str | None:
    """None, or the reason why a user's function is no compiled code."""
    try:
        from fastnn.backends.numba.functions import address_of

        address_of(function, dtype)
    except ImportError as error:
        return f"to compile the function {function.name!r} {error}"
    except ValueError as error:
        return f"{error}"
    return None


def why_not_bfloat16(spec: NetworkSpec, dtype: np.dtype) -> str | None:
    """None, or the reason why a network does not train in bfloat16 though its spec says so."""
    if spec.bfloat16 and np.dtype(dtype) != np.float32:
        return f"to train in bfloat16 its numbers must be float32, not {np.dtype(dtype)}."
    return None


def why_unsupported(
    spec: NetworkSpec,
    dtype: np.dtype,
    plan: Plan | None,
    *,
    activations: Collection[str],
    losses: Collection[str],
    inverse_links: Collection[str],
    optimizers: Collection[str],
    rounds: bool,
) -> str | None:
    """What a compiled backend that knows these names says of a network: None, or the reason."""
    if np.dtype(dtype) not in (np.float32, np.float64):
        return f"it computes in float32 or float64, not in {np.dtype(dtype)}."
    if spec.bfloat16 and not rounds:
        return "its kernels do not train in bfloat16; backend='cython' and 'numpy' do."
    if reason := why_not_bfloat16(spec, dtype):
        return reason
    asked = []
    members = [("activation", layer.activation, activations) for layer in spec.layers]
    for kind, member, known in [*members, ("loss", spec.loss, losses)]:
        if isinstance(member, Function):
            if reason := _why_not_compiled(member, dtype):
                return reason
        else:
            asked.append((kind, member.name, known))
    asked.append(("inverse link", spec.loss.inverse_link, inverse_links))
    if plan is not None:
        asked.append(("optimizer", plan.optimizer.kernel, optimizers))
    for kind, name, known in asked:
        if name not in known:
            return f"its kernels do not know the {kind} {name!r}; README.md says how to add it."
    return None
