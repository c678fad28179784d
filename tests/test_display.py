"""Do the displays of a fit keep scikit-learn's Display convention, and draw what they say?"""

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

from fastnn import LossCurveDisplay, MLPRegressor, TradeoffSearchCV, WeightsDisplay

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
        match=r"MLPRegressor holds no network with a loss_curve_\. Networks have one"
        r" unless they are fitted with solver='lbfgs'\.",
    ):
        LossCurveDisplay.from_estimator(model)


def test_without_matplotlib_the_extra_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    monkeypatch.delitem(sys.modules, "matplotlib.pyplot", raising=False)
    with pytest.raises(ImportError, match=r'needs matplotlib.*pip install .*\[plot\]"'):
        LossCurveDisplay([3.0, 2.0, 1.0]).plot()


def test_the_validation_loss_is_drawn_beside_it():
    model = MLPRegressor(**SETTINGS, warm_start=True)
    with pytest.warns(UserWarning, match="Maximum iterations"):
        model.fit(X, Y).fit(X[:30], Y[:30], X_val=X[30:], y_val=Y[30:])
    display = LossCurveDisplay.from_estimator(model, name="mine", color="green")
    np.testing.assert_array_equal(display.line_.get_xdata(), np.arange(1, 31))
    line = display.validation_line_
    # Only the last 15 iterations were validated.
    np.testing.assert_array_equal(line.get_xdata(), np.arange(16, 31))
    np.testing.assert_array_equal(line.get_ydata(), model.validation_loss_curve_)
    assert (line.get_color(), line.get_linestyle()) == ("green", "--")
    legend = [text.get_text() for text in display.ax_.get_legend().texts]
    assert legend == ["mine", "mine, validation"]
    bare = LossCurveDisplay([3.0, 2.0], validation_loss_curve=[4.0, 3.0]).plot()
    assert bare.ax_.get_legend() is None
    assert LossCurveDisplay([3.0, 2.0]).plot().validation_line_ is None


def test_the_validation_loss_stands_at_its_iterations():
    model = MLPRegressor(**SETTINGS, warm_start=True)
    with pytest.warns(UserWarning, match="Maximum iterations"):
        model.fit(X[:30], Y[:30], X_val=X[30:], y_val=Y[30:])
    validated = list(model.validation_loss_curve_)
    model.partial_fit(X, Y, n_epochs=2).fit_batches([(X, Y), (X, Y)], n_epochs=3)
    line = LossCurveDisplay.from_estimator(model).validation_line_
    np.testing.assert_array_equal(line.get_xdata(), np.arange(1, 21))
    np.testing.assert_array_equal(line.get_ydata(), [*validated, *[np.nan] * 5])


# ---- weights


def drawn(display):
    """The numbers that the picture shows; NaN where it is empty."""
    return display.image_.get_array().filled(np.nan)


def test_the_weights_are_drawn(model):
    display = WeightsDisplay.from_estimator(model)
    np.testing.assert_array_equal(drawn(display), model.coefs_[0])
    largest = np.abs(model.coefs_[0]).max()
    assert display.image_.get_clim() == (-largest, largest)
    assert (display.ax_.get_xlabel(), display.ax_.get_ylabel()) == ("neuron", "input")
    assert display.ax_.get_title() == "MLPRegressor, layer 0"
    assert display.figure_ is display.ax_.figure
    assert display.colorbar_.mappable is display.image_
    last = WeightsDisplay.from_estimator(model, layer=-1)
    np.testing.assert_array_equal(drawn(last), model.coefs_[1])
    assert last.ax_.get_title() == "MLPRegressor, layer 1"


def test_they_are_drawn_on_the_axes_and_in_the_style_that_is_given(model):
    figure, axes = pyplot.subplots(1, 2)
    display = WeightsDisplay.from_estimator(model, ax=axes[0], name="mine", cmap="gray", vmin=-9)
    assert (display.ax_, display.figure_) == (axes[0], figure)
    assert (display.image_.get_cmap().name, display.image_.get_clim()[0]) == ("gray", -9)
    assert axes[0].get_title() == "mine"
    assert display.plot(axes[1], name="again") is display
    assert axes[1].get_title() == "again"


@pytest.mark.filterwarnings("ignore:.*Maximum iterations")
def test_the_inputs_have_their_names():
    pd = pytest.importorskip("pandas")
    frame = pd.DataFrame(X, columns=["width", "height", "depth"])
    display = WeightsDisplay.from_estimator(MLPRegressor(**SETTINGS).fit(frame, Y))
    labels = [label.get_text() for label in display.ax_.get_yticklabels()]
    assert labels == ["width", "height", "depth"]


def test_the_inputs_are_pixels():
    weights = np.arange(1.0, 31.0).reshape(6, 5)  # five neurons that see images of 2 x 3
    picture = drawn(WeightsDisplay(weights, image_shape=(2, 3)).plot())
    assert picture.shape == (5, 11)  # two rows of three images, a pixel between them
    np.testing.assert_array_equal(picture[:2, 4:7], weights[:, 1].reshape(2, 3))
    np.testing.assert_array_equal(picture[3:, :3], weights[:, 3].reshape(2, 3))
    assert np.isnan(picture[2]).all() and np.isnan(picture[:, 3]).all()
    assert np.isnan(picture[3:, 8:]).all()
    assert np.nansum(picture) == weights.sum()


@pytest.mark.filterwarnings("ignore:.*Maximum iterations")
def test_the_weights_of_the_network_inside(tmp_path):
    model = make_pipeline(StandardScaler(), MLPRegressor(**SETTINGS))
    with pytest.raises(NotFittedError):
        WeightsDisplay.from_estimator(model)
    display = WeightsDisplay.from_estimator(model.fit(X, Y))
    np.testing.assert_array_equal(drawn(display), model[-1].coefs_[0])


@pytest.mark.filterwarnings("ignore:.*Maximum iterations")
def test_weights_that_cannot_be_drawn_are_refused():
    with pytest.raises(ValueError, match=r"^StandardScaler holds no network with coefs_\.$"):
        WeightsDisplay.from_estimator(StandardScaler().fit(X))
    model = MLPRegressor(**SETTINGS).fit(X, Y)
    with pytest.raises(ValueError, match=r"^layer must be a whole number from -2 to 1, got 2\.$"):
        WeightsDisplay.from_estimator(model, layer=2)
    message = r"^image_shape=\(2, 2\) has 4 pixels, but the layer has 3 inputs\.$"
    with pytest.raises(ValueError, match=message):
        WeightsDisplay.from_estimator(model, image_shape=(2, 2))
    for layer in (1.0, True, "last"):
        with pytest.raises(ValueError, match=rf"^layer must be a whole number .* got {layer!r}\.$"):
            WeightsDisplay.from_estimator(model, layer=layer)


NOT_DRAWN = {
    "image of one side": (
        lambda: WeightsDisplay(np.ones((6, 2)), image_shape=6),
        r"^image_shape must be \(height, width\), two whole numbers from 1, got 6\.$",
    ),
    "negative sides": (
        lambda: WeightsDisplay(np.ones((6, 2)), image_shape=(-2, -3)),
        r"two whole numbers from 1, got \(-2, -3\)\.$",
    ),
    "sides that are no numbers": (
        lambda: WeightsDisplay(np.ones((6, 2)), image_shape="23"),
        r"two whole numbers from 1, got '23'\.$",
    ),
    "names": (
        lambda: WeightsDisplay(np.ones((3, 2)), input_names=["a", "b"]),
        r"^input_names must be 3 names, one for each input, got 2\.$",
    ),
    "a vector": (
        lambda: WeightsDisplay(np.ones(3)),
        r"^weights must be a matrix of numbers, \(n_inputs, n_neurons\), got shape \(3,\) and",
    ),
    "text": (lambda: WeightsDisplay([["a"]]), r"got shape \(1, 1\) and dtype <U1\.$"),
    "no curve": (
        lambda: LossCurveDisplay(3.0),
        r"^loss_curve must be a list of numbers, one for each iteration, got shape \(\) and dtype",
    ),
}


@pytest.mark.parametrize(("make", "sentence"), NOT_DRAWN.values(), ids=NOT_DRAWN)
def test_what_no_picture_can_be_made_of_is_refused(make, sentence):
    with pytest.raises(ValueError, match=sentence):
        make()
