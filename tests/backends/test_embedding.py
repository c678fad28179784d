"""Do networks of encoded tables compute what the definition says, on each backend?"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from support.problems import copy_state, fresh_state, member, problem

from fastnn.backends import load
from fastnn.backends.base import Passes, Plan
from fastnn.core.embedding import Embedding
from fastnn.core.network import NetworkSpec
from fastnn.core.optimizers import SGD, Adam

F64 = np.dtype(np.float64)
EMBEDDINGS = {
    "numbers": Embedding(((-1.0, 0.0, 0.5, 3.0), (0.0, 1.0), (-2.0, -1.0, 2.0)), size=3),
    "all kinds": Embedding(((-1.0, 0.0, 0.5, 3.0), (0.0, 1.0)), 8, 2, (0.4, 0.2, 0.7)),
    "indicators": Embedding((), 8, 3, ()),
    "categories": Embedding((), 4, 0, (1.0, 0.5, 0.25, 0.125, 1.0)),
    "wide": Embedding(
        tuple((0.0, *np.linspace(0.1, 1, n)) for n in range(1, 14)), 5, 1, (0.3,) * 9
    ),
}


def network(name, loss="log_loss", n_out=3, hidden=(5, 4)):
    embedding = EMBEDDINGS[name]
    spec = NetworkSpec.dense([embedding.n_out, *hidden, n_out], "tanh", loss)
    return replace(spec, embedding=embedding)


def start(spec, dtype=np.float64, n_members=1, optimizer=None):
    """A state whose embedding is at no special place."""
    state = fresh_state(spec, optimizer or SGD(), dtype, n_members=n_members)
    rng = np.random.default_rng(5)
    for segment in spec.layout.embedding:
        shape = (n_members, segment.stop - segment.start)
        state.params[:, segment.start : segment.stop] += rng.normal(0, 0.3, shape)
    return state


@pytest.mark.parametrize("name", EMBEDDINGS)
def test_numbers_become_the_encoding_times_a_matrix(backend, name):
    """``b + x l + sum_j clip((x - e_j) / w_j, 0, 1) W_j``, then indicators and one-hot, scaled."""
    spec = replace(network(name, "squared_error", 2, hidden=()))
    embedding, state = spec.embedding, start(spec)
    X = problem(spec, 40).X
    W, linear, bias, scale = (one.view(state.params[0]) for one in spec.layout.embedding)
    columns = []
    for f, edges in enumerate(embedding.edges):
        e, w = np.array(edges[:-1]), np.diff(edges)
        x = e[X.bins[:, f]] + X.fractions[:, f] * w[X.bins[:, f]]
        t = (x[:, None] - e) / w
        low, high = np.zeros(len(w)), np.ones(len(w))
        low[0], high[-1] = -np.inf, np.inf
        own = slice(embedding.starts[f], embedding.starts[f + 1])
        columns.append(bias[f] + x[:, None] * linear[f] + np.clip(t, low, high) @ W[own])
    columns.append(X.indicators)
    hot = np.arange(len(embedding.hot))
    columns.append((X.codes[:, :, None] == hot).any(axis=1) * np.array(embedding.hot))
    h = np.hstack(columns) * scale
    expected = (
        h @ spec.layout.coefs(state.params[0])[0] + spec.layout.intercepts(state.params[0])[0]
    )
    out = np.empty_like(expected)
    load(backend).engine(spec, F64).forward(state.params[0], X, out)
    np.testing.assert_allclose(out, expected, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("name", EMBEDDINGS)
@pytest.mark.parametrize("weighted", [False, True])
def test_gradient_is_the_derivative_of_the_loss(backend, name, weighted):
    spec = network(name)
    state, data = start(spec), problem(spec, 9, seed=3, weighted=weighted)
    engine, rows = load(backend).engine(spec, F64), np.array([[0, 3, 4, 4, 8, 1]])
    grad, scratch = np.empty_like(state.params), np.empty_like(state.params)
    engine.gradient(state, data, rows, grad)
    step = 1e-6 * np.eye(len(state.params[0]))
    sums = [
        [
            engine.gradient(replace(state, params=state.params + d), data, rows, scratch)[0][0]
            for d in (step[i : i + 1], -step[i : i + 1])
        ]
        for i in range(len(step))
    ]
    expected = np.subtract(*np.transpose(sums)) / 2e-6
    np.testing.assert_allclose(grad[0], expected, rtol=1e-6, atol=1e-7)


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
@pytest.mark.parametrize("name", EMBEDDINGS)
def test_it_trains_as_the_reference(backend, name, dtype):
    if backend == "numba" and dtype == np.float32:
        pytest.skip("one precision of Numba is enough: another takes long to compile")
    spec, optimizer = (
        network(name, hidden=(17,)),
        Adam(epsilon=1e-2, weight_decay=0.5, l1=0.01, max_norm=0.5, ema=0.9),
    )
    data = problem(spec, 70, dtype, weighted=True)
    own = tuple(
        replace(one, rate=0.5 + i, decay=0.1 * i, penalty=i % 3, trainable=i != 5)
        for i, one in enumerate(spec.layout.segments)
    )
    plan, rng = Plan(optimizer, 33, 0.1, own), np.random.default_rng(0)
    rows = np.array([[rng.permutation(70) for _ in range(3)]])
    passes = Passes(rows, np.full((1, 3, 3), 1e-2))
    ours, theirs = (start(spec, dtype, 2, optimizer) for _ in range(2))
    dtype = np.dtype(dtype)
    losses = load(backend).engine(spec, dtype).trainer(plan).train(ours, data, passes)
    expected = load("numpy").engine(spec, dtype).trainer(plan).train(theirs, data, passes)
    tolerance = {"rtol": 1e-9, "atol": 1e-11} if dtype == F64 else {"rtol": 1e-3, "atol": 1e-4}
    np.testing.assert_allclose(losses, expected, **tolerance)
    np.testing.assert_allclose(ours.params, theirs.params, **tolerance)
    np.testing.assert_allclose(ours.slots, theirs.slots, **tolerance)


def test_batches_longer_than_a_block(backend):
    spec = network("all kinds")
    data, rows = problem(spec, 2500), np.random.default_rng(1).permutation(2500)[None]
    found, expected = (start(spec) for _ in range(2))
    for name, state in ((backend, found), ("numpy", expected)):
        engine = load(name).engine(spec, F64)
        grad = np.empty_like(state.params)
        engine.gradient(state, data, rows, grad)
        passes = Passes(rows[None], np.full((1, 1, 1), 0.1))
        engine.trainer(Plan(SGD(), 2500)).train(state, data, passes)
        state.slots = grad
    np.testing.assert_allclose(found.params, expected.params, rtol=1e-10, atol=1e-12)
    np.testing.assert_allclose(found.slots, expected.slots, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("name", EMBEDDINGS)
def test_a_row_alone_is_answered_as_among_others(backend, name):
    spec = network(name, hidden=(17, 5))
    params, X = start(spec, n_members=3).params, problem(spec, 40).X
    engine = load(backend).engine(spec, F64)
    among = np.empty((3, 40, 3))
    engine.predict(params, X, among)
    for i in (0, 7, 39):
        alone = np.empty((3, 1, 3))
        engine.predict(params, X[i : i + 1], alone)
        if backend == "numpy":  # its products of one row are other sums
            np.testing.assert_allclose(alone[:, 0], among[:, i], rtol=1e-12)
        else:
            np.testing.assert_array_equal(alone[:, 0], among[:, i])
        one = np.empty((1, 3))
        engine.predict(params[1], X[i : i + 1], one)
        np.testing.assert_array_equal(one, alone[1])


def test_threads_and_members_do_not_matter(backend):
    spec, optimizer = network("all kinds", hidden=(40,)), Adam()
    dtype = F64 if backend == "numba" else np.dtype(np.float32)
    data, plan = problem(spec, 400, dtype), Plan(optimizer, 130)
    rng = np.random.default_rng(0)
    rows = np.array([[rng.permutation(400) for _ in range(30)] for _ in range(3)])
    passes = Passes(rows, np.full((1, 30, 4), 1e-2))
    alone = start(spec, dtype, 3, optimizer)
    together = [copy_state(alone) for _ in range(2)]
    for n_threads, state in zip((1, 3), together, strict=True):
        engine = load(backend).engine(spec, dtype, n_threads)
        engine.trainer(plan).train(state, data, passes)
    for i in range(3):
        one = member(alone, i)
        engine = load(backend).engine(spec, dtype, 2)
        own = Passes(rows[i : i + 1], passes.rates)
        engine.trainer(plan).train(one, data, own)
        for state in together:
            np.testing.assert_array_equal(one.params[0], state.params[i])


BAD = {
    "bins": (np.full((4, 2), 3, np.uint8), r"X.bins must lie below .* \[3, 1\], got up to"),
    "fractions": (np.zeros((4, 1)), r"X.fractions must have shape \(4, 2\)"),
    "indicators": (np.zeros((4, 2), np.float32), "X.indicators must have dtype float64"),
    "codes": (np.full((4, 1), 3, np.int32), r"X.codes must lie in \[-1, 3\), got values from 3"),
}


@pytest.mark.parametrize("name", BAD)
def test_rows_that_do_not_fit_are_refused(backend, name):
    array, message = BAD[name]
    spec, data = network("all kinds"), problem(network("all kinds"), 4)
    out = np.empty((4, 3))
    wrong = replace(data.X, **{name: array})
    with pytest.raises(ValueError, match=message):
        load(backend).engine(spec, F64).forward(start(spec).params[0], wrong, out)


def test_rows_of_another_kind_are_refused(backend):
    spec = network("all kinds")
    with pytest.raises(ValueError, match="X must be Encoded for this network, got ndarray"):
        load(backend).engine(spec, F64).forward(
            start(spec).params[0], np.zeros((4, spec.n_in)), np.empty((4, 3))
        )
