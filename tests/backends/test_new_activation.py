"""Is an activation that only the reference knows run by the reference, and refused by whom it was not taught?"""

from __future__ import annotations

import numpy as np
import pytest

from fastnn import backends
from fastnn.core.activations import ACTIVATIONS, Activation
from fastnn.core.network import NetworkSpec

F64 = np.dtype(np.float64)


@pytest.fixture
def spec(monkeypatch):
    """A network with a hidden layer of cubes."""
    monkeypatch.setitem(ACTIVATIONS, "cube", Activation("cube", 99, lambda z: (z**3, 3 * z**2)))
    return NetworkSpec.dense([3, 4, 1], "cube", "squared_error")


def test_auto_takes_the_reference(spec):
    assert backends.choose("auto", spec, F64).name == "numpy"


def test_the_others_say_what_they_lack(spec, compiled_backend):
    with pytest.raises(
        ValueError, match=r"do not know the activation 'cube'; README\.md says how to add it"
    ):
        backends.choose(compiled_backend, spec, F64)
