"""How is a table explored? By a search that compares several kinds of models."""

from __future__ import annotations

import math
import warnings
from collections import Counter
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from fastnn.cli.reporter import Reporter
from fastnn.cli.settings import Goal, Search
from fastnn.cli.training_table import TrainingTable

if TYPE_CHECKING:
    from fastnn.search.estimator import TradeoffSearchCV

MAX_REASONS = 3  # of failures, that are shown
# From so many rows on, two thirds of them teach nearly what four fifths do, for half the time.
MANY_ROWS = 10_000
LAST_FIT = 2  # fits as long as those of the folds, for the one on all rows and what is not timed


class NoCandidateWithinLimits(ValueError):
    """No candidate keeps within the limits; ``search`` holds those that were found."""

    def __init__(self, message: str, search: TradeoffSearchCV) -> None:
        super().__init__(message)
        self.search = search


def searched(
    known: TrainingTable, goal: Goal, settings: Search, reporter: Reporter
) -> TradeoffSearchCV:
    """Fit a search on the rows that are not held out."""
    from fastnn.backends.threads import available_cpus
    from fastnn.cli.kinds import compared, kinds_for
    from fastnn.cli.training import refuse_unsuitable, row_weights
    from fastnn.search.estimator import TradeoffSearchCV
    from fastnn.training.loop import InterruptedWarning

    refuse_unsuitable(known.schema, goal)
    limits, n_jobs = dict(settings.limits), settings.jobs or available_cpus()
    max_time = settings.max_time or (None if settings.trials else 60.0)
    n_folds = settings.cv or (5 if len(known.y) < MANY_ROWS else 3)
    # The default bag is the first candidate. It trains for so long at most that its folds, and
    # another fit, are done in time.
    turns = math.ceil(n_folds / n_jobs) + LAST_FIT
    of_bag = {} if max_time is None else {"max_time": max_time / turns}
    models = kinds_for(settings.models, (*settings.objectives, *limits))
    n_rows = len(known.y) * (n_folds - 1) // n_folds
    what = compared(known, goal, models, n_rows, **of_bag)
    search = TradeoffSearchCV(
        what.estimator,
        what.param_distributions,
        first_candidates=what.first_candidates,
        objectives=settings.objectives,
        max_time=max_time,
        n_trials=settings.trials,
        cv=n_folds,
        scoring=_scoring(settings.metric, known),
        refit={**limits, "score": "max"} if limits else settings.choose,
        n_jobs=n_jobs,
        random_state=goal.seed,
        storage=settings.storage,
    )
    with reporter.exploring(search), warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        try:
            search.fit(known.X, known.y, **row_weights(goal, known.y))
        except ValueError as error:
            if not hasattr(search, "pareto_front_"):
                raise
            raise NoCandidateWithinLimits(str(error), search) from error
    # Candidates are meant to be stopped early and to fail; the results say which did.
    for message, category in different(caught):
        interrupted = issubclass(category, InterruptedWarning)
        (reporter.note if interrupted else reporter.detail)(message)
    failures = search.cv_results_["failure"].tolist()
    for i, why in enumerate(failures):
        if why:
            reporter.detail(f"candidate {i} failed: {why}")
    if any(failures):
        reporter.note(_commonest(failures))
    return search


def _commonest(failures: list[str]) -> str:
    """Say how many candidates failed, and the commonest reasons, each with an example."""
    kinds = Counter(why.partition(":")[0] for why in failures if why)
    reasons = [
        f"{n} x {next(why for why in failures if why.partition(':')[0] == kind)}"
        for kind, n in kinds.most_common(MAX_REASONS)
    ]
    return f"{kinds.total()} of {len(failures)} candidates failed: {'; '.join(reasons)}"


def different(caught: list[warnings.WarningMessage]) -> list[tuple[str, type[Warning]]]:
    """Return the message and the category of each warning, the same ones once."""
    return list(dict.fromkeys((str(warning.message), warning.category) for warning in caught))


def _scoring(metric: str | Sequence[str] | None, known: TrainingTable) -> Any:
    """Return the scorer of a name, or those of several by name."""
    names = [metric] if isinstance(metric, str) else metric or []
    if len(names) > 1:
        return {name: _scorer(name, known) for name in names}
    return _scorer(names[0], known) if names else None


def _scorer(metric: str, known: TrainingTable) -> Any:
    """Return a scorer; of two classes, those for one of them score the second.

    scikit-learn's own score the class 1, which there need not be.
    """
    from sklearn import metrics

    scores = {
        "f1": metrics.f1_score,
        "precision": metrics.precision_score,
        "recall": metrics.recall_score,
        "jaccard": metrics.jaccard_score,
    }
    if metric not in scores or known.schema.task != "binary":
        return metric
    positive = max(set(known.y.tolist()))
    return metrics.make_scorer(scores[metric], pos_label=positive, zero_division=0)
