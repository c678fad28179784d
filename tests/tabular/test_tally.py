"""Are counts of parts of a table those of the table, and how far off is a sketch?"""

from __future__ import annotations

from functools import reduce

import numpy as np
import pytest

pytest.importorskip("hypothesis")

from hypothesis import given, settings
from hypothesis import strategies as st

from fastnn.tabular import tally
from fastnn.tabular.tally import Levels, Tally, count_numbers

RNG = np.random.default_rng(0)
NUMBERS = st.lists(st.floats(-1e3, 1e3) | st.integers(-2, 2).map(float), min_size=1, max_size=40)


@settings(max_examples=50, deadline=None)
@given(NUMBERS, st.lists(st.floats(0, 1), min_size=1))
def test_quantiles_are_numpys_to_the_bit(x, shares):
    found = Tally.of(np.array(x)).quantiles(shares)
    assert found.tolist() == np.quantile(x, shares).tolist()


@settings(max_examples=50, deadline=None)
@given(st.lists(NUMBERS, min_size=1, max_size=5))
def test_counts_of_parts_add_up_to_those_of_the_table(parts):
    parts = [np.where(np.abs(part) > 900, np.nan, part) for part in parts]
    whole, summed = Tally.of(np.concatenate(parts)), Tally.added([*map(Tally.of, parts)])
    assert summed.values.tolist() == whole.values.tolist()
    assert summed.counts.tolist() == whole.counts.tolist()
    assert summed.n_missing == whole.n_missing


@pytest.mark.parametrize("n", [0, 1, 3, 3000])
def test_the_compiled_counts_are_those_of_the_definition(n):
    odd = [np.nan, -np.nan, 0.0, -0.0, 5e-324, -5e-324, 1e300, -1e300, np.inf, -np.inf]
    for x in (
        RNG.permutation(np.resize([*odd, *RNG.normal(size=1000)], n)),
        RNG.integers(-300, 300, n).astype(float),
        np.full(n, -7.5),
        np.full(n, np.nan),
    ):
        values, counts = np.empty(n), np.empty(n, np.int64)
        n_values = count_numbers(x, values, counts)
        found = Tally.of(x)
        assert found.values.tobytes() == values[:n_values].tobytes()
        assert found.counts.tolist() == counts[:n_values].tolist()
        assert found.n_missing == np.isnan(x).sum()


def test_parts_without_a_number_add_up_to_none():
    nothing = Tally.added([Tally.of(np.full(2, np.nan)), Tally.of(np.full(3, np.nan))])
    assert (len(nothing.values), nothing.n_missing) == (0, 5)


def test_categories_add_up_in_the_order_of_the_table():
    one = Levels.of(["a", "b"], np.array([0, 1, 1, -1]))
    two = Levels.of(["c", "b", "d"], np.array([0, 1]))
    both = Levels.added([one, two])
    assert both == Levels({"a": 1, "b": 3, "c": 1, "d": 0}, 6)
    assert both.most_frequent(9) == ["b", "a", "c"]
    assert both.most_frequent(2) == ["b", "a"]


@pytest.mark.parametrize("order", ["shuffled", "sorted"])
def test_a_sketch_is_as_exact_as_it_says(monkeypatch, order):
    """Ranks move by 1 / SIZE of the cells each time; the ends and heavy values are exact."""
    monkeypatch.setattr(tally, "SIZE", 64)
    x = np.concatenate([RNG.lognormal(size=20_000), np.full(3_000, 1.0)])
    x = np.sort(x) if order == "sorted" else RNG.permutation(x)
    level = [Tally.of(part) for part in np.array_split(x, 16)]
    for times in (1, 2, 3, 4):
        level = [Tally.added(level[i : i + 2]) for i in range(0, len(level), 2)]
        (whole,) = level if len(level) == 1 else [Tally.added(level)]
        assert len(whole.values) < 4 * 64
        assert whole.n_known == len(x)
        assert whole.values[[0, -1]].tolist() == [x.min(), x.max()]
        asked = np.quantile(x, np.linspace(0, 1, 200))
        true = np.searchsorted(np.sort(x), asked) / len(x)
        sketched = np.append(0, np.cumsum(whole.counts))[np.searchsorted(whole.values, asked)]
        error = np.abs(sketched / len(x) - true).max()
        assert error <= (times + 1) / 64
    assert error > 1e-4, "it was no sketch"
    if order == "shuffled":
        assert whole.counts[whole.values == 1.0] == (x == 1.0).sum()


def test_a_single_part_is_exact(monkeypatch):
    monkeypatch.setattr(tally, "SIZE", 4)
    x = RNG.normal(size=100)
    assert Tally.added([Tally.of(x)]).values.tolist() == np.sort(x).tolist()
    names = [f"{i}" for i in range(100)]
    assert len(Levels.added([Levels.of(names, np.arange(100))]).counts) == 100


def test_of_many_categories_the_most_frequent_are_kept(monkeypatch):
    monkeypatch.setattr(tally, "SIZE", 4)
    names = [f"{i}" for i in range(20)]
    codes = RNG.permutation(np.repeat(np.arange(20), [*[1] * 16, 50, 30, 20, 10]))
    parts = [Levels.of(names, part) for part in np.array_split(codes, 4)]
    found = reduce(lambda one, other: Levels.added([one, other]), parts)
    assert found.counts == {"16": 50, "17": 30, "18": 20, "19": 10}
    assert found.n_rows == 126
