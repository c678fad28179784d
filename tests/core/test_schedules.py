"""Are the learning rates scikit-learn's, pass by pass?"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from sklearn.neural_network._stochastic_optimizers import SGDOptimizer

from fastnn.core.schedules import SCHEDULES

N_ROWS, N_STEPS = 70, 5


def schedule(name):
    settings = {"power_t": 0.25} if name == "invscaling" else {}
    return replace(SCHEDULES[name], learning_rate_init=0.3, **settings)


@pytest.mark.parametrize("passes", [[1] * 6, [6], [2, 1, 3]], ids=str)
@pytest.mark.parametrize("rows_before", [0, 1000], ids=["first fit", "warm start"])
@pytest.mark.parametrize("name", SCHEDULES)
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


@pytest.mark.parametrize("name", SCHEDULES)
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
