"""How does Numba compile a function, for which vectors, and when is compiled code out of date?"""

# mypy: ignore-errors
# Numba finds the types at the first call.

from __future__ import annotations

import hashlib
from pathlib import Path

from llvmlite import ir
from numba import njit, types
from numba.core import cgutils
from numba.core.registry import cpu_target
from numba.extending import intrinsic

# What Numba compiles for is also the key of its disk cache, so a cached tile always has the width
# that is seen here.
_FEATURES = cpu_target.target_context.codegen().magic_tuple()[2].split(",")
VECTOR_BYTES = 64 if "+avx512f" in _FEATURES else 32 if "+avx" in _FEATURES else 16

# Compiled code is out of date when any file of this package has changed. Numba's disk cache asks
# only for the file of the cached function, and for the types of its arguments. So this hash stands
# in a field's name of the table of layers, which every cached function takes.
SOURCES = hashlib.sha256(
    b"".join(path.read_bytes() for path in sorted(Path(__file__).parent.glob("*.py")))
).hexdigest()


def _jit(*flags, cache=False):
    """Numba's njit without the GIL; ``flags`` are LLVM's fast-math flags.

    nnan and ninf are never among them: NaN and infinity must keep their meaning.
    """

    def decorate(function):
        # Without reference counts (_nrt) a slice costs nothing; with them each row's slices took
        # longer than its arithmetic.
        options = {"nogil": True, "error_model": "numpy", "fastmath": set(flags), "_nrt": False}
        try:
            return njit(cache=cache, **options)(function)
        except RuntimeError:  # "cannot cache function ...: no locator available"
            return njit(**options)(function)

    return decorate


_REORDER = ("contract", "reassoc", "nsz", "arcp")
exact = _jit("contract")
fast = _jit(*_REORDER)
# For what the backend calls: cached with all that it calls, where a directory can be written to.
entry = _jit(*_REORDER, cache=True)

FLUSH = 0x9FC0  # no traps, round to nearest; numbers below the normal ones, twice as slow, are 0


@intrinsic
def swap_float_mode(typingctx, mode):
    """Set this thread's floating-point control register (x86's MXCSR); return what it held.

    Elsewhere, do nothing.
    """

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
