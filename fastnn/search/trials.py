"""What has been tried, and with which results? Candidates, kept by Optuna for the next run."""

from __future__ import annotations

import contextlib
import json
import math
import os
import re
import warnings
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Any

import joblib
import numpy as np
from numpy.typing import NDArray

from fastnn._optional import require
from fastnn.search.measure import Fold, Isolated, from_storage
from fastnn.search.quantities import QUANTITIES, described
from fastnn.search.sharing import Sharing
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
        if described(quantity).timed and self.isolated is not None and not in_search:
            return np.atleast_1d(getattr(self.isolated, quantity))
        if not self.folds:
            return np.empty(0)
        found = np.hstack([one.measured(quantity) for one in self.folds])
        return found if in_search else found * self.ratios.get(quantity, 1.0)

    def value(self, quantity: str, in_search: bool = False) -> float:
        """The mean of a score over folds, the median of anything else; NaN where unknown."""
        if (quantity, in_search) not in self.values:
            repeats = self.repeats(quantity, in_search)
            middle = np.mean if described(quantity).better == "max" else np.median
            value = float(middle(repeats)) if repeats.size else math.nan
            self.values[quantity, in_search] = value
        return self.values[quantity, in_search]

    def standard_error(self, score: str) -> float:
        """Standard error of a score, from its spread over folds."""
        scores = self.repeats(score)
        return float(scores.std(ddof=1) / math.sqrt(len(scores))) if len(scores) > 1 else 0.0


class Trials:
    """The candidates proposed and their results, in an Optuna study.

    A storage keeps them: another run goes on from there, and several processes may work on one
    search. Use it as a context manager; in the body others see that this process is at work.

    Parameters
    ----------
    space : Space
    objectives : tuple of str
    storage : None, path of a journal file, database URL, or Optuna storage
    name : str
        The study's name in the storage. A study of that name found there is continued.
    seed : int
    first : sequence of dict
        Draws to begin with, where they are not in the storage yet.

    Attributes
    ----------
    candidates : dict of int to Candidate
        Those that are done, by number.
    pending : dict of int to optuna.Trial
        Those that this process has proposed and that are not done.
    put_off : dict of int to dict of int to Fold
        Those pending that wait for their turn, with the folds that are done by their number.
    others : set of int
        Those that other processes are working on.
    awaited : bool
        Whether some of these are where their end is certain to be seen: on this machine.
    exhausted : bool
        Whether the space holds no other candidates.
    ratios : dict of str to float
        For each timed quantity, what a candidate shows in isolation over what it showed in the
        search: the median over those measured both ways. It scales the times of the others, so that
        the two kinds can be compared; otherwise the first one isolated would seem the quickest.
    """

    def __init__(
        self,
        space: Space,
        objectives: tuple[str, ...],
        storage: Any,
        name: str,
        seed: int,
        first: Sequence[Mapping[str, Any]] = (),
    ) -> None:
        optuna = require("optuna")
        self.space, self.objectives, self.fail = space, objectives, optuna.trial.TrialState.FAIL
        # A RuntimeError, which had no class of its own before Optuna 4.1.
        self.finished_elsewhere: type[Exception] = getattr(
            optuna.exceptions, "UpdateFinishedTrialError", RuntimeError
        )
        self.sharing = None
        if storage is not None:
            is_named = isinstance(storage, str | os.PathLike)
            self.sharing = Sharing(joblib.hash(os.fspath(storage) if is_named else name))
        self.candidates: dict[int, Candidate] = {}
        self.pending: dict[int, Any] = {}
        self.put_off: dict[int, dict[int, Fold]] = {}
        self.others: set[int] = set()
        self.awaited = self.exhausted = False
        self.ratios: dict[str, float] = {}
        self.seen: set[str] = set()
        try:
            with _named_if_damaged(storage), self._in_turns():
                self._open(optuna, storage, name, seed)
                with _quiet(optuna):
                    for draws in first:
                        self.study.enqueue_trial(dict(draws), skip_if_exists=True)
                self._refresh()
        except BaseException:
            self.__exit__()
            raise

    def _open(self, optuna: Any, storage: Any, name: str, seed: int) -> None:
        """Open the study, or make it."""
        storage = _open_storage(optuna, storage)
        with _quiet(optuna):
            self.study = optuna.create_study(
                storage=storage,
                study_name=name,
                load_if_exists=True,
                directions=[
                    "maximize" if described(q).better == "max" else "minimize"
                    for q in self.objectives
                ],
            )
            n_found = len(self.study.get_trials(deepcopy=False))
            others = 0 if storage is None else len(optuna.get_all_study_names(storage)) - 1
            # The sampler's state is not stored. A search that goes on must not draw the first
            # candidates again.
            self.rng = np.random.RandomState((seed + n_found) % 2**32)
            # The best of four samplers tried on two tables, within the spread of their seeds.
            self.study.sampler = optuna.samplers.TPESampler(
                seed=self.rng.randint(2**31), multivariate=True, group=True, constant_liar=True
            )
        if others and not n_found:
            warnings.warn(
                f"The storage holds {others} other search{'es' * (others > 1)}, of other data,"
                " another estimator or another space; it keeps the new one as well.",
                stacklevel=6,
            )

    def __enter__(self) -> Trials:
        return self

    def __exit__(self, *exc: object) -> None:
        if self.sharing is not None:
            self.sharing.close()

    def _in_turns(self) -> contextlib.AbstractContextManager[None]:
        """In the body, no other process of this machine uses the storage."""
        return contextlib.nullcontext() if self.sharing is None else self.sharing.in_turns()

    @property
    def n_known(self) -> int:
        """How many candidates are done, begun here, or begun by others."""
        return len(self.candidates) + len(self.pending) + len(self.others)

    def params(self, number: int) -> dict[str, Any]:
        """The parameters of a candidate that is pending."""
        return self.space.read(self.pending[number].params)

    # ---- what other processes do

    def _refresh(self) -> None:
        """Learn what others have begun and found, and what an ended process has left behind."""
        if self.sharing is None:
            return
        self.others, self.awaited = set(), False
        for trial in self.study.get_trials(deepcopy=False):
            if trial.number not in self.candidates and trial.number not in self.pending:
                self._learn(trial, self.sharing)
        found = self.study.user_attrs
        for number, one in self.candidates.items():
            isolated = found.get(f"isolated {number}")
            if one.isolated is None and isolated is not None:
                measured = from_storage(Isolated, isolated)
                self.candidates[number] = replace(one, isolated=measured, values={})
        self._update_ratios()

    def _learn(self, trial: Any, sharing: Sharing) -> None:
        record = trial.user_attrs.get("record")
        if record is not None:
            folds = [from_storage(Fold, one) for one in record["folds"]]
            params = self.space.read(trial.params)
            self.candidates[trial.number] = Candidate(params, folds, record["failure"])
            self.seen.add(self.space.key(trial.params))
        elif not trial.state.is_finished() and "mark" in trial.user_attrs:
            mark, key = trial.user_attrs["mark"], self.space.key(trial.params)
            if sharing.is_at_work(mark, trial.datetime_start):
                self.others.add(trial.number)
                self.awaited |= sharing.is_seen(mark)
                self.seen.add(key)
            else:
                self.study.tell(trial.number, state=self.fail)
                self.study.enqueue_trial(trial.params)
                self.seen.discard(key)
                self.exhausted = False

    # ---- candidates

    def propose(self, n_trials: float) -> int | None:
        """The number of a new candidate; None if ``n_trials`` are known, or if there is none."""
        with self._in_turns():
            self._refresh()
            while self.n_known < n_trials and not self.exhausted:
                trial = self.study.ask()
                self.space.suggest(trial)
                if self._is_new(trial.params):
                    if self.sharing is not None:
                        trial.set_user_attr("mark", self.sharing.mark)
                    self.pending[trial.number] = trial
                    return trial.number
                self.study.tell(trial, state=self.fail)  # it is known: draw another
                draws = (self.space.draw(self.rng) for _ in range(MAX_DRAWS))
                fresh = next((one for one in draws if self.space.key(one) not in self.seen), None)
                if fresh is None:
                    self.exhausted = True
                else:
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
                f"{unknown[0]} is an objective, but it is unknown: {described(unknown[0]).unknown}"
            )
        trial = self.pending.pop(number)
        record = {"folds": [asdict(one) for one in candidate.folds], "failure": candidate.failure}
        # Another machine may have taken it over after a day.
        with self._in_turns(), contextlib.suppress(self.finished_elsewhere):
            trial.set_user_attr("record", record)
            if candidate.failure:
                self.study.tell(trial, state=self.fail)
            else:
                self.study.tell(trial, [_steering_value(candidate, q) for q in self.objectives])

    def record_isolated(self, number: int, isolated: Isolated) -> None:
        """Keep what a candidate shows in isolation."""
        self.candidates[number] = replace(self.candidates[number], isolated=isolated, values={})
        self._update_ratios()
        with self._in_turns():
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

    def give_up(self, number: int, failure: str) -> None:
        """Count a candidate as failed in this run; the next run of the search tries it again.

        To Optuna it is still running: with ``constant_liar`` the sampler avoids what has no result.
        """
        self.candidates[number] = Candidate(self.params(number), failure=failure)
        del self.pending[number], self.put_off[number]


def _steering_value(candidate: Candidate, quantity: str) -> float:
    """What the sampler sees: a score, and the logarithm of a cost.

    So a tenfold saving has the same weight anywhere.
    """
    value = candidate.value(quantity)
    return value if described(quantity).better == "max" else math.log(max(value, 1e-12))


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
def _named_if_damaged(storage: Any) -> Iterator[None]:
    """What reading a damaged journal raises in the body is one ValueError that names the file."""
    try:
        yield
    except (OSError, Warning):  # not to be read or written; a warning that is an error
        raise
    except Exception as error:  # Optuna reads a journal's lines as they are
        path = os.fspath(storage) if isinstance(storage, str | os.PathLike) else "://"
        if "://" in str(path) or str(error).startswith("storage="):
            raise
        raise ValueError(
            f"storage={path!r} is damaged: it was changed after it was written"
            f" ({type(error).__name__}: {' '.join(str(error).split())[:200]}). Name another file."
        ) from error


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
