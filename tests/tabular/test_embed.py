"""Does a table become bins, fractions, indicators and codes as the encoder promises?"""

from __future__ import annotations

import tracemalloc
from decimal import Decimal

import numpy as np
import pandas as pd
import pytest
import scipy.sparse

from fastnn.tabular.bins import RobustScale
from fastnn.tabular.embed import INDICATOR_SCALE, EmbeddingEncoder
from fastnn.tabular.table import Column, as_table
from fastnn.tabular.tally import Tally


def homes(n=60):
    rng = np.random.default_rng(0)
    return pd.DataFrame(
        {
            "area": rng.lognormal(4, 0.5, n),
            "rooms": rng.integers(1, 6, n),
            "built": pd.date_range("1990-01-01", periods=n, freq="91D"),
            "pool": rng.random(n) < 0.4,
            "town": rng.choice(["Oslo", "Rome", "Lima"], n),
            "heat": pd.Categorical(rng.choice(["gas", "wood"], n)),
            "all the same": 1.0,
            "empty": np.nan,
        }
    )


def numbers(encoder, encoded):
    """The scaled numbers that bins and fractions stand for, ``(n_rows, n_numeric)``."""
    columns = []
    for f, edges in enumerate(encoder.embedding_.edges):
        bins = encoded.bins[:, f]
        columns.append(np.array(edges)[bins] + encoded.fractions[:, f] * np.diff(edges)[bins])
    return np.column_stack(columns)


def test_each_column_becomes_what_it_is():
    X = homes()
    encoder = EmbeddingEncoder(n_bins=8, embedding_size=3).fit(X)
    encoded, embedding = encoder.transform(X), encoder.embedding_
    assert [len(edges) for edges in embedding.edges] == [9, 5, 9]  # area, rooms, built
    assert (embedding.size, embedding.n_indicators, len(embedding.hot)) == (3, 2, 3)
    assert encoded.indicators.shape == (60, 2)  # pool and heat
    places = {"Lima": 0, "Oslo": 1, "Rome": 2}
    assert encoded.codes[:, 0].tolist() == [places[town] for town in X["town"]]
    scale = RobustScale.of(Tally.of(X["area"].to_numpy(float)))
    np.testing.assert_allclose(numbers(encoder, encoded)[:, 0], scale(X["area"]), atol=1e-6)


@pytest.mark.parametrize("as_given", [homes, lambda: homes()[["area", "rooms"]].to_numpy()])
def test_fit_transform_is_both_and_looks_categories_up_once(monkeypatch, as_given):
    X, looked_up, levels = as_given(), [], Column.levels
    monkeypatch.setattr(Column, "levels", lambda own: looked_up.append(own.name) or levels(own))
    one, other = EmbeddingEncoder(n_bins=8), EmbeddingEncoder(n_bins=8)
    found = one.fit_transform(X)
    assert looked_up == (["pool", "town", "heat"] if X.shape[1] > 2 else [])
    expected = other.fit(X).transform(X)
    assert one.embedding_ == other.embedding_
    for name in ("bins", "fractions", "indicators", "codes"):
        assert getattr(found, name).tobytes() == getattr(expected, name).tobytes()


def test_missing_numbers_are_the_median_with_an_indicator():
    X = pd.DataFrame({"x": [1.0, 2, 3, 4, np.nan], "y": [5.0, 4, 3, 2, 1]})
    encoder = EmbeddingEncoder().fit(X)
    encoded = encoder.transform(X)
    assert encoded.indicators.shape == (5, 1)
    assert len(np.unique(encoded.indicators[:4])) == 1
    assert encoded.indicators[4] != encoded.indicators[0]
    gap = encoder.transform(pd.DataFrame({"x": [2.5], "y": [np.nan]}))
    median = encoder.transform(pd.DataFrame({"x": [2.5], "y": [3.0]}))
    np.testing.assert_array_equal(gap.fractions, median.fractions)
    np.testing.assert_array_equal(numbers(encoder, encoded)[4, 0], numbers(encoder, median)[0, 0])


def test_unknown_and_missing_categories_are_none():
    X = pd.DataFrame({"town": ["Oslo", "Rome", "Lima", None], "yes": ["y", "n", "y", "n"]})
    encoder = EmbeddingEncoder().fit(X)
    new = encoder.transform(pd.DataFrame({"town": ["Rome", "Bonn", None], "yes": ["y", "?", None]}))
    assert new.codes.ravel().tolist() == [2, -1, -1]
    assert new.indicators[1] == new.indicators[2] != new.indicators[0]


@pytest.mark.parametrize("yes", [True, "True", 1, 1.0, "1"])
def test_truth_values_are_found_as_they_come(yes):
    encoder = EmbeddingEncoder().fit(pd.DataFrame({"a": [True, False]}))
    found = encoder.transform(pd.DataFrame({"a": [yes]}))
    assert found.indicators[0] == encoder.transform(pd.DataFrame({"a": [True]})).indicators[0] > 0


class Interchanged:
    """A DataFrame that has the interchange protocol and nothing else."""

    def __init__(self, table):
        self.__dataframe__ = table.__dataframe__


def test_a_table_of_the_interchange_protocol_is_a_data_frame():
    X = homes()[["area", "rooms", "pool", "town"]]
    pd.testing.assert_frame_equal(as_table(Interchanged(X)), X)


def test_columns_are_found_by_name():
    X = homes()
    encoder = EmbeddingEncoder().fit(X)
    turned = encoder.transform(X[X.columns[::-1]])
    np.testing.assert_array_equal(turned.fractions, encoder.transform(X).fractions)
    with pytest.raises(ValueError, match=r"X lacks columns .* fitted with: 'area', 'town'"):
        encoder.transform(X.drop(columns=["town", "area"]))
    with pytest.raises(
        ValueError, match=r"X has columns .* not fitted with: 'more'\. Leave them out"
    ):
        encoder.transform(X.assign(more=1))


def test_tables_of_every_kind_are_read_alike():
    pl = pytest.importorskip("polars")
    X = homes()[["area", "rooms", "town"]]
    encoder = EmbeddingEncoder().fit(X)
    expected = encoder.transform(X)
    for same in (pl.DataFrame(X.to_dict("list")), X.astype({"town": "category"})):
        encoded = EmbeddingEncoder().fit(same).transform(same)
        np.testing.assert_array_equal(encoded.fractions, expected.fractions)
        np.testing.assert_array_equal(encoded.codes, expected.codes)
    array = X[["area", "rooms"]].to_numpy()
    sparse = scipy.sparse.csr_array(array)
    np.testing.assert_array_equal(
        EmbeddingEncoder().fit(sparse).transform(sparse).fractions, expected.fractions
    )


def test_objects_that_are_numbers_are_numbers():
    X = np.array([[1, "a"], [2, "b"], [3, "c"]], object)
    embedding = EmbeddingEncoder().fit(X).embedding_
    assert len(embedding.edges) == 1
    assert len(embedding.hot) == 3


@pytest.mark.parametrize("given", [["rooms"], [1], [False, True, False]])
def test_categories_can_be_named(given):
    X = homes()[["area", "rooms", "built"]]
    embedding = EmbeddingEncoder(categorical_features=given).fit(X).embedding_
    assert len(embedding.hot) == 5
    assert len(embedding.edges) == 2


def test_rare_categories_of_too_many_are_none():
    towns = [f"t{i}" for i in range(50)] + ["Oslo"] * 9 + ["Rome"] * 8 + ["Lima"] * 7
    X = pd.DataFrame({"town": towns})
    encoder = EmbeddingEncoder(max_categories=3).fit(X)
    codes = encoder.transform(X).codes[:, 0]
    assert len(encoder.embedding_.hot) == 3
    assert (codes[:50] == -1).all()
    assert (codes[50:] >= 0).all()


@pytest.mark.parametrize(
    ("X", "message"),
    [
        (pd.DataFrame({"a": [1.0, np.inf]}), "Column 'a' of X contains infinity"),
        (pd.DataFrame({"a": [1.0, 2.0]}), "categorical_features names 'b', which is no column"),
    ],
)
def test_what_cannot_be_read_is_refused(X, message):
    given = ["b"] if "names" in message else None
    with pytest.raises(ValueError, match=message):
        EmbeddingEncoder(categorical_features=given).fit(X)


def test_text_in_a_column_of_numbers_is_refused():
    encoder = EmbeddingEncoder().fit(pd.DataFrame({"a": [1.0, 2.0]}))
    with pytest.raises(ValueError, match="Column 'a' is one of numbers or dates, but not all of"):
        encoder.transform(pd.DataFrame({"a": ["x", "2"]}))
    same = encoder.transform(pd.DataFrame({"a": ["1", "2"]}))
    assert same.fractions.ravel().tolist() == [0.0, 1.0]


def test_one_outlier_does_not_rule_a_column():
    x = np.arange(100.0)
    scale = RobustScale.of(Tally.of(np.append(x, 1e12)))
    assert np.ptp(scale(x)) > 1.5
    assert scale(np.array([1e12])) <= 3


def reads_as(values, **kwargs):
    """Of which kind a column of a table is."""
    embedding = EmbeddingEncoder(**kwargs).fit(pd.DataFrame({"c": values})).embedding_
    kinds = (embedding.edges, "numbers"), (embedding.hot, "categories")
    return [name for found, name in kinds if found] or ["indicator"] * embedding.n_indicators


DAYS = pd.date_range("2020-01-01", periods=12)


@pytest.mark.parametrize(
    ("values", "kind"),
    [
        (np.arange(12.0).astype(object), "numbers"),  # of Python's floats
        ([*np.arange(12.0), None], "numbers"),
        (pd.Series([*np.arange(12.0)], dtype=object), "numbers"),  # of NumPy's
        ([Decimal(i) for i in range(12)], "numbers"),
        (pd.Series([10**400, *range(12)], dtype=object), "categories"),
        (DAYS.tz_localize("Europe/Oslo"), "numbers"),
        (DAYS - DAYS[0], "numbers"),
        (pd.Series(DAYS.date, dtype=object), "numbers"),
        (pd.Series([*DAYS, None, pd.NaT], dtype=object), "numbers"),
        (pd.Series(DAYS - DAYS[0], dtype=object), "numbers"),
        ([str(i) for i in range(12)], "categories"),
        (pd.period_range("2020-01", periods=12, freq="M"), "categories"),
        (pd.Series([np.True_, np.False_, None], dtype=object), "indicator"),
        (pd.arrays.SparseArray([True, False, True]), "indicator"),
        (pd.Series([True, False, None], dtype="boolean"), "indicator"),
    ],
)
def test_what_a_column_holds_decides_not_its_dtype(values, kind):
    assert reads_as(pd.Series(values)) in ([kind], [kind] * 2)


def test_a_level_beside_missing_cells_says_something():
    X = pd.DataFrame({"alley": ["yes", None, None, "yes", None]})
    encoder = EmbeddingEncoder().fit(X)
    indicators = encoder.transform(X).indicators
    assert indicators[0] == indicators[3] != indicators[1] == indicators[2]
    assert encoder.transform(pd.DataFrame({"alley": ["no"]})).indicators == indicators[1]


def test_a_row_is_read_as_in_its_table():
    X = np.array([["1"], ["2"], ["Oslo"], ["1"]], object)
    encoder = EmbeddingEncoder().fit(X)
    alone = [encoder.transform(X[i : i + 1]).codes[0, 0] for i in range(4)]
    assert alone == encoder.transform(X).codes[:, 0].tolist() == [0, 1, 2, 0]


def test_numbers_that_stand_beside_texts_in_an_array_are_numbers():
    X = np.array([[1.5, "a"], [2.5, "b"], [np.nan, "c"]])
    embedding = EmbeddingEncoder().fit(X).embedding_
    assert (len(embedding.edges), embedding.n_indicators, len(embedding.hot)) == (1, 1, 3)


@pytest.mark.parametrize("factor", [1e-310, 1e-200, 1e200, 1e300])
def test_numbers_of_any_size_are_scaled(factor):
    x = np.array([-1.0, -0.9, 0.0, 0.5, 1.0]) * factor
    scaled = RobustScale.of(Tally.of(x))(Column("x", x).numbers())
    assert np.isfinite(scaled).all()
    assert (np.diff(scaled) > 0).all()
    around_0 = RobustScale.of(Tally.of(np.arange(-2.0, 3)))
    assert around_0(np.array([1e308, -1e308])).tolist() == [3.0, -3.0]


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ([[1], [2]], r"Column 'c' is one of categories, .*unhashable type: 'list'"),
        ([{}, {"a": 1}], r"Column 'c' is one of categories, .*unhashable type: 'dict'"),
        ([1 + 1j, 2], "Complex data not supported"),
    ],
)
def test_cells_that_are_neither_numbers_nor_categories_are_refused(values, message):
    with pytest.raises((TypeError, ValueError), match=message):
        reads_as(pd.Series(values))


def test_each_column_knows_what_is_made_of_it():
    """Changing a column changes those parts of the encoding, and no other."""
    rng = np.random.default_rng(0)
    X = pd.DataFrame(
        {
            "number": rng.normal(size=40),
            "gaps": np.where(np.arange(40) % 5, rng.normal(size=40), np.nan),
            "same": 1.0,
            "two": rng.choice(["a", "b"], 40),
            "three": rng.choice(["a", "b", "c"], 40),
        }
    )
    encoder = EmbeddingEncoder().fit(X)
    before = encoder.transform(X)
    for name, own in zip(X, encoder.encoded_places(), strict=True):
        after = encoder.transform(X.assign(**{name: X[name].to_numpy()[::-1]}))
        for part, places in own.items():
            changed = (getattr(before, part) != getattr(after, part)).any(axis=0)
            assert np.flatnonzero(changed).tolist() == places, (name, part)


def test_sparse_tables_stay_sparse():
    X = scipy.sparse.random(3000, 200, 0.02, "csr", random_state=0)
    tracemalloc.start()
    try:
        encoder = EmbeddingEncoder(n_bins=4).fit(X)
        assert tracemalloc.get_traced_memory()[1] < 1_000_000  # a dense one has 4.8 MB
    finally:
        tracemalloc.stop()
    encoded, expected = encoder.transform(X), encoder.transform(X.toarray())
    np.testing.assert_array_equal(encoded.bins, expected.bins)
    np.testing.assert_array_equal(encoded.fractions, expected.fractions)


@pytest.mark.parametrize(
    ("trained", "given", "codes"),
    [
        ([3, 1, 2], ["1", "3", "x", "1.0"], [0, 2, -1, 0]),
        (["3", "1", "20"], [1, 3, 20, 4], [0, 2, 1, -1]),
        (["3", "1", "20"], [1.0, np.nan, 20, 0.5], [0, -1, 1, -1]),  # NaN makes numbers of them
        (["a", "1", "b"], pd.Series([1, "a", 2], dtype=object), [0, 1, -1]),
        ([1, "1", "b", "c"], pd.Series([1, "1", 1.0], dtype=object), [0, 1, 0]),
    ],
)
def test_categories_of_another_type_are_known_again(trained, given, codes):
    encoder = EmbeddingEncoder(categorical_features=[0])
    encoder.fit(pd.DataFrame({"c": pd.Series(trained, dtype=object)}))
    assert encoder.transform(pd.DataFrame({"c": given})).codes[:, 0].tolist() == codes


def test_a_table_of_many_categories_is_encoded_as_its_levels_say():
    """Codes and values of a thousand levels, missing ones among them, against plain lookups."""
    rng = np.random.default_rng(0)
    levels = np.array([*(f"level {i}" for i in range(999)), None], object)
    X = pd.DataFrame({"c": levels[rng.integers(0, 1000, 5000)]})
    encoder = EmbeddingEncoder(max_categories=254).fit(X)
    kept = sorted(X["c"].value_counts().index[:254])  # as many as there are
    codes = encoder.transform(X).codes[:, 0]
    known = dict(zip(encoder.categories_[0].levels, range(254), strict=True))
    assert codes.tolist() == [known.get(level, -1) for level in X["c"]]
    assert len(encoder.embedding_.hot) == len(kept)
    for code in (0, 100, 253):
        scale = RobustScale.of(Tally.of((codes == code).astype(float)))
        distance = scale(np.ones(1))[0] - scale(np.zeros(1))[0]
        assert encoder.embedding_.hot[code] == INDICATOR_SCALE * distance
