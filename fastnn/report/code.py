"""Which Python code makes this estimator, and its data? Written out with its imports, to be run."""

from __future__ import annotations

import importlib
import inspect
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from fastnn.tabular.encode import features, targets, with_known_target
from fastnn.tabular.options import TypeOptions
from fastnn.tabular.read import read_table
from fastnn.tabular.recognise import recognise

WIDTH = 100


def training_code(model: Any, before: str, after: str) -> str:
    """Return a program: imports, ``before``, the construction ``model = ...``, ``after``.

    Parameters
    ----------
    model : estimator
        Any scikit-learn estimator whose parameters are estimators, containers, strings, numbers,
        None or public functions.
    before, after : str
        Code around the construction; import lines in ``before`` join the others at the top.
    """
    imports: set[tuple[str, str]] = set()
    written = f"model = {_write(model, imports, 0)}"
    lines = before.strip().splitlines()
    tops = [line for line in lines if line.startswith(("import ", "from "))]
    rest = "\n".join(line for line in lines if line not in tops).strip()
    tops += [f"from {module} import {name}" for module, name in imports]
    return (
        "\n".join(sorted(set(tops)))
        + "\n\n"
        + "\n\n".join(part for part in (rest, written, after.strip()) if part)
        + "\n"
    )


def table_code(
    path: str | None,
    reading: Mapping[str, Any],
    target: str,
    types: TypeOptions,
    split: str = "",
) -> str:
    """Return a program that makes ``X`` and ``y`` of a table, as the command line does.

    Parameters
    ----------
    path : str or None
        The table's file; None where the table is a DataFrame, named ``frame``.
    reading : dict
        Keyword arguments of `read_table`.
    target : str
        The column to predict.
    types : TypeOptions
        What is said of the columns.
    split : str
        Code that holds rows out.
    """

    def call(function: Callable[..., Any], first: list[str], settings: Mapping[str, Any]) -> str:
        given = [f"{name}={value!r}" for name, value in settings.items()]
        return f"{function.__name__}({', '.join([*first, *given])})"

    usual = TypeOptions()
    choices = {
        name: value
        for name in TypeOptions.__dataclass_fields__
        if (value := getattr(types, name)) != getattr(usual, name)
    }
    used: list[Any] = [features, recognise, targets, with_known_target]
    used += [read_table] if path is not None else []
    used += [TypeOptions] if choices else []
    options = [call(TypeOptions, [], choices)] if choices else []
    lines = [
        *(f"from {_public_module(one)} import {one.__name__}" for one in used),
        "# frame is the table, a pandas.DataFrame."
        if path is None
        else f"frame = {call(read_table, [repr(path)], reading)}",
        f"schema = {call(recognise, ['frame', repr(target), *options], {})}",
        "frame = with_known_target(schema, frame, print)",
        "X, y = features(schema, frame), targets(schema, frame)",
    ]
    return "\n".join(lines + ([split] if split else []))


def _write(value: Any, imports: set[tuple[str, str]], indent: int) -> str:
    """Return an expression for ``value``, broken where lines would be too long.

    What it needs is added to ``imports``.
    """
    if hasattr(value, "get_params") and not isinstance(value, type):
        imports.add((_public_module(type(value)), type(value).__name__))
        defaults = _defaults(type(value))
        items = [
            (f"{name}=", setting)
            for name, setting in value.get_params(deep=False).items()
            if not _same(setting, defaults.get(name, ...))
        ]
        # What `set_output` has set is no parameter.
        output = getattr(value, "_sklearn_output_config", {}).get("transform")
        end = ")" if output is None else f").set_output(transform={output!r})"
        return _call(f"{type(value).__name__}(", items, end, imports, indent)
    if isinstance(value, tuple):
        return _call(
            "(", [("", item) for item in value], ",)" if len(value) == 1 else ")", imports, indent
        )
    if isinstance(value, list):
        return _call("[", [("", item) for item in value], "]", imports, indent)
    if isinstance(value, dict):
        return _call(
            "{", [(f"{key!r}: ", item) for key, item in value.items()], "}", imports, indent
        )
    if isinstance(value, np.generic):
        value = value.item()
    if isinstance(value, float) and not np.isfinite(value):
        return f'float("{value}")'
    if callable(value) and hasattr(value, "__name__"):
        imports.add((_public_module(value), value.__name__))
        return value.__name__
    return repr(value)


def _call(
    opening: str,
    items: list[tuple[str, Any]],
    closing: str,
    imports: set[tuple[str, str]],
    indent: int,
) -> str:
    parts = [f"{key}{_write(item, imports, indent + 4)}" for key, item in items]
    line = opening + ", ".join(parts) + closing
    if "\n" not in line and indent + len(line) <= WIDTH:
        return line
    inner = " " * (indent + 4)
    if (
        opening == "[" and len(parts) > 8 and "\n" not in line
    ):  # many short items, such as names of columns
        lines = [inner]
        for part in parts:
            lines += [inner] if len(lines[-1]) + len(part) >= WIDTH else []
            lines[-1] += f"{part}, "
        return "[\n" + "".join(f"{one.rstrip()}\n" for one in lines) + " " * indent + "]"
    return (
        opening
        + "\n"
        + "".join(f"{inner}{part},\n" for part in parts)
        + " " * indent
        + closing.lstrip(",")
    )


def _public_module(thing: Any) -> str:
    """Return the shortest module that offers ``thing``, such as ``sklearn.pipeline``."""
    home = str(getattr(thing, "__module__", "numpy"))  # a ufunc knows its module since NumPy 2.2
    parts = home.split(".")
    for n in range(1, len(parts) + 1):
        module = ".".join(parts[:n])
        if getattr(importlib.import_module(module), thing.__name__, None) is thing:
            return module
    return home


def _defaults(kind: type) -> dict[str, Any]:
    return {
        name: parameter.default for name, parameter in inspect.signature(kind).parameters.items()
    }


def _same(a: Any, b: Any) -> bool:
    if type(a) is not type(b):
        return False
    try:
        return bool(a == b) or (a != a and b != b)
    except ValueError:  # arrays: written out
        return False
