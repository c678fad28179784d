"""Does an ONNX graph read a table as ``fastnn fit`` does: categories, gaps, marks, dates?"""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.linear_model import LogisticRegression, Ridge

from fastnn import MLPRegressor
from fastnn.export import to_onnx
from fastnn.export.onnx_graph import Graph
from fastnn.export.onnx_table import Inputs
from fastnn.tabular.encode import TableColumns, features, table_model, targets

onnx = pytest.importorskip("onnx")
onnxruntime = pytest.importorskip("onnxruntime")
from support.homes import homes, pd  # noqa: E402

from fastnn.tabular.model import TableModel  # noqa: E402
from fastnn.tabular.options import TypeOptions  # noqa: E402
from fastnn.tabular.recognise import recognise  # noqa: E402
from fastnn.tabular.schema import Dates, Schema  # noqa: E402


def table(target):
    """Homes of three kinds, sold on days of four centuries, some of them of unknown age."""
    frame = homes(300).assign(kind=lambda frame: np.digitize(frame["price"], [200, 300]))
    frame = frame.drop(columns="price" if target == "kind" else "kind")
    days = np.random.default_rng(0).integers(-80_000, 65_000, 300) + np.arange(300) % 24 / 24
    frame["sold"] = pd.to_datetime(days * 86_400e6 // 1e6, unit="s").astype("M8[us]")
    frame.loc[::7, "age"] = -999
    frame.loc[3, "town"] = "Oz"
    return frame


def fitted(target, estimator, encoder=None):
    """A model of that table, the table, and what a graph of the model is fed."""
    frame = table(target)
    schema = recognise(frame, target, TypeOptions(also_missing=["-999"]))
    model = table_model(schema, estimator, encoder)
    model.fit(features(schema, frame), targets(schema, frame))
    frame = frame.drop(columns=target)
    frame.loc[4, "town"], frame.loc[5, "sold"] = "Atlantis", pd.NaT
    days = (frame["sold"] - pd.Timestamp(0)) / pd.Timedelta(1, "D")
    feed = {name: frame[[name]].to_numpy(float) for name in ("size", "age")}
    feed |= {"sold": days.to_numpy()[:, None], "town": frame[["town"]].fillna("").to_numpy(object)}
    return TableModel(model, schema), frame, feed


def silent(sentence):
    """Note nothing."""


@pytest.mark.parametrize(
    ("target", "estimator"),
    [
        ("kind", LogisticRegression(max_iter=300)),
        ("price", Ridge()),
        ("price", MLPRegressor("huber", (9,), solver="lbfgs", max_fun=50, random_state=0)),
    ],
    ids=["logistic", "ridge", "network"],
)
@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
def test_it_reads_a_table_as_fit_does(target, estimator):
    model, frame, feed = fitted(target, estimator)
    for dtype, rtol in (("float32", 1e-5), ("float64", 1e-12)):
        proto = to_onnx(model, dtype=dtype)
        session = onnxruntime.InferenceSession(
            proto.SerializeToString(), providers=["CPUExecutionProvider"]
        )
        *labels, got = session.run(None, feed)
        if labels:
            np.testing.assert_array_equal(labels[0], model.predict(frame, silent))
            want = model.predict_proba(frame, silent)
        else:
            want = model.predict(frame, silent)[:, None]
        np.testing.assert_allclose(got, want, rtol=rtol, atol=rtol)


def test_parts_of_dates():
    """Every hour of the days around leap years and the ends of centuries and eras."""
    ends = np.array(["1599-12-31", "1600-02-28", "1900-02-28", "1999-12-31", "2000-02-27"], "M8[D]")
    days = (ends[:, None] + np.arange(500)).ravel()
    times = (days[:, None] + np.arange(24) * np.timedelta64(1, "h")).ravel().astype("M8[us]")
    times = np.append(times, [np.datetime64("1969-12-31T23:59:59.999999"), np.datetime64("NaT")])
    parts = ("year", "month", "day", "weekday", "hour", "days")
    dates = Dates("year-month-day", "1999-05-06 07:08:09", parts)
    graph = Graph("float64")
    inputs = Inputs(graph, Schema("y", "regression", "", dates={"when": dates}))
    graph("Concat", *(inputs.number(f"when: {part}") for part in parts), output="parts", axis=1)
    helper, double = onnx.helper, onnx.TensorProto.DOUBLE
    assert inputs.found == {"when": (np.float64, 1)}
    cells, answers = (
        helper.make_tensor_value_info(name, double, [None, width])
        for name, width in (("when", 1), ("parts", len(parts)))
    )
    body = helper.make_graph(graph.nodes, "dates", [cells], [answers], graph.constants)
    proto = helper.make_model(body, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    session = onnxruntime.InferenceSession(
        proto.SerializeToString(), providers=["CPUExecutionProvider"]
    )
    number = (times - np.datetime64(0, "us")) / np.timedelta64(1, "D")
    times[-2], number[-2] = np.datetime64("1970-01-02T13", "us"), 1 + 13 / 24  # a rounded sum
    (got,) = session.run(None, {"when": number[:, None]})
    np.testing.assert_array_equal(got, np.column_stack(list(dates.numbers(times).values())))


@pytest.mark.parametrize("encoder", [None, TableColumns()], ids=["as numbers", "as they are"])
def test_trees_of_a_table_are_refused(encoder):
    trees = HistGradientBoostingClassifier(categorical_features="from_dtype", max_iter=1)
    model, _, _ = fitted("kind", trees, encoder)
    with pytest.raises(TypeError, match=r"A .*HistGradientBoostingClassifier .*cannot be exported"):
        to_onnx(model)


def test_a_logistic_regression_one_class_against_the_rest_is_refused():
    model, _, _ = fitted("kind", LogisticRegression(max_iter=300))
    model.model[-1].solver = "liblinear"
    with pytest.raises(TypeError, match="cannot be exported with solver='liblinear'; choose 'lbf"):
        to_onnx(model)
