"""Does it work, and is it faster? Real data, scikit-learn and every backend in turn, timed fairly.

Times are wall seconds of a fit on one thread; the contenders take turns, and the fastest fit of
each counts.
"""

from __future__ import annotations

import os
import time
import warnings
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from sklearn import datasets, neural_network
from sklearn.base import BaseEstimator
from sklearn.exceptions import ConvergenceWarning
from sklearn.model_selection import train_test_split
from sklearn.preprocessing import StandardScaler
from threadpoolctl import threadpool_limits

from fastnn._optional import require
from fastnn.backends import BACKENDS, why_not
from fastnn.cli.reporter import Reporter
from fastnn.display import LossCurveDisplay
from fastnn.estimators.mlp import MLPClassifier, MLPRegressor

PEER = "scikit-learn"
REPEATS = 7  # at most, for each contender


@dataclass(frozen=True)
class Problem:
    """Rows to learn from, rows to be scored on, and the settings of every contender."""

    title: str
    train: tuple[np.ndarray, np.ndarray]
    test: tuple[np.ndarray, np.ndarray]
    settings: dict[str, Any]
    regression: bool = False


@dataclass
class Result:
    """What one contender made of a problem: the seconds of each fit, and the last model."""

    model: BaseEstimator
    seconds: list[float] = field(default_factory=list)
    score: float = float("nan")


def run(
    plot: str | os.PathLike[str] | None, seconds: float, reporter: Reporter
) -> dict[str, dict[str, Result]]:
    """Train every contender on four problems; see `fastnn.cli.commands.demo`."""
    if plot is not None and not Path(plot).parent.is_dir():
        raise FileNotFoundError(
            f"The folder {str(Path(plot).parent)!r} for the loss curves does not exist."
        )
    contenders = [PEER]
    for name in BACKENDS:
        if (reason := why_not(name)) is None:
            contenders.append(name)
        else:
            reporter.note(f"without the {name} backend: {reason}")
    results = {}
    # More threads of BLAS are slower here, and far slower on a busy machine.
    with threadpool_limits(1, user_api="blas"):
        warm_up = _warm_up(contenders, reporter)
        for problem in problems():
            results[problem.title] = _compare(problem, contenders, seconds, reporter)
            reporter.show(_table(problem, results[problem.title]))
    reporter.show(
        "Seconds are the wall time of the fastest fit, on one thread; the contenders take turns,\n"
        "with the same settings and data, in float64. Not counted: two iterations of each to warm\n"
        f"up, {warm_up:.1f} s (the first time, Numba compiles there)."
    )
    if plot is not None:
        try:
            _draw(results, Path(plot))
            reporter.show(f"The loss curves are in {Path(plot).resolve()}")
        except ImportError as error:
            reporter.note(f"no loss curves are drawn. {error}")
    return results


def problems() -> Iterator[Problem]:
    """Three data sets that scikit-learn ships, and the four rows of a textbook.

    The classifiers have scikit-learn's default settings.
    """
    X, y = datasets.load_digits(return_X_y=True)
    yield _split("digits", X, y, {})

    X, y = datasets.load_breast_cancer(return_X_y=True)
    yield _split("breast cancer", X, y, {})

    X, y = datasets.load_diabetes(return_X_y=True)
    yield _split(
        "diabetes", X, y / 100, {"learning_rate_init": 0.003, "alpha": 10.0}, regression=True
    )

    # The two-layer sigmoid network of the textbooks, trained by plain gradient descent. There the
    # gradients of the four rows are summed and the rate is 0.1; scikit-learn and fastnn average
    # them, hence 0.4.
    X, y = np.array([[0.0, 0], [0, 1], [1, 0], [1, 1]]), np.array([1, 1, 0, 0])
    settings = {
        "hidden_layer_sizes": (2,),
        "activation": "logistic",
        "solver": "sgd",
        "learning_rate_init": 0.4,
        "momentum": 0.0,
        "alpha": 0.0,
        "batch_size": 4,
        "tol": 0.0,
        "n_iter_no_change": np.inf,
        "max_iter": 1000,
    }
    yield Problem("textbook, four rows", (X, y), (X, y), settings | {"random_state": 0})


def _split(
    title: str, X: np.ndarray, y: np.ndarray, settings: dict[str, Any], regression: bool = False
) -> Problem:
    X_train, X_test, y_train, y_test = train_test_split(
        X, y, random_state=0, stratify=None if regression else y
    )
    scaler = StandardScaler().fit(X_train)
    train, test = (scaler.transform(X_train), y_train), (scaler.transform(X_test), y_test)
    return Problem(title, train, test, settings | {"random_state": 0}, regression)


def _estimator(problem: Problem, contender: str) -> BaseEstimator:
    if contender == PEER:
        peer = neural_network.MLPRegressor if problem.regression else neural_network.MLPClassifier
        return peer(**problem.settings)
    ours = MLPRegressor if problem.regression else MLPClassifier
    return ours(**problem.settings, backend=contender, n_threads=1)


def _fit(estimator: BaseEstimator, X: np.ndarray, y: np.ndarray) -> float:
    """Fit and return the seconds it took."""
    with warnings.catch_warnings():
        # All reach max_iter on purpose: the same work for everybody.
        warnings.simplefilter("ignore", ConvergenceWarning)
        start = time.perf_counter()
        estimator.fit(X, y)
        return time.perf_counter() - start


def _warm_up(contenders: list[str], reporter: Reporter) -> float:
    """Fit every contender on every problem for two iterations; return the seconds it took."""
    start = time.perf_counter()
    for problem in problems():
        for name in contenders:
            with reporter.busy(f"warming up {name} on {problem.title}"):
                _fit(_estimator(problem, name).set_params(max_iter=2), *problem.train)
    return time.perf_counter() - start


def _compare(
    problem: Problem, contenders: list[str], seconds: float, reporter: Reporter
) -> dict[str, Result]:
    """Fit the contenders in turns until ``seconds`` have passed; at least once, at most REPEATS."""
    results = {name: Result(_estimator(problem, name)) for name in contenders}
    order = list(contenders)
    stop = time.perf_counter() + seconds
    for i in range(REPEATS):
        for name in order:
            with reporter.busy(f"{problem.title}: {name}, fit {i + 1} of up to {REPEATS}"):
                results[name].seconds.append(_fit(results[name].model, *problem.train))
        order.reverse()  # so that nobody always goes first
        if time.perf_counter() > stop:
            break
    for result in results.values():
        result.score = result.model.score(*problem.test)
    return results


def _table(problem: Problem, results: dict[str, Result]) -> str:
    X, _ = problem.train
    peer = results[PEER]
    hidden = ", ".join(str(W.shape[1]) for W in peer.model.coefs_[:-1])
    score = "R2" if problem.regression else "accuracy"
    lines = [
        f"{problem.title}: {X.shape[0]} rows, {X.shape[1]} features, {hidden} hidden neurons, "
        f"{peer.model.n_iter_} iterations",
        f"  {'':12}  {score:>8}  {'loss':>9}  {'seconds':>8}  {'times as fast':>13}",
    ]
    for name, result in results.items():
        best = min(result.seconds)
        times = min(peer.seconds) / best
        loss = result.model.loss_
        lines.append(f"  {name:12}  {result.score:8.4f}  {loss:9.6f}  {best:8.4f}  {times:13.1f}")
    return "\n".join(lines) + "\n"


def _draw(results: dict[str, dict[str, Result]], path: Path) -> None:
    """Draw the loss curves of every contender, one picture for each problem."""
    figure = require("matplotlib.figure").Figure(figsize=(10, 7), layout="constrained")
    axes = figure.subplots(-(-len(results) // 2), 2, squeeze=False).flat
    for ax, (title, contenders) in zip(axes, results.items(), strict=False):
        for name, result in contenders.items():
            # They coincide, so scikit-learn's is drawn broad and pale below ours.
            style = (
                {"linewidth": 6, "color": "0.8"}
                if name == PEER
                else {"linewidth": 1.5, "linestyle": "--"}
            )
            LossCurveDisplay.from_estimator(result.model, ax=ax, name=name, **style)
        ax.set(title=title, yscale="log")
    figure.savefig(path, dpi=120)
