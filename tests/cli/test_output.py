"""Is what is printed complete, valid and as wide as the terminal; and is an error one line?"""

from __future__ import annotations

import atexit
import gc
import json
import os
import re
import subprocess
import sys

import numpy as np
import pytest
from support.homes import FIT_PLAIN, homes

import fastnn
from fastnn.cli import commands, main, output, terminal
from fastnn.cli.settings import Goal, Search, TableFile
from fastnn.persistence import load_model

FIT = [*FIT_PLAIN, "--epochs", "5"]
EXPLORE = ["explore", "homes.csv", "--target", "kind", "--objectives", "score,flops"]
EXPLORE += ["--trials", 3, "--cv", 2, "--jobs", 1, "--models", "plain"]


def strict(text):
    """Parse JSON that holds no NaN."""
    return json.loads(text, parse_constant=lambda name: pytest.fail(f"{name} is not JSON"))


def test_json_of_every_command(run):
    status, out, _ = run(*FIT, "--json")
    found = strict(out)
    assert status == 0 and (found["rows"], found["trained_on"], found["epochs"]) == (80, 64, 5)
    assert found["held_out"]["rows"] == 16 and 0 <= found["held_out"]["accuracy"] <= 1
    assert (found["numeric"], found["categorical"]) == (["size", "age"], ["town"])
    assert strict(run(*FIT, "--json", "--holdout", 0)[1])["held_out"] is None

    assert strict(run("evaluate", "m.skops", "homes.csv", "--json")[1])["rows"] == 80
    assert strict(run("info", "--json")[1])["versions"]["fastnn"] == fastnn.__version__
    assert strict(run("info", "m.skops", "--json")[1])["task"]["task"] == "binary"

    found = strict(run(*EXPLORE, "--choose", "score", "--json")[1])
    assert found["candidates"] == 3 and found["chosen"] in [c["candidate"] for c in found["front"]]
    best = max(found["front"], key=lambda c: c["score"])
    assert best["candidate"] == found["chosen"]
    assert isinstance(best["params"]["hidden_layer_sizes"], list) and best["flops"] > 0


def test_numbers_that_are_not_finite_are_null():
    value = {"a": float("nan"), "b": [np.inf, np.float32(0.5)], "c": np.array([1, 2]), "d": None}
    assert strict(output.as_json(value)) == {"a": None, "b": [None, 0.5], "c": [1, 2], "d": None}


def test_info_about_a_model_is_text(run):
    run(*FIT)
    out = run("info", "m.skops")[1]
    assert re.search(r"^task:\n  target +kind\n  task +binary$", out, re.M)
    assert re.search(r"^  classes +cheap, costly$", out, re.M)
    assert re.search(r"^  left out +none$", out, re.M)
    assert re.search(r"^  hidden +100$", out, re.M)


def test_quiet_leaves_the_results(run):
    status, out, err = run(*FIT, "--quiet")
    assert status == 0 and "saved" in out and err == ""


def test_verbose_says_every_epoch(run):
    err = run(*FIT, "--verbose")[2]
    losses = load_model("m.skops").model[-1].loss_curve_
    expected = [f"fastnn: epoch {i}, loss {loss:.8f}" for i, loss in enumerate(losses, 1)]
    assert err.splitlines()[:5] == expected and len(losses) == 5
    assert "epoch 1," not in run(*FIT)[2]


def test_the_commonest_failures_are_said_and_verbose_says_which_candidates_failed(run, monkeypatch):
    found = commands.explore(
        TableFile("homes.csv"),
        Goal("kind"),
        search=Search(trials=5, objectives=("score", "flops"), cv=2, jobs=1),
    ).search
    assert "failed" not in run(*EXPLORE)[2]
    failures = ["ValueError: it diverged", "too slow: 4 s", "", "too slow: 5 s", "KeyError: 'x'"]
    found.cv_results_["failure"] = np.array(failures, dtype=object)
    monkeypatch.setattr(type(found), "fit", lambda self, X, y: vars(self).update(vars(found)))
    reasons = "2 x too slow: 4 s; 1 x ValueError: it diverged; 1 x KeyError: 'x'"
    assert f"fastnn: note: 4 of 5 candidates failed: {reasons}\n" in run(*EXPLORE)[2]
    assert "candidate 3 failed" not in run(*EXPLORE)[2]
    assert "fastnn: candidate 3 failed: too slow: 5 s\n" in run(*EXPLORE, "--verbose")[2]


def test_no_garbage_is_collected_at_the_end(run, monkeypatch):
    at_exit = []
    monkeypatch.setattr(atexit, "register", at_exit.append)
    run("info")
    assert at_exit == [gc.freeze]


# ---- width


@pytest.fixture
def searched(folder):
    search = Search(trials=4, objectives=("score", "flops"), cv=2, jobs=1, models=("plain",))
    return commands.explore(TableFile("homes.csv"), Goal("kind"), search=search).search


@pytest.mark.parametrize("width", [72, 110, 160])
def test_the_front_fits_the_terminal(searched, width):
    free, fitting = output.front(searched), output.front(searched, width)
    assert max(map(len, free.splitlines())) > width >= max(map(len, fitting.splitlines()))
    assert sorted(free.split()) == sorted(fitting.split())  # nothing is lost


def test_the_width_is_the_terminals(monkeypatch, capsys):
    assert terminal.width() is None  # no terminal
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
    monkeypatch.setattr(sys.stdout, "fileno", lambda: 1)
    monkeypatch.setattr(os, "get_terminal_size", lambda _: os.terminal_size((97, 20)))
    assert terminal.width() == 97


# ---- encodings


@pytest.mark.parametrize("encoding", ["ascii", "cp1251"])
def test_no_encoding_loses_a_result(folder, encoding):
    frame = homes().drop(columns="price")
    frame["kind"] = frame["kind"].map({"cheap": "дёшево", "costly": "дорого"})
    frame.to_csv("homes.csv", index=False, encoding="utf-8")
    root = os.path.dirname(os.path.dirname(fastnn.__file__))
    environment = {**os.environ, "PYTHONPATH": root, "PYTHONIOENCODING": encoding}
    command = [sys.executable, "-m", "fastnn", *map(str, EXPLORE), "-o", "m.skops"]
    done = subprocess.run(
        [*command, "--report", "r.html"], env=environment, capture_output=True, timeout=120
    )
    assert done.returncode == 0, done.stderr
    assert os.path.exists("m.skops") and os.path.exists("r.html")
    out = done.stdout.decode(encoding)
    assert "* chosen" in out and "saved" in out
    label = "дёшево" if encoding == "cp1251" else r"\u0434\u0451\u0448\u0435\u0432\u043e"
    assert f"precision, recall, F1 of   {label}" in out


# ---- errors


def test_an_unexpected_exception_is_one_line(run, monkeypatch):
    def broken(*_, **__):
        raise KeyError("no\nsuch thing")

    monkeypatch.setattr(commands, "fit", broken)
    status, out, err = run(*FIT)
    assert (status, out) == (1, "")
    assert err == (
        "fastnn: error: unexpected KeyError: 'no\\nsuch thing'"
        " (a fault of fastnn: please report it with what --debug shows)\n"
    )
    status, _, err = run(*FIT, "--debug")
    assert status == 1 and "Traceback" in err and "in broken" in err


@pytest.mark.parametrize(
    ("error", "line"),
    [
        (ValueError("X is wrong.\nIt holds NaN."), "X is wrong. It holds NaN."),
        (MemoryError(), "there is not enough memory"),
        (OSError(5, "input/output error", "a.csv"), "a.csv: input/output error"),
        (RuntimeError(), "unexpected RuntimeError:  (a fault of fastnn"),
    ],
)
def test_errors_are_one_line(error, line):
    assert main._sentence(error).startswith(line) and "\n" not in main._sentence(error)


def test_an_unexpected_exception_names_the_model_file_that_was_read(run, monkeypatch):
    monkeypatch.setattr(commands, "info", lambda _: {}["no"])
    assert run("info", "m.skops") == (
        1,
        "",
        "fastnn: error: unexpected KeyError: 'no' (m.skops is damaged, if it is not as fastnn wrote"
        " it; else a fault of fastnn: please report it with what --debug shows)\n",
    )


@pytest.mark.parametrize(
    "command", ["fit", "predict", "evaluate", "export", "explore", "demo", "info"]
)
def test_a_wrong_option_shows_the_usage_of_its_command(run, command):
    needed = {
        "fit": ["homes.csv", "--target", "kind", "-o", "m"],
        "predict": ["m", "homes.csv"],
        "evaluate": ["m", "homes.csv"],
        "export": ["m", "-o", "m.c"],
        "explore": ["homes.csv", "--target", "kind"],
    }.get(command, [])
    status, _, err = run(command, *needed, "--nonsense")
    assert status == 2 and err.startswith(f"usage: fastnn {command} ")
    assert f"fastnn {command}: error: unrecognized arguments: --nonsense" in err
