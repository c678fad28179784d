"""How is a trained model kept in a file? With skops: no pickle, and no types but those known here.

Attributes
----------
TRUSTED_TYPES : list of str
    The dotted names of the types of fastnn that a file written by skops may hold, beyond those
    that skops trusts by itself: ``skops.io.load(file, trusted=fastnn.persistence.TRUSTED_TYPES)``.
    For mlflow they are ``log_model``'s ``skops_trusted_types``.
"""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Iterator
from typing import Any

from fastnn._optional import require
from fastnn.backends.base import Plan, TrainState
from fastnn.core.activations import ACTIVATIONS
from fastnn.core.augmentations import AUGMENTATIONS
from fastnn.core.losses import LOSSES
from fastnn.core.optimizers import OPTIMIZERS
from fastnn.core.schedules import SCHEDULES
from fastnn.estimators.mlp import MLPClassifier, MLPRegressor
from fastnn.persistence_parts import UnknownPart, read_parts
from fastnn.tabular.encode import TableColumns, TableEncoder
from fastnn.tabular.model import TableModel
from fastnn.tabular.rehearsal import rehearse
from fastnn.tabular.scale import LogScale
from fastnn.tabular.schema import Schema
from fastnn.training.archive import is_later, open_archive, read_array
from fastnn.training.state import LoopState, Rules

FORMAT = "fastnn table model 1"

_FAMILIES: tuple[dict[str, Any], ...] = (
    ACTIVATIONS,
    AUGMENTATIONS,
    LOSSES,
    OPTIMIZERS,
    SCHEDULES,
)
_KINDS = (
    MLPClassifier,
    MLPRegressor,
    LoopState,
    Rules,
    Plan,
    TrainState,
    *(type(member) for family in _FAMILIES for member in family.values()),
    TableColumns,
    TableEncoder,
    LogScale,
)
# By name: a model of another kind need not import them.
_OF_BAGS = (
    "fastnn.core.embedding.Embedding",
    "fastnn.tabular.base.FittedMember",
    "fastnn.tabular.bins.NumericColumns",
    "fastnn.tabular.embed.CategoricalColumn",
    "fastnn.tabular.embed.EmbeddingEncoder",
    "fastnn.tabular.estimator.TabularClassifier",
    "fastnn.tabular.estimator.TabularRegressor",
    "fastnn.tabular.recipe.Recipe",
)
TRUSTED_TYPES = sorted([*(f"{kind.__module__}.{kind.__qualname__}" for kind in _KINDS), *_OF_BAGS])

# What the pipelines of the command line hold of scikit-learn's.
_FROM_SKLEARN = (
    "sklearn.compose._target.TransformedTargetRegressor",
    "sklearn.frozen._frozen.FrozenEstimator",
    "sklearn.model_selection._classification_threshold.FixedThresholdClassifier",
    "sklearn.pipeline.Pipeline",
    "sklearn.preprocessing._data.StandardScaler",
    "sklearn.preprocessing._label.LabelBinarizer",
)


# Models that `fastnn explore` compares with networks. They keep data, and text or bytes that
# their own libraries read as a model.
_TREES = (
    "catboost.core.CatBoostClassifier",
    "catboost.core.CatBoostRegressor",
    "collections.OrderedDict",
    "functools.partial",  # of check_array: a function within it has to be trusted as well
    "lightgbm.basic.Booster",
    "lightgbm.sklearn.LGBMClassifier",
    "lightgbm.sklearn.LGBMRegressor",
    "sklearn._loss.link.IdentityLink",
    "sklearn._loss.link.Interval",
    "sklearn._loss.link.LogitLink",
    "sklearn._loss.link.MultinomialLogit",
    "sklearn._loss.loss.HalfBinomialLoss",
    "sklearn._loss.loss.HalfMultinomialLoss",
    "sklearn._loss.loss.HalfSquaredError",
    "sklearn.ensemble._hist_gradient_boosting.binning._BinMapper",
    "sklearn.ensemble._hist_gradient_boosting.predictor.TreePredictor",
    "sklearn.utils.validation.check_array",
)


class ModelFileError(ValueError):
    """A file that is no model of ours, or brings what it must not."""


def save_model(path: str | os.PathLike[str], table_model: TableModel) -> None:
    """Write ``table_model`` to ``path``, whole or not at all.

    A file of that name is replaced only when the new one is complete.
    """
    partial = f"{os.fspath(path)}.part"
    try:
        require("skops.io").dump(
            {
                "format": FORMAT,
                "version": table_model.version,
                "model": table_model.model,
                # As text, so that nothing but the model itself needs to be trusted.
                "schema": json.dumps(table_model.schema.to_dict()),
                "about": json.dumps(table_model.about),
            },
            partial,
        )
        os.replace(partial, path)
    finally:
        if os.path.exists(partial):
            os.remove(partial)


def load_model(path: str | os.PathLike[str]) -> TableModel:
    """Read a model written by `save_model`.

    Parameters
    ----------
    path : path-like
        The file.

    Returns
    -------
    TableModel

    Raises
    ------
    ModelFileError
        When the file is absent or no model of fastnn's, or when it holds types that are not known
        to be safe; they are named, and nothing of the file is executed.
    """
    if not os.path.isfile(path):
        raise ModelFileError(
            f"There is no model file {path}."
            f" `fastnn fit data.csv --target COLUMN -o {path}` makes one."
        )
    with _named(path):
        content = _content(path)
    found = content.get("format") if isinstance(content, dict) else None
    if is_later(found, FORMAT):
        raise ModelFileError(
            f"{path} was written by a later version of fastnn, {content.get('version')!s:.20}."
            " Update fastnn to read it."
        )
    if found != FORMAT:
        raise ModelFileError(
            f"{path} is a skops file, but not a model saved by `fastnn fit` or `fastnn explore`."
        )
    with _named(path):
        model = TableModel(
            content["model"],
            Schema.from_dict(json.loads(content["schema"])),
            json.loads(content["about"]),
            content["version"],
        )
    with _named(path, "its contents do not fit together, so that it cannot predict: "):
        rehearse(model)
    return model


@contextlib.contextmanager
def _named(path: str | os.PathLike[str], why: str = "") -> Iterator[None]:
    """What reading a damaged file raises in the body is one ModelFileError that names the file."""
    try:
        yield
    except (ModelFileError, ImportError):
        raise
    except Exception as error:  # of zipfile, of json, of a type's own __setstate__
        reason = " ".join(str(error).split())[:200]
        raise ModelFileError(
            f"{path} is damaged, or not a model file of fastnn (models are saved with skops, not"
            f" pickle): {why}{reason or type(error).__name__}"
        ) from error


def _content(path: str | os.PathLike[str]) -> Any:
    """Return what a file holds; by skops, with its audit, where that is more than is known here."""
    try:
        with open_archive(path) as archive:
            return read_parts(archive, {*TRUSTED_TYPES, *_FROM_SKLEARN})
    except UnknownPart:
        skops_io = require("skops.io")
    with open_archive(path) as archive:
        for name in archive.namelist():
            if name.endswith(".npy"):
                read_array(archive, name)
    trusted = [*TRUSTED_TYPES, *_TREES]
    unknown = sorted(set(skops_io.get_untrusted_types(file=path)) - set(trusted))
    if unknown:
        raise ModelFileError(
            f"{path} is refused: it holds types that fastnn does not know to be safe:"
            f" {', '.join(unknown)}. If you trust whoever made the file, load it in Python with"
            " skops.io.load(path, trusted=[...])."
        )
    return skops_io.load(path, trusted=trusted)
