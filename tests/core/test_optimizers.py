"""Is each update the one that its paper prints, and do all rules share their common settings?"""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest

from fastnn.core.family import chosen
from fastnn.core.losses import batch_objective
from fastnn.core.network import NetworkSpec
from fastnn.core.optimizers import OPTIMIZERS, SGD, Adam, AdamW, Lion, Optimizer, RMSprop, step

SPEC = NetworkSpec.dense([3, 4, 2], "relu", "squared_error")
LAYOUT = SPEC.layout
N_STEPS, RATES = 6, np.array([[[0.1, 0.02, 0.3, 0.05, 0.1, 0.2]]])
TIGHT = {"rtol": 1e-12, "atol": 1e-15}


def trained(optimizer: Optimizer, segments=LAYOUT.segments):
    """Parameters, gradients and average of some steps, ``(N_STEPS + 1, n_params)`` the first."""
    optimizer = optimizer.filled()
    rng = np.random.default_rng(1)
    params = rng.normal(size=(1, LAYOUT.n_params))
    grads = rng.normal(size=(N_STEPS, LAYOUT.n_params))
    slots = optimizer.new_slots(params)
    history = [params[0].copy()]
    for numbers, grad in zip(optimizer.steps(RATES, 1)[0, 0], grads, strict=True):
        step(optimizer, segments, params[0], grad.copy(), slots[0], numbers)
        history.append(params[0].copy())
    return np.array(history), grads, slots[0, -1]


# Each rule for one number, as its paper prints it: a generator that takes a gradient and a rate and
# gives the parameter.


def heavy_ball(p, momentum=0.9):
    v = 0.0
    while True:
        g, rate = yield p
        v = momentum * v - rate * g
        p = p + v


def nesterov(p, momentum=0.8):
    # Sutskever et al. 2013 in the variable of scikit-learn: the point that looks ahead.
    v = 0.0
    while True:
        g, rate = yield p
        v = momentum * v - rate * g
        p = p + momentum * v - rate * g


def adam(p, beta_1=0.9, beta_2=0.999, epsilon=1e-8, decay=0.0):
    # Algorithm 2 of Loshchilov and Hutter 2019; epsilon beside the uncorrected root, as in the end
    # of section 2 of Kingma and Ba 2014.
    m = v = t = 0
    while True:
        g, rate = yield p
        t += 1
        m = beta_1 * m + (1 - beta_1) * g
        v = beta_2 * v + (1 - beta_2) * g**2
        corrected = rate * math.sqrt(1 - beta_2**t) / (1 - beta_1**t)
        p = p - corrected * m / (math.sqrt(v) + epsilon) - rate * decay * p


def adamw(p):
    return adam(p, decay=0.01)


def rmsprop(p, alpha=0.99, momentum=0.0, epsilon=1e-8):
    # torch.optim.RMSprop's documentation.
    v = b = 0.0
    while True:
        g, rate = yield p
        v = alpha * v + (1 - alpha) * g**2
        b = momentum * b + g / (math.sqrt(v) + epsilon)
        p = p - rate * b


def lion(p, beta_1=0.9, beta_2=0.99, decay=0.0):
    # Algorithm 2 of Chen et al. 2023.
    m = 0.0
    while True:
        g, rate = yield p
        c = beta_1 * m + (1 - beta_1) * g
        p = p - rate * (math.copysign(1, c) + decay * p)
        m = beta_2 * m + (1 - beta_2) * g


TEXTBOOK = {
    "sgd": (SGD(nesterovs_momentum=False), heavy_ball),
    "sgd, Nesterov": (SGD(0.8), lambda p: nesterov(p, 0.8)),
    "adam": (Adam(), adam),
    "adam, all settings": (Adam(0.5, 0.7, 0.1), lambda p: adam(p, 0.5, 0.7, 0.1)),
    "adamw": (AdamW(), adamw),
    "rmsprop": (RMSprop(), rmsprop),
    "rmsprop, all settings": (
        RMSprop(0.9, 0.5, 0.1),
        lambda p: rmsprop(p, 0.9, 0.5, 0.1),
    ),
    "lion": (Lion(), lion),
    "lion, all settings": (
        Lion(0.5, 0.7, weight_decay=0.3),
        lambda p: lion(p, 0.5, 0.7, 0.3),
    ),
}
assert {optimizer.name for optimizer, _ in TEXTBOOK.values()} == set(OPTIMIZERS)


@pytest.mark.parametrize(("optimizer", "rule"), TEXTBOOK.values(), ids=TEXTBOOK)
def test_an_update_is_the_textbooks(optimizer, rule):
    history, grads, _ = trained(optimizer)
    rates = RATES[0, 0].tolist()
    n_weights = LAYOUT.biases[0].start  # biases do not decay: the textbooks know no difference
    for i in range(n_weights):
        one = rule(history[0, i])
        expected = [next(one), *map(one.send, zip(grads[:, i].tolist(), rates, strict=True))]
        np.testing.assert_allclose(history[:, i], expected, **TIGHT)


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_weights_decay_and_biases_do_not(name):
    plain, _, _ = trained(replace(OPTIMIZERS[name], weight_decay=0.0))
    decayed, _, _ = trained(replace(OPTIMIZERS[name], weight_decay=0.5))
    # The rule does not see the decay: it takes the same steps from elsewhere.
    weights = np.arange(LAYOUT.n_params) < LAYOUT.biases[0].start
    keep = np.where(weights, 1 - 0.5 * RATES[0, 0][:, None], 1)
    np.testing.assert_allclose(decayed[1:] - keep * decayed[:-1], np.diff(plain, axis=0), atol=1e-9)
    assert (decayed[1:, weights] != plain[1:, weights]).all()
    np.testing.assert_array_equal(decayed[:, ~weights], plain[:, ~weights])


def test_a_long_gradient_is_scaled_down_and_a_short_one_is_not():
    still = [replace(segment, trainable=i != 1) for i, segment in enumerate(LAYOUT.segments)]
    plain = SGD(momentum=0.0, nesterovs_momentum=False)
    history, grads, _ = trained(replace(plain, max_norm=4.0), still)
    moves = np.diff(history, axis=0) / -RATES[0, 0][:, None]
    trains = np.ones(LAYOUT.n_params, bool)
    trains[still[1].start : still[1].stop] = False
    norms = np.linalg.norm(grads[:, trains], axis=1)  # what does not train is no part of it
    assert norms.min() < 4 < norms.max()
    expected = grads * np.minimum(1, 4 / norms)[:, None] * trains
    np.testing.assert_allclose(moves, expected, atol=1e-12)


@pytest.mark.parametrize("ema", [0.0, 0.15, 0.6])
def test_the_average_follows_the_parameters(ema):
    history, _, average = trained(Adam(ema=ema))
    # Of each step's parameters there remains its share, times what later steps keep.
    kept = np.array([min(ema, (1 + i) / (10 + i)) for i in range(N_STEPS)])
    shares = [np.prod(kept)] + [(1 - kept[i]) * np.prod(kept[i + 1 :]) for i in range(N_STEPS)]
    assert sum(shares) == pytest.approx(1)
    np.testing.assert_allclose(average, shares @ history, **TIGHT)
    np.testing.assert_array_equal(history, trained(Adam())[0])  # which it does not change


def test_the_gradient_of_a_penalised_objective_is_its_derivative():
    rng = np.random.default_rng(3)
    params, slope = rng.normal(size=(2, LAYOUT.n_params))
    params[[2, 7]] = 0  # a corner of |w|, whose derivative is taken as 0

    def objective(params):
        grad = slope.copy()
        value = batch_objective(slope @ params, 5.0, params, grad, LAYOUT.segments, 0.4, 0.3)
        return value, grad

    value, grad = objective(params)
    weights = params[: LAYOUT.biases[0].start]
    penalty = 0.2 * weights @ weights + 0.3 * np.abs(weights).sum()
    assert value == pytest.approx((slope @ params + penalty) / 5, rel=1e-14)
    numeric = [
        (objective(params + move)[0] - objective(params - move)[0]) / 2e-6
        for move in 1e-6 * np.eye(len(params))
    ]
    np.testing.assert_allclose(grad, numeric, rtol=1e-7, atol=1e-9)


WRONG = {
    "weight_decay": (-0.1, "a number in [0, inf)"),
    "l1": (math.inf, "a number in [0, inf)"),
    "max_norm": (0, "a number in (0, inf) or None"),
    "ema": (1.0, "a number in [0, 1) or None"),
    "momentum": (1.1, "a number in [0, 1]"),
    "nesterovs_momentum": (2, "True or False"),
    "beta_1": (1, "a number in [0, 1)"),
    "beta_2": (-0.1, "a number in [0, 1)"),
    "rho": (True, "a number in [0, 1)"),
    "epsilon": (0.0, "a number in (0, inf)"),
}


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_settings_out_of_range_are_refused_by_name_and_value(name):
    optimizer = OPTIMIZERS[name]
    for setting in optimizer.get_params():
        value, allowed = WRONG[setting]
        with pytest.raises(ValueError, match=r"^solver=\w+\(.*\): ") as caught:
            chosen("solver", replace(optimizer, **{setting: value}), OPTIMIZERS)
        assert str(caught.value).endswith(f": {setting} must be {allowed}, got {value!r}.")
    assert chosen("solver", replace(optimizer), OPTIMIZERS) == optimizer


def test_what_is_left_open_is_the_estimators():
    flat = {"momentum": 0.3, "nesterovs_momentum": False, "beta_1": 0.1, "epsilon": 0.2}
    assert SGD(ema=0.9).filled(flat) == SGD(0.3, False, ema=0.9)
    assert AdamW(beta_2=0.5).filled(flat) == AdamW(0.1, 0.5, 0.2)
    assert RMSprop().filled(flat) == RMSprop(0.99, 0.0, 0.2)  # momentum is not SGD's
    assert Lion().filled(flat) == Lion(0.9, 0.99)
    assert repr(AdamW(weight_decay=0.1, beta_1=0.5)) == "AdamW(weight_decay=0.1, beta_1=0.5)"
