"""Are rows that a user gives to validate on used as held-out ones are, and only measured?"""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
import scipy.sparse
import sklearn
from sklearn.metrics import log_loss
from sklearn.model_selection import train_test_split
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import StandardScaler
from support.parity import difference, numbers

from fastnn import MLPClassifier, MLPRegressor
from fastnn.training.callbacks import watched_by

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")

RNG = np.random.default_rng(0)
X = RNG.normal(size=(120, 3))
LABELS = np.array(["a", "b", "c"])[np.digitize(X[:, 0] + X[:, 1] ** 2, [0.2, 1.2])]
NUMBERS = X @ [1.0, -2.0, 0.5]
WEIGHT = RNG.uniform(0.5, 2, len(X))
X_VAL, LABELS_VAL, NUMBERS_VAL = X[80:], LABELS[80:], NUMBERS[80:]
SETTINGS = {
    "hidden_layer_sizes": (5,),
    "max_iter": 12,
    "learning_rate_init": 0.05,
    "random_state": 3,
}
Y = {MLPClassifier: LABELS, MLPRegressor: NUMBERS}
kinds = pytest.mark.parametrize("kind", [MLPClassifier, MLPRegressor])
solvers = pytest.mark.parametrize("solver", ["adam", "sgd", "lbfgs"])


def fitted(kind, weights=False, **params):
    """Fitted on the first 80 rows, validated on the others."""
    model, y = kind(**SETTINGS | params), Y[kind]
    w, w_val = (WEIGHT[:80], WEIGHT[80:]) if weights else (None, None)
    return model.fit(X[:80], y[:80], w, X_val=X[80:], y_val=y[80:], sample_weight_val=w_val)


@kinds
@solvers
def test_rows_that_are_only_measured_change_no_number(backend, kind, solver):
    measured = fitted(kind, solver=solver, backend=backend)
    without = kind(**SETTINGS, solver=solver, backend=backend).fit(X[:80], Y[kind][:80])
    shown = numbers(measured, X)
    assert len(shown.pop("validation_scores_")) == measured.n_iter_
    assert shown.pop("best_validation_score_") == max(measured.validation_scores_)
    expected = numbers(without, X)
    assert expected.pop("validation_scores_", None) is None
    assert expected.pop("best_validation_score_", None) is None
    assert difference(shown, expected)[0] == 0
    assert len(measured.validation_loss_curve_) == measured.n_iter_
    assert measured.validation_scores_[-1] == pytest.approx(measured.score(X[80:], Y[kind][80:]))


@kinds
def test_rows_given_stop_a_fit_as_the_same_rows_held_out(kind):
    y = Y[kind]
    stops = {"early_stopping": True, "n_iter_no_change": 2, "max_iter": 200, "tol": 1e-3}
    n_out = 3 if kind is MLPClassifier else 1
    stream = np.random.RandomState(3)
    for n_in, n in ((3, 5), (5, n_out)):
        stream.uniform(size=(n_in, n))
        stream.uniform(size=n)
    train, held_out = train_test_split(np.arange(120), test_size=0.1, random_state=stream)
    # Not shuffled, a pass visits the rows in the order of the split.
    inner = kind(**SETTINGS | stops, shuffle=False).fit(X, y, WEIGHT)
    given = kind(**SETTINGS | stops, shuffle=False).fit(
        X[train],
        y[train],
        WEIGHT[train],
        X_val=X[held_out],
        y_val=y[held_out],
        sample_weight_val=WEIGHT[held_out],
    )
    assert inner.n_iter_ < 200
    assert difference(numbers(given, X), numbers(inner, X))[0] == 0
    assert given.validation_loss_curve_ == inner.validation_loss_curve_
    assert given.best_loss_ is None


@pytest.mark.parametrize("weights", [False, True], ids=["equal", "weighted"])
def test_the_validation_loss_is_the_loss_without_the_penalty(weights):
    w = WEIGHT[80:] if weights else None
    model = fitted(MLPClassifier, weights, alpha=10.0)
    expected = log_loss(LABELS_VAL, model.predict_proba(X_VAL), sample_weight=w)
    assert model.validation_loss_curve_[-1] == pytest.approx(expected, rel=1e-10)
    model = fitted(MLPRegressor, weights, alpha=10.0)
    expected = np.average((NUMBERS_VAL - model.predict(X_VAL)) ** 2 / 2, weights=w)
    assert model.validation_loss_curve_[-1] == pytest.approx(expected, rel=1e-10)


def test_held_out_rows_have_a_loss_curve_too():
    model = MLPRegressor(**SETTINGS, early_stopping=True, scoring="loss").fit(X, NUMBERS)
    assert model.validation_loss_curve_ == [-score for score in model.validation_scores_]
    assert MLPRegressor(**SETTINGS).fit(X, NUMBERS).validation_loss_curve_ is None


class Keep:
    """Notes the first weights after each pass."""

    def __init__(self):
        self.weights = []

    def on_pass_end(self, loop):
        self.weights.append(loop.params[:3].copy())


@solvers
@pytest.mark.parametrize("early_stopping", [False, True], ids=["", "early stopping"])
@pytest.mark.parametrize("restore_best", ["auto", True, False])
def test_the_weights_that_a_fit_ends_with(solver, early_stopping, restore_best):
    keep = Keep()
    # Overfitted on few rows, the last weights are not the best ones.
    params = {"hidden_layer_sizes": (30,), "learning_rate_init": 0.1, "max_iter": 25, "alpha": 0.0}
    params |= {"solver": solver, "n_iter_no_change": 30, "scoring": "loss"}
    model = MLPRegressor(
        **SETTINGS | params, early_stopping=early_stopping, restore_best=restore_best
    )
    noisy = NUMBERS + RNG.normal(size=len(X)) * 3
    with watched_by(keep):
        model.fit(X[:40], noisy[:40], X_val=X[80:], y_val=noisy[80:])
    best = int(np.argmax(model.validation_scores_))
    assert best < model.n_iter_ - 1
    restores = early_stopping if restore_best == "auto" else restore_best
    np.testing.assert_array_equal(
        model.coefs_[0].ravel()[:3], keep.weights[best if restores else -1]
    )


def test_curves_go_on_in_a_warm_start():
    model = fitted(MLPClassifier, warm_start=True)
    first = list(model.validation_loss_curve_)
    model.fit(X[:80], LABELS[:80], X_val=X_VAL, y_val=LABELS_VAL)
    assert model.validation_loss_curve_[:12] == first
    assert len(model.validation_loss_curve_) == len(model.loss_curve_) == 24
    model.set_params(warm_start=False).fit(X, LABELS)
    assert model.validation_loss_curve_ is model.validation_scores_ is None


def test_rows_of_other_kinds():
    expected = fitted(MLPClassifier).validation_loss_curve_
    model, frame = MLPClassifier(**SETTINGS), pd.DataFrame(X, columns=["a", "b", "c"])
    model.fit(frame[:80], LABELS[:80], X_val=frame[80:], y_val=list(LABELS_VAL))
    assert model.validation_loss_curve_ == expected
    sparse = scipy.sparse.csr_array(X)
    model.fit(sparse[:80], LABELS[:80], X_val=sparse[80:], y_val=LABELS_VAL)
    np.testing.assert_allclose(model.validation_loss_curve_, expected)
    model.fit(X[:80].astype("f4"), LABELS[:80], X_val=X_VAL, y_val=LABELS_VAL)
    np.testing.assert_allclose(model.validation_loss_curve_, expected, rtol=1e-4)
    single = MLPRegressor(**SETTINGS)
    with pytest.warns(match="A column-vector y was passed when a 1d array was expected"):
        single.fit(X, NUMBERS, X_val=X_VAL, y_val=NUMBERS_VAL[:, None])


def test_a_pipeline_transforms_them():
    scaled = StandardScaler().fit(X[:80])
    expected = MLPClassifier(**SETTINGS, early_stopping=True).fit(
        scaled.transform(X[:80]), LABELS[:80], X_val=scaled.transform(X_VAL), y_val=LABELS_VAL
    )
    with sklearn.config_context(enable_metadata_routing=True):
        network = MLPClassifier(**SETTINGS, early_stopping=True)
        network.set_fit_request(X_val=True, y_val=True)
        steps = [("scale", StandardScaler()), ("network", network)]
        model = Pipeline(steps, transform_input=["X_val"])
        model.fit(X[:80], LABELS[:80], X_val=X_VAL, y_val=LABELS_VAL)
    assert difference(numbers(model[-1], X), numbers(expected, X))[0] == 0


PREFIX = "^X_val, y_val, sample_weight_val: "
REFUSED = {
    "X alone": ({"X_val": X}, r"^X_val is given without y_val\. Validation rows need both\.$"),
    "y alone": ({"y_val": LABELS}, r"^y_val is given without X_val\. Validation rows need both\.$"),
    "weights alone": ({"sample_weight_val": WEIGHT}, "^sample_weight_val is given without X_val"),
    "other columns": (
        {"X_val": X[:, :2], "y_val": LABELS},
        PREFIX + r"X has 2 features, but MLPClassifier is expecting 3 features as input\.$",
    ),
    "another length": (
        {"X_val": X, "y_val": LABELS[:9]},
        PREFIX + r"Found input variables with inconsistent numbers of samples: \[120, 9\]$",
    ),
    "unknown labels": (
        {"X_val": X, "y_val": np.full(120, "z")},
        PREFIX + r"`y` has classes not in `self.classes_`\. `self.classes_` has \['a' 'b' 'c'\]",
    ),
    "one row": (
        {"X_val": X[:1], "y_val": LABELS[:1]},
        PREFIX + r"X_val has one row only; at least two are needed\.$",
    ),
    "negative weights": (
        {"X_val": X, "y_val": LABELS, "sample_weight_val": -WEIGHT},
        PREFIX + "Negative values in data passed to `sample_weight`",
    ),
}


@pytest.mark.parametrize(("rows", "message"), REFUSED.values(), ids=REFUSED)
def test_rows_that_do_not_fit_are_refused_and_the_model_stays(rows, message):
    model = MLPClassifier(**SETTINGS).fit(X, LABELS)
    before = numbers(model, X)
    with pytest.raises(ValueError, match=message):
        model.fit(X[:60], LABELS[:60], **rows)
    assert difference(numbers(model, X), before)[0] == 0


def test_dates_to_validate_on_are_refused_as_such():
    dates = np.arange(120).astype("M8[D]")
    with pytest.raises(TypeError, match=PREFIX + "y must hold real numbers, got dates"):
        MLPRegressor().fit(X, NUMBERS, X_val=X, y_val=dates)


def test_targets_of_another_width_are_refused():
    message = PREFIX + r"y_val has 1 outputs, but y has 2\.$"
    with pytest.raises(ValueError, match=message):
        MLPRegressor().fit(X, X[:, :2], X_val=X, y_val=NUMBERS)


def test_the_best_weights_need_rows_to_validate_on():
    message = (
        "^restore_best=True needs rows to validate on: give fit X_val and y_val, or set"
        r" early_stopping=True\. partial_fit and fit_batches have none: set restore_best='auto'"
        r" before\.$"
    )
    with pytest.raises(ValueError, match=message):
        MLPRegressor(**SETTINGS, restore_best=True).partial_fit(X, Y[MLPRegressor])
    for solver in ("adam", "lbfgs"):
        with pytest.raises(ValueError, match=message):
            MLPRegressor(solver=solver, restore_best=True).fit(X, NUMBERS)
