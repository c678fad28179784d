"""An activation of one's choice: by name, as an object with settings, or one for each layer."""

from __future__ import annotations

import pickle

import numpy as np
import pytest
from sklearn.base import clone
from sklearn.model_selection import GridSearchCV

from fastnn import MLPClassifier, MLPRegressor
from fastnn.activations import ELU, Function, LeakyReLU
from fastnn.core.activations import ACTIVATIONS

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")

X = np.random.default_rng(0).normal(size=(60, 4))
y = np.sin(2 * X[:, 0]) + X[:, 1] * X[:, 2]


def regressor(activation, **settings) -> MLPRegressor:
    settings = {"hidden_layer_sizes": (8, 5), "max_iter": 10, "random_state": 0} | settings
    return MLPRegressor(activation=activation, **settings)


def bent(z):
    return 0.5 * (np.sqrt(z * z + 1) - 1) + z


def slope_of_bent(z):
    return 0.5 * z / np.sqrt(z * z + 1) + 1


BENT = Function(bent, slope_of_bent, name="bent")


@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_every_activation_learns(activation):
    start, end = regressor(activation, max_iter=60, batch_size=20).fit(X, y).loss_curve_[::59]
    assert end < start


@pytest.mark.parametrize(
    ("given", "same"),
    [
        ("leaky_relu", LeakyReLU()),
        ("leaky_relu", [LeakyReLU(), "leaky_relu"]),
        (["elu", "tanh"], (ELU(), "tanh")),
        (ELU(2), [ELU(2.0), ELU(2.0)]),
    ],
)
def test_what_means_the_same_gives_the_same_numbers(given, same):
    one, other = (regressor(activation).fit(X, y) for activation in (given, same))
    assert one.loss_curve_ == other.loss_curve_
    np.testing.assert_array_equal(one.predict(X), other.predict(X))


@pytest.mark.parametrize(
    ("activation", "sentence"),
    [
        (["relu"], r"activation must be one for all hidden layers or a list of 2, one for each"),
        (["relu", 3], r"each a name or an object of fastnn\.activations, got \['relu', 3\]\."),
        (["relu", "reul"], r"activation must be one of \['elu', .*, got 'reul'\."),
        ("reul", r"The 'activation' parameter of MLPRegressor must be a str among \{.*'selu'"),
        (
            LeakyReLU(-0.1),
            r"^activation=LeakyReLU\(negative_slope=-0\.1\): negative_slope must be a number in"
            r" \[0, inf\), got -0\.1\.$",
        ),
        (
            ["tanh", ELU(0)],
            r"^activation=ELU\(alpha=0\): alpha must be a number in \(0, inf\), got",
        ),
        (ELU("1"), r"alpha must be a number in \(0, inf\), got '1'\."),
        (Function(bent, 3), r"slope must be a function, got 3\."),
        (Function(bent, bent, keeps="all"), r"keeps must be 'input' or 'output', got 'all'\."),
        (
            Function(np.tanh, np.tanh),
            r"^activation=Function\(tanh, tanh, name='function', keeps='input'\): slope is not the"
            r" derivative of value in \d+ of 97 places, the first at z = -5\.9877: slope gives"
            r" -0\.99\d+, finite differences of value give 2\.5\d+e-05\.$",
        ),
        (
            Function(np.sum, np.tanh),
            r"value must give an array of the shape of its argument, \(97,\), got \(\)\.",
        ),
        (
            Function(lambda z: z if z > 0 else 0 * z, np.tanh),
            r"keeps='input'\): value and slope must take an array of numbers, leave them as they"
            r" are, and give as many numbers; where they ask for a sign, by np\.where rather than"
            r" if\. Theirs raised ValueError: The truth value ",
        ),
        (Function(lambda z: np.tanh(z, out=z), np.cos), r"raised ValueError: .*read-only$"),
        (
            Function(np.tanh, lambda a: np.subtract(1, a * a, out=a), keeps="output"),
            r"raised ValueError: .*read-only$",
        ),
        (Function(lambda z: 1j * z, np.ones_like), r"raised TypeError: Cannot cast .*complex128"),
    ],
)
def test_what_cannot_be_is_refused_before_anything_changes(activation, sentence):
    model = regressor("tanh").fit(X, y)
    before, coefs = model.predict(X), model.coefs_
    model.set_params(activation=activation)
    with pytest.raises(ValueError, match=sentence):
        model.fit(X, y)
    assert model.coefs_ is coefs
    np.testing.assert_array_equal(model.set_params(activation="tanh").predict(X), before)


def test_predict_uses_a_setting_that_was_changed_as_if_it_were_set_before(backend):
    model = regressor(LeakyReLU(0.1), backend=backend).fit(X, y)
    before = model.predict(X)
    model.set_params(activation__negative_slope=0.7)
    assert np.abs(model.predict(X) - before).max() > 1e-3
    other = regressor(LeakyReLU(0.7), backend=backend).fit(X, y)
    other.coefs_, other.intercepts_ = model.coefs_, model.intercepts_
    np.testing.assert_array_equal(model.predict(X), other.predict(X))
    np.testing.assert_array_equal(
        model.set_params(activation__negative_slope=0.1).predict(X), before
    )


def test_a_wrong_setting_is_refused_by_predict_too():
    model = regressor(LeakyReLU(0.1)).fit(X, y)
    model.set_params(activation__negative_slope=-1)
    with pytest.raises(ValueError, match=r"negative_slope must be a number in \[0, inf\), got -1"):
        model.predict(X)


@pytest.mark.parametrize("activation", [ELU(0.5), [ELU(0.5), "mish"], BENT], ids=repr)
def test_clones_and_pickles_are_the_same_model(activation):
    model = regressor(activation).fit(X, y)
    twin = clone(model)
    assert twin.activation == activation
    np.testing.assert_array_equal(twin.fit(X, y).predict(X), model.predict(X))
    loaded = pickle.loads(pickle.dumps(model))
    assert repr(loaded) == repr(model)
    np.testing.assert_array_equal(loaded.predict(X), model.predict(X))


def test_a_clone_does_not_share_its_activation():
    model = regressor(ELU(0.5))
    clone(model).set_params(activation__alpha=2)
    assert model.activation.alpha == 0.5


def test_a_grid_names_the_setting():
    grid = {"activation__negative_slope": [0.0, np.float64(0.3)]}
    search = GridSearchCV(regressor(LeakyReLU(), dtype="float32"), grid, cv=2).fit(X, y)
    assert search.best_estimator_.coefs_[0].dtype == np.float32
    assert search.best_params_["activation__negative_slope"] in (0, 0.3)
    assert len(set(search.cv_results_["mean_test_score"])) == 2


@pytest.mark.parametrize("activation", [["elu", "gelu"], LeakyReLU(0.2)], ids=repr)
def test_a_warm_start_goes_on(activation):
    whole = regressor(activation, max_iter=8).fit(X, y)
    parts = regressor(activation, max_iter=4, warm_start=True).fit(X, y)
    before = list(parts.loss_curve_)
    parts.fit(X, y)
    assert parts.loss_curve_[: len(before)] == before
    assert parts.loss_curve_[-1] == pytest.approx(whole.loss_curve_[-1], rel=0.05)
    parts.set_params(activation="tanh").fit(X, y)  # the same weights go on below another function
    assert np.isfinite(parts.loss_)


def test_the_classifier_takes_one_for_each_layer(backend):
    each = ["selu", LeakyReLU(0.2)]
    model = MLPClassifier((8, 5), each, max_iter=100, random_state=0)
    model.set_params(backend=backend, learning_rate_init=0.02)
    assert model.fit(X, y > 0).score(X, y > 0) > 0.9
    assert len(model.hidden_activations(X)) == 3


def test_without_hidden_layers_a_list_is_empty():
    linear = MLPRegressor(hidden_layer_sizes=(), activation=[], max_iter=3, random_state=0).fit(
        X, y
    )
    assert [coef.shape for coef in linear.coefs_] == [(4, 1)]
    with pytest.raises(
        ValueError, match=r"a list of 0, one for each hidden layer, .*, got \['relu'\]"
    ):
        MLPRegressor(hidden_layer_sizes=(), activation=["relu"]).fit(X, y)
