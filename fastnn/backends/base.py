"""The one door between what a network is and how fast it runs. Read this file first.

A backend offers an engine per network; an engine answers, gives gradients and trains. NumPy (the
reference), Numba and Cython implement it and are tested to agree. Nothing below this line knows of
schedules, stopping, shuffling or scikit-learn: the rows to visit and the rates to use come in as
arrays.

Several networks of one spec, the *members*, may be trained in one call. The first axis of params,
slots, seeds, rows, rates and losses counts them; where it is 1, ``seeds``, ``rows`` and ``rates``
are shared by all.
The numbers are to the bit those of a call for each member.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from typing import Protocol

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array

from fastnn.backends.checks import Inputs, check_csr, check_segments
from fastnn.core.activations import Array
from fastnn.core.network import NetworkSpec, Segment
from fastnn.core.optimizers import Optimizer


def csr_arrays(X: csr_array) -> tuple[Array, np.ndarray, np.ndarray, int]:
    """What compiled code reads of a CSR matrix: values, indices, indptr, the longest row's entries.

    Indices and indptr have one dtype, int32 or int64.
    """
    indices, indptr = X.indices, X.indptr
    if indices.dtype != indptr.dtype:
        indices, indptr = indices.astype(np.int64), indptr.astype(np.int64)
    return X.data, indices, indptr, int(np.diff(indptr).max(initial=0))


@dataclass(frozen=True)
class Data:
    """What is learned from. All floating arrays have the engine's dtype.

    Attributes
    ----------
    X : ndarray of shape (n_rows, n_in), C order, possibly read-only; or csr_array of that shape; or
        Encoded, for a network with an embedding. A CSR matrix is checked here, once for every call
        that reads it.
    y : ndarray of shape (n_rows, n_out), C order
        For ``log_loss`` label codes, int32 of shape (n_rows,).
    weight : ndarray of shape (n_rows,) or None
        How much each row counts; None means 1 for each.
    """

    X: Inputs
    y: np.ndarray
    weight: Array | None = None

    def __post_init__(self) -> None:
        check_csr(self.X)

    @cached_property
    def csr(self) -> tuple[Array, np.ndarray, np.ndarray, int]:
        """:func:`csr_arrays` of a CSR X, made once for all calls."""
        return csr_arrays(self.X)


@dataclass(frozen=True)
class Passes:
    """What to do with the data: rows in order of visit, cut into batches of ``plan.batch_size``.

    The last batch of a pass may be shorter.

    Attributes
    ----------
    rows : ndarray of int64, shape (n_members or 1, n_passes, n_visits)
        Row numbers into ``Data``; checked against its number of rows once, on entry.
    rates : ndarray of float64, shape (n_members or 1, n_passes, n_steps)
        The learning rate of each step; ``n_steps = ceil(n_visits / batch_size)``. What a bias
        correction makes of it is asked of the optimizer.
    """

    rows: NDArray[np.int64]
    rates: NDArray[np.float64]


@dataclass
class TrainState:
    """What training changes. Plain arrays in C order, picklable, the same for every backend.

    Attributes
    ----------
    params : ndarray of shape (n_members, n_params), each in the order of ``ParamLayout``
    slots : ndarray of shape (n_members, optimizer.n_slots, n_params), optimizer memory
        At first ``optimizer.new_slots(params)``.
    step : int, minibatches done so far
    seeds : ndarray of uint32, shape (n_members or 1,)
        What dropout is drawn from, by :func:`fastnn.core.dropout.factors`, and batches are
        augmented by; empty where nothing is drawn.
    """

    params: Array
    slots: Array
    step: int = 0
    seeds: NDArray[np.uint32] = field(default_factory=lambda: np.empty(0, np.uint32))

    @property
    def each_seed(self) -> NDArray[np.uint32]:
        """A new array ``(n_members,)``; zeros where nothing is drawn."""
        return np.full(len(self.params), self.seeds if len(self.seeds) else 0, np.uint32)


@dataclass(frozen=True)
class Plan:
    """How a network is trained, apart from the data.

    Attributes
    ----------
    optimizer : Optimizer
        Settings that it leaves open become scikit-learn's defaults.
    batch_size : int
    alpha : float
        L2 penalty, in the sense of :func:`fastnn.core.losses.batch_objective`.
    segments : tuple of Segment or None
        Those of the network's layout, in its order, with other factors; None takes them as they
        are.
    """

    optimizer: Optimizer
    batch_size: int = 200
    alpha: float = 0.0
    segments: tuple[Segment, ...] | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "optimizer", self.optimizer.filled())  # the class is frozen

    def segments_of(self, spec: NetworkSpec) -> tuple[Segment, ...]:
        """How each part of the network trains.

        ValueError if segments of the plan's own stand elsewhere than those of the layout.
        """
        if self.segments is None:
            return spec.layout.segments
        check_segments(spec, self.segments)
        return self.segments


class Trainer(Protocol):
    """An engine with a plan. Owns scratch only; not re-entrant."""

    def train(self, state: TrainState, data: Data, passes: Passes) -> NDArray[np.float64]:
        """Train in place; return each pass's mean batch loss ``(n_members, n_passes)``.

        Every batch counts by its rows. Equal, to rounding, to ``Engine.gradient``,
        ``batch_objective`` and ``optimizers.step`` in turn for every batch.
        """
        ...


class Engine(Protocol):
    """The arithmetic of one network. Owns scratch only; releases the GIL where it is compiled."""

    def forward(self, params: Array, X: Inputs, out: Array) -> None:
        """Write the raw outputs of ``params (n_params,)`` to ``out (n_rows, n_out)``.

        Re-entrant: threads may share an engine.
        """
        ...

    def predict(self, params: Array, X: Inputs, out: Array) -> None:
        """Write the predictions, raw outputs through the inverse link, to ``out (n_rows, n_out)``.

        Or those of several members ``params (n_members, n_params)`` to ``out (n_members, n_rows,
        n_out)``, one after the other. Re-entrant. Raises
        :class:`fastnn.backends.checks.NotFinite`, ``out`` then worth nothing, if a dense X holds
        NaN or infinity.
        """
        ...

    def gradient(
        self, state: TrainState, data: Data, rows: NDArray[np.int64], grad: Array
    ) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Write the gradient of the rows' weighted loss to ``grad (n_members, n_params)``.

        Plain sums, without a penalty, so that those of data in several places add up. Scratch does
        not grow with the rows. Not re-entrant. The rows are the batch of ``state.step``: dropout
        silences what it does in that step of ``train``.

        Parameters
        ----------
        rows : ndarray of int64, shape (n_members or 1, n)

        Returns
        -------
        loss_sum, weight_sum : ndarray of float64, shape (n_members,)
            ``sum_i w_i loss_i`` and ``sum_i w_i``.
        """
        ...

    def trainer(self, plan: Plan) -> Trainer:
        """What trains this network by ``plan``."""
        ...


class Backend(Protocol):
    """A way to run networks. ``supports`` answers before ``engine`` is called."""

    name: str

    def supports(self, spec: NetworkSpec, dtype: np.dtype, plan: Plan | None = None) -> str | None:
        """None, or the reason why this cannot run here, as a sentence."""
        ...

    def engine(self, spec: NetworkSpec, dtype: np.dtype, n_threads: int = 1) -> Engine:
        """An engine for this network.

        ``n_threads`` is the most threads that one call may use. It never changes a result, not by a
        bit.
        """
        ...
