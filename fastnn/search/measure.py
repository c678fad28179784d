"""How is a candidate's cost measured? In the search, and for the front again in isolation.

During the search, folds train at the same time in threads and slow each other down. That is good
enough to steer by. What is reported of the front comes from :func:`measure_isolated`, which runs in
a process of its own (`fastnn.search.process`) with nothing else running. Only there do the peak of
memory and the processor's energy counters belong to one candidate.
"""

from __future__ import annotations

import contextlib
import math
import numbers
import pickle
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, fields
from functools import partial
from typing import Any

import numpy as np
from sklearn.base import BaseEstimator, clone
from sklearn.utils import indexable

from fastnn._sklearn import safe_indexing
from fastnn.core.cost import predict_flops
from fastnn.core.network import NetworkSpec
from fastnn.estimators.inspect import innermost, network_of
from fastnn.export import flash_bytes
from fastnn.search import machine
from fastnn.search.energy import COUNTED, estimate_label, rapl_joules, watts
from fastnn.search.memory import PeakMemory

pickler: Any = pickle
with contextlib.suppress(ImportError):
    import cloudpickle  # type: ignore[import-untyped]

    pickler = cloudpickle  # also pickles what a notebook or a script defines


@dataclass(frozen=True)
class Clock:
    """Where seconds come from; the tests use a clock of their own."""

    wall: Callable[[], float] = time.perf_counter
    thread_cpu: Callable[[], float] = time.thread_time  # a fold trains in one thread
    process_cpu: Callable[[], float] = time.process_time  # an isolated fit may use several


@dataclass(frozen=True)
class Effort:
    """How often a measurement is repeated.

    Parameters
    ----------
    min_repeats, max_repeats : int
    seconds : float
        After these, no repeat beyond ``min_repeats`` starts.
    """

    min_repeats: int
    max_repeats: int
    seconds: float

    def wants_more(self, n_repeats: int, seconds: float) -> bool:
        """Whether to repeat once more after ``n_repeats`` that took ``seconds``."""
        if n_repeats < self.min_repeats:
            return True
        return n_repeats < self.max_repeats and seconds < self.seconds

    def repeat(self, call: Callable[[], object], wall: Callable[[], float]) -> list[float]:
        """Seconds of each call. The first one may be slower; it does not move a median."""
        seconds: list[float] = []
        first = wall()
        while self.wants_more(len(seconds), wall() - first):
            start = wall()
            call()
            seconds.append(wall() - start)
        return seconds


# In the search little, so that measuring does not take much of it; in isolation enough for a median
# that a second measurement repeats.
PREDICTIONS_IN_SEARCH = Effort(min_repeats=3, max_repeats=30, seconds=0.02)
PREDICTIONS_ISOLATED = Effort(min_repeats=15, max_repeats=300, seconds=0.15)
FITS_ISOLATED = Effort(min_repeats=1, max_repeats=5, seconds=0.7)
WARM_ROWS = 100  # a fit of so few loads what a process loads once, such as compiled code
BULK_ROWS = 10_000


@dataclass(frozen=True)
class Fold:
    """What one fold shows. Plain numbers and lists, so that a storage can keep it as JSON.

    Parameters
    ----------
    score : float
    fit_time, cpu_time, score_time : float
        Seconds.
    of_model : dict of str to float
        What :data:`OF_MODEL` lists, by name; NaN where unknown.
    latency_us, row_us : list of float
        Microseconds of each repeat; of the first fold only.
    further : dict of str to float
        Scores beyond the first one, by name.
    machine : str
        The kind of machine that showed it.
    """

    score: float
    fit_time: float
    cpu_time: float
    score_time: float
    of_model: dict[str, float]
    latency_us: list[float] = field(default_factory=list)
    row_us: list[float] = field(default_factory=list)
    further: dict[str, float] = field(default_factory=dict)
    machine: str = ""

    def measured(self, quantity: str) -> Any:
        """The value of ``quantity``, or its repeats; an empty list if a fold does not show it."""
        named = self.of_model | self.further
        return named.get(quantity, getattr(self, quantity, []))

    @property
    def energy_j(self) -> float:
        """Joules of the fit, estimated."""
        return self.cpu_time * watts()


# What a storage's JSON may hold for a field, by its annotation: the container, and what is in it.
STORED: dict[str, tuple[type | None, type | tuple[type, ...]]] = {
    "float": (None, (int, float)),
    "str": (None, str),
    "list[float]": (list, (int, float)),
    "dict[str, float]": (dict, (int, float)),
}


def from_storage(kind: type, content: dict[str, Any]) -> Any:
    """A `Fold` or an `Isolated` as a storage kept it; TypeError if a field is of another type."""
    found = kind(**content)
    for one in fields(found):
        container, item = STORED[str(one.type)]
        value = getattr(found, one.name)
        items = value.values() if isinstance(value, dict) else value
        fits = container is None or isinstance(value, container)
        for v in items if container and fits else [value]:
            # NumPy makes objects of whole numbers beyond 64 bits.
            fits &= isinstance(v, item) and not (isinstance(v, int) and abs(v) >= 2**63)
        if not fits:
            raise TypeError(f"{one.name} is {value!r:.50}, no {one.type}")
    return found


@dataclass(frozen=True)
class Isolated:
    """What a candidate shows isolated in a process: every repeat, in the units of `Fold`."""

    fit_time: list[float]
    cpu_time: list[float]
    latency_us: list[float]
    row_us: list[float]
    peak_bytes: float
    energy_j: list[float]
    energy_source: str


@dataclass(frozen=True)
class Dataset:
    """The data of a search, with the parameters that go to ``fit`` and to the scorer.

    Parameters
    ----------
    X : array-like or sparse matrix of shape (n_samples, n_features)
    y : array-like of shape (n_samples,) or (n_samples, n_outputs), or None
    fit_params, score_params : dict of str to object
        What has an element for each row is cut into folds with X.
    """

    X: Any
    y: Any
    fit_params: Mapping[str, Any] = field(default_factory=dict)
    score_params: Mapping[str, Any] = field(default_factory=dict)

    @property
    def metadata(self) -> dict[str, Any] | None:
        """What scikit-learn's callbacks receive with X and y."""
        weight = self.fit_params.get("sample_weight")
        return None if weight is None else {"sample_weight": weight}

    def rows(self, indices: np.ndarray) -> Dataset:
        """The data set of the rows ``indices (n_rows,)``."""
        n = _n_rows(self.X)

        def cut(params: Mapping[str, Any]) -> dict[str, Any]:
            return {
                name: safe_indexing(indexable(value)[0], indices) if _has_rows(value, n) else value
                for name, value in params.items()
            }

        return Dataset(
            safe_indexing(self.X, indices),
            None if self.y is None else safe_indexing(self.y, indices),
            cut(self.fit_params),
            cut(self.score_params),
        )

    def fit(self, estimator: BaseEstimator) -> None:
        """Fit ``estimator``: without y where there is none, since not all take ``y=None``."""
        targets = () if self.y is None else (self.y,)
        estimator.fit(self.X, *targets, **self.fit_params)

    def scores(self, estimator: BaseEstimator, scorer: Callable[..., Any]) -> dict[str, float]:
        """The scores of a fitted ``estimator``; ValueError if one is not a finite number."""
        targets = () if self.y is None else (self.y,)
        found = scorer(estimator, self.X, *targets, **self.score_params)
        scores = found if isinstance(found, dict) and "score" in found else {"score": found}
        for name, score in scores.items():
            if not isinstance(score, numbers.Real) or not math.isfinite(score):
                what = "the score" if name == "score" else f"the score {name}"
                raise ValueError(f"{what} must be a finite number, got {score!r}")
        return {name: float(score) for name, score in scores.items()}


def _n_rows(X: Any) -> int:
    return X.shape[0] if hasattr(X, "shape") else len(X)


def _has_rows(value: Any, n_rows: int) -> bool:
    """Whether ``value`` has an element for each of ``n_rows`` rows."""
    if hasattr(value, "shape"):
        return len(value.shape) > 0 and value.shape[0] == n_rows
    is_list = isinstance(value, Sequence) and not isinstance(value, str)
    return is_list and len(value) == n_rows


def measure_fold(
    estimator: BaseEstimator,
    train: Dataset,
    test: Dataset,
    scorer: Callable[..., Any],
    clock: Clock,
    during_fit: contextlib.AbstractContextManager[None] | None = None,
) -> Fold:
    """Fit ``estimator`` on ``train`` and measure it on ``test``, in one thread.

    Parameters
    ----------
    estimator : estimator object
        It is fitted itself, not a clone.
    train, test : Dataset
    scorer : callable
        ``scorer(estimator, X, y)`` returns a number, or a dict of several of which one is
        "score"; more is better.
    clock : Clock
    during_fit : context manager, default=None
        It surrounds the fit only. What it sets on the estimator must be gone afterwards, before the
        estimator is pickled for its size.

    Raises
    ------
    ValueError
        If the score is not a finite number; otherwise what the estimator or the scorer raises.
    """
    with during_fit or contextlib.nullcontext():
        start, start_cpu = clock.wall(), clock.thread_cpu()
        train.fit(estimator)
        fit_time, cpu_time = clock.wall() - start, clock.thread_cpu() - start_cpu
    start = clock.wall()
    scores = test.scores(estimator, scorer)
    score_time = clock.wall() - start
    return Fold(
        scores.pop("score"),
        fit_time,
        cpu_time,
        score_time,
        {name: known(estimator) for name, known in OF_MODEL.items()},
        further=scores,
        machine=machine.kind(),
    )


def model_bytes(estimator: BaseEstimator) -> float:
    """Length of the pickled ``estimator``; NaN if it cannot be pickled."""
    try:
        return float(len(pickler.dumps(estimator)))
    except Exception:  # pickling runs the estimator's code, which may raise anything
        return math.nan


def prediction_times(
    estimator: BaseEstimator, X: Any, effort: Effort, wall: Callable[[], float]
) -> tuple[list[float], list[float]]:
    """Microseconds to predict one row, and per row of many; empty without ``predict``."""
    if not hasattr(estimator, "predict"):
        return [], []
    row, many = safe_indexing(X, [0]), safe_indexing(X, slice(0, BULK_ROWS))
    latency_us = [1e6 * s for s in effort.repeat(lambda: estimator.predict(row), wall)]
    scale = 1e6 / _n_rows(many)
    return latency_us, [scale * s for s in effort.repeat(lambda: estimator.predict(many), wall)]


def flops(estimator: BaseEstimator) -> float:
    """FLOPs of the networks in a fitted ``estimator`` to predict one row; NaN without a network."""
    network, bag = network_of(estimator), innermost(estimator)
    if hasattr(bag, "network_"):
        return float(bag.n_members_ * predict_flops(bag.network_))
    if network is None:
        return math.nan
    units = [len(network.coefs_[0])] + [W.shape[1] for W in network.coefs_]
    return float(predict_flops(NetworkSpec.dense(units, "identity", "squared_error")))


def size_in_c(weights: str, estimator: BaseEstimator) -> float:
    """Bytes of a fitted ``estimator`` in C; NaN if it cannot be exported, for which see `to_c`."""
    try:
        return float(flash_bytes(estimator, weights=weights))
    except (TypeError, ValueError):
        return math.nan


# What a fitted model shows by itself: no clock, no rows.
OF_MODEL: dict[str, Callable[[BaseEstimator], float]] = {
    "model_bytes": model_bytes,
    "flops": flops,
    "flash_bytes": partial(size_in_c, "float32"),
    "flash_int8_bytes": partial(size_in_c, "int8"),
}


def measure_isolated(estimator: BaseEstimator, dataset: Dataset, clock: Clock) -> Isolated:
    """Fit clones of ``estimator`` on ``dataset`` and predict with the last one.

    Run it in a process in which nothing else happens.
    """
    fit_time: list[float] = []
    cpu_time: list[float] = []
    joules: list[float] = []
    n_rows = _n_rows(dataset.X)
    few = np.unique(np.linspace(0, n_rows - 1, WARM_ROWS, dtype=np.intp))
    with contextlib.suppress(Exception):  # what so few rows do not teach, all may
        dataset.rows(few).fit(clone(estimator))
    peak = PeakMemory()
    while FITS_ISOLATED.wants_more(len(fit_time), sum(fit_time)):
        model = clone(estimator)
        before = rapl_joules()
        start, start_cpu = clock.wall(), clock.process_cpu()
        dataset.fit(model)
        fit_time.append(clock.wall() - start)
        cpu_time.append(clock.process_cpu() - start_cpu)
        after = rapl_joules()
        if before is not None and after is not None and after > before:
            joules.append(after - before)
    peak_bytes = peak.rise()
    source = COUNTED if joules else estimate_label()
    joules = joules or [seconds * watts() for seconds in cpu_time]
    times = prediction_times(model, dataset.X, PREDICTIONS_ISOLATED, clock.wall)
    return Isolated(fit_time, cpu_time, *times, peak_bytes, joules, source)
