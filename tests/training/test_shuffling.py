"""Are our orders NumPy's, to the last row and the last random number?"""

from __future__ import annotations

import threading

import numpy as np
import pytest

from fastnn.training.shuffling import shuffle


@pytest.mark.parametrize("n", [0, 1, 2, 3, 4, 5, 16, 17, 511, 512, 513, 1024, 1025, 5000, 70_001])
@pytest.mark.parametrize("bits", [np.random.MT19937, np.random.PCG64])
@pytest.mark.parametrize("dtype", [np.int32, np.int64])
def test_the_order_and_the_generator_afterwards_are_numpys(n, bits, dtype):
    ours, numpys = np.random.RandomState(bits(n)), np.random.RandomState(bits(n))
    mine, expected = np.arange(n, dtype=dtype), np.arange(n, dtype=np.int64)
    for _ in range(3):  # permutations compose
        shuffle(mine, ours)
        numpys.shuffle(expected)
        np.testing.assert_array_equal(mine, expected)
        assert ours.randint(1 << 30) == numpys.randint(1 << 30)


def test_threads_that_share_a_generator_lose_no_row():
    random_state = np.random.RandomState(0)
    orders = [np.arange(20_000, dtype=np.int32) for _ in range(4)]
    threads = [threading.Thread(target=shuffle, args=(order, random_state)) for order in orders]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for order in orders:
        np.testing.assert_array_equal(np.sort(order), np.arange(20_000))
