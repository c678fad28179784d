"""How does L-BFGS train a network? SciPy's optimizer over the engine's full-batch gradient."""

from __future__ import annotations

import warnings
from collections.abc import Callable

import numpy as np
import scipy.optimize
from sklearn.exceptions import ConvergenceWarning

from fastnn.backends.base import Data, Engine, TrainState
from fastnn.core.activations import Array
from fastnn.core.losses import batch_objective
from fastnn.core.network import NetworkSpec
from fastnn.training.callbacks import Callback, pass_ended, watching
from fastnn.training.loop import INTERRUPTED, InterruptedWarning, check_finite_params
from fastnn.training.state import LoopState

Objective = Callable[[Array], tuple[float, Array]]
# ``(loss_sum, weight_sum, grad (n_params,))`` of all rows, for ``params (n_params,)``.
Sums = Callable[[Array], tuple[float, float, Array]]


def full_batch(sums: Sums, spec: NetworkSpec, alpha: float) -> Objective:
    """The penalised mean loss of all rows and its gradient, functions of ``params (n_params,)``."""

    def loss_and_grad(params: Array) -> tuple[float, Array]:
        loss_sum, weight_sum, grad = sums(params)
        segments = spec.layout.segments
        return batch_objective(loss_sum, weight_sum, params, grad, segments, alpha), grad

    return loss_and_grad


def sums_of(engine: Engine, data: Data) -> Sums:
    """The sums over all rows of ``data``, as ``full_batch`` takes them."""
    rows = np.arange(data.X.shape[0], dtype=np.int64)[None]

    def sums(params: Array) -> tuple[float, float, Array]:
        grad = np.empty_like(params)
        state = TrainState(params[None], np.empty((1, 0, len(params))))
        (loss_sum,), (weight_sum,) = engine.gradient(state, data, rows, grad[None])
        return loss_sum, weight_sum, grad

    return sums


def minimise(
    loop: LoopState, objective: Objective, max_fun: int, callbacks: tuple[Callback, ...] = ()
) -> float:
    """Train the network of ``loop`` in place, by at most ``max_fun`` calls of ``objective``.

    ``loop.rules`` give ``max_iter`` and ``tol``. Returns the final loss. Warns with scikit-learn's
    ConvergenceWarning if SciPy's L-BFGS-B did not converge. Ctrl-C, or a callback that stops, keeps
    the last iterate. Where a callback notes the best parameters, it ends with those.
    """
    callbacks = (*callbacks, *watching())

    def note(intermediate_result: scipy.optimize.OptimizeResult) -> None:
        loop.params[...] = intermediate_result.x
        loop.record_pass(float(intermediate_result.fun))
        pass_ended(loop, callbacks)
        if loop.stopped:
            raise StopIteration

    try:
        result = scipy.optimize.minimize(
            objective,
            loop.params.copy(),
            method="L-BFGS-B",
            jac=True,
            callback=note,
            options={"maxfun": max_fun, "maxiter": loop.rules.max_iter, "gtol": loop.rules.tol},
        )
    except KeyboardInterrupt:
        loop.stopped = True
        warnings.warn(INTERRUPTED, InterruptedWarning, stacklevel=2)
        loss = loop.losses[-1] if loop.losses else np.nan
    else:
        loop.params[...], loss = result.x, float(result.fun)
        if result.status != 0 and not loop.stopped:
            _warn(result, loop.rules.max_iter)
    if loop.best_params is not None:
        loop.params[...] = loop.best_params
    check_finite_params(loop.params)
    return loss


def _warn(result: scipy.optimize.OptimizeResult, max_iter: int) -> None:
    """Say in scikit-learn's words that L-BFGS did not converge."""
    n_iter = min(result.nit, max_iter)
    more = (
        f"\nIncrease the number of iterations to improve the convergence (max_iter={max_iter})."
        if n_iter == max_iter
        else ""
    )
    warnings.warn(
        f"lbfgs failed to converge after {n_iter} iteration(s) (status={result.status}):\n"
        f"{result.message}\n{more}\n"
        "You might also want to scale the data as shown in:\n"
        "    https://scikit-learn.org/stable/modules/preprocessing.html",
        ConvergenceWarning,
        stacklevel=3,
    )
