"""How does each solver fit a network? An estimator's parameters become the training loop's rules, and its memory attributes."""

from __future__ import annotations

import warnings
from functools import partial
from typing import Any

import numpy as np

from fastnn.backends import choose
from fastnn.backends.base import Data, Engine, Plan, TrainState
from fastnn.backends.threads import available_cpus
from fastnn.core.optimizers import SGD, Adam, Optimizer
from fastnn.core.schedules import SCHEDULES, Constant
from fastnn.training import lbfgs
from fastnn.training import loop as training
from fastnn.training.data import hold_out, row_numbers
from fastnn.training.model import Network


def solve_lbfgs(
    model: Any,
    network: Network,
    data: Data,
    random_state: np.random.RandomState,
    first: bool,
    incremental: bool,
) -> None:
    """Train ``network`` in place with L-BFGS on all rows, as the parameters of the estimator ``model`` say."""
    model.n_iter_, model.loss_ = lbfgs.minimise(
        _engine(model, network),
        network.spec.layout.segments,
        model.alpha,
        network.params,
        data,
        max_iter=model.max_iter,
        max_fun=model.max_fun,
        tol=model.tol,
        verbose=bool(model.verbose),
    )


def solve_stochastic(
    model: Any,
    network: Network,
    data: Data,
    random_state: np.random.RandomState,
    first: bool,
    incremental: bool,
) -> None:
    """Train ``network`` in place on minibatches, as the parameters of the estimator ``model`` say.

    Parameters
    ----------
    first : bool
        Whether this is not the continuation of an earlier fit.
    incremental : bool
        Whether it is a call of ``partial_fit``: one pass, which goes on with the optimizer of the call before.
    """
    rows, validation_score = row_numbers(data.X.shape[0]), None
    if model.early_stopping:
        rows, held_out = hold_out(
            rows, model.validation_fraction, model._strata(data.y), random_state
        )
        validation = Data(
            data.X[held_out],
            data.y[held_out],
            None if data.weight is None else data.weight[held_out],
        )
        validation_score = partial(model._validation_score, network, validation)
    memory = (
        model._memory if incremental and hasattr(model, "_memory") else _new_memory(model, network)
    )
    state = TrainState(network.params[None], memory.slots.copy(), memory.step)
    best_loss, best_score = (
        getattr(model, "best_loss_", None),
        getattr(model, "best_validation_score_", None),
    )
    loop = training.LoopState(
        rate=memory.rate,
        t=model.t_,
        no_improvement_count=model._no_improvement_count,
        best_loss=np.inf if best_loss is None else best_loss,
        best_score=-np.inf if best_score is None else best_score,
        # A later fit of a warm start keeps its last parameters unless a better score comes, as in
        # scikit-learn.
        best_params=network.params.copy() if model.early_stopping and first else None,
    )
    rules = training.Rules(
        batch_size=_batch_size(model, len(rows)),
        max_iter=1 if incremental else model.max_iter,
        tol=model.tol,
        n_iter_no_change=model.n_iter_no_change,
        shuffle=model.shuffle,
        verbose=bool(model.verbose),
        warn=not incremental,
    )
    plan = Plan(memory.optimizer, rules.batch_size, model.alpha)
    trainer = _engine(model, network, plan).trainer(plan)
    training.train(
        trainer, state, data, rows, memory.schedule, rules, loop, random_state, validation_score
    )
    model._memory = training.Memory(
        memory.optimizer, memory.schedule, state.slots, state.step, loop.rate
    )
    _publish(model, loop)


def _engine(model: Any, network: Network, plan: Plan | None = None) -> Engine:
    n_cpus = available_cpus()
    dtype = network.params.dtype
    return choose(model.backend, network.spec, dtype, plan).engine(
        network.spec, dtype, min(model.n_threads or n_cpus, n_cpus)
    )


def _new_memory(model: Any, network: Network) -> training.Memory:
    optimizer: Optimizer
    if model.solver == "sgd":
        optimizer = SGD(model.momentum, model.nesterovs_momentum)
        schedule = SCHEDULES[model.learning_rate](model.learning_rate_init, model.power_t)
    else:
        optimizer = Adam(model.beta_1, model.beta_2, model.epsilon)
        schedule = Constant(model.learning_rate_init)
    slots = np.zeros((1, optimizer.n_slots, len(network.params)), network.params.dtype)
    return training.Memory(optimizer, schedule, slots, 0, schedule.rate_init)


def _batch_size(model: Any, n_rows: int) -> int:
    batch_size = 200 if model.batch_size == "auto" else int(model.batch_size)
    if model.batch_size != "auto" and batch_size > n_rows:
        warnings.warn(
            "Got `batch_size` less than 1 or larger than sample size. It is going to be clipped",
            stacklevel=2,
        )
    return min(batch_size, n_rows)


def _publish(model: Any, loop: training.LoopState) -> None:
    """What the loop remembers, under scikit-learn's names. Curves grow in place: many calls of partial_fit stay cheap."""
    model.n_iter_, model.t_, model._no_improvement_count = (
        loop.n_iter,
        loop.t,
        loop.no_improvement_count,
    )
    if loop.losses:
        model.loss_ = loop.losses[-1]
    model.loss_curve_ = getattr(model, "loss_curve_", [])
    model.loss_curve_ += loop.losses
    model.validation_scores_ = getattr(model, "validation_scores_", None)
    model.best_validation_score_ = getattr(model, "best_validation_score_", None)
    model.best_loss_ = None if model.early_stopping else loop.best_loss
    if model.early_stopping:
        model.validation_scores_ = [*(model.validation_scores_ or []), *loop.scores]
        model.best_validation_score_ = loop.best_score


SOLVERS = {"lbfgs": solve_lbfgs, "sgd": solve_stochastic, "adam": solve_stochastic}
