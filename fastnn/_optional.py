"""How is an optional package imported? When it is first needed.

Where it is missing, the error names the extra to install.
"""

from __future__ import annotations

import importlib
import os
from typing import Any

# Which extra of pyproject.toml brings each package.
EXTRAS = {
    "dask": "dask",
    "distributed": "dask",
    "matplotlib": "plot",
    "numba": "numba",
    "onnx": "onnx",
    "optuna": "search",
    "pandas": "cli",
    "pyarrow": "cli",
    "skl2onnx": "onnx",
    "skops": "cli",
}


def require(module: str) -> Any:
    """Import ``module``, such as ``"skops.io"``, and return it.

    Raises
    ------
    ImportError
        If its package is not installed; the message says which extra brings it.
    """
    try:
        return importlib.import_module(module)
    except ModuleNotFoundError as error:
        package = module.partition(".")[0]
        raise ImportError(
            f"This needs {package}, which is not installed: {install(EXTRAS[package])}"
        ) from error


def install(extra: str) -> str:
    """The command that installs an extra.

    From the clone where fastnn runs from one, else from the package index.
    """
    root = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
    if os.path.exists(os.path.join(root, "pyproject.toml")):
        return f'pip install -e "{root}[{extra}]"'
    return f'pip install "fastnn[{extra}]"'
