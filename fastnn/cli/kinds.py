"""Which kinds of models of a table does a search compare? Each with what encodes its columns."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from fastnn._optional import require
from fastnn.cli.settings import Goal
from fastnn.cli.training import bag, may_learn_logarithms, network
from fastnn.cli.training_table import TrainingTable

if TYPE_CHECKING:
    from fastnn.tabular.schema import Schema

OF_NETWORKS, IN_C = ("flops",), ("flash_bytes", "flash_int8_bytes")  # quantities, by who has them
MAX_CATEGORIES = 254  # of a column, for trees; the rarest ones beyond share one


@dataclass(frozen=True)
class Kind:
    """A kind of model.

    Attributes
    ----------
    make : callable ``(schema, goal) -> (estimator, encoder)``
        What `fastnn.tabular.encode.table_model` takes.
    package : str
        What has to be installed for it.
    lacks : tuple of str
        Quantities that are not known of it.
    is_candidate : bool
        Whether the space of its settings holds the default ones.
    """

    make: Callable[[Schema, Goal], tuple[Any, Any]]
    package: str = "sklearn"
    lacks: tuple[str, ...] = ()
    is_candidate: bool = True

    @property
    def is_installed(self) -> bool:
        """Whether its package is there."""
        return importlib.util.find_spec(self.package) is not None


def known_kinds(names: Sequence[str]) -> Sequence[str]:
    """Return ``names``, or raise ValueError where there is no such kind of model."""
    if isinstance(names, str):
        raise ValueError(f"models={names!r} is a text; give a list of texts.")
    for name in names:
        if name not in KINDS:
            raise ValueError(f"There is no kind of model {name!r}; there are {', '.join(KINDS)}.")
    return names


def kinds_for(names: Sequence[str] | None, objectives: Sequence[str]) -> list[str]:
    """Return the kinds to compare: those named, else all that are installed.

    Of these, those of which the objectives are known.

    Raises
    ------
    ValueError
        If a kind is named that there is not, or none is left.
    ImportError
        If the package of one that is named is not installed.
    """
    for name in known_kinds(names or ()):
        if not KINDS[name].is_installed:
            raise ImportError(
                f"--models {name} needs {KINDS[name].package}, which is not installed:"
                f" pip install {KINDS[name].package}"
            )
    found = dict.fromkeys(names or [name for name, kind in KINDS.items() if kind.is_installed])
    for objective in objectives:
        known = [name for name in KINDS if objective not in KINDS[name].lacks]
        found = {name: None for name in found if name in known}
        if not found:
            raise ValueError(
                f"The objective {objective} is not known of the kinds that are compared; it is of"
                f" --models {','.join(known)}."
            )
    return list(found)


@dataclass(frozen=True)
class Compared:
    """What a search of several kinds of models is given, as TradeoffSearchCV's parameters.

    Attributes
    ----------
    estimator : Pipeline
        Of the first kind.
    param_distributions : dict or list of dict
        One dict for each kind.
    first_candidates : list of dict
        Each kind as it is, where the space holds that.
    """

    estimator: Any
    param_distributions: Any
    first_candidates: list[dict[str, Any]]


def compared(
    known: TrainingTable, goal: Goal, names: Sequence[str], n_rows: int, **of_bag: Any
) -> Compared:
    """Return what makes candidates of the kinds ``names``.

    Parameters
    ----------
    known : TrainingTable
    goal : Goal
    names : sequence of str
        In `KINDS`.
    n_rows : int
        Rows of a fold to train on.
    **of_bag
        Further settings of bags.
    """
    from sklearn.preprocessing import StandardScaler

    from fastnn.search.default_space import as_it_is, default_space
    from fastnn.tabular.encode import table_model
    from fastnn.tabular.scale import LogScale

    schema = known.schema
    step = "model__regressor" if schema.task == "regression" else "model"
    scales = [StandardScaler(), LogScale()] if may_learn_logarithms(known, goal) else []
    log = goal.target_transform == "log"
    spaces, first, pipelines = [], [], []
    for name in names:
        estimator, encoder = KINDS[name].make(schema, goal)
        if name == "bag":
            estimator.set_params(**of_bag)
        pipeline = table_model(schema, estimator, encoder, log_target=log)
        kind = {step: estimator, "columns": pipeline[0]} if len(names) > 1 else {}
        own = default_space(pipeline, n_rows)
        scale = {"model__transformer": scales} if scales else {}
        spaces.append({part: [value] for part, value in kind.items()} | own | scale)
        if KINDS[name].is_candidate:
            start = kind | as_it_is(pipeline, own)
            first += [start | {name: one for name in scale} for one in scales or [None]]
        pipelines.append(pipeline)
    return Compared(pipelines[0], spaces if len(spaces) > 1 else spaces[0], first)


def _plain(schema: Schema, goal: Goal) -> tuple[Any, Any]:
    return network(schema, goal), None


def _bag(schema: Schema, goal: Goal) -> tuple[Any, Any]:
    from fastnn.tabular.encode import TableColumns

    return bag(schema, goal), TableColumns()


def _linear(schema: Schema, goal: Goal) -> tuple[Any, Any]:
    from sklearn.linear_model import LogisticRegression, Ridge

    return Ridge() if schema.task == "regression" else LogisticRegression(max_iter=1000), None


def _trees(schema: Schema, goal: Goal) -> tuple[Any, Any]:
    from sklearn.ensemble import HistGradientBoostingClassifier, HistGradientBoostingRegressor

    regression = schema.task == "regression"
    kind = HistGradientBoostingRegressor if regression else HistGradientBoostingClassifier
    return kind(random_state=goal.seed, categorical_features=_places(schema)), _codes(schema)


def _lightgbm(schema: Schema, goal: Goal) -> tuple[Any, Any]:
    lightgbm = require("lightgbm")
    kind = lightgbm.LGBMRegressor if schema.task == "regression" else lightgbm.LGBMClassifier
    # Categories as columns of their own do as well as its own way with them, on ten tables.
    return kind(random_state=goal.seed, n_jobs=-1, verbose=-1), None


def _catboost(schema: Schema, goal: Goal) -> tuple[Any, Any]:
    catboost = require("catboost")
    regression = schema.task == "regression"
    kind = catboost.CatBoostRegressor if regression else catboost.CatBoostClassifier
    settings = {"verbose": False, "allow_writing_files": False, "thread_count": -1}
    return kind(random_seed=goal.seed, cat_features=_places(schema), **settings), _codes(schema)


def _places(schema: Schema) -> tuple[int, ...]:
    """Where categories stand in the columns that `_codes` makes; CatBoost would copy a list."""
    return tuple(range(len(schema.categorical)))


def _codes(schema: Schema) -> Any:
    """What makes whole numbers of categories, before the numbers; negative where missing."""
    import numpy as np
    from sklearn.compose import ColumnTransformer
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import OrdinalEncoder

    from fastnn.tabular.encode import TableColumns

    codes = OrdinalEncoder(
        dtype=np.int64,
        handle_unknown="use_encoded_value",
        unknown_value=-2,
        encoded_missing_value=-1,
        max_categories=MAX_CATEGORIES,
    )
    steps = [("categories", codes, list(schema.categorical))]
    first = ColumnTransformer(steps, remainder="passthrough").set_output(transform="pandas")
    return make_pipeline(TableColumns(), first)


# The order is that of their first candidates.
KINDS = {
    "bag": Kind(_bag),
    "trees": Kind(_trees, lacks=(*OF_NETWORKS, *IN_C)),
    "linear": Kind(_linear, lacks=OF_NETWORKS),
    "plain": Kind(_plain, is_candidate=False),
    "lightgbm": Kind(_lightgbm, "lightgbm", (*OF_NETWORKS, *IN_C)),
    "catboost": Kind(_catboost, "catboost", (*OF_NETWORKS, *IN_C), is_candidate=False),
}
