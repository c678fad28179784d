"""How is a network trained on a table? With which weights, target scale and threshold."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from fastnn.cli.reporter import Reporter
from fastnn.cli.settings import Goal, Training
from fastnn.cli.training_table import TrainingTable, can_stratify, rows_alone, split
from fastnn.tabular.schema import Schema, TableError

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
    """Return a pipeline fitted to the rows that are not held out.

    A threshold or a scale that is to be chosen is chosen on a part of these rows, with a network
    trained on the others; the one returned is trained on all.
    """
    schema = known.schema
    refuse_unsuitable(schema, goal, training)
    log = learns_logarithms(known, goal, training, reporter)
    threshold = training.threshold
    if isinstance(threshold, str):
        threshold = _best_threshold(known, goal, training, threshold, reporter)
    return _fitted(schema, known.X, known.y, goal, training, log=log, threshold=threshold)


def row_weights(goal: Goal, y: np.ndarray) -> dict[str, np.ndarray]:
    """Return what a pipeline's ``fit`` takes for its weights: nothing where every row counts 1."""
    if goal.class_weight is None:
        return {}
    from sklearn.utils.class_weight import compute_sample_weight

    return {"network__sample_weight": compute_sample_weight(goal.class_weight, y)}


def network(schema: Schema, goal: Goal, **settings: Any) -> Any:
    """Return a network for the schema's task, whose early stopping watches the loss."""
    from fastnn.estimators.mlp import MLPClassifier, MLPRegressor

    kind = MLPRegressor if schema.task == "regression" else MLPClassifier
    return kind(random_state=goal.seed, scoring="loss", **settings)


def tabular(schema: Schema, preset: str, goal: Goal) -> Any:
    """Return a bag of networks for the schema's task."""
    from fastnn.tabular.estimator import TabularClassifier, TabularRegressor

    kind = TabularRegressor if schema.task == "regression" else TabularClassifier
    return kind(preset, random_state=goal.seed)


def learns_logarithms(
    known: TrainingTable, goal: Goal, training: Training, reporter: Reporter
) -> bool:
    """Return whether the target's logarithm is learned: as said, or where it predicts better.

    Raises
    ------
    TableError
        If it is said, but a target is not positive.
    """
    y, schema = known.y, known.schema
    if goal.target_transform == "log" and y.min() <= 0:
        raise TableError(
            f"--target-transform log needs positive numbers, but {schema.target!r} holds"
            f" {y.min():g}."
        )
    if goal.target_transform is not None or schema.task != "regression":
        return goal.target_transform == "log"
    if len(y) < MIN_ROWS_TO_CHOOSE or y.min() <= 0 or _skewness(y) <= HEAVY_TAIL:
        return False
    (X, y_train), (X_check, y_check) = _parts(known, goal)
    with reporter.busy("choosing the scale of the target"):
        plain, log = (
            _fitted(schema, X, y_train, goal, training, log=scale).score(X_check, y_check)
            for scale in (False, True)
        )
    if log > plain:
        reporter.note(
            f"the target {schema.target!r} has a heavy tail: its logarithm is learned (R2 {log:.3g}"
            f" instead of {plain:.3g} on {len(y_check)} rows held out from the training rows);"
            " --target-transform none overrules"
        )
    return bool(log > plain)


def _best_threshold(
    known: TrainingTable, goal: Goal, training: Training, by: str, reporter: Reporter
) -> float:
    """Return the threshold that is best by a score on a part of the training rows."""
    from sklearn.metrics import balanced_accuracy_score, f1_score

    if len(known.y) < MIN_ROWS_TO_CHOOSE:
        raise TableError(
            f"{len(known.y)} rows are too few to choose a threshold on; at least"
            f" {MIN_ROWS_TO_CHOOSE} are needed. Give a number: --threshold 0.3."
        )
    (X, y), (X_check, y_check) = _parts(known, goal)
    with reporter.busy("choosing the threshold"):
        model = _fitted(known.schema, X, y, goal, training)
        chances = model.predict_proba(X_check)[:, 1]
    came = y_check == model.classes_[1]
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
        f"{str(model.classes_[1])!r} is predicted from a probability of {best:.3g}"
        f" ({by} {max(scores):.3g} on {len(came)} rows held out from the training rows);"
        " --threshold overrules"
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


def _fitted(
    schema: Schema,
    X: pd.DataFrame,
    y: np.ndarray,
    goal: Goal,
    training: Training,
    *,
    log: bool = False,
    threshold: float | None = None,
) -> Any:
    """Return a pipeline fitted to X and y."""
    from fastnn.tabular.encode import table_model

    if training.preset is not None:
        bag = tabular(schema, training.preset, goal)
        model = table_model(schema, bag, "passthrough", log_target=log)
        return _deciding_at(threshold, model.fit(X, y, **row_weights(goal, y)), X, y)
    stops_early = len(y) >= MIN_ROWS_TO_STOP_EARLY and (
        schema.task == "regression" or can_stratify(schema, y, STOPPING_SHARE)
    )
    estimator = network(
        schema,
        goal,
        hidden_layer_sizes=training.hidden,
        max_iter=training.epochs,
        early_stopping=stops_early,
        validation_fraction=STOPPING_SHARE,
    )
    model = table_model(schema, estimator, log_target=log).fit(X, y, **row_weights(goal, y))
    return _deciding_at(threshold, model, X, y)


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
