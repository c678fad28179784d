"""What does a table's number of rows change in what is trained on it?"""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest

from fastnn import TabularRegressor
from fastnn.core.embedding import Embedding
from fastnn.core.losses import LOSSES
from fastnn.tabular.recipe import PRESETS, Recipe


@pytest.mark.parametrize("recipe", PRESETS.values(), ids=PRESETS)
def test_many_rows_are_visited_more_rarely_each(recipe):
    assert all(recipe.for_rows(n) == recipe for n in (2, 6000, 8192))
    visits = recipe.n_members * recipe.max_iter
    before = recipe
    for n_rows in np.geomspace(8193, 1e8, 60).astype(int):
        found = recipe.for_rows(n_rows)
        wanted = visits * math.sqrt(8192 / n_rows)
        n_members, max_iter = found.n_members, found.max_iter
        assert (n_members - 1) * max_iter < wanted <= n_members * max_iter or (
            n_members == 2 and 2 * (max_iter - 1) < wanted <= 2 * max_iter
        )
        assert max_iter == recipe.max_iter or n_members == 2
        assert n_members <= before.n_members and max_iter <= before.max_iter
        assert replace(found, n_members=recipe.n_members, max_iter=recipe.max_iter) == recipe
        before = found
    assert before.n_members == 2 and before.max_iter < 4


def test_one_member_stays_one():
    one = Recipe(n_members=1, max_iter=64).for_rows(4 * 8192)
    assert (one.n_members, one.max_iter) == (1, 32)


@pytest.mark.parametrize(("loss", "rate"), [("log_loss", 0.04), ("squared_error", 0.07)])
def test_the_learning_rate_falls_with_the_fourth_root_of_the_rows(loss, rate):
    given = Recipe(learning_rate_init=rate, max_iter=2)
    spec = given.network(Embedding(((0.0, 1.0),)), 2, LOSSES[loss].filled())
    for batch_size, n_steps, share in [(64, 2, 1), (128, 64, 1), (256, 512, 0.5)]:
        expected = share * given.rates(spec, batch_size, n_steps)
        found = Recipe(max_iter=2).rates(spec, batch_size, n_steps)
        np.testing.assert_array_equal(found, expected)


def test_what_is_given_stands_whatever_the_rows_are():
    found = TabularRegressor("fast", n_members=5, max_iter=9)._recipe(10**7)
    assert (found.n_members, found.max_iter) == (5, 9)


def test_rows_that_count_decide():
    n = 200_000  # two members, 23 epochs
    X, y = np.arange(n)[:, None] % 97.0, np.arange(n) % 89.0
    model = TabularRegressor("fast", hidden_layer_sizes=1, n_bins=1, random_state=0)
    some = model.fit(X, y, sample_weight=np.arange(n) < 300)
    assert len(some.members_) == 7 and some.n_iter_ == 32
    assert len(model.set_params(max_iter=1).fit(X, y).members_) == 2
