"""Does ``class_weight`` multiply the weights of the rows, and refuse what it cannot weigh?"""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.utils.class_weight import compute_sample_weight
from support.parity import difference, numbers

from fastnn import MLPClassifier, MLPRegressor

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")

RNG = np.random.default_rng(0)
X = RNG.normal(size=(90, 3))
LABELS = {
    "binary": np.where(X[:, 0] > 0.8, "yes", "no"),
    "multiclass": np.digitize(X[:, 0], [-1.0, 0.4]),
    "one": np.full(90, "all"),
}
WEIGHT = RNG.uniform(0.5, 2, len(X))
SETTINGS = {"hidden_layer_sizes": (4,), "max_iter": 5, "random_state": 3}
WEIGHTS = {"binary": {"yes": 5, "no": 0.5}, "multiclass": {0: 3.0, 2: 0.0}, "one": {"all": 2.0}}


@pytest.mark.parametrize("solver", ["adam", "lbfgs"])
@pytest.mark.parametrize("weight", [None, WEIGHT], ids=["", "weighted"])
@pytest.mark.parametrize("balanced", [False, True], ids=["dict", "balanced"])
@pytest.mark.parametrize("kind", LABELS)
def test_it_multiplies_the_weights_of_the_rows(kind, balanced, weight, solver):
    y, class_weight = LABELS[kind], "balanced" if balanced else WEIGHTS[kind]
    model = MLPClassifier(**SETTINGS, solver=solver, class_weight=class_weight)
    model.fit(X, y, weight)
    product = compute_sample_weight(class_weight, y) * (1 if weight is None else weight)
    expected = MLPClassifier(**SETTINGS, solver=solver).fit(X, y, product)
    assert difference(numbers(model, X), numbers(expected, X))[0] == 0


@pytest.mark.parametrize("held_out", [False, True], ids=["given", "held out"])
def test_it_weighs_the_rows_to_validate_on(held_out):
    y, weights = LABELS["multiclass"], WEIGHTS["multiclass"]
    model = MLPClassifier(**SETTINGS, early_stopping=held_out, class_weight=weights)
    expected = MLPClassifier(**SETTINGS, early_stopping=held_out)
    if held_out:
        model.fit(X, y)
        expected.fit(X, y, compute_sample_weight(weights, y))
    else:
        model.fit(X[:60], y[:60], X_val=X[60:], y_val=y[60:])
        w = compute_sample_weight(weights, y)
        expected.fit(X[:60], y[:60], w[:60], X_val=X[60:], y_val=y[60:], sample_weight_val=w[60:])
    assert model.validation_loss_curve_ == expected.validation_loss_curve_
    assert model.validation_scores_ == expected.validation_scores_


def test_the_balance_of_the_training_rows_weighs_the_others():
    y = LABELS["multiclass"]
    model = MLPClassifier(**SETTINGS, class_weight="balanced")
    model.fit(X[:60], y[:60], X_val=X[60:], y_val=y[60:])
    of_class = dict(zip(y[:60], compute_sample_weight("balanced", y[:60]), strict=True))
    again = MLPClassifier(**SETTINGS, class_weight=of_class)
    again.fit(X[:60], y[:60], X_val=X[60:], y_val=y[60:])
    np.testing.assert_allclose(again.validation_loss_curve_, model.validation_loss_curve_)


def test_a_part_of_the_rows_is_weighed_by_a_dict():
    y, weights = LABELS["multiclass"], WEIGHTS["multiclass"]
    model = MLPClassifier(**SETTINGS, class_weight=weights)
    expected = MLPClassifier(**SETTINGS)
    for rows in (y != 1, y != 0):  # neither part holds all classes
        w = np.array([weights.get(label, 1) for label in y[rows]])
        model.partial_fit(X[rows], y[rows], classes=[0, 1, 2])
        expected.partial_fit(X[rows], y[rows], w, classes=[0, 1, 2])
    assert difference(numbers(model, X), numbers(expected, X))[0] == 0


MULTILABEL = (X[:, :2] > 0).astype(int)
REFUSED = {
    "multilabel": (
        {0: 1.0},
        MULTILABEL,
        "^class_weight={0: 1.0} weighs rows by their class, which needs one label a row, got y of"
        " the kind 'multilabel-indicator'. Set class_weight=None; rows of any kind are weighed by"
        r" sample_weight\.$",
    ),
    "numbers": ("balanced", X[:, 0], "^class_weight='balanced' .* the kind 'continuous'"),
    "negative": (
        {0: -1.0, 1: 2, 2: np.inf},
        LABELS["multiclass"],
        r"^class_weight must hold finite numbers >= 0, got {0: -1.0, 2: inf}\.$",
    ),
    "text": ({0: "many"}, LABELS["multiclass"], r">= 0, got {0: 'many'}\.$"),
    "nothing left": (
        {0: 0, 1: 0, 2: 0},
        LABELS["multiclass"],
        r"^class_weight gives the classes the weights \[0.0, 0.0, 0.0\], which leave no row any"
        r" weight\.$",
    ),
    "a truth value": ({0: True}, LABELS["multiclass"], r">= 0, got {0: True}\.$"),
    "another name": ("even", LABELS["binary"], "The 'class_weight' parameter of MLPClassifier"),
}


@pytest.mark.parametrize(("class_weight", "y", "message"), REFUSED.values(), ids=REFUSED)
def test_what_it_cannot_weigh_is_refused(class_weight, y, message):
    with pytest.raises(ValueError, match=message):
        MLPClassifier(**SETTINGS, class_weight=class_weight).fit(X, y)


@pytest.mark.parametrize("named", [{0: 1.0, 7: 2.0}, {7: 2.0}])
def test_a_name_that_is_no_class_is_told(named):
    y = LABELS["multiclass"]
    model = MLPClassifier(**SETTINGS, class_weight=named)
    with pytest.warns(UserWarning, match=r"} names \[7\], but the classes of y are \[0, 1, 2\]\.$"):
        model.fit(X, y)
    assert model.loss_curve_ == MLPClassifier(**SETTINGS).fit(X, y).loss_curve_


def test_rows_that_lack_a_class_may_have_a_weight_for_it():
    y = LABELS["multiclass"]
    weights, rows = {0: 3.0, 1: 1.0, 2: 0.5}, y != 1
    model = MLPClassifier(**SETTINGS, class_weight=weights).fit(X[rows], y[rows])
    w = compute_sample_weight({0: 3.0, 2: 0.5}, y[rows])
    assert model.loss_curve_ == MLPClassifier(**SETTINGS).fit(X[rows], y[rows], w).loss_curve_


def test_a_batch_of_classes_that_weigh_nothing_teaches_nothing():
    y = LABELS["multiclass"]
    parts = [(X[y == label], y[y == label]) for label in (1, 0)]
    model = MLPClassifier(**SETTINGS, class_weight={0: 0.0}, solver="sgd", momentum=0.0)
    expected = MLPClassifier(**SETTINGS, solver="sgd", momentum=0.0)
    model.fit_batches(parts, classes=[0, 1, 2])
    expected.fit_batches(parts[:1], classes=[0, 1, 2])
    for found, of_the_other in zip(model.coefs_, expected.coefs_, strict=True):
        np.testing.assert_array_equal(found, of_the_other)


def test_a_part_of_the_rows_has_no_balance():
    message = (
        "^class_weight='balanced' needs all rows at once, but partial_fit sees some of them. Give a"
        r" dict of weights instead, such as sklearn.utils.class_weight.compute_class_weight"
    )
    model = MLPClassifier(**SETTINGS, class_weight="balanced")
    with pytest.raises(ValueError, match=message):
        model.partial_fit(X, LABELS["binary"], classes=["no", "yes"])
    assert not hasattr(model, "classes_")


def test_a_regressor_has_none():
    with pytest.raises(ValueError, match="Invalid parameter 'class_weight' for estimator MLPReg"):
        MLPRegressor().set_params(class_weight="balanced")
