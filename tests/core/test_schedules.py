"""Are the learning rates scikit-learn's, pass by pass?"""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.neural_network._stochastic_optimizers import SGDOptimizer

from fastnn.core.schedules import SCHEDULES

N_ROWS, N_STEPS = 70, 5


def schedule(name):
    settings = {"power_t": 0.25} if name == "invscaling" else {}
    return SCHEDULES[name](rate_init=0.3, **settings)


@pytest.mark.parametrize("rows_before", [0, 1000], ids=["first fit", "warm start"])
@pytest.mark.parametrize("name", SCHEDULES)
def test_rates_are_scikit_learns(name, rows_before):
    ours, theirs = schedule(name), SGDOptimizer([], 0.3, name, power_t=0.25)
    rate, t = ours.rate_init, rows_before
    for n_passes in range(1, 8):
        rates = ours.rates((n_passes - 1) * N_STEPS, N_STEPS, t, rate)
        assert rates.dtype == np.float64
        np.testing.assert_array_equal(rates, np.full(N_STEPS, theirs.learning_rate))
        t += N_ROWS
        theirs.iteration_ends(t)
        if n_passes % 3 == 0 and name == "adaptive":
            assert not theirs.trigger_stopping("", False)
            rate = ours.on_plateau(rate)


@pytest.mark.parametrize("name", SCHEDULES)
def test_a_plateau_ends_training_where_scikit_learns_does(name, capsys):
    ours, theirs = schedule(name), SGDOptimizer([], 0.3, name)
    rate, n_falls = ours.rate_init, 0
    while (lower := ours.on_plateau(rate)) is not None:
        assert not theirs.trigger_stopping("message.", True)
        assert capsys.readouterr().out == f"message. Setting learning rate to {lower:f}\n"
        assert lower == theirs.learning_rate
        rate, n_falls = lower, n_falls + 1
    assert theirs.trigger_stopping("message.", True)
    assert capsys.readouterr().out == f"message. {ours.stop_message}\n"
    assert n_falls == (8 if name == "adaptive" else 0)
