"""Do those who watch a fit see every pass, change nothing, and stop it where they say so?"""

from __future__ import annotations

import threading

import numpy as np
import pytest
import scipy.sparse
from sklearn.exceptions import ConvergenceWarning
from support.parity import difference, numbers, train

from fastnn import MLPClassifier, MLPRegressor
from fastnn.training import loop as training
from fastnn.training.callbacks import watched_by

RNG = np.random.default_rng(5)
X = RNG.normal(size=(70, 4))
Y_CLF = np.array(["a", "b", "c"])[np.argmax(X[:, :3], axis=1)]
Y_REG = X @ [1.0, -2.0, 0.5, 0.0]
PARAMS = {"hidden_layer_sizes": (6,), "max_iter": 40, "random_state": 3, "batch_size": 16}


class Watcher:
    """Notes what it sees, and stops a fit at a pass."""

    def __init__(self, stop_at: float = np.inf) -> None:
        self.stop_at = stop_at
        self.seen: list[tuple[int, float]] = []

    def on_pass_end(self, loop) -> bool:
        self.seen.append((loop.n_iter, loop.losses[-1]))
        return loop.n_iter >= self.stop_at


WATCHED = {
    "adam": (MLPClassifier, {"solver": "adam"}),
    "never stops": (MLPRegressor, {"n_iter_no_change": np.inf, "tol": 1e9}),
    "stops by itself": (MLPClassifier, {"tol": 0.05, "n_iter_no_change": 3, "max_iter": 200}),
    "adaptive": (
        MLPRegressor,
        {"solver": "sgd", "learning_rate": "adaptive", "tol": 0.5, "n_iter_no_change": 2},
    ),
    "inverse scaling": (MLPRegressor, {"solver": "sgd", "learning_rate": "invscaling"}),
    "early stopping": (MLPClassifier, {"early_stopping": True, "validation_fraction": 0.3}),
    "lbfgs": (MLPRegressor, {"solver": "lbfgs"}),
}


@pytest.mark.parametrize("sparse", [False, True], ids=["dense", "csr"])
@pytest.mark.parametrize(("kind", "params"), WATCHED.values(), ids=WATCHED)
def test_ten_watchers_change_nothing(backend, kind, params, sparse):
    rows = scipy.sparse.csr_array(X) if sparse else X
    shown, streams = [], []
    for watchers in ([], [Watcher() for _ in range(10)]):
        stream = np.random.RandomState(8)
        model = kind(**{**PARAMS, **params, "random_state": stream}, backend=backend)
        with watched_by(*watchers):
            train(model, lambda model: model.fit(rows, Y_REG if kind is MLPRegressor else Y_CLF))
        shown.append(numbers(model, rows))
        streams.append(stream.randint(2**31))
    found, where = difference(*shown)
    assert found == 0, where
    assert streams[0] == streams[1]
    assert [n_iter for n_iter, _ in watchers[0].seen] == list(range(1, model.n_iter_ + 1))
    assert all(watcher.seen == watchers[0].seen for watcher in watchers)
    if model.solver != "lbfgs":
        assert [loss for _, loss in watchers[0].seen] == model.loss_curve_


def test_nobody_watching_means_several_passes_a_call(monkeypatch):
    drawn = []
    draw = training._draw
    monkeypatch.setattr(training, "_draw", lambda loop, n: drawn.append(n) or draw(loop, n))
    model = MLPRegressor(**{**PARAMS, "max_iter": 7}, n_iter_no_change=np.inf)
    train(model, lambda model: model.fit(X, Y_REG))
    assert drawn == [7]
    with watched_by(Watcher()):
        train(model, lambda model: model.fit(X, Y_REG))
    assert drawn == [7] + 7 * [1]


@pytest.mark.parametrize("solver", ["adam", "sgd", "lbfgs"])
def test_a_watcher_stops_a_fit_without_a_warning(backend, solver):
    model = MLPRegressor(**PARAMS, solver=solver, backend=backend)
    with watched_by(Watcher(stop_at=4), Watcher()):
        model.fit(X, Y_REG)
    assert model.n_iter_ == 4
    shorter = MLPRegressor(**{**PARAMS, "max_iter": 4}, solver=solver, backend=backend)
    with pytest.warns(ConvergenceWarning):
        shorter.fit(X, Y_REG)
    np.testing.assert_array_equal(model.coefs_[0], shorter.coefs_[0])
    assert model.loss_ == shorter.loss_


def test_a_stopped_fit_ends_with_its_best_parameters(backend):
    params = {**PARAMS, "early_stopping": True, "learning_rate_init": 0.3, "tol": 0.0}
    model = MLPClassifier(**params, backend=backend)
    with watched_by(Watcher(stop_at=9)):
        model.fit(X, Y_CLF)
    best = int(np.argmax(model.validation_scores_)) + 1
    again = MLPClassifier(**params, backend=backend)
    with watched_by(Watcher(stop_at=best)):
        again.fit(X, Y_CLF)
    assert best < 9
    np.testing.assert_array_equal(model.coefs_[0], again.coefs_[0])


def test_blocks_add_up_and_end():
    outer, inner = Watcher(), Watcher()
    model = MLPRegressor(**{**PARAMS, "max_iter": 2})
    with watched_by(outer):
        with watched_by(inner):
            train(model, lambda model: model.fit(X, Y_REG))
        train(model, lambda model: model.fit(X, Y_REG))
    train(model, lambda model: model.fit(X, Y_REG))
    assert (len(outer.seen), len(inner.seen)) == (4, 2)


def test_fits_of_other_threads_are_not_shown():
    watcher = Watcher()
    model = MLPRegressor(**{**PARAMS, "max_iter": 50, "tol": 1e9})
    with watched_by(watcher):
        thread = threading.Thread(target=lambda: model.fit(X, Y_REG))
        thread.start()
        thread.join()
    assert model.n_iter_ == 12
    assert watcher.seen == []


def test_a_watcher_sees_the_score_and_what_was_decided():
    notes, lengths = [], []

    class Reader:
        def on_pass_end(self, loop):
            notes.append(loop.note)
            lengths.append((len(loop.losses), len(loop.scores)))

    params = {"early_stopping": True, "tol": 1e9, "n_iter_no_change": 2}
    with watched_by(Reader()):
        MLPClassifier(**PARAMS, **params).fit(X, Y_CLF)
    # The first score is better than none by any tol; three that are not better stop the fit.
    assert lengths == [(n, n) for n in range(1, len(lengths) + 1)]
    assert notes == [
        "",
        "",
        "",
        "Validation score did not improve more than tol=1000000000.000000 for"
        " 2 consecutive epochs. Stopping.",
    ]


@pytest.mark.parametrize("solver", ["adam", "lbfgs"])
def test_an_error_of_a_watcher_leaves_the_model_as_it_was(solver):
    class Broken:
        def on_pass_end(self, loop):
            raise RuntimeError("the disk is full")

    model = MLPRegressor(**PARAMS, solver=solver)
    with watched_by(Broken()), pytest.raises(RuntimeError, match="the disk is full"):
        model.fit(X, Y_REG)
    assert not hasattr(model, "coefs_")
