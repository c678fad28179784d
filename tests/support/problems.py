"""What do the engine tests train on? Small random problems for any network, in the arrays an engine reads."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from scipy.sparse import csr_array

from fastnn.backends.base import Data, TrainState
from fastnn.core.losses import LOSSES
from fastnn.core.network import NetworkSpec, initialise
from fastnn.core.optimizers import Optimizer


def problem(
    spec: NetworkSpec, n_rows: int, dtype=np.float64, seed: int = 0, weighted: bool = False
) -> Data:
    """Rows that fit ``spec``; about a third of X is zero, so that the same numbers serve as sparse input."""
    rng = np.random.default_rng(seed)
    X = np.where(rng.random((n_rows, spec.n_in)) < 0.3, 0, rng.normal(size=(n_rows, spec.n_in)))
    if LOSSES[spec.loss].y_is_codes:
        y = rng.integers(spec.n_out, size=n_rows).astype(np.int32)
    elif spec.loss == "binary_log_loss":
        y = rng.integers(2, size=(n_rows, spec.n_out)).astype(dtype)
    elif spec.loss == "poisson":
        y = rng.poisson(1.5, size=(n_rows, spec.n_out)).astype(dtype)
    else:
        y = rng.normal(size=(n_rows, spec.n_out)).astype(dtype)
    weight = rng.uniform(0.2, 3, n_rows).astype(dtype) if weighted else None
    return Data(X.astype(dtype), y, weight)


def as_csr(data: Data) -> Data:
    """The same rows with a sparse X."""
    return replace(data, X=csr_array(data.X))


def fresh_state(
    spec: NetworkSpec, optimizer: Optimizer, dtype=np.float64, seed: int = 0
) -> TrainState:
    """A network before its first step."""
    params = initialise(spec, np.dtype(dtype), np.random.RandomState(seed))
    return TrainState(params, np.zeros((optimizer.n_slots, len(params)), dtype))


def copy_state(state: TrainState) -> TrainState:
    """An independent copy."""
    return TrainState(state.params.copy(), state.slots.copy(), state.step)
