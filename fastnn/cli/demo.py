"""Does it work, and is it faster? Real data, every backend that this machine has beside scikit-learn, timed fairly."""

from __future__ import annotations

import os
import sys
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

from fastnn.backends import BACKENDS, why_not
from fastnn.display import LossCurveDisplay
from fastnn.estimators.mlp import MLPClassifier, MLPRegressor

PEER = "scikit-learn"
REPEATS = 7  # at most, for each contender


@dataclass(frozen=True)
class Problem:
    """Rows to learn from, rows to be scored on, and the settings that both sides are given."""

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
    plot: str | os.PathLike | None = "fastnn-demo.png", seconds: float = 5.0
) -> dict[str, dict[str, Result]]:
    """Train on four problems with every contender, print a table for each, and draw the loss
    curves.

    Parameters
    ----------
    plot : path or None
        Where the loss curves go, as whatever picture its suffix says; None draws none.
    seconds : float
        Time for each problem: its fits are repeated, the contenders taking turns, until that is spent (at least one each).

    Returns
    -------
    results : dict of problem title to dict of contender to Result

    Raises
    ------
    FileNotFoundError
        If the folder for ``plot`` does not exist; before anything is trained.
    """
    if plot is not None and not Path(plot).parent.is_dir():
        raise FileNotFoundError(
            f"The folder {str(Path(plot).parent)!r} for the loss curves does not exist."
        )
    usable = [name for name in BACKENDS if why_not(name) is None]
    for name in set(BACKENDS) - set(usable):
        print(f"Without the {name} backend: {why_not(name)}")

    results = {}
    with threadpool_limits(
        1, user_api="blas"
    ):  # more of them are slower here, and far slower on a busy machine
        compile_seconds = _warm_up(usable)
        for problem in problems():
            results[problem.title] = _compare(problem, usable, seconds)
            print(_table(problem, results[problem.title]), flush=True)
    print(
        "Seconds are the least wall time of a fit on one thread, the contenders taking turns with the same settings, data and\n"
        "float64. "
        f"Not counted: two iterations of each to warm up, {compile_seconds:.1f} s (Numba compiles there, if it is new here)."
    )
    if plot is not None:
        _draw(results, Path(plot))
    return results


def problems() -> Iterator[Problem]:
    """Three data sets that scikit-learn ships, the classifiers with its default settings, and the textbook's four rows."""
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
        warnings.simplefilter(
            "ignore", ConvergenceWarning
        )  # max_iter is reached on purpose: the same work for everybody
        start = time.perf_counter()
        estimator.fit(X, y)
        return time.perf_counter() - start


def _warm_up(usable: list[str]) -> float:
    start = time.perf_counter()
    for problem in problems():
        for contender in (PEER, *usable):
            _progress(f"warming up {contender} on {problem.title}")
            _fit(_estimator(problem, contender).set_params(max_iter=2), *problem.train)
    return time.perf_counter() - start


def _compare(problem: Problem, usable: list[str], seconds: float) -> dict[str, Result]:
    order = [PEER, *usable]
    results = {name: Result(_estimator(problem, name)) for name in order}
    stop = time.perf_counter() + seconds
    for i in range(REPEATS):
        for name in order:
            _progress(f"{problem.title}: {name}, fit {i + 1} of up to {REPEATS}")
            results[name].seconds.append(_fit(results[name].model, *problem.train))
        order.reverse()  # so that whoever goes first does so only every other time
        if time.perf_counter() > stop:
            break
    for result in results.values():
        result.score = result.model.score(*problem.test)
    return results


def _table(problem: Problem, results: dict[str, Result]) -> str:
    X, _ = problem.train
    hidden = ", ".join(str(W.shape[1]) for W in results[PEER].model.coefs_[:-1])
    _progress("")
    lines = [
        f"{problem.title}: {X.shape[0]} rows, {X.shape[1]} features, {hidden} hidden neurons, "
        f"{results[PEER].model.n_iter_} iterations",
        f"  {'':12}  {'R2' if problem.regression else 'accuracy':>8}  {'loss':>9}  {'seconds':>8}  {'times as fast':>13}",
    ]
    theirs = min(results[PEER].seconds)
    for name, result in results.items():
        ours = min(result.seconds)
        lines.append(
            f"  {name:12}  {result.score:8.4f}  {result.model.loss_:9.6f}  {ours:8.4f}  {theirs / ours:13.1f}"
        )
    return "\n".join(lines) + "\n"


def _progress(text: str) -> None:
    """Show what is going on, on a line that the next call replaces; on a terminal only, so that logs stay readable."""
    if sys.stderr.isatty():
        print(f"\r\x1b[K{text}", end="", file=sys.stderr, flush=True)


def _draw(results: dict[str, dict[str, Result]], path: Path) -> None:
    try:
        from matplotlib.figure import Figure
    except ImportError:
        print('Without Matplotlib no loss curves are drawn: pip install "fastnn[plot]"')
        return
    figure = Figure(figsize=(10, 7), layout="constrained")
    for ax, (title, contenders) in zip(
        figure.subplots(-(-len(results) // 2), 2, squeeze=False).flat, results.items(), strict=False
    ):
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
    print(f"The loss curves are in {path.resolve()}")
