"""The extension list. Everything else is in pyproject.toml.

Without a C compiler, or where compiling fails, the installation goes on as pure Python
(``optional``): "auto" then takes Numba or NumPy, and ``fastnn.show_config()`` says so.
"""

import sys
from glob import glob

from setuptools import Extension, setup

if sys.platform == "win32":
    compile_args, link_args = ["/O2"], []
else:
    # Instruction sets are chosen by pragmas in csrc/isa, so one set of flags serves every file.
    # -fno-math-errno lets a square root be one instruction; -ffast-math would change what NaN
    # means, for the whole process.
    compile_args = [
        "-O3",
        "-g0",
        "-std=gnu11",
        "-fno-math-errno",
        "-fno-trapping-math",
        "-ffp-contract=fast",
        "-Wno-psabi",
    ]
    link_args = ["-Wl,-s"] if sys.platform.startswith("linux") else []

setup(
    ext_modules=[
        Extension(
            "fastnn.backends._core",
            ["fastnn/backends/_core.pyx", *sorted(glob("csrc/**/*.c", recursive=True))],
            include_dirs=["csrc"],
            depends=[
                "fastnn/backends/_core.pxd",
                "fastnn/backends/tables.pxi",
                *glob("csrc/**/*.h", recursive=True),
                *glob("csrc/**/*.inc", recursive=True),
            ],
            extra_compile_args=compile_args,
            extra_link_args=link_args,
            optional=True,
        )
    ]
)
