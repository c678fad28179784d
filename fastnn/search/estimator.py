"""What does each second, microsecond and joule buy in accuracy? A search for the whole front."""

from __future__ import annotations

import copy
import math
import numbers
import pickle
import warnings
from collections.abc import Callable, Mapping, Sequence
from typing import Any, ClassVar

import joblib
import numpy as np
from sklearn.base import BaseEstimator, is_classifier
from sklearn.exceptions import ConvergenceWarning
from sklearn.metrics import check_scoring, get_scorer_names
from sklearn.model_selection import check_cv
from sklearn.utils import Tags, check_random_state, get_tags, indexable

from fastnn._sklearn import BaseSearchCV, HasMethods, Interval, StrOptions, fit_context
from fastnn.estimators.client import HoldsClient
from fastnn.search.budget import Budget
from fastnn.search.default_space import default_space
from fastnn.search.energy import watts
from fastnn.search.front import check_refit
from fastnn.search.measure import Clock, Dataset
from fastnn.search.quantities import QUANTITIES, described
from fastnn.search.results import as_columns, measurements
from fastnn.search.run import Run
from fastnn.search.shared_steps import differ_in_the_last_step
from fastnn.search.space import Space, describe
from fastnn.search.tasks import Task
from fastnn.search.trials import Trials
from fastnn.search.workplace import Workplace, with_params
from fastnn.training.loop import InterruptedWarning

DEFAULT_TRIALS = 50


class TradeoffSearchCV(HoldsClient, BaseSearchCV):
    """Search hyper-parameters for the Pareto front of accuracy and cost, and one model from it.

    Every candidate is cross-validated, its folds training in threads, and its cost is measured:
    seconds to fit, microseconds to predict, bytes, FLOPs, joules. Optuna's tree-structured Parzen
    estimator proposes candidates that push the front. The candidates on the front are measured
    again in isolation, one by one, each in a fresh process.

    Parameters
    ----------
    estimator : estimator object
        A network of fastnn's, any other scikit-learn estimator, or a Pipeline. Estimators of
        several kinds are compared as in scikit-learn's searches: a Pipeline whose last step is a
        parameter, and a list of dicts.
    param_distributions : dict, list of dicts or None, default=None
        Parameter names, and for each a list, a scipy.stats distribution, or an Optuna distribution.
        Each candidate takes one dict of a list. None varies the network that the estimator is or
        holds, but for what you have set to another value than the default: see
        :func:`fastnn.search.default_space.default_space`.
    objectives : sequence of str, default=("score", "fit_time")
        What the front is made of: "score", "fit_time", "cpu_time", "latency_us", "row_us",
        "model_bytes", "flops", "flash_bytes", "flash_int8_bytes", "energy_j". Quantities that
        ``refit`` names are added, and after "score" the further ones of ``scoring``.
    max_time : float or None, default=None
        Seconds that ``fit`` may take, measuring the front and the last fit included. A fit that
        runs is not interrupted, so keep the slowest candidate well below it. A candidate that would
        take over a tenth of it, and of which a fold takes four times as long as usual, is put off
        after that fold: it goes on when that turns out to be usual, or when nothing else is left to
        try and there is time for it, and fails as too slow if neither comes.
    n_trials : int or None, default=None
        How many candidates are tried, those found in ``storage`` included; 50 where neither limit
        is given. A finite space that holds no more than these is enumerated, each candidate once.
    cv : int, cross-validation generator or iterable, default=5
    scoring : str, callable, sequence of str, dict or None, default=None
        One score, more is better; the estimator's own where None. Of several, names or a dict of
        names and scorers as in ``GridSearchCV``, the first one is "score" here; the others are
        objectives under their own names, also in ``cv_results_``: ``mean_test_roc_auc`` and so on.
    refit : "knee", str, dict, callable or False, default="knee"
        Which candidate of the front is chosen and fitted on all rows:

        - "knee", the cheapest whose score is within one standard error of the best one's;
        - the name of a quantity, the best in it;
        - limits, such as ``{"latency_us": 20, "score": "max"}``: the best score among those that
          predict a row in 20 us. A limit on "score" is a lower one;
        - a callable that takes ``cv_results_`` and returns an index;
        - False, none.
    n_jobs : int or None, default=None
        How many folds train at the same time, in threads: nothing is copied to other processes.
        None is 1, -1 all cores; with ``client`` both are all threads of its workers. Above 1, which
        candidates are proposed depends on which are finished first.
    random_state : int, RandomState instance or None, default=None
        Of the search. The estimator has its own.
    storage : str, path, Optuna storage or None, default=None
        Where candidates are kept as they are found: the path of a file, or a database URL. The same
        search - data, estimator, space, folds - started again goes on from there, after it was
        killed too. Started in several processes, it is one search that they share.
    first_candidates : sequence of dict, default=()
        Settings such as those of ``best_params_`` that are tried before any others, in this order.
        The space must hold them.
    client : distributed.Client or None, default=None
        Trains the folds, and measures the front, on the workers of this Dask cluster, to which X, a
        table in memory, is sent once. Where they are of several kinds of machines - model of the
        processor, threads - it uses the kind with the most threads, as seconds compare on one kind
        only. The last fit is done here. It is not copied, nor kept in a pickle.

    Attributes
    ----------
    cv_results_ : dict of str to ndarray of shape (n_candidates,)
        Made for a DataFrame, one row for each candidate. As in scikit-learn's searches: ``params``,
        ``param_*``, ``split*_test_score``, ``mean_test_score``, ``std_test_score``,
        ``rank_test_score``, ``mean_fit_time``, ``std_fit_time``, ``mean_score_time``,
        ``std_score_time``. Besides, for each quantity but the score: its value (``fit_time``,
        ``cpu_time``, ``latency_us``, ``row_us``, ``model_bytes``, ``flops``, ``flash_bytes``,
        ``flash_int8_bytes``, ``peak_bytes``, ``energy_j``), a median of repeats, NaN where not
        known; for the timed ones ``iqr_*``, the distance between the quartiles of the repeats, and
        ``repeats_*``, the repeats. ``energy_source`` says how joules were measured, ``measured``
        is "isolated" or "in search", ``machine`` the kind of machine that trained it, ``on_front``
        a bool, ``failure`` the reason of a candidate that failed, else "".
    pareto_front_ : ndarray of shape (n_front,)
        Indices into ``cv_results_`` of the candidates that no other one dominates, the cheapest
        first.
    objectives_ : tuple of str
        The objectives, with those that ``refit`` added.
    measurements_ : dict of str to str
        How each quantity was measured, and under "machine" where.
    best_index_ : int
        The chosen candidate's index into ``cv_results_``.
    best_params_ : dict
    best_score_ : float
        Its mean score over folds.
    best_estimator_ : estimator object
        The chosen candidate, fitted on all rows.
    refit_time_ : float
        Seconds that took.
    scorer_ : callable
    n_splits_ : int
    study_ : optuna.study.Study

    Examples
    --------
    >>> from fastnn import MLPClassifier, TradeoffSearchCV
    >>> from sklearn.datasets import load_iris
    >>> X, y = load_iris(return_X_y=True)
    >>> sizes = {"hidden_layer_sizes": [(), (4,), (16,), (64,)]}
    >>> network = MLPClassifier(max_iter=300, random_state=0)
    >>> search = TradeoffSearchCV(network, sizes, objectives=("score", "flops")).fit(X, y)
    >>> front = search.cv_results_["flops"][search.pareto_front_]
    """

    _parameter_constraints: ClassVar[dict[str, Any]] = {
        "estimator": [HasMethods(["fit"])],
        "param_distributions": [dict, list, None],
        "objectives": ["array-like"],
        "max_time": [Interval(numbers.Real, 0, None, closed="neither"), None],
        "n_trials": [Interval(numbers.Integral, 1, None, closed="left"), None],
        "cv": ["cv_object"],
        "scoring": [StrOptions(set(get_scorer_names())), callable, list, tuple, dict, None],
        "refit": [str, dict, callable, "boolean"],
        "n_jobs": [numbers.Integral, None],
        "random_state": ["random_state"],
        "storage": "no_validation",
        "first_candidates": ["array-like"],
        "client": [HasMethods(["scatter", "submit"]), None],
    }
    _clock: ClassVar[Clock] = Clock()

    def __init__(
        self,
        estimator: BaseEstimator,
        param_distributions: Mapping[str, Any] | Sequence[Mapping[str, Any]] | None = None,
        *,
        objectives: Sequence[str] = ("score", "fit_time"),
        max_time: float | None = None,
        n_trials: int | None = None,
        cv: Any = 5,
        scoring: str | Callable[..., float] | Sequence[str] | Mapping[str, Any] | None = None,
        refit: str | Mapping[str, float | str] | Callable[..., int] | bool = "knee",
        n_jobs: int | None = None,
        random_state: int | np.random.RandomState | None = None,
        storage: Any = None,
        first_candidates: Sequence[Mapping[str, Any]] = (),
        client: Any = None,
    ) -> None:
        self.estimator = estimator
        self.param_distributions = param_distributions
        self.objectives = objectives
        self.max_time = max_time
        self.n_trials = n_trials
        self.cv = cv
        self.scoring = scoring
        self.refit = refit
        self.n_jobs = n_jobs
        self.random_state = random_state
        self.storage = storage
        self.first_candidates = first_candidates
        self.client = client

    @fit_context(prefer_skip_nested_validation=False)
    def fit(self, X: Any, y: Any = None, **params: Any) -> TradeoffSearchCV:
        """Search, measure the front, and fit the chosen candidate on all rows.

        Ctrl-C ends the search with what has been found, once the folds that run are done.

        Parameters
        ----------
        X : array-like or sparse matrix of shape (n_samples, n_features)
        y : array-like of shape (n_samples,) or (n_samples, n_outputs), default=None
        **params
            For the estimator's ``fit``, the scorer and the splitter, as in ``GridSearchCV.fit``: an
            array with an element for each row, such as ``sample_weight``, is cut into folds with X.

        Returns
        -------
        self : object

        Raises
        ------
        ImportError
            Without Optuna.
        ValueError
            If a parameter is wrong, if every candidate fails (TypeError if each by one), or if no
            candidate is within the limits of ``refit``; ``cv_results_`` and ``pareto_front_`` are
            there in the last case.
        fastnn.dask.WorkersLost
            If the cluster of ``client`` is gone before any candidate is finished.
        """
        start = self._clock.wall()
        if y is None and get_tags(self.estimator).target_tags.required:
            raise ValueError(
                f"This {type(self).__name__} requires y to be passed, but the target y is None."
            )
        self._scores = self._check_scoring()
        self.objectives_ = self._check_objectives()
        watts()  # a wrong FASTNN_WATTS is an error before the search, not after it
        first = self.scoring
        if isinstance(first, Mapping):
            first = first[next(iter(first))]
        elif isinstance(first, list | tuple):
            first = first[0]
        self.scorer_, self.multimetric_ = check_scoring(self.estimator, first), False
        X, y = indexable(X, y)
        routed = self._get_routed_params_for_fit(params)
        dataset = Dataset(X, y, routed.estimator.fit, routed.scorer.score)
        cv = check_cv(self.cv, y, classifier=is_classifier(self.estimator))
        splits = list(cv.split(X, y, **routed.splitter.split))
        self.n_splits_ = len(splits)
        run = self._prepare(dataset, splits, start)
        n_stages = 2 + (self.refit is not False) if self.max_time is None else None
        root = Task.root(self, dataset, n_stages).begin()
        ends: tuple[type[BaseException], ...] = (KeyboardInterrupt, *run.workplace.faults)
        try:
            run.run(root)
        except ends as error:
            if not run.front().size:
                raise
            n_found, why = len(run.succeeded), str(error).removesuffix(".")
            warnings.warn(
                f"Search interrupted{f': {why}' if why else ' by user'}; it ends with the"
                f" {n_found} candidates found so far.",
                InterruptedWarning,
                stacklevel=3,
            )
        self._publish(run)
        if self.refit is not False:
            self._refit(dataset, root)
        root.end()
        return self

    def _prepare(self, dataset: Dataset, splits: list[Any], start: float) -> Run:
        """The run of this search; a space or a storage that cannot be used is an error here."""
        distributions = self.param_distributions
        if distributions is None:
            distributions = default_space(self.estimator, len(splits[0][0]))
        space = Space(distributions)
        for example in space.examples():  # an unknown name is an error before fifty failures
            with_params(self.estimator, example)
        workplace = self._workplace(dataset, splits, space)
        seed = check_random_state(self.random_state).randint(2**31)
        name = "fastnn"
        if self.storage is not None:
            name = self._fingerprint(distributions, workplace)
        first = [space.draws(candidate) for candidate in self.first_candidates]
        trials = Trials(space, self.objectives_, self.storage, name, seed, first)
        self.study_ = trials.study
        n_trials: float = math.inf if self.n_trials is None else self.n_trials
        if self.n_trials is None and self.max_time is None:
            n_trials = DEFAULT_TRIALS
        n_jobs = workplace.n_at_once(self.n_jobs)
        weighed = [*self.objectives_, *check_refit(self.refit, self._scores[1:])]
        budget = Budget(
            start=start,
            end=math.inf if self.max_time is None else start + self.max_time,
            n_folds=len(splits),
            n_jobs=n_jobs,
            refits=self.refit is not False,
            remeasures=any(described(q).timed for q in weighed),
        )
        return Run(workplace, self.refit, trials, n_jobs, min(n_trials, space.size), budget)

    def _workplace(self, dataset: Dataset, splits: list[Any], space: Space) -> Workplace:
        """Where the candidates train."""
        names = {name for part in space.parts for name in part}
        parts = (
            self.estimator,
            dataset,
            splits,
            self._scorer_of_all(),
            self._clock,
            differ_in_the_last_step(self.estimator, names),
        )
        if self.client is None:
            return Workplace(*parts)
        from fastnn.search.cluster import ClusterWorkplace

        return ClusterWorkplace(*parts, client=self.client)

    def _check_objectives(self) -> tuple[str, ...]:
        """The objectives, with what ``refit`` names; before anything is trained."""
        further = self._scores[1:]
        allowed = [q for q, row in QUANTITIES.items() if row.in_search] + further
        objectives = list(self.objectives)
        if not objectives or len(set(objectives)) < len(objectives):
            raise ValueError(
                "objectives must name at least one quantity, and each once; got"
                f" {self.objectives!r}."
            )
        for q in objectives:
            if q not in allowed:
                hint = ""
                if q in QUANTITIES:
                    hint = " It is known of the front only; limit it by refit."
                raise ValueError(f"objectives must be among {allowed}, got {q!r}.{hint}")
        scores = self._scores if "score" in objectives else further
        objectives = [one for q in objectives for one in (scores if q == "score" else [q])]
        named = [q for q in check_refit(self.refit, further) if q in allowed]
        return tuple(dict.fromkeys([*objectives, *further, *named]))

    def _check_scoring(self) -> list[str]:
        """The names of the scores here: "score", and those of the further ones."""
        if not isinstance(self.scoring, list | tuple | Mapping):
            return ["score"]
        names = list(self.scoring)
        wrong = [name for name in names if not isinstance(name, str) or name in QUANTITIES]
        if not names or wrong or len(set(names)) < len(names):
            raise ValueError(
                "scoring must name at least one score, each once and none like a quantity,"
                f" {list(QUANTITIES)}; got {names!r}."
            )
        return ["score", *names[1:]]

    def _scorer_of_all(self) -> Callable[..., Any]:
        """What scores a fitted estimator: one number, or one for each name."""
        if len(self._scores) == 1:
            return self.scorer_
        scorer = check_scoring(self.estimator, self.scoring)
        return lambda *data, **params: dict(
            zip(self._scores, scorer(*data, **params).values(), strict=True)
        )

    def _get_scorers(self) -> tuple[Any, str]:
        """What scikit-learn asks for to route parameters."""
        return check_scoring(self.estimator, self.scoring), "score"

    def _fingerprint(self, distributions: Any, workplace: Workplace) -> str:
        """The name of this very search in a storage: it changes with all that decides a result."""
        made_of = describe([self.estimator, distributions, self.scoring])
        data = (made_of, vars(workplace.dataset), workplace.splits, self.objectives_)
        timed = any(described(q).timed for q in self.objectives_)
        try:
            return f"fastnn-{joblib.hash((*data, workplace.machine if timed else None))}"
        except (pickle.PicklingError, TypeError, AttributeError) as error:
            raise ValueError(
                "storage tells searches apart by what they are made of, and something in the"
                " estimator, the space, the scoring or the data cannot be pickled for that:"
                f" {str(error)[:200]}. Replace it, or search without storage."
            ) from error

    def _publish(self, run: Run) -> None:
        """Everything that has been found, as attributes."""
        found = run.trials.candidates  # Optuna numbers trials without a result, too
        row_of = {number: row for row, number in enumerate(found)}
        candidates = list(found.values())
        self.pareto_front_ = np.array([row_of[number] for number in run.front()], np.intp)
        self.cv_results_ = as_columns(candidates, self.n_splits_, self.pareto_front_, self._scores)
        self.measurements_ = measurements(candidates, self.n_splits_, run.n_jobs)
        if self.refit is False:
            return
        if callable(self.refit):
            self.best_index_ = _checked_index(self.refit(self.cv_results_), len(candidates))
        else:
            self.best_index_ = row_of[run.chosen()]
        self.best_params_ = candidates[self.best_index_].params
        self.best_score_ = candidates[self.best_index_].value("score")

    def _refit(self, dataset: Dataset, root: Task) -> None:
        """Fit the chosen candidate on all rows."""
        self.best_estimator_ = with_params(self.estimator, self.best_params_)
        task = root.subtask("refit-with-best-params")
        with task.propagate_to(self.best_estimator_), warnings.catch_warnings():
            if any(name.endswith("max_iter") for name in self.best_params_):
                warnings.simplefilter("ignore", ConvergenceWarning)  # the search has chosen it
            task.begin()
            start = self._clock.wall()
            dataset.fit(self.best_estimator_)
            self.refit_time_ = self._clock.wall() - start
        task.end()
        if hasattr(self.best_estimator_, "feature_names_in_"):
            self.feature_names_in_ = self.best_estimator_.feature_names_in_

    def __sklearn_tags__(self) -> Tags:
        tags = super().__sklearn_tags__()
        tags.target_tags = copy.deepcopy(get_tags(self.estimator).target_tags)
        return tags


def _checked_index(index: Any, n_candidates: int) -> int:
    """The index that a callable ``refit`` returned, if it is one."""
    if not isinstance(index, numbers.Integral):
        raise TypeError(f"refit must return an index into cv_results_, an integer; got {index!r}.")
    index = int(index)
    if not 0 <= index < n_candidates:
        raise IndexError(
            f"refit must return an index into cv_results_, from 0 to {n_candidates - 1};"
            f" got {index}."
        )
    return index
