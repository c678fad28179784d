"""What does a search look like? Pictures of accuracy against cost, as scikit-learn's Displays."""

from __future__ import annotations

import numbers
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike
from sklearn.base import BaseEstimator
from sklearn.utils.validation import check_is_fitted

from fastnn.display import new_axes
from fastnn.search.quantities import QUANTITIES, described

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure, SubFigure


class TradeoffDisplay:
    """The candidates of a search: one quantity against another, with the front and the chosen one.

    Make one by :meth:`from_search`.

    Parameters
    ----------
    results : dict of str to array-like
        ``cv_results_`` of a :class:`fastnn.TradeoffSearchCV`.
    front : array-like of int
        Its ``pareto_front_``.
    objectives : tuple of str
        Its ``objectives_``.
    chosen : int or None, default=None
        Its ``best_index_``; none is marked where None.

    Attributes
    ----------
    ax_ : matplotlib Axes
    figure_ : matplotlib Figure

    Examples
    --------
    >>> from fastnn import TradeoffDisplay
    >>> display = TradeoffDisplay.from_search(search)  # doctest: +SKIP
    >>> display.plot(x="latency_us", y="score")  # doctest: +SKIP
    """

    ax_: Axes
    figure_: Figure | SubFigure

    def __init__(
        self,
        results: Mapping[str, Any],
        front: ArrayLike,
        objectives: tuple[str, ...],
        *,
        chosen: int | None = None,
    ) -> None:
        self.results = results
        self.front = np.asarray(front, dtype=int)
        self.objectives = objectives
        self.chosen = chosen

    @classmethod
    def from_search(cls, search: BaseEstimator) -> TradeoffDisplay:
        """The display of a fitted search; :meth:`plot` or :meth:`parallel_coordinates` draw it.

        Parameters
        ----------
        search : fitted TradeoffSearchCV

        Returns
        -------
        display : TradeoffDisplay
        """
        check_is_fitted(search, "cv_results_")
        return cls(
            search.cv_results_,
            search.pareto_front_,
            search.objectives_,
            chosen=getattr(search, "best_index_", None),
        )

    def plot(
        self, x: str = "fit_time", y: str = "score", *, ax: Axes | None = None
    ) -> TradeoffDisplay:
        """Draw y against x.

        Error bars of a score are its standard deviation over folds, those of a time the quartiles
        of its repeats. An axis on which the candidates span more than a factor of ten is
        logarithmic. The front is joined by a line where x and y are all of its objectives.

        Parameters
        ----------
        x, y : str
            "score", the name of a further score, or what else was measured: "fit_time",
            "cpu_time", "latency_us", "row_us", "model_bytes", "flops", "flash_bytes",
            "flash_int8_bytes", "peak_bytes", "energy_j".
        ax : matplotlib Axes, default=None
            Where to draw; a new figure where None.

        Returns
        -------
        display : TradeoffDisplay
            Itself.
        """
        for name, quantity in (("x", x), ("y", y)):
            known = sorted({*QUANTITIES, *self.objectives})
            if quantity not in known:
                raise ValueError(f"{name} must be one of {known}, got {quantity!r}.")
        if ax is None:
            ax = new_axes()
        xs, ys = self._values(x), self._values(y)
        known = np.isfinite(xs) & np.isfinite(ys)
        on_front = np.isin(np.arange(len(xs)), self.front)
        others = known & ~on_front
        front = self.front[known[self.front]]
        ax.scatter(
            xs[others], ys[others], s=18, color="0.65", linewidths=0, label="dominated", zorder=1
        )
        ax.errorbar(
            xs[front],
            ys[front],
            xerr=self._errors(x)[:, front],
            yerr=self._errors(y)[:, front],
            fmt="o-" if set(self.objectives) == {x, y} else "o",
            color="C0",
            markersize=6,
            elinewidth=1,
            capsize=2,
            label="front",
            zorder=2,
        )
        if self.chosen is not None and known[self.chosen]:
            x_chosen, y_chosen = xs[self.chosen], ys[self.chosen]
            ax.scatter(
                x_chosen,
                y_chosen,
                s=220,
                marker="*",
                color="C3",
                edgecolor="white",
                label="chosen",
                zorder=3,
            )
        for set_scale, values in ((ax.set_xscale, xs[known]), (ax.set_yscale, ys[known])):
            if _spans_decades(values):
                set_scale("log")
        ax.set(xlabel=_label(x), ylabel=_label(y))
        ax.legend()
        self.ax_, self.figure_ = ax, ax.figure
        return self

    def parallel_coordinates(
        self, columns: Sequence[str] | None = None, *, ax: Axes | None = None
    ) -> TradeoffDisplay:
        """Draw each candidate as a line across its parameters and its quantities.

        Parameters
        ----------
        columns : sequence of str, default=None
            Names of parameters and quantities, in order; the parameters that vary and the
            objectives where None.
        ax : matplotlib Axes, default=None
            Where to draw; a new figure where None.

        Returns
        -------
        display : TradeoffDisplay
            Itself.
        """
        if columns is None:
            params = [
                name.removeprefix("param_") for name in self.results if name.startswith("param_")
            ]
            columns = [
                name for name in params if len(set(map(repr, self.results[f"param_{name}"]))) > 1
            ] + list(self.objectives)
        if ax is None:
            ax = new_axes(width=1.5 * len(columns))
        heights, labels = zip(*(_heights(self._values(name)) for name in columns), strict=True)
        lines = np.column_stack(heights)
        on_front = np.isin(np.arange(len(lines)), self.front)
        across = np.arange(len(columns))
        drawn = np.isfinite(self._values("score"))
        ax.plot(across, lines[drawn & ~on_front].T, color="0.8", linewidth=0.8, zorder=1)
        ax.plot(across, lines[on_front].T, color="C0", linewidth=1.4, zorder=2)
        if self.chosen is not None:
            ax.plot(across, lines[self.chosen], color="C3", linewidth=2.6, zorder=3)
        for i, ticks in enumerate(labels):
            ax.axvline(i, color="0.3", linewidth=0.8, zorder=0)
            for height, text in ticks.items():
                ax.annotate(
                    text,
                    (i, height),
                    xytext=(3, 0),
                    textcoords="offset points",
                    fontsize=7,
                    va="center",
                    zorder=4,
                )
        ax.set_xticks(across, [name.split("__")[-1] for name in columns], rotation=20, ha="right")
        ax.set(yticks=[], xlim=(-0.1, len(columns) - 0.4))
        self.ax_, self.figure_ = ax, ax.figure
        return self

    def _values(self, name: str) -> np.ndarray:
        """One value for each candidate; NaN, or None for a parameter, where there is none."""
        if name in QUANTITIES or name in self.objectives:
            is_score = described(name).better == "max"
            return np.asarray(self.results[f"mean_test_{name}" if is_score else name], dtype=float)
        if f"param_{name}" not in self.results:
            known = [key.removeprefix("param_") for key in self.results if key.startswith("param_")]
            raise ValueError(
                f"columns must name parameters, {known}, or quantities, {list(QUANTITIES)};"
                f" got {name!r}."
            )
        return np.ma.filled(self.results[f"param_{name}"], None)

    def _errors(self, quantity: str) -> np.ndarray:
        """How far the error bars reach below and above the values ``(2, n_candidates)``."""
        values = self._values(quantity)
        if described(quantity).better == "max":
            return np.vstack([self.results[f"std_test_{quantity}"]] * 2)
        if f"repeats_{quantity}" not in self.results:
            return np.zeros((2, len(values)))
        quartiles = np.array(
            [
                np.percentile(r, [25, 75]) if len(r) else [np.nan] * 2
                for r in self.results[f"repeats_{quantity}"]
            ]
        )
        return np.abs(quartiles - values[:, None]).T


def _label(quantity: str) -> str:
    row = described(quantity)
    return f"{row.label} ({row.stored_unit})" if row.unit else row.label


def _spans_decades(values: np.ndarray) -> bool:
    return bool(values.size and values.min() > 0 and values.max() > 10 * values.min())


def _heights(values: np.ndarray) -> tuple[np.ndarray, dict[float, str]]:
    """Heights between 0 and 1 for values of any kind, and what is written at which height.

    Numbers keep their distances, or their ratios where they span decades; anything else is laid out
    in order of its size, if it has one, and name.
    """
    present = [value for value in values if value is not None]
    if all(isinstance(value, numbers.Real) and not isinstance(value, bool) for value in present):
        x = np.array([np.nan if value is None else value for value in values], dtype=float)
        low, high = (
            (float(np.nanmin(x)), float(np.nanmax(x))) if np.isfinite(x).any() else (0.0, 0.0)
        )
        if low == high:
            return np.where(np.isnan(x), np.nan, 0.5), {0.5: f"{low:.3g}"}
        scaled = (
            np.log(x / low) / np.log(high / low)
            if _spans_decades(x[np.isfinite(x)])
            else (x - low) / (high - low)
        )
        return scaled, {0.0: f"{low:.3g}", 1.0: f"{high:.3g}"}
    names = sorted({str(value) for value in present}, key=lambda name: (len(name), name))
    steps = max(1, len(names) - 1)
    place = {name: i / steps for i, name in enumerate(names)}
    heights = np.array([np.nan if value is None else place[str(value)] for value in values])
    return heights, {height: name for name, height in place.items()}
