"""What do augmentations make of a batch, and does a trainer learn from just that?"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import pytest
import scipy.sparse
from support.problems import as_csr, copy_state, fresh_state, problem

from fastnn.augment import Augmentation, InputNoise, Mixup
from fastnn.backends import load
from fastnn.backends.base import Data, Passes, Plan
from fastnn.core.augmentations import AUGMENTATIONS, Batch
from fastnn.core.losses import LOSSES
from fastnn.core.network import NetworkSpec
from fastnn.core.optimizers import Adam
from fastnn.training import augmenting
from fastnn.training.augmenting import trainer_of

SPEC = NetworkSpec.dense([4, 6, 3], "tanh", "log_loss")
F64 = np.dtype(np.float64)
N_ROWS, BATCH = 37, 10
PLAN = Plan(Adam(), BATCH, alpha=0.1)
RNG = np.random.default_rng(1)
PASSES = Passes(
    np.array([[RNG.permutation(N_ROWS) for _ in range(3)]]), RNG.uniform(0.01, 0.1, (1, 3, 4))
)


@dataclass(repr=False)
class Nothing(Augmentation):
    """Leaves a batch as it is."""

    name = "nothing"

    def applied(self, batch, generator):
        return batch


def trained(augmentations, data=None, backend="numpy", calls=1, seed=3, spec=SPEC):
    """The state and the losses after the passes, done in so many calls."""
    state = replace(fresh_state(spec, Adam()), seeds=np.array([seed], np.uint32))
    trainer = trainer_of(load(backend).engine(spec, F64), PLAN, augmentations)
    data = problem(spec, N_ROWS, weighted=True) if data is None else data
    losses = [
        trainer.train(state, data, Passes(rows, rates))
        for rows, rates in zip(
            np.split(PASSES.rows, calls, axis=1), np.split(PASSES.rates, calls, axis=1), strict=True
        )
    ]
    return state, np.concatenate(losses, axis=1)


def assert_same(found, expected):
    """States and losses, bit for bit."""
    np.testing.assert_array_equal(found[0].params, expected[0].params)
    np.testing.assert_array_equal(found[0].slots, expected[0].slots)
    np.testing.assert_array_equal(found[1], expected[1])
    assert found[0].step == expected[0].step == 12


def test_an_augmentation_that_does_nothing_changes_nothing():
    for weighted in (False, True):
        data = problem(SPEC, N_ROWS, weighted=weighted)
        for each in (data, as_csr(data)):
            plain = trained((), each)
            for augmentations in [[Nothing()], [Nothing()] * 2]:
                found = trained(augmentations, each)
                np.testing.assert_array_equal(found[0].params, plain[0].params)
                np.testing.assert_allclose(found[1], plain[1], rtol=1e-14)
    assert_same(trained([InputNoise(0.0)]), trained([Nothing()]))


@pytest.mark.parametrize("augmentation", AUGMENTATIONS.values(), ids=AUGMENTATIONS)
def test_neither_calls_nor_the_memory_at_hand_change_a_bit(augmentation, monkeypatch):
    expected = trained([augmentation])
    assert_same(trained([augmentation], calls=3), expected)
    monkeypatch.setattr(augmenting, "NUMBERS", 2 * BATCH * 4)  # two batches at a time
    found = trained([augmentation])
    np.testing.assert_array_equal(found[0].params, expected[0].params)
    np.testing.assert_allclose(found[1], expected[1], rtol=1e-14)


@pytest.mark.parametrize("augmentation", AUGMENTATIONS.values(), ids=AUGMENTATIONS)
def test_the_seed_and_the_step_decide(augmentation):
    assert_same(trained([augmentation]), trained([augmentation]))
    assert (trained([augmentation], seed=4)[0].params != trained([augmentation])[0].params).all()
    given = []

    @dataclass(repr=False)
    class Recorded(Nothing):
        def applied(self, batch, generator):
            given.append(generator.random())
            return batch

    trained([Recorded()])
    trained([Recorded()], seed=4)
    assert len(set(given)) == 2 * 12


@pytest.mark.parametrize("augmentation", AUGMENTATIONS.values(), ids=AUGMENTATIONS)
def test_backends_learn_the_same(compiled_backend, augmentation):
    found, expected = (
        trained([augmentation], backend=name) for name in (compiled_backend, "numpy")
    )
    np.testing.assert_allclose(found[0].params, expected[0].params, rtol=1e-9, atol=1e-11)
    np.testing.assert_allclose(found[1], expected[1], rtol=1e-9)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_noise_is_normal_of_the_scale(dtype):
    X = np.linspace(-1, 1, 200 * 50).astype(dtype).reshape(200, 50)
    before = X.copy()
    found = InputNoise(0.3).applied(Batch(X, np.zeros(200), None), np.random.default_rng(0))
    np.testing.assert_array_equal(X, before)
    assert found.X.dtype == dtype
    noise = (found.X.astype(float) - X) / 0.3
    n = noise.size
    assert abs(noise.mean()) < 4 / np.sqrt(n)
    assert abs((noise**2).mean() - 1) < 4 * np.sqrt(2 / n)
    assert abs((noise**4).mean() - 3) < 4 * np.sqrt(96 / n)
    assert abs((noise[1:] * noise[:-1]).mean()) < 4 / np.sqrt(n)


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("loss", LOSSES)
def test_mixup_shares_the_losses_of_two_rows(loss, weighted):
    spec = NetworkSpec.dense([4, 6, 3], "tanh", loss)
    data = problem(spec, 50, weighted=weighted)
    X, y, shares = Mixup(0.7).applied(Batch(*vars_of(data)), np.random.default_rng(0))
    rng = np.random.default_rng(0)
    partner, lam = rng.permutation(50), rng.beta(0.7, 0.7, 50)
    between = lam[:, None] * data.X + (1 - lam)[:, None] * data.X[partner]
    engine, state = load("numpy").engine(spec, F64), fresh_state(spec, Adam())
    raw = np.empty((50, 3))
    engine.forward(state.params[0], between, raw)
    w = np.ones(50) if data.weight is None else data.weight
    own, _ = spec.loss.loss_and_grad(raw, data.y)
    partners, _ = spec.loss.loss_and_grad(raw, data.y[partner])
    grad, rows = np.empty_like(state.params), np.arange(100)[None]
    (loss_sum,), (weight_sum,) = engine.gradient(state, Data(X, y, shares), rows, grad)
    expected = lam * w * own + (1 - lam) * w[partner] * partners
    assert loss_sum == pytest.approx(expected.sum(), rel=1e-12)
    assert weight_sum == pytest.approx((lam * w + (1 - lam) * w[partner]).sum(), rel=1e-12)
    assert 0.2 < np.var(lam) * 4 * (2 * 0.7 + 1) < 2  # Var of Beta(a, a) is 1 / (4 (2 a + 1))


def vars_of(data: Data):
    return data.X, data.y, data.weight


@pytest.mark.parametrize("index", [np.int32, np.int64])
def test_mixup_of_sparse_rows_is_that_of_dense_ones(index):
    data = problem(SPEC, N_ROWS, weighted=True)
    sparse = as_csr(data)
    sparse.X.indices, sparse.X.indptr = (
        sparse.X.indices.astype(index),
        sparse.X.indptr.astype(index),
    )
    found, expected = (
        Mixup(0.5).applied(Batch(*vars_of(each)), np.random.default_rng(2))
        for each in (sparse, data)
    )
    assert scipy.sparse.issparse(found.X)
    np.testing.assert_allclose(found.X.toarray(), expected.X, rtol=1e-15)
    np.testing.assert_array_equal(found.weight, expected.weight)
    states = [trained([Mixup(0.5)], each)[0] for each in (sparse, data)]
    np.testing.assert_allclose(states[0].params, states[1].params, rtol=1e-9)


def test_float32_stays_float32():
    data = problem(SPEC, 20, np.float32, weighted=True)
    for augmentation in AUGMENTATIONS.values():
        X, _, weight = augmentation.applied(Batch(*vars_of(data)), np.random.default_rng(0))
        assert X.dtype == weight.dtype == np.float32


def test_what_is_trained_on_is_left_as_it_was():
    data = problem(SPEC, N_ROWS, weighted=True)
    for array in vars_of(data):
        array.flags.writeable = False
    state, _ = trained(list(AUGMENTATIONS.values()), data)
    assert np.isfinite(state.params).all()
    assert (copy_state(state).params != fresh_state(SPEC, Adam()).params).any()
