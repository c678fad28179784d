"""What do the tests of C files share? Compilers, and a model's C file called from Python."""

from __future__ import annotations

import ctypes
import re
import shutil
import subprocess

import numpy as np
import pytest
from support.fitted import answers

from fastnn.export import to_c
from fastnn.export.c_program import program_of
from fastnn.export.c_rows import rows_in_c

STRICT = ["-std=c99", "-Wall", "-Wextra", "-Werror", "-pedantic", "-O2"]
COMPILERS = ["gcc", "clang"]
# Of each kind of ARM: the compiler, and what runs its programs here.
ARM = [("aarch64-linux-gnu-gcc", "qemu-aarch64"), ("arm-linux-gnueabihf-gcc", "qemu-arm")]


def needs(*programs):
    for program in programs:
        if not shutil.which(program):
            pytest.skip(f"{program} is not installed")


def compile_with(compiler, *arguments):
    done = subprocess.run([compiler, *map(str, arguments)], capture_output=True, text=True)
    assert not done.returncode, done.stderr


class Compiled:
    """The C file of a model as a library: its functions, called from Python."""

    def __init__(self, source, n_outputs, compiler="gcc"):
        needs(compiler)
        self.name, self.n_outputs = re.sub(r"\W", "_", source.stem), n_outputs
        library = source.with_suffix(f".{compiler}.so")
        flags = [*STRICT, "-shared", "-fPIC", f"-D{self.name}_SELF_TEST"]
        compile_with(compiler, *flags, source, "-o", library, "-lm")
        self.library = ctypes.CDLL(str(library))

    def __getattr__(self, function):
        return getattr(self.library, f"{self.name}_{function}")

    def answers(self, X):
        X = np.ascontiguousarray(X, np.float32)
        out = np.full((len(X), self.n_outputs), np.nan, np.float32)
        for row, answer in zip(X, out, strict=True):
            self.predict(ctypes.c_void_p(row.ctypes.data), ctypes.c_void_p(answer.ctypes.data))
        return out

    def sizes(self):
        class Sizes(ctypes.Structure):
            _fields_ = [
                *((name, ctypes.c_int) for name in ("n_inputs", "n_outputs", "n_layers")),
                *((name, ctypes.c_long) for name in ("n_parameters", "flash_bytes", "stack_bytes")),
            ]

        return Sizes.in_dll(self.library, f"{self.name}_sizes")


def check(model, X, tmp_path, rtol=1e-6, compiler="gcc", **parameters):
    """Answers agree to ``rtol`` of the largest in their column, where sums cancel; labels too."""
    written = to_c(model, tmp_path / "model.c", X_val=X, **parameters)
    want = answers(model, X)
    compiled = Compiled(written.source, want.shape[1], compiler)
    assert compiled.self_test() == 0
    got = compiled.answers(rows_in_c(program_of(model).inputs, X))
    scale = np.abs(want).max(axis=0)
    np.testing.assert_allclose(got / scale, want / scale, rtol=0, atol=rtol)
    if hasattr(model, "classes_") and np.ndim(model.predict(X)) == 1:
        codes = [compiled.label(ctypes.c_void_p(row.ctypes.data)) for row in got]
        np.testing.assert_array_equal(model.classes_.take(codes, mode="clip"), model.predict(X))
    return compiled
