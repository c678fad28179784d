"""What does the report's front look like? A chart for every cost: the score that each cost buys.

Its colour and the look of its marks stand in page.css, under "The front".
"""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

import numpy as np

from fastnn.report.content import Candidate, Content, known_costs
from fastnn.report.figures import Axis, Chart, number, si
from fastnn.report.markup import figure
from fastnn.report.vocabulary import cost, cost_name, kind_of_candidate
from fastnn.search.front import pareto_front
from fastnn.search.quantities import COSTS


def best_of_kinds(candidates: Sequence[Candidate]) -> dict[str, Candidate]:
    """Return the candidate with the best score of each kind of estimator, the best kind first.

    Empty where all are of one kind.
    """
    done = [c for c in candidates if not c.failed and np.isfinite(c.values.get("score", np.nan))]
    best: dict[str, Candidate] = {}
    for c in sorted(done, key=lambda c: -c.values["score"]):
        best.setdefault(kind_of_candidate(c.params), c)
    return best if len(best) > 1 else {}


def compared(content: Content) -> str:
    """Return a sentence on what each kind of estimator gives; "" where there is one kind."""
    found = [
        f"{kind} {number(c.values['score'])}"
        f" ± {number(c.spreads.get('score', np.nan))} (a fit takes"
        f" {cost('fit_time', c.values.get('fit_time', np.nan))})"
        for kind, c in best_of_kinds(content.candidates).items()
    ]
    if not found:
        return ""
    return f"<p>The best of each kind, in {escape(content.score)}: {escape('; '.join(found))}.</p>"


def front(content: Content) -> str:
    """Return a tab with a chart for every cost, those that the search traded off first."""
    done = [
        c for c in content.candidates if not c.failed and np.isfinite(c.values.get("score", np.nan))
    ]
    names = known_costs(done)
    wanted = [name for name in content.objectives if name in names]
    names = wanted + [name for name in names if name not in wanted]
    tabs, figures = [], []
    for i, name in enumerate(names):
        shown = [c for c in done if np.isfinite(c.values.get(name, np.nan))]
        checked = " checked" if i == 0 else ""
        tabs.append(
            f'<input type="radio" name="cost" id="cost{i}"{checked}>'
            f'<label for="cost{i}">{escape(cost_name(name))}</label>'
        )
        wide, below = _chart(content, shown, name, 940, 420)
        narrow, _ = _chart(content, shown, name, 380, 360)
        note = f" {below} candidates score below the picture." if below else ""
        figures.append(figure(wide + narrow, _caption(content, name) + note, "pane"))
    rules = "".join(
        f"#cost{i}:checked~.figures>figure:nth-child({i + 1}){{display:block}}"
        for i in range(len(names))
    )
    return (
        f'{compared(content)}<style>{rules}</style><div class="tabs">{"".join(tabs)}'
        f'<div class="figures">{"".join(figures)}</div></div>'
    )


def _caption(content: Content, name: str) -> str:
    objectives = ", ".join(map(cost_name, content.objectives))
    return (
        f'<span class="key key-front"></span>on the front of {escape(objectives)} '
        '<span class="key key-dot"></span>beaten by another '
        '<span class="key key-chosen"></span>chosen. '
        f"The line joins what no candidate beats in score and {escape(cost_name(name))}; "
        "bars are one standard deviation over the folds."
    )


def _chart(
    content: Content, shown: list[Candidate], name: str, width: int, height: int
) -> tuple[str, int]:
    """Return the picture of one cost, and how many candidates score too little to be in it."""
    unit = COSTS[name].unit
    costs = np.array([c.values[name] * COSTS[name].scale for c in shown])
    scores = np.array([c.values["score"] for c in shown])
    spreads = np.array([c.spreads.get("score", np.nan) for c in shown])
    on_front = np.array([c.on_front for c in shown])
    chosen = np.array([c.chosen for c in shown])
    edge = pareto_front({"score": scores, name: costs})
    # The worst candidates would press the interesting ones into a line: the picture keeps the
    # better three quarters and whatever is on a front.
    marked = on_front | chosen
    lowest = min(np.quantile(scores, 0.25), scores[marked].min(initial=np.inf), scores[edge].min())
    visible = scores >= lowest
    x = Axis.around(costs[visible], cost_name(name), log=True, write=lambda value: si(value, unit))
    bars = marked & visible
    around = [scores[visible], (scores - spreads)[bars], (scores + spreads)[bars]]
    y = Axis.around(np.concatenate(around), f"{content.score}, mean of the folds")
    title = f"{content.score} against {cost_name(name)} of {len(shown)} candidates"
    chart = Chart(x, y, title, width=width, height=height)

    def dots(which: np.ndarray, css: str, radius: float, focusable: bool) -> None:
        indices = np.flatnonzero(which & visible)
        # Hundreds of beaten ones with a tip each would fill the page.
        tips = [_tip(shown[i], name) for i in indices] if focusable else None
        chart.dots(
            costs[indices],
            scores[indices],
            tips,
            css,
            radius=radius,
            keys=[shown[i].key for i in indices],
            focusable=focusable,
        )

    chart.steps(
        np.append(costs[edge], x.high), np.append(scores[edge], scores[edge[-1]]), "line edge"
    )
    dots(~on_front, "dot", 4, False)
    bars = on_front & visible
    chart.spread(costs[bars], scores[bars], spreads[bars])
    dots(on_front, "dot on-front", 6, True)
    ring = chosen & visible
    chart.dots(costs[ring], scores[ring], css="ring", radius=11)
    dots(chosen, "dot chosen", 6, True)
    return chart.svg("chart wide" if width > 500 else "chart narrow"), int((~visible).sum())


def _tip(candidate: Candidate, name: str) -> str:
    """A few words, for pages without script; with it, the tip comes from the candidate's row."""
    score, paid = number(candidate.values["score"]), cost(name, candidate.values[name])
    return f"candidate {candidate.key}: score {score}, {paid}"
