"""Do our classes pass scikit-learn's tests of its own? Its test_mlp.py, run on ours.

``sklearn/neural_network/tests/test_mlp.py`` is read from the installed scikit-learn and run here,
each of its tests as one of ours, on every backend, with its import of the two estimators turned to
fastnn's. Three of its tests look into private attributes that we do not have; ours in their place:
tests/test_gradients.py for ``test_gradient``, and in tests/test_training.py
``test_inverse_scaling_goes_on_where_a_warm_start_left_it`` for ``test_learning_rate_warmstart`` and
``test_adaptive_rate_falls_until_too_small`` for ``test_adaptive_learning_rate``.
"""

from __future__ import annotations

import ast
from pathlib import Path

import pytest
import sklearn.neural_network

from fastnn import backends

THEIRS = Path(sklearn.neural_network.__file__).parent / "tests" / "test_mlp.py"
PRIVATE = {"test_gradient", "test_learning_rate_warmstart", "test_adaptive_learning_rate"}
# Asks for a message that names a label which the user never gave; ours is in test_targets.py.
OTHER_WORDS = {"test_early_stopping_stratified"}

# What scikit-learn's settings for pytest let pass: most of its trainings are too short, and the
# diverging one overflows.
pytestmark = pytest.mark.filterwarnings(
    "ignore::sklearn.exceptions.ConvergenceWarning", "ignore::RuntimeWarning"
)


class _TurnToFastnn(ast.NodeTransformer):
    """``from sklearn.neural_network import ...`` becomes ``from fastnn import ...``."""

    def __init__(self) -> None:
        self.n_turned = 0

    def visit_ImportFrom(self, node: ast.ImportFrom) -> ast.ImportFrom:
        if node.module == "sklearn.neural_network":
            self.n_turned += 1
            node.module = "fastnn"
        return node


def their_tests() -> dict[str, object]:
    """scikit-learn's test module with our classes, without the tests of private attributes."""
    turn = _TurnToFastnn()
    tree = turn.visit(ast.parse(THEIRS.read_text(encoding="utf-8")))
    assert turn.n_turned == 1, (
        f"{THEIRS} no longer imports its estimators by one statement from sklearn.neural_network"
    )
    namespace: dict[str, object] = {"__name__": __name__}
    exec(compile(tree, THEIRS, "exec"), namespace)
    missing = (PRIVATE | OTHER_WORDS) - namespace.keys()
    assert not missing, f"{THEIRS} no longer holds {missing}: drop them here"
    return {
        name: value
        for name, value in namespace.items()
        if name.startswith("test_") and name not in PRIVATE | OTHER_WORDS
    }


if THEIRS.exists():
    globals().update(their_tests())
else:

    def test_mlp():
        pytest.skip(f"this scikit-learn was installed without its tests: {THEIRS} is missing")


@pytest.fixture(autouse=True)
def only_this_backend(backend: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let backend="auto" find no other backend than the one under test."""
    monkeypatch.setattr(backends, "BACKENDS", {backend: backends.BACKENDS[backend]})


@pytest.fixture
def global_random_seed() -> int:
    """scikit-learn's fixture for tests that must pass for any seed."""
    return 42
