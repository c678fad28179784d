"""When something goes wrong, does a search keep what it found and say what it was?"""

from __future__ import annotations

import _thread
import sys
import threading
import time

import numpy as np
import pytest
from scipy import stats
from sklearn.datasets import load_iris
from support.timed import Timed

from fastnn import MLPClassifier, TradeoffSearchCV
from fastnn.training.loop import InterruptedWarning

pytest.importorskip("optuna")

X, y = load_iris(return_X_y=True)


def test_candidates_that_fail_are_recorded_and_the_search_goes_on(clock, no_processes):
    parts = [{"skill": [0.1 * i], "fails": ["", "out of luck"]} for i in range(1, 5)] + [
        {"skill": [np.nan]}
    ]
    search = TradeoffSearchCV(Timed(), parts, cv=2, random_state=0).fit(X, y)
    failures = search.cv_results_["failure"]
    assert sorted(failures) == [""] * 4 + ["RuntimeError: out of luck"] * 4 + [
        "ValueError: the score must be a finite number, got nan"
    ]
    failed = failures != ""
    assert np.isnan(search.cv_results_["mean_test_score"][failed]).all()
    assert not search.cv_results_["on_front"][failed].any()
    assert (search.cv_results_["rank_test_score"][failed] == 5).all()


@pytest.mark.filterwarnings(
    "ignore:overflow", "ignore:invalid value", "ignore:.*Maximum iterations"
)
def test_divergence_is_a_failure_of_the_candidate():
    network = MLPClassifier((8,), solver="sgd", random_state=0, max_iter=5)
    space = {"learning_rate_init": [1e-2, 1e300]}
    search = TradeoffSearchCV(network, space, objectives=("score", "flops"), cv=3)
    search.fit(X, y)
    (failure,) = [reason for reason in search.cv_results_["failure"] if reason]
    assert failure.startswith("ValueError: Solver produced non-finite parameter weights.")
    assert search.best_params_ == {"learning_rate_init": 1e-2}


def test_all_candidates_failing_is_an_error_with_the_reasons():
    parts = [{"fails": ["a", "b"]}]
    with pytest.raises(
        ValueError,
        match=r"All of the 2 candidates tried failed.\n1 of them: RuntimeError: [ab]\n1 of them: ",
    ):
        TradeoffSearchCV(Timed(), parts, cv=2).fit(X, y)


def test_a_search_without_hope_ends_early():
    space = {"skill": stats.uniform(0, 1), "fails": ["always"]}
    with pytest.raises(
        ValueError, match=r"All of the 5 candidates tried failed.\n5 of them: RuntimeError: always"
    ):
        TradeoffSearchCV(Timed(), space, cv=2).fit(X, y)


class Interrupting(Timed):
    """Presses Ctrl-C while the candidate of skill 0.5 is fitted."""

    def fit(self, X, y):
        if self.skill == 0.5:
            _thread.interrupt_main()
            time.sleep(0.2)
        return super().fit(X, y)


def test_ctrl_c_ends_with_what_has_been_found(clock, no_processes):
    parts = [{"skill": [skill]} for skill in (0.9, 0.6, 0.5, 0.2, 0.1, 0.3)]
    search = TradeoffSearchCV(Interrupting(), parts, cv=2, random_state=3)
    with pytest.warns(
        InterruptedWarning,
        match=r"Search interrupted by user; it ends with the \d candidates found so far.",
    ):
        search.fit(X, y)
    n_found = len(search.cv_results_["params"])
    assert 0 < n_found < 6
    assert 0.5 not in [params["skill"] for params in search.cv_results_["params"]]
    assert search.best_score_ == max(search.cv_results_["mean_test_score"])
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("fastnn-fold")]


def test_ctrl_c_before_anything_is_found_is_passed_on():
    with pytest.raises(KeyboardInterrupt):
        TradeoffSearchCV(Interrupting(), {"skill": [0.5]}, cv=2).fit(X, y)


def test_without_optuna_the_extra_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "optuna", None)
    with pytest.raises(ImportError, match=r'needs optuna.*pip install .*\[search\]"'):
        TradeoffSearchCV(Timed(), {"skill": [0.5]}).fit(X, y)
