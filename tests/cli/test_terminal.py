"""Does the program behave in a terminal: progress, Ctrl-C, a reader that leaves?"""

from __future__ import annotations

import io
import os
import re
import signal
import subprocess
import sys
from types import SimpleNamespace

import pytest
from support.homes import FIT_PLAIN, homes, pd

import fastnn
from fastnn.cli import terminal, training_table
from fastnn.cli.terminal import Candidates, Epochs, Status, Terminal, write
from fastnn.training.callbacks import watched_by


class InterruptingAt:
    """Presses Ctrl-C after an epoch."""

    def __init__(self, epoch):
        self.epoch = epoch

    def on_pass_end(self, loop):
        if loop.n_iter == self.epoch:
            signal.raise_signal(signal.SIGINT)


# ---- Ctrl-C


def test_ctrl_c_in_fit_saves_what_was_trained(run):
    before = signal.getsignal(signal.SIGINT)
    with watched_by(InterruptingAt(3)):
        status, out, err = run(
            *["fit", "homes.csv", "--target", "kind", "--network", "plain", "-o", "m.skops"]
        )
    assert status == 130 and signal.getsignal(signal.SIGINT) is before
    assert "Training interrupted by user." in err
    assert re.search(r"^trained +on 64 rows, 3 epochs", out, re.M)
    assert run("predict", "m.skops", "homes.csv")[0] == 0


def test_ctrl_c_before_anything(run, monkeypatch):
    monkeypatch.setattr(training_table, "read", lambda *_: signal.raise_signal(signal.SIGINT))
    status, out, err = run("fit", "homes.csv", "--target", "kind", "-o", "m.skops")
    assert (status, out, err) == (130, "", "fastnn: interrupted\n")
    assert not os.path.exists("m.skops")


# ---- progress


def test_a_status_line():
    assert Status("reading").line(61.0) == "reading  1:01"
    assert Status("training", share=0.5).line(3) == f"training  [{'#' * 12}{'-' * 12}]  0:03"
    assert Status("exploring", seconds=60.0).line(15) == f"exploring  [{'#' * 6}{'-' * 18}]  0:15"
    assert "#" * 24 in Status("exploring", seconds=60.0).line(70)


def test_epochs_move_the_status(capsys):
    status = Status("training")
    watch = Epochs(status, 8, Terminal(verbose=True))
    loop = SimpleNamespace(n_iter=2, losses=[0.7, 0.61234], validation_losses=[0.8, 0.75])
    assert watch.on_pass_end(loop) is None
    assert (status.text, status.share) == ("training, loss 0.6123", 0.25)
    assert capsys.readouterr().err == "fastnn: epoch 2, loss 0.61234000, held out 0.75000000\n"


@pytest.mark.parametrize(("n_trials", "share"), [(4, 0.25), (None, None)])
def test_candidates_move_the_status(n_trials, share):
    status = Status("exploring")
    count = Candidates(status, n_trials)

    def task(name, parent="search"):
        return SimpleNamespace(task_name=name, parent=SimpleNamespace(task_name=parent))

    count.on_fit_task_end(None, task("fold", "candidate"))
    count.on_fit_task_end(None, task("candidate", "measure-front"))
    assert (status.text, status.share) == ("exploring", None)
    count.on_fit_task_end(None, task("candidate"))
    assert (status.text, status.share) == ("exploring, 1 candidates", share)
    count.on_fit_task_begin(None, task("measure-front"))
    assert status.text == "measuring the front"


def test_the_same_note_is_printed_once(capsys):
    reporter = Terminal()
    for note in ("one", "two", "one"):
        reporter.note(note)
    assert capsys.readouterr().err == "fastnn: note: one\nfastnn: note: two\n"


def test_without_a_terminal_nothing_is_drawn(capsys):
    reporter = Terminal()
    with reporter.busy("reading"), reporter.training(3):
        reporter.note("a column is left out")
    assert capsys.readouterr() == ("", "fastnn: note: a column is left out\n")


def test_a_note_takes_the_place_of_the_line(monkeypatch):
    class Screen(io.StringIO):
        def isatty(self):
            return True

        def fileno(self):
            return 2

    screen = Screen()
    monkeypatch.setattr(sys, "stderr", screen)
    monkeypatch.setattr(os, "get_terminal_size", lambda _: os.terminal_size((12, 20)))
    monkeypatch.setattr(terminal, "SECONDS_BETWEEN_DRAWINGS", 60)
    reporter = Terminal()
    with reporter.busy("reading homes.csv"):
        reporter.note("a column is left out")
    line, blank = "\rreading hom", "\r" + " " * 11 + "\r"  # 12 would start a new line
    assert screen.getvalue() == (
        line + blank + "fastnn: note: a column is left out\n" + line + blank
    )


@pytest.fixture
def in_a_terminal():
    """Run ``python -m fastnn`` with standard error in a pseudo-terminal.

    Returns exit status, standard output and what the terminal got.
    """
    pty = pytest.importorskip("pty", reason="needs a pseudo-terminal")

    def run(*argv):
        ours, theirs = pty.openpty()
        process = python_m_fastnn(*argv, stdout=subprocess.PIPE, stderr=theirs)
        os.close(theirs)
        shown = b""
        while True:
            try:
                shown += os.read(ours, 4096)
            except OSError:  # the other end is closed
                break
        os.close(ours)
        out = process.stdout.read().decode()
        process.stdout.close()
        return process.wait(60), out, shown.decode()

    return run


def test_progress_is_shown_in_a_terminal_and_leaves_its_line_free(folder, in_a_terminal):
    argv = [*FIT_PLAIN, "--epochs", "20"]
    status, out, shown = in_a_terminal(*argv)
    assert status == 0 and "saved" in out and "reading" not in out
    assert "\rreading homes.csv  0:00" in shown and "\rtraining" in shown
    assert re.search(r"\r +\r\rtraining", shown)
    drawn, _, note = shown.partition("fastnn: note: ")
    assert re.search(r"\r +\r$", drawn) and note.startswith("Maximum iterations (20)")


def test_progress_shows_the_loss(folder, in_a_terminal):
    argv = [*FIT_PLAIN, "--epochs", "20"]
    assert re.search(r"training, loss \d\.\d{4}  \[#{24}\]", in_a_terminal(*argv)[2])


# ---- output


@pytest.mark.parametrize(
    ("encoding", "expected"),
    [
        ("utf-8", "8 \N{MULTIPLICATION SIGN} 4 ± µ R² Омск"),
        ("ascii", r"8 x 4 +- u R2 \u041e\u043c\u0441\u043a"),
        ("cp1251", "8 x 4 ± µ R2 Омск"),
    ],
)
def test_no_encoding_fails(encoding, expected, monkeypatch):
    stream = io.TextIOWrapper(io.BytesIO(), encoding=encoding)
    monkeypatch.setattr(sys, "stdout", stream)
    write("8 \N{MULTIPLICATION SIGN} 4 ± µ R² Омск")
    assert stream.buffer.getvalue().decode(encoding) == expected + "\n"


def python_m_fastnn(*argv, options=(), **settings):
    root = os.path.dirname(os.path.dirname(fastnn.__file__))
    environment = {**os.environ, "PYTHONPATH": root}
    command = [sys.executable, *options, "-m", "fastnn", *argv]
    return subprocess.Popen(command, env=environment, **settings)


def test_a_prediction_imports_what_it_needs_and_no_more(run):
    run("fit", "homes.csv", "--target", "kind", "-o", "m.skops", "--epochs", 5)
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    argv = ("predict", "m.skops", "homes.csv")
    process = python_m_fastnn(*argv, options=["-X", "importtime"], **pipes)
    out, err = process.communicate(timeout=60)
    imported = {line.split()[-1] for line in err.decode().splitlines() if line[:6] == "import"}
    assert out.startswith(b"kind") and {"pandas", "fastnn.estimators.mlp"} <= imported
    # what takes long and is for other commands, or for functions that predicting does not call
    heavy = "optuna numba matplotlib skops scipy.stats._stats_py sklearn.metrics onnx torch"
    assert not imported & set(heavy.split())


def test_a_reader_that_leaves_is_no_disaster(run):
    run("fit", "homes.csv", "--target", "kind", "-o", "m.skops", "--epochs", 5)
    pd.concat([homes()] * 300).to_csv("long.csv", index=False)
    process = python_m_fastnn(
        "predict", "m.skops", "long.csv", stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    process.stdout.close()
    assert process.wait(60) == 1
    assert b"Traceback" not in process.stderr.read()
    process.stderr.close()
