"""PyTorch, eager or with torch.compile.

Functional layers, fused Adam, minibatches by index tensors; no modules, no DataLoader.

Compiled are the gathering of a batch, forward, loss and backward, as one graph. Of the other forms
tried on one core (``autograd.grad``, ``zero_grad``, an optimizer step compiled too) none was
faster; the last was four times slower on large layers.

In bfloat16 everything is, parameters and Adam's moments too; or, with ``autocast``, only what
``torch.autocast`` makes of the forward pass, by which parameters stay float32.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from time import perf_counter

import torch
import torch.nn.functional as F

from benchmarks.peers.problems import ALPHA, BETA_1, BETA_2, EPSILON, RATE, Array, Problem, Weights

_ACTIVATIONS = {"relu": F.relu, "tanh": torch.tanh, "logistic": torch.sigmoid}


class Peer:
    PACKAGES = ("torch", "numpy")

    def __init__(self, n_threads: int, compiled: bool = False, autocast: bool = False) -> None:
        self.autocast = autocast
        self.form = partial(torch.compile, dynamic=False) if compiled else lambda function: function
        torch.set_num_threads(n_threads)
        torch.set_num_interop_threads(1)

    def load(self, problem: Problem) -> None:
        self.problem = problem
        X, y = problem.data()
        if problem.units[-1] == 1:
            y = y.astype(problem.array_dtype)[:, None]
        in_bfloat16 = problem.dtype == "bfloat16" and not self.autocast
        self.dtype = getattr(torch, "bfloat16" if in_bfloat16 else problem.array_dtype)
        self.loss_dtype = getattr(torch, problem.array_dtype)
        self.X, self.y = torch.from_numpy(X).to(self.dtype), torch.from_numpy(y)
        torch._dynamo.reset()  # or it gives up compiling after eight shapes
        self.batch_loss = self.form(self._batch_loss)

    def _forward(self, params: list[torch.Tensor], x: torch.Tensor) -> torch.Tensor:
        activation = _ACTIVATIONS[self.problem.activation]
        for i in range(0, len(params) - 2, 2):
            x = activation(F.linear(x, params[i], params[i + 1]))
        return F.linear(x, params[-2], params[-1])

    def _batch_loss(self, params: list[torch.Tensor], rows: torch.Tensor) -> torch.Tensor:
        with torch.autocast("cpu", torch.bfloat16, enabled=self.autocast):
            raw, y = self._forward(params, self.X[rows]).to(self.loss_dtype), self.y[rows]
        if self.problem.regression:
            return F.mse_loss(raw, y) / 2
        return (
            F.binary_cross_entropy_with_logits(raw, y) if y.ndim == 2 else F.cross_entropy(raw, y)
        )

    def fit(self, n_epochs: int) -> float:
        problem = self.problem
        start = perf_counter()
        weights, random = problem.start()
        params = [
            torch.from_numpy(array.T.copy()).to(self.dtype).requires_grad_()
            for layer in weights
            for array in layer
        ]
        decayed = {
            "params": params[::2],
            "weight_decay": ALPHA / problem.batch,
        }  # scikit-learn's L2, biases exempt
        optimizer = torch.optim.Adam(
            [decayed, {"params": params[1::2]}], RATE, (BETA_1, BETA_2), EPSILON, fused=True
        )
        step = 0
        for order in problem.orders(random, n_epochs):
            for rows in torch.from_numpy(order.copy()).split(problem.batch):
                step += 1
                for group in (
                    optimizer.param_groups
                ):  # scikit-learn adds epsilon before it corrects v's bias, PyTorch after
                    group["eps"] = EPSILON / (1 - BETA_2**step) ** 0.5
                for param in params:
                    param.grad = None
                self.batch_loss(params, rows).backward()
                optimizer.step()
        self.params = params
        return perf_counter() - start

    def weights(self) -> Weights:
        arrays = [param.detach().to(self.loss_dtype).numpy().T for param in self.params]
        return list(zip(arrays[::2], arrays[1::2], strict=True))

    def predictor(
        self, problem: Problem, weights: Weights, method: str
    ) -> Callable[[Array], Array]:
        self.problem = problem
        params = [torch.from_numpy(array.T.copy()) for layer in weights for array in layer]
        forward = self.form(self._forward)

        @torch.inference_mode()
        def predict(X: Array) -> Array:
            raw = forward(params, torch.from_numpy(X))[:, 0]
            if method == "predict":
                return (raw if problem.regression else (raw > 0).long()).numpy()
            p = torch.sigmoid(raw)
            return torch.stack([1 - p, p], dim=1).numpy()

        return predict
