"""When does training stop? Where it no longer improves, or its time is up."""

from __future__ import annotations

import time
import warnings

from sklearn.exceptions import ConvergenceWarning

from fastnn.training.state import LoopState


class NoImprovement:
    """Stops a fit that no longer improves, by scikit-learn's rule.

    With early stopping the validation score of the last pass decides, else its training loss. After
    more than ``n_iter_no_change`` passes in a row that are not better than the best by ``tol``, the
    schedule is asked for a lower learning rate; where it has none, training stops. The training
    loss of a schedule with a horizon decides nothing. The best score is noted by
    :class:`fastnn.training.callbacks.Best`, which comes after.
    """

    def on_pass_end(self, loop: LoopState) -> bool:
        """Judge the last pass, note what is decided, and say whether training stops."""
        rules, loss = loop.rules, loop.losses[-1]
        if rules.early_stopping:
            worse = loop.scores[-1] < loop.best_score + rules.tol
        else:
            worse = loss > loop.best_loss - rules.tol
            loop.best_loss = min(loop.best_loss, loss)
        loop.no_improvement_count = loop.no_improvement_count + 1 if worse else 0
        assert loop.schedule is not None  # only L-BFGS has none, and it stops by itself
        goes_on = loop.schedule.has_horizon and not rules.early_stopping
        if loop.no_improvement_count <= rules.n_iter_no_change or goes_on:
            return False

        next_rate = loop.schedule.on_plateau(loop.rate)
        what = "Validation score" if rules.early_stopping else "Training loss"
        then = loop.schedule.stop_message
        if next_rate is not None:
            then = f"Setting learning rate to {next_rate:f}"
            loop.rate = next_rate
            loop.no_improvement_count = 0
        loop.note = (
            f"{what} did not improve more than tol={rules.tol:f} for {rules.n_iter_no_change:d}"
            f" consecutive epochs. {then}"
        )
        loop.converged = next_rate is None and rules.converge
        return loop.converged

    def passes_to_next_stop(self, loop: LoopState) -> float:
        """How many passes it takes at least until this rule changes anything."""
        return loop.rules.n_iter_no_change + 1 - loop.no_improvement_count


class TimeIsUp(Exception):
    """The time of a fit is up within a pass."""


class TimeLimit:
    """Stops a fit after the pass in which its time is up, and warns that it did.

    Parameters
    ----------
    seconds : float
        Counted from when this object is made.
    """

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds
        self.end = time.monotonic() + seconds

    def on_pass_end(self, loop: LoopState) -> bool:
        """Look at the clock, unless something else has stopped the fit already."""
        if loop.stopped or time.monotonic() < self.end:
            return False
        warn_of_time(loop.n_iter, self.seconds)
        return True

    def look(self) -> None:
        """TimeIsUp if it is."""
        if time.monotonic() >= self.end:
            raise TimeIsUp(self.seconds)


def text_of_time(n_iter: int, seconds: float) -> str:
    """Say that a fit was ended by its time limit."""
    return (
        f"Training stopped after {n_iter} iterations, as max_time={seconds} seconds"
        " have passed; the optimization hasn't converged yet."
    )


def warn_of_time(n_iter: int, seconds: float) -> None:
    """Warn that a fit was ended by its time limit."""
    warnings.warn(text_of_time(n_iter, seconds), ConvergenceWarning, stacklevel=3)
