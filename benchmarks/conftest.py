"""How is a benchmark run set up?

Which shapes, on which backends, and one BLAS thread for the NumPy reference.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from shapes import ANCHORS, PUBLISHED, every_combination, one_axis_at_a_time
from threadpoolctl import threadpool_limits

from fastnn.backends import BACKENDS

SECONDS = pytest.StashKey[dict[str, dict[str, float]]]()  # by benchmark group and backend


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--grid",
        choices=["anchors", "default", "full"],
        default="default",
        help="anchors: eight shapes; default: also the published ones and one axis at a time;"
        " full: every combination",
    )


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    grid = metafunc.config.getoption("--grid")
    shapes = list(ANCHORS.values())
    if grid != "anchors":
        shapes += [*PUBLISHED, *one_axis_at_a_time()]
    if grid == "full":
        shapes += list(every_combination())
    shapes = list(dict.fromkeys(shapes))
    if (
        "n_rows" in metafunc.fixturenames
    ):  # predicting does not depend on the batch, the loss or the optimizer
        shapes = list({(shape.units, shape.activation): shape for shape in shapes}.values())
    metafunc.parametrize("shape", shapes, ids=str)


@pytest.fixture
def record(
    benchmark: Any, backend: str, request: pytest.FixtureRequest
) -> Callable[[str, int, float], None]:
    """A function that adds what a reader wants to know to a finished benchmark.

    Times per unit, FLOP/s, the gain over NumPy.
    """

    def record(unit: str, n_units: int, flops: float) -> None:
        seconds = benchmark.stats.stats.median
        group = request.config.stash[SECONDS].setdefault(benchmark.group, {})
        group[backend] = seconds / n_units
        benchmark.extra_info[f"us_per_{unit}"] = 1e6 * seconds / n_units
        benchmark.extra_info["flops"] = flops
        benchmark.extra_info["gflop_per_s"] = 1e-9 * flops / seconds
        if "numpy" in group:  # it runs first in each group, unless it was deselected
            benchmark.extra_info["times_as_fast_as_numpy"] = group["numpy"] / group[backend]

    return record


def pytest_configure(config: pytest.Config) -> None:
    config.stash[SECONDS] = {}


@pytest.hookimpl(trylast=True)
def pytest_terminal_summary(
    terminalreporter: pytest.TerminalReporter, config: pytest.Config
) -> None:
    """One line for each group.

    Microseconds per step or row, and how many times as fast as NumPy.
    """
    groups = config.stash[SECONDS]
    if not groups:
        return
    terminalreporter.section("microseconds per step or row (times as fast as numpy)")
    width = max(map(len, groups))
    for group, seconds in groups.items():
        cells = [
            f"{name} {1e6 * value:.4g}" + _gain(seconds, name) for name, value in seconds.items()
        ]
        terminalreporter.write_line(
            f"{group:{width}}  " + "  ".join(f"{cell:24}" for cell in cells).rstrip()
        )


def _gain(seconds: dict[str, float], name: str) -> str:
    return (
        f" ({seconds['numpy'] / seconds[name]:.1f}x)"
        if "numpy" in seconds and name != "numpy"
        else ""
    )


@pytest.fixture(params=sorted(BACKENDS, key=lambda name: name != "numpy"))
def backend(request: pytest.FixtureRequest) -> str:
    """Each backend, the reference first."""
    return request.param


@pytest.fixture(scope="session", autouse=True)
def one_thread() -> Iterator[None]:
    """Everything is measured on one thread, BLAS's included."""
    with threadpool_limits(1):
        yield
