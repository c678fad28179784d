"""What does a fit look like? Its loss curves and its weights, as scikit-learn's Displays."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike
from sklearn.base import BaseEstimator
from sklearn.utils.validation import check_is_fitted

from fastnn._optional import require
from fastnn.core.family import is_count
from fastnn.estimators.inspect import network_of

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.colorbar import Colorbar
    from matplotlib.figure import Figure, SubFigure
    from matplotlib.image import AxesImage
    from matplotlib.lines import Line2D


class LossCurveDisplay:
    """The training loss over the iterations of a fit, and the validation loss where there is one.

    Make one by :meth:`from_estimator`; draw it again, on other axes or in another style, by
    :meth:`plot`.

    Parameters
    ----------
    loss_curve : array-like of shape (n_iterations,)
        The mean loss of each iteration, penalty included.
    validation_loss_curve : array-like of shape (n_validated,) or None, default=None
        The mean loss of the validation rows after each of the last iterations, without the penalty.
    estimator_name : str or None, default=None
        What the legend calls it; no legend where None.

    Attributes
    ----------
    line_ : matplotlib Line2D
        The training loss.
    validation_line_ : matplotlib Line2D or None
    ax_ : matplotlib Axes
    figure_ : matplotlib Figure

    Examples
    --------
    >>> from fastnn import LossCurveDisplay, MLPRegressor
    >>> model = MLPRegressor(random_state=0).fit(X, y)  # doctest: +SKIP
    >>> LossCurveDisplay.from_estimator(model)  # doctest: +SKIP
    """

    line_: Line2D
    validation_line_: Line2D | None
    ax_: Axes
    figure_: Figure | SubFigure

    def __init__(
        self,
        loss_curve: ArrayLike,
        *,
        validation_loss_curve: ArrayLike | None = None,
        estimator_name: str | None = None,
    ) -> None:
        self.loss_curve = np.asarray(loss_curve)
        if self.loss_curve.ndim != 1 or self.loss_curve.dtype.kind not in "biuf":
            raise ValueError(
                "loss_curve must be a list of numbers, one for each iteration, got shape"
                f" {self.loss_curve.shape} and dtype {self.loss_curve.dtype}."
            )
        self.validation_loss_curve = (
            None if validation_loss_curve is None else np.asarray(validation_loss_curve)
        )
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
        """Draw the loss curves of a fitted estimator.

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
                f"{type(estimator).__name__} holds no network with a loss_curve_. Networks have one"
                " unless they are fitted with solver='lbfgs'."
            )
        display = cls(
            network.loss_curve_,
            validation_loss_curve=getattr(network, "validation_loss_curve_", None),
            estimator_name=type(network).__name__ if name is None else name,
        )
        return display.plot(ax, **kwargs)

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
        iterations = np.arange(1, len(self.loss_curve) + 1)
        (self.line_,) = ax.plot(iterations, self.loss_curve, **style)
        self.validation_line_ = None
        if self.validation_loss_curve is not None:
            n_validated = len(self.validation_loss_curve)
            dashed = {**style, "color": self.line_.get_color(), "linestyle": "--"}
            if style["label"] is not None:
                dashed["label"] = f"{style['label']}, validation"
            (self.validation_line_,) = ax.plot(
                iterations[-n_validated:], self.validation_loss_curve, **dashed
            )
        ax.set(xlabel="iteration", ylabel="loss")
        if style["label"] is not None:
            ax.legend()
        self.ax_, self.figure_ = ax, ax.figure
        return self


class WeightsDisplay:
    """The weights of one layer of a network: blue below zero, red above.

    Make one by :meth:`from_estimator`; draw it again, on other axes or in another style, by
    :meth:`plot`.

    Parameters
    ----------
    weights : array-like of shape (n_inputs, n_neurons)
    image_shape : tuple of two int or None, default=None
        Where the inputs are the pixels of an image of ``(height, width)``, draw each neuron as one.
        None draws the matrix, a row for each input.
    input_names : sequence of n_inputs str or None, default=None
        What the rows of the matrix are called.
    estimator_name : str or None, default=None
        The title; none where None.

    Raises
    ------
    ValueError
        If the weights are no matrix of numbers, or an image shape or names do not fit them.

    Attributes
    ----------
    image_ : matplotlib AxesImage
    colorbar_ : matplotlib Colorbar
    ax_ : matplotlib Axes
    figure_ : matplotlib Figure

    Examples
    --------
    >>> from fastnn import MLPClassifier, WeightsDisplay
    >>> model = MLPClassifier(random_state=0).fit(X, y)  # doctest: +SKIP
    >>> WeightsDisplay.from_estimator(model, image_shape=(8, 8))  # doctest: +SKIP
    """

    image_: AxesImage
    colorbar_: Colorbar
    ax_: Axes
    figure_: Figure | SubFigure

    def __init__(
        self,
        weights: ArrayLike,
        *,
        image_shape: tuple[int, int] | None = None,
        input_names: Sequence[str] | None = None,
        estimator_name: str | None = None,
    ) -> None:
        self.weights = np.asarray(weights)
        if self.weights.ndim != 2 or self.weights.dtype.kind not in "biuf":
            raise ValueError(
                "weights must be a matrix of numbers, (n_inputs, n_neurons), got shape"
                f" {self.weights.shape} and dtype {self.weights.dtype}."
            )
        n_inputs = len(self.weights)
        if image_shape is not None:
            sides = np.asarray(image_shape, dtype=object).ravel().tolist()
            if len(sides) != 2 or not all(map(is_count, sides)):
                raise ValueError(
                    "image_shape must be (height, width), two whole numbers from 1, got"
                    f" {image_shape!r}."
                )
            if sides[0] * sides[1] != n_inputs:
                raise ValueError(
                    f"image_shape={image_shape!r} has {sides[0] * sides[1]} pixels, but the layer"
                    f" has {n_inputs} inputs."
                )
        if input_names is not None and len(input_names) != n_inputs:
            raise ValueError(
                f"input_names must be {n_inputs} names, one for each input, got {len(input_names)}."
            )
        self.image_shape = image_shape
        self.input_names = input_names
        self.estimator_name = estimator_name

    @classmethod
    def from_estimator(
        cls,
        estimator: BaseEstimator,
        *,
        layer: int = 0,
        image_shape: tuple[int, int] | None = None,
        ax: Axes | None = None,
        name: str | None = None,
        **kwargs: Any,
    ) -> WeightsDisplay:
        """Draw the weights of a fitted estimator.

        Parameters
        ----------
        estimator : fitted estimator
            A network, fastnn's or scikit-learn's, or what holds one, as for
            :meth:`LossCurveDisplay.from_estimator`.
        layer : int, default=0
            Which of ``coefs_`` to draw; 0 is the first, -1 the last.
        image_shape : tuple of two int or None, default=None
            Draw each neuron as an image of ``(height, width)``.
        ax : matplotlib Axes, default=None
            Where to draw; a new figure where None.
        name : str, default=None
            The title; the class's name and the layer where None.
        **kwargs
            Passed to matplotlib's ``imshow``.

        Returns
        -------
        display : WeightsDisplay

        Raises
        ------
        NotFittedError
            If the estimator is not fitted.
        ValueError
            If it holds no network or no such layer, or the inputs are no image of that shape.
        """
        check_is_fitted(estimator)
        network = network_of(estimator)
        if network is None:
            raise ValueError(f"{type(estimator).__name__} holds no network with coefs_.")
        n_layers = len(network.coefs_)
        if type(layer) in (bool, float) or layer not in range(-n_layers, n_layers):
            raise ValueError(
                f"layer must be a whole number from {-n_layers} to {n_layers - 1}, got {layer!r}."
            )
        layer %= n_layers
        display = cls(
            network.coefs_[layer],
            image_shape=image_shape,
            input_names=None if layer else getattr(network, "feature_names_in_", None),
            estimator_name=f"{type(network).__name__}, layer {layer}" if name is None else name,
        )
        return display.plot(ax, **kwargs)

    def plot(
        self, ax: Axes | None = None, *, name: str | None = None, **kwargs: Any
    ) -> WeightsDisplay:
        """Draw it.

        Parameters
        ----------
        ax : matplotlib Axes, default=None
            Where to draw; a new figure where None.
        name : str, default=None
            The title; ``estimator_name`` where None.
        **kwargs
            Passed to matplotlib's ``imshow``.

        Returns
        -------
        display : WeightsDisplay
            Itself.
        """
        picture = self.weights if self.image_shape is None else self._tiles(*self.image_shape)
        if ax is None:
            ax = new_axes()
        largest = np.abs(self.weights).max(initial=0)
        style = {"cmap": "RdBu_r", "vmin": -largest, "vmax": largest, "interpolation": "nearest"}
        style["aspect"] = "auto" if self.image_shape is None else "equal"
        self.image_ = ax.imshow(picture, **{**style, **kwargs})
        if self.image_shape is not None:
            ax.set_axis_off()
        else:
            ax.set(xlabel="neuron", ylabel="input")
            if self.input_names is not None:
                ax.set_yticks(np.arange(len(self.weights)), labels=self.input_names)
        title = self.estimator_name if name is None else name
        if title is not None:
            ax.set_title(title)
        self.ax_, self.figure_ = ax, ax.figure
        self.colorbar_ = self.figure_.colorbar(self.image_, ax=ax)
        return self

    def _tiles(self, height: int, width: int) -> np.ndarray:
        """Each neuron's weights as an image, side by side, a pixel of NaN between them."""
        n_neurons = self.weights.shape[1]
        n_columns = int(np.ceil(np.sqrt(n_neurons)))
        n_rows = -(-n_neurons // n_columns)
        picture = np.full((n_rows * (height + 1) - 1, n_columns * (width + 1) - 1), np.nan)
        for i, image in enumerate(self.weights.T.reshape(n_neurons, height, width)):
            top, left = i // n_columns * (height + 1), i % n_columns * (width + 1)
            picture[top : top + height, left : left + width] = image
        return picture


def new_axes(width: float = 6.4) -> Axes:
    """The axes of a new figure, ``width`` inches wide."""
    return require("matplotlib.pyplot").subplots(figsize=(width, 4.8))[1]
