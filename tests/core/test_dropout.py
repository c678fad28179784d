"""Does dropout silence the share it should, each output on its own, wherever the output stands?

The draws are fixed, so a bound of so many standard deviations either holds always or never.
"""

from __future__ import annotations

import itertools
from dataclasses import replace

import numpy as np
import pytest

from fastnn.core.dropout import factors, mix
from fastnn.core.network import NetworkSpec

SHAPE = N_ROWS, N_OUT = 256, 100
SHARES = [0.1, 0.5, 0.9]
SPEC = NetworkSpec.dense([3, 4, 5, 2], "tanh", "squared_error")
SIGMAS = 5  # the greatest of a million normal numbers is 4.9


def silent(share: float, seed: int, step: int, layer: int) -> np.ndarray:
    """Which outputs are silent, standardised: mean 0 and variance 1."""
    zeros = factors(share, (seed, step, layer), SHAPE, np.float64) == 0
    return (zeros - share) / np.sqrt(share * (1 - share))


def standardised_mean(x: np.ndarray) -> float:
    """The mean of standardised numbers, in its standard deviations."""
    return abs(x.mean()) * np.sqrt(x.size)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("share", [0.0, *SHARES])
def test_an_output_is_silent_or_makes_up_for_those_that_are(share, dtype):
    found = factors(share, (3, 2, 1), SHAPE, dtype)
    assert found.shape == SHAPE
    assert found.dtype == dtype
    assert set(np.unique(found)) <= {0, dtype(1 / (1 - share))}


@pytest.mark.parametrize("share", SHARES)
def test_the_share_is_what_was_asked_for(share):
    places = itertools.product([0, 1, 2**32 - 1], [0, 1, 70_000], [0, 1, 2])
    found = np.array([silent(share, *place) for place in places])
    assert standardised_mean(found) < SIGMAS
    by_unit, by_row = found.mean(axis=(0, 1)), found.mean(axis=(0, 2))
    assert np.abs(by_unit).max() * np.sqrt(found[..., 0].size) < SIGMAS
    assert np.abs(by_row).max() * np.sqrt(found[:, 0].size) < SIGMAS


@pytest.mark.parametrize("share", SHARES)
def test_places_are_independent_of_one_another(share):
    places = [*itertools.product([0, 1, 2], [0, 1, 2, 3], [0, 1, 2]), (2**32 - 1, 70_000, 9)]
    masks = [silent(share, *place).ravel() for place in places]
    for one, other in itertools.combinations(masks, 2):
        assert standardised_mean(one * other) < SIGMAS


@pytest.mark.parametrize("share", SHARES)
def test_rows_and_units_of_a_place_are_independent_of_one_another(share):
    mask = silent(share, 1, 0, 0)
    for lines, n in ((mask, N_OUT), (mask.T, N_ROWS)):
        correlation = lines @ lines.T / n
        np.fill_diagonal(correlation, 0)
        assert np.abs(correlation).max() * np.sqrt(n) < 1.2 * SIGMAS  # of few, hence not normal
    for shift in range(1, 20):  # a row is not the one before, moved on
        assert standardised_mean(mask[1:, shift:] * mask[:-1, :-shift]) < SIGMAS


def test_a_place_is_more_than_the_sum_of_its_numbers():
    masks = {silent(0.5, *place).tobytes() for place in itertools.permutations([0, 1, 2])}
    assert len(masks) == 6


def test_mix_is_a_permutation_in_which_each_bit_depends_on_all():
    words = np.random.default_rng(0).permutation(2**32 >> 12)[:20_000].astype(np.uint32)
    words = np.concatenate([words, np.arange(20_000, dtype=np.uint32) + 2**31])
    assert len(np.unique(mix(words))) == len(np.unique(words))
    for bit in range(32):
        changed = mix(words) ^ mix(words ^ np.uint32(1 << bit))
        bits = np.unpackbits(changed.view(np.uint8)).reshape(-1, 32)
        assert np.abs(bits.mean(axis=0) - 0.5).max() < 0.02


@pytest.mark.parametrize("dropout", [0.25, [0.25, 0.25], (0.25, 0.25), np.full(2, 0.25)])
def test_a_network_takes_one_share_or_one_for_each_hidden_layer(dropout):
    spec = SPEC.with_dropout(dropout)
    assert [layer.dropout for layer in spec.layers] == [0.25, 0.25, 0]
    assert spec.drops
    assert not SPEC.drops
    assert spec.with_dropout(0) == SPEC


@pytest.mark.parametrize(
    ("dropout", "message"),
    [
        ([0.1], r"dropout must be one number or 2 numbers, one for each hidden layer, got \[0.1\]"),
        ([0.1, 1.0], r"dropout must be a number in \[0, 1\), got 1.0"),
        ([-0.1, 0.1], r"dropout must be a number in \[0, 1\), got -0.1"),
        ([np.nan, 0.1], r"dropout must be a number in \[0, 1\), got nan"),
        (["a", 0.1], r"dropout must be a number in \[0, 1\), got 'a'"),
    ],
)
def test_a_network_refuses_other_shares(dropout, message):
    with pytest.raises(ValueError, match=rf"^{message}\.$"):
        SPEC.with_dropout(dropout)


def test_the_last_layer_has_no_dropout():
    last = replace(SPEC.layers[-1], dropout=0.5)
    with pytest.raises(ValueError, match=r"^dropout is of hidden layers; that of the last layer"):
        replace(SPEC, layers=(*SPEC.layers[:-1], last))
