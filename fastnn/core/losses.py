"""What is minimised?

Losses of the raw output, inverse links from it to predictions, the L2 penalty.

A loss's ``loss_and_grad(raw, y)`` takes ``raw (n_rows, n_out)``, the last layer's weighted input,
and returns the loss of each row ``(n_rows,)`` and its derivative with respect to ``raw (n_rows,
n_out)``. Working before the link makes any loss independent of the network below it. ``y`` is
``(n_rows, n_out)``, except for ``log_loss``, whose y holds label codes ``(n_rows,)``.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

import numpy as np
from scipy.special import expit, logit, xlogy

from fastnn.core.activations import Array
from fastnn.core.family import Member, by_name

if TYPE_CHECKING:
    from fastnn.core.network import Segment


class Loss(Member):
    """What is minimised, as a function of raw outputs and targets.

    Attributes
    ----------
    inverse_link : str
        What predictions go through; a name in ``INVERSE_LINKS``.
    y_is_codes : bool
        Whether y holds label codes ``(n_rows,)``.
    """

    inverse_link: ClassVar[str]
    y_is_codes: ClassVar[bool] = False

    @abstractmethod
    def loss_and_grad(self, raw: Array, y: np.ndarray) -> tuple[Array, Array]:
        """The loss of each row ``(n_rows,)``, its derivative by raw ``(n_rows, n_out)``."""


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


class SquaredError(Loss):
    """Half the squared error, averaged over outputs.

    The gradient is *not* divided by the number of outputs. That is scikit-learn's (its issue 8349),
    kept so that the same learning rate gives the same model.
    """

    name = "squared_error"
    inverse_link = "identity"

    def loss_and_grad(self, raw: Array, y: np.ndarray) -> tuple[Array, Array]:
        """``error = raw - y``."""
        error = raw - y
        return 0.5 * np.mean(error * error, axis=1), error


class Poisson(Loss):
    """Half the Poisson deviance ``y log(y / p) - y + p`` with ``p = exp(raw)``.

    Summed over outputs.
    """

    name = "poisson"
    inverse_link = "exp"

    def loss_and_grad(self, raw: Array, y: np.ndarray) -> tuple[Array, Array]:
        """The gradient is ``p - y``."""
        p = exp(raw)
        with np.errstate(invalid="ignore"):  # divergence is reported by the training loop
            return np.sum(xlogy(y, y) - y * raw - y + p, axis=1), p - y


class BinaryLogLoss(Loss):
    """Cross-entropy of independent yes/no outputs with ``p = expit(raw)``, summed over outputs.

    As in scikit-learn the reported value clips p to [eps, 1 - eps] of its dtype, while the gradient
    stays ``p - y``.
    """

    name = "binary_log_loss"
    inverse_link = "logistic"

    def loss_and_grad(self, raw: Array, y: np.ndarray) -> tuple[Array, Array]:
        """The gradient is ``p - y``."""
        p = expit(raw)
        eps = np.finfo(raw.dtype).eps
        clipped = np.clip(p, eps, 1 - eps)
        return -np.sum(np.where(y > 0, np.log(clipped), np.log(1 - clipped)), axis=1), p - y


class LogLoss(Loss):
    """Cross-entropy of one class out of many with ``p = softmax(raw)``.

    The value is clipped as in :class:`BinaryLogLoss`.
    """

    name = "log_loss"
    inverse_link = "softmax"
    y_is_codes = True

    def loss_and_grad(self, raw: Array, y: np.ndarray) -> tuple[Array, Array]:
        """The gradient is ``p``, less 1 at the row's class."""
        p = softmax(raw)
        eps = np.finfo(raw.dtype).eps
        rows = np.arange(len(raw))
        loss = -np.log(np.clip(p[rows, y], eps, 1 - eps))
        p[rows, y] -= 1
        return loss, p


def batch_objective(
    loss_sum: float,
    weight_sum: float,
    params: Array,
    grad: Array,
    segments: Iterable[Segment],
    alpha: float,
    l1: float = 0.0,
) -> float:
    """The mean loss of a batch with its penalties; L2's is as scikit-learn defines it.

    ``(sum_i w_i loss_i + sum_s f_s (alpha/2 |p_s|^2 + l1 |p_s|_1)) / sum_i w_i`` over rows i and
    segments s of penalty factors f_s. The derivative of ``|p|`` at 0 is taken as 0.

    Parameters
    ----------
    loss_sum, weight_sum : float
        ``sum_i w_i loss_i`` and ``sum_i w_i``. Where the weights sum to zero, the objective and its
        gradient are 0 (scikit-learn divides by zero there).
    params : ndarray of shape (n_params,)
    grad : ndarray of shape (n_params,)
        The gradient of ``loss_sum``; the gradient of the objective on return.
    """
    if weight_sum == 0:
        grad[...] = 0
        return 0.0
    penalty = 0.0
    for segment in segments:
        p, g = params[segment.start : segment.stop], grad[segment.start : segment.stop]
        if strength := alpha * segment.penalty:
            g += strength * p
            exact = p.astype(np.float64, copy=False)
            penalty += 0.5 * strength * float(np.dot(exact, exact))
        if strength := l1 * segment.penalty:
            g += strength * np.sign(p)
            penalty += strength * float(np.abs(p).sum(dtype=np.float64))
    grad /= weight_sum
    return (loss_sum + penalty) / weight_sum


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
}

LOSSES: dict[str, Loss] = by_name(SquaredError(), Poisson(), BinaryLogLoss(), LogLoss())
