"""How does a training pass go? Forward, loss, backward, and the optimizer's step.

Rows go through the network in blocks. The functions work on what ``layout.py`` makes: flat vectors,
and tables of the layers and the segments that say where everything stands.
"""

# mypy: ignore-errors
# Numba finds the types at the first call.

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np

from fastnn.backends.numba.compiler import FLUSH, entry, fast, swap_float_mode
from fastnn.backends.numba.functions import call_block
from fastnn.backends.numba.layout import NO_PLACE, ZEROS
from fastnn.backends.numba.losses import find_loss
from fastnn.backends.numba.math import (
    Step,
    activate,
    add_penalties,
    follow,
    lowest_kept,
    mix,
    times_slope,
    update_step,
)
from fastnn.backends.numba.tile import Matrix, product

BLOCK_ROWS = 256  # rows that go through the network together: what bounds the scratch memory


class Network(NamedTuple):
    """A network and its scratch memory.

    Attributes
    ----------
    loss : int, its code
    loss_function : int
        0, or the address of one that takes the loss's place.
    loss_settings : ndarray of float64
        What it reads; of a quantile's loss a level for each output.
    layers, segments, parts : tables; see layout.py
    padded : ndarray of shape (2 + n_slots, n_padded)
        Parameters, gradient and slots, with rows of whole vectors. The first row is all that
        ``forward`` needs.
    work : ndarray of shape (n_work,)
    """

    loss: int
    loss_function: int
    loss_settings: np.ndarray
    layers: np.ndarray
    segments: np.ndarray
    parts: np.ndarray
    padded: np.ndarray
    work: np.ndarray


class Source(NamedTuple):
    """``base.Data`` as vectors. What does not apply is empty.

    x (n_rows * n_in,) or the values of a CSR matrix with indices and indptr; y (n_rows * n_out,) or
    codes (n_rows,); weight (n_rows,).
    """

    x: np.ndarray
    indices: np.ndarray
    indptr: np.ndarray
    y: np.ndarray
    codes: np.ndarray
    weight: np.ndarray


class Draws(NamedTuple):
    """What dropout goes by: seeds (n_members,) and the steps done before; see core/dropout.py."""

    seeds: np.ndarray
    step: int


class Task(NamedTuple):
    """``base.Plan`` and ``base.Passes``: an optimizer's code and settings, and what to visit.

    rows (n_members or 1, n_passes, n_visits); steps (n_members or 1, n_passes, n_steps, 3), those
    of ``Optimizer.steps``. Where gradients are not clipped, ``max_norm`` is infinite.
    """

    optimizer: int
    settings: np.ndarray
    alpha: float
    l1: float
    weight_decay: float
    max_norm: float
    batch_size: int
    rows: np.ndarray
    steps: np.ndarray
    draws: Draws


@fast
def copy(source, target):
    """``target[:] = source``, which Numba makes three times as slow and slower to compile."""
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
        inputs = Matrix(work, layer.inp, layer.ld_in, 1)
        weights, biases = Matrix(padded, layer.w, ld, 1), Matrix(padded, layer.b, 0, 1)
        product(Matrix(work, out, ld, 1), biases, inputs, weights, (m, layer.n_in, layer.n_out))


@fast
def drop(layer, key, first_row, values, slopes):
    """Multiply outputs and slopes, with rows of ``ld``, by 0 or what makes up for it."""
    low, kept = lowest_kept(layer.dropout), values.dtype.type(1 / (1 - layer.dropout))
    for i in range(values.size // layer.ld):
        row_key = mix(key ^ np.uint32(first_row + i))
        a = values[i * layer.ld : (i + 1) * layer.ld]
        slope = slopes[i * layer.ld : (i + 1) * layer.ld]
        for j in range(a.size):
            factor = kept if np.int32(mix(row_key ^ np.uint32(j))) >= low else a.dtype.type(0)
            a[j] *= factor
            slope[j] *= factor


@fast
def forward_block(layers, padded, data, rows, work, place):
    """Carry ``rows`` through the network, up to the last layer's raw output.

    ``place`` is the key of the seed and the step, and the first row's position in its batch.
    """
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
        n = rows.size * layer.ld
        values = work[layer.out : layer.out + n]
        kept = layer.slope != NO_PLACE
        start = max(layer.slope, 0)
        slopes = work[start : start + (n if kept else 0)]
        if layer.function != 0:
            call_block(layer.function, values, slopes)
        else:
            for j in range(slopes.size):
                slopes[j] = 1
            if kept and layer.keeps_input:
                times_slope(layer.activation, values, slopes, layer.settings)
            activate(layer.activation, values, layer.settings)
            if kept and not layer.keeps_input:
                times_slope(layer.activation, values, slopes, layer.settings)
        if kept and layer.dropout > 0:
            drop(layer, mix(place[0] ^ np.uint32(i)), place[1], values, slopes)


@fast
def close_up(value, delta, n_rows, n_out, ld):
    """Rows of ``ld`` become rows of ``n_out``, without what fills them up to whole vectors."""
    for i in range(n_rows):
        for j in range(n_out):
            value[i * n_out + j], delta[i * n_out + j] = value[i * ld + j], delta[i * ld + j]


@fast
def spread_out(value, delta, n_rows, n_out, ld):
    """What ``close_up`` did undone; what fills up rows of ``delta`` is 0."""
    for i in range(n_rows - 1, -1, -1):
        for j in range(n_out - 1, -1, -1):
            value[i * ld + j], delta[i * ld + j] = value[i * n_out + j], delta[i * n_out + j]
        for j in range(n_out, ld):
            delta[i * ld + j] = 0


@fast
def loss_block(network, layer, data, rows):
    """The weighted sum of the rows' losses, from the raw output in ``out``.

    Leaves its derivative in ``delta``.
    """
    work, settings = network.work, network.loss_settings
    m, n_out, ld = rows.size, layer.n_out, layer.ld
    value = work[layer.out : layer.out + m * ld]
    delta = work[layer.delta : layer.delta + m * ld]
    for i in range(m):
        if data.codes.size > 0:
            delta[i * ld] = data.codes[rows[i]]
        else:
            copy(data.y[rows[i] * n_out : (rows[i] + 1) * n_out], delta[i * ld : i * ld + n_out])
    if network.loss_function != 0:
        close_up(value, delta, m, n_out, ld)
        call_block(network.loss_function, value[: m * n_out], delta[: m * n_out])
        spread_out(value, delta, m, n_out, ld)
        n_shares = n_out
    else:
        n_shares = find_loss(network.loss, settings, value, delta, m, n_out, ld)
    total = 0.0
    for i in range(m):
        row_value = 0.0
        for j in range(n_shares):
            row_value += value[i * ld + j]
        if data.weight.size > 0:
            weight = data.weight[rows[i]]
            row_value *= weight
            for j in range(n_out):
                delta[i * ld + j] *= weight
        total += row_value
    return total


@fast
def add_gradient(layer, grad, data, rows, work, is_first):
    """Add a layer's gradients over ``rows`` to ``grad``, from its input and its deltas."""
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
        own, inputs = Matrix(grad, layer.w, ld, 1), Matrix(work, layer.inp, 1, ld_in)
        product(own, own, inputs, Matrix(work, layer.delta, ld, 1), (n_in, m, layer.n_out))
    g = grad[layer.b : layer.b + ld]
    for i in range(m):
        delta = work[layer.delta + i * ld : layer.delta + (i + 1) * ld]
        for j in range(ld):
            g[j] += delta[j]


@fast
def backward_block(layers, padded, grad, data, rows, work):
    """Add the gradient over ``rows`` to ``grad``.

    From the last layer's deltas, and the activations and slopes of every layer.
    """
    m = rows.size
    for i in range(layers.size - 1, -1, -1):
        layer = layers[i]
        add_gradient(layer, grad, data, rows, work, i == 0)
        if i > 0:
            below = layers[i - 1]
            if layer.ld == 1:
                w = padded[layer.w : layer.w + layer.n_in]
                for r in range(m):
                    delta = work[layer.delta + r]
                    start = below.delta + r * below.ld
                    result = work[start : start + layer.n_in]
                    for k in range(w.size):
                        result[k] = delta * w[k]
            else:
                result = Matrix(work, below.delta, below.ld, 1)
                deltas = Matrix(work, layer.delta, layer.ld, 1)
                transposed = Matrix(work, layer.w_t, below.ld, 1)
                shape = (m, layer.n_out, layer.n_in)
                product(result, Matrix(work, ZEROS, 0, 1), deltas, transposed, shape)
            n = m * below.ld
            deltas_below = work[below.delta : below.delta + n]
            if below.slope != NO_PLACE:
                slopes = work[below.slope : below.slope + n]
                for j in range(n):
                    deltas_below[j] *= slopes[j]
            else:
                outputs = work[below.out : below.out + n]
                times_slope(below.activation, outputs, deltas_below, below.settings)


@fast
def batch_gradient(network, data, rows, seed, step):
    """(loss_sum, weight_sum) of the batch ``rows``; the gradient goes to the padded vector."""
    key = mix(mix(seed) ^ np.uint32(step))
    layers, work, padded, grad = network.layers, network.work, network.padded[0], network.padded[1]
    for i in range(1, layers.size):
        layer = layers[i]
        ld = layer.ld
        for j in range(layer.n_out if ld > 1 else 0):
            row = layer.w_t + j * layer.ld_in
            column = padded[layer.w + j : layer.w + layer.n_in * ld]
            w_t = work[row : row + layer.n_in]
            for k in range(w_t.size):
                w_t[k] = column[k * ld]
    grad[:] = 0
    loss_sum = 0.0
    for start in range(0, rows.size, BLOCK_ROWS):
        block = rows[start : start + BLOCK_ROWS]
        forward_block(layers, padded, data, block, work, (key, start))
        loss_sum += loss_block(network, layers[layers.size - 1], data, block)
        backward_block(layers, padded, grad, data, block, work)
    weight_sum = np.float64(rows.size)
    if data.weight.size > 0:
        weight_sum = 0.0
        for i in range(rows.size):
            weight_sum += data.weight[rows[i]]
    return loss_sum, weight_sum


@fast
def penalty(network, alpha, l1):
    """The L2 and the L1 penalty of the parameters, each segment by its factor."""
    total = 0.0
    for i in range(network.segments.size):
        segment = network.segments[i]
        if segment.penalty != 0 and (alpha != 0 or l1 != 0):
            squares, absolutes = 0.0, 0.0
            for k in range(segment.n_rows):
                start = segment.start + k * segment.ld
                p = network.padded[0, start : start + segment.n_columns]
                if alpha != 0:
                    for j in range(p.size):
                        squares += np.float64(p[j]) * np.float64(p[j])
                if l1 != 0:
                    for j in range(p.size):
                        absolutes += abs(np.float64(p[j]))
            total += segment.penalty * (0.5 * alpha * squares + l1 * absolutes)
    return total


@fast
def objective_gradient(network, task, share):
    """The sums of ``batch_gradient`` become the objective's gradient, clipped where asked for."""
    norm = 0.0
    for i in range(network.parts.size):
        part = network.parts[i]
        add_penalties(
            network.padded[0, part.start : part.stop],
            network.padded[1, part.start : part.stop],
            task.alpha * part.penalty,
            task.l1 * part.penalty,
            share,
        )
        g = network.padded[1, part.start : part.stop]
        for j in range(g.size):
            norm += np.float64(g[j]) * np.float64(g[j])
    norm = math.sqrt(norm)
    return task.max_norm / norm if norm > task.max_norm else 1.0


@fast
def update(network, task, weight_sum, numbers):
    """One step of everything that trains, as ``optimizers.step``."""
    if weight_sum == 0:  # no loss, no penalty
        network.padded[1, :] = 0
    rate, effective, new = numbers[0], numbers[1], numbers[2]
    share, alpha = 1 / weight_sum if weight_sum != 0 else 0.0, task.alpha
    if task.l1 != 0 or task.max_norm != math.inf:
        share, alpha = objective_gradient(network, task, share), 0.0
    for i in range(network.parts.size):
        part = network.parts[i]
        step = Step(
            part.start,
            part.stop,
            alpha * part.penalty,
            share,
            effective * part.rate,
            part.epsilon,
            1 - rate * part.rate * part.decay * task.weight_decay,
        )
        update_step(task.optimizer, task.settings, network.padded, step)
        if new != 0:
            last = network.padded.shape[0] - 1
            follow(
                network.padded[0, part.start : part.stop],
                network.padded[last, part.start : part.stop],
                new,
            )


@fast
def pad(segments, flat, padded, back):
    """Copy a vector in the order of ``ParamLayout`` to its padded form, or ``back`` from there."""
    for i in range(segments.size):
        segment = segments[i]
        n = segment.n_columns
        for k in range(segment.n_rows):
            own, theirs = segment.start + k * segment.ld, segment.flat + k * n
            if back:
                copy(padded[own : own + n], flat[theirs : theirs + n])
            else:
                copy(flat[theirs : theirs + n], padded[own : own + n])


# What the backend calls. A member axis of length 1 serves every member.


@entry
def train(network, task, params, slots, data, losses):
    """``Trainer.train``."""
    mode = swap_float_mode(FLUSH)
    segments, padded = network.segments, network.padded
    for member in range(params.shape[0]):
        pad(segments, params[member], padded[0], False)
        for i in range(slots.shape[1]):
            pad(segments, slots[member, i], padded[2 + i], False)
        rows = task.rows[member % task.rows.shape[0]]
        steps = task.steps[member % task.steps.shape[0]]
        seed = task.draws.seeds[member]
        for i in range(rows.shape[0]):
            total = 0.0
            for j in range(steps.shape[1]):
                batch = rows[i, j * task.batch_size : (j + 1) * task.batch_size]
                step = task.draws.step + i * steps.shape[1] + j
                loss_sum, weight_sum = batch_gradient(network, data, batch, seed, step)
                if weight_sum != 0:
                    objective = (loss_sum + penalty(network, task.alpha, task.l1)) / weight_sum
                    total += batch.size * objective
                update(network, task, weight_sum, steps[i, j])
            losses[member, i] = total / max(1, rows.shape[1])
        pad(segments, params[member], padded[0], True)
        for i in range(slots.shape[1]):
            pad(segments, slots[member, i], padded[2 + i], True)
    swap_float_mode(mode)


@entry
def gradient(network, params, draws, data, rows, grads, sums):
    """``Engine.gradient``; ``sums (n_members, 2)`` takes what it returns."""
    mode = swap_float_mode(FLUSH)
    for member in range(params.shape[0]):
        pad(network.segments, params[member], network.padded[0], False)
        own_rows = rows[member % rows.shape[0]]
        sums[member, 0], sums[member, 1] = batch_gradient(
            network, data, own_rows, draws.seeds[member], draws.step
        )
        pad(network.segments, grads[member], network.padded[1], True)
    swap_float_mode(mode)


@entry
def forward(network, params, data, rows, out):
    """``Engine.forward``; ``rows`` counts a block's rows from 0."""
    layers, padded, work = network.layers, network.padded[0], network.work
    pad(network.segments, params, padded, False)
    last = layers[layers.size - 1]
    for start in range(0, out.shape[0], BLOCK_ROWS):
        block = rows[: out.shape[0] - start]
        forward_block(layers, padded, data, block, work, (np.uint32(0), 0))
        for i in range(block.size):
            copy(work[last.out + i * last.ld : last.out + i * last.ld + last.n_out], out[start + i])
            block[i] += BLOCK_ROWS
