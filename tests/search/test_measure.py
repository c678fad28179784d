"""Is what a candidate costs measured as it says: by the clock, in which process, and under which label?"""

from __future__ import annotations

import os
import pickle
import signal
import sys
import threading

import numpy as np
import pytest
from sklearn.compose import TransformedTargetRegressor
from sklearn.datasets import load_iris
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import check_scoring
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from support.timed import CLOCK, Hungry, Timed, advance, now

from fastnn import MLPRegressor
from fastnn.search import measure
from fastnn.search.measure import QUANTITIES, Alone, Clock, Effort, Fold, FreshProcesses, Table

X, y = load_iris(return_X_y=True)
TRAIN, TEST = np.arange(0, 150, 2), np.arange(1, 150, 2)


def measured(estimator, clock=CLOCK, **table):
    return measure.fold(
        estimator, Table(X, y, **table), (TRAIN, TEST), check_scoring(estimator), clock
    )


def test_a_fold_is_timed_by_the_clock():
    fold = measured(Timed(skill=0.75, seconds=4.0))
    assert (fold.score, fold.fit_time, fold.cpu_time) == (0.75, 4.0, 4.0)


def test_predictions_are_timed_by_the_clock():
    latency_us, row_us = measure.prediction_times(
        Timed(latency=2**-10).fit(X, y), X, measure.GLANCE, now
    )
    assert set(latency_us) == {1e6 * 2**-10}
    assert set(row_us) == {1e6 * 2**-10 / len(X)}
    assert len(latency_us) >= measure.GLANCE.least


def test_a_fold_learns_from_its_own_rows_and_weights():
    weight = np.arange(150.0)
    estimator = Timed()
    measured(estimator, fit_params={"sample_weight": weight})
    assert estimator.weight_ == weight[TRAIN].sum()


def test_cpu_seconds_are_those_of_the_calling_thread():
    ticks = iter(range(100))
    fold = measured(Timed(), clock=Clock(now, lambda: float(next(ticks)), lambda: np.nan))
    assert fold.cpu_time == 1.0


@pytest.mark.parametrize("score", [np.nan, np.inf, None, "good", np.array([1.0, 2.0])], ids=str)
def test_a_score_that_is_no_number_is_an_error(score):
    with pytest.raises(ValueError, match="the score must be a finite number"):
        measure.fold(Timed(), Table(X, y), (TRAIN, TEST), lambda *args: score, CLOCK)


def test_repeats_end_by_count_or_by_time():
    for latency, count in ((0.0, 30), (0.25, 8), (1.0, 5)):
        calls = Effort(least=5, most=30, seconds=2.0).repeat(
            lambda latency=latency: advance(latency), now
        )
        assert calls == [latency] * count


def test_folds_go_through_json():
    fold = measured(LogisticRegression(), clock=Clock())
    assert Fold(**vars(fold)) == fold
    assert all(isinstance(value, float | int | list) for value in vars(fold).values())


@pytest.mark.filterwarnings("ignore:.*Maximum iterations")
@pytest.mark.parametrize(
    "wrap",
    [
        lambda network: network,
        lambda network: make_pipeline(StandardScaler(), network),
        lambda network: TransformedTargetRegressor(make_pipeline(StandardScaler(), network)),
    ],
    ids=["bare", "pipeline", "target"],
)
def test_flops_are_those_of_the_network_inside(wrap):
    estimator = wrap(MLPRegressor(hidden_layer_sizes=(7, 5), max_iter=1)).fit(X, y)
    assert measure.flops(estimator) == 2 * (4 * 7 + 7 * 5 + 5 * 1)


def test_flops_are_unknown_without_a_network():
    assert np.isnan(measured(LogisticRegression(), clock=Clock()).flops)


def test_model_bytes_are_those_of_the_pickle():
    estimator = Timed(n_bytes=100_000)
    assert measured(estimator).model_bytes == pytest.approx(len(pickle.dumps(estimator)), rel=0.01)


def test_a_model_that_cannot_be_pickled_has_no_bytes():
    estimator = Timed()
    estimator.lock = threading.Lock()
    assert np.isnan(measured(estimator).model_bytes)
    with (
        FreshProcesses(Table(X, y), CLOCK) as processes,
        pytest.raises(pickle.PicklingError, match="cannot pickle"),
    ):
        processes.measure(estimator)


# ---- alone


def test_alone_discards_the_first_fit_and_repeats_quick_ones(monkeypatch):
    seconds = iter([8.0, 0.25, 0.25, 0.5, 1.0, 1.0])
    monkeypatch.setattr(
        Timed,
        "fit",
        lambda self, X, y: (advance(next(seconds)), setattr(self, "classes_", y[:1]))[0] or self,
    )
    alone = measure.alone(Timed(latency=2**-8), Table(X, y), CLOCK)
    assert alone.fit_time == alone.cpu_time == [0.25, 0.25, 0.5]
    assert set(alone.latency_us) == {1e6 * 2**-8}


def test_alone_takes_the_first_fit_if_it_is_long():
    assert measure.alone(Timed(seconds=64.0), Table(X, y), CLOCK).fit_time == [64.0]


@pytest.fixture(
    params=[True, False] if measure.FORKS else [False],
    ids=lambda forks: "forked" if forks else "started",
)
def forks(request, monkeypatch):
    monkeypatch.setattr(measure, "FORKS", request.param)


def test_a_fresh_process_measures_with_the_clock_it_is_given(forks):
    with FreshProcesses(Table(X, y), CLOCK) as processes:
        alone = processes.measure(Timed(seconds=0.5, latency=2**-9))
    assert isinstance(alone, Alone)
    assert set(alone.fit_time) == {0.5}
    assert set(alone.latency_us) == {1e6 * 2**-9}


class Numbered(Timed):
    """Its fit takes as many seconds as its process has the number; it prints."""

    def fit(self, X, y):
        print("fitted")
        self.seconds = float(os.getpid())
        return super().fit(X, y)


def test_each_candidate_has_a_process_of_its_own(forks):
    with FreshProcesses(Table(X, y), CLOCK) as processes:
        numbers = {processes.measure(Numbered()).fit_time[0] for _ in range(3)}
    assert len(numbers - {float(os.getpid())}) == 3


def test_a_candidate_is_fitted_on_the_rows_named():
    with FreshProcesses(Table(X, y), CLOCK, TRAIN[:8]) as processes:
        row_us = processes.measure(Timed(latency=2**-10)).row_us
    assert set(row_us) == {1e6 * 2**-13}


@pytest.mark.skipif(sys.platform != "linux", reason="the peak is told exactly on Linux alone")
def test_the_peak_of_memory_is_that_of_the_fit(forks):
    with FreshProcesses(Table(X, y), Clock()) as processes:
        little, much = (processes.measure(Hungry(n_bytes=n)).peak_bytes for n in (0, 200_000_000))
    assert 190e6 < much - little < 220e6


def test_a_failure_in_a_fresh_process_says_what_failed_and_the_next_is_measured(forks):
    with FreshProcesses(Table(X, y), CLOCK) as processes:
        for _ in range(2):
            with pytest.raises(
                RuntimeError, match=r"it failed in a process of its own: RuntimeError: out of luck$"
            ):
                processes.measure(Timed(fails="out of luck"))
            assert set(processes.measure(Timed(seconds=2.0)).fit_time) == {2.0}


def test_a_process_ended_from_outside_is_a_failure(forks):
    with FreshProcesses(Table(X, y), CLOCK) as processes:
        with pytest.raises(
            RuntimeError, match="it failed in a process of its own: it was ended from outside"
        ):
            processes.measure(Killed())
        assert set(processes.measure(Timed(seconds=2.0)).fit_time) == {2.0}


class Killed(Timed):
    """As a process is that takes too much memory."""

    def fit(self, X, y):
        os.kill(os.getpid(), signal.SIGKILL)


def test_a_fresh_process_ends_in_time(forks):
    with FreshProcesses(Table(X, y), CLOCK) as processes:
        with pytest.raises(TimeoutError, match=r"not done after 0\.1 s"):
            processes.measure(Timed(), timeout=0.1)
        assert set(processes.measure(Timed(seconds=2.0)).fit_time) == {2.0}


def test_what_a_script_defines_reaches_the_fresh_process():
    pytest.importorskip("cloudpickle")

    class Local(Timed):
        pass

    with FreshProcesses(Table(X, y), CLOCK) as processes:
        assert set(processes.measure(Local(seconds=2.0)).fit_time) == {2.0}


# ---- energy


def test_energy_is_estimated_with_the_stated_wattage(monkeypatch, tmp_path):
    monkeypatch.setattr(measure, "rapl_joules", lambda: None)
    monkeypatch.setenv("FASTNN_WATTS", "4")
    alone = measure.alone(Timed(seconds=0.5), Table(X, y), CLOCK)
    assert alone.energy_source == "estimated: CPU seconds x 4 W"
    assert set(alone.energy_j) == {2.0}


def test_energy_is_counted_where_the_system_tells(monkeypatch):
    monkeypatch.setattr(measure, "rapl_joules", lambda: 3.0 * now())
    alone = measure.alone(Timed(seconds=0.5), Table(X, y), CLOCK)
    assert alone.energy_source == "counted by the processor (RAPL, whole package)"
    np.testing.assert_allclose(alone.energy_j, 1.5)


def test_a_counter_that_wrapped_around_is_not_believed(monkeypatch):
    monkeypatch.setattr(measure, "rapl_joules", lambda: -now())
    assert measure.alone(Timed(), Table(X, y), CLOCK).energy_source.startswith("estimated")


def test_the_packages_counters_are_added(tmp_path):
    assert measure.rapl_joules(tmp_path) is None
    for name, microjoules in (
        ("intel-rapl:0", "1500000\n"),
        ("intel-rapl:1", "250000\n"),
        ("intel-rapl:0:0", "99\n"),
    ):
        (tmp_path / name).mkdir()
        (tmp_path / name / "energy_uj").write_text(microjoules)
    assert measure.rapl_joules(tmp_path) == pytest.approx(1.75)
    (tmp_path / "intel-rapl:1" / "energy_uj").write_text("no number")
    assert measure.rapl_joules(tmp_path) is None


@pytest.mark.parametrize("text", ["0", "-3", "much", "nan", "inf"])
def test_a_wattage_that_is_none_is_an_error(monkeypatch, text):
    monkeypatch.setenv("FASTNN_WATTS", text)
    with pytest.raises(ValueError, match="FASTNN_WATTS must be a positive number of watts, got "):
        measure.watts()


def test_every_quantity_is_measured_somewhere():
    known = {*Fold.__annotations__, *Alone.__annotations__}
    assert set(QUANTITIES) <= known
    assert {q for q, about in QUANTITIES.items() if about.timed} <= set(Alone.__annotations__)
    assert os.cpu_count() is None or "CPUs" in measure.machine()
