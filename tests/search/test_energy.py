"""Are joules counted where the system tells them, and estimated as the label says elsewhere?"""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.datasets import load_iris
from support.timed import CLOCK, Timed, now

from fastnn import TradeoffSearchCV
from fastnn.search import energy
from fastnn.search.measure import Dataset, measure_isolated

X, y = load_iris(return_X_y=True)


def test_energy_is_estimated_with_the_stated_wattage(monkeypatch, tmp_path):
    monkeypatch.setattr("fastnn.search.measure.rapl_joules", lambda: None)
    monkeypatch.setenv("FASTNN_WATTS", "4")
    isolated = measure_isolated(Timed(seconds=0.5), Dataset(X, y), CLOCK)
    assert isolated.energy_source == "estimated: CPU seconds x 4 W"
    assert set(isolated.energy_j) == {2.0}


def test_energy_is_counted_where_the_system_tells(monkeypatch):
    monkeypatch.setattr("fastnn.search.measure.rapl_joules", lambda: 3.0 * now())
    isolated = measure_isolated(Timed(seconds=0.5), Dataset(X, y), CLOCK)
    assert isolated.energy_source == "counted by the processor (RAPL, whole package)"
    np.testing.assert_allclose(isolated.energy_j, 1.5)


def test_a_counter_that_wrapped_around_is_not_believed(monkeypatch):
    monkeypatch.setattr("fastnn.search.measure.rapl_joules", lambda: -now())
    assert measure_isolated(Timed(), Dataset(X, y), CLOCK).energy_source.startswith("estimated")


def test_the_packages_counters_are_added(tmp_path):
    assert energy.rapl_joules(tmp_path) is None
    for name, microjoules in (
        ("intel-rapl:0", "1500000\n"),
        ("intel-rapl:1", "250000\n"),
        ("intel-rapl:0:0", "99\n"),
    ):
        (tmp_path / name).mkdir()
        (tmp_path / name / "energy_uj").write_text(microjoules)
    assert energy.rapl_joules(tmp_path) == pytest.approx(1.75)
    (tmp_path / "intel-rapl:1" / "energy_uj").write_text("no number")
    assert energy.rapl_joules(tmp_path) is None


@pytest.mark.parametrize("text", ["0", "-3", "much", "nan", "inf"])
def test_a_wattage_that_is_none_is_an_error(monkeypatch, text):
    monkeypatch.setenv("FASTNN_WATTS", text)
    with pytest.raises(ValueError, match="FASTNN_WATTS must be a positive number of watts, got "):
        energy.watts()


def test_a_wattage_that_is_none_is_an_error_before_the_search(monkeypatch):
    pytest.importorskip("optuna")
    monkeypatch.setenv("FASTNN_WATTS", "much")
    monkeypatch.setattr(Timed, "fit", lambda *args: pytest.fail("trained"))
    with pytest.raises(ValueError, match="FASTNN_WATTS must be a positive number of watts"):
        TradeoffSearchCV(Timed(), {"skill": [0.5]}).fit(X, y)
