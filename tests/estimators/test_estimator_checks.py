"""Do the estimators keep scikit-learn's contract? Its own checks, on every backend, with no expected failures."""

from __future__ import annotations

import pytest
from sklearn.utils.estimator_checks import parametrize_with_checks

import fastnn
from fastnn import backends

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")

CLASSES = [fastnn.MLPClassifier, fastnn.MLPRegressor]


@parametrize_with_checks(
    [
        estimator(backend=name)
        for estimator in CLASSES
        for name in backends.BACKENDS
        if backends.why_not(name) is None
    ]
)
def test_keeps_the_contract(estimator, check):
    check(estimator)
