"""Does a table with one spoilt cell end in anything but a sentence?

Run: python -m benchmarks.mutated_tables [N] [SEED].

Makes N files from a few tables in usual dress, each with one cell or a few bytes replaced by
something odd, and puts every one through reading, recognising and encoding: as a training table,
and as a later table of the unspoilt one. Prints how many were read and how many refused with a
`TableError`; any other exception is shown with its file, and the exit status is 1.
"""

from __future__ import annotations

import random
import sys
import tempfile
import warnings
from pathlib import Path

import numpy as np
import pandas as pd

from benchmarks.mutations import ODD, Outcomes, with_odd_bytes
from fastnn.tabular.encode import TableEncoder, features, targets, with_known_target
from fastnn.tabular.read import read_table
from fastnn.tabular.recognise import recognise
from fastnn.tabular.schema import TableError


def tables() -> list[tuple[pd.DataFrame, str, dict]]:
    """Return tables as text, each with its target and how it is written."""
    rng, n = np.random.default_rng(0), 60
    price = rng.uniform(1, 5000, n)
    messy = pd.DataFrame(
        {
            "id": np.arange(n),
            "price": [f"${value:,.2f}" for value in price],
            "size": rng.normal(size=n).round(3),
            "when": pd.date_range("2024-01-01", periods=n, freq="31h").strftime("%d.%m.%Y %H:%M"),
            "town": rng.choice(["Oslo", "Rome", 'a "b", c', "01"], n),
            "kind": np.where(price > 2500, "yes", "no"),
        }
    ).astype(str)
    plain = pd.DataFrame(rng.normal(size=(n, 3)).round(2), columns=list("abc"))
    plain["y"] = (plain["a"] * 3).round(1)
    comma = plain.astype(str).apply(lambda column: column.str.replace(".", ","))
    return [
        (messy, "kind", {}),
        (messy, "price", {"sep": ";"}),
        (plain.astype(str), "y", {}),
        (comma, "y", {"sep": ";"}),
    ]


def main(n: int, seed: int) -> int:
    """Try ``n`` files; return how many ended badly."""
    warnings.simplefilter("error")
    rng = random.Random(seed)
    outcomes = Outcomes()
    known = [(frame, target, how, recognise(frame, target)) for frame, target, how in tables()]
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "table.csv"
        for i in range(n):
            frame, target, how, schema = rng.choice(known)
            if rng.random() < 0.5:  # a cell, quoted as it must be
                spoilt = frame.copy()
                spoilt.iat[rng.randrange(len(frame)), rng.randrange(frame.shape[1])] = rng.choice(
                    ODD
                )
                raw = spoilt.to_csv(index=False, **how).encode()
            else:  # bytes, wherever they are
                raw = with_odd_bytes(rng, frame.to_csv(index=False, **how).encode())
            path.write_bytes(raw)
            for later in (False, True):
                try:
                    table = read_table(str(path))
                    by = schema if later else recognise(table, target)
                    table = with_known_target(by, table)
                    matrix = TableEncoder().fit_transform(features(by, table))
                    targets(by, table)
                    outcomes["read" if np.isfinite(matrix).all() else "not finite"] += 1
                except TableError:
                    outcomes["refused"] += 1
                except Exception:
                    outcomes.traceback(f"{i}, {'later' if later else 'training'}: {raw[:60]!r}")
    print(f"{n} files, seed {seed}: {outcomes}")
    return outcomes["traceback"] + outcomes["not finite"]


if __name__ == "__main__":
    arguments = [int(word) for word in sys.argv[1:]] + [5000, 0][len(sys.argv) - 1 :]
    sys.exit(bool(main(*arguments)))
