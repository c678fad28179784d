"""Does a loaded model read a table as it is, and answer as the command line would?"""

from __future__ import annotations

import numpy as np
import pytest

pd = pytest.importorskip("pandas", reason="pandas comes with fastnn[cli]")
pytest.importorskip("skops", reason="skops comes with fastnn[cli]")

from sklearn.linear_model import LinearRegression, LogisticRegression  # noqa: E402
from sklearn.metrics import accuracy_score, r2_score  # noqa: E402
from support.tables import learned  # noqa: E402

from fastnn.persistence import load_model, save_model  # noqa: E402
from fastnn.tabular.encode import table_model  # noqa: E402
from fastnn.tabular.model import TableModel, TableWarning  # noqa: E402
from fastnn.tabular.schema import TableError  # noqa: E402


def homes(n=200, seed=0):
    """A table in the clothes people put on it."""
    rng = np.random.default_rng(seed)
    size, town = rng.normal(100, 20, n), rng.choice(["Oslo", "Rome", "007"], n)
    price = 3 * size + 40 * (town == "Rome")
    return pd.DataFrame(
        {
            "id": rng.permutation(n),
            "size": [f"{s:.1f} m2" for s in size],
            "town": town,
            "built": pd.date_range("1990-01-01", periods=n, freq="17D").strftime("%d.%m.%Y"),
            "price": [f"${p:,.2f}" for p in price],
            "kind": np.where(price > np.median(price), "01", "1"),
        }
    )


def saved(frame, target, estimator, path, **options):
    schema, X, y = learned(frame, target, **options)
    save_model(path, TableModel(table_model(schema, estimator).fit(X, y), schema, {"rows": len(y)}))
    return load_model(path)


def test_classes(tmp_path):
    frame = homes().drop(columns="price")
    model = saved(frame, "kind", LogisticRegression(), tmp_path / "m")
    later = homes(50, 1)[["town", "size", "built", "kind"]]
    predicted = model.predict(later)
    assert model.classes_.tolist() == ["01", "1"] and set(predicted) == {"01", "1"}
    assert accuracy_score(later["kind"], predicted) > 0.8
    assert model.score(later) == accuracy_score(later["kind"], predicted)
    probabilities = model.predict_proba(later.drop(columns="kind"))
    assert probabilities.shape == (50, 2)
    assert (model.classes_[probabilities.argmax(axis=1)] == predicted).all()
    assert model.about == {"rows": 200}
    # one row, and typed otherwise
    typed = later.iloc[[3]].assign(
        size=float(later["size"].iloc[3].split()[0]),
        built=pd.to_datetime(later["built"].iloc[3], format="%d.%m.%Y"),
    )
    np.testing.assert_allclose(model.predict_proba(typed), probabilities[[3]], rtol=1e-12)


def test_numbers(tmp_path):
    frame = homes()
    model = saved(frame, "price", LinearRegression(), tmp_path / "m", drop=["kind"])
    later = homes(50, 1)
    later.loc[3, "price"] = None
    with pytest.warns(TableWarning, match=r"1 row of 50 left out: the target 'price'"):
        score = model.score(later)
    true = later["price"].dropna().str.replace("[$,]", "", regex=True).astype(float)
    assert score == pytest.approx(r2_score(true, model.predict(later.dropna())))
    assert score > 0.95
    with pytest.raises(TableError, match="Probabilities are for classes, but 'price' is predicted"):
        model.predict_proba(later)
    assert not hasattr(model, "classes_")


def test_what_is_odd_about_a_table_is_said(tmp_path):
    model = saved(homes().drop(columns="price"), "kind", LogisticRegression(), tmp_path / "m")
    later = homes(5, 1).assign(town="Bern")
    with pytest.warns(TableWarning, match=r"never seen in training \('Bern'\) in 5 rows"):
        model.predict(later.drop(columns="price"))
    notes = []
    model.predict(later, notes.append)
    assert notes[0] == "columns the model does not know are ignored: 'price'" and len(notes) == 2
    with pytest.raises(TableError, match="needs columns that are not there: 'size'"):
        model.predict(later.drop(columns="size"), notes.append)
    with pytest.raises(TableError, match=r"`predict\(frame\)` of the loaded model does"):
        model.model.predict(later[["size", "town", "built"]])
