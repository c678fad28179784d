"""What are activations and optimizers, for Numba? A dict each, at the bottom of this file.

An entry is a name of ``fastnn.core`` and the compiled functions for it; what has no entry here is
refused. :func:`by_code` makes a dict one compiled function; an entry's code is its place.

Elementwise loops run over slices: an index that may be negative, like ``v[start + i]``, costs Numba
the vector instructions.
"""

# mypy: ignore-errors
# Numba finds the types at the first call.

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
from llvmlite import ir
from numba import types
from numba.extending import intrinsic

from fastnn.backends.numba.compiler import exact, fast

# Elementwise functions: Numba's own exp calls the C library for one number at a time


@intrinsic
def _expm1_taylor(typingctx, r):
    """Taylor's series of exp(r) - 1 for abs(r) <= log(2) / 2, to the last place of r's type."""

    def codegen(context, builder, signature, args):
        (r,) = args
        degree = 7 if signature.args[0] == types.float32 else 13
        value = ir.Constant(r.type, 1 / math.factorial(degree))
        for i in reversed(range(1, degree)):
            term = builder.fmul(value, r, flags=["contract"])
            value = builder.fadd(
                term, ir.Constant(r.type, 1 / math.factorial(i)), flags=["contract"]
            )
        return builder.fmul(value, r, flags=["contract"])

    return r(r), codegen


@intrinsic
def _ldexp(typingctx, value, n):
    """Value times 2**n for an int32 n.

    In two factors: 2**n leaves the range of numbers before the product does.
    """

    def codegen(context, builder, signature, args):
        value, n = args
        single = signature.args[0] == types.float32
        word, bias, shift = (ir.IntType(32), 127, 23) if single else (ir.IntType(64), 1023, 52)
        for bound, beyond in ((-2 * bias + 2, "<"), (2 * bias, ">")):
            n = builder.select(builder.icmp_signed(beyond, n, n.type(bound)), n.type(bound), n)
        half = builder.ashr(n, n.type(1))
        for part in (half, builder.sub(n, half)):
            bits = builder.shl(
                builder.add(part if single else builder.sext(part, word), word(bias)), word(shift)
            )
            value = builder.fmul(value, builder.bitcast(bits, value.type))
        return value

    return value(value, types.int32), codegen


LOG2_E = 1 / math.log(2)
# log(2) in two parts (Cody and Waite 1980); few bits in the first, so that n times it is exact
LN2_HIGH = 0.693359375
LN2_LOW = -2.121944400546905827679e-4


@exact
def _exp_parts(x):
    """(p, n) with exp(x) = (1 + p) 2**n and p small.

    Both exp(x) and exp(x) - 1 follow from them without cancellation.
    """
    bound = type(x)(800)  # beyond it exp is 0 or infinity in either type
    x = -bound if x < -bound else x
    x = bound if x > bound else x
    n = np.floor(x * type(x)(LOG2_E) + type(x)(0.5))
    p = _expm1_taylor((x - n * type(x)(LN2_HIGH)) - n * type(x)(LN2_LOW))
    return p, np.int32(n if x == x else type(x)(0))  # a NaN has no integer; it goes on through p


@exact
def exp(x):
    """exp(x); 0, infinity and NaN where NumPy has them."""
    p, n = _exp_parts(x)
    return _ldexp(type(x)(1) + p, n)


@exact
def expit(x):
    """1 / (1 + exp(-x)), without overflow for either sign of x."""
    e = exp(-abs(x))
    return (type(x)(1) if x >= 0 else e) / (type(x)(1) + e)


@exact
def tanh(x):
    """tanh(x), by exp(-2 abs(x)) - 1 so that small x keep their digits."""
    p, n = _exp_parts(type(x)(-2) * abs(x))
    scale = _ldexp(type(x)(1), n)
    e = scale * p + (scale - type(x)(1))
    t = e / (e + type(x)(2))
    return (
        t if x < 0 else -t
    )  # math.copysign keeps float32 loops from becoming vector code, measured 20 times slower


@fast
def sign(x):
    """-1, 0 or 1; 0 of what is no number."""
    return type(x)(x > type(x)(0)) - type(x)(x < type(x)(0))


# Dropout, as core/dropout.py


@fast
def mix(x):
    """A permutation of the 32-bit words: lowbias32."""
    x = np.uint32((x ^ (x >> np.uint32(16))) * np.uint32(0x7FEB352D))
    x = np.uint32((x ^ (x >> np.uint32(15))) * np.uint32(0x846CA68B))
    return np.uint32(x ^ (x >> np.uint32(16)))


@fast
def lowest_kept(share):
    """An output is kept if its hash, as a signed number, is not below this."""
    return np.int32(np.int64(share * 4294967296.0) - 2147483648)


# Activations: a(z), and the slope as a function of what core.activations says is kept


@fast
def identity(z):
    """Z itself."""
    return z


@fast
def identity_slope(a):
    """1."""
    return type(a)(1)


@fast
def relu(z):
    """max(z, 0); a NaN stays."""
    return type(z)(0) if z <= type(z)(0) else z


@fast
def relu_slope(a):
    """1 where a > 0."""
    return type(a)(1) if a != type(a)(0) else type(a)(0)


@fast
def tanh_slope(a):
    """1 - a**2."""
    return type(a)(1) - a * a


@fast
def logistic_slope(a):
    """The slope is a (1 - a)."""
    return a * (type(a)(1) - a)


# Optimizers


class Step(NamedTuple):
    """A step of some of the padded parameters: where they stand, and their numbers.

    The objective's gradient is ``(grad + l2 p) share``; p becomes ``keep p`` before its step.
    """

    start: int
    stop: int
    l2: float
    share: float
    rate: float
    epsilon: float
    keep: float


@fast
def sgd(settings, padded, step):
    """Momentum and Nesterov's; ``settings`` [momentum, nesterov]."""
    params, grad = padded[0, step.start : step.stop], padded[1, step.start : step.stop]
    velocity = padded[2, step.start : step.stop]
    real = params.dtype.type
    l2, share, rate, keep = real(step.l2), real(step.share), real(step.rate), real(step.keep)
    momentum, nesterov = real(settings[0]), settings[1] != 0
    for i in range(params.size):
        p = params[i]
        g = rate * ((grad[i] + l2 * p) * share)
        v = momentum * velocity[i] - g
        velocity[i] = v
        params[i] = keep * p + (momentum * v - g if nesterov else v)


@fast
def rmsprop(settings, padded, step):
    """``settings`` [rho, momentum, epsilon]."""
    params, grad = padded[0, step.start : step.stop], padded[1, step.start : step.stop]
    squares, buffer = padded[2, step.start : step.stop], padded[3, step.start : step.stop]
    real = params.dtype.type
    l2, share, rate, keep = real(step.l2), real(step.share), real(step.rate), real(step.keep)
    epsilon, momentum = real(settings[2] * step.epsilon), real(settings[1])
    old, new = real(settings[0]), real(1 - settings[0])
    for i in range(params.size):
        p = params[i]
        g = (grad[i] + l2 * p) * share
        v = old * squares[i] + new * (g * g)
        b = momentum * buffer[i] + g / (math.sqrt(v) + epsilon)
        squares[i], buffer[i] = v, b
        params[i] = keep * p - rate * b


@fast
def lion(settings, padded, step):
    """``settings`` [beta_1, beta_2]."""
    params, grad = padded[0, step.start : step.stop], padded[1, step.start : step.stop]
    first = padded[2, step.start : step.stop]
    real = params.dtype.type
    l2, share, rate, keep = real(step.l2), real(step.share), real(step.rate), real(step.keep)
    keep_1, new_1 = real(settings[0]), real(1 - settings[0])
    keep_2, new_2 = real(settings[1]), real(1 - settings[1])
    for i in range(params.size):
        p = params[i]
        g = (grad[i] + l2 * p) * share
        params[i] = keep * p - rate * sign(keep_1 * first[i] + new_1 * g)
        first[i] = keep_2 * first[i] + new_2 * g


@fast
def adam(settings, padded, step):
    """The bias corrections are in the rate; ``settings`` [beta_1, beta_2, epsilon]."""
    params, grad = padded[0, step.start : step.stop], padded[1, step.start : step.stop]
    first, second = padded[2, step.start : step.stop], padded[3, step.start : step.stop]
    real = params.dtype.type
    l2, share, rate, keep = real(step.l2), real(step.share), real(step.rate), real(step.keep)
    epsilon = real(settings[2] * step.epsilon)
    keep_1, new_1 = real(settings[0]), real(1 - settings[0])
    keep_2, new_2 = real(settings[1]), real(1 - settings[1])
    for i in range(params.size):
        p = params[i]
        g = (grad[i] + l2 * p) * share
        m = keep_1 * first[i] + new_1 * g
        v = keep_2 * second[i] + new_2 * (g * g)
        first[i], second[i] = m, v
        params[i] = keep * p - rate * m / (math.sqrt(v) + epsilon)


# Around the rule: penalties on the gradient before it, the average after


@fast
def add_penalties(params, grad, l2, l1, share):
    """``grad`` becomes ``(grad + l2 params + l1 sign(params)) share``."""
    real = params.dtype.type
    l2, l1, share = real(l2), real(l1), real(share)
    for i in range(params.size):
        grad[i] = (grad[i] + l2 * params[i] + l1 * sign(params[i])) * share


@fast
def follow(params, average, share):
    """The average moves to the new parameters by ``share``."""
    share = params.dtype.type(share)
    for i in range(params.size):
        average[i] += share * (params[i] - average[i])


# What is known by name, and each kind as one function of a code

ACTIVATIONS = {
    "identity": (identity, identity_slope),
    "logistic": (expit, logistic_slope),
    "tanh": (tanh, tanh_slope),
    "relu": (relu, relu_slope),
}

# optimizer(settings, padded, step) takes parameters, gradient and slots in the rows of padded.
OPTIMIZERS = {"sgd": sgd, "adam": adam, "rmsprop": rmsprop, "lion": lion}


def code(known, name):
    """The number that stands for ``name`` where :func:`by_code` made a function of ``known``."""
    return list(known).index(name)


def by_code(functions):
    """A compiled function ``(code, *arguments)`` that calls the ``code``-th of ``functions``.

    Four in one, for each function to compile takes Numba a fifth of a second or more.
    """
    functions = list(functions)
    first, second, third, fourth = (functions[min(i, len(functions) - 1)] for i in range(4))

    @fast
    def call(code, *arguments):
        if code == 0:
            return first(*arguments)
        if code == 1:
            return second(*arguments)
        if code == 2:
            return third(*arguments)
        return fourth(*arguments)

    if len(functions) <= 4:
        return call
    others = by_code(functions[4:])

    @fast
    def call_or_others(code, *arguments):
        if code < 4:
            return call(code, *arguments)
        return others(code - 4, *arguments)

    return call_or_others


def _in_place(activation):
    """A loop that applies an activation to a vector."""

    @fast
    def loop(values):
        for i in range(values.size):
            values[i] = activation(values[i])

    return loop


def _slope_in_place(slope):
    """A loop that multiplies deltas by the slope."""

    @fast
    def loop(kept, delta):
        for i in range(delta.size):
            delta[i] *= slope(kept[i])

    return loop


activate = by_code([_in_place(value) for value, _ in ACTIVATIONS.values()])
times_slope = by_code([_slope_in_place(slope) for _, slope in ACTIVATIONS.values()])
update_step = by_code(OPTIMIZERS.values())
