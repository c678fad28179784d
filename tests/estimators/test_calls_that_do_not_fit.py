"""What if a call does not fit the model? A clear error, and the model stays as it was."""

from __future__ import annotations

import pickle
import re
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp
import sklearn.neural_network
from sklearn.exceptions import NotFittedError
from support.parity import train

import fastnn
from fastnn import backends
from fastnn.backends.base import Plan
from fastnn.core.network import NetworkSpec

RNG = np.random.default_rng(7)
X = RNG.normal(size=(40, 4))
Y_CLF = np.array(["a", "b", "c"])[np.argmax(X[:, :3], axis=1)]
Y_REG = X @ [1.0, -2, 0.5, 0] + 3
QUICK = {"max_iter": 3, "hidden_layer_sizes": (5,), "random_state": 1}


def replaced(value: Any, *places: int) -> np.ndarray:
    """X with ``value`` at some places."""
    changed = X.copy()
    changed.flat[list(places)] = value
    return changed


# ---- labels and outputs that do not fit an earlier call


def same_error(call: Callable[[Any], Any], library_models: list[Any]) -> str:
    """The message, the same on all models, with which ``call`` fails; none of ours changes."""
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
    assert message == (
        "`y` has classes not in `self.classes_`. `self.classes_` has ['a' 'b']. "
        "'y' has ['a' 'b' 'c']."
    )
    assert not hasattr(models[0], "classes_")


def test_unknown_labels_in_a_later_call():
    models = [model.partial_fit(X, Y_CLF, classes=["a", "b", "c"]) for model in both()]
    unknown = np.where(Y_CLF == "a", "z", Y_CLF)
    message = same_error(lambda model: model.partial_fit(X, unknown), models)
    assert message == (
        "`y` has classes not in `self.classes_`. `self.classes_` has ['a' 'b' 'c']. "
        "'y' has ['b' 'c' 'z']."
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
        "warm_start can only be used where `y` has the same classes as in the previous call to "
        "fit. Previously got ['a' 'b' 'c'], `y` has ['b' 'c']"
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
    "NaN": replaced(np.nan, 3),
    "infinity": replaced(np.inf, 3),
    "minus and plus infinity": replaced([np.inf, -np.inf], 3, 9),
    "NaN in CSR": sp.csr_array(replaced(np.nan, 3)),
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
@pytest.mark.parametrize("sizes", [(7, 7), (7,), ()], ids=str)
def test_other_hidden_layers_cannot_go_on(method, sizes):
    model = fastnn.MLPRegressor(
        hidden_layer_sizes=(4,), max_iter=2, warm_start=True, tol=0, random_state=0
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        model.fit(X, X[:, 0])
    before = [W.copy() for W in model.coefs_]
    model.set_params(hidden_layer_sizes=sizes)
    message = re.escape(
        f"hidden_layer_sizes is {list(sizes)}, but the model to go on from has hidden layers of"
        " [4] neurons. Set warm_start=False and call fit to start anew, or set"
        " hidden_layer_sizes=[4]."
    )
    with pytest.raises(ValueError, match=f"^{message}$"):
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
