"""How is a fitted network written as C? One C99 file and a header: constants, loops, libm."""

from __future__ import annotations

import copy
import math
import os
import re
import warnings
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from string import Template
from typing import Any
from urllib.parse import quote

import numpy as np
from numpy.typing import NDArray
from sklearn.base import is_classifier

from fastnn._optional import require
from fastnn._version import __version__
from fastnn.export.columns import Step
from fastnn.export.description import Dense, Description, describe, network_of, reads_a_table

WEIGHTS = ("float32", "int8")

# Expressions of the weighted input z, with the activation's settings {0}, {1}, ...; comparisons are
# written so that NaN stays NaN.
ACTIVATIONS = {
    "identity": "z",
    "logistic": "1.0f / (1.0f + expf(-z))",
    "tanh": "tanhf(z)",
    "relu": "z < 0.0f ? 0.0f : z",
    "leaky_relu": "z < 0.0f ? {0} * z : z",
    "elu": "z < 0.0f ? {0} * expm1f(z) : z",
    "selu": "1.05070099f * (z < 0.0f ? 1.67326324f * expm1f(z) : z)",
    "gelu": "0.5f * z * (1.0f + erff(0.707106781f * z))",
    "silu": "z / (1.0f + expf(-z))",
    "mish": "z * tanhf(fmaxf(z, 0.0f) + log1pf(expf(-fabsf(z))))",
    "softplus": "fmaxf(z, 0.0f) + log1pf(expf(-fabsf(z)))",
    "softsign": "z / (1.0f + fabsf(z))",
}

# Statements over the outputs out[0..n), in place; $N is their number.
INVERSE_LINKS = {
    "identity": "",
    "logistic": """
    for (int i = 0; i < $N; i++) out[i] = 1.0f / (1.0f + expf(-out[i]));""",
    "exp": """
    for (int i = 0; i < $N; i++) out[i] = expf(out[i]);""",
    "softmax": """
    float largest = out[0], sum = 0.0f;
    for (int i = 1; i < $N; i++) if (out[i] > largest) largest = out[i];
    for (int i = 0; i < $N; i++) { out[i] = expf(out[i] - largest); sum += out[i]; }
    for (int i = 0; i < $N; i++) out[i] /= sum;""",
    "sorted": """
    for (int i = 1; i < $N; i++) {
        const float value = out[i];
        int at = i;
        for (; at > 0 && out[at - 1] > value; at--) out[at] = out[at - 1];
        out[at] = value;
    }""",
}

# Expressions of a column v with the operands {0}, {1}, ...
STEPS = {
    "impute": "isnan(v) ? {0} : v",
    "scale": "(v - {0} - {1}) * {2}",  # the shift in two floats, as exact as in float64
    "unscale": "v * {0} + {1}",
    "limit": "v / hypotf(1.0f, v / {0})",
    "clip": "v < {0} ? {0} : v > {1} ? {1} : v",
    "exp": "expf(v)",
    "expm1": "expm1f(v)",
}

_HEADER = Template("""\
/* $NAME: $SUMMARY.
 * Written by fastnn $VERSION.
 *
$TABLE
 */
#ifndef ${NAME}_H_INCLUDED
#define ${NAME}_H_INCLUDED

#ifdef __cplusplus
extern "C" {
#endif

enum { ${NAME}_N_INPUTS = $N_INPUTS, ${NAME}_N_OUTPUTS = $N_OUTPUTS };

struct ${NAME}_sizes {
    int n_inputs, n_outputs, n_layers;
    long n_parameters; /* weights and biases */
    long flash_bytes;  /* of all constants */
    long stack_bytes;  /* of the buffers of ${NAME}_predict */
};
extern const struct ${NAME}_sizes ${NAME}_sizes;

/* Answer one row: x[${NAME}_N_INPUTS] in, out[${NAME}_N_OUTPUTS]. Safe in several threads. */
void ${NAME}_predict(const float *x, float *out);
$LABEL_DECLARATION
#ifdef ${NAME}_SELF_TEST
/* How many of $N_ROWS rows are not answered as in Python; 0 if all is well. */
int ${NAME}_self_test(void);
#endif

#ifdef __cplusplus
}
#endif
#endif
""")

_SOURCE = Template("""\
/* $NAME: see $HEADER. Written by fastnn $VERSION. */
#include "$HEADER"

#include <math.h>

$CONSTANTS
const struct ${NAME}_sizes ${NAME}_sizes = {
    $N_INPUTS, $N_OUTPUTS, $N_LAYERS, $N_PARAMETERS, $FLASH_BYTES, $STACK_BYTES
};
$LAYERS
void ${NAME}_predict(const float *x, float *out)
{$BODY
}
$LABEL_DEFINITION
#ifdef ${NAME}_SELF_TEST
static const float rows[][$N_INPUTS] = {$ROWS};
static const float answers[][$N_OUTPUTS] = {$ANSWERS};

int ${NAME}_self_test(void)
{
    int wrong = 0;
    for (int row = 0; row < $N_ROWS; row++) {
        float out[$N_OUTPUTS];
        int agrees = 1;
        ${NAME}_predict(rows[row], out);
        for (int i = 0; i < $N_OUTPUTS; i++) {
            const float answer = answers[row][i];
            agrees &= fabsf(out[i] - answer) <= 1e-5f * (1.0f + fabsf(answer));
        }
        wrong += !agrees;
    }
    return wrong;
}
#endif
""")

# The sums run over the inputs outside and the neurons inside: neighbours in memory, and sums that
# do not wait for each other, so that compilers vectorise them without -ffast-math.
_LAYER = Template("""
static void layer_$I(const float *restrict x, float *restrict y)
{
    const $TYPE *w = weights_$I;
    for (int j = 0; j < $N_OUT; j++) y[j] = 0.0f;
    for (int i = 0; i < $N_IN; i++, w += $N_OUT)
        for (int j = 0; j < $N_OUT; j++) y[j] += x[i] * w[j];
    for (int j = 0; j < $N_OUT; j++) {
        const float z = y[j]$SCALE + biases_$I[j];
        y[j] = $ACTIVATION;
    }
}
""")

_LABEL_HEAD = """
/* The number of the class that the probabilities out[] of a row speak for. */
int ${NAME}_label(const float *out);
"""
_LABEL = {
    "two classes": """
int ${NAME}_label(const float *out) { return out[1] > 0.5f; }
""",
    "classes": """
int ${NAME}_label(const float *out)
{
    int best = 0;
    for (int i = 1; i < $N; i++) if (out[i] > out[best]) best = i;
    return best;
}
""",
}


@dataclass(frozen=True)
class CSource:
    """What :func:`to_c` wrote.

    Attributes
    ----------
    source, header : Path
    flash_bytes : int
        Bytes of the constants; the code adds less than 1 kB, and what libm takes.
    loss : float or None
        With int8 weights, what they change on ``X_val``; see :func:`to_c`.
    """

    source: Path
    header: Path
    flash_bytes: int
    loss: float | None


def to_c(
    model: Any,
    path: str | os.PathLike[str],
    *,
    weights: str = "float32",
    name: str | None = None,
    X_val: Any = None,
    max_loss: float = 0.01,
) -> CSource:
    """Write a fitted model as one C99 file and a header, which need libm alone.

    ``void NAME_predict(const float *x, float *out)`` answers one row: the probabilities of a
    classifier, as in ``predict_proba``, or the predictions of a regressor. It allocates nothing.

    Parameters
    ----------
    model : estimator
        A fitted :class:`~fastnn.MLPClassifier` or :class:`~fastnn.MLPRegressor`; a Pipeline of
        StandardScaler, MinMaxScaler, MaxAbsScaler, RobustScaler or SimpleImputer and one of these;
        the pipeline that ``fastnn fit --network plain`` makes of a table of numbers; a
        TransformedTargetRegressor; a fitted search over one.
    path : path-like
        The C file, ``*.c``; the header, ``*.h``, is written beside it.
    weights : {"float32", "int8"}, default="float32"
        How weights are stored. "int8" takes a quarter of the memory: whole numbers from -127 to
        127 with one scale for each neuron. Activations are float either way.
    name : str, default=None
        What the C names begin with; None takes the file's name.
    X_val : array-like of shape (n_rows, n_features), default=None
        Validation rows; needed with ``weights="int8"``. The first three become the self-test, which
        is compiled where ``NAME_SELF_TEST`` is defined; None takes three random rows.
    max_loss : float, default=0.01
        The largest loss by int8 weights. Of a classifier it is the share of ``X_val`` whose labels
        change, by which its accuracy falls at most; of a regressor the mean squared change of its
        predictions over their variance, by which R2 falls where errors are independent of it.

    Returns
    -------
    CSource
        The files, the bytes of their constants, and the loss.

    Raises
    ------
    TypeError
        If part of the model cannot be exported to C; the message names it.
    ValueError
        If a parameter is none of those above, or int8 weights lose more than ``max_loss``. Nothing
        is written then.
    """
    source = Path(path)
    if not re.fullmatch(r"\w[\w.-]*\.c", source.name, re.ASCII):
        raise ValueError(
            "path must name a file of letters, digits, '_', '-' and '.' that ends in '.c', got"
            f" {source.name!r}."
        )
    if name is None:
        name = re.sub(r"\W", "_", source.stem)
    if not re.fullmatch(r"[A-Za-z]\w*", name, re.ASCII):
        raise ValueError(
            "name must begin with a letter and hold letters, digits and '_' only, got"
            f" {name!r}. Pass another name=."
        )
    description = describe(model, np.float32)
    constants = _constants(description, weights)
    loss = None
    if weights == "int8":
        if X_val is None:
            raise ValueError("weights='int8' needs X_val: rows to measure on what they lose.")
        exact, model = model, _with_int8_weights(model, constants)
        loss = _loss(exact, model, X_val)
        if not loss <= max_loss:
            raise ValueError(
                f"weights='int8' lose {loss:.3g} on X_val, more than max_loss={max_loss:g}. Raise"
                " max_loss, or use weights='float32'."
            )
    if X_val is None:
        X_val = np.random.default_rng(0).normal(size=(3, description.n_in))
    rows = np.asarray(X_val[:3], np.float32)
    if rows.ndim != 2 or rows.shape[1] != description.n_in or not len(rows):
        raise ValueError(
            f"X_val must have shape (n_rows, {description.n_in}), at least one row, got"
            f" {np.shape(X_val)}."
        )
    header = source.with_suffix(".h")
    fields = _fields(description, constants, name, header.name, rows, _answers(model, rows))
    header.write_text(_HEADER.substitute(fields))
    source.write_text(_SOURCE.substitute(fields))
    return CSource(source, header, _n_bytes(constants), loss)


def flash_bytes(model: Any, *, weights: str = "float32") -> int:
    """Bytes of the constants of a model's C file, without writing it.

    Parameters
    ----------
    model : estimator
        As in :func:`to_c`.
    weights : {"float32", "int8"}, default="float32"
        How weights are stored.
    """
    return _n_bytes(_constants(describe(model, np.float32), weights))


def _constants(description: Description, weights: str) -> dict[str, NDArray[Any]]:
    """Every array of the C file under its name there."""
    if weights not in WEIGHTS:
        raise ValueError(f"weights must be 'float32' or 'int8', got {weights!r}.")
    description.check("C", ACTIVATIONS, INVERSE_LINKS)
    constants: dict[str, NDArray[Any]] = {}
    for prefix, steps in (("before", description.before), ("after", description.after)):
        for i, step in enumerate(steps):
            for j, operand in enumerate(_operands(step)):
                constants[f"{prefix}_{i}_{j}"] = operand
    for i, layer in enumerate(description.layers):
        weight = layer.weight
        if weights == "int8":
            scale = np.abs(weight).max(axis=0) / np.float32(127)
            scale[scale == 0] = 1
            constants[f"scales_{i}"] = scale
            weight = np.rint(weight / scale).astype(np.int8)
        constants[f"weights_{i}"] = weight
        constants[f"biases_{i}"] = layer.bias
    return constants


def _operands(step: Step) -> list[NDArray[np.float32]]:
    """A step's operands in float32; the shift of "scale" in two."""
    with np.errstate(over="ignore"):
        operands = [operand.astype(np.float32) for operand in step.operands]
    if not all(np.isfinite(operand).all() for operand in operands):
        raise ValueError(
            "A column's mean or scale is not finite in float32; leave the column out, or scale it"
            " before."
        )
    if step.kind == "scale":
        operands.insert(1, (step.operands[0] - operands[0]).astype(np.float32))
    return operands


def _n_bytes(constants: dict[str, NDArray[Any]]) -> int:
    return sum(array.nbytes for array in constants.values())


def _with_int8_weights(model: Any, constants: dict[str, NDArray[Any]]) -> Any:
    """A copy of the model with the weights that the C file holds."""
    twin = copy.deepcopy(model)
    network = network_of(twin)
    network.coefs_ = [
        (constants[f"weights_{i}"] * constants[f"scales_{i}"]).astype(coef.dtype)
        for i, coef in enumerate(network.coefs_)
    ]
    return twin


def _loss(exact: Any, model: Any, X: Any) -> float:
    """What int8 weights change: see ``max_loss`` of :func:`to_c`."""
    before, after = (np.asarray(each.predict(X)) for each in (exact, model))
    before, after = before.reshape(len(before), -1), after.reshape(len(after), -1)
    if is_classifier(exact):
        return float((before != after).any(axis=1).mean())
    change = np.square(before - after).sum()
    if not change:
        return 0.0
    with np.errstate(divide="ignore"):
        return float(change / np.square(before - before.mean(axis=0)).sum())


def _answers(model: Any, rows: NDArray[np.float32]) -> NDArray[np.float64]:
    """What Python answers, ``(n_rows, n_outputs)``, in float64."""
    X: Any = rows.astype(np.float64)
    if reads_a_table(model):
        X = require("pandas").DataFrame(X, columns=model.feature_names_in_)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "X does not have valid feature names")
        answer = model.predict_proba if is_classifier(model) else model.predict
        return np.asarray(answer(X), np.float64).reshape(len(rows), -1)


def _fields(
    description: Description,
    constants: dict[str, NDArray[Any]],
    name: str,
    header: str,
    rows: NDArray[np.float32],
    answers: NDArray[np.float64],
) -> dict[str, Any]:
    """What the two templates are filled with."""
    layers = description.layers
    body, stack_floats = _body(description)
    label = Template(_LABEL.get(description.decides, ""))
    label_head = Template(_LABEL_HEAD if label.template else "")
    return {
        "NAME": name,
        "HEADER": header,
        "VERSION": __version__,
        "SUMMARY": _summary(description),
        "TABLE": "\n".join(f" * {line}" for line in _table(description)),
        "N_INPUTS": description.n_in,
        "N_OUTPUTS": answers.shape[1],
        "N_LAYERS": len(layers),
        "N_PARAMETERS": sum(layer.weight.size + layer.bias.size for layer in layers),
        "FLASH_BYTES": _n_bytes(constants),
        "STACK_BYTES": 4 * stack_floats,
        "CONSTANTS": "".join(
            f"static const {_type(array)} {key}[{array.size}] = {{{_numbers(array)}}};\n"
            for key, array in constants.items()
        ),
        "LAYERS": "".join(_layer(i, layer, constants) for i, layer in enumerate(layers)),
        "BODY": body,
        "LABEL_DECLARATION": label_head.substitute(NAME=name),
        "LABEL_DEFINITION": label.substitute(NAME=name, N=description.n_out),
        "N_ROWS": len(rows),
        "ROWS": ", ".join(f"{{{_numbers(row)}}}" for row in rows),
        "ANSWERS": ", ".join(f"{{{_numbers(row)}}}" for row in answers.astype(np.float32)),
    }


def _layer(i: int, layer: Dense, constants: dict[str, NDArray[Any]]) -> str:
    n_in, n_out = layer.weight.shape
    settings = layer.activation.settings().astype(np.float32).tolist()
    return _LAYER.substitute(
        I=i,
        TYPE=_type(constants[f"weights_{i}"]),
        N_IN=n_in,
        N_OUT=n_out,
        SCALE=f" * scales_{i}[j]" if f"scales_{i}" in constants else "",
        ACTIVATION=ACTIVATIONS[layer.activation.name].format(*map(_number, settings)),
    )


def _body(description: Description) -> tuple[str, int]:
    """The statements of predict, and how many floats they keep on the stack."""
    buffers = {"a": 0, "b": 0}
    lines = []
    now, free = "x", "ab"
    if description.before:
        lines.append(_loop("before", description.before, description.n_in, "x", "a"))
        buffers["a"], now, free = description.n_in, "a", "ba"
    *hidden, last = range(len(description.layers))
    for i in hidden:
        lines.append(f"\n    layer_{i}({now}, {free[0]});")
        buffers[free[0]] = max(buffers[free[0]], len(description.layers[i].bias))
        now, free = free[0], free[::-1]
    lines.append(f"\n    layer_{last}({now}, out);")
    lines.append(Template(INVERSE_LINKS[description.inverse_link]).substitute(N=description.n_out))
    if description.decides == "two classes":
        lines.append("\n    out[1] = out[0];\n    out[0] = 1.0f - out[1];")
    if description.after:
        lines.append(_loop("after", description.after, description.n_out, "out", "out"))
    declared = [f"\n    float {key}[{size}];" for key, size in buffers.items() if size]
    return "".join(declared + lines), sum(buffers.values())


def _loop(prefix: str, steps: Sequence[Step], n: int, source: str, target: str) -> str:
    """A loop over columns that applies the steps one after the other."""
    lines = [f"\n    for (int i = 0; i < {n}; i++) {{\n        float v = {source}[i];"]
    for i, step in enumerate(steps):
        operands = [f"{prefix}_{i}_{j}[i]" for j in range(len(_operands(step)))]
        lines.append(f"        v = {STEPS[step.kind].format(*operands)};")
    return "\n".join([*lines, f"        {target}[i] = v;\n    }}"])


def _summary(description: Description) -> str:
    layers = [f"{len(layer.bias)} {layer.activation.name}" for layer in description.layers[:-1]]
    last = f"{description.n_out} {description.inverse_link}"
    return " -> ".join([f"{description.n_in} columns", *layers, last])


def _table(description: Description) -> Iterable[str]:
    """What stands where in x and out. Names are the user's: quoted, so that none ends a comment."""
    names: Sequence[Any] = description.feature_names
    for i, name in enumerate(names):
        yield f"x[{i}]: {_quoted(name)}"
    if description.classes is None:
        yield f"out: {description.n_out} predictions"
        return
    what = "yes" if description.decides == "labels" else "class"
    for i, name in enumerate(description.classes):
        yield f"out[{i}]: probability of {what} {i}, {_quoted(name)}"


def _quoted(name: Any) -> str:
    """Letters, digits, blanks and ``_.-~`` as they are, all else as in a URL."""
    return quote(str(name), safe=" ", errors="replace")


def _type(array: NDArray[Any]) -> str:
    return "signed char" if array.dtype == np.int8 else "float"


def _numbers(array: NDArray[Any]) -> str:
    texts = [_number(value) for value in array.ravel().tolist()]
    lines = [", ".join(texts[i : i + 8]) for i in range(0, len(texts), 8)]
    return ",\n    ".join(lines)


def _number(value: float | int) -> str:
    """A C literal; nine digits tell any two float32 apart."""
    if isinstance(value, int):
        return str(value)
    if math.isnan(value):
        return "NAN"
    if math.isinf(value):
        return "INFINITY" if value > 0 else "-INFINITY"
    text = f"{value:.9g}"
    return text + ("f" if "." in text or "e" in text else ".0f")
