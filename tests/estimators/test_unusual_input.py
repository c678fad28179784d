"""Which input is unusual, but good? Whatever scikit-learn takes gives a plain array's model."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp
import sklearn.neural_network
from support.parity import train

import fastnn

RNG = np.random.default_rng(7)
X = RNG.normal(size=(40, 4))
Y_CLF = np.array(["a", "b", "c"])[np.argmax(X[:, :3], axis=1)]
Y_REG = X @ [1.0, -2, 0.5, 0] + 3
WEIGHT = RNG.uniform(0.5, 2, 40)
QUICK = {"max_iter": 3, "hidden_layer_sizes": (5,), "random_state": 1}


@pytest.fixture(scope="module")
def memory_map(tmp_path_factory):
    path = tmp_path_factory.mktemp("maps") / "X.npy"
    np.save(path, X)
    return np.load(path, mmap_mode="r")


def read_only(array: np.ndarray) -> np.ndarray:
    array = array.copy()
    array.flags.writeable = False
    return array


def with_duplicates() -> sp.csr_array:
    """A CSR matrix that names places twice and out of order, as summing them makes it X."""
    rows, columns = np.indices(X.shape).reshape(2, -1)[:, ::-1]
    rows, columns = np.tile(rows, 2), np.tile(columns, 2)
    order = np.argsort(rows, kind="stable")
    indptr = np.concatenate([[0], np.cumsum(np.bincount(rows))])
    return sp.csr_array(
        (np.tile(X.ravel()[::-1] / 2, 2)[order], columns[order], indptr), shape=X.shape
    )


def wide_indices() -> sp.csr_array:
    matrix = sp.csr_array(X)
    matrix.indices, matrix.indptr = matrix.indices.astype(np.int64), matrix.indptr.astype(np.int64)
    return matrix


CONTAINERS: dict[str, Callable[[], Any]] = {
    "read-only": lambda: read_only(X),
    "Fortran order": lambda: np.asfortranarray(X),
    "strided": lambda: np.repeat(np.repeat(X, 2, axis=0), 3, axis=1)[::2, ::3],
    "reversed": lambda: X[::-1].copy()[::-1],
    "big-endian": lambda: X.astype(">f8"),
    "unaligned": lambda: (
        np.frombuffer(b"x" + X.tobytes(), np.uint8)[1:].view(np.float64).reshape(X.shape)
    ),
    "list": lambda: X.tolist(),
    "tuple": lambda: tuple(map(tuple, X)),
    "pandas": lambda: pd.DataFrame(X, columns=["w", "x", "y", "z"]),
    "Polars": lambda: pytest.importorskip("polars").DataFrame(X, schema=["w", "x", "y", "z"]),
    "object dtype": lambda: X.astype(object),
    "long double": lambda: X.astype(np.longdouble),
    "CSR matrix": lambda: sp.csr_matrix(X),
    "CSR array": lambda: sp.csr_array(X),
    "CSC matrix": lambda: sp.csc_matrix(X),
    "CSC array": lambda: sp.csc_array(X),
    "COO": lambda: sp.coo_array(X),
    "CSR with duplicates": with_duplicates,
    "CSR with wide indices": wide_indices,
}


@pytest.mark.parametrize("early_stopping", [False, True], ids=["", "early stopping"])
@pytest.mark.parametrize("wrap", CONTAINERS.values(), ids=CONTAINERS)
def test_any_container_gives_the_model_of_a_plain_array(backend, wrap, early_stopping):
    params = QUICK | {"backend": backend, "early_stopping": early_stopping, "batch_size": 16}
    expected, model = fastnn.MLPClassifier(**params), fastnn.MLPClassifier(**params)
    wrapped = wrap()
    train(expected, lambda model: model.fit(X, Y_CLF, WEIGHT))
    train(model, lambda model: model.fit(wrapped, Y_CLF, WEIGHT))
    assert hasattr(model, "feature_names_in_") == hasattr(wrapped, "columns")
    for ours, theirs in zip(
        model.coefs_ + model.intercepts_, expected.coefs_ + expected.intercepts_, strict=True
    ):
        np.testing.assert_allclose(ours, theirs, rtol=1e-9, atol=1e-12)
    np.testing.assert_allclose(model.predict_proba(wrapped), expected.predict_proba(X), rtol=1e-9)
    assert (model.predict(wrapped) == expected.predict(X)).all()


def test_a_memory_map_gives_the_model_of_a_plain_array(backend, memory_map):
    params = QUICK | {"backend": backend}
    expected, model = fastnn.MLPRegressor(**params), fastnn.MLPRegressor(**params)
    train(expected, lambda model: model.fit(X, Y_REG))
    train(model, lambda model: model.fit(memory_map, Y_REG))
    np.testing.assert_array_equal(model.coefs_[0], expected.coefs_[0])
    np.testing.assert_array_equal(model.predict(memory_map), expected.predict(X))


@pytest.mark.parametrize("dtype", [bool, np.int8, np.uint16, np.int64, np.float16])
def test_other_numbers_are_trained_in_float64(backend, dtype):
    rounded = np.abs(4 * X).astype(dtype)
    params = QUICK | {"backend": backend}
    expected, model = fastnn.MLPRegressor(**params), fastnn.MLPRegressor(**params)
    train(expected, lambda model: model.fit(rounded.astype(float), Y_REG))
    train(model, lambda model: model.fit(rounded, Y_REG))
    assert model.coefs_[0].dtype == np.float64
    np.testing.assert_array_equal(model.coefs_[0], expected.coefs_[0])
    np.testing.assert_array_equal(model.predict(rounded), expected.predict(rounded.astype(float)))


POSITIVE = np.abs(Y_REG)
TARGETS: dict[str, Callable[[], Any]] = {
    "list": lambda: POSITIVE.tolist(),
    "read-only": lambda: read_only(POSITIVE),
    "strided": lambda: np.repeat(POSITIVE, 2)[::2],
    "pandas": lambda: pd.Series(POSITIVE, index=np.arange(40)[::-1]),
    "Polars": lambda: pytest.importorskip("polars").Series(POSITIVE),
    "object dtype": lambda: POSITIVE.astype(object),
    "unaligned": lambda: np.frombuffer(b"x" + POSITIVE.tobytes(), np.uint8)[1:].view(np.float64),
    "big-endian": lambda: POSITIVE.astype(">f8"),
}


@pytest.mark.parametrize("wrap", TARGETS.values(), ids=TARGETS)
def test_any_container_of_targets_and_weights(backend, wrap):
    params = QUICK | {"backend": backend}
    expected, model = fastnn.MLPRegressor(**params), fastnn.MLPRegressor(**params)
    train(expected, lambda model: model.fit(X, POSITIVE, POSITIVE))
    target = wrap()
    train(model, lambda model: model.fit(X, target, target))
    np.testing.assert_array_equal(model.coefs_[0], expected.coefs_[0])


def test_a_column_of_targets_is_flattened_with_scikit_learns_warning():
    for library in (fastnn, sklearn.neural_network):
        given = train(library.MLPRegressor(**QUICK), lambda model: model.fit(X, POSITIVE[:, None]))
        assert given[0] == (
            "DataConversionWarning: A column-vector y was passed when a 1d array was expected. "
            "Please change the shape of y to (n_samples, ), for example using ravel()."
        )
