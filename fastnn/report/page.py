"""What does the report look like? One HTML page that needs nothing else: style, script and pictures
are inside.

It reads without its script, which only adds tooltips, sorting and a copy button. Everything that
comes from the data (names of columns, labels, parameters) passes through ``escape``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from functools import partial
from html import escape
from importlib.resources import files
from typing import Any

import numpy as np

from fastnn.report.assessment import ClassAssessment, ValueAssessment
from fastnn.report.figures import NOTHING, Axis, Chart, number, si, sparkline
from fastnn.search.front import pareto_front
from fastnn.search.quantities import COSTS, QUANTITIES

# A confusion matrix with more classes than this is drawn as colours without numbers.
MAX_NUMBERED_CLASSES = 12
MAX_ROC_CURVES = 10
MAX_SCATTER_POINTS = 1500


@dataclass
class Candidate:
    """One configuration that was tried: number, parameters, means and spreads of what was measured, and its standing."""

    key: int
    params: dict[str, Any]
    values: dict[str, float]
    spreads: dict[str, float] = field(default_factory=dict)
    on_front: bool = False
    chosen: bool = False
    failed: str = ""


@dataclass
class ColumnBrief:
    """One column of the data: name, kind, share of missing cells, a few words, and counts for a tiny histogram."""

    name: str
    kind: str
    missing: float
    words: str
    counts: np.ndarray


@dataclass
class Content:
    """Everything the page says.

    Attributes
    ----------
    title, summary : str
        The data's name, and one sentence on the task.
    facts : list of (str, str)
        The data in brief, as terms and what holds for them.
    columns : list of ColumnBrief
        The columns in use.
    left_out : dict of str to str
        Columns that are not used, with the reason.
    candidates : list of Candidate
        Everything that was tried.
    objectives : list of str
        What the search traded off; the first cost among them is drawn first.
    score : str
        The name of the score.
    choice : str
        How the chosen model was picked, as a sentence.
    assessment : ClassAssessment or ValueAssessment
        The chosen model on rows it has not learned from.
    assessed_on : str
        Which rows those are, as a sentence.
    loss, validation : ndarray of shape (n_epochs,)
        The loss and, with early stopping, the validation score after each epoch; empty where the model has none.
    importances : list of (str, float, float)
        Columns with the mean fall of the score when shuffled, and its standard deviation.
    method : list of (str, str)
        How everything was measured, as terms and sentences.
    code : str
        A program that trains the chosen model again.
    """

    title: str
    summary: str
    facts: list[tuple[str, str]]
    columns: list[ColumnBrief]
    left_out: dict[str, str]
    candidates: list[Candidate]
    objectives: list[str]
    score: str
    choice: str
    assessment: ClassAssessment | ValueAssessment
    assessed_on: str
    loss: np.ndarray
    validation: np.ndarray
    importances: list[tuple[str, float, float]]
    method: list[tuple[str, str]]
    code: str


def render(content: Content) -> str:
    """Return the page as text."""
    here = files(__package__)
    style, script = (
        here.joinpath(name).read_text(encoding="utf-8") for name in ("page.css", "page.js")
    )
    chosen = next(candidate for candidate in content.candidates if candidate.chosen)
    is_classifier = isinstance(content.assessment, ClassAssessment)
    sections = [
        ("front", "What each cost buys", _front(content)),
        ("chosen", "The chosen model", _chosen(content, chosen)),
        ("quality", "On rows it has not seen", _quality(content)),
        ("learning", "Learning and what it rests on", _learning(content)),
        ("candidates", "Every candidate", _table_of_candidates(content)),
        ("data", "The data in brief", _data(content)),
        ("method", "How it was measured", _terms(content.method, "long")),
        ("code", "Train it again", _code(content.code)),
    ]
    links = "".join(f'<a href="#{anchor}">{heading}</a>' for anchor, heading, _ in sections)
    body = "".join(
        f'<section id="{anchor}"><h2>{heading}</h2>{inner}</section>'
        for anchor, heading, inner in sections
    )
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        '<meta name="color-scheme" content="light dark">'
        '<meta http-equiv="Content-Security-Policy" content="default-src \'none\'; '
        "style-src 'unsafe-inline'; script-src 'unsafe-inline'; img-src data:\">"
        f"<title>{escape(content.title)} · fastnn</title><style>{style}</style></head><body>"
        f'<header><p class="brand">fastnn · trade-off report</p><h1>{escape(content.title)}</h1>'
        f'<p class="lead">{escape(content.summary)}</p>{_cards(content, chosen, is_classifier)}<nav>{links}</nav></header>'
        f'<main>{body}</main><div id="tip" role="status" hidden></div><script>{script}</script></body></html>\n'
    )


# ------------------------------------------------------------------------------------------------------------------- pieces


def cost(name: str, value: float) -> str:
    """Write a measured cost with its unit."""
    return si(value * QUANTITIES[name].scale, QUANTITIES[name].unit)


def cost_name(name: str) -> str:
    """What a cost is called."""
    return QUANTITIES[name].label


def _costs_of(candidates: Iterable[Candidate]) -> list[str]:
    """The costs that at least one candidate has, in the order of `COSTS`."""
    found = {
        name
        for c in candidates
        for name, value in c.values.items()
        if name != "score" and np.isfinite(value)
    }
    return [name for name in COSTS if name in found]


def _cards(content: Content, chosen: Candidate, is_classifier: bool) -> str:
    metrics = content.assessment.metrics
    if is_classifier:
        first = (
            "accuracy, unseen rows",
            number(metrics["accuracy"]),
            f"most frequent class: {number(metrics['always_most_frequent'])}",
        )
    else:
        first = ("R², unseen rows", number(metrics["r2"]), f"RMSE {number(metrics['rmse'])}")
    cards = [first]
    for name in ("fit_time", "latency_us", "model_bytes", "energy_j"):
        if np.isfinite(chosen.values.get(name, np.nan)):
            cards.append((cost_name(name), cost(name, chosen.values[name]), ""))
    inner = "".join(
        f'<div class="card"><span class="term">{escape(term)}</span><strong>{escape(value)}</strong>'
        f"<small>{escape(small)}</small></div>"
        for term, value, small in cards
    )
    return f'<div class="cards">{inner}</div>'


def _terms(pairs: Sequence[tuple[str, str]], css: str = "") -> str:
    lines = "".join(
        f"<div><dt>{escape(term)}</dt><dd>{escape(text)}</dd></div>" for term, text in pairs
    )
    return f'<dl class="{css}">{lines}</dl>'


def _figure(svg: str, caption: str, css: str = "") -> str:
    return f'<figure class="{css}">{svg}<figcaption>{caption}</figcaption></figure>'


def _table(
    head: Sequence[str],
    rows: Iterable[Sequence[str]],
    css: str,
    *,
    numeric_from: int = 1,
    tall: bool = False,
) -> str:
    """Return a table of cells that are HTML already; the cells from ``numeric_from`` on are set right."""
    heads = "".join(
        f"<th{' class=n' if i >= numeric_from else ''}>{cell}</th>" for i, cell in enumerate(head)
    )
    body = "".join(
        "<tr>"
        + "".join(
            f"<td{' class=n' if i >= numeric_from else ''}>{cell}</td>"
            for i, cell in enumerate(row)
        )
        + "</tr>"
        for row in rows
    )
    box = "scroll tall" if tall else "scroll"
    return f'<div class="{box}"><table class="{css}"><thead><tr>{heads}</tr></thead><tbody>{body}</tbody></table></div>'


def say(value: Any) -> str:
    """Write a parameter's value for reading."""
    if isinstance(value, (float, np.floating)):
        return f"{value:.3g}"
    if isinstance(value, (tuple, list)):
        return " \u00d7 ".join(map(say, value)) or "none"
    return type(value).__name__ if hasattr(value, "get_params") else str(value)


def short(name: str) -> str:
    """The parameter's own name, without the steps of the pipeline before it."""
    return name.rpartition("__")[2]


# ---------------------------------------------------------------------------------------------------------------- the front


def _front(content: Content) -> str:
    done = [
        c for c in content.candidates if not c.failed and np.isfinite(c.values.get("score", np.nan))
    ]
    names = _costs_of(done)
    wanted = [name for name in content.objectives if name in names]
    names = wanted + [name for name in names if name not in wanted]
    tabs, figures = [], []
    for i, name in enumerate(names):
        shown = [c for c in done if np.isfinite(c.values.get(name, np.nan))]
        checked = " checked" if i == 0 else ""
        tabs.append(
            f'<input type="radio" name="cost" id="cost{i}"{checked}><label for="cost{i}">{escape(cost_name(name))}</label>'
        )
        wide, below = _front_chart(content, shown, name, 940, 420)
        narrow, _ = _front_chart(content, shown, name, 380, 360)
        note = f" {below} candidates score below the picture." if below else ""
        figures.append(_figure(wide + narrow, _front_caption(content, name) + note, "pane"))
    rules = "".join(
        f"#cost{i}:checked~.figures>figure:nth-child({i + 1}){{display:block}}"
        for i in range(len(names))
    )
    return f'<style>{rules}</style><div class="tabs">{"".join(tabs)}<div class="figures">{"".join(figures)}</div></div>'


def _front_caption(content: Content, name: str) -> str:
    objectives = ", ".join(
        cost_name(objective) if objective != "score" else "score"
        for objective in content.objectives
    )
    return (
        f'<span class="key key-front"></span>on the front of {escape(objectives)} '
        '<span class="key key-dot"></span>beaten by another '
        '<span class="key key-chosen"></span>chosen. '
        f"The line joins what no candidate beats in score and {escape(cost_name(name))}; "
        "bars are one standard deviation over the folds."
    )


def _front_chart(
    content: Content, shown: list[Candidate], name: str, width: int, height: int
) -> tuple[str, int]:
    unit = COSTS[name].unit
    costs = np.array([c.values[name] * COSTS[name].scale for c in shown])
    scores = np.array([c.values["score"] for c in shown])
    spreads = np.array([c.spreads.get("score", np.nan) for c in shown])
    marked = np.array([c.on_front or c.chosen for c in shown])
    edge = pareto_front({name: costs, "score": scores})
    # The worst candidates would press the interesting ones into a line: the picture keeps the
    # better three quarters and whatever is on a front.
    lowest = min(np.quantile(scores, 0.25), scores[marked].min(initial=np.inf), scores[edge].min())
    visible = scores >= lowest
    x = Axis.around(costs[visible], cost_name(name), log=True, write=lambda value: si(value, unit))
    around = np.concatenate(
        [
            scores[visible],
            (scores - spreads)[marked & visible],
            (scores + spreads)[marked & visible],
        ]
    )
    y = Axis.around(around, f"{content.score}, mean of the folds")
    chart = Chart(
        x,
        y,
        f"{content.score} against {cost_name(name)} of {len(shown)} candidates",
        width=width,
        height=height,
    )
    chart.steps(
        np.append(costs[edge], x.high), np.append(scores[edge], scores[edge[-1]]), "line edge"
    )
    shown_front = [i for i in range(len(shown)) if visible[i] and shown[i].on_front]
    rest = [i for i in range(len(shown)) if visible[i] and not shown[i].on_front]

    def draw(indices: list[int], css: str, radius: float, focusable: bool) -> None:
        tips = (
            [_tip(shown[i], name) for i in indices] if focusable else None
        )  # hundreds of beaten ones would fill the page
        keys = [shown[i].key for i in indices]
        chart.dots(
            costs[indices],
            scores[indices],
            tips,
            css,
            radius=radius,
            keys=keys,
            focusable=focusable,
        )

    draw(rest, "dot", 4, False)
    chart.spread(costs[shown_front], scores[shown_front], spreads[shown_front])
    draw(shown_front, "dot best", 6, True)
    chosen = [i for i in range(len(shown)) if visible[i] and shown[i].chosen]
    chart.dots(costs[chosen], scores[chosen], css="ring", radius=11)
    draw(chosen, "dot chosen", 6, True)
    return chart.svg("chart wide" if width > 500 else "chart narrow"), int((~visible).sum())


def _tip(candidate: Candidate, name: str) -> str:
    """A few words, for pages without script; with it, the tooltip comes from the candidate's row of the table."""
    return f"candidate {candidate.key}: score {number(candidate.values['score'])}, {cost(name, candidate.values[name])}"


# --------------------------------------------------------------------------------------------------------- the chosen model


def _chosen(content: Content, chosen: Candidate) -> str:
    measured = [("score of the folds", _with_spread(chosen, "score", number))]
    measured += [
        (cost_name(name), _with_spread(chosen, name, partial(cost, name)))
        for name in _costs_of([chosen])
    ]
    params = [(short(name), say(value)) for name, value in chosen.params.items()]
    return (
        f"<p>{escape(content.choice)}</p>"
        f'<div class="two"><div><h3>Its parameters</h3>{_terms(params)}</div>'
        f"<div><h3>What was measured</h3>{_terms(measured)}</div></div>"
    )


def _with_spread(candidate: Candidate, name: str, write: Callable[[float], str]) -> str:
    spread = candidate.spreads.get(name, np.nan)
    return write(candidate.values[name]) + (f" ± {write(spread)}" if spread > 0 else "")


def _quality(content: Content) -> str:
    pictures = (
        _class_pictures(content.assessment)
        if isinstance(content.assessment, ClassAssessment)
        else _value_pictures(content.assessment)
    )
    return f"<p>{escape(content.assessed_on)}</p>{pictures}"


NAMES = {
    "accuracy": "accuracy",
    "always_most_frequent": "most frequent class alone",
    "balanced_accuracy": "balanced accuracy",
    "precision": "precision",
    "recall": "recall",
    "f1": "F1",
    "auc": "AUC",
    "log_loss": "log loss",
    "brier": "Brier score",
    "calibration_error": "calibration error",
    "r2": "R²",
    "mae": "MAE",
    "rmse": "RMSE",
    "always_mean_rmse": "RMSE of the mean alone",
    "median_ae": "median absolute error",
}


def _metric_terms(metrics: dict[str, float]) -> str:
    pairs = [(text, number(metrics[name])) for name, text in NAMES.items() if name in metrics]
    if "accuracy_se" in metrics:
        pairs[0] = (pairs[0][0], f"{pairs[0][1]} ± {number(metrics['accuracy_se'])}")
    return _terms(pairs)


def _class_pictures(a: ClassAssessment) -> str:
    binary = len(a.labels) == 2
    of = (
        f"precision, recall and F1 are those of {a.labels[1]!s}"
        if binary
        else "precision, recall, F1 and AUC are means over classes"
    )
    by_class = _table(
        ["class", "precision", "recall", "F1", "rows"],
        (
            [
                escape(str(c["label"])),
                number(c["precision"]),
                number(c["recall"]),
                number(c["f1"]),
                number(c["rows"]),
            ]
            for c in a.by_class
        ),
        "plain",
        tall=len(a.labels) > MAX_NUMBERED_CLASSES,
    )
    parts = [
        f"<div><h3>In numbers</h3>{_metric_terms(a.metrics)}<p class=note>{escape(of)}; ± is one standard error.</p></div>",
        f'<div><h3>Confusion matrix</h3>{_confusion(a)}<h3 class="next">By class</h3>{by_class}</div>',
    ]
    if a.roc:
        parts.append(f"<div><h3>ROC curve</h3>{_roc(a)}</div>")
    if a.calibration:
        c = a.calibration
        axis = Axis(0, 1, f"predicted {c.what}")
        chart = Chart(axis, Axis(0, 1, "how often it came true"), "calibration")
        tips = [
            f"predicted {number(p)}\ncame true {number(o)}\n{n} rows"
            for p, o, n in zip(c.predicted, c.observed, c.rows, strict=True)
        ]
        chart.line([0, 1], [0, 1], "line ideal").line(c.predicted, c.observed, "line s0")
        chart.dots(c.predicted, c.observed, tips, "dot best")
        caption = f"Calibration error {number(c.error)}: the mean distance from the diagonal, over ten bins weighted by rows."
        parts.append(f"<div><h3>Calibration</h3>{_figure(chart.svg(), caption)}</div>")
    return f'<div class="two">{"".join(parts)}</div>'


def _confusion(a: ClassAssessment) -> str:
    rows = a.confusion.sum(axis=1, keepdims=True)
    share = a.confusion / np.maximum(rows, 1)
    numbered = len(a.labels) <= MAX_NUMBERED_CLASSES
    labels = [escape(str(label)) for label in a.labels]
    head = "".join(f'<th scope="col">{label}</th>' for label in labels)
    lines = []
    for i, label in enumerate(labels):
        cells = ""
        for j, other in enumerate(labels):
            tip = (
                f"{label} taken for {other}: {a.confusion[i, j]} rows, {share[i, j]:.1%} of {label}"
            )
            text = f"{a.confusion[i, j]}<small>{share[i, j]:.0%}</small>" if numbered else ""
            dark = " dark" if share[i, j] > 0.5 else ""
            cells += f'<td class="heat{dark}" style="--share:{share[i, j]:.3f}" data-tip="{tip}">{text}</td>'
        lines.append(f'<tr><th scope="row">{label}</th>{cells}</tr>')
    css = "confusion" if numbered else "confusion dense"
    table = f'<table class="{css}"><thead><tr><td></td>{head}</tr></thead><tbody>{"".join(lines)}</tbody></table>'
    return (
        f'<div class="scroll">{table}</div><p class="note">Rows are true classes, columns predicted ones; '
        "colour is the share of the true class.</p>"
    )


def _roc(a: ClassAssessment) -> str:
    chart = Chart(Axis(0, 1, "false-positive rate"), Axis(0, 1, "true-positive rate"), "ROC curve")
    chart.line([0, 1], [0, 1], "line ideal")
    curves = sorted(a.roc.items(), key=lambda item: item[1][2])[:MAX_ROC_CURVES]
    grid = np.linspace(0, 1, 201)
    keys = []
    for i, (label, (false_positive, true_positive, area)) in enumerate(curves):
        if (
            len(false_positive) > 400
        ):  # a curve of thousands of corners looks no different, and is half of the page's bytes
            keep = np.unique(
                np.searchsorted(false_positive, grid).clip(max=len(false_positive) - 1)
            )
            false_positive, true_positive = false_positive[keep], true_positive[keep]
        chart.line(np.append(0, false_positive), np.append(0, true_positive), f"line s{i}")
        keys.append(f'<span class="key s{i}"></span>{escape(label)} {number(area)}')
    left = len(a.roc) - len(curves)
    more = (
        f" The {len(curves)} classes with the smallest areas are drawn, of {len(a.roc)}."
        if left
        else ""
    )
    what = (
        "Area under the curve: "
        if len(a.labels) == 2
        else "Each class against the others, with its area: "
    )
    return _figure(chart.svg(), what + " ".join(keys) + "." + more)


def _value_pictures(a: ValueAssessment) -> str:
    rows = np.arange(len(a.y))
    if len(rows) > MAX_SCATTER_POINTS:
        rows = np.sort(
            np.random.default_rng(0).choice(len(rows), MAX_SCATTER_POINTS, replace=False)
        )
    some = f" {len(rows)} of {len(a.y)} rows are drawn." if len(rows) < len(a.y) else ""
    both = Axis.around(np.concatenate([a.y, a.predicted]))
    x = Axis(both.low, both.high, "predicted")
    against = Chart(x, Axis(both.low, both.high, "true"), "true against predicted values")
    against.line([both.low, both.high], [both.low, both.high], "line ideal")
    against.dots(a.predicted[rows], a.y[rows], css="dot faint", radius=2.5)
    c = a.calibration
    tips = [
        f"predicted {number(p)}\ntrue {number(o)}\n{n} rows"
        for p, o, n in zip(c.predicted, c.observed, c.rows, strict=True)
    ]
    against.line(c.predicted, c.observed, "line s0").dots(c.predicted, c.observed, tips, "dot best")

    residuals = a.y - a.predicted
    scatter = Chart(
        x, Axis.around(residuals, "true minus predicted"), "residuals against predicted values"
    )
    scatter.line([both.low, both.high], [0, 0], "line ideal")
    scatter.dots(a.predicted[rows], residuals[rows], css="dot faint", radius=2.5)
    low, high = np.quantile(residuals, [0.005, 0.995])
    counts, edges = np.histogram(residuals.clip(low, high), bins=31)
    heights = Axis(0, counts.max() * 1.08, "rows")
    histogram = Chart(
        Axis(edges[0], edges[-1], "true minus predicted"), heights, "histogram of residuals"
    )
    tips = [
        f"{number(lo)} to {number(hi)}\n{n} rows"
        for lo, hi, n in zip(edges[:-1], edges[1:], counts, strict=True)
    ]
    histogram.bars(edges, counts, tips)
    calibrated = (
        "Dots are rows; the line joins the means of ten groups of equal size, ordered by prediction: "
        "on the diagonal, predictions are right on average (calibrated)." + some
    )
    pictures = [
        ("True against predicted", against, calibrated),
        ("Residuals", scatter, "No pattern should be left around the line." + some),
        (
            "Residuals, counted",
            histogram,
            "The outer bins hold the outermost half percents as well.",
        ),
    ]
    drawn = "".join(
        f"<div><h3>{heading}</h3>{_figure(chart.svg(), caption)}</div>"
        for heading, chart, caption in pictures
    )
    return f'<div class="two"><div><h3>In numbers</h3>{_metric_terms(a.metrics)}</div>{drawn}</div>'


def _learning(content: Content) -> str:
    curves = ""
    if len(content.loss):
        epochs = np.arange(1, len(content.loss) + 1)
        steep = content.loss.min() > 0 and content.loss.max() / content.loss.min() > 30
        chart = Chart(
            Axis(0, len(epochs) + 1, "epoch"),
            Axis.around(content.loss, "training loss", log=bool(steep)),
            "training loss",
        )
        chart.line(epochs, content.loss, "line s0")
        curves += f"<h3>Loss</h3>{_figure(chart.svg(), f'{len(epochs)} epochs, ending at {number(content.loss[-1])}.')}"
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
        curves += f'<h3 class="next">Validation</h3>{_figure(chart.svg(), caption)}'
    rests_on = (
        f"<h3>Permutation importance</h3>{_importance(content)}" if content.importances else ""
    )
    return f'<div class="two"><div>{curves or "<p>This model has no loss curve.</p>"}</div><div>{rests_on}</div></div>'


def _importance(content: Content) -> str:
    top = content.importances[:20]
    widest = max(max(mean + sd for _, mean, sd in top), 1e-12)
    rows = "".join(
        f'<li data-tip="{escape(name)}: the score falls by {number(mean)} ± {number(sd)}">'
        f'<span class="name">{escape(name)}</span>'
        f'<span class="track"><span style="width:{100 * max(mean, 0) / widest:.1f}%"></span></span>'
        f'<span class="value">{number(mean)}</span></li>'
        for name, mean, sd in top
    )
    more = (
        f" The first 20 of {len(content.importances)} columns."
        if len(content.importances) > 20
        else ""
    )
    return (
        f'<ol class="importance">{rows}</ol><p class="note">How much the score ({escape(content.score)}) falls when a column '
        f"is shuffled, mean of repeats.{more}</p>"
    )


# ------------------------------------------------------------------------------------------------------------ the long parts


def _table_of_candidates(content: Content) -> str:
    done = sorted(
        (c for c in content.candidates if not c.failed),
        key=lambda c: -c.values.get("score", -np.inf),
    )
    failed = [c for c in content.candidates if c.failed]
    costs = _costs_of(done)
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
    rows = "".join(body)
    table = f'<div class="scroll tall"><table class="sortable"><thead><tr>{head}</tr></thead><tbody>{rows}</tbody></table></div>'
    if failed:
        items = "".join(f"<li>candidate {c.key}: {escape(c.failed)}</li>" for c in failed)
        table += f"<details><summary>{len(failed)} failed</summary><ul>{items}</ul></details>"
    return (
        f'<p class="note">{len(done)} candidates; <span class="key key-front"></span>on the front, '
        f'<span class="key key-chosen"></span>chosen.</p>{table}'
    )


def _param_cell(value: Any) -> str:
    order: float | None = (
        value if isinstance(value, (int, float)) and not isinstance(value, bool) else None
    )
    if isinstance(value, tuple):
        order = float(sum(unit for unit in value if isinstance(unit, (int, np.integer))))
    data = f' data-v="{order}"' if order is not None else ""
    return f"<td{data}>{escape(say(value))}</td>"


def _data(content: Content) -> str:
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
    table = _table(
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
        _terms(content.facts)
        + f"<details{opened}><summary>{len(content.columns)} columns</summary>{table}</details>"
        + (
            f"<details open><summary>{len(content.left_out)} columns left out</summary><ul>{left_out}</ul></details>"
            if left_out
            else ""
        )
    )


def _code(code: str) -> str:
    return f'<pre tabindex="0"><code>{escape(code)}</code></pre>'
