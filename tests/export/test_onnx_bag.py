"""Does an ONNX graph answer as the bag it was written from, from the raw columns of a table?"""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.calibration import CalibratedClassifierCV
from sklearn.compose import TransformedTargetRegressor, make_column_transformer
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from support.exported_bags import KINDS, bag, feed, frame, random_bag, targets

from fastnn import TabularClassifier, TabularRegressor
from fastnn.export import to_onnx
from fastnn.tabular.scale import LogScale

onnx = pytest.importorskip("onnx")
onnxruntime = pytest.importorskip("onnxruntime")
pd = pytest.importorskip("pandas")

SMALL = {"n_members": 2, "max_iter": 2, "hidden_layer_sizes": (5,), "random_state": 0}


def run(proto, X):
    """The graph's outputs by name."""
    session = onnxruntime.InferenceSession(
        proto.SerializeToString(), providers=["CPUExecutionProvider"]
    )
    names = [output.name for output in session.get_outputs()]
    return dict(zip(names, session.run(None, feed(session, X)), strict=True))


def check(model, proto, X, rtol):
    """Labels are equal, numbers to ``rtol``, of the largest in their column where they cancel."""
    *labels, got = run(proto, X).values()
    if labels:
        np.testing.assert_array_equal(labels[0], model.predict(X))
        want = model.predict_proba(X)
    else:
        want = model.predict(X).reshape(len(X), -1)
    assert got.shape == want.shape
    scale = np.abs(want).max(axis=0)
    np.testing.assert_allclose(got / scale, want / scale, rtol=rtol, atol=rtol / 10)


@pytest.mark.parametrize("seed", range(20))
def test_random_bags_agree(seed):
    model, X = random_bag(seed)
    check(model, to_onnx(model), X, 1e-5)


@pytest.mark.parametrize("task", ["classes", "quantiles", "gamma"])
def test_float64_graphs_agree_to_rounding_at_every_opset(task):
    rng = np.random.default_rng(0)
    X, y = frame(KINDS, rng, 90), targets(task, rng, 90)
    model = bag(task, X, y, dtype="float64", backend="numpy")
    for opset in (13, 21):
        check(model, to_onnx(model, dtype="float64", opset=opset), frame(KINDS, rng, 90), 1e-12)


def test_no_number_is_in_another_bin():
    """Where bins are so narrow that float32 does not tell numbers apart."""
    x = 1e9 + np.arange(40) / 8
    X = pd.DataFrame({"x": np.concatenate([x, [0.0, 2e9]])})
    y = np.resize([0.0, 1000.0], len(X))
    model = bag("squared_error", X, y, n_bins=255, backend="numpy")
    edges = len(model._encoder.embedding_.edges[0])
    assert edges == 42
    near = np.concatenate([x, np.nextafter(x, 0), np.nextafter(x, 2e9), [np.nan]])
    check(model, to_onnx(model), pd.DataFrame({"x": near}), 1e-5)


def test_columns_are_inputs_by_name_and_an_array_is_one():
    X = frame(["floats", "text", "constant", "bool", "dates"], np.random.default_rng(0), 40)
    X.columns = ["number", "text", "constant", "truth", "date"]
    y = np.resize(["no", "yes"], 40)
    inputs = to_onnx(TabularClassifier("fast", **SMALL).fit(X, y)).graph.input
    kinds = {one.name: one.type.tensor_type.elem_type for one in inputs}
    number, text = onnx.TensorProto.DOUBLE, onnx.TensorProto.STRING
    assert kinds == {"number": number, "text": text, "truth": number, "date": number}
    array = X[["number", "truth"]].to_numpy(float)
    (one,) = to_onnx(TabularClassifier("fast", **SMALL).fit(array, y)).graph.input
    assert one.name == "X" and one.type.tensor_type.elem_type == number
    assert [dim.dim_value for dim in one.type.tensor_type.shape.dim] == [0, 2]


HOSTILE = [
    "label", "label_", "probabilities", "X", "%s{}", "*/ #", "a\0b", "é\n",
    "../../etc", "<script>", " ", "n_rows",
]  # fmt: skip


def test_hostile_names_of_columns_and_classes():
    rng = np.random.default_rng(0)
    X = pd.DataFrame(rng.normal(size=(70, len(HOSTILE))), columns=HOSTILE)
    X["text"] = np.resize(HOSTILE, 70)
    model = bag("classes", X, np.resize(HOSTILE, 70), dtype="float64", backend="numpy")
    proto = to_onnx(model, dtype="float64")
    assert [output.name for output in proto.graph.output] == ["label__", "probabilities_"]
    check(model, proto, X, 1e-12)


def test_columns_called_as_what_is_inside_the_graph():
    rng = np.random.default_rng(0)
    X, y = frame(["floats"] * 14 + ["text"], rng, 70), targets("gamma", rng, 70)
    graph = to_onnx(bag("gamma", X, y, dtype="float64", backend="numpy")).graph
    inside = [one.name for one in graph.initializer] + [one.output[0] for one in graph.node]
    X = X.set_axis([*inside[:: len(inside) // 14][:14], "variable"], axis=1)
    model = bag("gamma", X, y, dtype="float64", backend="numpy")
    check(model, to_onnx(model, dtype="float64"), X, 1e-12)


def test_an_empty_name_is_refused():
    X = pd.DataFrame({"": np.arange(20.0), "a": 1.0})
    model = TabularRegressor("fast", **SMALL).fit(X, np.arange(20.0))
    with pytest.raises(ValueError, match=r"Column '' cannot be an input of an ONNX graph: its nam"):
        to_onnx(model)


def test_text_that_is_no_unicode_is_refused():
    X = pd.DataFrame({"a": pd.Series(np.resize(["x", "y", "\ud800"], 30), dtype=object)})
    model = TabularRegressor("fast", **SMALL).fit(X, np.arange(30.0))
    with pytest.raises(ValueError, match=r"Text such as '\\ud800' is no Unicode"):
        to_onnx(model)


@pytest.mark.parametrize(
    ("level", "message"),
    [
        (b"x", r"Column 'a' has categories such as b'x', of type bytes, which cannot be exported"),
        (2**53 + 1, r"Column 'a' has the category 9007199254740993, which float64 does not tell"),
        ("1", r"Column 'a' has the categories 1 and '1', which are the same as text\. Make t"),
    ],
)
def test_categories_that_are_refused(level, message):
    X = pd.DataFrame({"a": pd.Categorical([level, level, 1] * 10, [1, level])})
    model = TabularRegressor("fast", **SMALL).fit(X, np.arange(30.0))
    with pytest.raises(TypeError, match=message):
        to_onnx(model)


class TestInsidePartsOfScikitLearn:
    @pytest.fixture(autouse=True)
    def skl2onnx(self):
        return pytest.importorskip("skl2onnx")

    @pytest.mark.parametrize(
        "around",
        [
            lambda bag: make_pipeline(StandardScaler(), bag),
            lambda bag: CalibratedClassifierCV(bag, cv=2),
        ],
        ids=["pipeline", "calibration"],
    )
    def test_of_an_array(self, around):
        X = np.random.default_rng(0).normal(size=(60, 3)).astype(np.float32).astype(float)
        model = around(TabularClassifier("fast", **SMALL)).fit(X, np.digitize(X[:, 0], [-1, 1]))
        for dtype in ("float32", "float64"):
            proto = to_onnx(model, dtype=dtype)
            session = onnxruntime.InferenceSession(proto.SerializeToString())
            labels, numbers = session.run(None, {"X": X.astype(dtype)})
            np.testing.assert_array_equal(labels, model.predict(X))
            np.testing.assert_allclose(numbers, model.predict_proba(X), rtol=1e-5, atol=1e-6)

    def test_of_columns_by_name(self):
        rng = np.random.default_rng(0)
        X = frame(["floats", "text"], rng, 60).set_axis(["a", "b"], axis=1)
        columns = make_column_transformer(
            ("passthrough", ["b"]), (StandardScaler(), ["a"]), verbose_feature_names_out=False
        )
        model = make_pipeline(columns.set_output(transform="pandas"), inner())
        model.fit(X, np.resize([1, 2], 60))
        with pytest.raises(ValueError, match=r"Column 'b' is given to ONNX as numbers, but the ba"):
            to_onnx(model, X=X[["a"]].assign(b=0.0))
        X["b"] = np.resize(["x", "y", "z"], 60)
        model = CalibratedClassifierCV(inner(), cv=2).fit(X, np.resize([1, 2], 60))
        with pytest.raises(ValueError, match=r"with a bag of networks that reads columns by name;"):
            to_onnx(model, X=X)


def inner():
    return TabularClassifier("fast", **SMALL)


def test_bags_in_searches_and_with_other_targets():
    rng = np.random.default_rng(0)
    X, y = frame(["floats", "text"], rng, 60), targets("gamma", rng, 60)
    inner = TabularRegressor("fast", **SMALL)
    for transformer in (StandardScaler(), LogScale()):
        model = TransformedTargetRegressor(inner, transformer=transformer)
        search = GridSearchCV(model, {"regressor__n_bins": [4]}, cv=2).fit(X, y)
        check(search, to_onnx(search), X, 1e-5)
