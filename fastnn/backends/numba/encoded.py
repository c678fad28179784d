"""How does an encoded table enter a network, and what do its deltas say of the embedding?

As core/embedding.py defines it, with tables of what each bin comes to, scale included.
"""

# mypy: ignore-errors
# Numba finds the types at the first call.

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from fastnn.backends.numba.compiler import fast
from fastnn.backends.numba.layout import Places
from fastnn.core.embedding import Embedding, Encoded


class Encoding(NamedTuple):
    """An embedding, its places in the padded vector and the work space, and the rows, as vectors.

    Kernels take None in its place where X is not encoded, and are then compiled without it.
    """

    size: int
    starts: np.ndarray
    lower: np.ndarray
    widths: np.ndarray
    hot: np.ndarray
    bins: np.ndarray
    fractions: np.ndarray
    indicators: np.ndarray
    codes: np.ndarray
    n_indicators: int
    n_codes: int
    places: Places


def encoding(own: Embedding, places: Places, X: Encoded, plain) -> Encoding:
    """Of an embedding and rows; ``plain`` makes of an array what kernels read."""
    hot = np.array(own.hot)
    constants = (constant.astype(X.dtype) for constant in (own.lower, own.widths, hot))
    rows = (plain(one).reshape(-1) for one in (X.bins, X.fractions, X.indicators, X.codes))
    return Encoding(
        own.size, own.starts, *constants, *rows, own.n_indicators, X.codes.shape[1], places
    )


@fast
def begin_batch(e, padded, work):
    """Make the tables, and sums of 0."""
    at, size, n = e.places, e.size, e.lower.size * e.size
    for f in range(e.starts.size - 1):
        for k in range(f * size, (f + 1) * size):
            below, linear, scale = padded[at.bias + k], padded[at.linear + k], padded[at.scale + k]
            for j in range(e.starts[f], e.starts[f + 1]):
                i = j * size + k - f * size
                w = padded[at.bins + i]
                work[at.tables + i] = (below + e.lower[j] * linear) * scale
                work[at.tables + n + i] = (w + e.widths[j] * linear) * scale
                below += w
    for i in range(2 * n):
        work[at.sums + i] = 0


@fast
def embed(e, layer, padded, rows, work):
    """Write the first layer's input."""
    at, size, n, n_columns = e.places, e.size, e.lower.size * e.size, e.starts.size - 1
    first = n_columns * size
    for i in range(rows.size):
        row, out = rows[i], layer.inp + i * layer.ld_in
        for f in range(n_columns):
            table = at.tables + (e.starts[f] + e.bins[row * n_columns + f]) * size
            t = e.fractions[row * n_columns + f]
            for k in range(size):
                work[out + f * size + k] = work[table + k] + t * work[table + n + k]
        for k in range(e.n_indicators):
            x = e.indicators[row * e.n_indicators + k]
            work[out + first + k] = x * padded[at.scale + first + k]
        after = first + e.n_indicators
        for k in range(e.hot.size):
            work[out + after + k] = 0
        for c in range(e.n_codes):
            code = e.codes[row * e.n_codes + c]
            if code >= 0:
                work[out + after + code] = e.hot[code] * padded[at.scale + after + code]


@fast
def add_deltas(e, grad, rows, work):
    """Sum up a block's deltas of the first layer's input, which stand at ``below``."""
    at, size, n, n_columns = e.places, e.size, e.lower.size * e.size, e.starts.size - 1
    first = n_columns * size
    after = first + e.n_indicators
    for i in range(rows.size):
        row, delta = rows[i], at.below + i * at.ld_below
        for f in range(n_columns):
            sums = at.sums + (e.starts[f] + e.bins[row * n_columns + f]) * size
            t = e.fractions[row * n_columns + f]
            for k in range(size):
                g = work[delta + f * size + k]
                work[sums + k] += g
                work[sums + n + k] += t * g
        for k in range(e.n_indicators):
            x = e.indicators[row * e.n_indicators + k]
            grad[at.scale + first + k] += x * work[delta + first + k]
        for c in range(e.n_codes):
            code = e.codes[row * e.n_codes + c]
            if code >= 0:
                grad[at.scale + after + code] += e.hot[code] * work[delta + after + code]


@fast
def end_batch(e, padded, grad, work):
    """The gradients of the embedding's numbers, from the sums of each bin's rows."""
    at, size, n = e.places, e.size, e.lower.size * e.size
    for f in range(e.starts.size - 1):
        for k in range(f * size, (f + 1) * size):
            below, linear, scale = padded[at.bias + k], padded[at.linear + k], padded[at.scale + k]
            for j in range(e.starts[f], e.starts[f + 1]):
                i = j * size + k - f * size
                a, b, w = work[at.sums + i], work[at.sums + n + i], padded[at.bins + i]
                value = a * (below + e.lower[j] * linear) + b * (w + e.widths[j] * linear)
                grad[at.scale + k] += value
                grad[at.linear + k] += (e.lower[j] * a + e.widths[j] * b) * scale
                grad[at.bias + k] += a * scale
                below += w
            above = scale * 0
            for j in range(e.starts[f + 1] - 1, e.starts[f] - 1, -1):
                i = j * size + k - f * size
                grad[at.bins + i] += work[at.sums + n + i] * scale + above
                above += work[at.sums + i] * scale
