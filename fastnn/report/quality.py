"""How is a model's quality shown? Figures and pictures of what `assessment` measured."""

from __future__ import annotations

from html import escape

import numpy as np

from fastnn.report.assessment import METRICS, ClassAssessment, ValueAssessment
from fastnn.report.content import Content
from fastnn.report.figures import Axis, Chart, number
from fastnn.report.markup import figure, table, terms

# A confusion matrix with more classes than this is drawn as colours without numbers.
MAX_NUMBERED_CLASSES = 12
MAX_ROC_CURVES = 10
MAX_SCATTER_POINTS = 1500


def quality(content: Content) -> str:
    """Return the section on the chosen model's quality on rows it has not learned from."""
    pictures = (
        _class_pictures(content.assessment)
        if isinstance(content.assessment, ClassAssessment)
        else _value_pictures(content.assessment)
    )
    said = f"<p>{escape(content.assessed_on)} {escape(content.coverage)}</p>"
    return f"{said}{pictures}{_out_of_fold(content)}"


def _out_of_fold(content: Content) -> str:
    """Return a bag's figures on its training rows, beside those on rows held out."""
    if content.out_of_fold is None:
        return ""
    n_rows, metrics = content.out_of_fold
    return (
        f"<h3>Out of fold</h3><p>The same on {n_rows} training rows, each answered by the members"
        f" of the bag that have not learned from it.</p>{_metric_terms(metrics)}"
    )


def _metric_terms(metrics: dict[str, float]) -> str:
    pairs = [(text, number(metrics[name])) for name, text in METRICS.items() if name in metrics]
    if "accuracy_se" in metrics:
        pairs[0] = (pairs[0][0], f"{pairs[0][1]} ± {number(metrics['accuracy_se'])}")
    return terms(pairs)


def _class_pictures(a: ClassAssessment) -> str:
    binary = len(a.labels) == 2
    of = (
        f"precision, recall and F1 are those of {a.labels[1]!s}"
        if binary
        else "precision, recall, F1 and AUC are means over classes"
    )
    by_class = table(
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
        f"<div><h3>In numbers</h3>{_metric_terms(a.metrics)}"
        f"<p class=note>{escape(of)}; ± is one standard error.</p></div>",
        f"<div><h3>Confusion matrix</h3>{_confusion(a)}"
        f'<h3 class="next">By class</h3>{by_class}</div>',
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
        caption = (
            f"Calibration error {number(c.error)}:"
            " the mean distance from the diagonal, over ten bins weighted by rows."
        )
        parts.append(f"<div><h3>Calibration</h3>{figure(chart.svg(), caption)}</div>")
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
            style = f"--share:{share[i, j]:.3f}"
            cells += f'<td class="heat{dark}" style="{style}" data-tip="{tip}">{text}</td>'
        lines.append(f'<tr><th scope="row">{label}</th>{cells}</tr>')
    css = "confusion" if numbered else "confusion dense"
    return (
        f'<div class="scroll"><table class="{css}"><thead><tr><td></td>{head}</tr></thead>'
        f'<tbody>{"".join(lines)}</tbody></table></div><p class="note">Rows are true classes,'
        " columns predicted ones; colour is the share of the true class.</p>"
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
    return figure(chart.svg(), what + " ".join(keys) + "." + more)


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
        "Dots are rows; the line joins the means of ten groups of equal size, ordered by"
        " prediction: on the diagonal, predictions are right on average (calibrated)." + some
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
        f"<div><h3>{heading}</h3>{figure(chart.svg(), caption)}</div>"
        for heading, chart, caption in pictures
    )
    return f'<div class="two"><div><h3>In numbers</h3>{_metric_terms(a.metrics)}</div>{drawn}</div>'
