"""fastnn: the same estimators as scikit-learn's, with a number of threads and a backend."""

from __future__ import annotations

import fastnn
from benchmarks.peers import sklearn_peer
from benchmarks.peers.problems import Problem


class Peer(sklearn_peer.Peer):
    PACKAGES = ("fastnn", "numpy", "scipy", "scikit-learn")
    module = fastnn

    def __init__(self, n_threads: int, backend: str = "cython") -> None:
        super().__init__(n_threads)
        self.extra = {"n_threads": n_threads, "backend": backend}

    def load(self, problem: Problem) -> None:
        super().load(problem)
        self.extra["dtype"] = "bfloat16" if problem.dtype == "bfloat16" else "auto"
