"""How many threads may a call use?

One budget of workers for the whole process, shared by fits that run side by side.

A call that works with several threads wraps its work in ``with reserve(n_wanted) as n:`` and
starts n - 1 of them, its own being the first. It holds them for one pass, not for a fit, so that
two long fits settle on half the machine each within a pass and never spin against each other for
longer than that.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import joblib


class _Budget:
    """The workers held at this moment.

    The calling threads count too, so fits of one thread each are seen by the others.
    """

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.reserved = 0


_budget = _Budget()


def available_cpus() -> int:
    """How many threads this process may keep busy; at least 1.

    The least of: the CPUs the process may run on (affinity), its cgroup's quota (versions 1 and 2),
    ``LOKY_MAX_CPU_COUNT``, all as ``joblib.cpu_count`` reads them, and ``OMP_NUM_THREADS``, which
    is how joblib tells its worker processes their share of the machine (``inner_max_num_threads``).
    Read anew each time, since all of them can change while a process runs.
    """
    n_cpus = joblib.cpu_count()
    # OpenMP allows a list, one number for each level of nesting; ours is the outermost.
    limit = os.environ.get("OMP_NUM_THREADS", "").split(",")[0].strip()
    if limit.isdecimal() and int(limit) > 0:
        n_cpus = min(n_cpus, int(limit))
    return int(n_cpus)


@contextmanager
def reserve(n_wanted: int) -> Iterator[int]:
    """Reserve up to ``n_wanted`` workers of the process's budget while the block runs.

    The calling thread is one of them.

    Parameters
    ----------
    n_wanted : int
        The most workers the caller can use; below 1 counts as 1.

    Yields
    ------
    n_granted : int
        From 1 to ``n_wanted``: what the blocks running now leave free, at least 1.
    """
    budget = _budget
    limit = available_cpus() if n_wanted > 1 else 1
    with budget.lock:
        n_granted = max(1, min(n_wanted, limit - budget.reserved))
        budget.reserved += n_granted
    try:
        yield n_granted
    finally:
        with budget.lock:
            budget.reserved -= n_granted


def n_reserved() -> int:
    """How many workers are held at this moment, over all threads of the process."""
    return _budget.reserved


def _start_anew() -> None:
    """Forget, in a forked child, the parent's threads and the lock that one may have held."""
    global _budget
    _budget = _Budget()


if hasattr(os, "register_at_fork"):  # not on Windows, which does not fork
    os.register_at_fork(after_in_child=_start_anew)
