"""Is a LoopState all that a fit remembers? Pickled in mid-fit, it goes on to the same numbers."""

from __future__ import annotations

import pickle
import warnings

import numpy as np
import pytest

from fastnn import MLPClassifier, MLPRegressor
from fastnn.core.optimizers import RMSprop
from fastnn.estimators import site
from fastnn.training.callbacks import watched_by
from fastnn.training.loop import train
from fastnn.training.state import LoopState, Rules

RNG = np.random.default_rng(6)
X = RNG.normal(size=(80, 4))
Y = {MLPRegressor: X @ [1.0, -2.0, 0.5, 0.0], MLPClassifier: np.argmax(X[:, :3], axis=1)}
PARAMS = {"hidden_layer_sizes": (6, 3), "max_iter": 30, "random_state": 3, "batch_size": 16}
FITS = {
    "adam": (MLPClassifier, {"solver": "adam"}),
    "adaptive": (
        MLPRegressor,
        {"solver": "sgd", "learning_rate": "adaptive", "tol": 0.5, "n_iter_no_change": 2},
    ),
    "inverse scaling": (
        MLPRegressor,
        {"solver": "sgd", "learning_rate": "invscaling", "learning_rate_init": 0.05},
    ),
    "early stopping": (
        MLPClassifier,
        {"early_stopping": True, "learning_rate_init": 0.1, "n_iter_no_change": 4},
    ),
    "dropout": (MLPRegressor, {"dropout": 0.3}),
    "augmented": (MLPClassifier, {"augment": ["input_noise", "mixup"]}),
    "not shuffled": (MLPRegressor, {"shuffle": False}),
    "averaged": (
        MLPRegressor,
        {
            "solver": RMSprop(ema=0.9, max_norm=1.0, l1=0.1),
            "learning_rate": "one_cycle",
            "early_stopping": True,
        },
    ),
}


class Checkpoint:
    """Pickles the state of a fit at one pass, as a file would hold it."""

    def __init__(self, n_iter: int) -> None:
        self.n_iter = n_iter
        self.file = b""

    def on_pass_end(self, loop: LoopState) -> None:
        if loop.n_iter == self.n_iter:
            self.file = pickle.dumps(loop)


@pytest.mark.parametrize("n_iter", [1, 5])
@pytest.mark.parametrize(("kind", "params"), FITS.values(), ids=FITS)
def test_a_fit_goes_on_from_its_checkpoint(backend, kind, params, n_iter, monkeypatch):
    calls = []

    def recorded(loop, *arguments):
        train(loop, *arguments)
        calls.append((loop, *arguments))

    monkeypatch.setattr(site, "train", recorded)
    checkpoint = Checkpoint(n_iter)
    with watched_by(checkpoint), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        kind(**PARAMS, **params, backend=backend).fit(X, Y[kind])
    (through, *arguments) = calls[0]
    again = pickle.loads(checkpoint.file)
    assert again.n_iter == len(again.losses) == n_iter < through.n_iter
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        train(again, *arguments)
    np.testing.assert_array_equal(again.params, through.params)
    np.testing.assert_array_equal(again.state.slots, through.state.slots)
    np.testing.assert_array_equal(again.rows, through.rows)
    for name in ("n_iter", "t", "rate", "losses", "scores", "best_loss", "best_score", "note"):
        assert getattr(again, name) == getattr(through, name), name
    assert again.state.step == through.state.step
    assert again.random_state.randint(2**31) == through.random_state.randint(2**31)


def test_what_rests_between_calls_holds_neither_network_nor_rows():
    model = MLPClassifier(**{**PARAMS, "max_iter": 3}, early_stopping=True)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        model.fit(X, Y[MLPClassifier])
    loop = model._loop
    assert loop.params.size == loop.rows.size == 0
    assert loop.best_params is loop.random_state is None
    assert loop.losses == loop.scores == []
    assert loop.t == model.t_ == 3 * 72


def test_slots_of_another_network_are_refused():
    model = MLPRegressor(**PARAMS).partial_fit(X, Y[MLPRegressor])
    model.coefs_ = [np.ones((4, 2)), np.ones((2, 3)), np.ones((3, 1))]
    model.intercepts_ = [np.ones(2), np.ones(3), np.ones(1)]
    model.set_params(hidden_layer_sizes=(2, 3))
    before = pickle.dumps(model)
    message = (
        "^coefs_ and intercepts_ hold 23 numbers, but the optimizer to go on with has trained 55."
        " Call fit, whose optimizer is a new one.$"
    )
    with pytest.raises(ValueError, match=message):
        model.partial_fit(X, Y[MLPRegressor])
    assert pickle.dumps(model) == before


def test_partial_fit_does_not_change_the_slots_it_began_with():
    # A diverging call must leave the memory of the model as it was.
    model = MLPRegressor(**PARAMS).partial_fit(X, Y[MLPRegressor])
    slots = model._loop.state.slots
    before = slots.copy()
    model.partial_fit(X, Y[MLPRegressor])
    np.testing.assert_array_equal(slots, before)
    assert model._loop.state.step == 10


def test_a_fit_by_lbfgs_has_no_plan():
    loop = LoopState.without_plan(Rules(max_iter=3))
    loop.set_params(np.zeros(5))
    assert loop.plan is loop.schedule is None
    assert loop.state.slots.shape == (1, 0, 5)
