"""What does a search say, as the content of a page? Measures the chosen model, writes sentences."""

from __future__ import annotations

import datetime
import platform
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from fastnn._optional import require
from fastnn._version import __version__
from fastnn.estimators.inspect import innermost, network_of
from fastnn.report import assessment
from fastnn.report.code import training_code
from fastnn.report.content import Candidate, ColumnBrief, Content
from fastnn.report.figures import NOTHING, number, tick
from fastnn.report.vocabulary import cost, cost_name
from fastnn.search.quantities import COSTS
from fastnn.tabular import unseen
from fastnn.tabular.schema import Schema

COVERAGE = 0.9  # of a bag's intervals and sets


@dataclass(frozen=True)
class Data:
    """The data of a search, as `fastnn.report.write_report` takes it."""

    X: Any
    y: Any
    X_test: Any
    y_test: Any
    title: str
    schema: Schema | None
    code: str


def gather(search: Any, data: Data) -> Content:
    """Return what the page says of ``search``, a fitted TradeoffSearchCV, and its ``data``."""
    X, y, schema = _frame(data.X), np.asarray(data.y), data.schema
    if y.ndim != 1:
        raise ValueError(f"A report is about one target per row, but y has shape {y.shape}.")
    held_out = data.X_test is not None
    X_unseen, y_unseen = (_frame(data.X_test), np.asarray(data.y_test)) if held_out else (X, y)
    model = search.best_estimator_
    out_of_fold, coverage = None, ""
    if unseen.is_bag(model):
        known, found = assessment.out_of_fold_of_bag(model)
        y_found = y[known]
        if held_out:
            out_of_fold = len(y_found), _assessed(model, y_found, *found).metrics
            coverage = _coverage(model, X_unseen, y_unseen)
    if held_out:
        found, y_found = assessment.predictions(model, X_unseen), y_unseen
    elif not unseen.is_bag(model):
        found, y_found = assessment.out_of_fold(model, X, y, search.cv), y
    result = _assessed(model, y_found, *found)
    importances = assessment.importance(model, X_unseen, y_unseen)
    network = innermost(model) if unseen.is_bag(model) else network_of(model)
    return Content(
        title=data.title,
        summary=_summary(search, schema, result),
        facts=_facts(X, y, len(y_unseen) if held_out else 0, schema, result),
        columns=[_column(X[name], schema) for name in X.columns],
        left_out=schema.left_out if schema else {},
        candidates=candidates_of(search),
        objectives=list(search.objectives_),
        score=_score_name(search),
        choice=_choice(search),
        assessment=result,
        assessed_on=_assessed_on(len(y_found), held_out, unseen.is_bag(model)),
        out_of_fold=out_of_fold,
        coverage=coverage,
        loss=np.asarray(getattr(network, "loss_curve_", ())),
        validation=np.asarray(getattr(network, "validation_scores_", None) or ()),
        validation_loss=np.asarray(getattr(network, "validation_curve_", ())),
        importances=importances,
        method=_method(
            search, len(importances) and min(len(y_unseen), assessment.IMPORTANCE_ROWS), held_out
        ),
        code=training_code(model, data.code, "model.fit(X, y)"),
    )


def _assessed(
    model: Any,
    y: np.ndarray,
    predicted: np.ndarray,
    scores: np.ndarray | None,
    are_probabilities: bool,
) -> assessment.ClassAssessment | assessment.ValueAssessment:
    if hasattr(model, "classes_"):
        classes = np.asarray(model.classes_)
        return assessment.assess_classes(y, predicted, scores, are_probabilities, classes)
    return assessment.assess_values(y.astype(float), predicted.astype(float))


def _coverage(model: Any, X: Any, y: np.ndarray) -> str:
    """What a bag's intervals, or its sets of classes, hold on unseen rows, as a sentence."""
    if hasattr(model, "classes_"):
        sets = unseen.sets(model, X, COVERAGE)
        holds = sets & (np.asarray(model.classes_) == y[:, None])
        size = f"they hold {number(sets.sum(axis=1).mean())} classes on average"
        return f"Sets of classes for {COVERAGE:.0%} of rows hold the true one in" + (
            f" {holds.any(axis=1).mean():.1%} of these; {size}."
        )
    low, high = unseen.intervals(model, X, COVERAGE)
    width = f"half of them are narrower than {number(float(np.median(high - low)))}"
    return f"Intervals for {COVERAGE:.0%} of rows hold the true value in" + (
        f" {np.mean((low <= y) & (y <= high)):.1%} of these; {width}."
    )


def _assessed_on(n_rows: int, held_out: bool, is_bag: bool) -> str:
    if held_out:
        return (
            f"Measured on {n_rows} rows that were held out:"
            " neither the search nor the chosen model has seen them."
        )
    if is_bag:
        return (
            f"Measured out of fold: each of these {n_rows} rows was answered by the members of the"
            " bag that were trained without it. The choice itself has seen all rows, so these"
            " figures are slightly optimistic."
        )
    return (
        f"Measured out of fold: each of the {n_rows} rows was predicted by a copy of the chosen"
        " model that was trained without it. The choice itself has seen all rows, so these"
        " figures are slightly optimistic."
    )


def _frame(X: Any) -> Any:
    if hasattr(X, "columns"):
        return X
    return require("pandas").DataFrame(np.asarray(X)).add_prefix("x")


def _score_name(search: Any) -> str:
    """What the search's score is called."""
    scoring = search.scoring
    if isinstance(scoring, str):
        return scoring.replace("_", " ")
    if scoring is None:
        return "accuracy" if hasattr(search.best_estimator_, "classes_") else "R²"
    return getattr(scoring, "__name__", "score")


def candidates_of(search: Any) -> list[Candidate]:
    """Return everything a search tried, from its ``cv_results_``."""
    results: Mapping[str, Any] = search.cv_results_
    found = []
    for i, params in enumerate(results["params"]):
        values = {"score": float(results["mean_test_score"][i])}
        spreads = {"score": float(results["std_test_score"][i])}
        for name in COSTS:
            values[name] = float(results[name][i])
            spreads[name] = (
                float(results[f"iqr_{name}"][i]) / 2 if f"iqr_{name}" in results else float("nan")
            )
        chosen = i == search.best_index_
        found.append(
            Candidate(
                i,
                dict(params),
                values,
                spreads,
                bool(results["on_front"][i]),
                chosen,
                str(results["failure"][i]),
            )
        )
    return found


def _summary(
    search: Any,
    schema: Schema | None,
    result: assessment.ClassAssessment | assessment.ValueAssessment,
) -> str:
    what = f"{schema.target!r}: " if schema else ""
    if isinstance(result, assessment.ClassAssessment):
        n = len(search.best_estimator_.classes_)
        task = "two classes" if n == 2 else f"{n} classes"
    else:
        task = "a number"
    tried = len(search.cv_results_["params"])
    n_front = len(search.pareto_front_)
    return f"Predicting {what}{task}. {tried} candidates tried, {n_front} on the front, one chosen."


def _choice(search: Any) -> str:
    refit = search.refit
    index = search.best_index_
    if refit == "knee":
        why = "the cheapest on the front whose score is within one standard error of the best one's"
    elif isinstance(refit, str):
        why = f"the best in {cost_name(refit)}"
    elif isinstance(refit, Mapping):
        limits = [
            f"{cost_name(name)} "
            + ("best" if limit in ("max", "min") else f"within {cost(name, limit)}")
            for name, limit in refit.items()
        ]
        why = f"within the limits: {', '.join(limits)}"
    else:
        why = f"what {getattr(refit, '__name__', 'your function')} picked"
    return f"Candidate {index}, {why}."


def _facts(
    X: Any, y: np.ndarray, n_held_out: int, schema: Schema | None, result: Any
) -> list[tuple[str, str]]:
    facts = [
        (
            "rows",
            f"{len(X) + n_held_out}" + (f", {n_held_out} of them held out" if n_held_out else ""),
        )
    ]
    missing = float(X.isna().to_numpy().mean())
    facts.append(
        (
            "columns in use",
            f"{X.shape[1]}"
            + (f", {missing:.1%} of their cells missing" if missing else ", no cell missing"),
        )
    )
    if schema:
        facts.append(("target", f"{schema.target}: {schema.task}, since {schema.reason}"))
    if isinstance(result, assessment.ClassAssessment):
        labels, counts = np.unique(y, return_counts=True)
        order = np.argsort(-counts, kind="stable")[:12]
        shares = ", ".join(f"{labels[i]} {counts[i] / len(y):.1%}" for i in order)
        facts.append(
            ("classes", shares + (f" and {len(labels) - 12} more" if len(labels) > 12 else ""))
        )
    else:
        low, median, high = np.quantile(y, [0, 0.5, 1])
        facts.append(("target's range", f"{tick(low)} to {tick(high)}, median {tick(median)}"))
    return facts


def _column(column: Any, schema: Schema | None) -> ColumnBrief:
    """Describe a column for the table of the data."""
    missing = float(column.isna().mean())
    present = column.dropna()
    numeric = column.name in schema.numeric if schema else present.dtype.kind in "biuf"
    if numeric:
        values = present.to_numpy(dtype=float)
        if not len(values):
            return ColumnBrief(str(column.name), "number", missing, NOTHING, np.zeros(0))
        low, median, high = np.quantile(values, [0, 0.5, 1])
        words = f"{tick(low)} … {tick(median)} … {tick(high)}"
        return ColumnBrief(
            str(column.name), "number", missing, words, np.histogram(values, bins=18)[0]
        )
    counts = present.astype(str).value_counts()
    top = ", ".join(f"{value} {count / len(column):.0%}" for value, count in counts.head(3).items())
    more = f" and {len(counts) - 3} more" if len(counts) > 3 else ""
    return ColumnBrief(
        str(column.name), "category", missing, top + more, counts.head(18).to_numpy()
    )


def _method(search: Any, importance_rows: int, held_out: bool) -> list[tuple[str, str]]:
    """How everything was measured, as the search says it, and what the report adds."""
    seen = (
        "held out before the search began"
        if held_out
        else "out-of-fold predictions of the chosen configuration"
    )
    found = {
        (cost_name(name) if name in COSTS else name): text
        for name, text in search.measurements_.items()
    }
    return [
        *found.items(),
        (
            "spread",
            "of the score, the standard deviation over the folds;"
            " of costs, half the distance between the quartiles",
        ),
        ("unseen rows", seen),
        (
            "permutation importance",
            f"{assessment.IMPORTANCE_REPEATS} shuffles of each column"
            f" over {importance_rows} unseen rows",
        ),
        (
            "software",
            f"fastnn {__version__}, Python {platform.python_version()}, NumPy {np.__version__}",
        ),
        ("written", f"{datetime.datetime.now().astimezone():%Y-%m-%d %H:%M %Z}"),
    ]
