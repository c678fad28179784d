"""Do bins hold equal shares of the rows, and frequent values places of their own?"""

from __future__ import annotations

import numpy as np
import pytest

from fastnn.tabular.bins import bin_edges, find_bins

RNG = np.random.default_rng(0)


def test_few_values_are_all_edges():
    np.testing.assert_array_equal(bin_edges(np.array([3.0, 1, 2, 1, 3]), 4), [1, 2, 3])


def test_many_values_share_the_rows():
    x = RNG.exponential(size=1000)
    edges = bin_edges(x, 8)
    counts = np.bincount(find_bins(x, edges)[0])
    assert len(edges) == 9
    assert counts.min() >= 124
    assert counts.max() <= 126


def test_a_frequent_value_is_an_edge_and_the_rest_share_the_bins():
    x = np.where(RNG.random(4000) < 0.6, 0.0, RNG.normal(5, 1, 4000))
    edges = bin_edges(x, 8)
    assert 0.0 in edges
    assert len(edges) == 9  # plain quantiles would leave 4 bins
    rest = x[x != 0]
    np.testing.assert_allclose(edges[1:], np.quantile(rest, np.linspace(0, 1, 8)))


def test_there_are_never_more_bins_than_asked_for():
    frequent = np.repeat(np.arange(7.0), 100)
    x = np.concatenate([frequent, RNG.uniform(-1, 8, 90)])
    edges = bin_edges(x, 8)
    assert len(edges) <= 9
    assert edges[0] == x.min()
    assert edges[-1] == x.max()


@pytest.mark.parametrize("x", [-1.0, 0.0, 0.3, 1.0, 1.5, 2.0, 3.0])
def test_a_number_is_found_again(x):
    edges = np.array([0.0, 1, 2])
    (bins,), (fraction,) = find_bins(np.array([x]), edges)
    assert bins == (0 if x < 1 else 1)
    assert edges[bins] + fraction * np.diff(edges)[bins] == pytest.approx(x)


def test_numbers_far_out_count_as_a_bin_beyond():
    bins, fractions = find_bins(np.array([-3.0, 2.5]), np.array([0.0, 1, 2, 2 + 1e-9]))
    assert bins.tolist() == [0, 2]
    assert fractions.tolist() == [-1, 2]
