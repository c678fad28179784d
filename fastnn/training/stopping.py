"""When does training stop? Early stopping is decided here, on the validation score or the loss."""

from __future__ import annotations

from fastnn.training.state import LoopState


class NoImprovement:
    """Stops a fit that no longer improves, by scikit-learn's rule.

    The validation score of the last pass decides where there is one, else its training loss. After
    more than ``n_iter_no_change`` passes in a row that are not better than the best by ``tol``, the
    schedule is asked for a lower learning rate; where it has none, training stops. The training
    loss of a schedule with a horizon decides nothing.
    """

    def on_pass_end(self, loop: LoopState) -> bool:
        """Judge the last pass, note what is decided, and say whether training stops."""
        rules, loss = loop.rules, loop.losses[-1]
        if loop.scores:
            score = loop.scores[-1]
            worse = score < loop.best_score + rules.tol
            loop.best_score = score if score > loop.best_score else loop.best_score
        else:
            worse = loss > loop.best_loss - rules.tol
            loop.best_loss = min(loop.best_loss, loss)
        loop.no_improvement_count = loop.no_improvement_count + 1 if worse else 0
        assert loop.schedule is not None  # only L-BFGS has none, and it stops by itself
        goes_on = loop.schedule.has_horizon and not loop.scores
        if loop.no_improvement_count <= rules.n_iter_no_change or goes_on:
            return False

        next_rate = loop.schedule.on_plateau(loop.rate)
        what = "Validation score" if loop.scores else "Training loss"
        then = loop.schedule.stop_message
        if next_rate is not None:
            then = f"Setting learning rate to {next_rate:f}"
            loop.rate = next_rate
            loop.no_improvement_count = 0
        loop.note = (
            f"{what} did not improve more than tol={rules.tol:f} for {rules.n_iter_no_change:d}"
            f" consecutive epochs. {then}"
        )
        return next_rate is None

    def passes_to_next_stop(self, loop: LoopState) -> float:
        """How many passes it takes at least until this rule changes anything."""
        return loop.rules.n_iter_no_change + 1 - loop.no_improvement_count
