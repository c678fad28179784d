"""Which parameters do the estimators of tables have, and what recipe do they make of a preset?"""

from __future__ import annotations

from dataclasses import fields, replace
from numbers import Integral, Real
from typing import Any, ClassVar

from sklearn.base import BaseEstimator

from fastnn._sklearn import Interval, StrOptions
from fastnn.backends import BACKENDS
from fastnn.core.activations import ACTIVATIONS, Activation
from fastnn.core.family import chosen
from fastnn.core.optimizers import OPTIMIZERS, Optimizer
from fastnn.core.schedules import SCHEDULES, Function, Schedule
from fastnn.estimators.parameters import hidden_sizes
from fastnn.tabular.recipe import PRESETS, Recipe

PARAMETERS = """preset : {'fast', 'balanced', 'best'}, default='balanced'
        How much is spent. Each parameter from here to ``dtype`` that is None is the preset's.
    n_members : int or None
        Networks of the bag; the preset has fewer beyond 8192 rows. With ``cv`` None means one for
        each fold.
    hidden_layer_sizes : int, array-like of int or None
        The number of neurons of each hidden layer.
    activation : str, object of fastnn.activations, list of these or None
        None means 'selu' for classes and 'mish' for numbers.
    max_iter : int or None
        The most epochs of a member; the preset has fewer where it is down to two members.
    n_bins : int or None
        The most bins of a numeric column, at most 255.
    embedding_size : int or None
        Numbers that a numeric column becomes in the network.
    max_categories : int or None
        A column of more categories keeps the most frequent ones.
    solver : str, Optimizer or None
        None means Adam with beta_2 0.95 and an average of the parameters; a name or an object of
        :mod:`fastnn.optimizers` brings its own settings. Not 'lbfgs'.
    learning_rate : str, Schedule, callable or None
        None means 'coslog4'; what :class:`fastnn.MLPClassifier` takes, but 'adaptive'.
    learning_rate_init : float or None
        None means 0.04 for classes and 0.07 for numbers; beyond 8192 rows less, by their fourth
        root.
    bias_rate, embedding_rate, scale_rate : float or None
        What multiplies the learning rate of the biases, of the embedding and of the scaling layer
        that follows it.
    batch_size : int or None
        Rows of a batch; None means 64 for at most 1024 rows, 128 for at most 8192, else 256.
    dtype : {'float32', 'float64', 'bfloat16'} or None
        What the networks train and predict in; with 'bfloat16' they predict in float32. See
        :mod:`fastnn.core.bfloat16`.
    categorical_features : 'from_dtype', None or array-like, default='from_dtype'
        Which columns hold categories: those of texts, truth values and categorical types; none;
        or names, places or a mask.
    eval_metric : None, str or callable, default=None
        By what the best epoch of each member is chosen, on the rows that it holds out. None is the
        error, and of equally few errors the log loss; for numbers the loss. 'loss' is the loss that
        is trained; for classes there are 'log_loss' and 'error', for numbers 'rmse'; other names
        are scikit-learn's scorers, such as 'roc_auc'; a callable is ``scorer(estimator, X, y)``,
        with ``sample_weight=`` where rows are weighted.
    cv : int, splitter, iterable or None, default=None
        The folds that members hold out. None is eight folds, of which each class, or each part of
        the range of a target, has equal shares; an int is so many of them. With ``groups`` they are
        whole groups. A splitter of scikit-learn's, or an iterable of (rows, held-out rows), says
        where: a member for each. Rows that are the same in all cells, target and folds then are one
        row with the sum of their weights, in an order that does not depend on that of the table.
    max_time : float or None, default=None
        Seconds after which ``fit`` ends, with a warning. Whole epochs of all members count alone,
        but for the first, which ends where it is.
    importance_repeats : int, default=0
        How often each column is shuffled to measure ``feature_importances_``; 0 measures none.
    random_state : int, RandomState instance or None, default=None
        Draws folds, first parameters and the orders of rows.
    backend : {'auto', 'cython', 'numba', 'numpy'}, default='auto'
        What does the arithmetic.
    n_threads : int or None, default=None
        The most threads a fit or a prediction uses; the numbers are bitwise the same for any.
    verbose : bool, default=False
        Print the mean loss and measure of each epoch."""

ATTRIBUTES = """oof_prediction_ : ndarray of shape (n_samples,) or (n_samples, n_outputs)
        Each row answered by the members that did not see it: probabilities or numbers; NaN where
        all or none have.
    validation_score_ : float
        What ``score`` gives of these answers, weighted; with ``X_val`` of those of all members on
        these rows. NaN where they are fewer than 2.
    members_ : list of FittedMember
        What is known of each: ``held_out``, ``n_iter``, ``best_iter``, ``best_value``,
        ``loss_curve``, ``validation_curve``.
    loss_curve_, validation_curve_ : list of float
        The training loss and the measure of each epoch, means over the members that trained in it.
    n_iter_ : int
        Epochs of the member that trained the longest.
    feature_importances_ : ndarray of shape (n_features,)
        How much worse the measure of rows held out becomes where a column of theirs is shuffled; a
        mean over members and repeats. Only where ``importance_repeats`` is not 0.
    n_features_in_ : int
        Number of columns seen during fit.
    feature_names_in_ : ndarray of shape (n_features_in_,)
        Their names, where X had string column names."""

_COUNT = Interval(Integral, 1, None, closed="left")
_POSITIVE = Interval(Real, 0, None, closed="neither")


class TabularParameters(BaseEstimator):
    """The parameters that both estimators share; see ``PARAMETERS`` for the meanings."""

    _parameter_constraints: ClassVar[dict[str, list[Any]]] = {
        "preset": [StrOptions(set(PRESETS))],
        "n_members": [None, _COUNT],
        "hidden_layer_sizes": [None, "array-like", _COUNT],
        "activation": [None, StrOptions(ACTIVATIONS.keys()), Activation, list, tuple],
        "max_iter": [None, _COUNT],
        "n_bins": [None, Interval(Integral, 1, 255, closed="both")],
        "embedding_size": [None, Interval(Integral, 1, 64, closed="both")],
        "max_categories": [None, _COUNT],
        "solver": [None, StrOptions(OPTIMIZERS.keys()), Optimizer],
        "learning_rate": [None, StrOptions(SCHEDULES.keys()), Schedule, callable],
        "learning_rate_init": [None, _POSITIVE],
        "bias_rate": [None, _POSITIVE],
        "embedding_rate": [None, _POSITIVE],
        "scale_rate": [None, _POSITIVE],
        "batch_size": [None, _COUNT],
        "dtype": [None, StrOptions({"float32", "float64", "bfloat16"})],
        "categorical_features": ["array-like", StrOptions({"from_dtype"}), None],
        "eval_metric": [None, str, callable],
        "cv": ["cv_object"],
        "max_time": [None, _POSITIVE],
        "importance_repeats": [Interval(Integral, 0, None, closed="left")],
        "random_state": ["random_state"],
        "backend": [StrOptions({"auto", *BACKENDS})],
        "n_threads": [None, _COUNT],
        "verbose": ["verbose"],
    }

    preset: str
    hidden_layer_sizes: Any
    solver: Any
    learning_rate: Any
    categorical_features: Any
    eval_metric: Any
    cv: Any
    n_members: int | None
    max_time: float | None
    importance_repeats: int
    random_state: Any
    backend: str
    n_threads: int | None
    verbose: bool | int

    def _keep(self, arguments: dict[str, Any]) -> None:
        """Keep the arguments of a constructor, whose signature scikit-learn reads."""
        for name, value in arguments.items():
            if name != "self":
                setattr(self, name, value)

    def _recipe(self, n_rows: int) -> Recipe:
        """The preset for so many rows, where parameters are not None with these."""
        own = {field.name: getattr(self, field.name, None) for field in fields(Recipe)}
        given = {name: value for name, value in own.items() if value is not None}
        if "hidden_layer_sizes" in given:
            given["hidden_layer_sizes"] = tuple(hidden_sizes(given["hidden_layer_sizes"]))
        if "solver" in given:
            given["solver"] = chosen("solver", self.solver, OPTIMIZERS).filled()
        if "learning_rate" in given:
            given["learning_rate"] = self._schedule()
        if isinstance(self.cv, Integral):
            given["n_folds"] = int(self.cv)
            given.setdefault("n_members", int(self.cv))
        return replace(PRESETS[self.preset].for_rows(n_rows), **given)

    def _schedule(self) -> Schedule:
        """What ``learning_rate`` names or is; a plain function is a schedule, too."""
        rule = self.learning_rate
        if callable(rule) and not isinstance(rule, type):  # a class without its () is no rule
            rule = Function(function=rule)
        schedule = chosen("learning_rate", rule, SCHEDULES)
        if schedule.on_plateau(1.0) is not None:
            raise ValueError(
                f"learning_rate={self.learning_rate!r} waits for a plateau, which no member of a"
                " bag looks for: its epochs are planned. Choose another schedule."
            )
        return schedule
