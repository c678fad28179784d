"""Does a report say of a bag what its rows out of fold tell, and what other kinds give?"""

from __future__ import annotations

import re

import numpy as np
import pytest

pd = pytest.importorskip("pandas", reason="pandas comes with fastnn[cli]")
pytest.importorskip("optuna", reason="optuna comes with fastnn[search]")

from sklearn import metrics  # noqa: E402
from sklearn.compose import ColumnTransformer, TransformedTargetRegressor  # noqa: E402
from sklearn.datasets import load_diabetes, load_iris  # noqa: E402
from sklearn.linear_model import LogisticRegression  # noqa: E402
from sklearn.pipeline import Pipeline  # noqa: E402
from sklearn.preprocessing import OrdinalEncoder, StandardScaler  # noqa: E402

from fastnn import TabularClassifier, TabularRegressor, TradeoffSearchCV  # noqa: E402
from fastnn.report import write_report  # noqa: E402
from fastnn.report.code import training_code  # noqa: E402
from fastnn.report.figures import number  # noqa: E402
from fastnn.report.vocabulary import kind  # noqa: E402
from fastnn.tabular.unseen import intervals, out_of_fold, sets  # noqa: E402

SMALL = {"hidden_layer_sizes": (8,), "max_iter": 6, "random_state": 0}


def page_of(path, search, *data):
    """The text of the report that is written."""
    write_report(path, search, *data)
    text = re.sub(r"<style>.*?</style>|<script>.*?</script>|<[^>]+>", " ", path.read_text())
    return " ".join(text.split())


def searched(estimator, space, X, y):
    objectives = ("score", "model_bytes")
    search = TradeoffSearchCV(estimator, space, objectives=objectives, cv=2, refit="score")
    return search.fit(X, y)


def test_numbers(tmp_path):
    X, y = load_diabetes(return_X_y=True, as_frame=True)
    X_test, y_test, X, y = X[300:], y[300:].to_numpy(), X[:300], y[:300].to_numpy()
    bag = TabularRegressor("fast", **SMALL)
    model = TransformedTargetRegressor(bag, transformer=StandardScaler())
    search = searched(model, {"regressor__n_members": [4]}, X, y)
    model = search.best_estimator_
    page = page_of(tmp_path / "r.html", search, X, y, X_test, y_test)
    known, answers = out_of_fold(model)
    assert known.sum() < len(y)
    of_bag = f"Out of fold The same on {known.sum()} training rows, each answered by the members"
    assert of_bag in page
    assert f"R² {number(metrics.r2_score(y[known], answers))}" in page.split(of_bag)[1]
    assert f"R² {number(model.score(X_test, y_test))}" in page.split(of_bag)[0]
    low, high = intervals(model, X_test, 0.9)
    share = np.mean((low <= y_test) & (y_test <= high))
    assert 0.8 < share < 0.98
    width = number(np.median(high - low))
    said = f"Intervals for 90% of rows hold the true value in {share:.1%} of these; half of them"
    assert f"{said} are narrower than {width}." in page
    curve = model.regressor_.loss_curve_
    assert f"{len(curve)} epochs, ending at {number(curve[-1])}. training validation" in page
    assert "Each keeps its best epoch." in page and "Permutation importance" in page
    # Without rows held out, those out of fold are what it is measured on.
    page = page_of(tmp_path / "s.html", search, X, y)
    assert f"Measured out of fold: each of these {known.sum()} rows was answered by" in page
    assert f"R² {number(metrics.r2_score(y[known], answers))}" in page
    assert "Intervals" not in page and "The best of each kind" not in page


def test_classes_beside_a_linear_model(tmp_path):
    X, y = load_iris(return_X_y=True, as_frame=True)
    rows = np.random.default_rng(0).permutation(150)
    X_test, y_test = X.iloc[rows[100:]], y.to_numpy()[rows[100:]]
    X, y = X.iloc[rows[:100]], y.to_numpy()[rows[:100]]
    bag = TabularClassifier("fast", **(SMALL | {"max_iter": 16}))
    pipeline = Pipeline([("columns", "passthrough"), ("model", bag)])
    space = [
        {"model": [bag], "model__n_members": [8]},
        {"model": [LogisticRegression(C=1e-5)], "columns": [StandardScaler()]},
    ]
    search = searched(pipeline, space, X, y)
    model = search.best_estimator_
    assert kind(model) == "bag of networks"
    page = page_of(tmp_path / "r.html", search, X, y, X_test, y_test)
    holds = sets(model, X_test, 0.9)
    share, size = holds[np.arange(50), y_test].mean(), number(holds.sum(axis=1).mean())
    said = f"Sets of classes for 90% of rows hold the true one in {share:.1%} of these; they hold"
    assert f"{said} {size} classes on average." in page
    accuracy = metrics.accuracy_score(y, out_of_fold(model)[1].argmax(axis=1))
    assert f"accuracy {number(accuracy)} ±" in page.split("Out of fold The same on 100")[1]
    best = search.cv_results_["mean_test_score"]
    first, second = sorted(best, reverse=True)
    assert re.search(
        rf"The best of each kind, in accuracy: bag of networks {number(first)} ± \S+ \(a fit takes"
        rf" \S+ \S+\); linear model {number(second)} ± ",
        page,
    )


def test_the_code_says_what_set_output_has_set():
    steps = [("codes", OrdinalEncoder(), ["town"])]
    encoder = ColumnTransformer(steps).set_output(transform="pandas")
    names = {}
    exec(training_code(encoder, "", ""), names)
    found = names["model"].fit_transform(pd.DataFrame({"town": ["Oslo", "Rome"]}))
    assert found["codes__town"].tolist() == [0, 1]
