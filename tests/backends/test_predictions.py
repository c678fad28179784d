"""Does every engine answer as the laws of fastnn/backends/base.py say, from threads too?"""

from __future__ import annotations

import threading

import numpy as np
import pytest
from support.problems import as_csr, fresh_state, problem

from fastnn.backends import load
from fastnn.backends.checks import NotFinite
from fastnn.core.links import INVERSE_LINKS
from fastnn.core.losses import Quantile
from fastnn.core.network import NetworkSpec
from fastnn.core.optimizers import SGD

NETWORKS = {
    "linear": ([7, 1], "squared_error"),
    "narrow": ([3, 1, 2], "log_loss"),
    "deep": ([17, 33, 8, 5, 1], "binary_log_loss"),
    "wide": ([5, 66, 31, 4], "squared_error"),
    "counts": ([4, 9, 2], "poisson"),
    "quantiles": ([4, 9, 5], Quantile([0.1, 0.2, 0.5, 0.8, 0.9])),
}
each_network = pytest.mark.parametrize(("units", "loss"), NETWORKS.values(), ids=NETWORKS)
each_dtype = pytest.mark.parametrize("dtype", [np.float64, np.float32], ids=["float64", "float32"])
each_input = pytest.mark.parametrize("sparse", [False, True], ids=["dense", "csr"])


@each_input
@each_dtype
@each_network
def test_threads_may_share_an_engine_to_predict(backend, units, loss, dtype, sparse):
    spec = NetworkSpec.dense(units, "tanh", loss)
    data = problem(spec, 200, dtype)
    if sparse:
        data = as_csr(data)
    engine = load(backend).engine(spec, np.dtype(dtype))
    params = fresh_state(spec, SGD(), dtype).params[0]
    expected = np.empty((200, spec.n_out), dtype)
    engine.forward(params, data.X, expected)
    outs = [np.empty_like(expected) for _ in range(4)]
    start = threading.Barrier(4)

    def predict(out):
        start.wait()
        for _ in range(5):
            engine.forward(params, data.X, out)

    predicting = [threading.Thread(target=predict, args=(out,)) for out in outs]
    for thread in predicting:
        thread.start()
    for thread in predicting:
        thread.join()
    for out in outs:
        np.testing.assert_array_equal(out, expected)


@each_dtype
@each_network
@pytest.mark.parametrize("n_rows", [1, 5, 100])
@pytest.mark.parametrize("scale", [1.0, 200.0])
def test_predictions_are_the_inverse_link_of_the_raw_outputs(
    backend, units, loss, dtype, n_rows, scale
):
    spec = NetworkSpec.dense(units, "relu", loss)
    X = problem(spec, n_rows, dtype).X * dtype(scale)
    engine = load(backend).engine(spec, np.dtype(dtype))
    params = fresh_state(spec, SGD(), dtype).params[0]
    raw, predictions = np.empty((n_rows, spec.n_out), dtype), np.empty((n_rows, spec.n_out), dtype)
    engine.forward(params, X, raw)
    engine.predict(params, X, predictions)
    expected = INVERSE_LINKS[spec.loss.inverse_link].apply(raw)
    np.testing.assert_allclose(
        predictions, expected, rtol=20 * np.finfo(dtype).eps, atol=np.finfo(dtype).tiny
    )


@each_dtype
def test_what_is_no_number_comes_last_in_sorted_rows(backend, dtype):
    spec = NetworkSpec.dense([1, 5], "relu", Quantile([0.1, 0.2, 0.5, 0.8, 0.9]))
    params = np.zeros(10, dtype)
    out = np.empty((2, 5), dtype)
    for biases in ([3, np.nan, 1, -np.inf, 2], [np.nan, 2, np.nan, np.inf, 1], [5, 4, 3, 2, 1]):
        params[5:] = biases
        load(backend).engine(spec, np.dtype(dtype)).predict(params, np.zeros((2, 1), dtype), out)
        np.testing.assert_array_equal(out, [np.sort(params[5:])] * 2)


@each_dtype
@pytest.mark.parametrize("n_rows", [1, 3, 50])
@pytest.mark.parametrize("n_in", [1, 7, 16, 33, 70])
def test_a_prediction_finds_what_is_not_finite_wherever_it_stands(backend, dtype, n_rows, n_in):
    spec = NetworkSpec.dense([n_in, 5, 2], "relu", "squared_error")
    engine = load(backend).engine(spec, np.dtype(dtype))
    params, out = fresh_state(spec, SGD(), dtype).params[0], np.empty((n_rows, 2), dtype)
    X = problem(spec, n_rows, dtype).X
    engine.predict(params, X, out)
    X[0, 0] = np.finfo(dtype).max / 8  # huge, but a number
    engine.predict(params, X, out)
    for place in range(0, X.size, 1 + X.size // 100):
        for value in (np.nan, np.inf, -np.inf):
            bad = X.copy()
            bad.flat[place] = value
            with pytest.raises(NotFinite):
                engine.predict(params, bad, out)


@each_dtype
@pytest.mark.parametrize("n_threads", [2, 3, 7])
def test_a_prediction_on_several_threads_is_the_same_to_the_bit(dtype, n_threads, monkeypatch):
    cython_backend = pytest.importorskip("fastnn.backends.cython_backend")
    monkeypatch.setattr(cython_backend, "THREAD_WORK", 1000)
    monkeypatch.setattr("fastnn.backends.threads.available_cpus", lambda: n_threads)
    spec = NetworkSpec.dense([9, 20, 3], "tanh", "log_loss")
    params, X = fresh_state(spec, SGD(), dtype).params[0], problem(spec, 1001, dtype).X
    outs = []
    for most in (1, n_threads):
        engine = cython_backend.BACKEND.engine(spec, np.dtype(dtype), most)
        outs.append(np.empty((len(X), 3), dtype))
        engine.predict(params, X, outs[-1])
    np.testing.assert_array_equal(*outs)
    X[-1, -1] = np.nan
    with pytest.raises(NotFinite):
        engine.predict(params, X, outs[-1])
