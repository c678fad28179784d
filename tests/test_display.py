"""Does LossCurveDisplay keep scikit-learn's Display convention?"""

from __future__ import annotations

import sys

import numpy as np
import pytest
from sklearn import neural_network
from sklearn.base import clone
from sklearn.compose import TransformedTargetRegressor
from sklearn.exceptions import NotFittedError
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from fastnn import LossCurveDisplay, MLPRegressor, TradeoffSearchCV

pytest.importorskip("matplotlib", reason="plots need Matplotlib, the extra fastnn[plot]").use("Agg")
from matplotlib import pyplot  # noqa: E402, after the choice of a backend that needs no screen

X = np.random.default_rng(0).normal(size=(40, 3))
Y = X @ [1.0, -2.0, 0.5]
SETTINGS = {"hidden_layer_sizes": (4,), "max_iter": 15, "tol": 0.0, "random_state": 0}


@pytest.fixture(autouse=True)
def no_figures_left():
    yield
    pyplot.close("all")


@pytest.fixture(params=[MLPRegressor, neural_network.MLPRegressor], ids=["fastnn", "scikit-learn"])
def model(request):
    with pytest.warns(UserWarning, match="Maximum iterations"):
        return request.param(**SETTINGS).fit(X, Y)


def test_it_draws_the_loss_of_each_iteration(model):
    display = LossCurveDisplay.from_estimator(model)
    np.testing.assert_array_equal(display.line_.get_xdata(), np.arange(1, 16))
    np.testing.assert_array_equal(display.line_.get_ydata(), model.loss_curve_)
    assert display.ax_.get_xlabel() == "iteration"
    assert display.figure_ is display.ax_.figure
    assert [text.get_text() for text in display.ax_.get_legend().texts] == ["MLPRegressor"]


def test_it_draws_on_the_axes_and_in_the_style_it_is_given(model):
    figure, axes = pyplot.subplots(1, 2)
    display = LossCurveDisplay.from_estimator(
        model, ax=axes[1], name="mine", color="red", linestyle=":"
    )
    assert display.ax_ is axes[1]
    assert display.figure_ is figure
    assert (
        display.line_.get_color(),
        display.line_.get_linestyle(),
        display.line_.get_label(),
    ) == ("red", ":", "mine")
    again = display.plot(axes[0], name="again")
    assert again is display
    assert display.line_ in axes[0].lines


@pytest.mark.filterwarnings("ignore:.*Maximum iterations")
@pytest.mark.parametrize(
    ("wrap", "network"),
    [
        (lambda m: make_pipeline(StandardScaler(), m), lambda e: e[-1]),
        (lambda m: GridSearchCV(m, {"alpha": [0.1]}, cv=2), lambda e: e.best_estimator_),
        (
            lambda m: GridSearchCV(make_pipeline(StandardScaler(), m), {}, cv=2),
            lambda e: e.best_estimator_[-1],
        ),
        (lambda m: TransformedTargetRegressor(m), lambda e: e.regressor_),
    ],
    ids=["pipeline", "search", "search of a pipeline", "transformed target"],
)
def test_the_network_inside_is_shown(wrap, network):
    estimator = wrap(MLPRegressor(**SETTINGS))
    with pytest.raises(NotFittedError, match=f"{type(estimator).__name__} instance is not fitted"):
        LossCurveDisplay.from_estimator(estimator)
    estimator.fit(X, Y)
    display = LossCurveDisplay.from_estimator(estimator)
    np.testing.assert_array_equal(display.line_.get_ydata(), network(estimator).loss_curve_)
    assert display.line_.get_label() == "MLPRegressor"


@pytest.mark.filterwarnings("ignore:.*Maximum iterations")
def test_the_explorers_choice_is_shown():
    pytest.importorskip("optuna")
    space = {"alpha": [0.1]}
    search = TradeoffSearchCV(MLPRegressor(**SETTINGS), space, objectives=("score",), cv=2)
    search.fit(X, Y)
    display = LossCurveDisplay.from_estimator(search)
    np.testing.assert_array_equal(display.line_.get_ydata(), search.best_estimator_.loss_curve_)
    search = clone(search).set_params(refit=False).fit(X, Y)
    with pytest.raises(ValueError, match="TradeoffSearchCV holds no network with a loss_curve_"):
        LossCurveDisplay.from_estimator(search)


def test_an_unfitted_estimator_is_refused():
    with pytest.raises(NotFittedError, match="MLPRegressor instance is not fitted yet"):
        LossCurveDisplay.from_estimator(MLPRegressor())


def test_an_estimator_without_a_curve_is_refused():
    model = MLPRegressor(solver="lbfgs", random_state=0).fit(X, Y)
    with pytest.raises(
        ValueError,
        match=r"MLPRegressor holds no network with a loss_curve_\. Networks fitted with"
        r" solver='adam' or 'sgd' have one\.",
    ):
        LossCurveDisplay.from_estimator(model)


def test_without_matplotlib_the_extra_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    monkeypatch.delitem(sys.modules, "matplotlib.pyplot", raising=False)
    with pytest.raises(ImportError, match=r'needs matplotlib.*pip install .*\[plot\]"'):
        LossCurveDisplay([3.0, 2.0, 1.0]).plot()
