"""What has been tried, and with which results? Candidates, kept by Optuna for the next run."""

from __future__ import annotations

import contextlib
import json
import math
import os
import re
import warnings
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastnn._optional import require
from fastnn.search.measure import Fold, Isolated
from fastnn.search.quantities import QUANTITIES
from fastnn.search.space import Space

MAX_LINE = 1 << 24  # of a journal, in bytes: a candidate's record is some kilobytes
MIN_PAIRS = 3  # candidates measured both ways before a ratio is taken from them
MAX_DRAWS = 10_000  # without a new candidate: what is left is too improbable to be drawn


@dataclass
class Candidate:
    """A parameter setting and what is known about it.

    Parameters
    ----------
    params : dict of str to object
    folds : list of Fold
    failure : str
        Why it failed; "" if it did not.
    isolated : Isolated or None
    ratios : dict of str to float
        See `Trials`.
    """

    params: dict[str, Any]
    folds: list[Fold] = field(default_factory=list)
    failure: str = ""
    isolated: Isolated | None = None
    ratios: Mapping[str, float] = field(default_factory=dict)
    # Values are asked for after each candidate, so they are kept.
    values: dict[tuple[str, bool], float] = field(default_factory=dict, repr=False)

    def repeats(self, quantity: str, in_search: bool = False) -> NDArray[np.float64]:
        """Every measurement of ``quantity (n_repeats,)``: isolated, else of the folds.

        Those of the folds are multiplied by ``ratios``. With ``in_search`` they are those of the
        folds in any case, as they were measured.
        """
        if QUANTITIES[quantity].timed and self.isolated is not None and not in_search:
            return np.atleast_1d(getattr(self.isolated, quantity))
        if not self.folds:
            return np.empty(0)
        found = np.hstack([getattr(one, quantity, []) for one in self.folds])
        return found if in_search else found * self.ratios.get(quantity, 1.0)

    def value(self, quantity: str, in_search: bool = False) -> float:
        """The mean score over folds, the median of anything else; NaN where unknown."""
        if (quantity, in_search) not in self.values:
            repeats = self.repeats(quantity, in_search)
            middle = np.mean if quantity == "score" else np.median
            value = float(middle(repeats)) if repeats.size else math.nan
            self.values[quantity, in_search] = value
        return self.values[quantity, in_search]

    def standard_error(self) -> float:
        """Standard error of the score, from its spread over folds."""
        scores = self.repeats("score")
        return float(scores.std(ddof=1) / math.sqrt(len(scores))) if len(scores) > 1 else 0.0


class Trials:
    """The candidates proposed and their results, in an Optuna study.

    A storage keeps them, and another run goes on from there.

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
    candidates : dict of int to Candidate
        Those that are done, by number.
    ratios : dict of str to float
        For each timed quantity, what a candidate shows in isolation over what it showed in the
        search: the median over those measured both ways. It scales the times of the others, so that
        the two kinds can be compared; otherwise the first one isolated would seem the quickest.
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
            # The sampler's state is not stored. A search that goes on must not draw the first
            # candidates again.
            self.rng = np.random.RandomState((seed + len(found)) % 2**32)
            # The best of four samplers tried on two tables, within the spread of their seeds.
            self.study.sampler = optuna.samplers.TPESampler(
                seed=self.rng.randint(2**31), multivariate=True, group=True, constant_liar=True
            )
        if others and not found:
            warnings.warn(
                f"The storage holds {others} other search{'es' * (others > 1)}, of other data,"
                " another estimator or another space; it keeps the new one as well.",
                stacklevel=5,
            )
        self.candidates: dict[int, Candidate] = {}
        self.ratios: dict[str, float] = {}
        self.pending: dict[int, Any] = {}
        self.postponed: list[int] = []
        self.seen: set[str] = set()
        for trial in found:
            self._restore(trial)
        self._update_ratios()

    def _restore(self, trial: Any) -> None:
        record = trial.user_attrs.get("record")
        if record is not None:
            params = self.space.read(trial.params)
            folds = [Fold(**one) for one in record["folds"]]
            isolated = self.study.user_attrs.get(f"isolated {trial.number}")
            self.candidates[trial.number] = Candidate(
                params, folds, record["failure"], isolated and Isolated(**isolated)
            )
            self.seen.add(self.space.key(trial.params))
        elif not trial.state.is_finished() and trial.params:  # the search was killed while it ran
            self.study.tell(trial.number, state=self.fail)
            self.study.enqueue_trial(trial.params)

    def propose(self) -> tuple[int, dict[str, Any]] | None:
        """The number and the parameters of the next candidate; None if there is no new one."""
        if self.postponed:
            number = self.postponed.pop()
            return number, self.space.read(self.pending[number].params)
        while len(self.seen) < self.space.size:
            trial = self.study.ask()
            params = self.space.suggest(trial)
            if self._is_new(trial.params):
                self.pending[trial.number] = trial
                return trial.number, params
            self.study.tell(trial, state=self.fail)  # a candidate that is known: draw another
            draws = (self.space.draw(self.rng) for _ in range(MAX_DRAWS))
            fresh = next((draw for draw in draws if self.space.key(draw) not in self.seen), None)
            if fresh is None:
                return None
            self.study.enqueue_trial(fresh)
        return None

    def _is_new(self, draws: Mapping[str, Any]) -> bool:
        """Whether no candidate had these draws before; the next one with them is not new."""
        n_seen = len(self.seen)
        self.seen.add(self.space.key(draws))
        return len(self.seen) > n_seen

    def record(self, number: int, candidate: Candidate) -> None:
        """Keep the result of the candidate proposed as ``number``."""
        self.candidates[number] = candidate = replace(candidate, ratios=self.ratios)
        unknown = (
            []
            if candidate.failure
            else [q for q in self.objectives if math.isnan(candidate.value(q))]
        )
        if unknown:
            candidate.failure = (
                f"{unknown[0]} is an objective, but it is unknown: {QUANTITIES[unknown[0]].unknown}"
            )
        trial = self.pending.pop(number)
        trial.set_user_attr(
            "record",
            {"folds": [asdict(one) for one in candidate.folds], "failure": candidate.failure},
        )
        if candidate.failure:
            self.study.tell(trial, state=self.fail)
        else:
            self.study.tell(trial, [_steering_value(candidate, q) for q in self.objectives])

    def record_isolated(self, number: int, isolated: Isolated) -> None:
        """Keep what a candidate shows in isolation."""
        self.candidates[number] = replace(self.candidates[number], isolated=isolated, values={})
        self._update_ratios()
        self.study.set_user_attr(f"isolated {number}", asdict(isolated))

    def _update_ratios(self) -> None:
        """Bring ``ratios`` up to date, and with them the values of candidates not isolated."""
        both = [one for one in self.candidates.values() if one.isolated is not None]
        for quantity in (name for name, row in QUANTITIES.items() if row.timed):
            pairs = [(one.value(quantity), one.value(quantity, in_search=True)) for one in both]
            ratios = [isolated / in_search for isolated, in_search in pairs if in_search > 0]
            if len(ratios) >= MIN_PAIRS:
                self.ratios[quantity] = float(np.median(ratios))
        for number, one in self.candidates.items():
            if one.isolated is None:
                self.candidates[number] = replace(one, ratios=self.ratios, values={})

    def give_up(self, number: int, candidate: Candidate) -> None:
        """Count a candidate as failed in this run; the next run of the search tries it again.

        To Optuna it is still running: with ``constant_liar`` the sampler avoids what has no result.
        """
        self.candidates[number] = candidate
        self.pending.pop(number)

    def postpone(self, number: int) -> None:
        """Propose a candidate again that there was no time to finish, in this run or the next."""
        self.postponed.append(number)


def _steering_value(candidate: Candidate, quantity: str) -> float:
    """What the sampler sees: the score, and the logarithm of a cost.

    So a tenfold saving has the same weight anywhere.
    """
    value = candidate.value(quantity)
    return value if quantity == "score" else math.log(max(value, 1e-12))


def _open_storage(optuna: Any, storage: Any) -> Any:
    """A journal file for a path, a database for a URL; an Optuna storage and None as they are."""
    if not isinstance(storage, str | os.PathLike):
        return storage
    if "://" in str(storage):
        return _open_database(optuna, str(storage))
    journal, path = optuna.storages.journal, os.fspath(storage)
    if os.path.exists(path) and os.path.getsize(path):
        lock = journal.JournalFileSymlinkLock(path)
        lock.acquire()
        try:
            _mend_journal(path)
        finally:
            lock.release()
    return optuna.storages.JournalStorage(journal.JournalFileBackend(path))


def _open_database(optuna: Any, url: str) -> Any:
    """The storage at a database URL; ValueError, without the password, if it cannot be opened."""
    try:
        with _quiet(optuna):
            return optuna.storages.get_storage(url)
    except Exception as error:  # SQLAlchemy's, and whatever the driver of a database raises
        shown = re.sub(r"(//[^/@:]*):[^/@]*@", r"\1:***@", url)
        reason = " ".join(str(getattr(error, "orig", None) or error).replace(url, shown).split())
        raise ValueError(
            f"storage={shown!r} cannot be opened: {reason.rstrip('.')}. Name a database that"
            " answers, such as 'sqlite:///search.db', or a file."
        ) from error


def _mend_journal(path: str) -> None:
    """Remove a last line that was written in part, as when a disk is full.

    ValueError if the file is no journal.
    """
    with open(path, "rb+") as file:
        try:
            known = "op_code" in json.loads(file.readline())
        except (ValueError, TypeError):
            known = False
        if not known:
            raise ValueError(
                f"storage={path!r} holds something else than searches. Name another file."
            )
        file.seek(max(0, os.path.getsize(path) - MAX_LINE))
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
