"""What are losses, for Numba? A dict at the bottom of this file, made one function of a code.

A loss takes its settings, raw outputs in ``value`` and y in ``delta``; see ``LOSSES``. Loops run
over slices, as in :mod:`fastnn.backends.numba.math`.
"""

# mypy: ignore-errors
# Numba finds the types at the first call.

from __future__ import annotations

import math

import numpy as np

from fastnn.backends.numba.compiler import fast
from fastnn.backends.numba.math import by_code, exp, expit


@fast
def clip(x, low, high):
    """X within [low, high]; a NaN stays."""
    x = low if x < low else x
    return high if x > high else x


@fast
def clip_probability(p, eps):
    """P within [eps, 1 - eps]."""
    return clip(p, eps, type(p)(1) - eps)


@fast
def softmax(value, n_rows, n_out, ld):
    """The rows' probabilities, in place, short of their sums."""
    for i in range(n_rows):
        raw = value[i * ld : i * ld + n_out]
        top = raw[0]
        for j in range(1, n_out):
            top = raw[j] if raw[j] > top else top
        for j in range(n_out):
            raw[j] -= top
    for i in range(value.size):
        value[i] = exp(value[i])


@fast
def target(is_own, smoothing, n_out):
    """What is aimed at for the probability of a class, the row's own or another."""
    return smoothing / n_out + (1 - smoothing if is_own else 0)


@fast
def log_loss(settings, value, delta, n_rows, n_out, ld):
    """Softmax and cross-entropy; a row's code comes in the first column of ``delta``."""
    real, smoothing = value.dtype.type, settings[0]
    eps = real(np.finfo(value.dtype).eps)
    if smoothing != 0:  # log(p_c / p_k) is raw_c - raw_k; it waits behind the code
        for i in range(n_rows):
            raw, d = value[i * ld : i * ld + n_out], delta[i * ld : i * ld + n_out]
            d[1] = real(smoothing) * (raw[int(d[0])] - raw.sum() / real(n_out))
    softmax(value, n_rows, n_out, ld)
    for i in range(n_rows):
        e = value[i * ld : i * ld + n_out]
        p = delta[i * ld : i * ld + n_out]
        code = int(p[0])
        more = p[1] if smoothing != 0 else real(0)
        total = e.sum()
        for j in range(n_out):
            p[j] = e[j] / total
        e[0] = more - math.log(clip_probability(p[code], eps))
        p[code] -= real(1 - smoothing)
        if smoothing != 0:
            for j in range(n_out):
                p[j] -= real(smoothing / n_out)
    return 1


@fast
def brier(settings, value, delta, n_rows, n_out, ld):
    """Softmax and half the squared error of the probabilities; codes as in ``log_loss``."""
    real = value.dtype.type
    softmax(value, n_rows, n_out, ld)
    for i in range(n_rows):
        p = value[i * ld : i * ld + n_out]
        error = delta[i * ld : i * ld + n_out]
        code = int(error[0])
        total, mean, squares = p.sum(), real(0), real(0)
        for j in range(n_out):
            p[j] /= total
            error[j] = p[j] - real(target(j == code, settings[0], n_out))
            mean += p[j] * error[j]
            squares += error[j] * error[j]
        for j in range(n_out):
            error[j] = p[j] * (error[j] - mean)
        p[0] = real(0.5) * squares
    return 1


@fast
def focal_of(p, rest, gamma, eps):
    """``-(1 - p)**gamma log(p)``, and its derivative by p times p; ``rest`` is 1 - p."""
    real = type(p)
    p, rest = clip_probability(p, eps), clip_probability(rest, eps)
    log_p, factor = math.log(p), exp(real(gamma) * math.log(rest))
    return -factor * log_p, factor * (real(gamma) * p * log_p / rest - real(1))


@fast
def focal(settings, value, delta, n_rows, n_out, ld):
    """Softmax and the focal loss; codes as in ``log_loss``."""
    real = value.dtype.type
    eps = real(np.finfo(value.dtype).eps)
    softmax(value, n_rows, n_out, ld)
    for i in range(n_rows):
        p = value[i * ld : i * ld + n_out]
        slopes = delta[i * ld : i * ld + n_out]
        code = int(slopes[0])
        total, loss, all_slopes = p.sum(), real(0), real(0)
        for j in range(n_out):
            p[j] /= total
            share = real(target(j == code, settings[0], n_out))
            one, slope = focal_of(p[j], real(1) - p[j], settings[1], eps)
            loss += share * one
            slopes[j] = share * slope
            all_slopes += slopes[j]
        for j in range(n_out):
            slopes[j] -= p[j] * all_slopes
        p[0] = loss
    return 1


def elementwise(line):
    """The loss of a block of rows that is a sum over outputs, from that of a line of outputs.

    ``line(settings, value, delta, n_out)`` finds raw outputs in ``value`` and y in ``delta``; it
    leaves each output's loss, and its derivative.
    """

    @fast
    def block(settings, value, delta, n_rows, n_out, ld):
        # Single outputs are one long line, fit for vector instructions.
        n_lines, width = (1, n_rows) if ld == 1 else (n_rows, n_out)
        for i in range(n_lines):
            start, stop = i * ld, i * ld + width
            line(settings, value[start:stop], delta[start:stop], n_out)
        return n_out

    return block


@fast
def squared_error(settings, value, delta, n_out):
    """Half the squared error, averaged over outputs; its gradient is not."""
    share = value.dtype.type(0.5 / n_out)
    for j in range(value.size):
        delta[j] = value[j] - delta[j]
        value[j] = delta[j] * delta[j] * share


@fast
def absolute_error(settings, value, delta, n_out):
    """The error's size; its sign, 0 where there is none."""
    real = value.dtype.type
    for j in range(value.size):
        error = value[j] - delta[j]
        value[j] = abs(error)
        delta[j] = real(1) if error > 0 else real(-1) if error < 0 else error


@fast
def huber(settings, value, delta, n_out):
    """Half the squared error up to ``settings[0]``, beyond it a line of that slope."""
    real = value.dtype.type
    bound = real(settings[0])
    for j in range(value.size):
        error = value[j] - delta[j]
        clipped = clip(error, -bound, bound)
        delta[j] = clipped
        value[j] = clipped * (error - real(0.5) * clipped)


@fast
def quantile(settings, value, delta, n_out):
    """The pinball loss; ``settings`` are a level for each output."""
    real = value.dtype.type
    for j in range(value.size):
        level = real(settings[j if n_out > 1 else 0])
        error = value[j] - delta[j]
        slope = real(1) - level if error > 0 else -level if error < 0 else error
        delta[j] = slope
        value[j] = slope * error


@fast
def poisson(settings, value, delta, n_out):
    """Half the Poisson deviance with p = exp(raw)."""
    zero = value.dtype.type(0)
    for j in range(value.size):
        y, raw = delta[j], value[j]
        p = exp(raw)
        delta[j] = p - y
        value[j] = (y * (math.log(y) - raw) if y > 0 else zero) - y + p


@fast
def gamma(settings, value, delta, n_out):
    """Half the gamma deviance with p = exp(raw)."""
    one = value.dtype.type(1)
    for j in range(value.size):
        y, raw = delta[j], value[j]
        ratio = y * exp(-raw)
        delta[j] = one - ratio
        value[j] = raw + ratio - one - math.log(y)


@fast
def smoothed(y, smoothing):
    """What is aimed at for the probability that a label applies."""
    return y * type(y)(1 - smoothing) + type(y)(smoothing / 2)


@fast
def binary_log_loss(settings, value, delta, n_out):
    """Cross-entropy of yes/no outputs with p = expit(raw)."""
    one, eps = value.dtype.type(1), value.dtype.type(np.finfo(value.dtype).eps)
    half = value.dtype.type(settings[0] / 2)
    if half != 0:
        for j in range(value.size):
            y, raw = delta[j], value[j]
            p = expit(raw)
            delta[j] = p - smoothed(y, settings[0])
            own = clip_probability(p, eps) if y > 0 else one - clip_probability(p, eps)
            value[j] = half * (raw if y > 0 else -raw) - math.log(own)
        return
    for j in range(value.size):
        y, p = delta[j], expit(value[j])
        delta[j] = p - y
        value[j] = clip_probability(p, eps) if y > 0 else one - clip_probability(p, eps)
    for j in range(value.size):  # apart: the logarithm is no vector code
        value[j] = -math.log(value[j])


@fast
def binary_brier(settings, value, delta, n_out):
    """The squared error of p = expit(raw)."""
    two = value.dtype.type(2)
    for j in range(value.size):
        p, rest = expit(value[j]), expit(-value[j])
        error = p - smoothed(delta[j], settings[0])
        delta[j] = two * error * p * rest
        value[j] = error * error


@fast
def binary_focal(settings, value, delta, n_out):
    """The focal loss of p = expit(raw)."""
    one, eps = value.dtype.type(1), value.dtype.type(np.finfo(value.dtype).eps)
    for j in range(value.size):
        p, rest, yes = expit(value[j]), expit(-value[j]), smoothed(delta[j], settings[0])
        loss, slope = focal_of(p, rest, settings[1], eps)
        loss_not, slope_not = focal_of(rest, p, settings[1], eps)
        delta[j] = yes * slope * rest - (one - yes) * slope_not * p
        value[j] = yes * loss + (one - yes) * loss_not


# loss(settings, value, delta, n_rows, n_out, ld) takes raw outputs in value and y in delta, both
# with rows of length ld. It leaves the derivative in delta and shares of a row's loss in the first
# columns of value, and returns how many these are.
LOSSES = {
    "squared_error": elementwise(squared_error),
    "absolute_error": elementwise(absolute_error),
    "huber": elementwise(huber),
    "quantile": elementwise(quantile),
    "poisson": elementwise(poisson),
    "gamma": elementwise(gamma),
    "binary_log_loss": elementwise(binary_log_loss),
    "log_loss": log_loss,
    "binary_brier": elementwise(binary_brier),
    "brier": brier,
    "binary_focal": elementwise(binary_focal),
    "focal": focal,
}

find_loss = by_code(LOSSES.values())
