"""Is a search whose folds train on a Dask cluster the one of this process, whatever ends?"""

from __future__ import annotations

import os
import pickle
import threading
import time
from types import SimpleNamespace

import numpy as np
import pytest
from scipy import stats
from sklearn.base import clone
from sklearn.datasets import load_iris
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer, StandardScaler
from support.cluster import within
from support.noted import Noted, lines, noted, pids, skills

from fastnn import MLPClassifier, TradeoffSearchCV
from fastnn.search import cluster, machine, run
from fastnn.search.trials import Trials
from fastnn.training.loop import InterruptedWarning

pytest.importorskip("optuna")
distributed = pytest.importorskip("distributed", reason="Dask comes with fastnn[dask]")

X, y = load_iris(return_X_y=True)
pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
UNTIMED = {"objectives": ("score", "model_bytes"), "cv": 2, "random_state": 0}
SIX = {"skill": [i / 8 for i in range(6)]}


@pytest.fixture
def notes(tmp_path):
    return str(tmp_path / "notes")


def untimed(results):
    """The columns of parameters, scores and FLOPs, as text."""
    shown = ("param", "split", "mean_test", "std_test", "rank", "flops", "fail", "on_fr")
    return {name: str(column) for name, column in results.items() if name.startswith(shown)}


def test_one_fold_at_a_time_is_the_search_of_this_process(client):
    network = MLPClassifier((4,), solver="lbfgs", max_iter=20, random_state=0)
    space = {"mlpclassifier__alpha": stats.loguniform(1e-4, 10)}
    weight = {"mlpclassifier__sample_weight": np.where(y == 1, 0.5, 1.0)}
    settings = {**UNTIMED, "objectives": ("score", "flops"), "n_trials": 5, "n_jobs": 1}
    settings["scoring"] = ["accuracy", "f1_macro"]
    here = TradeoffSearchCV(make_pipeline(StandardScaler(), network), space, **settings)
    there = clone(here).set_params(client=client)
    here.fit(X, y, **weight)
    within(120, lambda: there.fit(X, y, **weight))
    assert untimed(there.cv_results_) == untimed(here.cv_results_)
    assert there.predict_proba(X).tolist() == here.predict_proba(X).tolist()


def test_all_threads_of_the_workers_train_and_measure(client, notes):
    client.wait_for_workers(2)
    search = TradeoffSearchCV(Noted(notes), {"skill": [0.25, 0.75]}, cv=4, client=client)
    within(120, lambda: search.fit(X, y))
    assert sorted(search.cv_results_["mean_test_score"]) == [0.25, 0.75]
    assert "2 folds at the same time" in search.measurements_["fit_time"]
    (kind,) = set(search.cv_results_["machine"])
    assert kind in client.run(machine.kind).values()
    assert set(search.cv_results_["measured"][search.pareto_front_]) == {"isolated"}
    workers = set(client.run(os.getpid).values())
    assert workers < pids(notes)
    (refit,) = [pid for _, pid in lines(notes)[-1:]]
    assert int(refit) == os.getpid()
    assert pids(notes) - workers - {os.getpid()}  # those that measured in isolation


@pytest.mark.parametrize("n_jobs", [1, None])  # with 1, the data are lost
def test_a_killed_worker_costs_a_repeat(client, notes, n_jobs):
    client.wait_for_workers(2)
    search = TradeoffSearchCV(Noted(notes, n_ends=1), SIX, n_jobs=n_jobs, client=client, **UNTIMED)
    within(120, lambda: search.fit(X, y))
    assert sorted(search.cv_results_["mean_test_score"]) == SIX["skill"]
    assert set(search.cv_results_["failure"]) == {""}
    of_each = [skills(notes).count(skill) for skill in SIX["skill"]]
    # What had been done but not yet been told is done again, too, and the best is fitted at last.
    assert of_each[4] == 3 and 13 + 1 <= sum(of_each) <= 13 + 2


def test_a_candidate_that_ends_its_workers_fails(client, notes, monkeypatch):
    client.wait_for_workers(2)
    monkeypatch.setattr(cluster, "ATTEMPTS", 1)
    monkeypatch.setattr(client.cluster.scheduler, "allowed_failures", 0)
    search = TradeoffSearchCV(Noted(notes, n_ends=99), SIX, n_jobs=1, client=client, **UNTIMED)
    within(120, lambda: search.fit(X, y))
    assert [reason for reason in search.cv_results_["failure"] if reason] == [
        "RuntimeError: every worker that it was given to ended; mostly it needs more memory than"
        " workers have"
    ]
    assert search.best_score_ == 0.625


def test_a_search_runs_on_one_kind_of_machine(client, notes):
    client.wait_for_workers(2)
    kind = machine.kind

    def pretend():
        machine.kind = lambda: "an abacus, 1 thread"

    def be_honest():
        machine.kind = machine.__dict__.pop("honest")

    def remember():
        machine.honest = machine.kind

    one, other = client.nthreads()
    client.run(remember, workers=[other])
    client.run(pretend, workers=[other])
    try:
        search = TradeoffSearchCV(Noted(notes), SIX, client=client, refit=False, **UNTIMED)
        with pytest.warns(UserWarning, match=r"^Workers are of 2 kinds.* out 1 of an abacus"):
            within(120, lambda: search.fit(X, y))
    finally:
        client.run(be_honest, workers=[other])
    assert machine.kind is kind
    assert pids(notes) == set(client.run(os.getpid, workers=[one]).values())
    assert "an abacus, 1 thread" not in search.cv_results_["machine"]


def test_a_storage_is_gone_on_from_on_a_cluster_and_without(client, notes, tmp_path):
    search = TradeoffSearchCV(Noted(notes), SIX, refit=False, storage=tmp_path / "log", **UNTIMED)
    for n_trials, there in [(2, client), (4, client), (6, None)]:
        search.set_params(n_trials=n_trials, client=there)
        within(120, lambda: search.fit(X, y))
    assert sorted(skills(notes)) == sorted(2 * SIX["skill"])
    assert sorted(search.cv_results_["mean_test_score"]) == SIX["skill"]


def test_ctrl_c_ends_the_fits_on_workers(client, notes, monkeypatch):
    def interrupted(*_):
        while not os.path.exists(notes):
            time.sleep(0.01)
        raise KeyboardInterrupt

    monkeypatch.setattr(run, "wait", interrupted)
    network = MLPClassifier((2,), max_iter=10**9, tol=0, n_iter_no_change=10**9)
    model = make_pipeline(FunctionTransformer(noted, kw_args={"notes": notes}), network)
    space = {"mlpclassifier__alpha": [0.25, 0.5]}
    search = TradeoffSearchCV(model, space, client=client, **UNTIMED)
    with pytest.raises(KeyboardInterrupt):
        within(120, lambda: search.fit(X, y))
    end = time.monotonic() + 60
    while any(client.run(lambda dask_worker: dask_worker.state.executing_count).values()):
        assert time.monotonic() < end
        time.sleep(0.05)


ENDS = {
    "workers": (lambda cluster, client: cluster.scale(0), "has had no worker of .* for 0 s"),
    "scheduler": (lambda cluster, client: client.close(), "^Search interrupted: The scheduler of"),
}


@pytest.mark.parametrize("what", ENDS)
def test_a_search_whose_cluster_is_gone_ends_with_what_it_found(notes, monkeypatch, what):
    end, message = ENDS[what]
    monkeypatch.setattr(cluster, "PATIENCE", 0.5)
    in_process = distributed.LocalCluster(n_workers=1, processes=False, dashboard_address=":0")
    record = Trials.record

    def record_and_end(trials, number, candidate):
        record(trials, number, candidate)
        if len(trials.candidates) == 2:
            end(in_process, own)

    monkeypatch.setattr(Trials, "record", record_and_end)
    with in_process, distributed.Client(in_process, set_as_default=False) as own:
        search = TradeoffSearchCV(Noted(notes), SIX, client=own, n_jobs=1, **UNTIMED)
        with pytest.warns(InterruptedWarning, match=message):
            within(120, lambda: search.fit(X, y))
    assert len(search.cv_results_["params"]) == 2
    assert search.best_score_ == search.cv_results_["mean_test_score"].max()


def test_what_cannot_be_sent_is_said_before_the_search(client):
    lock = threading.Lock()
    search = TradeoffSearchCV(
        Noted(), SIX, scoring=lambda model, X, y: lock.locked(), client=client, **UNTIMED
    )
    with pytest.raises(TypeError, match=r"^A search on a cluster sends .* cannot be pickled for"):
        search.fit(X, y)


def test_a_client_is_neither_copied_nor_kept():
    client = SimpleNamespace(scatter=None, submit=None)
    search = TradeoffSearchCV(Noted(), SIX, client=client)
    assert clone(search).client is client
    assert pickle.loads(pickle.dumps(search)).client is None
    assert search.client is client
    with pytest.raises(ValueError, match=r"The 'client' parameter .* implementing 'scatter' and"):
        search.set_params(client="tcp://scheduler:8786").fit(X, y)


def test_times_on_another_kind_of_machine_are_another_search(clock, tmp_path, monkeypatch):
    timed, untimed = (
        TradeoffSearchCV(
            Noted(str(tmp_path / "notes")), {"skill": [0.5]}, cv=2, objectives=objectives,
            refit=False, storage=tmp_path / objectives[1], max_time=1e-9,
        )
        for objectives in (("score", "cpu_time"), ("score", "model_bytes"))
    )  # fmt: skip
    timed.fit(X, y)
    untimed.fit(X, y)
    monkeypatch.setattr(machine, "kind", lambda: "an abacus, 1 thread")
    assert set(untimed.fit(X, y).cv_results_["machine"]) != {"an abacus, 1 thread"}
    with pytest.warns(UserWarning, match="or timed on another kind of machine"):
        timed.fit(X, y)
    assert set(timed.cv_results_["machine"]) == {"an abacus, 1 thread"}


def test_the_names_of_processors():
    assert machine.named_in("processor\t: 0\nmodel name\t: AMD EPYC: 9R14\n\n") == "AMD EPYC: 9R14"
    assert machine.named_in("processor\t: 0\nCPU implementer\t: 0x41\nCPU part\t: 0xd0c").endswith(
        " 0x41 0xd0c"
    )
    assert machine.named_in("")
