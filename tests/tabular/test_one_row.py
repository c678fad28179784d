"""Is the quick answer for plain rows of a table the same as the full validation, word for word?"""

from __future__ import annotations

import pickle
import warnings
from datetime import date

import numpy as np
import pandas as pd
import pytest
import scipy.sparse

from fastnn import TabularClassifier, TabularRegressor
from fastnn.tabular.embed import EmbeddingEncoder

rng = np.random.default_rng(0)
X = rng.normal(size=(60, 3))
X[:, 2] = rng.integers(0, 4, 60)
X[::5, 0] = np.nan
ROW = X[1:2].copy()
FRAME = pd.DataFrame(
    {
        "size": X[:, 0],
        "rooms": rng.integers(1, 9, 60),
        "town": rng.choice(["Oslo", "Rome", "Lima"], 60),
        "pool": rng.random(60) < 0.5,
        "kind": pd.Categorical(rng.choice(["old", "new", "odd"], 60)),
        "same": 1.0,
        "built": pd.date_range("2020-01-01", periods=60),
    }
)
LINE = FRAME.iloc[3:4]
NUMBERED = pd.DataFrame(X, columns=[2, 0, 1])


def changed(value, place=1, dtype=np.float64):
    row = ROW.astype(dtype)
    row[0, place] = value
    return row


ARRAYS = {
    "plain": ROW,
    "float32": ROW.astype(np.float32),
    "big-endian": ROW.astype(">f8"),
    "missing": changed(np.nan),
    "many": X,
    "Fortran order": np.asfortranarray(X),
    "integers": np.ones((1, 3), int),
    "objects": ROW.astype(object),
    "numbers as text": np.array([["1", "2", "3"]]),
    "infinity": changed(np.inf),
    "infinity, float32": changed(-np.inf, dtype=np.float32),
    "infinite category": changed(np.inf, 2),
    "unknown category": changed(9.5, 2),
    "missing category": changed(np.nan, 2),
    "huge": changed(1e308),
    "too few features": ROW[:, :2],
    "no rows": ROW[:0],
    "one dimension": ROW[0],
    "CSR": scipy.sparse.csr_array(ROW),
    "DataFrame": pd.DataFrame(ROW),
}
FRAMES = {
    "plain": LINE,
    "many": FRAME,
    "missing": LINE.assign(size=np.nan, town=None),
    "reordered": LINE[LINE.columns[::-1]],
    "more columns": LINE.assign(more=1),
    "fewer columns": LINE.drop(columns="rooms"),
    "a column twice": pd.concat([LINE, LINE[["size"]]], axis=1),
    "infinity": LINE.assign(size=np.inf),
    "text": LINE.assign(rooms="many"),
    "numbers as text": LINE.assign(rooms="3"),
    "objects": LINE.astype(object),
    "nullable": LINE.astype({"rooms": "Int64"}).assign(rooms=pd.NA),
    "no date": LINE.assign(built=pd.NaT),
    "nanoseconds": LINE.assign(built=pd.Timestamp("2020-02-03 04:05:06.123456789")),
    "time zone": LINE.assign(built=pd.Timestamp("2020-02-03 04:05", tz="Asia/Tokyo")),
    "length of time": LINE.assign(built=pd.Timedelta(18300.3, "D")),
    "day": LINE.assign(built=date(2020, 2, 3)),
    "date as text": LINE.assign(built="2020-02-03"),
    "large": LINE.assign(rooms=pd.Series([10**400], LINE.index, object)),
    "unknown": LINE.assign(town="Bonn", kind="?", pool=None),
    "list": LINE.assign(town=[[1]]),
    "no rows": FRAME[:0],
    "array": LINE.to_numpy(),
}
CASES = [
    *(("numbers", given) for given in ARRAYS.values()),
    *(("a category", given) for given in ARRAYS.values()),
    *(("frame", given) for given in FRAMES.values()),
    *(("numbered", given) for given in (NUMBERED[:1], NUMBERED[[0, 1, 2]], NUMBERED[:1][[0, 1]])),
]
IDS = [*ARRAYS, *ARRAYS, *FRAMES, "numbered", "renumbered", "one lost"]


few = {"max_iter": 4, "n_members": 2, "hidden_layer_sizes": (4,), "random_state": 0}
few["batch_size"] = 8


@pytest.fixture(scope="module")
def models():
    y = X[:, 1]
    codes = np.array(["a", "b", "c"])[np.digitize(y, [-0.5, 0.5])]
    return {
        "numbers": TabularRegressor(**few).fit(X, y),
        "a category": TabularClassifier(**few, categorical_features=[2]).fit(X, codes),
        "frame": TabularClassifier(**few).fit(FRAME, codes),
        "numbered": TabularRegressor(**few).fit(NUMBERED, y),
    }


def outcome(method, given):
    """What a call gives: its result or its error, and its warnings."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        try:
            result = method(given)
        except Exception as error:
            result = (type(error), str(error))
    return result, [(w.category, str(w.message)) for w in caught]


@pytest.mark.parametrize(("name", "given"), CASES, ids=IDS)
def test_the_short_way_says_and_answers_what_the_full_validation_does(
    models, name, given, monkeypatch
):
    model = models[name]
    method = getattr(model, "predict_proba", model.predict)
    short, short_warnings = outcome(method, given)
    monkeypatch.setattr(EmbeddingEncoder, "_plain", lambda self, X: None)
    full, full_warnings = outcome(method, given)
    assert short_warnings == full_warnings
    if isinstance(full, tuple):
        assert short == full
        assert "EmbeddingEncoder" not in full[1]
    else:
        np.testing.assert_array_equal(short, full)


def test_plain_rows_do_take_the_short_way(models, monkeypatch):
    def as_table(X):
        raise AssertionError("the full validation ran")

    monkeypatch.setattr("fastnn.tabular.embed.as_table", as_table)
    for given in (ROW, X, ROW.astype(np.float32), changed(np.nan)):
        models["numbers"].predict(given)
        models["a category"].predict(given)
    for short in ("plain", "missing", "nullable", "unknown", "no date", "nanoseconds", "reordered"):
        models["frame"].predict(FRAMES[short])
    with pytest.raises(AssertionError, match="the full validation ran"):
        models["numbers"].predict(changed(np.inf))


def test_a_row_is_answered_as_in_its_table(models):
    for name, table in (("numbers", X), ("frame", FRAME)):
        together = models[name]._by_member(table)
        assert np.ptp(together) > 0.1
        for i in (0, 1, 7):
            alone = models[name]._by_member(table[i : i + 1])
            np.testing.assert_array_equal(alone[:, 0], together[:, i])


def test_parameters_changed_in_place_take_effect(models):
    model = pickle.loads(pickle.dumps(models["numbers"]))
    before = model.predict(ROW)
    model._params[...] = model._params[::-1] * 2
    changed_in_place = model.predict(ROW)
    assert changed_in_place != before
    np.testing.assert_array_equal(changed_in_place, pickle.loads(pickle.dumps(model)).predict(ROW))


def test_errors_name_the_estimator(models):
    with pytest.raises(ValueError, match="X has 2 features, but TabularRegressor is expecting 3"):
        models["numbers"].predict(ROW[:, :2])


def test_columns_numbered_in_another_order_are_found(models):
    turned = models["numbered"].predict(NUMBERED[[0, 1, 2]])
    np.testing.assert_array_equal(turned, models["numbered"].predict(NUMBERED))
    by_place = NUMBERED.rename(columns={0: 10, 1: 11, 2: 12})
    np.testing.assert_array_equal(models["numbered"].predict(by_place), turned)
    with pytest.raises(ValueError, match="X lacks columns that the model was fitted with: 1"):
        models["numbered"].predict(NUMBERED[[0, 2]])


def test_whole_numbers_keep_their_digits_beside_fractions():
    ids = 2**53 + np.arange(6) % 3
    table = pd.DataFrame({"x": rng.normal(size=6), "id": ids})
    encoder = EmbeddingEncoder(categorical_features=["id"]).fit(table)
    alone = [encoder.transform(table.iloc[i : i + 1]).codes[0, 0] for i in range(6)]
    assert alone == encoder.transform(table).codes[:, 0].tolist() == [0, 1, 2, 0, 1, 2]
