"""Does a model file bring what was saved, whole, and nothing that is not known to be safe?"""

from __future__ import annotations

import os
import pickle
import sys

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression
from support.homes import homes

import fastnn
from fastnn.persistence import ModelFileError, TableModel, load_model, save_model
from fastnn.tabular.schema import recognise

skops_io = pytest.importorskip("skops.io")


def test_unknown_types_are_refused_by_name(run, tmp_path):
    class Stranger(LogisticRegression):
        pass

    Stranger.__module__, Stranger.__qualname__ = "evil.things", "Stranger"
    frame = homes()
    schema = recognise(frame, "kind", drop=["price", "town"])
    save_model("m.skops", TableModel(Stranger(), schema, {}))
    status, _, err = run("predict", "m.skops", "homes.csv")
    assert (
        status == 1
        and "m.skops is refused: it holds types that fastnn does not know to be safe: evil.things.Stranger"
        in err
    )
    assert "evil" not in sys.modules


def test_files_that_are_no_models(tmp_path):
    (tmp_path / "m.pickle").write_bytes(pickle.dumps({"a": 1}))
    with pytest.raises(ModelFileError, match="not a model file of fastnn"):
        load_model(tmp_path / "m.pickle")
    skops_io.dump({"a": 1}, tmp_path / "other.skops")
    with pytest.raises(
        ModelFileError, match="is a skops file, but not a model saved by `fastnn fit`"
    ):
        load_model(tmp_path / "other.skops")


def test_every_trusted_type_exists():
    for name in TRUSTED:
        module, _, kind = name.rpartition(".")
        assert hasattr(__import__(module, fromlist=[kind]), kind), name


@pytest.mark.parametrize("solver", ["adam", "sgd", "lbfgs"])
@pytest.mark.parametrize("learning_rate", ["constant", "invscaling", "adaptive"])
@pytest.mark.filterwarnings("ignore:.*(Maximum iterations|failed to converge)")
def test_every_kind_of_network_can_be_saved(tmp_path, solver, learning_rate):
    frame = homes()
    schema = recognise(frame, "kind", drop=["town", "size", "price"])
    network = fastnn.MLPClassifier(
        solver=solver,
        learning_rate=learning_rate,
        max_iter=3,
        early_stopping=solver == "adam",
        random_state=0,
    ).fit(frame[["age"]], frame["kind"])
    save_model(tmp_path / "m.skops", TableModel(network, schema, {"rows": 80}))
    loaded = load_model(tmp_path / "m.skops")
    np.testing.assert_array_equal(
        loaded.model.predict_proba(frame[["age"]]), network.predict_proba(frame[["age"]])
    )
    assert loaded.schema == schema and loaded.about == {"rows": 80}


def test_a_model_file_is_replaced_whole_or_not_at_all(tmp_path):
    path = tmp_path / "m.skops"
    path.write_text("the old one")
    with pytest.raises(TypeError):
        save_model(path, TableModel(None, recognise(homes(), "kind"), {"not JSON": object()}))
    assert path.read_text() == "the old one" and os.listdir(tmp_path).count("m.skops.part") == 0
