"""Which candidates are on the Pareto front, and which of them is chosen? Arithmetic on arrays."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from fastnn.search.quantities import QUANTITIES, described

Floats = NDArray[np.float64]
Refit = str | Mapping[str, float | str]


def as_costs(values: Mapping[str, Floats]) -> Floats:
    """Values ``(n,)`` by quantity as columns ``(n, n_quantities)``; less is better in each."""
    return np.column_stack([-v if described(q).better == "max" else v for q, v in values.items()])


def pareto_front(values: Mapping[str, Floats]) -> NDArray[np.intp]:
    """The candidates that no other one dominates, the cheapest first.

    One dominates another if it is no worse in any quantity and better in at least one. Of equals
    all are on the front.

    Parameters
    ----------
    values : dict of ndarray of shape (n_candidates,)
        The objectives. A candidate with a NaN is out.

    Returns
    -------
    front : ndarray of shape (n_front,)
        Indices, ordered by the first objective that is a cost.
    """
    costs = as_costs(values)
    left = np.lexsort(costs.T[::-1])  # in this order none is dominated by a later one
    left = left[~np.isnan(costs[left]).any(axis=1)]
    found: list[int] = []
    while left.size:
        found.append(left[0])
        dominated = (costs[left] >= costs[left[0]]).all(axis=1) & (
            costs[left] > costs[left[0]]
        ).any(axis=1)
        left = left[1:][~dominated[1:]]
    front = np.sort(np.array(found, np.intp))
    by = next((q for q in values if described(q).better == "min"), next(iter(values)))
    return front[np.argsort(values[by][front], kind="stable")]


def check_refit(refit: object, further: Sequence[str] = ()) -> list[str]:
    """The quantities that ``refit`` names; ValueError if it is not one of the forms allowed.

    ``further`` are the names of scores beyond the first one.
    """
    names = sorted([*QUANTITIES, *further])
    if refit is False or callable(refit) or refit == "knee":
        return []
    if isinstance(refit, str) and refit in names:
        return [refit]
    if not isinstance(refit, Mapping) or not refit:
        raise ValueError(
            f"refit must be 'knee', one of {names}, a callable, False, or limits such"
            f" as {{'latency_us': 20, 'score': 'max'}}; got {refit!r}."
        )
    if unknown := [q for q in refit if q not in names]:
        raise ValueError(
            f"refit names {unknown[0]!r}, which is not measured. Measured are {names}."
        )
    targets = [q for q, limit in refit.items() if isinstance(limit, str)]
    if len(targets) != 1 or refit[targets[0]] != described(targets[0]).better:
        raise ValueError(
            "refit needs limits and one quantity to optimise, 'score': 'max' or a cost such as"
            f" 'fit_time': 'min'; got {dict(refit)!r}."
        )
    for q, limit in refit.items():
        if q != targets[0] and not (isinstance(limit, int | float) and math.isfinite(limit)):
            raise ValueError(
                f"refit[{q!r}] must be a finite number, the limit of {q}, got {limit!r}."
            )
    return list(refit)


def select(
    refit: Refit,
    values: Mapping[str, Floats],
    objectives: tuple[str, ...],
    front: NDArray[np.intp],
    errors: Mapping[str, Floats],
) -> int:
    """The candidate of the front that ``refit`` asks for.

    Parameters
    ----------
    refit : "knee", a quantity, or limits
        A quantity selects the best in it. Limits such as ``{"latency_us": 20, "score": "max"}``
        select the best in the one quantity among those within the limits of the others. "knee"
        selects the cheapest, the one with the lowest product of costs, of those whose score is
        within one standard error of the best one's. Folds cannot tell such a difference from chance
        (Breiman et al. 1984, section 3.4.3). Of several scores, each narrows down in its turn what
        those before it have left.
    values : dict of ndarray of shape (n_candidates,)
        All quantities.
    objectives : tuple of str
        Those of the front; they break ties.
    front : ndarray of shape (n_front,)
    errors : dict of ndarray of shape (n_candidates,)
        Standard errors of the scores among the objectives.

    Returns
    -------
    candidate : int

    Raises
    ------
    ValueError
        If no candidate is within the limits; the message says what the nearest one reaches.
    """
    costs = {q: -values[q] if described(q).better == "max" else values[q] for q in values}
    if refit == "knee":
        for score in (q for q in objectives if q in errors):
            best = front[np.argmax(values[score][front])]
            front = front[values[score][front] >= values[score][best] - errors[score][best]]
        factors = [
            np.log(np.maximum(values[q][front], np.finfo(float).tiny))
            for q in objectives
            if q not in errors
        ]
        keys = [costs[q][front] for q in reversed(objectives)]
        keys += [np.sum(factors, axis=0)] if factors else []
        return int(front[np.lexsort(keys)[0]])
    limits = (
        {}
        if isinstance(refit, str)
        else {q: limit for q, limit in refit.items() if not isinstance(limit, str)}
    )
    target = refit if isinstance(refit, str) else next(q for q in refit if q not in limits)
    within = [
        q for q in front if all(_excess(values[k][q], k, limit) <= 0 for k, limit in limits.items())
    ]
    if not within:
        raise ValueError(_nearest(limits, target, values))
    keys = [costs[q][within] for q in reversed([target, *objectives])]
    return int(within[np.lexsort(keys)[0]])


def _excess(value: float, quantity: str, limit: float) -> float:
    """How far a value is beyond a limit, as a share of it; infinite if the value is unknown."""
    beyond = limit - value if described(quantity).better == "max" else value - limit
    return math.inf if math.isnan(value) else beyond / (abs(limit) or 1.0)


def _nearest(limits: Mapping[str, float], target: str, values: Mapping[str, Floats]) -> str:
    n = len(values[target])
    excess = [max(_excess(values[q][i], q, limit) for q, limit in limits.items()) for i in range(n)]
    i = int(np.argmin(excess))
    wanted = " and ".join(
        f"{q} {'>=' if described(q).better == 'max' else '<='} {limit:g}"
        for q, limit in limits.items()
    )
    reached = ", ".join(f"{q} = {values[q][i]:.4g}" for q in dict.fromkeys([*limits, target]))
    return (
        f"refit asks for {wanted}, and no candidate is within it. The nearest, candidate {i},"
        f" reaches {reached}. Loosen the limit, widen param_distributions or search longer;"
        " cv_results_ and pareto_front_ hold what was found."
    )
