"""What can be asked of fastnn on the command line? The subcommands of ``fastnn``, also ``python -m
fastnn``.

Results go to standard output; notes, progress and errors to standard error. Exit status: 0 done, 1
failed, 2 wrong usage, 130 interrupted by Ctrl-C, with what had been found until then saved.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import sys
import time
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import fastnn
from fastnn._optional import require
from fastnn.cli.terminal import busy, epochs, exploring, refuse_unwritable, watching_interrupts

if TYPE_CHECKING:
    import pandas as pd

    from fastnn.tabular.schema import Schema

# Fewer rows than this are too few to hold a part back from training, and too few to compare
# candidates on.
MIN_ROWS_TO_HOLD_OUT = 20
# From so many rows on, a validation part tells when to stop; on fewer it would be too small to
# tell.
MIN_ROWS_TO_STOP_EARLY = 1000
# Each of five folds should hold a few rows.
MIN_ROWS_TO_EXPLORE = 30
INTERRUPTED = 130  # 128 + SIGINT, what a shell reports of a program that Ctrl-C ended


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line ``argv`` (without the program's name; None takes the process's) and return the exit status."""
    arguments = _parser().parse_args(argv)
    try:
        with watching_interrupts() as interrupts:
            arguments.run(arguments)
            sys.stdout.flush()
        return INTERRUPTED if interrupts else 0
    except BrokenPipeError:  # the reader of our output has left, as `head` does
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except KeyboardInterrupt:
        print("fastnn: interrupted", file=sys.stderr)
        return INTERRUPTED
    except OSError as error:
        what = f"{error.filename}: " if error.filename else ""
        print(f"fastnn: error: {what}{error.strerror or error}", file=sys.stderr)
        return 1
    except (ValueError, ImportError, MemoryError) as error:
        print(f"fastnn: error: {error}", file=sys.stderr)
        return 1


# ------------------------------------------------------------------------------------------------------------- the parser


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="fastnn", description=fastnn.__doc__)
    parser.add_argument("--version", action="version", version=f"fastnn {fastnn.__version__}")
    commands = parser.add_subparsers(title="commands", metavar="command", required=True)

    fit = commands.add_parser("fit", help="train a network on a table and save it")
    _add_training_table(fit)
    fit.add_argument(
        "-o", "--output", required=True, metavar="MODEL", help="where to save the model"
    )
    fit.add_argument(
        "--hidden",
        type=_sizes,
        default=(100,),
        metavar="N,N,...",
        help="neurons of the hidden layers (100); 0: none",
    )
    fit.add_argument(
        "--epochs",
        type=_at_least(1),
        default=200,
        metavar="N",
        help="the most passes over the rows (%(default)s)",
    )
    fit.set_defaults(run=_fit)

    predict = commands.add_parser("predict", help="predict the rows of a table with a saved model")
    predict.add_argument("model", help="a file saved by fit or explore")
    _add_table(predict)
    predict.add_argument(
        "-o",
        "--output",
        metavar="FILE",
        help="where to write: .csv or .parquet (default: CSV to standard output)",
    )
    predict.add_argument("--proba", action="store_true", help="add the probability of every class")
    predict.set_defaults(run=_predict)

    evaluate = commands.add_parser(
        "evaluate", help="measure a saved model on a table that holds the target"
    )
    evaluate.add_argument("model", help="a file saved by fit or explore")
    _add_table(evaluate)
    evaluate.add_argument("--json", action="store_true", help="print JSON")
    evaluate.set_defaults(run=_evaluate)

    explore = commands.add_parser(
        "explore", help="find what each second, microsecond and byte buys in accuracy"
    )
    _add_training_table(explore)
    explore.add_argument(
        "--max-time",
        type=_seconds,
        default=None,
        metavar="S",
        help="seconds for the search (60, unless --trials)",
    )
    explore.add_argument("--trials", type=_at_least(1), metavar="N", help="candidates to try")
    explore.add_argument("--report", metavar="HTML", help="where to write the report")
    explore.add_argument("-o", "--output", metavar="MODEL", help="where to save the chosen model")
    explore.add_argument(
        "--objectives",
        type=_names,
        default=("score", "fit_time"),
        metavar="A,B,...",
        help="what to trade off (score,fit_time)",
    )
    explore.add_argument(
        "--choose",
        default="knee",
        metavar="WHAT",
        help="knee (the default), or the objective to be best in",
    )
    explore.add_argument(
        "--limit", type=_limit, action="append", default=[], metavar="COST=VALUE",
        help="choose the best score within this cost, such as latency_us=20; may be given again",
    )  # fmt: skip
    explore.add_argument(
        "--cv",
        type=_at_least(2),
        default=5,
        metavar="N",
        help="folds for every candidate (%(default)s)",
    )
    explore.add_argument(
        "--jobs",
        type=_at_least(1),
        metavar="N",
        help="folds trained side by side (one for each processor)",
    )
    explore.add_argument(
        "--storage",
        metavar="FILE",
        help="keep the trials here; a search that was killed goes on from it",
    )
    explore.set_defaults(run=_explore)

    demo = commands.add_parser(
        "demo", help="train on real data, every backend beside scikit-learn, and show the times"
    )
    demo.add_argument(
        "--plot",
        default="fastnn-demo.png",
        metavar="FILE",
        help="where to draw the loss curves (%(default)s)",
    )
    demo.set_defaults(run=_demo)

    info = commands.add_parser("info", help="show versions, backends, instruction set and threads")
    info.set_defaults(run=_info)
    return parser


def _add_table(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "data", help="a table: CSV (plain or .gz) or Parquet; - reads standard input"
    )
    parser.add_argument(
        "--sep", help="what separates the cells of a CSV file (found out by itself)"
    )
    parser.add_argument(
        "--encoding", help="the encoding of a text file (by its byte order mark, else utf-8)"
    )
    parser.add_argument(
        "--decimal",
        choices=(".", ","),
        metavar="MARK",
        help="what stands before a fraction: . or , (found out by itself)",
    )
    parser.add_argument(
        "--thousands",
        choices=("", ",", ".", " ", "'"),
        metavar="MARK",
        help="what stands between groups of digits: , . ' or a blank (found out by itself)",
    )


def _add_training_table(parser: argparse.ArgumentParser) -> None:
    _add_table(parser)
    parser.add_argument("--target", required=True, metavar="COLUMN", help="the column to predict")
    parser.add_argument(
        "--task",
        choices=("binary", "multiclass", "regression"),
        help="what to predict (recognised by itself)",
    )
    parser.add_argument(
        "--categorical",
        action="append",
        default=[],
        metavar="A,B,...",
        help="columns of numbers that are categories; may be given again",
    )
    parser.add_argument(
        "--drop",
        action="append",
        default=[],
        metavar="A,B,...",
        help="columns to leave out; may be given again",
    )
    parser.add_argument(
        "--keep",
        action="append",
        default=[],
        metavar="A,B,...",
        help="columns to use although they look like identifiers or names; may be given again",
    )
    parser.add_argument(
        "--missing",
        type=_names,
        metavar="A,B,...",
        help="what stands for a missing cell (NA, nan, null, None, ? and their like)",
    )
    parser.add_argument(
        "--ignore-case",
        action="store_true",
        default=None,
        help="categories and labels that differ in case alone are the same",
    )
    parser.add_argument(
        "--day-first",
        action=argparse.BooleanOptionalAction,
        help="whether 1/2/2024 is the first of February (found out by itself)",
    )
    parser.add_argument(
        "--holdout",
        type=_share,
        default=0.2,
        metavar="SHARE",
        help="rows kept back to measure on (%(default)s)",
    )
    parser.add_argument(
        "--seed", type=_at_least(0), default=0, metavar="N", help="random seed (%(default)s)"
    )


def _at_least(least: int) -> Any:
    def integer(text: str) -> int:
        if not re.fullmatch(r"\d+", text) or int(text) < least:
            raise argparse.ArgumentTypeError(f"{text!r} is not a whole number of at least {least}")
        return int(text)

    return integer


def _sizes(text: str) -> tuple[int, ...]:
    if text == "0":
        return ()
    if not re.fullmatch(r"[1-9]\d*(,[1-9]\d*)*", text):
        raise argparse.ArgumentTypeError(
            f"{text!r} is not a list of layer sizes such as 100 or 64,32"
        )
    return tuple(map(int, text.split(",")))


def _names(text: str) -> tuple[str, ...]:
    return tuple(name.strip() for name in text.split(",") if name.strip())


def _share(text: str) -> float:
    return _number(text, "a share of the rows, from 0 to below 1", lambda value: 0 <= value < 1)


def _seconds(text: str) -> float:
    return _number(text, "a number of seconds above 0", lambda value: 0 < value < float("inf"))


def _limit(text: str) -> tuple[str, float]:
    name, _, value = text.partition("=")
    return name.strip(), _number(
        value, f"a limit: give it as {name or 'COST'}=VALUE, such as latency_us=20", lambda v: v > 0
    )


def _number(text: str, what: str, allowed: Any) -> float:
    try:
        value = float(text)
    except ValueError:
        value = float("nan")
    if not allowed(value):
        raise argparse.ArgumentTypeError(f"{text!r} is not {what}")
    return value


# ------------------------------------------------------------------------------------------------------- what they share


def _note(message: str) -> None:
    print(f"fastnn: note: {message}", file=sys.stderr)


def _show(rows: Sequence[tuple[str, str]]) -> None:
    """Print aligned terms and values."""
    width = max(25, max(len(term) for term, _ in rows))
    for term, value in rows:
        print(f"{term:{width}}  {value}")


def _said_of_types(arguments: argparse.Namespace) -> dict[str, Any]:
    """Return the fields of `TypeOptions` that were said."""
    from dataclasses import fields

    from fastnn.tabular.options import TypeOptions

    said = {field.name: vars(arguments)[field.name] for field in fields(TypeOptions)}
    return {name: value for name, value in said.items() if value not in (None, [])}


def _read(arguments: argparse.Namespace, remembered: Any = None) -> pd.DataFrame:
    from fastnn.tabular.read import read_table

    with busy(f"reading {arguments.data}"):
        return read_table(
            arguments.data,
            sep=arguments.sep,
            encoding=arguments.encoding,
            remembered=remembered,
            note=_note,
        )


def _training_table(arguments: argparse.Namespace) -> tuple[Schema, pd.DataFrame, Any]:
    """Read and recognise the table of ``fit`` and ``explore``; print what it is; return schema, X and y."""
    from fastnn.tabular.encode import features, targets, with_known_target
    from fastnn.tabular.options import TypeOptions
    from fastnn.tabular.recognise import recognise

    frame = _read(arguments)
    options = TypeOptions(**_said_of_types(arguments))
    said = {name: vars(arguments)[name] for name in ("sep", "encoding")}
    reading = {name: value for name, value in said.items() if value}
    schema = recognise(frame, arguments.target, options, reading=reading)
    for line in schema.notes:
        _note(line)
    frame = with_known_target(schema, frame, _note)
    X = features(schema, frame)
    missing = int(X.isna().to_numpy().sum())
    _show(
        [
            ("task", f"{schema.task} ({schema.reason})"),
            (
                "table",
                f"{len(frame)} rows; {len(schema.numeric)} numeric and {len(schema.categorical)} categorical columns",
            ),
            ("missing", f"{missing} cells" if missing else "none"),
        ]
    )
    return schema, X, targets(schema, frame)


def _split(
    arguments: argparse.Namespace, schema: Schema, X: Any, y: Any
) -> tuple[Any, Any, Any, Any]:
    """Return X, y to train on and X, y held out; None, None where nothing is."""
    from sklearn.model_selection import train_test_split

    if not arguments.holdout:
        return X, y, None, None
    if len(y) < MIN_ROWS_TO_HOLD_OUT:
        _note(
            f"{len(y)} rows are too few to keep any back: the model is trained on all of them and not measured"
        )
        return X, y, None, None
    X, X_test, y, y_test = train_test_split(
        X,
        y,
        test_size=arguments.holdout,
        random_state=arguments.seed,
        stratify=_strata(schema, y, arguments.holdout),
    )
    return X, y, X_test, y_test


def _strata(schema: Schema, y: Any, holdout: float) -> Any:
    """Return ``y`` where every class has rows for both parts, None where it has not or there are no classes."""
    import numpy as np

    if schema.task == "regression":
        return None
    counts = np.unique(y, return_counts=True)[1]
    n_test = int(np.ceil(holdout * len(y)))
    return y if counts.min() >= 2 and len(counts) <= min(n_test, len(y) - n_test) else None


def _network(schema: Schema, **settings: Any) -> Any:
    from fastnn.estimators.mlp import MLPClassifier, MLPRegressor

    return (MLPRegressor if schema.task == "regression" else MLPClassifier)(**settings)


def _quality(model: Any, X: Any, y: Any) -> dict[str, float]:
    """Return what is to be said about a model on rows it has not seen."""
    import numpy as np

    from fastnn.report.assessment import assess_classes, assess_values, predictions

    predicted, scores, are_probabilities = predictions(model, X)
    if hasattr(model, "classes_"):
        return assess_classes(
            y, predicted, scores, are_probabilities, np.asarray(model.classes_)
        ).metrics
    return assess_values(y, predicted).metrics


def _quality_rows(model: Any, metrics: dict[str, float]) -> list[tuple[str, str]]:
    from fastnn.report.page import NAMES

    classes: Any = getattr(model, "classes_", ())
    of = [("precision, recall, F1 of", str(classes[1]))] if len(classes) == 2 else []
    return [(NAMES[name], f"{value:.4g}") for name, value in metrics.items() if name in NAMES] + of


# --------------------------------------------------------------------------------------------------------------- commands


def _fit(arguments: argparse.Namespace) -> None:
    from fastnn.persistence import TableModel, save_model
    from fastnn.search.measure import network_of
    from fastnn.tabular.encode import table_model

    refuse_unwritable(arguments.output)
    schema, X, y = _training_table(arguments)
    X, y, X_test, y_test = _split(arguments, schema, X, y)
    network = _network(
        schema,
        hidden_layer_sizes=arguments.hidden,
        max_iter=arguments.epochs,
        early_stopping=len(y) >= MIN_ROWS_TO_STOP_EARLY,
        random_state=arguments.seed,
        verbose=True,
    )
    model = table_model(schema, network)
    start = time.perf_counter()
    with epochs(arguments.epochs), warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        model.fit(X, y)
    seconds = time.perf_counter() - start
    trained = network_of(model)
    for message in dict.fromkeys(str(warning.message) for warning in caught):
        _note(
            message.replace("Stochastic Optimizer: ", "")
            + (" (--epochs)" if "Maximum iterations" in message else "")
        )
    about: dict[str, Any] = {"data": arguments.data, "rows": len(y), "seconds": seconds}
    rows = [("trained", f"on {len(y)} rows, {trained.n_iter_} epochs, {seconds:.2f} s")]
    if y_test is not None:
        about["held_out"] = _quality(model, X_test, y_test)
        rows += [
            ("measured", f"on {len(y_test)} rows held out"),
            *_quality_rows(model, about["held_out"]),
        ]
    save_model(arguments.output, TableModel(model, schema, about))
    _show([*rows, ("saved", arguments.output)])


def _predict(arguments: argparse.Namespace) -> None:
    from fastnn.persistence import load_model
    from fastnn.tabular.encode import features
    from fastnn.tabular.schema import TableError

    refuse_unwritable(arguments.output)
    loaded = load_model(arguments.model)
    if arguments.proba and loaded.schema.task == "regression":
        raise TableError("--proba is for classes, but this model predicts numbers.")
    schema = loaded.schema.written_with(arguments.decimal, arguments.thousands)
    X = features(schema, _read(arguments, schema.reading), _note)
    with busy("predicting"):
        out = require("pandas").DataFrame({loaded.schema.target: loaded.model.predict(X)})
        if arguments.proba:
            for label, column in zip(
                loaded.model.classes_, loaded.model.predict_proba(X).T, strict=True
            ):
                out[f"probability of {label}"] = column
    if arguments.output is None:
        out.to_csv(sys.stdout, index=False)
    elif arguments.output.endswith((".parquet", ".pq")):
        require("pyarrow")
        out.to_parquet(arguments.output, index=False)
    else:
        out.to_csv(arguments.output, index=False)


def _evaluate(arguments: argparse.Namespace) -> None:
    from fastnn.persistence import load_model
    from fastnn.tabular.encode import features, targets, with_known_target
    from fastnn.tabular.schema import TableError

    loaded = load_model(arguments.model)
    schema = loaded.schema.written_with(arguments.decimal, arguments.thousands)
    frame = with_known_target(schema, _read(arguments, schema.reading), _note)
    y = targets(schema, frame)
    X = features(schema, frame, _note)
    classes = getattr(loaded.model, "classes_", y).tolist()
    if len(y) and not set(classes) & set(y.tolist()):
        raise TableError(
            f"No row of the table has a target that the model knows: column {loaded.schema.target!r} holds {str(y[0])!r}"
            f" and the like; the model's classes are {', '.join(map(str, classes[:10]))}."
        )
    with busy("predicting"):
        metrics = _quality(loaded.model, X, y)
    if arguments.json:
        print(json.dumps({"task": loaded.schema.task, "rows": len(y), **metrics}))
    else:
        _show(
            [
                ("task", loaded.schema.task),
                ("rows", str(len(y))),
                *_quality_rows(loaded.model, metrics),
            ]
        )


def _explore(arguments: argparse.Namespace) -> None:
    from fastnn.backends.threads import available_cpus
    from fastnn.persistence import TableModel, save_model
    from fastnn.report import write_report
    from fastnn.search.estimator import TradeoffSearchCV
    from fastnn.tabular.encode import table_model
    from fastnn.tabular.schema import TableError

    for path in (arguments.report, arguments.output):
        refuse_unwritable(path)
    schema, X_all, y_all = _training_table(arguments)
    if len(y_all) < MIN_ROWS_TO_EXPLORE:
        raise TableError(
            f"{len(y_all)} rows are too few to compare candidates on; at least {MIN_ROWS_TO_EXPLORE} are needed."
        )
    X, y, X_test, y_test = _split(arguments, schema, X_all, y_all)
    limits = dict(arguments.limit)
    search = TradeoffSearchCV(
        table_model(schema, _network(schema, random_state=arguments.seed)),
        objectives=arguments.objectives,
        max_time=arguments.max_time or (None if arguments.trials else 60.0),
        n_trials=arguments.trials,
        cv=arguments.cv,
        refit={**limits, "score": "max"} if limits else arguments.choose,
        n_jobs=arguments.jobs or available_cpus(),
        random_state=arguments.seed,
        storage=arguments.storage,
    )
    with exploring(search), warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        try:
            search.fit(X, y)
        except (
            ValueError
        ):  # limits that no candidate keeps: what was found is worth seeing all the same
            if hasattr(search, "pareto_front_"):
                print(_front_table(search))
                if arguments.storage is None:
                    _note("with --storage FILE these candidates would be there for another --limit")
            raise
    for (
        warning
    ) in caught:  # candidates are meant to be stopped early and to fail; the results say which did
        if "interrupted" in str(warning.message):
            _note(str(warning.message))
    print(_front_table(search))
    about: dict[str, Any] = {
        "data": arguments.data,
        "rows": len(y),
        "params": {k: str(v) for k, v in search.best_params_.items()},
    }
    if y_test is not None:
        about["held_out"] = _quality(search.best_estimator_, X_test, y_test)
        measured = ("chosen, measured", f"on {len(y_test)} rows held out")
        _show([measured, *_quality_rows(search.best_estimator_, about["held_out"])])
    if arguments.output:
        save_model(arguments.output, TableModel(search.best_estimator_, schema, about))
        _show([("saved", arguments.output)])
    if arguments.report:
        with busy("writing the report"):
            code = _data_code(arguments, schema, y_test is not None, y_all)
            title = Path(arguments.data).name
            write_report(
                arguments.report,
                search,
                X,
                y,
                X_test,
                y_test,
                title=title,
                schema=schema,
                data_code=code,
            )
        _show([("report", arguments.report)])


def _front_table(search: Any) -> str:
    """Return the front as lines of text, cheapest first, the chosen candidate marked."""
    from fastnn.report.page import COSTS, cost, cost_name, say, short

    results, chosen = search.cv_results_, getattr(search, "best_index_", None)
    costs = [
        name
        for name in COSTS
        if name in {*search.objectives_, "fit_time", "latency_us", "model_bytes"}
    ]
    lines = [["", "score", "±", *map(cost_name, costs), "measured", "parameters"]]
    for i in search.pareto_front_:
        params = ", ".join(
            f"{short(name)}={say(value)}" for name, value in results["params"][i].items()
        )
        score = [f"{results['mean_test_score'][i]:.4f}", f"{results['std_test_score'][i]:.4f}"]
        paid = [cost(name, results[name][i]) for name in costs]
        lines.append(["*" if i == chosen else "", *score, *paid, results["measured"][i], params])
    widths = [max(len(line[k]) for line in lines) for k in range(len(lines[0]) - 1)]
    n_failed = sum(map(bool, results["failure"]))
    failed = f" ({n_failed} failed)" if n_failed else ""
    marked = "" if chosen is None else ", * chosen"
    tried = f"{len(results['params'])} candidates{failed}, {len(search.pareto_front_)} on the front{marked}"
    table = (
        "  ".join(
            [*(f"{cell:>{width}}" for cell, width in zip(line, widths, strict=False)), line[-1]]
        )
        for line in lines
    )
    return "\n".join([tried, *table])


def _data_code(arguments: argparse.Namespace, schema: Schema, holds_out: bool, y: Any) -> str:
    """Return the Python code that makes the X and y (and the held-out part) that ``explore`` has used."""
    reading = {"sep": arguments.sep, "encoding": arguments.encoding}

    def call(name: str, first: str, settings: dict[str, Any]) -> str:
        said = [f"{key}={value!r}" for key, value in settings.items() if value is not None]
        return f"{name}({', '.join([first, *said] if first else said)})"

    lines = [
        "from fastnn.tabular.encode import features, targets, with_known_target",
        "from fastnn.tabular.read import read_table",
        "from fastnn.tabular.options import TypeOptions",
        "from fastnn.tabular.recognise import recognise",
        f"frame = {call('read_table', repr(arguments.data), reading)}",
        f"options = {call('TypeOptions', '', _said_of_types(arguments))}",
        f"schema = recognise(frame, {schema.target!r}, options)",
        "frame = with_known_target(schema, frame, print)",
        "X, y = features(schema, frame), targets(schema, frame)",
    ]
    if holds_out:
        stratify = "" if _strata(schema, y, arguments.holdout) is None else ", stratify=y"
        split = f"X, y, test_size={arguments.holdout}, random_state={arguments.seed}{stratify}"
        lines += [
            "from sklearn.model_selection import train_test_split",
            f"X, X_test, y, y_test = train_test_split({split})",
        ]
    return "\n".join(lines)


def _demo(arguments: argparse.Namespace) -> None:
    from fastnn.cli.demo import (
        run,  # scikit-learn's data sets and estimators are not needed by the other commands
    )

    run(plot=arguments.plot)


def _info(arguments: argparse.Namespace) -> None:
    fastnn.show_config()
