"""What does dtype="bfloat16" of the estimators mean, and what does it cost in accuracy?"""

from __future__ import annotations

import pickle

import numpy as np
import pytest
import scipy.sparse
from sklearn.datasets import load_digits

import fastnn
from fastnn import MLPClassifier, MLPRegressor, TabularClassifier, TabularRegressor
from fastnn.export import to_onnx

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")

X, Y = load_digits(return_X_y=True)
X = X / 16


def fitted(dtype, rows=X, y=Y, kind=MLPClassifier, **params):
    settings = {"hidden_layer_sizes": (20,), "max_iter": 3, "random_state": 0, "dtype": dtype}
    return kind(**settings | params).fit(rows, y)


@pytest.fixture(scope="module")
def model():
    return fitted("bfloat16")


def test_it_is_float32_that_learns_a_little_otherwise(model):
    exact = fitted("float32")
    assert {array.dtype.name for array in (*model.coefs_, *model.intercepts_)} == {"float32"}
    assert model.predict_proba(X).dtype == np.float32
    largest = max(
        np.abs(ours - theirs).max() for ours, theirs in zip(model.coefs_, exact.coefs_, strict=True)
    )
    assert 1e-5 < largest < 0.05
    np.testing.assert_allclose(model.loss_curve_, exact.loss_curve_, rtol=5e-3)


def test_it_predicts_in_float32(model):
    exact = pickle.loads(pickle.dumps(model)).set_params(dtype="float32")
    np.testing.assert_array_equal(model.predict_proba(X), exact.predict_proba(X))


def test_auto_never_chooses_it():
    ours = fitted("auto", X.astype(np.float32))
    exact = fitted("float32")
    np.testing.assert_array_equal(ours.coefs_[0], exact.coefs_[0])


def test_it_is_as_accurate_as_float32_within_the_noise_of_a_seed():
    def score(dtype, seed):
        settings = {"hidden_layer_sizes": (64, 64), "max_iter": 15, "random_state": seed}
        return fitted(dtype, X[:1200], Y[:1200], **settings).score(X[1200:], Y[1200:])

    exact, ours = ([score(dtype, seed) for seed in range(3)] for dtype in ("float32", "bfloat16"))
    assert np.std(exact) > 0.008
    assert np.abs(np.subtract(ours, exact)).max() < 0.004


def test_sparse_rows_are_learned_in_float32_by_the_first_layer(model):
    ours = fitted("bfloat16", scipy.sparse.csr_array(X))
    largest = np.abs(ours.coefs_[0] - model.coefs_[0]).max()
    assert 1e-5 < largest < 0.05
    linear = {"hidden_layer_sizes": (), "kind": MLPRegressor}  # that layer is its only one
    one, other = (fitted(d, scipy.sparse.csr_array(X), **linear) for d in ("bfloat16", "float32"))
    np.testing.assert_array_equal(one.coefs_[0], other.coefs_[0])


def test_a_model_of_float64_goes_on_in_it_as_float32():
    model = fitted("float64", warm_start=True).set_params(dtype="bfloat16").fit(X, Y)
    assert {array.dtype.name for array in model.coefs_} == {"float32"}
    again = fitted("float64", warm_start=True).set_params(dtype="float64").fit(X, Y)
    assert 0 < np.abs(model.coefs_[0] - again.coefs_[0]).max() < 0.05


@pytest.mark.parametrize(
    ("params", "message"),
    [
        (
            {"solver": "lbfgs"},
            "dtype='bfloat16' cannot be used with solver='lbfgs', which compares losses of the same"
            " network on the same rows in float64. Choose another solver, or leave dtype out.",
        ),
        (
            {"backend": "numba"},
            "backend='numba' cannot run this network: its kernels do not train in bfloat16;"
            " backend='cython' and 'numpy' do.",
        ),
    ],
    ids=["lbfgs", "numba"],
)
def test_what_cannot_be_is_refused_before_anything_changes(params, message):
    if "backend" in params:
        pytest.importorskip("numba")
    model = MLPClassifier(dtype="bfloat16", **params)
    with pytest.raises(ValueError, match=message.replace(".", r"\.")):
        model.fit(X, Y)
    assert not hasattr(model, "coefs_")


def test_everything_else_goes_with_it():
    settings = {
        "early_stopping": True,
        "dropout": 0.2,
        "augment": fastnn.augment.Mixup(),
        "activation": ["gelu"],
        "solver": "adamw",
    }
    ours, exact = (fitted(dtype, **settings) for dtype in ("bfloat16", "float32"))
    np.testing.assert_allclose(ours.coefs_[0], exact.coefs_[0], atol=0.02)
    np.testing.assert_allclose(ours.validation_scores_, exact.validation_scores_, atol=0.02)
    for model in (ours, exact):
        model.set_params(early_stopping=False).partial_fit(X, Y)
    np.testing.assert_allclose(ours.coefs_[0], exact.coefs_[0], atol=0.02)
    assert (ours.coefs_[0] != exact.coefs_[0]).mean() > 0.5


def test_an_exported_model_answers_alike(model):
    pytest.importorskip("onnx")
    from onnx.reference import ReferenceEvaluator

    rows = X[:50].astype(np.float32)
    session = ReferenceEvaluator(to_onnx(model))
    _, found = session.run(None, {session.input_names[0]: rows})
    np.testing.assert_allclose(found, model.predict_proba(rows), atol=1e-6)


@pytest.mark.parametrize("kind", [TabularClassifier, TabularRegressor], ids=lambda k: k.__name__)
def test_the_estimators_of_tables_train_in_it(kind):
    settings = {"n_members": 2, "max_iter": 4, "hidden_layer_sizes": (8,), "random_state": 0}
    exact, ours = (kind("fast", dtype=d, **settings).fit(X, Y) for d in ("float32", "bfloat16"))
    np.testing.assert_allclose(ours.loss_curve_, exact.loss_curve_, rtol=0.1)
    assert ours.loss_curve_ != exact.loss_curve_
    assert abs(ours.score(X, Y) - exact.score(X, Y)) < 0.05
    again = pickle.loads(pickle.dumps(ours))
    np.testing.assert_array_equal(again.predict(X), ours.predict(X))
