"""What do the workers of a cluster import, too? A model that notes who fitted it how often."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import numpy as np
from sklearn.base import BaseEstimator, ClassifierMixin


class Noted(ClassifierMixin, BaseEstimator):
    """Scores ``skill``, and notes each fit in a file; ends ``n_ends`` processes with skill 0.5."""

    def __init__(self, notes="", skill=0.5, n_ends=0):
        self.notes = notes
        self.skill = skill
        self.n_ends = n_ends

    def fit(self, X, y):
        with open(self.notes, "a") as file:
            file.write(f"{self.skill} {os.getpid()}\n")
        if self.skill == 0.5 and skills(self.notes).count(0.5) <= self.n_ends:
            os.kill(os.getpid(), signal.SIGKILL)
        self.classes_ = np.unique(y)
        return self

    def predict(self, X):
        return np.full(len(X), self.classes_[0])

    def score(self, X, y):
        return self.skill


def lines(notes):
    return [line.split() for line in Path(notes).read_text().splitlines()]


def skills(notes):
    return [float(skill) for skill, _ in lines(notes)]


def pids(notes):
    return {int(pid) for _, pid in lines(notes)}


def noted(X, notes):
    Path(notes).touch()
    return X
