"""What stands in the other sections? Cards, chosen model, learning, every candidate, the data."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from html import escape
from typing import Any

import numpy as np

from fastnn.report.assessment import ClassAssessment
from fastnn.report.content import Candidate, Content, known_costs
from fastnn.report.figures import NOTHING, Axis, Chart, number, sparkline
from fastnn.report.markup import figure, table, terms
from fastnn.report.vocabulary import cost, cost_name, say, short

MAX_IMPORTANCES = 20


def cards(content: Content, chosen: Candidate) -> str:
    """Return the most important numbers, for the top of the page."""
    metrics = content.assessment.metrics
    if isinstance(content.assessment, ClassAssessment):
        first = (
            "accuracy, unseen rows",
            number(metrics["accuracy"]),
            f"majority class: {number(metrics['always_most_frequent'])}",
        )
    else:
        first = ("R², unseen rows", number(metrics["r2"]), f"RMSE {number(metrics['rmse'])}")
    found = [first]
    for name in ("fit_time", "latency_us", "model_bytes", "energy_j"):
        if np.isfinite(chosen.values.get(name, np.nan)):
            found.append((cost_name(name), cost(name, chosen.values[name]), ""))
    inner = "".join(
        f'<div class="card"><span class="term">{escape(term)}</span>'
        f"<strong>{escape(value)}</strong><small>{escape(small)}</small></div>"
        for term, value, small in found
    )
    return f'<div class="cards">{inner}</div>'


def chosen(content: Content, chosen: Candidate) -> str:
    """Return the parameters and the costs of the chosen model."""
    measured = [("score of the folds", _with_spread(chosen, "score", number))]
    measured += [
        (cost_name(name), _with_spread(chosen, name, partial(cost, name)))
        for name in known_costs([chosen])
    ]
    params = [(short(name), say(value)) for name, value in chosen.params.items()]
    return (
        f"<p>{escape(content.choice)}</p>"
        f'<div class="two"><div><h3>Its parameters</h3>{terms(params)}</div>'
        f"<div><h3>What was measured</h3>{terms(measured)}</div></div>"
    )


def _with_spread(candidate: Candidate, name: str, write: Callable[[float], str]) -> str:
    spread = candidate.spreads.get(name, np.nan)
    return write(candidate.values[name]) + (f" ± {write(spread)}" if spread > 0 else "")


def learning(content: Content) -> str:
    """Return the loss curve, the validation scores and the importances of the columns."""
    curves = ""
    if len(content.loss):
        epochs = np.arange(1, len(content.loss) + 1)
        both = np.append(content.loss, content.validation_loss)
        steep = both.min() > 0 and both.max() / both.min() > 30
        chart = Chart(
            Axis(0, len(epochs) + 1, "epoch"),
            Axis.around(both, "loss", log=bool(steep)),
            "training loss",
        )
        chart.line(epochs, content.loss, "line s0")
        caption = f"{len(epochs)} epochs, ending at {number(content.loss[-1])}."
        if len(content.validation_loss):
            chart.line(epochs, content.validation_loss, "line s1")
            caption += (
                ' <span class="key s0"></span>training <span class="key s1"></span>validation, on'
                " the fold of each member: means of those that still train. Each keeps its best"
                " epoch."
            )
        curves += f"<h3>Loss</h3>{figure(chart.svg(), caption)}"
    if len(content.validation):
        epochs = np.arange(1, len(content.validation) + 1)
        chart = Chart(
            Axis(0, len(epochs) + 1, "epoch"),
            Axis.around(content.validation, "validation score"),
            "validation score",
        )
        chart.line(epochs, content.validation, "line s1")
        best = int(content.validation.argmax())
        chart.dots(
            [best + 1],
            [content.validation[best]],
            [f"best: epoch {best + 1}"],
            "dot chosen",
            radius=5,
        )
        caption = f"Early stopping kept epoch {best + 1}, {number(content.validation[best])}."
        curves += f'<h3 class="next">Validation</h3>{figure(chart.svg(), caption)}'
    rests_on = (
        f"<h3>Permutation importance</h3>{_importance(content)}" if content.importances else ""
    )
    curves = curves or "<p>This model has no loss curve.</p>"
    return f'<div class="two"><div>{curves}</div><div>{rests_on}</div></div>'


def _importance(content: Content) -> str:
    top = content.importances[:MAX_IMPORTANCES]
    widest = max(max(mean + sd for _, mean, sd in top), 1e-12)
    rows = "".join(
        f'<li data-tip="{escape(name)}: the score falls by {number(mean)} ± {number(sd)}">'
        f'<span class="name">{escape(name)}</span>'
        f'<span class="track"><span style="width:{100 * max(mean, 0) / widest:.1f}%"></span></span>'
        f'<span class="value">{number(mean)}</span></li>'
        for name, mean, sd in top
    )
    more = (
        f" The first {len(top)} of {len(content.importances)} columns."
        if len(content.importances) > len(top)
        else ""
    )
    return (
        f'<ol class="importance">{rows}</ol><p class="note">How much the score '
        f"({escape(content.score)}) falls when a column is shuffled, mean of repeats.{more}</p>"
    )


def candidates(content: Content) -> str:
    """Return the table of every candidate, and why some failed."""
    done = sorted(
        (c for c in content.candidates if not c.failed),
        key=lambda c: -c.values.get("score", -np.inf),
    )
    failed = [c for c in content.candidates if c.failed]
    costs = known_costs(done)
    names = list(dict.fromkeys(name for c in content.candidates for name in c.params))
    head = "".join(
        f'<th class="n" scope="col"><button type="button">{escape(text)}</button></th>'
        for text in ["no.", content.score, "±", *map(cost_name, costs)]
    ) + "".join(
        f'<th scope="col"><button type="button">{escape(short(name))}</button></th>'
        for name in names
    )
    body = []
    for c in done:
        spread = c.spreads.get("score", np.nan)
        cells = [
            (c.key, str(c.key)),
            (c.values["score"], number(c.values["score"])),
            (spread, number(spread)),
        ]
        cells += [
            (c.values.get(name, np.nan), cost(name, c.values.get(name, np.nan))) for name in costs
        ]
        numbers = "".join(
            f'<td class="n" data-v="{value:.10g}">{escape(text)}</td>' for value, text in cells
        )
        texts = "".join(_param_cell(c.params.get(name)) for name in names)
        css = " ".join(word for word, on in (("front", c.on_front), ("chosen", c.chosen)) if on)
        body.append(f'<tr class="{css}" data-key="{c.key}">{numbers}{texts}</tr>')
    listed = (
        f'<div class="scroll tall"><table class="sortable"><thead><tr>{head}</tr></thead>'
        f"<tbody>{''.join(body)}</tbody></table></div>"
    )
    if failed:
        items = "".join(f"<li>candidate {c.key}: {escape(c.failed)}</li>" for c in failed)
        listed += f"<details><summary>{len(failed)} failed</summary><ul>{items}</ul></details>"
    return (
        f'<p class="note">{len(done)} candidates; <span class="key key-front"></span>on the front, '
        f'<span class="key key-chosen"></span>chosen.</p>{listed}'
    )


def _param_cell(value: Any) -> str:
    order: float | None = (
        value if isinstance(value, (int, float)) and not isinstance(value, bool) else None
    )
    if isinstance(value, tuple):
        order = float(sum(unit for unit in value if isinstance(unit, (int, np.integer))))
    data = f' data-v="{order}"' if order is not None else ""
    return f"<td{data}>{escape(say(value))}</td>"


def data(content: Content) -> str:
    """Return the facts about the data, and its columns."""
    rows = (
        [
            escape(column.name),
            escape(column.kind),
            f"{column.missing:.1%}" if column.missing else NOTHING,
            escape(column.words),
            sparkline(column.counts, f"how {column.name} is spread"),
        ]
        for column in content.columns
    )
    columns = table(
        ["column", "kind", "missing", "range or most frequent", "spread"],
        rows,
        "plain columns",
        numeric_from=99,
    )
    opened = " open" if len(content.columns) <= 16 else ""
    left_out = "".join(
        f"<li><b>{escape(name)}</b>: {escape(why)}</li>" for name, why in content.left_out.items()
    )
    return (
        terms(content.facts)
        + f"<details{opened}><summary>{len(content.columns)} columns</summary>{columns}</details>"
        + (
            f"<details open><summary>{len(content.left_out)} columns left out</summary>"
            f"<ul>{left_out}</ul></details>"
            if left_out
            else ""
        )
    )


def code(content: Content) -> str:
    """Return the program that trains the chosen model again."""
    return f'<pre tabindex="0"><code>{escape(content.code)}</code></pre>'
