"""Does ``fastnn demo`` compare fairly: real data, equal models, turns, the fastest fit?"""

from __future__ import annotations

import re
import sys

import numpy as np
import pytest

from fastnn import backends
from fastnn._optional import install
from fastnn.cli import commands, demo
from fastnn.cli.main import main
from fastnn.cli.reporter import Reporter

USABLE = [name for name in backends.BACKENDS if backends.why_not(name) is None]


class Listening(Reporter):
    """Keeps what it is told."""

    def __init__(self):
        self.shown, self.notes = [], []

    def show(self, text):
        self.shown.append(text)

    def note(self, message):
        self.notes.append(message)


@pytest.fixture
def only_the_textbook(monkeypatch):
    (problem,) = [problem for problem in demo.problems() if problem.title.startswith("textbook")]
    monkeypatch.setattr(demo, "problems", lambda: iter([problem]))


def test_the_problems_are_real_data_in_two_parts():
    problems = {problem.title: problem for problem in demo.problems()}
    sizes = {title: (len(p.train[0]), len(p.test[0])) for title, p in problems.items()}
    assert sizes == {
        "digits": (1347, 450),
        "breast cancer": (426, 143),
        "diabetes": (331, 111),
        "textbook, four rows": (4, 4),
    }
    for title in ("digits", "breast cancer", "diabetes"):
        X, y = problems[title].train
        varies = X.std(axis=0) > 0
        np.testing.assert_allclose(X[:, varies].mean(axis=0), 0, atol=1e-12)
        np.testing.assert_allclose(X[:, varies].std(axis=0), 1)
        assert len(X) == len(y)
    assert [p.title for p in problems.values() if p.regression] == ["diabetes"]


@pytest.mark.parametrize("title", ["diabetes", "textbook, four rows"])
def test_the_same_settings_give_the_same_model(title):
    (problem,) = [problem for problem in demo.problems() if problem.title == title]
    problem.settings["max_iter"] = 40
    found = demo._compare(problem, [demo.PEER, *USABLE], 0.0, Reporter())
    peer = found.pop(demo.PEER)
    assert list(found) == USABLE and len(peer.model.loss_curve_) == 40
    assert peer.model.loss_ < 0.999 * peer.model.loss_curve_[0]
    for name, result in found.items():
        assert (result.model.backend, result.model.n_threads) == (name, 1)
        np.testing.assert_allclose(result.model.loss_curve_, peer.model.loss_curve_, rtol=1e-6)
        assert result.score == pytest.approx(peer.score, rel=1e-6)


def test_contenders_take_turns_until_the_time_is_spent(monkeypatch):
    (problem,) = [problem for problem in demo.problems() if problem.title.startswith("textbook")]
    problem.settings["max_iter"] = 2
    now, fits = 0.0, []

    def fit(estimator, X, y):
        nonlocal now
        now += 1.0
        fits.append(getattr(estimator, "backend", demo.PEER))
        estimator.fit(X, y)
        return now

    monkeypatch.setattr(demo, "_fit", fit)
    monkeypatch.setattr(demo.time, "perf_counter", lambda: now)
    with pytest.warns(match="Maximum iterations"):
        found = demo._compare(problem, [demo.PEER, "numpy"], 5.0, Reporter())
    assert fits == [demo.PEER, "numpy", "numpy", demo.PEER, demo.PEER, "numpy"]  # 6 s > 5 s
    assert found["numpy"].seconds == [2.0, 3.0, 6.0]
    table = demo._table(problem, found)  # the fastest fits: 1 s and 2 s
    assert re.search(r"^  scikit-learn .* 1\.0000 +1\.0$", table, re.M)
    assert re.search(r"^  numpy .* 2\.0000 +0\.5$", table, re.M)


def test_the_table_and_the_picture(only_the_textbook, capsys, tmp_path, monkeypatch):
    pytest.importorskip("matplotlib", reason="the picture needs Matplotlib, the extra fastnn[plot]")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(demo, "REPEATS", 2)
    assert main(["demo"]) == 0
    out = capsys.readouterr().out
    assert "textbook, four rows: 4 rows, 2 features, 2 hidden neurons, 1000 iterations" in out
    row = r"^ +{} +1\.0000 +0\.\d+ +\d+\.\d{{4}} +{}$"
    assert re.search(row.format("scikit-learn", r"1\.0"), out, re.MULTILINE)
    for name in USABLE:
        assert re.search(row.format(name, r"\d+\.\d"), out, re.MULTILINE)
    assert f"The loss curves are in {tmp_path / 'fastnn-demo.png'}" in out
    assert (tmp_path / "fastnn-demo.png").read_bytes().startswith(b"\x89PNG")


def test_a_curve_for_every_contender_is_drawn(only_the_textbook, tmp_path, monkeypatch):
    figures = pytest.importorskip("matplotlib.figure", reason="needs the extra fastnn[plot]")
    drawn = []
    monkeypatch.setattr(figures.Figure, "savefig", lambda figure, *_, **__: drawn.append(figure))
    monkeypatch.setattr(demo, "REPEATS", 1)
    (contenders,) = commands.demo(plot=tmp_path / "p.png", seconds=0).values()
    lines = drawn[0].axes[0].get_lines()
    assert [line.get_label() for line in lines] == [demo.PEER, *USABLE]
    for line, result in zip(lines, contenders.values(), strict=True):
        np.testing.assert_array_equal(line.get_ydata(), result.model.loss_curve_)


def test_from_python_nothing_is_printed(only_the_textbook, monkeypatch, capsys):
    monkeypatch.setattr(
        demo, "why_not", lambda name: None if name == "numpy" else "not in the mood"
    )
    monkeypatch.setattr(demo, "REPEATS", 1)
    reporter = Listening()
    (contenders,) = commands.demo(reporter=reporter).values()
    assert list(contenders) == ["scikit-learn", "numpy"]
    assert reporter.notes == [
        "without the cython backend: not in the mood",
        "without the numba backend: not in the mood",
    ]
    assert len(reporter.shown) == 2 and "loss curves" not in "".join(reporter.shown)
    assert capsys.readouterr() == ("", "")


def test_without_matplotlib_the_numbers_still_come(only_the_textbook, monkeypatch, tmp_path):
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    monkeypatch.setattr(demo, "REPEATS", 1)
    reporter = Listening()
    assert commands.demo(plot=tmp_path / "curves.png", reporter=reporter)
    assert reporter.notes[-1] == (
        "no loss curves are drawn."
        f" This needs matplotlib, which is not installed: {install('plot')}"
    )


def test_a_folder_that_does_not_exist_is_refused_before_training(tmp_path, monkeypatch):
    monkeypatch.setattr(demo, "_fit", lambda *_: pytest.fail("trained"))
    with pytest.raises(FileNotFoundError, match=r"'.*nowhere' for the loss curves does not exist"):
        commands.demo(plot=tmp_path / "nowhere" / "curves.png")
