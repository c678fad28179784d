"""How are numbers drawn? As inline SVG, without a plotting library; colours come by CSS class.

Every mark can carry a tip, kept as SVG's own ``<title>``: browsers show it without any script, and
the page's script turns it into a better tooltip that also answers the keyboard.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from html import escape

import numpy as np

NOTHING = "\u2013"  # a dash, where there is no number
Numbers = Sequence[float] | np.ndarray


def si(value: float, unit: str = "") -> str:
    """Write a quantity with three digits and an SI prefix: ``si(0.0123, "s")`` is "12.3 ms"."""
    if not math.isfinite(value):
        return NOTHING
    if value == 0:
        return f"0 {unit}".strip()
    power = max(-9, min(12, 3 * math.floor(math.log10(abs(value) * (1 + 5e-4)) / 3)))
    prefix = {-9: "n", -6: "µ", -3: "m", 0: "", 3: "k", 6: "M", 9: "G", 12: "T"}[power]
    return f"{_three_digits(value / 10**power)} {prefix}{unit}".strip()


def number(value: float) -> str:
    """Write a plain number with about four digits, thousands separated by thin spaces."""
    if not math.isfinite(value):
        return NOTHING
    if abs(value) >= 1000:
        return f"{value:,.0f}".replace(",", "\u2009")
    if value == int(value):
        return str(int(value))
    return f"{value:.3f}" if abs(value) >= 0.01 else f"{value:.2g}"


def tick(value: float) -> str:
    """Write a round value at an axis: few digits, and an SI prefix for large values."""
    return si(value) if abs(value) >= 1e4 else f"{value:.4g}".replace("-", "\u2212")


def _three_digits(value: float) -> str:
    digits = max(0, 2 - math.floor(math.log10(abs(value) * (1 + 5e-4)))) if value else 0
    text = f"{value:.{digits}f}"
    return text.rstrip("0").rstrip(".") if "." in text else text


@dataclass(frozen=True)
class Axis:
    """A range of data along one side of a chart, its label, and the way its ticks are written."""

    low: float
    high: float
    label: str = ""
    log: bool = False
    write: Callable[[float], str] = tick

    @classmethod
    def around(
        cls,
        values: Numbers,
        label: str = "",
        *,
        log: bool = False,
        write: Callable[[float], str] = tick,
    ) -> Axis:
        """Return an axis a little wider than the finite ``values``."""
        finite = np.asarray(values, dtype=float)
        finite = finite[np.isfinite(finite)]
        log = log and finite.size > 0 and bool((finite > 0).all())
        if not finite.size:
            return cls(0.0, 1.0, label, False, write)
        if log:
            low, high = np.log10(finite.min()), np.log10(finite.max())
            pad = max(0.06 * (high - low), 0.06)
            return cls(10 ** (low - pad), 10 ** (high + pad), label, True, write)
        low, high = float(finite.min()), float(finite.max())
        pad = 0.06 * (high - low) or 0.5 * abs(high) or 0.5
        return cls(low - pad, high + pad, label, False, write)

    def at(self, value: float) -> float:
        """Where ``value`` stands, from 0 (low end) to 1."""
        if self.log:
            return math.log(value / self.low) / math.log(self.high / self.low)
        return (value - self.low) / (self.high - self.low)

    def ticks(self, most: int) -> list[float]:
        """Round values inside the axis, about ``most`` of them."""
        if self.log:
            decades = range(math.floor(math.log10(self.low)), math.ceil(math.log10(self.high)) + 1)
            for steps in (range(1, 10), (1, 2, 5), (1, 3), (1,)):
                ticks = [step * 10.0**decade for decade in decades for step in steps]
                ticks = [value for value in ticks if self.low <= value <= self.high]
                if len(ticks) <= most + 1:
                    break
            else:
                ticks = ticks[:: math.ceil(len(ticks) / most)]
            if len(ticks) >= 2:
                return ticks
        span = self.high - self.low
        raw = span / most
        unit = 10 ** math.floor(math.log10(raw))
        step = next(unit * factor for factor in (1, 2, 2.5, 5, 10) if unit * factor >= raw * 0.999)
        first = math.ceil(self.low / step - 1e-9)
        return [round(i * step, 12) for i in range(first, math.floor(self.high / step + 1e-9) + 1)]


class Chart:
    """An SVG picture: axes first, then marks in the order they are added.

    Parameters
    ----------
    x, y : Axis
        The two axes.
    title : str
        What the picture shows, for people who cannot see it.
    width, height : int
        Size of the picture's own coordinate system; it scales to its place on the page.
    """

    def __init__(
        self, x: Axis, y: Axis, title: str, *, width: int = 460, height: int = 340
    ) -> None:
        self.x, self.y, self.title = x, y, title
        self.width, self.height = width, height
        written = [y.write(value) for value in y.ticks(5)]
        self.left = 30 + 7 * max((len(text) for text in written), default=3)
        self.right, self.top, self.bottom = 14, 14, 50
        self._marks: list[str] = []
        self._draw_axes()

    def px(self, value: float) -> float:
        """The horizontal place of ``value``."""
        return round(self.left + self.x.at(value) * (self.width - self.left - self.right), 1)

    def py(self, value: float) -> float:
        """The vertical place of ``value``."""
        return round(
            self.height - self.bottom - self.y.at(value) * (self.height - self.top - self.bottom), 1
        )

    def _draw_axes(self) -> None:
        right, bottom = self.width - self.right, self.height - self.bottom
        for value in self.y.ticks(5):
            y = self.py(value)
            self._add(f'<path class="grid" d="M{self.left} {y}H{right}"/>')
            self._text(self.left - 8, y + 4, self.y.write(value), "tick", "end")
        for value in self.x.ticks(max(3, (right - self.left) // 85)):
            x = self.px(value)
            self._add(f'<path class="grid" d="M{x} {self.top}V{bottom}"/>')
            self._text(x, bottom + 18, self.x.write(value), "tick", "middle")
        self._add(f'<path class="axis" d="M{self.left} {self.top}V{bottom}H{right}"/>')
        self._text((self.left + right) / 2, self.height - 10, self.x.label, "label", "middle")
        middle = (self.top + bottom) / 2
        turned = f' transform="rotate(-90 14 {middle})"'
        self._add(
            f'<text class="label" x="14" y="{middle}" text-anchor="middle"{turned}>'
            f"{escape(self.y.label)}</text>"
        )

    def _add(self, mark: str) -> None:
        self._marks.append(mark)

    def _text(self, x: float, y: float, text: str, css: str, anchor: str) -> None:
        self._add(
            f'<text class="{css}" x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}">'
            f"{escape(text)}</text>"
        )

    def line(self, xs: Numbers, ys: Numbers, css: str = "line") -> Chart:
        """Join points by a line."""
        points = [
            (x, y) for x, y in zip(xs, ys, strict=True) if math.isfinite(x) and math.isfinite(y)
        ]
        if points:
            corners = "L".join(f"{self.px(x)} {self.py(y)}" for x, y in points)
            self._add(f'<path class="{css}" d="M{corners}"/>')
        return self

    def steps(self, xs: Numbers, ys: Numbers, css: str = "line") -> Chart:
        """Join points by a staircase, level until the next point."""
        corners = [(x, y) for x, y in zip(xs, ys, strict=True)]
        stair = [corners[0]] if corners else []
        for x, y in corners[1:]:
            stair += [(x, stair[-1][1]), (x, y)]
        return self.line([x for x, _ in stair], [y for _, y in stair], css)

    def spread(self, xs: Numbers, ys: Numbers, spreads: Numbers, css: str = "spread") -> Chart:
        """Draw vertical error bars of ``spreads`` to either side, cut at the axis."""
        for x, y, s in zip(xs, ys, spreads, strict=True):
            if math.isfinite(s) and s > 0:
                low, high = max(y - s, self.y.low), min(y + s, self.y.high)
                self._add(f'<path class="{css}" d="M{self.px(x)} {self.py(low)}V{self.py(high)}"/>')
        return self

    def dots(
        self,
        xs: Numbers,
        ys: Numbers,
        tips: Sequence[str] | None = None,
        css: str = "dot",
        *,
        radius: float = 4,
        keys: Sequence[int] | None = None,
        focusable: bool = False,
    ) -> Chart:
        """Draw points; ``tips`` say what each is, ``keys`` tie them to the rows of a table."""
        for i, (x, y) in enumerate(zip(xs, ys, strict=True)):
            key = f' data-key="{keys[i]}"' if keys is not None else ""
            focus = ' tabindex="0"' if focusable else ""
            body = f"<title>{escape(tips[i])}</title>" if tips is not None else ""
            self._add(
                f'<circle class="{css}" cx="{self.px(x)}" cy="{self.py(y)}" r="{radius}"'
                f"{key}{focus}>{body}</circle>"
            )
        return self

    def bars(
        self, edges: Numbers, heights: Numbers, tips: Sequence[str], css: str = "bar"
    ) -> Chart:
        """Draw a histogram: ``heights`` over the bins between ``edges``."""
        for low, high, height, tip in zip(edges[:-1], edges[1:], heights, tips, strict=True):
            x, y, base = self.px(low), self.py(height), self.py(max(0.0, self.y.low))
            size = f'width="{max(self.px(high) - x - 1, 0.5):.1f}" height="{base - y:.1f}"'
            self._add(
                f'<rect class="{css}" x="{x}" y="{y}" {size}><title>{escape(tip)}</title></rect>'
            )
        return self

    def svg(self, css: str = "chart") -> str:
        """Return the picture as an ``<svg>`` element."""
        return (
            f'<svg class="{css}" viewBox="0 0 {self.width} {self.height}" role="img"'
            f' aria-label="{escape(self.title)}">' + "".join(self._marks) + "</svg>"
        )


def sparkline(counts: Numbers, title: str) -> str:
    """Return a tiny histogram, to stand in a row of a table."""
    top = max(counts, default=1) or 1
    width = 72 / max(len(counts), 1)
    bars = "".join(
        f'<rect class="bar" x="{i * width:.1f}" y="{20 - height:.1f}"'
        f' width="{width - 1:.1f}" height="{height:.1f}"/>'
        for i, height in enumerate(20 * np.asarray(counts) / top)
    )
    label = f'role="img" aria-label="{escape(title)}"'
    return f'<svg class="spark" viewBox="0 0 72 20" {label}>{bars}</svg>'
