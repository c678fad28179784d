"""What does a C file compute, by which constants? A front end, one network or a bag, a way back.

A network alone is a bag of one member that reads no bins.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from itertools import groupby
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastnn.export.bags import BagDescription, NumberColumn, describe_bag
from fastnn.export.columns import ARITHMETIC, Column, Step
from fastnn.export.description import Dense, Description, describe
from fastnn.tabular.unseen import is_bag

WEIGHTS = ("float32", "int8")

Constants = dict[str, NDArray[Any]]


@dataclass(frozen=True)
class Input:
    """A column of the table.

    Attributes
    ----------
    name : str or None
    levels : tuple or None
        The categories that its codes stand for; None where it is a number; none where it is not
        read.
    typical : tuple of float
        A number in the middle of those in training, and their spread; 0 and 1 where not known.
    """

    name: str | None
    levels: tuple[Any, ...] | None = ()
    typical: tuple[float, float] = (0.0, 1.0)


@dataclass(frozen=True)
class Bins:
    """The numbers that a bag looks up among edges; each becomes ``size`` numbers in each member.

    Attributes
    ----------
    columns : list of NumberColumn
    knots : ndarray of float32, shape (n_members, n_edges, size)
        What a number on each edge of each column becomes; it is linear between them.
    """

    columns: list[NumberColumn]
    knots: NDArray[np.float32]

    @property
    def n_numbers(self) -> int:
        """What it gives to a member."""
        return len(self.columns) * self.knots.shape[2]


@dataclass(frozen=True)
class Program:
    """All that a C file computes.

    Attributes
    ----------
    inputs : tuple of Input
    bins : Bins or None
    columns : tuple of Column
        What the members read beside the bins, after them.
    members : tuple of tuple of Dense
        The layers of each.
    network : Description
        The first member: what all have in common.
    after : tuple of Step
        What happens to the mean of the members' answers.
    dates : tuple of (str, str)
        Columns of dates of which parts are inputs; the dates from which their days count.
    """

    inputs: tuple[Input, ...]
    bins: Bins | None
    columns: tuple[Column, ...]
    members: tuple[tuple[Dense, ...], ...]
    network: Description
    after: tuple[Step, ...]
    dates: tuple[tuple[str, str], ...] = ()

    @property
    def n_bins_out(self) -> int:
        """How many numbers of a member's input are made of bins."""
        return 0 if self.bins is None else self.bins.n_numbers

    @property
    def reads_x(self) -> bool:
        """Whether the network reads the row as it stands."""
        as_they_are = tuple(map(Column, range(len(self.inputs))))
        return self.bins is None and self.columns == as_they_are


def program_of(model: Any) -> Program:
    """The program of a fitted model; raises what :func:`fastnn.export.to_c` says."""
    if is_bag(model):
        return _of_bag(describe_bag(model, np.float32))
    found = describe(model, np.float32)
    names = found.feature_names or (None,) * found.n_in
    inputs = [Input(name) for name in names]
    return Program(
        _with_levels(inputs, found.columns), None, found.columns, (found.layers,), found,
        found.after,
    )  # fmt: skip


def _with_levels(inputs: list[Input], columns: tuple[Column, ...]) -> tuple[Input, ...]:
    """Inputs with their categories; ValueError where two columns disagree about them."""
    for source, own in groupby(sorted(columns, key=lambda c: c.source), lambda c: c.source):
        each = {column.levels for column in own}
        if len(each) > 1:
            what = inputs[source].name if inputs[source].name is not None else source
            raise ValueError(
                f"Column {what!r} is used both as a number and as categories, or with several"
                " lists of categories, which cannot be exported to C. Give its copy a column of its"
                " own."
            )
        inputs[source] = replace(inputs[source], levels=each.pop())
    return tuple(inputs)


def _of_bag(bag: BagDescription) -> Program:
    inputs = [Input(name) for name in bag.names or (None,) * bag.n_columns]
    columns: list[Column] = []
    for sender in bag.senders:
        assert sender.signals is not None
        signals = sender.signals.astype(np.float64)
        if isinstance(sender, NumberColumn):
            missing = Step("missing", (signals[:1], signals[1:]))
            columns.append(Column(sender.place, (missing,)))
        else:
            table = signals[np.append(sender.codes, [2, 2])]
            columns.append(Column(sender.place, (), sender.levels, table))
    if not columns and not bag.numbers and not bag.categories:  # a network needs an input
        columns.append(Column(0, (Step("missing", (np.zeros(1), np.zeros(1))),)))
    for one in bag.categories:
        for code in one.codes:
            table = (np.append(one.codes, [-1, -1]) == code).astype(np.float64)
            columns.append(Column(one.place, (), one.levels, table))
    for number in bag.numbers:
        spread = 1 / number.factor if number.factor else 1.0
        inputs[number.place] = replace(inputs[number.place], typical=(number.center, spread))
    binned = [Column(number.place) for number in bag.numbers]
    return Program(
        _with_levels(inputs, (*columns, *binned)),
        _bins(bag) if bag.numbers else None,
        tuple(columns),
        tuple(member.layers for member in bag.members),
        bag.network,
        bag.after,
    )


def _bins(bag: BagDescription) -> Bins:
    """Offsets and slopes of bins as what the network makes of a number on each edge."""
    ends = np.cumsum([len(column.edges) - 1 for column in bag.numbers])
    knots = []
    for member in bag.members:
        last = member.offsets[ends - 1] + member.slopes[ends - 1]
        knots.append(np.insert(member.offsets, ends, last, axis=0))
    return Bins(bag.numbers, np.array(knots, np.float32))


# ---- constants


def constants_of(program: Program, weights: str) -> Constants:
    """Every array of the C file under its name there."""
    if weights not in WEIGHTS:
        raise ValueError(f"weights must be 'float32' or 'int8', got {weights!r}.")
    found: Constants = {}
    if program.bins is not None:
        columns = program.bins.columns
        found["places"] = _whole([column.place for column in columns])
        for name in ("fills", "centers", "factors"):
            found[name] = np.array([getattr(column, name[:-1]) for column in columns])
        found["starts"] = _whole(np.cumsum([0, *(len(column.edges) for column in columns)]))
        found["edges"] = np.concatenate([column.edges for column in columns])
        found["knots"] = knots = program.bins.knots
        if weights == "int8":
            own = np.split(knots, found["starts"][1:-1], axis=1)
            rounded = [_in_int8(one) for one in own]
            found["knot_scales"] = np.stack([scale for _, scale in rounded], axis=1)
            found["knots"] = np.concatenate([whole for whole, _ in rounded], axis=1)
    for part in parts_of(program):
        found |= part.constants
    for i, step in enumerate(program.after):
        found |= {f"after_{i}_{j}": array for j, array in enumerate(in_float32(step))}
    for i, each in enumerate(zip(*program.members, strict=True)):
        weight = np.stack([layer.weight for layer in each])
        if weights == "int8":
            weight, found[f"scales_{i}"] = _in_int8(weight)
        found[f"weights_{i}"] = weight
        found[f"biases_{i}"] = np.stack([layer.bias for layer in each])
    return found


def _in_int8(array: NDArray[np.float32]) -> tuple[NDArray[np.int8], NDArray[np.float32]]:
    """Whole numbers from -127 to 127, and their scale along all axes but the second."""
    scale = np.abs(array).max(axis=1) / np.float32(127)
    scale[scale == 0] = 1
    return np.rint(array / scale[:, None]).astype(np.int8), scale


def in_float32(step: Step) -> list[NDArray[np.float32]]:
    """A step's operands in float32; the shift of "scale" in two."""
    with np.errstate(over="ignore"):
        operands = [operand.astype(np.float32) for operand in step.operands]
    if not all(np.isfinite(operand).all() for operand in operands):
        raise ValueError(
            "A column's mean or scale is not finite in float32; leave the column out, or scale it"
            " before."
        )
    if step.kind == "scale":
        operands.insert(1, (step.operands[0] - operands[0]).astype(np.float32))
    return operands


def n_bytes(constants: Constants) -> int:
    """Of all constants."""
    return sum(array.nbytes for array in constants.values())


def _whole(values: Any) -> NDArray[Any]:
    """Whole numbers in two bytes each where they fit."""
    array = np.asarray(values, np.int32)
    return array.astype(np.int16) if np.abs(array).max(initial=0) < 2**15 else array


# ---- the front end


@dataclass(frozen=True)
class Part:
    """Neighbours among what a network reads that one loop writes.

    Attributes
    ----------
    start : int
        Where the first one stands in the network's input.
    columns : list of Column
        Numbers through the same kinds of steps, or look-ups of one column's codes.
    constants : dict of str to ndarray
        Of numbers the operands of the steps, ``before_G_I_J``, and where the columns do not follow
        each other ``from_G``. Of look-ups ``values_G``: all numbers of each code; or, where each
        code has one number that differs from ``others_G``, that number and its place,
        ``places_G``, -1 where none does. Absent are numbers that are all the same.
    value : float
        That of all codes, where ``values_G`` is absent.
    """

    start: int
    columns: list[Column]
    constants: Constants
    value: float = 1.0

    @property
    def is_look_up(self) -> bool:
        """Whether its columns are looked up by a code."""
        return self.columns[0].table is not None


def parts_of(program: Program) -> list[Part]:
    """The parts of a front end in order; none where the network reads the row as it stands."""
    if program.reads_x:
        return []
    parts: list[Part] = []
    start = program.n_bins_out
    ready = map(_imputed_last, program.columns)
    each = groupby(ready, lambda c: (c.levels is None, c.levels and c.source, c.kinds))
    for g, (_, own) in enumerate(each):
        columns = list(own)
        make = _numbers if columns[0].table is None else _look_ups
        parts.append(make(g, start, columns))
        start += len(columns)
    return parts


def _imputed_last(column: Column) -> Column:
    """The column with what stands for a missing number put in after its steps, not before.

    NaN goes through them, and the fill is as exact as in float64: one of 10,000 in float32 is not.
    """
    if column.kinds[:1] != ("impute",) or {*column.kinds[1:]} & {"impute", "missing"}:
        return column
    first, *others = column.steps
    fill = first.operands[0].astype(np.float64)
    for step in others:
        fill = ARITHMETIC[step.kind](fill, *step.operands)
    return replace(column, steps=(*others, Step("impute", (fill,))))


def _numbers(g: int, start: int, columns: list[Column]) -> Part:
    found: Constants = {}
    sources = [column.source for column in columns]
    if sources != list(range(sources[0], sources[0] + len(sources))):
        found[f"from_{g}"] = _whole(sources)
    for i in range(len(columns[0].steps)):
        operands = [in_float32(column.steps[i]) for column in columns]
        for j, one in enumerate(zip(*operands, strict=True)):
            found[f"before_{g}_{i}_{j}"] = np.concatenate(one)
    return Part(start, columns, found)


def _look_ups(g: int, start: int, columns: list[Column]) -> Part:
    table = np.array([column.table for column in columns], np.float32).T
    others = np.array([_most_frequent(values) for values in table.T])
    differs = (table != others) & ~(np.isnan(table) & np.isnan(others))
    if len(columns) == 1 or differs.sum(axis=1).max() > 1:
        return Part(start, columns, {f"values_{g}": table})
    places = np.where(differs.any(axis=1), differs.argmax(axis=1), -1)
    found = {f"places_{g}": _whole(places)}
    own = table[np.arange(len(table)), np.maximum(places, 0)]
    if len({*own[places >= 0].tolist()}) > 1:
        found[f"values_{g}"] = own
    if others.any():
        found[f"others_{g}"] = others
    return Part(start, columns, found, float(own[places >= 0][0]))


def _most_frequent(values: NDArray[np.float32]) -> np.float32:
    found, counts = np.unique(values, return_counts=True)
    most: np.float32 = found[counts.argmax()]
    return most
