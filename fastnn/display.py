"""What does a fit look like? Its loss curve as a picture, as scikit-learn's Displays."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike
from sklearn.base import BaseEstimator
from sklearn.utils.validation import check_is_fitted

from fastnn._optional import require
from fastnn.estimators.inspect import network_of

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure, SubFigure
    from matplotlib.lines import Line2D


class LossCurveDisplay:
    """The training loss over the iterations of a fit.

    Make one by :meth:`from_estimator`; draw it again, on other axes or in another style, by
    :meth:`plot`.

    Parameters
    ----------
    loss_curve : array-like of shape (n_iterations,)
        The mean loss of each iteration, penalty included.
    estimator_name : str or None, default=None
        What the legend calls it; no legend where None.

    Attributes
    ----------
    line_ : matplotlib Line2D
    ax_ : matplotlib Axes
    figure_ : matplotlib Figure

    Examples
    --------
    >>> from fastnn import LossCurveDisplay, MLPRegressor
    >>> model = MLPRegressor(random_state=0).fit(X, y)  # doctest: +SKIP
    >>> LossCurveDisplay.from_estimator(model)  # doctest: +SKIP
    """

    line_: Line2D
    ax_: Axes
    figure_: Figure | SubFigure

    def __init__(self, loss_curve: ArrayLike, *, estimator_name: str | None = None) -> None:
        self.loss_curve = np.asarray(loss_curve)
        self.estimator_name = estimator_name

    @classmethod
    def from_estimator(
        cls,
        estimator: BaseEstimator,
        *,
        ax: Axes | None = None,
        name: str | None = None,
        **kwargs: Any,
    ) -> LossCurveDisplay:
        """Draw the loss curve of a fitted estimator.

        Parameters
        ----------
        estimator : fitted estimator
            A network with a ``loss_curve_``, fastnn's or scikit-learn's, or what holds one: a
            Pipeline that ends in it, a search whose ``best_estimator_`` it is, or another estimator
            around it.
        ax : matplotlib Axes, default=None
            Where to draw; a new figure where None.
        name : str, default=None
            What the legend calls it; the class's name where None.
        **kwargs
            Passed to matplotlib's ``plot``.

        Returns
        -------
        display : LossCurveDisplay

        Raises
        ------
        NotFittedError
            If the estimator is not fitted.
        ValueError
            If it holds no network, or one without a loss curve, as with ``solver="lbfgs"``.
        """
        check_is_fitted(estimator)
        network = network_of(estimator)
        if not hasattr(network, "loss_curve_"):
            raise ValueError(
                f"{type(estimator).__name__} holds no network with a loss_curve_. Networks fitted"
                " with solver='adam' or 'sgd' have one."
            )
        name = type(network).__name__ if name is None else name
        return cls(network.loss_curve_, estimator_name=name).plot(ax, **kwargs)

    def plot(
        self, ax: Axes | None = None, *, name: str | None = None, **kwargs: Any
    ) -> LossCurveDisplay:
        """Draw it.

        Parameters
        ----------
        ax : matplotlib Axes, default=None
            Where to draw; a new figure where None.
        name : str, default=None
            What the legend calls it; ``estimator_name`` where None.
        **kwargs
            Passed to matplotlib's ``plot``.

        Returns
        -------
        display : LossCurveDisplay
            Itself.
        """
        if ax is None:
            ax = new_axes()
        label = self.estimator_name if name is None else name
        style = {"label": label, **kwargs}
        (self.line_,) = ax.plot(np.arange(1, len(self.loss_curve) + 1), self.loss_curve, **style)
        ax.set(xlabel="iteration", ylabel="loss")
        if style["label"] is not None:
            ax.legend()
        self.ax_, self.figure_ = ax, ax.figure
        return self


def new_axes(width: float = 6.4) -> Axes:
    """The axes of a new figure, ``width`` inches wide."""
    return require("matplotlib.pyplot").subplots(figsize=(width, 4.8))[1]
