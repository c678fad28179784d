"""How does a fit talk to the workers? It asks all shards at once, and waits for one sum.

Dask places, moves and repeats the tasks. What a killed worker held is computed again elsewhere from
the graph that it came from, and the fit goes on to the same numbers: they depend on the shards, not
on where these are.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence, Set
from concurrent.futures import CancelledError
from dataclasses import dataclass
from typing import Any

import numpy as np

from fastnn._optional import require
from fastnn._version import __version__
from fastnn.dask import shards
from fastnn.dask.shards import Question, Sums

FAN_IN = 16  # how many sums a task adds up
POLL = 1.0  # seconds between two looks at whether there are workers
PATIENCE = 60.0  # seconds that a fit waits for a worker when there is none


class WorkersLost(RuntimeError):
    """Workers ended in the middle of a fit, and the cluster cannot make good what they held."""


@dataclass
class Shard:
    """A partition, or those that one worker has when a fit begins.

    Attributes
    ----------
    future : Future
        Of the rows, as they are or encoded.
    partitions : list of int
    lengths : list of int
        How many rows each of these has.
    """

    future: Any
    partitions: list[int]
    lengths: list[int]

    @property
    def n_rows(self) -> int:
        """Of all its partitions."""
        return sum(self.lengths)


class Cluster:
    """The shards of a fit on the workers of a Dask client.

    Parameters
    ----------
    client : distributed.Client or None
        None takes the current one.
    blocks : list of Delayed
        Of :func:`fastnn.dask.partitions.block`.
    look : callable ``(rows) -> object or None``
        What has to be known of a shard before the fit; None of one without rows, which is left out.
    joins : bool
        Whether the partitions on a worker make one shard. Else each is one, in their order.

    Attributes
    ----------
    shards : list of Shard
    found : list of object
        What ``look`` has found in each of them.
    """

    def __init__(
        self,
        client: Any,
        blocks: Sequence[Any],
        look: Callable[[Any], Any],
        *,
        joins: bool = True,
    ) -> None:
        self.client = client or _current_client()
        self.shards: list[Shard] = []
        self.workers()
        _check_versions(self.client)
        self._place(blocks, joins)
        found = self.each(look)
        self.shards = [s for s, one in zip(self.shards, found, strict=True) if one is not None]
        self.found: list[Any] = [one for one in found if one is not None]
        if not self.shards:
            raise ValueError(
                f"X has no rows in any of its {len(blocks)} partitions; at least one is needed."
            )
        # Where the rows of each partition are, in the order of the partitions: the first row's
        # number, the shard, the first row's number there.
        self.n_rows = sum(shard.n_rows for shard in self.shards)
        places = sorted(
            (partition, i, first, length)
            for i, shard in enumerate(self.shards)
            for partition, first, length in zip(
                shard.partitions,
                np.cumsum([0, *shard.lengths[:-1]]).tolist(),
                shard.lengths,
                strict=True,
            )
            if length
        )
        _, self._shard, self._first, lengths = np.array(places, dtype=np.int64).T
        self._start = np.cumsum([0, *lengths[:-1]])

    # ---- shards

    def _place(self, blocks: Sequence[Any], joins: bool) -> None:
        """Make shards of the partitions, wherever these are.

        No task is tied to a worker, though: one that is tied to a worker that has ended may wait
        for it for ever, even if others were allowed (``allow_other_workers``).
        """
        futures = self.client.compute(list(blocks))
        self._wait(futures)
        own = self._by_worker(futures) if joins else [[i] for i in range(len(futures))]
        n_rows = self._results([self._submit(shards.n_rows, future) for future in futures])
        for numbers in own:
            future = self._submit(shards.joined, *(futures[i] for i in numbers))
            self.shards.append(Shard(future, numbers, [n_rows[i] for i in numbers]))

    def _by_worker(self, futures: list[Any]) -> list[list[int]]:
        """The numbers of those that are on the same worker."""
        holders = self.client.who_has(futures)
        own: dict[Any, list[int]] = {}
        for i, future in enumerate(futures):
            # Of several holders the one with the fewest partitions yet; of none any.
            at = sorted(holders[future.key])
            least = min(at, key=lambda worker: len(own.get(worker, ())), default=None)
            own.setdefault(least, []).append(i)
        return list(own.values())

    def map(self, function: Callable[..., Any], *args: Any) -> None:
        """Make ``function(rows, *args)`` of each shard, which takes its place."""
        futures = [self._submit(function, shard.future, *args) for shard in self.shards]
        self._wait(futures)
        for shard, future in zip(self.shards, futures, strict=True):
            shard.future = future

    def each(self, function: Callable[..., Any], *args: Any) -> list[Any]:
        """What ``function(rows, *args)`` finds in each shard: little."""
        return self._results([self._submit(function, shard.future, *args) for shard in self.shards])

    def rows_of_shards(self, rows: np.ndarray) -> dict[int, np.ndarray]:
        """The shards that hold some ``rows (n,)``, numbered over all partitions, and which there.

        Those of a shard keep their order.
        """
        place = np.searchsorted(self._start, rows, side="right") - 1
        there = self._first[place] + rows - self._start[place]
        of_shard = self._shard[place]
        return {int(i): there[of_shard == i] for i in np.unique(of_shard)}

    # ---- questions

    def total(
        self, function: Callable[..., Sums], question: Question, own: Mapping[int, Any]
    ) -> Sums:
        """The sum of ``function(data, question, number, argument)`` over some shards.

        ``own`` holds the numbers of those that are asked, and the argument of each. The question is
        sent to one worker, which hands it on; sums are added up on workers.
        """
        told = self.told(question)
        sums = [
            self._submit(function, self.shards[i].future, told, i, argument)
            for i, argument in own.items()
        ]
        return self._results([self._merged(shards.added, sums)])[0]

    def merged(
        self,
        function: Callable[..., Any],
        *args: Any,
        merge: Callable[..., Any],
        last: Callable[[Any], Any],
    ) -> Any:
        """What ``last`` finds in ``function(rows, *args)`` of all shards, which ``merge`` merges.

        Merged in the order of the shards; all of it on workers.
        """
        parts = [self._submit(function, shard.future, *args) for shard in self.shards]
        return self._results([self._submit(last, self._merged(merge, parts))])[0]

    def _merged(self, merge: Callable[..., Any], futures: list[Any]) -> Any:
        """A future of ``merge(*parts)``, a few at a time."""
        while len(futures) > 1:
            groups = [futures[i : i + FAN_IN] for i in range(0, len(futures), FAN_IN)]
            futures = [self._submit(merge, *group) for group in groups]
        return futures[0]

    def told(self, question: Any) -> Any:
        """A future of the question, which is sent to one worker, and handed on by it."""
        threshold = {"distributed.admin.large-graph-warning-threshold": "1 GB"}
        with require("dask").config.set(threshold):
            return self._submit(_told, question)

    # ---- tasks that take long

    def spread(
        self,
        function: Callable[..., Any],
        tasks: Sequence[Any],
        *args: Any,
        last: Callable[..., Any],
    ) -> Any:
        """What ``last([function(task, *args), ...], *args)`` finds, each task on another worker.

        ``args`` may hold futures. A task is tied to its worker: Dask would rather have several wait
        for one worker than send what they need to others. Where it ends, the task begins anew
        elsewhere.
        """
        tied: dict[int, tuple[str, Any]] = {}
        while True:
            workers = self.workers()
            tied = {i: own for i, own in tied.items() if own[0] in workers}
            for i in sorted(set(range(len(tasks))) - set(tied)):
                busy = [at for at, _ in tied.values()]
                at = min(sorted(workers), key=busy.count)
                tied[i] = at, self._submit(function, tasks[i], *args, workers=[at])
            found = self._submit(last, [tied[i][1] for i in range(len(tasks))], *args)
            results = self._results([found], {at for at, _ in tied.values()})
            if results:
                return results[0]

    def _submit(self, function: Callable[..., Any], *args: Any, **where: Any) -> Any:
        """A task of its own, where Dask finds it best: where what it needs is."""
        return self.client.submit(function, *args, pure=False, **where)

    def workers(self) -> set[str]:
        """Those that there are; waits until there are some."""
        seen = time.monotonic()
        while not (found := self.client.nthreads()):
            if time.monotonic() - seen > PATIENCE:
                raise WorkersLost(
                    f"The cluster of {self.client} has had no worker for {PATIENCE:.0f} s. Start"
                    " workers, and call fit again."
                )
            time.sleep(0.05)
        return set(found)

    def _results(self, futures: list[Any], needed: Set[str] = frozenset()) -> list[Any]:
        """What the tasks return, which must be little; nothing if a needed worker has ended."""
        while self._wait(futures, needed):
            try:
                return [future.result(timeout=PATIENCE) for future in futures]
            except (TimeoutError, CancelledError):  # the worker that had it has just ended
                continue
        return []

    def _wait(self, futures: list[Any], needed: Set[str] = frozenset()) -> bool:
        """Wait until all are done; raise what one of them raised, or WorkersLost.

        False if a needed worker has ended before.
        """
        distributed = require("distributed")
        while True:
            try:
                distributed.wait(futures, timeout=POLL)
                break
            except TimeoutError:
                if not needed <= self.workers():
                    return False
            except CancelledError:
                break
        for future in futures:
            if future.status == "error":
                self._raise(future.exception())
            if future.status != "finished":
                raise WorkersLost(self._loss()) from None
        return True

    def _raise(self, error: BaseException) -> None:
        """Raise what a task raised, in words that say what ended."""
        if type(error).__name__ == "KilledWorker":
            raise WorkersLost(
                f"Dask gave up a task of this fit, as several workers ended while they did it:"
                f" {error} Mostly they need more memory than they are given."
            ) from error
        raise error

    def _loss(self) -> str:
        """What was lost: in words that name partitions and rows."""
        lost = [s for s in self.shards if s.future.status in ("cancelled", "lost")]
        numbers = ", ".join(str(i) for shard in lost for i in shard.partitions)
        held = (
            f"partitions {numbers} of X and y ({sum(s.n_rows for s in lost)} rows) are lost"
            if lost
            else "part of the fit is lost"
        )
        return (
            f"Workers ended in the middle of the fit: {held}, and the cluster cannot compute them"
            " again, as it does with what is loaded or made by tasks. Data that were sent by"
            " client.scatter are kept by client.scatter(..., broadcast=True). The model is as it"
            " was before fit."
        )


def _told(question: Any) -> Any:
    """The question, as a task that is done again where its answer is lost."""
    return question


def _check_versions(client: Any) -> None:
    """RuntimeError unless all workers have this fastnn.

    One that cannot read a task ends, and its successor would do so, too.
    """

    def version() -> str | None:  # in here, so that it is sent by value
        try:
            import fastnn

            return fastnn.__version__
        except ImportError:
            return None

    others = {worker: v for worker, v in client.run(version).items() if v != __version__}
    if others:
        found = ", ".join(f"{worker} has {v or 'none'}" for worker, v in others.items())
        raise RuntimeError(
            f"All workers need fastnn {__version__}, which is in use here, but {found}. Install it"
            " there."
        )


def _current_client() -> Any:
    try:
        return require("distributed").get_client()
    except ValueError as error:
        raise ValueError(
            "There is no Dask client. Make one, such as distributed.Client(), or give it as"
            " client=."
        ) from error
