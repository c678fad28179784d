"""How is data learned that is larger than memory? Batch by batch, over several epochs."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterable, Iterator
from numbers import Integral
from typing import Any

import numpy as np
from sklearn.utils import check_random_state

from fastnn.core.family import is_count
from fastnn.training.loop import INTERRUPTED, InterruptedWarning


def check_n_epochs(n_epochs: Any) -> None:
    """Raise ValueError unless it is a number of passes."""
    if not is_count(n_epochs) or not isinstance(n_epochs, Integral):
        raise ValueError(f"n_epochs must be a whole number, at least 1, got {n_epochs!r}.")


def reader(batches: Any, n_epochs: int) -> Callable[[], Iterable[Any]]:
    """What returns the batches of an epoch, each time it is called."""
    if callable(batches):
        return batches
    if isinstance(batches, Iterator) and n_epochs > 1:
        raise ValueError(
            f"batches is an iterator ({type(batches).__name__}), which can be read once, but"
            f" n_epochs={n_epochs}. Give a list, or a function that returns a new iterator."
        )
    return lambda: batches


def parts(batch: Any) -> tuple[Any, Any, Any]:
    """X, y and sample_weight, or None, of a batch."""
    if not isinstance(batch, tuple) or len(batch) not in (2, 3):
        found = type(batch).__name__
        found += f" of {len(batch)}" if isinstance(batch, tuple) else ""
        raise ValueError(
            f"batches must hold tuples (X, y) or (X, y, sample_weight), got a {found}."
        )
    return batch if len(batch) == 3 else (*batch, None)


def learn(estimator: Any, batches: Any, n_epochs: int, **first_call: Any) -> None:
    """Train ``estimator`` on all batches, each by ``_learn_more``.

    Ctrl-C, a callback and the time limit end it after the batch under way.
    """
    check_n_epochs(n_epochs)
    read = reader(batches, n_epochs)
    curve = getattr(estimator, "loss_curve_", [])
    validation_curve = getattr(estimator, "validation_loss_curve_", None)
    # What batches add to them must not stay if one fails.
    estimator.loss_curve_, estimator.validation_loss_curve_ = [], None
    epochs: list[list[float]] = []  # the sum of its rows' losses, and their number
    seed = estimator.random_state
    estimator.random_state = check_random_state(seed)  # one stream for all batches
    try:
        for _ in range(n_epochs):
            epochs.append([0.0, 0])
            found = read()
            if not isinstance(found, Iterable):
                raise ValueError(
                    "batches must be an iterable of tuples (X, y) or (X, y, sample_weight), or a"
                    f" function that returns one, got {found!r}."
                )
            for batch in found:
                X, y, weight = parts(batch)
                before = getattr(estimator, "t_", 0)
                estimator._learn_more(X, y, weight, 1, **first_call)
                n_rows = estimator.t_ - before
                epochs[-1][0] += estimator.loss_ * n_rows
                epochs[-1][1] += n_rows
                if estimator._loop.stopped:
                    break
            if not epochs[-1][1]:
                raise ValueError(f"batches held no batch in epoch {len(epochs)}.")
            if estimator._loop.stopped:
                break
    except KeyboardInterrupt:  # while a batch was read
        if not epochs[0][1]:
            raise
        warnings.warn(INTERRUPTED, InterruptedWarning, stacklevel=2)
    finally:
        estimator.random_state = seed
    losses = [total / n_rows for total, n_rows in epochs if n_rows]
    estimator.loss_curve_, estimator.n_iter_ = curve + losses, len(losses)
    estimator.loss_ = losses[-1]
    if validation_curve:
        estimator.validation_loss_curve_ = validation_curve + [np.nan] * len(losses)
