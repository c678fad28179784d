"""What did a search find, for people to read? ``write_report`` turns a fitted search and unseen rows into one HTML page."""

from __future__ import annotations

import datetime
import os
import platform
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from sklearn.utils.validation import check_is_fitted

import fastnn
from fastnn._optional import require
from fastnn.report import assessment
from fastnn.report.code import training_code
from fastnn.report.content import Candidate, ColumnBrief, Content
from fastnn.report.figures import NOTHING, tick
from fastnn.report.page import render
from fastnn.report.vocabulary import COSTS, cost, cost_name
from fastnn.search.measure import network_of
from fastnn.tabular.schema import Schema

__all__ = ["write_report"]


def write_report(
    path: str | os.PathLike[str],
    search: Any,
    X: Any,
    y: Any,
    X_test: Any = None,
    y_test: Any = None,
    *,
    title: str = "Trade-off search",
    schema: Schema | None = None,
    data_code: str = "# X and y are the data the search was given.",
    step: Callable[[str], None] = lambda _: None,
) -> None:
    """Write what a search found as one HTML page that needs no network and no other file.

    Parameters
    ----------
    path : path-like
        Where to write.
    search : TradeoffSearchCV
        Fitted on ``X`` and ``y``.
    X : array-like or DataFrame of shape (n_rows, n_columns)
        What the search was fitted on.
    y : array-like of shape (n_rows,)
        Its targets: labels or values, one per row.
    X_test, y_test : like X and y, optional
        Rows the search has not seen; the chosen model is judged on them. Without them it is judged out of fold: every row
        of ``X`` is predicted by a copy that was trained without it.
    title : str
        What the data is called.
    schema : Schema, optional
        What `fastnn.tabular.schema` knows about the columns.
    data_code : str
        Python code that makes ``X`` and ``y``, for the program at the end of the page.
    step : callable
        Receives a few words before everything that takes time.

    Raises
    ------
    ValueError
        If the search is not fitted, has chosen no model (``refit=False``), or y has several columns.
    """
    page = report(
        search, X, y, X_test, y_test, title=title, schema=schema, data_code=data_code, step=step
    )
    with open(path, "w", encoding="utf-8") as file:
        file.write(page)


def report(
    search: Any,
    X: Any,
    y: Any,
    X_test: Any,
    y_test: Any,
    *,
    title: str,
    schema: Schema | None,
    data_code: str,
    step: Callable[[str], None],
) -> str:
    """Return the page of `write_report` as text."""
    pd = require("pandas")
    if search.refit is False:
        raise ValueError(
            "A report is about a chosen model, but the search has refit=False. Give refit another value."
        )
    check_is_fitted(search)
    model = search.best_estimator_
    X = _frame(pd, X)
    y = np.asarray(y)
    if y.ndim != 1:
        raise ValueError(f"A report is about one target per row, but y has shape {y.shape}.")
    held_out = X_test is not None
    step("predicting unseen rows")
    if held_out:
        X_seen, y_seen = _frame(pd, X_test), np.asarray(y_test)
        found = assessment.predictions(model, X_seen)
        on = f"Measured on {len(y_seen)} rows that were held out: neither the search nor the chosen model has seen them."
    else:
        X_seen, y_seen = X, y
        found = assessment.out_of_fold(model, X, y, search.cv)
        on = (
            f"Measured out of fold: each of the {len(y)} rows was predicted by a copy of the chosen model trained without it. "
            "The choice itself has seen all rows, so these figures are a little kind."
        )
    predicted, scores, are_probabilities = found
    result: assessment.ClassAssessment | assessment.ValueAssessment
    if hasattr(model, "classes_"):
        result = assessment.assess_classes(
            y_seen, predicted, scores, are_probabilities, np.asarray(model.classes_)
        )
    else:
        result = assessment.assess_values(y_seen.astype(float), predicted.astype(float))
    step("permutation importance")
    importances = assessment.importance(model, X_seen, y_seen)
    network = network_of(model)
    return render(
        Content(
            title=title,
            summary=_summary(search, schema, result),
            facts=_facts(X, y, len(y_seen) if held_out else 0, schema, result),
            columns=[_column(X[name], schema) for name in X.columns],
            left_out=schema.left_out if schema else {},
            candidates=candidates(search),
            objectives=list(search.objectives_),
            score=score_name(search),
            choice=_choice(search),
            assessment=result,
            assessed_on=on,
            loss=np.asarray(getattr(network, "loss_curve_", ())),
            validation=np.asarray(getattr(network, "validation_scores_", None) or ()),
            importances=importances,
            method=_method(
                search, len(importances) and min(len(y_seen), assessment.IMPORTANCE_ROWS), held_out
            ),
            code=training_code(search.best_estimator_, data_code, "model.fit(X, y)"),
        )
    )


def _frame(pd: Any, X: Any) -> Any:
    return X if hasattr(X, "columns") else pd.DataFrame(np.asarray(X)).add_prefix("x")


def score_name(search: Any) -> str:
    """What the search's score is called."""
    scoring = search.scoring
    if isinstance(scoring, str):
        return scoring.replace("_", " ")
    if scoring is None:
        return "accuracy" if hasattr(search.best_estimator_, "classes_") else "R²"
    return getattr(scoring, "__name__", "score")


def candidates(search: Any) -> list[Candidate]:
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
    return f"Predicting {what}{task}. {tried} candidates tried, {len(search.pareto_front_)} on the front, one chosen."


def _choice(search: Any) -> str:
    refit = search.refit
    index = search.best_index_
    if refit == "knee":
        why = "the cheapest on the front whose score is within one standard error of the best one's"
    elif isinstance(refit, str):
        why = f"the best in {cost_name(refit)}"
    elif isinstance(refit, Mapping):
        limits = ", ".join(
            f"{cost_name(name)} {'best' if limit in ('max', 'min') else 'within ' + cost(name, limit)}"
            for name, limit in refit.items()
        )
        why = f"what meets the constraints: {limits}"
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
    """How everything was measured: what the search says of its quantities, and what the report adds."""
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
            "of the score, the standard deviation over the folds; of costs, half the distance between the quartiles",
        ),
        ("unseen rows", seen),
        (
            "permutation importance",
            f"{assessment.IMPORTANCE_REPEATS} shuffles of each column over {importance_rows} unseen rows",
        ),
        (
            "software",
            f"fastnn {fastnn.__version__}, Python {platform.python_version()}, NumPy {np.__version__}",
        ),
        ("written", f"{datetime.datetime.now().astimezone():%Y-%m-%d %H:%M %Z}"),
    ]
