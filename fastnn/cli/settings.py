"""What can be asked of a command? Its settings, with their defaults, as plain data."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class TableFile:
    """A table, and how its file is read.

    Attributes
    ----------
    path : str
        CSV (plain or gzipped) or Parquet; "-" is standard input.
    sep : str or None
        What separates the cells of a CSV file; None finds it out.
    encoding : str
        The encoding of a CSV file.
    decimal : str
        What stands before the fraction of a number, "." or ",".
    """

    path: str
    sep: str | None = None
    encoding: str = "utf-8"
    decimal: str = "."


@dataclass(frozen=True)
class Goal:
    """What is learned from a table, and from which of its rows and columns.

    Attributes
    ----------
    target : str
        The column to predict.
    task : {"binary", "multiclass", "regression"} or None
        None recognises it from the target.
    categorical : tuple of str
        Columns of numbers that are categories.
    drop : tuple of str
        Columns to leave out.
    holdout : float
        The share of the rows kept back to measure on, from 0 to below 1.
    seed : int
        Seed of the split and of the network.
    """

    target: str
    task: str | None = None
    categorical: tuple[str, ...] = ()
    drop: tuple[str, ...] = ()
    holdout: float = 0.2
    seed: int = 0


@dataclass(frozen=True)
class Training:
    """How a network is trained.

    Attributes
    ----------
    hidden : tuple of int
        Neurons of each hidden layer; () is a linear model.
    epochs : int
        The most passes over the rows.
    """

    hidden: tuple[int, ...] = (100,)
    epochs: int = 200


@dataclass(frozen=True)
class Search:
    """How candidates are searched, and which of them is chosen.

    Attributes
    ----------
    max_time : float or None
        Seconds for the search; None is 60, or no limit where ``trials`` is given.
    trials : int or None
        How many candidates are tried; None sets no limit.
    objectives : tuple of str
        What is traded off.
    choose : str
        "knee", or the objective to be best in.
    limits : tuple of (str, float)
        Costs with the most that is allowed; with limits, the best score within them is chosen.
    cv : int
        Folds for every candidate.
    jobs : int or None
        Folds trained at the same time; None is one for each processor.
    storage : str or None
        A file that keeps the candidates; a search that was killed goes on from it.
    """

    max_time: float | None = None
    trials: int | None = None
    objectives: tuple[str, ...] = ("score", "fit_time")
    choose: str = "knee"
    limits: tuple[tuple[str, float], ...] = ()
    cv: int = 5
    jobs: int | None = None
    storage: str | None = None
