"""Do imports point down only, and is each file still one room?"""

from __future__ import annotations

import ast
import re
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

import fastnn

ROOT = Path(__file__).parent.parent
PACKAGE = ROOT / "fastnn"

# Who stands on whom: a room (a module or a sub-package) imports from its own floor and those above
# it in this list, which are below it in the house.
FLOORS = [
    {"_version", "_optional", "_lazy", "_sklearn", "core"},
    {"activations", "augment", "losses", "optimizers", "schedules", "backends"},
    {"training"},
    {"callbacks"},
    {"estimators", "display", "environment", "persistence_parts"},
    {"search", "tabular", "export", "dask"},
    {"persistence"},
    {"report"},
    {"cli", "__main__"},
]
# What each of the lowest rooms may use beside the standard library; above these, scikit-learn may
# be used too.
BASE_PACKAGES = {
    "core": {"numpy", "scipy"},
    "backends": {"numpy", "scipy", "joblib"},
    "_optional": set(),
    "_lazy": set(),
    "_version": set(),
}

# Optional packages, and scikit-learn's own networks, which only the demo's comparison may touch:
# who may import them.
DOORS = {
    "numba": {
        f"backends/numba/{name}.py"
        for name in ("__init__", "compiler", "functions", "math", "tile")
    },
    "llvmlite": {f"backends/numba/{name}.py" for name in ("compiler", "functions", "math", "tile")},
    "sklearn.neural_network": {"cli/demo.py"},
}
LAZY = {
    "matplotlib",
    "optuna",
    "pandas",
    "pyarrow",
    "skops",
    "numba",
    "llvmlite",
    "onnx",
    "skl2onnx",
    "dask",
    "distributed",
}  # not installed with the base
LOADED_ON_DEMAND = DOORS["numba"]  # imported lazily, see backends/__init__.py
MAX_LINES = 600


@dataclass(frozen=True)
class Import:
    """One imported module, and whether importing the file imports it.

    Not inside a function, not for type checkers only.
    """

    module: str
    line: int
    at_import: bool

    def is_in(self, package: str) -> bool:
        return self.module == package or self.module.startswith(package + ".")


class _Collector(ast.NodeVisitor):
    def __init__(self) -> None:
        self.found: list[Import] = []
        self.at_import = True

    def visit_Import(self, node: ast.Import) -> None:
        self.found += [Import(alias.name, node.lineno, self.at_import) for alias in node.names]

    def visit_ImportFrom(self, node: ast.ImportFrom) -> None:
        assert not node.level, f"line {node.lineno}: imports are absolute here"
        # `from fastnn import workers` names a module as much as `import fastnn.backends.threads`
        # does
        self.found += [
            Import(f"{node.module}.{alias.name}", node.lineno, self.at_import)
            for alias in node.names
        ]

    def visit_FunctionDef(self, node: ast.FunctionDef) -> None:
        self._later(node)

    def visit_If(self, node: ast.If) -> None:
        if isinstance(node.test, ast.Name) and node.test.id == "TYPE_CHECKING":
            self._later(node)
        else:
            self.generic_visit(node)

    def _later(self, node: ast.AST) -> None:
        before, self.at_import = self.at_import, False
        self.generic_visit(node)
        self.at_import = before


def imports(source: str) -> list[Import]:
    """Every import of a file, wherever it stands."""
    collector = _Collector()
    collector.visit(ast.parse(source))
    return collector.found


def room(path: Path) -> str:
    """The module or subpackage of fastnn that a file belongs to.

    The first part of its path in the package.
    """
    return path.relative_to(PACKAGE).parts[0].removesuffix(".py")


def floor(name: str) -> int:
    """How high a room stands; every room of the package must be in FLOORS."""
    (height,) = [i for i, rooms in enumerate(FLOORS) if name in rooms] or [None]
    assert height is not None, f"fastnn.{name} is on no floor: give it one in FLOORS"
    return height


def files(*suffixes: str) -> Iterator[Path]:
    for folder in ("fastnn", "csrc", "tests", "benchmarks"):
        for path in sorted((ROOT / folder).rglob("*")):
            if path.suffix in suffixes and path.name != "_core.c":
                yield path


modules = pytest.mark.parametrize(
    "path",
    [path for path in sorted(PACKAGE.rglob("*.py")) if path != PACKAGE / "__init__.py"],
    ids=lambda path: path.relative_to(PACKAGE).as_posix(),
)


@modules
def test_imports_point_down(path):
    here = floor(room(path))
    for found in imports(path.read_text()):
        package = found.module.split(".")[0]
        if room(path) in BASE_PACKAGES and package not in {
            "fastnn",
            *sys.stdlib_module_names,
            *LAZY,
        }:
            assert package in BASE_PACKAGES[room(path)], (
                f"{path.name}:{found.line} imports {package}"
            )
        if found.is_in("fastnn") and found.module.count("."):
            name = found.module.split(".")[1]
            if home := fastnn._HOMES.get(
                name
            ):  # `from fastnn import MLPClassifier`: its home counts
                name = home.split(".")[1]
            assert floor(name) <= here, (
                f"{path.name}:{found.line} imports fastnn.{name}, which stands higher"
            )


@modules
def test_optional_packages_stand_behind_one_door(path):
    name = path.relative_to(PACKAGE).as_posix()
    for found in imports(path.read_text()):
        for package, doors in DOORS.items():
            assert not found.is_in(package) or name in doors, (
                f"{name}:{found.line} imports {package}; only {doors} may"
            )
        optional = found.module.split(".")[0] in LAZY
        assert not (optional and found.at_import) or name in LOADED_ON_DEMAND, (
            f"{name}:{found.line} imports {found.module} whenever it is imported itself; import"
            " it where it is used"
        )


@modules
def test_private_names_of_scikit_learn_stand_behind_one_door(path):
    if path.name == "_sklearn.py":
        return
    for found in imports(path.read_text()):
        private = found.is_in("sklearn") and "._" in found.module
        assert not private, (
            f"{path.name}:{found.line} imports {found.module}: take it from fastnn._sklearn"
        )


def test_every_name_in_these_tables_exists():
    rooms = {room(path) for path in PACKAGE.rglob("*.py") if path != PACKAGE / "__init__.py"}
    listed = [name for floor in FLOORS for name in floor]
    assert sorted(listed) == sorted(rooms)
    assert set(BASE_PACKAGES) <= rooms
    for path in {*LOADED_ON_DEMAND, *(path for doors in DOORS.values() for path in doors)}:
        assert (PACKAGE / path).is_file(), f"there is no {path}"


def test_the_compiled_core_knows_nothing_of_the_package():
    for path in PACKAGE.rglob("*.px[yi]"):
        for line in path.read_text().splitlines():
            if re.match(r"\s*(from|import|cimport)\b", line):
                assert not re.match(r"\s*(from|import|cimport)\s+fastnn\b(?!\.h)", line), (
                    f"{path.name}: {line}"
                )


def test_each_public_name_has_one_home():
    tree = ast.parse((PACKAGE / "__init__.py").read_text())
    for_type_checkers = {
        alias.name: node.module
        for block in tree.body
        if isinstance(block, ast.If)
        for node in block.body
        if isinstance(node, ast.ImportFrom)
        for alias in node.names
    }
    homes = {name: home or "fastnn" for name, home in fastnn._HOMES.items()}
    assert for_type_checkers == homes
    assert set(fastnn.__all__) == {*fastnn._HOMES, "__version__"}
    assert fastnn.__all__ == sorted(fastnn.__all__)


def test_files_are_rooms_not_houses():
    long = {}
    for path in files(".py", ".pyx", ".pxi", ".c", ".h", ".inc"):
        n_lines = len(path.read_text().splitlines())
        if n_lines > MAX_LINES:
            long[path.relative_to(ROOT).as_posix()] = n_lines
    assert not long, f"more than {MAX_LINES} lines: {long}"


def test_no_file_is_named_after_nothing():
    vague = {"utils", "util", "common", "helpers", "helper", "misc", "tools"}
    assert not [
        path
        for path in files(".py", ".pyx", ".pxi", ".c", ".h", ".inc")
        if path.stem.strip("_") in vague
    ]


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("import numba", [Import("numba", 1, True)]),
        ("def f():\n    from numba import njit", [Import("numba.njit", 2, False)]),
        (
            "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    import numba",
            [Import("numba", 3, False)],
        ),
        ("try:\n    import numba\nexcept ImportError:\n    pass", [Import("numba", 2, True)]),
        ("class A:\n    import numba", [Import("numba", 2, True)]),
    ],
)
def test_the_reading_of_imports(source, expected):
    assert [found for found in imports(source) if found.is_in("numba")] == expected
