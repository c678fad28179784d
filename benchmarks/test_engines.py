"""How fast is a training step and a prediction of each backend's engine, against NumPy's?"""

from __future__ import annotations

import numpy as np
import pytest

from fastnn import backends
from fastnn.backends.base import Data, Passes, Plan, TrainState
from fastnn.core.cost import predict_flops, step_flops
from fastnn.core.network import initialise

from shapes import OPTIMIZERS, Shape  # isort: skip

RATE = 1e-4  # small enough for weights to stay ordinary numbers, however often a call is repeated
WORK = 2e8  # FLOPs in one measured call of train: many steps where they are short, and at least one

each_dtype = pytest.mark.parametrize("dtype", ["float32", "float64"])
quick = pytest.mark.benchmark(min_rounds=5, max_time=0.15, warmup=True, warmup_iterations=1)


def engine(backend: str, shape: Shape, dtype: str):
    if reason := backends.why_not(backend):
        pytest.skip(reason)
    return backends.load(backend).engine(shape.spec, np.dtype(dtype))


@quick
@each_dtype
def test_training_step(benchmark, record, shape, dtype, backend):
    spec = shape.spec
    n_steps = int(np.clip(WORK / step_flops(spec, shape.batch), 1, 50))
    rng = np.random.default_rng(0)
    n_rows = n_steps * shape.batch
    X = rng.standard_normal((n_rows, spec.n_in)).astype(dtype)
    if spec.loss.y_is_codes:
        y = rng.integers(spec.n_out, size=n_rows).astype(np.int32)
    else:
        y = rng.integers(2, size=(n_rows, spec.n_out)).astype(dtype)
    passes = Passes(rng.permutation(n_rows)[None, None], np.full((1, 1, n_steps), RATE))
    params = initialise(spec, np.dtype(dtype), np.random.RandomState(0))
    optimizer = OPTIMIZERS[shape.optimizer]
    state = TrainState(params[None], np.zeros((1, optimizer.n_slots, params.size), dtype))
    trainer = engine(backend, shape, dtype).trainer(Plan(optimizer, shape.batch))

    benchmark.group = f"train {shape} {dtype}"
    ((loss,),) = benchmark(trainer.train, state, Data(X, y), passes)
    assert np.isfinite(loss)
    record("step", n_steps, n_steps * step_flops(spec, shape.batch))


@quick
@each_dtype
@pytest.mark.parametrize("n_rows", [1, 100, 10_000])
def test_prediction(benchmark, record, shape, n_rows, dtype, backend):
    spec = shape.spec
    X = np.random.default_rng(0).standard_normal((n_rows, spec.n_in)).astype(dtype)
    params = initialise(spec, np.dtype(dtype), np.random.RandomState(0))
    out = np.empty((n_rows, spec.n_out), dtype)

    benchmark.group = (
        f"predict {'-'.join(map(str, shape.units))} {shape.activation} rows {n_rows} {dtype}"
    )
    benchmark(engine(backend, shape, dtype).forward, params, X, out)
    assert np.isfinite(out).all()
    record("row", n_rows, predict_flops(spec, n_rows))
