"""What happens to those who build on the estimators? They are named, warned, and not ignored."""

from __future__ import annotations

import pickle
import warnings
from inspect import signature

import numpy as np
import pytest
import sklearn.neural_network
from sklearn.base import clone
from sklearn.neural_network._multilayer_perceptron import BaseMultilayerPerceptron
from support.parity import train

import fastnn
from fastnn import MLPClassifier, MLPRegressor
from fastnn.estimators.subclasses import SKLEARN_HOOKS

X = np.random.default_rng(0).normal(size=(30, 3))
BOTH = pytest.mark.parametrize(
    "kind", [MLPClassifier, MLPRegressor], ids=lambda kind: kind.__name__
)


class Plain(MLPClassifier):
    """A subclass that changes nothing."""


class OwnConstructor(MLPRegressor):
    def __init__(self, alpha=0.5):
        super().__init__(alpha=alpha)


@pytest.mark.parametrize("kind", [MLPClassifier, MLPRegressor, Plain, OwnConstructor])
def test_an_unknown_keyword_names_the_class(kind):
    message = rf"^{kind.__name__}\.__init__\(\) got an unexpected keyword argument 'hidden_layers'"
    with pytest.raises(TypeError, match=message):
        kind(hidden_layers=(5,))


@pytest.mark.parametrize("kind", [MLPClassifier, MLPRegressor, Plain])
def test_too_many_positions_name_the_class(kind):
    with pytest.raises(TypeError, match=rf"^{kind.__name__}\.__init__\(\) takes from 1 to"):
        kind("squared_error", (5,), "relu", "adam")


def test_the_named_constructor_is_the_old_one():
    for kind in (MLPClassifier, Plain):
        parameters = signature(kind).parameters
        assert list(parameters)[:2] == ["hidden_layer_sizes", "activation"]
        assert parameters["alpha"].default == 0.0001
        model = kind((7,), alpha=0.3)
        assert model.get_params()["hidden_layer_sizes"] == (7,)
        assert clone(model).alpha == pickle.loads(pickle.dumps(model)).alpha == 0.3
    assert OwnConstructor().alpha == 0.5


def test_the_hooks_are_those_of_scikit_learn_that_are_not_ours():
    theirs = {
        name
        for base in (
            BaseMultilayerPerceptron,
            sklearn.neural_network.MLPClassifier,
            sklearn.neural_network.MLPRegressor,
        )
        for name, value in vars(base).items()
        if name.startswith("_") and not name.startswith("__") and callable(value)
    }
    inherited = {"_abc_impl", "_doc_link_template"}
    ours = set(dir(MLPClassifier)) & set(dir(MLPRegressor))
    assert theirs - inherited - ours == SKLEARN_HOOKS


@pytest.mark.parametrize("hook", sorted(SKLEARN_HOOKS))
@BOTH
def test_a_hook_that_is_never_called_is_warned_of(kind, hook):
    message = (
        f"^Mine defines {hook}, which fastnn never calls: scikit-learn's private methods do not"
        r" exist here\. .* hidden_activations\(X\)"
    )
    with pytest.warns(UserWarning, match=message) as caught:

        class Mine(kind):
            pass

        setattr(Mine, hook, None)  # too late to be noticed: the class above has no hook

        Mine = type("Mine", (kind,), {hook: lambda self: None})
    assert len(caught) == 1


def test_the_warning_comes_once_and_points_at_the_class():
    with pytest.warns(UserWarning) as caught:

        class Mine(MLPClassifier):
            def _backprop(self):
                pass

            def _initialize(self):
                pass

    (warning,) = caught
    assert str(warning.message).startswith("Mine defines _backprop, _initialize, which fastnn")
    assert warning.filename == __file__
    with warnings.catch_warnings():
        warnings.simplefilter("error")

        class Younger(Mine):
            pass

        train(Younger(max_iter=2), lambda model: model.fit(X, X[:, 0] > 0))


def test_hooks_of_a_mixin_are_warned_of():
    class Mixin:
        def _forward_pass(self, activations):
            return activations

    with pytest.warns(UserWarning, match="^Mine defines _forward_pass, which fastnn never calls"):

        class Mine(Mixin, MLPRegressor):
            pass


@BOTH
def test_methods_that_are_called_are_not_warned_of(kind):
    with warnings.catch_warnings():
        warnings.simplefilter("error")

        class Mine(kind):
            def _fit(self, X, y, sample_weight, incremental):
                self.called_ = True
                return super()._fit(X, y, sample_weight, incremental)

            def predict(self, X):
                return super().predict(X)

    model = Mine(max_iter=2)
    train(model, lambda model: model.fit(X, X[:, 0] > 0))
    assert model.called_


def test_the_public_classes_are_named_in_errors_of_their_own():
    assert MLPClassifier.__init__.__qualname__ == "MLPClassifier.__init__"
    assert MLPClassifier.__init__.__module__.startswith(fastnn.__name__)
