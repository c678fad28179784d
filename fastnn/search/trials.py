"""What has been tried, and what was found? Candidates and their measurements, kept by Optuna: a killed search goes on."""

from __future__ import annotations

import contextlib
import json
import math
import os
import warnings
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastnn._optional import require
from fastnn.search.measure import QUANTITIES, Alone, Fold, watts
from fastnn.search.space import Space

WHY_UNKNOWN = {
    "flops": "the model holds no network",
    "model_bytes": "the model cannot be pickled",
    "latency_us": "the model has no predict",
    "row_us": "the model has no predict",
}
LONGEST_LINE = 1 << 24  # of a journal, in bytes: a candidate's record is some kilobytes
ENOUGH_TO_COMPARE = 3  # candidates measured both ways before a factor is taken from them
MOST_DRAWS = 10_000  # without a new candidate: what is left is too improbable to be drawn


@dataclass
class Candidate:
    """A parameter setting and what has been found out about it."""

    params: dict[str, Any]
    folds: list[Fold] = field(default_factory=list)
    failure: str = ""
    alone: Alone | None = None
    factors: Mapping[str, float] = field(default_factory=dict)  # see Trials
    known: dict[tuple[str, bool], float] = field(
        default_factory=dict
    )  # values: after each candidate, those of all are asked for

    def repeats(self, quantity: str, beside: bool = False) -> NDArray[np.float64]:
        """Every measurement of ``quantity``: of the process of its own where there was one, else of
        the folds.

        Those of the folds are made comparable by ``factors``; with ``beside`` they are as they
        were, even if there are others.
        """
        if quantity == "energy_j" and (self.alone is None or beside):
            return self.repeats("cpu_time", beside) * watts()
        if QUANTITIES[quantity].timed and self.alone is not None and not beside:
            return np.atleast_1d(getattr(self.alone, quantity))
        found = (
            np.hstack([getattr(one, quantity, []) for one in self.folds])
            if self.folds
            else np.empty(0)
        )
        return found if beside else found * self.factors.get(quantity, 1.0)

    def value(self, quantity: str, beside: bool = False) -> float:
        """What ``quantity`` is taken to be: the score's mean over folds, anything else's median. NaN where unknown."""
        if (quantity, beside) not in self.known:
            repeats = self.repeats(quantity, beside)
            middle = np.mean if quantity == "score" else np.median
            self.known[quantity, beside] = float(middle(repeats)) if repeats.size else math.nan
        return self.known[quantity, beside]

    def standard_error(self) -> float:
        """Standard error of the score, from its spread over folds."""
        scores = self.repeats("score")
        return float(scores.std(ddof=1) / math.sqrt(len(scores))) if len(scores) > 1 else 0.0


class Trials:
    """The candidates proposed and what became of them: an Optuna study, so that a storage keeps
    them and another run goes on.

    Parameters
    ----------
    space : Space
    objectives : tuple of str
    storage : None, path of a journal file, database URL, or Optuna storage
    name : str
        The study's name in the storage. A study of that name found there is continued.
    seed : int

    Attributes
    ----------
    factors : dict of str to float
        For each timed quantity, what a candidate shows alone over what it showed beside others, the median over those
        measured both ways. Times of the others are multiplied by it: as they were, the first candidate measured alone would
        seem quicker than all of them.
    """

    def __init__(
        self, space: Space, objectives: tuple[str, ...], storage: Any, name: str, seed: int
    ) -> None:
        optuna = require("optuna")
        self.space, self.objectives, self.fail = space, objectives, optuna.trial.TrialState.FAIL
        storage = _open_storage(optuna, storage)
        with _quiet(optuna):
            self.study = optuna.create_study(
                storage=storage,
                study_name=name,
                load_if_exists=True,
                directions=[
                    "maximize" if QUANTITIES[q].better == "max" else "minimize" for q in objectives
                ],
            )
            found = self.study.get_trials(deepcopy=False)
            others = 0 if storage is None else len(optuna.get_all_study_names(storage)) - 1
            # A sampler's own state is not stored; a search that goes on must not draw the first
            # candidates again.
            self.rng = np.random.RandomState((seed + len(found)) % 2**32)
            # Over 60 trials of the default space on a table of 1,500 rows, score against CPU
            # seconds, the volume under the front was 1.88 with this sampler, 1.85 with independent
            # Parzen estimators, 1.83 with NSGA-II and 1.83 at random (means of three seeds). Over
            # 200 on credit_g, the best score was 0.7545 with it, 0.7557 with 100 candidates for the
            # expected improvement, 0.7562 with 25 random trials first (five seeds with deviations
            # of 0.004 to 0.006).
            self.study.sampler = optuna.samplers.TPESampler(
                seed=self.rng.randint(2**31), multivariate=True, group=True, constant_liar=True
            )
        if others and not found:
            warnings.warn(
                f"The storage holds {others} other search{'es' * (others > 1)}, of other data, another estimator or another"
                " space; a new one begins beside it.",
                stacklevel=4,
            )
        self.candidates: dict[int, Candidate] = {}
        self.factors: dict[str, float] = {}
        self.open: dict[int, Any] = {}
        self.unfinished: list[int] = []
        self.seen: set[str] = set()
        for trial in found:
            self._restore(trial)
        self._compare()

    def _restore(self, trial: Any) -> None:
        record = trial.user_attrs.get("record")
        if record is not None:
            params = self.space.read(trial.params)
            folds = [Fold(**one) for one in record["folds"]]
            alone = self.study.user_attrs.get(f"alone {trial.number}")
            self.candidates[trial.number] = Candidate(
                params, folds, record["failure"], alone and Alone(**alone)
            )
            self.seen.add(self.space.key(trial.params))
        elif not trial.state.is_finished() and trial.params:  # the search was killed while it ran
            self.study.tell(trial.number, state=self.fail)
            self.study.enqueue_trial(trial.params)

    def propose(self) -> tuple[int, dict[str, Any]] | None:
        """The next candidate and its number; None if there is none left that has not been proposed."""
        if self.unfinished:
            number = self.unfinished.pop()
            return number, self.space.read(self.open[number].params)
        while len(self.seen) < self.space.size:
            trial = self.study.ask()
            params = self.space.suggest(trial)
            if self._is_new(trial.params):
                self.open[trial.number] = trial
                return trial.number, params
            self.study.tell(
                trial, state=self.fail
            )  # the sampler came back to a candidate that is known: draw another
            draws = (self.space.draw(self.rng) for _ in range(MOST_DRAWS))
            fresh = next((draw for draw in draws if self.space.key(draw) not in self.seen), None)
            if fresh is None:
                return None
            self.study.enqueue_trial(fresh)
        return None

    def _is_new(self, draws: Mapping[str, Any]) -> bool:
        """Whether this is the first candidate with these draws; from now on it is not."""
        n_seen = len(self.seen)
        self.seen.add(self.space.key(draws))
        return len(self.seen) > n_seen

    def record(self, number: int, candidate: Candidate) -> None:
        """Keep what was found out about the candidate proposed as ``number``."""
        self.candidates[number] = candidate = replace(candidate, factors=self.factors)
        unknown = (
            []
            if candidate.failure
            else [q for q in self.objectives if math.isnan(candidate.value(q))]
        )
        if unknown:
            candidate.failure = (
                f"{unknown[0]} is an objective, but cannot be told: {WHY_UNKNOWN[unknown[0]]}"
            )
        trial = self.open.pop(number)
        trial.set_user_attr(
            "record",
            {"folds": [asdict(one) for one in candidate.folds], "failure": candidate.failure},
        )
        if candidate.failure:
            self.study.tell(trial, state=self.fail)
        else:
            self.study.tell(trial, [_steering_value(candidate, q) for q in self.objectives])

    def record_alone(self, number: int, alone: Alone) -> None:
        """Keep what a candidate showed in a process of its own."""
        self.candidates[number] = replace(self.candidates[number], alone=alone, known={})
        self._compare()
        self.study.set_user_attr(f"alone {number}", asdict(alone))

    def _compare(self) -> None:
        """Bring ``factors`` up to date, and with them the values of the candidates not measured alone."""
        twice = [one for one in self.candidates.values() if one.alone is not None]
        for quantity in ("fit_time", "cpu_time", "latency_us", "row_us"):
            pairs = [(one.value(quantity), one.value(quantity, beside=True)) for one in twice]
            ratios = [alone / beside for alone, beside in pairs if beside > 0]
            if len(ratios) >= ENOUGH_TO_COMPARE:
                self.factors[quantity] = float(np.median(ratios))
        for number, one in self.candidates.items():
            if one.alone is None:
                self.candidates[number] = replace(one, factors=self.factors, known={})

    def leave(self, number: int, candidate: Candidate) -> None:
        """Leave a candidate for the next run of the search; in this one it counts as failed.

        To Optuna it goes on running: with ``constant_liar`` the sampler keeps away from what has no
        result yet.
        """
        self.candidates[number] = candidate
        self.open.pop(number)

    def put_off(self, number: int) -> None:
        """Leave a candidate that there was no time to finish for later, or for the next run of the search."""
        self.unfinished.append(number)


def _steering_value(candidate: Candidate, quantity: str) -> float:
    """What the sampler sees: the score, and costs by their logarithm, so that a tenfold saving weighs the same anywhere."""
    value = candidate.value(quantity)
    return value if quantity == "score" else math.log(max(value, 1e-12))


def _open_storage(optuna: Any, storage: Any) -> Any:
    """A path becomes a journal file; a database URL, an Optuna storage or None go to Optuna as they are."""
    if not isinstance(storage, str | os.PathLike) or "://" in str(storage):
        return storage
    journal, path = optuna.storages.journal, os.fspath(storage)
    if os.path.exists(path) and os.path.getsize(path):
        lock = journal.JournalFileSymlinkLock(path)
        lock.acquire()
        try:
            _mend_journal(path)
        finally:
            lock.release()
    return optuna.storages.JournalStorage(journal.JournalFileBackend(path))


def _mend_journal(path: str) -> None:
    """Take a line that was written in part, as when a disk is full, off the end; ValueError if the file is no journal."""
    with open(path, "rb+") as file:
        try:
            known = "op_code" in json.loads(file.readline())
        except (ValueError, TypeError):
            known = False
        if not known:
            raise ValueError(
                f"storage={path!r} holds something else than searches. Name another file."
            )
        file.seek(max(0, os.path.getsize(path) - LONGEST_LINE))
        end = file.read()
        if not end.endswith(b"\n"):
            file.truncate(file.seek(end.rfind(b"\n") + 1 - len(end), os.SEEK_END))


@contextlib.contextmanager
def _quiet(optuna: Any) -> Iterator[None]:
    """Without Optuna's log lines and its warnings that a feature is new."""
    level = optuna.logging.get_verbosity()
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
            yield
    finally:
        optuna.logging.set_verbosity(level)
