"""Do calls that run side by side share one budget of workers, within what the process may use?"""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import joblib
import pytest

from fastnn.backends import threads


@pytest.fixture
def machine(monkeypatch):
    """Pretend that the machine has a number of CPUs, and nothing else limits it."""

    def of(n_cpus: int) -> None:
        monkeypatch.setattr(joblib, "cpu_count", lambda: n_cpus)
        monkeypatch.delenv("OMP_NUM_THREADS", raising=False)

    return of


def run_python(code: str, **environment: str) -> str:
    """What ``code`` prints in a new process."""
    inherited = {
        name: value for name, value in os.environ.items() if not name.endswith("_NUM_THREADS")
    }
    done = subprocess.run(
        [sys.executable, "-c", code],
        env=inherited | environment,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def test_everything_is_granted_where_nobody_else_asks(machine):
    machine(8)
    with threads.reserve(3) as n:
        assert n == 3
    with threads.reserve(99) as n:
        assert n == 8


@pytest.mark.parametrize("n_wanted", [1, 0, -4])
def test_at_least_one_worker(machine, n_wanted):
    machine(8)
    with threads.reserve(n_wanted) as n:
        assert n == 1


def test_calls_side_by_side_share_the_machine(machine):
    machine(4)
    with threads.reserve(3) as first, threads.reserve(3) as second, threads.reserve(3) as third:
        assert (first, second) == (3, 1)
        assert third == 1  # nothing is free, and nobody waits
        assert threads.n_reserved() == 5
    with threads.reserve(4) as n:
        assert n == 4
    assert threads.n_reserved() == 0


def test_calls_of_one_thread_count_too(machine):
    machine(4)
    with threads.reserve(1), threads.reserve(1), threads.reserve(4) as n:
        assert n == 2


def test_an_error_gives_the_workers_back(machine):
    machine(4)
    with pytest.raises(KeyError), threads.reserve(4):
        raise KeyError
    assert threads.n_reserved() == 0


def test_many_threads_never_hold_more_than_there_is(machine):
    # Each of the n_fits threads is owed one worker, so no more than max(n_cpus, n_fits) can be held
    # at any moment.
    n_cpus, n_fits = 6, 4
    machine(n_cpus)
    barrier = threading.Barrier(n_fits)
    most = []

    def fit(seed: int) -> None:
        barrier.wait()
        for i in range(300):
            with threads.reserve(1 + (seed + i) % 6) as n:
                assert n >= 1
                time.sleep(0)  # let another thread in
                most.append(threads.n_reserved())

    with ThreadPoolExecutor(n_fits) as pool:
        list(pool.map(fit, range(n_fits)))
    # One call sees n_cpus - 1 held and takes the last; the others, finding nothing, take one each.
    assert max(most) <= n_cpus + n_fits - 1
    assert threads.n_reserved() == 0


@pytest.mark.parametrize(
    ("value", "expected"),
    [("1", 1), ("3", 3), ("3,2", 3), ("99", 8), ("0", 8), ("many", 8), ("", 8)],
)
def test_omp_num_threads_limits(machine, monkeypatch, value, expected):
    machine(8)
    monkeypatch.setenv("OMP_NUM_THREADS", value)
    assert threads.available_cpus() == expected


def test_loky_max_cpu_count_limits():
    assert (
        run_python(
            "from fastnn.backends.threads import available_cpus; print(available_cpus())",
            LOKY_MAX_CPU_COUNT="1",
        )
        == "1"
    )


@pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="this system has no CPU affinity")
def test_affinity_limits():
    cpu = min(os.sched_getaffinity(0))
    limit = f"import os; os.sched_setaffinity(0, [{cpu}])"
    show = "from fastnn.backends.threads import available_cpus; print(available_cpus())"
    assert run_python(f"{limit}; {show}") == "1"


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system does not fork")
def test_a_forked_child_starts_with_an_empty_budget():
    code = """
import joblib, os, threading
joblib.cpu_count = lambda: 4
from fastnn.backends import threads
held, release = threading.Event(), threading.Event()
def fit():
    with threads.reserve(3):
        held.set()
        release.wait()
thread = threading.Thread(target=fit)
thread.start()
held.wait()
threads._budget.lock.acquire()  # the worst moment: a thread that stays behind holds it
pid = os.fork()
if not pid:
    with threads.reserve(4) as n:
        os._exit(n)
threads._budget.lock.release()
print(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]), threads.n_reserved())
release.set()
thread.join()
"""
    assert run_python(code) == "4 3"
