"""Estimators whose cost is a parameter, and the clock that they move.

What a search finds of them is known beforehand.
"""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path

import numpy as np
from sklearn.base import BaseEstimator, ClassifierMixin

from fastnn.search.measure import Clock

_now = 0.0


def now() -> float:
    return _now


def advance(seconds: float) -> None:
    global _now
    _now += seconds


def restart() -> None:
    """Set the clock to 0: from there sums of powers of two are exact."""
    global _now
    _now = 0.0


CLOCK = Clock(now, now, now)


class Timed(ClassifierMixin, BaseEstimator):
    """Scores ``skill``; a fit moves the clock by ``seconds``, a call of predict by ``latency``.

    Powers of two stay exact.
    """

    def __init__(self, skill=0.5, seconds=1.0, latency=0.0, n_bytes=0, fails=""):
        self.skill = skill
        self.seconds = seconds
        self.latency = latency
        self.n_bytes = n_bytes
        self.fails = fails

    def fit(self, X, y, sample_weight=None):
        if self.fails:
            raise RuntimeError(self.fails)
        advance(self.seconds)
        self.payload_ = bytes(self.n_bytes)
        self.classes_ = np.unique(y)
        self.weight_ = None if sample_weight is None else np.sum(sample_weight)
        return self

    def predict(self, X):
        advance(self.latency)
        return np.full(len(X), self.classes_[0])

    def score(self, X, y, sample_weight=None):
        return float(self.skill)


class Hungry(Timed):
    """Takes ``n_bytes`` of memory while it is fitted, and none afterwards."""

    def fit(self, X, y):
        np.ones(self.n_bytes, np.uint8).sum()
        self.classes_ = np.unique(y)
        self.pid_ = os.getpid()
        return self


class Killed(Timed):
    """Notes each fit in a file; the fit whose number the environment names ends its process."""

    def fit(self, X, y):
        with open(os.environ["FASTNN_TEST_FITS"], "a+") as file:
            file.write(f"{self.skill}\n")
            file.seek(0)
            n_fits = len(file.readlines())
        if str(n_fits) == os.environ.get("FASTNN_TEST_KILLED_AT"):
            os.kill(os.getpid(), signal.SIGKILL)
        return super().fit(X, y)


class Meeting(Timed):
    """Notes each fit in a file, and waits in it until another process has noted one as well.

    The process whose number the environment names ends itself in its fourth fit of a fold.
    """

    def fit(self, X, y):
        notes = Path(os.environ["FASTNN_TEST_FITS"])
        me = os.environ["FASTNN_TEST_PROCESS"]
        with notes.open("a") as file:
            file.write(f"{me} {self.skill} {len(X)}\n")
        end = time.monotonic() + 60
        while len(set(who := [line[0] for line in notes.read_text().splitlines()])) < 2:
            if time.monotonic() > end:
                raise TimeoutError("no other process has come")
            time.sleep(0.01)
        if me == os.environ.get("FASTNN_TEST_KILLED") and who.count(me) == 4:
            os.kill(os.getpid(), signal.SIGKILL)
        time.sleep(0.02)  # so that both go on side by side
        return super().fit(X, y)
