"""The command line: which sections, on which cores, against whom.

Markdown to the screen, everything to JSON.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import sys
from datetime import UTC, datetime
from pathlib import Path
from time import perf_counter
from typing import Any

from benchmarks.calibrator import TOLERANCE, Calibrator
from benchmarks.peers import tables
from benchmarks.peers.sections import CHECK_EPOCHS, NEED_TWO_CORES, SECTIONS, SHAPES, Bench
from benchmarks.peers.sections import TOLERANCE as LOSS_TOLERANCE
from benchmarks.peers.worker import PEERS


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.peers", description=__doc__)
    peers = list(PEERS)[1:]
    several: dict[str, Any] = {"nargs": "+", "metavar": "NAME"}
    parser.add_argument(
        "--sections", choices=SECTIONS, default=list(SECTIONS), help=", ".join(SECTIONS), **several
    )
    parser.add_argument(
        "--shapes", choices=SHAPES, default=list(SHAPES), help=", ".join(SHAPES), **several
    )
    parser.add_argument("--peers", choices=peers, default=peers, help=", ".join(peers), **several)
    parser.add_argument(
        "--backend", choices=["cython", "numba", "numpy"], default="cython", help="fastnn's"
    )
    parser.add_argument(
        "--cores", type=int, nargs="+", help="where to run; the first two there are, unless told"
    )
    parser.add_argument("--rounds", type=int, default=11, help="how often each peer's turn comes")
    parser.add_argument(
        "--seconds", type=float, default=0.1, help="what one block of one peer takes, about"
    )
    parser.add_argument(
        "--quick", action="store_true", help="3 rounds of short blocks, to see that it works"
    )
    parser.add_argument("--json", type=Path, help="where to keep the result")
    chosen = parser.parse_args()
    if chosen.quick:
        chosen.rounds, chosen.seconds = 3, 0.03

    cores = (chosen.cores or sorted(os.sched_getaffinity(0)))[:2]
    os.sched_setaffinity(0, cores[:1])  # the calibrator must run where the work does
    start = perf_counter()
    bench = Bench(
        cores=cores,
        shapes=chosen.shapes,
        peers=chosen.peers,
        rounds=chosen.rounds,
        seconds=chosen.seconds,
        backend=chosen.backend,
        calibrator=Calibrator(),
        say=lambda text: print(
            f"[{perf_counter() - start:6.1f} s] {text}", file=sys.stderr, flush=True
        ),
    )
    result: dict[str, Any] = {"about": {}, "skipped": bench.absent, "sections": {}}
    for name in chosen.sections:
        if name in NEED_TWO_CORES and len(bench.cores) < 2:
            result["skipped"][f"section {name}"] = f"needs two cores, got {bench.cores}"
            continue
        result["sections"][name] = SECTIONS[name](bench)
        result["about"] = _about(bench, perf_counter() - start)
        if (
            chosen.json
        ):  # after each section, so that a long run that ends early has not been for nothing
            chosen.json.write_text(json.dumps(result, indent=1))
    print(tables.markdown(result))


def _about(bench: Bench, seconds: float) -> dict[str, Any]:
    """The machine, the versions, and how it was measured."""
    return {
        "date": datetime.now(UTC).isoformat(timespec="minutes"),
        "machine": _processor(),
        "platform": platform.platform(),
        "python": platform.python_version(),
        "versions": bench.versions,
        "backend": bench.backend,
        "cores": list(bench.cores),
        "threads": "1 for everybody, but 2 where a table says so",
        "peak_gflops": {dtype: bench.calibrator.gflops(dtype) for dtype in ("float32", "float64")},
        "rounds": bench.rounds,
        "block_seconds": bench.seconds,
        "blocks_rejected": bench.calibrator.rejected,
        "blocks_unsteady": bench.calibrator.unsteady,
        "peak_tolerance": TOLERANCE,
        "loss_tolerance": LOSS_TOLERANCE,
        "loss_compared_after_epochs": CHECK_EPOCHS,
        "seconds_in_all": seconds,
    }


def _processor() -> str:
    """The processor's name and its widest vectors, as the kernel reports them."""
    fields = {}
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        name, _, value = line.partition(":")
        fields.setdefault(name.strip(), value.strip())
    flags = fields.get("flags", "").split()
    widest = next(
        (flag for flag in ("avx512f", "avx2", "avx") if flag in flags), platform.machine()
    )
    return (
        f"{fields.get('model name', 'unknown')} (family {fields.get('cpu family')}, model"
        f" {fields.get('model')}), {widest}"
    )


if __name__ == "__main__":
    main()
