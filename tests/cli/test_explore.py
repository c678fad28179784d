"""Does explore say what its search found, and can it go on from there?"""

from __future__ import annotations

import html
import json
import os
import re
import signal

import numpy as np
import pytest
from sklearn.metrics import accuracy_score

from fastnn.cli.terminal import Candidates
from fastnn.persistence import load_model
from fastnn.search.run import Run


def explored(run, *more, trials=4):
    deterministic = [
        "--objectives",
        "score,flops",
        "--trials",
        trials,
        "--cv",
        2,
        "--jobs",
        1,
        "--models",
        "plain",
    ]  # nothing is timed
    return run("explore", "homes.csv", "--target", "kind", *deterministic, *more)


def test_explore_and_train_again(run):
    status, out, err = explored(run, "--report", "r.html", "-o", "m.skops", "--choose", "score")
    assert status == 0 and err.count("\n") <= 1  # whether it beats a constant
    assert (
        re.search(r"^4 candidates, \d+ on the front, \* chosen$", out, re.M)
        and len(re.findall(r"^\* ", out, re.M)) == 1
    )
    assert re.search(r"^report +r\.html$", out, re.M)
    with open("r.html", encoding="utf-8") as file:
        page = file.read()
    code = html.unescape(re.search(r"<pre[^>]*><code>(.*?)</code>", page, re.S)[1])
    scope = {}
    exec(code, scope)  # the program at the end of the report
    chosen = load_model("m.skops").model
    np.testing.assert_array_equal(
        scope["model"].predict_proba(scope["X_test"]), chosen.predict_proba(scope["X_test"])
    )
    accuracy = accuracy_score(scope["y_test"], chosen.predict(scope["X_test"]))
    assert (
        f"accuracy                   {accuracy:.4g}\n" in out
        and f"<strong>{accuracy:.3f}</strong>" in page
    )
    assert run("predict", "m.skops", "homes.csv")[0] == 0


def test_several_metrics_are_traded_off(run):
    metric = ["--metric", "neg_log_loss,accuracy"]
    status, out, err = explored(run, *metric, "--json", "--report", "r.html")
    assert status == 0, err
    front = json.loads(out)["front"]
    assert all(one["score"] < 0 < one["accuracy"] <= 1 and "accuracy_std" in one for one in front)
    shown = explored(run, *metric, "--choose", "accuracy")[1]
    assert re.search(r"^ +score +± +accuracy +± +", shown, re.M)
    status, _, err = explored(run, "--metric", "accuracy,acuracy")
    assert status == 2 and "'acuracy' is not a scorer of scikit-learn's, such as accuracy" in err


def test_a_limit_decides(run):
    status, out, _ = explored(run, "--limit", "model_bytes=1e9")
    assert status == 0 and "* chosen" in out
    status, out, err = explored(run, "--limit", "model_bytes=1")
    assert status == 1 and "no candidate is within it. The nearest, candidate" in err
    assert re.search(r"on the front$", out, re.M) and not re.search(r"^\*", out, re.M)
    assert re.search(r"  measured  parameters$", out, re.M) and "in search" in out
    assert "with --storage FILE these candidates would be there for another --limit" in err
    assert (
        "--storage FILE" not in explored(run, "--limit", "model_bytes=1", "--storage", "s.log")[2]
    )


def test_a_stored_search_goes_on(run, monkeypatch):
    assert "2 candidates" in explored(run, "--storage", "s.log", trials=2)[1]
    assert "4 candidates" in explored(run, "--storage", "s.log", trials=4)[1]
    monkeypatch.setattr(Run, "_begin", lambda *_: pytest.fail("a candidate was tried again"))
    assert "4 candidates" in explored(run, "--storage", "s.log", trials=4)[1]


def test_ctrl_c_in_explore_reports_what_was_found(run, monkeypatch):
    pytest.importorskip(
        "sklearn.callback", reason="scikit-learn has callbacks, where this test waits, from 1.9 on"
    )
    end = Candidates.on_fit_task_end

    def interrupting(self, *args, **kwargs):
        n_before = self.n_done
        end(self, *args, **kwargs)
        if n_before == 2 and self.n_done == 3:
            signal.raise_signal(signal.SIGINT)

    monkeypatch.setattr(Candidates, "on_fit_task_end", interrupting)
    status, out, err = explored(run, "--report", "r.html", "-o", "m.skops", trials=50)
    assert status == 130 and "Search interrupted by user" in err
    assert re.search(r"^3 candidates, ", out, re.M) and os.path.exists("r.html")
    assert run("predict", "m.skops", "homes.csv")[0] == 0
