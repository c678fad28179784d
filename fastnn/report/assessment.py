"""How good is a trained model? Metrics on rows it has not learned from, and what they are called.

The definitions are scikit-learn's (`sklearn.metrics`); the expected calibration error is Naeini et
al. 2015 over ten bins of equal width.
"""

from __future__ import annotations

import warnings
from dataclasses import dataclass, field
from typing import Any, TypeAlias

import numpy as np

from fastnn.tabular import unseen

# What each metric is called, in the order they are shown.
METRICS = {
    "accuracy": "accuracy",
    "always_most_frequent": "majority-class accuracy",
    "balanced_accuracy": "balanced accuracy",
    "precision": "precision",
    "recall": "recall",
    "f1": "F1",
    "auc": "AUC",
    "log_loss": "log loss",
    "always_shares_log_loss": "log loss of class shares",
    "brier": "Brier score",
    "calibration_error": "calibration error",
    "r2": "R²",
    "mae": "MAE",
    "rmse": "RMSE",
    "always_mean_rmse": "RMSE of the mean",
    "median_ae": "median absolute error",
}

# Labels or values, scores or None, and whether these are probabilities.
Predicted: TypeAlias = tuple[np.ndarray, np.ndarray | None, bool]

N_BINS = 10
# Permutation importance predicts (columns x repeats) times; more rows than this would change little
# but the waiting.
IMPORTANCE_ROWS = 2000
IMPORTANCE_REPEATS = 5


@dataclass
class Calibration:
    """Predicted against observed in bins.

    Attributes
    ----------
    what : str
        What is predicted.
    predicted, observed, rows : ndarray of shape (n_bins,)
        Means of a bin's predictions and of what came true, and its number of rows.
    error : float
        The mean distance between the two, weighted by rows.
    """

    what: str
    predicted: np.ndarray
    observed: np.ndarray
    rows: np.ndarray
    error: float


@dataclass
class ClassAssessment:
    """A classifier on unseen rows.

    Attributes
    ----------
    y, predicted : ndarray of shape (n_rows,)
        True and predicted labels.
    labels : ndarray of shape (n_classes,)
        The classes, in the order of the rows and columns of ``confusion``.
    confusion : ndarray of shape (n_classes, n_classes)
        Rows counted by true (first index) and predicted class.
    by_class : list of dict
        For every class its label, precision, recall, F1 and rows.
    metrics : dict of str to float
        Accuracy, precision and so on; for two classes those of the second one, otherwise the mean
        over classes.
    roc : dict of str to tuple
        For every curve false-positive rates, true-positive rates and AUC; empty where the model
        gives no scores.
    calibration : Calibration or None
        None where the model gives no probabilities.
    """

    y: np.ndarray
    predicted: np.ndarray
    labels: np.ndarray
    confusion: np.ndarray
    by_class: list[dict[str, Any]]
    metrics: dict[str, float]
    roc: dict[str, tuple[np.ndarray, np.ndarray, float]] = field(default_factory=dict)
    calibration: Calibration | None = None


@dataclass
class ValueAssessment:
    """A regressor on unseen rows.

    Attributes
    ----------
    y, predicted : ndarray of shape (n_rows,)
        True and predicted values.
    metrics : dict of str to float
        R2, MAE and so on.
    calibration : Calibration
        Of the mean prediction.
    """

    y: np.ndarray
    predicted: np.ndarray
    metrics: dict[str, float]
    calibration: Calibration


def predictions(model: Any, X: Any) -> Predicted:
    """Return predicted labels or values, scores or None, and whether those are probabilities.

    Labels or values have shape (n_rows,), scores (n_rows,) or (n_rows, n_classes).
    """
    predicted = np.ravel(model.predict(X))  # CatBoost has its labels in a column
    for method in ("predict_proba", "decision_function"):
        if hasattr(model, "classes_") and hasattr(model, method):
            return predicted, np.asarray(getattr(model, method)(X)), method == "predict_proba"
    return predicted, None, False


def out_of_fold_of_bag(model: Any) -> tuple[np.ndarray, Predicted]:
    """Return which training rows a bag answers out of fold, and of these what `predictions` does.

    A threshold that the model decides by counts.
    """
    known, answers = unseen.out_of_fold(model)
    if not hasattr(model, "classes_"):
        return known, (answers, None, False)
    classes, last = np.asarray(model.classes_), model[-1] if hasattr(model, "steps") else model
    threshold = getattr(last, "threshold", None)
    second = None if threshold is None else answers[:, 1] >= threshold
    places = answers.argmax(axis=1) if second is None else second.astype(int)
    return known, (classes[places], answers, True)


def out_of_fold(model: Any, X: Any, y: Any, cv: Any) -> Predicted:
    """Return what `predictions` does, each row predicted by a copy that has not seen it."""
    from sklearn.model_selection import cross_val_predict

    if not hasattr(model, "classes_"):
        return cross_val_predict(model, X, y, cv=cv), None, False
    if not hasattr(model, "predict_proba"):
        return cross_val_predict(model, X, y, cv=cv), None, False
    probabilities = cross_val_predict(model, X, y, cv=cv, method="predict_proba")
    return np.asarray(model.classes_)[probabilities.argmax(axis=1)], probabilities, True


def assess_classes(
    y: np.ndarray,
    predicted: np.ndarray,
    scores: np.ndarray | None,
    are_probabilities: bool,
    classes: np.ndarray,
) -> ClassAssessment:
    """Measure a classifier.

    Parameters
    ----------
    y, predicted : ndarray of shape (n_rows,)
        True and predicted labels.
    scores : ndarray of shape (n_rows,) or (n_rows, n_classes), or None
        Scores in the order of ``classes``; one column is for the second of two classes.
    are_probabilities : bool
        Whether each row of scores sums to 1.
    classes : ndarray of shape (n_classes,)
        The model's classes.

    Returns
    -------
    ClassAssessment
    """
    from sklearn import metrics as sk

    labels = np.unique(np.concatenate([classes, np.unique(y)]))
    binary = len(classes) == 2
    confusion = sk.confusion_matrix(y, predicted, labels=labels)
    precision, recall, f1, rows = sk.precision_recall_fscore_support(
        y, predicted, labels=labels, zero_division=0
    )
    by_class = [
        {"label": label, "precision": p, "recall": r, "f1": f, "rows": int(n)}
        for label, p, r, f, n in zip(labels, precision, recall, f1, rows, strict=True)
    ]
    accuracy = float(np.mean(y == predicted))
    present = rows > 0
    pick = int(np.flatnonzero(labels == classes[1])[0]) if binary else None
    measured = {
        "accuracy": accuracy,
        "accuracy_se": float(np.sqrt(accuracy * (1 - accuracy) / len(y))),
        "always_most_frequent": float(rows.max() / len(y)),
        "precision": float(precision[pick] if pick is not None else precision[present].mean()),
        "recall": float(recall[pick] if pick is not None else recall[present].mean()),
        "f1": float(f1[pick] if pick is not None else f1[present].mean()),
        "balanced_accuracy": float(recall[present].mean()),
    }
    result = ClassAssessment(y, predicted, labels, confusion, by_class, measured)
    if scores is None:
        return result

    table = scores if scores.ndim == 2 else np.column_stack([-scores, scores])
    for k, label in enumerate(classes):
        if (binary and k == 0) or not 0 < np.sum(y == label) < len(y):
            continue
        false_positive, true_positive, _ = sk.roc_curve(y == label, table[:, k])
        result.roc[str(label)] = (
            false_positive,
            true_positive,
            float(sk.auc(false_positive, true_positive)),
        )
    if result.roc:
        measured["auc"] = float(np.mean([area for _, _, area in result.roc.values()]))
    if are_probabilities:
        known = np.isin(y, classes)
        shares = rows[present] / len(y)
        if len(shares) > 1:
            measured["always_shares_log_loss"] = -float(np.sum(shares * np.log(shares)))
        measured["log_loss"] = float(sk.log_loss(y[known], table[known], labels=classes))
        if binary:
            chance, came = table[:, 1], y == classes[1]
            what = f"chance of {classes[1]}"
            measured["brier"] = float(np.mean((chance - came) ** 2))
        else:
            chance, came, what = table.max(axis=1), y == predicted, "chance of the predicted class"
        result.calibration = _calibration(
            what, chance, came.astype(float), np.linspace(0, 1, N_BINS + 1)
        )
        measured["calibration_error"] = result.calibration.error
    return result


def assess_values(y: np.ndarray, predicted: np.ndarray) -> ValueAssessment:
    """Measure a regressor from true and predicted values of shape (n_rows,)."""
    residuals = y - predicted
    rmse = float(np.sqrt(np.mean(residuals**2)))
    spread = float(np.sum((y - y.mean()) ** 2))
    measured = {
        "r2": 1 - float(np.sum(residuals**2)) / spread if spread else float("nan"),
        "mae": float(np.mean(np.abs(residuals))),
        "rmse": rmse,
        "median_ae": float(np.median(np.abs(residuals))),
        "always_mean_rmse": float(np.sqrt(spread / len(y))),
    }
    edges = np.unique(np.quantile(predicted, np.linspace(0, 1, N_BINS + 1)))
    return ValueAssessment(
        y, predicted, measured, _calibration("mean prediction", predicted, y, edges)
    )


def _calibration(
    what: str, predicted: np.ndarray, came: np.ndarray, edges: np.ndarray
) -> Calibration:
    """Return the means of ``predicted`` and ``came`` in each bin that holds rows."""
    bins = np.clip(np.searchsorted(edges, predicted, side="right") - 1, 0, max(len(edges) - 2, 0))
    filled = np.unique(bins)
    means = np.array([predicted[bins == b].mean() for b in filled])
    observed = np.array([came[bins == b].mean() for b in filled])
    rows = np.array([np.sum(bins == b) for b in filled])
    return Calibration(
        what, means, observed, rows, float(np.average(np.abs(means - observed), weights=rows))
    )


def importance(model: Any, X: Any, y: np.ndarray, seed: int = 0) -> list[tuple[str, float, float]]:
    """Return each column with the fall of the score when it is shuffled: mean, standard deviation.

    The largest fall comes first.
    """
    from sklearn.inspection import permutation_importance

    rng = np.random.default_rng(seed)
    if len(X) > IMPORTANCE_ROWS:
        rows = rng.choice(len(X), IMPORTANCE_ROWS, replace=False)
        X, y = X.iloc[rows], y[rows]
    with warnings.catch_warnings():
        warnings.simplefilter(
            "ignore"
        )  # a model's warnings about single rows would come once for every column
        found = permutation_importance(model, X, y, n_repeats=IMPORTANCE_REPEATS, random_state=seed)
    order = np.argsort(-found.importances_mean)
    return [
        (str(X.columns[i]), float(found.importances_mean[i]), float(found.importances_std[i]))
        for i in order
    ]
