"""Does the description of a bag say what the bag computes?"""

from __future__ import annotations

import numpy as np
import pytest
from support.exported_bags import KINDS, TASKS, bag, frame, targets

from fastnn.core.links import INVERSE_LINKS
from fastnn.export.bags import CategoryColumn, NumberColumn, describe_bag
from fastnn.tabular.bins import RobustScale
from fastnn.tabular.table import columns_of

pytest.importorskip("pandas")


def computed(description, X):
    """What the description says of a table, plainly: column by column, member by member."""
    bins, fractions, signals, codes = [], [], [], []
    cells = {}
    for column in description.columns:
        raw = columns_of(X)[column.place]
        if isinstance(column, NumberColumn):
            cells[column.place] = raw.numbers()
        else:
            levels, rows = raw.levels()
            kind = str if column.holds_text else float
            known = dict(zip(column.levels, column.codes, strict=True))
            each = [known.get(level if kind is str and isinstance(level, str) else kind(level), -1)
                    for level in levels]  # fmt: skip
            cells[column.place] = np.array([*each, -1])[rows]
    for column in description.numbers:
        x = cells[column.place]
        z = RobustScale(column.center, column.factor)(np.where(np.isnan(x), column.fill, x))
        own = np.searchsorted(column.edges[1:-1], z, side="right")
        bins.append(own)
        t = (z - column.edges[own]) / (column.edges[own + 1] - column.edges[own])
        fractions.append(t.clip(-1, 2).astype(np.float32))
    for column in description.senders:
        is_category = isinstance(column, CategoryColumn)
        code = cells[column.place] if is_category else ~np.isnan(cells[column.place])
        signals.append(column.signals[code.astype(int)])
    hot = np.zeros((len(X), description.n_categories))
    for column in description.categories:
        codes = cells[column.place]
        hot[np.flatnonzero(codes >= 0), codes[codes >= 0]] = 1
    answers = 0
    starts = np.cumsum([0, *(len(column.edges) - 1 for column in description.numbers)])
    link = INVERSE_LINKS[description.inverse_link]
    for member in description.members:
        numbers = [member.offsets[start + own] + t[:, None] * member.slopes[start + own]
                   for start, own, t in zip(starts, bins, fractions, strict=False)]  # fmt: skip
        a = np.column_stack([*numbers, *signals, hot])
        for layer in member.layers:
            a = layer.activation.value_and_slope(a @ layer.weight + layer.bias)[0]
        answers = answers + link.apply(a) / len(description.members)
    for step in description.after:
        one, other = step.operands
        answers = answers * one + other if step.kind == "unscale" else answers.clip(one, other)
    return answers


@pytest.mark.parametrize("task", TASKS)
def test_it_says_what_the_bag_computes(task):
    rng = np.random.default_rng(0)
    X, y = frame(KINDS, rng, 120), targets(task, rng, 120)
    model = bag(task, X, y, dtype="float64")
    got = computed(describe_bag(model, np.float64), X)
    want = model.predict_proba(X) if task == "classes" else model.predict(X).reshape(len(X), -1)
    np.testing.assert_allclose(got, want, rtol=1e-10)


def test_a_table_that_tells_no_rows_apart_is_a_signal_of_0():
    rng = np.random.default_rng(0)
    X, y = frame(["constant", "empty"], rng, 40), targets("squared_error", rng, 40)
    model = bag("squared_error", X, y, dtype="float64")
    description = describe_bag(model, np.float64)
    assert [column.name for column in description.columns] == ["0 constant"]
    np.testing.assert_allclose(computed(description, X)[:, 0], model.predict(X), rtol=1e-12)
