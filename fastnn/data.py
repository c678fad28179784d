"""How do X, y and weights become arrays a backend can read? dtype, order, label codes, CSR, the hold-out split."""

from __future__ import annotations

from typing import Any

import numpy as np
import scipy.sparse
from numpy.typing import NDArray
from sklearn.model_selection import train_test_split
from sklearn.utils.validation import _check_sample_weight

from fastnn.activations import Array


def design_matrix(X: Any, dtype: np.dtype) -> Array | scipy.sparse.csr_array:
    """``X (n_rows, n_in)``, validated by scikit-learn, in C order or as CSR; the same memory where it fits already."""
    if scipy.sparse.issparse(X):
        return scipy.sparse.csr_array(X, dtype=dtype)
    return np.require(X, dtype, ["C", "ALIGNED"])


def target_columns(y: np.ndarray, dtype: np.dtype) -> Array:
    """Numbers ``(n_rows, n_out)`` from ``y (n_rows,)`` or ``(n_rows, n_out)``."""
    return np.require(y if y.ndim == 2 else y[:, None], dtype, ["C", "ALIGNED"])


def label_codes(y: np.ndarray, classes: np.ndarray) -> NDArray[np.int32]:
    """The position of each label ``y (n_rows,)`` in the sorted ``classes (n_classes,)``."""
    return np.searchsorted(classes, y).astype(np.int32)


def row_weights(sample_weight: Any, X: Any, dtype: np.dtype) -> Array | None:
    """Weights ``(n_rows,)`` of the engine's dtype; None stays None. Negative or all-zero weights raise ValueError."""
    if sample_weight is None:
        return None
    weight = _check_sample_weight(sample_weight, X, dtype=dtype, ensure_non_negative=True)
    if not weight.any():
        raise ValueError("Sample weights must contain at least one non-zero number.")
    return np.require(weight, requirements=["C", "ALIGNED"])


def hold_out(
    n_rows: int, fraction: float, stratify: np.ndarray | None, random_state: np.random.RandomState
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Row numbers to train and to validate on, the ones scikit-learn's ``train_test_split`` draws; X is not copied."""
    train, validation = train_test_split(
        np.arange(n_rows, dtype=np.int64), random_state=random_state, test_size=fraction, stratify=stratify
    )
    if len(validation) < 2:
        raise ValueError("The validation set is too small. Increase 'validation_fraction' or the size of your dataset.")
    return train, validation
