"""Is a bag still about as accurate as gradient boosting? Three tables, each within a seen band."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.datasets import load_breast_cancer, load_diabetes, load_digits
from sklearn.ensemble import HistGradientBoostingClassifier, HistGradientBoostingRegressor
from sklearn.metrics import log_loss, root_mean_squared_error
from threadpoolctl import threadpool_limits

from fastnn import TabularClassifier, TabularRegressor

# The ratio of the bag's score, log loss or RMSE, to that of scikit-learn's trees: the range over
# ten seeds, widened by half of it to either side.
BANDS = {
    "breast_cancer": (load_breast_cancer, 0, 9),
    "digits": (load_digits, 0, 9),
    "diabetes": (load_diabetes, 0, 9),
}


def ratio(load, seed):
    X, y = load(return_X_y=True, as_frame=True)
    if load is load_digits:
        X, y = X[y < 5], y[y < 5]
    order = np.random.default_rng(0).permutation(len(y))
    train, test = order[: len(order) // 2], order[len(order) // 2 :]
    kinds, score = (TabularClassifier, HistGradientBoostingClassifier), log_loss_of
    if load is load_diabetes:
        kinds, score = (TabularRegressor, HistGradientBoostingRegressor), rmse_of
    bag, trees = kinds[0]("fast", random_state=seed), kinds[1](random_state=0)
    with threadpool_limits(1):  # else threads that wait for one another take most of the time
        for model in (bag, trees):
            model.fit(X.iloc[train], y.iloc[train])
    return score(bag, X.iloc[test], y.iloc[test]) / score(trees, X.iloc[test], y.iloc[test])


def log_loss_of(model, X, y):
    return log_loss(y, model.predict_proba(X))


def rmse_of(model, X, y):
    return root_mean_squared_error(y, model.predict(X))


@pytest.mark.parametrize("table", BANDS)
def test_as_accurate_as_trees_within_what_was_seen(table):
    load, low, high = BANDS[table]
    assert low < ratio(load, 0) < high
