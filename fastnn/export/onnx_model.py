"""How does a fitted model become ONNX, and by whom?

Networks and bags are written by our own functions. A model with parts of scikit-learn around its
network goes through skl2onnx, which calls the same functions for the network inside.
"""

from __future__ import annotations

import os
from typing import Any

from fastnn._optional import require
from fastnn._version import __version__
from fastnn.estimators.inspect import innermost
from fastnn.estimators.mlp import MLPClassifier, MLPRegressor
from fastnn.export.bags import describe_bag, stands_alone
from fastnn.export.converters import with_skl2onnx
from fastnn.export.description import Description, describe, reads_a_table, undecided
from fastnn.export.onnx_bag import bag_model, encoded_model
from fastnn.export.onnx_graph import Graph, add_answers, as_model, output_names
from fastnn.tabular.model import TableModel

OPSET = 17  # of 2022: what most runtimes in use read
_LOWEST_OPSET = 13  # since when Softmax works along one axis
_PRECISIONS = ("float32", "float64")


def to_onnx(
    model: Any,
    path: str | os.PathLike[str] | None = None,
    *,
    opset: int | None = None,
    dtype: str = "float32",
    X: Any = None,
) -> Any:
    """Write a fitted model as an ONNX graph.

    The graph's input is ``"X" (n_rows, n_features)``, or where the model reads columns by name, one
    ``(n_rows, 1)`` for each. A classifier's outputs are ``"label" (n_rows,)``, or ``(n_rows,
    n_outputs)`` of 0 and 1 for multilabel, and ``"probabilities"``, columns as in
    ``predict_proba``. A regressor's output is ``"variable" (n_rows, n_outputs)``.

    Parameters
    ----------
    model : estimator or TableModel
        A fitted :class:`~fastnn.MLPClassifier`, :class:`~fastnn.MLPRegressor`,
        :class:`~fastnn.TabularClassifier` or :class:`~fastnn.TabularRegressor`; a model of
        scikit-learn around one that skl2onnx knows: Pipeline, ColumnTransformer,
        CalibratedClassifierCV, TransformedTargetRegressor, FixedThresholdClassifier,
        TunedThresholdClassifierCV; a fitted search over one; or what
        :func:`fastnn.persistence.load_model` returns of a model that is no trees.
    path : path-like, default=None
        A file to write the graph to, by custom ``*.onnx``.
    opset : int, default=None
        Version of ONNX's operators, at least 13; None is 17, which runtimes read since 2022.
    dtype : {"float32", "float64"}, default="float32"
        Of the arithmetic and of X. Of a bag, and of columns of a table, numbers are float64 either
        way, up to where a network begins; categories that are texts are text, the empty one
        missing; dates are days since 1970.
    X : DataFrame, default=None
        One or more rows of the training table. Needed where a part of scikit-learn's selects
        columns by name or takes text; the graph then has one input for each column.

    Returns
    -------
    onnx.ModelProto
        The model, checked by ``onnx.checker``.

    Raises
    ------
    ImportError
        If onnx, or skl2onnx where it is needed, is not installed.
    TypeError
        If part of the model cannot be exported; the message names it.
    ValueError
        If ``opset`` or ``dtype`` is none of those above, or the model holds an activation, a loss,
        labels or names that cannot be exported.
    """
    onnx = require("onnx")
    highest = onnx.defs.onnx_opset_version()
    opset = OPSET if opset is None else opset
    if not _LOWEST_OPSET <= opset <= highest:
        raise ValueError(
            f"opset must be between {_LOWEST_OPSET} and {highest}, the newest that the installed"
            f" onnx knows, got {opset}."
        )
    if dtype not in _PRECISIONS:
        raise ValueError(f"dtype must be 'float32' or 'float64', got {dtype!r}.")
    try:
        proto = _converted(model, opset, dtype, X)
    except UnicodeEncodeError as error:
        raise ValueError(
            f"Text such as {error.object!r} is no Unicode and cannot be exported to ONNX. Correct"
            " the names and categories of the training table."
        ) from error
    proto.producer_name, proto.producer_version = "fastnn", __version__
    onnx.checker.check_model(proto, full_check=True)
    if path is not None:
        onnx.save(proto, path)
    return proto


def _converted(model: Any, opset: int, dtype: str, X: Any) -> Any:
    """The model as ONNX has it, by whoever can write it."""
    schema = None
    if isinstance(model, TableModel):
        model, schema = model.model, model.schema
    model = getattr(model, "best_estimator_", model)
    if stands_alone(model):
        return bag_model(describe_bag(model, dtype), dtype, opset, schema)
    if reads_a_table(model):
        return encoded_model(describe(model, dtype), dtype, opset, schema)
    if schema is not None:
        raise TypeError(
            f"A {type(innermost(model)).__name__} of a table cannot be exported to ONNX; bags,"
            " plain networks and linear models can: --models bag,plain,linear compares these."
        )
    if X is None and isinstance(undecided(model), MLPClassifier | MLPRegressor):
        return _network_model(describe(model, dtype), opset, dtype)
    return with_skl2onnx(model, opset, dtype, X)


def _network_model(description: Description, opset: int, dtype: str) -> Any:
    """A network alone as a model."""
    graph = Graph(dtype, {"X"})
    outputs = output_names(description)
    add_answers(graph, description, "X", outputs)
    return as_model(graph, {"X": (dtype, description.n_in)}, description, outputs, opset)
