"""Does ``python -m fastnn demo`` do what it says: real data, every backend, scores that agree, times, and the picture?"""

from __future__ import annotations

import re
import sys

import numpy as np
import pytest

from fastnn import backends
from fastnn.cli import demo
from fastnn.cli.main import main

USABLE = [name for name in backends.BACKENDS if backends.why_not(name) is None]


@pytest.fixture(scope="module")
def shown(tmp_path_factory):
    """One fit for each problem and contender: the results, and where the picture went."""
    plot = tmp_path_factory.mktemp("demo") / "curves.png"
    return demo.run(plot, seconds=0.0), plot


def test_every_contender_meets_every_problem(shown):
    results, _ = shown
    assert list(results) == ["digits", "breast cancer", "diabetes", "textbook, four rows"]
    for contenders in results.values():
        assert list(contenders) == ["scikit-learn", *USABLE]
        for result in contenders.values():
            assert len(result.seconds) == 1
            assert result.seconds[0] > 0


def test_the_same_settings_give_the_same_model(shown):
    results, _ = shown
    for contenders in results.values():
        peer = contenders.pop("scikit-learn")
        for result in contenders.values():
            assert result.model.n_iter_ == peer.model.n_iter_
            np.testing.assert_allclose(result.model.loss_curve_, peer.model.loss_curve_, rtol=1e-6)
            assert result.score == pytest.approx(peer.score, rel=1e-6)


def test_the_scores_are_those_of_models_that_learned(shown):
    results, _ = shown
    least = {"digits": 0.95, "breast cancer": 0.93, "diabetes": 0.3, "textbook, four rows": 1.0}
    for title, contenders in results.items():
        for result in contenders.values():
            assert result.score >= least[title]


def test_the_picture_is_a_png(shown):
    pytest.importorskip("matplotlib", reason="the picture needs Matplotlib, the extra fastnn[plot]")
    _, plot = shown
    assert plot.read_bytes().startswith(b"\x89PNG")


@pytest.fixture
def only_the_textbook(monkeypatch):
    (problem,) = [problem for problem in demo.problems() if problem.title.startswith("textbook")]
    monkeypatch.setattr(demo, "problems", lambda: iter([problem]))


def test_the_table_and_the_notes(only_the_textbook, capsys, tmp_path, monkeypatch):
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


def test_a_backend_that_is_missing_is_named_with_its_reason(only_the_textbook, capsys, monkeypatch):
    monkeypatch.setattr(
        demo, "why_not", lambda name: None if name == "numpy" else "not in the mood"
    )
    monkeypatch.setattr(demo, "REPEATS", 1)
    (contenders,) = demo.run(plot=None).values()
    assert list(contenders) == ["scikit-learn", "numpy"]
    out = capsys.readouterr().out
    assert "Without the numba backend: not in the mood" in out
    assert "Without the cython backend: not in the mood" in out
    assert "loss curves" not in out


def test_without_matplotlib_the_numbers_still_come(
    only_the_textbook, capsys, monkeypatch, tmp_path
):
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    monkeypatch.setattr(demo, "REPEATS", 1)
    demo.run(tmp_path / "curves.png")
    assert (
        'Without Matplotlib no loss curves are drawn: pip install "fastnn[plot]"'
        in capsys.readouterr().out
    )


def test_a_folder_that_does_not_exist_is_refused_before_training(tmp_path, capsys):
    with pytest.raises(FileNotFoundError, match=r"'.*nowhere' for the loss curves does not exist"):
        demo.run(tmp_path / "nowhere" / "curves.png")
    assert capsys.readouterr().out == ""
