"""Does docs/cli.md show what the command line takes?"""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from fastnn.cli.main import main

pytest.importorskip("pandas", reason="pandas comes with fastnn[cli]")

TEXT = (Path(__file__).parents[2] / "docs" / "cli.md").read_text(encoding="utf-8")
COMMANDS = ["fit", "predict", "evaluate", "export", "explore", "demo", "info"]


def options(command, capsys):
    """The long options in a command's help."""
    with pytest.raises(SystemExit):
        main([command, "--help"])
    return set(re.findall(r"--[a-z]+(?:-[a-z]+)*", capsys.readouterr().out))


@pytest.mark.filterwarnings("ignore:Maximum iterations")
def test_the_examples_run(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    names = {}
    for code in re.findall(r"```python\n(.*?)```", TEXT, re.S):
        exec(code, names)
    assert list(names["predictions"].columns) == [
        "diagnosis",
        "probability of benign",
        "probability of malignant",
    ]


def test_every_option_of_the_text_exists(capsys):
    known = set().union(*(options(command, capsys) for command in COMMANDS))
    assert set(re.findall(r"--[a-z]+(?:-[a-z]+)*", TEXT)) <= known


def test_the_commands_of_the_text_take_their_options(capsys):
    shown = re.findall(r"^\$ fastnn (\w+) (.*)$", TEXT, re.M)
    assert {command for command, _ in shown} == set(COMMANDS) - {"demo"}
    for command, words in shown:
        assert set(re.findall(r"--[a-z]+(?:-[a-z]+)*", words)) <= options(command, capsys)
