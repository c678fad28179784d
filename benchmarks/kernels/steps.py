"""How long does one optimisation step take in the C core, and what share of its peak is that?

``python -m benchmarks.kernels.steps`` trains the shapes of the anchor table with the engine alone,
one call of many steps, for each instruction set and precision. Before it is timed, each variant
must reach the generic kernels' losses and parameters. Only useful floating-point operations count:
those of the three matrix products, without padding. The peak is that of independent fused
multiply-adds right after a call, at the clock that the work left (``benchmarks/calibrator.py``).
Pin it: ``taskset -c 1 python -m benchmarks.kernels.steps``.
"""

from __future__ import annotations

import argparse
import statistics
import time
from itertools import pairwise

import numpy as np

from benchmarks.calibrator import Calibrator
from fastnn.backends import _core
from fastnn.backends.base import Data, Passes, Plan, TrainState
from fastnn.backends.cython_backend import CythonBackend
from fastnn.core.network import NetworkSpec, initialise
from fastnn.core.optimizers import OPTIMIZERS

SHAPES = {  # name: (layer sizes, batch, loss)
    "tiny": ([10, 32, 1], 32, "binary_log_loss"),
    "default": ([20, 100, 1], 200, "binary_log_loss"),
    "digits": ([64, 100, 10], 200, "log_loss"),
    "deep": ([50, 64, 64, 64, 5], 200, "log_loss"),
    "reg": ([13, 100, 100, 1], 200, "squared_error"),
    "mnist": ([784, 256, 128, 10], 128, "log_loss"),
    "wide": ([100, 512, 512, 10], 256, "log_loss"),
    "large": ([784, 1024, 512, 10], 256, "log_loss"),
    "46": ([10, 46, 46, 10], 128, "log_loss"),
    "sk-mnist": ([784, 100, 100, 10], 200, "log_loss"),
}


def flops_of_a_step(units: list[int], batch: int) -> int:
    """Useful floating-point operations.

    Forward, weight gradient, and all but the first layer's input gradient.
    """
    weights = sum(a * b for a, b in pairwise(units))
    return 6 * batch * weights - 2 * batch * units[0] * units[1]


def step_time(
    shape: str,
    isa: str,
    dtype: np.dtype,
    activation: str = "relu",
    optimizer: str = "adam",
    n_threads: int = 1,
    rounds: int = 7,
) -> tuple[float, float, int]:
    """Seconds of one step, and the GFLOP/s that the core could do beside it (medians).

    The third is how many of the rounds were never steady.
    """
    units, batch, loss = SHAPES[shape]
    rng = np.random.default_rng(0)
    spec = NetworkSpec.dense(units, activation, loss)
    n_batches = max(2, min(40, 4_000_000 // (batch * units[0])))
    n_rows = batch * n_batches
    X = rng.normal(size=(n_rows, units[0])).astype(dtype)
    y = (
        rng.integers(0, units[-1], n_rows, dtype=np.int32)
        if loss == "log_loss"
        else rng.normal(size=(n_rows, 1)).astype(dtype)
    )
    if loss == "binary_log_loss":
        y = (y > 0).astype(dtype)
    data, rule = Data(X, y), OPTIMIZERS[optimizer]
    state = TrainState(
        initialise(spec, dtype, np.random.RandomState(0))[None],
        np.zeros((1, rule.n_slots, spec.layout.n_params), dtype),
    )
    plan = Plan(rule, batch, alpha=1e-4)
    trainer = CythonBackend(isa).engine(spec, dtype, n_threads).trainer(plan)
    one = Passes(np.arange(2 * batch, dtype=np.int64)[None, None], np.full((1, 1, 2), 1e-4))
    outcomes = []
    for tried in (trainer, CythonBackend("generic").engine(spec, dtype, n_threads).trainer(plan)):
        copy = TrainState(state.params.copy(), state.slots.copy())
        losses = tried.train(copy, data, one)
        outcomes.append(np.append(copy.params, losses))
    np.testing.assert_allclose(*outcomes, rtol=0, atol=1e-3 if dtype == np.float32 else 1e-9)
    calibrator = Calibrator(isa=isa)
    seconds = 1.5 * flops_of_a_step(units, batch) / (1e9 * calibrator.gflops(dtype.name))
    n_passes = max(1, int(0.03 / seconds / n_batches))
    passes = Passes(
        np.array([[rng.permutation(n_rows) for _ in range(n_passes)]], dtype=np.int64),
        np.full((1, n_passes, n_batches), 1e-4),
    )
    trainer.train(state, data, passes)

    def train() -> tuple[float, float]:
        start, busy_start = time.perf_counter(), time.process_time()
        trainer.train(state, data, passes)
        took = time.perf_counter() - start
        return took / passes.rates.size, (time.process_time() - busy_start) / took

    runs = [calibrator.watch(train, dtype.name) for _ in range(rounds)]
    times, peaks = zip(*runs, strict=True)
    return statistics.median(times), statistics.median(peaks), calibrator.unsteady


def main() -> None:
    """Print one line for each shape, precision and instruction set asked for."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--shape", nargs="*", default=list(SHAPES), choices=SHAPES)
    parser.add_argument("--isa", nargs="*", default=[_core.DEFAULT], choices=_core.INSTRUCTION_SETS)
    parser.add_argument("--dtype", nargs="*", default=["float32", "float64"])
    parser.add_argument("--activation", nargs="*", default=["relu"])
    parser.add_argument("--optimizer", default="adam", choices=OPTIMIZERS)
    parser.add_argument("--threads", type=int, default=1)
    args = parser.parse_args()
    print(
        f"{'isa':15}{'dtype':9}{'activation':11}{'shape':10}"
        f"{'us/step':>10}{'GFLOP/s':>9}{'peak':>7}{'% of peak':>11}"
    )
    for isa in args.isa:
        for dtype in args.dtype:
            for activation in args.activation:
                for shape in args.shape:
                    seconds, most, n_unsteady = step_time(
                        shape, isa, np.dtype(dtype), activation, args.optimizer, args.threads
                    )
                    flops = flops_of_a_step(*SHAPES[shape][:2])
                    print(
                        f"{isa:15}{dtype:9}{activation:11}{shape:10}"
                        f"{seconds * 1e6:10.2f}{flops / seconds / 1e9:9.1f}"
                        f"{most:7.0f}{flops / seconds / most / 1e7:10.1f}%"
                        + (f"  {n_unsteady} rounds unsteady" if n_unsteady else ""),
                        flush=True,
                    )


if __name__ == "__main__":
    main()
