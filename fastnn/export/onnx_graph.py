"""How is a network written as an ONNX graph? With ``onnx.helper`` alone."""

from __future__ import annotations

import copy
import itertools
from collections.abc import Callable, Collection, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastnn._optional import require
from fastnn.export.bags import BagDescription
from fastnn.export.columns import Step
from fastnn.export.description import Description

ML, ML_OPSET = "ai.onnx.ml", 3  # the operators of classical models, and their version
TEXT = 8  # ONNX's code of text


class Graph:
    """Nodes and constants of a graph under construction; calling it adds a node.

    ``g("Mul", z, 0.5)`` returns the name of the node's output; numbers and arrays among the inputs
    become constants.

    Parameters
    ----------
    dtype : dtype
        Of the arithmetic, float32 or float64.
    taken : collection of str
        Names that stand for something else: those of inputs.
    unique : callable ``name -> name``
        Makes a name that the model does not hold yet; by default the names are numbered.
    """

    def __init__(
        self,
        dtype: Any,
        taken: Collection[str] = (),
        unique: Callable[[str], str] | None = None,
    ) -> None:
        self.onnx = require("onnx")
        self.dtype = np.dtype(dtype)
        self.nodes: list[Any] = []
        self.constants: list[Any] = []
        numbers = itertools.count()
        self._unique = unique or (
            lambda name: next(found for i in numbers if (found := f"{name}_{i}") not in taken)
        )

    def __call__(
        self,
        op: str,
        *inputs: str | float | NDArray[Any],
        output: str = "",
        n_unused: int = 0,
        **attributes: Any,
    ) -> str:
        """Add a node and return the name of its output, the first where others are not used."""
        names = [value if isinstance(value, str) else self.constant(value) for value in inputs]
        output = output or self._unique(op.lower())
        outputs = [output, *(f"{output}_{i + 1}" for i in range(n_unused))]
        node = self.onnx.helper.make_node(op, names, outputs, self._unique(op), **attributes)
        self.nodes.append(node)
        return output

    def in_dtype(self, dtype: Any) -> Graph:
        """The same graph, for arithmetic in another type."""
        other = copy.copy(self)  # with the same lists of nodes and constants
        other.dtype = np.dtype(dtype)
        return other

    def cast(self, value: str, dtype: Any) -> str:
        """Add a conversion to another type."""
        return self("Cast", value, to=self.type_of(dtype))

    def type_of(self, dtype: Any) -> int:
        """ONNX's code of a NumPy type."""
        return int(self.onnx.helper.np_dtype_to_tensor_dtype(np.dtype(dtype)))

    def constant(self, value: float | NDArray[Any]) -> str:
        """The name of a constant; floats are of the graph's type."""
        array = np.asarray(value)
        if array.dtype.kind == "f":
            array = array.astype(self.dtype)
        name = self._unique("constant")
        self.constants.append(self.onnx.numpy_helper.from_array(array, name))
        return name


Answering = Description | BagDescription
Operation = Callable[[Graph, str], str]

# The activation's settings follow as further arguments.
ACTIVATIONS: dict[str, Callable[..., str]] = {
    "identity": lambda g, z: z,
    "logistic": lambda g, z: g("Sigmoid", z),
    "tanh": lambda g, z: g("Tanh", z),
    "relu": lambda g, z: g("Relu", z),
    "leaky_relu": lambda g, z, slope: g("Add", g("Max", z, 0.0), g("Mul", g("Min", z, 0.0), slope)),
    "elu": lambda g, z, alpha: _elu(g, z, alpha, 1.0),
    "selu": lambda g, z: _elu(g, z, 1.6732632423543772, 1.0507009873554805),
    "gelu": lambda g, z: g("Mul", g("Mul", z, 0.5), g("Add", _erf(g, g("Mul", z, 0.5**0.5)), 1.0)),
    "silu": lambda g, z: g("Mul", z, g("Sigmoid", z)),
    "mish": lambda g, z: g("Mul", z, g("Tanh", _softplus(g, z))),
    "softplus": lambda g, z: _softplus(g, z),
    "softsign": lambda g, z: g("Div", z, g("Add", g("Abs", z), 1.0)),
}

INVERSE_LINKS: dict[str, Operation] = {
    "identity": ACTIVATIONS["identity"],
    # ONNX Runtime's Sigmoid has few digits where it is near 0.
    "logistic": lambda g, raw: g("Reciprocal", g("Add", g("Exp", g("Neg", raw)), 1.0)),
    "exp": lambda g, raw: g("Exp", raw),
    "softmax": lambda g, raw: g("Softmax", raw, axis=-1),
    "sorted": lambda g, raw: _sorted(g, raw),
}

# The steps after a regressor, and those of a table before a network; other steps before it are
# scikit-learn's, and skl2onnx's to write.
STEPS: dict[str, Callable[..., str]] = {
    "impute": lambda g, v, fill: g("Where", g("IsNaN", v), fill, v),
    "missing": lambda g, v, yes, no: g("Where", g("IsNaN", v), yes, no),
    "scale": lambda g, v, shift, factor: g("Mul", _minus(g, v, shift), factor),
    "limit": lambda g, v, bound: g("Div", v, _hypot(g, g("Div", v, bound))),
    "clip": lambda g, v, low, high: g("Min", g("Max", v, low), high),
    "unscale": lambda g, v, factor, shift: g("Add", g("Mul", v, factor), shift),
    "exp": lambda g, v: g("Exp", v),
    "expm1": lambda g, v: g("Sub", g("Exp", v), 1.0),
}


def _minus(g: Graph, v: str, shift: NDArray[np.float64]) -> str:
    """``v - shift``, the shift in two numbers of the graph's type: as exact as in float64."""
    first = shift.astype(g.dtype)
    return g("Sub", g("Sub", v, first), shift - first)


def _hypot(g: Graph, z: str) -> str:
    return g("Sqrt", g("Add", g("Mul", z, z), 1.0))


def _sorted(g: Graph, raw: str) -> str:
    """Each row in increasing order; the second output, where values stood, is not used."""
    width = g("Gather", g("Shape", raw), np.array([-1]))
    return g("TopK", raw, width, n_unused=1, axis=-1, largest=0, sorted=1)


# Of these ONNX Runtime has the operators in float32 alone.


def _elu(g: Graph, z: str, alpha: float, gamma: float) -> str:
    """``gamma * (z if z > 0 else alpha * (exp(z) - 1))``."""
    if g.dtype == np.float32:
        return g("Selu", z, alpha=alpha, gamma=gamma)
    negative = g("Mul", g("Sub", g("Exp", g("Min", z, 0.0)), 1.0), alpha)
    return g("Mul", g("Add", g("Max", z, 0.0), negative), gamma)


def _softplus(g: Graph, z: str) -> str:
    """``log(1 + exp(z))``, where nothing overflows."""
    if g.dtype == np.float32:
        return g("Softplus", z)
    rest = g("Log", g("Add", g("Exp", g("Neg", g("Abs", z))), 1.0))
    return g("Add", g("Max", z, 0.0), rest)


def _erf(g: Graph, z: str) -> str:
    """``erf(z)``, to float32's rounding in float64 too."""
    return g.cast(g("Erf", g.cast(z, np.float32)), g.dtype)


def add_network(graph: Graph, description: Description, x: str) -> str:
    """Add the network to the graph; the name of its predictions ``(n_rows, n_out)``.

    Those of two classes are probabilities of both.
    """
    description.check("ONNX", ACTIVATIONS, INVERSE_LINKS)
    for layer in description.layers:
        z = graph("Gemm", x, layer.weight, layer.bias)
        x = ACTIVATIONS[layer.activation.name](graph, z, *layer.activation.settings().tolist())
    if description.decides == "two classes":  # of the first: 1 - p has few digits near 0
        x = graph("Concat", graph("Neg", x), x, axis=1)
    return INVERSE_LINKS[description.inverse_link](graph, x)


def add_steps(graph: Graph, steps: tuple[Step, ...], v: str) -> str:
    """Add steps before a network, or after a regressor, to the graph; the name of the outcome."""
    for step in steps:
        v = STEPS[step.kind](graph, v, *step.operands)
    return v


def add_answers(graph: Graph, description: Description, x: str, outputs: list[str]) -> None:
    """Add the network and what it answers under the names ``outputs``.

    Labels and probabilities of a classifier, predictions of a regressor.
    """
    p = add_network(graph, description, x)
    add_decision(graph, description, add_steps(graph, description.after, p), outputs)


def add_decision(graph: Graph, description: Answering, p: str, outputs: list[str]) -> None:
    """Add what is answered by predictions ``p (n_rows, n_out)``, under the names ``outputs``."""
    if description.classes is None:
        graph("Identity", p, output=outputs[0])
        return
    if description.threshold is not None:
        chance = graph("Gather", p, np.array(description.threshold.of), axis=1)
        code = graph("GreaterOrEqual", chance, description.threshold.least)
        code = graph.cast(code if description.threshold.of else graph("Not", code), np.int64)
    elif description.decides == "labels":
        code = graph.cast(graph("Greater", p, 0.5), np.int64)
    else:
        code = graph("ArgMax", p, axis=1, keepdims=0)
    if description.decides == "labels":
        graph("Identity", code, output=outputs[0])
    else:
        graph("Gather", label_tensor(description), code, output=outputs[0])
    graph("Identity", p, output=outputs[1])


def label_tensor(description: Answering) -> NDArray[Any]:
    """The class labels in a type that ONNX's classifiers answer in: int64, or text as objects."""
    classes = np.asarray(description.classes)
    if description.decides == "two classes":
        classes = np.resize(classes, 2)  # one class in training is what both codes mean
    if all(isinstance(label, str) for label in classes):
        return classes.astype(object)
    if classes.dtype.kind in "biuf":
        with np.errstate(invalid="ignore"):
            whole = classes.astype(np.int64)
        if (whole == classes).all():
            return whole
    raise ValueError(
        f"Class labels such as {classes[-1]!r} cannot be exported to ONNX; whole numbers, text and"
        " booleans can. Encode the labels before fitting, as with LabelEncoder."
    )


def output_names(description: Answering, taken: Collection[str] = ()) -> list[str]:
    """What a model's outputs are called; with a ``_`` where an input is called so."""
    names = ["variable"] if description.classes is None else ["label", "probabilities"]
    for i, name in enumerate(names):
        while name in taken:
            name += "_"
        names[i] = name
    return names


def as_model(
    graph: Graph,
    inputs: Mapping[str, tuple[Any, int]],
    description: Answering,
    outputs: list[str],
    opset: int,
) -> Any:
    """The graph as a model.

    Parameters
    ----------
    graph : Graph
    inputs : dict of str to (dtype, int)
        The type and the width of each input; object is text.
    description : Description or BagDescription
    outputs : list of str
        As `output_names` gives them.
    opset : int
    """
    helper = graph.onnx.helper

    def tensor(name: str, dtype: Any, *shape: int) -> Any:
        return helper.make_tensor_value_info(name, graph.type_of(dtype), ["n_rows", *shape])

    n_out = description.n_out
    if description.classes is None:
        answers = [tensor(outputs[0], graph.dtype, n_out)]
    elif description.decides == "labels":
        answers = [tensor(outputs[0], np.int64, n_out), tensor(outputs[1], graph.dtype, n_out)]
    else:
        labels = tensor(outputs[0], label_tensor(description).dtype)
        answers = [labels, tensor(outputs[1], graph.dtype, max(n_out, 2))]
    cells = [tensor(name, dtype, width) for name, (dtype, width) in inputs.items()]
    body = helper.make_graph(graph.nodes, "fastnn", cells, answers, graph.constants)
    domains = {"": opset, ML: ML_OPSET}
    used = sorted({node.domain for node in graph.nodes})
    opsets = [helper.make_opsetid(domain, domains[domain]) for domain in used]
    ir_version = helper.find_min_ir_version_for(opsets)
    return helper.make_model(body, opset_imports=opsets, ir_version=ir_version)
