"""What happens to bad input? A clear error, scikit-learn's where it has one, before anything changes."""

from __future__ import annotations

import pickle
import re
import warnings
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp
import sklearn
import sklearn.neural_network
from sklearn.exceptions import NotFittedError
from sklearn.utils.fixes import parse_version
from support.parity import train

import fastnn
from fastnn import backends
from fastnn.backends.base import Plan
from fastnn.core.network import NetworkSpec

RNG = np.random.default_rng(7)
X = RNG.normal(size=(40, 4))
Y_CLF = np.array(["a", "b", "c"])[np.argmax(X[:, :3], axis=1)]
Y_REG = X @ [1.0, -2, 0.5, 0] + 3
WEIGHT = RNG.uniform(0.5, 2, 40)
QUICK = {"max_iter": 3, "hidden_layer_sizes": (5,), "random_state": 1}


def replaced(array: np.ndarray, value: Any, at: int = 3) -> np.ndarray:
    """A copy of ``array`` with ``value`` at one place."""
    array = array.astype(float)
    array.flat[at] = value
    return array


@dataclass
class Case:
    """A call that must fail: a model's parameters, the arguments of ``fit``, and how it must fail."""

    error: type[Exception]
    message: str
    X: Any = field(default_factory=lambda: X)
    y: Any = None
    weight: Any = None
    params: dict[str, Any] = field(default_factory=dict)
    estimator: str = "MLPRegressor"
    as_sklearn: bool = True  # whether scikit-learn 1.9 fails too, with this very message

    def arguments(self) -> tuple[Any, Any, Any]:
        y = self.y if self.y is not None else Y_CLF if self.estimator == "MLPClassifier" else Y_REG
        return self.X, y, self.weight


CASES = {
    # ---- X
    "NaN in X": Case(ValueError, "Input X contains NaN.", X=replaced(X, np.nan)),
    "infinity in X": Case(
        ValueError,
        "Input X contains infinity or a value too large for dtype('float64').",
        X=replaced(X, np.inf),
    ),
    "infinity in float32 X": Case(
        ValueError,
        "Input X contains infinity or a value too large for dtype('float32').",
        X=replaced(X, -np.inf).astype(np.float32),
    ),
    "NaN in CSR X": Case(ValueError, "Input X contains NaN.", X=sp.csr_array(replaced(X, np.nan))),
    "NaN in CSC X": Case(ValueError, "Input X contains NaN.", X=sp.csc_array(replaced(X, np.nan))),
    "X of one dimension": Case(ValueError, "Expected 2D array, got 1D array instead:", X=X[:, 0]),
    "X of three dimensions": Case(
        ValueError, "Found array with dim 3, while dim <= 2 is required by MLPRegressor.", X=X[None]
    ),
    "X a number": Case(ValueError, "Expected 2D array, got scalar array instead:", X=3.0),
    "X of words": Case(ValueError, "could not convert string to float: 'word'", X=[["word"]] * 40),
    "complex X": Case(ValueError, "Complex data not supported", X=X + 1j),
    "no rows": Case(
        ValueError,
        "Found array with 0 sample(s) (shape=(0, 4)) while a minimum of 1 is required by MLPRegressor.",
        X=X[:0],
        y=Y_REG[:0],
    ),
    "no features": Case(
        ValueError,
        "Found array with 0 feature(s) (shape=(40, 0)) while a minimum of 1 is required by MLPRegressor.",
        X=X[:, :0],
    ),
    "no rows, sparse": Case(
        ValueError,
        "Found array with 0 sample(s) (shape=(0, 4)) while a minimum of 1 is required by MLPRegressor.",
        X=sp.csr_array((0, 4)),
        y=Y_REG[:0],
    ),
    # ---- y
    "y shorter than X": Case(
        ValueError,
        "Found input variables with inconsistent numbers of samples: [40, 39]",
        y=Y_REG[:-1],
    ),
    "NaN in y": Case(ValueError, "Input y contains NaN.", y=replaced(Y_REG, np.nan)),
    "infinity in y": Case(
        ValueError,
        "Input y contains infinity or a value too large for dtype('float64').",
        y=replaced(Y_REG, np.inf),
    ),
    "NaN among labels": Case(
        ValueError,
        "Input y contains NaN.",
        y=replaced(np.arange(40) % 2, np.nan),
        estimator="MLPClassifier",
    ),
    "words for numbers": Case(
        ValueError,
        "could not convert string to float: ",
        y=np.array(["word"] * 40),
        as_sklearn=False,  # stumbles over them in the loss
    ),
    "numbers for labels": Case(
        ValueError, "Unknown label type: ", y=Y_REG, estimator="MLPClassifier"
    ),
    "y of three dimensions": Case(
        ValueError, "Found array with dim 3, while dim <= 2 is required", y=np.zeros((40, 2, 2))
    ),
    "many classes for each of many outputs": Case(
        ValueError,
        "Multioutput target data is not supported with label binarization",
        y=np.arange(80).reshape(40, 2) % 3,
        estimator="MLPClassifier",
    ),
    "negative counts": Case(
        ValueError,
        "loss='poisson' needs y >= 0, got values down to -2.0.",
        y=replaced(np.abs(Y_REG), -2),
        params={"loss": "poisson"},
        as_sklearn=False,  # takes it for a fact, though its documentation rules it out
    ),
    # ---- sample weights
    "too few weights": Case(
        ValueError, "sample_weight.shape == (39,), expected (40,)!", weight=WEIGHT[:-1]
    ),
    "weights of two dimensions": Case(
        ValueError,
        "Sample weights must be 1D array or scalar",
        weight=WEIGHT[:, None],
    ),
    "NaN among weights": Case(
        ValueError, "Input sample_weight contains NaN.", weight=replaced(WEIGHT, np.nan)
    ),
    "infinite weight": Case(
        ValueError,
        "Input sample_weight contains infinity or a value too large for dtype('float64').",
        weight=replaced(WEIGHT, np.inf),
    ),
    "all weights zero": Case(
        ValueError,
        "Sample weights must contain at least one non-zero number.",
        weight=np.zeros(40),
        params={"max_iter": 1},
    ),
    "negative weight": Case(
        ValueError,
        "Negative values in data passed to `sample_weight`.",
        weight=replaced(WEIGHT, -1),
        as_sklearn=False,
    ),
    # ---- parameters
    **{
        f"{name}={value!r}": Case(
            ValueError,
            f"The {name!r} parameter of MLPRegressor must be {allowed}",
            params={name: value},
        )
        for name, value, allowed in [
            (
                "loss",
                "absolute_error",
                "a str among {'poisson', 'squared_error'}. Got 'absolute_error' instead.",
            ),
            (
                "hidden_layer_sizes",
                0,
                "an array-like or an int in the range [1, inf). Got 0 instead.",
            ),
            (
                "hidden_layer_sizes",
                "wide",
                "an array-like or an int in the range [1, inf). Got 'wide' instead.",
            ),
            (
                "activation",
                "softplus",
                "a str among {'identity', 'logistic', 'relu', 'tanh'}. Got 'softplus' instead.",
            ),
            ("solver", "adamw", "a str among {'adam', 'lbfgs', 'sgd'}. Got 'adamw' instead."),
            ("alpha", -1, "a float in the range [0.0, inf). Got -1 instead."),
            ("alpha", np.nan, "a float in the range [0.0, inf). Got nan instead."),
            (
                "batch_size",
                0,
                "a str among {'auto'} or an int in the range [1, inf). Got 0 instead.",
            ),
            (
                "batch_size",
                1.5,
                "a str among {'auto'} or an int in the range [1, inf). Got 1.5 instead.",
            ),
            (
                "learning_rate",
                "cosine",
                "a str among {'adaptive', 'constant', 'invscaling'}. Got 'cosine' instead.",
            ),
            ("learning_rate_init", 0, "a float in the range (0.0, inf). Got 0 instead."),
            ("power_t", -1, "a float in the range [0.0, inf). Got -1 instead."),
            ("max_iter", 0, "an int in the range [1, inf). Got 0 instead."),
            (
                "shuffle",
                "yes",
                "an instance of 'bool' or an instance of 'numpy.bool'. Got 'yes' instead.",
            ),
            (
                "random_state",
                "seed",
                "an int in the range [0, 4294967295], an instance of 'numpy.random.mtrand.RandomState'",
            ),
            ("tol", -1e-9, "a float in the range [0.0, inf). Got -1e-09 instead."),
            (
                "verbose",
                -1,
                "an int in the range [0, inf), an instance of 'bool' or an instance of 'numpy.bool'. Got -1 instead.",
            ),
            (
                "warm_start",
                1,
                "an instance of 'bool' or an instance of 'numpy.bool'. Got 1 instead.",
            ),
            ("momentum", 1.1, "a float in the range [0.0, 1.0]. Got 1.1 instead."),
            (
                "nesterovs_momentum",
                None,
                "an instance of 'bool' or an instance of 'numpy.bool'. Got None instead.",
            ),
            (
                "early_stopping",
                "yes",
                "an instance of 'bool' or an instance of 'numpy.bool'. Got 'yes' instead.",
            ),
            ("validation_fraction", 1, "a float in the range [0.0, 1.0). Got 1 instead."),
            ("beta_1", 1, "a float in the range [0.0, 1.0). Got 1 instead."),
            ("beta_2", -0.1, "a float in the range [0.0, 1.0). Got -0.1 instead."),
            ("epsilon", 0, "a float in the range (0.0, inf). Got 0 instead."),
            (
                "n_iter_no_change",
                0,
                "an int in the range [1, inf) or a float among {inf}. Got 0 instead.",
            ),
            ("max_fun", 0, "an int in the range [1, inf). Got 0 instead."),
        ]
    },
    **{
        f"{name}={value!r}": Case(
            ValueError,
            f"The {name!r} parameter of MLPRegressor must be {allowed}",
            params={name: value},
            as_sklearn=False,
        )
        for name, value, allowed in [
            (
                "backend",
                "gpu",
                "a str among {'auto', 'cython', 'numba', 'numpy'}. Got 'gpu' instead.",
            ),
            (
                "backend",
                None,
                "a str among {'auto', 'cython', 'numba', 'numpy'}. Got None instead.",
            ),
            ("n_threads", 0, "None or an int in the range [1, inf). Got 0 instead."),
            ("n_threads", -1, "None or an int in the range [1, inf). Got -1 instead."),
            ("n_threads", 1.5, "None or an int in the range [1, inf). Got 1.5 instead."),
            ("n_threads", "all", "None or an int in the range [1, inf). Got 'all' instead."),
            (
                "dtype",
                "float16",
                "a str among {'auto', 'float32', 'float64'}. Got 'float16' instead.",
            ),
        ]
    },
    "an empty layer": Case(
        ValueError,
        "hidden_layer_sizes must be > 0, got [5, 0].",
        params={"hidden_layer_sizes": (5, 0)},
    ),
    "a negative layer": Case(
        ValueError, "hidden_layer_sizes must be > 0, got [-3].", params={"hidden_layer_sizes": [-3]}
    ),
    "half a neuron": Case(
        ValueError,
        "hidden_layer_sizes must hold whole numbers, got (5, 2.5).",
        params={"hidden_layer_sizes": (5, 2.5)},
        as_sklearn=False,
    ),
    "a word for a layer": Case(
        ValueError,
        "hidden_layer_sizes must hold whole numbers, got ('wide',).",
        params={"hidden_layer_sizes": ("wide",)},
        as_sklearn=False,
    ),
    "layers in two dimensions": Case(
        ValueError,
        "hidden_layer_sizes must hold whole numbers, got [[3, 4]].",
        params={"hidden_layer_sizes": [[3, 4]]},
        as_sklearn=False,
    ),
    "a validation set of one row": Case(
        ValueError,
        "The validation set is too small. Increase 'validation_fraction' or the size of your dataset.",
        params={"early_stopping": True, "validation_fraction": 0.01},
    ),
    "too large for memory": Case(
        MemoryError,
        "A network with 4 features, hidden layers of [2000000, 2000000] and 1 outputs has 4,000,014,000,001 parameters"
        " and needs about 149012",
        params={"hidden_layer_sizes": (2_000_000, 2_000_000)},
        as_sklearn=False,
    ),
    "too large for any memory": Case(
        MemoryError,
        "A network with 4 features, hidden layers of [1000000000000000000000000000000] and 1 outputs has ",
        params={"hidden_layer_sizes": (10**30,)},
        as_sklearn=False,
    ),
}


def fitted(case: Case) -> Any:
    """A model as it is before the bad call: trained well, and by a stream of its own."""
    y = Y_CLF if case.estimator == "MLPClassifier" else np.abs(Y_REG)
    model = getattr(fastnn, case.estimator)(**QUICK)
    train(model, lambda model: model.fit(X, y, WEIGHT))
    return model


def fails(case: Case, call: Callable[..., Any]) -> Exception:
    with warnings.catch_warnings(), pytest.raises(case.error) as caught:
        warnings.simplefilter("ignore", UserWarning)
        call(*case.arguments())
    return caught.value


def in_order(error: Exception) -> str:
    """The message, with the allowed values, of which scikit-learn keeps a set, in the order of the alphabet."""
    return re.sub(
        r"\{(.*?)\}", lambda match: "{" + ", ".join(sorted(match[1].split(", "))) + "}", str(error)
    )


@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
def test_the_message_says_what_is_wrong(case):
    message = in_order(fails(case, getattr(fastnn, case.estimator)(**QUICK | case.params).fit))
    assert message[: len(case.message)] == case.message
    if case.as_sklearn and parse_version(sklearn.__version__) >= parse_version("1.9"):
        assert message == in_order(
            fails(case, getattr(sklearn.neural_network, case.estimator)(**QUICK | case.params).fit)
        )


@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
def test_an_unfitted_model_stays_unfitted_and_draws_no_random_number(case):
    params = {"random_state": np.random.RandomState(5)} | case.params
    model = getattr(fastnn, case.estimator)(**QUICK | params)
    before = pickle.dumps(model)
    fails(case, model.fit)
    if (
        "early_stopping" not in case.params
    ):  # the size of a validation set is known once it is drawn, as in scikit-learn
        assert pickle.dumps(model) == before
    with pytest.raises(NotFittedError):
        model.predict(X)


@pytest.mark.parametrize("warm_start", [False, True], ids=["cold", "warm"])
@pytest.mark.parametrize("method", ["fit", "partial_fit"])
@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
def test_a_fitted_model_stays_as_it_was(case, method, warm_start):
    model = fitted(case)
    good = {name: value for name, value in model.get_params().items() if name in case.params}
    predictions = model.predict(X)
    model.set_params(**{"warm_start": warm_start} | case.params)
    if case.error is MemoryError and (method == "partial_fit" or warm_start):
        return  # the network is there already, and is not made anew
    if not hasattr(model, method):
        return  # with an unknown solver there is no partial_fit
    before = pickle.dumps(model)
    fails(case, getattr(model, method))
    assert pickle.dumps(model) == before
    np.testing.assert_array_equal(model.set_params(**good).predict(X), predictions)


# ---- labels and outputs that do not fit an earlier call


def same_error(call: Callable[[Any], Any], library_models: list[Any]) -> str:
    """The message with which ``call`` fails on each of the models, the same on all; none of them changes."""
    messages = []
    for model in library_models:
        before = pickle.dumps(model)
        with pytest.raises(ValueError) as caught:
            call(model)
        messages.append(str(caught.value))
        if type(model).__module__.startswith("fastnn"):
            assert pickle.dumps(model) == before
    assert len(set(messages)) == 1
    return messages[0]


def both(**params: Any) -> list[Any]:
    """Our classifier and scikit-learn's."""
    return [library.MLPClassifier(**QUICK | params) for library in (fastnn, sklearn.neural_network)]


def test_labels_outside_classes_of_the_first_call():
    models = both()
    message = same_error(lambda model: model.partial_fit(X, Y_CLF, classes=["a", "b"]), models)
    assert (
        message
        == "`y` has classes not in `self.classes_`. `self.classes_` has ['a' 'b']. 'y' has ['a' 'b' 'c']."
    )
    assert not hasattr(models[0], "classes_")


def test_unknown_labels_in_a_later_call():
    models = [model.partial_fit(X, Y_CLF, classes=["a", "b", "c"]) for model in both()]
    unknown = np.where(Y_CLF == "a", "z", Y_CLF)
    message = same_error(lambda model: model.partial_fit(X, unknown), models)
    assert (
        message
        == "`y` has classes not in `self.classes_`. `self.classes_` has ['a' 'b' 'c']. 'y' has ['b' 'c' 'z']."
    )


def test_no_classes_in_the_first_call():
    message = same_error(lambda model: model.partial_fit(X, Y_CLF), both())
    assert message == "classes must be passed on the first call to partial_fit."


def test_other_classes_in_a_later_call():
    models = [model.partial_fit(X, Y_CLF, classes=["a", "b", "c"]) for model in both()]
    message = same_error(lambda model: model.partial_fit(X, Y_CLF, classes=["a", "b", "z"]), models)
    assert message.startswith(
        "`classes=['a', 'b', 'z']` is not the same as on last call to partial_fit, was: "
    )


def test_other_classes_for_a_warm_start():
    models = both(warm_start=True)
    for model in models:
        train(model, lambda model: model.fit(X, Y_CLF))
    message = same_error(lambda model: model.fit(X, np.where(Y_CLF == "a", "b", Y_CLF)), models)
    assert message == (
        "warm_start can only be used where `y` has the same classes as in the previous call to fit. "
        "Previously got ['a' 'b' 'c'], `y` has ['b' 'c']"
    )


def test_partial_fit_with_early_stopping():
    message = same_error(
        lambda model: model.partial_fit(X, Y_CLF, classes=["a", "b", "c"]),
        both(early_stopping=True),
    )
    assert message == "partial_fit does not support early_stopping=True"


def test_partial_fit_with_lbfgs():
    for model in both(solver="lbfgs"):
        with pytest.raises(AttributeError) as caught:
            model.partial_fit  # noqa: B018 - looking it up is what must fail
        reason = caught.value.__cause__
        assert (
            str(reason)
            == "partial_fit is only available for stochastic optimizers. lbfgs is not stochastic."
        )


@pytest.mark.parametrize("first", [1, 2, 3])
def test_another_number_of_outputs_in_a_later_call(first):
    model = fastnn.MLPRegressor(**QUICK).partial_fit(X, np.tile(Y_REG[:, None], first).squeeze())
    before = pickle.dumps(model)
    later = first % 3 + 1
    with pytest.raises(
        ValueError, match=f"^y has {later} outputs, but this model was fitted with {first}.$"
    ):
        model.partial_fit(X, np.tile(Y_REG[:, None], later).squeeze())
    assert pickle.dumps(model) == before


def test_labels_for_a_multilabel_model_and_the_other_way_round():
    multilabel = np.stack([Y_CLF == label for label in "abc"], axis=1).astype(int)
    model = fastnn.MLPClassifier(**QUICK).partial_fit(X, multilabel, classes=[0, 1, 2])
    before = pickle.dumps(model)
    with pytest.raises(
        ValueError,
        match=r"^The object was not fitted with multilabel input|^`y` has classes not in",
    ):
        model.partial_fit(X, np.argmax(multilabel, axis=1))
    with pytest.raises(ValueError, match=r"outputs|labels|classes"):
        model.partial_fit(X, multilabel[:, :2])
    assert pickle.dumps(model) == before


# ---- predicting


PREDICT = {
    "NaN": replaced(X, np.nan),
    "infinity": replaced(X, np.inf),
    "minus and plus infinity": replaced(replaced(X, np.inf), -np.inf, at=9),
    "NaN in CSR": sp.csr_array(replaced(X, np.nan)),
    "too few features": X[:, :3],
    "too many features": np.hstack([X, X]),
    "too many features, sparse": sp.csc_array(np.hstack([X, X])),
    "one dimension": X[0],
    "a number": 3.0,
    "no rows": X[:0],
    "words": np.full((3, 4), "word"),
    "complex": X + 1j,
}


@pytest.mark.filterwarnings(
    "ignore:invalid value encountered in reduce"
)  # the sum of both infinities, by scikit-learn
@pytest.mark.parametrize("method", ["predict", "predict_proba", "predict_log_proba"])
@pytest.mark.parametrize("bad", PREDICT.values(), ids=PREDICT)
def test_prediction_refuses_what_scikit_learn_refuses(bad, method):
    models = both()
    for model in models:
        train(model, lambda model: model.fit(X, Y_CLF))
    same_error(lambda model: getattr(model, method)(bad), models)


@pytest.mark.parametrize("method", ["predict", "predict_proba", "predict_log_proba", "score"])
def test_an_unfitted_model_does_not_predict(method):
    arguments = (X, Y_CLF) if method == "score" else (X,)
    messages = []
    for model in both():
        with pytest.raises(NotFittedError) as caught:
            getattr(model, method)(*arguments)
        messages.append(str(caught.value))
    assert messages[0] == messages[1]


def test_missing_feature_names_are_warned_of():
    frame = pd.DataFrame(X, columns=["w", "x", "y", "z"])
    for model in both():
        train(model, lambda model: model.fit(frame, Y_CLF))
        with pytest.warns(
            UserWarning,
            match="^X does not have valid feature names, but MLPClassifier was fitted with feature",
        ):
            model.predict(X)
        with pytest.raises(
            ValueError, match=r"^The feature names should match those that were passed during fit."
        ):
            model.predict(frame[["x", "w", "y", "z"]])


def test_large_but_finite_numbers_are_not_warned_of(backend):
    # Their sum overflows, which a quick check for NaN must not tell anybody.
    model = fastnn.MLPClassifier(
        backend=backend, hidden_layer_sizes=(3,), max_iter=200, tol=0.1, random_state=0
    )
    model.fit(X, Y_CLF)
    model.coefs_ = [1e-200 * coef for coef in model.coefs_]
    assert model.predict(np.full((3, 4), 1e308)).shape == (3,)


# ---- backends


@pytest.mark.parametrize("name", ["cython", "numba"])
@pytest.mark.parametrize("warm_start", [False, True], ids=["cold", "warm"])
def test_a_backend_that_cannot_be_used_here(monkeypatch, name, warm_start):
    monkeypatch.setattr(
        backends,
        "why_not",
        lambda candidate: "it was not installed." if candidate == name else None,
    )
    model = fastnn.MLPRegressor(**QUICK, backend="numpy", warm_start=warm_start)
    train(model, lambda model: model.fit(X, Y_REG))
    predictions = model.predict(X)
    model.set_params(backend=name, random_state=np.random.RandomState(0))
    before = pickle.dumps(model)
    message = (
        f"^backend='{name}' cannot run this network: it was not installed.\n"
        "Choose backend='auto' to take the fastest one that can.$"
    )
    for call in (
        lambda: model.fit(X, Y_REG),
        lambda: model.partial_fit(X, Y_REG),
        lambda: model.predict(X),
    ):
        with pytest.raises(ValueError, match=message):
            call()
        assert pickle.dumps(model) == before
    np.testing.assert_array_equal(model.set_params(backend="numpy").predict(X), predictions)


def test_a_network_that_no_backend_supports(monkeypatch):
    class Narrow:
        name = "numpy"

        def supports(self, spec: NetworkSpec, dtype: np.dtype, plan: Plan | None = None) -> str:
            return "it has more than one layer."

    monkeypatch.setattr(
        backends,
        "why_not",
        lambda candidate: None if candidate == "numpy" else "it was not installed.",
    )
    monkeypatch.setattr(backends, "load", lambda candidate: Narrow())
    stream = np.random.RandomState(0)
    with pytest.raises(ValueError) as caught:
        fastnn.MLPRegressor(**QUICK | {"random_state": stream}).fit(X, Y_REG)
    assert str(caught.value) == (
        "backend='cython' cannot run this network: it was not installed.\n"
        "backend='numba' cannot run this network: it was not installed.\n"
        "backend='numpy' cannot run this network: it has more than one layer.\n"
        "Choose backend='auto' to take the fastest one that can."
    )
    assert stream.randint(1000) == np.random.RandomState(0).randint(1000)


# ---- coefs_ edited by hand


EDITS = {
    "a weight of another width": (
        lambda model: model.coefs_.__setitem__(1, np.ones((6, 1))),
        r"^coefs_\[0\] must have shape \(4, 6\), got \(4, 5\)\.$",
    ),
    "more features": (
        lambda model: model.coefs_.__setitem__(0, np.ones((9, 5))),
        r"^coefs_\[0\] must have 4 rows, one for each feature, got 9\.$",
    ),
    "fewer features": (
        lambda model: model.coefs_.__setitem__(0, np.ones((2, 5))),
        r"^coefs_\[0\] must have 4 rows, one for each feature, got 2\.$",
    ),
    "more outputs": (
        lambda model: (
            model.coefs_.__setitem__(1, np.ones((5, 3))),
            model.intercepts_.__setitem__(1, np.ones(3)),
        ),
        r"^coefs_\[-1\] must have 1 columns, one for each output, got 3\.$",
    ),
    "a bias of another length": (
        lambda model: model.intercepts_.__setitem__(0, np.ones(7)),
        r"^intercepts_\[0\] must have shape \(5,\), got \(7,\)\.$",
    ),
    "a weight of one dimension": (
        lambda model: model.coefs_.__setitem__(1, np.ones(5)),
        r"^coefs_\[1\] must have two dimensions, \(n_in, n_out\), got shape \(5,\)\.$",
    ),
    "a bias too many": (
        lambda model: model.intercepts_.append(np.ones(1)),
        r"^intercepts_ must hold 2 arrays, one for each layer, got 3\.$",
    ),
    "no weights": (
        lambda model: model.coefs_.clear(),
        r"^coefs_ must hold at least one array, got an empty list\.$",
    ),
}


@pytest.mark.parametrize(("edit", "message"), EDITS.values(), ids=EDITS)
def test_arrays_edited_into_shapes_that_do_not_fit(backend, edit, message):
    model = fastnn.MLPRegressor(**QUICK, backend=backend)
    train(model, lambda model: model.fit(X, Y_REG))
    edit(model)
    before = pickle.dumps(model)
    for call in (
        lambda: model.predict(X),
        lambda: model.predict(sp.csr_array(X)),
        lambda: model.partial_fit(X, Y_REG),
        lambda: model.set_params(warm_start=True).fit(X, Y_REG),
    ):
        with pytest.raises(ValueError, match=message):
            call()
        model.set_params(warm_start=False)
        assert pickle.dumps(model) == before
    train(model, lambda model: model.fit(X, Y_REG))  # a cold fit begins anew
    assert np.isfinite(model.predict(X)).all()


# ---- what goes on from a model, and matrices that contradict themselves


@pytest.mark.parametrize("method", ["fit", "partial_fit"])
def test_another_number_of_layers_cannot_go_on(method):
    model = fastnn.MLPRegressor(
        hidden_layer_sizes=(4,), max_iter=2, warm_start=True, tol=0, random_state=0
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        model.fit(X, X[:, 0])
    before = [W.copy() for W in model.coefs_]
    model.set_params(hidden_layer_sizes=(7, 7))
    message = r"hidden_layer_sizes is \[7, 7\], but the model to go on from has 1 hidden layers\. Set warm_start=False"
    with pytest.raises(ValueError, match=message):
        getattr(model, method)(X, X[:, 0])
    for W, old in zip(model.coefs_, before, strict=True):
        np.testing.assert_array_equal(W, old)


@pytest.mark.parametrize("sizes", [True, (True,), (3, False)])
def test_truth_values_are_no_sizes(sizes):
    with pytest.raises(ValueError, match="hidden_layer_sizes must"):
        fastnn.MLPRegressor(hidden_layer_sizes=sizes).fit(X, X[:, 0])


@pytest.mark.parametrize("column", [-1, 10**6])
def test_a_csr_matrix_that_points_beyond_its_columns(backend, column):
    broken = sp.csr_matrix(X)
    broken.indices[3] = column
    model = fastnn.MLPRegressor(hidden_layer_sizes=(4,), max_iter=2, backend=backend)
    with pytest.raises(
        ValueError, match=rf"X\.indices must lie in \[0, {X.shape[1]}\), got values"
    ):
        model.fit(broken, X[:, 0])
