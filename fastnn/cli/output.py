"""How are results written? As aligned text, or as JSON."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from typing import Any

from fastnn.cli.commands import Explored, Fitted, Quality, TrainingTable
from fastnn.report.assessment import METRICS
from fastnn.report.vocabulary import COSTS, cost, cost_name, say, short

Terms = Sequence[tuple[str, str]]


def as_json(value: Mapping[str, Any]) -> str:
    """Return JSON, with null where a number is not finite."""
    return json.dumps(_json(value))


def _json(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {str(name): _json(item) for name, item in value.items()}
    if isinstance(value, list | tuple) or hasattr(value, "tolist"):
        items = value.tolist() if hasattr(value, "tolist") else value
        return [_json(item) for item in items] if isinstance(items, list | tuple) else _json(items)
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    return value if value is None or isinstance(value, bool | int | str) else str(value)


def terms(rows: Terms) -> str:
    """Return aligned terms and values."""
    width = max(25, *(len(term) for term, _ in rows))
    return "\n".join(f"{term:{width}}  {value}" for term, value in rows)


def fitted(found: Fitted) -> Terms:
    """Say what `fit` found."""
    n, held_out = len(found.table.y), found.held_out
    rows = [
        *_table(found.table),
        ("trained", f"on {n} rows, {found.epochs} epochs, {found.seconds:.2f} s"),
    ]
    if held_out is not None:
        rows += [("measured", f"on {held_out.rows} rows held out"), *_metrics(held_out)]
    return [*rows, *_saved(saved=found.output)]


def evaluated(quality: Quality) -> Terms:
    """Say what `evaluate` found."""
    return [("task", quality.task), ("rows", str(quality.rows)), *_metrics(quality)]


def explored(found: Explored) -> str:
    """Say what `explore` found."""
    rows: list[tuple[str, str]] = []
    if found.held_out is not None:
        rows = [
            ("chosen, measured", f"on {found.held_out.rows} rows held out"),
            *_metrics(found.held_out),
        ]
    rows += _saved(saved=found.output, report=found.report)
    parts = [terms(_table(found.table)), front(found.search)]
    return "\n".join([*parts, terms(rows)] if rows else parts)


def front(search: Any) -> str:
    """Return the front as lines of text, cheapest first, the chosen candidate marked."""
    results, chosen = search.cv_results_, getattr(search, "best_index_", None)
    shown = {*search.objectives_, "fit_time", "latency_us", "model_bytes"}
    costs = [name for name in COSTS if name in shown]
    lines = [["", "score", "±", *map(cost_name, costs), "measured", "parameters"]]
    for i in search.pareto_front_:
        params = ", ".join(
            f"{short(name)}={say(value)}" for name, value in results["params"][i].items()
        )
        score = [f"{results['mean_test_score'][i]:.4f}", f"{results['std_test_score'][i]:.4f}"]
        paid = [cost(name, results[name][i]) for name in costs]
        lines.append(["*" if i == chosen else "", *score, *paid, results["measured"][i], params])
    widths = [max(map(len, column)) for column in list(zip(*lines, strict=True))[:-1]]
    table = (
        "  ".join(f"{cell:>{width}}" for cell, width in zip(line, [*widths, 0], strict=True))
        for line in lines
    )
    n_failed = sum(map(bool, results["failure"]))
    failed = f" ({n_failed} failed)" if n_failed else ""
    marked = "" if chosen is None else ", * chosen"
    n, n_front = len(results["params"]), len(search.pareto_front_)
    return "\n".join([f"{n} candidates{failed}, {n_front} on the front{marked}", *table])


def quality(found: Quality) -> dict[str, Any]:
    """Return what `evaluate` found as plain data."""
    return {"task": found.task, "rows": found.rows, **found.metrics}


def _table(known: TrainingTable) -> Terms:
    schema = known.schema
    kinds = f"{len(schema.numeric)} numeric and {len(schema.categorical)} categorical columns"
    return [
        ("task", f"{schema.task} ({schema.reason})"),
        ("table", f"{known.rows} rows; {kinds}"),
        ("missing", f"{known.missing} cells" if known.missing else "none"),
    ]


def _metrics(quality: Quality) -> Terms:
    rows = [
        (METRICS[name], f"{value:.4g}")
        for name, value in quality.metrics.items()
        if name in METRICS
    ]
    return [
        *rows,
        *([("precision, recall, F1 of", quality.positive)] if quality.positive is not None else []),
    ]


def _saved(**paths: str | None) -> Terms:
    return [(what, path) for what, path in paths.items() if path is not None]
