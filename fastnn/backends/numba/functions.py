"""How does a function that a user writes in Python become compiled code?

Numba makes one machine function of it that works on a block of numbers. Its address is all that the
kernels of Numba's backend and of the C core need: they call it, once for each block.
"""

# mypy: ignore-errors
# Numba finds the types at the first call.

from __future__ import annotations

import operator
import types as python_types
from collections.abc import Callable
from functools import cache

import numpy as np
from llvmlite import ir as llvm
from numba import carray, cfunc, njit, types
from numba.core import errors, ir
from numba.core.compiler import CompilerBase, DefaultPassBuilder
from numba.core.compiler_machinery import FunctionPass, register_pass
from numba.core.untyped_passes import IRProcessing
from numba.extending import intrinsic
from scipy.special import expit

from fastnn.backends.numba import math as ours
from fastnn.core.functions import Function

# What Numba raises where it cannot compile; before 0.61 unknown bytecode had no class of its own.
UNCOMPILED = (
    errors.NumbaError,
    NotImplementedError,
    getattr(errors, "UnsupportedBytecodeError", NotImplementedError),
)


@ours.exact
def _expm1(x):
    small, large = ours.expm1_of_negative(x), ours.exp(x) - type(x)(1)  # a choice is vector code
    return small if x < 1 else large


@ours.exact
def _logaddexp(x, y):
    return (x if x > y else y) + ours.log1p(ours.exp(-abs(x - y)))


@ours.exact
def _where(condition, x, y):
    return x if condition else y


@ours.exact
def _clip(x, low, high):
    above = low if x < low else x
    return high if above > high else above


# Vector code for what Numba would ask of the C library, one number at a time, or makes an array of.
FASTER = {
    np.exp: ours.exp,
    np.expm1: _expm1,
    np.tanh: ours.tanh,
    np.logaddexp: _logaddexp,
    np.where: _where,
    np.clip: _clip,
    expit: ours.expit,
}
_NUMPY = python_types.ModuleType("numpy")
_NUMPY.__dict__.update({name: getattr(np, name) for name in np.__all__})
_NUMPY.__dict__.update({function.__name__: faster for function, faster in FASTER.items()})


@register_pass(mutates_CFG=False, analysis_only=False)
class _SingleConstants(FunctionPass):
    """Constants in float32, as NumPy takes them beside float32 arrays: Numba would widen all."""

    _name = "fastnn_single_constants"

    def __init__(self):
        FunctionPass.__init__(self)

    def run_pass(self, state):
        assigned = [
            one for block in state.func_ir.blocks.values() for one in block.find_insts(ir.Assign)
        ]
        exponents = {  # z**2 is a product where 2 is whole
            one.value.rhs.name
            for one in assigned
            if isinstance(one.value, ir.Expr)
            and one.value.op == "binop"
            and one.value.fn is operator.pow
        }
        for one in assigned:
            constant = one.value
            if (
                isinstance(constant, ir.Const | ir.Global | ir.FreeVar)
                and type(constant.value) in (int, float)
                and one.target.name not in exponents
            ):
                one.value = ir.Const(np.float32(constant.value), constant.loc)
        return True


class _SinglePrecision(CompilerBase):
    """Numba's own compiler with that pass."""

    def define_pipelines(self):
        passes = DefaultPassBuilder.define_nopython_pipeline(self.state)
        passes.add_pass_after(_SingleConstants, IRProcessing)
        passes.finalize()
        return [passes]


OPTIONS = {"error_model": "numpy", "fastmath": {"contract"}}
COMPILERS = {"float32": {"pipeline_class": _SinglePrecision}, "float64": {}}


def _compiled(function: Callable, dtype: str) -> Callable:
    """A function of one number, ready to be called by compiled code; so are those it calls."""
    if not isinstance(function, python_types.FunctionType):  # np.sin, say
        return FASTER.get(function, function)
    known = {}
    for name in function.__code__.co_names:
        thing = function.__globals__.get(name)
        if thing is not None:
            known[name] = _NUMPY if thing is np else thing
            if callable(thing):
                known[name] = _compiled(thing, dtype)
    copy = python_types.FunctionType(
        function.__code__,
        known,
        function.__name__,
        function.__defaults__,
        function.__closure__,
    )
    return njit(**OPTIONS, **COMPILERS[dtype])(copy)


@cache
def block_function(value: Callable, slope: Callable, takes: str, dtype: str) -> object:
    """``(a, slopes, n, n_slopes)``: numbers become values; and slopes, if asked for.

    A loss finds y where its slopes go.
    """
    value, slope, before = _compiled(value, dtype), _compiled(slope, dtype), takes == "input"
    real = types.CPointer(getattr(types, dtype))

    def of_activation(a, slopes, n, n_slopes):
        # Each loop in place on one array: in float64 others get no vector code.
        values, found = carray(a, n), carray(slopes, n_slopes)
        if before:
            for i in range(n_slopes):
                found[i] = values[i]
        for i in range(n):
            values[i] = value(values[i])
        if not before:
            for i in range(n_slopes):
                found[i] = values[i]
        for i in range(n_slopes):
            found[i] = slope(found[i])

    def of_loss(a, slopes, n, n_slopes):
        raw, y = carray(a, n), carray(slopes, n_slopes)
        for i in range(n_slopes):  # together: what both compute is computed once
            z, target = raw[i], y[i]
            raw[i] = value(z, target)
            y[i] = slope(z, target)

    block = of_loss if takes == "target" else of_activation
    return cfunc(types.void(real, real, types.intp, types.intp), nopython=True, **OPTIONS)(block)


def address_of(member: Function, dtype: np.dtype) -> int:
    """Where the compiled function stands; it stays there.

    ValueError, with Numba's reason, if it cannot be compiled.
    """
    try:
        block = block_function(member.value, member.slope, member.takes, np.dtype(dtype).name)
    except UNCOMPILED as error:
        reason = " ".join(str(error).split())
        raise ValueError(
            f"Numba cannot compile the function {member.name!r}: {reason[:300]}"
        ) from error
    return block.address


@intrinsic
def call_block(typingctx, address, a, slopes):
    """Call the function at ``address`` on the array ``a``; ``slopes`` is as long, or empty."""

    def codegen(context, builder, signature, args):
        address, *arrays = args
        arrays = [
            context.make_array(kind)(context, builder, array)
            for kind, array in zip(signature.args[1:], arrays, strict=True)
        ]
        byte = llvm.IntType(8).as_pointer()
        size = context.get_value_type(types.intp)
        kind = llvm.FunctionType(llvm.VoidType(), [byte, byte, size, size])
        function = builder.inttoptr(address, kind.as_pointer())
        data = [builder.bitcast(array.data, byte) for array in arrays]
        builder.call(function, [*data, *(array.nitems for array in arrays)])
        return context.get_dummy_value()

    return types.void(types.int64, a, slopes), codegen
