"""Does what is trained begin at a line of the caches, however it came to be?"""

from __future__ import annotations

import warnings

import numpy as np
import pytest

from fastnn import MLPRegressor
from fastnn.backends import load
from fastnn.backends.base import Data, Plan
from fastnn.backends.numpy_backend import NumpyTrainer
from fastnn.core.arrays import LINE
from fastnn.core.network import NetworkSpec, initialise
from fastnn.core.optimizers import Adam
from fastnn.training.bag import Bag, BagLoop, BagRules, Measured, Member

RNG = np.random.default_rng(0)
X = RNG.normal(size=(40, 3))
Y = X @ [1.0, -2.0, 0.5]
SPEC = NetworkSpec.dense([3, 5, 1], "tanh", "squared_error")


def model(**params):
    return MLPRegressor(hidden_layer_sizes=5, backend="numpy", max_iter=2, random_state=0, **params)


def fit_in_float32():
    model().fit(X.astype(np.float32), Y)


def fit_again():
    model(warm_start=True).fit(X, Y).fit(X, Y)


def partial_fit():
    model().partial_fit(X, Y).partial_fit(X, Y)


def go_on_from_other_arrays():
    one = model().partial_fit(X, Y)
    one.coefs_ = [coef.copy() for coef in one.coefs_]
    one.partial_fit(X, Y)


def go_on_from_best():
    one = model(early_stopping=True, warm_start=True)
    one.fit(X, Y).fit(X, Y)


def keep_an_average():
    one = model(solver=Adam(ema=0.9))
    one.partial_fit(X, Y).partial_fit(X, Y)


def bag():
    members = []
    for seed in range(3):
        random_state = np.random.RandomState(seed)
        params = initialise(SPEC, np.dtype(np.float64), random_state)
        members.append(Member(np.arange(30), np.arange(30, 40), params, random_state))
    engine, data = load("numpy").engine(SPEC, np.dtype(np.float64)), Data(X, Y[:, None])
    one = Bag(engine, Plan(Adam(), 16), 1, data, lambda member, predictions: Measured(1.0, 1.0))
    one.train(BagLoop(members, BagRules(2, frozenset())), np.full((2, 2), 0.01))


@pytest.mark.parametrize(
    "story",
    [
        fit_in_float32,
        fit_again,
        partial_fit,
        go_on_from_other_arrays,
        go_on_from_best,
        keep_an_average,
        bag,
    ],
)
def test_parameters_and_slots_begin_at_a_line(monkeypatch, story):
    trained, train = [], NumpyTrainer.train

    def look(self, state, *args):
        trained.extend((state.params, state.slots))  # kept, or their memory would be used again
        return train(self, state, *args)

    monkeypatch.setattr(NumpyTrainer, "train", look)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of convergence
        for _ in range(4):  # one in four of NumPy's own begins at a line
            story()
    assert trained and not any(array.ctypes.data % LINE for array in trained)
