"""Is the quick answer for plain rows the same as the full validation, word for word?"""

from __future__ import annotations

import warnings

import numpy as np
import pytest
import scipy.sparse

from fastnn import MLPClassifier, MLPRegressor

rng = np.random.default_rng(0)
X = rng.normal(size=(60, 3))
ROW = X[:1].copy()


def changed(value: float, dtype=np.float64) -> np.ndarray:
    """The row with one value replaced."""
    row = ROW.astype(dtype)
    row[0, 1] = value
    return row


class Subclass(np.ndarray):
    """An array that scikit-learn turns into a plain one."""


INPUTS = {
    "plain": ROW,
    "float32": ROW.astype(np.float32),
    "big-endian": ROW.astype(">f8"),
    "many rows": X,
    "Fortran order": np.asfortranarray(X),
    "every other row": X[::2],
    "read-only": np.broadcast_to(ROW, (4, 3)),
    "subclass": ROW.view(Subclass),
    "masked": np.ma.masked_array(ROW, mask=[[0, 1, 0]]),
    "list": ROW.tolist(),
    "integers": np.array([[1, 2, 3]]),
    "booleans": np.array([[True, False, True]]),
    "float16": ROW.astype(np.float16),
    "long double": ROW.astype(np.longdouble),
    "complex": ROW.astype(complex),
    "objects": ROW.astype(object),
    "text": np.array([["a", "b", "c"]]),
    "numbers as text": np.array([["1", "2", "3"]]),
    "dates": np.array([["2020-01-01"] * 3], dtype="datetime64[D]"),
    "NaN": changed(np.nan),
    "NaN, float32": changed(np.nan, np.float32),
    "infinity": changed(np.inf),
    "minus infinity": changed(-np.inf),
    "huge": changed(1e200),
    "huge, float32": changed(1e30, np.float32),
    "NaN among many": np.vstack([X, changed(np.nan)]),
    "one dimension": ROW[0],
    "a number": 1.0,
    "three dimensions": ROW[None],
    "too few features": ROW[:, :2],
    "too many features": np.hstack([ROW, ROW]),
    "no rows": ROW[:0],
    "no features": ROW[:, :0],
    "nothing": None,
    "a string": "row",
    "CSR": scipy.sparse.csr_array(ROW),
    "CSC": scipy.sparse.csc_matrix(X),
    "COO": scipy.sparse.coo_array(ROW),
}


@pytest.fixture(scope="module")
def models():
    """Fitted models of each task and dtype, and one that knows its features by name."""
    pandas = pytest.importorskip("pandas")
    few = {"hidden_layer_sizes": (4,), "max_iter": 2, "random_state": 0, "batch_size": 30}
    labels = {
        "binary": X[:, 0] > 0,
        "multiclass": rng.integers(0, 3, 60),
        "multilabel": (X > 0).astype(int),
    }
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        fitted = {name: MLPClassifier(**few).fit(X, y) for name, y in labels.items()}
        fitted["regression"] = MLPRegressor(**few).fit(X, X[:, 0])
        fitted["float32"] = MLPClassifier(**few).fit(X.astype(np.float32), labels["binary"])
        fitted["named features"] = MLPClassifier(**few).fit(
            pandas.DataFrame(X, columns=["a", "b", "c"]), labels["binary"]
        )
        for dtype in ("float32", "float64"):
            fitted[f"dtype={dtype}"] = MLPClassifier(**few, dtype=dtype).fit(X, labels["binary"])
        fitted["unfitted"] = MLPClassifier(**few)
    return fitted


def outcome(method, given):
    """What a call gives: its result or its error, and its warnings."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        try:
            result = method(given)
        except Exception as error:
            result = (type(error), str(error))
    return result, [(w.category, str(w.message)) for w in caught]


PLAIN = ["binary", "multiclass", "multilabel", "regression", "float32"]
PLAIN += ["dtype=float32", "dtype=float64"]


@pytest.mark.parametrize("name", [*PLAIN, "named features", "unfitted"])
@pytest.mark.parametrize("given", INPUTS.values(), ids=INPUTS)
def test_the_short_way_says_and_answers_what_the_full_validation_does(
    models, name, given, monkeypatch
):
    model = models[name]
    for method in ("predict", "predict_proba", "predict_log_proba"):
        if not hasattr(model, method):
            continue
        short, short_warnings = outcome(getattr(model, method), given)
        with monkeypatch.context() as patch:
            patch.setattr(type(model), "_is_plain", lambda self, X: False)
            full, full_warnings = outcome(getattr(model, method), given)
        assert short_warnings == full_warnings
        if isinstance(full, tuple):
            assert short == full
        else:
            assert short.dtype == full.dtype
            np.testing.assert_array_equal(short, full)


def test_plain_rows_do_take_the_short_way(models, monkeypatch):
    def validate_data(*args, **kwargs):
        raise AssertionError("the full validation ran")

    monkeypatch.setattr("fastnn.estimators.base.validate_data", validate_data)
    for name in PLAIN:
        models[name].predict(ROW)
        models[name].predict(ROW.astype(np.float32))
    with pytest.raises(AssertionError, match="the full validation ran"):
        models["binary"].predict(changed(np.nan))
