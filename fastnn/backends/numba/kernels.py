"""How does Numba compute a training pass? Every compiled function of the Numba backend, and nothing
else.

All of them stand in one file because Numba's disk cache sees a file change, not what the file
imports. They work on flat vectors, on the table of layers (``LAYER``) and the rows of data
(``Source``) that :mod:`fastnn.backends.numba.backend` makes.

One matrix product, ``product``, serves the forward pass, the deltas and the weight gradients, with
strides in place of transposed copies. Its tile of accumulators stays in vector registers; since
loops over arrays cannot say that, the tile is written as LLVM instructions. Rows of a matrix are
padded to whole vectors, which leaves no scalar remainders; what a padded column holds only ever
reaches padded columns. A layer of one output would waste nearly a whole vector: it has its own
loops.

Elementwise loops run over slices: an index that may be negative, like ``v[start + i]``, costs Numba
the vector instructions.
"""

# mypy: ignore-errors
# Numba finds the types at the first call.

from __future__ import annotations

import math

import numpy as np

try:
    from numba import njit, types
    from numba.core import cgutils
    from numba.core.registry import cpu_target
    from numba.extending import intrinsic
except ImportError as error:
    raise ImportError(
        f"it needs Numba, which cannot be imported ({error}); pip install fastnn[numba]"
    ) from error
from llvmlite import ir

from fastnn.core.activations import ACTIVATIONS
from fastnn.core.losses import LOSSES
from fastnn.core.optimizers import Adam

KNOWN_ACTIVATIONS = ("identity", "logistic", "tanh", "relu")
_, LOGISTIC, TANH, RELU = (ACTIVATIONS[name].code for name in KNOWN_ACTIVATIONS)
SQUARED_ERROR, POISSON = LOSSES["squared_error"].code, LOSSES["poisson"].code
BINARY_LOG_LOSS, LOG_LOSS = LOSSES["binary_log_loss"].code, LOSSES["log_loss"].code
ADAM = Adam.code

# What Numba compiles for is also the key of its disk cache, so a cached tile always has the width
# that is seen here.
_FEATURES = cpu_target.target_context.codegen().magic_tuple()[2].split(",")
VECTOR_BYTES = 64 if "+avx512f" in _FEATURES else 32 if "+avx" in _FEATURES else 16
TILE_ROWS = (
    8 if VECTOR_BYTES == 64 else 6
)  # twice as many accumulators, which must fit in 32 or 16 vector registers
BLOCK_ROWS = 256  # rows that go through the network together: what bounds the scratch memory
BLOCK_INNER = 256  # terms of a sum taken at a time, so that the right factor's columns stay in the first-level cache
ZEROS = 0  # where the work space holds a row of zeros


def jit(*flags: str):
    """Numba's njit without the GIL, cached on disk where a directory for that can be written to.

    ``flags`` are LLVM's fast-math flags; nnan and ninf are never among them, since NaN and infinity
    must keep their meaning.
    """

    def decorate(function):
        # Without reference counts (_nrt) a slice costs nothing; with them each row's slices took
        # longer than its arithmetic.
        options = {"nogil": True, "error_model": "numpy", "fastmath": set(flags), "_nrt": False}
        try:
            return njit(cache=True, **options)(function)
        except RuntimeError:  # "cannot cache function ...: no locator available"
            return njit(**options)(function)

    return decorate


exact = jit("contract")
fast = jit("contract", "reassoc", "nsz", "arcp")


def _tile(n_vectors):
    """An intrinsic: TILE_ROWS x n_vectors accumulators, summed over k terms and stored."""

    @intrinsic
    def tile(typingctx, c, c0, ldc, s, s0, lds, a, a0, a_row, a_term, b, b0, ldb, m, k):
        n = types.intp
        signature = types.void(c, n, n, s, n, n, a, n, n, n, b, n, n, n, n)

        def codegen(context, builder, signature, args):
            _, c0, ldc, _, s0, lds, _, a0, a_row, a_term, _, b0, ldb, m, k = args
            dtype = context.get_data_type(signature.args[0].dtype)
            item = signature.args[0].dtype.bitwidth // 8
            vector = ir.VectorType(dtype, VECTOR_BYTES // item)
            splat = ir.Constant(ir.VectorType(ir.IntType(32), vector.count), [0] * vector.count)
            # Rows past the last are the last row again: computed alike and stored to the same
            # place.
            last = builder.sub(m, k.type(1))
            rows = [
                builder.select(builder.icmp_signed("<", last, k.type(i)), last, k.type(i))
                for i in range(TILE_ROWS)
            ]

            def line(i, offset, row, stride):
                """Pointers to the vectors of a row of the matrix that is argument i."""
                data = context.make_array(signature.args[i])(context, builder, args[i]).data
                start = builder.gep(data, [builder.add(offset, builder.mul(row, stride))])
                starts = [builder.gep(start, [k.type(j * vector.count)]) for j in range(n_vectors)]
                return [builder.bitcast(pointer, vector.as_pointer()) for pointer in starts]

            def copy(sources, targets):
                for source, target in zip(sources, targets, strict=True):
                    builder.store(builder.load(source, align=item), target, align=item)

            sums = [[cgutils.alloca_once(builder, vector) for _ in range(n_vectors)] for _ in rows]
            for row, accumulators in zip(rows, sums, strict=True):
                copy(line(3, s0, row, lds), accumulators)
            with cgutils.for_range(builder, k) as loop:
                right = [
                    builder.load(pointer, align=item) for pointer in line(10, b0, loop.index, ldb)
                ]
                column = builder.add(a0, builder.mul(loop.index, a_term))
                for row, accumulators in zip(rows, sums, strict=True):
                    left = builder.load(
                        builder.bitcast(line(6, column, row, a_row)[0], dtype.as_pointer())
                    )
                    left = builder.insert_element(
                        ir.Constant(vector, ir.Undefined), left, ir.IntType(32)(0)
                    )
                    left = builder.shuffle_vector(left, left, splat)
                    for accumulator, value in zip(accumulators, right, strict=True):
                        term = builder.fmul(left, value, flags=["contract"])
                        builder.store(
                            builder.fadd(builder.load(accumulator), term, flags=["contract"]),
                            accumulator,
                        )
            for row, accumulators in zip(rows, sums, strict=True):
                copy(accumulators, line(0, c0, row, ldc))
            return context.get_dummy_value()

        return signature, codegen

    return tile


_narrow_tile = _tile(1)
_wide_tile = _tile(2)


@fast
def product(c, c0, ldc, s, s0, lds, a, a0, a_row, a_term, b, b0, ldb, m, k, n):
    """C (m, n) = S + A (m, k) B (k, n), each matrix given by its vector, where it starts, and from
    row to row.

    ``a_term`` is from column to column of A, so that A may be a transposed matrix; ``lds`` = 0
    repeats one row S.
    """
    lanes = VECTOR_BYTES // c.itemsize
    for k0 in range(0, k, BLOCK_INNER):
        terms = min(BLOCK_INNER, k - k0)
        if k0 > 0:
            s, s0, lds = c, c0, ldc
        left = a0 + k0 * a_term
        right = b0 + k0 * ldb
        for j in range(0, n, 2 * lanes):
            for i in range(0, m, TILE_ROWS):
                ci, si, ai = c0 + i * ldc + j, s0 + i * lds + j, left + i * a_row
                if n - j > lanes:
                    _wide_tile(
                        c,
                        ci,
                        ldc,
                        s,
                        si,
                        lds,
                        a,
                        ai,
                        a_row,
                        a_term,
                        b,
                        right + j,
                        ldb,
                        m - i,
                        terms,
                    )
                else:
                    _narrow_tile(
                        c,
                        ci,
                        ldc,
                        s,
                        si,
                        lds,
                        a,
                        ai,
                        a_row,
                        a_term,
                        b,
                        right + j,
                        ldb,
                        m - i,
                        terms,
                    )


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
    """Value times 2**n for an int32 n; in two factors, since 2**n leaves the range of numbers before the product does."""

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
LN2_HIGH = (
    0.693359375  # log(2) in two parts (Cody and Waite 1980); few bits, so that n times it is exact
)
LN2_LOW = -2.121944400546905827679e-4


@exact
def _exp_parts(x):
    """(p, n) with exp(x) = (1 + p) 2**n and p small, so that both exp(x) and exp(x) - 1 can be had without cancellation."""
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
def activate(code, values):
    """Apply a hidden layer's activation in place."""
    zero = values.dtype.type(0)
    if code == RELU:
        for i in range(values.size):
            z = values[i]
            values[i] = zero if z <= zero else z  # a NaN stays
    elif code == TANH:
        for i in range(values.size):
            values[i] = tanh(values[i])
    elif code == LOGISTIC:
        for i in range(values.size):
            values[i] = expit(values[i])


@fast
def times_slope(code, values, delta):
    """Multiply ``delta`` by the slope of the activation that gave ``values``."""
    zero, one = values.dtype.type(0), values.dtype.type(1)
    if code == RELU:
        for i in range(values.size):
            delta[i] *= one if values[i] != zero else zero
    elif code == TANH:
        for i in range(values.size):
            delta[i] *= one - values[i] * values[i]
    elif code == LOGISTIC:
        for i in range(values.size):
            delta[i] *= values[i] * (one - values[i])


# The network, a block of rows at a time


@fast
def copy(source, target):
    """The same as ``target[:] = source``, which Numba makes three times as slow and slower to compile."""
    for i in range(target.size):
        target[i] = source[i]


@fast
def weigh_inputs(layer, padded, data, rows, work, is_first):
    """A layer's weighted inputs, bias included, from its input."""
    m, ld, out = rows.size, layer.ld, layer.out
    if is_first and data.indptr.size > 0:
        for i in range(m):
            z = work[out + i * ld : out + (i + 1) * ld]
            copy(padded[layer.b : layer.b + ld], z)
            for entry in range(data.indptr[rows[i]], data.indptr[rows[i] + 1]):
                x, start = data.x[entry], layer.w + data.indices[entry] * ld
                w = padded[start : start + ld]
                for j in range(ld):
                    z[j] += x * w[j]
    elif ld == 1:
        w = padded[layer.w : layer.w + layer.n_in]
        for i in range(m):
            a = work[layer.inp + i * layer.ld_in : layer.inp + i * layer.ld_in + layer.n_in]
            z = padded[layer.b]
            for k in range(layer.n_in):
                z += a[k] * w[k]
            work[out + i] = z
    else:
        product(
            work,
            out,
            ld,
            padded,
            layer.b,
            0,
            work,
            layer.inp,
            layer.ld_in,
            1,
            padded,
            layer.w,
            ld,
            m,
            layer.n_in,
            layer.n_out,
        )


@fast
def forward_block(layers, padded, data, rows, work):
    """Carry ``rows`` through the network, up to the last layer's raw output."""
    n_in, inp = layers[0].n_in, layers[0].inp
    if data.indptr.size == 0:
        for i in range(rows.size):
            copy(
                data.x[rows[i] * n_in : (rows[i] + 1) * n_in],
                work[inp + i * n_in : inp + (i + 1) * n_in],
            )
    for i in range(layers.size):
        layer = layers[i]
        weigh_inputs(layer, padded, data, rows, work, i == 0)
        activate(layer.activation, work[layer.out : layer.out + rows.size * layer.ld])


@fast
def clip_probability(p, eps):
    """P within [eps, 1 - eps]; a NaN stays."""
    p = eps if p < eps else p
    return type(p)(1) - eps if p > type(p)(1) - eps else p


@fast
def log_loss_block(layer, data, rows, work):
    """Each row's loss in the first column of ``out``, its derivative with respect to the raw output in ``delta``."""
    ld, n_out = layer.ld, layer.n_out
    eps = work.dtype.type(np.finfo(work.dtype).eps)
    for i in range(rows.size):
        raw = work[layer.out + i * ld : layer.out + i * ld + n_out]
        top = raw[0]
        for j in range(1, n_out):
            top = raw[j] if raw[j] > top else top
        for j in range(n_out):
            raw[j] -= top
    values = work[layer.out : layer.out + rows.size * ld]
    for i in range(values.size):
        values[i] = exp(values[i])
    for i in range(rows.size):
        e = work[layer.out + i * ld : layer.out + i * ld + n_out]
        p = work[layer.delta + i * ld : layer.delta + i * ld + n_out]
        total = e.sum()
        for j in range(n_out):
            p[j] = e[j] / total
        code = data.codes[rows[i]]
        e[0] = -math.log(clip_probability(p[code], eps))
        p[code] -= work.dtype.type(1)


@fast
def elementwise_loss_block(loss, layer, data, rows, work):
    """The same for losses that are sums over outputs: each output's share in its column of ``out``."""
    ld, n_out = layer.ld, layer.n_out
    for i in range(rows.size):
        copy(
            data.y[rows[i] * n_out : (rows[i] + 1) * n_out],
            work[layer.delta + i * ld : layer.delta + i * ld + n_out],
        )
    # Single outputs are one long line, fit for vector instructions.
    n_lines, n_columns = (1, rows.size) if ld == 1 else (rows.size, n_out)
    real = work.dtype.type
    one, share, eps = real(1), real(0.5 / n_out), real(np.finfo(work.dtype).eps)
    for i in range(n_lines):
        value = work[layer.out + i * ld : layer.out + i * ld + n_columns]
        delta = work[layer.delta + i * ld : layer.delta + i * ld + n_columns]
        if loss == SQUARED_ERROR:
            for j in range(n_columns):
                delta[j] = value[j] - delta[j]
                value[j] = delta[j] * delta[j] * share
        elif loss == POISSON:
            for j in range(n_columns):
                y, raw = delta[j], value[j]
                p = exp(raw)
                delta[j] = p - y
                value[j] = (y * (math.log(y) - raw) if y > 0 else 0 * one) - y + p
        elif loss == BINARY_LOG_LOSS:
            for j in range(n_columns):
                y, p = delta[j], expit(value[j])
                delta[j] = p - y
                value[j] = clip_probability(p, eps) if y > 0 else one - clip_probability(p, eps)
            for j in range(n_columns):
                value[j] = -math.log(value[j])


@fast
def loss_block(loss, layer, data, rows, work):
    """The weighted sum of the rows' losses, from the raw output in ``out``; leaves its derivative in ``delta``."""
    if loss == LOG_LOSS:
        log_loss_block(layer, data, rows, work)
    else:
        elementwise_loss_block(loss, layer, data, rows, work)
    ld, n_shares, value = layer.ld, 1 if loss == LOG_LOSS else layer.n_out, 0.0
    for i in range(rows.size):
        row_value = 0.0
        for j in range(n_shares):
            row_value += work[layer.out + i * ld + j]
        if data.weight.size > 0:
            weight = data.weight[rows[i]]
            row_value *= weight
            for j in range(layer.n_out):
                work[layer.delta + i * ld + j] *= weight
        value += row_value
    return value


@fast
def add_gradient(layer, grad, data, rows, work, is_first):
    """Add a layer's weight and bias gradients over ``rows`` to ``grad``, from its input and its deltas."""
    m, ld, ld_in, n_in = rows.size, layer.ld, layer.ld_in, layer.n_in
    if is_first and data.indptr.size > 0:
        for i in range(m):
            delta = work[layer.delta + i * ld : layer.delta + (i + 1) * ld]
            for entry in range(data.indptr[rows[i]], data.indptr[rows[i] + 1]):
                x, start = data.x[entry], layer.w + data.indices[entry] * ld
                g = grad[start : start + ld]
                for j in range(ld):
                    g[j] += x * delta[j]
    elif ld == 1:
        g = grad[layer.w : layer.w + n_in]
        for i in range(m):
            delta = work[layer.delta + i]
            a = work[layer.inp + i * ld_in : layer.inp + i * ld_in + n_in]
            for k in range(n_in):
                g[k] += delta * a[k]
    else:
        product(
            grad,
            layer.w,
            ld,
            grad,
            layer.w,
            ld,
            work,
            layer.inp,
            1,
            ld_in,
            work,
            layer.delta,
            ld,
            n_in,
            m,
            layer.n_out,
        )
    g = grad[layer.b : layer.b + ld]
    for i in range(m):
        delta = work[layer.delta + i * ld : layer.delta + (i + 1) * ld]
        for j in range(ld):
            g[j] += delta[j]


@fast
def backward_block(layers, padded, grad, data, rows, work):
    """Add the gradient over ``rows`` to ``grad``, from the last layer's deltas and the activations of every layer."""
    for i in range(layers.size - 1, -1, -1):
        layer = layers[i]
        add_gradient(layer, grad, data, rows, work, i == 0)
        if i > 0:
            below = layers[i - 1]
            if layer.ld == 1:
                w = padded[layer.w : layer.w + layer.n_in]
                for r in range(rows.size):
                    delta = work[layer.delta + r]
                    result = work[
                        below.delta + r * below.ld : below.delta + r * below.ld + layer.n_in
                    ]
                    for k in range(w.size):
                        result[k] = delta * w[k]
            else:
                product(
                    work, below.delta, below.ld, work, ZEROS, 0, work, layer.delta, layer.ld, 1,
                    work, layer.w_t, below.ld, rows.size, layer.n_out, layer.n_in,
                )  # fmt: skip
            n = rows.size * below.ld
            times_slope(
                below.activation,
                work[below.out : below.out + n],
                work[below.delta : below.delta + n],
            )


@fast
def batch_gradient(loss, alpha, layers, padded, grad, data, rows, work):
    """(value, total): the loss of the batch ``rows``, and the weight it was divided by.

    Leaves in ``grad`` the gradient before the penalty and the division, for the optimizer to
    finish.
    """
    for i in range(1, layers.size):
        layer = layers[i]
        ld = layer.ld
        for j in range(layer.n_out if ld > 1 else 0):
            row, column = (
                layer.w_t + j * layer.ld_in,
                padded[layer.w + j : layer.w + layer.n_in * ld],
            )
            w_t = work[row : row + layer.n_in]
            for k in range(w_t.size):
                w_t[k] = column[k * ld]
    grad[:] = 0
    value = 0.0
    for start in range(0, rows.size, BLOCK_ROWS):
        block = rows[start : start + BLOCK_ROWS]
        forward_block(layers, padded, data, block, work)
        value += loss_block(loss, layers[layers.size - 1], data, block, work)
        backward_block(layers, padded, grad, data, block, work)
    squares = 0.0
    for i in range(layers.size):
        layer = layers[i]
        for k in range(layer.n_in):
            w = padded[layer.w + k * layer.ld : layer.w + k * layer.ld + layer.n_out]
            for j in range(w.size):
                squares += np.float64(w[j]) * np.float64(w[j])
    total = np.float64(rows.size)
    if data.weight.size > 0:
        total = 0.0
        for i in range(rows.size):
            total += data.weight[rows[i]]
    return (value + 0.5 * alpha * squares) / total, total


@fast
def update(optimizer, settings, params, grad, first, second, alpha, total, rate, step):
    """One step of the optimizer on a part of the parameters.

    ``settings`` are the optimizer's fields in order, ``first`` and ``second`` its first and last
    slot.
    """
    real = params.dtype.type
    alpha, share = real(alpha), real(1 / total)
    if optimizer == ADAM:
        beta_1, beta_2, epsilon = settings[0], settings[1], real(settings[2])
        rate = real(rate * math.sqrt(1 - math.pow(beta_2, step)) / (1 - math.pow(beta_1, step)))
        keep_1, new_1, keep_2, new_2 = (
            real(beta_1),
            real(1 - beta_1),
            real(beta_2),
            real(1 - beta_2),
        )
        for i in range(params.size):
            g = (grad[i] + alpha * params[i]) * share
            m = keep_1 * first[i] + new_1 * g
            v = keep_2 * second[i] + new_2 * (g * g)
            first[i], second[i] = m, v
            params[i] -= rate * m / (math.sqrt(v) + epsilon)
    else:
        momentum, rate = real(settings[0]), real(rate)
        for i in range(params.size):
            g = rate * ((grad[i] + alpha * params[i]) * share)
            v = momentum * first[i] - g
            first[i] = v
            params[i] += momentum * v - g if settings[1] else v


# What the backend calls


@intrinsic
def _swap_float_mode(typingctx, mode):
    """Set this thread's floating-point control register (x86's MXCSR) and return what it held; elsewhere, do nothing."""

    def codegen(context, builder, signature, args):
        register = cgutils.alloca_once_value(builder, args[0])
        if context.codegen().magic_tuple()[0].startswith(("x86_64", "i686")):
            pointer = ir.IntType(8).as_pointer()
            takes_pointer = ir.FunctionType(ir.VoidType(), [pointer])
            before = cgutils.alloca_once(builder, args[0].type)
            for instruction, target in (("stmxcsr", before), ("ldmxcsr", register)):
                call = cgutils.get_or_insert_function(
                    builder.module, takes_pointer, f"llvm.x86.sse.{instruction}"
                )
                builder.call(call, [builder.bitcast(target, pointer)])
            register = before
        return builder.load(register)

    return types.int32(types.int32), codegen


FLUSH = 0x9FC0  # no traps, round to nearest, and numbers below the normal ones are 0: with them a step took twice as long


@fast
def pad(layers, flat, padded, back):
    """Copy a parameter vector in the order of ``ParamLayout`` to its padded form, or ``back`` from there."""
    for i in range(layers.size):
        layer = layers[i]
        n_out = layer.n_out
        for k in range(layer.n_in + 1):
            is_bias = k == layer.n_in
            own = layer.b if is_bias else layer.w + k * layer.ld
            theirs = layer.flat_b if is_bias else layer.flat_w + k * n_out
            if back:
                copy(padded[own : own + n_out], flat[theirs : theirs + n_out])
            else:
                copy(flat[theirs : theirs + n_out], padded[own : own + n_out])


@fast
def train(
    loss,
    optimizer,
    settings,
    alpha,
    batch_size,
    layers,
    params,
    slots,
    step,
    data,
    rows,
    rates,
    padded,
    work,
    losses,
):
    """``Engine.train``; ``padded (2 + n_slots, n_padded)`` takes parameters, gradient and slots."""
    mode = _swap_float_mode(FLUSH)
    own, grad, memory, n_weights = padded[0], padded[1], padded[2:], layers[0].b
    pad(layers, params, own, False)
    for i in range(slots.shape[0]):
        pad(layers, slots[i], memory[i], False)
    for i in range(rows.shape[0]):
        losses[i] = 0
        for j in range(rates.shape[1]):
            batch = rows[i, j * batch_size : (j + 1) * batch_size]
            value, total = batch_gradient(loss, alpha, layers, own, grad, data, batch, work)
            losses[i] += batch.size * value
            step += 1
            for penalty, start, stop in ((alpha, 0, n_weights), (0.0, n_weights, own.size)):
                first, second = memory[0, start:stop], memory[-1, start:stop]
                update(
                    optimizer,
                    settings,
                    own[start:stop],
                    grad[start:stop],
                    first,
                    second,
                    penalty,
                    total,
                    rates[i, j],
                    step,
                )
        losses[i] /= rows.shape[1]
    pad(layers, params, own, True)
    for i in range(slots.shape[0]):
        pad(layers, slots[i], memory[i], True)
    _swap_float_mode(mode)


@fast
def loss_grad(loss, alpha, layers, params, data, rows, padded, work, result):
    """``Engine.loss_grad``; ``padded`` as for ``train``."""
    mode = _swap_float_mode(FLUSH)
    own, grad, n_weights = padded[0], padded[1], layers[0].b
    pad(layers, params, own, False)
    value, total = batch_gradient(loss, alpha, layers, own, grad, data, rows, work)
    for i in range(grad.size):
        penalty = params.dtype.type(alpha if i < n_weights else 0.0)
        grad[i] = (grad[i] + penalty * own[i]) / params.dtype.type(total)
    pad(layers, result, grad, True)
    _swap_float_mode(mode)
    return value


@fast
def forward(layers, params, data, rows, out, padded, work):
    """``Engine.forward``; ``rows`` counts a block's rows from 0, ``padded (n_padded,)``."""
    pad(layers, params, padded, False)
    last = layers[layers.size - 1]
    for start in range(0, out.shape[0], BLOCK_ROWS):
        block = rows[: out.shape[0] - start]
        forward_block(layers, padded, data, block, work)
        for i in range(block.size):
            copy(work[last.out + i * last.ld : last.out + i * last.ld + last.n_out], out[start + i])
            block[i] += BLOCK_ROWS
