"""What does a model file hold? Its parts where each is of a kind known here, without skops.

To know what it may trust, skops imports all of scikit-learn's estimators: as much CPU time as
predicting a row takes besides. The models of the command line are made of few kinds of parts, so
these are read here; `fastnn.persistence` leaves every other file to skops and its audit.

The format is skops' protocol 2: a zip archive of ``schema.json``, a tree of parts, and an ``.npy``
file for each array. Nothing is executed but ``__setstate__`` of the types that the caller names.
"""

from __future__ import annotations

import importlib
import json
import zipfile
from collections.abc import Collection
from typing import Any

import numpy as np

from fastnn.training.archive import read_array

PROTOCOL = 2


class UnknownPart(ValueError):
    """A part of a file that is none of the kinds known here."""


def read_parts(archive: zipfile.ZipFile, types: Collection[str]) -> Any:
    """Return what a file holds.

    Parameters
    ----------
    archive : ZipFile
    types : collection of str
        The dotted names of the types of objects that it may hold.

    Raises
    ------
    UnknownPart
        If it holds anything else; nothing of that has been imported then.
    KeyError, TypeError, ValueError
        If it is damaged.
    """
    tree = json.loads(archive.read("schema.json"))
    if tree["protocol"] != PROTOCOL:
        raise UnknownPart(f"protocol {tree['protocol']}")
    return _Parts(archive, types).part(tree)


class _Parts:
    """The parts of one file. One that occurs several times is one object."""

    def __init__(self, archive: zipfile.ZipFile, types: Collection[str]) -> None:
        self.archive, self.types = archive, types
        self.known: dict[int, Any] = {}

    def part(self, node: dict[str, Any]) -> Any:
        number = node["__id__"]
        if number not in self.known:
            self.known[number] = self._made(node)
        return self.known[number]

    def _made(self, node: dict[str, Any]) -> Any:
        name = f"{node['__module__']}.{node['__class__']}"
        match node["__loader__"], name:
            case "JsonNode", _:
                return json.loads(node["content"])
            case "ListNode", "builtins.list":
                return [self.part(one) for one in node["content"]]
            case "TupleNode", "builtins.tuple":
                return tuple(self.part(one) for one in node["content"])
            case "DictNode", "builtins.dict" if _has_text_keys(node):
                return {key: self.part(one) for key, one in node["content"].items()}
            case "NdArrayNode", _ if node["type"] == "numpy":
                return self._array(node, name)
            case "NdArrayNode", "numpy.ndarray":
                items = [self.part(one) for one in node["content"]]
                array = np.empty(len(items), object)
                array[:] = items
                array = array.reshape(self.part(node["shape"]))
                return array
            case "ObjectNode", _ if name in self.types:
                return self._object(node)
        raise UnknownPart(f"{node['__loader__']} of {name}")

    def _array(self, node: dict[str, Any], name: str) -> Any:
        """An array or a scalar of NumPy's."""
        array = read_array(self.archive, node["file"])
        if name == "numpy.ndarray":
            return array
        if name == f"numpy.{array.dtype.name}" and array.ndim == 0:
            return array[()]
        raise UnknownPart(name)

    def _object(self, node: dict[str, Any]) -> Any:
        """An object of a type that is allowed, with its attributes."""
        state = self.part(node["content"]) if node["content"] is not None else None
        kind = getattr(importlib.import_module(node["__module__"]), node["__class__"])
        made = kind.__new__(kind)
        if hasattr(made, "__setstate__") and state is not None:
            made.__setstate__(state)
        else:
            vars(made).update(state or {})
        return made


def _has_text_keys(node: dict[str, Any]) -> bool:
    kinds = {(one["__module__"], one["__class__"]) for one in node["key_types"]["content"]}
    return kinds <= {("builtins", "str")}
