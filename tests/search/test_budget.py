"""Does the budget set aside what the end of a search takes, and limit one candidate's share?"""

from __future__ import annotations

import math

import pytest

from fastnn.search.budget import MAX_SHARE, MAX_SLOWDOWN, STARTUP_S, Budget
from fastnn.search.measure import FITS_ISOLATED


def budget(**changed):
    values = {"start": 10.0, "end": 110.0, "n_folds": 5, "n_jobs": 1}
    values |= {"refits": True, "remeasures": True}
    return Budget(**values | changed)


def test_nothing_is_set_aside_before_a_candidate_has_succeeded():
    one = budget()
    one.reserve([], [], [])
    assert one.explore_until == one.end


@pytest.mark.parametrize(
    ("changed", "expected"),
    [
        ({"n_jobs": 1}, 100 / (5 + 5 / 4)),
        ({"n_jobs": 2}, 100 / (3 + 5 / 4)),  # three turns of two folds
        ({"refits": False}, 100 / 5),
        ({"n_folds": 1}, 100 / (1 + 1)),
        ({"end": math.inf}, math.inf),
    ],
)
def test_the_first_candidate_may_take_what_its_folds_and_the_last_fit_can(changed, expected):
    assert budget(**changed).max_fold_s == pytest.approx(expected)


def test_the_last_fit_takes_as_much_longer_as_it_has_more_rows():
    assert budget().refit_s([1.0, 8.0]) == 8.0 * 5 / 4
    assert budget(refits=False).refit_s([1.0, 8.0]) == 0.0


def test_isolated_fits_are_repeated_while_they_are_quick():
    one = budget()
    quick = 2.0**-10  # as many as there are at most
    assert one.isolated_s(quick) == STARTUP_S + FITS_ISOLATED.max_repeats * quick
    slow = 4.0  # one that ends beyond the seconds for repeats
    assert one.isolated_s(slow) == STARTUP_S + slow + FITS_ISOLATED.seconds


def test_a_reserve_is_a_running_fold_the_measurements_and_the_last_fit():
    one = budget()
    one.reserve(fit_times=[1.0, 2.0, 4.0], front=[1.0, 2.0], waiting=[1.0])
    last_fit, running, isolated = 2.0 * 5 / 4, 4.0, one.isolated_s(1.0) + one.isolated_s(2.0)
    assert one.explore_until == pytest.approx(110.0 - last_fit - running - isolated)


def test_a_front_without_times_is_not_measured_again():
    one = budget(remeasures=False)
    one.reserve(fit_times=[4.0], front=[4.0], waiting=[])
    assert one.explore_until == 110.0 - 4.0 - 5.0


def test_at_most_half_of_the_time_is_set_aside():
    one = budget()
    one.reserve(fit_times=[40.0], front=[40.0], waiting=[40.0])
    assert one.explore_until == 60.0


def test_without_an_end_nothing_is_set_aside_and_nothing_is_too_slow():
    one = budget(end=math.inf)
    one.reserve(fit_times=[1.0], front=[1.0], waiting=[1.0])
    assert one.explore_until == one.max_fold_s == math.inf
    assert one.measuring_timeout(50.0, fit_time=1.0, front=[1.0]) is None


def test_a_fold_is_too_slow_by_share_and_by_comparison():
    one = budget(n_jobs=2)
    one.reserve(fit_times=[0.25] * 3, front=[0.25], waiting=[])
    assert one.max_fold_s == pytest.approx(MAX_SHARE * 100 * 2 / 5)
    one.reserve(fit_times=[4.0] * 3, front=[4.0], waiting=[])
    assert one.max_fold_s == MAX_SLOWDOWN * 4.0


def test_what_is_usual_is_seen_on_candidates_put_off_as_well():
    one = budget()
    one.reserve(fit_times=[0.25], front=[0.25], waiting=[], put_off=[4.0])
    assert one.max_fold_s == MAX_SHARE * 100 / 5
    one.reserve(fit_times=[0.25], front=[0.25], waiting=[], put_off=[4.0, 8.0])
    assert one.max_fold_s == MAX_SLOWDOWN * 4.0


def test_there_is_time_for_folds_that_end_before_exploring_stops():
    one = budget(n_jobs=2)
    one.explore_until = 40.0
    assert one.has_time_for(n_folds=3, fold_s=10.0, now=20.0)  # two turns
    assert not one.has_time_for(n_folds=3, fold_s=10.5, now=20.0)


def test_measuring_ends_when_the_last_fit_has_to_begin():
    one = budget()
    expected = one.isolated_s(1.0)
    assert one.measuring_timeout(20.0, 1.0, front=[1.0]) == MAX_SLOWDOWN * expected
    left = expected + 0.5
    now = 110.0 - 5 / 4 - left
    assert one.measuring_timeout(now, 1.0, front=[1.0]) == pytest.approx(left)
    with pytest.raises(TimeoutError, match=r"measuring takes about 3\.7 s, and 3\.6 s are left"):
        one.measuring_timeout(now + 0.6, 1.0, front=[1.0])


def test_the_next_measurement_starts_as_the_last_one_did():
    one = budget()
    one.note_isolated(seconds=3.5, fit_times=[0.5, 0.25])
    assert one.startup_s == 3.5 - 0.75
