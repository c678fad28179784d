"""The reference: every formula of the training pass in plain NumPy.

It is as slow and as clear as it needs to be.
"""

from __future__ import annotations

import operator

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array

from fastnn.backends.base import Data, Engine, Passes, Plan, Trainer, TrainState
from fastnn.backends.checks import (
    Inputs,
    check_csr,
    check_finite,
    check_gradient,
    check_inputs,
    check_training,
    why_not_bfloat16,
)
from fastnn.core import bfloat16, dropout
from fastnn.core.activations import Array
from fastnn.core.embedding import Encoded
from fastnn.core.links import INVERSE_LINKS
from fastnn.core.losses import batch_objective
from fastnn.core.network import NetworkSpec
from fastnn.core.optimizers import step


class NumpyTrainer:
    """See :class:`fastnn.backends.base.Trainer`."""

    def __init__(self, engine: NumpyEngine, plan: Plan) -> None:
        self.engine = engine
        self.plan = plan
        self.segments = plan.segments_of(engine.spec)

    def train(self, state: TrainState, data: Data, passes: Passes) -> NDArray[np.float64]:
        plan, n_members = self.plan, len(state.params)
        check_training(self.engine.spec, self.engine.dtype, plan, state, data, passes)
        _, n_passes, n_visits = passes.rows.shape
        rows = np.broadcast_to(passes.rows, (n_members, n_passes, n_visits))
        numbers = plan.optimizer.steps(passes.rates, state.step + 1)
        numbers = np.broadcast_to(numbers, (n_members, *numbers.shape[1:]))
        seeds = state.each_seed
        losses = np.zeros((n_members, n_passes))
        grad = np.empty_like(state.params[0])
        for member in range(n_members):
            params, slots = state.params[member], state.slots[member]
            for i, j in np.ndindex(passes.rates.shape[1:]):
                batch = rows[member, i, j * plan.batch_size : (j + 1) * plan.batch_size]
                place = seeds[member], state.step + i * numbers.shape[2] + j
                sums = self.engine.one_gradient(params, data, batch, grad, place)
                loss = batch_objective(
                    *sums, params, grad, self.segments, plan.alpha, plan.optimizer.l1
                )
                losses[member, i] += len(batch) * loss
                step(plan.optimizer, self.segments, params, grad, slots, numbers[member, i, j])
        state.step += passes.rates[0].size
        return losses / max(1, n_visits)


class NumpyEngine:
    """See :class:`fastnn.backends.base.Engine`."""

    def __init__(self, spec: NetworkSpec, dtype: np.dtype) -> None:
        self.spec = spec
        self.dtype = np.dtype(dtype)

    def forward(self, params: Array, X: Inputs, out: Array) -> None:
        check_csr(X)
        if self.spec.embedding is not None:
            check_inputs(self.spec, self.dtype, X)
        layout = self.spec.layout
        a = self._inputs(params, X)
        for layer, W, b in zip(
            self.spec.layers, layout.coefs(params), layout.intercepts(params), strict=True
        ):
            a, _ = layer.activation.value_and_slope(a @ W + b)
        out[...] = a

    def _inputs(self, params: Array, X: Inputs) -> Array | csr_array:
        """What the first layer takes."""
        if self.spec.embedding is None or not isinstance(X, Encoded):
            return X
        own = [segment.view(params) for segment in self.spec.layout.embedding]
        return self.spec.embedding.forward(own, X)

    def predict(self, params: Array, X: Inputs, out: Array) -> None:
        if params.ndim == 2:
            for own, answer in zip(params, out, strict=True):
                self.predict(own, X, answer)
            return
        check_finite(X)
        self.forward(params, X, out)
        out[...] = INVERSE_LINKS[self.spec.loss.inverse_link].apply(out)

    def gradient(
        self, state: TrainState, data: Data, rows: NDArray[np.int64], grad: Array
    ) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        check_gradient(self.spec, self.dtype, state, data, rows, grad)
        n_members = len(state.params)
        each = np.broadcast_to(rows, (n_members, rows.shape[1]))
        members = zip(state.params, each, grad, state.each_seed, strict=True)
        sums = np.array(
            [
                self.one_gradient(params, data, own_rows, own_grad, (seed, state.step))
                for params, own_rows, own_grad, seed in members
            ]
        )
        return sums[:, 0], sums[:, 1]

    def one_gradient(
        self,
        params: Array,
        data: Data,
        rows: NDArray[np.int64],
        grad: Array,
        place: tuple[int, int],
    ) -> tuple[float, float]:
        """The sums of :meth:`gradient` for one member, its rows ``(n,)``.

        ``place`` is (seed, step), which dropout goes by.
        """
        layout = self.spec.layout
        coefs = layout.coefs(params)
        product = bfloat16.product if self.spec.bfloat16 else operator.matmul
        X = data.X[rows]
        inputs = [self._inputs(params, X)]  # inputs[i] feeds layer i
        slopes = []
        layers = zip(self.spec.layers, coefs, layout.intercepts(params), strict=True)
        for i, (layer, W, b) in enumerate(layers):
            a, slope = layer.activation.value_and_slope(product(inputs[-1], W) + b)
            if layer.dropout:
                factors = dropout.factors(layer.dropout, (*place, i), a.shape, a.dtype)
                a, slope = a * factors, slope * factors
            inputs.append(a)
            slopes.append(slope)

        loss, delta = self.spec.loss.loss_and_grad(inputs[-1], data.y[rows])
        weight = np.ones(len(rows), self.dtype) if data.weight is None else data.weight[rows]
        delta *= weight[:, None]
        for i in reversed(range(len(coefs))):
            layout.weights[i].view(grad)[...] = product(inputs[i].T, delta)
            layout.biases[i].view(grad)[...] = delta.sum(axis=0)
            if i:
                delta = product(delta, coefs[i].T) * slopes[i - 1]
        if self.spec.embedding is not None and isinstance(X, Encoded):
            own = [segment.view(params) for segment in layout.embedding]
            gradients = self.spec.embedding.gradient(own, X, product(delta, coefs[0].T))
            for segment, gradient in zip(layout.embedding, gradients, strict=True):
                segment.view(grad)[...] = gradient
        return float(np.dot(loss.astype(np.float64), weight)), float(weight.sum(dtype=np.float64))

    def trainer(self, plan: Plan) -> Trainer:
        return NumpyTrainer(self, plan)


class NumpyBackend:
    """See :class:`fastnn.backends.base.Backend`. It runs whatever Python knows."""

    name = "numpy"

    def supports(self, spec: NetworkSpec, dtype: np.dtype, plan: Plan | None = None) -> str | None:
        return why_not_bfloat16(spec, dtype)

    def engine(self, spec: NetworkSpec, dtype: np.dtype, n_threads: int = 1) -> Engine:
        return NumpyEngine(spec, dtype)


BACKEND = NumpyBackend()
