"""Do the explorer's page and the worked examples run as they stand?"""

from __future__ import annotations

import re
import runpy
from pathlib import Path

import pytest
from support.timed import advance

from fastnn import MLPClassifier

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


def n_weights(network):
    return sum(W.size for W in network.coefs_)


@pytest.mark.filterwarnings("ignore:.*Maximum iterations")
def test_the_decision_under_a_latency_limit(capsys, monkeypatch, clock, no_processes):
    """A model of networks: with more weights they are slower, a nanosecond each, and better."""

    def fit(self, X, y, fit=MLPClassifier.fit):
        advance(1.0)
        return fit(self.set_params(max_iter=1), X, y)

    def predict(self, X):
        advance(1e-9 * n_weights(self))
        return X[:, 0]

    monkeypatch.setattr(MLPClassifier, "fit", fit)
    monkeypatch.setattr(MLPClassifier, "predict", predict)
    monkeypatch.setattr(MLPClassifier, "score", lambda self, X, y: 1 - 100 / n_weights(self))
    monkeypatch.setattr("joblib.effective_n_jobs", lambda n_jobs: 1)
    arguments = ["latency_limit.py", "--microseconds", "10", "--seconds", "90"]
    monkeypatch.setattr("sys.argv", arguments)
    search = runpy.run_path(str(DOCS / "examples" / "latency_limit.py"))["search"]

    found = search.cv_results_
    front = [(found["latency_us"][i], found["mean_test_score"][i]) for i in search.pareto_front_]
    latency, score = max(point for point in front if point[0] <= 10)
    assert front[-1][0] > 10 and front[-1][1] > score  # the limit binds
    out = capsys.readouterr().out
    assert f"The limit is 10 us. The most accurate within it answers in {latency:.1f} us:" in out
    assert f"\n{search.best_params_}\nAccuracy {score:.4f} over five folds, " in out
    rows = re.findall(r"^\| ([0-9.]+) \| ([0-9.]+) ± .*\| isolated \|$", out, re.MULTILINE)
    assert rows == [(f"{latency:.1f}", f"{score:.4f}") for latency, score in front]
