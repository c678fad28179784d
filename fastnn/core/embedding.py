"""How does an encoded table enter a network? Numbers by piecewise-linear embeddings, categories.

Each numeric column is cut into bins by edges ``e_0 < ... < e_n``. A number x in bin j, at the
fraction ``t = (x - e_j) / (e_{j+1} - e_j)`` of it, becomes ``bias + x linear + sum_{i<j} W_i + t
W_j``, a vector of ``size`` numbers: the piecewise-linear encoding of Gorishniy et al. (2022, arXiv
2203.05556) times a matrix W of one row for each bin. Within a bin that is ``C_j + t D_j``, with C
and D made once for all rows; encoding and product never are. Indicators and categories follow, and
everything is multiplied by a scaling layer (Holzmueller et al. 2024, arXiv 2407.04491).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastnn.core.activations import Array


@dataclass(frozen=True)
class Encoded:
    """The rows of a table, as an embedding reads them.

    Attributes
    ----------
    bins : ndarray of uint8, shape (n_rows, n_numeric)
        The bin of each number.
    fractions : ndarray of shape (n_rows, n_numeric), of the engine's dtype
        Where in its bin it stands, from 0 to 1; less or more beyond the outer edges.
    indicators : ndarray of shape (n_rows, n_indicators), of the engine's dtype
        Columns that are taken as they are.
    codes : ndarray of int32, shape (n_rows, n_categorical)
        Which of the embedding's ``hot`` columns is not 0; -1 means none.
    """

    bins: NDArray[np.uint8]
    fractions: Array
    indicators: Array
    codes: NDArray[np.int32]

    @classmethod
    def joined(cls, parts: Sequence[Encoded]) -> Encoded:
        """The rows of several parts of a table, one after the other."""
        names = [field.name for field in fields(cls)]
        return cls(*(np.concatenate([getattr(part, name) for part in parts]) for name in names))

    @property
    def shape(self) -> tuple[int, int]:
        """Rows, and cells of a row."""
        each = self.fractions, self.indicators, self.codes
        return len(self.fractions), sum(array.shape[1] for array in each)

    @property
    def dtype(self) -> np.dtype:
        """Of the fractions."""
        return self.fractions.dtype

    def __getitem__(self, rows: NDArray[np.integer] | slice) -> Encoded:
        return Encoded(
            self.bins[rows], self.fractions[rows], self.indicators[rows], self.codes[rows]
        )

    def astype(self, dtype: np.dtype) -> Encoded:
        """The same rows with fractions and indicators of another dtype."""
        return Encoded(
            self.bins,
            self.fractions.astype(dtype, copy=False),
            self.indicators.astype(dtype, copy=False),
            self.codes,
        )


@dataclass(frozen=True)
class Embedding:
    """What stands below the first layer of a network of encoded tables.

    Attributes
    ----------
    edges : tuple of tuple of float
        The edges of each numeric column's bins, ascending; one more than there are bins.
    size : int
        Numbers that a numeric column becomes.
    n_indicators : int
    hot : tuple of float
        For each category of each categorical column, the number that it becomes in a column of its
        own, 0 elsewhere.
    """

    edges: tuple[tuple[float, ...], ...]
    size: int = 8
    n_indicators: int = 0
    hot: tuple[float, ...] = ()

    def __post_init__(self) -> None:
        n_edges = [len(edges) for edges in self.edges]
        if min(n_edges, default=2) < 2 or self.size < 1 or self.n_indicators < 0:
            raise ValueError(
                "An embedding has at least 2 edges of each column, size 1 and 0 indicators, got"
                f" {n_edges}, {self.size} and {self.n_indicators}."
            )

    def __getstate__(self) -> dict[str, Any]:
        return {field.name: getattr(self, field.name) for field in fields(self)}

    def __setstate__(self, state: dict[str, Any]) -> None:
        # Asked as if made anew: where they say, compiled code reads. What follows is not believed.
        self.__init__(*(state[field.name] for field in fields(self)))  # type: ignore[misc]

    @property
    def n_out(self) -> int:
        """Inputs of the first layer."""
        return len(self.edges) * self.size + self.n_indicators + len(self.hot)

    @cached_property
    def starts(self) -> NDArray[np.int64]:
        """Where each column's bins begin among all bins, and their total; ``(n_numeric + 1,)``."""
        return np.cumsum([0, *(len(edges) - 1 for edges in self.edges)])

    @cached_property
    def lower(self) -> NDArray[np.float64]:
        """The lower edge of each bin, ``(n_bins,)``."""
        return np.array([edge for edges in self.edges for edge in edges[:-1]], np.float64)

    @cached_property
    def widths(self) -> NDArray[np.float64]:
        """The width of each bin, ``(n_bins,)``."""
        return np.array([width for edges in self.edges for width in np.diff(edges)], np.float64)

    @cached_property
    def columns(self) -> NDArray[np.int64]:
        """The column of each bin, ``(n_bins,)``."""
        return np.repeat(np.arange(len(self.edges)), np.diff(self.starts))

    def shapes(self) -> tuple[tuple[int, ...], ...]:
        """The shapes of its parameters: W, linear, bias and scale."""
        n_columns = len(self.edges), self.size
        return (int(self.starts[-1]), self.size), n_columns, n_columns, (self.n_out,)

    def tables(self, W: Array, linear: Array, bias: Array) -> tuple[Array, Array]:
        """C and D ``(n_bins, size)``: a number of bin j at fraction t becomes ``C_j + t D_j``."""
        C, D = np.empty_like(W), np.empty_like(W)
        for f, (start, stop) in enumerate(zip(self.starts, self.starts[1:], strict=False)):
            own = slice(start, stop)
            below = np.cumsum(W[own], axis=0) - W[own]
            lower, widths = (a[own, None].astype(W.dtype) for a in (self.lower, self.widths))
            C[own] = bias[f] + below + lower * linear[f]
            D[own] = W[own] + widths * linear[f]
        return C, D

    def forward(self, params: Sequence[Array], X: Encoded) -> Array:
        """The first layer's input ``(n_rows, n_out)``; ``params`` as :meth:`shapes` lists them."""
        W, linear, bias, scale = params
        return self._unscaled(self.tables(W, linear, bias), X) * scale

    def gradient(self, params: Sequence[Array], X: Encoded, delta: Array) -> tuple[Array, ...]:
        """The gradients of the parameters from ``delta``, that of :meth:`forward`'s result."""
        W, linear, bias, scale = params
        d_scale = (delta * self._unscaled(self.tables(W, linear, bias), X)).sum(axis=0)
        n_numbers = len(self.edges) * self.size
        g = (delta * scale)[:, :n_numbers].reshape(len(delta), len(self.edges), self.size)
        bins = X.bins + self.starts[:-1]
        A, B = np.zeros_like(W), np.zeros_like(W)  # sums over a bin's rows of g and of t g
        np.add.at(A, bins, g)
        np.add.at(B, bins, X.fractions[:, :, None] * g)
        d_W, d_linear, d_bias = np.empty_like(W), np.zeros_like(linear), np.zeros_like(bias)
        for f, (start, stop) in enumerate(zip(self.starts, self.starts[1:], strict=False)):
            own = slice(start, stop)
            lower, widths = (a[own, None].astype(W.dtype) for a in (self.lower, self.widths))
            above = np.cumsum(A[own][::-1], axis=0)[::-1] - A[own]
            d_W[own] = B[own] + above
            d_linear[f] = (lower * A[own] + widths * B[own]).sum(axis=0)
            d_bias[f] = A[own].sum(axis=0)
        return d_W, d_linear, d_bias, d_scale

    def _unscaled(self, tables: tuple[Array, Array], X: Encoded) -> Array:
        C, D = tables
        bins = X.bins + self.starts[:-1]
        numbers = C[bins] + X.fractions[:, :, None] * D[bins]
        hot = np.zeros((len(X.bins), len(self.hot)), X.dtype)
        rows, columns = np.nonzero(X.codes >= 0)
        codes = X.codes[rows, columns]
        hot[rows, codes] = np.array(self.hot, X.dtype)[codes]
        return np.hstack([numbers.reshape(len(numbers), -1), X.indicators, hot])
