"""Does every backend compute what the reference does, for networks that nobody thought of?"""

from __future__ import annotations

import os
from dataclasses import dataclass, replace

import numpy as np
import pytest
from support.problems import LOSS_VARIANTS, as_csr, copy_state, fresh_state, problem

pytest.importorskip("hypothesis")
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from fastnn.backends import load
from fastnn.backends.base import Passes, Plan
from fastnn.core.activations import ACTIVATIONS
from fastnn.core.network import NetworkSpec
from fastnn.core.optimizers import SGD, Adam, Lion, Optimizer, RMSprop

SIZES = [*range(1, 10), 15, 16, 17, 31, 32, 33, 63, 64, 65, 100]  # around vectors and tiles
# Adam's epsilon is larger than usual: divided by its own size, a gradient of rounding errors alone
# would be a whole step.
OPTIMIZERS = [
    SGD(0.0, False),
    SGD(0.9, False, weight_decay=0.5),
    SGD(0.8, True, max_norm=1e-3),
    Adam(0.8, 0.9, 1e-2, weight_decay=0.5, ema=0.5),
    RMSprop(0.8, 0.5, 1e-1, weight_decay=0.5, l1=0.1, max_norm=1.0, ema=0.5),
    Lion(0.8, 0.9),  # the last: rounding to float32 decides now and then on the sign of a step
]
# Where a slope jumps, rounding to float32 decides now and then on which side a neuron stands.
SMOOTH = [
    name
    for name, activation in ACTIVATIONS.items()
    if np.ptp(activation.value_and_slope(np.array([-1e-9, 1e-9]))[1]) < 1e-6
]
TOLERANCE = {
    np.float64: {"rtol": 1e-9, "atol": 1e-11},
    np.float32: {"rtol": 1e-3, "atol": 1e-4},
}
settings.register_profile(
    "agreement",
    max_examples=30,
    deadline=None,
    derandomize="CI" in os.environ or "FASTNN_REQUIRE" in os.environ,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)


@dataclass(frozen=True)
class Case:
    """A network, how it is trained, and on what."""

    units: list[int]
    activations: list[str]
    dropout: list[float]
    loss: str
    dtype: type
    optimizer: Optimizer
    alpha: float
    own_factors: bool
    n_rows: int
    batch_size: int
    weighted: bool
    sparse: bool
    n_members: int
    shared_rows: bool
    seed: int


@st.composite
def cases(draw, dtype: type) -> Case:
    loss = draw(st.sampled_from(list(LOSS_VARIANTS)))
    names = st.sampled_from(list(ACTIVATIONS) if dtype == np.float64 else SMOOTH)
    activations = draw(st.lists(names, max_size=3))
    sizes = st.sampled_from(SIZES)
    # What is kept grows for it: with a loss whose slope grows, too, a fit would diverge.
    bounded = loss in ("log_loss", "binary_log_loss")
    shares = st.sampled_from([0.0, 0.1, 0.5] if bounded else [0.0])
    units = [draw(sizes) for _ in range(len(activations) + 2)]
    if LOSS_VARIANTS[loss].y_is_codes:
        units[-1] = max(units[-1], 2)  # one class out of one is no question
    return Case(
        units,
        activations,
        [draw(shares) for _ in activations],
        loss,
        dtype,
        optimizer=draw(st.sampled_from(OPTIMIZERS if dtype == np.float64 else OPTIMIZERS[:-1])),
        alpha=draw(st.sampled_from([0.0, 0.5])),
        own_factors=draw(st.booleans()),
        n_rows=draw(st.integers(1, 40)),
        batch_size=draw(st.sampled_from([1, 2, 7, 8, 9, 16, 40])),
        weighted=draw(st.booleans()),
        sparse=draw(st.booleans()),
        n_members=draw(st.integers(1, 3)),
        shared_rows=draw(st.booleans()),
        seed=draw(st.integers(0, 1000)),
    )


def segments(spec: NetworkSpec, rng: np.random.Generator) -> tuple:
    """The network's segments, each with its own factors; about one in four does not train."""
    return tuple(
        replace(
            segment,
            rate=rng.uniform(0.2, 2),
            penalty=rng.choice([0.0, rng.uniform(0.2, 2)]),
            decay=rng.choice([0.0, rng.uniform(0, 2)]),
            epsilon=rng.uniform(0.5, 5),
            trainable=bool(rng.random() < 0.75),
        )
        for segment in spec.layout.segments
    )


@pytest.mark.parametrize("dtype", [np.float64, np.float32], ids=["float64", "float32"])
@settings(settings.get_profile("agreement"))
@given(draws=st.data())
def test_agrees_with_the_reference_on_random_networks(compiled_backend, dtype, draws):
    case = draws.draw(cases(dtype))
    spec = NetworkSpec.dense(case.units, case.activations or "tanh", LOSS_VARIANTS[case.loss])
    spec = spec.with_dropout(case.dropout)
    rng = np.random.default_rng(case.seed)
    own = segments(spec, rng) if case.own_factors else None
    plan = Plan(case.optimizer, case.batch_size, case.alpha, own)
    data = problem(spec, case.n_rows, case.dtype, case.seed, case.weighted)
    data = as_csr(data) if case.sparse else data
    k, n_passes = 1 if case.shared_rows else case.n_members, 2
    rows = np.array([rng.permutation(case.n_rows) for _ in range(k * n_passes)])
    rates = rng.uniform(1e-4, 1e-3, (k, n_passes, -(-case.n_rows // case.batch_size)))
    passes = Passes(rows.reshape(k, n_passes, case.n_rows), rates)
    start = fresh_state(spec, plan.optimizer, case.dtype, case.seed, case.n_members)

    found, expected = {}, {}
    for name, results in ((compiled_backend, found), ("numpy", expected)):
        engine, state = load(name).engine(spec, np.dtype(case.dtype)), copy_state(start)
        grad, out = np.empty_like(state.params), np.empty((case.n_rows, spec.n_out), case.dtype)
        sums = engine.gradient(state, data, passes.rows[:, 0], grad)
        results["loss and weight sums"] = np.array(sums) / case.n_rows
        results["gradient"] = grad / case.n_rows
        engine.predict(state.params[0], data.X, out)
        results["predictions"] = out
        results["losses"] = engine.trainer(plan).train(state, data, passes)
        results["parameters"], results["slots"] = state.params, state.slots
        results["steps"] = np.array(state.step)
    for what, values in expected.items():
        np.testing.assert_allclose(found[what], values, err_msg=what, **TOLERANCE[case.dtype])
