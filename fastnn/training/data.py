"""How do X and weights become arrays a backend can read? dtype, order, CSR, the hold-out split."""

from __future__ import annotations

from datetime import date, timedelta
from numbers import Number
from typing import Any

import numpy as np
import scipy.sparse
from numpy.typing import NDArray
from sklearn.utils import check_array
from sklearn.utils.validation import check_non_negative

from fastnn.backends.base import Data
from fastnn.backends.checks import NotFinite, check_csr
from fastnn.core.activations import Array


def design_matrix(X: Any, dtype: np.dtype) -> Array | scipy.sparse.csr_array:
    """``X (n_rows, n_in)``, validated by scikit-learn, in C order or as CSR.

    The same memory where it fits already. NotFinite if a number is too large for ``dtype``.
    """
    if X.dtype == dtype:
        return _contiguous(X, dtype)
    with np.errstate(over="ignore"):
        matrix = _contiguous(X, dtype)
    values = matrix if isinstance(matrix, np.ndarray) else matrix.data
    if values.size and not np.isfinite([values.min(), values.max()]).all():
        raise NotFinite(f"Input X contains infinity or a value too large for {dtype!r}.")
    return matrix


def _contiguous(X: Any, dtype: np.dtype) -> Array | scipy.sparse.csr_array:
    if scipy.sparse.issparse(X):
        matrix = scipy.sparse.csr_array(X, dtype=dtype)
        check_csr(matrix)
        parts = (matrix.data, matrix.indices, matrix.indptr)
        return matrix if all(part.flags.aligned for part in parts) else matrix.copy()
    return np.require(X, dtype, ["C", "ALIGNED"])


def row_weights(
    sample_weight: Any, n_rows: int, dtype: np.dtype, part: bool = False
) -> Array | None:
    """Weights ``(n_rows,)`` of the engine's dtype; None stays None, one number counts for all rows.

    Another shape, weights that are negative, not finite or all zero raise ValueError, dates
    TypeError. Those of a ``part`` of the rows may all be zero.
    """
    if sample_weight is None:
        return None
    refuse_dates(np.asarray(sample_weight), "sample_weight")
    if isinstance(sample_weight, Number):
        sample_weight = np.full(n_rows, sample_weight)
    with np.errstate(over="ignore"):  # the check says what is too large
        weight = check_array(
            sample_weight, dtype=dtype, order="C", ensure_2d=False, input_name="sample_weight"
        )
    if weight.ndim != 1:
        raise ValueError(
            f"Sample weights must be 1D array or scalar, got {weight.ndim}D array. Expected either"
            f" a scalar value or a 1D array of length {n_rows}."
        )
    if weight.shape != (n_rows,):
        raise ValueError(f"sample_weight.shape == {weight.shape}, expected {(n_rows,)}!")
    check_non_negative(weight, "`sample_weight`")
    if not part and not weight.any():
        raise ValueError("Sample weights must contain at least one non-zero number.")
    return np.require(weight, requirements=["C", "ALIGNED"])


def refuse_dates(array: np.ndarray, name: str) -> None:
    """Raise TypeError if ``array`` holds dates or durations.

    NumPy would convert them to numbers in whatever unit they have, NaT to -9.2e18.
    """
    kinds = (np.datetime64, np.timedelta64, date, timedelta)
    found = array.dtype.kind in "mM"
    if found or (array.dtype.kind == "O" and any(isinstance(v, kinds) for v in array.flat)):
        raise TypeError(
            f"{name} must hold real numbers, got dates or durations (dtype {array.dtype}). Choose a"
            " unit and convert them first, for example to days: durations by"
            f" {name} / np.timedelta64(1, 'D'), dates by"
            f" ({name} - {name}.min()) / np.timedelta64(1, 'D')."
        )


def row_numbers(n_rows: int) -> NDArray[np.integer]:
    """0, 1, ... in int32 while that is enough: orders are much of what a fit keeps in memory."""
    return np.arange(n_rows, dtype=np.int32 if n_rows < 2**31 else np.int64)


def select_rows(data: Data, rows: NDArray[np.integer]) -> Data:
    """A copy of some rows."""
    return Data(data.X[rows], data.y[rows], None if data.weight is None else data.weight[rows])


def hold_out(
    rows: NDArray[np.integer],
    fraction: float,
    stratify: np.ndarray | None,
    random_state: np.random.RandomState,
) -> tuple[NDArray[np.integer], NDArray[np.integer]]:
    """Row numbers to train and to validate on, as ``train_test_split`` draws them.

    X is not copied. ValueError if a class of ``stratify`` has one row only, which cannot stand on
    both sides, or if fewer than two rows are held out.
    """
    if stratify is not None:
        labels, counts = np.unique(stratify, return_counts=True)
        if counts.min() < 2:
            raise ValueError(
                "early_stopping=True holds out rows of each class, but class"
                f" {labels[counts.argmin()].tolist()!r} has only one row. Add rows of that class or"
                " set early_stopping=False."
            )
    # Only early stopping needs it; it would make importing slower.
    from sklearn.model_selection import train_test_split

    train, validation = train_test_split(
        rows, random_state=random_state, test_size=fraction, stratify=stratify
    )
    if len(validation) < 2:
        raise ValueError(
            "The validation set is too small. Increase 'validation_fraction' or the size of your"
            " dataset."
        )
    return train, validation
