"""Which backends, and which instruction sets of the compiled one, are tested? All that this machine
has.

Every test that takes the ``backend`` fixture runs once for each of them. One that cannot be had
here is skipped, unless the environment variable FASTNN_REQUIRE (backend names, separated by commas)
names it: then its tests fail. The last line of a run, "tested backends: ...", lists those for which
at least one test passed.
"""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest

from fastnn import backends

REQUIRED = {
    name.strip() for name in os.environ.get("FASTNN_REQUIRE", "").split(",") if name.strip()
}

if unknown := REQUIRED - set(backends.BACKENDS):
    raise pytest.UsageError(
        f"FASTNN_REQUIRE names unknown backends {sorted(unknown)}; known are {sorted(backends.BACKENDS)}."
    )


def variants() -> Iterator[tuple[str, str | None]]:
    """Each backend with each instruction set it can be had on (None where it has but one)."""
    for name in backends.BACKENDS:
        sets = (
            (None,)
            if backends.why_not(name)
            else getattr(backends.load(name), "available", (None,))
        )
        yield from ((name, isa) for isa in sets)


@pytest.fixture(
    params=variants(),
    ids=lambda variant: f"{variant[0]}[{variant[1]}]" if variant[1] else variant[0],
)
def backend(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """The name of a backend, to be passed as ``backend=`` or to ``fastnn.backends.load``."""
    name, isa = request.param
    if reason := backends.why_not(name):
        if name in REQUIRED:
            pytest.fail(f"FASTNN_REQUIRE demands the {name} backend: {reason}")
        pytest.skip(f"the {name} backend cannot be had here: {reason}")
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


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Print the backends for which at least one test passed."""
    tested = {
        value
        for report in terminalreporter.stats.get("passed", [])
        for key, value in report.user_properties
        if key == "backend"
    }
    terminalreporter.write_line("tested backends: " + (", ".join(sorted(tested)) or "none"))
