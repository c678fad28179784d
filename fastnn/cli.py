"""What can be asked of fastnn on the command line? The subcommands of ``fastnn``, also ``python -m fastnn``."""

from __future__ import annotations

import argparse
from collections.abc import Sequence

import fastnn


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line ``argv`` (without the program's name; None takes the process's) and return the exit status."""
    arguments = _parser().parse_args(argv)
    return int(arguments.run(arguments))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="fastnn", description=fastnn.__doc__)
    parser.add_argument("--version", action="version", version=f"fastnn {fastnn.__version__}")
    commands = parser.add_subparsers(title="commands", metavar="command", required=True)

    demo = commands.add_parser("demo", help="train on real data, every backend beside scikit-learn, and show the times")
    demo.add_argument("--plot", default="fastnn-demo.png", metavar="FILE", help="where to draw the loss curves (%(default)s)")
    demo.set_defaults(run=_demo)

    info = commands.add_parser("info", help="show versions, backends, instruction set and threads")
    info.set_defaults(run=_info)
    return parser


def _demo(arguments: argparse.Namespace) -> int:
    from fastnn.demo import run  # scikit-learn's data sets and estimators are not needed by the other commands

    run(plot=arguments.plot)
    return 0


def _info(arguments: argparse.Namespace) -> int:
    fastnn.show_config()
    return 0
