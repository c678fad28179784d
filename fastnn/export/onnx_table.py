"""How does a table as ``fastnn fit`` reads it enter an ONNX graph? Each raw column is an input.

Numbers are float64 up to where a network begins, whatever the graph's type is, as in predicting.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from fastnn.export.columns import stacked
from fastnn.export.description import Description
from fastnn.export.onnx_graph import ML, Graph, add_steps
from fastnn.tabular.schema import Dates, Schema, mark_numbers

DAY, HOUR = 86_400e6, 3_600e6  # in microseconds


class Inputs:
    """The raw columns that a graph reads, each ``(n_rows, 1)``: text, or float64.

    Attributes
    ----------
    found : dict of str to (type, int)
        The type and width of those asked for so far, by name.

    Parameters
    ----------
    graph : Graph
    schema : Schema or None
        What the training table taught; None where columns enter the model as they are.
    """

    def __init__(self, graph: Graph, schema: Schema | None = None) -> None:
        self.found: dict[str, tuple[Any, int]] = {}
        self._graph = graph.in_dtype(np.float64)
        self._marks = [] if schema is None else mark_numbers(schema.number_marks)
        dates = {} if schema is None else schema.dates
        self._dates = {
            f"{name}: {part}": (name, of, part) for name, of in dates.items() for part in of.parts
        }

    def text(self, name: str) -> str:
        """The name of a column of texts."""
        return self._asked(name, object)

    def number(self, name: str) -> str:
        """The name of a column of numbers, NaN where missing; or of a part of dates."""
        if name in self._dates:
            date, of, part = self._dates[name]
            return _add_part(self._graph, of, part, self._asked(date, np.float64))
        x = self._asked(name, np.float64)
        for mark in self._marks:
            x = self._graph("Where", self._graph("Equal", x, mark), np.nan, x)
        return x

    def _asked(self, name: str, kind: Any) -> str:
        if not name:
            raise ValueError(
                "Column '' cannot be an input of an ONNX graph: its name is empty. Name it, and"
                " fit."
            )
        self.found[name] = kind, 1
        return name


def _add_part(g: Graph, dates: Dates, part: str, days: str) -> str:
    """A part of dates, which are days since 1970-01-01, as :meth:`Dates.numbers` makes it."""
    # In microseconds, which are whole numbers: an hour that is a fraction of a day is none.
    time = g("Round", g("Mul", days, DAY))
    if part == "days":
        first = float(np.datetime64(dates.first, "us").astype(np.int64))
        return g("Div", g("Sub", time, first), DAY)
    day = _whole(g, time, DAY)
    if part == "hour":
        return _whole(g, _rest(g, time, day, DAY), HOUR)
    if part == "weekday":
        since = g("Add", day, 3.0)  # Monday is 0
        return _rest(g, since, _whole(g, since, 7.0), 7.0)
    # Years that begin in March, of eras of 400: Hinnant's days_from_civil turned round,
    # howardhinnant.github.io/date_algorithms.html.
    since = g("Add", day, 719468.0)
    era = _whole(g, since, 146097.0)
    day = _rest(g, since, era, 146097.0)
    without = g("Sub", day, _whole(g, day, 1460.0))
    without = g("Sub", g("Add", without, _whole(g, day, 36524.0)), _whole(g, day, 146096.0))
    year = _whole(g, without, 365.0)
    leap_days = g("Sub", _whole(g, year, 4.0), _whole(g, year, 100.0))
    day = g("Sub", _rest(g, day, year, 365.0), leap_days)
    month = _whole(g, g("Add", g("Mul", day, 5.0), 2.0), 153.0)
    is_next_year = _whole(g, month, 10.0)
    if part == "year":
        return g("Add", g("Add", year, g("Mul", era, 400.0)), is_next_year)
    if part == "month":
        return g("Sub", g("Add", month, 3.0), g("Mul", is_next_year, 12.0))
    before = _whole(g, g("Add", g("Mul", month, 153.0), 2.0), 5.0)
    return g("Add", g("Sub", day, before), 1.0)


def _whole(g: Graph, x: str, of: float) -> str:
    return g("Floor", g("Div", x, of))


def _rest(g: Graph, x: str, n: str, of: float) -> str:
    return g("Sub", x, g("Mul", n, of))


def add_columns(
    graph: Graph, description: Description, inputs: Inputs, missing: Sequence[str]
) -> tuple[str, list[int]]:
    """Add what a network reads of a table.

    Parameters
    ----------
    graph : Graph
    description : Description
        Of a model whose categories are texts.
    inputs : Inputs
    missing : sequence of str
        Texts that stand for a missing cell.

    Returns
    -------
    x : str
        The name of the matrix ``(n_rows, n_columns)``.
    order : list of int
        Which of the description's columns each of its columns is: like ones stand together.
    """
    exact = graph.in_dtype(np.float64)
    names, columns = description.feature_names, description.columns
    groups: dict[Any, list[int]] = {}
    for i, column in enumerate(columns):
        key = column.kinds if column.table is None else column.source
        groups.setdefault(key, []).append(i)
    blocks = []
    for of in groups.values():
        first, own = columns[of[0]], [columns[i] for i in of]
        if first.table is None:
            x = exact("Concat", *(inputs.number(names[c.source]) for c in own), axis=1)
            blocks.append(graph.cast(add_steps(exact, stacked(own), x), graph.dtype))
            continue
        levels = list(first.levels or ())
        codes = dict.fromkeys(["", *missing], len(levels) + 1)
        codes |= {level: code for code, level in enumerate(levels)}
        cells = inputs.text(names[first.source])
        code = add_look_up(graph, cells, codes, len(levels))
        table = np.column_stack([np.asarray(column.table) for column in own])
        blocks.append(graph("Gather", table, graph("Reshape", code, np.array([-1]))))
    return graph("Concat", *blocks, axis=1), [i for of in groups.values() for i in of]


def add_look_up(graph: Graph, cells: str, codes: Mapping[str, int], other: int) -> str:
    """Add a look-up of texts; the name of their codes, of the shape of ``cells``."""
    return graph(
        "LabelEncoder",
        cells,
        domain=ML,
        keys_strings=[*codes],
        values_int64s=[*codes.values()],
        default_int64=other,
    )
