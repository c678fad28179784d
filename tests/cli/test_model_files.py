"""Does a model file bring what was saved, whole, and nothing that is not known to be safe?"""

from __future__ import annotations

import io
import json
import os
import pickle
import shutil
import sys
import zipfile
from functools import partial

import joblib
import numpy as np
import pytest
from sklearn.base import clone
from sklearn.frozen import FrozenEstimator
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer
from support.homes import homes

import fastnn
from fastnn import MLPClassifier, MLPRegressor, TabularClassifier, TabularRegressor
from fastnn.core.activations import ACTIVATIONS
from fastnn.core.augmentations import AUGMENTATIONS
from fastnn.core.losses import LABEL_LOSSES, LOSSES
from fastnn.core.optimizers import OPTIMIZERS
from fastnn.core.schedules import SCHEDULES
from fastnn.estimators.targets import NUMBER_LOSSES
from fastnn.persistence import TRUSTED_TYPES, ModelFileError, TableModel, load_model, save_model
from fastnn.persistence_parts import UnknownPart, read_parts
from fastnn.tabular.encode import TableColumns, features, table_model
from fastnn.tabular.options import TypeOptions
from fastnn.tabular.recognise import recognise
from fastnn.training.checkpoint import Checkpoint

skops_io = pytest.importorskip("skops.io")


def test_unknown_types_are_refused_by_name(run, tmp_path):
    class Stranger(LogisticRegression):
        pass

    Stranger.__module__, Stranger.__qualname__ = "evil.things", "Stranger"
    frame = homes()
    schema = recognise(frame, "kind", TypeOptions(drop=["price", "town"]))
    save_model("m.skops", TableModel(Stranger(), schema, {}))
    status, _, err = run("predict", "m.skops", "homes.csv")
    assert (
        status == 1
        and "m.skops is refused: it holds types that fastnn does not know to be safe:"
        " evil.things.Stranger"
        in err
    )
    assert "evil" not in sys.modules


def test_a_function_within_a_partial_is_refused_by_name(tmp_path):
    schema = recognise(homes(), "kind", TypeOptions(drop=["price", "town"]))
    model = FunctionTransformer(partial(shutil.rmtree, "/nowhere"))
    save_model(tmp_path / "m.skops", TableModel(model, schema, {}))
    with pytest.raises(ModelFileError, match=r"does not know to be safe: shutil\.rmtree\."):
        load_model(tmp_path / "m.skops")


def test_files_that_are_no_models(tmp_path):
    (tmp_path / "m.pickle").write_bytes(pickle.dumps({"a": 1}))
    with pytest.raises(ModelFileError, match="not a model file of fastnn"):
        load_model(tmp_path / "m.pickle")
    skops_io.dump({"a": 1}, tmp_path / "other.skops")
    with pytest.raises(
        ModelFileError, match="is a skops file, but not a model saved by `fastnn fit`"
    ):
        load_model(tmp_path / "other.skops")


ESTIMATORS = {
    f"{solver}, {learning_rate}": MLPClassifier(solver=solver, learning_rate=learning_rate)
    for solver in ("adam", "sgd", "lbfgs")
    for learning_rate in ("constant", "invscaling", "adaptive")
}
ESTIMATORS["regressor"] = MLPRegressor()
FAMILIES = {
    "activation": ACTIVATIONS,
    "augment": AUGMENTATIONS,
    "solver": OPTIMIZERS,
    "learning_rate": SCHEDULES,
}
NUMBERS = {"loss": {name: LOSSES[name] for name in NUMBER_LOSSES}}
ESTIMATORS |= {
    f"regressor, {type(member).__name__}": MLPRegressor(**{parameter: member})
    for parameter, family in {**FAMILIES, **NUMBERS}.items()
    for member in family.values()
}
ESTIMATORS["early stopping"] = MLPClassifier(early_stopping=True, validation_fraction=0.2)
ESTIMATORS["towns"] = MLPClassifier()  # more than two classes
ESTIMATORS |= {
    f"{target}, {loss}": MLPClassifier(loss=loss)
    for target in ("towns", "kinds")
    for loss in LABEL_LOSSES
}
ESTIMATORS["bfloat16"] = MLPClassifier(dtype="bfloat16")  # its arrays are float32
ESTIMATORS["kinds of a bag"] = TabularClassifier("fast", n_members=2)
ESTIMATORS["regressor of a bag"] = TabularRegressor("fast", n_members=2, dtype="bfloat16")
ESTIMATORS["columns"] = make_pipeline(TableColumns(), TabularClassifier("fast"))
ESTIMATORS |= {"table": None, "logarithms": None}  # the pipelines of the command line


def fitted(kind):
    """An estimator of ESTIMATORS after three epochs, and rows it can predict."""
    frame = homes()
    target = "price" if "regressor" in kind else "town" if "towns" in kind else "kind"
    X, y = frame[["age", "town"] if "bag" in kind else ["age"]], frame[target].fillna("Oslo")
    model = ESTIMATORS[kind]
    if model is None:
        schema = recognise(frame, "price", TypeOptions(drop=["kind"]))
        model = table_model(schema, MLPRegressor(), log_target=kind == "logarithms")
        X, y = features(schema, frame), frame["price"]
    limits = [name for name in model.get_params() if name.rpartition("__")[2] == "max_iter"]
    return clone(model).set_params(**dict.fromkeys(limits, 3)).fit(X, y), X


@pytest.mark.parametrize("kind", ESTIMATORS)
@pytest.mark.filterwarnings("ignore:.*(Maximum iterations|failed to converge)")
def test_skops_loads_every_estimator_with_the_trusted_types(tmp_path, kind):
    model, X = fitted(kind)
    skops_io.dump(model, tmp_path / "m.skops")
    loaded = skops_io.load(tmp_path / "m.skops", trusted=fastnn.persistence.TRUSTED_TYPES)
    np.testing.assert_array_equal(loaded.predict(X), model.predict(X))


@pytest.mark.parametrize("kind", ESTIMATORS)
@pytest.mark.filterwarnings("ignore:.*(Maximum iterations|failed to converge)")
def test_what_is_read_without_skops_is_what_skops_reads(tmp_path, monkeypatch, kind):
    model, X = fitted(kind)
    if kind == "table":
        model.steps[-1] = ("model", FrozenEstimator(model[-1]))
    frame = homes()
    target = "kind" if hasattr(model, "classes_") else "price"
    schema = recognise(frame, target, TypeOptions(drop=[*{*frame} - {*X, target}]))
    save_model(tmp_path / "m.skops", TableModel(model, schema, {}))
    expected = skops_io.load(tmp_path / "m.skops", trusted=TRUSTED_TYPES)["model"]
    monkeypatch.setitem(sys.modules, "skops.io", None)
    found = load_model(tmp_path / "m.skops").model
    assert joblib.hash(found) == joblib.hash(expected)
    np.testing.assert_array_equal(found.predict(X), model.predict(X))


def in_file(path, **changed):
    """Write a model file of one part that holds an array, with something of that part changed."""
    skops_io.dump({"part": MLPClassifier(hidden_layer_sizes=(1,)), "array": np.arange(3)}, path)
    with zipfile.ZipFile(path) as archive:
        files = {name: archive.read(name) for name in archive.namelist()}
    tree = json.loads(files["schema.json"])
    tree |= changed.pop("tree", {})
    for name, changes in changed.items():
        tree["content"][name] |= changes
    files["schema.json"] = json.dumps(tree)
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return path


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"part": {"__class__": "system", "__module__": "os"}}, "ObjectNode of os.system"),
        ({"part": {"__loader__": "FunctionNode"}}, "FunctionNode of fastnn.estimators.mlp"),
        ({"array": {"__class__": "float64"}}, "numpy.float64"),
        ({"array": {"__loader__": "ListNode"}}, "ListNode of numpy.ndarray"),
        ({"tree": {"protocol": 3}}, "protocol 3"),
        ({"tree": {"__class__": "OrderedDict"}}, "DictNode of builtins.OrderedDict"),
    ],
)
def test_a_part_of_another_kind_is_left_to_skops(tmp_path, changed, message):
    path = in_file(tmp_path / "m.skops", **changed)
    with zipfile.ZipFile(path) as archive, pytest.raises(UnknownPart, match=message):
        read_parts(archive, TRUSTED_TYPES)


def test_an_array_of_pickled_objects_is_not_loaded(tmp_path):
    path = in_file(tmp_path / "m.skops")
    pickled = io.BytesIO()
    np.save(pickled, np.array([print], dtype=object), allow_pickle=True)
    with zipfile.ZipFile(path) as archive:
        tree = archive.read("schema.json")
        array = json.loads(tree)["content"]["array"]["file"]
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("schema.json", tree)
        archive.writestr(array, pickled.getvalue())
    with zipfile.ZipFile(path) as archive, pytest.raises(ValueError, match="allow_pickle=False"):
        read_parts(archive, TRUSTED_TYPES)


@pytest.mark.filterwarnings("ignore:.*(Maximum iterations|failed to converge)")
def test_no_type_is_trusted_in_vain(tmp_path):
    needed = set()
    for kind in ESTIMATORS:
        skops_io.dump(fitted(kind)[0], tmp_path / "m.skops")
        needed |= set(skops_io.get_untrusted_types(file=tmp_path / "m.skops"))
    assert sorted(needed) == TRUSTED_TYPES


def test_no_callback_is_trusted(tmp_path):
    """A file of somebody else's could name a checkpoint's path, and have it written."""
    watched = MLPClassifier().set_callbacks(Checkpoint(str(tmp_path / "fit.npz")))
    skops_io.dump(watched, tmp_path / "m.skops")
    unknown = set(skops_io.get_untrusted_types(file=tmp_path / "m.skops")) - set(TRUSTED_TYPES)
    assert "fastnn.training.checkpoint.Checkpoint" in unknown


def test_a_loaded_model_is_the_saved_one(tmp_path):
    frame = homes()
    schema = recognise(frame, "kind", TypeOptions(drop=["price", "size", "town"]))
    network = LogisticRegression().fit(frame[["age"]], frame["kind"])
    save_model(tmp_path / "m.skops", TableModel(network, schema, {"rows": 80}, version="0.0.1"))
    loaded = load_model(tmp_path / "m.skops")
    assert (loaded.schema, loaded.about, loaded.version) == (schema, {"rows": 80}, "0.0.1")
    np.testing.assert_array_equal(loaded.model.coef_, network.coef_)


def test_a_model_file_is_replaced_whole_or_not_at_all(tmp_path):
    path = tmp_path / "m.skops"
    path.write_text("the old one")
    with pytest.raises(TypeError):
        save_model(path, TableModel(None, recognise(homes(), "kind"), {"not JSON": object()}))
    assert path.read_text() == "the old one" and os.listdir(tmp_path).count("m.skops.part") == 0
