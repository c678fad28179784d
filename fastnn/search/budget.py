"""How is the time of a search divided between exploring, measuring the front and the last fit?"""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass, field

from fastnn.search.measure import FITS_ISOLATED

# One candidate must not use up the time of all others. A candidate of which a fold takes more than
# MAX_SLOWDOWN times the usual, and which would take more than MAX_SHARE of the time, is put off.
MAX_SLOWDOWN = 4.0
MAX_SHARE = 0.1
STARTUP_S = 2.0  # of an isolated process: interpreter, imports and repeated predictions


@dataclass
class Budget:
    """The seconds between ``start`` and ``end``, and what they are set aside for.

    Parameters
    ----------
    start, end : float
        When the search begins, and when it has to be done, by one clock; ``end`` may be infinite.
    n_folds : int
    n_jobs : int
        Folds that train at the same time.
    refits : bool
        Whether the chosen candidate is fitted on all rows at the end.
    remeasures : bool
        Whether the front is measured again, in isolation.

    Attributes
    ----------
    explore_until : float
        When exploring stops.
    max_fold_s : float
        The fit time of a fold beyond which a candidate is put off.
    startup_s : float
        What measuring in isolation takes besides the fits.
    """

    start: float
    end: float
    n_folds: int
    n_jobs: int
    refits: bool
    remeasures: bool
    explore_until: float = field(init=False)
    max_fold_s: float = field(init=False)
    startup_s: float = field(default=STARTUP_S, init=False)

    def __post_init__(self) -> None:
        self.explore_until = self.end
        # Before any candidate has succeeded: the slowest of which all folds and the last fit are
        # done in time.
        turns = math.ceil(self.n_folds / self.n_jobs)
        self.max_fold_s = self.total / (turns + self.refit_s([1.0]))

    @property
    def total(self) -> float:
        """All seconds of the search."""
        return self.end - self.start

    def refit_s(self, front: Sequence[float]) -> float:
        """Seconds of the last fit, on all rows, whichever of the ``front`` is chosen.

        ``front`` holds fit times of folds.
        """
        if not self.refits:
            return 0.0
        return max(front) * self.n_folds / max(1, self.n_folds - 1)

    def isolated_s(self, fit_time: float) -> float:
        """Seconds to measure a candidate with this fit time in isolation."""
        effort = FITS_ISOLATED
        return self.startup_s + min(effort.max_repeats * fit_time, fit_time + effort.seconds)

    def has_time_for(self, n_folds: int, fold_s: float, now: float) -> bool:
        """Whether ``n_folds`` folds of ``fold_s`` seconds each end before exploring stops."""
        return now + math.ceil(n_folds / self.n_jobs) * fold_s <= self.explore_until

    def reserve(
        self,
        fit_times: Sequence[float],
        front: Sequence[float],
        waiting: Sequence[float],
        put_off: Sequence[float] = (),
    ) -> None:
        """Set aside the seconds that are needed once exploring stops; at most half of all.

        They are those of a fold that still runs, of measuring what is ``waiting`` and one candidate
        more, which may come onto the front meanwhile, and of the last fit.

        Parameters
        ----------
        fit_times : sequence of float
            Of a fold of each candidate that succeeded; nothing is reserved while there is none.
        front : sequence of float
            Of those on the front.
        waiting : sequence of float
            Of those still to be measured in isolation.
        put_off : sequence of float
            Of a fold of each candidate that is put off. They count for what is usual: if the
            machine is busy, or quick candidates came first, it is the bar that is wrong.
        """
        if self.end == math.inf or not len(fit_times):
            return
        share = MAX_SHARE * self.total * self.n_jobs / self.n_folds
        usual = statistics.median_low([*fit_times, *put_off])
        self.max_fold_s = max(share, MAX_SLOWDOWN * usual)
        seconds = self.refit_s(front) + max(fit_times)
        if self.remeasures:
            seconds += sum(map(self.isolated_s, waiting)) + self.isolated_s(max(front))
        self.explore_until = self.end - min(seconds, self.total / 2)

    def measuring_timeout(
        self, now: float, fit_time: float, front: Sequence[float]
    ) -> float | None:
        """Seconds that measuring a candidate in isolation may take; None without a limit.

        Raises
        ------
        TimeoutError
            If the time left is shorter than that is expected to take.
        """
        left = self.end - now - self.refit_s(front)
        expected = self.isolated_s(fit_time)
        if expected > left:
            raise TimeoutError(f"measuring takes about {expected:.1f} s, and {left:.1f} s are left")
        return None if left == math.inf else min(left, MAX_SLOWDOWN * expected)

    def note_isolated(self, seconds: float, fit_times: Sequence[float]) -> None:
        """Learn the start-up from a measurement in isolation that took ``seconds``."""
        self.startup_s = seconds - sum(fit_times)
