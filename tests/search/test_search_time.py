"""Does a search keep within its time and use all of it, with folds in threads of this process?"""

from __future__ import annotations

import itertools
import os
import threading

import pytest
from scipy import stats
from sklearn.datasets import load_iris
from support.timed import CLOCK, Timed, advance

from fastnn import MLPClassifier, TradeoffSearchCV
from fastnn.search import run
from fastnn.search.measure import Isolated
from fastnn.search.process import FreshProcesses
from fastnn.training.callbacks import watched_by

pytest.importorskip("optuna")

X, y = load_iris(return_X_y=True)


def test_max_time_holds_by_the_clock(clock, monkeypatch):
    monkeypatch.setattr(
        FreshProcesses,
        "measure",
        lambda *args: pytest.fail("there is no time to isolate"),
    )
    start = CLOCK.wall()
    search = TradeoffSearchCV(
        Timed(seconds=4.0), {"skill": stats.uniform(0, 1)}, cv=2, max_time=33.0, random_state=0
    ).fit(X, y)
    assert CLOCK.wall() - start <= 33.0
    assert len(search.cv_results_["params"]) >= 2


@pytest.fixture
def events(monkeypatch):
    """What is trained and what is isolated, in order; isolating takes 0.5 s more than two fits."""
    events = []

    def isolate(self, estimator, timeout=None):
        advance(0.5 + 2 * estimator.seconds)
        events.append(("isolated", estimator.skill))
        return Isolated([estimator.seconds], [estimator.seconds], [1.0], [1.0], 0.0, [1.0], "")

    def fit_and_note(self, X, y, fit=Timed.fit):
        events.append(("fold", self.skill))
        return fit(self, X, y)

    monkeypatch.setattr(FreshProcesses, "measure", isolate)
    monkeypatch.setattr(Timed, "fit", fit_and_note)
    return events


def test_exploring_and_measuring_take_turns_until_time_is_up(clock, events):
    """Before the first measurement two seconds are reserved for each; most are not needed."""
    space = {"skill": stats.uniform(0, 1), "seconds": [2**-4]}
    search = TradeoffSearchCV(Timed(), space, cv=2, max_time=10.0, random_state=0)
    start = CLOCK.wall()
    search.fit(X, y)
    assert 8.5 < CLOCK.wall() - start <= 10.0
    kinds = [
        kind for kind, _ in itertools.groupby(events[:-1], key=lambda event: event[0])
    ]  # the last is the chosen one's fit
    assert len(kinds) >= 3
    assert set(search.cv_results_["measured"][search.pareto_front_]) == {"isolated"}


@pytest.mark.parametrize("factors", [(0.5, 0.5), (2.0, 2.0), (0.25, 1.0)])
def test_turns_go_on_where_isolated_times_differ_from_those_in_search(clock, monkeypatch, factors):
    def isolate(self, estimator, timeout=None):
        seconds = estimator.seconds * factors[int(100 * estimator.skill) % 2]
        advance(0.5 + 2 * seconds)
        return Isolated([seconds], [seconds], [1.0], [1.0], 0.0, [1.0], "")

    monkeypatch.setattr(FreshProcesses, "measure", isolate)
    space = [
        {"skill": stats.uniform(i / 8, 1 / 8), "seconds": [(i + 1) / 16]} for i in range(8)
    ]  # skill takes its time
    start = CLOCK.wall()
    search = TradeoffSearchCV(Timed(), space, cv=2, max_time=60.0, random_state=0).fit(X, y)
    assert 50 < CLOCK.wall() - start <= 60.0
    measured = search.cv_results_["measured"][search.pareto_front_].tolist()
    assert len(measured) >= 6
    n_left = len(measured) - measured.count("isolated")
    assert n_left <= (
        factors[0] != factors[1]
    )  # where each is a surprise, the last turn's may let in one more at the end


def test_a_candidate_begun_too_late_is_finished_in_the_next_turn(clock, events):
    """A candidate waits for the front to be measured if exploring stops between its two folds."""
    space = {"skill": [i / 32 for i in range(1, 30)], "seconds": [0.625]}
    search = TradeoffSearchCV(Timed(), space, cv=2, max_time=24.0, random_state=0).fit(X, y)
    turn = next(i for i, (kind, _) in enumerate(events) if kind == "isolated")
    assert events[turn - 2] != events[turn - 1] == events[turn + 1] != events[turn + 2]
    skills = [params["skill"] for params in search.cv_results_["params"]]
    assert events[turn - 1][1] in skills and len(set(skills)) == len(skills)


QUICK = [{"skill": [i / 16], "seconds": [0.25]} for i in range(8)]
SLOW = {"skill": [0.75], "seconds": [4.0]}


def failures(search):
    """Why each candidate failed, by its skill."""
    params, reasons = map(search.cv_results_.get, ("params", "failure"))
    return {one["skill"]: reason for one, reason in zip(params, reasons, strict=True)}


def test_a_candidate_that_would_use_up_the_time_of_many_others_is_given_up(clock, events, tmp_path):
    search = TradeoffSearchCV(
        Timed(), [*QUICK, SLOW], cv=3, max_time=16.0, random_state=0, storage=tmp_path / "log"
    ).fit(X, y)
    reasons = failures(search)
    assert (
        reasons.pop(0.75)
        == "too slow: a fold took 4 s, and all would use up the time of many others; raise max_time"
    )
    assert set(reasons.values()) == {""} and len(reasons) == 8
    assert events.count(("fold", 0.75)) == 1

    more = search.set_params(max_time=600.0).fit(X, y)  # the storage has kept everything else
    assert more.best_params_ == {"skill": 0.75, "seconds": 4.0}
    assert not any(more.cv_results_["failure"])
    assert events.count(("fold", 0.75)) == 1 + 3 + 1


def test_a_slow_candidate_runs_while_time_is_left_for_it(clock, events):
    search = TradeoffSearchCV(Timed(), [*QUICK, SLOW], cv=3, max_time=60.0, random_state=0)
    assert set(failures(search.fit(X, y)).values()) == {""}
    folds = [skill for kind, skill in events if kind == "fold"]
    at = [i for i, skill in enumerate(folds) if skill == 0.75]
    assert at[0] < at[1] - 1  # others came between its first fold and the rest
    assert at[1:] == [*range(24 + 1, 24 + 3), 24 + 3]  # none twice; then the fit on all rows


def test_where_most_turn_out_slow_it_is_the_first_that_was_quick(clock, events):
    """A quick first candidate sets no bar that all others fail, nor does a machine got busy."""
    space = [
        {"skill": [1 / 16], "seconds": [2**-4]},
        {"skill": stats.uniform(1 / 8, 7 / 8), "seconds": [1.0]},
    ]
    for seed in range(4):
        search = TradeoffSearchCV(Timed(), space, cv=5, max_time=20.0, random_state=seed).fit(X, y)
        assert search.best_score_ > 1 / 16
        succeeded = [reason == "" for reason in search.cv_results_["failure"]]
        assert sum(succeeded) >= 2 and sum(succeeded) >= len(succeeded) - 2


def test_where_all_candidates_are_slow_none_is_given_up(clock, events):
    space = {"skill": [i / 8 for i in range(6)], "seconds": [4.0, 8.0]}
    search = TradeoffSearchCV(Timed(), space, cv=3, max_time=100.0, random_state=0).fit(X, y)
    assert not any(search.cv_results_["failure"])


def test_one_candidate_is_finished_however_short_the_time(clock):
    search = TradeoffSearchCV(
        Timed(seconds=100.0), {"skill": [0.5, 0.25]}, cv=2, max_time=1.0, random_state=0
    ).fit(X, y)
    assert len(search.cv_results_["params"]) == 1


_meeting = threading.Barrier(2, timeout=60)
_threads, _processes = set(), set()


class Meeting(Timed):
    """Waits in a fold until another fold is there as well."""

    def fit(self, X, y):
        _threads.add(threading.get_ident())
        _processes.add(os.getpid())
        if threading.current_thread() is not threading.main_thread():
            _meeting.wait()
        return super().fit(X, y)


def test_folds_train_in_threads_of_this_process():
    space = {"skill": [0.25, 0.5, 0.75]}
    TradeoffSearchCV(Meeting(), space, objectives=("score", "model_bytes"), cv=2, n_jobs=2).fit(
        X, y
    )
    assert _processes == {os.getpid()}
    assert len(_threads) == 3  # two for the folds, and the main one for the last fit


def test_networks_take_one_thread_in_a_fold_and_the_users_number_afterwards():
    seen = []

    class Noting(MLPClassifier):
        def fit(self, X, y):
            seen.append(self.n_threads)
            return super().fit(X, y)

    network = Noting((), solver="lbfgs", n_threads=3)
    search = TradeoffSearchCV(network, {"alpha": [0.1]}, objectives=("score", "flops"), cv=2).fit(
        X, y
    )
    assert seen == [1, 1, 3]
    assert search.best_estimator_.n_threads == 3


def test_what_cannot_be_done_in_time_is_given_up_for_what_can(clock):
    space = [{"skill": [0.75], "seconds": [9.0]}, {"skill": [0.25], "seconds": [0.25]}]
    for seed in range(4):  # whichever comes first
        start = CLOCK.wall()
        search = TradeoffSearchCV(
            Timed(), space, cv=4, max_time=10.0, objectives=("score",), random_state=seed
        ).fit(X, y)
        assert search.best_params_ == {"skill": 0.25, "seconds": 0.25}
        assert CLOCK.wall() - start <= 10.0 + 9.0


# ---- fits that are of no use any more

PASSES = []  # of each fit, in the order in which they ended
SECONDS = 2.0  # that a pass takes, by the clock of these tests


TENTH = threading.Event()  # a fit has done ten passes


class Ticks:
    """Moves the clock with each pass."""

    def on_pass_end(self, loop):
        advance(SECONDS)
        if loop.n_iter == 10:
            TENTH.set()


class Counted(MLPClassifier):
    def fit(self, X, y):
        with watched_by(Ticks()):
            super().fit(X, y)
        PASSES.append(self.n_iter_)
        return self


def no_fold_is_trained():
    return not any(thread.name.startswith("fastnn-fold") for thread in threading.enumerate())


def test_a_fit_ends_with_the_time_of_its_search(clock):
    PASSES.clear()
    quick = [{"max_iter": [1], "alpha": [i / 8]} for i in range(8)]
    slow = {"max_iter": [5000], "alpha": [0.5]}
    search = TradeoffSearchCV(
        Counted((2,), tol=0, n_iter_no_change=5000, backend="numpy"), [*quick, slow], cv=2,
        n_jobs=1, max_time=200.0, random_state=1, objectives=("score", "flops"), refit=False,
    )  # fmt: skip
    start = CLOCK.wall()
    search.fit(X, y)
    assert 10 < max(PASSES) < 101 and no_fold_is_trained()
    assert CLOCK.wall() - start <= 200.0 + SECONDS
    # what was not finished is no candidate
    assert {params["max_iter"] for params in search.cv_results_["params"]} == {1}


def test_a_fit_ends_with_a_search_that_is_interrupted(clock, monkeypatch):
    def interrupted(*_):  # by Ctrl-C, while the search waits for its folds
        TENTH.wait()
        raise KeyboardInterrupt

    PASSES.clear()
    TENTH.clear()
    monkeypatch.setattr(run, "wait", interrupted)
    network = Counted((2,), max_iter=10**5, tol=0, n_iter_no_change=10**5, backend="numpy")
    search = TradeoffSearchCV(network, {"alpha": [0.25, 0.5]}, cv=2, n_jobs=1, n_trials=2)
    with pytest.raises(KeyboardInterrupt):
        search.fit(X, y)
    assert len(PASSES) == 1 and 10 <= PASSES[0] < 10**5 and no_fold_is_trained()
