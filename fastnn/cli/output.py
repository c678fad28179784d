"""How are results written? As aligned text, or as JSON."""

from __future__ import annotations

import json
import math
import textwrap
from collections.abc import Mapping, Sequence
from typing import Any

from fastnn.cli.commands import Explored, Exported, Fitted
from fastnn.cli.quality import Quality
from fastnn.cli.training_table import TrainingTable
from fastnn.estimators.inspect import innermost
from fastnn.report.assessment import METRICS
from fastnn.report.content import Candidate
from fastnn.report.front import best_of_kinds
from fastnn.report.gather import candidates_of
from fastnn.report.vocabulary import cost, cost_name, kind, kind_of_candidate, say, short
from fastnn.search.quantities import COSTS, QUANTITIES
from fastnn.tabular.schema import counted
from fastnn.tabular.unseen import is_bag

Terms = Sequence[tuple[str, str]]

# Where fewer characters are left for the parameters in a line, they go below the numbers.
MIN_PARAMETERS_WIDTH = 48
MEAN_AND_SPREAD = ("mean_test", "std_test")


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
        ("model", what_is_trained(found.model.model)),
        (
            "trained",
            f"on {counted(n, 'row')}, {counted(found.epochs, 'epoch')}, {found.seconds:.2f} s",
        ),
    ]
    if held_out is not None:
        rows += [("measured", f"on {counted(held_out.rows, 'row')} held out"), *_metrics(held_out)]
    elif (unseen := found.out_of_fold) is not None:
        said = f"out of fold on {counted(unseen.rows, 'row')}"
        rows += [("measured", said), *_metrics(unseen)]
    return [*rows, *_saved(saved=found.output)]


def what_is_trained(model: Any) -> str:
    """Say in a few words what is inside a fitted pipeline."""
    if not is_bag(model):
        return kind(model)
    bag = innermost(model)
    return f"bag of {bag.n_members_} networks (preset {bag.preset})"


def evaluated(quality: Quality) -> Terms:
    """Say what `evaluate` found."""
    return [("task", quality.task), ("rows", str(quality.rows)), *_metrics(quality)]


def exported(found: Exported) -> Terms:
    """Say what `export` has written."""
    texts = f"; text: {', '.join(found.texts)}" if found.texts else ""
    return [
        (
            "reads",
            f"rows of {counted(len(found.inputs), 'column')}: {', '.join(found.inputs)}{texts}",
        ),
        ("saved", " and ".join(found.files)),
    ]


def explored(found: Explored, width: int | None = None) -> str:
    """Say what `explore` found, in lines of ``width`` characters."""
    rows: list[tuple[str, str]] = []
    if found.held_out is not None:
        rows = [
            ("chosen, measured", f"on {counted(found.held_out.rows, 'row')} held out"),
            *_metrics(found.held_out),
        ]
    rows += _saved(saved=found.output, report=found.report)
    kinds = best_of_kinds(candidates_of(found.search))
    rows = [(f"best {name}", _score_and_fit(one)) for name, one in kinds.items()] + rows
    parts = [terms(_table(found.table)), front(found.search, width)]
    return "\n".join([*parts, terms(rows)] if rows else parts)


def _score_and_fit(candidate: Candidate) -> str:
    score, spread = candidate.values["score"], candidate.spreads["score"]
    return f"{score:.4f} ± {spread:.4f}, {cost('fit_time', candidate.values['fit_time'])} to fit"


def front(search: Any, width: int | None = None) -> str:
    """Return the front as lines of text, cheapest first, the chosen candidate marked.

    Parameters
    ----------
    search : TradeoffSearchCV
        Fitted, perhaps without a choice.
    width : int or None
        The characters of a line: headings and parameters that need more go on in the next one.
    """
    results, chosen = search.cv_results_, getattr(search, "best_index_", None)
    costs, scores = _shown_costs(search), _scores(search)
    numbers, params = [], []
    for i in search.pareto_front_:
        score = [f"{results[f'{what}_{q}'][i]:.4f}" for q in scores for what in MEAN_AND_SPREAD]
        paid = [cost(name, results[name][i]) for name in costs]
        numbers.append(["*" if i == chosen else "", *score, *paid, str(results["measured"][i])])
        settings = results["params"][i].items()
        params.append(", ".join(f"{short(name)}={say(value)}" for name, value in settings))
    heads = [
        "",
        *(head for q in scores for head in (cost_name(q), "±")),
        *map(cost_name, costs),
        "measured",
    ]
    rows = [*_headings(heads, numbers, width), *numbers]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    n_heads = len(rows) - len(numbers)
    n_failed = sum(map(bool, results["failure"]))
    failed = f" ({n_failed} failed)" if n_failed else ""
    marked = "" if chosen is None else ", * chosen"
    n, n_front = len(results["params"]), len(search.pareto_front_)
    lines = [f"{counted(n, 'candidate')}{failed}, {n_front} on the front{marked}"]
    for row, text in zip(rows, [*[""] * (n_heads - 1), "parameters", *params], strict=True):
        cells = "  ".join(f"{cell:>{w}}" for cell, w in zip(row, widths, strict=True))
        lines += _beside(cells, text, width)
    return "\n".join(lines)


def _headings(heads: list[str], numbers: list[list[str]], width: int | None) -> list[list[str]]:
    """Return one row of headings, or as many as narrow columns need where lines are short."""
    needed = [max(map(len, column)) for column in zip(heads, *numbers, strict=True)]
    if width is None or sum(needed) + 2 * len(needed) + MIN_PARAMETERS_WIDTH <= width:
        return [heads]
    columns = [
        textwrap.wrap(head, max(map(len, [*cells, *head.split()]), default=1)) or [""]
        for head, *cells in zip(heads, *numbers, strict=True)
    ]
    n = max(map(len, columns))
    return [list(row) for row in zip(*([""] * (n - len(c)) + c for c in columns), strict=True)]


def _beside(numbers: str, params: str, width: int | None) -> list[str]:
    """Return the numbers with the parameters beside them, or below where there is no room."""
    left = len(numbers) + 2
    if width is None or not params:
        return [f"{numbers}  {params}".rstrip()]
    if width - left >= MIN_PARAMETERS_WIDTH:
        first, *rest = textwrap.wrap(params, width - left)
        return [f"{numbers}  {first}", *(" " * left + line for line in rest)]
    indent = " " * 4
    below = textwrap.wrap(params, width, initial_indent=indent, subsequent_indent=indent)
    return [numbers, *below]


def _shown_costs(search: Any) -> list[str]:
    shown = {*search.objectives_, "fit_time", "latency_us", "model_bytes"}
    return [name for name in COSTS if name in shown]


def _scores(search: Any) -> list[str]:
    """Return the names of the scores, the first one's and those of the further ones."""
    return ["score", *(q for q in search.objectives_ if q not in QUANTITIES)]


def quality_data(found: Quality) -> dict[str, Any]:
    """Return what `evaluate` found as plain data."""
    return {"task": found.task, "rows": found.rows, **found.metrics}


def fitted_data(found: Fitted) -> dict[str, Any]:
    """Return what `fit` found as plain data."""
    return {
        **_table_data(found.table),
        "model": what_is_trained(found.model.model),
        "trained_on": len(found.table.y),
        "epochs": found.epochs,
        "seconds": found.seconds,
        "held_out": None if found.held_out is None else quality_data(found.held_out),
        "out_of_fold": None if found.out_of_fold is None else quality_data(found.out_of_fold),
        "saved": found.output,
    }


def explored_data(found: Explored) -> dict[str, Any]:
    """Return what `explore` found as plain data."""
    results = found.search.cv_results_
    names, scores = ["measured", *_shown_costs(found.search)], _scores(found.search)
    front = [
        {
            "candidate": int(i),
            **{q: results[f"mean_test_{q}"][i] for q in scores},
            **{f"{q}_std": results[f"std_test_{q}"][i] for q in scores},
            **{name: results[name][i] for name in names},
            "model": kind_of_candidate(results["params"][i]) or kind(found.model.model),
            "params": {short(name): value for name, value in results["params"][i].items()},
        }
        for i in found.search.pareto_front_
    ]
    return {
        **_table_data(found.table),
        "candidates": len(results["params"]),
        "failed": sum(map(bool, results["failure"])),
        "front": front,
        "best_of_kinds": {
            name: {"candidate": one.key, "score": one.values["score"]}
            for name, one in best_of_kinds(candidates_of(found.search)).items()
        },
        "chosen": int(found.search.best_index_),
        "held_out": None if found.held_out is None else quality_data(found.held_out),
        "saved": found.output,
        "report": found.report,
    }


def _table_data(known: TrainingTable) -> dict[str, Any]:
    schema = known.schema
    return {
        "target": schema.target,
        "task": schema.task,
        "rows": known.rows,
        "numeric": list(schema.numeric),
        "categorical": list(schema.categorical),
        "left_out": schema.left_out,
        "missing": known.missing,
    }


def _table(known: TrainingTable) -> Terms:
    schema = known.schema
    kinds = f"{len(schema.numeric)} numeric and {len(schema.categorical)} categorical columns"
    return [
        ("task", f"{schema.task} ({schema.reason})"),
        ("table", f"{counted(known.rows, 'row')}; {kinds}"),
        ("missing", counted(known.missing, "cell") if known.missing else "none"),
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
