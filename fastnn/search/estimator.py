"""What does each second, microsecond and joule buy in accuracy? A search that returns the whole front, not one best model."""

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
from numpy.typing import NDArray
from scipy.stats import rankdata
from sklearn.base import BaseEstimator, is_classifier
from sklearn.exceptions import ConvergenceWarning
from sklearn.metrics import check_scoring, get_scorer_names
from sklearn.model_selection import check_cv
from sklearn.model_selection._search import BaseSearchCV
from sklearn.utils import Tags, check_random_state, get_tags, indexable
from sklearn.utils.validation import _check_method_params

from fastnn._sklearn import HasMethods, Interval, StrOptions, fit_context
from fastnn.search.front import check_refit
from fastnn.search.measure import (
    BULK_ROWS,
    CAREFUL,
    FITS,
    GLANCE,
    QUANTITIES,
    Clock,
    Table,
    estimate_label,
    fit,
    machine,
)
from fastnn.search.run import Run, Silent, with_params
from fastnn.search.space import Space, default_space, describe
from fastnn.search.trials import Candidate, Trials

DEFAULT_TRIALS = 50


class TradeoffSearchCV(BaseSearchCV):
    """Search hyper-parameters for the trade between accuracy and cost: the Pareto front, and one
    model from it.

    Every candidate is cross-validated, its folds training in threads beside each other, and its
    cost measured: seconds to fit, microseconds to predict, bytes, FLOPs, joules. Optuna's
    tree-structured Parzen estimator proposes candidates that push the front. The candidates on the
    front are measured again, one by one, each in a fresh process.

    Parameters
    ----------
    estimator : estimator object
        A network of fastnn's, any other scikit-learn estimator, or a Pipeline. Estimators of several kinds are laid side by
        side as in scikit-learn's searches: a Pipeline whose last step is a parameter, and a list of dicts.
    param_distributions : dict, list of dicts or None, default=None
        Parameter names, and for each a list, a scipy.stats distribution, or an Optuna distribution. Of a list of dicts, each
        candidate takes one. None varies the network that the estimator is or holds: see :func:`fastnn.search.space.default_space`.
    objectives : sequence of str, default=("score", "fit_time")
        What the front is made of: "score", "fit_time", "cpu_time", "latency_us", "row_us", "model_bytes", "flops",
        "energy_j". Quantities that ``refit`` names are added.
    max_time : float or None, default=None
        Seconds that ``fit`` may take, measuring the front and the last fit included. A fit that runs is not cut short, so keep
        the slowest candidate well below it. A candidate that would take over a tenth of it, and of which a fold takes four
        times as long as others', is given up after a fold.
    n_trials : int or None, default=None
        How many candidates are tried, those found in ``storage`` included; 50 where neither limit is given. A finite space
        that holds no more than these is enumerated, each candidate once.
    cv : int, cross-validation generator or iterable, default=5
    scoring : str, callable or None, default=None
        One score, more is better; the estimator's own where None.
    refit : "knee", str, dict, callable or False, default="knee"
        Which candidate of the front is fitted on all rows and handed over:

        - "knee", the cheapest whose score is within one standard error of the best one's;
        - the name of a quantity, the best in it;
        - limits, such as ``{"latency_us": 20, "score": "max"}``: the best score among those that
          predict a row in 20 us. A limit on "score" or on what is otherwise maximised is a lower
          one;
        - a callable that takes ``cv_results_`` and returns an index;
        - False, none. n_jobs : int or None, default=None How many folds train at the same time, in
    threads: nothing is copied to other processes. None is 1, -1 all cores. Above 1, which
    candidates are proposed depends on which are finished first. random_state : int, RandomState
    instance or None, default=None Of the search. The estimator has its own. storage : str, path,
    Optuna storage or None, default=None Where candidates are kept as they are found: the path of a
    file, or a database URL. The same search - data, estimator, space, folds - started again goes on
    from there, after it was killed too.

    Attributes
    ----------
    cv_results_ : dict of str to ndarray
        Made for a DataFrame, one row for each candidate. As in scikit-learn's searches: ``params``, ``param_*``,
        ``split*_test_score``, ``mean_test_score``, ``std_test_score``, ``rank_test_score``, ``mean_fit_time``,
        ``std_fit_time``, ``mean_score_time``, ``std_score_time``. Beside them, for each quantity but the score:
        its value (``fit_time``, ``cpu_time``, ``latency_us``, ``row_us``, ``model_bytes``, ``flops``, ``peak_bytes``,
        ``energy_j``), a median of repeats, NaN where not known; for the timed ones ``iqr_*``, the distance between the
        quartiles of the repeats, and ``repeats_*``, the repeats. ``energy_source`` says how joules were come by, ``measured``
        is "alone" or "beside others", ``on_front`` a bool, ``failure`` the reason of a candidate that failed, else "".
    pareto_front_ : ndarray of shape (n_front,)
        Indices into ``cv_results_`` of the candidates that no other one beats, the cheapest first.
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
        It, fitted on all rows.
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
    >>> search = TradeoffSearchCV(MLPClassifier(max_iter=300, random_state=0), sizes, objectives=("score", "flops"))
    >>> search = search.fit(X, y)
    >>> front = search.cv_results_["flops"][search.pareto_front_]
    """

    _parameter_constraints: ClassVar[dict[str, Any]] = {
        "estimator": [HasMethods(["fit"])],
        "param_distributions": [dict, list, None],
        "objectives": ["array-like"],
        "max_time": [Interval(numbers.Real, 0, None, closed="neither"), None],
        "n_trials": [Interval(numbers.Integral, 1, None, closed="left"), None],
        "cv": ["cv_object"],
        "scoring": [StrOptions(set(get_scorer_names())), callable, None],
        "refit": [str, dict, callable, "boolean"],
        "n_jobs": [numbers.Integral, None],
        "random_state": ["random_state"],
        "storage": "no_validation",
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
        scoring: str | Callable[..., float] | None = None,
        refit: str | Mapping[str, float | str] | Callable[..., int] | bool = "knee",
        n_jobs: int | None = None,
        random_state: int | np.random.RandomState | None = None,
        storage: Any = None,
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

    @fit_context(prefer_skip_nested_validation=False)
    def fit(self, X: Any, y: Any = None, **params: Any) -> TradeoffSearchCV:
        """Search, measure the front, and fit the chosen candidate on all rows.

        Ctrl-C ends the search with what has been found, once the folds that run are done.

        Parameters
        ----------
        X : array-like or sparse matrix of shape (n_samples, n_features)
        y : array-like of shape (n_samples,) or (n_samples, n_outputs), default=None
        **params
            For the estimator's ``fit``, the scorer and the splitter, as in ``GridSearchCV.fit``: an array with an element for
            each row, such as ``sample_weight``, is cut into folds with X.

        Returns
        -------
        self : object

        Raises
        ------
        ImportError
            Without Optuna.
        ValueError
            If a parameter is wrong, if every candidate fails (TypeError if each by one), or if no candidate keeps within the
            limits of ``refit``; ``cv_results_`` and ``pareto_front_`` are there in the last case.
        """
        start = self._clock.wall()
        if y is None and get_tags(self.estimator).target_tags.required:
            raise ValueError(
                f"This {type(self).__name__} requires y to be passed, but the target y is None."
            )
        self.objectives_ = self._check_objectives()
        self.scorer_, self.multimetric_ = check_scoring(self.estimator, self.scoring), False
        X, y = indexable(X, y)
        params = _check_method_params(X, params)
        routed = self._get_routed_params_for_fit(params)
        table = Table(X, y, routed.estimator.fit, routed.scorer.score)
        cv = check_cv(self.cv, y, classifier=is_classifier(self.estimator))
        splits = list(cv.split(X, y, **routed.splitter.split))
        self.n_splits_ = len(splits)

        estimator, distributions = self.estimator, self.param_distributions
        if distributions is None:
            distributions = default_space(estimator, len(splits[0][0]))
        space = Space(distributions)
        for example in (
            space.examples()
        ):  # a name that the estimator does not know is not worth fifty failures
            with_params(estimator, example)
        seed = check_random_state(self.random_state).randint(2**31)
        name = (
            "fastnn"
            if self.storage is None
            else self._fingerprint(estimator, distributions, table, splits)
        )
        trials = Trials(space, self.objectives_, self.storage, name, seed)
        self.study_ = trials.study

        n_trials = (
            DEFAULT_TRIALS if self.n_trials is None and self.max_time is None else self.n_trials
        )
        root = self._begin_callbacks(table)
        run = Run(
            search=self,
            estimator=estimator,
            table=table,
            splits=splits,
            trials=trials,
            clock=self._clock,
            n_jobs=joblib.effective_n_jobs(self.n_jobs),
            n_trials=min(math.inf if n_trials is None else n_trials, space.size),
            end=math.inf if self.max_time is None else start + self.max_time,
        )
        try:
            run.spend(root)
        except KeyboardInterrupt:
            if not run.front().size:
                raise
            n_found = len(run.succeeded)
            warnings.warn(
                f"Search interrupted by user; it ends with the {n_found} candidates found so far.",
                stacklevel=3,
            )
        self._publish(run)
        if self.refit is not False:
            self._refit(run, root)
        root.call_on_fit_task_end(estimator=self, X=X, y=y, metadata=table.metadata)
        return self

    def _check_objectives(self) -> tuple[str, ...]:
        """The objectives, with what ``refit`` speaks of; before anything is trained."""
        allowed = [q for q in QUANTITIES if q != "peak_bytes"]
        objectives = list(self.objectives)
        if not objectives or len(set(objectives)) < len(objectives):
            raise ValueError(
                f"objectives must name at least one quantity, and each once; got {self.objectives!r}."
            )
        for q in objectives:
            if q not in allowed:
                hint = (
                    " It is known of the front only; limit it by refit."
                    if q == "peak_bytes"
                    else ""
                )
                raise ValueError(f"objectives must be among {allowed}, got {q!r}.{hint}")
        named = [q for q in check_refit(self.refit) if q in allowed]
        return tuple(dict.fromkeys([*objectives, *named]))

    def _fingerprint(
        self, estimator: BaseEstimator, distributions: Any, table: Table, splits: Any
    ) -> str:
        """The name under which a storage keeps this very search: any change in what decides a score makes it another one."""
        made_of = describe([estimator, distributions, self.scoring])
        try:
            return f"fastnn-{joblib.hash((made_of, vars(table), splits, self.objectives_))}"
        except (pickle.PicklingError, TypeError, AttributeError) as error:
            raise ValueError(
                "storage tells searches apart by what they are made of, and something in the estimator, the space, the scoring"
                f" or the data cannot be pickled for that: {str(error)[:200]}. Replace it, or search without storage."
            ) from error

    def _begin_callbacks(self, table: Table) -> Any:
        """The root of scikit-learn's tree of tasks, which its callbacks follow; below it stages, as many as time allows."""
        if not hasattr(self, "_init_callback_context"):  # scikit-learn before 1.9
            return Silent()
        root = self._init_callback_context(
            max_subtasks=2 + (self.refit is not False) if self.max_time is None else None
        )
        return root.call_on_fit_task_begin(
            estimator=self, X=table.X, y=table.y, metadata=table.metadata
        )

    def _publish(self, run: Run) -> None:
        """Everything that has been found, as attributes."""
        numbers_of_rows = list(
            run.trials.candidates
        )  # Optuna numbers trials that came to nothing as well
        row_of = {number: row for row, number in enumerate(numbers_of_rows)}
        self.pareto_front_ = np.array([row_of[number] for number in run.front()], np.intp)
        candidates = [run.trials.candidates[number] for number in numbers_of_rows]
        self.cv_results_ = _results(candidates, self.n_splits_, self.pareto_front_)
        self.measurements_ = _measurements(candidates, run)
        if callable(self.refit):
            self.best_index_ = int(self._select_best_index(self.refit, "score", self.cv_results_))
        elif self.refit is not False:
            self.best_index_ = row_of[run.choice()]
        if self.refit is not False:
            self.best_params_ = candidates[self.best_index_].params
            self.best_score_ = candidates[self.best_index_].value("score")

    def _refit(self, run: Run, root: Any) -> None:
        """Fit the chosen candidate on all rows."""
        X, y, metadata = run.table.X, run.table.y, run.table.metadata
        self.best_estimator_ = with_params(run.estimator, self.best_params_)
        task = root.subcontext(task_name="refit-with-best-params")
        with task.propagate_callback_context(self.best_estimator_), warnings.catch_warnings():
            if any(
                name.endswith("max_iter") for name in self.best_params_
            ):  # it was chosen as the best time to stop
                warnings.simplefilter("ignore", ConvergenceWarning)
            task.call_on_fit_task_begin(estimator=self, X=X, y=y, metadata=metadata)
            start = self._clock.wall()
            fit(self.best_estimator_, X, y, run.table.fit_params)
            self.refit_time_ = self._clock.wall() - start
        task.call_on_fit_task_end(estimator=self, X=X, y=y, metadata=metadata)
        if hasattr(self.best_estimator_, "feature_names_in_"):
            self.feature_names_in_ = self.best_estimator_.feature_names_in_

    def __sklearn_tags__(self) -> Tags:
        tags = super().__sklearn_tags__()
        tags.target_tags = copy.deepcopy(get_tags(self.estimator).target_tags)
        return tags


def _results(candidates: list[Candidate], n_splits: int, front: NDArray[np.intp]) -> dict[str, Any]:
    """The candidates as columns; see ``cv_results_`` of :class:`TradeoffSearchCV`."""
    columns: dict[str, Any] = {}
    nothing = np.full(n_splits, np.nan)
    for q in ("fit_time", "score_time"):
        seconds = np.array([[getattr(one, q) for one in c.folds] or nothing for c in candidates])
        columns[f"mean_{q}"], columns[f"std_{q}"] = seconds.mean(axis=1), seconds.std(axis=1)
    for name in dict.fromkeys(name for c in candidates for name in c.params):
        values: Any = np.ma.masked_all(len(candidates), dtype=object)
        for row, c in enumerate(candidates):
            if name in c.params:
                values[row] = c.params[name]
        columns[f"param_{name}"] = values
    columns["params"] = [c.params for c in candidates]
    scores = np.array([[one.score for one in c.folds] or nothing for c in candidates])
    for i in range(n_splits):
        columns[f"split{i}_test_score"] = scores[:, i]
    mean = scores.mean(axis=1)
    columns |= {"mean_test_score": mean, "std_test_score": scores.std(axis=1)}
    columns["rank_test_score"] = rankdata(
        np.where(np.isnan(mean), np.inf, -mean), method="min"
    ).astype(np.int32)
    for q in QUANTITIES:
        if q == "score":
            continue
        columns[q] = np.array([c.value(q) for c in candidates])
        if QUANTITIES[q].timed:
            repeats = np.empty(len(candidates), dtype=object)
            repeats[:] = [c.repeats(q) for c in candidates]
            columns[f"iqr_{q}"] = np.array(
                [np.subtract(*np.percentile(r, [75, 25])) if r.size else np.nan for r in repeats]
            )
            columns[f"repeats_{q}"] = repeats
    estimate = estimate_label()
    columns["energy_source"] = np.array(
        [c.alone.energy_source if c.alone else estimate for c in candidates], dtype=object
    )
    columns["measured"] = np.array(
        ["alone" if c.alone else "beside others" for c in candidates], dtype=object
    )
    columns["on_front"] = np.isin(np.arange(len(candidates)), front)
    columns["failure"] = np.array([c.failure for c in candidates], dtype=object)
    return columns


def _measurements(candidates: list[Candidate], run: Run) -> dict[str, str]:
    """How each quantity was come by, in words."""
    beside = "alone" if run.n_jobs == 1 else f"beside {run.n_jobs - 1} other"
    n_alone = sum(one.alone is not None for one in candidates)
    if n_alone:
        beside += (
            ", times the median ratio of alone to beside others among candidates measured both ways"
        )
    in_search = f"in the search: median over {len(run.splits)} folds, each in one thread, {beside}"
    at_a_glance = (
        f"in the search: median of up to {GLANCE.most} calls of the first fold's model, {beside}"
    )
    in_process = f"{n_alone} candidates again, each alone in a fresh process on the first fold's rows: median of"
    words = {
        "score": f"mean over {len(run.splits)} folds; its spread is the standard deviation over them",
        "fit_time": f"wall seconds to fit the rows of a fold; {in_search}; {in_process} up to {FITS.most} fits",
        "cpu_time": f"CPU seconds to fit the rows of a fold; {in_search}; {in_process} up to {FITS.most} fits, all threads",
        "latency_us": f"wall microseconds of predict on one row; {at_a_glance}; {in_process} up to {CAREFUL.most} calls",
        "row_us": f"wall microseconds per row of predict on up to {BULK_ROWS} rows; {at_a_glance}; {in_process} the calls",
        "model_bytes": "length of the pickled fitted model, median over folds",
        "flops": "FLOPs of the network to predict one row, counted from its layers; preprocessing not counted",
        "peak_bytes": "rise of the resident memory (without files' pages) while fitting, in a fresh process with the table",
        "energy_j": f"joules of a fit; in the search {estimate_label()}; in a fresh process by energy_source",
    }
    assert words.keys() == QUANTITIES.keys()
    return {**words, "machine": machine()}
