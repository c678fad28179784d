"""What is imported only once it is used? scipy.stats, which takes longer than a prediction.

scikit-learn imports it wherever it is imported itself, for functions that few commands need.
"""

from __future__ import annotations

import importlib
import sys
from types import ModuleType
from typing import Any


class _PutOff(ModuleType):
    """Stands for a module, and imports it when something of it is asked for."""

    def __getattr__(self, name: str) -> Any:
        if sys.modules.get(self.__name__) is self:
            del sys.modules[self.__name__]
        return getattr(importlib.import_module(self.__name__), name)


def put_off(name: str) -> None:
    """Let a module be imported when something of it is first used; one that is there stays."""
    sys.modules.setdefault(name, _PutOff(name))
