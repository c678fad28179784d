"""Does the picture of a search show candidates where they are, the front, choice and errors?"""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.exceptions import NotFittedError
from support.timed import CLOCK, Timed

from fastnn import TradeoffDisplay, TradeoffSearchCV
from fastnn.search.measure import measure_isolated
from fastnn.search.process import FreshProcesses
from fastnn.search.quantities import QUANTITIES

matplotlib = pytest.importorskip("matplotlib")
pytest.importorskip("optuna")

SETTINGS = [(0.9, 32.0, ""), (0.8, 2.0, ""), (0.6, 1.0, ""), (0.5, 4.0, ""), (0.7, 1.0, "broken")]


@pytest.fixture(scope="module")
def search():
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(TradeoffSearchCV, "_clock", CLOCK)
        patch.setattr(
            FreshProcesses,
            "measure",
            lambda self, estimator, timeout: measure_isolated(estimator, self.dataset, self.clock),
        )
        parts = [{"skill": [a], "seconds": [b], "fails": [c]} for a, b, c in SETTINGS]
        parts[1]["n_bytes"] = [1000]
        X, y = np.zeros((20, 2)), np.arange(20) % 2
        return TradeoffSearchCV(
            Timed(), parts, refit={"fit_time": 4, "score": "max"}, cv=2, random_state=0
        ).fit(X, y)


@pytest.fixture(autouse=True)
def no_windows():
    from matplotlib import pyplot

    pyplot.switch_backend("Agg")
    yield
    pyplot.close("all")


def points(collection):
    return sorted(map(tuple, np.asarray(collection.get_offsets()).tolist()))


def test_the_front_the_dominated_and_the_chosen_are_where_they_are(search):
    display = TradeoffDisplay.from_search(search).plot()
    dominated, chosen = display.ax_.collections[0], display.ax_.collections[-1]
    front = display.ax_.lines[0]
    assert points(dominated) == [(4.0, 0.5)]
    np.testing.assert_allclose(front.get_xydata(), [(1.0, 0.6), (2.0, 0.8), (32.0, 0.9)])
    assert points(chosen) == [(2.0, 0.8)]
    assert front.get_linestyle() == "-"
    assert display.figure_ is display.ax_.figure


def test_axes_are_logarithmic_where_values_span_decades(search):
    display = TradeoffDisplay.from_search(search).plot("fit_time", "score")
    assert (display.ax_.get_xscale(), display.ax_.get_yscale()) == ("log", "linear")
    assert (display.ax_.get_xlabel(), display.ax_.get_ylabel()) == ("fit time (s)", "score")


def test_a_front_of_other_objectives_is_not_joined(search):
    display = TradeoffDisplay.from_search(search).plot("model_bytes", "score")
    assert display.ax_.lines[0].get_linestyle() == "None"


def test_error_bars_are_quartiles_and_the_scores_deviation():
    repeats = np.empty(2, dtype=object)
    repeats[:] = [np.array([1.0, 2.0, 4.0, 5.0, 9.0]), np.array([20.0])]
    results = {
        "mean_test_score": np.array([0.5, 0.75]),
        "std_test_score": np.array([0.25, 0.125]),
        "fit_time": np.array([4.0, 20.0]),
        "repeats_fit_time": repeats,
    }
    display = TradeoffDisplay(results, [0, 1], ("score", "fit_time")).plot()
    horizontal, vertical = (bars.get_segments() for bars in display.ax_.containers[0].lines[2])
    np.testing.assert_allclose(horizontal, [[(2.0, 0.5), (5.0, 0.5)], [(20.0, 0.75), (20.0, 0.75)]])
    np.testing.assert_allclose(
        vertical, [[(4.0, 0.25), (4.0, 0.75)], [(20.0, 0.625), (20.0, 0.875)]]
    )


@pytest.mark.parametrize("quantity", QUANTITIES)
def test_every_quantity_can_be_drawn(search, quantity):
    """Known candidates lie where the results say, on an axis with the quantity's name and unit."""
    display = TradeoffDisplay.from_search(search).plot(quantity, "score")
    results = search.cv_results_
    xs = results["mean_test_score" if quantity == "score" else quantity]
    expected = np.column_stack([xs, results["mean_test_score"]])
    known = np.isfinite(expected).all(axis=1)
    on_front = known & results["on_front"]
    front = display.ax_.lines[0].get_xydata()
    assert sorted(map(tuple, front)) == sorted(map(tuple, expected[on_front]))
    dominated = display.ax_.collections[0]
    assert points(dominated) == sorted(map(tuple, expected[known & ~on_front].tolist()))
    label = display.ax_.get_xlabel()
    assert label.startswith(QUANTITIES[quantity].label)
    assert label.endswith(f"({QUANTITIES[quantity].stored_unit})") == bool(
        QUANTITIES[quantity].unit
    )
    unknown = quantity in ("flops", "flash_bytes", "flash_int8_bytes")  # of no network
    assert known.sum() >= (0 if unknown else 3)


def test_microseconds_are_labelled_as_such(search):
    display = TradeoffDisplay.from_search(search).plot("latency_us", "score")
    assert display.ax_.get_xlabel() == "latency of one row (µs)"


def test_it_draws_on_given_axes(search):
    from matplotlib import pyplot

    _, (left, right) = pyplot.subplots(1, 2)
    assert TradeoffDisplay.from_search(search).plot(ax=left).ax_ is left
    assert TradeoffDisplay.from_search(search).parallel_coordinates(ax=right).ax_ is right


def test_parallel_coordinates_show_what_varies(search):
    display = TradeoffDisplay.from_search(search).parallel_coordinates()
    names = [label.get_text() for label in display.ax_.get_xticklabels()]
    assert set(names[:-2]) == {"skill", "seconds", "fails", "n_bytes"}
    assert names[-2:] == ["score", "fit_time"]
    display = TradeoffDisplay.from_search(search).parallel_coordinates(
        ["skill", "seconds", "score"]
    )
    lines = [line for line in display.ax_.lines if len(line.get_xdata()) == 3]
    assert len(lines) == 4 + 1  # those that did not fail, and the chosen one once more
    best = lines[-1].get_ydata()
    np.testing.assert_allclose(best, [(0.8 - 0.5) / 0.4, np.log(2) / np.log(32), (0.8 - 0.5) / 0.4])


def test_what_cannot_be_drawn_is_named(search):
    with pytest.raises(ValueError, match=r"x must be one of .*got 'beauty'"):
        TradeoffDisplay.from_search(search).plot("beauty")
    with pytest.raises(ValueError, match=r"columns must name parameters, .*got 'beauty'"):
        TradeoffDisplay.from_search(search).parallel_coordinates(["beauty"])
    with pytest.raises(NotFittedError):
        TradeoffDisplay.from_search(TradeoffSearchCV(Timed(), {}))


def test_without_matplotlib_the_extra_is_named(search, monkeypatch):
    import sys

    monkeypatch.setitem(sys.modules, "matplotlib", None)
    monkeypatch.delitem(sys.modules, "matplotlib.pyplot", raising=False)
    with pytest.raises(ImportError, match=r'needs matplotlib.*pip install .*\[plot\]"'):
        TradeoffDisplay.from_search(search).plot()
