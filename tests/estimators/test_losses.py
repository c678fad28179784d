"""Does each loss of an estimator do what it is for, and are the others refused?"""

from __future__ import annotations

import pickle
import re

import numpy as np
import pytest
from sklearn.base import clone
from sklearn.compose import TransformedTargetRegressor
from sklearn.metrics import d2_pinball_score, r2_score
from sklearn.model_selection import GridSearchCV
from sklearn.preprocessing import StandardScaler

from fastnn import MLPClassifier, MLPRegressor
from fastnn.core.losses import LABEL_LOSSES, BinaryLogLoss
from fastnn.estimators.targets import NUMBER_LOSSES
from fastnn.losses import Brier, Focal, Gamma, Huber, LogLoss, Quantile

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")

RNG = np.random.default_rng(0)
X = RNG.normal(size=(200, 3))
Y = X @ [1.0, -2.0, 0.5] + RNG.normal(size=200)
WEIGHT = RNG.uniform(0.2, 3, len(X))
LABELS = {
    "two classes": np.where(Y > 0, "yes", "no"),
    "three classes": np.digitize(Y, [-1, 1]),
    "multilabel": np.c_[Y > 0, Y > 1, X[:, 0] > 0].astype(int),
}
QUICK = {"hidden_layer_sizes": (5,), "learning_rate_init": 0.01, "random_state": 0, "max_iter": 20}
QUANTILES = Quantile([0.1, 0.5, 0.8])


def test_the_losses_there_are():
    assert list(NUMBER_LOSSES) == [
        *("squared_error", "absolute_error", "huber", "quantile", "poisson", "gamma")
    ]
    assert list(LABEL_LOSSES) == ["log_loss", "squared_error", "focal"]


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (
            lambda: MLPRegressor("log_loss").fit(X, Y),
            r"'loss' parameter of MLPRegressor must be a str among \{'squared_error', 'absolute_e",
        ),
        (
            lambda: MLPRegressor(LogLoss()).fit(X, Y),
            r"^loss=LogLoss\(\) is a loss of classes, but MLPRegressor takes those of numbers:"
            r" squared_error, absolute_error, huber, quantile, poisson, gamma, or such an object of"
            r" fastnn\.losses\.$",
        ),
        (
            lambda: MLPClassifier(loss="huber").fit(X, Y > 0),
            r"'loss' parameter of MLPClassifier must be a str among \{'log_loss', 'squared_error',",
        ),
        (
            lambda: MLPClassifier(loss=Gamma()).fit(X, Y > 0),
            r"^loss=Gamma\(\) is a loss of numbers, but MLPClassifier takes those of classes:"
            r" log_loss, squared_error, focal, or such an object of fastnn\.losses, for two classes"
            r" or several labels a Function with inverse_link='logistic'\.$",
        ),
        (
            lambda: MLPClassifier(loss=BinaryLogLoss()).fit(X, Y > 0),
            r"^loss=BinaryLogLoss\(\) is a loss of labels, but MLPClassifier takes those of cla",
        ),
        (
            lambda: MLPClassifier(label_smoothing=1.5).fit(X, Y > 0),
            r"'label_smoothing' parameter of MLPClassifier must be a float in the range \[0\.0, 1",
        ),
        (
            lambda: MLPClassifier(loss=Brier(label_smoothing=1.5)).fit(X, Y > 0),
            r"^loss=Brier\(label_smoothing=1\.5\): label_smoothing must be a number in \[0, 1\],"
            r" got 1\.5\.$",
        ),
        (
            lambda: MLPClassifier(loss=Focal(-1)).fit(X, Y > 0),
            r"^loss=Focal\(gamma=-1\): gamma must be a number in \[0, inf\), got -1\.$",
        ),
        (
            lambda: MLPRegressor(Huber(0)).fit(X, Y),
            r"^loss=Huber\(delta=0\): delta must be a number in \(0, inf\), got 0\.$",
        ),
        (
            lambda: MLPRegressor("gamma").fit(X, np.abs(Y).round()),
            r"^loss='gamma' needs y > 0, got values down to 0\.0\.$",
        ),
        (
            lambda: MLPRegressor(QUANTILES).fit(X, np.c_[Y, Y]),
            r"^loss=Quantile\(quantile=\(0\.1, 0\.5, 0\.8\)\) has several quantiles and so takes"
            r" one target, but y has 2 columns\. Fit a regressor for each column, or give one"
            r" quantile\.$",
        ),
        *(
            (
                lambda wrong=wrong: MLPRegressor(Quantile(wrong)).fit(X, Y),
                rf"^loss=Quantile\(quantile={re.escape(repr(wrong))}\): quantile must be a number"
                rf" in \(0, 1\) or a list of such numbers, increasing, got"
                rf" {re.escape(repr(wrong))}\.$",
            )
            for wrong in (0, 1.0, [], [0.5, 0.1], [0.1, 0.1], [0.5, np.nan], [[0.5]], "half", None)
        ),
    ],
)
def test_what_makes_no_sense_is_refused(make, message):
    with pytest.raises(ValueError, match=message):
        make()


# ---- numbers


def test_quantiles_cover_their_share_and_do_not_cross(backend):
    rng = np.random.default_rng(1)
    rows = rng.uniform(-1, 1, size=(3000, 2))
    y = rows[:, 0] + rng.normal(size=3000) * (1.2 + rows[:, 1])
    model = MLPRegressor(
        Quantile([0.05, 0.5, 0.9]),
        (10,),
        learning_rate_init=0.01,
        max_iter=15,
        random_state=0,
        backend=backend,
    ).fit(rows[:2000], y[:2000])
    predicted = model.predict(rows[2000:])
    assert predicted.shape == (1000, 3) and (np.diff(predicted, axis=1) >= 0).all()
    shares = (y[2000:, None] <= predicted).mean(axis=0)
    np.testing.assert_allclose(shares, [0.05, 0.5, 0.9], atol=0.03)
    # Where y spreads more, so do the quantiles.
    wide, narrow = rows[2000:, 1] > 0.5, rows[2000:, 1] < -0.5
    spread = predicted[:, 2] - predicted[:, 0]
    assert spread[wide].mean() > 2 * spread[narrow].mean()


def test_quantiles_of_an_untrained_network_are_sorted(backend):
    model = MLPRegressor(QUANTILES, max_iter=1, backend=backend, random_state=1).fit(X, Y)
    raw = np.maximum(X @ model.coefs_[0] + model.intercepts_[0], 0) @ model.coefs_[1]
    raw += model.intercepts_[1]
    assert (np.diff(raw, axis=1) < 0).any()  # else this asks nothing
    np.testing.assert_allclose(model.predict(X), np.sort(raw, axis=1), rtol=1e-12)
    assert model.out_activation_ == "sorted" and model.n_outputs_ == 3


@pytest.mark.parametrize("weight", [None, WEIGHT], ids=["equal", "weighted"])
def test_the_score_of_quantiles_is_the_mean_d2(weight):
    model = MLPRegressor(QUANTILES, **QUICK).fit(X, Y, sample_weight=weight)
    expected = np.mean(
        [
            d2_pinball_score(Y, column, sample_weight=weight, alpha=level)
            for column, level in zip(model.predict(X).T, (0.1, 0.5, 0.8), strict=True)
        ]
    )
    assert model.score(X, Y, sample_weight=weight) == pytest.approx(expected, rel=1e-12)
    assert model.score(X, Y[:, None].tolist(), sample_weight=weight) == model.score(X, Y, weight)
    median = MLPRegressor("quantile", **QUICK).fit(X, Y)
    assert median.score(X, Y) == d2_pinball_score(Y, median.predict(X), alpha=0.5)
    absolute = MLPRegressor("absolute_error", **QUICK).fit(X, Y)
    assert absolute.score(X, Y) == r2_score(Y, absolute.predict(X))
    with pytest.raises(ValueError, match="has several quantiles and so takes one target"):
        model.score(X, np.c_[Y, Y])


def test_early_stopping_watches_the_score_of_quantiles():
    seen = []

    def by_hand(model, rows, y):
        seen.append(y.shape)
        scores = [
            d2_pinball_score(y, column, alpha=level)
            for column, level in zip(model.predict(rows).T, (0.1, 0.5, 0.8), strict=True)
        ]
        return np.mean(scores)

    model = MLPRegressor(QUANTILES, **QUICK, early_stopping=True)
    scores = clone(model).fit(X, Y).validation_scores_
    np.testing.assert_allclose(
        scores, clone(model).set_params(scoring=by_hand).fit(X, Y).validation_scores_, rtol=1e-10
    )
    assert set(seen) == {(20,)}
    by_loss = clone(model).set_params(scoring="loss").fit(X, Y)
    assert max(by_loss.validation_scores_) == by_loss.best_validation_score_ < 0


def test_one_quantile_takes_several_targets():
    both = MLPRegressor(Quantile(0.8), (), max_iter=60, learning_rate_init=0.1, random_state=0)
    both.fit(X, np.c_[Y, -Y])
    predicted = both.predict(X)
    np.testing.assert_allclose((np.c_[Y, -Y] <= predicted).mean(axis=0), 0.8, atol=0.04)
    expected = d2_pinball_score(np.c_[Y, -Y], predicted, alpha=0.8)
    assert both.score(X, np.c_[Y, -Y]) == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize("loss", ["absolute_error", "huber", "quantile", QUANTILES])
def test_outliers_do_not_move_robust_losses(loss):
    y = X[:, 0].copy()
    y[:10] += 1000
    model = MLPRegressor(loss, (), learning_rate_init=0.05, max_iter=200, random_state=0).fit(X, y)
    middle = model.predict(X[10:]).reshape(190, -1)
    middle = middle[:, middle.shape[1] // 2]
    assert np.abs(middle - y[10:]).max() < 0.3
    squared = MLPRegressor("squared_error", (), solver="lbfgs", random_state=0).fit(X, y)
    assert np.abs(squared.predict(X[10:]) - y[10:]).max() > 10


def test_huber_is_the_squared_error_within_delta():
    wide = MLPRegressor(Huber(delta=1e6), **QUICK).fit(X, Y)
    squared = MLPRegressor("squared_error", **QUICK).fit(X, Y)
    np.testing.assert_allclose(wide.predict(X), squared.predict(X), rtol=1e-10)


def test_gamma_predicts_positive_means():
    y = np.random.default_rng(2).gamma(2.0, np.exp(X[:, 0]) / 2)
    model = MLPRegressor("gamma", (), solver="lbfgs", alpha=0, random_state=0).fit(X, y)
    assert (model.predict(X) > 0).all() and model.out_activation_ == "exp"
    np.testing.assert_allclose(model.coefs_[0][:, 0], [1, 0, 0], atol=0.2)
    np.testing.assert_allclose((y / model.predict(X)).mean(), 1, rtol=1e-4)  # as its gradient says


@pytest.mark.parametrize("loss", [*NUMBER_LOSSES, QUANTILES], ids=str)
def test_lbfgs_minimises_every_loss_of_numbers(loss):
    y = np.exp(Y / 2)
    model = MLPRegressor(loss, (4,), solver="lbfgs", max_iter=60, random_state=0)
    start = clone(model).set_params(max_iter=1).fit(X, y).loss_
    assert model.fit(X, y).loss_ < 0.8 * start


def test_a_constant_is_what_each_loss_says():
    y = np.sort(np.random.default_rng(3).gamma(1.0, size=301))
    nothing = np.zeros((301, 1))
    for loss, expected in [
        ("squared_error", y.mean()),
        ("absolute_error", np.median(y)),
        ("gamma", y.mean()),
        ("poisson", y.mean()),
        ("quantile", np.median(y)),
        (Quantile(0.9), np.quantile(y, 0.9)),
    ]:
        model = MLPRegressor(
            loss, (), learning_rate_init=0.02, max_iter=400, tol=0, random_state=0
        ).fit(nothing, y)
        assert model.predict(nothing[:1])[0] == pytest.approx(expected, abs=0.1), loss


def test_a_transformed_target_takes_quantiles():
    model = TransformedTargetRegressor(
        MLPRegressor(QUANTILES, **QUICK), transformer=StandardScaler()
    ).fit(X, 100 + 10 * Y)
    predicted = model.predict(X)
    assert predicted.shape == (200, 3) and (np.diff(predicted, axis=1) >= 0).all()
    np.testing.assert_allclose(predicted.mean(), 100, atol=20)


# ---- labels


@pytest.mark.parametrize("kind", LABELS)
@pytest.mark.parametrize("loss", LABEL_LOSSES)
def test_every_loss_of_labels_learns(loss, kind, backend):
    y = LABELS[kind]
    model = MLPClassifier(**{**QUICK, "max_iter": 60}, loss=loss, backend=backend).fit(X, y)
    chances = model.predict_proba(X)
    assert model.score(X, y) > {"two classes": 0.75, "three classes": 0.6, "multilabel": 0.5}[kind]
    if kind != "multilabel":
        np.testing.assert_allclose(chances.sum(axis=1), 1)


@pytest.mark.parametrize("kind", LABELS)
def test_brier_is_the_squared_error_of_the_probabilities(kind):
    y = LABELS[kind]
    settings = {"solver": "lbfgs", "alpha": 0, "loss": "squared_error", "random_state": 0}
    model = MLPClassifier((5,), **settings, max_iter=15).fit(X, y)
    chances = model.predict_proba(X)
    if kind == "multilabel":
        losses = ((chances - y) ** 2).sum(axis=1)
    else:
        losses = 0.5 * ((chances - (y[:, None] == model.classes_)) ** 2).sum(axis=1)
    assert model.loss_ == pytest.approx(losses.mean(), rel=1e-10)


@pytest.mark.parametrize("kind", LABELS)
def test_focal_with_gamma_0_is_the_log_loss(kind):
    y = LABELS[kind]
    focal = MLPClassifier(**QUICK, loss=Focal(0.0)).fit(X, y)
    np.testing.assert_allclose(
        focal.predict_proba(X), MLPClassifier(**QUICK).fit(X, y).predict_proba(X), rtol=1e-9
    )


KNOWN = {  # features that tell the labels
    "two classes": ((X[:, :1] > 0).astype(int), X[:, 0] > 0),
    "three classes": (np.eye(3)[LABELS["three classes"]], LABELS["three classes"]),
    "multilabel": (LABELS["multilabel"], LABELS["multilabel"]),
}


@pytest.mark.parametrize(("rows", "y"), KNOWN.values(), ids=KNOWN)
@pytest.mark.parametrize("loss", ["log_loss", "squared_error"])
def test_smoothed_labels_are_what_is_learned(loss, rows, y):
    # 0.2 of each label is spread: of K classes the own one is left 0.8 + 0.2 / K.
    settings = {"hidden_layer_sizes": (), "solver": "lbfgs", "alpha": 0, "tol": 1e-9, "loss": loss}
    model = MLPClassifier(**settings, label_smoothing=0.2, random_state=0).fit(rows * 2 - 1, y)
    chances = model.predict_proba(rows * 2 - 1)
    if y.ndim == 2:
        np.testing.assert_allclose(chances, np.where(y, 0.9, 0.1), atol=1e-3)
    else:
        own = y[:, None] == model.classes_
        n = own.shape[1]
        np.testing.assert_allclose(chances, np.where(own, 0.8 + 0.2 / n, 0.2 / n), atol=1e-3)


@pytest.mark.parametrize("loss", LABEL_LOSSES)
def test_what_the_object_says_of_smoothing_wins(loss):
    inside = type(LABEL_LOSSES[loss])(label_smoothing=0.2)
    models = [
        MLPClassifier(**QUICK, loss=loss, label_smoothing=0.2),
        MLPClassifier(**QUICK, loss=inside, label_smoothing=0.7),
        MLPClassifier(**QUICK, loss=loss),
    ]
    flat, own, none = (m.fit(X, LABELS["two classes"]).predict_proba(X) for m in models)
    np.testing.assert_array_equal(flat, own)
    assert np.abs(flat - none).max() > 1e-3


def test_smoothing_is_a_change_of_the_targets():
    # Of each class K rows, with weights, are what smoothing says: a network cannot tell them apart.
    s, classes = 0.3, np.arange(3)
    y = LABELS["three classes"]
    thrice, every = np.repeat(X, 3, axis=0), np.tile(classes, len(X))
    weight = np.where(every == np.repeat(y, 3), 1 - s + s / 3, s / 3)
    settings = {"hidden_layer_sizes": (4,), "solver": "lbfgs", "random_state": 0, "max_iter": 30}
    smoothed = MLPClassifier(**settings, label_smoothing=s).fit(X, y)
    weighted = MLPClassifier(**settings).fit(thrice, every, sample_weight=weight)
    assert smoothed.loss_ == pytest.approx(weighted.loss_, rel=1e-6)
    np.testing.assert_allclose(smoothed.predict_proba(X), weighted.predict_proba(X), rtol=1e-3)


# ---- both


def test_losses_obey_the_protocol_of_parameters():
    model = MLPRegressor(Quantile([0.1, 0.9]), **QUICK)
    assert repr(model.loss) == "Quantile(quantile=[0.1, 0.9])"
    assert clone(model).loss == Quantile([0.1, 0.9]) and clone(model).loss is not model.loss
    model.set_params(loss__quantile=0.3)
    assert model.loss == Quantile(0.3)
    grid = GridSearchCV(MLPRegressor(Huber(), **QUICK), {"loss__delta": [0.1, 1.0]}, cv=2)
    assert grid.fit(X, Y).best_params_["loss__delta"] in (0.1, 1.0)


def test_a_change_of_the_loss_does_not_reach_a_fitted_model():
    levels = np.array([0.1, 0.5])
    model = MLPRegressor(Quantile(levels), **QUICK).fit(X, Y)
    before = model.predict(X), model.score(X, Y)
    levels[:] = 0.2, 0.9
    model.loss.set_params(quantile=0.7)
    np.testing.assert_array_equal(model.predict(X), before[0])
    assert model.score(X, Y) == before[1]
    copied = pickle.loads(pickle.dumps(model))
    assert copied.score(X, Y) == before[1]
    with pytest.raises(ValueError, match=r"^loss=Quantile\(quantile=0\.7\) needs a network of 1"):
        model.partial_fit(X, Y)


@pytest.mark.parametrize("loss", ["gamma", QUANTILES, "huber"], ids=str)
def test_divergence_is_reported(loss, backend):
    model = MLPRegressor(
        loss, (5,), solver="sgd", learning_rate_init=1e200, backend=backend, random_state=0
    )
    with (
        np.errstate(all="ignore"),
        pytest.raises(ValueError, match="Solver produced non-finite parameter weights"),
    ):
        model.fit(X, np.exp(Y))
    assert not hasattr(model, "coefs_")


def test_a_kink_has_slope_0(backend):
    # Where the prediction is exact, nothing changes: all weights are 0 and so is y.
    for loss in ("absolute_error", "quantile", QUANTILES):
        model = MLPRegressor(loss, (), alpha=0, max_iter=1, warm_start=True, backend=backend)
        model.fit(X, np.zeros(200))
        model.coefs_ = [np.zeros_like(model.coefs_[0])]
        model.intercepts_ = [np.zeros_like(model.intercepts_[0])]
        model.fit(X, np.zeros(200))
        assert not model.coefs_[0].any() and not model.intercepts_[0].any()
        assert model.loss_ == 0


def test_rows_to_validate_on_are_checked_by_the_loss():
    model = MLPRegressor(QUANTILES, **QUICK).fit(X, Y, X_val=X[:50], y_val=Y[:50])
    assert len(model.validation_scores_) == len(model.validation_loss_curve_) == 20
    assert model.validation_scores_[-1] == pytest.approx(model.score(X[:50], Y[:50]), rel=1e-10)
    message = "^X_val, y_val, sample_weight_val: loss='gamma' needs y > 0, got values down to -"
    with pytest.raises(ValueError, match=message):
        MLPRegressor("gamma", **QUICK).fit(X, np.exp(Y), X_val=X[:50], y_val=Y[:50])
