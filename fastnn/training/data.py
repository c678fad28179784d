"""How do X, y and weights become arrays a backend can read? dtype, order, label codes, CSR, the hold-out split."""

from __future__ import annotations

from typing import Any

import numpy as np
import scipy.sparse
from numpy.typing import NDArray
from sklearn.preprocessing import LabelBinarizer
from sklearn.utils.multiclass import type_of_target, unique_labels
from sklearn.utils.validation import _check_sample_weight

from fastnn.backends.checks import check_csr
from fastnn.core.activations import Array


def design_matrix(X: Any, dtype: np.dtype) -> Array | scipy.sparse.csr_array:
    """``X (n_rows, n_in)``, validated by scikit-learn, in C order or as CSR; the same memory where it fits already."""
    if scipy.sparse.issparse(X):
        matrix = scipy.sparse.csr_array(X, dtype=dtype)
        check_csr(matrix)
        return matrix
    return np.require(X, dtype, ["C", "ALIGNED"])


def target_columns(y: np.ndarray, dtype: np.dtype) -> Array:
    """Numbers ``(n_rows, n_out)`` from ``y (n_rows,)`` or ``(n_rows, n_out)``."""
    return np.require(y if y.ndim == 2 else y[:, None], dtype, ["C", "ALIGNED"])


def encode_labels(y: np.ndarray, binarizer: LabelBinarizer) -> tuple[np.ndarray, int, str]:
    """Labels as a backend reads them, with the number of outputs and the link they need.

    Parameters
    ----------
    y : ndarray of shape (n_rows,), or an indicator matrix of shape (n_rows, n_labels)
    binarizer : LabelBinarizer
        Fitted to all classes.

    Returns
    -------
    codes : ndarray
        int32 positions ``(n_rows,)`` in the sorted classes if there are more than two; else bool.
    n_outputs : int
    link : str
    """
    classes = binarizer.classes_
    if binarizer.y_type_ == "multiclass":
        return np.searchsorted(classes, y).astype(np.int32), len(classes), "softmax"
    if binarizer.y_type_.startswith("multilabel"):
        return binarizer.transform(y).astype(bool), len(classes), "logistic"
    return (
        (y == classes[-1]) & (len(classes) > 1),
        1,
        "logistic",
    )  # a single class is never the positive one


def check_known_labels(y: np.ndarray, binarizer: LabelBinarizer, all_of_them: bool) -> None:
    """Raise ValueError, in scikit-learn's words, unless the labels of y are (all of) those ``binarizer`` was fitted to."""
    labels, classes = unique_labels(y), binarizer.classes_
    if all_of_them:
        if set(labels) != set(classes):
            raise ValueError(
                "warm_start can only be used where `y` has the same classes as in the previous call to fit."
                f" Previously got {classes}, `y` has {labels}"
            )
    elif len(np.setdiff1d(labels, classes, assume_unique=True)):
        raise ValueError(
            f"`y` has classes not in `self.classes_`. `self.classes_` has {classes}. 'y' has {labels}."
        )
    if type_of_target(y).startswith("multilabel") != binarizer.y_type_.startswith("multilabel"):
        raise ValueError("The object was not fitted with multilabel input.")


def row_weights(sample_weight: Any, X: Any, dtype: np.dtype) -> Array | None:
    """Weights ``(n_rows,)`` of the engine's dtype; None stays None. Negative or all-zero weights raise ValueError."""
    if sample_weight is None:
        return None
    weight = _check_sample_weight(sample_weight, X, dtype=dtype, ensure_non_negative=True)
    if not weight.any():
        raise ValueError("Sample weights must contain at least one non-zero number.")
    return np.require(weight, requirements=["C", "ALIGNED"])


def row_numbers(n_rows: int) -> NDArray[np.integer]:
    """0, 1, ... in int32 while that is enough: with many rows their order is much of what a fit keeps in memory."""
    return np.arange(n_rows, dtype=np.int32 if n_rows < 2**31 else np.int64)


def hold_out(
    rows: NDArray[np.integer],
    fraction: float,
    stratify: np.ndarray | None,
    random_state: np.random.RandomState,
) -> tuple[NDArray[np.integer], NDArray[np.integer]]:
    """Row numbers to train and to validate on, the ones scikit-learn's ``train_test_split`` draws; X is not copied."""
    from sklearn.model_selection import (
        train_test_split,  # only early stopping needs it; it would make importing slower
    )

    train, validation = train_test_split(
        rows, random_state=random_state, test_size=fraction, stratify=stratify
    )
    if len(validation) < 2:
        raise ValueError(
            "The validation set is too small. Increase 'validation_fraction' or the size of your dataset."
        )
    return train, validation
