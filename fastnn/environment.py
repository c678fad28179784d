"""What does fastnn find on this machine? Versions, backends and threads, for bug reports."""

from __future__ import annotations

import importlib.metadata
import os
import platform
from collections.abc import Mapping
from typing import Any, Literal

from fastnn._version import __version__
from fastnn.backends import BACKENDS, load, threads, why_not

_PACKAGES = [
    *("numpy", "scipy", "scikit-learn", "joblib", "numba", "matplotlib", "optuna"),
    *("pandas", "pyarrow", "skops", "onnx"),
]


def show_config(mode: Literal["stdout", "dicts"] = "stdout") -> dict[str, Any] | None:
    """Show the versions, the usable backends, the instruction set and the threads of a fit.

    For each backend that cannot be used, the reason is shown.

    Parameters
    ----------
    mode : {"stdout", "dicts"}, default="stdout"
        "stdout" prints a readable summary; "dicts" returns the same as nested dictionaries, as
        ``numpy.show_config`` does.

    Returns
    -------
    config : dict or None
        None where it was printed.

    Raises
    ------
    ValueError
        If ``mode`` is neither.
    """
    if mode not in ("stdout", "dicts"):
        raise ValueError(f"mode must be 'stdout' or 'dicts', got {mode!r}.")
    config = _config()
    if mode == "dicts":
        return config
    print(written(config))
    return None


def written(config: Mapping[str, Mapping[str, Any]]) -> str:
    """Return sections of names and values as text to read."""
    lines = []
    for title, entries in config.items():
        lines.append(f"{title}:")
        width = max(map(len, entries), default=0)
        lines += [f"  {name:{width}}  {_written(value)}" for name, value in entries.items()]
    return "\n".join(lines)


def _written(value: Any) -> str:
    if isinstance(value, list):
        return ", ".join(map(str, value)) or "none"
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def _config() -> dict[str, dict[str, Any]]:
    reasons = {name: why_not(name) for name in BACKENDS}
    return {
        "versions": {"fastnn": __version__, "python": platform.python_version()}
        | {name: _version(name) for name in _PACKAGES}
        | {"platform": platform.platform(), "location": os.path.dirname(os.path.abspath(__file__))},
        "backends": {
            name: "usable" if reason is None else f"not usable: {reason}"
            for name, reason in reasons.items()
        },
        "instruction sets": _instruction_sets()
        if reasons["cython"] is None
        else {"active": None, "available": [], "bfloat16": "by NumPy"},
        "threads": {
            "available": threads.available_cpus(),
            "processors": os.cpu_count(),
            "OMP_NUM_THREADS": os.environ.get("OMP_NUM_THREADS", "not set"),
        },
    }


def _instruction_sets() -> dict[str, Any]:
    compiled: Any = load("cython")
    return {
        "active": compiled.isa,
        "available": list(compiled.available),
        "bfloat16": _BFLOAT16.get(
            compiled.isa, "by float32 arithmetic, two to three times slower than float32"
        ),
    }


_BFLOAT16 = {  # by the instruction set
    "amx": "by AMX, where the system lets the process use it",
    "avx512_bf16": "by AVX512_BF16, faster than float32 with 40 inputs and neurons or more",
}


def _version(package: str) -> str:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return "not installed"
