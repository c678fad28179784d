"""The one door between what a network is and how fast it runs. Read this file first.

A backend offers an engine per network; an engine offers three calls. NumPy (the reference), Numba
and Cython implement them and are tested to agree. Nothing below this line knows of schedules,
stopping, shuffling or scikit-learn: the rows to visit and the rates to use come in as arrays.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array

from fastnn.core.activations import Array
from fastnn.core.network import NetworkSpec
from fastnn.core.optimizers import Optimizer


@dataclass(frozen=True)
class Data:
    """What is learned from. All floating arrays have the engine's dtype.

    Attributes
    ----------
    X : ndarray of shape (n_rows, n_in), C order, possibly read-only; or csr_array of that shape
    y : ndarray of shape (n_rows, n_out), C order; for ``log_loss`` label codes, int32 of shape (n_rows,)
    weight : ndarray of shape (n_rows,) or None
        How much each row counts; None means 1 for each.
    """

    X: Array | csr_array
    y: np.ndarray
    weight: Array | None = None


@dataclass(frozen=True)
class Passes:
    """What to do with the data: rows in order of visit, cut into batches of ``plan.batch_size``,
    the last one shorter.

    Attributes
    ----------
    rows : ndarray of int64, shape (n_passes, n_visits), C order
        Row numbers into ``Data``; checked against its number of rows once, on entry.
    rates : ndarray of float64, shape (n_passes, n_steps)
        The learning rate of each step; ``n_steps = ceil(n_visits / batch_size)``.
    """

    rows: NDArray[np.int64]
    rates: NDArray[np.float64]


@dataclass
class TrainState:
    """What training changes. Plain arrays, picklable, the same for every backend.

    Attributes
    ----------
    params : ndarray of shape (n_params,), in the order of ``ParamLayout``
    slots : ndarray of shape (optimizer.n_slots, n_params), optimizer memory
    step : int, minibatches done so far
    """

    params: Array
    slots: Array
    step: int = 0


@dataclass(frozen=True)
class Plan:
    """How a network is trained, apart from the data.

    Attributes
    ----------
    optimizer : SGD or Adam
    batch_size : int
    alpha : float
        L2 penalty. A batch's loss is ``(sum_i w_i loss_i + alpha/2 |W|^2) / s`` and its gradient accordingly, where s is the
        sum of the batch's weights (its number of rows without weights); biases are exempt. As in scikit-learn.
        A batch whose weights sum to zero has loss 0 and gradient 0 (scikit-learn divides by zero there).
    n_threads : int
        The most threads one call may use. Never changes a result, not by a bit.
    """

    optimizer: Optimizer
    batch_size: int = 200
    alpha: float = 0.0
    n_threads: int = 1


class Engine(Protocol):
    """The arithmetic of one network. Owns scratch only; releases the GIL where it is compiled."""

    def train(self, state: TrainState, data: Data, passes: Passes) -> NDArray[np.float64]:
        """Train in place; return each pass's mean batch loss ``(n_passes,)``, every batch counted
        by its rows.

        Equal, to rounding, to ``loss_grad`` and ``optimizer.update`` in turn for every batch. Not
        re-entrant.
        """
        ...

    def loss_grad(
        self, state: TrainState, data: Data, rows: NDArray[np.int64], grad: Array
    ) -> float:
        """The loss of the batch ``rows (n,)``, penalty included; writes its gradient to ``grad
        (n_params,)``.

        Scratch does not grow with n. Not re-entrant.
        """
        ...

    def forward(
        self,
        params: Array,
        X: Array | csr_array,
        out: Array,
        link: bool = False,
        check: bool = False,
    ) -> None:
        """Write the raw outputs, or with ``link`` the predictions of the loss's link, to ``out
        (n_rows, n_out)``.

        Re-entrant: threads may share an engine. With ``check`` raises :class:`NotFinite`, ``out``
        then worth nothing, if a dense X holds NaN or infinity: a look at numbers that are at hand
        anyway.
        """
        ...


class Backend(Protocol):
    """A way to run networks. ``supports`` answers before ``engine`` is called."""

    name: str

    def supports(self, spec: NetworkSpec, dtype: np.dtype) -> str | None:
        """None, or the reason why this network cannot run here, as a sentence."""
        ...

    def engine(self, spec: NetworkSpec, plan: Plan, dtype: np.dtype) -> Engine:
        """An engine for this network."""
        ...


class NotFinite(ValueError):
    """X holds NaN, infinity, or numbers that only a full validation can tell from them."""


def check_finite(X: Array | csr_array) -> None:
    """Raise NotFinite unless the sum of squares of a dense X is finite: huge numbers are left to the full validation."""
    if isinstance(X, np.ndarray) and not math.isfinite(np.vdot(X, X)):
        raise NotFinite


def check_batches(data: Data, passes: Passes, batch_size: int) -> None:
    """Raise IndexError or ValueError if ``passes`` does not fit ``data``; every engine calls it once on entry of ``train``."""
    n_steps = -(-passes.rows.shape[1] // batch_size)
    if passes.rates.shape != (passes.rows.shape[0], n_steps):
        raise ValueError(
            f"rates must have shape {(passes.rows.shape[0], n_steps)}, got {passes.rates.shape}."
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
    """Raise ValueError if X is a CSR matrix whose arrays contradict each other: compiled code would read beyond them."""
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
            "X is no valid CSR matrix: indptr must begin with 0, not decrease, and end within indices and data."
        )
    if indices.size and not (0 <= indices.min() and indices.max() < X.shape[1]):
        raise ValueError(
            f"X.indices must lie in [0, {X.shape[1]}), got values from {indices.min()} to {indices.max()}."
        )
