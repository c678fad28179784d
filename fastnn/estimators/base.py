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
from fastnn.backends.base import Data, Plan
from fastnn.backends.checks import NotFinite
from fastnn.core.activations import Array
from fastnn.core.augmentations import Augmentation
from fastnn.core.losses import LOSSES, Loss
from fastnn.core.network import NetworkSpec
from fastnn.estimators import targets
from fastnn.estimators.batches import check_n_epochs, learn
from fastnn.estimators.callbacks import CallbackSupport
from fastnn.estimators.parameters import SharedParameters
from fastnn.estimators.site import Site
from fastnn.estimators.subclasses import name_constructor, warn_of_hooks
from fastnn.estimators.targets import Targets, ValidationRows
from fastnn.training import lbfgs
from fastnn.training.callbacks import Origin, Validation, fit_begins, watched_by
from fastnn.training.data import design_matrix, hold_out, row_weights, select_rows
from fastnn.training.model import Network, thread_limit
from fastnn.training.state import LoopState
from fastnn.training.stopping import NoImprovement

_FLOATS = (np.float64, np.float32)
_SPARSE = ("csr", "csc")
_LEARNED = {"_loss", "_loop", "_model", "_label_binarizer"}  # beside what ends with an underscore


def refuse_without_passes(estimator: BaseEstimator, **used: Any) -> None:
    """Raise ValueError if a parameter is used that needs passes, which L-BFGS has not."""
    for name in [name for name, use in used.items() if use]:
        raise ValueError(
            f"{name}={getattr(estimator, name)!r} cannot be used with solver='lbfgs', which"
            " compares losses of the same network on the same rows in float64. Choose another"
            f" solver, or leave {name} out."
        )


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


class BaseMLP(CallbackSupport, SharedParameters):
    """What the classifier and the regressor share.

    Attributes with a trailing underscore are the truth outside a fit.
    """

    _loss: Loss  # what the network is trained by, whatever the parameters say by now
    _loop: LoopState  # what later calls go on from; absent before the first that is stochastic
    _model: Network  # the vector that coefs_ and intercepts_ are views of; absent from pickles

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        name_constructor(cls)
        warn_of_hooks(cls, BaseMLP)

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
    ) -> Any:
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
        X_val : {array-like, sparse matrix} of shape (n_val, n_features), default=None
            Rows to validate on after each pass. Early stopping watches them, and holds out none of
            its own; without it they are measured for ``validation_scores_`` and
            ``validation_loss_curve_``. ``Pipeline(..., transform_input=["X_val"])`` transforms them
            as it does X.
        y_val : array-like of shape (n_val,) or (n_val, n_outputs), default=None
            Their targets.
        sample_weight_val : array-like of shape (n_val,), default=None
            How much each of them counts.

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
        given = ValidationRows.given(X_val, y_val, sample_weight_val)
        more: dict[str, Any] = {} if given is None else {"validation": given}
        with (
            watched_by(*self._time_limit()),
            self._watched(X, y, sample_weight, self.max_iter),
            unchanged_on_error(self),
        ):
            return self._fit(X, y, sample_weight, incremental=False, **more)

    def _fit(
        self,
        X: Any,
        y: Any,
        sample_weight: Any,
        incremental: int,
        validation: ValidationRows | None = None,
        site: Callable[..., Site] = Site,
    ) -> Any:
        """Train; ``incremental`` is the number of passes to add to what is there, or 0.

        ``site(engine, origin, targets)`` is where the rows are: X and y may be samples of them.
        """
        if incremental:
            self._validate_params()  # scikit-learn does so at the first call only
        if self.early_stopping and incremental and self.solver != "lbfgs":
            raise ValueError("partial_fit does not support early_stopping=True")
        hidden = self._hidden_sizes()
        first = not hasattr(self, "coefs_") or not (self.warm_start or incremental)
        X, y = self._checked(X, y, reset=first)
        encoded = self._encode_targets(y, bool(incremental))
        known = None if first else self._network_to_go_on(hidden, encoded)
        rounds = self.dtype == "bfloat16"
        dtype = X.dtype if known is None or rounds else known.params.dtype
        if self.solver == "lbfgs":
            dtype = np.dtype(np.float64)  # as in scikit-learn, whatever X is
        data = self._data(X, sample_weight, encoded, dtype)
        if known is None:
            self._forget()
            units = [X.shape[1], *hidden, encoded.n_outputs]
            spec = NetworkSpec.dense(units, self.activation, encoded.loss)
        else:
            spec = known.spec
        self._loss, self.out_activation_ = spec.loss, spec.loss.inverse_link
        given = None if validation is None else self._encode_given(validation, encoded, dtype)

        random_state = check_random_state(self.random_state)
        loop = self._begin(incremental)
        trained = replace(spec.with_dropout(self.dropout), bfloat16=rounds)
        augmentations = self._augmentations(data.X)
        if loop.plan is None:
            refuse_without_passes(self, dropout=trained.drops, augment=augmentations, dtype=rounds)
        backend = choose(self.backend, trained, dtype, loop.plan)  # refuses before any draw

        network = known or Network.create(spec, X.dtype, random_state)
        if known is not None or network.params.dtype != dtype:
            network = network.copy(dtype)  # so that a diverging call costs nothing
        loop.set_params(network.params)
        engine = backend.engine(trained, dtype, thread_limit(self.n_threads))
        loop.random_state = random_state
        origin = Origin(
            spec,
            data,
            given,
            lambda: {**self._told(), "backend": backend.name},
            warm=known is not None,
            seeded=self.random_state is not None,
        )
        place = site(engine, origin, encoded)
        if loop.plan is None:
            self._fit_full_batch(loop, place)
        else:
            if trained.drops or augmentations:  # else scikit-learn's stream of draws is untouched
                loop.draw_seed()
            self._fit_minibatches(loop, place, augmentations)
        network.params[...] = loop.params  # the same memory, unless they are an average
        self.n_outputs_ = spec.n_out
        self.n_layers_ = len(spec.layers) + 1
        self._adopt(network)
        return self

    def _checked(self, X: Any, y: Any, reset: bool) -> tuple[Any, np.ndarray]:
        """X and y to learn from or to validate on, by scikit-learn's checks."""
        X, y = validate_data(
            self,
            X,
            y,
            accept_sparse=_SPARSE,
            multi_output=True,
            dtype=self._converts_to(_FLOATS),
            order="C",
            reset=reset,
        )
        return X, column_or_1d(y, warn=True) if y.ndim == 2 and y.shape[1] == 1 else y

    def _data(self, X: Any, weight: Any, encoded: Targets, dtype: np.dtype) -> Data:
        """Checked X, a user's row weights, and targets, as an engine reads them."""
        weight = row_weights(weight, X.shape[0], dtype, encoded.may_weigh_nothing)
        weight = encoded.weigh(weight, dtype)
        return Data(design_matrix(X, dtype), encoded.as_dtype(dtype), weight)

    def _learn_more(self, X: Any, y: Any, sample_weight: Any, n_epochs: int) -> Any:
        """Add ``n_epochs`` passes to what is there, as ``partial_fit`` does."""
        check_n_epochs(n_epochs)
        if n_epochs != 1 and self.solver == "lbfgs":
            raise ValueError(
                f"n_epochs={n_epochs} needs a solver that goes through the data in passes, such as"
                f" 'adam'; solver={self.solver!r} ends by itself, at the latest after max_iter"
                f"={self.max_iter} iterations."
            )
        return self._fit(X, y, sample_weight, incremental=n_epochs)

    def _fit_batches(self, batches: Any, n_epochs: int, **first_call: Any) -> Any:
        if self.early_stopping:
            raise ValueError("fit_batches does not support early_stopping=True")
        callbacks = (*self._time_limit(), *self._own_callbacks())
        with watched_by(*callbacks), unchanged_on_error(self):
            if not self.warm_start:
                for name in [name for name in vars(self) if name in _LEARNED or name[-1] == "_"]:
                    delattr(self, name)
            learn(self, batches, n_epochs, **first_call)
        return self

    def _has_passes(self, method: str) -> bool:
        if self.solver == "lbfgs":
            raise AttributeError(
                f"{method} is only available for stochastic optimizers. {self.solver} is not"
                " stochastic."
            )
        return True

    def _begin(self, incremental: int) -> LoopState:
        """What a fit remembers at its start: today's settings, and what goes on from before."""
        if self.solver == "lbfgs":
            return LoopState.without_plan(self._rules(0))
        rules = self._rules(incremental)
        earlier = getattr(self, "_loop", None)
        if incremental and earlier is not None:
            return earlier.resume(rules, self.alpha)
        plan = Plan(self._new_optimizer(), alpha=self.alpha)
        return LoopState.begin(rules, plan, self._new_schedule(), earlier)

    def _fit_full_batch(self, loop: LoopState, site: Site) -> None:
        """Train by L-BFGS, and show what happened."""
        fit_begins(loop, site.origin)
        validation = self._validation(site, loop)
        objective = lbfgs.full_batch(site.sums(), site.origin.spec, self.alpha)
        callbacks = self._callbacks(validation, None)
        self.loss_ = lbfgs.minimise(loop, objective, self.max_fun, callbacks)
        self.n_iter_ = loop.n_iter
        self._show_validation(loop, validation)

    def _fit_minibatches(
        self, loop: LoopState, site: Site, augmentations: tuple[Augmentation, ...]
    ) -> None:
        """Hold out rows if asked to, train, and show what happened."""
        origin = site.origin
        loop.rows = site.row_numbers()
        if self.early_stopping:
            loop.best_loss = np.inf  # what is judged is the score
            if origin.validation is None:
                assert loop.random_state is not None
                loop.rows, loop.held_out = hold_out(
                    loop.rows, self.validation_fraction, site.targets.strata, loop.random_state
                )
        assert loop.plan is not None
        loop.plan = replace(loop.plan, batch_size=self._batch_size_for(len(loop.rows)))
        fit_begins(loop, origin)
        validation = self._validation(site, loop)
        if validation and self._restores() and not origin.warm and not loop.n_iter:
            # A later fit keeps its last parameters unless a better score comes.
            loop.best_params = loop.params.copy()
        callbacks = self._callbacks(validation, NoImprovement())
        site.train(loop, callbacks, augmentations)
        self._show(loop)
        self._show_validation(loop, validation)

    def _validation(self, site: Site, loop: LoopState) -> Validation | None:
        """What measures the validation rows, those given or those held out, if there are any."""
        origin, scorer = site.origin, self._scorer()  # refuses a name that is none, rows or not
        rows = origin.validation
        if rows is None and len(loop.held_out):
            rows = select_rows(origin.data, loop.held_out)
        if rows is None:
            if self.restore_best and self.restore_best != "auto":
                raise ValueError(
                    "restore_best=True needs rows to validate on: give fit X_val and y_val, or set"
                    " early_stopping=True. partial_fit and fit_batches have none: set"
                    " restore_best='auto' before."
                )
            return None
        loss = partial(targets.mean_loss, origin.spec.loss)
        return Validation(site.engine, origin.spec.n_out, rows, loss, scorer)

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
        for name in ("validation_scores_", "best_validation_score_", "validation_loss_curve_"):
            setattr(self, name, getattr(self, name, None))

    def _show_validation(self, loop: LoopState, validation: Validation | None) -> None:
        """What was measured on validation rows, if there are any."""
        if validation is None:
            if curve := getattr(self, "validation_loss_curve_", None):
                curve += [np.nan] * len(loop.losses)  # it stays beside loss_curve_
            return
        self.best_validation_score_ = loop.best_score
        for name, curve in (
            ("validation_scores_", loop.scores),
            ("validation_loss_curve_", loop.validation_losses),
        ):
            setattr(self, name, [*(getattr(self, name, None) or []), *curve])

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
            "validation_loss_curve_",
            "_loop",
        ):
            self.__dict__.pop(name, None)
        self.t_ = self.n_iter_ = 0

    @abstractmethod
    def _encode_targets(self, y: Any, incremental: bool) -> Targets:
        """Targets as a network learns them."""

    @abstractmethod
    def _encode_known(self, y: np.ndarray) -> Targets:
        """Targets of other rows, as those of the fit under way are encoded."""

    def _encode_given(self, rows: ValidationRows, like: Targets, dtype: np.dtype) -> Data:
        """What ``fit`` was given to validate on; ValueError or TypeError if it does not fit."""
        try:
            encoded = self._encode_rows(rows, like, dtype)
            if encoded.X.shape[0] < 2:
                raise ValueError("X_val has one row only; at least two are needed.")
            return encoded
        except (TypeError, ValueError) as error:
            kind = TypeError if isinstance(error, TypeError) else ValueError
            raise kind(f"X_val, y_val, sample_weight_val: {error}") from error

    def _encode_rows(
        self, rows: ValidationRows, like: Targets, dtype: np.dtype, part: bool = False
    ) -> Data:
        """Other rows, encoded as ``like``, those of the fit under way.

        The weights of a ``part`` of the rows that are learned may all be zero.
        """
        X, y = self._checked(rows.X, rows.y, reset=False)
        known = self._encode_known(y)
        if known.n_outputs != like.n_outputs:
            raise ValueError(f"y_val has {known.n_outputs} outputs, but y has {like.n_outputs}.")
        encoded = replace(known, class_weight=like.class_weight, may_weigh_nothing=part)
        return self._data(X, rows.weight, encoded, dtype)

    @abstractmethod
    def _default_score(self, predictions: Array, held_out: Data) -> float:
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
            try:
                found = float(scorer(present, held_out.X, self._decoded(held_out.y), **weight))
            except (TypeError, ValueError) as error:
                given = "X, y, sample_weight=..." if weight else "X, y"
                raise type(error)(
                    f"scoring={self.scoring!r} cannot score (estimator, {given}) of the validation"
                    f" rows: {error}"
                ) from error
            if np.isnan(found):
                raise ValueError(
                    f"scoring={self.scoring!r} gives NaN for the validation rows. Do they hold all"
                    " classes? Give other rows, or choose another scoring."
                )
            return found

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
        losses = (loss.filled() for loss in LOSSES.values())
        return next(loss for loss in losses if loss.inverse_link == self.out_activation_)

    def _network_to_go_on(self, hidden: list[int], encoded: Targets) -> Network:
        """The network of now, with the loss of now, if the parameters and targets of now fit it."""
        network = self._network()
        fitted, loss = network.spec.loss, encoded.loss
        sizes = [layer.n_out for layer in network.spec.layers[:-1]]
        anew = "Set warm_start=False and call fit to start anew"
        if hidden != sizes:
            raise ValueError(
                f"hidden_layer_sizes is {hidden}, but the model to go on from has hidden layers of"
                f" {sizes} neurons. {anew}, or set hidden_layer_sizes={sizes}."
            )
        if loss != fitted and (loss.inverse_link, encoded.n_outputs) != (
            fitted.inverse_link,
            network.spec.n_out,
        ):
            raise ValueError(
                f"loss={loss!r} needs a network of {encoded.n_outputs} outputs and the inverse link"
                f" {loss.inverse_link!r}, but the model to go on from was fitted with"
                f" {network.spec.n_out} and {fitted.inverse_link!r}, for {fitted!r}. {anew}, or set"
                " the loss of before."
            )
        if encoded.n_outputs != network.spec.n_out:
            raise ValueError(
                f"y has {encoded.n_outputs} outputs, but this model was fitted with"
                f" {network.spec.n_out}."
            )
        if loss == fitted:
            return network
        return Network(replace(network.spec, loss=loss), network.params)

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
        types = {"auto": auto, "float32": "float32", "float64": "float64", "bfloat16": "float32"}
        if self.dtype not in types:  # set after the fit that checks it
            raise ValueError(f"dtype must be one of {list(types)}, got {self.dtype!r}.")
        return types[self.dtype]

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
