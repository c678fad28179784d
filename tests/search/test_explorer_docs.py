"""Do the explorer's page and the worked examples run as they stand?"""

from __future__ import annotations

import re
import runpy
from pathlib import Path

import pytest

pytest.importorskip("optuna")
matplotlib = pytest.importorskip("matplotlib")

DOCS = Path(__file__).parents[2] / "docs"


@pytest.fixture(autouse=True)
def no_pictures(monkeypatch):
    from matplotlib import pyplot
    from matplotlib.figure import Figure

    pyplot.switch_backend("Agg")
    monkeypatch.setattr(Figure, "savefig", lambda self, *args, **kwargs: self.canvas.draw())
    yield
    pyplot.close("all")


@pytest.mark.filterwarnings("ignore:lbfgs failed to converge")
def test_the_pages_examples_run():
    names = {}
    examples = re.findall(r"```python\n(.*?)```", (DOCS / "explorer.md").read_text(), re.DOTALL)
    for code in examples:
        exec(code, names)
    assert len(examples) == 3
    kinds = {type(params["model"]).__name__ for params in names["search"].cv_results_["params"]}
    assert kinds == {"LogisticRegression", "RandomForestClassifier", "MLPClassifier"}


def test_the_house_prices_are_those_of_the_page(capsys):
    runpy.run_path(str(DOCS / "examples" / "house_prices.py"))
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 2
    assert "\n".join(lines) in (DOCS / "explorer.md").read_text()


def test_the_decision_under_a_latency_limit(capsys, monkeypatch):
    monkeypatch.setattr(
        "sys.argv", ["latency_limit.py", "--microseconds", "1000000", "--seconds", "5"]
    )
    runpy.run_path(str(DOCS / "examples" / "latency_limit.py"))
    out = capsys.readouterr().out
    assert "The limit is 1e+06 us. The most accurate within it answers in " in out
    assert re.search(r"Accuracy 0\.\d{4} over five folds", out)
