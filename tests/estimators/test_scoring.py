"""Does early stopping watch what ``scoring`` says, on the rows that it holds out?"""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.metrics import get_scorer, log_loss, mean_poisson_deviance
from sklearn.model_selection import train_test_split

from fastnn import MLPClassifier, MLPRegressor
from fastnn.training.callbacks import watched_by

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")

RNG = np.random.default_rng(0)
X = RNG.normal(size=(120, 3))
LABELS = {
    "binary": np.where(X[:, 0] > 0.3, "yes", "no"),
    "multiclass": np.array(["a", "b", "c"])[np.digitize(X[:, 0], [-0.4, 0.4])],
    "multilabel": (X[:, :2] > 0).astype(int),
}
NUMBERS = {
    "one": X @ [1.0, -2.0, 0.5],
    "two": X[:, :2] * 2 + 1,
    "poisson": np.exp(X[:, 0]).round(),
}
WEIGHT = RNG.uniform(0.5, 2, len(X))
SETTINGS = {
    "hidden_layer_sizes": (5,),
    "early_stopping": True,
    "validation_fraction": 0.25,
    "max_iter": 6,
    "n_iter_no_change": 100,
    "learning_rate_init": 0.01,
    "random_state": 3,
}


class Stop:
    """Ends a fit after some passes."""

    def __init__(self, n):
        self.n = n

    def on_pass_end(self, loop):
        return loop.n_iter == self.n


def held_out(y, stratify):
    """The rows that a fit with the seed of SETTINGS holds out.

    The weights' first draws come before, so that they are drawn again here.
    """
    random_state = np.random.RandomState(3)
    n_out = 1 if y.ndim == 1 and len(set(y.tolist())) == 2 else None
    n_out = n_out or (y.shape[1] if y.ndim == 2 else len(set(y.tolist())) if stratify else 1)
    for n_in, n in ((3, 5), (5, n_out)):
        random_state.uniform(size=(n_in, n))
        random_state.uniform(size=n)
    strata = y if stratify and y.ndim == 1 and len(set(y.tolist())) == 2 else None
    rows = np.arange(len(y))
    return train_test_split(rows, test_size=0.25, random_state=random_state, stratify=strata)[1]


def three_scores(model, y, weight):
    """Fit three passes and return their scores; the model is that of the best."""
    with watched_by(Stop(3)):
        model.fit(X, y, sample_weight=weight)
    assert len(model.validation_scores_) == 3
    return model.validation_scores_


@pytest.mark.parametrize("weight", [None, WEIGHT], ids=["equal", "weighted"])
@pytest.mark.parametrize("kind", LABELS)
def test_the_loss_of_labels(kind, weight):
    y = LABELS[kind]
    model = MLPClassifier(**SETTINGS, scoring="loss")
    scores = three_scores(model, y, weight)
    rows = held_out(y, stratify=True)
    w = None if weight is None else weight[rows]
    chances = model.predict_proba(X[rows])
    if kind == "multilabel":
        losses = -np.log(np.where(y[rows] > 0, chances, 1 - chances)).sum(axis=1)
        expected = np.average(losses, weights=w)
    else:
        expected = log_loss(y[rows], chances, labels=model.classes_, sample_weight=w)
    np.testing.assert_allclose(max(scores), -expected, rtol=1e-10)
    assert model.best_validation_score_ == max(scores)


@pytest.mark.parametrize("weight", [None, WEIGHT], ids=["equal", "weighted"])
@pytest.mark.parametrize("kind", NUMBERS)
def test_the_loss_of_numbers(kind, weight):
    y = NUMBERS[kind]
    loss = "poisson" if kind == "poisson" else "squared_error"
    model = MLPRegressor(loss, **SETTINGS, scoring="loss")
    scores = three_scores(model, y, weight)
    rows = held_out(y, stratify=False)
    w = None if weight is None else weight[rows]
    predicted = model.predict(X[rows])
    if loss == "poisson":
        expected = mean_poisson_deviance(y[rows], predicted, sample_weight=w) / 2
    else:
        errors = (y[rows] - predicted).reshape(len(rows), -1)
        expected = np.average(0.5 * np.mean(errors**2, axis=1), weights=w)
    np.testing.assert_allclose(max(scores), -expected, rtol=1e-10)


@pytest.mark.parametrize("weight", [None, WEIGHT], ids=["equal", "weighted"])
@pytest.mark.parametrize(
    ("kind", "name"),
    [("binary", "roc_auc"), ("multiclass", "neg_log_loss"), ("multilabel", "f1_macro")],
)
def test_a_scorer_by_its_name(kind, name, weight):
    y = LABELS[kind]
    model = MLPClassifier(**SETTINGS, scoring=name)
    scores = three_scores(model, y, weight)
    rows = held_out(y, stratify=True)
    w = {} if weight is None else {"sample_weight": weight[rows]}
    expected = get_scorer(name)(model, X[rows], y[rows], **w)
    np.testing.assert_allclose(max(scores), expected, rtol=1e-10)


def test_a_callable_sees_the_users_labels():
    seen = []

    def scorer(estimator, rows, y):
        seen.append((rows.shape, sorted(set(y.tolist())), estimator.predict(rows).shape))
        return float(len(seen))

    model = MLPClassifier(**SETTINGS, scoring=scorer).fit(X, LABELS["multiclass"])
    assert model.validation_scores_ == [1.0, 2.0, 3.0, 4.0, 5.0, 6.0]
    assert set(map(str, seen)) == {str(((30, 3), ["a", "b", "c"], (30,)))}


def test_none_is_scikit_learns_choice():
    model = MLPClassifier(**SETTINGS).fit(X, LABELS["binary"])
    by_name = MLPClassifier(**SETTINGS, scoring="accuracy").fit(X, LABELS["binary"])
    assert model.validation_scores_ == by_name.validation_scores_
    one = MLPRegressor(**SETTINGS).fit(X, NUMBERS["one"])
    by_name = MLPRegressor(**SETTINGS, scoring="r2").fit(X, NUMBERS["one"])
    assert one.validation_scores_ == by_name.validation_scores_


def test_an_unknown_scorer_is_refused_and_the_model_stays():
    model = MLPRegressor(**SETTINGS).fit(X, NUMBERS["one"])
    before = model.predict(X)
    with pytest.raises(ValueError, match="'r3' is not a valid scoring value"):
        model.set_params(scoring="r3").fit(X[:60], NUMBERS["one"][:60])
    np.testing.assert_array_equal(model.predict(X), before)


@pytest.mark.parametrize(
    ("params", "error", "message"),
    [
        (
            {"class_weight": "balanced", "scoring": lambda estimator, X, y: 0.5},
            TypeError,
            r"^scoring=<function .*> cannot score \(estimator, X, y, sample_weight=\.\.\.\) of the"
            " validation rows: .* unexpected keyword argument 'sample_weight'$",
        ),
        (
            {"scoring": "roc_auc"},
            ValueError,
            r"^scoring='roc_auc' cannot score \(estimator, X, y\) of the validation rows: multi",
        ),
        (
            {"scoring": lambda estimator, X, y: np.nan},
            ValueError,
            r"^scoring=<function .*> gives NaN for the validation rows\. Do they hold all classes\?"
            r" Give other rows, or choose another scoring\.$",
        ),
    ],
)
def test_a_scorer_that_cannot_score_is_named(params, error, message):
    with pytest.raises(error, match=message):
        MLPClassifier(**SETTINGS, **params).fit(X, LABELS["multiclass"])


@pytest.mark.parametrize("solver", ["adam", "lbfgs"])
def test_a_name_that_is_none_is_refused_without_rows_too(solver):
    model = MLPRegressor(hidden_layer_sizes=(5,), max_iter=2, scoring="foo", solver=solver)
    with pytest.raises(ValueError, match=r"'foo' is not a valid scor|'scoring' parameter"):
        model.fit(X, NUMBERS["one"])
    assert not hasattr(model, "coefs_")
