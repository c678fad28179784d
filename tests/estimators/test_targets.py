"""Which targets may be learned, and by which loss? Numbers are numbers, labels keep their names."""

from __future__ import annotations

import pickle
import warnings
from datetime import date, timedelta

import numpy as np
import pandas as pd
import pytest
import sklearn.neural_network
from support.parity import train

from fastnn import MLPClassifier, MLPRegressor
from fastnn.losses import Quantile

RNG = np.random.default_rng(0)
X = RNG.normal(size=(40, 3))
QUICK = {"max_iter": 3, "hidden_layer_sizes": (4,), "random_state": 1}

DAYS = np.arange(40).astype("datetime64[D]")
SPANS = DAYS - DAYS[0]
NO_NUMBERS = {
    "days": DAYS,
    "nanoseconds": DAYS.astype("datetime64[ns]"),
    "NaT among days": np.where(np.arange(40) == 3, np.datetime64("NaT"), DAYS),
    "durations": SPANS,
    "two columns of days": np.stack([DAYS, DAYS], axis=1),
    "two columns of durations": np.stack([SPANS, SPANS], axis=1),
    "one column of durations": SPANS[:, None],
    "Series of days": pd.Series(DAYS),
    "Series of durations": pd.Series(SPANS),
    "Series with a time zone": pd.Series(pd.DatetimeIndex(DAYS).tz_localize("UTC")),
    "frame of days": pd.DataFrame({"begin": DAYS, "end": DAYS}),
    "objects of NumPy": np.array(list(DAYS), dtype=object),
    "durations as objects of NumPy": np.array(list(SPANS), dtype=object),
    "dates of Python": np.array([date(2024, 1, 1)] * 40, dtype=object),
    "durations of Python": np.array([timedelta(days=2)] * 40, dtype=object),
    "list of days": list(DAYS),
}


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.DataConversionWarning")
@pytest.mark.parametrize("method", ["fit", "partial_fit"])
@pytest.mark.parametrize("y", NO_NUMBERS.values(), ids=NO_NUMBERS)
def test_dates_and_durations_are_no_numbers(y, method):
    model = MLPRegressor(**{**QUICK, "random_state": np.random.RandomState(0)})
    before = pickle.dumps(model)
    message = (
        r"^y must hold real numbers, got dates or durations \(dtype .*\)\. Choose a unit and"
        r" convert them first, for example to days: durations by y / np\.timedelta64\(1, 'D'\),"
        r" dates by \(y - y\.min\(\)\) / np\.timedelta64\(1, 'D'\)\.$"
    )
    with pytest.raises(TypeError, match=message):
        getattr(model, method)(X, y)
    assert pickle.dumps(model) == before


@pytest.mark.parametrize(
    "y",
    [SPANS / np.timedelta64(1, "D"), (DAYS - DAYS.min()) / np.timedelta64(1, "D")],
    ids=["durations", "dates"],
)
def test_the_way_out_of_dates_and_durations_works(y):
    model = MLPRegressor(**QUICK)
    train(model, lambda model: model.fit(X, y))
    assert np.isfinite(model.predict(X)).all()


def test_records_are_no_numbers():
    y = np.zeros(40, dtype=[("value", float)])
    with pytest.raises(TypeError, match=r"^y must hold real numbers, got dtype \[\('value', '<f8'"):
        MLPRegressor(**QUICK).fit(X, y)


@pytest.mark.parametrize("weight", [DAYS, SPANS, pd.Series(SPANS), np.array(list(SPANS), object)])
def test_dates_are_no_weights(weight):
    with pytest.raises(TypeError, match=r"^sample_weight must hold real numbers, got dates or"):
        MLPRegressor(**QUICK).fit(X, X[:, 0], sample_weight=weight)


NUMBERS = {
    "text": np.arange(40).astype(str),
    "bytes": np.arange(40).astype("S"),
    "objects": np.arange(40).astype(object),
    "truth values": np.arange(40) > 7,
    "unsigned": np.arange(40, dtype=np.uint8),
    "nullable": pd.Series(np.arange(40), dtype="Int64"),
    "categories": pd.Series(np.arange(40) % 3, dtype="category"),
}


@pytest.mark.parametrize("y", NUMBERS.values(), ids=NUMBERS)
def test_what_can_be_read_as_a_number_is_one(y):
    models = [MLPRegressor(**QUICK), MLPRegressor(**QUICK)]
    for model, targets in zip(models, (y, np.asarray(y).astype(np.float64)), strict=True):
        train(model, lambda model, targets=targets: model.fit(X, targets))
    np.testing.assert_array_equal(models[0].predict(X), models[1].predict(X))


def test_dates_may_be_labels():
    model = MLPClassifier(**QUICK)
    train(model, lambda model: model.fit(X, DAYS[np.arange(40) % 3]))
    assert model.predict(X).dtype == DAYS.dtype


@pytest.mark.parametrize(
    ("rare", "common", "named"),
    [("yes", "no", "'yes'"), (7, 3, "7"), (-1.0, 2.0, "-1.0"), (True, False, "True")],
)
def test_a_class_of_one_row_is_named_as_the_user_named_it(rare, common, named):
    y = np.where(np.arange(40) == 5, rare, common)
    message = (
        f"^early_stopping=True holds out rows of each class, but class {named} has only one row."
        " Add rows of that class or set early_stopping=False.$"
    )
    with pytest.raises(ValueError, match=message):
        MLPClassifier(**QUICK, early_stopping=True).fit(X, y)


@pytest.mark.parametrize("how", ["warm start", "partial_fit", "pickled", "assigned anew"])
def test_a_network_goes_on_with_the_loss_of_now(backend, how):
    y = np.abs(X[:, 0]) + 0.1
    models = []
    for first in ("gamma", "poisson"):
        model = MLPRegressor(**QUICK, loss="poisson", backend=backend, warm_start=True)
        train(model, lambda model: model.fit(X, y))
        model.set_params(loss=first)
        if how == "pickled":
            model = pickle.loads(pickle.dumps(model))
        if how == "assigned anew":
            model.coefs_ = [coef.copy() for coef in model.coefs_]
        method = "partial_fit" if how == "partial_fit" else "fit"
        model.set_params(loss="gamma")
        train(model, lambda model, method=method: getattr(model, method)(X, y))
        models.append(model)
    assert models[0]._loss.name == "gamma"
    assert models[0].loss_ == models[1].loss_
    np.testing.assert_array_equal(models[0].predict(X), models[1].predict(X))
    model = MLPRegressor(**QUICK, loss="poisson", backend=backend, warm_start=True)
    train(model, lambda model: model.fit(X, y).partial_fit(X, y))
    assert models[0].loss_ != model.loss_


@pytest.mark.parametrize("method", ["fit", "partial_fit"])
@pytest.mark.parametrize(
    ("first", "then", "sentence"),
    [
        (
            "poisson",
            "squared_error",
            r"^loss=SquaredError\(\) needs a network of 1 outputs and the inverse link 'identity',"
            r" but the model to go on from was fitted with 1 and 'exp', for Poisson\(\)\. Set"
            r" warm_start=False and call fit to start anew, or set the loss of before\.$",
        ),
        (Quantile([0.1, 0.9]), Quantile([0.1, 0.5, 0.9]), r"of 3 outputs .* with 2 and 'sorted'"),
        (Quantile([0.1, 0.9]), "huber", r"of 1 outputs .* with 2 and 'sorted'"),
    ],
)
def test_a_loss_that_the_network_is_not_made_for(first, then, sentence, method):
    y = np.abs(X[:, 0])
    model = MLPRegressor(**QUICK, loss=first, warm_start=True)
    train(model, lambda model: model.fit(X, y))
    before = pickle.dumps(model.set_params(loss=then))
    with pytest.raises(ValueError, match=sentence):
        getattr(model, method)(X, y)
    assert pickle.dumps(model) == before


def test_one_number_weighs_all_rows():
    shown = []
    for library_model in (MLPRegressor(**QUICK), sklearn.neural_network.MLPRegressor(**QUICK)):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            shown.append(library_model.fit(X, X[:, 0], sample_weight=2.5).predict(X))
    np.testing.assert_allclose(shown[0], shown[1], rtol=1e-9)
