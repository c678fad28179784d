"""What does a scikit-learn user train on a table? A bag of small networks, with honest scores."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from dataclasses import fields, replace
from numbers import Integral, Real
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray
from sklearn.base import BaseEstimator, ClassifierMixin, RegressorMixin
from sklearn.utils import Tags, assert_all_finite, check_consistent_length, check_random_state
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import (
    check_array,
    check_is_fitted,
    column_or_1d,
    validate_data,
)

from fastnn._sklearn import Interval, StrOptions, fit_context, safe_indexing
from fastnn.backends import BACKENDS, choose
from fastnn.backends.base import Data, Engine
from fastnn.core.activations import Array
from fastnn.core.losses import LOSSES, Loss
from fastnn.core.network import NetworkSpec
from fastnn.estimators.base import unchanged_on_error
from fastnn.estimators.parameters import hidden_sizes
from fastnn.tabular.conformal import class_sets, intervals
from fastnn.tabular.embed import EmbeddingEncoder, as_table, is_missing
from fastnn.tabular.recipe import PRESETS, Recipe, first_parameters
from fastnn.training.bag import Bag, BagRules, Member
from fastnn.training.data import refuse_dates, row_weights
from fastnn.training.model import thread_limit

FLOAT32 = np.dtype(np.float32)


class BaseTabular(BaseEstimator):
    """What the classifier and the regressor of tables share."""

    _engines: dict[tuple[str, int | None], Engine]  # by backend and threads; absent from pickles

    _parameter_constraints: ClassVar[dict[str, list[Any]]] = {
        "preset": [StrOptions(set(PRESETS))],
        "n_members": [None, Interval(Integral, 1, None, closed="left")],
        "hidden_layer_sizes": [None, "array-like", Interval(Integral, 1, None, closed="left")],
        "max_iter": [None, Interval(Integral, 1, None, closed="left")],
        "n_bins": [None, Interval(Integral, 1, 255, closed="both")],
        "embedding_size": [None, Interval(Integral, 1, 64, closed="both")],
        "learning_rate_init": [None, Interval(Real, 0, None, closed="neither")],
        "batch_size": [None, Interval(Integral, 1, None, closed="left")],
        "categorical_features": ["array-like", StrOptions({"from_dtype"}), None],
        "max_time": [None, Interval(Real, 0, None, closed="neither")],
        "random_state": ["random_state"],
        "backend": [StrOptions({"auto", *BACKENDS})],
        "n_threads": [None, Interval(Integral, 1, None, closed="left")],
        "dtype": [StrOptions({"float32", "bfloat16"})],
        "verbose": ["verbose"],
    }

    def __init__(
        self,
        preset: str = "balanced",
        *,
        n_members: int | None = None,
        hidden_layer_sizes: Any = None,
        max_iter: int | None = None,
        n_bins: int | None = None,
        embedding_size: int | None = None,
        learning_rate_init: float | None = None,
        batch_size: int | None = None,
        categorical_features: Any = "from_dtype",
        max_time: float | None = None,
        random_state: Any = None,
        backend: str = "auto",
        n_threads: int | None = None,
        dtype: str = "float32",
        verbose: bool = False,
    ) -> None:
        self.preset = preset
        self.n_members = n_members
        self.hidden_layer_sizes = hidden_layer_sizes
        self.max_iter = max_iter
        self.n_bins = n_bins
        self.embedding_size = embedding_size
        self.learning_rate_init = learning_rate_init
        self.batch_size = batch_size
        self.categorical_features = categorical_features
        self.max_time = max_time
        self.random_state = random_state
        self.backend = backend
        self.n_threads = n_threads
        self.dtype = dtype
        self.verbose = verbose

    # ---- fitting

    @fit_context(prefer_skip_nested_validation=True)
    def fit(self, X: Any, y: Any, sample_weight: Any = None) -> Any:
        """Fit a bag of networks to a table.

        Parameters
        ----------
        X : DataFrame, array-like or sparse matrix of shape (n_samples, n_features)
            Numbers and categories; cells may be missing.
        y : array-like of shape (n_samples,) or (n_samples, n_outputs)
        sample_weight : array-like of shape (n_samples,), default=None

        Returns
        -------
        self : object

        Raises
        ------
        ValueError, TypeError
            If the input is not usable, or training diverges; the model is then as it was before.
        """
        with unchanged_on_error(self):
            return self._fit(as_table(X), y, sample_weight)

    def _fit(self, X: Any, y: Any, sample_weight: Any) -> Any:
        """As :meth:`fit`; what fails may leave the model half fitted."""
        recipe = self._recipe()
        validate_data(self, X, y, skip_check_array=True)
        y = self._checked_targets(y)
        check_consistent_length(X, y)
        counts = np.ones(X.shape[0], bool)
        weight = row_weights(sample_weight, len(counts), FLOAT32)
        if weight is not None and not weight.all():  # as if these rows were not there
            counts = weight > 0
            kept = np.flatnonzero(counts)
            X, y, weight = safe_indexing(X, kept), safe_indexing(y, kept), weight[kept]
        encoder = EmbeddingEncoder(
            recipe.n_bins, recipe.embedding_size, self.categorical_features
        ).fit(X)
        encoded = encoder.transform(X)
        n_rows = encoded.shape[0]
        if n_rows < 2:
            raise ValueError(f"X must have at least 2 samples, got {n_rows} sample.")
        values, n_out, loss = self._learned(y)
        random_state = check_random_state(self.random_state)
        for name in ("n_features_in_", "feature_names_in_"):
            if hasattr(encoder, name):
                setattr(self, name, getattr(encoder, name))

        spec = recipe.network(encoder.embedding_, n_out, loss)
        n_folds = min(recipe.n_folds, n_rows)
        folds = stratified_folds(values, n_folds, random_state)
        held_out = [np.flatnonzero(folds == j % n_folds) for j in range(recipe.n_members)]
        members = [
            Member(
                np.setdiff1d(np.arange(n_rows), rows, assume_unique=True),
                rows,
                first_parameters(spec, random_state),
            )
            for rows in held_out
        ]
        n_fewest = min(len(member.rows) for member in members)
        batch_size = recipe.batch_size_for(n_fewest)
        plan = recipe.plan(spec, batch_size)
        trained = replace(spec, bfloat16=self.dtype == "bfloat16")
        engine = choose(self.backend, trained, FLOAT32, plan).engine(
            trained, FLOAT32, thread_limit(self.n_threads)
        )
        data = Data(encoded, values, weight)
        bag = Bag(engine, plan, n_out, data, self._measure(data), random_state)
        rules = BagRules(recipe.max_iter, recipe.cycle_ends(), self.max_time)
        bag.train(
            members, recipe.rates(spec, n_fewest // batch_size), rules, self._on_epoch(members)
        )
        self._engines = {}
        self._encoder, self._recipe_used, self._n_out = encoder, recipe, n_out
        self._params = np.stack([member.best_params for member in members])
        self.n_iter_ = max(len(member.values) for member in members)
        self.loss_curve_ = _mean_curve([member.losses for member in members])
        self.validation_curve_ = _mean_curve([member.values for member in members])
        self._keep_out_of_fold(engine, data, members, counts)
        return self

    def _recipe(self) -> Recipe:
        """The preset, with the parameters that are not None in place of its own."""
        own = {field.name: getattr(self, field.name, None) for field in fields(Recipe)}
        given = {name: value for name, value in own.items() if value is not None}
        if "hidden_layer_sizes" in given:
            given["hidden_layer_sizes"] = tuple(hidden_sizes(given["hidden_layer_sizes"]))
        return replace(PRESETS[self.preset], **given)

    def _measure(self, data: Data) -> Any:
        """How bad predictions of held-out rows are: the loss that is trained."""
        loss = self._loss()

        def measure(member: Member, predictions: Array) -> float:
            weight = None if data.weight is None else data.weight[member.held_out]
            return loss_of(loss, predictions, data.y[member.held_out], weight)

        return measure

    def _on_epoch(self, members: Sequence[Member]) -> Any:
        def on_epoch(epoch: int) -> None:
            if self.verbose:
                values = [member.values[-1] for member in members if len(member.values) == epoch]
                print(f"Epoch {epoch}, validation loss = {np.mean(values):.6f}")

        return on_epoch

    def _keep_out_of_fold(
        self, engine: Engine, data: Data, members: Sequence[Member], counts: NDArray[np.bool_]
    ) -> None:
        """Each row answered by the members that did not see it; NaN where none or all have."""
        sums, n_answers = np.zeros((len(counts), self._n_out)), np.zeros(len(counts))
        given = np.flatnonzero(counts)  # the rows of ``data`` among those given to fit
        self._misses = []
        for member in members:
            out = np.empty((len(member.held_out), self._n_out), np.float32)
            engine.predict(member.best_params, data.X[member.held_out], out)
            sums[given[member.held_out]] += out
            n_answers[given[member.held_out]] += 1
            self._misses.append(self._missed_by(out, data.y[member.held_out]))
        with np.errstate(invalid="ignore", divide="ignore"):
            self.oof_prediction_ = self._shown(sums / n_answers[:, None])

    # ---- predicting

    def _by_member(self, X: Any) -> NDArray[np.float32]:
        """Each member's predictions, ``(n_members, n_samples, n_outputs)``."""
        check_is_fitted(self)
        encoded, engine = self._encoder.transform(X), self._engine()
        out = np.empty((len(self._params), encoded.shape[0], self._n_out), np.float32)
        for params, own in zip(self._params, out, strict=True):
            engine.predict(params, encoded, own)
        return out

    def _predictions(self, X: Any) -> NDArray[np.float64]:
        """The mean of the members' predictions, ``(n_samples, n_outputs)``."""
        return self._by_member(X).mean(axis=0, dtype=np.float64)

    def _engine(self) -> Engine:
        """What runs the members' network; made once for each choice of backend and threads."""
        key = self.backend, self.n_threads
        if key not in self._engines:
            spec = self._network()
            backend = choose(self.backend, spec, FLOAT32)
            self._engines[key] = backend.engine(spec, FLOAT32, thread_limit(self.n_threads))
        return self._engines[key]

    def _network(self) -> NetworkSpec:
        """The members' network."""
        return self._recipe_used.network(self._encoder.embedding_, self._n_out, self._loss())

    def __getstate__(self) -> dict[str, Any]:
        state = super().__getstate__()
        return {name: value for name, value in state.items() if name != "_engines"}

    def __setstate__(self, state: dict[str, Any]) -> None:
        super().__setstate__(state)
        self._engines = {}

    @abstractmethod
    def _checked_targets(self, y: Any) -> np.ndarray:
        """Targets ``(n_samples,)`` or ``(n_samples, n_outputs)`` that can be learned."""

    @abstractmethod
    def _learned(self, y: np.ndarray) -> tuple[np.ndarray, int, Loss]:
        """Targets as an engine reads them, the network's outputs, and the loss."""

    @abstractmethod
    def _loss(self) -> Loss:
        """What is minimised."""

    @abstractmethod
    def _missed_by(self, predictions: Array, y: np.ndarray) -> NDArray[np.float64]:
        """How far predictions of held-out rows are from the truth, for intervals and sets."""

    @abstractmethod
    def _shown(self, predictions: NDArray[np.float64]) -> NDArray[np.float64]:
        """Predictions of the network on the user's scale."""

    def __sklearn_tags__(self) -> Tags:
        tags = super().__sklearn_tags__()
        tags.input_tags.sparse = tags.input_tags.allow_nan = True
        tags.input_tags.string = tags.input_tags.categorical = True
        return tags


class TabularClassifier(ClassifierMixin, BaseTabular):
    """A bag of small networks for tables: classes."""

    def _loss(self) -> Loss:
        return LOSSES["log_loss"]

    def _checked_targets(self, y: Any) -> np.ndarray:
        y = column_or_1d(y, warn=True)
        if y.dtype == object and any(map(is_missing, y)):
            raise ValueError("Input y contains NaN.")
        assert_all_finite(y, input_name="y")
        check_classification_targets(y)
        return y

    def _learned(self, y: np.ndarray) -> tuple[np.ndarray, int, Loss]:
        self.classes_, codes = np.unique(y, return_inverse=True)
        if len(self.classes_) < 2:
            raise ValueError(
                f"y holds one class only, {self.classes_.tolist()[0]!r}; a classifier needs at"
                " least 2 classes."
            )
        return codes.astype(np.int32), len(self.classes_), self._loss()

    def _shown(self, predictions: NDArray[np.float64]) -> NDArray[np.float64]:
        return predictions

    def _missed_by(self, predictions: Array, y: np.ndarray) -> NDArray[np.float64]:
        return 1 - predictions[np.arange(len(y)), y].astype(np.float64)

    def predict_set(self, X: Any, coverage: float = 0.9) -> NDArray[np.bool_]:
        """Which classes each row may have, by CV+; see :mod:`fastnn.tabular.conformal`.

        Parameters
        ----------
        X : DataFrame, array-like or sparse matrix of shape (n_samples, n_features)
        coverage : float, default=0.9
            The share of rows whose class should be among them, in (0, 1).

        Returns
        -------
        sets : ndarray of bool, shape (n_samples, n_classes)
            In the order of ``classes_``. Rows of no class are unlike those of the training.
        """
        return class_sets(self._by_member(X).astype(np.float64), self._misses, coverage)

    def predict_proba(self, X: Any) -> NDArray[np.float64]:
        """Probabilities of the classes, ``(n_samples, n_classes)``."""
        probabilities = self._predictions(X)
        return probabilities / probabilities.sum(axis=1, keepdims=True)  # 1 in float64, too

    def predict(self, X: Any) -> np.ndarray:
        """The likeliest class, ``(n_samples,)``."""
        probabilities = self._predictions(X)  # NotFittedError comes before classes_ are missed
        return self.classes_[probabilities.argmax(axis=1)]


class TabularRegressor(RegressorMixin, BaseTabular):
    """A bag of small networks for tables: numbers."""

    def _loss(self) -> Loss:
        return LOSSES["squared_error"]

    def _checked_targets(self, y: Any) -> np.ndarray:
        refuse_dates(np.asarray(y), "y")
        y = check_array(y, ensure_2d=False, dtype=np.float64, order="C", input_name="y")
        return column_or_1d(y, warn=True) if y.ndim == 2 and y.shape[1] == 1 else y

    def _learned(self, y: np.ndarray) -> tuple[np.ndarray, int, Loss]:
        self._one_target = y.ndim == 1
        y = y.reshape(len(y), -1)
        self._low, self._high = y.min(axis=0), y.max(axis=0)
        with np.errstate(over="ignore", invalid="ignore"):
            self._mean, self._std = y.mean(axis=0), y.std(axis=0)
        wrong = ~np.isfinite(self._std) | ((self._std == 0) & (self._low < self._high))
        if wrong.any():
            raise ValueError(
                f"y has a variance that float64 cannot hold, with numbers from"
                f" {self._low[wrong][0]:g} to {self._high[wrong][0]:g}. Fit it in another unit."
            )
        self._std[self._std == 0] = 1
        return ((y - self._mean) / self._std).astype(np.float32), y.shape[1], self._loss()

    def _shown(self, predictions: NDArray[np.float64]) -> NDArray[np.float64]:
        columns = self._shown_columns(predictions)
        return columns.ravel() if self._one_target else columns

    def _shown_columns(self, predictions: np.ndarray) -> NDArray[np.float64]:
        """The same of any number of axes, the last of which counts the targets."""
        return np.clip(predictions * self._std + self._mean, self._low, self._high)

    def _missed_by(self, predictions: Array, y: np.ndarray) -> NDArray[np.float64]:
        return np.abs(self._shown_columns(predictions) - self._shown_columns(y))

    def predict_interval(
        self, X: Any, coverage: float = 0.9
    ) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Where the target of each row lies, by CV+; see :mod:`fastnn.tabular.conformal`.

        Parameters
        ----------
        X : DataFrame, array-like or sparse matrix of shape (n_samples, n_features)
        coverage : float, default=0.9
            The share of rows whose target should lie between the ends, in (0, 1).

        Returns
        -------
        low, high : ndarray of shape (n_samples,) or (n_samples, n_outputs)
        """
        shown = self._shown_columns(self._by_member(X))
        ends = [
            intervals(shown[:, :, i], [miss[:, i] for miss in self._misses], coverage)
            for i in range(shown.shape[2])
        ]
        low, high = (np.stack(columns, axis=1) for columns in zip(*ends, strict=True))
        return (low.ravel(), high.ravel()) if self._one_target else (low, high)

    def predict(self, X: Any) -> NDArray[np.float64]:
        """Predicted values, ``(n_samples,)`` or ``(n_samples, n_outputs)``."""
        return self._shown(self._predictions(X))


def loss_of(loss: Loss, predictions: Array, y: np.ndarray, weight: Array | None) -> float:
    """The mean log loss of probabilities, or squared error of numbers."""
    if loss.y_is_codes:
        tiny = np.finfo(predictions.dtype).tiny
        each = -np.log(np.maximum(predictions[np.arange(len(y)), y], tiny))
    else:
        with np.errstate(over="ignore", invalid="ignore"):  # infinite is what it then is
            each = ((predictions - y) ** 2).mean(axis=1)
    return float(np.average(each, weights=weight))


def stratified_folds(
    values: np.ndarray, n_folds: int, random_state: np.random.RandomState
) -> NDArray[np.int64]:
    """The fold of each row: equal shares of each class, or of each part of a target's range."""
    order = random_state.permutation(len(values))
    first = values if values.ndim == 1 else values[:, 0]
    order = order[np.argsort(first[order], kind="stable")]
    folds = np.empty(len(values), np.int64)
    folds[order] = (np.arange(len(values)) + random_state.randint(n_folds)) % n_folds
    return folds


def _mean_curve(curves: Sequence[Sequence[float]]) -> list[float]:
    """The mean over the members that still trained in each epoch."""
    longest = max(map(len, curves))
    return [float(np.mean([c[i] for c in curves if i < len(c)])) for i in range(longest)]
