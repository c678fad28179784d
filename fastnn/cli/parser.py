"""Which words does the command line take? The options of each command, and their types."""

from __future__ import annotations

import argparse
import codecs
import difflib
import re
import sys
from collections.abc import Callable, Sequence
from typing import Any

import fastnn
from fastnn.cli.files import ending_of, export_ending_of
from fastnn.cli.settings import NETWORKS, PRESETS, Goal, Search, Training
from fastnn.tabular.layout import separator
from fastnn.tabular.options import TypeOptions
from fastnn.tabular.schema import TASKS

MODEL = "a file saved by fit or explore"


def parse(argv: Sequence[str] | None) -> argparse.Namespace:
    """Return what ``argv`` says; its ``command`` names the command. Exits with status 2 if wrong.

    Each option that is a field of one of the settings has the field's name and default.
    """
    parser = _Parser(prog="fastnn", description=fastnn.__doc__)
    parser.add_argument("--version", action="version", version=f"fastnn {fastnn.__version__}")
    commands = parser.add_subparsers(
        title="commands", metavar="command", dest="command", required=True
    )
    for name, (summary, add) in COMMANDS.items():
        command = commands.add_parser(name, help=summary, description=f"{summary.capitalize()}.")
        add(command)
        _add_manners(command)
    arguments, unknown = parser.parse_known_args(argv)
    if unknown:  # said by the command's own parser, which shows its usage
        commands.choices[arguments.command].error(f"unrecognized arguments: {' '.join(unknown)}")
    try:  # options that are wrong together
        if hasattr(arguments, "numeric"):
            settings(TypeOptions, arguments)
        if hasattr(arguments, "preset"):
            settings(Training, arguments)
        if hasattr(arguments, "objectives"):
            _check_search(settings(Search, arguments))
    except ValueError as error:
        commands.choices[arguments.command].error(str(error))
    return arguments


class _Parser(argparse.ArgumentParser):
    """A parser whose options take a word that begins with a hyphen: ``--missing -,NA``."""

    def parse_known_args(self, args: Any = None, namespace: Any = None) -> Any:
        """Join an option with the word after it, unless that is an option itself."""
        options = self._option_string_actions
        words: list[str] = []
        for word in sys.argv[1:] if args is None else args:
            before = options.get(words[-1]) if words and words[-1].startswith("--") else None
            starts = word.partition("=")[0]
            is_option = any(option.startswith(starts) for option in options)
            if before is not None and before.nargs is None and word[:1] == "-" and not is_option:
                words[-1] += f"={word}"
            else:
                words.append(word)
        return super().parse_known_args(words, namespace)


def _check_search(search: Search) -> None:
    """Raise ValueError where a name is none of a quantity."""
    from fastnn.search.quantities import QUANTITIES

    metrics = search.metric if isinstance(search.metric, tuple) else ()
    every = dict.fromkeys([*QUANTITIES, *metrics])
    in_search = [q for q in every if q not in QUANTITIES or QUANTITIES[q].in_search]
    named = [("--objectives", q) for q in search.objectives]
    named += [("--limit", q) for q, _ in search.limits]
    named += [("--choose", search.choose)] if search.choose != "knee" else []
    for option, name in named:
        known = in_search if option == "--objectives" else every
        if name not in known:
            near = difflib.get_close_matches(name, known, n=1)
            meant = f" Did you mean {near[0]!r}?" if near else ""
            raise ValueError(
                f"argument {option}: there is no {name!r}.{meant} There are {', '.join(known)}."
            )


def _fit(parser: argparse.ArgumentParser) -> None:
    _add_table(parser)
    _add_goal(parser)
    add = parser.add_argument
    add("-o", "--output", required=True, metavar="MODEL", help="where to save the model")
    add(
        "--preset",
        choices=PRESETS,
        help="how much is spent on the bag (balanced)",
    )
    add(
        "--network",
        choices=NETWORKS,
        default=Training.network,
        help="bag: several small networks on embedded columns, the more accurate; plain: one"
        " network on standardised columns, the smaller and quicker (%(default)s)",
    )
    add(
        "--hidden",
        type=_sizes,
        default=Training.hidden,
        metavar="N,N,...",
        help="neurons of the hidden layers (the preset's; of a plain network 100); 0: none",
    )
    add(
        "--epochs",
        type=_at_least(1),
        default=Training.epochs,
        metavar="N",
        help="the most passes over the rows (the preset's; of a plain network 200)",
    )
    add(
        "--max-time",
        type=_seconds,
        metavar="S",
        help="seconds that training may take; the best so far is kept (no limit)",
    )
    add(
        "--threshold",
        type=_threshold,
        metavar="P",
        help="predict the second of two classes from this probability (0.5); f1 or"
        " balanced_accuracy: the one that is best by it on training rows, answered out of fold",
    )
    _add_json(parser)


def _predict(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add("model", help=MODEL)
    _add_table(parser)
    add(
        "-o",
        "--output",
        type=_table_name,
        metavar="FILE",
        help="where to write: .csv, .parquet, .json or .jsonl (default: CSV to standard output)",
    )
    add("--proba", action="store_true", help="add the probability of every class")
    kept = parser.add_mutually_exclusive_group()
    kept.add_argument(
        "--keep",
        action="append",
        default=[],
        metavar="A,B,...",
        help="columns of the table to write before the predictions; may be given again",
    )
    kept.add_argument(
        "--append",
        dest="keep",
        action="store_const",
        const=None,
        help="write all columns of the table before the predictions",
    )


def _evaluate(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("model", help=MODEL)
    _add_table(parser)
    _add_json(parser)


def _export(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add("model", help=MODEL)
    add(
        "-o",
        "--output",
        required=True,
        type=_export_name,
        metavar="FILE",
        help="where to write: .onnx or .c",
    )
    _add_json(parser)


def _explore(parser: argparse.ArgumentParser) -> None:
    _add_table(parser)
    _add_goal(parser)
    add = parser.add_argument
    add(
        "--max-time",
        type=_seconds,
        default=Search.max_time,
        metavar="S",
        help="seconds for the search (60, unless --trials)",
    )
    add("--trials", type=_at_least(1), metavar="N", help="candidates to try")
    add("--report", metavar="HTML", help="where to write the report")
    add("-o", "--output", metavar="MODEL", help="where to save the chosen model")
    add(
        "--objectives",
        type=_names,
        default=Search.objectives,
        metavar="A,B,...",
        help="what to trade off (score,fit_time)",
    )
    add(
        "--metric",
        type=_scorers,
        metavar="A,B,...",
        help="the score: a scorer of scikit-learn's, such as roc_auc or neg_log_loss"
        " (accuracy or r2); further ones are traded off as well",
    )
    add(
        "--models",
        type=_kinds,
        metavar="A,B,...",
        help="the kinds of models to compare, of bag, plain, trees, linear, lightgbm and catboost"
        " (all that are installed)",
    )
    add(
        "--choose",
        default=Search.choose,
        metavar="WHAT",
        help="knee (the default), or the objective to be best in",
    )
    add(
        "--limit",
        dest="limits",
        type=_limit,
        action="append",
        default=[],
        metavar="COST=VALUE",
        help="choose the best score within this cost, such as latency_us=20; may be given again",
    )
    add(
        "--cv",
        type=_at_least(2),
        metavar="N",
        help="folds for every candidate (5, and 3 from 10,000 rows on)",
    )
    add(
        "--jobs",
        type=_at_least(1),
        metavar="N",
        help="folds trained at the same time (one for each processor)",
    )
    add(
        "--storage",
        metavar="FILE",
        help="keep the candidates here; a search that was killed goes on from it",
    )
    _add_json(parser)


def _demo(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--plot",
        default="fastnn-demo.png",
        metavar="FILE",
        help="where to draw the loss curves (%(default)s)",
    )


def _info(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("model", nargs="?", help=f"{MODEL}, to be described instead")
    _add_json(parser)


COMMANDS: dict[str, tuple[str, Callable[[argparse.ArgumentParser], None]]] = {
    "fit": ("train a network on a table and save it", _fit),
    "predict": ("predict the rows of a table with a saved model", _predict),
    "evaluate": ("measure a saved model on a table that holds the target", _evaluate),
    "export": ("write a saved model for programs without Python, as ONNX or as C", _export),
    "explore": ("find what each second, microsecond and byte buys in accuracy", _explore),
    "demo": ("train scikit-learn and every backend on real data, and compare the times", _demo),
    "info": ("show versions, backends and threads, or what a saved model is", _info),
}


def _add_json(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--json", action="store_true", help="print JSON")


def _add_manners(parser: argparse.ArgumentParser) -> None:
    how_much = parser.add_mutually_exclusive_group()
    how_much.add_argument("--quiet", action="store_true", help="no notes and no progress")
    how_much.add_argument("--verbose", action="store_true", help="every epoch and every warning")
    parser.add_argument("--debug", action="store_true", help="show where an error comes from")


def _add_table(parser: argparse.ArgumentParser) -> None:
    """Add the fields of `TableFile`, and the marks in numbers."""
    add = parser.add_argument
    add(
        "path",
        metavar="data",
        help="a table: CSV, JSON lines, Parquet or .xlsx, also packed (.gz, .zip, .xz, .zst);"
        " - reads standard input",
    )
    add(
        "--sep",
        type=_separator,
        help="what separates the cells of a text file (found out by itself)",
    )
    add(
        "--encoding",
        type=_encoding,
        help="the encoding of a text file (by its byte order mark, else utf-8)",
    )
    add(
        "--decimal",
        choices=(".", ","),
        metavar="MARK",
        help="what stands before a fraction: . or , (found out by itself)",
    )
    add(
        "--thousands",
        choices=("", ",", ".", " ", "'"),
        metavar="MARK",
        help="what stands between groups of digits: , . ' or a blank (found out by itself)",
    )


def _add_goal(parser: argparse.ArgumentParser) -> None:
    """Add the fields of `Goal` and of `TypeOptions`."""
    add = parser.add_argument
    add("--target", required=True, metavar="COLUMN", help="the column to predict")
    add(
        "--task",
        choices=TASKS,
        help="what to predict (recognised by itself)",
    )
    add(
        "--categorical",
        action="append",
        default=[],
        metavar="A,B,...",
        help="columns of numbers that are categories; may be given again",
    )
    add(
        "--numeric",
        action="append",
        default=[],
        metavar="A,B,...",
        help="columns of codes with zeros before them, or of dates such as 20240131, that are"
        " numbers; may be given again",
    )
    add(
        "--drop",
        action="append",
        default=[],
        metavar="A,B,...",
        help="columns to leave out; may be given again",
    )
    add(
        "--keep",
        action="append",
        default=[],
        metavar="A,B,...",
        help="columns to use although they look like identifiers or names; may be given again",
    )
    add(
        "--missing",
        type=_names,
        metavar="A,B,...",
        help="what stands for a missing cell instead of NA, nan, null, None, ? and their like",
    )
    add(
        "--also-missing",
        type=_names,
        default=(),
        metavar="A,B,...",
        help="what stands for a missing cell besides these, such as -999",
    )
    add(
        "--ignore-case",
        action="store_true",
        help="categories and labels that differ in case alone are the same",
    )
    add(
        "--day-first",
        action=argparse.BooleanOptionalAction,
        help="whether 1/2/2024 is the first of February (found out by itself)",
    )
    add(
        "--class-weight",
        choices=("balanced",),
        help="balanced: every class counts the same in training, however rare it is",
    )
    add(
        "--target-transform",
        choices=("log", "none"),
        help="the scale on which a quantity is learned (log where that predicts better)",
    )
    add(
        "--holdout",
        type=_share,
        default=Goal.holdout,
        metavar="SHARE",
        help="rows kept back to measure on (%(default)s)",
    )
    add(
        "--seed",
        type=_at_least(0),
        default=Goal.seed,
        metavar="N",
        help="random seed (%(default)s)",
    )


def _at_least(smallest: int) -> Callable[[str], int]:
    def integer(text: str) -> int:
        if not re.fullmatch(r"\d+", text) or int(text) < smallest:
            raise argparse.ArgumentTypeError(
                f"{text!r} is not a whole number of at least {smallest}"
            )
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


def _separator(text: str) -> str:
    return _said(separator, text)


def _encoding(text: str) -> str:
    try:
        codecs.lookup(text)
    except LookupError as error:
        what = f"there is no {text!r}; there are utf-8, latin-1, cp1252 and others"
        raise argparse.ArgumentTypeError(what) from error
    return text


def _table_name(text: str) -> str:
    _said(ending_of, text)
    return text


def _export_name(text: str) -> str:
    _said(export_ending_of, text)
    return text


def _said(check: Callable[[str], str], text: str) -> str:
    """Return what ``check`` does, its error as argparse's."""
    try:
        return check(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from error


def _share(text: str) -> float:
    return _number(text, "a share of the rows, from 0 to below 1", lambda value: 0 <= value < 1)


def _threshold(text: str) -> float | str:
    if text in ("f1", "balanced_accuracy"):
        return text
    what = "a probability between 0 and 1, f1 or balanced_accuracy"
    return _number(text, what, lambda value: 0 < value < 1)


def _scorers(text: str) -> tuple[str, ...]:
    from sklearn.metrics import get_scorer_names  # only where it is asked for: it takes a while

    names = get_scorer_names()
    for name in (said := _names(text)):
        if name not in names:
            near = difflib.get_close_matches(name, names, n=3) or ["roc_auc", "neg_log_loss", "r2"]
            raise argparse.ArgumentTypeError(
                f"{name!r} is not a scorer of scikit-learn's, such as {', '.join(near)}"
            )
    return said


def _kinds(text: str) -> tuple[str, ...]:
    from fastnn.cli.kinds import known_kinds  # it imports the tables

    try:
        return tuple(known_kinds(_names(text)))
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from error


def _seconds(text: str) -> float:
    return _number(text, "a number of seconds above 0", lambda value: 0 < value < float("inf"))


def _limit(text: str) -> tuple[str, float]:
    name, _, value = text.partition("=")
    what = f"a limit: give it as {name or 'COST'}=VALUE, such as latency_us=20"
    return name.strip(), _number(value, what, lambda limit: limit > 0)


def _number(text: str, what: str, allowed: Callable[[float], bool]) -> float:
    try:
        value = float(text)
    except ValueError:
        value = float("nan")
    if not allowed(value):
        raise argparse.ArgumentTypeError(f"{text!r} is not {what}")
    return value


def settings(kind: type[Any], arguments: argparse.Namespace) -> Any:
    """Return the dataclass ``kind`` with its fields as ``arguments`` have them."""
    found = {name: getattr(arguments, name) for name in kind.__dataclass_fields__}
    return kind(
        **{
            name: tuple(value) if isinstance(value, list) else value
            for name, value in found.items()
        }
    )
