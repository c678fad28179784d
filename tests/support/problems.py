"""What do the engine tests train on?

Small random problems for any network, in the arrays an engine reads.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from scipy.sparse import csr_array

from fastnn.backends import load
from fastnn.backends.base import Data, Engine, Passes, Plan, TrainState
from fastnn.core.embedding import Embedding, Encoded
from fastnn.core.losses import (
    LOSSES,
    Focal,
    Function,
    Huber,
    LabelLoss,
    Loss,
    Quantile,
    batch_objective,
)
from fastnn.core.network import NetworkSpec, initialise
from fastnn.core.optimizers import SGD, Adam, Optimizer, RMSprop


def log_cosh(raw, y):
    """A loss as a user writes it."""
    return np.logaddexp(raw - y, y - raw) - np.log(2)


def slope_of_log_cosh(raw, y):
    """Its derivative by raw."""
    return np.tanh(raw - y)


# Every loss with its default settings, those that have settings with others, and a user's.
LOSS_VARIANTS: dict[str, Loss] = {
    **LOSSES,
    "small huber": Huber(0.3),
    "quantiles": Quantile([0.1, 0.5, 0.9]),
    "sharp focal": Focal(0.5),
    "own": Function(log_cosh, slope_of_log_cosh, name="own"),
    **{
        f"smoothed {loss.name}": replace(loss, label_smoothing=0.3)
        for loss in LOSSES.values()
        if isinstance(loss, LabelLoss)
    },
}


# Every optimizer's rule, and every setting that goes around it.
RULES = [
    SGD(0.9, True),
    SGD(0.7, False, max_norm=0.5),
    SGD(0.0, False, l1=0.1),
    Adam(weight_decay=0.5),
    Adam(0.8, 0.9, 1e-3, ema=0.5),
    RMSprop(0.8, 0.5, 1e-1, weight_decay=0.5, l1=0.1, max_norm=0.5, ema=0.5),
]


def problem(
    spec: NetworkSpec, n_rows: int, dtype=np.float64, seed: int = 0, weighted: bool = False
) -> Data:
    """Rows that fit ``spec``; about a third of X is zero, for the same numbers as sparse input."""
    rng = np.random.default_rng(seed)
    if spec.embedding is None:
        shape = n_rows, spec.n_in
        X = np.where(rng.random(shape) < 0.3, 0, rng.normal(size=shape)).astype(dtype)
    else:
        X = encoded(spec.embedding, n_rows, dtype, rng)
    if spec.loss.y_is_codes:
        y = rng.integers(spec.n_out, size=n_rows).astype(np.int32)
    elif spec.loss.targets == "labels":
        y = rng.integers(2, size=(n_rows, spec.n_out)).astype(dtype)
    elif spec.loss.name == "poisson":
        y = rng.poisson(1.5, size=(n_rows, spec.n_out)).astype(dtype)
    elif spec.loss.name == "gamma":
        y = rng.gamma(2.0, size=(n_rows, spec.n_out)).astype(dtype)
    else:
        y = rng.normal(size=(n_rows, spec.n_out)).astype(dtype)
    weight = rng.uniform(0.2, 3, n_rows).astype(dtype) if weighted else None
    return Data(X, y, weight)


def encoded(embedding: Embedding, n_rows: int, dtype, rng: np.random.Generator) -> Encoded:
    """Rows of a table: three categorical columns' worth of codes, numbers beyond the edges too."""
    n_bins = np.diff(embedding.starts)
    fractions = rng.uniform(size=(n_rows, len(n_bins)))
    bins = rng.integers(np.maximum(n_bins, 1), size=fractions.shape)
    fractions = np.where((bins == 0) & (rng.random(fractions.shape) < 0.2), -fractions, fractions)
    half = len(embedding.hot) // 2  # two columns of categories
    codes = np.column_stack(
        [rng.integers(-1, half, n_rows), rng.integers(half - 1, len(embedding.hot), n_rows)]
    )
    codes[codes[:, 1] < half, 1] = -1
    return Encoded(
        bins.astype(np.uint8),
        fractions.astype(dtype),
        rng.normal(size=(n_rows, embedding.n_indicators)).astype(dtype),
        codes.astype(np.int32),
    )


def as_csr(data: Data) -> Data:
    """The same rows with a sparse X."""
    return replace(data, X=csr_array(data.X))


def fresh_state(
    spec: NetworkSpec, optimizer: Optimizer, dtype=np.float64, seed: int = 0, n_members: int = 1
) -> TrainState:
    """Networks before their first step, each drawn from a seed of its own."""
    params = np.stack(
        [
            initialise(spec, np.dtype(dtype), np.random.RandomState(seed + i))
            for i in range(n_members)
        ]
    )
    seeds = np.arange(seed, seed + (n_members if spec.drops else 0), dtype=np.uint32)
    return TrainState(params, optimizer.new_slots(params), seeds=seeds)


def copy_state(state: TrainState) -> TrainState:
    """An independent copy."""
    return replace(state, params=state.params.copy(), slots=state.slots.copy())


def member(state: TrainState, i: int) -> TrainState:
    """An independent copy of one network of several."""
    one = slice(i, i + 1)
    return TrainState(
        state.params[one].copy(), state.slots[one].copy(), state.step, state.seeds[one].copy()
    )


def loss_and_gradient(
    engine: Engine, plan: Plan, spec: NetworkSpec, state: TrainState, data: Data, rows, grad
) -> float:
    """The penalised mean loss of rows ``(n,)``; its gradient goes to ``grad (1, n_params)``."""
    (loss_sum,), (weight_sum,) = engine.gradient(state, data, np.asarray(rows)[None], grad)
    return batch_objective(
        loss_sum,
        weight_sum,
        state.params[0],
        grad[0],
        plan.segments_of(spec),
        plan.alpha,
        plan.optimizer.l1,
    )


def use_every_kernel(backend: str) -> None:
    """Let a backend compile all it compiles, for a cache on disk that other processes read."""
    spec, plan = NetworkSpec.dense([2, 2], "relu", "squared_error"), Plan(SGD(), 3)
    rows = np.arange(3)[None]
    for dtype in (np.float64, np.float32):
        engine = load(backend).engine(spec, np.dtype(dtype))
        state, data = fresh_state(spec, plan.optimizer, dtype), problem(spec, 3, dtype)
        engine.gradient(state, data, rows, np.empty_like(state.params))
        engine.forward(state.params[0], data.X, np.empty((3, 2), dtype))
        engine.trainer(plan).train(state, data, Passes(rows[None], np.full((1, 1, 1), 0.1)))
