"""Which backends are tested, and what do tests share?

Every test that takes the ``backend`` fixture runs once for each backend, those of engines once for
each instruction set of the compiled one. Two environment variables, names separated by commas, say
otherwise:

FASTNN_REQUIRE
    Backends whose tests fail, instead of being skipped, where the backend is not usable.
FASTNN_TEST_BACKENDS
    The variants to test, instead of all: ``cython[avx2]`` on this instruction set, ``cython`` on
    the fastest one, ``numba``, ``numpy``.

The last line of a run, "tested backends: ...", lists those for which at least one test passed.
"""

from __future__ import annotations

import hashlib
import os
import pickle
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

# Threads of trees that wait let others run; OpenMP reads it when scikit-learn is imported.
os.environ.setdefault("OMP_WAIT_POLICY", "passive")

from support import instruction_sets
from support.problems import use_every_kernel

from fastnn import backends


def variants() -> dict[str, tuple[str, str | None]]:
    """Each backend with each tested instruction set, the fastest first; None where none."""
    found = {}
    for name in backends.BACKENDS:
        usable = backends.why_not(name) is None
        available = getattr(backends.load(name), "available", ()) if usable else ()
        for isa in instruction_sets.tested(available) or (None,):
            found[f"{name}[{isa}]" if isa else name] = (name, isa)
    return found


def named_in(variable: str) -> list[str]:
    """The names in an environment variable."""
    return [name.strip() for name in os.environ.get(variable, "").split(",") if name.strip()]


def chosen(names: list[str]) -> dict[str, tuple[str, str | None]]:
    """The variants of these names, or all; a backend's name means its fastest variant."""
    every = variants()
    fastest = {name: key for key, (name, _) in reversed(every.items())}
    keys = [fastest.get(name, name) for name in names] or list(every)
    if unknown := [key for key in keys if key not in every]:
        raise pytest.UsageError(
            f"FASTNN_TEST_BACKENDS names unknown variants {unknown}; "
            f"known are {sorted({*every, *fastest})}."
        )
    return {key: every[key] for key in keys}


REQUIRED = named_in("FASTNN_REQUIRE")
TESTED = chosen(named_in("FASTNN_TEST_BACKENDS"))

if unknown := sorted(set(REQUIRED) - set(backends.BACKENDS)):
    raise pytest.UsageError(
        f"FASTNN_REQUIRE names unknown backends {unknown}; known are {sorted(backends.BACKENDS)}."
    )


def variants_for(path: Path) -> dict[str, tuple[str, str | None]]:
    """All variants where engines are tested, elsewhere the fastest of each backend.

    All that depends on an instruction set is behind an engine.
    """
    if path.stem == "test_bfloat16":
        return TESTED
    if path.parent.name in ("backends", "core"):
        once = instruction_sets.with_vectors(tuple(isa for _, isa in TESTED.values() if isa))
        return {key: TESTED[key] for key in TESTED if TESTED[key][1] in (None, *once)}
    fastest = {name: key for key, (name, _) in reversed(TESTED.items())}
    return {key: TESTED[key] for key in reversed(fastest.values())}


@pytest.hookimpl(trylast=True)
def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Run what takes ``backend`` on each variant in turn before any other parameter changes."""
    if "backend" in metafunc.fixturenames:
        tested = variants_for(metafunc.definition.path)
        metafunc.parametrize("backend", tested.values(), ids=tested, indirect=True)


@pytest.fixture
def backend(
    request: pytest.FixtureRequest,
    monkeypatch: pytest.MonkeyPatch,
    once_per_run: Callable[..., Any],
) -> str:
    """The name of a backend, to be passed as ``backend=`` or to ``fastnn.backends.load``."""
    name, isa = request.param
    if reason := backends.why_not(name):
        if name in REQUIRED:
            pytest.fail(f"FASTNN_REQUIRE demands the {name} backend: {reason}")
        pytest.skip(f"the {name} backend is not usable here: {reason}")
    # Workers that compiled side by side would compile the same.
    if name == "numba" and "PYTEST_XDIST_WORKER" in os.environ:
        once_per_run("what Numba compiles", use_every_kernel, name)
    if isa:
        monkeypatch.setattr(backends.load(name), "isa", isa)
    request.node.user_properties.append(("backend", f"{name}[{isa}]" if isa else name))
    return name


@pytest.fixture
def compiled_backend(backend: str) -> str:
    """Like ``backend``, but only those that let go of the interpreter."""
    if backend == "numpy":
        pytest.skip("the NumPy backend is not compiled")
    return backend


@pytest.fixture(scope="session")
def once_per_run(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Any]:
    """``once_per_run(key, function, *arguments)``: the value, computed by the test that asks first.

    Other tests read it from a file, and the other workers of pytest-xdist wait for that file.
    """
    folder = tmp_path_factory.getbasetemp()
    if "PYTEST_XDIST_WORKER" in os.environ:
        folder = folder.parent
    folder = folder / "once per run"
    folder.mkdir(exist_ok=True)

    def value(key: str, function: Callable[..., Any], *arguments: Any) -> Any:
        path = folder / hashlib.sha256(key.encode()).hexdigest()
        written, until = path.with_suffix(".written"), time.monotonic() + 600
        while not path.exists():
            try:
                file = written.open("xb")
            except FileExistsError:  # another worker computes it, or has died of it
                if time.monotonic() > until:
                    raise
                time.sleep(0.05)
                continue
            try:
                with file:
                    pickle.dump(function(*arguments), file)
                written.replace(path)
            finally:
                written.unlink(missing_ok=True)
        return pickle.loads(path.read_bytes())

    return value


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Print the backends for which at least one test passed."""
    tested = {
        value
        for report in terminalreporter.stats.get("passed", [])
        for key, value in report.user_properties
        if key == "backend"
    }
    terminalreporter.write_line("tested backends: " + (", ".join(sorted(tested)) or "none"))


@pytest.fixture(scope="session")
def client() -> Iterator[Any]:
    """A Dask client of two worker processes, which all tests of a session share."""
    distributed = pytest.importorskip("distributed", reason="Dask comes with fastnn[dask]")
    dask = pytest.importorskip("dask")
    cluster = distributed.LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address=":0")
    # A worker that is killed is started again, which a busy machine may not do in 15 seconds; and a
    # cluster that is closed meanwhile waits for it in vain.
    patient = dask.config.set({"distributed.deploy.lost-worker-timeout": "600s"})
    with suppress(TimeoutError), patient, cluster, distributed.Client(cluster) as client:
        yield client
