"""Is each step's learning rate what scikit-learn, or the schedule's formula, says?"""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
from sklearn.neural_network._stochastic_optimizers import SGDOptimizer

from fastnn.core.family import chosen
from fastnn.core.schedules import SCHEDULES, Cosine, Function, OneCycle, Schedule, Step

N_ROWS, N_STEPS, MAX_ITER = 70, 5, 12
SKLEARNS = ("constant", "invscaling", "adaptive")


def schedule(name: str) -> Schedule:
    settings = {"power_t": 0.25} if name == "invscaling" else {}
    return replace(SCHEDULES[name], learning_rate_init=0.3, max_iter=MAX_ITER, **settings)


@pytest.mark.parametrize("passes", [[1] * 6, [6], [2, 1, 3]], ids=str)
@pytest.mark.parametrize("rows_before", [0, 1000], ids=["first fit", "warm start"])
@pytest.mark.parametrize("name", SKLEARNS)
def test_rates_are_scikit_learns(name, rows_before, passes):
    ours, theirs = schedule(name), SGDOptimizer([], 0.3, name, power_t=0.25)
    rate, t, step = ours.learning_rate_init, rows_before, 0
    for n_passes in passes:  # asked for together
        rates = ours.rates(step, N_STEPS, range(t, t + n_passes * N_ROWS, N_ROWS), rate)
        assert rates.dtype == np.float64
        assert rates.shape == (n_passes, N_STEPS)
        for one_pass in rates:
            np.testing.assert_array_equal(one_pass, theirs.learning_rate)
            t, step = t + N_ROWS, step + N_STEPS
            theirs.iteration_ends(t)
        if name == "adaptive":
            assert not theirs.trigger_stopping("", False)
            rate = ours.on_plateau(rate)


@pytest.mark.parametrize("name", SKLEARNS)
def test_a_plateau_ends_training_where_scikit_learns_does(name, capsys):
    ours, theirs = schedule(name), SGDOptimizer([], 0.3, name)
    rate, n_falls = ours.learning_rate_init, 0
    while (lower := ours.on_plateau(rate)) is not None:
        assert not theirs.trigger_stopping("message.", True)
        assert capsys.readouterr().out == f"message. Setting learning rate to {lower:f}\n"
        assert lower == theirs.learning_rate
        rate, n_falls = lower, n_falls + 1
    assert theirs.trigger_stopping("message.", True)
    assert capsys.readouterr().out == f"message. {ours.stop_message}\n"
    assert n_falls == (8 if name == "adaptive" else 0)


def rates(ours: Schedule, n_passes: int = MAX_ITER, asked: int = 1) -> np.ndarray:
    """The rates of all steps, so many passes asked for at a time."""
    found = [
        ours.rates(first * N_STEPS, N_STEPS, range(first, first + asked), ours.learning_rate_init)
        for first in range(0, n_passes, asked)
    ]
    return np.concatenate(found).ravel()


def one_cycle(t: float) -> float:
    peak = 0.3
    rise = (t + 1 / (MAX_ITER * N_STEPS)) / peak  # the last step of the rise has the peak's rate
    return min(1, rise) * (1 + math.cos(math.pi * max(0, (t - peak) / (1 - peak)))) / 2


# Of those that are not scikit-learn's: the factor of learning_rate_init, where the share t of all
# steps is done.
FORMULAS = {
    "cosine": (SCHEDULES["cosine"], lambda t: (1 + math.cos(math.pi * t)) / 2),
    "cosine to a tenth": (Cosine(end=0.1), lambda t: 0.1 + 0.45 * (1 + math.cos(math.pi * t))),
    "one_cycle": (SCHEDULES["one_cycle"], one_cycle),
    "warmup": (SCHEDULES["warmup"], lambda t: min(1, (60 * t + 1) / 3)),
    "step": (SCHEDULES["step"], lambda t: 1.0 if t < 1 / 3 else 0.1 if t < 2 / 3 else 0.01),
    "step in passes": (Step(fall=0.5, every=5), lambda t: 0.5 ** (int(60 * t + 1e-9) // 25)),
    "step often": (Step(fall=0.5, every=0.1), lambda t: 0.5 ** (round(60 * t) // 6)),
    "coslog4": (
        SCHEDULES["coslog4"],
        lambda t: 0.5 * (1 - math.cos(2 * math.pi * math.log2(1 + 15 * t))),
    ),
    "a function": (Function(lambda t: 3 - 2 * t), lambda t: 3 - 2 * t),
}
assert {ours.name for ours, _ in FORMULAS.values()} == {*SCHEDULES, "function"} - {*SKLEARNS}


@pytest.mark.parametrize(("ours", "formula"), FORMULAS.values(), ids=FORMULAS)
def test_every_step_has_the_rate_of_the_formula(ours, formula):
    ours = ours.filled({"learning_rate_init": 0.3, "max_iter": MAX_ITER})
    n = MAX_ITER * N_STEPS
    expected = np.array([0.3 * formula(i / n) for i in range(n)])
    np.testing.assert_allclose(rates(ours), expected, rtol=1e-12, atol=1e-12)
    for asked in (2, 6, 12):
        np.testing.assert_array_equal(rates(ours, asked=asked), rates(ours))
    # Beyond the horizon the last rate stays, as where partial_fit goes on.
    beyond = rates(ours, 2 * MAX_ITER)[n:]
    np.testing.assert_array_equal(beyond, rates(ours)[-1])


@pytest.mark.parametrize("n", [1, 2, 29])
def test_few_steps_of_four_cycles_take_the_mean_of_their_time(n):
    """Whose sum is that of any number of steps: the first of few is not 0."""
    ours = SCHEDULES["coslog4"].filled({"learning_rate_init": 1.0, "max_iter": n})
    found = ours.rates(0, 1, range(n), 1.0)
    assert found[0] > 0.3
    many = ours.factor(np.arange(0.5, 30_000) / 30_000)
    assert found.mean() == pytest.approx(many.mean(), rel=1e-3)


@pytest.mark.parametrize("name", SCHEDULES)
@pytest.mark.parametrize(("warmup", "n"), [(0.25, 15), (3, 15), (1.0, 5)])
def test_every_schedule_takes_a_warm_up(name, warmup, n):
    plain = replace(schedule(name), warmup=0.0)
    found = rates(replace(plain, warmup=warmup))
    rise = np.minimum(1, np.arange(1, 61) / n)
    if isinstance(plain, Cosine):  # falls after it
        assert found[n - 1] == found[n] == 0.3
        np.testing.assert_allclose(found[:n], 0.3 * rise[:n], rtol=1e-12)
    else:
        np.testing.assert_allclose(found, rates(plain) * rise, rtol=1e-12)


def test_a_warm_up_that_takes_the_whole_fit_leaves_nothing_to_fall():
    found = rates(replace(schedule("cosine"), warmup=40))
    np.testing.assert_allclose(found, 0.3 * np.arange(1, 61) / 200, rtol=1e-12)


@pytest.mark.parametrize("value", [-0.5, math.nan, math.inf, "x", None])
def test_a_function_that_gives_no_factor_is_refused(value):
    ours = Function(lambda t: value if t > 0.5 else 1.0).filled()
    with pytest.raises(
        ValueError,
        match=rf"^learning_rate must be a function whose values are finite and not negative, got"
        rf" {value!r} at t=0\.505\.$",
    ):
        ours.rates(0, 1, range(200), 0.1)


WRONG = {
    "learning_rate_init": (0, "a number in (0, inf)"),
    "warmup": (-1, "a number in [0, inf)"),
    "max_iter": (2.5, "a whole number from 1"),
    "power_t": (-1, "a number in [0, inf)"),
    "end": (1.5, "a number in [0, 1]"),
    "fall": (0, "a number in (0, 1]"),
    "every": (0, "a number in (0, inf)"),
    "function": (None, "a function of the share of steps done"),
}


@pytest.mark.parametrize("ours", [*SCHEDULES.values(), Function(abs)], ids=repr)
def test_settings_out_of_range_are_refused_by_name_and_value(ours):
    for setting in ours.get_params():
        value, allowed = WRONG[setting]
        with pytest.raises(ValueError, match=r"^learning_rate=\w+\(.*\): ") as caught:
            chosen("learning_rate", replace(ours, **{setting: value}), SCHEDULES)
        assert str(caught.value).endswith(f": {setting} must be {allowed}, got {value!r}.")
    assert chosen("learning_rate", ours, SCHEDULES) == ours


def test_what_is_left_open_is_the_estimators():
    flat = {"learning_rate_init": 0.2, "max_iter": 7, "power_t": 0.1}
    assert OneCycle(warmup=0.1).filled(flat) == OneCycle(0.2, warmup=0.1, max_iter=7)
    assert Cosine(max_iter=5).filled(flat) == Cosine(0.2, max_iter=5)
