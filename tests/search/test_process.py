"""Is a candidate measured in a process of its own, and is its failure there said?"""

from __future__ import annotations

import os
import pickle
import signal
import sys
import threading

import numpy as np
import pytest
from sklearn.datasets import load_iris
from support.timed import CLOCK, Hungry, Timed

from fastnn.search import process
from fastnn.search.measure import Clock, Dataset, Isolated
from fastnn.search.process import FreshProcesses

X, y = load_iris(return_X_y=True)


@pytest.fixture(
    params=[True, False] if process.FORKS else [False],
    ids=lambda forks: "forked" if forks else "started",
)
def forks(request, monkeypatch):
    monkeypatch.setattr(process, "FORKS", request.param)


def test_a_fresh_process_measures_with_the_clock_it_is_given(forks):
    with FreshProcesses(Dataset(X, y), CLOCK) as processes:
        isolated = processes.measure(Timed(seconds=0.5, latency=2**-9))
    assert isinstance(isolated, Isolated)
    assert set(isolated.fit_time) == {0.5}
    assert set(isolated.latency_us) == {1e6 * 2**-9}


class Numbered(Timed):
    """Its fit takes as many seconds as its process has the number; it prints."""

    def fit(self, X, y):
        print("fitted")
        self.seconds = float(os.getpid())
        return super().fit(X, y)


def test_each_candidate_has_a_process_of_its_own(forks):
    with FreshProcesses(Dataset(X, y), CLOCK) as processes:
        numbers = {processes.measure(Numbered()).fit_time[0] for _ in range(2)}
    assert len(numbers - {float(os.getpid())}) == 2


def test_a_candidate_is_fitted_on_the_rows_named():
    with FreshProcesses(Dataset(X, y), CLOCK, np.arange(8)) as processes:
        row_us = processes.measure(Timed(latency=2**-10)).row_us
    assert set(row_us) == {1e6 * 2**-13}


@pytest.mark.skipif(sys.platform != "linux", reason="the peak is exact on Linux only")
def test_the_peak_of_memory_is_that_of_the_fit(forks):
    with FreshProcesses(Dataset(X, y), Clock()) as processes:
        little, much = (processes.measure(Hungry(n_bytes=n)).peak_bytes for n in (0, 200_000_000))
    assert 190e6 < much - little < 220e6


def test_a_failure_in_a_fresh_process_says_what_failed_and_the_next_is_measured(forks):
    with FreshProcesses(Dataset(X, y), CLOCK) as processes:
        with pytest.raises(
            RuntimeError, match=r"it failed in a process of its own: RuntimeError: out of luck$"
        ):
            processes.measure(Timed(fails="out of luck"))
        assert set(processes.measure(Timed(seconds=2.0)).fit_time) == {2.0}


def test_a_process_ended_from_outside_is_a_failure(forks):
    with FreshProcesses(Dataset(X, y), CLOCK) as processes:
        with pytest.raises(
            RuntimeError, match="it failed in a process of its own: it was ended from outside"
        ):
            processes.measure(Killed())
        assert set(processes.measure(Timed(seconds=2.0)).fit_time) == {2.0}


class Killed(Timed):
    """As a process is that takes too much memory."""

    def fit(self, X, y):
        os.kill(os.getpid(), signal.SIGKILL)


def test_a_fresh_process_ends_in_time(forks):
    with FreshProcesses(Dataset(X, y), CLOCK) as processes:
        with pytest.raises(TimeoutError, match=r"not done after 0\.1 s"):
            processes.measure(Timed(), timeout=0.1)
        assert set(processes.measure(Timed(seconds=2.0)).fit_time) == {2.0}


def test_what_a_script_defines_reaches_the_fresh_process():
    pytest.importorskip("cloudpickle")

    class Local(Timed):
        pass

    with FreshProcesses(Dataset(X, y), CLOCK) as processes:
        assert set(processes.measure(Local(seconds=2.0)).fit_time) == {2.0}


def test_a_candidate_that_cannot_be_pickled_is_not_sent():
    estimator = Timed()
    estimator.lock = threading.Lock()
    with (
        FreshProcesses(Dataset(X, y), CLOCK) as processes,
        pytest.raises(pickle.PicklingError, match="cannot pickle"),
    ):
        processes.measure(estimator)
