"""How does a fit go on, stop, warn, print and remember? As scikit-learn's does.

Where scikit-learn shows the behaviour, both libraries run the same story and everything they show
is compared.
"""

from __future__ import annotations

import copy
import re
from contextlib import redirect_stdout
from functools import partial
from io import StringIO
from typing import Any

import numpy as np
import pytest
import sklearn.neural_network
from sklearn.datasets import load_iris, make_regression
from sklearn.exceptions import ConvergenceWarning
from support.parity import difference, numbers, train

import fastnn

X_CLF, Y_CLF = load_iris(return_X_y=True)
X_REG, Y_REG = make_regression(n_samples=90, n_features=6, noise=5.0, random_state=3)
Y_REG = Y_REG / Y_REG.std()

SGD_LIVELY = {
    "solver": "sgd",
    "learning_rate_init": 0.05,
    "momentum": 0.9,
    "hidden_layer_sizes": (6,),
    "batch_size": 25,
}
ADAM_LIVELY = {
    "solver": "adam",
    "learning_rate_init": 0.02,
    "hidden_layer_sizes": (6,),
    "batch_size": 40,
}


def classifier(library: Any, **params: Any) -> Any:
    return library.MLPClassifier(**{"random_state": 4, **params})


def regressor(library: Any, **params: Any) -> Any:
    return library.MLPRegressor(**{"random_state": 4, **params})


def fit(model: Any) -> Any:
    """Fit to the data that fits the model."""
    return model.fit(*(X_CLF, Y_CLF) if hasattr(model, "predict_proba") else (X_REG, Y_REG))


def partial_fit(model: Any, n: int = 1) -> Any:
    for _ in range(n):
        if hasattr(model, "predict_proba"):
            model.partial_fit(X_CLF, Y_CLF, classes=[0, 1, 2])
        else:
            model.partial_fit(X_REG, Y_REG)
    return model


def change(model: Any, **params: Any) -> Any:
    return model.set_params(**params)


def edit_in_place(model: Any) -> None:
    model.coefs_[0][1] *= -0.5
    model.intercepts_[-1][...] = 0.25


def assign_anew(model: Any) -> None:
    model.coefs_ = [2 * coef for coef in model.coefs_]
    model.intercepts_[0] = np.zeros_like(model.intercepts_[0])


def assign_one(model: Any) -> None:
    model.coefs_[1] = 3 * model.coefs_[1]


def fresh_stream(model: Any) -> Any:
    """A generator whose stream goes on from call to call."""
    return model.set_params(random_state=np.random.RandomState(11))


WARM = partial(change, warm_start=True)
STORIES = {
    "fit": [fit],
    "fit twice": [fit, fit],
    "warm start": [WARM, fit, fit, fit],
    "warm start with more iterations": [WARM, fit, partial(change, max_iter=30), fit],
    "warm start with another solver": [
        WARM,
        fit,
        partial(change, solver="lbfgs"),
        fit,
        partial(change, solver="sgd"),
        fit,
    ],
    "partial_fit": [partial(partial_fit, n=6)],
    "partial_fit after fit": [fit, partial(partial_fit, n=4)],
    "fit after partial_fit": [partial(partial_fit, n=4), fit],
    "warm start after partial_fit": [WARM, partial(partial_fit, n=4), fit, partial_fit],
    "partial_fit, its solver changed": [
        partial_fit,
        partial(change, solver="adam", learning_rate_init=0.3),
        partial_fit,
    ],
    "stream, fit twice": [fresh_stream, fit, fit],
    "stream, partial_fit": [fresh_stream, partial(partial_fit, n=5)],
    "stream, warm start": [fresh_stream, WARM, fit, fit],
    "edited in place, then predict": [fit, edit_in_place],
    "edited in place, then partial_fit": [fit, edit_in_place, partial(partial_fit, n=2)],
    "edited in place, then warm start": [WARM, fit, edit_in_place, fit],
    "edited in place, then fit": [fit, edit_in_place, fit],
    "assigned anew, then predict": [fit, assign_anew],
    "assigned anew, then partial_fit": [
        fit,
        assign_anew,
        partial(partial_fit, n=2),
        edit_in_place,
        partial_fit,
    ],
    "assigned anew, then warm start": [WARM, fit, assign_anew, fit, edit_in_place, fit],
    "one array assigned, then predict": [fit, assign_one],
    "one array assigned, then partial_fit": [
        fit,
        assign_one,
        partial_fit,
        edit_in_place,
        partial_fit,
    ],
    "lbfgs": [partial(change, solver="lbfgs"), fit],
    "lbfgs, warm start": [
        WARM,
        partial(change, solver="lbfgs", max_iter=5),
        fit,
        edit_in_place,
        fit,
    ],
    "lbfgs, few calls": [partial(change, solver="lbfgs", max_fun=4), fit],
    "early stopping": [partial(change, early_stopping=True, max_iter=40), fit],
    "early stopping, fit twice": [partial(change, early_stopping=True), fit, fit],
    "early stopping, warm start": [WARM, partial(change, early_stopping=True), fit, fit, fit],
    "adaptive": [
        partial(
            change,
            solver="sgd",
            learning_rate="adaptive",
            tol=0.05,
            n_iter_no_change=2,
            max_iter=60,
        ),
        fit,
    ],
    "adaptive, partial_fit": [
        partial(change, solver="sgd", learning_rate="adaptive", tol=0.5, n_iter_no_change=2),
        partial(partial_fit, n=14),
    ],
    "adaptive, early stopping": [
        partial(
            change,
            solver="sgd",
            learning_rate="adaptive",
            early_stopping=True,
            n_iter_no_change=2,
            max_iter=60,
        ),
        fit,
    ],
    "inverse scaling, warm start": [
        WARM,
        partial(change, solver="sgd", learning_rate="invscaling"),
        fit,
        fit,
    ],
    "inverse scaling, partial_fit": [
        partial(change, solver="sgd", learning_rate="invscaling"),
        partial(partial_fit, n=4),
    ],
    "not shuffled": [WARM, partial(change, shuffle=False), fit, partial_fit, fit],
    "one pass without improvement": [partial(change, n_iter_no_change=1, tol=1e9), fit],
    "eager to stop": [partial(change, n_iter_no_change=3, tol=0.01, max_iter=200), fit],
    "never stops": [partial(change, n_iter_no_change=np.inf, tol=1e9), fit],
}


def ending(library: Any, story: str, make: Any, params: dict[str, Any]) -> dict[str, Any]:
    """What a model of ``library`` shows, warns of and prints when the story has been told."""
    model = make(library, **{"max_iter": 12, **params})
    given, printed = [], []
    for chapter in STORIES[story]:
        with redirect_stdout(StringIO()) as out:
            given += train(model, chapter)
        if model.solver != "lbfgs":  # scikit-learn has SciPy print, which some versions do not
            printed += out.getvalue().splitlines()
    shown = numbers(model, X_CLF if make is classifier else X_REG)
    return shown | {"warnings": given, "printed": printed}


@pytest.mark.parametrize("verbose", [False, True], ids=["quiet", "verbose"])
@pytest.mark.parametrize("params", [SGD_LIVELY, ADAM_LIVELY], ids=["sgd", "adam"])
@pytest.mark.parametrize("make", [classifier, regressor])
@pytest.mark.parametrize("story", STORIES)
def test_a_story_ends_as_in_scikit_learn(backend, once_per_run, story, make, params, verbose):
    params = params | {"verbose": verbose}
    key = f"story {story} {make.__name__} {params}"
    expected = once_per_run(key, ending, sklearn.neural_network, story, make, params)
    shown = ending(fastnn, story, make, params | {"backend": backend})
    found, where = difference(shown, expected)
    assert found <= 1e-6, where
    assert verbose or not shown["printed"]


@pytest.mark.parametrize("make", [classifier, regressor])
def test_early_stopping_may_be_given_up_and_taken_up(backend, make):
    # scikit-learn stumbles here over a best loss or a list of scores that is None.
    model = make(
        fastnn,
        backend=backend,
        warm_start=True,
        max_iter=12,
        tol=0,
        n_iter_no_change=np.inf,
        **ADAM_LIVELY,
    )
    train(model, fit)
    first_loss = model.best_loss_
    train(change(model, early_stopping=True), fit)
    assert len(model.loss_curve_) == 24
    assert len(model.validation_scores_) == 12
    assert model.best_validation_score_ == max(model.validation_scores_)
    assert model.best_loss_ is None
    train(change(model, early_stopping=False), fit)
    assert len(model.loss_curve_) == 36
    assert model.best_loss_ == min(model.loss_curve_[24:]) < first_loss
    train(model, partial_fit)
    assert len(model.loss_curve_) == 37


def test_best_weights_are_those_of_the_best_score(backend):
    # A rate so high that scores go up and down; the model kept must be the one whose score was the
    # best, not the last.
    X_train, y_train = X_CLF[::2], Y_CLF[::2]
    params = {
        "early_stopping": True,
        "learning_rate_init": 0.4,
        "n_iter_no_change": 8,
        "validation_fraction": 0.3,
    }
    model = classifier(fastnn, backend=backend, **{**ADAM_LIVELY, **params})
    train(model, lambda model: model.fit(X_train, y_train))
    scores = model.validation_scores_
    best = int(np.argmax(scores))
    assert scores[-1] < scores[best] == model.best_validation_score_
    again = classifier(fastnn, backend=backend, **{**ADAM_LIVELY, **params, "max_iter": best + 1})
    train(again, lambda model: model.fit(X_train, y_train))
    assert again.validation_scores_ == scores[: best + 1]
    for ours, expected in zip(
        model.coefs_ + model.intercepts_, again.coefs_ + again.intercepts_, strict=True
    ):
        np.testing.assert_array_equal(ours, expected)


# ---- what scikit-learn's own two tests ask of its optimizer's insides, asked from outside


def test_inverse_scaling_goes_on_where_a_warm_start_left_it(backend):
    # Plain gradient descent on all rows, so that the step a pass takes tells its rate.
    X, y = np.array([[3.0, 2], [1, 6], [5, 6], [-2, -4]]), [1, 1, 1, 0]
    params = {
        "solver": "sgd",
        "hidden_layer_sizes": 4,
        "momentum": 0,
        "power_t": 0.25,
        "warm_start": True,
        "shuffle": False,
    }
    model = classifier(fastnn, backend=backend, learning_rate="invscaling", max_iter=2, **params)
    train(model, lambda model: model.fit(X, y))
    assert model.t_ == 8
    one_pass, two_passes = copy.deepcopy(model).set_params(max_iter=1), copy.deepcopy(model)
    train(one_pass, lambda model: model.fit(X, y))
    train(two_passes, lambda model: model.fit(X, y))
    at_first_rate = copy.deepcopy(one_pass).set_params(learning_rate="constant")
    train(at_first_rate, lambda model: model.fit(X, y))
    for start, full_step, end in zip(
        one_pass.coefs_, at_first_rate.coefs_, two_passes.coefs_, strict=True
    ):
        # Each fit begins at learning_rate_init; the rate of its second pass counts all rows seen in
        # all fits.
        np.testing.assert_allclose(
            end - start, (full_step - start) / (12 + 1) ** 0.25, rtol=1e-9, atol=1e-14
        )


def test_adaptive_rate_falls_until_too_small(backend, capsys):
    X, y = [[3, 2], [1, 6]], [1, 0]
    model = classifier(
        fastnn,
        backend=backend,
        tol=0.5,
        max_iter=3000,
        solver="sgd",
        learning_rate="adaptive",
        verbose=True,
    )
    model.fit(X, y)
    assert model.n_iter_ < model.max_iter
    out = capsys.readouterr().out
    rates = [
        float(rate)
        for rate in re.findall(r"consecutive epochs\. Setting learning rate to (.*)", out)
    ]
    np.testing.assert_allclose(
        rates, [2e-4, 4e-5, 8e-6, 1.6e-6, 0.32e-6], atol=5e-7
    )  # printed with six digits
    assert "consecutive epochs. Learning rate too small. Stopping." in out.splitlines()[-1]


# ---- random_state


def test_a_stream_is_shared_and_left_where_scikit_learn_leaves_it(backend):
    stream, expected_stream = np.random.RandomState(8), np.random.RandomState(8)
    params = {"max_iter": 3, "early_stopping": True, **ADAM_LIVELY}
    for _ in range(2):
        ours = classifier(fastnn, backend=backend, **{**params, "random_state": stream})
        theirs = classifier(sklearn.neural_network, **{**params, "random_state": expected_stream})
        train(ours, fit)
        train(theirs, fit)
        assert stream.randint(2**31) == expected_stream.randint(2**31)


def test_the_stream_does_not_depend_on_how_many_passes_go_into_one_call(backend):
    # A fit that stops early must not have drawn the permutations of passes it did not run.
    stream, expected_stream = np.random.RandomState(8), np.random.RandomState(8)
    params = {"max_iter": 50, "tol": 0.05, "n_iter_no_change": 4, **SGD_LIVELY}
    ours = classifier(fastnn, backend=backend, **{**params, "random_state": stream})
    theirs = classifier(sklearn.neural_network, **{**params, "random_state": expected_stream})
    train(ours, fit)
    train(theirs, fit)
    assert ours.n_iter_ == theirs.n_iter_ < 50
    assert stream.randint(2**31) == expected_stream.randint(2**31)


def test_none_draws_from_numpys_global_stream(backend):
    shown = []
    for library, extra in ((fastnn, {"backend": backend}), (sklearn.neural_network, {})):
        np.random.seed(12)
        model = regressor(library, **{**ADAM_LIVELY, "max_iter": 3, "random_state": None, **extra})
        train(model, fit)
        shown.append(numbers(model, X_REG) | {"next": np.random.randint(2**31)})
    found, where = difference(*shown)
    assert found <= 1e-9, where


# ---- where nobody compares: how it is told


def test_max_iter_reached_is_one_convergence_warning(backend):
    with pytest.warns(
        ConvergenceWarning, match=r"^Stochastic Optimizer: Maximum iterations \(2\) reached"
    ) as caught:
        classifier(fastnn, backend=backend, max_iter=2).fit(X_CLF, Y_CLF)
    assert len(caught) == 1


def test_batch_size_may_change_between_calls(backend):
    model = regressor(fastnn, backend=backend, **ADAM_LIVELY)
    expected = regressor(sklearn.neural_network, **ADAM_LIVELY)
    for batch_size in (7, 90, "auto", 1):
        partial_fit(model.set_params(batch_size=batch_size))
        partial_fit(expected.set_params(batch_size=batch_size))
    found, where = difference(numbers(model, X_REG), numbers(expected, X_REG))
    assert found <= 1e-9, where


def test_the_linear_model_is_least_squares(backend):
    model = fastnn.MLPRegressor(
        hidden_layer_sizes=(), solver="lbfgs", alpha=0, tol=1e-10, backend=backend, random_state=0
    )
    model.fit(X_REG, Y_REG)
    design = np.column_stack([X_REG, np.ones(len(X_REG))])
    expected = np.linalg.lstsq(design, Y_REG)[0]
    np.testing.assert_allclose(model.coefs_[0].ravel(), expected[:-1], atol=1e-6)
    np.testing.assert_allclose(model.intercepts_[0], expected[-1:], atol=1e-6)
    assert model.n_layers_ == 2


def test_lbfgs_goes_on_in_partial_fit_whatever_early_stopping_says():
    def story(library):
        model = regressor(
            library, solver="lbfgs", early_stopping=True, hidden_layer_sizes=(3,), max_iter=5
        )
        with pytest.warns(ConvergenceWarning):
            return model.partial_fit(X_REG, Y_REG)

    ours, theirs = story(fastnn), story(sklearn.neural_network)
    np.testing.assert_allclose(ours.coefs_[0], theirs.coefs_[0], rtol=1e-6)


def test_any_number_of_threads_may_be_asked_for():
    model = regressor(fastnn, n_threads=2**40, max_iter=1)
    with pytest.warns(ConvergenceWarning):
        model.fit(X_REG, Y_REG)


def test_public_attributes_have_scikit_learns_types():
    ours, theirs = classifier(fastnn, max_iter=2), classifier(sklearn.neural_network, max_iter=2)
    assert ours.loss == theirs.loss
    for model in (ours, theirs):
        with pytest.warns(ConvergenceWarning):
            fit(model)
    for name in ("loss_", "best_loss_"):
        assert type(getattr(ours, name)) is type(getattr(theirs, name))
    assert type(ours.loss_curve_[0]) is type(theirs.loss_curve_[0])
