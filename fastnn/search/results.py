"""What does a search return? The columns of ``cv_results_``, and how each was measured."""

from __future__ import annotations

import platform
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.stats import rankdata

from fastnn.search.energy import estimate_label
from fastnn.search.measure import (
    BULK_ROWS,
    FITS_ISOLATED,
    PREDICTIONS_IN_SEARCH,
    PREDICTIONS_ISOLATED,
)
from fastnn.search.quantities import COSTS, QUANTITIES
from fastnn.search.trials import Candidate


def as_columns(
    candidates: list[Candidate], n_splits: int, front: NDArray[np.intp], scores: Sequence[str]
) -> dict[str, Any]:
    """The candidates as columns; see ``cv_results_`` of :class:`fastnn.TradeoffSearchCV`."""
    columns: dict[str, Any] = {}
    unknown = np.full(n_splits, np.nan)
    for q in ("fit_time", "score_time"):
        seconds = np.array([[getattr(one, q) for one in c.folds] or unknown for c in candidates])
        columns[f"mean_{q}"], columns[f"std_{q}"] = seconds.mean(axis=1), seconds.std(axis=1)
    for name in dict.fromkeys(name for c in candidates for name in c.params):
        values: Any = np.ma.masked_all(len(candidates), dtype=object)
        for row, c in enumerate(candidates):
            if name in c.params:
                values[row] = c.params[name]
        columns[f"param_{name}"] = values
    columns["params"] = [c.params for c in candidates]
    for name in scores:
        found = np.array([[one.measured(name) for one in c.folds] or unknown for c in candidates])
        for i in range(n_splits):
            columns[f"split{i}_test_{name}"] = found[:, i]
        mean = found.mean(axis=1)
        columns |= {f"mean_test_{name}": mean, f"std_test_{name}": found.std(axis=1)}
        order = np.where(np.isnan(mean), np.inf, -mean)
        columns[f"rank_test_{name}"] = rankdata(order, method="min").astype(np.int32)
    for q in COSTS:
        columns[q] = np.array([c.value(q) for c in candidates])
        if QUANTITIES[q].timed:
            repeats = np.empty(len(candidates), dtype=object)
            repeats[:] = [c.repeats(q) for c in candidates]
            columns[f"iqr_{q}"] = np.array(
                [np.subtract(*np.percentile(r, [75, 25])) if r.size else np.nan for r in repeats]
            )
            columns[f"repeats_{q}"] = repeats
    estimate = estimate_label()
    sources = [c.isolated.energy_source if c.isolated else estimate for c in candidates]
    columns["energy_source"] = np.array(sources, dtype=object)
    measured = ["isolated" if c.isolated else "in search" for c in candidates]
    columns["measured"] = np.array(measured, dtype=object)
    columns["machine"] = np.array([_machine(c) for c in candidates], dtype=object)
    columns["on_front"] = np.isin(np.arange(len(candidates)), front)
    columns["failure"] = np.array([c.failure for c in candidates], dtype=object)
    return columns


def measurements(candidates: list[Candidate], n_folds: int, n_jobs: int) -> dict[str, str]:
    """How each quantity was measured, in words, and under "machine" where."""
    n_isolated = sum(one.isolated is not None for one in candidates)
    in_search = f"{n_jobs} folds at the same time" if n_jobs > 1 else "one fold at a time"
    if n_isolated:
        in_search += (
            ", times the median ratio of isolated to in search among candidates measured both ways"
        )
    isolated = (
        f"isolated for {n_isolated} candidates, each in a fresh process on the first fold's rows:"
        " median of"
    )
    facts = {
        "n_folds": n_folds,
        "bulk_rows": BULK_ROWS,
        "estimate": estimate_label(),
        "folds": f"in search: median over {n_folds} folds, each in one thread, {in_search}",
        "fits": f"{isolated} up to {FITS_ISOLATED.max_repeats} fits",
        "calls_in_search": (
            f"in search: median of up to {PREDICTIONS_IN_SEARCH.max_repeats} calls of the first"
            f" fold's model, {in_search}"
        ),
        "calls": f"{isolated} up to {PREDICTIONS_ISOLATED.max_repeats} calls",
    }
    words = {name: row.measured.format(**facts) for name, row in QUANTITIES.items()}
    kinds = filter(None, dict.fromkeys(map(_machine, candidates)))
    system = f"{platform.system()} {platform.machine()}, Python {platform.python_version()}"
    return {**words, "machine": "; ".join([*kinds, system])}


def _machine(candidate: Candidate) -> str:
    """The kind of machine that trained it; "" if it failed."""
    return candidate.folds[0].machine if candidate.folds else ""
