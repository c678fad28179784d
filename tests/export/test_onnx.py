"""Does an ONNX graph answer as the model that it was written from?"""

from __future__ import annotations

import sys

import numpy as np
import pytest
from sklearn.calibration import CalibratedClassifierCV
from sklearn.compose import TransformedTargetRegressor, make_column_transformer
from sklearn.exceptions import NotFittedError
from sklearn.impute import SimpleImputer
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import (
    MinMaxScaler,
    OneHotEncoder,
    RobustScaler,
    StandardScaler,
)
from support.fitted import FORMULAS, QUANTILES, TASKS, answers, network, random_network
from support.members import activation, loss

from fastnn import MLPClassifier, MLPRegressor
from fastnn.core import activations, losses
from fastnn.export import onnx_graph, register_skl2onnx, to_onnx

onnx = pytest.importorskip("onnx")
onnxruntime = pytest.importorskip("onnxruntime")


def run(proto, X):
    """The graph's outputs by name, for an array or a DataFrame."""
    session = onnxruntime.InferenceSession(
        proto.SerializeToString(), providers=["CPUExecutionProvider"]
    )
    kinds = {"tensor(float)": np.float32, "tensor(double)": np.float64, "tensor(string)": object}
    feed = {
        i.name: (X[[i.name]].to_numpy() if hasattr(X, "columns") else X).astype(kinds[i.type])
        for i in session.get_inputs()
    }
    return dict(zip([o.name for o in session.get_outputs()], session.run(None, feed), strict=True))


def check(model, proto, X, rtol):
    """Labels are equal, numbers to ``rtol``, of the largest in their column where they cancel."""
    outputs = run(proto, X)
    want = answers(model, X)
    if hasattr(model, "predict_proba"):
        np.testing.assert_array_equal(outputs["label"], model.predict(X))
        got = outputs["probabilities"]
    else:
        (got,) = outputs.values()
    assert got.shape == want.shape
    scale = np.abs(want).max(axis=0)
    np.testing.assert_allclose(got / scale, want / scale, rtol=rtol, atol=rtol / 10)


@pytest.mark.parametrize("seed", range(60))
def test_random_networks_agree(seed):
    dtype = (np.float32, np.float64)[seed % 2]
    model = random_network(seed, dtype)
    check(model, to_onnx(model), model.rows, 1e-5)


@pytest.mark.parametrize("task", TASKS)
def test_float64_graphs_agree_to_rounding(task):
    model = network(task)
    check(model, to_onnx(model, dtype="float64"), model.rows, 1e-13)


@pytest.mark.parametrize("opset", [13, 15, 21])
@pytest.mark.parametrize("task", TASKS)
def test_every_opset_answers_alike(task, opset):
    model = network(task)
    proto = to_onnx(model, opset=opset)
    assert [version.version for version in proto.opset_import] == [opset]
    check(model, proto, model.rows, 1e-5)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("name", onnx_graph.ACTIVATIONS)
def test_activations_agree(name, dtype, monkeypatch):
    if name not in activations.ACTIVATIONS:
        new = activation(name, lambda z: (FORMULAS[name](z).astype(z.dtype), z), "input")
        monkeypatch.setitem(activations.ACTIVATIONS, name, new)
    model = network("squared_error", backend="numpy")
    model.activation = name
    model.rows[0] *= 30  # where exponentials are far from one
    exact = dtype == "float64" and name != "gelu"  # ONNX Runtime's erf is float32
    check(model, to_onnx(model, dtype=dtype), model.rows, 1e-12 if exact else 1e-5)


def test_probabilities_near_0_have_their_digits():
    model = network("two classes", hidden_layer_sizes=())
    model.coefs_[0] *= 10
    want = model.predict_proba(model.rows)
    assert want.min(axis=0).max() < 1e-4
    got = run(to_onnx(model), model.rows)["probabilities"]
    np.testing.assert_allclose(got, want, rtol=3e-6)


@pytest.mark.parametrize(
    "labels", [[True, False], [0.0, 1.0], ["b", "a"], np.array(["x", "y"], object), [4]]
)
def test_labels_are_those_of_the_model(labels):
    model = network("two classes", labels=labels)
    got = run(to_onnx(model), model.rows)["label"]
    np.testing.assert_array_equal(got, model.predict(model.rows))


def test_the_graph_is_written_to_a_file_that_says_who_wrote_it(tmp_path):
    model = network("classes")
    proto = to_onnx(model, tmp_path / "model.onnx")
    read = onnx.load(tmp_path / "model.onnx")
    assert read == proto
    assert read.producer_name == "fastnn"
    assert [tensor.name for tensor in read.graph.output] == ["label", "probabilities"]


def test_weights_edited_in_place_are_those_exported():
    model = network("squared_error")
    model.coefs_[0][0, 0] = 100
    check(model, to_onnx(model), model.rows, 1e-5)


def test_a_network_needs_onnx_alone_and_so_does_a_search_for_one(monkeypatch):
    monkeypatch.setitem(sys.modules, "skl2onnx", None)
    X, y = table("squared_error")
    network = MLPRegressor(hidden_layer_sizes=(3,), solver="lbfgs", tol=1e3, random_state=0)
    search = GridSearchCV(network, {"alpha": [1e-3]}, cv=2).fit(X, y)
    check(search, to_onnx(search), X, 1e-5)


AROUND = {
    "pipeline": lambda task: make_pipeline(StandardScaler(), unfitted(task)),
    "pipeline with gaps": lambda task: make_pipeline(
        SimpleImputer(), MinMaxScaler(), unfitted(task)
    ),
    "search": lambda task: GridSearchCV(
        make_pipeline(RobustScaler(), unfitted(task)),
        {"robustscaler__with_centering": [True]},
        cv=2,
    ),
}


def unfitted(task):
    parameters = {"hidden_layer_sizes": (9,), "solver": "lbfgs", "max_fun": 30, "random_state": 0}
    if task in ("squared_error", "poisson", "quantiles"):
        return MLPRegressor(QUANTILES if task == "quantiles" else task, **parameters)
    return MLPClassifier(**parameters)


def table(task):
    """Rows with columns of unlike sizes, and their targets."""
    rng = np.random.default_rng(0)
    X = (rng.normal(size=(80, 5)) * [1, 10, 0.1, 1, 3] + [0, 5, 0, 1, 0]).astype(np.float32)
    y = {
        "two classes": np.where(X[:, 0] > 0, "yes", "no"),
        "classes": np.digitize(X[:, 0], [-0.5, 0.5]) + 4,
        "labels": (X[:, :3] > 0).astype(int),
        "squared_error": X[:, 0].astype(np.float64) * 30 + 1000,
        "poisson": rng.poisson(np.exp(X[:, 0])),
        "quantiles": X[:, 0].astype(np.float64) * 30 + 1000,
    }
    return X.astype(np.float64), y[task]


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
class TestAroundANetwork:
    @pytest.fixture(autouse=True)
    def skl2onnx(self):
        return pytest.importorskip("skl2onnx")

    @pytest.mark.parametrize("around", AROUND)
    @pytest.mark.parametrize("task", TASKS)
    def test_pipelines_and_searches(self, task, around):
        X, y = table(task)
        if around == "pipeline with gaps":
            X[::7, 1] = np.nan
        model = AROUND[around](task).fit(X, y)
        check(model, to_onnx(model), X, 1e-5)

    @pytest.mark.parametrize("task", TASKS)
    def test_float64(self, task):
        X, y = table(task)
        model = make_pipeline(StandardScaler(), unfitted(task)).fit(X, y)
        check(model, to_onnx(model, dtype="float64"), X, 1e-12)

    @pytest.mark.parametrize("task", ["two classes", "classes"])
    def test_calibration(self, task):
        X, y = table(task)
        model = CalibratedClassifierCV(unfitted(task), cv=2).fit(X, y)
        check(model, to_onnx(model), X, 1e-5)

    @pytest.mark.parametrize(
        "transform",
        [
            {"transformer": StandardScaler()},
            {"transformer": MinMaxScaler(clip=True)},
            {"func": np.log1p, "inverse_func": np.expm1},
            {"func": np.log, "inverse_func": np.exp},
            {},
        ],
    )
    @pytest.mark.parametrize("scaled_inside", [True, False])
    @pytest.mark.parametrize("task", ["squared_error", "quantiles"])
    def test_transformed_targets(self, task, transform, scaled_inside):
        X, y = table(task)
        network, scaler = unfitted(task), StandardScaler()
        if scaled_inside:
            network = make_pipeline(scaler, network)
        model = TransformedTargetRegressor(network, **transform)
        if not scaled_inside:
            model = make_pipeline(scaler, model)
        model.fit(X, y)
        check(model, to_onnx(model), X, 1e-5)

    def test_mixed_columns(self):
        pd = pytest.importorskip("pandas")
        X, y = table("two classes")
        frame = pd.DataFrame(X.astype(np.float32), columns=list("abcde"))
        frame["colour"] = np.resize(["red", "green", "blau, *"], len(frame))
        columns = make_column_transformer(
            (StandardScaler(), list("abcde")), (OneHotEncoder(sparse_output=False), ["colour"])
        )
        model = make_pipeline(columns, unfitted("two classes")).fit(frame, y)
        check(model, to_onnx(model, X=frame), frame, 1e-5)

    @pytest.mark.parametrize("zipmap", [True, False, "columns"])
    @pytest.mark.parametrize("task", ["two classes", "classes"])
    def test_skl2onnx_itself_knows_our_classes(self, skl2onnx, task, zipmap):
        register_skl2onnx()
        register_skl2onnx()
        model = network(task, dtype=np.float32)
        proto = skl2onnx.to_onnx(model, model.rows, options={"zipmap": zipmap})
        label, *probabilities = run(proto, model.rows).values()
        np.testing.assert_array_equal(label, model.predict(model.rows))
        if zipmap is True:
            (dicts,) = probabilities
            got = np.array([[row[label] for label in model.classes_] for row in dicts])
        else:
            got = np.column_stack(probabilities)
        np.testing.assert_allclose(got, model.predict_proba(model.rows), rtol=1e-5)

    @pytest.mark.parametrize(
        ("part", "dtype", "message"),
        [
            (
                SimpleImputer(add_indicator=True),
                "float32",
                "SimpleImputer cannot be exported to ONNX with add_indicator=True; set it to False",
            ),
            (
                SimpleImputer(),
                "float64",
                "SimpleImputer cannot be exported to ONNX with dtype='float64', which ONNX Runtime"
                " lacks; choose dtype='float32'",
            ),
        ],
    )
    def test_parts_that_would_answer_wrongly_are_refused(self, part, dtype, message):
        X, y = table("classes")
        X[0, 0] = np.nan
        model = make_pipeline(part, unfitted("classes")).fit(X, y)
        with pytest.raises(ValueError, match=message):
            to_onnx(model, dtype=dtype)

    def test_isotonic_calibration_is_refused(self):
        X, y = table("classes")
        model = CalibratedClassifierCV(unfitted("classes"), method="isotonic", cv=2).fit(X, y)
        with pytest.raises(ValueError, match="method='isotonic', which skl2onnx rounds; choose"):
            to_onnx(model)

    def test_unfitted(self):
        with pytest.raises(NotFittedError):
            to_onnx(make_pipeline(StandardScaler(), MLPClassifier()))

    def test_unknown_inverse_functions_are_refused(self):
        X, y = table("squared_error")
        model = TransformedTargetRegressor(
            unfitted("squared_error"), func=np.sqrt, inverse_func=np.square
        ).fit(X, y)
        with pytest.raises(TypeError, match="cannot be exported with square; it can with the tr"):
            to_onnx(model)


def test_unknown_activations_and_losses_are_refused(monkeypatch):
    model = network("squared_error", backend="numpy")
    monkeypatch.setitem(activations.ACTIVATIONS, "bent", activation("bent", np.tanh))
    model.activation = "bent"
    with pytest.raises(ValueError, match=r"activation='bent' cannot be exported to ONNX; these"):
        to_onnx(model)
    model._loss = loss("squared_error", "probit", losses.LOSSES["squared_error"].loss_and_grad)
    model.activation = "tanh"
    with pytest.raises(
        ValueError, match="A loss whose inverse link is 'probit' cannot be exported"
    ):
        to_onnx(model)


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"opset": 12}, r"opset must be between 13 and \d+, .* got 12"),
        ({"opset": 999}, r"opset must be between 13 and \d+, .* got 999"),
        ({"dtype": "float16"}, "dtype must be 'float32' or 'float64', got 'float16'"),
    ],
)
def test_wrong_parameters(wrong, message):
    with pytest.raises(ValueError, match=message):
        to_onnx(network("classes"), **wrong)


def test_labels_that_onnx_lacks_are_refused():
    with pytest.raises(
        ValueError, match=r"Class labels such as .*11529215046068469760.* cannot be ex"
    ):
        to_onnx(network("two classes", labels=np.array([1, 2**63 + 2**61], np.uint64)))


def test_numbers_that_are_not_finite_in_float32_are_refused(tmp_path):
    model = network("classes")
    model.coefs_[1][0, 0] = 1e39
    with pytest.raises(
        ValueError, match=r"coefs_\[1\] holds numbers that are not finite in float3"
    ):
        to_onnx(model, tmp_path / "model.onnx")
    assert not list(tmp_path.iterdir())
    to_onnx(model, dtype="float64")


def test_unfitted_networks():
    with pytest.raises(NotFittedError):
        to_onnx(MLPClassifier())


@pytest.mark.parametrize("package", ["onnx", "skl2onnx"])
def test_a_missing_package_names_the_extra(package, monkeypatch):
    monkeypatch.setitem(sys.modules, package, None)
    model = make_pipeline(StandardScaler(), unfitted("classes")).fit(*table("classes"))
    with pytest.raises(ImportError, match=rf"This needs {package}, .*\[onnx\]"):
        to_onnx(model)
