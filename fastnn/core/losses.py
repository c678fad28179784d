"""What is minimised?

Losses of the raw output, before the inverse link; and the penalties.

A loss's ``loss_and_grad(raw, y)`` takes ``raw (n_rows, n_out)``, the last layer's weighted input,
and returns the loss of each row ``(n_rows,)`` and its derivative with respect to ``raw (n_rows,
n_out)``. Working before the link makes any loss independent of the network below it. ``y`` is
``(n_rows, n_out)``, except for losses of classes, whose y holds label codes ``(n_rows,)``.
Where a loss has a kink, the derivative there is taken as 0, which lies between those beside it.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar, Literal, Self

import numpy as np
from scipy.special import expit, xlogy

from fastnn.core import functions
from fastnn.core.family import OPEN, Allowed, Member, Numbers, by_name, number
from fastnn.core.functions import Array
from fastnn.core.links import exp, softmax

if TYPE_CHECKING:
    from fastnn.core.network import Segment


Targets = Literal["numbers", "classes", "labels"]


class Loss(Member):
    """What is minimised, as a function of raw outputs and targets.

    Attributes
    ----------
    targets : {"numbers", "classes", "labels"}
        What y holds: numbers; one class out of many, as codes ``(n_rows,)``; or for each output
        whether its label applies, 1 or 0.
    levels : tuple of float
        The quantiles that the outputs estimate; empty where they estimate none.
    """

    targets: ClassVar[Targets] = "numbers"

    @property
    @abstractmethod
    def inverse_link(self) -> str:
        """What predictions go through; a name in ``INVERSE_LINKS`` of links.py."""

    @property
    def y_is_codes(self) -> bool:
        """Whether y holds label codes ``(n_rows,)``."""
        return self.targets == "classes"

    @property
    def levels(self) -> tuple[float, ...]:
        """See above."""
        return ()

    def is_for(self, targets: Targets) -> bool:
        """Whether it can be given where a loss of ``targets`` is asked for."""
        return self.targets == targets

    def for_labels(self) -> Loss:
        """This loss, of labels that apply or not, where :meth:`is_for` classes."""
        return self

    def n_outputs(self, n_targets: int) -> int:
        """How many outputs a network has for so many columns of y."""
        return n_targets

    def check_targets(self, y: np.ndarray) -> None:
        """Raise ValueError unless the loss is made for ``y (n_rows,)`` or ``(n_rows, n)``."""

    def settings_for(self, n_out: int) -> Numbers:
        """``settings()`` as kernels read them for so many outputs."""
        return self.settings()

    @abstractmethod
    def loss_and_grad(self, raw: Array, y: np.ndarray) -> tuple[Array, Array]:
        """The loss of each row ``(n_rows,)``, its derivative by raw ``(n_rows, n_out)``."""


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


class AbsoluteError(Loss):
    """The absolute error, whose best prediction is the median; summed over outputs."""

    name = "absolute_error"
    inverse_link = "identity"

    def loss_and_grad(self, raw: Array, y: np.ndarray) -> tuple[Array, Array]:
        """The gradient is the error's sign, 0 where there is none."""
        error = raw - y
        return np.sum(np.abs(error), axis=1), np.sign(error)


@dataclass(repr=False)
class Huber(Loss):
    """Half the squared error up to ``delta``, beyond it a line of that slope (Huber 1964).

    ``0.5 e**2`` where ``|e| <= delta``, else ``delta (|e| - 0.5 delta)``; summed over outputs.

    Parameters
    ----------
    delta : float
        The largest error that counts squared, in the units of y as the network learns it: with
        targets scaled to unit variance 1.0 is one standard deviation.
    """

    delta: float = 1.0

    name = "huber"
    inverse_link = "identity"
    allowed: ClassVar[Mapping[str, Allowed]] = {"delta": number("(0, inf)")}

    def loss_and_grad(self, raw: Array, y: np.ndarray) -> tuple[Array, Array]:
        """The gradient is the error, clipped to ``[-delta, delta]``."""
        error = raw - y
        clipped = np.clip(error, -self.delta, self.delta)
        return np.sum(clipped * (error - 0.5 * clipped), axis=1), clipped


@dataclass(repr=False)
class Quantile(Loss):
    """The pinball loss (Koenker and Bassett 1978), whose best predictions are quantiles.

    ``q e`` for an error ``e = y - raw >= 0``, else ``(q - 1) e``; summed over outputs. A network
    for several quantiles of one target has an output for each. Its predictions are sorted, so that
    quantiles never cross, which never makes them worse (Chernozhukov, Fernandez-Val and Galichon
    2010, Econometrica 78, 1093-1125).

    Parameters
    ----------
    quantile : float or increasing sequence of float
        In (0, 1). A single one may have several targets.
    """

    quantile: float | Sequence[float] = 0.5

    name = "quantile"

    @staticmethod
    def _are_levels(value: Any) -> bool:
        try:
            levels = np.atleast_1d(np.asarray(value, np.float64))
        except (TypeError, ValueError):
            return False
        inside = levels.size > 0 and bool(np.all((levels > 0) & (levels < 1)))
        return levels.ndim == 1 and inside and bool(np.all(np.diff(levels) > 0))

    allowed: ClassVar[Mapping[str, Allowed]] = {
        "quantile": Allowed("a number in (0, 1) or a list of such numbers, increasing", _are_levels)
    }

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Quantile) and self.levels == other.levels

    @property
    def inverse_link(self) -> str:
        """Several quantiles are sorted."""
        return "sorted" if len(self.levels) > 1 else "identity"

    @property
    def levels(self) -> tuple[float, ...]:
        """The quantiles."""
        return tuple(np.atleast_1d(np.asarray(self.quantile, np.float64)).tolist())

    def filled(self, flat: Mapping[str, Any] | None = None) -> Self:
        """A copy that no change of the user's list or array reaches."""
        levels = self.levels
        return type(self)(levels[0] if np.ndim(self.quantile) == 0 else levels)

    def n_outputs(self, n_targets: int) -> int:
        """One for each quantile of the target, or for each target of the quantile."""
        return max(n_targets, len(self.levels))

    def check_targets(self, y: np.ndarray) -> None:
        """Several quantiles have one target."""
        if len(self.levels) > 1 and y.ndim == 2 and y.shape[1] > 1:
            raise ValueError(
                f"loss={self!r} has several quantiles and so takes one target, but y has"
                f" {y.shape[1]} columns. Fit a regressor for each column, or give one quantile."
            )

    def settings(self) -> Numbers:
        """The quantiles."""
        return np.array(self.levels)

    def settings_for(self, n_out: int) -> Numbers:
        """A quantile for each output."""
        return np.resize(self.settings(), n_out)

    def loss_and_grad(self, raw: Array, y: np.ndarray) -> tuple[Array, Array]:
        """The gradient is ``1 - q`` above y, ``-q`` below."""
        error = raw - y
        levels = self.settings_for(raw.shape[1]).astype(raw.dtype)
        grad = np.where(error > 0, 1 - levels, np.where(error < 0, -levels, error))
        return np.sum(grad * error, axis=1), grad


class Poisson(Loss):
    """Half the Poisson deviance ``y log(y / p) - y + p`` with ``p = exp(raw)``.

    Summed over outputs.
    """

    name = "poisson"
    inverse_link = "exp"

    def check_targets(self, y: np.ndarray) -> None:
        """Counts are not negative."""
        if (y < 0).any():
            raise ValueError(f"loss='poisson' needs y >= 0, got values down to {y.min()}.")

    def loss_and_grad(self, raw: Array, y: np.ndarray) -> tuple[Array, Array]:
        """The gradient is ``p - y``."""
        p = exp(raw)
        with np.errstate(invalid="ignore"):  # divergence is reported by the training loop
            return np.sum(xlogy(y, y) - y * raw - y + p, axis=1), p - y


class Gamma(Loss):
    """Half the gamma deviance ``log(p / y) + y / p - 1`` with ``p = exp(raw)``.

    Summed over outputs. For positive numbers whose spread is proportional to their mean.
    """

    name = "gamma"
    inverse_link = "exp"

    def check_targets(self, y: np.ndarray) -> None:
        """The logarithm of y is taken."""
        if (y <= 0).any():
            raise ValueError(f"loss='gamma' needs y > 0, got values down to {y.min()}.")

    def loss_and_grad(self, raw: Array, y: np.ndarray) -> tuple[Array, Array]:
        """The gradient is ``1 - y / p``."""
        with np.errstate(invalid="ignore", over="ignore"):  # as for Poisson
            ratio = y * exp(-raw)
            return np.sum(raw - np.log(y) + ratio - 1, axis=1), 1 - ratio


@dataclass(repr=False)
class LabelLoss(Loss):
    """A loss of labels, whose targets may be smoothed (Szegedy et al. 2016, arXiv 1512.00567).

    Of K classes the row's own then has the target ``1 - s + s / K`` and each other ``s / K``, with
    ``s = label_smoothing``; for a label that applies or not K is 2.

    Parameters
    ----------
    label_smoothing : float or None
        In [0, 1]; None is the estimator's.

    Attributes
    ----------
    of_labels : type
        For a loss of classes: the same for labels that apply or not.
    """

    label_smoothing: float = field(default=OPEN, kw_only=True)

    targets: ClassVar[Targets] = "classes"
    flat: ClassVar[Mapping[str, Any]] = {"label_smoothing": 0.0}
    allowed: ClassVar[Mapping[str, Allowed]] = {"label_smoothing": number("[0, 1]")}
    of_labels: ClassVar[type[LabelLoss]]

    def for_labels(self) -> LabelLoss:
        """This loss, of labels that apply or not."""
        return self.of_labels(**self.get_params())

    def smoothed(self, y: np.ndarray, n_out: int, dtype: np.dtype) -> Array:
        """The targets ``(n_rows, n_out)`` of codes ``(n_rows,)`` or truth values."""
        s = self.label_smoothing
        if self.y_is_codes:
            return np.where(y[:, None] == np.arange(n_out), 1 - s + s / n_out, s / n_out).astype(
                dtype
            )
        return (y * (1 - s) + s / 2).astype(dtype)


class BinaryLogLoss(LabelLoss):
    """Cross-entropy of independent yes/no outputs with ``p = expit(raw)``, summed over outputs.

    As in scikit-learn the reported value clips p to [eps, 1 - eps] of its dtype, while the gradient
    stays ``p - y``.
    """

    name = "binary_log_loss"
    inverse_link = "logistic"
    targets = "labels"

    def loss_and_grad(self, raw: Array, y: np.ndarray) -> tuple[Array, Array]:
        """The gradient is ``p`` less the target."""
        p = expit(raw)
        eps = np.finfo(raw.dtype).eps
        clipped = np.clip(p, eps, 1 - eps)
        loss = -np.where(y > 0, np.log(clipped), np.log(1 - clipped))
        if self.label_smoothing:  # log(p / (1 - p)) is raw
            loss += self.label_smoothing / 2 * np.where(y > 0, raw, -raw)
            y = self.smoothed(y, raw.shape[1], raw.dtype)
        return np.sum(loss, axis=1), p - y


class LogLoss(LabelLoss):
    """Cross-entropy of one class out of many with ``p = softmax(raw)``.

    The value is clipped as in :class:`BinaryLogLoss`.
    """

    name = "log_loss"
    inverse_link = "softmax"
    of_labels = BinaryLogLoss

    def loss_and_grad(self, raw: Array, y: np.ndarray) -> tuple[Array, Array]:
        """The gradient is ``p`` less the target."""
        p = softmax(raw)
        eps = np.finfo(raw.dtype).eps
        rows = np.arange(len(raw))
        loss = -np.log(np.clip(p[rows, y], eps, 1 - eps))
        p[rows, y] -= 1 - self.label_smoothing
        if self.label_smoothing:  # log(p_c / p_k) is raw_c - raw_k
            loss += self.label_smoothing * (raw[rows, y] - raw.mean(axis=1))
            p -= self.label_smoothing / raw.shape[1]
        return loss, p


class BinaryBrier(LabelLoss):
    """The squared error of probabilities ``p = expit(raw)``, summed over outputs."""

    name = "binary_brier"
    inverse_link = "logistic"
    targets = "labels"

    def loss_and_grad(self, raw: Array, y: np.ndarray) -> tuple[Array, Array]:
        """``error = p`` less the target; the gradient is ``2 error p (1 - p)``."""
        p = expit(raw)
        error = p - self.smoothed(y, raw.shape[1], raw.dtype)
        return np.sum(error * error, axis=1), 2 * error * p * expit(-raw)


class Brier(LabelLoss):
    """Half the squared error of the probabilities ``p = softmax(raw)``, summed over classes.

    That is Brier's score (Brier 1950); the half makes it :class:`BinaryBrier` for two classes.
    """

    name = "brier"
    inverse_link = "softmax"
    of_labels = BinaryBrier

    def loss_and_grad(self, raw: Array, y: np.ndarray) -> tuple[Array, Array]:
        """``error = p`` less the target; the gradient is ``p (error - sum p error)``."""
        p = softmax(raw)
        error = p - self.smoothed(y, raw.shape[1], raw.dtype)
        mean = np.sum(p * error, axis=1, keepdims=True)
        return 0.5 * np.sum(error * error, axis=1), p * (error - mean)


def focal(p: Array, rest: Array, gamma: float) -> tuple[Array, Array]:
    """``-(1 - p)**gamma log(p)``, and its derivative by p times p; ``rest`` is ``1 - p``.

    Both are clipped to [eps, 1 - eps], as the log loss is.
    """
    eps = np.finfo(p.dtype).eps
    p, rest = np.clip(p, eps, 1 - eps), np.clip(rest, eps, 1 - eps)
    log_p, factor = np.log(p), rest**gamma
    return -factor * log_p, factor * (gamma * p * log_p / rest - 1)


@dataclass(repr=False)
class BinaryFocal(LabelLoss):
    """:class:`Focal` of independent yes/no outputs with ``p = expit(raw)``, summed over outputs."""

    gamma: float = 2.0

    name = "binary_focal"
    inverse_link = "logistic"
    targets = "labels"

    def loss_and_grad(self, raw: Array, y: np.ndarray) -> tuple[Array, Array]:
        """What the label is and what it is not each count by their target."""
        p, rest = expit(raw), expit(-raw)
        yes = self.smoothed(y, raw.shape[1], raw.dtype)
        loss, slope = focal(p, rest, self.gamma)
        loss_not, slope_not = focal(rest, p, self.gamma)
        grad = yes * slope * rest - (1 - yes) * slope_not * p
        return np.sum(yes * loss + (1 - yes) * loss_not, axis=1), grad


@dataclass(repr=False)
class Focal(LabelLoss):
    """The log loss, less for rows that are right already (Lin et al. 2017, arXiv 1708.02002).

    ``-(1 - p)**gamma log(p)``, p the probability of the row's class, of ``softmax(raw)``.

    Parameters
    ----------
    gamma : float
        Not negative; 0 is the log loss.
    label_smoothing : float or None
        See :class:`LabelLoss`.
    """

    gamma: float = 2.0

    name = "focal"
    inverse_link = "softmax"
    of_labels = BinaryFocal
    allowed: ClassVar[Mapping[str, Allowed]] = {**LabelLoss.allowed, "gamma": number("[0, inf)")}

    def loss_and_grad(self, raw: Array, y: np.ndarray) -> tuple[Array, Array]:
        """With smoothed labels each class counts by its target."""
        p = softmax(raw)
        target = self.smoothed(y, raw.shape[1], raw.dtype)
        loss, slope = focal(p, 1 - p, self.gamma)
        slope = target * slope
        return np.sum(target * loss, axis=1), slope - p * slope.sum(axis=1, keepdims=True)


@dataclass(repr=False)
class Function(functions.Function, Loss):
    """A loss of your own, written elementwise with NumPy's functions; summed over outputs.

    The same text serves all backends, as for :class:`fastnn.activations.Function`. Before a fit
    the slope is compared with finite differences of the value, at targets of the fit's.

    Parameters
    ----------
    value : callable
        ``(raw, y) -> loss``, of raw outputs, before the inverse link, and targets.
    slope : callable
        ``(raw, y) -> d loss / d raw``.
    inverse_link : {"identity", "exp", "logistic"}, default="identity"
        What makes a prediction of a raw output. With "logistic" a classifier takes it, too, for two
        classes, or labels that apply or not: y is 1 or 0.
    name : str, default="function"
        What messages call it.

    Examples
    --------
    >>> import numpy as np
    >>> from fastnn.losses import Function
    >>> def log_cosh(raw, y):
    ...     return np.logaddexp(raw - y, y - raw) - np.log(2)
    >>> def slope_of_log_cosh(raw, y):
    ...     return np.tanh(raw - y)
    >>> Function(log_cosh, slope_of_log_cosh, name="log cosh")
    Function(log_cosh, slope_of_log_cosh, name='log cosh', inverse_link='identity')
    """

    inverse_link: str = field(default="identity", kw_only=True)

    allowed: ClassVar[Mapping[str, Allowed]] = {
        **functions.Function.allowed,
        "inverse_link": Allowed(
            "'identity', 'exp' or 'logistic'",
            lambda value: value in ("identity", "exp", "logistic"),
        ),
    }
    arguments: ClassVar[str] = "two arrays of numbers, raw outputs and y"

    @property
    def takes(self) -> Literal["input", "output", "target"]:
        """Raw outputs and targets."""
        return "target"

    def is_for(self, targets: Targets) -> bool:
        """Numbers; with probabilities as predictions also two classes, and labels."""
        return targets == "numbers" or self.inverse_link == "logistic"

    def filled(self, flat: Mapping[str, Any] | None = None) -> Self:
        """A copy. ValueError if ``flat`` has a setting of the losses of labels."""
        if flat is not None and flat.get("label_smoothing"):
            raise ValueError(
                f"label_smoothing={flat['label_smoothing']!r} cannot be used with loss={self!r}."
                " Smooth y in its functions, y * (1 - s) + s / 2, or set label_smoothing=0."
            )
        return super().filled(flat)

    def check_targets(self, y: np.ndarray) -> None:
        """The slope is the derivative at targets of y's."""
        exact = y.astype(np.float64).ravel()
        some = exact[np.linspace(0, exact.size - 1, functions.PLACES.size).astype(int)]
        raw, scale = functions.PLACES, 1.0
        if self.inverse_link == "identity":
            scale = float(some.std()) or 1.0
            raw = some + scale * raw
        self.check_slope("loss", scale, raw=raw, y=some)

    def loss_and_grad(self, raw: Array, y: np.ndarray) -> tuple[Array, Array]:
        """What the two functions say."""
        value, slope = self.value_and_slope(raw, y)
        return value.sum(axis=1), slope


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


LOSSES: dict[str, Loss] = by_name(
    SquaredError(),
    AbsoluteError(),
    Huber(),
    Quantile(),
    Poisson(),
    Gamma(),
    BinaryLogLoss(),
    LogLoss(),
    BinaryBrier(),
    Brier(),
    BinaryFocal(),
    Focal(),
)

# What a classifier calls its losses; labels that apply or not take `for_labels()` of them.
LABEL_LOSSES: dict[str, LabelLoss] = {
    "log_loss": LogLoss(),
    "squared_error": Brier(),
    "focal": Focal(),
}
