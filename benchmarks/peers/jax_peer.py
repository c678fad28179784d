"""JAX: a whole epoch as one compiled ``lax.scan`` over minibatches, with donated buffers.

In bfloat16 the operands of the products are, parameters and moments are float32.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from time import perf_counter
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from benchmarks.peers.problems import ALPHA, BETA_1, BETA_2, EPSILON, RATE, Array, Problem, Weights

_ACTIVATIONS = {"relu": jax.nn.relu, "tanh": jnp.tanh, "logistic": jax.nn.sigmoid}


class Peer:
    PACKAGES = ("jax", "jaxlib", "numpy")

    def __init__(self, n_threads: int) -> None:
        jax.config.update(
            "jax_platforms", "cpu"
        )  # XLA takes its number of threads from the cores it is pinned to

    def load(self, problem: Problem) -> None:
        jax.config.update("jax_enable_x64", problem.dtype == "float64")
        self.problem = problem
        X, y = problem.data()
        if problem.units[-1] > 1:
            y = np.eye(problem.units[-1])[y]  # faster here than labels, whose gradient is a scatter
        self.X, self.y = jnp.asarray(X), jnp.asarray(y.reshape(len(X), -1), X.dtype)
        self.epoch = jax.jit(self._epoch, donate_argnums=0)

    def _product(self, x: jax.Array, weight: jax.Array) -> jax.Array:
        if self.problem.dtype != "bfloat16":
            return x @ weight
        operands = x.astype(jnp.bfloat16), weight.astype(jnp.bfloat16)
        return jnp.matmul(*operands, preferred_element_type=jnp.float32)

    def _forward(self, params: Any, x: jax.Array) -> jax.Array:
        for weight, bias in params[:-1]:
            x = _ACTIVATIONS[self.problem.activation](self._product(x, weight) + bias)
        weight, bias = params[-1]
        return self._product(x, weight) + bias

    def _batch_loss(self, params: Any, x: jax.Array, y: jax.Array) -> jax.Array:
        raw = self._forward(params, x)
        if self.problem.regression:
            return jnp.mean((raw - y) ** 2) / 2
        if raw.shape[1] == 1:
            return jnp.mean(jnp.logaddexp(0, raw) - y * raw)
        return -jnp.sum(y * jax.nn.log_softmax(raw)) / len(x)

    def _epoch(self, state: Any, X: jax.Array, y: jax.Array, batches: jax.Array) -> Any:
        decay = ALPHA / self.problem.batch

        def step(state: Any, rows: jax.Array) -> tuple[Any, None]:
            params, means, squares, n = state
            n = n + 1
            gradient = jax.grad(self._batch_loss)(params, X[rows], y[rows])
            gradient = [
                (g + decay * weight, gb)
                for (g, gb), (weight, _) in zip(gradient, params, strict=True)
            ]
            means = jax.tree.map(lambda m, g: BETA_1 * m + (1 - BETA_1) * g, means, gradient)
            squares = jax.tree.map(lambda v, g: BETA_2 * v + (1 - BETA_2) * g**2, squares, gradient)
            rate = RATE * jnp.sqrt(1 - BETA_2**n) / (1 - BETA_1**n)
            params = jax.tree.map(
                lambda p, m, v: p - rate * m / (jnp.sqrt(v) + EPSILON), params, means, squares
            )
            return (params, means, squares, n), None

        return jax.lax.scan(step, state, batches)[0]

    def fit(self, n_epochs: int) -> float:
        problem = self.problem
        start = perf_counter()
        weights, random = problem.start()
        params = jax.tree.map(jnp.asarray, weights)
        zeros = partial(jax.tree.map, jnp.zeros_like, params)
        state = (params, zeros(), zeros(), jnp.zeros((), problem.array_dtype))
        for order in problem.orders(random, n_epochs):
            state = self.epoch(
                state, self.X, self.y, order.astype(np.int32).reshape(-1, problem.batch)
            )
        self.params = jax.block_until_ready(state)[0]
        return perf_counter() - start

    def weights(self) -> Weights:
        return jax.tree.map(np.asarray, self.params)

    def predictor(
        self, problem: Problem, weights: Weights, method: str
    ) -> Callable[[Array], Array]:
        self.problem = problem
        params = jax.tree.map(jnp.asarray, weights)

        @jax.jit
        def predict(params: Any, X: jax.Array) -> jax.Array:
            raw = self._forward(params, X)[:, 0]
            if method == "predict":
                return raw if problem.regression else (raw > 0).astype(jnp.int32)
            p = jax.nn.sigmoid(raw)
            return jnp.stack([1 - p, p], axis=1)

        return lambda X: np.asarray(predict(params, X))
