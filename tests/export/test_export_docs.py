"""Does what docs/export.md shows work?"""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from fastnn.export import c_text, onnx_graph

PAGE = (Path(__file__).parents[2] / "docs" / "export.md").read_text()


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
def test_the_examples_run(tmp_path, monkeypatch, capsys):
    for package in ("onnx", "onnxruntime", "skl2onnx"):
        pytest.importorskip(package)
    monkeypatch.chdir(tmp_path)
    variables: dict[str, object] = {}
    blocks = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)
    assert len(blocks) >= 3
    for block in blocks:
        exec(block, variables)
    assert "of the labels change" in capsys.readouterr().out
    header = (tmp_path / "tumours.h").read_text()
    (c_block,) = re.findall(r"```c\n(.*?)```", PAGE, re.DOTALL)
    for name in re.findall(r"tumours_\w+", c_block):
        assert name in header


def test_the_activations_named_are_known_to_the_core_and_to_both_targets():
    from fastnn.core.activations import ACTIVATIONS

    (named,) = re.findall(r"\| activations \| (.*?) \|", PAGE)
    both = set(onnx_graph.ACTIVATIONS) & set(c_text.ACTIVATIONS)
    assert set(named.split(", ")) == both & set(ACTIVATIONS)
