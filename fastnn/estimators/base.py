"""What do the classifier and the regressor share? Validation, fit, predict, conventions."""

from __future__ import annotations

import copy
from abc import abstractmethod
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np
from sklearn.base import BaseEstimator
from sklearn.utils import Tags, check_random_state
from sklearn.utils.validation import check_is_fitted, column_or_1d, validate_data

from fastnn._sklearn import fit_context
from fastnn.backends import choose
from fastnn.backends.base import Data, Engine, Plan
from fastnn.backends.checks import NotFinite
from fastnn.core.activations import Array
from fastnn.core.losses import LOSSES, Loss
from fastnn.core.network import NetworkSpec
from fastnn.estimators import targets
from fastnn.estimators.parameters import SharedParameters
from fastnn.estimators.subclasses import name_constructor, warn_of_hooks
from fastnn.estimators.targets import Targets
from fastnn.training import lbfgs
from fastnn.training.callbacks import PrintLoss, Validation
from fastnn.training.data import design_matrix, hold_out, row_numbers, row_weights, select_rows
from fastnn.training.loop import train
from fastnn.training.model import Network, thread_limit
from fastnn.training.state import LoopState

_FLOATS = (np.float64, np.float32)
_SPARSE = ("csr", "csc")


@contextmanager
def unchanged_on_error(estimator: BaseEstimator) -> Iterator[None]:
    """Give every attribute back its old value if the body raises.

    A failed fit leaves a fitted model as it was.
    """
    before = vars(estimator).copy()
    try:
        yield
    except BaseException:
        vars(estimator).clear()
        vars(estimator).update(before)
        raise


class BaseMLP(SharedParameters):
    """What the classifier and the regressor share.

    Attributes with a trailing underscore are the truth outside a fit.
    """

    _loss: Loss  # what the network is trained by, whatever the parameters say by now
    _loop: LoopState  # what later calls go on from; absent before the first with 'adam' or 'sgd'
    _model: Network  # the vector that coefs_ and intercepts_ are views of; absent from pickles

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        name_constructor(cls)
        warn_of_hooks(cls, BaseMLP)

    # ---- fitting

    @fit_context(prefer_skip_nested_validation=True)
    def fit(self, X: Any, y: Any, sample_weight: Any = None) -> Any:
        """Fit the model to data matrix X and target(s) y.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
            The input data. With ``dtype="auto"`` float32 is trained in float32, everything else in
            float64.
        y : array-like of shape (n_samples,) or (n_samples, n_outputs)
            The target values: class labels in classification, real numbers in regression.
        sample_weight : array-like of shape (n_samples,), default=None
            How much each row counts; not negative.

        Returns
        -------
        self : object
            The trained model.

        Raises
        ------
        ValueError
            If the input is not usable, or training diverges; the model is then as it was before.
        TypeError
            If the targets of a regression are no real numbers, such as dates.
        MemoryError
            If the network is too large for this machine.
        """
        with unchanged_on_error(self):
            return self._fit(X, y, sample_weight, incremental=False)

    def _fit(self, X: Any, y: Any, sample_weight: Any, incremental: bool) -> Any:
        if incremental:
            self._validate_params()  # scikit-learn does so at the first call only
        hidden = self._hidden_sizes()
        if self.early_stopping and incremental and self.solver != "lbfgs":
            raise ValueError("partial_fit does not support early_stopping=True")
        first = not hasattr(self, "coefs_") or not (self.warm_start or incremental)
        X, y = validate_data(
            self,
            X,
            y,
            accept_sparse=_SPARSE,
            multi_output=True,
            dtype=self._converts_to(_FLOATS),
            order="C",
            reset=first,
        )
        if y.ndim == 2 and y.shape[1] == 1:
            y = column_or_1d(y, warn=True)
        encoded = self._encode_targets(y, first, incremental)
        known = None if first else self._network_to_go_on(hidden, encoded.n_outputs)
        dtype = X.dtype if known is None else known.params.dtype
        if self.solver == "lbfgs":
            dtype = np.dtype(np.float64)  # as in scikit-learn, whatever X is
        weight = row_weights(sample_weight, X.shape[0], dtype)
        data = Data(design_matrix(X, dtype), encoded.as_dtype(dtype), weight)
        random_state = check_random_state(self.random_state)

        if known is None:
            self._forget()
            units = [X.shape[1], *hidden, encoded.n_outputs]
            spec = NetworkSpec.dense(units, self.activation, encoded.loss)
        else:
            spec = known.spec
        self._loss, self.out_activation_ = spec.loss, spec.loss.inverse_link
        loop = self._begin(incremental)
        trained = spec.with_dropout(self.dropout)
        draws = {"dropout": trained.drops, "augment": self._augmentations(data.X)}
        for name in [name for name, used in draws.items() if used and loop.plan is None]:
            raise ValueError(
                f"{name}={getattr(self, name)!r} cannot be used with solver='lbfgs', which compares"
                " losses of the same network on the same rows. Choose another solver, or leave"
                f" {name} out."
            )
        backend = choose(self.backend, trained, dtype, loop.plan)  # refuses before any draw
        network = known or Network.create(spec, X.dtype, random_state)
        if known is not None or network.params.dtype != dtype:
            network = network.copy(dtype)  # so that a diverging call costs nothing
        loop.set_params(network.params)
        engine = backend.engine(trained, dtype, thread_limit(self.n_threads))
        if loop.plan is None:
            objective = lbfgs.full_batch(engine, spec, data, self.alpha)
            printing = (PrintLoss(),) if self.verbose else ()
            self.loss_ = lbfgs.minimise(loop, objective, self.max_fun, printing)
            self.n_iter_ = loop.n_iter
        else:
            loop.random_state = random_state
            if any(draws.values()):  # else scikit-learn's stream of draws stays untouched
                loop.draw_seed()
            self._fit_minibatches(loop, engine, data, spec.n_out, encoded.strata, first)
        self.n_outputs_ = spec.n_out
        self.n_layers_ = len(spec.layers) + 1
        self._adopt(network)
        return self

    def _begin(self, incremental: bool) -> LoopState:
        """What a fit remembers at its start: today's settings, and what goes on from before."""
        if self.solver == "lbfgs":
            return LoopState.without_plan(self._rules(incremental=False))
        rules = self._rules(incremental)
        earlier = getattr(self, "_loop", None)
        if incremental and earlier is not None:
            return earlier.resume(rules, self.alpha)
        plan = Plan(self._new_optimizer(), alpha=self.alpha)
        return LoopState.begin(rules, plan, self._new_schedule(), earlier)

    def _fit_minibatches(
        self,
        loop: LoopState,
        engine: Engine,
        data: Data,
        n_out: int,
        strata: np.ndarray | None,
        first: bool,
    ) -> None:
        """Hold out rows if asked to, train, and show what happened."""
        loop.rows, validation = row_numbers(data.X.shape[0]), None
        if self.early_stopping:
            assert loop.random_state is not None
            loop.rows, held_out = hold_out(
                loop.rows, self.validation_fraction, strata, loop.random_state
            )
            validation = Validation(engine, n_out, select_rows(data, held_out), self._scorer())
            loop.best_loss = np.inf  # what is judged is the score
            if first:  # a later fit keeps its last parameters unless a better score comes
                loop.best_params = loop.params.copy()
        assert loop.plan is not None
        loop.plan = replace(loop.plan, batch_size=self._batch_size_for(len(loop.rows)))
        train(loop, engine, data, self._callbacks(validation), self._augmentations(data.X))
        self._show(loop)

    def _show(self, loop: LoopState) -> None:
        """What a fit remembers, under scikit-learn's names.

        Curves grow in place: many calls of partial_fit stay cheap.
        """
        self._loop = loop.at_rest()
        self.n_iter_, self.t_ = loop.n_iter, loop.t
        self._no_improvement_count = loop.no_improvement_count  # scikit-learn's tests read it
        if loop.losses:
            self.loss_ = loop.losses[-1]
        self.loss_curve_ = getattr(self, "loss_curve_", [])
        self.loss_curve_ += loop.losses
        self.best_loss_ = None if self.early_stopping else loop.best_loss
        self.validation_scores_ = getattr(self, "validation_scores_", None)
        self.best_validation_score_ = getattr(self, "best_validation_score_", None)
        if self.early_stopping:
            self.validation_scores_ = [*(self.validation_scores_ or []), *loop.scores]
            self.best_validation_score_ = loop.best_score

    def _adopt(self, network: Network) -> None:
        """Show ``network`` as ``coefs_`` and ``intercepts_``.

        They are lists of the user's own, so that an array put in is noticed.
        """
        self._model = network
        self.coefs_, self.intercepts_ = list(network.coefs), list(network.intercepts)

    def _forget(self) -> None:
        """Make room for a first fit; what another solver left would describe another model."""
        for name in (
            "loss_curve_",
            "best_loss_",
            "validation_scores_",
            "best_validation_score_",
            "_loop",
        ):
            self.__dict__.pop(name, None)
        self.t_ = self.n_iter_ = 0

    @abstractmethod
    def _encode_targets(self, y: Any, first: bool, incremental: bool) -> Targets:
        """Targets as a network learns them; ``first`` is False where a fitted model goes on."""

    @staticmethod
    @abstractmethod
    def _default_score(predictions: Array, held_out: Data) -> float:
        """What early stopping watches by default; greater is better."""

    @abstractmethod
    def _decoded(self, y: np.ndarray) -> np.ndarray:
        """The user's targets of those that a network learns."""

    def _scorer(self) -> Callable[[Array, Data], float]:
        """What early stopping watches, by ``scoring``; ValueError if there is no such scorer."""
        if self.scoring is None:
            return self._default_score
        if self.scoring == "loss":
            return partial(targets.negative_loss, self._loss)
        from sklearn.metrics import get_scorer  # it would make importing slower

        scorer = get_scorer(self.scoring)
        present = copy.copy(self)  # what the network predicts at this pass, with the user's methods

        def score(predictions: Array, held_out: Data) -> float:
            if not np.isfinite(predictions).all():
                return np.nan
            present._predictions = lambda X: predictions  # type: ignore[method-assign]
            weight = {} if held_out.weight is None else {"sample_weight": held_out.weight}
            return float(scorer(present, held_out.X, self._decoded(held_out.y), **weight))

        return score

    # ---- predicting

    def _network(self) -> Network:
        """The network of ``coefs_`` and ``intercepts_``.

        They are copied only if any was assigned anew since the fit.
        """
        arrays = self.coefs_, self.intercepts_, self.activation, self._trained_by()
        model = getattr(self, "_model", None)
        if model is not None and model.holds(*arrays):
            return model
        network = Network.gather(*arrays)
        if network.spec.n_in != self.n_features_in_:
            raise ValueError(
                f"coefs_[0] must have {self.n_features_in_} rows, one for each feature, got"
                f" {network.spec.n_in}."
            )
        if network.spec.n_out != self.n_outputs_:
            raise ValueError(
                f"coefs_[-1] must have {self.n_outputs_} columns, one for each output, got"
                f" {network.spec.n_out}."
            )
        return network

    def _trained_by(self) -> Loss:
        """The loss of the fit; where attributes were set by hand, one of ``out_activation_``."""
        if hasattr(self, "_loss"):
            return self._loss
        return next(loss for loss in LOSSES.values() if loss.inverse_link == self.out_activation_)

    def _network_to_go_on(self, hidden: list[int], n_outputs: int) -> Network:
        """The network of now, if the parameters and targets of now fit it."""
        network = self._network()
        n_hidden = len(network.spec.layers) - 1
        if len(hidden) != n_hidden:
            raise ValueError(
                f"hidden_layer_sizes is {hidden}, but the model to go on from has {n_hidden} hidden"
                " layers. Set warm_start=False and call fit to start anew."
            )
        if n_outputs != network.spec.n_out:
            raise ValueError(
                f"y has {n_outputs} outputs, but this model was fitted with {network.spec.n_out}."
            )
        return network

    def hidden_activations(self, X: Any) -> list[np.ndarray]:
        """What each layer puts out, by the formulas of the NumPy backend.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
            The input data.

        Returns
        -------
        activations : list of ndarray of shape (n_samples, n_neurons)
            One for each layer, the hidden ones first. The last is the prediction before anything
            is decided: for two classes the probability of the second, ``(n_samples, 1)``.
        """
        if not hasattr(self, "coefs_"):
            check_is_fitted(self)
        return self._network().layer_outputs(self._validated(X))

    def _predictions(self, X: Any) -> np.ndarray:
        """Predictions ``(n_samples, n_outputs)`` through the inverse link, for a user's X."""
        if not hasattr(self, "coefs_"):
            check_is_fitted(self)
        if self._is_plain(X):
            plain = X if self.dtype == "auto" else self._convert(X)
            with suppress(NotFinite):
                return self._network().predict(plain, self.backend, self.n_threads)
        return self._network().predict(self._validated(X), self.backend, self.n_threads)

    def _validated(self, X: Any) -> Any:
        """X for predicting, checked by scikit-learn, in the type that ``dtype`` names."""
        dtype = self._converts_to("numeric")
        return validate_data(self, X, accept_sparse=_SPARSE, dtype=dtype, reset=False)

    def _convert(self, X: np.ndarray) -> np.ndarray:
        """Plain X in the type that ``dtype`` names; the engine finds what overflows."""
        dtype = self._converts_to(None)
        if X.dtype == dtype:
            return X
        with np.errstate(over="ignore"):
            return X.astype(dtype)

    def _converts_to(self, auto: Any) -> Any:
        """What ``validate_data`` converts X to: ``auto``, unless ``dtype`` names a type."""
        if self.dtype not in ("auto", "float32", "float64"):  # set after the fit that checks it
            raise ValueError(f"dtype must be 'auto', 'float32' or 'float64', got {self.dtype!r}.")
        return auto if self.dtype == "auto" else self.dtype

    def _is_plain(self, X: Any) -> bool:
        """Whether validation could only find numbers that are not finite.

        The engine sees those on its way, in microseconds.
        """
        return (
            type(X) is np.ndarray
            and X.dtype.type in _FLOATS
            and X.ndim == 2
            and X.shape[1] == self.n_features_in_
            and X.shape[0] > 0
            and X.flags.c_contiguous
            and not hasattr(self, "feature_names_in_")
        )

    # ---- scikit-learn's conventions

    def __getstate__(self) -> dict[str, Any]:
        state = super().__getstate__()
        # coefs_ hold the same numbers.
        return {name: value for name, value in state.items() if name != "_model"}

    def __setstate__(self, state: dict[str, Any]) -> None:
        super().__setstate__(state)
        if "coefs_" in state:
            # Arrays edited into shapes that do not fit stay as they are.
            with suppress(ValueError, KeyError):
                self._adopt(self._network())

    def __sklearn_tags__(self) -> Tags:
        tags = super().__sklearn_tags__()
        tags.input_tags.sparse = True
        return tags
