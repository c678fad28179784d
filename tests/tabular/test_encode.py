"""Does a table become the right numbers, and a later one the same?"""

from __future__ import annotations

import decimal
import json
import os
from pathlib import Path

import numpy as np
import pytest

pd = pytest.importorskip("pandas", reason="pandas comes with fastnn[cli]")

import pyarrow as pa  # noqa: E402
from sklearn.base import clone  # noqa: E402
from sklearn.compose import ColumnTransformer  # noqa: E402
from sklearn.impute import SimpleImputer  # noqa: E402
from sklearn.linear_model import LinearRegression, LogisticRegression  # noqa: E402
from sklearn.pipeline import make_pipeline  # noqa: E402
from sklearn.preprocessing import OneHotEncoder, StandardScaler  # noqa: E402
from support.tables import beside, learned, people  # noqa: E402

from fastnn.tabular.encode import (  # noqa: E402
    UNSEEN,
    TableEncoder,
    features,
    table_model,
    targets,
    with_known_target,
)
from fastnn.tabular.options import TypeOptions  # noqa: E402
from fastnn.tabular.read import read_table  # noqa: E402
from fastnn.tabular.recognise import recognise  # noqa: E402
from fastnn.tabular.schema import TableError  # noqa: E402

SHARED = Path(__file__).parents[3] / "shared" / "data"


# ---- rows without a target


def test_rows_without_a_target_are_left_out_and_counted():
    frame = people()
    frame.loc[[0, 7], "bought"] = None
    notes = []
    schema = recognise(frame, "bought")
    assert len(with_known_target(schema, frame, notes.append)) == 38
    assert notes == ["2 rows of 40 left out: the target 'bought' is missing there"]
    with pytest.raises(TableError, match="'bought' is missing in 2 of 40 rows"):
        targets(schema, frame)
    with pytest.raises(TableError, match="The target 'bought' is missing in every row"):
        with_known_target(schema, frame.assign(bought=None))


# ---- later tables


def test_a_later_table_is_put_into_the_same_shape():
    frame = people()
    schema = recognise(frame, "bought")
    notes = []
    shuffled = frame[["bought", "city", "age"]]
    pd.testing.assert_frame_equal(features(schema, shuffled, notes.append), features(schema, frame))
    assert not notes
    later = pd.DataFrame(
        {"more": [1, 2, 3], "city": ["Bern", "Rome", None], "age": ["30", "", "41"]}
    ).replace("", None)
    X = features(schema, later, notes.append)
    assert X["age"].tolist()[::2] == [30.0, 41.0] and np.isnan(X["age"][1])
    assert X["city"].tolist()[:2] == [UNSEEN, "Rome"] and X["city"].isna().tolist()[2]
    assert notes == [
        "columns the model does not know are ignored: 'more'",
        "column 'city' holds values never seen in training ('Bern') in 1 row; they count as "
        "rare ones",
    ]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda f: f.drop(columns="age"), r"needs columns that are not there: 'age'\.$"),
        (
            lambda f: f.rename(columns={"age": "Age"}),
            r"not there: 'age'\. Is 'Age' meant to be 'age'\?",
        ),
        (
            lambda f: f.assign(age=["old"] * 3 + [30] * 37),
            r"'age' is one of numbers, but holds 'old' in row 1 \(and 2 more such",
        ),
        (
            lambda f: f.assign(age=[np.inf] + [30.0] * 39),
            r"'age' holds infinity, or a number .* for one, in 1 row, such as row 1\. Empty",
        ),
        (
            lambda f: f.assign(age=[-1e200] + [30.0] * 39),
            r"'age' holds numbers up to 1e\+200, too large .*Scale the column",
        ),
        (
            lambda f: f.assign(age=pd.Timestamp("2024-01-01")),
            r"'age' is one of numbers, but holds dates \(2024-01-01",
        ),
        (lambda f: f.assign(age=[[1]] * 40), r"'age' holds cells of type list"),
        (lambda f: f.assign(city=[{"a": 1}] * 40), r"'city' holds cells of type struct"),
    ],
)
def test_a_later_table_that_does_not_fit_says_why(change, message):
    schema = recognise(people(), "bought")
    with pytest.raises(TableError, match=message):
        features(schema, change(people()))


def test_whole_numbers_as_categories_survive_missing_cells():
    whole = pd.DataFrame({"zone": [1, 2] * 10, "y": ["a", "b"] * 10})
    schema = recognise(whole, "y", TypeOptions(categorical=["zone"]))
    # pandas makes floats of whole numbers beside missing cells
    holed = pd.DataFrame({"zone": [1.0, np.nan, 2.0]})
    notes = []
    assert features(schema, holed, notes.append)["zone"].tolist()[::2] == ["1", "2"]
    assert features(schema, pd.DataFrame({"zone": ["1.0", "2"]}))["zone"].tolist() == ["1", "2"]
    assert not notes


@pytest.mark.parametrize(
    ("values", "later"),
    [
        (["01", "02", "A1"], "01"),
        (["true", "false", "unknown"], "true"),
        (["1.50", "2.00", "x"], "1.50"),
        (["1E5", "B2", "C"], "1E5"),
        (["2024-01-01", "never", "often"], "2024-01-01"),
        (["$5", "free", "gone"], "$5"),
        (["NaN ", "nix", "x"], "nix"),
    ],
)
def test_a_later_table_is_read_by_the_schema(values, later, tmp_path):
    path = tmp_path / "t.csv"
    beside(values * 20).to_csv(path, index=False)
    schema, X, _ = learned(read_table(str(path)))
    beside([later] * 6).to_csv(path, index=False)
    notes = []
    assert features(schema, read_table(str(path)), notes.append)["x"].tolist() == [later] * 6
    assert not notes and later in X["x"].tolist()


def test_values_written_otherwise_are_the_same_where_that_is_plain():
    schema, _, _ = learned(beside(["01", "02", "A1", "1.50"] * 10))
    later = beside(["1", "2.0", "a1", "1.5", "3"])
    assert features(schema, later)["x"].tolist() == ["01", "02", UNSEEN, "1.50", UNSEEN]
    assert features(schema, beside([1, 2]))["x"].tolist() == ["01", "02"]
    # 7 may mean either
    schema, _, _ = learned(beside(["007", "07", "A1"] * 10))
    assert features(schema, beside(["7", "07"]))["x"].tolist() == [UNSEEN, "07"]
    schema, _, _ = learned(beside([True, False] * 10))
    assert features(schema, beside(["true", "FALSE"]))["x"].tolist() == ["True", "False"]


def test_labels_of_whole_numbers_stay_such():
    schema = recognise(pd.DataFrame({"x": np.arange(40) / 2, "y": [0, 1] * 20}), "y")
    assert targets(schema, pd.DataFrame({"y": [0.0, 1.0]})).tolist() == [0, 1]
    assert targets(schema, pd.DataFrame({"y": [5, 1]})).tolist() == [5, 1]  # for others to refuse
    with pytest.raises(
        TableError, match="'y' had whole numbers as classes in training, but holds 'maybe' here"
    ):
        targets(schema, pd.DataFrame({"y": ["maybe", "1"]}))


DTYPES = {
    "decimal": pd.ArrowDtype(pa.decimal128(9, 2)),
    "text": "str",
    "arrow text": pd.ArrowDtype(pa.string()),
    "large text": pd.ArrowDtype(pa.large_string()),
    "objects": object,
    "category": "category",
    "dictionary": pd.ArrowDtype(pa.dictionary(pa.int32(), pa.string())),
    "float64": "float64",
    "Float64": "Float64",
    "arrow double": pd.ArrowDtype(pa.float64()),
    "sparse": "Sparse[float64]",
}


@pytest.mark.parametrize("dtype", DTYPES.values(), ids=DTYPES)
@pytest.mark.parametrize("holes", [False, True])
def test_numbers_of_every_dtype(dtype, holes, tmp_path):
    values = ["1.25", "2.50", None if holes else "7.00", "2.50"] * 10
    column = pd.Series(values, dtype=object)
    if "decimal" in str(dtype):
        column = column.map(decimal.Decimal, na_action="ignore")
    elif "float" in str(dtype).lower() or "double" in str(dtype):
        column = column.astype("float64")
    frame = beside(column.astype(dtype))
    schema, X, _ = learned(frame)
    np.testing.assert_array_equal(X["x"], np.array(values, dtype=float))
    assert schema == learned(beside(column))[0]
    if dtype != "Sparse[float64]":  # Parquet has no such
        frame.to_parquet(tmp_path / "t.parquet")
        stored, Y, _ = learned(read_table(str(tmp_path / "t.parquet")))
        assert stored == schema and Y.equals(X)


def test_numbers_too_long_for_floats():
    for values in ([2**53 + 1, 2**53 + 2], [2**63 + 1, 2**63 + 2], [10**25, 10**25 + 1]):
        for column in (values * 20, [str(v) for v in values] * 20, [*values * 19, None, values[0]]):
            schema, _, _ = learned(beside(pd.Series(column, dtype=object)))
            assert schema.categorical["x"] == [str(value) for value in values]


# ---- the pipeline


def test_the_pipeline_takes_missing_and_unknown_cells():
    frame = people(200)
    schema, X, y = learned(frame, "bought")
    model = table_model(schema, LogisticRegression()).fit(X, y)
    columns = model[0].transform(X)
    assert np.isfinite(columns).all()
    np.testing.assert_allclose(columns[:, 0].std(), 1)
    later = pd.DataFrame({"city": ["Atlantis", None], "age": [None, 50]})
    assert set(model.predict(features(schema, later))) <= {"no", "yes"}


def messy(n=5000, seed=0):
    rng = np.random.default_rng(seed)
    town = rng.choice(["Oslo", "Rome", "Lima"], n).astype(object)
    town[:2], town[5:90] = ["Bonn", "Bern"], None
    size = rng.normal(100, 20, n)
    size[3:50] = np.nan
    return pd.DataFrame(
        {"size": size, "age": rng.integers(0, 90, n), "town": town, "y": size > 100}
    )


def test_the_encoding_is_that_of_scikit_learns_own_steps():
    schema, X, _ = learned(messy())
    numbers = make_pipeline(SimpleImputer(strategy="median", add_indicator=True), StandardScaler())
    one_hot = OneHotEncoder(
        handle_unknown="infrequent_if_exist", min_frequency=0.002, sparse_output=False
    )
    categories = make_pipeline(SimpleImputer(strategy="constant", fill_value="zzz"), one_hot)
    theirs = ColumnTransformer(
        [("numbers", numbers, ["size", "age"]), ("categories", categories, ["town"])]
    )
    as_objects = X.astype({"town": object})
    ours = TableEncoder(limit=None).fit(X)
    np.testing.assert_allclose(ours.transform(X), theirs.fit_transform(as_objects), atol=1e-12)
    later = features(schema, messy(50, 1).replace("Lima", "Atlantis"))
    np.testing.assert_allclose(
        ours.transform(later),
        theirs.transform(later.astype({"town": object})),
        atol=1e-12,
    )
    assert ours.get_feature_names_out().tolist() == [
        *("size", "age", "size is missing"),
        *("town = Lima", "town = Oslo", "town = Rome", "town = (missing)", "town = (rare)"),
    ]
    assert clone(ours).fit(X[["age", "town"]]).transform(X[["age", "town"]]).shape == (5000, 6)
    assert ours.fit(X[["age"]]).transform(X[["age"]]).shape == (5000, 1)  # fitted again


def test_one_huge_cell_does_not_ruin_its_column():
    x = np.random.default_rng(0).normal(size=2000)
    usual = TableEncoder().fit_transform(pd.DataFrame({"x": x}))
    np.testing.assert_allclose(usual[:, 0], (x - x.mean()) / x.std(), atol=0.06)
    for huge in (1e12, -1e150):
        spoilt = TableEncoder().fit(pd.DataFrame({"x": np.append(x, huge)}))
        now = spoilt.transform(pd.DataFrame({"x": np.append(x, huge)}))
        assert 0.8 < now[:-1].std() < 1 and 10 < abs(now[-1, 0]) < 30
    sparse = np.where(np.arange(2000) % 20, 0, x)  # mostly one value
    now = TableEncoder().fit_transform(pd.DataFrame({"x": np.append(sparse, 1e12)}))
    assert now[:-1].std() > 0.3


def test_columns_without_any_spread():
    X = pd.DataFrame({"same": [7.1] * 9, "empty": [np.nan] * 9, "x": range(9)}).astype(float)
    Z = TableEncoder().fit_transform(X)
    assert np.isfinite(Z).all()
    assert np.abs(Z[:, [0, 1, 3]]).max() < 1e-9  # constant, and the indicator of the empty one


def test_raw_tables_are_refused_by_the_pipeline():
    frame = messy()
    schema, X, y = learned(frame)
    model = table_model(schema, LogisticRegression()).fit(X, y)
    for raw in (
        frame,
        frame[["size", "age", "town"]],
        X.astype({"town": object}),
        X.assign(town=X["town"].cat.remove_categories("Oslo")),
        X[["age", "size", "town"]],
        X.to_numpy(),
    ):
        with pytest.raises(
            TableError, match=r"features|come as a pandas\.DataFrame, not a ndarray"
        ):
            model.predict(raw)


def test_regression_targets_are_standardised_and_turned_back():
    x = np.linspace(0, 1, 30)
    frame = pd.DataFrame({"x": x, "y": 1e6 + 1e5 * x})
    schema = recognise(frame, "y")
    model = table_model(schema, LinearRegression()).fit(
        features(schema, frame), targets(schema, frame)
    )
    # All but linear: numbers far from the median are limited, ever so little.
    np.testing.assert_allclose(model.predict(features(schema, frame)), frame["y"], rtol=1e-4)
    np.testing.assert_allclose(
        model[-1].regressor_.predict(model[:-1].transform(features(schema, frame))).std(),
        1,
        rtol=1e-5,
    )


@pytest.mark.skipif(not SHARED.is_dir(), reason=f"{SHARED} is not there")
@pytest.mark.parametrize("name", ["titanic", "credit_g", "insurance", "california", "satimage"])
def test_real_tables(name):
    meta = json.loads((SHARED / "meta.json").read_text())[name]
    frame = read_table(os.fspath(SHARED / f"{name}.csv.gz"))
    schema = recognise(frame, "target", TypeOptions(task=meta["task"]))
    assert sorted([*schema.columns, *schema.left_out]) == sorted(
        meta["numeric"] + meta["categorical"]
    )
    X, y = features(schema, frame), targets(schema, frame)
    assert X.isna().to_numpy().sum() == meta["missing_cells"] and len(X) == len(y) == meta["rows"]
