"""Does a spoilt file of ours end in anything but a sentence? `python -m benchmarks.mutated_files`.

Optional arguments: N (files), SEED. Each file is a model file, a checkpoint or the journal of a
search with a few bytes replaced by something odd: anywhere, or within one member of an archive,
which is then packed anew. A model that loads must predict, and goes through another command that
reads one. What is wrong must be said in one line: another exception, a crash, ten seconds without
an end, or memory grown by more than 200 MB is shown with its file, and the exit status is 1.
"""

from __future__ import annotations

import contextlib
import io
import multiprocessing
import os
import random
import resource
import signal
import sys
import tempfile
import warnings
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from benchmarks.mutations import Outcomes, with_odd_bytes
from fastnn import (
    MLPClassifier,
    MLPRegressor,
    TabularClassifier,
    TabularRegressor,
    TradeoffSearchCV,
)
from fastnn.callbacks import Checkpoint
from fastnn.cli.main import main as fastnn
from fastnn.persistence import save_model
from fastnn.tabular.encode import TableColumns, features, table_model, targets
from fastnn.tabular.model import TableModel
from fastnn.tabular.options import TypeOptions
from fastnn.tabular.recognise import recognise
from fastnn.training.checkpoint import CheckpointError

MAX_GROWTH = 200 * 2**20
SECONDS = 10  # for one file
AT_A_TIME = 1000  # files in one process
DAMAGED = "is damaged, if it is not as fastnn wrote it"
NUMBERS = ["0", "-1", "1", "1e9", "1e400", "null", "true", "NaN", '"x"', "[]", "{}", "9" * 25]


def table() -> pd.DataFrame:
    """Numbers, dates, categories, two of them or more, a class and a price; some are missing."""
    rng = np.random.default_rng(0)
    size, town = rng.normal(100, 20, 60).round(1), rng.choice(["Oslo", "Rome", "Lima"], 60)
    built = pd.Series(pd.date_range("2001-01-01", periods=60, freq="33D")).dt.strftime("%d.%m.%Y")
    new = rng.choice(["yes", "no"], 60)
    kind, price = np.where(size > 100, "big", "small"), 3 * size
    size[::9], town[5] = np.nan, ""
    return pd.DataFrame(
        {"size": size, "built": built, "town": town, "new": new, "kind": kind, "price": price}
    )


def seeds(folder: Path) -> dict[str, tuple[bytes, Callable[[Path], str]]]:
    """The files that are spoilt, each with what reads it; that returns how it ended."""
    found: dict[str, tuple[bytes, Callable[[Path], str]]] = {}
    path, frame = folder / "seed", table()
    frame.to_csv(folder / "table.csv", index=False)
    small: dict[str, Any] = {"hidden_layer_sizes": (4,), "max_iter": 3}
    bag: dict[str, Any] = {"preset": "fast", "n_members": 2, "n_bins": 4, **small}
    for name, target, left_out, network, encoder in (
        ("classifier", "kind", ["price"], MLPClassifier(**small), None),
        ("regressor", "price", ["kind"], MLPRegressor(**small), None),
        ("bag of classes", "kind", ["price"], TabularClassifier(**bag), TableColumns()),
        ("bag of numbers", "price", ["kind"], TabularRegressor(**bag), TableColumns()),
        ("numbers alone", "kind", ["built", "town", "new"], MLPClassifier(**small), None),
    ):
        if name == "numbers alone":
            frame = frame.fillna(100.0)  # such a network can be exported
        schema = recognise(frame, target, TypeOptions(drop=left_out))
        model = table_model(schema, network, encoder, log_target=False)
        model.fit(features(schema, frame), targets(schema, frame))
        save_model(path, TableModel(model, schema, {"rows": len(frame)}))
        found[name] = path.read_bytes(), through_the_command_line
    path.unlink()
    resume(path)
    found["checkpoint"] = path.read_bytes(), resume
    path.unlink()
    search(path)
    found["storage"] = path.read_bytes(), search
    return found


def through_the_command_line(path: Path) -> str:
    """Of a model file: predict; where that ends well, one of the other things to do with it."""
    rows = str(path.with_name("table.csv"))
    if not ending("predict", str(path), rows, "--append", "--quiet"):
        return "refused"
    words = random.Random(path.read_bytes()).choice(
        [
            ("predict", str(path), rows, "--proba"),
            ("evaluate", str(path), rows),
            ("info", str(path)),
            ("export", str(path), "-o", f"{path}.c"),
            ("export", str(path), "-o", f"{path}.onnx"),
        ]
    )
    return "loaded" if ending(*words, "--quiet") is not None else "loaded, then called damaged"


def ending(*words: str) -> bool | None:
    """Whether a command ends well; None if its one line calls the file damaged."""
    status, said = outcome(*words)
    if status and (said.count("\n") > 1 or ("error: unexpected" in said and DAMAGED not in said)):
        raise AssertionError(outcome(*words, "--debug")[1][-3000:])
    return None if DAMAGED in said else not status


def outcome(*words: str) -> tuple[int, str]:
    """The status of a command, and what it says on standard error."""
    said = io.StringIO()
    with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(said):
        return fastnn(words), said.getvalue()


def resume(path: Path) -> str:
    """A fit that goes on from the checkpoint, if that is whole."""
    X = np.random.default_rng(0).normal(size=(40, 3))
    network = MLPClassifier((4,), max_iter=3, random_state=0, early_stopping=True)
    try:
        network.set_callbacks(Checkpoint(path)).fit(X, X[:, 0] > 0)
    except CheckpointError as error:
        return one_line(error)
    return "loaded"


def search(path: Path) -> str:
    """A search that goes on from its storage."""
    X = np.random.default_rng(0).normal(size=(40, 3))
    own = TradeoffSearchCV(
        MLPClassifier(hidden_layer_sizes=(2,), max_iter=2),
        {"alpha": [1e-4, 1e-2]},
        objectives=("score",),
        cv=2,
        n_trials=2,
        refit=False,
        random_state=0,
        storage=path,
    )
    try:
        own.fit(X, X[:, 0] > 0)
    except ValueError as error:
        if "storage=" not in str(error):
            raise
        return one_line(error)
    return "loaded"


def one_line(error: Exception) -> str:
    """'refused'; AssertionError if more than a line says why."""
    assert "\n" not in str(error), f"more than one line: {error!s:.200}"
    return "refused"


def spoilt(rng: random.Random, raw: bytes) -> bytes:
    """``raw`` with something odd: anywhere, or in one member of an archive."""
    if not raw.startswith(b"PK") or rng.random() < 0.3:
        return with_odd_number(rng, raw) if rng.random() < 0.5 else with_odd_bytes(rng, raw)
    written = io.BytesIO()
    with (
        zipfile.ZipFile(io.BytesIO(raw)) as archive,
        zipfile.ZipFile(written, "w", rng.choice([zipfile.ZIP_STORED] * 3 + [8])) as packed,
    ):
        names = archive.namelist()
        chosen = rng.choice([rng.choice(names), names[-1]])
        for name in names:
            member = archive.read(name)
            if name == chosen:
                way = rng.choice([with_odd_number, with_odd_bytes, with_odd_shape])
                member = way(rng, member)
            if name != chosen or rng.random() < 0.97:
                packed.writestr(name, member)
    return written.getvalue()


def with_odd_number(rng: random.Random, raw: bytes) -> bytes:
    """Another JSON value for one of its numbers or words, if there are any."""
    places = [i for i, byte in enumerate(raw) if byte in b":," and i + 1 < len(raw)]
    if not places:
        return with_odd_bytes(rng, raw)
    start = rng.choice(places) + 1
    ends = [end for end in (raw.find(mark, start) for mark in b",}]") if end > 0]
    return raw[:start] + rng.choice(NUMBERS).encode() + raw[min(ends, default=start) :]


def with_odd_shape(rng: random.Random, raw: bytes) -> bytes:
    """An array file with another shape or type, if it is one; zeros by the million otherwise."""
    if not raw.startswith(b"\x93NUMPY"):
        start = rng.randrange(len(raw))
        return raw[:start] + b"0" * rng.choice([10**4, 10**7]) + raw[start:]
    shape = rng.choice(["()", "(1,)", "(3, 5)", "(1000000000000,)", "(-1,)", "(2000000000, 2)"])
    kind = rng.choice(["<f8", "<f4", "<i8", "|O", "|V0", "<U1000000", "|u1"])
    header = f"{{'descr': '{kind}', 'fortran_order': False, 'shape': {shape}, }}".ljust(117) + "\n"
    return raw[:8] + len(header).to_bytes(2, "little") + header.encode() + raw[128:]


def attempt(todo: range, seed: int, folder: Path, channel) -> None:
    """In a process of its own: put each file to the test, and say so before and after."""
    warnings.simplefilter("ignore")
    files = seeds(folder)
    path = folder / "spoilt"
    for name, (raw, read) in files.items():
        path.write_bytes(raw)
        assert read(path) == "loaded", f"{name} is refused though nothing is spoilt"
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    outcomes = Outcomes()
    for i in todo:
        rng = random.Random(f"{seed} {i}")
        name = rng.choice([kind for kind in files for _ in range(1 if kind == "storage" else 8)])
        raw, read = files[name]
        content = spoilt(rng, raw)
        path.write_bytes(content)
        channel.send((i, name))
        signal.alarm(SECONDS)
        try:
            with contextlib.redirect_stderr(io.StringIO()):
                outcomes[f"{name} {read(path)}"] += 1
        except Exception:
            outcomes.traceback(f"file {i}, {name}, of {len(content)} bytes")
        signal.alarm(0)
        grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 - before
        if grown > MAX_GROWTH:
            print(f"--- file {i}, {name}: memory has grown by {grown / 2**20:.0f} MB")
            outcomes["grown"] += 1
            before += grown
    channel.send(dict(outcomes))


def main(n: int, seed: int) -> int:
    """Try ``n`` files; return how many ended badly."""
    outcomes, start = Outcomes(), 0
    context = multiprocessing.get_context("spawn")
    while start < n:
        with tempfile.TemporaryDirectory() as folder:
            here, there = context.Pipe(duplex=False)
            todo = range(start, min(n, start + AT_A_TIME))
            process = context.Process(target=attempt, args=(todo, seed, Path(folder), there))
            process.start()
            there.close()
            said = None
            with contextlib.suppress(EOFError):
                while not isinstance(said, dict):
                    said = here.recv()
            process.join()
        if isinstance(said, dict):
            outcomes.update(said)
            start = todo.stop
        else:  # its counts are lost, but not what ended it
            last, name = said or (todo.stop - 1, "the seeds")
            outcomes["crash or hang"] += 1
            print(f"--- file {last}, {name}: the process ended with {process.exitcode}")
            start = last + 1
        print(f"{start} files: {outcomes}", flush=True)
    print(f"{n} files, seed {seed}: {outcomes}")
    return sum(outcomes[bad] for bad in ("traceback", "grown", "crash or hang"))


if __name__ == "__main__":
    os.environ.setdefault("OMP_WAIT_POLICY", "passive")
    arguments = [int(word) for word in sys.argv[1:]] + [2000, 0][len(sys.argv) - 1 :]
    sys.exit(bool(main(*arguments)))
