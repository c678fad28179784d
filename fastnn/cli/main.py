"""What does ``fastnn``, also ``python -m fastnn``, do? Parse, call the command, write its result.

Results go to standard output; notes, progress and errors to standard error. Exit status: 0 done, 1
failed, 2 wrong usage, 130 interrupted by Ctrl-C, with what had been found until then saved.
"""

from __future__ import annotations

import argparse
import atexit
import gc
import os
import sys
import traceback
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

# Threads of OpenMP that wait let others run. On a busy machine trees else take 50 times as long: 13
# s for 60 rows, measured. It is read when scikit-learn is imported.
os.environ.setdefault("OMP_WAIT_POLICY", "passive")

from fastnn.cli import commands
from fastnn.cli.parser import parse, settings
from fastnn.cli.put_off import put_off
from fastnn.cli.reporter import Reporter
from fastnn.cli.settings import Goal, Search, TableFile, Training
from fastnn.cli.terminal import Quiet, Terminal, watching_interrupts, width, write
from fastnn.tabular.options import TypeOptions

if TYPE_CHECKING:
    from fastnn.tabular.model import TableModel

INTERRUPTED = 130  # 128 + SIGINT, what a shell reports of a program that Ctrl-C ended


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit status.

    Parameters
    ----------
    argv : sequence of str or None
        The words after the program's name; None takes the process's.
    """
    # At its end the interpreter would look through all that scikit-learn and pandas have made for
    # garbage: 0.4 s of CPU time.
    atexit.register(gc.freeze)
    put_off("scipy.stats")
    arguments = parse(argv)
    reporter = Quiet() if arguments.quiet else Terminal(arguments.verbose)
    try:
        with watching_interrupts() as interrupts:
            COMMANDS[arguments.command](arguments, reporter)
        return INTERRUPTED if interrupts else 0
    except BrokenPipeError:  # the reader of our output has left, as `head` does
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except KeyboardInterrupt:
        print("fastnn: interrupted", file=sys.stderr)
        return INTERRUPTED
    except Exception as error:
        model = getattr(arguments, "model", None)
        if arguments.debug:
            traceback.print_exc()
        print(f"fastnn: error: {_sentence(error, model)}", file=sys.stderr)
        return 1


def _sentence(error: Exception, model: str | None = None) -> str:
    """Say in one line what went wrong, in a command that read this model file, if any."""
    text = " ".join(str(error).strip().splitlines())
    match error:
        case OSError():
            what = f"{error.filename}: " if error.filename else ""
            return f"{what}{error.strerror or text}"
        case MemoryError():
            return text or "there is not enough memory"
        case ValueError() | ImportError():
            return text
    what = f"unexpected {type(error).__name__}: {text}"
    report = "a fault of fastnn: please report it with what --debug shows"
    if model is not None:
        report = f"{model} is damaged, if it is not as fastnn wrote it; else {report}"
    return f"{what} ({report})"


def _fit(arguments: argparse.Namespace, reporter: Reporter) -> None:
    from fastnn.cli import output

    found = commands.fit(
        settings(TableFile, arguments),
        settings(Goal, arguments),
        settings(TypeOptions, arguments),
        settings(Training, arguments),
        output=arguments.output,
        reporter=reporter,
    )
    if arguments.json:
        write(output.as_json(output.fitted_data(found)))
    else:
        write(output.terms(output.fitted(found)))


def _predict(arguments: argparse.Namespace, reporter: Reporter) -> None:
    predictions = commands.predict(
        _model(arguments),
        settings(TableFile, arguments),
        proba=arguments.proba,
        keep=arguments.keep,
        output=arguments.output,
        reporter=reporter,
    )
    if arguments.output is None:
        write(predictions.to_csv(index=False, lineterminator="\n").removesuffix("\n"))


def _model(arguments: argparse.Namespace) -> TableModel:
    """Return the model, reading tables with the marks in numbers that are said."""
    from fastnn.persistence import load_model

    model = load_model(arguments.model)
    if arguments.decimal is None and arguments.thousands is None:
        return model
    return model.written_with(arguments.decimal, arguments.thousands)


def _evaluate(arguments: argparse.Namespace, reporter: Reporter) -> None:
    from fastnn.cli import output

    found = commands.evaluate(_model(arguments), settings(TableFile, arguments), reporter=reporter)
    if arguments.json:
        write(output.as_json(output.quality_data(found)))
    else:
        write(output.terms(output.evaluated(found)))


def _export(arguments: argparse.Namespace, reporter: Reporter) -> None:
    from fastnn.cli import output

    found = commands.export(arguments.model, arguments.output)
    if arguments.json:
        write(output.as_json(vars(found)))
    else:
        write(output.terms(output.exported(found)))


def _explore(arguments: argparse.Namespace, reporter: Reporter) -> None:
    from fastnn.cli import output

    try:
        found = commands.explore(
            settings(TableFile, arguments),
            settings(Goal, arguments),
            settings(TypeOptions, arguments),
            settings(Search, arguments),
            output=arguments.output,
            report=arguments.report,
            reporter=reporter,
        )
    except commands.NoCandidateWithinLimits as error:  # what was found is worth seeing
        if not arguments.json:
            write(output.front(error.search, width()))
        if arguments.storage is None:
            reporter.note("with --storage FILE these candidates would be there for another --limit")
        raise
    if arguments.json:
        write(output.as_json(output.explored_data(found)))
    else:
        write(output.explored(found, width()))


def _demo(arguments: argparse.Namespace, reporter: Reporter) -> None:
    commands.demo(plot=arguments.plot, reporter=reporter)


def _info(arguments: argparse.Namespace, reporter: Reporter) -> None:
    from fastnn.cli.output import as_json
    from fastnn.environment import written

    found = commands.info(arguments.model)
    write(as_json(found) if arguments.json else written(found))


COMMANDS: dict[str, Callable[[argparse.Namespace, Reporter], None]] = {
    "fit": _fit,
    "predict": _predict,
    "evaluate": _evaluate,
    "export": _export,
    "explore": _explore,
    "demo": _demo,
    "info": _info,
}
