"""What does a parameter say, as text? The same for values that give a fit the same numbers.

A checkpoint compares such texts, across processes. Python shows a function by its name and its
address; here it is its name and a digest of its code, and of all that the code reaches.
"""

from __future__ import annotations

import hashlib
import re
from functools import partial
from types import CodeType, FunctionType, ModuleType
from typing import Any

import numpy as np

from fastnn.core.family import Member

_ADDRESS = re.compile(r" at 0x[0-9A-Fa-f]+")


def told(value: Any, above: tuple[Any, ...] = ()) -> str:
    """``value`` as text; ``above`` are the functions whose texts it is part of."""
    function = getattr(value, "py_func", value)  # of one that Numba compiles
    if isinstance(function, FunctionType):
        known = any(function is other for other in above)
        code = "" if known else f" {_digest(function, (*above, function))}"
        return f"{function.__qualname__}{code}"
    if isinstance(value, partial):
        inside = told((value.func, value.args, value.keywords), above)
        return f"partial{inside}"
    if isinstance(value, Member):
        return f"{type(value).__name__}{told(value.get_params(), above)}"
    if isinstance(value, np.ndarray | np.generic):
        return told(value.tolist(), above)
    if isinstance(value, list | tuple):
        return f"[{', '.join(told(one, above) for one in value)}]"
    if isinstance(value, dict):
        return f"({', '.join(f'{name}={told(one, above)}' for name, one in value.items())})"
    if isinstance(value, int | float) and float(value).is_integer():
        return repr(value if isinstance(value, bool) else int(value))
    if isinstance(value, ModuleType):
        return value.__name__
    return _ADDRESS.sub("", repr(value))


def _digest(function: FunctionType, above: tuple[Any, ...]) -> str:
    """The first digits of a hash of what the function computes."""
    closed = [cell.cell_contents for cell in function.__closure__ or ()]
    parts = [*_parts_of(function.__code__), *closed, function.__defaults__, function.__kwdefaults__]
    names = {name: function.__globals__.get(name) for name in _names_of(function.__code__)}
    text = told([*parts, names], above)
    return hashlib.sha256(text.encode()).hexdigest()[:12]


def _parts_of(code: CodeType) -> list[Any]:
    """Its instructions and constants, and those of functions that are defined in it."""
    constants = [_parts_of(one) if isinstance(one, CodeType) else one for one in code.co_consts]
    return [code.co_code, code.co_names, *constants]


def _names_of(code: CodeType) -> list[str]:
    """The names of globals, and others, that it reads; in order."""
    inside = [
        name for one in code.co_consts if isinstance(one, CodeType) for name in _names_of(one)
    ]
    return sorted({*code.co_names, *inside})
