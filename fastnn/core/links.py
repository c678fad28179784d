"""What makes a prediction of a raw output? The inverse links."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from scipy.special import expit, logit

from fastnn.core.functions import Array


def softmax(raw: Array) -> Array:
    """Probabilities over the columns of ``raw (n_rows, n_out)``.

    Shifted by the row's maximum, so that nothing overflows.
    """
    e = np.exp(raw - raw.max(axis=1, keepdims=True))
    return e / e.sum(axis=1, keepdims=True)


def exp(raw: Array) -> Array:
    """``exp(raw)``; what overflows is infinity, without a warning, as on the compiled backends."""
    with np.errstate(over="ignore"):
        return np.exp(raw)


def log(predictions: Array) -> Array:
    """``log(predictions)``, of the smallest normal number where they are less."""
    return np.log(np.maximum(predictions, np.finfo(predictions.dtype).tiny))


def clipped_logit(predictions: Array) -> Array:
    """``logit(predictions)`` of predictions clipped to [eps, 1 - eps] of their dtype."""
    eps = np.finfo(predictions.dtype).eps
    return logit(np.clip(predictions, eps, 1 - eps))


@dataclass(frozen=True)
class InverseLink:
    """A function from raw outputs to predictions, both ``(n_rows, n_out)``, and a way back.

    ``invert`` returns raw outputs that ``apply`` takes to the predictions. Predictions at the end
    of the link's range, whose raw output is infinite, are moved inside it.
    """

    apply: Callable[[Array], Array]
    invert: Callable[[Array], Array]


INVERSE_LINKS = {
    "identity": InverseLink(lambda raw: raw, lambda predictions: predictions),
    "exp": InverseLink(exp, log),
    "logistic": InverseLink(expit, clipped_logit),
    "softmax": InverseLink(softmax, log),
    "sorted": InverseLink(lambda raw: np.sort(raw, axis=1), lambda predictions: predictions),
}
