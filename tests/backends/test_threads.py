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

from fastnn.backends import threads as workers


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
    with workers.take(3) as n:
        assert n == 3
    with workers.take(99) as n:
        assert n == 8


@pytest.mark.parametrize("n_wanted", [1, 0, -4])
def test_at_least_one_worker(machine, n_wanted):
    machine(8)
    with workers.take(n_wanted) as n:
        assert n == 1


def test_calls_side_by_side_share_the_machine(machine):
    machine(4)
    with workers.take(3) as first, workers.take(3) as second, workers.take(3) as third:
        assert (first, second) == (3, 1)
        assert third == 1  # nothing is free, and nobody waits
        assert workers.taken() == 5
    with workers.take(4) as n:
        assert n == 4
    assert workers.taken() == 0


def test_calls_of_one_thread_count_too(machine):
    machine(4)
    with workers.take(1), workers.take(1), workers.take(4) as n:
        assert n == 2


def test_an_error_gives_the_workers_back(machine):
    machine(4)
    with pytest.raises(KeyError), workers.take(4):
        raise KeyError
    assert workers.taken() == 0


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
            with workers.take(1 + (seed + i) % 6) as n:
                assert n >= 1
                time.sleep(0)  # let another thread in
                most.append(workers.taken())

    with ThreadPoolExecutor(n_fits) as pool:
        list(pool.map(fit, range(n_fits)))
    # One call sees n_cpus - 1 held and takes the last; the others, finding nothing, take one each.
    assert max(most) <= n_cpus + n_fits - 1
    assert workers.taken() == 0


@pytest.mark.parametrize(
    ("value", "expected"),
    [("1", 1), ("3", 3), ("3,2", 3), ("99", 8), ("0", 8), ("many", 8), ("", 8)],
)
def test_omp_num_threads_limits(machine, monkeypatch, value, expected):
    machine(8)
    monkeypatch.setenv("OMP_NUM_THREADS", value)
    assert workers.available_cpus() == expected


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
from fastnn.backends import threads as workers
held, release = threading.Event(), threading.Event()
def fit():
    with workers.take(3):
        held.set()
        release.wait()
thread = threading.Thread(target=fit)
thread.start()
held.wait()
workers._budget.lock.acquire()  # the worst moment: a thread that stays behind holds it
pid = os.fork()
if not pid:
    with workers.take(4) as n:
        os._exit(n)
workers._budget.lock.release()
print(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]), workers.taken())
release.set()
thread.join()
"""
    assert run_python(code) == "4 3"
