"""What is timed, and what must agree before a time is believed?

One function for each table, returning plain data.
"""

from __future__ import annotations

import os
import random
import subprocess
import sys
import tempfile
from collections.abc import Callable, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from statistics import median
from time import perf_counter
from typing import Any

import numpy as np

from benchmarks.calibrator import Calibrator
from benchmarks.peers.problems import CLASSIFIER, REGRESSOR, SPARSE, Problem, Weights
from benchmarks.peers.worker import PEERS, Absent, Worker
from benchmarks.shapes import ANCHORS, Shape

SHAPES = {
    name: Problem(name, shape.units, shape.batch, 0, shape.loss == "squared_error")
    for name, shape in (
        ANCHORS
        | {
            "cliff": Shape((10, 46, 46, 10), 128),
            "mnist-small": Shape((784, 100, 100, 10), 200),
            "three": Shape((200, 256, 256, 256, 1), 256),
        }
    ).items()
}
for (
    name,
    problem,
) in SHAPES.items():  # an epoch is a few batches to a few dozen, small enough for many rounds
    SHAPES[name] = problem.but(
        n_batches=(1024 if problem.step_flops > 1e8 else 4096) // problem.batch
    )
DATASETS = ["digits", "breast_cancer", "diabetes", "iris", "wine"]

# How far the loss of a peer may be from fastnn's after CHECK_EPOCHS, relative. Same weights,
# batches and arithmetic; what is left is rounding, which training amplifies: up to 1e-15 and 2e-4
# were seen. In float64 a peer without L2 (at least 3e-7 off), without epsilon or with another
# (2e-7), or with a rate 1 % off (2e-4) is caught on every shape.
# In bfloat16 everybody rounds something else: 7e-4 was seen, and of PyTorch, whose parameters are
# bfloat16, too, 1e-2, and 3.4e-2 in 640 steps of tiny.
TOLERANCE = {"float64": 1e-9, "float32": 1e-3, "bfloat16": 5e-2}
CHECK_EPOCHS = 5


class Disagreement(AssertionError):
    """Two peers that should compute the same do not; their times mean nothing."""


@dataclass
class Bench:
    """How everything is measured: on which cores, against whom, how long and how often."""

    cores: Sequence[int]
    shapes: Sequence[str]
    peers: Sequence[str]
    rounds: int
    seconds: float  # what one block of one peer takes, about
    backend: str
    calibrator: Calibrator
    say: Callable[[str], None]
    absent: dict[str, str] = field(default_factory=dict)
    versions: dict[str, str] = field(default_factory=dict)

    @contextmanager
    def workers(self, names: Sequence[str], n_cores: int = 1) -> Any:
        """A process for each of these peers that is installed, fastnn first."""
        workers: dict[str, Worker] = {}
        try:
            for name in ["fastnn", *(name for name in names if name in self.peers)]:
                if name in self.absent:
                    continue
                try:
                    options = {"backend": self.backend} if name == "fastnn" else {}
                    workers[name] = Worker(name, self.cores[:n_cores], **options)
                    self.versions |= workers[name].versions
                except Absent as reason:
                    if name == "fastnn":
                        raise
                    self.absent[name] = str(reason)
                    self.say(f"skipped: {reason}")
            yield workers
        finally:
            for worker in workers.values():
                worker.close()

    def rounds_of(
        self,
        blocks: dict[str, Callable[[], tuple[float, float]]],
        dtype: str = "float32",
        flops: float = 0.0,
    ) -> dict[str, Any]:
        """Each block's value in each round, and the peak of the core around them.

        The blocks take turns in random order.

        Blocks that cannot be as short as asked for, like a whole fit, get fewer rounds, at least
        three.
        """
        values: dict[str, list[float]] = {name: [] for name in blocks}
        peaks: list[float] = []
        order = random.Random(0)
        limit = perf_counter() + 4 * self.rounds * self.seconds * len(blocks)
        for n_done in range(self.rounds):
            if n_done >= 3 and perf_counter() > limit:
                break
            for name in order.sample(list(blocks), len(blocks)):
                value, peak = self.calibrator.watch(blocks[name], dtype, flops)
                values[name].append(value)
                peaks.append(peak)
        return {"seconds": values, "peak_gflops": median(peaks)}


def steps(bench: Bench) -> list[dict[str, Any]]:
    """Seconds of a training step in float32, fastnn and its peers, one core.

    Float64 shows that they compute the same.
    """
    rows = []
    with bench.workers(
        [name for name in PEERS if name not in ("fastnn", "PyTorch autocast", "ONNX Runtime")]
    ) as workers:
        for shape in bench.shapes:
            _losses(bench, SHAPES[shape].but(dtype="float64"), workers)
            rows.append(_step_row(bench, SHAPES[shape], workers))
    return rows


def bfloat16(bench: Bench) -> list[dict[str, Any]]:
    """Seconds of a training step in bfloat16, and fastnn's in float32, one core."""
    rows = []
    with bench.workers(["PyTorch", "PyTorch autocast", "JAX"]) as workers:
        for shape in bench.shapes:
            rows.append(_step_row(bench, SHAPES[shape].but(dtype="bfloat16"), workers))
            in_float32 = _step_row(bench, SHAPES[shape], {"fastnn": workers["fastnn"]})
            rows[-1]["float32_seconds"] = in_float32["seconds"]["fastnn"]
    return rows


def _losses(
    bench: Bench, problem: Problem, workers: dict[str, Worker], n_epochs: int = CHECK_EPOCHS
) -> dict[str, float]:
    """The loss of each peer after a few epochs from the same weights.

    They agree, or ``Disagreement`` is raised.
    """
    losses = {}
    for name, worker in workers.items():
        bench.say(f"{problem.name} {problem.dtype} {problem.activation}: {name} trains")
        losses[name] = problem.loss(worker.call("train", problem, n_epochs))
    agree(problem, losses)
    return losses


def _step_row(
    bench: Bench, problem: Problem, workers: dict[str, Worker], n_epochs: int = CHECK_EPOCHS
) -> dict[str, Any]:
    """Train everywhere from the same weights, compare the losses, then time steps in turns."""
    losses = _losses(bench, problem, workers, n_epochs)
    epochs = {name: worker.call("epochs_for", bench.seconds) for name, worker in workers.items()}
    bench.say(f"{problem.name} {problem.dtype} {problem.activation}: {bench.rounds} rounds")
    blocks = {
        name: lambda worker=worker, name=name: worker.timed("step_seconds", *epochs[name])
        for name, worker in workers.items()
    }
    # A unit for bfloat16 may do more than the float32 loop of the calibrator.
    flops = 0 if problem.dtype == "bfloat16" else problem.step_flops
    timed = bench.rounds_of(blocks, problem.array_dtype, flops)
    return _described(problem) | {"losses": losses, "epochs": epochs} | timed


def _described(problem: Problem) -> dict[str, Any]:
    return {
        "shape": problem.name,
        "units": problem.units,
        "batch": problem.batch,
        "rows": problem.n_rows,
        "dtype": problem.dtype,
        "activation": problem.activation,
        "step_flops": problem.step_flops,
    }


def agree(problem: Problem, losses: dict[str, float]) -> None:
    """Raise ``Disagreement`` unless all losses are fastnn's, and training has lowered them."""
    ours, first = losses["fastnn"], problem.loss(problem.start()[0])
    for name, loss in losses.items():
        if not abs(loss - ours) <= TOLERANCE[problem.dtype] * abs(ours):
            raise Disagreement(
                f"{problem.name} in {problem.dtype}: fastnn's loss is {ours:.9g} and {name}'s"
                f" {loss:.9g}."
            )
    if not ours < first:
        raise Disagreement(
            f"{problem.name}: training did not lower the loss: {first:.9g} before, {ours:.9g}"
            " after."
        )


def peak(bench: Bench) -> list[dict[str, Any]]:
    """The share of the core's peak in both precisions, and what tanh and logistic cost."""
    rows = []
    with bench.workers([]) as workers:
        for shape in bench.shapes:
            problem = SHAPES[shape]
            variants = [
                problem,
                problem.but(dtype="float64"),
                problem.but(activation="tanh"),
                problem.but(activation="logistic"),
            ]
            rows += [_step_row(bench, variant, workers) for variant in variants]
    return rows


def fits(bench: Bench) -> list[dict[str, Any]]:
    """Seconds of whole fits with default parameters on scikit-learn's data sets."""
    rows = []
    with bench.workers(["scikit-learn"]) as workers:
        for name in DATASETS:
            for dtype in ("float64", "float32"):
                bench.say(f"whole fit on {name} in {dtype}")
                ends: dict[str, Any] = {}

                def fit(
                    peer: str, name: str = name, dtype: str = dtype, ends: dict[str, Any] = ends
                ) -> tuple[float, float]:
                    (seconds, loss, n_iter), busy = workers[peer].timed("fit_dataset", name, dtype)
                    ends[peer] = {"loss": loss, "n_iter": n_iter}
                    return seconds, busy

                timed = bench.rounds_of(
                    {peer: lambda peer=peer, fit=fit: fit(peer) for peer in workers}, dtype
                )
                ours = ends["fastnn"]
                for peer, end in ends.items():
                    if (
                        end["n_iter"] != ours["n_iter"]
                        or abs(end["loss"] / ours["loss"] - 1) > 10 * TOLERANCE[dtype]
                    ):
                        raise Disagreement(
                            f"{name} in {dtype}: fastnn's fit ended with {ours}, {peer}'s with"
                            f" {end}."
                        )
                rows.append({"dataset": name, "dtype": dtype, "ends": ends} | timed)
    return rows


def predict(bench: Bench) -> list[dict[str, Any]]:
    """Seconds of a prediction through 30-100-1, array in and array out: one row, and 20,000."""
    rows = []
    cases = [(REGRESSOR, "predict"), (CLASSIFIER, "predict"), (CLASSIFIER, "predict_proba")]
    with bench.workers(
        [name for name in PEERS if name not in ("fastnn", "PyTorch autocast")]
    ) as workers:
        for problem, method in cases:
            weights: Weights = workers["fastnn"].call("train", problem, CHECK_EPOCHS)
            for n_rows in (1, problem.n_rows):
                bench.say(f"{problem.name}: {method} of {n_rows} rows")
                results = {
                    name: worker.call(
                        "prepare_prediction", problem, weights, method, n_rows, bench.seconds / 4
                    )
                    for name, worker in workers.items()
                }
                ours = results["fastnn"]
                for name, result in results.items():
                    wrong = ~np.isclose(result, ours, rtol=1e-4, atol=1e-5)
                    allowed = (
                        2e-4 if method == "predict" and not problem.regression else 0
                    )  # rows within rounding of p = 1/2
                    if result.shape != ours.shape or wrong.mean() > allowed:
                        raise Disagreement(
                            f"{problem.name}: {name}'s {method} differs from fastnn's in"
                            f" {wrong.mean():.2%}."
                        )
                blocks = {
                    name: lambda worker=worker: worker.timed("predict_seconds")
                    for name, worker in workers.items()
                }
                flops = 2 * n_rows * sum(a * b for a, b in pairwise(problem.units))
                rows.append(
                    {"network": problem.name, "method": method, "rows": n_rows, "flops": flops}
                    | bench.rounds_of(blocks)
                )
    return rows


def threads(bench: Bench) -> list[dict[str, Any]]:
    """One thread and two: seconds of a step, and whether the weights are the same to the bit."""
    rows = []
    with bench.workers([]) as one, bench.workers([], n_cores=2) as two:
        workers = {"1 thread": one["fastnn"], "2 threads": two["fastnn"]}
        for shape in bench.shapes:
            problem = SHAPES[shape]
            bench.say(f"{shape}: one thread and two")
            weights = [worker.call("train", problem, CHECK_EPOCHS) for worker in workers.values()]
            for layer, other in zip(*weights, strict=True):
                if not all(np.array_equal(a, b) for a, b in zip(layer, other, strict=True)):
                    raise Disagreement(f"{shape}: two threads yield other weights than one.")
            epochs = workers["1 thread"].call("epochs_for", bench.seconds)
            blocks = {
                name: lambda worker=worker, epochs=epochs: worker.timed("step_seconds", *epochs)
                for name, worker in workers.items()
            }
            rows.append(_described(problem) | bench.rounds_of(blocks, flops=problem.step_flops / 2))
    return rows


def models(bench: Bench) -> list[dict[str, Any]]:
    """A grid search of 24 fits over the threading backend, each fit on one thread.

    One job and two.
    """
    with bench.workers(["scikit-learn"], n_cores=2) as workers:
        bench.say("grid search: 24 fits, one job and two")
        rows = []
        for name, worker in workers.items():
            blocks = {
                f"n_jobs={n}": lambda n=n, worker=worker: worker.timed("search", 24, n)
                for n in (1, 2)
            }
            rows.append({"peer": name} | bench.rounds_of(blocks))
    return rows


def sparse(bench: Bench) -> list[dict[str, Any]]:
    """Seconds of a step on CSR input, dense weights and optimizer."""
    with bench.workers(["scikit-learn"]) as workers:
        return [_step_row(bench, SPARSE, workers, n_epochs=1)]


def memory(bench: Bench, n_rows: int = 2_000_000, n_features: int = 50) -> list[dict[str, Any]]:
    """Anonymous memory (RssAnon) at its peak during one epoch over a memory map, and before it."""
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "X.float32"
        generator = np.random.default_rng(0)
        with path.open("wb") as file:
            for _ in range(10):
                generator.standard_normal((n_rows // 10, n_features), np.float32).tofile(file)
        for name in ("fastnn", "scikit-learn"):
            bench.say(f"memory: one epoch over a map of {path.stat().st_size / 1e6:.0f} MB, {name}")
            with bench.workers([name]) as workers:
                if name not in workers:
                    continue
                worker = workers[name]
                before = highest = _anonymous_bytes(worker.pid)
                worker.start("fit_memory_map", str(path), (n_rows, n_features))
                while not worker.finished(0.005):
                    highest = max(highest, _anonymous_bytes(worker.pid))
                seconds = worker.result()
            file_bytes = path.stat().st_size
            rows.append(
                {
                    "peer": name,
                    "file": file_bytes,
                    "before": before,
                    "peak": highest,
                    "seconds": seconds,
                }
            )
    return rows


def _anonymous_bytes(pid: int) -> int:
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("RssAnon:"):
            return int(line.split()[1]) * 1024
    raise RuntimeError("this kernel does not report RssAnon")


def size(bench: Bench) -> list[dict[str, Any]]:
    """Seconds that ``import fastnn`` adds to scikit-learn's base, and bytes of the wheel."""
    bench.say("import time and wheel")
    imports = {code: [_import_seconds(code) for _ in range(bench.rounds)] for code in _IMPORTS}
    with tempfile.TemporaryDirectory() as folder:
        build = [
            sys.executable,
            "-m",
            "pip",
            "wheel",
            "-q",
            "--no-deps",
            "--no-build-isolation",
            "-w",
            folder,
            ".",
        ]
        done = subprocess.run(
            build,
            capture_output=True,
            text=True,
            env=os.environ | {"PIP_DISABLE_PIP_VERSION_CHECK": "1"},
        )
        wheels = list(Path(folder).glob("*.whl"))
        if done.returncode or not wheels:
            bench.say(f"the wheel was not built: {done.stderr.strip()[-300:]}")
        wheel = wheels[0].stat().st_size if wheels else None
    return [{"imports": imports, "wheel_bytes": wheel}]


_IMPORTS = [
    "import fastnn",
    "from fastnn import MLPClassifier",
    "from sklearn.neural_network import MLPClassifier",
]


def _import_seconds(code: str) -> float:
    script = (
        f"import time, sklearn.base; start = time.perf_counter(); {code};"
        " print(time.perf_counter() - start)"
    )
    return float(
        subprocess.run(
            [sys.executable, "-c", script], check=True, capture_output=True, text=True
        ).stdout
    )


SECTIONS: dict[str, Callable[[Bench], list[dict[str, Any]]]] = {
    "steps": steps,
    "bfloat16": bfloat16,
    "peak": peak,
    "fits": fits,
    "predict": predict,
    "threads": threads,
    "models": models,
    "memory": memory,
    "sparse": sparse,
    "size": size,
}
NEED_TWO_CORES = {"threads", "models"}
