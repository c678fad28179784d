"""How is a matrix product computed? One register tile of accumulators, and the loops around it.

One product serves the forward pass, the deltas and the weight gradients, with strides in place of
transposed copies. Its accumulators stay in vector registers; loops over arrays cannot say that, so
the tile is written as LLVM instructions. Rows of a matrix are padded to whole vectors, which leaves
no scalar remainders; what a padded column holds only ever reaches padded columns.
"""

# mypy: ignore-errors
# Numba finds the types at the first call.

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

from fastnn.backends.numba.compiler import VECTOR_BYTES, fast

# Twice as many accumulators, which must fit in 32 or 16 vector registers.
TILE_ROWS = 8 if VECTOR_BYTES == 64 else 6
BLOCK_INNER = 256  # terms of a sum at a time: the right factor's columns stay in the L1 cache


class Matrix(NamedTuple):
    """A matrix within a vector: where it starts, and from row to row and column to column.

    A row of zero length repeats one row; a transposed matrix has its steps exchanged.
    """

    vector: np.ndarray
    start: int
    row: int
    column: int


def _tile(n_vectors):
    """An intrinsic: TILE_ROWS x n_vectors accumulators, summed over k terms and stored."""

    @intrinsic
    def tile(typingctx, c, s, a, b, m, k):
        signature = types.void(c, s, a, b, types.intp, types.intp)

        def codegen(context, builder, signature, args):
            *matrices, m, k = args
            array = signature.args[0].types[0]
            dtype = context.get_data_type(array.dtype)
            item = array.dtype.bitwidth // 8
            vector = ir.VectorType(dtype, VECTOR_BYTES // item)
            splat = ir.Constant(ir.VectorType(ir.IntType(32), vector.count), [0] * vector.count)
            # Rows past the last are the last row again: computed alike and stored to the same
            # place.
            last = builder.sub(m, k.type(1))
            rows = [
                builder.select(builder.icmp_signed("<", last, k.type(i)), last, k.type(i))
                for i in range(TILE_ROWS)
            ]

            def unpacked(i):
                """Of matrix i: its data, where it starts, and its steps."""
                vector, *numbers = cgutils.unpack_tuple(builder, matrices[i], 4)
                array = context.make_array(signature.args[i].types[0])(context, builder, vector)
                return array.data, *numbers

            c, s, a, b = (unpacked(i) for i in range(4))

            def place(matrix, row, column=None):
                """A pointer to an element."""
                data, start, row_step, column_step = matrix
                place = builder.add(start, builder.mul(row, row_step))
                if column is not None:
                    place = builder.add(place, builder.mul(column, column_step))
                return builder.gep(data, [place])

            def line(matrix, row):
                """Pointers to the vectors of a row."""
                start = place(matrix, row)
                starts = [builder.gep(start, [k.type(j * vector.count)]) for j in range(n_vectors)]
                return [builder.bitcast(pointer, vector.as_pointer()) for pointer in starts]

            def copy(sources, targets):
                for source, target in zip(sources, targets, strict=True):
                    builder.store(builder.load(source, align=item), target, align=item)

            sums = [[cgutils.alloca_once(builder, vector) for _ in range(n_vectors)] for _ in rows]
            for row, accumulators in zip(rows, sums, strict=True):
                copy(line(s, row), accumulators)
            with cgutils.for_range(builder, k) as loop:
                right = [builder.load(pointer, align=item) for pointer in line(b, loop.index)]
                for row, accumulators in zip(rows, sums, strict=True):
                    left = builder.load(place(a, row, loop.index))
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
                copy(accumulators, line(c, row))
            return context.get_dummy_value()

        return signature, codegen

    return tile


_narrow_tile = _tile(1)
_wide_tile = _tile(2)


@fast
def product(c, s, a, b, shape):
    """C = S + A B for ``shape`` (m, k, n): C and S (m, n), A (m, k), B (k, n)."""
    m, k, n = shape
    lanes = VECTOR_BYTES // c.vector.itemsize
    for k0 in range(0, k, BLOCK_INNER):
        terms = min(BLOCK_INNER, k - k0)
        s_now = s if k0 == 0 else c
        for j in range(0, n, 2 * lanes):
            right = Matrix(b.vector, b.start + k0 * b.row + j, b.row, 1)
            for i in range(0, m, TILE_ROWS):
                to = Matrix(c.vector, c.start + i * c.row + j, c.row, 1)
                initial = Matrix(s_now.vector, s_now.start + i * s_now.row + j, s_now.row, 1)
                left = Matrix(a.vector, a.start + k0 * a.column + i * a.row, a.row, a.column)
                if n - j > lanes:
                    _wide_tile(to, initial, left, right, m - i, terms)
                else:
                    _narrow_tile(to, initial, left, right, m - i, terms)
