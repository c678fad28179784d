"""What of a result is kept?

``python -m benchmarks.peers.publish result.json``: docs/benchmarks.*, and the README's table.

The result goes to docs/benchmarks.json as it is, its tables to docs/benchmarks.md, the ratios of
each shape to docs/benchmarks.svg; the table of training steps goes to README.md, between the
comments that mark its place.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from statistics import geometric_mean, median
from typing import Any

from benchmarks.peers import tables
from benchmarks.shapes import ANCHORS

_ROOT = Path(__file__).parents[2]
_BEGIN, _END = "<!-- benchmark:begin -->", "<!-- benchmark:end -->"


def between_marks(text: str, new: str) -> str:
    """The text with what stands between the two marks replaced.

    Raises
    ------
    ValueError
        If the marks are not there, once each and in order.
    """
    before, begin, rest = text.partition(_BEGIN)
    _, end, after = rest.partition(_END)
    if not end or text.count(_BEGIN) != 1 or text.count(_END) != 1:
        raise ValueError(f"README.md must hold {_BEGIN} and, after it, {_END}, once each.")
    return f"{before}{begin}\n{new}\n{end}{after}"


def readme_table(result: dict[str, Any]) -> str:
    """Microseconds of a training step and how many times as long each peer takes.

    One line on when and where.
    """
    rows = [row for row in result["sections"]["steps"] if row["shape"] in ANCHORS]
    names = tables.peers(rows)
    body = []
    for row in rows:
        times = [f"{median(tables.ratios(row, name)):.1f}x" for name in names]
        body.append([tables.network(row), tables.time(median(row["seconds"]["fastnn"])), *times])
    for title, some in (
        ("geometric mean", rows),
        ("without tiny", [row for row in rows if row["shape"] != "tiny"]),
    ):
        means = [
            f"{geometric_mean([median(tables.ratios(row, name)) for row in some]):.1f}x"
            for name in names
        ]
        body.append([f"**{title}**", "", *means])
    about = result["about"]
    versions = ", ".join(
        f"{name} {about['versions'][name]}"
        for name in ("scikit-learn", "torch", "jax")
        if name in about["versions"]
    )
    return "\n\n".join(
        [
            "A training step (float32, ReLU, Adam) on one core, and how many times as long others"
            " take for the same one:",
            tables.table(["features-hidden-outputs, batch", "fastnn", *names], body),
            "![How many times as long as fastnn each peer takes, by shape](docs/benchmarks.svg)",
            f"Measured {about['date'][:10]} on {about['machine']} with {versions}, one process"
            " each, in turns,"
            " losses compared first. All tables, the method and what was lost:"
            " [docs/benchmarks.md](docs/benchmarks.md);"
            ' yours: `pip install -e ".[bench]" && python -m benchmarks.peers`.',
        ]
    )


def plot(result: dict[str, Any], path: Path) -> None:
    """Ratio of each peer by shape on a log axis; whiskers are the quartiles over the rounds."""
    import matplotlib
    from matplotlib import pyplot
    from matplotlib.ticker import FuncFormatter, NullFormatter

    matplotlib.rcParams["svg.hashsalt"] = "fastnn"  # the same file from the same result
    rows = [row for row in result["sections"]["steps"] if row["shape"] in ANCHORS]
    figure, axes = pyplot.subplots(figsize=(8, 4), layout="constrained")
    names = tables.peers(rows)
    for i, (name, marker) in enumerate(zip(names, "osD^vP", strict=False)):
        where = [
            k + 0.12 * (i - (len(names) - 1) / 2)
            for k, row in enumerate(rows)
            if name in row["seconds"]
        ]
        spread = [
            tables.quartiles(tables.ratios(row, name)) for row in rows if name in row["seconds"]
        ]
        low, middle, high = zip(*spread, strict=True)
        whiskers = [
            [m - a for m, a in zip(middle, low, strict=True)],
            [b - m for m, b in zip(middle, high, strict=True)],
        ]
        axes.errorbar(where, middle, whiskers, fmt=marker, markersize=5, capsize=2, label=name)
    axes.axhline(1, color="black", linewidth=1)
    axes.annotate("fastnn", (0.995, 1), xycoords=("axes fraction", "data"), ha="right", va="bottom")
    axes.set_yscale("log")
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}x"))
    axes.yaxis.set_minor_formatter(NullFormatter())
    axes.grid(axis="y", which="both", alpha=0.3)
    axes.set_xticks(
        range(len(rows)),
        [f"{row['shape']}\n{'-'.join(map(str, row['units']))}" for row in rows],
        fontsize=7,
    )
    axes.set_ylabel("time of a training step, fastnn = 1")
    figure.legend(ncols=len(names), loc="outside upper center", frameon=False)
    figure.savefig(path, metadata={"Date": None})
    pyplot.close(figure)


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.peers.publish", description=__doc__)
    parser.add_argument(
        "result",
        type=Path,
        help="what `python -m benchmarks.peers --json` wrote, with the section 'steps'",
    )
    result = json.loads(parser.parse_args().result.read_text())
    readme = _ROOT / "README.md"
    text = between_marks(readme.read_text(), readme_table(result))
    docs = _ROOT / "docs"
    docs.mkdir(exist_ok=True)
    (docs / "benchmarks.json").write_text(json.dumps(result, indent=1) + "\n")
    (docs / "benchmarks.md").write_text(f"# Benchmarks\n\n{tables.markdown(result)}")
    plot(result, docs / "benchmarks.svg")
    readme.write_text(text)


if __name__ == "__main__":
    main()
