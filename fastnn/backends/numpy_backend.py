"""The reference: every formula of the training pass in plain NumPy, as slow and as clear as it needs to be."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array

from fastnn.backends.base import (
    Data,
    Engine,
    Passes,
    Plan,
    TrainState,
    check_batches,
    check_finite,
    check_rows,
)
from fastnn.core.activations import ACTIVATIONS, Array
from fastnn.core.losses import LINKS, LOSSES
from fastnn.core.network import NetworkSpec


class NumpyEngine:
    """See :class:`fastnn.backends.base.Engine`."""

    def __init__(self, spec: NetworkSpec, plan: Plan, dtype: np.dtype) -> None:
        self.spec = spec
        self.plan = plan
        self.dtype = np.dtype(dtype)

    def train(self, state: TrainState, data: Data, passes: Passes) -> NDArray[np.float64]:
        check_batches(data, passes, self.plan.batch_size)
        grad = np.empty_like(state.params)
        losses = np.zeros(len(passes.rows))
        for i, (rows, rates) in enumerate(zip(passes.rows, passes.rates, strict=True)):
            for j, rate in enumerate(rates):
                batch = rows[j * self.plan.batch_size : (j + 1) * self.plan.batch_size]
                losses[i] += len(batch) * self.loss_grad(state, data, batch, grad)
                state.step += 1
                self.plan.optimizer.update(state.params, grad, state.slots, float(rate), state.step)
            losses[i] /= len(rows)
        return losses

    def loss_grad(
        self, state: TrainState, data: Data, rows: NDArray[np.int64], grad: Array
    ) -> float:
        check_rows(data, rows)
        layout, alpha = self.spec.layout, self.plan.alpha
        coefs, intercepts = layout.coefs(state.params), layout.intercepts(state.params)

        inputs = [data.X[rows]]  # inputs[i] feeds layer i
        slopes = []
        for layer, W, b in zip(self.spec.layers, coefs, intercepts, strict=True):
            a, slope = ACTIVATIONS[layer.activation].value_and_slope(inputs[-1] @ W + b)
            inputs.append(a)
            slopes.append(slope)

        loss, delta = LOSSES[self.spec.loss].loss_and_grad(inputs[-1], data.y[rows])
        weight = np.ones(len(rows), self.dtype) if data.weight is None else data.weight[rows]
        delta *= weight[:, None]
        total = weight.sum(dtype=np.float64)
        if total == 0:
            grad[...] = 0
            return 0.0
        penalised = state.params[: layout.n_weights].astype(np.float64, copy=False)
        value = (
            np.dot(loss.astype(np.float64), weight) + 0.5 * alpha * np.dot(penalised, penalised)
        ) / total

        for i in reversed(range(len(coefs))):
            layout.weights[i].view(grad)[...] = (inputs[i].T @ delta + alpha * coefs[i]) / total
            layout.biases[i].view(grad)[...] = delta.sum(axis=0) / total
            if i:
                delta = (delta @ coefs[i].T) * slopes[i - 1]
        return float(value)

    def forward(
        self,
        params: Array,
        X: Array | csr_array,
        out: Array,
        link: bool = False,
        check: bool = False,
    ) -> None:
        if check:
            check_finite(X)
        layout = self.spec.layout
        a = X
        for layer, W, b in zip(
            self.spec.layers, layout.coefs(params), layout.intercepts(params), strict=True
        ):
            a, _ = ACTIVATIONS[layer.activation].value_and_slope(a @ W + b)
        out[...] = LINKS[LOSSES[self.spec.loss].link](a) if link else a


class NumpyBackend:
    """See :class:`fastnn.backends.base.Backend`."""

    name = "numpy"

    def supports(self, spec: NetworkSpec, dtype: np.dtype) -> str | None:
        return None

    def engine(self, spec: NetworkSpec, plan: Plan, dtype: np.dtype) -> Engine:
        return NumpyEngine(spec, plan, dtype)


BACKEND = NumpyBackend()
