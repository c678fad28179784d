"""What does the command line do, without the command line? Functions for tables, in Python.

Options have the names and defaults that they have on the command line, with ``_`` for ``-``.
"""

from __future__ import annotations

import difflib
import os
import warnings
from dataclasses import fields
from typing import TYPE_CHECKING, Any, TypeAlias

from fastnn.cli import commands
from fastnn.cli.reporter import Reporter
from fastnn.cli.settings import Goal, Search, TableFile, Training
from fastnn.tabular.model import TableModel, TableWarning
from fastnn.tabular.options import TypeOptions

if TYPE_CHECKING:
    from collections.abc import Sequence

    import pandas as pd

    from fastnn.cli.commands import Explored, Fitted
    from fastnn.cli.quality import Quality

    Table: TypeAlias = str | os.PathLike[str] | pd.DataFrame


class Warns(Reporter):
    """A reporter whose notes are warnings."""

    def note(self, message: str) -> None:
        """Warn of what the user should know."""
        warnings.warn(message, TableWarning, stacklevel=2)


def fit_table(
    table: Table, target: str, *, output: str | os.PathLike[str] | None = None, **options: Any
) -> Fitted:
    """Train a bag of networks, or a plain network, on a table, as ``fastnn fit`` does.

    Parameters
    ----------
    table : path or DataFrame
        What to learn from: a file, or a frame with columns of any type.
    target : str
        The column to predict.
    output : path or None
        Where to save the model.
    **options
        How the file is read (``sep``, ``encoding``), what is learned (``holdout``, ``seed``,
        ``class_weight``, ``target_transform``), what the columns are (the parameters of
        `fastnn.tabular.options.TypeOptions`, such as ``drop``), and how it is learned
        (``preset``, ``network``, ``hidden``, ``epochs``, ``max_time``, ``threshold``).

    Returns
    -------
    Fitted
        With the model in ``model``, a `TableModel`, and what was measured on the rows held out in
        ``held_out``.

    Raises
    ------
    TypeError
        If there is no such option.
    TableError
        If the table cannot be read or not be learned from.
    """
    said = _sorted(options, Goal, TypeOptions, Training, TableFile)
    return commands.fit(
        _file(table, said[TableFile]),
        Goal(target, **said[Goal]),
        TypeOptions(**said[TypeOptions]),
        Training(**said[Training]),
        output=_path(output),
        reporter=Warns(),
    )


def explore_table(
    table: Table,
    target: str,
    *,
    output: str | os.PathLike[str] | None = None,
    report: str | os.PathLike[str] | None = None,
    **options: Any,
) -> Explored:
    """Find what each second, microsecond and byte buys in accuracy, as ``fastnn explore`` does.

    Parameters
    ----------
    table, target, output
        As for `fit_table`.
    report : path or None
        Where to save the report.
    **options
        Those of `fit_table` but how it is learned, and how candidates are searched: ``max_time``,
        ``trials``, ``objectives``, ``choose``, ``limits``, ``metric``, ``cv``, ``jobs``,
        ``models`` and ``storage``.

    Returns
    -------
    Explored
        With the fitted search in ``search`` and the chosen model in ``model``.

    Raises
    ------
    TypeError
        If there is no such option.
    TableError
        If the table cannot be read, not be learned from, or is too small to compare candidates on.
    """
    said = _sorted(options, Goal, TypeOptions, Search, TableFile)
    return commands.explore(
        _file(table, said[TableFile]),
        Goal(target, **said[Goal]),
        TypeOptions(**said[TypeOptions]),
        Search(**said[Search]),
        output=_path(output),
        report=_path(report),
        reporter=Warns(),
    )


def predict_table(
    model: str | os.PathLike[str] | TableModel,
    table: Table,
    *,
    proba: bool = False,
    keep: Sequence[str] | None = (),
    output: str | os.PathLike[str] | None = None,
    **options: Any,
) -> pd.DataFrame:
    """Predict the rows of a table, as ``fastnn predict`` does.

    Parameters
    ----------
    model : path or TableModel
        A fitted model, or the file it is saved in.
    table : path or DataFrame
        The rows.
    proba : bool
        Whether to add the probability of every class.
    keep : sequence of str or None
        Columns of the table that stand before the predictions; None keeps all.
    output : path or None
        Where to write the predictions.
    **options
        How the file is read: ``sep`` and ``encoding``, where they are not those of the training
        table.

    Returns
    -------
    DataFrame of shape (n_rows, n_columns)
        The columns kept, the predictions, the probabilities.

    Raises
    ------
    TypeError
        If there is no such option.
    TableError
        If the table does not suit the model.
    """
    said = _sorted(options, TableFile)
    return commands.predict(
        _model(model),
        _file(table, said[TableFile]),
        proba=proba,
        keep=keep,
        output=_path(output),
        reporter=Warns(),
    )


def evaluate_table(
    model: str | os.PathLike[str] | TableModel, table: Table, **options: Any
) -> Quality:
    """Measure a model on a table that holds the target, as ``fastnn evaluate`` does.

    Parameters
    ----------
    model, table, **options
        As for `predict_table`.

    Returns
    -------
    Quality
        With all that was measured in ``metrics``.

    Raises
    ------
    TypeError
        If there is no such option.
    TableError
        If the table does not suit the model.
    """
    said = _sorted(options, TableFile)
    return commands.evaluate(_model(model), _file(table, said[TableFile]), reporter=Warns())


def _sorted(options: dict[str, Any], *kinds: type[Any]) -> dict[type[Any], dict[str, Any]]:
    """Return the options that each dataclass has a field for."""
    homes = {field.name: kind for kind in kinds for field in fields(kind)}
    for taken in ("target", "path"):
        homes.pop(taken, None)
    said: dict[type[Any], dict[str, Any]] = {kind: {} for kind in kinds}
    for name, value in options.items():
        if name not in homes:
            near = difflib.get_close_matches(name, homes, n=1)
            meant = f" Did you mean {near[0]!r}?" if near else ""
            raise TypeError(
                f"There is no option {name!r}.{meant} The options are: {', '.join(sorted(homes))}."
            )
        said[homes[name]][name] = value
    return said


def _file(table: Table, said: dict[str, str]) -> TableFile | pd.DataFrame:
    return TableFile(os.fspath(table), **said) if isinstance(table, str | os.PathLike) else table


def _model(model: str | os.PathLike[str] | TableModel) -> str | TableModel:
    return os.fspath(model) if isinstance(model, str | os.PathLike) else model


def _path(path: str | os.PathLike[str] | None) -> str | None:
    return None if path is None else os.fspath(path)
