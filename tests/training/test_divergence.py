"""What happens when training diverges? An error in that pass, the model as it was; or the best kept."""

from __future__ import annotations

import pickle

import numpy as np
import pytest
import sklearn.neural_network
from support.parity import difference, numbers, train

import fastnn

X = np.random.default_rng(7).normal(size=(40, 4))
Y_REG = X @ [1.0, -2, 0.5, 0] + 3
DIVERGED = (
    "Solver produced non-finite parameter weights. The input data may contain large values and need"
    " to be preprocessed. Scale X to zero mean and unit variance (StandardScaler), scale a"
    " regression target alike, or lower learning_rate_init."
)
DIVERGING = {
    "solver": "sgd",
    "activation": "identity",
    "learning_rate_init": 5.0,
    "hidden_layer_sizes": (20,),
    "random_state": 0,
}


@pytest.mark.parametrize("n_iter_no_change", [10, np.inf])
@pytest.mark.parametrize("fitted_before", [False, True], ids=["unfitted", "fitted"])
@pytest.mark.filterwarnings("ignore::RuntimeWarning")
def test_divergence_raises_and_leaves_the_model_as_it_was(backend, fitted_before, n_iter_no_change):
    model = fastnn.MLPRegressor(
        **DIVERGING, max_iter=200, n_iter_no_change=n_iter_no_change, backend=backend
    )
    if fitted_before:
        train(
            model.set_params(learning_rate_init=1e-3, max_iter=5), lambda model: model.fit(X, Y_REG)
        )
        predictions = model.predict(X)
    model.set_params(learning_rate_init=5.0, max_iter=200)
    before = pickle.dumps(model)
    calls = [model.fit]
    if fitted_before:
        calls.append(lambda X, y: model.set_params(warm_start=True).fit(X, y))
    for call in calls:
        with pytest.raises(ValueError) as caught:
            call(100 * X, 100 * Y_REG)
        assert str(caught.value) == DIVERGED
        model.set_params(warm_start=False)
        assert pickle.dumps(model) == before
    if fitted_before:
        np.testing.assert_array_equal(model.predict(X), predictions)


@pytest.mark.filterwarnings(
    "ignore::RuntimeWarning", "ignore::sklearn.exceptions.ConvergenceWarning"
)
def test_divergence_raises_in_the_pass_it_happens_in(backend, capsys):
    params = {**DIVERGING, "max_iter": 200, "verbose": True}
    with pytest.raises(ValueError):
        sklearn.neural_network.MLPRegressor(**params).fit(100 * X, 100 * Y_REG)
    theirs_printed = capsys.readouterr().out.splitlines()
    with pytest.raises(ValueError):
        fastnn.MLPRegressor(**params, backend=backend).fit(100 * X, 100 * Y_REG)
    printed = capsys.readouterr().out.splitlines()
    # A loss is that of the parameters a pass began with: the first NaN among them was made in that
    # pass or the one before.
    n_finite = sum("nan" not in line for line in theirs_printed)
    assert len(theirs_printed) == 200
    assert n_finite - 1 <= len(printed) <= n_finite < 10
    assert [line[:30] for line in printed] == [line[:30] for line in theirs_printed[: len(printed)]]


@pytest.mark.filterwarnings(
    "ignore::RuntimeWarning", "ignore::sklearn.exceptions.ConvergenceWarning"
)
def test_divergence_in_partial_fit(backend):
    model = fastnn.MLPRegressor(**DIVERGING, backend=backend)
    for _ in range(200):
        before = pickle.dumps(model)
        try:
            model.partial_fit(100 * X, 100 * Y_REG)
        except ValueError as error:
            assert str(error) == DIVERGED
            break
    assert pickle.dumps(model) == before
    assert np.isfinite(model.coefs_[0]).all()


@pytest.mark.filterwarnings(
    "ignore::RuntimeWarning", "ignore::sklearn.exceptions.ConvergenceWarning"
)
def test_divergence_with_early_stopping_keeps_the_best(backend):
    shown = []
    for library, extra in ((fastnn, {"backend": backend}), (sklearn.neural_network, {})):
        model = library.MLPRegressor(
            **DIVERGING | {"learning_rate_init": 1.0}, early_stopping=True, max_iter=20, **extra
        )
        model.fit(X, Y_REG)
        assert np.isnan(model.validation_scores_[-1])
        assert isinstance(model.validation_scores_[-1], float)
        shown.append(numbers(model, X))
    found, where = difference(
        *[{k: v for k, v in s.items() if k not in ("loss_curve_", "loss_")} for s in shown]
    )
    assert found <= 1e-6, where
    assert np.isfinite(model.coefs_[0]).all()
