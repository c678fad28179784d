"""Does what docs/training.md shows work?"""

from __future__ import annotations

import re
from pathlib import Path

import pytest

DOCS = Path(__file__).parents[2] / "docs"


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
def test_the_examples_run(tmp_path, monkeypatch):
    pytest.importorskip("matplotlib", reason="pictures need the extra fastnn[plot]").use("Agg")
    from matplotlib import pyplot

    monkeypatch.chdir(tmp_path)
    names = {}
    examples = re.findall(r"```python\n(.*?)```", (DOCS / "training.md").read_text(), re.DOTALL)
    assert len(examples) == 8
    for code in examples:
        exec(code, names)
    assert (tmp_path / "fit.npz").exists()
    pyplot.close("all")
