"""What does ``dropout`` do in an estimator: what it changes, what it leaves, what it refuses?"""

from __future__ import annotations

import pickle
import warnings

import numpy as np
import pytest
from scipy.sparse import csr_array
from sklearn.base import clone
from support.parity import train

from fastnn import MLPClassifier, MLPRegressor

RNG = np.random.default_rng(2)
X = RNG.normal(size=(90, 5))
Y = X @ [1.0, -1.0, 0.5, 0.0, 2.0]
LABELS = np.argmax(X[:, :3], axis=1)
PARAMS = {"hidden_layer_sizes": (7, 6), "max_iter": 4, "batch_size": 20, "random_state": 5}
SHARES = [0.5, 0.2]


def fitted(dropout=SHARES, **params) -> MLPRegressor:
    model = MLPRegressor(**{**PARAMS, "dropout": dropout, **params})
    train(model, lambda model: model.fit(X, Y))
    return model


def same(one, other) -> bool:
    """Whether all weights are, to the bit."""
    return all(map(np.array_equal, one.coefs_ + one.intercepts_, other.coefs_ + other.intercepts_))


def test_backends_fit_the_same_model(compiled_backend):
    for rows in (X, csr_array(X)):
        models = [
            MLPClassifier(**PARAMS, dropout=SHARES, backend=backend)
            for backend in (compiled_backend, "numpy")
        ]
        for model in models:
            train(model, lambda model, rows=rows: model.fit(rows, LABELS))
        found, expected = models
        np.testing.assert_allclose(found.loss_curve_, expected.loss_curve_, rtol=1e-9)
        for ours, theirs in zip(found.coefs_, expected.coefs_, strict=True):
            np.testing.assert_allclose(ours, theirs, rtol=1e-7, atol=1e-9)


def test_random_state_decides_what_is_silent():
    assert same(fitted(), fitted())
    begun = {"warm_start": True, "shuffle": False}  # nothing else is drawn then
    models = [fitted(0, **begun) for _ in range(3)]
    for model, random_state in zip(models, [5, 5, 6], strict=True):
        model.set_params(random_state=random_state, dropout=SHARES)
        train(model, lambda model: model.fit(X, Y))
    assert same(models[0], models[1])
    assert not same(models[0], models[2])


def test_each_layer_has_its_own_share():
    assert same(fitted(0.3), fitted([0.3, 0.3]))
    assert not same(fitted([0.3, 0.0]), fitted([0.0, 0.3]))
    assert same(fitted(0), fitted(np.zeros(2)))


def test_without_dropout_the_stream_of_draws_is_scikit_learns():
    streams = [np.random.RandomState(0) for _ in range(2)]
    fitted(0, random_state=streams[0], shuffle=False)
    fitted(SHARES, random_state=streams[1], shuffle=False)
    streams[0].randint(2**32, dtype=np.uint32)  # the seed
    assert streams[0].randint(2**31) == streams[1].randint(2**31)


def test_predictions_are_of_the_whole_network(backend):
    model = fitted(0.9, backend=backend)
    np.testing.assert_array_equal(model.predict(X), model.predict(X))
    np.testing.assert_allclose(model.predict(X), model.hidden_activations(X)[-1].ravel())


def test_the_loss_is_of_the_thinned_networks():
    # One batch and one pass: the loss of the first parameters.
    whole, thinned = (
        fitted(dropout, max_iter=1, batch_size=90, alpha=0).loss_ for dropout in (0, 0.5)
    )
    assert thinned != pytest.approx(whole, rel=0.01)


def test_calls_of_partial_fit_go_on_with_the_seed_and_the_steps():
    whole = fitted(shuffle=False, max_iter=2, tol=0)
    parts = MLPRegressor(**{**PARAMS, "dropout": SHARES, "shuffle": False})
    parts.partial_fit(X, Y)
    assert parts._loop.state.seeds == whole._loop.state.seeds
    pickle.loads(pickle.dumps(parts)).partial_fit(X, Y)
    again = pickle.loads(pickle.dumps(parts)).partial_fit(X, Y)
    parts.partial_fit(X, Y)
    assert same(parts, whole)
    assert same(again, whole)


def test_a_call_may_turn_it_on_and_off(backend):
    model = MLPRegressor(**PARAMS, backend=backend).partial_fit(X, Y)
    assert len(model._loop.state.seeds) == 0
    plain = pickle.loads(pickle.dumps(model)).partial_fit(X, Y)
    model.set_params(dropout=0.5).partial_fit(X, Y)
    assert not same(model, plain)
    assert len(model._loop.state.seeds) == 1
    before = pickle.loads(pickle.dumps(model))
    model.set_params(dropout=0).partial_fit(X, Y)
    assert not same(model, before.partial_fit(X, Y))


def test_clones_and_pickles_keep_it():
    model = fitted()
    assert clone(model).dropout == SHARES
    copy = pickle.loads(pickle.dumps(model))
    assert copy.dropout == SHARES
    assert same(copy, model)
    assert same(train_again(clone(model)), model)


def train_again(model):
    train(model, lambda model: model.fit(X, Y))
    return model


REFUSED = {
    "one": ({"dropout": 1.0}, r"The 'dropout' parameter of MLPRegressor must be .*\[0\.0, 1\.0\)"),
    "negative": ({"dropout": -0.1}, r"The 'dropout' parameter .* Got -0\.1 instead"),
    "name": ({"dropout": "half"}, r"The 'dropout' parameter .* Got 'half' instead"),
    "too many": (
        {"dropout": [0.1, 0.2, 0.3]},
        r"^dropout must be one number or 2 numbers, one for each hidden layer, got \[0\.1, 0\.2, ",
    ),
    "one of them": ({"dropout": [0.1, 1.5]}, r"^dropout must be a number in \[0, 1\), got 1\.5\.$"),
    "lbfgs": (
        {"dropout": 0.5, "solver": "lbfgs"},
        r"^dropout=0\.5 cannot be used with solver='lbfgs', which compares losses of the same"
        r" network on the same rows in float64\. Choose another solver, or leave dropout out\.$",
    ),
}


@pytest.mark.parametrize(("params", "message"), REFUSED.values(), ids=REFUSED)
def test_other_values_are_refused_and_change_nothing(params, message):
    model = fitted(0)
    before = pickle.dumps(model.coefs_)
    model.set_params(**params)
    with pytest.raises(ValueError, match=message):
        model.fit(X, Y)
    assert pickle.dumps(model.coefs_) == before


def test_lbfgs_takes_zero():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        model = MLPRegressor(**PARAMS, solver="lbfgs").fit(X, Y)
        assert same(model, clone(model).set_params(dropout=[0.0, 0.0]).fit(X, Y))
