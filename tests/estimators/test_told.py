"""Are parameters told alike where, and only where, a fit gives the same numbers by them?"""

from __future__ import annotations

from functools import partial

import numpy as np
import pytest

from fastnn import activations, losses, schedules
from fastnn.estimators.told import told
from fastnn.optimizers import AdamW


def made(source: str, **names):
    """The function f that ``source`` defines, as another process would have it."""
    space = {"np": np, **names}
    exec(source, space)
    return space["f"]


def closed(share):
    return lambda z: share * z


def by_global(share):
    return made("def f(z): return g(z)", g=made("def f(z): return share * z", share=share))


def countdown(n):
    return 0 if n == 0 else countdown(n - 1)


HALF = "def f(z): return 0.5 * z"
SAME = {
    "numbers": (1e-4, np.float64(1e-4), np.array(1e-4)),
    "whole numbers": (2, 2.0, np.int64(2)),
    "sequences": ((6, 3), [6, 3], np.array([6, 3])),
    "functions": (made(HALF), made(HALF), made(HALF.replace("return", "\n  # the half\n  return"))),
    "closures": (closed(0.5), closed(0.5)),
    "what functions call": (by_global(0.5), by_global(0.5)),
    "partials": (partial(made(HALF), 3), partial(made(HALF), 3)),
    "objects": (AdamW(weight_decay=0.1), AdamW(weight_decay=np.float64(0.1))),
    "activations": tuple([activations.Function(made(HALF), abs)] for _ in range(2)),
}
OTHER = {
    "numbers": (1e-4, 2e-4, 1, True, None, "1"),
    "code": (made(HALF), made(HALF.replace("*", "+")), made(HALF.replace("0.5", "0.25"))),
    "code inside": tuple(made(f"def f(z): return (lambda: {x} * z)()") for x in (1, 2)),
    "names": (made("def f(z): return np.sin(z)"), made("def f(z): return np.cos(z)")),
    "closures": (closed(0.5), closed(0.25)),
    "what functions call": (by_global(0.5), by_global(0.25)),
    "defaults": (made("def f(z, a=1): return a * z"), made("def f(z, a=2): return a * z")),
    "partials": (partial(made(HALF), 3), partial(made(HALF), 4)),
    "objects": (AdamW(weight_decay=0.1), AdamW(weight_decay=0.2)),
    **{
        kind.__module__: tuple(kind(made(HALF.replace("0.5", x)), *more) for x in ("1.0", "2.0"))
        for kind, more in (
            (activations.Function, [abs]),
            (losses.Function, [abs]),
            (schedules.Function, []),
        )
    },
}


@pytest.mark.parametrize("values", SAME.values(), ids=SAME)
def test_what_means_the_same(values):
    assert len({told(value) for value in values}) == 1


@pytest.mark.parametrize("values", OTHER.values(), ids=OTHER)
def test_what_means_something_else(values):
    assert len({told(value) for value in values}) == len(values)


def test_a_function_may_call_itself():
    assert told(countdown).startswith("countdown ")


def test_no_address_is_told():
    for value in (object(), made(HALF), partial(made(HALF)), np.tanh):
        assert " at 0x" not in told(value)
