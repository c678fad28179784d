"""Does ``dtype`` do what converting X by hand does, in fit and in predict, for every kind of X?"""

from __future__ import annotations

import numpy as np
import pytest
import scipy.sparse

from fastnn import MLPClassifier, MLPRegressor

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")

RNG = np.random.default_rng(0)
X = RNG.normal(size=(60, 3))
Y = {MLPClassifier: X[:, 0] > 0, MLPRegressor: X @ [1.0, -2.0, 0.5]}
KINDS = {
    "array": np.asarray,
    "csr": scipy.sparse.csr_array,
    "csc": scipy.sparse.csc_matrix,
    "Fortran order": np.asfortranarray,
}


def fitted(kind, X, **params):
    settings = {"hidden_layer_sizes": (4,), "max_iter": 4, "random_state": 0}
    return kind(**{**settings, **params}).fit(X, Y[kind])


@pytest.mark.parametrize("solver", ["adam", "lbfgs"])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("given", ["float32", "float64"])
@pytest.mark.parametrize("make", KINDS.values(), ids=KINDS)
@pytest.mark.parametrize("kind", [MLPClassifier, MLPRegressor], ids=lambda kind: kind.__name__)
def test_it_is_the_same_as_converting_X(kind, make, given, dtype, solver):
    rows = make(X.astype(given))
    ours = fitted(kind, rows, dtype=dtype, solver=solver)
    by_hand = fitted(kind, rows.astype(dtype), solver=solver)
    for one, other in zip(ours.coefs_, by_hand.coefs_, strict=True):
        assert one.dtype == other.dtype == ("float64" if solver == "lbfgs" else dtype)
        np.testing.assert_array_equal(one, other)
    method = "predict_proba" if kind is MLPClassifier else "predict"
    found = getattr(ours, method)(rows)
    expected = getattr(by_hand, method)(rows.astype(dtype))
    assert found.dtype == expected.dtype
    np.testing.assert_array_equal(found, expected)


@pytest.mark.parametrize("given", ["float16", "int8", "bool", "object"])
def test_other_types_are_converted_as_well(given):
    rows = (X * 3).astype(given)
    model = fitted(MLPRegressor, rows, dtype="float32")
    assert model.coefs_[0].dtype == model.predict(rows).dtype == "float32"


def test_a_frame_keeps_its_names():
    pandas = pytest.importorskip("pandas")
    frame = pandas.DataFrame(X, columns=["a", "b", "c"])
    model = fitted(MLPRegressor, frame, dtype="float32")
    assert list(model.feature_names_in_) == ["a", "b", "c"]
    np.testing.assert_array_equal(
        model.predict(frame), fitted(MLPRegressor, X, dtype="float32").predict(X)
    )
    with pytest.raises(ValueError, match="The feature names should match those that were passed"):
        model.predict(frame[["c", "b", "a"]])


def test_partial_fit_trains_in_it():
    model = MLPClassifier((4,), random_state=0, dtype="float32")
    model.partial_fit(X, Y[MLPClassifier], classes=[False, True])
    assert model.partial_fit(X, Y[MLPClassifier]).coefs_[0].dtype == "float32"


@pytest.mark.filterwarnings("ignore:overflow encountered in cast")
def test_a_number_too_large_for_it_is_refused():
    huge = X.copy()
    huge[3, 1] = 1e200
    message = r"infinity or a value too large for dtype\('float32'\)"
    with pytest.raises(ValueError, match=message):
        fitted(MLPRegressor, huge, dtype="float32")
    model = fitted(MLPRegressor, X, dtype="float32")
    with pytest.raises(ValueError, match=message):
        model.predict(huge)
    assert np.isfinite(model.set_params(dtype="auto").predict(huge)).all()


def test_a_type_set_after_the_fit_is_checked_too():
    model = fitted(MLPRegressor, X).set_params(dtype="int8")
    message = r"dtype must be one of \['auto', 'float32', 'float64', 'bfloat16'\], got 'int8'"
    with pytest.raises(ValueError, match=message):
        model.predict(X)


def as_csr(X):
    return scipy.sparse.csr_array(X)


@pytest.mark.parametrize("make", [np.asarray, as_csr], ids=["array", "csr"])
@pytest.mark.parametrize("early_stopping", [False, True])
def test_a_float32_network_goes_on_with_float64_rows_that_fit(make, early_stopping):
    message = r"^Input X contains infinity or a value too large for dtype\('float32'\)\.$"
    model = fitted(MLPRegressor, X.astype("float32"), warm_start=True)
    model.set_params(early_stopping=early_stopping)
    model.fit(make(X), Y[MLPRegressor])
    huge = X.copy()
    huge[3, 1] = 1e200
    with pytest.raises(ValueError, match=message):
        model.fit(make(huge), Y[MLPRegressor])


@pytest.mark.skipif(np.finfo(np.longdouble).max == np.finfo(float).max, reason="no longer type")
def test_a_prediction_of_longer_numbers_says_what_is_too_large():
    model = fitted(MLPRegressor, X)
    rows = X.astype(np.longdouble)
    assert model.predict(rows).dtype == np.float64
    rows[0, 0] = np.longdouble("1e4000")
    with pytest.raises(ValueError, match=r"value too large for dtype\('float64'\)\.$"):
        model.predict(rows)
