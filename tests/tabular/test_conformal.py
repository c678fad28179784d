"""Do intervals and sets cover what they promise?"""

from __future__ import annotations

import tracemalloc

import numpy as np
import pytest

from fastnn.tabular.conformal import class_sets, intervals

RNG = np.random.default_rng(0)


def test_equal_members_give_the_residuals_quantile():
    residuals = [np.array([1.0, 4.0, 2.0]), np.array([3.0, 5.0, 6.0])]
    low, high = intervals(np.full((2, 3), 10.0), residuals, 0.7)  # the 5th of 6: ceil(0.7 * 7)
    np.testing.assert_array_equal(high, [15.0] * 3)
    np.testing.assert_array_equal(low, [5.0] * 3)


@pytest.mark.parametrize("ties", [False, True])
@pytest.mark.parametrize("coverage", [0.05, 0.5, 0.97])
def test_the_ends_are_those_among_all_sums(coverage, ties):
    residuals = [np.abs(RNG.standard_t(2, n)) for n in (0, 1, 40, 70)]
    predictions = RNG.normal(0, 3, (4, 50))
    if ties:
        residuals = [own.round() for own in residuals]
        predictions = predictions.round()
    low, high = intervals(predictions, residuals, coverage)
    k = int(np.ceil(coverage * 112)) - 1
    for i in range(50):
        pairs = list(zip(predictions[:, i], residuals, strict=True))
        assert high[i] == np.sort(np.concatenate([p + r for p, r in pairs]))[k]
        assert low[i] == -np.sort(np.concatenate([r - p for p, r in pairs]))[k]


def test_many_residuals_need_little_memory():
    residuals = [np.abs(RNG.normal(size=100_000)) for _ in range(4)]
    predictions = RNG.normal(size=(4, 300))
    tracemalloc.start()
    try:
        intervals(predictions, residuals, 0.9)
        assert tracemalloc.get_traced_memory()[1] < 10_000_000  # all sums: 960 MB
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("coverage", [0.5, 0.8, 0.95])
def test_intervals_cover(coverage):
    members = RNG.normal(0, 0.1, (4, 1))
    residuals = [np.abs(RNG.standard_t(4, 500) - m) for m in members]
    low, high = intervals(np.repeat(members, 4000, axis=1), residuals, coverage)
    y = RNG.standard_t(4, 4000)
    assert np.mean((low <= y) & (y <= high)) == pytest.approx(coverage, abs=0.03)


@pytest.mark.parametrize("coverage", [0.6, 0.9])
def test_sets_cover(coverage):
    def rows(n):
        p = RNG.dirichlet([0.5, 0.5, 0.5], n)
        return p, (p.cumsum(axis=1) > RNG.random((n, 1))).argmax(axis=1)

    scores = []
    for n in (400, 600):
        p, y = rows(n)
        scores.append(1 - p[np.arange(n), y])
    p, y = rows(3000)
    sets = class_sets(np.stack([p, p]), scores, coverage)
    assert np.mean(sets[np.arange(3000), y]) == pytest.approx(coverage, abs=0.03)


@pytest.mark.parametrize("coverage", [0, 1, -0.1, 90])
def test_a_coverage_that_is_no_share_is_refused(coverage):
    with pytest.raises(ValueError, match=r"coverage must be a number in \(0, 1\), got"):
        intervals(np.zeros((1, 2)), [np.ones(5)], coverage)


def test_more_than_the_rows_can_show_is_refused():
    with pytest.raises(ValueError, match=r"coverage=0\.99 needs at least 99 rows .*, got 5\."):
        class_sets(np.zeros((1, 2, 2)), [np.ones(5)], 0.99)
