"""Do several processes share one search, with nothing lost and nothing twice?"""

from __future__ import annotations

import datetime
import os
import signal
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest
from sklearn.datasets import load_iris
from support.timed import Timed

from fastnn import TradeoffSearchCV
from fastnn.search.sharing import TRUST_THE_UNSEEN, Sharing

pytest.importorskip("optuna")

N_CANDIDATES = 12
SCRIPT = f"""
import sys
from sklearn.datasets import load_iris
from fastnn import TradeoffSearchCV
from support.timed import Meeting
space = {{"skill": [i / 16 for i in range({N_CANDIDATES})]}}
options = dict(objectives=("score", "model_bytes"), cv=2, random_state=0, storage=sys.argv[1])
search = TradeoffSearchCV(Meeting(), space, **options).fit(*load_iris(return_X_y=True))
print(sorted(search.cv_results_["mean_test_score"].tolist()), any(search.cv_results_["failure"]))
"""
WHOLE = f"{[i / 16 for i in range(N_CANDIDATES)]} False"


def share(storage, folder, **more):
    """Search in two processes at once; what each prints, and who fitted which skill in a fold."""
    path = os.pathsep.join(path for path in sys.path if path)
    environment = {**os.environ, **more, "PYTHONPATH": path, "FASTNN_TEST_FITS": "fits"}
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", SCRIPT, storage],
            env={**environment, "FASTNN_TEST_PROCESS": str(i)},
            cwd=folder,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for i in range(2)
    ]
    ends = [(*process.communicate(timeout=120), process.returncode) for process in processes]
    notes = [line.split() for line in (folder / "fits").read_text().splitlines()]
    return ends, [(who, float(skill)) for who, skill, n_rows in notes if n_rows == "75"]


@pytest.mark.parametrize("storage", ["search.log", "sqlite:///search.db"])
def test_two_processes_share_a_search(tmp_path, storage):
    ends, fits = share(storage, tmp_path)
    for out, err, status in ends:
        assert status == 0, err
        assert out.strip() == WHOLE  # both have all of it
    skills = Counter(skill for _, skill in fits)
    assert skills == {i / 16: 2 for i in range(N_CANDIDATES)}  # each fold once
    assert {who for who, _ in fits} == {"0", "1"}


@pytest.mark.skipif(sys.platform == "win32", reason="there is no SIGKILL")
def test_what_a_killed_process_was_trying_the_other_one_tries(tmp_path):
    ends, fits = share("sqlite:///search.db", tmp_path, FASTNN_TEST_KILLED="1")
    assert [status for *_, status in ends] == [0, -signal.SIGKILL], ends[0][1]
    assert ends[0][0].strip() == WHOLE
    lost = [skill for who, skill in fits if who == "1"][-1]
    skills = Counter(skill for _, skill in fits)
    assert skills.pop(lost) == 2 + 2
    assert set(skills.values()) == {2}


@pytest.fixture
def two(tmp_path, monkeypatch):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    both = [Sharing("storage"), Sharing("storage")]
    yield both
    for one in both:
        one.close()


def test_a_process_is_at_work_until_it_says_otherwise(two):
    one, other = two
    now = datetime.datetime.now()
    assert one.is_at_work(other.mark, now) and one.is_at_work(one.mark, now)
    other.close()
    assert not one.is_at_work(other.mark, now)
    assert not Path(other.mark[1]).exists()


def test_what_cannot_be_seen_is_trusted_for_a_day(two, monkeypatch):
    now = datetime.datetime.now()

    def is_trusted(mark):
        assert not two[0].is_seen(mark)
        assert not two[0].is_at_work(mark, now - TRUST_THE_UNSEEN)
        return two[0].is_at_work(mark, now)

    assert is_trusted(["elsewhere", two[1].mark[1]])
    monkeypatch.setattr(os, "access", lambda path, mode: False)
    assert is_trusted(two[1].mark)  # another user's


def test_only_one_of_them_is_in_its_turn(two):
    one, other = two
    with one.in_turns():
        assert other.is_at_work([one.mark[0], str(other._turns)], datetime.datetime.now())
    assert not other.is_at_work([one.mark[0], str(other._turns)], datetime.datetime.now())


def test_a_search_leaves_no_locks_of_its_own(clock, tmp_path, monkeypatch):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    space = {"skill": [0.5, 0.25]}
    search = TradeoffSearchCV(Timed(), space, objectives=("score",), cv=2, storage=tmp_path / "log")
    search.fit(*load_iris(return_X_y=True))
    assert len(list(tmp_path.glob("fastnn-*.lock"))) == 1  # for turns, shared by all
