"""What do members of a family share: settings, what these may be, scikit-learn's protocol?"""

from __future__ import annotations

import pickle
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import pytest

from fastnn.core.activations import Activation
from fastnn.core.family import OPEN, Member, by_name, chosen, number
from fastnn.core.losses import Loss, Quantile
from fastnn.core.optimizers import Optimizer
from fastnn.core.schedules import Schedule


@dataclass(repr=False)
class Bent(Member):
    angle: float = 1.0
    rate: float = OPEN

    name = "bent"
    flat: ClassVar = {"rate": 0.5}
    allowed: ClassVar = {"angle": number("(0, 2]"), "rate": number("[0, 1)")}


FAMILY = by_name(Bent())


@pytest.mark.parametrize("angle", [0.001, 2, np.float32(1), np.int64(2)])
@pytest.mark.parametrize("rate", [None, 0, 0.999])
def test_settings_at_the_ends_of_what_is_allowed_are_taken(angle, rate):
    assert chosen("shape", Bent(angle, rate), FAMILY) == Bent(angle, rate)


@pytest.mark.parametrize(
    "angle", [0, 2.001, -1, np.inf, np.nan, None, "1", True, [1], pytest.param(10**400, id="huge")]
)
def test_what_is_not_allowed_is_refused_with_the_value_and_what_is(angle):
    with pytest.raises(ValueError, match=r"^shape=Bent\(angle=.*\): angle must be") as caught:
        chosen("shape", Bent(angle), FAMILY)
    assert str(caught.value).endswith(f"must be a number in (0, 2], got {angle!r}.")


def test_what_is_open_is_allowed_where_it_is_filled():
    assert chosen("shape", Bent(), FAMILY).filled().rate == 0.5
    with pytest.raises(ValueError, match=r"rate must be a number in \[0, 1\), got 1\."):
        chosen("shape", Bent(rate=1), FAMILY)


def test_what_is_chosen_does_not_change_with_the_object_it_was():
    mine = Bent(1.5)
    theirs = chosen("shape", mine, FAMILY)
    mine.set_params(angle=0.5)
    assert theirs == Bent(1.5)


def test_a_copy_from_another_process_has_the_same_text():
    assert repr(pickle.loads(pickle.dumps(Bent()))) == repr(Bent(float("1"))) == "Bent()"
    assert repr(Bent(np.array([1.0, 2.0]))) == "Bent(angle=array([1., 2.]))"


@pytest.mark.parametrize("kind", [Activation, Loss, Optimizer, Schedule])
def test_a_family_is_no_member(kind):
    with pytest.raises(TypeError, match=f"abstract class {kind.__name__}"):
        kind()


def test_quantiles_are_equal_by_their_levels():
    assert Quantile(np.array([0.1, 0.5])) == Quantile([0.1, 0.5])
    assert Quantile(0.5) != Quantile(0.4)
