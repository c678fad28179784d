"""How does skl2onnx learn to convert fastnn's estimators, and models around them?"""

from __future__ import annotations

from typing import Any

import numpy as np
from sklearn.base import is_classifier
from sklearn.calibration import CalibratedClassifierCV
from sklearn.compose import TransformedTargetRegressor
from sklearn.impute import SimpleImputer
from sklearn.model_selection import FixedThresholdClassifier, TunedThresholdClassifierCV
from sklearn.utils.validation import check_is_fitted

from fastnn._optional import require
from fastnn.estimators.mlp import MLPClassifier, MLPRegressor
from fastnn.export.bags import BagDescription, describe_bag, stands_alone
from fastnn.export.description import (
    Description,
    describe,
    steps_back,
    threshold_of,
    undecided,
)
from fastnn.export.onnx_bag import add_bag
from fastnn.export.onnx_graph import (
    ML_OPSET,
    Answering,
    Graph,
    add_answers,
    add_decision,
    add_steps,
    label_tensor,
)
from fastnn.tabular.estimator import TabularClassifier, TabularRegressor


def register_skl2onnx() -> None:
    """Make skl2onnx convert fastnn's estimators, TransformedTargetRegressor, and thresholds.

    ``skl2onnx.to_onnx`` and ``skl2onnx.convert_sklearn`` then take models that hold them. Calling
    it again changes nothing.

    Raises
    ------
    ImportError
        If skl2onnx is not installed.
    """
    register = require("skl2onnx").update_registered_converter
    of_classifiers = {
        "zipmap": [True, False, "columns"],
        "nocl": [False],
        "output_class_labels": [False],
    }
    network = _network_shapes, _convert_network
    threshold = _threshold_shapes, _convert_threshold  # skl2onnx 1.20 leaves thresholds out
    for classifier, convert in [
        (MLPClassifier, network),
        (TabularClassifier, network),
        (FixedThresholdClassifier, threshold),
        (TunedThresholdClassifierCV, threshold),
    ]:
        register(classifier, f"Fastnn{classifier.__name__}", *convert, options=of_classifiers)
    for regressor, convert in [
        (MLPRegressor, network),
        (TabularRegressor, network),
        (TransformedTargetRegressor, (_transformed_target_shapes, _convert_transformed_target)),
    ]:
        register(regressor, f"Fastnn{regressor.__name__}", *convert)


def with_skl2onnx(model: Any, opset: int, dtype: str, X: Any) -> Any:
    """Convert a model with parts of scikit-learn; see :func:`fastnn.export.to_onnx`."""
    skl2onnx = require("skl2onnx")
    register_skl2onnx()
    check_is_fitted(model)
    by_column = hasattr(X, "columns")
    for part in (model, *model.get_params().values()):
        _refuse_what_goes_wrong(part, dtype, by_column)
    types = require("skl2onnx.common.data_types")
    number = types.DoubleTensorType if dtype == "float64" else types.FloatTensorType
    if by_column:
        inputs = [
            (name, (number if X[name].dtype.kind in "biuf" else types.StringTensorType)([None, 1]))
            for name in X.columns
        ]
    else:
        inputs = [("X", number([None, model.n_features_in_]))]
    return skl2onnx.convert_sklearn(
        model,
        "fastnn",
        inputs,
        target_opset={"": opset, "ai.onnx.ml": 3},
        options={"zipmap": False} if is_classifier(model) else None,
    )


def _refuse_what_goes_wrong(part: Any, dtype: str, by_column: bool) -> None:
    """Raise ValueError for a part that skl2onnx 1.20 converts wrongly, or that nothing runs."""
    if isinstance(part, SimpleImputer) and part.add_indicator:
        reason, way_out = "add_indicator=True", "set it to False"
    elif isinstance(part, SimpleImputer) and dtype == "float64":
        reason, way_out = "dtype='float64', which ONNX Runtime lacks", "choose dtype='float32'"
    elif isinstance(part, CalibratedClassifierCV) and by_column and stands_alone(part.estimator):
        reason, way_out = "a bag of networks that reads columns by name", "fit it to an array"
    elif isinstance(part, CalibratedClassifierCV) and part.method == "isotonic":
        reason, way_out = "method='isotonic', which skl2onnx rounds", "choose method='sigmoid'"
    else:
        return
    raise ValueError(f"{type(part).__name__} cannot be exported to ONNX with {reason}; {way_out}.")


def _number_type(operator: Any) -> Any:
    """Of an operator's arithmetic."""
    types = require("skl2onnx.common.data_types")
    is_double = any(isinstance(one.type, types.DoubleTensorType) for one in operator.inputs)
    return types.DoubleTensorType if is_double else types.FloatTensorType


def _dtype(operator: Any) -> np.dtype:
    """The same for NumPy."""
    is_double = _number_type(operator).__name__ == "DoubleTensorType"
    return np.dtype(np.float64 if is_double else np.float32)


def _describe(operator: Any) -> tuple[Answering, np.dtype]:
    """The network or bag of an operator of skl2onnx, and the type of its arithmetic."""
    dtype = _dtype(operator)
    model = operator.raw_operator
    return (describe_bag if stands_alone(model) else describe)(model, dtype), dtype


def _network_shapes(operator: Any) -> None:
    """Tell skl2onnx the types and shapes of what a network answers."""
    types = require("skl2onnx.common.data_types")
    description, _ = _describe(operator)
    number = _number_type(operator)
    n_rows, n_out = operator.inputs[0].get_first_dimension(), description.n_out
    if description.classes is None:
        operator.outputs[0].type = number([n_rows, n_out])
        return
    operator.outputs[1].type = number([n_rows, max(n_out, 2)])
    if description.decides == "labels":
        operator.outputs[0].type = types.Int64TensorType([n_rows, n_out])
    else:
        operator.outputs[0].type = _label_type(description)([n_rows])


def _label_type(description: Answering) -> Any:
    """Of one label."""
    types = require("skl2onnx.common.data_types")
    is_text = label_tensor(description).dtype == object
    return types.StringTensorType if is_text else types.Int64TensorType


def _convert_network(scope: Any, operator: Any, container: Any) -> None:
    """Write a network or a bag into the graph of skl2onnx."""
    description, dtype = _describe(operator)
    graph = Graph(dtype, unique=scope.get_unique_variable_name)
    outputs = [output.full_name for output in operator.outputs]
    if isinstance(description, BagDescription):
        cells = _cells(graph, description, operator)
        add_bag(graph, description, lambda column: cells[column.name], outputs)
    else:
        x = graph.cast(operator.inputs[0].full_name, dtype)
        add_answers(graph, description, x, outputs)
    _add(graph, container)


def _cells(graph: Graph, bag: BagDescription, operator: Any) -> dict[str, str]:
    """What each column of a bag is in the graph of skl2onnx: one input, or part of one."""
    text = require("skl2onnx.common.data_types").StringTensorType
    inputs = {one.raw_name: one for one in operator.inputs}
    found = {}
    for column in bag.columns:
        one = operator.inputs[0] if len(inputs) == 1 else inputs[column.name]
        is_text = isinstance(one.type, text)
        if is_text != column.holds_text:
            kinds = ("numbers", "text")
            raise ValueError(
                f"Column {column.name!r} is given to ONNX as {kinds[is_text]}, but the bag of"
                f" networks learned it as {kinds[column.holds_text]}. Pass rows of the training"
                " table as X=, dates as days and categories that are numbers as numbers."
            )
        x = one.full_name
        if len(inputs) == 1 and bag.n_columns > 1:
            x = graph("Gather", x, np.array([column.place]), axis=1)
        found[column.name] = x if is_text else graph.cast(x, np.float64)
    return found


def _transformed_target_shapes(operator: Any) -> None:
    """Tell skl2onnx the type and shape of a TransformedTargetRegressor's predictions."""
    number = _number_type(operator)
    operator.outputs[0].type = number([operator.inputs[0].get_first_dimension(), None])


def _decision(model: Any) -> Description:
    """What a threshold makes of two probabilities."""
    return Description((), "softmax", model.classes_, threshold=threshold_of(model))


def _threshold_shapes(operator: Any) -> None:
    """Tell skl2onnx the types and shapes of a label and two probabilities."""
    n_rows = operator.inputs[0].get_first_dimension()
    operator.outputs[0].type = _label_type(_decision(operator.raw_operator))([n_rows])
    operator.outputs[1].type = _number_type(operator)([n_rows, 2])


def _convert_threshold(scope: Any, operator: Any, container: Any) -> None:
    """Write a classifier that decides by a threshold: what stands in it, then the decision."""
    model = operator.raw_operator
    _, p = _inside(undecided(model), scope, operator, container)
    graph = Graph(_dtype(operator), unique=scope.get_unique_variable_name)
    outputs = [output.full_name for output in operator.outputs]
    add_decision(graph, _decision(model), p, outputs)
    _add(graph, container)


def _convert_transformed_target(scope: Any, operator: Any, container: Any) -> None:
    """Write a TransformedTargetRegressor: its regressor, then the way back of its targets."""
    model = operator.raw_operator
    (v,) = _inside(model.regressor_, scope, operator, container)
    graph = Graph(_dtype(operator), unique=scope.get_unique_variable_name)
    v = add_steps(graph, steps_back(model), v)
    graph("Identity", v, output=operator.outputs[0].full_name)
    _add(graph, container)


def _inside(model: Any, scope: Any, operator: Any, container: Any) -> list[str]:
    """Write what stands in an operator's model, of as many outputs; their names."""
    alias = require("skl2onnx").get_model_alias(type(model))
    if is_classifier(model):
        for each in (scope, container):
            each.add_options(id(model), options={"zipmap": False})
    part = scope.declare_local_operator(alias, model)
    part.inputs = operator.inputs
    for output in operator.outputs:
        part.outputs.append(scope.declare_local_variable("inside", type(output.type)()))
    return [output.full_name for output in part.outputs]


def _add(graph: Graph, container: Any) -> None:
    """Hand nodes and constants over to skl2onnx."""
    for tensor in graph.constants:
        content = graph.onnx.numpy_helper.to_array(tensor).ravel()
        container.add_initializer(tensor.name, tensor.data_type, list(tensor.dims), content)
    for node in graph.nodes:
        attributes = {
            attribute.name: graph.onnx.helper.get_attribute_value(attribute)
            for attribute in node.attribute
        }
        container.add_node(
            node.op_type,
            list(node.input),
            list(node.output),
            op_domain=node.domain,
            op_version=ML_OPSET if node.domain else None,
            name=node.name,
            **attributes,
        )
