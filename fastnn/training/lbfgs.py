"""How does L-BFGS train a network? SciPy's optimizer over the engine's full-batch loss and gradient."""

from __future__ import annotations

import warnings
from collections.abc import Sequence

import numpy as np
import scipy.optimize
from sklearn.utils.optimize import _check_optimize_result

from fastnn.backends.base import Data, Engine, TrainState
from fastnn.core.activations import Array
from fastnn.core.losses import batch_objective
from fastnn.core.network import Segment
from fastnn.training.loop import NON_FINITE, all_finite


def minimise(
    engine: Engine,
    segments: Sequence[Segment],
    alpha: float,
    params: Array,
    data: Data,
    *,
    max_iter: int,
    max_fun: int,
    tol: float,
    verbose: bool,
) -> tuple[int, float]:
    """Train ``params (n_params,)`` in place on all rows of ``data``; return the number of
    iterations and the final loss.

    Warns with scikit-learn's ConvergenceWarning if SciPy's L-BFGS-B did not converge. Ctrl-C keeps
    the last iterate.
    """
    rows = np.arange(data.X.shape[0], dtype=np.int64)[None]
    no_slots = np.empty((1, 0, len(params)))
    last_loss, n_iter = np.nan, 0

    def loss_grad(trial: Array) -> tuple[float, Array]:
        grad = np.empty_like(trial)
        state = TrainState(trial[None], no_slots)
        (loss_sum,), (weight_sum,) = engine.gradient(state, data, rows, grad[None])
        return batch_objective(loss_sum, weight_sum, trial, grad, segments, alpha), grad

    def note(intermediate_result: scipy.optimize.OptimizeResult) -> None:
        nonlocal last_loss, n_iter
        params[...] = intermediate_result.x
        last_loss = float(intermediate_result.fun)
        n_iter += 1
        if verbose:
            print(f"Iteration {n_iter}, loss = {last_loss:.8f}")

    try:
        result = scipy.optimize.minimize(
            loss_grad,
            params.copy(),
            method="L-BFGS-B",
            jac=True,
            callback=note,
            options={"maxfun": max_fun, "maxiter": max_iter, "gtol": tol},
        )
    except KeyboardInterrupt:
        warnings.warn("Training interrupted by user.", stacklevel=2)
        return n_iter, last_loss
    params[...] = result.x
    if not all_finite(params):
        raise ValueError(NON_FINITE)
    return _check_optimize_result("lbfgs", result, max_iter), float(result.fun)
