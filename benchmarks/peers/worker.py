"""How does a peer run apart from the others?

One process each, pinned, kept alive and driven over a pipe.

Two libraries in one process share a BLAS, an OpenMP runtime and their thread pools, and slow each
other down; and a peer that waits for its pipe computes nothing, so that rounds of all of them can
be interleaved.
"""

from __future__ import annotations

import importlib
import importlib.metadata
import json
import os
import subprocess
import sys
import traceback
from collections.abc import Callable, Sequence
from multiprocessing.connection import Connection, Pipe
from time import perf_counter, process_time
from typing import Any

from benchmarks.peers.problems import Array, Problem, Weights

PEERS: dict[str, tuple[str, dict[str, Any]]] = {
    "fastnn": ("fastnn_peer", {}),
    "scikit-learn": ("sklearn_peer", {}),
    "PyTorch": ("torch_peer", {}),
    "torch.compile": ("torch_peer", {"compiled": True}),
    "PyTorch autocast": ("torch_peer", {"autocast": True}),
    "JAX": ("jax_peer", {}),
    "ONNX Runtime": ("onnx_peer", {}),
}
_THREADS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMEXPR_NUM_THREADS")


class Absent(Exception):
    """A peer that is not installed, or cannot run here."""


class Worker:
    """A peer in a process of its own.

    Its methods are called by name and answer with what they return.

    Parameters
    ----------
    name : str
        A key of ``PEERS``.
    cores : sequence of int
        The cores the process is pinned to; its libraries are told to use as many threads.
    options : arguments of the peer's class, beside those in ``PEERS``
    """

    def __init__(self, name: str, cores: Sequence[int], **options: Any) -> None:
        self.name = name
        self._pipe, theirs = Pipe()
        arguments = json.dumps([theirs.fileno(), name, list(cores), options])
        self._process = subprocess.Popen(
            [sys.executable, "-m", "benchmarks.peers.worker", arguments],
            pass_fds=[theirs.fileno()],
            env=os.environ
            | dict.fromkeys(_THREADS, str(len(cores))),  # read when a library is loaded
        )
        theirs.close()
        self.versions: dict[str, str] = self.result()

    @property
    def pid(self) -> int:
        return self._process.pid

    def start(self, method: str, *arguments: Any) -> None:
        self._pipe.send((method, arguments))

    def finished(self, seconds: float) -> bool:
        """Whether the method has ended, after waiting at most so long."""
        return self._pipe.poll(seconds)

    def result(self) -> Any:
        return self._answer()[0]

    def _answer(self) -> tuple[Any, float]:
        error, value, busy = self._pipe.recv()
        if error:
            raise error
        return value, busy

    def call(self, method: str, *arguments: Any) -> Any:
        self.start(method, *arguments)
        return self.result()

    def timed(self, method: str, *arguments: Any) -> tuple[Any, float]:
        """What the method returns, and the process's processor time over the time it took."""
        self.start(method, *arguments)
        return self._answer()

    def close(self) -> None:
        self._pipe.close()
        self._process.wait()


def _serve(fileno: int, name: str, cores: list[int], options: dict[str, Any]) -> None:
    """The life of a worker process: until the pipe closes, call the methods asked for."""
    os.sched_setaffinity(0, cores)  # before any library counts them
    pipe = Connection(fileno)
    module, more = PEERS[name]
    try:
        peer_class = importlib.import_module(f"benchmarks.peers.{module}").Peer
        timed = _Timed(peer_class(len(cores), **more, **options))
        pipe.send((None, {package: _version(package) for package in peer_class.PACKAGES}, 1.0))
    except ImportError as error:
        pipe.send((Absent(f"{error}"), None, 1.0))
        return
    while True:
        try:
            method, arguments = pipe.recv()
        except EOFError:
            return
        try:
            owner = timed if hasattr(timed, method) else timed.peer
            start, busy_start = perf_counter(), process_time()
            value = getattr(owner, method)(*arguments)
            pipe.send((None, value, (process_time() - busy_start) / (perf_counter() - start)))
        except Exception:
            pipe.send((RuntimeError(f"{name}: {traceback.format_exc()}"), None, 1.0))


def _version(package: str) -> str:
    if package == "fastnn":
        import fastnn

        return fastnn.__version__
    return importlib.metadata.version(package)


class _Timed:
    """What is asked of every peer alike.

    Weights to compare, and times long enough to be read off a clock.
    """

    def __init__(self, peer: Any) -> None:
        self.peer = peer

    def train(self, problem: Problem, n_epochs: int) -> Weights:
        """Load the problem, compile what has to be, and return the weights after ``n_epochs``."""
        self.peer.load(problem)
        self.peer.fit(1)
        self.peer.fit(n_epochs)
        return self.peer.weights()

    def epochs_for(self, seconds: float) -> tuple[int, int]:
        """A short and a long number of epochs, whose fits differ by about so many CPU seconds."""

        def fit(n_epochs: int) -> float:
            start = process_time()
            self.peer.fit(n_epochs)
            return process_time() - start

        n_epochs = 1
        while (difference := fit(3 * n_epochs) - fit(n_epochs)) < seconds / 4:
            n_epochs *= 2
        n_more = max(1, round(2 * n_epochs * seconds / difference))
        return max(1, n_more // 2), max(1, n_more // 2) + n_more

    def step_seconds(self, short: int, long: int) -> float:
        """Seconds of a training step.

        The slope of whole fits over their epochs, divided by the steps of an epoch.
        """
        difference = self.peer.fit(long) - self.peer.fit(short)
        return difference / ((long - short) * self.peer.problem.n_batches)

    def prepare_prediction(
        self, problem: Problem, weights: Weights, method: str, n_rows: int, seconds: float
    ) -> Array:
        """Predict ``n_rows`` rows once; keep the call and how often it fits into the time."""
        predict = self.peer.predictor(problem, weights, method)
        X = problem.data()[0][:n_rows].copy()
        result = predict(X)
        self._predict: Callable[[], Array] = lambda: predict(X)
        self._n_calls = 1
        while (elapsed := self.predict_seconds()) * self._n_calls < seconds / 4:
            self._n_calls *= 2
        self._n_calls = max(1, round(seconds / elapsed))
        return result

    def predict_seconds(self) -> float:
        predict, n_calls = self._predict, self._n_calls
        start = perf_counter()
        for _ in range(n_calls):
            predict()
        return (perf_counter() - start) / n_calls


if __name__ == "__main__":
    from benchmarks.peers import worker

    worker._serve(
        *json.loads(sys.argv[1])
    )  # by its own name, under which what it sends is known to the other side
