"""Which parameters do the estimators share, and what is made of them?

Their meanings, defaults and allowed values, and the plain objects that training takes: an
optimizer, a schedule, rules, callbacks.
"""

from __future__ import annotations

import warnings
from collections import ChainMap
from collections.abc import Callable, Mapping
from copy import copy
from numbers import Integral, Real
from typing import Any, ClassVar, Self

import numpy as np
from scipy.sparse import issparse
from sklearn.base import BaseEstimator

from fastnn._sklearn import Interval, Options, StrOptions
from fastnn.backends import BACKENDS
from fastnn.core.activations import ACTIVATIONS, Activation
from fastnn.core.augmentations import AUGMENTATIONS, Augmentation
from fastnn.core.family import Member, chosen
from fastnn.core.optimizers import OPTIMIZERS, Optimizer
from fastnn.core.schedules import SCHEDULES, Function, Schedule
from fastnn.estimators.told import told
from fastnn.training.callbacks import Best, Callback, PrintDecision, PrintLoss, Validation
from fastnn.training.state import Rules
from fastnn.training.stopping import NoImprovement, TimeLimit

PARAMETERS = """hidden_layer_sizes : int or array-like of int, default=(100,)
        The number of neurons of each hidden layer; ``()`` is the linear model.
    activation : str, object of fastnn.activations, or list of these, default='relu'
        What a hidden neuron does to its input: 'identity', 'logistic', 'tanh', 'relu',
        'leaky_relu', 'elu', 'selu', 'gelu', 'silu', 'mish', 'softplus'; with settings, such as
        ``LeakyReLU(negative_slope=0.1)``; of your own, ``Function(value, slope)``. A list holds one
        for each hidden layer.
    solver : {'adam', 'adamw', 'lion', 'rmsprop', 'sgd', 'lbfgs'} or Optimizer, default='adam'
        L-BFGS (SciPy's) trains on all rows at once, in float64; the others on minibatches. An
        object of :mod:`fastnn.optimizers` brings settings: those of its rule, and for all of them
        ``weight_decay``, ``l1``, ``max_norm`` (gradient clipping) and ``ema`` (an average of the
        parameters, which is validated and becomes ``coefs_``).
    alpha : float, default=1e-4
        L2 penalty on the weights, not the biases; divided by the batch's size or weight sum, as in
        scikit-learn.
    batch_size : int or 'auto', default='auto'
        Rows of a minibatch; 'auto' is ``min(200, n_samples)``.
    learning_rate : {'constant', 'invscaling', 'adaptive', 'cosine', 'one_cycle', 'warmup', \
'step', 'coslog4'}, Schedule or callable, default='constant'
        'invscaling' divides by ``(t_ + 1)**power_t`` after each pass; 'adaptive' by 5 whenever
        training stops improving for ``n_iter_no_change`` passes, and ends below 1e-6; 'adam'
        ignores these two, as in scikit-learn. The others, and a function from the share of steps
        done to a factor of ``learning_rate_init``, plan ``max_iter`` passes: without
        ``early_stopping`` they go on to the end. An object of :mod:`fastnn.schedules` brings
        settings, such as a ``warmup`` for any of them.
    learning_rate_init : float, default=1e-3
        The learning rate of 'constant', and the first, or the largest, of the others.
    power_t : float, default=0.5
        The exponent of 'invscaling'.
    max_iter : int, default=200
        The most passes over the data (iterations of L-BFGS).
    shuffle : bool, default=True
        Whether each pass visits the rows in a new order.
    random_state : int, RandomState instance or None, default=None
        Draws the first parameters, the validation rows and the orders, in scikit-learn's sequence.
    tol : float, default=1e-4
        An improvement below this does not count.
    verbose : bool, default=False
        Print the loss of each pass.
    warm_start : bool, default=False
        ``fit`` goes on from the parameters of the fit before, by the settings of now: the loss may
        be another one of the same outputs and inverse link, activations may be others, hidden
        layers not.
    momentum : float, default=0.9
        'sgd' only; in [0, 1].
    nesterovs_momentum : bool, default=True
        Whether 'sgd' uses Nesterov's momentum.
    early_stopping : bool, default=False
        Hold out rows, stop when their score no longer improves, and return the parameters that
        scored best. Where ``fit`` is given ``X_val``, those rows are used and none are held out.
    validation_fraction : float, default=0.1
        The share of rows held out.
    beta_1, beta_2 : float, default=0.9, 0.999
        Decay rates of 'adam' and 'adamw', in [0, 1).
    epsilon : float, default=1e-8
        The guard of 'adam', 'adamw' and 'rmsprop' against division by zero.
    n_iter_no_change : int or np.inf, default=10
        How many passes without improvement end training.
    max_fun : int, default=15000
        The most function calls of L-BFGS.
    backend : {'auto', 'cython', 'numba', 'numpy'}, default='auto'
        What does the arithmetic; 'auto' takes the first that can be used. See
        :func:`fastnn.show_config`.
    n_threads : int or None, default=None
        The most threads a fit or a prediction uses; None lets it choose. The numbers are bitwise
        the same for any choice.
    dtype : {'auto', 'float32', 'float64', 'bfloat16'}, default='auto'
        The floating type that X is converted to, in ``fit`` and in ``predict``, and so the type
        that the network trains and predicts in. 'auto' keeps float32 and converts anything else to
        float64. L-BFGS computes in float64 whatever X is. 'bfloat16' is float32 whose training
        steps multiply matrices of numbers rounded to bfloat16: see
        :mod:`fastnn.core.bfloat16`. It predicts in float32.
    scoring : None, 'loss', str or callable, default=None
        What early stopping watches on the rows held out, weighted by ``sample_weight``. None is
        scikit-learn's choice, accuracy or R2; 'loss' is the loss that is trained, without the
        penalty, as a negative number; a name is one of scikit-learn's scorers, such as 'roc_auc';
        a callable is ``scorer(estimator, X, y)``, which takes ``sample_weight=`` too where rows
        are weighted, by ``class_weight`` also. Greater is better; NaN is an error.
    restore_best : bool or 'auto', default='auto'
        Whether a fit ends with the parameters that scored best on the validation rows, or with its
        last ones. 'auto' is scikit-learn's choice: the best with early stopping. True does it
        without early stopping, too, where ``X_val`` is given.
    max_time : float or None, default=None
        Seconds after which ``fit`` and ``fit_batches`` end, with a warning, at the end of a pass;
        at least one is done.
    dropout : float or array-like of float, default=0
        The share of each hidden layer's outputs that a training step silences, in [0, 1), or one
        share for each layer; the other outputs are multiplied by ``1 / (1 - share)``. Losses are of
        these thinned networks, predictions of the whole one. Not with 'lbfgs'.
    augment : None, {'input_noise', 'mixup'}, Augmentation or list of these, default=None
        How the rows of a batch are changed before a step, each time anew: see
        :mod:`fastnn.augment`. Of a list, one after the other. Losses are of the changed rows. Not
        with 'lbfgs'."""

ATTRIBUTES = """coefs_ : list of ndarray of shape (n_in, n_out)
        The weights of each layer. Edited in place or assigned anew, they are what predicting and
        training use.
    intercepts_ : list of ndarray of shape (n_out,)
        The biases of each layer.
    n_features_in_ : int
        Number of features seen during fit.
    feature_names_in_ : ndarray of shape (n_features_in_,)
        Names of features, where X had string column names.
    n_iter_ : int
        Passes done by the last call.
    t_ : int
        Rows trained on so far.
    n_layers_ : int
        Number of layers, the input counted.
    n_outputs_ : int
        Number of outputs.
    out_activation_ : str
        The inverse link: what makes a prediction of the last layer's raw output.
    loss_ : float
        The loss of the last pass, penalty included.
    loss_curve_ : list of float
        The loss of each pass; as the next three, not with 'lbfgs'.
    best_loss_ : float or None
        The lowest loss; None with early stopping.
    validation_scores_ : list of float or None
        The score of the validation rows, those held out or ``X_val``, after each pass; None where
        there are none.
    best_validation_score_ : float or None
        The best of them.
    validation_loss_curve_ : list of float or None
        The loss of the validation rows after each pass, without the penalty; NaN for the passes of
        a later call that had none."""


# Parameters that change no number of a fit.
_WITHOUT_EFFECT = frozenset({"verbose", "n_threads", "max_time", "max_fun"})


class Number(Interval):
    """A number in an interval, of parameters that are not scikit-learn's: no truth value."""

    def is_satisfied_by(self, val: Any) -> bool:
        """Whether ``val`` is such a number."""
        return not isinstance(val, bool) and super().is_satisfied_by(val)


class SharedParameters(BaseEstimator):
    """The parameters that both estimators' constructors share, scikit-learn's first.

    See ``PARAMETERS`` for the meanings.
    """

    # Views of the registries: what is registered later is allowed, too.
    _parameter_constraints: ClassVar[dict[str, list[Any]]] = {
        "hidden_layer_sizes": ["array-like", Interval(Integral, 1, None, closed="left")],
        "activation": [StrOptions(ACTIVATIONS.keys()), Activation, list, tuple],
        "solver": [
            StrOptions(ChainMap[str, Any]({"lbfgs": None}, OPTIMIZERS).keys()),
            Optimizer,
        ],
        "alpha": [Interval(Real, 0, None, closed="left")],
        "batch_size": [StrOptions({"auto"}), Interval(Integral, 1, None, closed="left")],
        "learning_rate": [StrOptions(SCHEDULES.keys()), Schedule, callable],
        "learning_rate_init": [Interval(Real, 0, None, closed="neither")],
        "power_t": [Interval(Real, 0, None, closed="left")],
        "max_iter": [Interval(Integral, 1, None, closed="left")],
        "shuffle": ["boolean"],
        "random_state": ["random_state"],
        "tol": [Interval(Real, 0, None, closed="left")],
        "verbose": ["verbose"],
        "warm_start": ["boolean"],
        "momentum": [Interval(Real, 0, 1, closed="both")],
        "nesterovs_momentum": ["boolean"],
        "early_stopping": ["boolean"],
        "validation_fraction": [Interval(Real, 0, 1, closed="left")],
        "beta_1": [Interval(Real, 0, 1, closed="left")],
        "beta_2": [Interval(Real, 0, 1, closed="left")],
        "epsilon": [Interval(Real, 0, None, closed="neither")],
        "n_iter_no_change": [Interval(Integral, 1, None, closed="left"), Options(Real, {np.inf})],
        "max_fun": [Interval(Integral, 1, None, closed="left")],
        "backend": [StrOptions({"auto", *BACKENDS})],
        "n_threads": [None, Number(Integral, 1, None, closed="left")],
        "dtype": [StrOptions({"auto", "float32", "float64", "bfloat16"})],
        "scoring": [None, str, callable],
        "restore_best": [StrOptions({"auto"}), "boolean"],
        "max_time": [None, Number(Real, 0, None, closed="neither")],
        "dropout": [Number(Real, 0, 1, closed="left"), "array-like"],
        "augment": [None, StrOptions(AUGMENTATIONS.keys()), Augmentation, list, tuple],
    }

    # Parameters that name a member of a family; the estimators add their losses.
    _families: ClassVar[dict[str, Mapping[str, Member]]] = {
        "activation": ACTIVATIONS,
        "solver": OPTIMIZERS,
        "learning_rate": SCHEDULES,
        "augment": AUGMENTATIONS,
    }

    hidden_layer_sizes: Any
    activation: Any
    solver: str | Optimizer
    alpha: float
    batch_size: int | str
    learning_rate: str | Schedule | Callable[[float], float]
    learning_rate_init: float
    power_t: float
    max_iter: int
    shuffle: bool
    random_state: Any
    tol: float
    verbose: bool | int
    warm_start: bool
    momentum: float
    nesterovs_momentum: bool
    early_stopping: bool
    validation_fraction: float
    beta_1: float
    beta_2: float
    epsilon: float
    n_iter_no_change: float
    max_fun: int
    backend: str
    n_threads: int | None
    dtype: str
    scoring: Any
    restore_best: bool | str
    max_time: float | None
    dropout: Any
    augment: Any

    def _keep(self, arguments: dict[str, Any]) -> None:
        """Keep the arguments of a constructor, whose signature scikit-learn reads."""
        for name, value in arguments.items():
            if name != "self":
                setattr(self, name, value)

    def set_params(self, **params: Any) -> Self:
        """Set parameters, as scikit-learn's ``set_params``.

        A setting of a name, such as ``solver__weight_decay`` where solver is "adamw", makes the
        name an object of that family, which has the setting.

        Raises
        ------
        ValueError
            If there is no such parameter or setting; nothing is changed then.
        """
        for name, family in self._families.items():
            begin = f"{name}__"
            settings = {key: params[key] for key in params if key.startswith(begin)}
            value = params.get(name, getattr(self, name))
            if not settings or isinstance(value, Member):
                continue
            if not isinstance(value, str) or value not in family:
                raise ValueError(
                    f"{next(iter(settings))} cannot be set: {name}={value!r} has no settings. Set"
                    f" {name} to one of {sorted(family)}, or to such an object of fastnn."
                )
            member = copy(family[value])
            member.set_params(**{key.removeprefix(begin): settings[key] for key in settings})
            params = {key: params[key] for key in params if key not in settings} | {name: member}
        return super().set_params(**params)

    # ---- what is made of them

    def _hidden_sizes(self) -> list[int]:
        """``hidden_layer_sizes`` as a list."""
        return hidden_sizes(self.hidden_layer_sizes)

    def _new_optimizer(self) -> Optimizer:
        """What ``solver`` names or is; settings that it leaves open are the parameters."""
        return chosen("solver", self.solver, OPTIMIZERS).filled(vars(self))

    def _new_schedule(self) -> Schedule:
        """What ``learning_rate`` names or is, as :meth:`_new_optimizer`.

        A plain function is a schedule, too. Adam ignores 'invscaling' and 'adaptive', as in
        scikit-learn.
        """
        rule: Any = self.learning_rate
        if callable(rule) and not isinstance(rule, type):  # a class without its () is no rule
            rule = Function(rule)
        elif self.solver == "adam" and rule in ("invscaling", "adaptive"):
            rule = "constant"
        return chosen("learning_rate", rule, SCHEDULES).filled(vars(self))

    def _augmentations(self, X: Any) -> tuple[Augmentation, ...]:
        """What ``augment`` names or is; ValueError if one of them cannot be applied to X."""
        given = self.augment
        if given is None or isinstance(given, str | Augmentation):
            given = [] if given is None else [given]
        for one in given:
            if not isinstance(one, str | Augmentation):
                raise ValueError(
                    f"augment must hold names, of {sorted(AUGMENTATIONS)}, or objects of"
                    f" fastnn.augment, got {one!r}."
                )
        found = tuple(chosen("augment", one, AUGMENTATIONS) for one in given)
        for augmentation in found:
            if issparse(X) and not augmentation.takes_sparse:
                raise ValueError(
                    f"augment={augmentation!r} needs a dense X, got a sparse one, which it would"
                    " fill. Pass X.toarray(), or choose another augmentation."
                )
        return found

    def _rules(self, n_more: int) -> Rules:
        """How a fit ends; ``n_more`` passes are done where that is not 0."""
        return Rules(
            max_iter=n_more or self.max_iter,
            tol=self.tol,
            n_iter_no_change=self.n_iter_no_change,
            shuffle=self.shuffle,
            early_stopping=self.early_stopping,
            converge=not n_more,
        )

    def _batch_size_for(self, n_rows: int) -> int:
        """Rows of a minibatch, at most ``n_rows``."""
        if self.batch_size == "auto":
            return min(200, n_rows)
        if int(self.batch_size) > n_rows:
            warnings.warn(
                "Got `batch_size` less than 1 or larger than sample size. It is going to be"
                " clipped",
                stacklevel=2,
            )
        return min(int(self.batch_size), n_rows)

    def _callbacks(
        self, validation: Validation | None, rule: NoImprovement | None
    ) -> tuple[Callback, ...]:
        """Who watches a fit, in the order of ``fastnn.training.callbacks``."""
        best = None if validation is None else Best(self._restores())
        printing = (PrintLoss(), PrintDecision()) if self.verbose else (None, None)
        watching = (printing[0], validation, rule, best, printing[1])
        return tuple(callback for callback in watching if callback is not None)

    def _time_limit(self) -> tuple[Callback, ...]:
        """What ends a fit by ``max_time``, counted from now."""
        return () if self.max_time is None else (TimeLimit(self.max_time),)

    def _told(self) -> dict[str, str]:
        """The parameters on which the numbers of a fit depend, as text."""
        return {
            name: told(value)
            for name, value in self.get_params(deep=False).items()
            if name not in _WITHOUT_EFFECT
        }

    def _restores(self) -> bool:
        """Whether a fit with validation rows ends with the parameters of the best score."""
        return self.early_stopping if self.restore_best == "auto" else bool(self.restore_best)


def hidden_sizes(given: Any) -> list[int]:
    """What ``hidden_layer_sizes`` holds; ValueError unless whole numbers above 0."""
    sizes = np.atleast_1d(np.asarray(given, dtype=object)).tolist()
    if not all(isinstance(size, Integral) and not isinstance(size, bool) for size in sizes):
        raise ValueError(f"hidden_layer_sizes must hold whole numbers, got {given}.")
    if any(size <= 0 for size in sizes):
        raise ValueError(f"hidden_layer_sizes must be > 0, got {sizes}.")
    return sizes
