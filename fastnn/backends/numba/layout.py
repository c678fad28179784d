"""Where does everything stand in the memory that the kernels work on? Offsets count elements."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from fastnn.backends.numba.compiler import SOURCES, VECTOR_BYTES
from fastnn.backends.numba.functions import address_of
from fastnn.backends.numba.math import ACTIVATIONS, MAX_SETTINGS, code
from fastnn.core.family import Member
from fastnn.core.functions import Array, Function
from fastnn.core.network import NetworkSpec, Segment

ZEROS = 0  # where the work space holds a row of zeros
NO_PLACE = -1

LAYER = np.dtype(
    [
        ("n_in", np.int64),
        ("n_out", np.int64),
        ("activation", np.int64),
        ("settings", np.float64, MAX_SETTINGS),  # of the activation
        ("function", np.int64),  # 0, or the address of one that takes the activation's place
        ("ld_in", np.int64),  # from row to row of its input
        ("ld", np.int64),  # of its weights, outputs and deltas: n_out in whole vectors, or 1
        ("w", np.int64),  # in the padded vector: where its weights and biases start
        ("b", np.int64),
        ("w_t", np.int64),  # in the work space: its transposed weights, with rows of ld_in;
        ("inp", np.int64),  # its input, its output and its deltas, a row for each row of data;
        ("out", np.int64),
        ("delta", np.int64),
        ("slope", np.int64),  # and its slopes, where its output does not tell them, or NO_PLACE
        ("keeps_input", np.int64),  # whether its activation's slope is a function of its input
        ("dropout", np.float64),
        (f"kernels_{SOURCES}", np.int64),  # empty; see compiler.py
    ]
)

SEGMENT = np.dtype(
    [
        ("flat", np.int64),  # where it starts in the caller's parameter vector
        ("n_rows", np.int64),
        ("n_columns", np.int64),
        ("start", np.int64),  # where it starts in the padded one
        ("ld", np.int64),  # from row to row there
        ("penalty", np.float64),
    ]
)

FACTORS = ("rate", "penalty", "decay", "epsilon")
PART = np.dtype(
    [("start", np.int64), ("stop", np.int64), *((factor, np.float64) for factor in FACTORS)]
)


class Layout(NamedTuple):
    """A network's tables, and how many elements its vectors need.

    ``parts`` is what trains: neighbouring segments with the same factors are one part, for the sake
    of small networks.
    """

    layers: NDArray[np.void]
    segments: NDArray[np.void]
    parts: NDArray[np.void]
    n_padded: int
    n_work: int


def lay_out(
    spec: NetworkSpec,
    segments: Iterable[Segment],
    dtype: np.dtype,
    n_rows: int,
    *,
    sparse: bool,
    slopes: bool,
) -> Layout:
    """Places for a network, its segments, and ``n_rows`` rows at a time.

    ``slopes`` says whether there will be a backward pass.
    """
    lanes = VECTOR_BYTES // dtype.itemsize

    def whole(n: int) -> int:
        return -(-n // lanes) * lanes

    widths = [_row_length(whole(layer.n_out), lanes) for layer in spec.layers]
    if spec.n_out == 1:
        widths[-1] = 1  # its own loops: a vector for one output would be nearly all waste
    layers = np.zeros(len(spec.layers), LAYER)
    n_work = ZEROS + max(whole(width) for width in widths)

    def reserve(n: int) -> int:
        nonlocal n_work
        n_work += whole(n)
        return n_work - whole(n)

    inp, ld_in = reserve(0 if sparse else n_rows * spec.n_in), spec.n_in  # a block's rows of X
    for i, (row, layer, ld) in enumerate(zip(layers, spec.layers, widths, strict=True)):
        row["n_in"], row["n_out"], row["ld_in"], row["ld"] = layer.n_in, layer.n_out, ld_in, ld
        row["activation"], row["function"] = kernel(ACTIVATIONS, layer.activation, dtype)
        settings = layer.activation.settings()
        row["settings"][: len(settings)] = settings
        row["inp"], row["out"], row["delta"] = inp, reserve(n_rows * ld), reserve(n_rows * ld)
        row["w_t"] = reserve(layer.n_out * ld_in if i else 0)
        row["keeps_input"] = layer.activation.keeps == "input"
        row["dropout"] = layer.dropout
        kept = slopes and (row["keeps_input"] or row["function"] or row["dropout"])
        row["slope"] = reserve(n_rows * ld) if kept else NO_PLACE
        inp, ld_in = row["out"], ld

    n_padded = 0
    places = {}  # of each segment: where it stands, and from row to row
    for name, own in (("w", spec.layout.weights), ("b", spec.layout.biases)):
        for row, segment, ld in zip(layers, own, widths, strict=True):
            row[name] = n_padded
            places[segment.start] = n_padded, ld
            n_padded += whole(math.prod(segment.shape[:-1]) * ld)

    table: list[tuple] = []
    parts: list[tuple] = []
    for segment in segments:
        start, ld = places[segment.start]
        n_rows, n_columns = math.prod(segment.shape[:-1]), segment.shape[-1]
        table.append((segment.start, n_rows, n_columns, start, ld, segment.penalty))
        if segment.trainable:
            stop = start + whole(n_rows * ld)
            factors = tuple(getattr(segment, factor) for factor in FACTORS)
            if parts and parts[-1][1:] == (start, *factors):
                start = parts.pop()[0]
            parts.append((start, stop, *factors))
    return Layout(layers, np.array(table, SEGMENT), np.array(parts, PART), n_padded, n_work)


def kernel(known: Mapping[str, Any], member: Member, dtype: np.dtype) -> tuple[int, int]:
    """A member's code among ``known`` and 0; or, of a user's, 0 and its function's address."""
    if isinstance(member, Function):
        return 0, address_of(member, dtype)
    return code(known, member.name), 0


def _row_length(n: int, lanes: int) -> int:
    """``n`` whole vectors, and one more where long rows would be an even number of them.

    Rows at a distance of a power of two fall on the same few lines of the first-level cache.
    """
    return n + lanes if n >= 8 * lanes and n // lanes % 2 == 0 else n


def aligned(n: int, dtype: np.dtype) -> Array:
    """``n`` zeros that start where a vector register's load does not straddle two cache lines."""
    spare = VECTOR_BYTES // dtype.itemsize
    memory = np.zeros(n + spare, dtype)
    start = -memory.ctypes.data % VECTOR_BYTES // dtype.itemsize
    return memory[start : start + n]
