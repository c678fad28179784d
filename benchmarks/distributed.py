"""How good and how fast are fits on a Dask cluster? Beside one machine's, and drawn to 256 workers.

    python -m benchmarks.distributed FOLDER [--tables letter pol] [--workers 2 4 8]

FOLDER holds tables, as for benchmarks.accuracy; those named must be of numbers only. The first part
fits each table on one machine, and with ``synchronous=False`` on clusters of processes, each with
an even share of the rows. R2 or accuracy of the other 30 % of the rows is shown at equal passes.

The second part does so with bags of networks, of tables (``--mixed``) of any columns, each in eight
partitions on two workers.

The third part measures the constants of a model of time here, checks it against passes that it was
not fitted to, and draws it to clusters that are not here. A pass of w workers over n rows takes

    n row / w  +  exchange  +  (17 w / 16 + 1) task  +  size (16 ceil(log16 w) + ceil(log2 w)) byte

seconds: every worker's own rows; what any exchange takes; the scheduler's work for each task; and
the numbers (parameters and the optimizer's memory), which are handed out along a binary tree and
added up sixteen at a time.
"""

from __future__ import annotations

import argparse
import json
import math
import time
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import dask.array as da
import dask.dataframe as dd
import numpy as np
import pandas as pd
from distributed import Client, LocalCluster, wait
from sklearn.exceptions import ConvergenceWarning
from sklearn.preprocessing import StandardScaler

from fastnn import MLPClassifier, MLPRegressor
from fastnn.dask import (
    DaskMLPClassifier,
    DaskMLPRegressor,
    DaskTabularClassifier,
    DaskTabularRegressor,
)
from fastnn.dask.cluster import FAN_IN

PASSES = (20, 50)
SETTINGS = {"n_iter_no_change": np.inf, "n_threads": 1, "dtype": "float32", "random_state": 0}
TIMED = 12  # passes of a fit that is timed; the first is left out


@contextmanager
def cluster_of(n_workers: int) -> Iterator[Client]:
    """Processes of one thread."""
    cluster = LocalCluster(n_workers=n_workers, threads_per_worker=1, dashboard_address=":0")
    with cluster, Client(cluster) as client:
        client.wait_for_workers(n_workers)
        yield client


def spread(client: Client, *arrays: np.ndarray) -> list[Any]:
    """Dask Arrays, one partition on each worker."""
    workers = list(client.nthreads())
    return [
        da.concatenate(
            [
                da.from_delayed(client.scatter(part, workers=[at], hash=False), part.shape, a.dtype)
                for part, at in zip(np.array_split(a, len(workers)), workers, strict=True)
            ]
        )
        for a in arrays
    ]


# ---- quality


def table(folder: Path, name: str) -> tuple[bool, list[np.ndarray]]:
    """Whether labels are learned; X and y to train, X and y to test."""
    about = json.loads((folder / "meta.json").read_text())[name]
    assert not about["categorical"], f"{name} has categorical columns"
    frame = pd.read_csv(folder / f"{name}.csv.gz").dropna()
    frame = frame.sample(frac=1, random_state=0)
    classifies = about["task"] != "regression"
    X = frame[about["numeric"]].to_numpy(np.float32)
    y = frame["target"].astype(str).to_numpy(str) if classifies else frame["target"].to_numpy()
    n = int(0.7 * len(X))
    if not classifies:
        y = (y - y[:n].mean()) / y[:n].std()
    X = StandardScaler().fit(X[:n]).transform(X)
    return classifies, [X[:n], y[:n], X[n:], y[n:]]


def compare(folder: Path, names: list[str], counts: list[int]) -> None:
    """Print the scores of one machine and of each cluster."""
    scores: dict[tuple[str, int, int, int], float] = {}
    tables = {name: table(folder, name) for name in names}
    for name, (classifies, (X, y, *test)) in tables.items():
        local = MLPClassifier if classifies else MLPRegressor
        for passes in PASSES:
            model = local(max_iter=passes, **SETTINGS).fit(X, y)
            scores[name, passes, 1, 200] = model.score(*test)
    for n_workers in counts:
        with cluster_of(n_workers) as client:
            for name, (classifies, (X, y, *test)) in tables.items():
                there = spread(client, X, y)
                of_dask = DaskMLPClassifier if classifies else DaskMLPRegressor
                for passes in PASSES:
                    for batch_size in (200, 200 // n_workers):
                        model = of_dask(max_iter=passes, batch_size=batch_size, **SETTINGS)
                        found = model.fit(*there).score(*test)
                        scores[name, passes, n_workers, batch_size] = found
    print("table, rows, passes: one machine; then workers: batch of 200, batch of 200 / workers")
    for name, (_, (X, *_)) in tables.items():
        for passes in PASSES:
            line = f"{name} {len(X)} {passes}: {scores[name, passes, 1, 200]:.4f}"
            for w in counts:
                few, many = (scores[name, passes, w, size] for size in (200, 200 // w))
                line += f"; {w}: {few:.4f}, {many:.4f}"
            print(line, flush=True)


# ---- bags


def compare_bags(folder: Path, names: list[str]) -> None:
    """Print the scores and seconds of one machine, and of two workers."""
    about = json.loads((folder / "meta.json").read_text())
    with cluster_of(2) as client:
        for name in names:
            frame = pd.read_csv(folder / f"{name}.csv.gz").sample(frac=1, random_state=0)
            frame = frame.reset_index(drop=True)
            X = frame[about[name]["numeric"] + about[name]["categorical"]]
            y, classifies = frame["target"], about[name]["task"] != "regression"
            n = int(0.7 * len(X))
            there = [dd.from_pandas(own[:n], npartitions=8).persist() for own in (X, y)]
            wait(there)
            settings = {"preset": "fast", "random_state": 0, "n_threads": 1}
            line = f"{name}, {n} rows:"
            of_dask = DaskTabularClassifier if classifies else DaskTabularRegressor
            model = of_dask(**settings, client=client)
            for kind, rows in ((of_dask._local_class(**settings), (X[:n], y[:n])), (model, there)):
                start = time.perf_counter()
                kind.fit(*rows)
                seconds = time.perf_counter() - start
                score, own = kind.score(X[n:], y[n:]), kind.validation_score_
                line += f" {score:.4f} (own estimate {own:.4f}, {seconds:.0f} s)"
            print(line, flush=True)


# ---- time


@dataclass
class Model:
    """Seconds of a row, of an exchange, of a task, and of a byte; see the file's docstring."""

    row: float
    exchange: float
    task: float
    byte: float

    def seconds(self, n_rows: int, n_workers: int, size: float, at_once: int = 10**9) -> float:
        """Of a pass; ``at_once`` is how many workers compute side by side, if not all."""
        levels = FAN_IN * math.ceil(math.log(n_workers, FAN_IN)) + math.ceil(math.log2(n_workers))
        return (
            n_rows * self.row / min(n_workers, at_once)
            + self.exchange
            + ((1 + 1 / FAN_IN) * n_workers + 1) * self.task
            + size * levels * self.byte
        )


def numbers_in_bytes(widths: list[int]) -> int:
    """What a worker sends: parameters and two slots of Adam, float32."""
    return 4 * 3 * sum((a + 1) * b for a, b in pairwise(widths))


class Clock:
    """Notes when passes end."""

    def __init__(self) -> None:
        self.times: list[float] = []

    def on_pass_end(self, loop: Any) -> None:
        self.times.append(time.perf_counter())


def pass_of(client: Client | None, n_rows: int, hidden: tuple[int, ...]) -> float:
    """Median seconds of a pass over made-up rows of 20 features."""
    X = np.random.default_rng(0).standard_normal((n_rows, 20), np.float32)
    y = X[:, 0] * X[:, 1]
    clock = Clock()
    settings = {"max_iter": TIMED, "hidden_layer_sizes": hidden, **SETTINGS}
    if client is None:
        MLPRegressor(**settings).set_callbacks(clock).fit(X, y)
    else:
        there = spread(client, X, y)
        wait(there)
        DaskMLPRegressor(**settings).set_callbacks(clock).fit(*there)
    return float(np.median(np.diff(clock.times)))


SMALL, WIDE = (100,), (1000, 700)


def time_model() -> None:
    """Measure the constants, check them, and draw."""
    n_rows, few = 400_000, 400
    one = pass_of(None, n_rows, SMALL)
    with cluster_of(2) as client:
        empty, wide = pass_of(client, few, SMALL), pass_of(client, few, WIDE)
        check = {2: pass_of(client, n_rows, SMALL)}
    with cluster_of(4) as client:
        empty_4 = pass_of(client, few, SMALL)
        check[4] = pass_of(client, n_rows, SMALL)
    small_size, wide_size = (numbers_in_bytes([20, *hidden, 1]) for hidden in (SMALL, WIDE))
    own = pass_of(None, few, WIDE)
    task = max((empty_4 - empty) / 2 / (1 + 1 / FAN_IN), 2e-4)
    byte = max(wide - own - empty, 0) / (wide_size - small_size) / (FAN_IN + 1)
    model = Model(one / n_rows, empty - 3 * task, task, byte)
    print(
        f"\na row {1e6 * model.row:.2f} us, an exchange {1e3 * model.exchange:.1f} ms, a task"
        f" {1e3 * model.task:.2f} ms, a byte {1e9 * model.byte:.2f} ns"
    )
    for n_workers, measured in check.items():
        foreseen = model.seconds(n_rows, n_workers, small_size, at_once=2)
        print(
            f"{n_workers} processes on 2 cores, {n_rows} rows: foreseen {foreseen:.3f} s,"
            f" measured {measured:.3f} s"
        )
    print("seconds of a pass, 20-100-1 (and times as fast as one worker):")
    for total in (10**6, 10**8, 10**9):
        line = f"{total:.0e} rows:"
        for n_workers in (2, 8, 32, 128, 256):
            seconds = model.seconds(total, n_workers, small_size)
            line += f"  {n_workers}: {seconds:.3g} ({total * model.row / seconds:.1f}x)"
        print(line)


def main() -> None:
    """Read the command line, and do the parts."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--tables", nargs="+", default=["electricity", "letter", "pol"])
    parser.add_argument("--workers", nargs="+", type=int, default=[2, 4, 8])
    parser.add_argument("--mixed", nargs="+", default=["adult", "california", "electricity"])
    parser.add_argument("--only", choices=["quality", "bags", "time"])
    given = parser.parse_args()
    warnings.simplefilter("ignore", ConvergenceWarning)
    if given.only in (None, "quality"):
        compare(given.folder, given.tables, given.workers)
    if given.only in (None, "bags"):
        compare_bags(given.folder, given.mixed)
    if given.only in (None, "time"):
        time_model()


if __name__ == "__main__":
    main()
