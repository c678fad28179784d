"""Which candidates are there? scikit-learn's and Optuna's distributions as one space."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from types import CodeType, FunctionType
from typing import Any

import numpy as np
from sklearn.base import BaseEstimator
from sklearn.metrics import get_scorer

from fastnn._optional import require


@dataclass(frozen=True)
class Axis:
    """One parameter.

    Parameters
    ----------
    distribution : optuna.distributions.BaseDistribution
    decode : callable
        The parameter's value of a draw.
    encode : callable
        The draw that gives a value; ValueError if none does.
    size : float
        How many values there are; may be infinite.
    """

    distribution: Any
    decode: Callable[[Any], Any]
    encode: Callable[[Any], Any]
    size: float


def axis(name: str, values: Any) -> Axis:
    """The axis of a list, a scipy.stats distribution, anything with ``rvs``, or Optuna's own."""
    distributions = require("optuna").distributions
    if isinstance(values, distributions.BaseDistribution):
        return Axis(values, lambda draw: draw, _drawn_as_it_is(values), _optuna_size(values))
    if hasattr(values, "ppf"):  # any distribution is a uniform one, through its quantiles
        low, high = values.support()
        kind, size = (int, high - low + 1) if hasattr(values, "pmf") else (float, math.inf)
        quantiles = distributions.FloatDistribution(1e-12, 1 - 1e-12)
        return Axis(quantiles, lambda u: kind(values.ppf(u)), _quantile_of(values), size)
    if hasattr(values, "rvs"):  # nothing to learn from, but it can be drawn
        return Axis(
            distributions.IntDistribution(0, 2**31 - 1),
            lambda seed: values.rvs(random_state=seed),
            lambda value: _refuse(value, values),
            math.inf,
        )
    if isinstance(values, Sequence | np.ndarray) and not isinstance(values, str) and len(values):
        # Positions are drawn, so that a list may hold anything.
        return Axis(
            distributions.CategoricalDistribution(range(len(values))),
            lambda i: values[i],
            lambda value: _position(value, values),
            len(values),
        )
    raise ValueError(
        f"param_distributions[{name!r}] must be a non-empty list, a scipy.stats distribution or an"
        f" Optuna distribution, got {values!r}."
    )


def _refuse(value: Any, values: Any) -> Any:
    raise ValueError(f"{value!r} is not among {values!r}")


def _drawn_as_it_is(distribution: Any) -> Callable[[Any], Any]:
    def draw(value: Any) -> Any:
        if hasattr(distribution, "choices"):
            return value if value in distribution.choices else _refuse(value, distribution)
        return (
            value
            if distribution.low <= value <= distribution.high
            else _refuse(value, distribution)
        )

    return draw


def _quantile_of(values: Any) -> Callable[[Any], float]:
    def draw(value: Any) -> float:
        low, high = values.support()
        if not low <= value <= high:
            _refuse(value, (low, high))
        return min(max(float(values.cdf(value)), 1e-12), 1 - 1e-12)

    return draw


def _position(value: Any, values: Sequence[Any] | np.ndarray) -> int:
    same = [i for i, one in enumerate(values) if one is value or repr(one) == repr(value)]
    return same[0] if same else int(_refuse(value, list(values)))


def _is_whole(distribution: Any) -> bool:
    return isinstance(distribution, require("optuna").distributions.IntDistribution)


def _optuna_size(distribution: Any) -> float:
    if hasattr(distribution, "choices"):
        return len(distribution.choices)
    if distribution.step is None:
        return 1 if distribution.single() else math.inf
    return math.floor((distribution.high - distribution.low) / distribution.step + 1e-9) + 1


class Space:
    """All candidates of ``param_distributions``.

    Parameters
    ----------
    param_distributions : dict, or list of dicts
        Each candidate takes one of several dicts.

    Attributes
    ----------
    size : float
        How many candidates there are; infinite where a distribution is continuous.
    """

    def __init__(
        self, param_distributions: Mapping[str, Any] | Sequence[Mapping[str, Any]]
    ) -> None:
        dicts = (
            [param_distributions]
            if isinstance(param_distributions, Mapping)
            else list(param_distributions)
        )
        if not dicts or not all(isinstance(one, Mapping) for one in dicts):
            raise ValueError(
                "param_distributions must be a dict or a list of dicts, got"
                f" {param_distributions!r}."
            )
        self.parts = [{name: axis(name, values) for name, values in one.items()} for one in dicts]
        self.size = sum(math.prod(axis.size for axis in part.values()) for part in self.parts)

    def suggest(self, trial: Any) -> dict[str, Any]:
        """The candidate that Optuna's ``trial`` draws: one of several parts, its parameters."""
        which = (
            trial.suggest_categorical("part", range(len(self.parts))) if len(self.parts) > 1 else 0
        )
        draws = {}
        for name, axis in self.parts[which].items():
            d, label = axis.distribution, self._label(which, name)
            if hasattr(d, "choices"):
                draws[name] = trial.suggest_categorical(label, d.choices)
            else:
                suggest = trial.suggest_int if _is_whole(d) else trial.suggest_float
                draws[name] = suggest(label, d.low, d.high, step=d.step, log=d.log)
        return self._decode(which, draws)

    def read(self, draws: Mapping[str, Any]) -> dict[str, Any]:
        """The candidate of a trial's ``params``."""
        which = draws.get("part", 0)
        return self._decode(
            which, {name: draws[self._label(which, name)] for name in self.parts[which]}
        )

    def examples(self) -> list[dict[str, Any]]:
        """One candidate of each part."""
        rng = np.random.RandomState(0)
        return [
            self._decode(i, {name: _draw(axis.distribution, rng) for name, axis in part.items()})
            for i, part in enumerate(self.parts)
        ]

    def draws(self, candidate: Mapping[str, Any]) -> dict[str, Any]:
        """A trial's ``params`` for a candidate; ValueError if the space does not hold it."""
        reasons = []
        for which, part in enumerate(self.parts):
            if set(part) != set(candidate):
                reasons.append(f"it has the parameters {sorted(part)}")
                continue
            draws: dict[str, Any] = {"part": which} if len(self.parts) > 1 else {}
            try:
                for name, axis in part.items():
                    draws[self._label(which, name)] = axis.encode(candidate[name])
            except ValueError as error:
                reasons.append(str(error))
                continue
            return draws
        raise ValueError(
            f"first_candidates holds {dict(candidate)!r}, which param_distributions does not:"
            f" {'; '.join(reasons)}."
        )

    def key(self, draws: Mapping[str, Any]) -> str:
        """A text that differs between candidates; equal values from different draws are equal."""
        which = draws.get("part", 0)
        parts = []
        for name, axis in self.parts[which].items():
            draw = draws[self._label(which, name)]
            parts.append(axis.decode(draw) if isinstance(draw, float) else draw)
        return repr((which, parts))

    def draw(self, rng: np.random.RandomState) -> dict[str, Any]:
        """Random draws for a trial's ``params``, as likely as Optuna's."""
        which = int(rng.randint(len(self.parts)))
        draws: dict[str, Any] = {"part": which} if len(self.parts) > 1 else {}
        for name, axis in self.parts[which].items():
            draws[self._label(which, name)] = _draw(axis.distribution, rng)
        return draws

    def _label(self, which: int, name: str) -> str:
        # Parts may give one parameter different distributions; Optuna wants different names then.
        return f"{which}.{name}" if len(self.parts) > 1 else name

    def _decode(self, which: int, draws: Mapping[str, Any]) -> dict[str, Any]:
        return {name: axis.decode(draws[name]) for name, axis in self.parts[which].items()}


def describe(what: Any) -> Any:
    """What a space, an estimator or a scorer is made of, for a hash that changes with results.

    Functions are described by their code, not by their names only: a script that is edited and run
    again is another search. Random states of scipy.stats distributions are left out.
    """
    kind = type(what).__qualname__
    if isinstance(what, Mapping):
        return {name: describe(values) for name, values in what.items()}
    if isinstance(what, list | tuple):
        return [kind, *map(describe, what)]
    if hasattr(what, "ppf"):
        return what.dist.name, what.args, what.kwds
    if isinstance(what, BaseEstimator) and not isinstance(what, type):
        own = vars(type(what)) if type(what).__module__ == "__main__" else {}
        methods = {
            name: describe(one) for name, one in own.items() if isinstance(one, FunctionType)
        }
        return kind, type(what).__module__, methods, describe(what.get_params(deep=False))
    if isinstance(what, FunctionType):
        closure = [cell.cell_contents for cell in what.__closure__ or ()]
        return (
            what.__module__,
            what.__qualname__,
            describe(what.__code__),
            describe([what.__defaults__, closure]),
        )
    if isinstance(what, CodeType):
        return what.co_code, what.co_names, what.co_varnames, describe(what.co_consts)
    if isinstance(what, type(get_scorer("accuracy"))):  # of make_scorer
        return kind, describe(vars(what))
    return what


def _draw(distribution: Any, rng: np.random.RandomState) -> Any:
    d = distribution
    if hasattr(d, "choices"):
        return d.choices[rng.randint(len(d.choices))]
    whole = _is_whole(d)
    if d.log:  # whole numbers from half below the lowest to half above the highest, as Optuna does
        margin = 0.5 if whole else 0.0
        value = math.exp(rng.uniform(math.log(d.low - margin), math.log(d.high + margin)))
    elif d.step is None:
        value = rng.uniform(d.low, d.high)
    else:
        value = d.low + d.step * rng.randint(int(_optuna_size(d)))
    return min(max(round(value), d.low), d.high) if whole else value
