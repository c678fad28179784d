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
from numba.np.unsafe.ndarray import to_fixed_tuple

from fastnn.backends.numba.compiler import exact, fast

# Elementwise functions: Numba's own exp calls the C library for one number at a time


def polynomial(single, double):
    """A polynomial by its coefficients, the constant first: in float32, and in float64."""

    @intrinsic
    def evaluate(typingctx, x):
        def codegen(context, builder, signature, args):
            (x,) = args
            *others, first = single if signature.args[0] == types.float32 else double
            value = ir.Constant(x.type, first)
            for coefficient in reversed(others):
                term = builder.fmul(value, x, flags=["contract"])
                value = builder.fadd(term, ir.Constant(x.type, coefficient), flags=["contract"])
            return value

        return x(x), codegen

    return evaluate


# Taylor's series of (exp(r) - 1) / r for abs(r) <= log(2) / 2, to the last place of either type
TAYLOR = [1 / math.factorial(i) for i in range(1, 14)]
_expm1_over_r = polynomial(TAYLOR[:7], TAYLOR)


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
    r = (x - n * type(x)(LN2_HIGH)) - n * type(x)(LN2_LOW)
    # A NaN has no integer; it goes on through p.
    return r * _expm1_over_r(r), np.int32(n if x == x else type(x)(0))


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
def expm1_of_negative(x):
    """exp(x) - 1 for x <= 0; small x keep their digits."""
    p, n = _exp_parts(x)
    scale = _ldexp(type(x)(1), n)
    return scale * p + (scale - type(x)(1))


@exact
def tanh(x):
    """tanh(x), by exp(-2 abs(x)) - 1."""
    e = expm1_of_negative(type(x)(-2) * abs(x))
    t = e / (e + type(x)(2))
    return (
        t if x < 0 else -t
    )  # math.copysign keeps float32 loops from becoming vector code, measured 20 times slower


# Phi(-x) exp(x**2 / 2) (x + 5), Phi the normal distribution, in (x - 5) / (x + 5): as math.inc
_mills_ratio = polynomial(
    (
        *(7.691930404e-1, -6.653824442e-1, 4.953065548e-1, -3.135350249e-1, 1.650043419e-1),
        *(-6.910889191e-2, 2.089157785e-2, -2.971051439e-3, -1.003661075e-3, 3.892815824e-4),
    ),
    (
        *(7.6919304975006296603e-1, -6.6538250289005678714e-1, 4.9530561596997413596e-1),
        *(-3.1353315667129710631e-1, 1.6502036617050069476e-1, -6.9118638706479819048e-2),
        *(2.0795066797569856426e-2, -2.9933767690944728172e-3, -7.9786937489119332648e-4),
        *(5.448990626958520579e-4, -5.9375866167360709182e-5, -4.9762853165030135918e-5),
        *(1.668170360977267944e-5, 3.9811827415325774606e-6, -2.7703209441469522821e-6),
        *(-3.3749652035246319072e-7, 4.3443907263764584748e-7, 4.3758415982855748831e-8),
        *(-6.6675293392275715873e-8, -1.0618274174239376358e-8, 7.6304104178731823434e-9),
        2.2249387677164432915e-9,
    ),
)


@exact
def normal_parts(z):
    """(Phi(z), exp(-z**2 / 2)), Phi the normal distribution."""
    e, x = exp(type(z)(-0.5) * z * z), abs(z)
    r = type(z)(1) / (x + type(z)(5))
    tail = e * (_mills_ratio(type(z)(1) - type(z)(10) * r) * r)
    return (tail if z < 0 else type(z)(1) - tail), e


# The series of atanh(s) / s in s**2, for s**2 <= 1/9
ATANH = [1 / (2 * i + 1) for i in range(17)]
_atanh_over_s = polynomial(ATANH[:8], ATANH)


@exact
def log1p(x):
    """log(1 + x) = 2 atanh(x / (x + 2)) for x in [0, 1]; no logarithm: that is no vector code."""
    s = x / (x + type(x)(2))
    return type(x)(2) * s * _atanh_over_s(s * s)


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


# Activations: a(z), and the slope as a function of what core.activations says is kept. Settings
# follow as further arguments, in float64.


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


@fast
def leaky_relu(z, negative_slope):
    """negative_slope z where z < 0, else z."""
    return type(z)(negative_slope) * z if z < type(z)(0) else z


@fast
def leaky_relu_slope(a, negative_slope):
    """1 where a > 0, else negative_slope."""
    return type(a)(1) if a > type(a)(0) else type(a)(negative_slope)


@fast
def elu(z, alpha):
    """Z where z > 0, else alpha (exp(z) - 1)."""
    return z if z > type(z)(0) else type(z)(alpha) * expm1_of_negative(z)


@fast
def elu_slope(a, alpha):
    """1 where a > 0, else a + alpha."""
    return type(a)(1) if a > type(a)(0) else a + type(a)(alpha)


SELU_SCALE, SELU_ALPHA = 1.0507009873554805, 1.6732632423543772


@fast
def selu(z):
    """SCALE z where z > 0, else SCALE ALPHA (exp(z) - 1)."""
    return elu(z, SELU_ALPHA) * type(z)(SELU_SCALE)


@fast
def selu_slope(a):
    """SCALE where a > 0, else a + SCALE ALPHA."""
    return type(a)(SELU_SCALE) if a > type(a)(0) else a + type(a)(SELU_SCALE * SELU_ALPHA)


@exact
def gelu(z):
    """Z Phi(z)."""
    share, _ = normal_parts(z)
    return z * share


@exact
def gelu_slope(z):
    """Phi(z) + z phi(z)."""
    share, e = normal_parts(z)
    return share + z * (e * type(z)(1 / math.sqrt(2 * math.pi)))


@exact
def silu(z):
    """Z expit(z)."""
    return z * expit(z)


@exact
def silu_slope(z):
    """P + z p (1 - p) with p = expit(z)."""
    p = expit(z)
    return p + z * p * expit(-z)


@exact
def _mish_parts(z):
    """What core.activations.Mish says: (z or the most that matters, e, 1 / (n + 2))."""
    small = type(z)(24) if z > type(z)(24) else z
    e = exp(small)
    return small, e, type(z)(1) / (e * (e + type(z)(2)) + type(z)(2))


@exact  # reassociated, z e (e + 2) would overflow
def mish(z):
    """Z n / (n + 2) with n = e (e + 2)."""
    _, e, part = _mish_parts(z)
    return z * (e * (e + type(z)(2)) * part)


@exact
def mish_slope(z):
    """The slope n / (n + 2) + 4 z e (e + 1) / (n + 2)**2."""
    small, e, part = _mish_parts(z)
    rest = small * (type(z)(4) * e * part) * ((e + type(z)(1)) * part)
    return e * (e + type(z)(2)) * part + rest


@exact
def softplus(z):
    """log(1 + exp(z))."""
    return (z if z > type(z)(0) else type(z)(0)) + log1p(exp(-abs(z)))


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
    "leaky_relu": (leaky_relu, leaky_relu_slope),
    "elu": (elu, elu_slope),
    "selu": (selu, selu_slope),
    "gelu": (gelu, gelu_slope),
    "silu": (silu, silu_slope),
    "mish": (mish, mish_slope),
    "softplus": (softplus, expit),
}
MAX_SETTINGS = 2  # of an activation

# optimizer(settings, padded, step) takes parameters, gradient and slots in the rows of padded.
OPTIMIZERS = {"sgd": sgd, "adam": adam, "rmsprop": rmsprop, "lion": lion}


def code(known, name):
    """The number that stands for ``name`` where :func:`by_code` made a function of ``known``."""
    return list(known).index(name)


def n_arguments(function):
    """How many arguments a compiled function takes."""
    return function.py_func.__code__.co_argcount


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
    n_settings = n_arguments(activation) - 1

    @fast
    def loop(values, settings):
        own = to_fixed_tuple(settings, n_settings)  # a store could change them, for all LLVM knows
        for i in range(values.size):
            values[i] = activation(values[i], *own)

    return loop


def _slope_in_place(slope):
    """A loop that multiplies deltas by the slope."""
    n_settings = n_arguments(slope) - 1

    @fast
    def loop(kept, delta, settings):
        own = to_fixed_tuple(settings, n_settings)
        for i in range(delta.size):
            delta[i] *= slope(kept[i], *own)

    return loop


activate = by_code([_in_place(value) for value, _ in ACTIVATIONS.values()])
times_slope = by_code([_slope_in_place(slope) for _, slope in ACTIVATIONS.values()])
update_step = by_code(OPTIMIZERS.values())
