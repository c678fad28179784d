"""How is a model trained on a table? With which weights, target scale and threshold."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from fastnn.cli.reporter import Reporter
from fastnn.cli.settings import Goal, Training
from fastnn.cli.training_table import TrainingTable, can_stratify, rows_alone, split
from fastnn.tabular.schema import Schema, TableError
from fastnn.tabular.unseen import out_of_fold

if TYPE_CHECKING:
    from collections.abc import Callable

    import pandas as pd

# From so many rows on, a validation part tells when to stop; on fewer it would be too small to
# tell.
MIN_ROWS_TO_STOP_EARLY = 1000
STOPPING_SHARE = 0.1
# The share of the training rows on which a threshold or a scale is chosen, and the fewest rows that
# can be divided for it.
CHOOSING_SHARE = 0.2
MIN_ROWS_TO_CHOOSE = 50
# Where a positive target's skewness is above this, its logarithm may be easier to learn: 2 is an
# exponential distribution's.
HEAVY_TAIL = 2.0


def refuse_unsuitable(schema: Schema, goal: Goal, training: Training | None = None) -> None:
    """Raise TableError where an option is for another task than the table's."""
    threshold = None if training is None else training.threshold
    if schema.task == "regression" and goal.class_weight is not None:
        raise TableError(f"--class-weight is for classes, but {schema.target!r} is a number.")
    if schema.task != "binary" and threshold is not None:
        raise TableError(f"--threshold is for two classes, but the task is {schema.task}.")
    if schema.task != "regression" and goal.target_transform is not None:
        raise TableError(f"--target-transform is for numbers, but {schema.target!r} holds classes.")


def train(known: TrainingTable, goal: Goal, training: Training, reporter: Reporter) -> Any:
    """Return a pipeline fitted to the rows that are not held out."""
    refuse_unsuitable(known.schema, goal, training)
    fits = Fits(known, goal, training)
    log = _learns_logarithms(fits, reporter)
    threshold = training.threshold
    if isinstance(threshold, str):
        threshold = _best_threshold(fits, threshold, reporter)
    return _deciding_at(threshold, fits.on_all(log), known.X, known.y)


def row_weights(goal: Goal, y: np.ndarray) -> dict[str, np.ndarray]:
    """Return what a pipeline's ``fit`` takes for its weights: nothing where every row counts 1."""
    if goal.class_weight is None:
        return {}
    from sklearn.utils.class_weight import compute_sample_weight

    return {"model__sample_weight": compute_sample_weight(goal.class_weight, y)}


def most_epochs(training: Training, n_rows: int) -> int:
    """Return how many passes over the rows there are at most."""
    from fastnn.tabular.recipe import PRESETS

    if training.network == "plain":
        return training.epochs or 200
    preset = PRESETS[training.preset or "balanced"]
    return training.epochs or preset.for_rows(n_rows).max_iter


@dataclass
class Fits:
    """The models that are fitted to the training rows of a table, each once."""

    known: TrainingTable
    goal: Goal
    training: Training
    done: dict[bool, Any] = field(default_factory=dict)  # on all rows, by whether of logarithms

    @property
    def is_bag(self) -> bool:
        """Whether each model is a bag of networks."""
        return self.training.network == "bag"

    def on_all(self, log: bool = False) -> Any:
        """Return the model that is fitted to all training rows."""
        if log not in self.done:
            self.done[log] = self._fitted(self.known.X, self.known.y, log)
        return self.done[log]

    def unseen(self, log: bool = False) -> tuple[np.ndarray, np.ndarray, str]:
        """Return answers for training rows by networks that have not learned from them.

        Those of a bag are out of fold; a plain network is trained without a part of the rows.

        Returns
        -------
        answers : ndarray of shape (n_rows,) or (n_rows, n_classes)
            Numbers, or probabilities in the order of the sorted classes.
        y : ndarray of shape (n_rows,)
            The targets.
        words : str
            Which rows they are.
        """
        if self.is_bag:
            known, answers = out_of_fold(self.on_all(log))
            return answers, self.known.y[known], f"{len(answers)} training rows, out of fold"
        (X, y), (X_check, y_check) = _parts(self.known, self.goal)
        model = self._fitted(X, y, log)
        answer = model.predict if self.known.schema.task == "regression" else model.predict_proba
        return answer(X_check), y_check, f"{len(y_check)} rows held out from the training rows"

    @property
    def _n_fits(self) -> int:
        """How many fits have to share the time."""
        n_choices = 2 * self._may_learn_logarithms + isinstance(self.training.threshold, str)
        return max(1, n_choices) if self.is_bag else 1 + n_choices

    @cached_property
    def _may_learn_logarithms(self) -> bool:
        return may_learn_logarithms(self.known, self.goal)

    def _fitted(self, X: pd.DataFrame, y: np.ndarray, log: bool) -> Any:
        """Return a pipeline fitted to X and y."""
        from fastnn.tabular.encode import table_model

        estimator, encoder = self._bag() if self.is_bag else self._network(y)
        model = table_model(self.known.schema, estimator, encoder, log_target=log)
        return model.fit(X, y, **row_weights(self.goal, y))

    def _bag(self) -> tuple[Any, Any]:
        """Return a bag of networks, and what checks its columns, which it encodes itself."""
        from fastnn.tabular.encode import TableColumns

        preset = self.training.preset or "balanced"
        settings = {"max_iter": self.training.epochs, "hidden_layer_sizes": self.training.hidden}
        estimator = bag(self.known.schema, self.goal, preset, **settings, **self._time())
        return estimator, TableColumns()

    def _network(self, y: np.ndarray) -> tuple[Any, Any]:
        """Return a plain network, and what encodes its columns."""
        schema, training = self.known.schema, self.training
        stops_early = len(y) >= MIN_ROWS_TO_STOP_EARLY and (
            schema.task == "regression" or can_stratify(schema, y, STOPPING_SHARE)
        )
        estimator = network(
            schema,
            self.goal,
            hidden_layer_sizes=(100,) if training.hidden is None else training.hidden,
            max_iter=most_epochs(training, len(y)),
            early_stopping=stops_early,
            validation_fraction=STOPPING_SHARE,
            **self._time(),
        )
        return estimator, None

    def _time(self) -> dict[str, float]:
        """Return the seconds that a fit may take, where there is a limit."""
        seconds = self.training.max_time
        return {} if seconds is None else {"max_time": seconds / self._n_fits}


def network(schema: Schema, goal: Goal, **settings: Any) -> Any:
    """Return a plain network for the schema's task, whose early stopping watches the loss."""
    from fastnn.estimators.mlp import MLPClassifier, MLPRegressor

    kind = MLPRegressor if schema.task == "regression" else MLPClassifier
    return kind(random_state=goal.seed, scoring="loss", **settings)


def bag(schema: Schema, goal: Goal, preset: str = "balanced", **settings: Any) -> Any:
    """Return a bag of networks for the schema's task."""
    from fastnn.tabular.estimator import TabularClassifier, TabularRegressor

    kind = TabularRegressor if schema.task == "regression" else TabularClassifier
    return kind(preset, random_state=goal.seed, **settings)


def may_learn_logarithms(known: TrainingTable, goal: Goal) -> bool:
    """Return whether the logarithm of the target is worth a try: none is said, the tail is heavy.

    Raises
    ------
    TableError
        If logarithms are asked for, but a target is not positive.
    """
    y, schema = known.y, known.schema
    if goal.target_transform == "log" and y.min() <= 0:
        raise TableError(
            f"--target-transform log needs positive numbers, but {schema.target!r} holds"
            f" {y.min():g}."
        )
    if goal.target_transform is not None or schema.task != "regression":
        return False
    return bool(len(y) >= MIN_ROWS_TO_CHOOSE and y.min() > 0 and _skewness(y) > HEAVY_TAIL)


def _learns_logarithms(fits: Fits, reporter: Reporter) -> bool:
    """Return whether the target's logarithm is learned: as said, or where it predicts better."""
    if not may_learn_logarithms(fits.known, fits.goal):
        return fits.goal.target_transform == "log"
    from sklearn.metrics import r2_score

    with reporter.busy("choosing the scale of the target"):
        scores = []
        for log in (False, True):
            answers, y, words = fits.unseen(log)
            scores.append(r2_score(y, answers))
    plain, log = scores
    if log > plain:
        reporter.note(
            f"the target {fits.known.schema.target!r} has a heavy tail: its logarithm is learned"
            f" (R2 {log:.3g} instead of {plain:.3g} on {words}); --target-transform none overrules"
        )
    return bool(log > plain)


def _best_threshold(fits: Fits, by: str, reporter: Reporter) -> float:
    """Return the threshold that is best by a score on training rows that are answered unseen."""
    from sklearn.metrics import balanced_accuracy_score, f1_score

    known = fits.known
    if len(known.y) < MIN_ROWS_TO_CHOOSE:
        raise TableError(
            f"{len(known.y)} rows are too few to choose a threshold on; at least"
            f" {MIN_ROWS_TO_CHOOSE} are needed. Give a number: --threshold 0.3."
        )
    with reporter.busy("choosing the threshold"):
        answers, y, words = fits.unseen()
    second = np.unique(known.y)[1]
    chances, came = answers[:, 1], y == second
    if not came.any() or came.all():
        raise TableError(
            f"The target {known.schema.target!r} holds too few rows of a class to choose a"
            " threshold on. Give a number: --threshold 0.3."
        )
    score: Callable[..., float] = f1_score if by == "f1" else balanced_accuracy_score
    # Between neighbouring probabilities all thresholds are the same; hundred quantiles are enough.
    values = np.unique(chances)
    middles = np.append(0.5, (values[1:] + values[:-1]) / 2)
    tried = np.unique(np.quantile(middles, np.linspace(0, 1, 101), method="nearest"))
    scores = [score(came, chances >= one) for one in tried]
    best = float(tried[int(np.argmax(scores))])
    reporter.note(
        f"{str(second)!r} is predicted from a probability of {best:.3g}"
        f" ({by} {max(scores):.3g} on {words}); --threshold overrules"
    )
    return best


def _parts(
    known: TrainingTable, goal: Goal
) -> tuple[tuple[pd.DataFrame, np.ndarray], tuple[pd.DataFrame, np.ndarray]]:
    """Return X and y to train on and X and y to choose on, both of the training rows."""
    y, single = known.y, rows_alone(known.schema, known.y)
    common = np.flatnonzero(~single)
    strata = y[common] if can_stratify(known.schema, y[common], CHOOSING_SHARE) else None
    rows, check = split(common, strata, CHOOSING_SHARE, goal.seed)
    rows = np.append(rows, np.flatnonzero(single))
    return (known.X.iloc[rows], y[rows]), (known.X.iloc[check], y[check])


def _deciding_at(threshold: float | None, model: Any, X: pd.DataFrame, y: np.ndarray) -> Any:
    """Return a fitted pipeline of two classes with another threshold; None leaves it as it is."""
    if threshold is None:
        return model
    from sklearn.frozen import FrozenEstimator
    from sklearn.model_selection import FixedThresholdClassifier
    from sklearn.pipeline import Pipeline

    # It cannot be put around the network before: its fit takes no weights.
    decides = FixedThresholdClassifier(
        FrozenEstimator(model[-1]),
        threshold=threshold,
        pos_label=model.classes_[1],
        response_method="predict_proba",
    ).fit(model[:-1].transform(X), y)
    return Pipeline([*model.steps[:-1], (model.steps[-1][0], decides)])


def _skewness(y: np.ndarray) -> float:
    """Return the skewness of ``y (n_rows,)``, which holds different numbers."""
    centred = (y - y.mean()) / y.std()
    return float(np.mean(centred**3))
