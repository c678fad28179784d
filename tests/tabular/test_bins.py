"""Do bins hold equal shares of the rows, and frequent values places of their own?"""

from __future__ import annotations

import numpy as np
import pytest

from fastnn.tabular.bins import NumericColumns, RobustScale, bin_edges, find_bins, hot_values
from fastnn.tabular.tally import Tally

RNG = np.random.default_rng(0)


def found(x, edges):
    """Bins and fractions of numbers that are scaled already, but for a smooth clip far away."""
    known = NumericColumns.of([0], [0.0], [RobustScale(0.0, 1e-9)], [np.asarray(edges) * 1e-9])
    bins, fractions = np.empty((len(x), 1), np.uint8), np.empty((len(x), 1), np.float32)
    assert find_bins(known, np.asarray(x, float)[:, None], range(1), bins, fractions)
    return bins[:, 0], fractions[:, 0]


def test_few_values_are_all_edges():
    np.testing.assert_array_equal(bin_edges(Tally.of(np.array([3.0, 1, 2, 1, 3])), 4), [1, 2, 3])


def test_many_values_share_the_rows():
    x = RNG.exponential(size=1000)
    edges = bin_edges(Tally.of(x), 8)
    counts = np.bincount(found(x, edges)[0])
    assert len(edges) == 9
    assert counts.min() >= 124
    assert counts.max() <= 126


def test_a_frequent_value_is_an_edge_and_the_rest_share_the_bins():
    x = np.where(RNG.random(4000) < 0.6, 0.0, RNG.normal(5, 1, 4000))
    edges = bin_edges(Tally.of(x), 8)
    assert 0.0 in edges
    assert len(edges) == 9  # plain quantiles would leave 4 bins
    rest = x[x != 0]
    np.testing.assert_allclose(edges[1:], np.quantile(rest, np.linspace(0, 1, 8)))


def test_there_are_never_more_bins_than_asked_for():
    frequent = np.repeat(np.arange(7.0), 100)
    x = np.concatenate([frequent, RNG.uniform(-1, 8, 90)])
    edges = bin_edges(Tally.of(x), 8)
    assert len(edges) <= 9
    assert edges[0] == x.min()
    assert edges[-1] == x.max()


@pytest.mark.parametrize("x", [-1.0, 0.0, 0.3, 1.0, 1.5, 2.0, 3.0])
def test_a_number_is_found_again(x):
    edges = np.array([0.0, 1, 2])
    (bins,), (fraction,) = found([x], edges)
    assert bins == (0 if x < 1 else 1)
    assert edges[bins] + fraction * np.diff(edges)[bins] == pytest.approx(x, abs=1e-6)


def test_numbers_far_out_count_as_a_bin_beyond():
    bins, fractions = found([-3.0, 2.5], [0.0, 1, 2, 2 + 1e-6])
    assert bins.tolist() == [0, 2]
    assert fractions.tolist() == [-1, 2]


def test_the_compiled_bins_are_those_of_the_definition():
    x = np.concatenate([RNG.normal(0, 10, 500), [np.nan, 1e308, -1e308, 0.0, -0.0, 5e-324]])
    X = np.column_stack([x, RNG.permutation(x), np.floor(x), np.full(len(x), np.nan), x])
    scales = [RobustScale(0.3, 0.7), RobustScale(-1e300, 1e300), RobustScale(1, 1 / 3)]
    edges = [RNG.normal(size=n) for n in (2, 3, 33)]
    known = NumericColumns.of([4, 0, 2], [0.1, 7.0, -3.0], scales, [np.sort(e) for e in edges])
    answers = []
    for way in (known.find, lambda *args: find_bins(known, *args)):
        bins, fractions = np.zeros((len(x), 3), np.uint8), np.zeros((len(x), 3), np.float32)
        assert way(X, range(1, 3), bins, fractions)
        assert not bins[:, 0].any()
        assert way(np.ascontiguousarray(X[:, 4:]), range(1), bins, fractions)
        assert not way(np.where(X == X[7, 1], np.inf, X), range(3), bins.copy(), fractions.copy())
        answers.append((bins, fractions))
    for compiled, defined in zip(*answers, strict=True):
        np.testing.assert_array_equal(compiled, defined)
    assert answers[0][0].max(axis=0).tolist() == [0, 1, 31]


@pytest.mark.parametrize("n_rows", [1, 2, 7, 100])
def test_columns_of_zeros_and_ones_are_scaled_by_their_number_of_ones(n_rows):
    counts = np.arange(n_rows + 1)
    expected = []
    for count in counts:
        scale = RobustScale.of(Tally.of((np.arange(n_rows) < count).astype(float)))
        expected.append(float(scale(np.ones(1))[0] - scale(np.zeros(1))[0]))
    np.testing.assert_array_equal(hot_values(counts, n_rows), expected)
