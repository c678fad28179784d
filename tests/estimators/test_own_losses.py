"""Does a loss that a user writes train, predict and travel, and is a wrong one refused?"""

from __future__ import annotations

import pickle
import warnings

import numpy as np
import pytest
from scipy.special import expit
from sklearn.base import clone
from sklearn.exceptions import ConvergenceWarning
from support.problems import log_cosh, slope_of_log_cosh

from fastnn import MLPClassifier, MLPRegressor, backends
from fastnn.export import to_c
from fastnn.losses import Brier, Function

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")

X = np.random.default_rng(0).normal(size=(60, 4))
Y = np.sin(2 * X[:, 0]) + X[:, 1] * X[:, 2]
SETTINGS = {"hidden_layer_sizes": (6,), "max_iter": 8, "random_state": 0, "batch_size": 20}


def half_square(raw, y):
    return 0.5 * (raw - y) ** 2


def slope_of_half_square(raw, y):
    return raw - y


def brier(raw, y):
    return (expit(raw) - y) ** 2


def slope_of_brier(raw, y):
    return 2 * (expit(raw) - y) * expit(raw) * expit(-raw)


def poisson(raw, y):
    return np.exp(raw) - y * raw


def slope_of_poisson(raw, y):
    return np.exp(raw) - y


HALF_SQUARE = Function(half_square, slope_of_half_square)
LOG_COSH = Function(log_cosh, slope_of_log_cosh, name="log cosh")
BRIER = Function(brier, slope_of_brier, inverse_link="logistic")
POISSON = Function(poisson, slope_of_poisson, inverse_link="exp")


@pytest.mark.parametrize("solver", ["adam", "lbfgs"])
@pytest.mark.parametrize("n_targets", [1, 3])
def test_a_regressor_learns_the_same_as_by_the_built_in_one(backend, n_targets, solver):
    y = np.column_stack([Y, Y**2, X[:, 0]][:n_targets])
    y = y.ravel() if n_targets == 1 else y
    own, built_in = (
        MLPRegressor(loss, **SETTINGS, solver=solver, backend=backend).fit(
            X, y, np.arange(60) % 3, X_val=X[:20], y_val=y[:20]
        )
        for loss in (HALF_SQUARE, "squared_error")
    )
    if solver == "adam" or n_targets == 1:  # L-BFGS looks at the value, which is no average here
        np.testing.assert_allclose(own.predict(X), built_in.predict(X), rtol=1e-9)
    found = built_in.validation_loss_curve_ if solver == "adam" else [built_in.loss_]
    ours = own.validation_loss_curve_ if solver == "adam" else [own.loss_]
    if n_targets == 1:
        np.testing.assert_allclose(ours, found, rtol=1e-6)


def test_predictions_go_through_the_link(backend):
    y = np.random.default_rng(0).poisson(np.exp(X[:, 0]))
    own = MLPRegressor(POISSON, **SETTINGS, backend=backend).fit(X, y)
    expected = MLPRegressor("poisson", **SETTINGS, backend=backend).fit(X, y)
    assert own.out_activation_ == "exp"
    np.testing.assert_allclose(own.predict(X), expected.predict(X), rtol=1e-9)


@pytest.mark.parametrize("kind", ["two classes", "labels"])
def test_a_classifier_takes_one_of_probabilities(backend, kind):
    y = {"two classes": np.where(Y > 0, "yes", "no"), "labels": np.c_[Y > 0, X[:, 0] > 0] * 1}
    own, expected = (
        MLPClassifier(loss=loss, **SETTINGS, backend=backend).fit(X, y[kind])
        for loss in (BRIER, Brier())
    )
    np.testing.assert_allclose(own.predict_proba(X), expected.predict_proba(X), rtol=1e-9)
    np.testing.assert_array_equal(own.predict(X), expected.predict(X))
    np.testing.assert_allclose(own.loss_curve_, expected.loss_curve_, rtol=1e-9)


THREE = np.digitize(Y, [-0.5, 0.5])
REFUSED = {
    "wrong slope": (
        MLPRegressor(Function(half_square, np.add)),
        Y,
        r"^loss=Function\(half_square, add, name='function', inverse_link='identity'\): slope is"
        r" not the derivative of value in 97 of 97 places, the first at raw = -6\.\d+, y ="
        r" 0\.\d+: slope gives -?\d\.\d+, finite differences of value give -\d\.\d+\.$",
    ),
    "wrong in one part": (
        MLPRegressor(
            Function(lambda raw, y: abs(raw - y), lambda raw, y: np.where(raw > y, 1.0, 1.0))
        ),
        Y,
        r"in 4\d of 97 places, the first at .*: slope gives 1, finite differences of value give -1",
    ),
    "not of this y": (
        MLPRegressor(Function(lambda raw, y: raw * np.log(y), lambda raw, y: np.log(y))),
        Y - 100,
        r"y = -\d+\.\d+: slope gives nan, finite differences of value give nan\.$",
    ),
    "one argument": (
        MLPRegressor(Function(lambda raw: raw, lambda raw: raw)),
        Y,
        r"value and slope must take two arrays of numbers, raw outputs and y, leave them as they",
    ),
    "writes to y": (
        MLPRegressor(Function(lambda raw, y: (raw - np.add(y, 1, out=y)) ** 2, np.subtract)),
        Y,
        r"raised ValueError: output array is read-only$",
    ),
    "link": (
        MLPRegressor(Function(half_square, slope_of_half_square, inverse_link="softmax")),
        Y,
        r"inverse_link must be 'identity', 'exp' or 'logistic', got 'softmax'\.$",
    ),
    "labels without probabilities": (
        MLPClassifier(loss=LOG_COSH),
        THREE > 1,
        r"^loss=Function\(.*\) is a loss of numbers, but MLPClassifier takes those of classes:"
        r" log_loss, squared_error, focal, or such an object of fastnn\.losses, for two classes or"
        r" several labels a Function with inverse_link='logistic'\.$",
    ),
    "three classes": (
        MLPClassifier(loss=BRIER),
        THREE,
        r"takes each output by itself: it is for two classes, or labels that apply or not, but y"
        r" has 3 classes\. Fit one network for each class, by"
        r" sklearn\.multiclass\.OneVsRestClassifier, or choose another loss\.$",
    ),
    "wrong slope for labels": (
        MLPClassifier(loss=Function(brier, slope_of_poisson, inverse_link="logistic")),
        THREE > 1,
        r"slope is not the derivative of value in \d+ of 97 places",
    ),
    "smoothing": (
        MLPClassifier(loss=BRIER, label_smoothing=0.1),
        THREE > 1,
        r"^label_smoothing=0\.1 cannot be used with loss=Function\(brier, .*\)\. Smooth y in its"
        r" functions, y \* \(1 - s\) \+ s / 2, or set label_smoothing=0\.$",
    ),
}


@pytest.mark.parametrize(("model", "y", "sentence"), REFUSED.values(), ids=REFUSED)
def test_what_cannot_be_is_refused_before_anything_changes(model, y, sentence):
    model = clone(model)
    with warnings.catch_warnings(), pytest.raises(ValueError, match=sentence):
        warnings.simplefilter("ignore", ConvergenceWarning)
        model.fit(X, y)
    assert not [name for name in vars(model) if name.endswith("_")]


@pytest.mark.parametrize("scale", [1e-6, 1.0, 1e6])
@pytest.mark.parametrize("offset", [0.0, 1e3])
def test_the_slope_is_checked_in_the_units_of_y(scale, offset):
    y = scale * (Y + offset)
    for right in (HALF_SQUARE, LOG_COSH):  # rounding of the latter is not in the units of y
        right.check_targets(y)
    wrong = Function(half_square, lambda raw, y: 1.001 * (raw - y))
    with pytest.raises(ValueError, match="slope is not the derivative"):
        wrong.check_targets(y)


def test_clones_and_pickles_are_the_same_model():
    model = MLPRegressor(LOG_COSH, **SETTINGS, backend="numpy").fit(X, Y)
    twin = clone(model)
    assert twin.loss == model.loss != HALF_SQUARE
    assert repr(model.loss) == (
        "Function(log_cosh, slope_of_log_cosh, name='log cosh', inverse_link='identity')"
    )
    assert twin.set_params(loss__name="x").get_params()["loss__name"] == "x" != model.loss.name
    np.testing.assert_array_equal(clone(model).fit(X, Y).predict(X), model.predict(X))
    loaded = pickle.loads(pickle.dumps(model))
    np.testing.assert_array_equal(loaded.predict(X), model.predict(X))
    np.testing.assert_array_equal(*(one.partial_fit(X, Y).predict(X) for one in (loaded, model)))


def test_predicting_compiles_nothing(monkeypatch):
    model = MLPRegressor(LOG_COSH, **SETTINGS, backend="numpy").fit(X, Y)
    functions = pytest.importorskip("fastnn.backends.numba.functions")
    monkeypatch.setattr(functions, "block_function", None)
    for name in backends.BACKENDS:
        if backends.why_not(name) is None:
            found = model.set_params(backend=name).predict(X)
            np.testing.assert_allclose(found, model.set_params(backend="numpy").predict(X))


def test_it_is_exported_as_any_other(tmp_path):
    for loss, path in ((HALF_SQUARE, "own"), ("squared_error", "expected")):
        model = MLPRegressor(loss, **SETTINGS, backend="numpy").fit(X, Y)
        to_c(model, tmp_path / f"{path}.c", name="model")
    own, expected = ((tmp_path / f"{path}.c").read_text() for path in ("own", "expected"))
    assert own.splitlines()[5:] == expected.splitlines()[5:]
