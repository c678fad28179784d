"""What can be asked of a command? Its settings, with their defaults, as plain data."""

from __future__ import annotations

from dataclasses import dataclass

PRESETS = ("fast", "balanced", "best")
NETWORKS = ("bag", "plain")


@dataclass(frozen=True)
class TableFile:
    """A table, and how its file is read.

    Attributes
    ----------
    path : str
        Text with separators, JSON lines, Parquet or Excel, packed or not; "-" is standard input.
    sep : str or None
        What separates the cells of a text file; None finds it out.
    encoding : str or None
        The encoding of a text file; None: what its byte order mark says, else UTF-8.
    """

    path: str
    sep: str | None = None
    encoding: str | None = None

    @property
    def said(self) -> dict[str, str]:
        """How the file is said to be written, by "sep" and "encoding"."""
        return {name: text for name in ("sep", "encoding") if (text := getattr(self, name))}


@dataclass(frozen=True)
class Goal:
    """What is learned from a table. What its columns are is said in `TypeOptions`.

    Attributes
    ----------
    target : str
        The column to predict.
    holdout : float
        The share of the rows kept back to measure on, from 0 to below 1.
    seed : int
        Seed of the splits and of the network.
    class_weight : {"balanced"} or None
        "balanced" weights rows so that every class counts the same; None counts every row once.
    target_transform : {"log", "none"} or None
        The scale on which a quantity is learned; None takes the one that predicts rows it has not
        learned from better, where the target is positive and heavy-tailed.
    """

    target: str
    holdout: float = 0.2
    seed: int = 0
    class_weight: str | None = None
    target_transform: str | None = None


@dataclass(frozen=True)
class Training:
    """What is trained, and how.

    Attributes
    ----------
    hidden : tuple of int or None
        Neurons of each hidden layer; () is none. None: the preset's, or (100,) of a plain network.
    epochs : int or None
        The most passes over the rows. None: the preset's, or 200 of a plain network.
    threshold : float, {"f1", "balanced_accuracy"} or None
        The probability from which the second of two classes is predicted; a name chooses the one
        that is best by it on training rows, each answered by a network that has not learned
        from it. None is 0.5.
    preset : {"fast", "balanced", "best"} or None
        How much is spent on a bag; None is "balanced".
    network : {"bag", "plain"}
        A bag of small networks on embedded columns, see `fastnn.TabularClassifier`, or one network
        on standardised columns, see `fastnn.MLPClassifier`.
    max_time : float or None
        Seconds that training may take; None sets no limit.

    Raises
    ------
    ValueError
        If there is no such network or preset, or a preset is given for a plain network.
    """

    hidden: tuple[int, ...] | None = None
    epochs: int | None = None
    threshold: float | str | None = None
    preset: str | None = None
    network: str = "bag"
    max_time: float | None = None

    def __post_init__(self) -> None:
        for name, value, allowed in (
            ("network", self.network, NETWORKS),
            ("preset", self.preset, (*PRESETS, None)),
        ):
            if value not in allowed:
                known = ", ".join(str(one) for one in allowed if one)
                raise ValueError(f"There is no {name} {value!r}; there are {known}.")
        if self.network == "plain" and self.preset is not None:
            raise ValueError(
                f"--preset {self.preset} is for a bag, but --network plain trains one network."
                " Leave one of them out; --hidden and --epochs are for both."
            )


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
    metric : str, tuple of str or None
        The score, by the name of a scorer of scikit-learn's; None is accuracy, or R2. Of several,
        the first is the score, and the others are traded off as well.
    cv : int or None
        Folds for every candidate; None is 5, and 3 from 10,000 rows on.
    jobs : int or None
        Folds trained at the same time; None is one for each processor.
    models : tuple of str or None
        The kinds of models that are compared, by their names in `fastnn.cli.kinds.KINDS`; None
        compares all that are installed.
    storage : str or None
        A file that keeps the candidates; a search that was killed goes on from it.
    """

    max_time: float | None = None
    trials: int | None = None
    objectives: tuple[str, ...] = ("score", "fit_time")
    choose: str = "knee"
    limits: tuple[tuple[str, float], ...] = ()
    metric: str | tuple[str, ...] | None = None
    cv: int | None = None
    jobs: int | None = None
    models: tuple[str, ...] | None = None
    storage: str | None = None
