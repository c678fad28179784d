"""Does a bag train its members as the rules say, and end each with its best epoch?"""

from __future__ import annotations

import numpy as np
import pytest

from fastnn.backends import load
from fastnn.backends.base import Data, Plan
from fastnn.core.network import NetworkSpec, initialise
from fastnn.core.optimizers import SGD
from fastnn.training.bag import Bag, BagLoop, BagRules, Measured, Member
from fastnn.training.callbacks import watched_by
from fastnn.training.loop import InterruptedWarning

F64 = np.dtype(np.float64)
RNG = np.random.default_rng(0)
X = RNG.normal(size=(80, 3))
DATA = Data(X, X @ [[1.0], [-2.0], [0.5]])
SPEC = NetworkSpec.dense([3, 4, 1], "tanh", "squared_error")


def members(n=3):
    """Member i holds out ten rows."""
    each = []
    for i in range(n):
        held_out = np.arange(10 * i, 10 * i + 10)
        rows = np.setdiff1d(np.arange(80), held_out)
        random_state = np.random.RandomState(i)
        each.append(Member(rows, held_out, initialise(SPEC, F64, random_state), random_state))
    return each


def squared_error(member, predictions):
    return float(np.mean((predictions - DATA.y[member.held_out]) ** 2))


def both(measure):
    """The same number for value and loss, unless it is two."""

    def measured(member, predictions):
        found = measure(member, predictions)
        return Measured(*found) if isinstance(found, tuple) else Measured(found, found)

    return measured


def train(members, n, *callbacks, measure=squared_error, ema=None, cycle_ends=(), n_steps=4):
    """Train for n epochs."""
    engine = load("numpy").engine(SPEC, F64)
    bag = Bag(engine, Plan(SGD(ema=ema), 16), 1, DATA, both(measure))
    loop = BagLoop(members, BagRules(n, frozenset(cycle_ends)))
    bag.train(loop, np.tile(np.linspace(0.05, 0.08, 4)[:n_steps], (n, 1)), callbacks)
    return loop


class Calls:
    """A callback that is a function of the loop."""

    def __init__(self, function):
        self.on_pass_end = function


def test_members_end_with_their_best_epoch():
    values = iter([3, 1, 2, 9, 9, 1, 9, 9, 9])  # of three members, epoch by epoch
    first = members()
    starts = [member.best_params.copy() for member in first]
    train(first, 3, measure=lambda member, predictions: next(values))
    assert [member.best_iter for member in first] == [1, 1, 2]
    assert [member.best_value for member in first] == [3, 1, 1]
    again = members()
    train(again, 1, measure=lambda member, predictions: 0)
    np.testing.assert_array_equal(again[0].best_params, first[0].best_params)
    assert all((a != b.best_params).any() for a, b in zip(starts, first, strict=True))


def test_equal_values_take_the_later_epoch():
    one = members(1)
    train(one, 4, measure=lambda member, predictions: 1.0)
    assert one[0].best_iter == 4


def test_each_half_is_answered_by_the_epoch_that_the_other_one_chooses():
    (member,) = members(1)
    for epoch, halves in enumerate([(5, 2), (1, 3), (2, 1), (3, 4)]):
        answers = np.full((10, 1), epoch)
        member.record(0.0, Measured([3, 2, 4, 0][epoch], 0.0, halves), member.best_params, answers)
    assert member.best_iter == 4
    assert member.answers.ravel().tolist() == [2, 1] * 5


def test_it_learns():
    each = members()
    train(each, 30)
    for member in each:
        assert member.best_value < 0.1 * member.values[0]


@pytest.mark.parametrize("ema", [None, 0.9])
def test_what_is_measured_is_what_is_kept(ema):
    each = members()
    train(each, 5, ema=ema)
    engine = load("numpy").engine(SPEC, F64)
    for member in each:
        out = np.empty((10, 1))
        engine.predict(member.best_params, X[member.held_out], out)
        assert squared_error(member, out) == min(member.values)
        np.testing.assert_array_equal(member.answers, out)


def test_a_member_stops_at_the_end_of_a_cycle_that_brought_nothing():
    def measure(member, predictions):
        worse = member.held_out[0] == 0  # the first gets worse, the others better
        return float(len(member.values) if worse else -len(member.values))

    each = members()
    train(each, 9, measure=measure, cycle_ends={2, 4})
    assert [len(member.values) for member in each] == [4, 9, 9]


def test_the_loss_ends_a_cycle_and_the_value_chooses_the_epoch():
    values, losses = [3, 4, 5, 9], [1, 2, 0.5, np.nan]

    def measure(member, predictions):
        i = len(member.values)
        return values[i], losses[i]

    each = members(1)
    train(each, 9, measure=measure, cycle_ends={2, 3, 4})
    assert (len(each[0].values), each[0].best_iter) == (4, 1)


def test_all_members_stopped_is_the_end():
    each = members()
    calls = []
    noting = Calls(lambda loop: calls.append(loop.n_iter))
    train(each, 9, noting, measure=lambda member, predictions: 1.0, cycle_ends={2, 4})
    assert calls == [1, 2, 3, 4]


def test_callbacks_see_the_means_of_an_epoch_and_may_end_it():
    each, seen = members(), []
    with watched_by(Calls(lambda loop: seen.append((loop.n_iter, loop.stopped)))):
        loop = train(each, 9, Calls(lambda loop: loop.n_iter == 3))
    assert seen == [(1, False), (2, False), (3, True)]
    assert [len(member.values) for member in each] == [3, 3, 3]
    assert loop.losses == np.mean([member.losses for member in each], axis=0).tolist()
    assert loop.values == np.mean([m.values for m in each], axis=0).tolist()
    assert loop.validation_losses == np.mean([m.held_out_losses for m in each], axis=0).tolist()


def test_members_of_fewer_rows_visit_them_more_often():
    """Each epoch is of the same steps: 64 visits, 3 rows are visited 21 times at least."""
    visits = []

    class Trainer:
        def train(self, state, data, passes):
            visits.append(passes.rows[:, 0])
            return np.zeros((len(passes.rows), 1))

    class Engine:
        def trainer(self, plan):
            return Trainer()

        def predict(self, params, X, out):
            out[...] = 0

    few, many = members(2)
    few.rows = np.arange(40, 43)
    bag = Bag(Engine(), Plan(SGD(), 16), 1, DATA, both(squared_error))
    bag.train(BagLoop([few, many], BagRules(1)), np.zeros((1, 4)))
    assert sorted(np.bincount(visits[0][0])[40:]) == [21, 21, 22]
    assert len(np.unique(visits[0][1])) == 64


def test_a_member_without_a_finite_epoch_is_refused():
    values = iter([1.0, np.nan, 1.0, np.inf])
    with pytest.raises(ValueError, match="Solver produced non-finite parameter weights"):
        train(members(2), 2, measure=lambda member, predictions: next(values))


def test_a_member_that_diverges_keeps_its_best_epoch():
    values = iter([1.0, np.nan])
    each = members(1)
    train(each, 2, measure=lambda member, predictions: next(values))
    assert (each[0].best_iter, each[0].best_value) == (1, 1.0)


def test_an_interrupt_keeps_whole_epochs():
    def interrupt(loop):
        if loop.n_iter == 2:
            raise KeyboardInterrupt

    each = members()
    with pytest.warns(InterruptedWarning, match="Training interrupted by user"):
        train(each, 5, Calls(interrupt))
    assert [len(member.values) for member in each] == [2, 2, 2]


def numpy_trainer():
    return type(load("numpy").engine(SPEC, F64).trainer(Plan(SGD(), 16)))


def test_an_interrupt_in_the_first_epoch_keeps_what_it_has_reached(monkeypatch):
    kind = numpy_trainer()
    part = kind.train

    def interrupted(self, state, data, passes):
        losses = part(self, state, data, passes)
        if state.step == 2:
            raise KeyboardInterrupt
        return losses

    expected, each = members(), members()
    train(expected, 1, n_steps=2)
    monkeypatch.setattr("fastnn.training.loop.CALL_VISITS", 16)  # a call for each batch
    monkeypatch.setattr(kind, "train", interrupted)
    with pytest.warns(InterruptedWarning, match=r"by user\. The first epoch is kept, as far as it"):
        loop = train(each, 5)
    assert (loop.n_iter, loop.stopped) == (1, True)
    for member, same in zip(each, expected, strict=True):
        np.testing.assert_array_equal(member.best_params, same.best_params)
        assert member.values == same.values

    def again(member, predictions):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train(members(), 5, measure=again)


def test_a_long_epoch_is_cut_into_calls(monkeypatch):
    whole, cut, alone = members(), members(), members(1)
    train(whole, 9)
    monkeypatch.setattr("fastnn.training.loop.CALL_WORK", 40 * len(whole[0].best_params))
    train(cut, 9)  # two batches of 16 a call
    train(alone, 9)
    for one, other in zip(whole, cut, strict=True):
        np.testing.assert_array_equal(one.best_params, other.best_params)
        np.testing.assert_allclose(one.losses, other.losses, rtol=1e-14)
    assert alone[0].losses == cut[0].losses


def test_an_interrupt_before_the_first_step_keeps_nothing(monkeypatch):
    def at_once(self, state, data, passes):
        raise KeyboardInterrupt

    monkeypatch.setattr(numpy_trainer(), "train", at_once)
    with pytest.raises(KeyboardInterrupt):
        train(members(), 5)


def test_a_member_is_to_the_bit_what_it_is_alone():
    """Also where others beside it stop at the end of a cycle."""
    together = members()
    train(together, 6, cycle_ends=(2, 4), measure=lambda m, p: (squared_error(m, p), m.rows[0]))
    for one, other in zip(members(), together, strict=True):
        train([one], 6, cycle_ends=(2, 4), measure=lambda m, p: (squared_error(m, p), m.rows[0]))
        np.testing.assert_array_equal(one.best_params, other.best_params)
        assert one.values == other.values
