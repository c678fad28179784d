"""How does a result read? Markdown from the JSON of a run, and from nothing else."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from statistics import geometric_mean, median, quantiles
from typing import Any

from benchmarks.shapes import ANCHORS


def markdown(result: dict[str, Any]) -> str:
    """All tables of a run, and under which conditions they were measured."""
    parts = [conditions(result)]
    for name, rows in result["sections"].items():
        title, table = _TABLES[name]
        parts += [f"## {title}", table(rows)]
    return "\n\n".join(parts) + "\n"


def conditions(result: dict[str, Any]) -> str:
    """Machine, versions, threads, method, and who was not there."""
    about = result["about"]
    versions = ", ".join(f"{name} {version}" for name, version in sorted(about["versions"].items()))
    tolerance = ", ".join(
        f"{value:g} in {dtype}" for dtype, value in about["loss_tolerance"].items()
    )
    lines = [
        f"* {about['date']}, {about['machine']}, cores {about['cores']}; peak of one core in an"
        " FMA loop:"
        f" {about['peak_gflops']['float32']:.0f} GFLOP/s in float32,"
        f" {about['peak_gflops']['float64']:.0f} in float64",
        f"* Python {about['python']}, {versions}; fastnn's backend: {about['backend']}",
        f"* threads: {about['threads']}; one process for each peer, pinned, {about['rounds']}"
        " rounds in random order",
        f"* medians; {about['blocks_rejected']} blocks measured again because the peak moved, or"
        " others took the core,"
        f" by more than {about['peak_tolerance']:.0%}; {about['blocks_unsteady']} blocks never"
        " steady and kept",
        f"* losses after {about['loss_compared_after_epochs']} epochs agree within {tolerance}",
    ]
    return "\n".join(
        lines + [f"* not measured: {name} ({reason})" for name, reason in result["skipped"].items()]
    )


def ratios(row: dict[str, Any], peer: str, ours: str = "fastnn") -> list[float]:
    """How many times as long as fastnn the peer took, in each round."""
    seconds = row["seconds"]
    return [theirs / mine for theirs, mine in zip(seconds[peer], seconds[ours], strict=True)]


def quartiles(values: Sequence[float]) -> list[float]:
    """The first, the median and the third; one value is all three."""
    return quantiles(values, n=4, method="inclusive") if len(values) > 1 else [values[0]] * 3


def peers(rows: Sequence[dict[str, Any]]) -> list[str]:
    return list(dict.fromkeys(name for row in rows for name in row["seconds"] if name != "fastnn"))


def share_of_peak(row: dict[str, Any]) -> float:
    """Useful FLOPs over what the core could have done in the same time."""
    return row["step_flops"] / median(row["seconds"]["fastnn"]) / (row["peak_gflops"] * 1e9)


def table(head: Sequence[str], body: Iterable[Sequence[str]]) -> str:
    lines = [head, ["---", *["--:"] * (len(head) - 1)], *body]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def network(row: dict[str, Any]) -> str:
    return f"{row['shape']} {'-'.join(map(str, row['units']))}, {row['batch']}"


def time(seconds: float) -> str:
    """Three digits in the unit that suits."""
    for unit, factor in (("s", 1), ("ms", 1e3), ("us", 1e6)):
        if seconds * factor >= 1 or unit == "us":
            return (
                f"{seconds * factor:.3g} {unit}"
                if seconds * factor < 1000
                else f"{seconds * factor:.0f} {unit}"
            )


def against(row: dict[str, Any], names: Sequence[str]) -> list[str]:
    """For each peer its time and how many times fastnn's that is."""
    cells = []
    for name in names:
        if name in row["seconds"]:
            cells.append(f"{time(median(row['seconds'][name]))} ({median(ratios(row, name)):.2f}x)")
        else:
            cells.append("-")
    return cells


def steps(rows: Sequence[dict[str, Any]]) -> str:
    """Times and ratios by shape, their means, and what was won and lost."""
    names = peers(rows)
    body = [
        [
            network(r),
            time(median(r["seconds"]["fastnn"])),
            f"{share_of_peak(r):.0%}",
            *against(r, names),
        ]
        for r in rows
    ]
    anchors = [row for row in rows if row["shape"] in ANCHORS]
    for title, some in (
        (f"geometric mean of {len(anchors)}", anchors),
        ("without tiny", [row for row in anchors if row["shape"] != "tiny"]),
    ):
        if some:
            means = [
                f"{geometric_mean([median(ratios(row, name)) for row in some]):.2f}x"
                for name in names
            ]
            body.append([f"**{title}**", "", "", *means])
    return "\n\n".join(
        [
            table(["network, batch", "fastnn", "of peak", *names], body),
            won_and_lost(rows, lambda row: row["shape"]),
        ]
    )


def won_and_lost(rows: Sequence[dict[str, Any]], label: Callable[[dict[str, Any]], str]) -> str:
    """Every contest, the lost ones as plainly as the won.

    Undecided are those whose quartiles hold 1.
    """
    outcomes: dict[str, dict[str, list[str]]] = {"won": {}, "lost": {}, "undecided": {}}
    for row in rows:
        for name in peers([row]):
            low, _, high = quartiles(ratios(row, name))
            outcome = "won" if low > 1 else "lost" if high < 1 else "undecided"
            outcomes[outcome].setdefault(name, []).append(f"{label(row)} {low:.2f}-{high:.2f}x")
    lines = ["Quartiles of the ratio over the rounds:", ""]
    for outcome, by_peer in outcomes.items():
        contests = "; ".join(f"against {name}: {', '.join(some)}" for name, some in by_peer.items())
        lines.append(
            f"* {outcome} {sum(map(len, by_peer.values()))}{': ' if contests else ''}{contests}"
        )
    return "\n".join(lines)


def _peak(rows: Sequence[dict[str, Any]]) -> str:
    by_shape: dict[str, dict[tuple[str, str], dict[str, Any]]] = {}
    for row in rows:
        by_shape.setdefault(network(row), {})[row["dtype"], row["activation"]] = row
    body = []
    for name, variants in by_shape.items():
        relu = variants["float32", "relu"]
        shares = [
            f"{share_of_peak(variants[dtype, 'relu']):.0%}" for dtype in ("float32", "float64")
        ]
        slower = []
        for activation in ("tanh", "logistic"):
            other = variants["float32", activation]["seconds"]["fastnn"]
            slower.append(f"{median(other) / median(relu['seconds']['fastnn']) - 1:+.0%}")
        body.append([name, *shares, *slower])
    head = [
        "network, batch",
        "ReLU float32, of peak",
        "ReLU float64, of its peak",
        "tanh: time beside ReLU",
        "logistic",
    ]
    return table(head, body)


def _bfloat16(rows: Sequence[dict[str, Any]]) -> str:
    names = peers(rows)
    body = [
        [
            network(r),
            time(median(r["seconds"]["fastnn"])),
            time(median(r["float32_seconds"])),
            *against(r, names),
        ]
        for r in rows
    ]
    head = ["network, batch", "fastnn bfloat16", "fastnn float32", *names]
    return "\n\n".join([table(head, body), won_and_lost(rows, lambda row: row["shape"])])


def _fits(rows: Sequence[dict[str, Any]]) -> str:
    names = peers(rows)

    def label(row: dict[str, Any]) -> str:
        return f"{row['dataset']} {row['dtype']}"

    body = [
        [
            label(r),
            str(r["ends"]["fastnn"]["n_iter"]),
            time(median(r["seconds"]["fastnn"])),
            *against(r, names),
        ]
        for r in rows
    ]
    for dtype in ("float64", "float32"):
        means = [
            f"{geometric_mean([median(ratios(r, name)) for r in rows if r['dtype'] == dtype]):.2f}x"
            for name in names
        ]
        body.append([f"**geometric mean, {dtype}**", "", "", *means])
    return "\n\n".join(
        [table(["data set", "epochs", "fastnn", *names], body), won_and_lost(rows, label)]
    )


def _predict(rows: Sequence[dict[str, Any]]) -> str:
    names = peers(rows)

    def label(row: dict[str, Any]) -> str:
        return (
            f"{row['network']}, {row['method']}, {row['rows']:,}"
            f" row{'s' if row['rows'] > 1 else ''}"
        )

    body = [
        [label(row), time(median(row["seconds"]["fastnn"])), *against(row, names)] for row in rows
    ]
    return "\n\n".join([table(["what", "fastnn", *names], body), won_and_lost(rows, label)])


def _threads(rows: Sequence[dict[str, Any]]) -> str:
    body = []
    for row in rows:
        one, two = (median(row["seconds"][name]) for name in ("1 thread", "2 threads"))
        body.append(
            [
                network(row),
                time(one),
                time(two),
                f"{median(ratios(row, '1 thread', '2 threads')):.2f}x",
            ]
        )
    return (
        table(["network, batch", "1 thread", "2 threads", "faster"], body)
        + "\n\nThe weights are the same to the bit."
    )


def _models(rows: Sequence[dict[str, Any]]) -> str:
    body = []
    for row in rows:
        one, two = (median(row["seconds"][name]) for name in ("n_jobs=1", "n_jobs=2"))
        body.append(
            [
                row["peer"],
                time(one),
                time(two),
                f"{median(ratios(row, 'n_jobs=1', 'n_jobs=2')):.2f}x",
            ]
        )
    return table(
        ["GridSearchCV, 24 fits, threading backend", "n_jobs=1", "n_jobs=2", "faster"], body
    )


def _memory(rows: Sequence[dict[str, Any]]) -> str:
    body = []
    for row in rows:
        megabytes = [f"{row[name] / 1e6:.0f} MB" for name in ("file", "before", "peak")]
        body.append(
            [row["peer"], *megabytes, f"{row['peak'] / row['file']:.0%}", time(row["seconds"])]
        )
    return table(
        [
            "one epoch over a memory map",
            "file",
            "anonymous before",
            "at its peak",
            "of the file",
            "time",
        ],
        body,
    )


def _size(rows: Sequence[dict[str, Any]]) -> str:
    (row,) = rows
    imports = [
        f"* `{code}` after `import sklearn.base`: {time(median(values))}"
        for code, values in row["imports"].items()
    ]
    wheel = "not built" if row["wheel_bytes"] is None else f"{row['wheel_bytes'] / 1e6:.2f} MB"
    return "\n".join([*imports, f"* wheel: {wheel}"])


_TABLES = {
    "steps": ("Training step, float32, ReLU, Adam, one core", steps),
    "bfloat16": ("Training step in bfloat16, ReLU, Adam, one core", _bfloat16),
    "peak": ("Share of the core's peak", _peak),
    "fits": ("Whole fits on scikit-learn's data sets, default parameters, one core", _fits),
    "predict": ("Prediction, float32, one core", _predict),
    "threads": ("Two threads", _threads),
    "models": ("Many models at once", _models),
    "memory": ("Memory", _memory),
    "sparse": ("Sparse input, float32, one core", steps),
    "size": ("Import and wheel", _size),
}
