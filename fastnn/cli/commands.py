"""What can be done with a table? Fit, predict, evaluate, explore; and demo and info.

Functions for Python as for the command line: they take plain settings, return what they found, and
print nothing; a `Reporter` is told what goes on.
"""

from __future__ import annotations

import os
import time
import warnings
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fastnn.cli.exploring import NoCandidateWithinLimits as NoCandidateWithinLimits
from fastnn.cli.exploring import different, searched
from fastnn.cli.files import export_ending_of, refuse_unwritable, table_writer
from fastnn.cli.quality import (
    Quality,
    against_constant,
    constant,
    measure,
    measure_out_of_fold,
)
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


@dataclass(frozen=True)
class Fitted:
    """What `fit` returns: the table, the model, and how its training went."""

    table: TrainingTable
    model: TableModel
    epochs: int
    seconds: float
    held_out: Quality | None
    output: str | None
    out_of_fold: Quality | None = None  # of a bag, on the rows that it was fitted to


@dataclass(frozen=True)
class Explored:
    """What `explore` returns: the table, the fitted search, and the chosen model."""

    table: TrainingTable
    search: TradeoffSearchCV
    model: TableModel
    held_out: Quality | None
    output: str | None
    report: str | None


@dataclass(frozen=True)
class Exported:
    """What `export` returns: the files, and the columns that are read, in order.

    ``texts`` are those of them that are given as text; C takes numbers alone.
    """

    files: list[str]
    inputs: list[str]
    texts: list[str] = field(default_factory=list)


def fit(
    table: TableFile | pd.DataFrame,
    goal: Goal,
    types: TypeOptions = TypeOptions(),  # noqa: B008 - frozen, as the settings below
    training: Training = Training(),  # noqa: B008
    *,
    output: str | None = None,
    reporter: Reporter = SILENT,
) -> Fitted:
    """Train a bag of networks, or a plain network, on a table.

    Parameters
    ----------
    table : TableFile or DataFrame
        What to learn from.
    goal : Goal
        What to learn.
    types : TypeOptions
        What the columns are, where that is not what their cells look like.
    training : Training
        What is trained, and how.
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

    from fastnn.cli.training import most_epochs, train
    from fastnn.estimators.inspect import innermost
    from fastnn.persistence import TableModel, save_model
    from fastnn.tabular.unseen import is_bag

    refuse_unwritable(output)
    known = training_table(table, goal, types, reporter)
    start = time.perf_counter()
    n_epochs = most_epochs(training, len(known.y))
    with reporter.training(n_epochs), warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        model = train(known, goal, training, reporter)
    seconds = time.perf_counter() - start
    for message, category in different(caught):
        option = " (--epochs)" if issubclass(category, ConvergenceWarning) else ""
        reporter.note(message.replace("Stochastic Optimizer: ", "") + option)
    about = _about(table, known, goal) | {"seconds": seconds}
    if training.threshold is not None:
        about["threshold"] = float(model[-1].threshold)
    held_out = _held_out(model, known, about, reporter)
    out_of_fold = None
    if is_bag(model):
        out_of_fold = measure_out_of_fold(model, known.schema, known.y, about)
        about["out_of_fold"] = out_of_fold.metrics
        if held_out is None:
            _note_constant(out_of_fold, about, reporter)
    saved = TableModel(model, known.schema, about)
    if output is not None:
        save_model(output, saved)
    epochs = int(innermost(model).n_iter_)
    return Fitted(known, saved, epochs, seconds, held_out, output, out_of_fold)


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

        add(f"predicted {target}" if target in kept else target, loaded.predicted(X))
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


def export(model: str | TableModel, output: str) -> Exported:
    """Write a model for programs without Python: as ONNX, or as C.

    Parameters
    ----------
    model : str or TableModel
        A fitted model, or the file it is saved in: a bag of networks, a plain network or a linear
        model.
    output : str
        A file that ends in .onnx, or in .c; a header is written beside the latter.

    Returns
    -------
    Exported

    Raises
    ------
    ValueError
        If ``output`` has another ending.
    TableError
        If the model cannot be exported.
    OSError
        If ``output`` cannot be written.
    """
    from fastnn.export import to_c, to_onnx
    from fastnn.export.onnx_graph import TEXT
    from fastnn.tabular.schema import TableError

    ending = export_ending_of(output)
    refuse_unwritable(output)
    loaded = _loaded(model)
    try:
        if ending == ".onnx":
            kinds = {
                one.name: one.type.tensor_type.elem_type
                for one in to_onnx(loaded, output).graph.input
            }
            return Exported([output], [*kinds], [name for name in kinds if kinds[name] == TEXT])
        to_c(loaded, output)
    except (TypeError, ValueError) as error:
        raise TableError(f"The model cannot be exported: {error}") from error
    files = [output, str(Path(output).with_suffix(".h"))]
    return Exported(files, [str(name) for name in loaded.model.feature_names_in_])


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
    found = searched(known, goal, search, reporter)
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
    measured = {name: about.pop(name, {}) for name in ("held_out", "out_of_fold")}
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
    return sections | {name.replace("_", " "): found for name, found in measured.items() if found}


def _notation(schema: Schema) -> dict[str, str]:
    """Return how columns are written where that is not the plain notation of numbers."""
    numbers = schema.numbers | (
        {schema.target: schema.target_notation} if schema.task == "regression" else {}
    )
    unusual = {name: notation.unusual for name, notation in numbers.items() if notation.unusual}
    dates = {name: f"dates in the order {dates.order}" for name, dates in schema.dates.items()}
    return schema.reading | {name: f"numbers with {how}" for name, how in unusual.items()} | dates


def _network_facts(model: Any) -> dict[str, Any]:
    """Return the size of the network or bag in a fitted pipeline, and how its training ended."""
    from fastnn.estimators.inspect import innermost, network_of
    from fastnn.report.vocabulary import kind
    from fastnn.tabular.unseen import is_bag

    network = network_of(model)
    if is_bag(model):
        return _bag_facts(innermost(model))
    if network is None:
        return {"model": kind(model)}
    return {
        "hidden": [weights.shape[1] for weights in network.coefs_[:-1]],
        "activation": str(network.activation),
        "solver": str(network.solver),
        "weights": sum(array.size for array in (*network.coefs_, *network.intercepts_)),
        "epochs": network.n_iter_,
        "loss": float(network.loss_),
    }


def _bag_facts(bag: Any) -> dict[str, Any]:
    """Return the size of a fitted bag, and how its training ended."""
    from fastnn.core.cost import n_params

    return {
        "preset": bag.preset,
        "members": bag.n_members_,
        "hidden": [layer.n_out for layer in bag.network_.layers[:-1]],
        "weights": bag.n_members_ * n_params(bag.network_),
        "epochs": bag.n_iter_,
        "loss": float(bag.loss_curve_[-1]),
    }


def _loaded(model: str | TableModel) -> TableModel:
    from fastnn.persistence import load_model

    return load_model(model) if isinstance(model, str) else model


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
