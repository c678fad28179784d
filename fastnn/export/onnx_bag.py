"""How is a bag of networks written as an ONNX graph, from the raw columns of a table?

Everything up to a number's bin and fraction is float64, whatever the graph's type is, and equals
what predicting does to the bit. All members are computed side by side, along a first axis: one
after the other is no faster for 20,000 rows, and slower for one.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastnn.export.bags import BagDescription, CategoryColumn, NumberColumn
from fastnn.export.description import Description
from fastnn.export.onnx_graph import (
    ACTIVATIONS,
    INVERSE_LINKS,
    Graph,
    add_answers,
    add_decision,
    add_steps,
    as_model,
    output_names,
)
from fastnn.export.onnx_table import Inputs, add_columns, add_look_up
from fastnn.tabular.bins import BEYOND, LARGE
from fastnn.tabular.schema import Schema

# From a column to the name of its cells ``(n_rows, 1)``: text, or float64.
Cells = Callable[[NumberColumn | CategoryColumn], str]


def bag_model(bag: BagDescription, dtype: str, opset: int, schema: Schema | None = None) -> Any:
    """A bag alone as a model.

    Its input is X, float64, for an array of numbers; else one for each column that is read.
    """
    if bag.names is None and not any(c.holds_text for c in bag.columns):
        graph = Graph(dtype, {"X"})
        inputs: dict[str, tuple[Any, int]] = {"X": (np.float64, bag.n_columns)}
        cells = {c.name: graph("Gather", "X", np.array([c.place]), axis=1) for c in bag.columns}
    else:
        graph = Graph(dtype, {c.name for c in bag.columns} | {*(schema.columns if schema else ())})
        table = Inputs(graph, schema)
        cells = {
            c.name: (table.text if c.holds_text else table.number)(c.name) for c in bag.columns
        }
        inputs = table.found
    outputs = output_names(bag, inputs)
    add_bag(graph, bag, lambda column: cells[column.name], outputs)
    return as_model(graph, inputs, bag, outputs, opset)


def encoded_model(
    described: Description, dtype: str, opset: int, schema: Schema | None = None
) -> Any:
    """A network or linear model of what `TableEncoder` makes of a table, as a model."""
    graph = Graph(dtype, {*described.feature_names, *(schema.columns if schema else ())})
    table = Inputs(graph, schema)
    x, order = add_columns(graph, described, table, [] if schema is None else schema.marks)
    first, *others = described.layers
    first = replace(first, weight=first.weight[order])
    described = replace(described, layers=(first, *others))
    outputs = output_names(described, table.found)
    add_answers(graph, described, x, outputs)
    return as_model(graph, table.found, described, outputs, opset)


def add_bag(graph: Graph, bag: BagDescription, cells: Cells, outputs: list[str]) -> None:
    """Add a bag and what it answers under the names ``outputs``, as ``add_answers`` does."""
    bag.network.check("ONNX", ACTIVATIONS, INVERSE_LINKS)
    layers = [member.layers for member in bag.members]
    a = _add_first_product(graph, bag, cells)
    for i, layer in enumerate(layers[0]):
        if i:
            a = graph("MatMul", a, np.stack([own[i].weight for own in layers]))
        z = graph("Add", a, np.stack([own[i].bias[None] for own in layers]))
        a = ACTIVATIONS[layer.activation.name](graph, z, *layer.activation.settings().tolist())
    each = INVERSE_LINKS[bag.inverse_link](graph, a)
    total = graph("ReduceSum", each, np.array([0]), keepdims=0)
    p = graph("Mul", total, 1 / len(bag.members))
    add_decision(graph, bag, add_steps(graph, bag.after, p), outputs)


def _add_first_product(graph: Graph, bag: BagDescription, cells: Cells) -> str:
    """The members' first products ``(n_members, n_rows, n_units)``, without bias."""
    weights = np.stack([member.layers[0].weight for member in bag.members])
    of_numbers, of_signals, of_categories = np.split(
        weights, [bag.n_numbers, bag.n_numbers + bag.n_signals], axis=1
    )
    parts = []
    if bag.numbers:
        parts.append(graph("MatMul", _add_numbers(graph, bag, cells), of_numbers))
    if bag.senders:
        parts.append(graph("MatMul", _add_signals(graph, bag, cells), of_signals))
    if bag.categories:
        # The last row stands for none of the levels, whose code is -1.
        rows = graph.constant(np.pad(of_categories, ((0, 0), (0, 1), (0, 0))))
    for column in bag.categories:  # all at once would take the memory of as many first layers
        code = graph("Reshape", _add_code(graph, column, cells(column)), np.array([-1]))
        parts.append(graph("Gather", rows, code, axis=1))
    total = parts[0]
    for part in parts[1:]:
        total = graph("Add", total, part)
    return total


def _add_numbers(graph: Graph, bag: BagDescription, cells: Cells) -> str:
    """What the numbers become in each member, ``(n_members, n_rows, n_numbers)``."""
    columns = bag.numbers
    exact = graph.in_dtype(np.float64)
    fills, centers, factors = (
        np.array([getattr(column, name) for column in columns])
        for name in ("fill", "center", "factor")
    )
    x = exact("Concat", *map(cells, columns), axis=1)
    x = exact("Where", exact("IsNaN", x), fills, x)
    scaled = exact("Mul", exact("Sub", x, centers), factors)
    scaled = exact("Min", exact("Max", scaled, -LARGE), LARGE)
    third = exact("Div", scaled, 3.0)
    z = exact("Div", scaled, exact("Sqrt", exact("Add", exact("Mul", third, third), 1.0)))
    own = _add_bins(exact, [column.edges for column in columns], z)
    lower = np.concatenate([column.edges[:-1] for column in columns])
    widths = np.concatenate([np.diff(column.edges) for column in columns])
    t = exact("Div", exact("Sub", z, exact("Gather", lower, own)), exact("Gather", widths, own))
    t = exact("Min", exact("Max", t, -float(BEYOND)), 1.0 + BEYOND)
    t = graph("Unsqueeze", graph.cast(graph.cast(t, np.float32), graph.dtype), np.array([2]))
    offsets = np.stack([member.offsets for member in bag.members])
    slopes = np.stack([member.slopes for member in bag.members])
    slope = graph("Mul", graph("Gather", slopes, own, axis=1), t)
    each = graph("Add", graph("Gather", offsets, own, axis=1), slope)
    return graph("Reshape", each, np.array([0, 0, bag.n_numbers]))


def _add_bins(graph: Graph, edges: list[NDArray[np.float64]], z: str) -> str:
    """Which of the bins of all columns each number is in; found by halves."""
    n_most = 1 << max(1, (max(map(len, edges)) - 2).bit_length())
    inner = np.full((len(edges), n_most), np.inf)
    for own, row in zip(edges, inner, strict=True):
        row[: len(own) - 2] = own[1:-1]
    first = np.arange(len(edges)) * n_most  # of the padded bins of each column
    at: str | NDArray[np.int64] = first
    half = n_most // 2
    while half:
        is_above = graph("LessOrEqual", graph("Gather", inner.ravel()[half - 1 :], at), z)
        at = graph("Where", is_above, graph("Add", at, np.array(half)), at)
        half //= 2
    starts = np.cumsum([0, *(len(own) - 1 for own in edges[:-1])])
    return graph("Add", at, starts - first)


def _add_signals(graph: Graph, bag: BagDescription, cells: Cells) -> str:
    """The signals ``(n_rows, n_signals)`` of missing numbers and of categories with two levels."""
    each = []
    for column in bag.senders:
        signals = column.signals
        assert signals is not None
        if isinstance(column, NumberColumn):
            each.append(graph("Where", graph("IsNaN", cells(column)), *signals[:, None]))
        else:
            each.append(graph("Gather", signals, _add_code(graph, column, cells(column))))
    return graph("Concat", *each, axis=1)


def _add_code(graph: Graph, column: CategoryColumn, cells: str) -> str:
    """The code of each cell's level, ``(n_rows, 1)``; -1 for none of them."""
    if column.holds_text:
        codes = dict(zip(column.levels, column.codes.tolist(), strict=True))
        return add_look_up(graph, cells, codes, -1)  # type: ignore[arg-type]
    equal = graph.in_dtype(np.float64)("Equal", cells, np.array(column.levels, np.float64))
    found = graph("Where", equal, column.codes + 1, np.array(0))
    return graph("Sub", graph("ReduceSum", found, np.array([1]), keepdims=1), np.array(1))
