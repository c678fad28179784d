"""Do the estimators keep scikit-learn's contract? Its own checks, none expected to fail."""

from __future__ import annotations

import pytest
from sklearn.utils.estimator_checks import parametrize_with_checks

import fastnn

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")


@parametrize_with_checks([fastnn.MLPClassifier(), fastnn.MLPRegressor()])
def test_keeps_the_contract(backend, estimator, check):
    check(estimator.set_params(backend=backend))
