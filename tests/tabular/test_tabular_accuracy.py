"""Is a bag still about as accurate as gradient boosting? Three tables, each within a seen band."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.datasets import load_breast_cancer, load_diabetes, make_classification
from sklearn.ensemble import HistGradientBoostingClassifier, HistGradientBoostingRegressor
from sklearn.metrics import log_loss, root_mean_squared_error
from threadpoolctl import threadpool_limits

from fastnn import TabularClassifier, TabularRegressor


def made():
    """Three classes of 800 rows, a tenth of them at random."""
    return make_classification(
        800, 12, n_informative=6, n_classes=3, class_sep=1.5, flip_y=0.1, random_state=0
    )


def breast_cancer():
    return load_breast_cancer(return_X_y=True)


def diabetes():
    return load_diabetes(return_X_y=True)


# The ratio of the bag's score, log loss or RMSE, to that of scikit-learn's trees: the range over
# ten seeds, widened by half of it to either side.
BANDS = {breast_cancer: (0.470, 0.689), made: (0.581, 0.657), diabetes: (0.906, 0.935)}


def ratio(table, seed):
    X, y = table()
    order = np.random.default_rng(0).permutation(len(y))
    train, test = order[: len(order) // 2], order[len(order) // 2 :]
    kinds, score = (TabularClassifier, HistGradientBoostingClassifier), log_loss_of
    if table is diabetes:
        kinds, score = (TabularRegressor, HistGradientBoostingRegressor), rmse_of
    bag, trees = kinds[0]("fast", random_state=seed), kinds[1](random_state=0)
    with threadpool_limits(1):  # else threads that wait for one another take most of the time
        for model in (bag, trees):
            model.fit(X[train], y[train])
    return score(bag, X[test], y[test]) / score(trees, X[test], y[test])


def log_loss_of(model, X, y):
    return log_loss(y, model.predict_proba(X))


def rmse_of(model, X, y):
    return root_mean_squared_error(y, model.predict(X))


@pytest.mark.parametrize("table", BANDS)
def test_as_accurate_as_trees_within_what_was_seen(table):
    low, high = BANDS[table]
    assert low < ratio(table, 0) < high
