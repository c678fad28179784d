"""What can be done with a table? Fit, predict, evaluate, explore; and demo and info.

Functions for Python as for the command line: they take plain settings, return what they found, and
print nothing; a `Reporter` is told what goes on.
"""

from __future__ import annotations

import os
import time
import warnings
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fastnn.cli.files import refuse_unwritable, table_writer
from fastnn.cli.quality import Quality, against_constant, constant, measure
from fastnn.cli.reporter import Reporter
from fastnn.cli.settings import Goal, Search, TableFile, Training
from fastnn.cli.training_table import TrainingTable, read, training_table
from fastnn.tabular.options import TypeOptions

if TYPE_CHECKING:
    import pandas as pd

    from fastnn.cli.demo import Result
    from fastnn.persistence import TableModel
    from fastnn.search.estimator import TradeoffSearchCV
    from fastnn.tabular.schema import Schema

# Each of five folds should hold a few rows.
MIN_ROWS_TO_EXPLORE = 30
SILENT = Reporter()
MAX_REASONS = 3  # of failures, that are shown


class NoCandidateWithinLimits(ValueError):
    """No candidate keeps within the limits; ``search`` holds those that were found."""

    def __init__(self, message: str, search: TradeoffSearchCV) -> None:
        super().__init__(message)
        self.search = search


@dataclass(frozen=True)
class Fitted:
    """What `fit` returns: the table, the model, and how its training went."""

    table: TrainingTable
    model: TableModel
    epochs: int
    seconds: float
    held_out: Quality | None
    output: str | None


@dataclass(frozen=True)
class Explored:
    """What `explore` returns: the table, the fitted search, and the chosen model."""

    table: TrainingTable
    search: TradeoffSearchCV
    model: TableModel
    held_out: Quality | None
    output: str | None
    report: str | None


def fit(
    table: TableFile | pd.DataFrame,
    goal: Goal,
    types: TypeOptions = TypeOptions(),  # noqa: B008 - frozen, as the settings below
    training: Training = Training(),  # noqa: B008
    *,
    output: str | None = None,
    reporter: Reporter = SILENT,
) -> Fitted:
    """Train a network on a table.

    Parameters
    ----------
    table : TableFile or DataFrame
        What to learn from.
    goal : Goal
        What to learn.
    types : TypeOptions
        What the columns are, where that is not what their cells look like.
    training : Training
        How the network is trained.
    output : str or None
        Where to save the model; None saves none.
    reporter : Reporter
        Is told what goes on.

    Returns
    -------
    Fitted

    Raises
    ------
    TableError
        If the table cannot be read or not be learned from.
    OSError
        If ``output`` cannot be written; before anything is read.
    """
    from sklearn.exceptions import ConvergenceWarning

    from fastnn.cli.training import train
    from fastnn.estimators.inspect import innermost
    from fastnn.persistence import TableModel, save_model

    refuse_unwritable(output)
    known = training_table(table, goal, types, reporter)
    start = time.perf_counter()
    with reporter.training(training.epochs), warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        model = train(known, goal, training, reporter)
    seconds = time.perf_counter() - start
    for message, category in _different(caught):
        option = " (--epochs)" if issubclass(category, ConvergenceWarning) else ""
        reporter.note(message.replace("Stochastic Optimizer: ", "") + option)
    about = _about(table, known, goal) | {"seconds": seconds}
    if training.threshold is not None:
        about["threshold"] = float(model[-1].threshold)
    held_out = _held_out(model, known, about, reporter)
    saved = TableModel(model, known.schema, about)
    if output is not None:
        save_model(output, saved)
    return Fitted(known, saved, int(innermost(model).n_iter_), seconds, held_out, output)


def predict(
    model: str | TableModel,
    table: TableFile | pd.DataFrame,
    *,
    proba: bool = False,
    keep: Sequence[str] | None = (),
    output: str | None = None,
    reporter: Reporter = SILENT,
) -> pd.DataFrame:
    """Predict the rows of a table.

    Parameters
    ----------
    model : str or TableModel
        A fitted model, or the file it is saved in.
    table : TableFile or DataFrame
        The rows.
    proba : bool
        Whether to add the probability of every class.
    keep : sequence of str or None
        Columns of the table that stand before the predictions; None keeps all.
    output : str or None
        Where to write the predictions, in the format of the ending: .csv, .parquet, .pq, .json
        or .jsonl.
    reporter : Reporter
        Is told what goes on.

    Returns
    -------
    DataFrame of shape (n_rows, n_kept + 1) or (n_rows, n_kept + 1 + n_classes)
        The columns kept, and the predictions in a column named like the target, or "predicted"
        and its name where the target itself is kept.

    Raises
    ------
    TableError
        If the table does not suit the model, has not the columns to keep, or ``proba`` is asked of
        a model of numbers.
    ValueError
        If there is no format of the ending of ``output``; before anything is read.
    OSError
        If ``output`` cannot be written; before anything is read.
    """
    from fastnn.tabular.encode import features
    from fastnn.tabular.recognise import columns_named
    from fastnn.tabular.schema import TableError, plain_columns

    write = None if output is None else table_writer(output)
    loaded = _loaded(model)
    target = loaded.schema.target
    if proba and loaded.schema.task == "regression":
        raise TableError("--proba is for classes, but this model predicts numbers.")
    frame = plain_columns(read(table, reporter, loaded.schema.reading))
    kept = list(frame.columns) if keep is None else list(columns_named(frame, keep))
    X = features(loaded.schema, frame, reporter.note)
    with reporter.busy("predicting"):
        out = frame[kept].copy()

        def add(name: str, values: Any) -> None:
            if name in out:
                free = next(f"{name} ({i})" for i in range(2, 10**9) if f"{name} ({i})" not in out)
                reporter.note(f"the table has a column {name!r}: what is predicted is in {free!r}")
                name = free
            out[name] = values

        add(f"predicted {target}" if target in kept else target, loaded.model.predict(X))
        if proba:
            chances = loaded.model.predict_proba(X).T
            for label, column in zip(loaded.model.classes_, chances, strict=True):
                add(f"probability of {label}", column)
    if write is not None:
        write(out)
    return out


def evaluate(
    model: str | TableModel, table: TableFile | pd.DataFrame, *, reporter: Reporter = SILENT
) -> Quality:
    """Measure a model on a table that holds the target.

    Parameters
    ----------
    model : str or TableModel
        A fitted model, or the file it is saved in.
    table : TableFile or DataFrame
        The rows.
    reporter : Reporter
        Is told what goes on.

    Returns
    -------
    Quality

    Raises
    ------
    TableError
        If the table does not suit the model, or none of its targets is a class of the model's.
    """
    from fastnn.tabular.encode import features, targets, with_known_target
    from fastnn.tabular.schema import TableError

    loaded = _loaded(model)
    schema = loaded.schema
    frame = with_known_target(schema, read(table, reporter, schema.reading), reporter.note)
    y = targets(schema, frame)
    X = features(schema, frame, reporter.note)
    classes = getattr(loaded.model, "classes_", y).tolist()
    if len(y) and not set(classes) & set(y.tolist()):
        raise TableError(
            f"No row of the table has a target that the model knows: column {schema.target!r}"
            f" holds {str(y[0])!r} and the like; the model's classes are"
            f" {', '.join(map(str, classes[:10]))}."
        )
    with reporter.busy("predicting"):
        quality = measure(loaded.model, schema, X, y, loaded.about)
    _note_constant(quality, loaded.about, reporter)
    return quality


def explore(
    table: TableFile | pd.DataFrame,
    goal: Goal,
    types: TypeOptions = TypeOptions(),  # noqa: B008 - frozen, as the settings below
    search: Search = Search(),  # noqa: B008
    *,
    output: str | None = None,
    report: str | None = None,
    reporter: Reporter = SILENT,
) -> Explored:
    """Find what each second, microsecond and byte buys in accuracy.

    Parameters
    ----------
    table : TableFile or DataFrame
        What to learn from.
    goal : Goal
        What to learn.
    types : TypeOptions
        What the columns are, where that is not what their cells look like.
    search : Search
        How candidates are searched, and which one is chosen.
    output, report : str or None
        Where to save the chosen model and the report; None saves none.
    reporter : Reporter
        Is told what goes on.

    Returns
    -------
    Explored

    Raises
    ------
    TableError
        If the table cannot be read, not be learned from, or is too small to compare candidates on.
    NoCandidateWithinLimits
        If the search found none; it holds the search.
    OSError
        If ``output`` or ``report`` cannot be written; before anything is read.
    """
    from fastnn.persistence import TableModel, save_model
    from fastnn.report import write_report
    from fastnn.tabular.schema import TableError

    for path in (report, output):
        refuse_unwritable(path)
    known = training_table(table, goal, types, reporter)
    if known.rows < MIN_ROWS_TO_EXPLORE:
        raise TableError(
            f"{known.rows} rows are too few to compare candidates on;"
            f" at least {MIN_ROWS_TO_EXPLORE} are needed."
        )
    found = _searched(known, goal, search, reporter)
    model = found.best_estimator_
    params = {name: str(value) for name, value in found.best_params_.items()}
    about = _about(table, known, goal) | {"params": params}
    held_out = _held_out(model, known, about, reporter)
    chosen = TableModel(model, known.schema, about)
    if output is not None:
        save_model(output, chosen)
    if report is not None:
        with reporter.busy("writing the report"):
            write_report(
                report,
                found,
                known.X,
                known.y,
                known.X_test,
                known.y_test,
                title=Path(table.path).name if isinstance(table, TableFile) else "a DataFrame",
                schema=known.schema,
                data_code=_data_code(table, goal, types, known),
            )
    return Explored(known, found, chosen, held_out, output, report)


def demo(
    *,
    plot: str | os.PathLike[str] | None = None,
    seconds: float = 5.0,
    reporter: Reporter = SILENT,
) -> dict[str, dict[str, Result]]:
    """Train scikit-learn's networks and every backend's on four problems, and time them.

    Parameters
    ----------
    plot : path or None
        Where to draw the loss curves, as the picture that the ending says; None draws none.
    seconds : float
        For each problem: the contenders are fitted in turns until they are spent, at least once.
    reporter : Reporter
        Is shown a table for each problem when it is done.

    Returns
    -------
    dict of str to dict of str to Result
        By the problem's title and the contender's name.

    Raises
    ------
    FileNotFoundError
        If the folder for ``plot`` does not exist; before anything is trained.
    """
    # Here because it imports scikit-learn's data sets and networks, which nothing else needs.
    from fastnn.cli.demo import run

    return run(plot, seconds, reporter)


def info(model: str | None = None) -> dict[str, dict[str, Any]]:
    """Return what this machine has, or what a model file holds.

    Parameters
    ----------
    model : str or None
        A file saved by `fit` or `explore`. None asks for versions, backends, instruction sets and
        threads, as `fastnn.show_config` does.

    Returns
    -------
    dict of str to dict
        By section and name.

    Raises
    ------
    ModelFileError
        If ``model`` is no model file.
    """
    from fastnn.environment import show_config

    if model is None:
        return show_config("dicts") or {}
    loaded = _loaded(model)
    schema, about = loaded.schema, dict(loaded.about)
    held_out = about.pop("held_out", {})
    sections: dict[str, dict[str, Any]] = {
        "file": {
            "path": model,
            "bytes": os.path.getsize(model),
            "saved by": f"fastnn {loaded.version}",
        },
        "task": {"target": schema.target, "task": schema.task, "reason": schema.reason},
        "columns": {
            "numeric": list(schema.numeric),
            "categorical": list(schema.categorical),
            "left out": list(schema.left_out),
        },
        "notation": _notation(schema),
        "training": about | _network_facts(loaded.model),
    }
    if schema.task != "regression":
        sections["task"]["classes"] = loaded.model.classes_.tolist()
    return sections | ({"held out": held_out} if held_out else {})


def _notation(schema: Schema) -> dict[str, str]:
    """Return how columns are written where that is not the plain notation of numbers."""
    numbers = schema.numbers | (
        {schema.target: schema.target_notation} if schema.task == "regression" else {}
    )
    unusual = {name: notation.unusual for name, notation in numbers.items() if notation.unusual}
    dates = {name: f"dates in the order {dates.order}" for name, dates in schema.dates.items()}
    return schema.reading | {name: f"numbers with {how}" for name, how in unusual.items()} | dates


def _network_facts(model: Any) -> dict[str, Any]:
    """Return the size of the network in a fitted pipeline, and how its training ended."""
    from fastnn.estimators.inspect import innermost, network_of

    network = network_of(model)
    if network is None:
        bag = innermost(model)
        preset = getattr(bag, "preset", None)
        return {} if preset is None else {"preset": preset, "epochs": bag.n_iter_}
    return {
        "hidden": [weights.shape[1] for weights in network.coefs_[:-1]],
        "activation": str(network.activation),
        "solver": str(network.solver),
        "weights": sum(array.size for array in (*network.coefs_, *network.intercepts_)),
        "epochs": network.n_iter_,
        "loss": float(network.loss_),
    }


def _loaded(model: str | TableModel) -> TableModel:
    from fastnn.persistence import load_model

    return load_model(model) if isinstance(model, str) else model


def _searched(
    known: TrainingTable, goal: Goal, settings: Search, reporter: Reporter
) -> TradeoffSearchCV:
    """Fit a search on the rows that are not held out."""
    from fastnn.backends.threads import available_cpus
    from fastnn.cli.training import learns_logarithms, network, refuse_unsuitable, row_weights
    from fastnn.search.estimator import TradeoffSearchCV
    from fastnn.tabular.encode import table_model
    from fastnn.training.loop import InterruptedWarning

    refuse_unsuitable(known.schema, goal)
    log_target = learns_logarithms(known, goal, Training(), reporter)
    limits = dict(settings.limits)
    search = TradeoffSearchCV(
        table_model(known.schema, network(known.schema, goal), log_target=log_target),
        objectives=settings.objectives,
        max_time=settings.max_time or (None if settings.trials else 60.0),
        n_trials=settings.trials,
        cv=settings.cv,
        scoring=_scoring(settings.metric, known),
        refit={**limits, "score": "max"} if limits else settings.choose,
        n_jobs=settings.jobs or available_cpus(),
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
    for message, category in _different(caught):
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


def _different(caught: list[warnings.WarningMessage]) -> list[tuple[str, type[Warning]]]:
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


def _held_out(
    model: Any, known: TrainingTable, about: dict[str, Any], reporter: Reporter
) -> Quality | None:
    """Measure a model on the rows held out, and put what was measured into ``about``."""
    if known.y_test is None:
        return None
    quality = measure(model, known.schema, known.X_test, known.y_test, about)
    _note_constant(quality, about, reporter)
    about["held_out"] = quality.metrics
    return quality


def _note_constant(quality: Quality, about: dict[str, Any], reporter: Reporter) -> None:
    sentence = against_constant(quality, about)
    if sentence is not None:
        reporter.note(sentence)


def _about(table: TableFile | pd.DataFrame, known: TrainingTable, goal: Goal) -> dict[str, Any]:
    """Return what is saved beside a model."""
    data = table.path if isinstance(table, TableFile) else "a DataFrame"
    weight = {} if goal.class_weight is None else {"class_weight": goal.class_weight}
    return {"data": data, "rows": len(known.y)} | constant(known.schema, known.y) | weight


def _data_code(
    table: TableFile | pd.DataFrame, goal: Goal, types: TypeOptions, known: TrainingTable
) -> str:
    """Return the Python code that makes the X and y, and those held out, of ``known``."""
    from fastnn.report.code import table_code

    if isinstance(table, TableFile):
        return table_code(table.path, table.said, goal.target, types, known.split)
    return table_code(None, {}, goal.target, types, known.split)
