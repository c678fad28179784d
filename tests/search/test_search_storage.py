"""Does a storage give back what was found, and only to the very search that found it?"""

from __future__ import annotations

import os
import signal
import subprocess
import sys

import numpy as np
import pytest
from sklearn.base import clone
from sklearn.datasets import load_iris
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import accuracy_score, make_scorer
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer
from support.timed import Killed, Timed

from fastnn import TradeoffSearchCV
from fastnn.search.process import FreshProcesses

pytest.importorskip("optuna")

X, y = load_iris(return_X_y=True)


def search_of(storage, prepare=np.log1p, scoring=None, n_trials=2):
    """A search of two candidates whose estimator and score are functions of the user's."""
    model = make_pipeline(FunctionTransformer(prepare), LogisticRegression(max_iter=500))
    space = {"logisticregression__C": [0.01, 1.0, 100.0]}
    options = {"objectives": ("score",), "cv": 2, "random_state": 0, "storage": storage}
    return TradeoffSearchCV(
        model, space, scoring=scoring, n_trials=n_trials, refit=False, **options
    )


def scores_of(search):
    """The mean scores of a search that has been fitted now."""
    return search.fit(X, y).cv_results_["mean_test_score"]


def test_functions_of_one_name_that_do_different_things_are_different_searches(tmp_path):
    def factor(f):
        return lambda Z: Z * f

    first = scores_of(search_of(tmp_path / "log", factor(1.0)))
    with pytest.warns(UserWarning, match="holds 1 other search"):
        nothing_left = scores_of(search_of(tmp_path / "log", factor(0.0)))
    assert first.max() > 0.9 and nothing_left.max() < 0.4
    np.testing.assert_array_equal(scores_of(search_of(tmp_path / "log", factor(1.0))), first)


@pytest.mark.parametrize(
    "wrap", [lambda f: lambda model, X, y: f(y, model.predict(X)), make_scorer]
)
def test_scores_of_one_name_that_say_different_things_are_different_searches(tmp_path, wrap):
    first = scores_of(search_of(tmp_path / "log", scoring=wrap(lambda y, p: accuracy_score(y, p))))
    with pytest.warns(UserWarning, match="holds 1 other search"):
        second = scores_of(
            search_of(tmp_path / "log", scoring=wrap(lambda y, p: -accuracy_score(y, p)))
        )
    np.testing.assert_array_equal(np.sort(-second), np.sort(first))


def test_a_line_written_in_part_costs_that_line_only(tmp_path):
    path = tmp_path / "log"
    first = scores_of(search_of(path))
    whole = path.read_bytes()
    for n_lost in (1, 40, len(whole.splitlines()[-1])):
        path.write_bytes(whole[:-n_lost])
        again = scores_of(search_of(path, n_trials=3))
        assert len(again) == 3
        assert set(first) & set(again)
        assert path.read_bytes().endswith(b"\n")


def test_a_file_of_something_else_is_refused_by_name_and_kept(tmp_path):
    for content in (b"a,b\n1,2\n", b"\xff\xfe\x00\n", b"no line ends here", b"1\n2\n3"):
        path = tmp_path / "table.csv"
        path.write_bytes(content)
        with pytest.raises(
            ValueError, match=r"table.csv' holds something else than searches.*Name another file"
        ):
            search_of(path).fit(X, y)
        assert path.read_bytes() == content


def test_what_cannot_be_hashed_is_said_before_the_search(tmp_path):
    class Opaque:
        def __reduce__(self):
            raise TypeError("no pickle of this")

        def __call__(self, model, X, y):
            return 0.0

    with pytest.raises(
        ValueError, match=r"cannot be pickled for that: no pickle of this.*search without storage"
    ):
        search_of(tmp_path / "log", scoring=Opaque()).fit(X, y)


def killed_search(storage):
    """Twelve candidates of two folds, one fold at a time."""
    return TradeoffSearchCV(
        Killed(),
        {"skill": [i / 16 for i in range(12)]},
        objectives=("score", "model_bytes"),
        cv=2,
        random_state=0,
        storage=storage,
    )


SCRIPT = """
import importlib.util, sys
specification = importlib.util.spec_from_file_location("storage_tests", sys.argv[1])
tests = importlib.util.module_from_spec(specification)
specification.loader.exec_module(tests)
tests.killed_search(sys.argv[2]).fit(tests.X, tests.y)
"""


@pytest.mark.skipif(sys.platform == "win32", reason="there is no SIGKILL")
@pytest.mark.parametrize("name", ["search.log", "sqlite:///search.db"], ids=["file", "database"])
def test_a_killed_search_goes_on_where_it_was(tmp_path, monkeypatch, name):
    """The fifth candidate's first fit kills the process; this process goes on from the storage."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("FASTNN_TEST_FITS", str(tmp_path / "fits"))
    environment = {
        **os.environ,
        "FASTNN_TEST_KILLED_AT": "9",
        "PYTHONPATH": os.pathsep.join(path for path in sys.path if path),
    }
    command = [sys.executable, "-c", SCRIPT, __file__, name]
    killed = subprocess.run(command, env=environment, capture_output=True, text=True)
    assert killed.returncode == -signal.SIGKILL, killed.stderr
    before = (tmp_path / "fits").read_text().splitlines()
    assert len(before) == 9

    search = killed_search(name).fit(X, y)
    assert sorted(search.cv_results_["mean_test_score"]) == [i / 16 for i in range(12)]
    assert search.cv_results_["mean_test_score"][search.pareto_front_].tolist() == [11 / 16]
    after = (tmp_path / "fits").read_text().splitlines()[len(before) :]
    assert not set(before[:8]) & set(after[:-1])  # the last is the chosen one's fit on all rows
    assert after[0] == after[1] == before[8]
    assert len(after) == 2 * 8 + 1


def test_a_storage_keeps_searches_apart(clock, tmp_path):
    search = TradeoffSearchCV(
        Timed(),
        {"skill": [0.5, 0.25]},
        cv=2,
        storage=tmp_path / "log",
        objectives=("score", "model_bytes"),
    )
    search.fit(X, y)
    with pytest.warns(UserWarning, match="holds 1 other search"):
        clone(search).fit(X[:100], y[:100])
    again = clone(search).fit(X, y)
    assert len(again.study_.trials) == len(search.study_.trials)
    assert again.cv_results_["params"] == search.cv_results_["params"]


def test_isolated_candidates_are_not_measured_again(clock, no_processes, tmp_path, monkeypatch):
    search = TradeoffSearchCV(Timed(), {"skill": [0.5]}, cv=2, storage=tmp_path / "log").fit(X, y)
    monkeypatch.setattr(FreshProcesses, "measure", lambda *args: pytest.fail("measured again"))
    again = clone(search).fit(X, y)
    np.testing.assert_array_equal(
        again.cv_results_["repeats_fit_time"][0], search.cv_results_["repeats_fit_time"][0]
    )


def test_a_storage_that_cannot_be_written_is_an_error_before_the_search(tmp_path, monkeypatch):
    monkeypatch.setattr(Timed, "fit", lambda *args: pytest.fail("trained"))
    with pytest.raises(OSError, match="nowhere"):
        TradeoffSearchCV(Timed(), {"skill": [0.5]}, storage=tmp_path / "nowhere" / "log").fit(X, y)


@pytest.mark.parametrize(
    ("url", "shown", "reason"),
    [
        ("sqlite:///no/folder/x.db", "sqlite:///no/folder/x.db", "unable to open database file"),
        ("sqlite:///text.db", "sqlite:///text.db", "file is not a database"),
        (
            "nosuch://me:secret@host/db",
            r"nosuch://me:\*\*\*@host/db",
            "Can't load plugin: .*nosuch",
        ),
        ("://", "://", "Could not parse"),
    ],
)
def test_a_database_that_does_not_open_is_named(tmp_path, monkeypatch, url, shown, reason):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "text.db").write_text("no database, but a text that is long enough to look at")
    message = f"^storage='{shown}' cannot be opened: {reason}.*, or a file\\.$"
    with pytest.raises(ValueError, match=message) as caught:
        scores_of(search_of(url))
    assert "secret" not in str(caught.value) and "\n" not in str(caught.value)
