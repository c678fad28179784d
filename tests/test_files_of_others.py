"""Can a file or a name that somebody else made do harm? It is refused in one line, or is data."""

from __future__ import annotations

import io
import json
import tracemalloc
import zipfile

import numpy as np
import pytest
from support.homes import homes

from fastnn import MLPClassifier, TabularClassifier, TradeoffSearchCV
from fastnn.callbacks import Checkpoint, CheckpointError
from fastnn.cli.main import main
from fastnn.persistence import ModelFileError, TableModel, load_model, save_model
from fastnn.tabular.encode import TableColumns, features, table_model, targets
from fastnn.tabular.options import TypeOptions
from fastnn.tabular.recognise import recognise
from fastnn.tabular.rehearsal import _table

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")

X = np.random.default_rng(0).normal(size=(40, 3))
Y = X[:, 0] > 0
HOSTILE = ["../../evil", "%s%n{0}", "<script>alert(1)</script>", "*/ int evil; /*", "a\nb", "\\"]


def network() -> MLPClassifier:
    return MLPClassifier((2,), max_iter=3, random_state=0)


def model_file(path):
    schema = recognise(homes(), "kind", TypeOptions(drop=["price", "town"]))
    save_model(path, TableModel(network().fit(X[:, :2], Y), schema, {}))
    return lambda: load_model(path)


def checkpoint(path):
    def fit():
        return network().set_callbacks(Checkpoint(path)).fit(X, Y)

    fit()
    return fit


def changed(path, name, change):
    """Pack an archive anew, with one member changed, or all into a compressed one."""
    with zipfile.ZipFile(path) as archive:
        members = {one: archive.read(one) for one in archive.namelist()}
    if name == "an array":
        name = next(one for one in members if one.endswith(".npy") and one != "about.npy")
    members[name] = change(members.get(name, b""))
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for one, content in members.items():
            archive.writestr(one, content)


def huge(_):
    """An array file that says it holds 400 MB."""
    header = b"{'descr': '|u1', 'fortran_order': False, 'shape': (400000000,), }".ljust(117) + b"\n"
    return b"\x93NUMPY\x01\x00" + len(header).to_bytes(2, "little") + header + bytes(10)


def not_python(raw):
    """An array file whose header is no Python."""
    return raw.replace(b"{'descr'", b"{'de\0cr'")


@pytest.mark.parametrize(
    ("name", "change", "says"),
    [
        ("an array", huge, "says that its shape is (400000000,), but holds 10 bytes"),
        ("an array", not_python, ""),
        ("bomb.npy", lambda _: bytes(10**8), "it would unpack to 100"),
    ],
    ids=["a huge array", "no Python", "a bomb"],
)
@pytest.mark.parametrize(
    ("make", "refusal", "sentence"),
    [
        (model_file, ModelFileError, "is damaged, or not a model file of fastnn"),
        (checkpoint, CheckpointError, "is damaged: it was cut off or changed"),
    ],
    ids=["model", "checkpoint"],
)
def test_a_spoilt_archive_is_refused_in_one_line_and_little_memory(
    make, refusal, sentence, name, change, says, tmp_path
):
    path = tmp_path / "file"
    read = make(path)
    changed(path, name, change)
    tracemalloc.start()
    try:
        with pytest.raises(refusal) as caught:
            read()
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    text = str(caught.value)
    assert text.startswith(f"{path} {sentence}")
    assert says in text
    assert "\n" not in text
    assert peak < 50e6


def with_about(**changes):
    def change(raw):
        about = json.loads(np.load(io.BytesIO(raw)).tobytes()) | changes
        file = io.BytesIO()
        np.save(file, np.frombuffer(json.dumps(about).encode(), np.uint8))
        return file.getvalue()

    return change


def as_array(value):
    file = io.BytesIO()
    np.save(file, value)
    return lambda _: file.getvalue()


@pytest.mark.parametrize(
    ("name", "change", "says"),
    [
        ("about.npy", with_about(origin=1), "not subscriptable"),
        ("about.npy", with_about(random_state={}), "state dictionary is not valid"),
        ("rows.npy", as_array(np.arange(1, 41, dtype=np.int32)), "rows are not those of the data"),
        ("state.params.npy", as_array(np.zeros((1, 3))), r"state.params is float64 of shape \(1, "),
        ("losses.npy", as_array(np.float64(1)), r"losses is float64 of shape \(\)"),
        ("n_iter.npy", as_array("3"), "n_iter is <U1"),
        ("other.npy", as_array(3), "'other'"),
    ],
)
def test_a_checkpoint_of_the_wrong_contents_changes_nothing(name, change, says, tmp_path):
    path = tmp_path / "fit.npz"
    fit = checkpoint(path)
    changed(path, name, change)
    with pytest.raises(CheckpointError, match=f"is damaged.*{says}"):
        fit()


@pytest.fixture(scope="module")
def kept(tmp_path_factory):
    """Files of a plain network and of a bag, of numbers, two categories and three, and a date."""
    folder = tmp_path_factory.mktemp("kept")
    frame = homes().drop(columns="price")
    frame["old"] = np.where(frame["age"] > 25, "yes", "no")
    frame["built"] = [f"{day % 28 + 1}.{day % 12 + 1}.2001" for day in range(len(frame))]
    schema = recognise(frame, "kind")
    bag = TabularClassifier("fast", n_members=2, max_iter=1, n_bins=4)
    for name, model, encoder in (("network", network(), None), ("bag", bag, TableColumns())):
        fitted = table_model(schema, model, encoder)
        fitted.fit(features(schema, frame), targets(schema, frame))
        save_model(folder / name, TableModel(fitted, schema))
    return folder


def put(owner, **attributes):
    """Set attributes of an object, frozen or not."""
    vars(owner).update(attributes)


ASKEW = {
    "an embedding of no size": (
        "bag",
        lambda bag: put(bag._encoder.embedding_, size=-1),
        r"An embedding has at least 2 edges of each column, size 1 .*, got \[.*\], -1 and",
    ),
    "bins out of the edges": (
        "bag",
        lambda bag: put(bag._encoder.numbers_, starts=bag._encoder.numbers_.starts[::-1].copy()),
        r"starts must lead from 0 to 30, the number of edges, in steps of at least 2, got \[30,",
    ),
    "layers of less than nothing": (
        "bag",
        lambda bag: put(bag._recipe_used, hidden_layer_sizes=(-1, 4), activation="relu"),
        "fit together, so that it cannot predict: A layer needs at least one input and one neuron",
    ),
    "parameters too few": (
        "bag",
        lambda bag: put(bag, _params=bag._params[:, 1:]),
        "cannot predict: The parameters have shape .*, but each member of this network has",
    ),
    "codes beyond all categories": (
        "bag",
        lambda bag: [
            put(one, first=9) for one in bag._encoder.categories_ if one.indicator is None
        ],
        r"cannot predict: X.codes must lie in \[-1, 3\), got values from 9 to 11",
    ),
    "a class too many": (
        "bag",
        lambda bag: put(bag, classes_=np.array(["a", "b", "c"])),
        r"cannot predict: probabilities have shape \(3, 2\), not \(3, 3\)",
    ),
    "signals of two categories and none": (
        "bag",
        lambda bag: [put(one, indicator=np.zeros(2)) for one in bag._encoder.categories_],
        "cannot predict: index 2 is out of bounds for axis 0 with size 2",
    ),
    "no place for unknown categories": (
        "network",
        lambda encoder: put(encoder, places_={"town": np.arange(3)}),
        "cannot predict: index 3 is out of bounds for axis 0 with size 3",
    ),
    "other numbers": (
        "network",
        lambda encoder: put(encoder, median_=np.zeros(9)),
        "cannot predict: operands could not be broadcast together",
    ),
}


@pytest.mark.parametrize(("name", "spoil", "says"), ASKEW.values(), ids=ASKEW)
def test_a_model_whose_parts_do_not_fit_together_is_refused_when_read(
    name, spoil, says, kept, tmp_path
):
    found = load_model(kept / name)
    spoil(found.model[-1] if name == "bag" else found.model[0])
    save_model(tmp_path / "m.skops", found)
    with pytest.raises(ModelFileError, match=rf"m\.skops is damaged, .*{says}") as caught:
        load_model(tmp_path / "m.skops")
    assert "\n" not in str(caught.value)


def test_dates_of_no_order_are_refused_when_read(kept, tmp_path):
    changed_schema = load_model(kept / "network")
    put(changed_schema.schema.dates["built"], order="stars")
    save_model(tmp_path / "m.skops", changed_schema)
    with pytest.raises(
        ModelFileError, match="Dates have no order 'stars'; there are year-month-day,"
    ):
        load_model(tmp_path / "m.skops")


def test_made_up_rows_hold_every_category_or_few_characters():
    many = [str(i) for i in range(1000)]
    assert _table({"town": many, "size": ["1"]})["town"].tolist() == many
    assert _table({"town": many, "kind": ["x" * 10**5]})["kind"].str.len().sum() <= 10**6


def test_files_of_a_later_version_say_so(tmp_path, monkeypatch):
    monkeypatch.setattr("fastnn.persistence.FORMAT", "fastnn table model 2")
    load = model_file(tmp_path / "m.skops")
    monkeypatch.undo()
    with pytest.raises(ModelFileError, match=r"m\.skops was written by a later version of fastnn"):
        load()
    fit = checkpoint(tmp_path / "fit.npz")
    changed(tmp_path / "fit.npz", "about.npy", with_about(format="fastnn checkpoint 12"))
    with pytest.raises(CheckpointError, match=r"by a later version .*'fastnn checkpoint 12'"):
        fit()


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (b'"trial_id":0', b'"trial_id":[]'),
        (b'"cpu_time":', b'"fit_time":{},"cpu_time":'),
        (b'"cpu_time":', b'"fit_time":' + b"9" * 25 + b',"cpu_time":'),
        (b"{", b"\0"),
    ],
)
def test_a_spoilt_storage_is_refused_in_one_line(old, new, tmp_path):
    path = tmp_path / "search.log"

    def search():
        own = TradeoffSearchCV(
            network(),
            {"alpha": [1e-4, 1e-2]},
            objectives=("score",),
            cv=2,
            n_trials=1,
            refit=False,
            random_state=0,
            storage=path,
        )
        return own.fit(X, Y)

    search()
    lines = path.read_bytes().splitlines(keepends=True)
    spoilt = [lines[0], *(line.replace(old, new) for line in lines[1:])]
    assert spoilt != lines
    path.write_bytes(b"".join(spoilt))
    with pytest.raises(ValueError, match=r"^storage='.*search\.log' is damaged: .*$"):
        search()
    assert path.read_bytes().startswith(b"".join(spoilt))


def test_hostile_names_are_data_in_an_onnx_graph(tmp_path):
    pytest.importorskip("onnx")
    runtime = pytest.importorskip("onnxruntime")
    import pandas as pd

    from fastnn.export import to_onnx

    frame = pd.DataFrame(np.tile(X, 2), columns=HOSTILE)
    y = np.array(HOSTILE)[np.arange(40) % len(HOSTILE)]
    model = network().fit(frame, y)
    graph = to_onnx(model).graph
    names = [one.name for part in (graph.node, graph.initializer) for one in part]
    names += [own for node in graph.node for own in (*node.input, *node.output)]
    assert all(name.replace("_", "").replace("/", "").isalnum() for name in names if name)
    session = runtime.InferenceSession(to_onnx(model).SerializeToString())
    label, _ = session.run(None, {session.get_inputs()[0].name: frame.to_numpy(np.float32)})
    np.testing.assert_array_equal(label, model.predict(frame))


def test_hostile_names_reach_no_file_but_those_asked_for(tmp_path, monkeypatch, capsys):
    """Columns, the target, classes, categories and the table's own name."""
    for package in ("optuna", "onnx"):
        pytest.importorskip(package)
    folder = tmp_path / "a" / "b" / "c"
    folder.mkdir(parents=True)
    monkeypatch.chdir(folder)
    odd = [*HOSTILE, "x" * 5000]
    names = {"size": odd[2], "age": odd[1], "town": odd[-1], "kind": odd[0]}
    frame = homes().drop(columns="price").rename(columns=names)
    frame[odd[-1]] = np.resize(odd[:5], len(frame))
    frame[odd[0]] = np.where(frame[odd[0]] == "cheap", odd[0], odd[3])
    table = "%s%n <b> *;'`&.csv"
    frame.to_csv(table, index=False)
    what = ["--target", odd[0], "--quiet"]
    few = ["--preset", "fast", "--epochs", "1"]
    search = ["--objectives", "score,flops", "--trials", "2", "--cv", "2", "--jobs", "1"]
    for words in (
        ["fit", table, *what, *few, "-o", "bag"],
        ["explore", table, *what, *search, "--models", "plain", "--report", "r.html", "-o", "net"],
        ["predict", "bag", table, "--proba", "--append", "-o", "p.csv"],
        ["evaluate", "bag", table],
        ["export", "bag", "-o", "bag.c"],
        ["export", "net", "-o", "net.onnx"],
    ):
        assert main(words) == 0, capsys.readouterr().err
    found = {str(path.relative_to(folder)) for path in folder.rglob("*")}
    assert found == {table, "bag", "net", "r.html", "p.csv", "bag.c", "bag.h", "net.onnx"}
    assert {*tmp_path.rglob("*")} == {
        folder.parent.parent,
        folder.parent,
        folder,
        *folder.iterdir(),
    }
    for text in ((folder / name).read_text() for name in ("bag.c", "bag.h")):
        assert "evil" not in text.replace("%2Fevil", "").replace("%2A%2F int evil%3B %2F%2A", "")
        assert text.isascii() and text.count("/*") == text.count("*/")
