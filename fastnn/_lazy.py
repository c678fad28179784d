"""How does `fastnn.a.b` work after `import fastnn`? Modules are imported when first asked for."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from types import ModuleType


def submodules(package: str) -> Callable[[str], ModuleType]:
    """Return a ``__getattr__`` for ``package`` that imports its modules and sub-packages.

    Private modules are not found: an import of ``__main__`` would run the command.
    """

    def __getattr__(name: str) -> ModuleType:
        path = f"{package}.{name}"
        if not name.startswith("_"):
            try:
                return importlib.import_module(path)
            except ModuleNotFoundError as error:
                if error.name != path:  # the module is there, what it imports is not
                    raise
        raise AttributeError(f"module {package!r} has no attribute {name!r}")

    return __getattr__
