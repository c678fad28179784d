"""Tables in partitions, workers that end, and a limit of time for what must not hang."""

from __future__ import annotations

import threading

import numpy as np
import pytest

da = pytest.importorskip("dask.array", reason="Dask comes with fastnn[dask]")
dask = pytest.importorskip("dask")


def cut(array, chunks):
    return da.from_array(array, chunks=(chunks, *map(int, array.shape[1:])))


def unknown(array, *stops):
    """Chunks whose sizes are not known, cut before these rows; the first may be empty."""
    parts = [dask.delayed(part) for part in np.split(array, stops)]
    shape = (np.nan, *array.shape[1:])
    return da.concatenate(
        [da.from_delayed(part, shape, array.dtype) for part in parts], allow_unknown_chunksizes=True
    )


def on_each_worker(client, *parts):
    """Futures of the parts, each on a worker of its own, and a dask Array of them all."""
    futures = [
        client.scatter(part, workers=[worker], hash=False)
        for part, worker in zip(parts, client.nthreads(), strict=True)
    ]
    chunks = [
        da.from_delayed(dask.delayed(future), part.shape, part.dtype)
        for future, part in zip(futures, parts, strict=True)
    ]
    return futures, da.concatenate(chunks)


def within(seconds, function):
    """What ``function()`` returns or raises, or a failure where that takes too long."""
    found = []

    def run():
        try:
            found.append((function(), None))
        except BaseException as error:
            found.append((None, error))

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    thread.join(seconds)
    assert found, f"still running after {seconds} s"
    if found[0][1] is not None:
        raise found[0][1]
    return found[0][0]
