"""ONNX Runtime: prediction only, the network as a graph of Gemm and activation nodes."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import onnxruntime
from onnx import TensorProto, helper, numpy_helper

from benchmarks.peers.problems import Array, Problem, Weights

_ACTIVATIONS = {"relu": "Relu", "tanh": "Tanh", "logistic": "Sigmoid"}


class Peer:
    PACKAGES = ("onnxruntime", "onnx", "numpy")

    def __init__(self, n_threads: int) -> None:
        self.options = onnxruntime.SessionOptions()
        self.options.intra_op_num_threads = n_threads
        self.options.inter_op_num_threads = 1

    def predictor(
        self, problem: Problem, weights: Weights, method: str
    ) -> Callable[[Array], Array]:
        nodes, constants, last = [], [], "X"
        for i, layer in enumerate(weights):
            if i:
                nodes.append(helper.make_node(_ACTIVATIONS[problem.activation], [last], [f"a{i}"]))
                last = f"a{i}"
            constants += [
                numpy_helper.from_array(np.ascontiguousarray(a), f"{kind}{i}")
                for a, kind in zip(layer, "wb", strict=True)
            ]
            nodes.append(helper.make_node("Gemm", [last, f"w{i}", f"b{i}"], [f"z{i}"]))
            last = f"z{i}"
        if not problem.regression:
            nodes.append(helper.make_node("Sigmoid", [last], ["p"]))
            last = "p"
        inputs = [helper.make_tensor_value_info("X", TensorProto.FLOAT, [None, problem.units[0]])]
        outputs = [helper.make_tensor_value_info(last, TensorProto.FLOAT, [None, 1])]
        graph = helper.make_graph(nodes, "network", inputs, outputs, constants)
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
        session = onnxruntime.InferenceSession(
            model.SerializeToString(), self.options, ["CPUExecutionProvider"]
        )

        def predict(X: Array) -> Array:
            (result,) = session.run(None, {"X": X})
            if problem.regression:
                return result[:, 0]
            return (
                (result[:, 0] > 0.5).astype(np.int64)
                if method == "predict"
                else np.hstack([1 - result, result])
            )

        return predict
