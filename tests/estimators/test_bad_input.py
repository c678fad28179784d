"""What does ``fit`` refuse? With scikit-learn's error where it has one, before anything changes."""

from __future__ import annotations

import pickle
import re
import warnings
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pytest
import scipy.sparse as sp
import sklearn
import sklearn.neural_network
from sklearn.exceptions import NotFittedError
from sklearn.utils.fixes import parse_version
from support.parity import train

import fastnn

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
    """A call of ``fit`` that must fail, and how."""

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
        "Found array with 0 sample(s) (shape=(0, 4)) while a minimum of 1 is required by ",
        X=X[:0],
        y=Y_REG[:0],
    ),
    "no features": Case(
        ValueError,
        "Found array with 0 feature(s) (shape=(40, 0)) while a minimum of 1 is required by ",
        X=X[:, :0],
    ),
    "no rows, sparse": Case(
        ValueError,
        "Found array with 0 sample(s) (shape=(0, 4)) while a minimum of 1 is required by ",
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
                "nonsense",
                "a str among {'poisson', 'squared_error'}. Got 'nonsense' instead.",
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
                "nonsense",
                "a str among {'identity', 'logistic', 'relu', 'tanh'}. Got 'nonsense' instead.",
            ),
            ("solver", "nonsense", "a str among {'adam', 'lbfgs', 'sgd'}. Got 'nonsense' instead."),
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
                "nonsense",
                "a str among {'adaptive', 'constant', 'invscaling'}. Got 'nonsense' instead.",
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
                "an int in the range [0, 4294967295], an instance of "
                "'numpy.random.mtrand.RandomState'",
            ),
            ("tol", -1e-9, "a float in the range [0.0, inf). Got -1e-09 instead."),
            (
                "verbose",
                -1,
                "an int in the range [0, inf), an instance of 'bool' or an instance of "
                "'numpy.bool'. Got -1 instead.",
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
                "nonsense",
                "a str among {'auto', 'cython', 'numba', 'numpy'}. Got 'nonsense' instead.",
            ),
            (
                "backend",
                None,
                "a str among {'auto', 'cython', 'numba', 'numpy'}. Got None instead.",
            ),
            ("n_threads", 0, "None or an int in the range [1, inf). Got 0 instead."),
            ("n_threads", -1, "None or an int in the range [1, inf). Got -1 instead."),
            ("n_threads", 1.5, "None or an int in the range [1, inf). Got 1.5 instead."),
            ("n_threads", True, "None or an int in the range [1, inf). Got True instead."),
            ("max_time", True, "None or a float in the range (0.0, inf). Got True instead."),
            ("dropout", False, "a float in the range [0.0, 1.0) or an array-like. Got False"),
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
        "The validation set is too small. Increase 'validation_fraction' or the size of your "
        "dataset.",
        params={"early_stopping": True, "validation_fraction": 0.01},
    ),
    "too large for memory": Case(
        MemoryError,
        "A network with 4 features, hidden layers of [2000000, 2000000] and 1 outputs has "
        "4,000,014,000,001 parameters and needs about 149012",
        params={"hidden_layer_sizes": (2_000_000, 2_000_000)},
        as_sklearn=False,
    ),
    "too large for any memory": Case(
        MemoryError,
        f"A network with 4 features, hidden layers of [{10**30}] and 1 outputs has ",
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


def in_parts(message: str) -> tuple[str, set[str]]:
    """The message with empty braces and without kinds of objects, and what stood in the braces."""
    allowed = {value for found in re.findall(r"\{(.*?)\}", message) for value in found.split(", ")}
    without_kinds = re.sub(r"(, | or )(an instance of '\S*?'|a callable)", "", message)
    return re.sub(r"\{.*?\}", "{}", without_kinds), allowed


@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
def test_the_message_says_what_is_wrong(case):
    params = QUICK | case.params
    message, allowed = in_parts(str(fails(case, getattr(fastnn, case.estimator)(**params).fit)))
    expected, known = in_parts(case.message)
    assert message.startswith(expected)
    assert allowed >= known
    if case.as_sklearn and parse_version(sklearn.__version__) >= parse_version("1.9"):
        theirs = getattr(sklearn.neural_network, case.estimator)(**params)
        expected, known = in_parts(str(fails(case, theirs.fit)))
        assert message == expected
        assert allowed >= known


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
        pytest.skip("the network exists already and is not made anew")
    before = pickle.dumps(model)
    fails(case, getattr(model, method))
    assert pickle.dumps(model) == before
    np.testing.assert_array_equal(model.set_params(**good).predict(X), predictions)
