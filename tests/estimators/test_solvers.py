"""Do the estimators take every optimizer and every schedule, by name and as objects?"""

from __future__ import annotations

import math
import pickle
import warnings

import numpy as np
import pytest
from sklearn.base import clone
from sklearn.exceptions import ConvergenceWarning
from sklearn.model_selection import GridSearchCV

from fastnn import MLPRegressor
from fastnn.core.optimizers import OPTIMIZERS
from fastnn.core.schedules import SCHEDULES
from fastnn.optimizers import SGD, Adam, AdamW, Lion, RMSprop
from fastnn.schedules import Constant, Cosine, OneCycle
from fastnn.training.callbacks import watched_by

RNG = np.random.default_rng(6)
X = RNG.normal(size=(80, 4))
Y = X @ [1.0, -2.0, 0.5, 0.0] + 0.1 * RNG.normal(size=80)
PARAMS = {"hidden_layer_sizes": (6,), "max_iter": 12, "random_state": 3, "batch_size": 16}


def regressor(**params):
    return MLPRegressor(**{**PARAMS, **params})


def fit(model, *data):
    """Fit, whether or not it converges."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        return model.fit(*(data or (X, Y)))


def assert_same(one, other):
    """Bit for bit."""
    for mine, theirs in zip(
        [*one.coefs_, *one.intercepts_], [*other.coefs_, *other.intercepts_], strict=True
    ):
        np.testing.assert_array_equal(mine, theirs)


class Rates:
    """Collects the rate of the first step of each pass, as the schedule gives it."""

    def __init__(self):
        self.found = []

    def on_pass_end(self, loop):
        n_steps = math.ceil(len(loop.rows) / loop.plan.batch_size)
        first = loop.state.step - n_steps
        (rates,) = loop.schedule.rates(first, n_steps, [loop.t - len(loop.rows)], loop.rate)
        self.found.append(rates[0])


def rates_of(**params):
    watcher = Rates()
    with watched_by(watcher):
        fit(regressor(**params))
    return np.array(watcher.found)


@pytest.mark.parametrize("solver", OPTIMIZERS)
def test_a_name_is_the_object_with_default_settings(backend, solver):
    named = fit(regressor(solver=solver, backend=backend, max_iter=40))
    assert named.loss_curve_[-1] < 0.9 * named.loss_curve_[0]
    assert_same(named, fit(regressor(solver=OPTIMIZERS[solver], backend=backend, max_iter=40)))


@pytest.mark.parametrize("learning_rate", SCHEDULES)
def test_every_schedule_works_with_every_solver(learning_rate):
    for solver in OPTIMIZERS:
        named = fit(regressor(solver=solver, learning_rate=learning_rate))
        if (solver, learning_rate) in [("adam", "invscaling"), ("adam", "adaptive")]:
            learning_rate = "constant"  # scikit-learn's Adam takes no notice of these
        schedule = SCHEDULES[learning_rate]
        assert_same(named, fit(regressor(solver=OPTIMIZERS[solver], learning_rate=schedule)))


def test_the_horizon_is_max_iter_passes():
    cosine = 1e-3 * (1 + np.cos(np.pi * np.arange(12) / 12)) / 2
    np.testing.assert_allclose(rates_of(learning_rate="cosine"), cosine)
    np.testing.assert_allclose(
        rates_of(learning_rate=lambda t: (1 + math.cos(math.pi * t)) / 2), cosine
    )
    rise = rates_of(learning_rate=Constant(warmup=0.5), learning_rate_init=0.6)
    np.testing.assert_allclose(rise, [*(0.02 * (5 * np.arange(6) + 1)), *[0.6] * 6])


def test_a_schedule_with_a_horizon_goes_on_to_its_end_without_a_warning():
    plateau = {"tol": 1e6, "n_iter_no_change": 2}
    assert fit(regressor(**plateau)).n_iter_ < 5
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for learning_rate in ("cosine", "one_cycle", "step", "coslog4", lambda t: 1 - t):
            assert regressor(learning_rate=learning_rate, **plateau).fit(X, Y).n_iter_ == 12
        validated = regressor(learning_rate="cosine", **plateau).fit(X, Y, X_val=X, y_val=Y)
        assert validated.n_iter_ == 12  # without early stopping it is only measured
        early = regressor(learning_rate="cosine", early_stopping=True, **plateau).fit(X, Y)
    assert early.n_iter_ < 5  # the score decides


def test_what_adam_ignores_by_name_the_others_honour():
    usual = rates_of(solver="adam", learning_rate="invscaling")
    assert (usual == 1e-3).all()
    for solver in ("adamw", "rmsprop", "lion", "sgd", Adam()):
        rates = rates_of(solver=solver, learning_rate="invscaling")
        np.testing.assert_allclose(rates[1:], 1e-3 / np.sqrt(80 * np.arange(1, 12) + 1))


def test_settings_are_found_in_a_grid_and_survive_clone_and_pickle():
    model = regressor(solver=AdamW(ema=0.9), learning_rate=OneCycle(warmup=0.2))
    grid = GridSearchCV(model, {"solver__weight_decay": [0.0, 5.0]}, cv=2)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        grid.fit(X, Y)
    other = clone(model).set_params(**grid.best_params_)
    assert model.solver == AdamW(ema=0.9)
    assert_same(fit(other), grid.best_estimator_)
    assert_same(pickle.loads(pickle.dumps(other)), other)
    scores = [
        fit(clone(model).set_params(solver__weight_decay=decay), X[:40], Y[:40]).score(X, Y)
        for decay in (0.0, 5.0)
    ]
    assert scores[0] != scores[1]


@pytest.mark.parametrize(
    ("params", "message"),
    [
        (
            {"solver": AdamW(weight_decay=-1)},
            r"^solver=AdamW\(weight_decay=-1\): weight_decay must be a number in \[0, inf\), got"
            r" -1\.$",
        ),
        (
            {"learning_rate": Cosine(end=2)},
            r"^learning_rate=Cosine\(end=2\): end must be a number in \[0, 1\], got 2\.$",
        ),
        (
            {"learning_rate": Cosine},
            r"^learning_rate must be one of \['adaptive', .*, got <class '.*\.Cosine'>\.$",
        ),
        ({"learning_rate": lambda t: -t}, "must be a function whose values are finite and not"),
        (
            {"learning_rate": lambda: 1.0},
            r"^learning_rate must be a function of one number, the share of the steps that are"
            r" done; at t=0\.0 it raised TypeError: .*takes 0 positional arguments but 1 was",
        ),
        ({"solver": "adagrad"}, "'solver' parameter of MLPRegressor must be a str among"),
    ],
)
@pytest.mark.parametrize("method", ["fit", "partial_fit"])
def test_wrong_settings_are_refused_before_anything_changes(params, message, method):
    model = fit(regressor(solver="lbfgs"))  # leaves no optimizer to go on with
    before = pickle.dumps(model)
    model.set_params(**{"solver": "adam", **params})
    with pytest.raises(ValueError, match=message):
        getattr(model, method)(X, Y)
    model.set_params(solver="lbfgs", learning_rate="constant")
    assert pickle.dumps(model) == before


# ---- the average of the parameters


def averaged(**params):
    return regressor(solver=SGD(0.5, ema=0.9), learning_rate_init=0.05, shuffle=False, **params)


class Raw:
    """Collects the parameters that are trained, and those that are validated, of each pass."""

    def __init__(self):
        self.trained, self.validated = [], []

    def on_pass_end(self, loop):
        self.trained.append(loop.state.params[0].copy())
        self.validated.append(loop.params.copy())


def flat(model):
    return np.concatenate([part.ravel() for part in [*model.coefs_, *model.intercepts_]])


def test_coefs_are_the_average_and_training_goes_on_with_what_it_follows(backend):
    seen = Raw()
    with watched_by(seen):
        model = fit(averaged(backend=backend))
    plain = fit(averaged(backend=backend).set_params(solver__ema=None))
    np.testing.assert_array_equal(seen.trained[-1], flat(plain))
    np.testing.assert_array_equal(seen.validated[-1], flat(model))
    assert (flat(model) != flat(plain)).all()


@pytest.mark.parametrize("stored", [False, True])
def test_partial_fit_goes_on_as_one_fit(backend, stored):
    whole = fit(averaged(backend=backend, max_iter=6))
    model = averaged(backend=backend)
    for _ in range(6):
        model.partial_fit(X, Y)
        if stored:
            model = pickle.loads(pickle.dumps(model))
    assert_same(model, whole)
    assert model.loss_curve_ == whole.loss_curve_


def test_edited_coefs_are_what_partial_fit_goes_on_from():
    model, plain = averaged(), averaged().set_params(solver__ema=None)
    for each in (model, plain):
        each.partial_fit(X, Y).partial_fit(X, Y)
        for part in [*each.coefs_, *each.intercepts_]:
            part[...] = np.linspace(-1, 1, part.size).reshape(part.shape)
    start = flat(plain)
    seen = Raw()
    with watched_by(seen):
        model.partial_fit(X[:16], Y[:16])  # step 10
    expected = flat(plain.partial_fit(X[:16], Y[:16]))
    np.testing.assert_array_equal(seen.trained[0], expected)
    average = 11 / 20 * start + 9 / 20 * expected
    np.testing.assert_allclose(flat(model), average, rtol=1e-12, atol=1e-15)


def test_a_warm_start_begins_with_the_average():
    model = fit(averaged(warm_start=True, max_iter=2))
    fresh = clone(model).set_params(warm_start=True)
    fresh.__dict__.update({k: v for k, v in vars(model).items() if k.endswith("_")})
    assert_same(fit(model), fit(fresh))


def test_early_stopping_returns_the_average_that_scored_best(backend):
    seen, model = Raw(), averaged(backend=backend, early_stopping=True, validation_fraction=0.3)
    with watched_by(seen):
        fit(model.set_params(max_iter=30, n_iter_no_change=30), X, RNG.permutation(Y))
    best = int(np.argmax(model.validation_scores_))
    assert best < 29
    np.testing.assert_array_equal(flat(model), seen.validated[best])
    # partial_fit would go on from there, not from what was trained last.
    np.testing.assert_array_equal(model._loop.state.params[0], flat(model))


def test_l1_shrinks_weights_and_is_in_the_loss():
    def size(model):
        return sum(np.abs(coef).sum() for coef in model.coefs_)

    start = {"alpha": 0, "max_iter": 1, "batch_size": 80, "learning_rate_init": 1e-12}
    plain, penalised = (fit(regressor(solver=Adam(l1=l1), **start)) for l1 in (0.0, 10.0))
    assert penalised.loss_ - plain.loss_ == pytest.approx(10 * size(plain) / 80, rel=1e-8)
    long = {"alpha": 0, "max_iter": 100, "learning_rate_init": 0.02}
    plain, penalised = (fit(regressor(solver=Adam(l1=l1), **long)) for l1 in (0.0, 10.0))
    assert size(penalised) < 0.5 * size(plain)


def test_optimizers_of_their_own_settings_train(backend):
    for solver in (RMSprop(0.9, 0.5), Lion(weight_decay=0.1), SGD(max_norm=0.1, l1=0.01)):
        model = fit(regressor(solver=solver, backend=backend, max_iter=40, learning_rate_init=0.01))
        assert model.loss_curve_[-1] < 0.9 * model.loss_curve_[0]


def test_a_setting_of_a_name_makes_the_name_its_object():
    model = MLPRegressor(solver="adamw", loss="huber", learning_rate="cosine")
    model.set_params(solver__weight_decay=0.1, loss__delta=0.3, learning_rate__end=0.5, alpha=0)
    assert repr(model) == (
        "MLPRegressor(alpha=0, learning_rate=Cosine(end=0.5), loss=Huber(delta=0.3),\n"
        "             solver=AdamW(weight_decay=0.1))"
    )
    model.set_params(solver="rmsprop", solver__rho=0.5)
    assert model.solver == RMSprop(rho=0.5)
    assert OPTIMIZERS["adamw"].weight_decay == 0.01  # not that of the family


def test_a_grid_names_a_setting_of_a_name():
    grid = {"solver": ["adamw", "lion"], "solver__weight_decay": [0.0, 0.3]}
    search = fit(GridSearchCV(regressor(max_iter=2), grid, cv=2))
    assert len(set(search.cv_results_["mean_test_score"])) == 4


@pytest.mark.parametrize(
    ("params", "sentence"),
    [
        (
            {"alpha": 3.0, "solver__weight_decay": 0.1, "solver": "lbfgs"},
            r"^solver__weight_decay cannot be set: solver='lbfgs' has no settings\. Set solver to"
            r" one of \['adam', .*\], or to such an object of fastnn\.$",
        ),
        (
            {"alpha": 3.0, "solver__decay": 0.1},
            r"^Adam has no setting 'decay'; it has weight_de",
        ),
        (
            {"activation": ["relu"], "activation__alpha": 1},
            r"activation=\['relu'\] has no setting",
        ),
        ({"augment__std": 1}, r"augment=None has no settings\. Set augment to one of \['input_no"),
    ],
)
def test_a_setting_that_there_is_not_changes_nothing(params, sentence):
    model = MLPRegressor()
    with pytest.raises(ValueError, match=sentence):
        model.set_params(**params)
    assert repr(model) == "MLPRegressor()"
