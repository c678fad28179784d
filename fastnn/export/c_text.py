"""How is a program written in C99? Constants, loops, and what of libm it needs."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from string import Template
from typing import Any
from urllib.parse import quote

import numpy as np
from numpy.typing import NDArray

from fastnn._version import __version__
from fastnn.export.c_program import Constants, Part, Program, in_float32, n_bytes, parts_of
from fastnn.export.columns import Step
from fastnn.export.description import Dense

# Expressions of the weighted input z, with the activation's settings {0}, {1}, ...; comparisons are
# written so that NaN stays NaN.
ACTIVATIONS = {
    "identity": "z",
    "logistic": "1.0f / (1.0f + expf(-z))",
    "tanh": "tanh_of(z)",
    "relu": "z < 0.0f ? 0.0f : z",
    "leaky_relu": "z < 0.0f ? {0} * z : z",
    "elu": "z < 0.0f ? {0} * expm1f(z) : z",
    "selu": "1.05070099f * (z < 0.0f ? 1.67326324f * expm1f(z) : z)",
    "gelu": "0.5f * z * (1.0f + erff(0.707106781f * z))",
    "silu": "z / (1.0f + expf(-z))",
    "mish": "z * tanh_of(fmaxf(z, 0.0f) + log1pf(expf(-fabsf(z))))",
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
    "missing": "isnan(v) ? {0} : {1}",
    "scale": "(v - {0} - {1}) * {2}",  # the shift in two floats, as exact as in float64
    "unscale": "v * {0} + {1}",
    "limit": "v / hypotf(1.0f, v / {0})",
    "clip": "v < {0} ? {0} : v > {1} ? {1} : v",
    "exp": "expf(v)",
    "expm1": "expm1f(v)",
}

TYPES = {
    "float32": "float",
    "float64": "double",
    "int8": "signed char",
    "int16": "short",
    "int32": "int",
}

HEADER = Template("""\
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

SOURCE = Template("""\
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

# A quarter of the time of libm's, and less code. With t = a / (2 b), rational and close to
# tanh(z / 2), tanh z is 2 t / (1 + t^2). The fit is minimax in tanh z: an error in t counts
# 1 / cosh z times.
_TANH = """
/* tanh z, which is off by at most 2e-7 and by 6 units in the last place. */
static inline float tanh_of(float z)
{
    z = z < -8.5f ? -8.5f : z;
    z = z > 8.5f ? 8.5f : z;
    const float u = z * z;
    const float a = z * (1.0f + u * (0.0298041105f + u * 0.0001149163f));
    const float b = 1.0f + u * (0.113137417f + u * (0.00120973226f + u * 1.24315739e-6f));
    return a * b / (b * b + 0.25f * a * a);
}
"""

_PLACE = """
/* A category's code, n of an unknown one, n + 1 where it is missing. */
static int place(float code, int n)
{
    if (isnan(code)) return n + 1;
    return code >= 0.0f && code < (float)n ? (int)code : n;
}
"""

# In double as in Python, so that both find the same bin; between the knots a bag is linear.
_BINS = Template("""
static float fraction(float x, int i, unsigned char *bin)
{
    const double *edge = edges + starts[i];
    double z = ((isnan(x) ? fills[i] : (double)x) - centers[i]) * factors[i];
    int low = 0, high = starts[i + 1] - starts[i] - 2;
    z = z < -1e100 ? -1e100 : z > 1e100 ? 1e100 : z;
    z /= sqrt(1.0 + z / 3.0 * (z / 3.0));
    while (low < high) {
        const int middle = (low + high + 1) / 2;
        if (edge[middle] <= z) low = middle;
        else high = middle - 1;
    }
    *bin = (unsigned char)low;
    z = (z - edge[low]) / (edge[low + 1] - edge[low]);
    return (float)(z < -1.0 ? -1.0 : z > 2.0 ? 2.0 : z);
}

static void embed(int m, const unsigned char *bins, const float *fractions, float *restrict y)
{
    for (int i = 0; i < $N_COLUMNS; i++, y += $SIZE) {
        const $TYPE *low = knots + (m * $N_KNOTS + starts[i] + bins[i]) * $SIZE;
        for (int j = 0; j < $SIZE; j++) {
            const float rise = (float)(low[$SIZE + j] - low[j]);
            y[j] = ((float)low[j] + fractions[i] * rise)$SCALE;
        }
    }
}
""")

# The sums run over the inputs outside and the neurons inside: neighbours in memory, and sums that
# do not wait for each other, so that compilers vectorise them without -ffast-math. gcc at -O2 does
# so only where the turns of a loop fill registers of 16 bytes: the rest has a loop of its own.
_LAYER = Template("""
static void layer_$I(${M}const float *restrict x, float *restrict y)
{
    const $TYPE *w = weights_$I$AT_WEIGHTS;
    for (int j = 0; j < $N_OUT; j++) y[j] = 0.0f;
    for (int i = 0; i < $N_IN; i++, w += $N_OUT) {
        int j = 0;$IF$SUMS
    }
    for (int j = 0; j < $N_OUT; j++) {
        const float z = y[j]$SCALE + biases_$I[${AT}j];
        y[j] = $ACTIVATION;
    }
}
""")

_MEMBER = Template("""
static void member(int m, const float *input, float *out)
{$BODY
}
""")

_MEAN = Template("""
    for (int i = 0; i < $N; i++) out[i] = 0.0f;
    for (int m = 0; m < $N_MEMBERS; m++) {$EMBED
        member(m, input, answer);
        for (int i = 0; i < $N; i++) out[i] += answer[i];
    }
    for (int i = 0; i < $N; i++) out[i] /= $N_MEMBERS.0f;""")

_LABEL_HEAD = """
/* The number of the class that the probabilities out[] of a row speak for. */
int ${NAME}_label(const float *out);
"""
_LABEL = {
    "a threshold": """
int ${NAME}_label(const float *out) { return $DECISION; }
""",
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


def fields(
    program: Program,
    constants: Constants,
    name: str,
    header: str,
    rows: NDArray[np.float32],
    answers: NDArray[np.float64],
) -> dict[str, Any]:
    """What the templates of the two files are filled with.

    Parameters
    ----------
    program : Program
    constants : dict of str to ndarray
        From `constants_of`.
    name : str
        What the C names begin with.
    header : str
        The header's file name.
    rows : ndarray of shape (n_rows, n_inputs)
        Of the self-test.
    answers : ndarray of shape (n_rows, n_outputs)
        Python's.
    """
    body = _Body(program, constants)
    network, layers = program.network, program.members[0]
    threshold, decision = network.threshold, ""
    if threshold is not None:
        decision = f"out[{threshold.of}] >= {_number(threshold.least)}"
        decision = decision if threshold.of else f"!({decision})"
    label = Template(_LABEL.get("a threshold" if threshold else network.decides, ""))
    label_head = Template(_LABEL_HEAD if label.template else "")
    learned = [array for key, array in constants.items() if key.startswith(("weights", "biases"))]
    return {
        "NAME": name,
        "HEADER": header,
        "VERSION": __version__,
        "SUMMARY": _summary(program),
        "TABLE": "\n".join(f" * {line}" for line in _table(program)),
        "N_INPUTS": len(program.inputs),
        "N_OUTPUTS": answers.shape[1],
        "N_LAYERS": len(layers),
        "N_PARAMETERS": sum(map(np.size, learned)) + np.size(constants.get("knots", ())),
        "FLASH_BYTES": n_bytes(constants),
        "STACK_BYTES": body.stack_bytes,
        "CONSTANTS": "".join(
            f"static const {TYPES[array.dtype.name]} {key}[{array.size}] = {{{_numbers(array)}}};\n"
            for key, array in constants.items()
        ),
        "LAYERS": body.functions,
        "BODY": body.predict,
        "LABEL_DECLARATION": label_head.substitute(NAME=name),
        "LABEL_DEFINITION": label.substitute(NAME=name, N=network.n_out, DECISION=decision),
        "N_ROWS": len(rows),
        "ROWS": ", ".join(f"{{{_numbers(row)}}}" for row in rows),
        "ANSWERS": ", ".join(f"{{{_numbers(row)}}}" for row in answers.astype(np.float32)),
    }


class _Body:
    """The functions of a C file, and the bytes that they keep on the stack.

    Attributes
    ----------
    functions : str
        Those that predict calls.
    predict : str
        Its statements.
    stack_bytes : int
    """

    def __init__(self, program: Program, constants: Constants) -> None:
        self.program, self.constants, self.stack_bytes = program, constants, 0
        self.is_bag = len(program.members) > 1 or program.bins is not None
        parts, n = parts_of(program), program.network.n_out
        used = {ACTIVATIONS[layer.activation.name] for layer in program.members[0]}
        functions = [_TANH] if any("tanh_of" in expression for expression in used) else []
        functions += [_PLACE] if any(part.is_look_up for part in parts) else []
        if program.bins is not None:
            n_columns, (_, n_knots, size) = len(program.bins.columns), program.bins.knots.shape
            scale = f" * knot_scales[(m * {n_columns} + i) * {size} + j]"
            functions.append(
                _BINS.substitute(
                    N_COLUMNS=n_columns,
                    N_KNOTS=n_knots,
                    SIZE=size,
                    TYPE=TYPES[constants["knots"].dtype.name],
                    SCALE=scale if "knot_scales" in constants else "",
                )
            )
        functions += [self._layer(i, layer, parts) for i, layer in enumerate(program.members[0])]
        n_read = len(program.members[0][0].weight)
        if self.is_bag:
            functions.append(_MEMBER.substitute(BODY=self._network("input", {"a": 0, "b": 0})))
            lines = self._declare({"input": n_read, "answer": n})
            lines += [_part(part, "input") for part in parts]
            lines += [*self._look_up_bins(), self._mean()]
        elif parts:
            lines = [_part(part, "a") for part in parts]
            lines = [self._network("a", {"a": n_read, "b": 0}, lines)]
        else:
            lines = [self._network("x", {"a": 0, "b": 0})]
        if program.network.decides == "two classes":
            lines.append("\n    out[1] = out[0];\n    out[0] = 1.0f - out[1];")
        if program.after:
            lines.append(_loop("after", program.after, n, "out[i]", "out[i]"))
        self.functions, self.predict = "".join(functions), "".join(lines)

    def _declare(self, sizes: dict[str, int], kind: str = "float") -> list[str]:
        self.stack_bytes += sum(sizes.values()) * (4 if kind == "float" else 1)
        return [f"\n    {kind} {key}[{size}];" for key, size in sizes.items() if size]

    def _network(self, now: str, buffers: dict[str, int], before: Sequence[str] = ()) -> str:
        """The statements from ``now`` to ``out``, through two buffers in turns."""
        program = self.program
        member = "m, " if self.is_bag else ""
        free = "ba" if now == "a" else "ab"
        lines = [*before]
        *hidden, last = program.members[0]
        for i, layer in enumerate(hidden):
            lines.append(f"\n    layer_{i}({member}{now}, {free[0]});")
            buffers[free[0]] = max(buffers[free[0]], len(layer.bias))
            now, free = free[0], free[::-1]
        lines.append(f"\n    layer_{len(hidden)}({member}{now}, out);")
        link = INVERSE_LINKS[program.network.inverse_link]
        lines.append(Template(link).substitute(N=len(last.bias)))
        return "".join(self._declare(buffers) + lines)

    def _look_up_bins(self) -> list[str]:
        if self.program.bins is None:
            return []
        n = len(self.program.bins.columns)
        return [
            *self._declare({"fractions": n}),
            *self._declare({"bins": n}, "unsigned char"),
            f"\n    for (int i = 0; i < {n}; i++)"
            "\n        fractions[i] = fraction(x[places[i]], i, bins + i);",
        ]

    def _mean(self) -> str:
        return _MEAN.substitute(
            N=self.program.network.n_out,
            N_MEMBERS=len(self.program.members),
            EMBED="\n        embed(m, bins, fractions, input);" if self.program.bins else "",
        )

    def _layer(self, i: int, layer: Dense, parts: list[Part]) -> str:
        n_in, n_out = layer.weight.shape
        weights = self.constants[f"weights_{i}"]
        ends = sorted({n_out - n_out % (16 // weights.itemsize), n_out} - {0})
        settings = layer.activation.settings().astype(np.float32).tolist()
        at = f"m * {n_out} + " if self.is_bag else ""
        mostly_zero = i == 0 and any(
            key.startswith("places") and key.replace("places", "others") not in part.constants
            for part in parts
            for key in part.constants
        )
        return _LAYER.substitute(
            I=i,
            M="int m, " if self.is_bag else "",
            TYPE=TYPES[weights.dtype.name],
            N_IN=n_in,
            N_OUT=n_out,
            AT=at,
            AT_WEIGHTS=f" + m * {n_in * n_out}" if self.is_bag else "",
            IF="\n        if (x[i] == 0.0f) continue;" if mostly_zero else "",
            SUMS="".join(f"\n        for (; j < {end}; j++) y[j] += x[i] * w[j];" for end in ends),
            SCALE=f" * scales_{i}[{at}j]" if f"scales_{i}" in self.constants else "",
            ACTIVATION=ACTIVATIONS[layer.activation.name].format(*map(_number, settings)),
        )


def _part(part: Part, target: str) -> str:
    """The statements that write a part of the network's input."""
    n, start, first = len(part.columns), part.start, part.columns[0]
    names = {key.partition("_")[0]: key for key in part.constants}
    out = f"{target}[{start} + i]" if start else f"{target}[i]"
    if not part.is_look_up:
        at = f"{names['from']}[i]" if "from" in names else f"{first.source} + i"
        prefix = names.get("before", "before_0").rsplit("_", 2)[0] if first.steps else ""
        return _loop(prefix, first.steps, n, f"x[{at.removeprefix('0 + ')}]", out)
    assert first.levels is not None
    look_up = f"\n    {{\n        const int k = place(x[{first.source}], {len(first.levels)});"
    if "places" not in names:
        at = f"k * {n} + i" if n > 1 else "k"
        each = f"{names['values']}[{at}]"
        return f"{look_up}\n        for (int i = 0; i < {n}; i++) {out} = {each};\n    }}"
    others = f"{names['others']}[i]" if "others" in names else "0.0f"
    value = f"{names['values']}[k]" if "values" in names else _number(part.value)
    places = names["places"]
    where = f"{target}[{start} + {places}[k]]" if start else f"{target}[{places}[k]]"
    return (
        f"{look_up}\n        for (int i = 0; i < {n}; i++) {out} = {others};"
        f"\n        if ({places}[k] >= 0) {where} = {value};\n    }}"
    )


def _loop(prefix: str, steps: Sequence[Step], n: int, source: str, target: str) -> str:
    """A loop over columns that applies the steps one after the other."""
    lines = [f"\n    for (int i = 0; i < {n}; i++) {{\n        float v = {source};"]
    for i, step in enumerate(steps):
        operands = [f"{prefix}_{i}_{j}[i]" for j in range(len(in_float32(step)))]
        lines.append(f"        v = {STEPS[step.kind].format(*operands)};")
    return "\n".join([*lines, f"        {target} = v;\n    }}"])


def _summary(program: Program) -> str:
    layers, n = program.members[0], len(program.members)
    hidden = [f"{len(layer.bias)} {layer.activation.name}" for layer in layers[:-1]]
    last = f"{program.network.n_out} {program.network.inverse_link}"
    mean = [f"the mean of {n}"] if n > 1 else []
    return " -> ".join([f"{len(program.inputs)} columns", *hidden, last, *mean])


def _table(program: Program) -> Iterable[str]:
    """What stands where in x and out. Names are the user's: quoted, so that none ends a comment."""
    for i, one in enumerate(program.inputs):
        name = "" if one.name is None else f" {_quoted(one.name)}"
        if one.levels == ():
            yield f"x[{i}]:{name}, which is not read"
        elif one.levels is not None:
            yield f"x[{i}]:{name}, NAN where it is missing, -1 if it is none of"
            yield from (f"    {code}: {_quoted(level)}" for code, level in enumerate(one.levels))
        elif name:
            yield f"x[{i}]:{name}"
    if program.bins is not None:
        yield "A column of dates is days since 1970-01-01, one of durations days."
    for name, first in program.dates:
        yield f"{_quoted(name)}: its days count from {first}, hours included; Monday is weekday 0"
    network = program.network
    if network.classes is None:
        yield f"out: {network.n_out} predictions"
        return
    what = "yes" if network.decides == "labels" else "class"
    for i, name in enumerate(network.classes):
        yield f"out[{i}]: probability of {what} {i}, {_quoted(name)}"


def _quoted(name: Any) -> str:
    """Letters, digits, blanks and ``_.-~`` as they are, all else as in a URL."""
    return quote(str(name), safe=" ", errors="replace")


def _numbers(array: NDArray[Any]) -> str:
    digits = 17 if array.dtype == np.float64 else 9  # that tell any two apart
    texts = [_number(value, digits) for value in array.ravel().tolist()]
    lines = [", ".join(texts[i : i + 8]) for i in range(0, len(texts), 8)]
    return ",\n    ".join(lines)


def _number(value: float | int, digits: int = 9) -> str:
    """A C literal, of a float unless it has more than nine digits."""
    if isinstance(value, int):
        return str(value)
    if math.isnan(value):
        return "NAN"
    if math.isinf(value):
        return "INFINITY" if value > 0 else "-INFINITY"
    text = f"{value:.{digits}g}"
    text += "" if "." in text or "e" in text else ".0"
    return text + ("f" if digits == 9 else "")
