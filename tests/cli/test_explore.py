"""Does explore say what its search found, and can it go on from there?"""

from __future__ import annotations

import html
import json
import os
import re
import signal
import warnings

import numpy as np
import pytest
from sklearn.exceptions import ConvergenceWarning
from sklearn.metrics import accuracy_score
from support.homes import homes

from fastnn.cli import commands
from fastnn.cli.kinds import KINDS as ALL_KINDS
from fastnn.cli.kinds import compared, kinds_for
from fastnn.cli.reporter import Reporter
from fastnn.cli.settings import Goal, Search, TableFile
from fastnn.cli.terminal import Candidates
from fastnn.cli.training_table import training_table
from fastnn.persistence import load_model
from fastnn.search.estimator import TradeoffSearchCV
from fastnn.search.run import Run
from fastnn.tabular.encode import TableEncoder, features
from fastnn.tabular.options import TypeOptions
from fastnn.tabular.recognise import recognise
from fastnn.tabular.schema import TableError

pytestmark = pytest.mark.usefixtures("folder")


def explored(run, *more, trials=4):
    deterministic = [
        "--objectives",
        "score,flops",
        "--trials",
        trials,
        "--cv",
        2,
        "--jobs",
        1,
        "--models",
        "plain",
    ]  # nothing is timed
    return run("explore", "homes.csv", "--target", "kind", *deterministic, *more)


def test_explore_and_train_again(run):
    status, out, err = explored(run, "--report", "r.html", "-o", "m.skops", "--choose", "score")
    assert status == 0 and err.count("\n") <= 1  # whether it beats a constant
    assert (
        re.search(r"^4 candidates, \d+ on the front, \* chosen$", out, re.M)
        and len(re.findall(r"^\* ", out, re.M)) == 1
    )
    assert re.search(r"^report +r\.html$", out, re.M)
    with open("r.html", encoding="utf-8") as file:
        page = file.read()
    code = html.unescape(re.search(r"<pre[^>]*><code>(.*?)</code>", page, re.S)[1])
    scope = {}
    with warnings.catch_warnings():  # a network of few epochs may be the best
        warnings.simplefilter("ignore", ConvergenceWarning)
        exec(code, scope)  # the program at the end of the report
    chosen = load_model("m.skops").model
    np.testing.assert_array_equal(
        scope["model"].predict_proba(scope["X_test"]), chosen.predict_proba(scope["X_test"])
    )
    accuracy = accuracy_score(scope["y_test"], chosen.predict(scope["X_test"]))
    assert (
        f"accuracy                   {accuracy:.4g}\n" in out
        and f"<strong>{accuracy:.3f}</strong>" in page
    )
    assert run("predict", "m.skops", "homes.csv")[0] == 0


def test_several_metrics_are_traded_off(run):
    metric = ["--metric", "neg_log_loss,accuracy"]
    status, out, err = explored(run, *metric, "--json", "--report", "r.html")
    assert status == 0, err
    front = json.loads(out)["front"]
    assert all(one["score"] < 0 < one["accuracy"] <= 1 and "accuracy_std" in one for one in front)
    shown = explored(run, *metric, "--choose", "accuracy")[1]
    assert re.search(r"^ +score +± +accuracy +± +", shown, re.M)
    status, _, err = explored(run, "--metric", "accuracy,acuracy")
    assert status == 2 and "'acuracy' is not a scorer of scikit-learn's, such as accuracy" in err


def test_a_limit_decides(run):
    status, out, _ = explored(run, "--limit", "model_bytes=1e9")
    assert status == 0 and "* chosen" in out
    status, out, err = explored(run, "--limit", "model_bytes=1")
    assert status == 1 and "no candidate is within it. The nearest, candidate" in err
    assert re.search(r"on the front$", out, re.M) and not re.search(r"^\*", out, re.M)
    assert re.search(r"  measured  parameters$", out, re.M) and "in search" in out
    assert "with --storage FILE these candidates would be there for another --limit" in err
    assert (
        "--storage FILE" not in explored(run, "--limit", "model_bytes=1", "--storage", "s.log")[2]
    )


def test_a_stored_search_goes_on(run, monkeypatch):
    assert "2 candidates" in explored(run, "--storage", "s.log", trials=2)[1]
    assert "4 candidates" in explored(run, "--storage", "s.log", trials=4)[1]
    monkeypatch.setattr(Run, "_begin", lambda *_: pytest.fail("a candidate was tried again"))
    assert "4 candidates" in explored(run, "--storage", "s.log", trials=4)[1]


def test_ctrl_c_in_explore_reports_what_was_found(run, monkeypatch):
    pytest.importorskip(
        "sklearn.callback", reason="scikit-learn has callbacks, where this test waits, from 1.9 on"
    )
    end = Candidates.on_fit_task_end

    def interrupting(self, *args, **kwargs):
        n_before = self.n_done
        end(self, *args, **kwargs)
        if n_before == 2 and self.n_done == 3:
            signal.raise_signal(signal.SIGINT)

    monkeypatch.setattr(Candidates, "on_fit_task_end", interrupting)
    status, out, err = explored(run, "--report", "r.html", "-o", "m.skops", trials=50)
    assert status == 130 and "Search interrupted by user" in err
    assert re.search(r"^3 candidates, ", out, re.M) and os.path.exists("r.html")
    assert run("predict", "m.skops", "homes.csv")[0] == 0


# ---- several kinds of models

KINDS = ["--objectives", "score,model_bytes", "--trials", 3, "--cv", 2, "--jobs", 1]
KINDS += ["--models", "bag,trees,linear"]


def test_trees_and_a_linear_model_stand_on_the_same_front(run):
    explore = ["explore", "homes.csv", "--target", "kind", *KINDS, "--choose", "score"]
    status, out, err = run(*explore, "--report", "r.html", "-o", "m")
    assert status == 0, err
    kinds = ["bag of networks", "gradient boosting of scikit-learn", "linear model"]
    for kind in kinds:
        assert re.search(rf"^best {kind} +0\.\d{{4}} ± 0\.\d{{4}}, \S+ \S+ to fit$", out, re.M)
    with open("r.html", encoding="utf-8") as file:
        page = file.read()
    (said,) = re.findall(r"<p>The best of each kind, in accuracy: (.*?)\.</p>", page)
    assert sorted(one.partition(" 0.")[0] for one in said.split("; ")) == kinds
    assert run("predict", "m", "homes.csv")[0] == 0
    found = json.loads(run(*explore, "--json")[1])
    assert sorted(found["best_of_kinds"]) == kinds
    assert {one["model"] for one in found["front"]} <= set(kinds)


def test_the_first_candidate_is_what_fit_trains():
    search = Search(models=("bag", "linear"), trials=1, cv=2, jobs=1, objectives=("score",))
    found = commands.explore(TableFile("homes.csv"), Goal("kind"), search=search)
    fitted = commands.fit(TableFile("homes.csv"), Goal("kind"))
    table = fitted.table
    chosen, bag = found.model.model[-1], fitted.model.model[-1]
    assert chosen.get_params() == bag.get_params()
    np.testing.assert_array_equal(
        found.model.model.predict_proba(table.X_test),
        fitted.model.model.predict_proba(table.X_test),
    )


@pytest.mark.parametrize(
    ("jobs", "many_rows", "n_folds", "turns"),
    [(1, 10_000, 5, 7), (2, 10_000, 5, 5), (8, 10_000, 5, 3), (2, 50, 3, 4)],
)
def test_the_first_candidate_ends_in_time(monkeypatch, jobs, many_rows, n_folds, turns):
    """Its folds, a fit as long, and something to spare: no more than the search has."""
    monkeypatch.setattr("fastnn.cli.exploring.MANY_ROWS", many_rows)
    begun = []
    monkeypatch.setattr(TradeoffSearchCV, "fit", lambda self, *_, **__: begun.append(self) or 1 / 0)
    search = Search(max_time=35.0, jobs=jobs)
    with pytest.raises(ZeroDivisionError):
        commands.explore(TableFile("homes.csv"), Goal("kind"), search=search)
    first = begun[0].first_candidates[0]
    assert first["model"].max_time == 35.0 / turns and first["model__preset"] == "balanced"
    assert begun[0].cv == n_folds


@pytest.mark.parametrize("kind", ["trees", "linear"])
def test_other_kinds_are_saved_and_predict(run, kind):
    words = ["explore", "prices.csv.gz", "--target", "price", *KINDS[:-1], kind, "-o", "m"]
    assert run(*words, "--trials", 1)[0] == 0
    status, out, err = run("predict", "m", "prices.csv.gz")
    assert status == 0 and len(out.splitlines()) == 81, err
    name = {"trees": "gradient boosting of scikit-learn", "linear": "linear model"}[kind]
    assert re.search(rf"^  model +{name}$", run("info", "m")[1], re.M)
    if kind == "trees":  # which read categories as such
        loaded = load_model("m")
        n = len(loaded.schema.categorical)
        assert loaded.model[-1].regressor_.is_categorical_[:n].tolist() == [True] * n != []


@pytest.mark.parametrize(
    ("quantity", "known"),
    [
        ("flops", ["bag", "plain"]),
        ("flash_bytes", ["bag", "linear", "plain"]),
        ("flash_int8_bytes", ["bag", "linear", "plain"]),
    ],
)
def test_kinds_without_a_quantity_are_left_out_where_it_is_an_objective(quantity, known):
    assert kinds_for(None, ("score", quantity)) == known
    assert kinds_for(("trees", "bag"), ("score", quantity)) == ["bag"]
    assert kinds_for(("linear", "bag"), ("score",)) == ["linear", "bag"]
    message = f"objective {quantity} is not known of the .*; it is of --models {','.join(known)}."
    with pytest.raises(ValueError, match=message):
        kinds_for(("trees",), (quantity,))


def test_kinds_that_there_are_not_are_refused():
    with pytest.raises(ValueError, match="There is no kind of model 'forest'; there are bag, tr"):
        kinds_for(("forest",), ())
    with pytest.raises(ValueError, match="models='bag' is a text; give a list of texts"):
        kinds_for("bag", ())


def test_kinds_that_are_not_installed_are_left_out_or_said(monkeypatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None if "boost" in name else 1)
    assert kinds_for(None, ()) == ["bag", "trees", "linear", "plain", "lightgbm"]
    with pytest.raises(ImportError, match="--models catboost needs catboost, which is not inst"):
        kinds_for(("catboost",), ())


def test_the_scale_of_a_heavy_tail_is_searched():
    rng = np.random.default_rng(0)
    frame = homes(100).assign(price=np.exp(rng.normal(size=100) * 2))
    found = training_table(frame, Goal("price"), TypeOptions(drop=("kind",)), Reporter())
    what = compared(found, Goal("price"), ["bag", "linear"], 50)
    scales = [type(one["model__transformer"]).__name__ for one in what.first_candidates]
    assert scales == ["StandardScaler", "LogScale"] * 2
    for said, scale in (("log", "LogScale"), ("none", "StandardScaler")):
        what = compared(found, Goal("price", target_transform=said), ["bag"], 50)
        assert "model__transformer" not in what.param_distributions
        assert type(what.estimator[-1].transformer).__name__ == scale


@pytest.mark.parametrize("name", kinds_for(None, ()))
def test_no_kind_reads_a_raw_table(name):
    frame = homes().drop(columns="price")
    schema = recognise(frame, "kind")
    X = features(schema, frame)
    _, encoder = ALL_KINDS[name].make(schema, Goal("kind"))
    encoder = (encoder or TableEncoder()).fit(X)
    assert len(encoder.transform(X)) == len(X)
    with pytest.raises(TableError, match="makes of a table, not the table itself"):
        encoder.transform(frame[list(X.columns)])
