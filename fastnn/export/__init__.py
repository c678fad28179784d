"""How does a fitted model leave Python? As an ONNX graph, or as one C99 file."""

from __future__ import annotations

from fastnn._lazy import submodules
from fastnn.export.c_source import CSource, flash_bytes, to_c
from fastnn.export.converters import register_skl2onnx
from fastnn.export.onnx_model import to_onnx

__all__ = ["CSource", "flash_bytes", "register_skl2onnx", "to_c", "to_onnx"]

__getattr__ = submodules(__name__)
