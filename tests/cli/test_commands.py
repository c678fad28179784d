"""Can the commands be called from Python: plain arguments in, results out, nothing printed?"""

from __future__ import annotations

import json
import os
from pathlib import Path

import numpy as np
import pytest
from sklearn.metrics import accuracy_score
from support.homes import homes, pd

from fastnn.cli import commands
from fastnn.cli.reporter import Reporter
from fastnn.cli.settings import Goal, Search, TableFile, Training
from fastnn.persistence import TableModel, load_model
from fastnn.tabular.options import TypeOptions

pytestmark = pytest.mark.usefixtures("folder")

HOMES = TableFile("homes.csv")
KIND = Goal("kind")
SHORT = Training(epochs=20)
NO_AGE = TypeOptions(drop=("age",))
FEW = Search(trials=3, objectives=("score", "flops"), cv=2, jobs=1, choose="score")


class Notes(Reporter):
    """Keeps the notes."""

    def __init__(self):
        self.notes = []

    def note(self, message):
        self.notes.append(message)


def test_fit_returns_what_it_saves(capsys):
    reporter = Notes()
    found = commands.fit(HOMES, KIND, training=SHORT, output="m.skops", reporter=reporter)
    assert (found.epochs, found.output, found.table.rows) == (20, "m.skops", 80)
    assert (len(found.table.y), len(found.table.y_test)) == (64, 16)
    predicted = found.model.model.predict(found.table.X_test)
    accuracy = accuracy_score(found.table.y_test, predicted)
    assert found.held_out.metrics["accuracy"] == accuracy
    assert (found.held_out.task, found.held_out.rows) == ("binary", 16)
    assert found.held_out.positive == "costly"
    saved = load_model("m.skops")
    assert saved.about == found.model.about and saved.about["held_out"]["accuracy"] == accuracy
    np.testing.assert_array_equal(saved.model.predict(found.table.X_test), predicted)
    assert [note.partition(" (")[0] for note in reporter.notes] == ["Maximum iterations"]
    assert capsys.readouterr() == ("", "")


def test_without_an_output_nothing_is_written():
    before = sorted(os.listdir())
    assert commands.fit(HOMES, KIND, training=SHORT).output is None
    commands.explore(HOMES, KIND, search=FEW)
    assert sorted(os.listdir()) == before


def test_the_network_is_as_the_settings_say():
    found = commands.fit(HOMES, Goal("kind", seed=3), training=Training(hidden=(5, 4), epochs=7))
    network = found.model.model[-1]
    assert [weights.shape[1] for weights in network.coefs_] == [5, 4, 1]
    assert (network.max_iter, network.random_state, network.early_stopping) == (7, 3, False)
    assert network.verbose is False  # the progress is a callback's


@pytest.mark.parametrize("share", [0.1, 0.25, 0.5])
def test_classes_are_held_out_in_their_shares(share):
    table = commands.fit(HOMES, Goal("kind", holdout=share), training=SHORT).table
    n_test = int(np.ceil(share * 80))
    assert len(table.y_test) == n_test
    counts = np.unique(table.y_test, return_counts=True)[1]
    assert counts.max() - counts.min() <= 1
    assert not set(table.X.index) & set(table.X_test.index)
    assert sorted([*table.X.index, *table.X_test.index]) == list(range(80))


def test_one_row_is_too_few_to_measure_on():
    reporter = Notes()
    found = commands.fit(HOMES, Goal("kind", holdout=0.01), training=SHORT, reporter=reporter)
    assert found.held_out is None and len(found.table.y) == 80
    assert reporter.notes[0].startswith("80 rows are too few to keep any back")


def test_predict_takes_a_model_or_its_file():
    found = commands.fit(HOMES, KIND, training=SHORT, output="m.skops")
    by_file = commands.predict("m.skops", HOMES, proba=True)
    by_model = commands.predict(found.model, HOMES, proba=True)
    pd.testing.assert_frame_equal(by_file, by_model)
    assert list(by_file.columns) == ["kind", "probability of cheap", "probability of costly"]


def test_columns_are_kept_before_the_predictions():
    found = commands.fit(HOMES, KIND, NO_AGE, SHORT)
    kept = commands.predict(found.model, HOMES, keep=["age", "town"])
    assert list(kept.columns) == ["age", "town", "kind"]
    frame = homes().drop(columns="price")
    np.testing.assert_array_equal(kept["age"].astype(float), frame["age"])  # as it was written
    everything = commands.predict(found.model, HOMES, keep=None)
    assert list(everything.columns) == ["size", "age", "town", "kind", "predicted kind"]
    assert everything["kind"].tolist() == frame["kind"].tolist()
    assert everything["predicted kind"].tolist() == kept["kind"].tolist()
    with pytest.raises(ValueError, match=r"There is no column 'Town'\. Did you mean 'town'\?"):
        commands.predict(found.model, HOMES, keep=["Town"])
    # columns that have the names of the predictions
    reporter = Notes()
    again = commands.predict(found.model, everything, keep=None, reporter=reporter)
    again = commands.predict(found.model, again, keep=None, proba=True, reporter=reporter)
    assert list(again.columns)[4:8] == [
        "predicted kind", "predicted kind (2)", "predicted kind (3)", "probability of cheap"
    ]  # fmt: skip
    assert again["predicted kind"].tolist() == again["predicted kind (3)"].tolist()
    told = "the table has a column 'predicted kind': what is predicted is in 'predicted kind (3)'"
    assert told in reporter.notes


@pytest.mark.parametrize(
    ("name", "read"),
    [
        ("p.csv", pd.read_csv),
        ("p.parquet", pd.read_parquet),
        ("p.pq", pd.read_parquet),
        ("p.json", pd.read_json),
        ("P.JSONL", lambda path: pd.read_json(path, lines=True)),
    ],
)
def test_predictions_are_written_by_the_names_ending(name, read):
    if read is pd.read_parquet:
        pytest.importorskip("pyarrow")
    found = commands.fit(HOMES, KIND, training=SHORT)
    predicted = commands.predict(found.model, HOMES, proba=True, output=name)
    pd.testing.assert_frame_equal(
        read(name), predicted, check_dtype=False, check_column_type=False, rtol=1e-14
    )


def test_cells_of_any_type_are_carried_along():
    pa = pytest.importorskip("pyarrow")
    found = commands.fit(HOMES, KIND, training=SHORT)
    frame = homes().head(2)
    frame["mixed"] = pd.Series([2**63, "a"], dtype=object)
    frame["at"] = pd.to_datetime(["2024-01-02 03:04:05", None])
    for name, cells in (
        ("day", pa.array([19_000, None], pa.date32())),
        ("long", pa.array([60, None], pa.duration("s"))),
        ("bytes", pa.array([b"\xff", None])),
    ):
        frame[name] = pd.Series(pd.arrays.ArrowExtensionArray(cells))
    commands.predict(found.model, frame, keep=None, output="p.parquet")
    back = pd.read_parquet("p.parquet")
    assert back["mixed"].tolist() == [str(2**63), "a"] and back["bytes"][0] == b"\xff"
    commands.predict(found.model, frame, keep=None, output="p.json")
    first, second = json.loads(Path("p.json").read_text(encoding="utf-8"))
    assert (first["at"], first["day"]) == ("2024-01-02 03:04:05", "2022-01-08")
    assert (first["mixed"], first["long"], first["bytes"]) == (2**63, "0:01:00", "b'\\xff'")
    assert second["at"] is second["day"] is second["long"] is second["bytes"] is None


@pytest.mark.parametrize(("name", "got"), [("p.xlsx", r"'\.xlsx'"), ("predictions", "none")])
def test_another_ending_is_refused_before_anything_is_read(name, got):
    message = rf"{name}: the ending of its name must be one of \.csv, \.parquet, .*; got {got}"
    with pytest.raises(ValueError, match=message):
        commands.predict("no model", TableFile("no table"), output=name)
    assert not os.path.exists(name)


def test_constants_are_those_of_the_training_rows():
    found = commands.fit(HOMES, Goal("kind", holdout=0), training=SHORT)
    assert found.model.about["class_shares"] == [0.5, 0.5]
    frame = homes().drop(columns="price").sort_values("kind").head(50)  # 40 and 10 of a class
    metrics = commands.evaluate(found.model, frame).metrics
    assert metrics["always_most_frequent"] == 0.8
    assert metrics["always_shares_log_loss"] == pytest.approx(np.log(2))
    prices = homes().drop(columns="kind")
    found = commands.fit(prices, Goal("price", holdout=0), training=SHORT, output="m")
    few = prices.sort_values("price").head(20)
    rmse = np.sqrt(np.mean((few["price"] - prices["price"].mean()) ** 2))
    assert commands.evaluate("m", few).metrics["always_mean_rmse"] == pytest.approx(rmse)


def test_evaluate_measures_what_predict_says():
    found = commands.fit(HOMES, KIND, training=SHORT)
    quality = commands.evaluate(found.model, HOMES)
    predicted = commands.predict(found.model, HOMES)["kind"]
    assert quality.rows == 80 and quality.positive == "costly"
    assert quality.metrics["accuracy"] == accuracy_score(homes()["kind"], predicted)


def test_explore_returns_the_search_and_the_chosen_model(capsys):
    found = commands.explore(HOMES, KIND, search=FEW, output="m.skops", report="r.html")
    assert len(found.search.cv_results_["params"]) == 3
    assert found.model.model is found.search.best_estimator_
    assert isinstance(found.model, TableModel) and os.path.getsize("r.html") > 10_000
    predicted = load_model("m.skops").model.predict(found.table.X_test)
    accuracy = accuracy_score(found.table.y_test, predicted)
    assert found.held_out.metrics["accuracy"] == accuracy
    assert capsys.readouterr() == ("", "")


def test_a_limit_that_nothing_keeps_brings_the_search_along():
    search = Search(
        trials=3, objectives=("score", "flops"), cv=2, jobs=1, limits=(("model_bytes", 1.0),)
    )
    with pytest.raises(
        commands.NoCandidateWithinLimits, match="no candidate is within it"
    ) as caught:
        commands.explore(HOMES, KIND, search=search, output="m.skops")
    assert len(caught.value.search.cv_results_["params"]) == 3
    assert not os.path.exists("m.skops")


def test_info_describes_the_machine_or_a_model():
    assert list(commands.info()) == ["versions", "backends", "instruction sets", "threads"]
    assert "in use" not in commands.info()["threads"]
    found = commands.fit(HOMES, KIND, NO_AGE, Training((6, 3), 9), output="m.skops")
    about = commands.info("m.skops")
    assert about["file"]["bytes"] == os.path.getsize("m.skops")
    assert about["task"]["classes"] == ["cheap", "costly"] and about["task"]["target"] == "kind"
    assert about["columns"] == {"numeric": ["size"], "categorical": ["town"], "left out": ["age"]}
    assert about["held out"] == found.held_out.metrics
    training = about["training"]
    assert (training["rows"], training["epochs"], training["hidden"]) == (64, 9, [6, 3])
    inputs = found.model.model[:-1].transform(found.table.X).shape[1]
    assert training["weights"] == (inputs + 1) * 6 + 7 * 3 + 4
    assert training["loss"] == found.model.model[-1].loss_
