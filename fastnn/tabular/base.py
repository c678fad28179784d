"""What do the estimators of tables share? Fitting a bag, and asking its members."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from copy import copy
from dataclasses import dataclass, replace
from numbers import Integral
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray
from sklearn.utils import Tags, check_consistent_length, check_random_state
from sklearn.utils.validation import (
    check_is_fitted,
    validate_data,
)

from fastnn._sklearn import fit_context, safe_indexing
from fastnn.backends import choose
from fastnn.backends.base import Data, Engine
from fastnn.core.activations import Array
from fastnn.core.embedding import Encoded
from fastnn.core.losses import Loss
from fastnn.core.network import NetworkSpec
from fastnn.estimators.base import unchanged_on_error
from fastnn.estimators.callbacks import CallbackSupport
from fastnn.estimators.targets import Targets, ValidationRows
from fastnn.tabular.embed import EmbeddingEncoder
from fastnn.tabular.folds import (
    Counted,
    Rows,
    Split,
    checked_groups,
    fold_splits,
    given_splits,
)
from fastnn.tabular.importances import permutation_importances
from fastnn.tabular.metrics import measure_by
from fastnn.tabular.parameters import TabularParameters
from fastnn.tabular.recipe import Recipe, first_parameters
from fastnn.tabular.table import as_table
from fastnn.training.bag import Bag, BagLoop, BagRules, Member
from fastnn.training.callbacks import Callback, Origin, fit_begins, watched_by
from fastnn.training.data import row_weights
from fastnn.training.model import thread_limit
from fastnn.training.stopping import TimeLimit


@dataclass
class FittedMember:
    """What is known of a member of a bag after the fit.

    Attributes
    ----------
    held_out : ndarray of int
        The rows of those given to ``fit`` that it did not see; with ``X_val`` none.
    n_iter : int
        Epochs that it trained.
    best_iter : int
        The epoch, from 1, whose parameters it has.
    best_value : float
        The measure then; less is better.
    loss_curve, validation_curve : list of float
        Its training loss and the measure of each epoch.
    """

    held_out: Rows
    n_iter: int
    best_iter: int
    best_value: float
    loss_curve: list[float]
    validation_curve: list[float]


@dataclass(frozen=True)
class Given:
    """What ``fit`` is given."""

    X: Any
    y: Any
    weight: Any
    groups: Any
    validation: ValidationRows | None

    def of(self, counted: Counted) -> Given:
        """The same of the rows that are learned from."""
        rows, X, y, groups = counted.first, self.X, self.y, self.groups
        if not np.array_equal(rows, np.arange(len(y))):
            X, y = safe_indexing(X, rows), y[rows]
            groups = None if groups is None else groups[rows]
        return replace(self, X=X, y=y, weight=counted.weight, groups=groups)


@dataclass(frozen=True)
class Learnable:
    """What a bag learns from: rows that count, then rows to validate on where some are given.

    Attributes
    ----------
    recipe : Recipe
        For as many rows as count.
    data : Data
    y : ndarray
        The targets as the user gave them.
    counted : Counted
    splits : list of Split
        One for each member.
    """

    recipe: Recipe
    data: Data
    y: np.ndarray
    counted: Counted
    splits: list[Split]

    @property
    def has_validation(self) -> bool:
        """Whether rows to validate on are given."""
        return len(self.y) > len(self.counted.first)


def _data(X: Encoded, learned: Targets, weight: Array | None, dtype: np.dtype) -> Data:
    """What an engine reads of encoded rows, their targets and weights."""
    return Data(X.astype(dtype), learned.as_dtype(dtype), learned.weigh(weight, dtype))


def _joined(one: Data, other: Data) -> Data:
    """The rows of two."""
    weight = None
    if one.weight is not None or other.weight is not None:
        each = [
            np.ones(len(d.y), d.X.dtype) if d.weight is None else d.weight for d in (one, other)
        ]
        weight = np.concatenate(each)
    X = Encoded.joined([cast(Encoded, one.X), cast(Encoded, other.X)])
    return Data(X, np.concatenate([one.y, other.y]), weight)


def check_n_rows(n_rows: int) -> None:
    """ValueError if there are too few rows to learn from and to hold out."""
    if n_rows < 2:
        raise ValueError(
            f"X must have at least 2 samples whose weight is above 0, got {n_rows} sample."
        )


def _check_weights(weight: Array | None, splits: Sequence[Split]) -> None:
    """ValueError if the rows that a member trains on, or is measured on, have no weight at all."""
    for j, split in enumerate(splits if weight is not None else ()):
        for what, rows in (("trains on", split.rows), ("holds out", split.held_out)):
            if not weight[rows].any():  # type: ignore[index]
                raise ValueError(
                    f"Member {j} {what} {len(rows)} rows whose weights are all 0. Give them weights"
                    " by sample_weight and class_weight, or other folds by cv."
                )


class PrintEpoch:
    """Prints the mean loss and measure of each epoch."""

    def on_pass_end(self, loop: Any) -> None:
        """Print both."""
        loss, value = loop.losses[-1], loop.values[-1]
        print(f"Epoch {loop.n_iter}, loss = {loss:.6f}, validation = {value:.6f}")


class BaseTabular(CallbackSupport, TabularParameters):
    """What the classifier and the regressor of tables share."""

    _engines: dict[tuple[str, int | None], Engine]  # by backend and threads; absent from pickles
    _loss: Loss  # what the bag was trained by

    # ---- fitting

    @fit_context(prefer_skip_nested_validation=True)
    def fit(
        self,
        X: Any,
        y: Any,
        sample_weight: Any = None,
        *,
        X_val: Any = None,
        y_val: Any = None,
        sample_weight_val: Any = None,
        groups: Any = None,
    ) -> Any:
        """Fit a bag of networks to a table.

        Parameters
        ----------
        X : DataFrame, array-like or sparse matrix of shape (n_samples, n_features)
            Numbers and categories; cells may be missing.
        y : array-like of shape (n_samples,) or (n_samples, n_outputs)
        sample_weight : array-like of shape (n_samples,), default=None
            How much each row counts; rows of weight 0 are as if absent.
        X_val : DataFrame, array-like or sparse matrix of shape (n_val, n_features), default=None
            Rows on which all members choose their best epoch, in place of folds that they hold
            out: every member then trains on all of X.
        y_val : array-like of shape (n_val,) or (n_val, n_outputs), default=None
            Their targets.
        sample_weight_val : array-like of shape (n_val,), default=None
            How much each of them counts.
        groups : array-like of shape (n_samples,), default=None
            Rows of a group are held out together.

        Returns
        -------
        self : object

        Raises
        ------
        ValueError, TypeError
            If the input is not usable, or training diverges; the model is then as it was before.
        """
        validation = ValidationRows.given(X_val, y_val, sample_weight_val)
        limits = () if self.max_time is None else (TimeLimit(self.max_time),)
        given = self._checked(Given(as_table(X), y, sample_weight, groups, validation))
        counted, splits = self._counted(given)
        recipe = self._recipe(len(counted.first))
        with (
            watched_by(*limits),
            self._watched(X, y, sample_weight, recipe.max_iter),
            unchanged_on_error(self),
        ):
            return self._fit(recipe, given.of(counted), counted, splits)

    def _fit(
        self, recipe: Recipe, given: Given, counted: Counted, splits: list[Split] | None
    ) -> Any:
        """As :meth:`fit` of the rows that count; what fails may leave the model half fitted."""
        random_state = check_random_state(self.random_state)
        encoder = self._new_encoder(recipe)
        given = replace(given, X=encoder.fit_transform(given.X))
        self._keep_encoder(encoder)
        learnable = self._split(recipe, given, counted, splits, random_state)
        bag, loop, rates = self._bag(learnable, random_state)
        fit_begins(cast(Any, loop), Origin(self.network_, bag.data))  # it has what callbacks see
        printing: tuple[Callback, ...] = (PrintEpoch(),) if self.verbose else ()
        bag.train(loop, rates, printing)
        self._show(bag, loop, learnable)
        return self

    def _bag(
        self, learnable: Learnable, random_state: np.random.RandomState
    ) -> tuple[Bag, BagLoop, NDArray[np.float64]]:
        """The bag before its first epoch, and the learning rates of each step."""
        data, recipe = learnable.data, learnable.recipe
        dtype = recipe.floats
        self._recipe_used, self._engines = recipe, {}
        spec = self.network_
        seeds = random_state.randint(2**31 - 1, size=len(learnable.splits))
        members = []
        for seed, split in zip(seeds, learnable.splits, strict=True):
            own = np.random.RandomState(seed)
            members.append(Member(*split, first_parameters(spec, dtype, own), own))
        n_mean = sum(len(member.rows) for member in members) // len(members)
        batch_size = recipe.batch_size_for(n_mean)
        plan = recipe.plan(spec, batch_size)
        trained = replace(spec, bfloat16=recipe.dtype == "bfloat16")
        engine = choose(self.backend, trained, dtype, plan).engine(
            trained, dtype, thread_limit(self.n_threads)
        )
        measure = measure_by(
            self.eval_metric, self, self._loss, data, learnable.y, not learnable.has_validation
        )
        loop = BagLoop(members, BagRules(recipe.max_iter, recipe.cycle_ends()))
        rates = recipe.rates(spec, batch_size, n_mean // batch_size)
        return Bag(engine, plan, self._n_out, data, measure), loop, rates

    def _split(
        self,
        recipe: Recipe,
        given: Given,
        counted: Counted,
        splits: list[Split] | None,
        random_state: np.random.RandomState,
    ) -> Learnable:
        """Split the rows to learn from, encoded; None are the folds that the recipe has."""
        n_rows = len(given.y)
        check_n_rows(n_rows)
        dtype = recipe.floats
        learned = self._learned(given.y)
        self._loss, self._n_out = learned.loss, learned.n_outputs
        data, y = _data(given.X, learned, given.weight, dtype), given.y
        if given.validation is not None:
            validation, y_val = self._validation(given.validation, learned, dtype)
            data, y = _joined(data, validation), np.concatenate([y, y_val])
            rows, held_out = np.split(np.arange(len(y)), [n_rows])
            splits = [Split(rows, held_out)] * recipe.n_members
        elif splits is None:
            n_folds, n_members = recipe.n_folds, recipe.n_members
            splits = fold_splits(data.y, given.groups, n_folds, n_members, random_state)
        n_members = self.n_members or len(splits)
        splits = [splits[j % len(splits)] for j in range(n_members)]
        _check_weights(data.weight, splits)
        return Learnable(recipe, data, y, counted, splits)

    def _checked(self, given: Given) -> Given:
        """The same with arrays of targets, weights and groups, as long as X and of use together."""
        groups = checked_groups(given.groups)
        validate_data(copy(self), given.X, given.y, skip_check_array=True)
        y = self._checked_targets(given.y)
        check_consistent_length(given.X, y, groups)
        weight = row_weights(given.weight, len(y), self._recipe(0).floats)
        if given.validation is not None and (self.cv is not None or groups is not None):
            raise ValueError(
                "X_val takes the place of folds: leave out cv and groups, or X_val and y_val."
            )
        return replace(given, y=y, weight=weight, groups=groups)

    def _counted(self, given: Given) -> tuple[Counted, list[Split] | None]:
        """The rows to learn from, and their splits where ``cv`` gives some."""
        if self.cv is None or isinstance(self.cv, Integral):
            return Counted.of(len(given.y), given.weight), None
        splits = given_splits(self.cv, given.X, given.y, given.groups)
        counted = Counted.distinct(given.X, given.y, given.weight, splits)
        return counted, counted.of_splits(splits)

    def _new_encoder(self, recipe: Recipe) -> EmbeddingEncoder:
        return EmbeddingEncoder(
            recipe.n_bins, recipe.embedding_size, self.categorical_features, recipe.max_categories
        )

    def _keep_encoder(self, encoder: EmbeddingEncoder) -> None:
        """Keep what knows the columns of the rows to learn from."""
        self._encoder = encoder
        for name in ("n_features_in_", "feature_names_in_"):
            self.__dict__.pop(name, None)
            if hasattr(encoder, name):
                setattr(self, name, getattr(encoder, name))

    def _validation(
        self, given: ValidationRows, like: Targets, dtype: np.dtype
    ) -> tuple[Data, np.ndarray]:
        """The rows to validate on, and their targets as given."""
        try:
            X, y = as_table(given.X), self._checked_targets(given.y)
            check_consistent_length(X, y)
            learned = replace(like, values=self._as_learned(y))
            weight = row_weights(given.weight, X.shape[0], dtype)
            return _data(self._encoder.encode(X, self), learned, weight, dtype), y
        except ValueError as error:
            raise ValueError(f"X_val, y_val, sample_weight_val: {error}") from error

    def _show(self, bag: Bag, loop: BagLoop, learnable: Learnable) -> None:
        """What the members have learned, and what they answer of rows that they did not see."""
        members, data, counted = loop.members, learnable.data, learnable.counted
        self._params = np.stack([member.best_params for member in members])
        self.n_iter_ = loop.n_iter
        self.loss_curve_, self.validation_curve_ = loop.losses, loop.values
        self.members_ = [
            FittedMember(
                np.flatnonzero(np.isin(counted.places, member.held_out)),
                len(member.values),
                member.best_iter,
                member.best_value,
                member.losses,
                member.values,
            )
            for member in members
        ]
        sums, n_answers = np.zeros((len(learnable.y), self._n_out)), np.zeros(len(learnable.y))
        for member in members:
            sums[member.held_out] += member.answers
            n_answers[member.held_out] += 1
        answered = np.flatnonzero(n_answers)
        with np.errstate(invalid="ignore", divide="ignore"):
            answers = sums / n_answers[:, None]
        asked = [(member.held_out, member.answers) for member in members]
        if learnable.has_validation:  # which the whole bag answers
            asked = [(answered, answers[answered])]
        self._misses = [self._missed_by(own, data.y[rows]) for rows, own in asked]
        weight = None if data.weight is None else data.weight[answered]
        self.validation_score_ = np.nan
        if len(answered) > 1:
            own = answers[answered]
            self.validation_score_ = self._judged(own, Data(own, data.y[answered], weight))
        answers = answers[counted.places]
        answers[counted.places < 0] = np.nan
        self.oof_prediction_ = self._shown(answers)
        self.__dict__.pop("feature_importances_", None)
        if self.importance_repeats:
            found = permutation_importances(bag, members, self._encoder, self.importance_repeats)
            if found is not None:
                self.feature_importances_ = found

    def _as_of(self, loop: Any, origin: Origin) -> dict[str, Any]:
        params = [member.best_params for member in loop.members]
        return {"_params": np.stack(params), "n_iter_": loop.n_iter}

    @property
    def partial_fit(self) -> Any:
        """Absent: a bag needs the whole table."""
        raise AttributeError(
            f"{type(self).__name__} has no partial_fit: the edges of its bins, its categories and"
            " the folds of its members need the whole table. Call fit with all rows, or use"
            " MLPClassifier or MLPRegressor."
        )

    # ---- predicting

    def _by_member(self, X: Any) -> Array:
        """Each member's predictions, ``(n_members, n_samples, n_outputs)``."""
        if not hasattr(self, "_params"):
            check_is_fitted(self)
        dtype = self._params.dtype
        encoded = self._encoder.encode(X, self).astype(dtype)
        out = np.empty((len(self._params), len(encoded.bins), self._n_out), dtype)
        self._engine().predict(self._params, encoded, out)
        return out

    def _by_judged(self, X: Any) -> NDArray[np.float64]:
        """Predictions of those whose misses are known: each member, or with X_val all as one."""
        by_member = self._by_member(X).astype(np.float64)
        return by_member if len(self._misses) > 1 else by_member.mean(axis=0, keepdims=True)

    def _predictions(self, X: Any) -> NDArray[np.float64]:
        """The mean of the members' predictions, ``(n_samples, n_outputs)``."""
        each = self._by_member(X)
        return np.add.reduce(each, axis=0, dtype=np.float64) / len(each)  # a mean in half the time

    def _engine(self) -> Engine:
        """What runs the members' network; made once for each choice of backend and threads."""
        key = self.backend, self.n_threads
        if key not in self._engines:
            spec = self.network_
            dtype, wanted = self._params.dtype, spec.layout.n_params
            if self._params.shape[1:] != (wanted,):
                raise ValueError(
                    f"The parameters have shape {self._params.shape}, but each member of this"
                    f" network has {wanted}."
                )
            backend = choose(self.backend, spec, dtype)
            self._engines[key] = backend.engine(spec, dtype, thread_limit(self.n_threads))
        return self._engines[key]

    @property
    def n_members_(self) -> int:
        """How many networks it holds."""
        return len(self._params)

    @property
    def network_(self) -> NetworkSpec:
        """What each of them is."""
        return self._recipe_used.network(self._encoder.embedding_, self._n_out, self._loss)

    def __getstate__(self) -> dict[str, Any]:
        state = super().__getstate__()
        return {name: value for name, value in state.items() if name != "_engines"}

    def __setstate__(self, state: dict[str, Any]) -> None:
        super().__setstate__(state)
        self._engines = {}
        if "_params" in state:  # which may lie askew in memory, sent between processes
            self._params = np.require(state["_params"], requirements="A")

    @abstractmethod
    def _checked_targets(self, y: Any) -> np.ndarray:
        """Targets ``(n_samples,)`` or ``(n_samples, n_outputs)`` that can be learned."""

    @abstractmethod
    def _learned(self, y: np.ndarray) -> Targets:
        """Targets as a network learns them, and the loss; what was found in them is kept."""

    @abstractmethod
    def _as_learned(self, y: np.ndarray) -> np.ndarray:
        """Targets of other rows, as those of the fit under way are learned."""

    @abstractmethod
    def _missed_by(self, predictions: Array, y: np.ndarray) -> NDArray[np.float64]:
        """How far predictions of held-out rows are from the truth, for intervals and sets."""

    @abstractmethod
    def _judged(self, predictions: Array, held_out: Data) -> float:
        """What ``score`` gives."""

    @abstractmethod
    def _shown(self, predictions: NDArray[np.float64]) -> NDArray[np.float64]:
        """Predictions of the network on the user's scale."""

    def __sklearn_tags__(self) -> Tags:
        tags = super().__sklearn_tags__()
        tags.input_tags.sparse = tags.input_tags.allow_nan = True
        tags.input_tags.string = tags.input_tags.categorical = True
        return tags
