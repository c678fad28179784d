"""What do the explorer's tests share? The model clock, and a front measured in this process."""

from __future__ import annotations

import pytest
from support import timed
from support.timed import CLOCK

from fastnn import TradeoffSearchCV
from fastnn.search.measure import measure_isolated
from fastnn.search.process import FreshProcesses


@pytest.fixture
def clock(monkeypatch):
    """Searches go by the model clock, which only `support.timed.Timed` moves."""
    monkeypatch.setattr(TradeoffSearchCV, "_clock", CLOCK)


@pytest.fixture
def no_processes(monkeypatch):
    """Measure the front in this process, where processes are not what is tested."""
    monkeypatch.setattr(
        FreshProcesses,
        "measure",
        lambda self, estimator, timeout: measure_isolated(estimator, self.dataset, self.clock),
    )


@pytest.fixture(autouse=True)
def clock_at_0():
    """The model clock, whatever tests before have added up."""
    timed.restart()
