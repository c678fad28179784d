"""Which backend runs a network? One row each, fastest first; "auto" takes the first that can."""

from __future__ import annotations

import importlib
import warnings
from collections.abc import Callable
from functools import cache
from typing import Any

import numpy as np

from fastnn._lazy import submodules
from fastnn.backends.base import Backend, Plan
from fastnn.core.network import NetworkSpec

__getattr__ = submodules(__name__)

# A module is imported when its backend is first asked for, so that Numba costs nothing where it is
# not used.
BACKENDS = {
    "cython": "fastnn.backends.cython_backend",
    "numba": "fastnn.backends.numba.backend",
    "numpy": "fastnn.backends.numpy_backend",
}


@cache
def load(name: str) -> Backend:
    """The backend ``name``.

    ImportError with the reason, and the way out, if it cannot be used here.
    """
    return importlib.import_module(BACKENDS[name]).BACKEND


def why_not(name: str) -> str | None:
    """None if the backend ``name`` can be used here, else the reason as a sentence."""
    try:
        load(name)
    except ImportError as error:
        return str(error)
    return None


@cache  # an import that fails is tried anew each time
def compiled(function: str) -> Callable[..., Any] | None:
    """The compiled backend's own function of that name; None where it cannot be used."""
    return None if why_not("cython") else getattr(load("cython"), function, None)


def choose(name: str, spec: NetworkSpec, dtype: np.dtype, plan: Plan | None = None) -> Backend:
    """The backend to run ``spec`` in ``dtype``, and to train it by ``plan`` where that is given.

    Parameters
    ----------
    name : "auto" or a key of ``BACKENDS``
    spec : NetworkSpec
    dtype : numpy.dtype
    plan : Plan, optional

    Raises
    ------
    ValueError
        If there is no such backend, or it cannot be used here or cannot run this network; the
        message says why.

    Warns
    -----
    UserWarning
        If "auto" takes NumPy because functions of the user's cannot be compiled.
    """
    if name not in ("auto", *BACKENDS):
        raise ValueError(f"backend must be 'auto' or one of {list(BACKENDS)}, got {name!r}.")
    reasons = []
    why_slower = None
    for candidate in BACKENDS if name == "auto" else [name]:
        reason = why_not(candidate)
        if reason is None:
            backend = load(candidate)
            reason = backend.supports(spec, dtype, plan)
            if reason is None:
                if why_slower is not None and spec.own_functions:
                    warnings.warn(
                        f"backend='auto' runs this network on NumPy, which is slower: {why_slower}",
                        stacklevel=2,
                    )
                return backend
            why_slower = reason
        reasons.append(f"backend={candidate!r} cannot run this network: {reason}")
    raise ValueError(
        "\n".join(reasons) + "\nChoose backend='auto' to take the fastest one that can."
    )
