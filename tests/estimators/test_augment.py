"""What may ``augment`` be, and what does it change of a fit?"""

from __future__ import annotations

import pickle

import numpy as np
import pytest
from scipy.sparse import csr_array
from sklearn.base import clone
from support.parity import train

import fastnn
from fastnn import MLPClassifier, MLPRegressor
from fastnn.augment import InputNoise, Mixup
from fastnn.losses import Huber
from fastnn.training.callbacks import watched_by

RNG = np.random.default_rng(2)
X = RNG.normal(size=(90, 5))
Y = X @ [1.0, -1.0, 0.5, 0.0, 2.0]
PARAMS = {"hidden_layer_sizes": (7,), "max_iter": 6, "batch_size": 20, "random_state": 5, "tol": 0}


def fitted(augment, X=X, **params) -> MLPRegressor:
    model = MLPRegressor(**{**PARAMS, "augment": augment, **params})
    train(model, lambda model: model.fit(X, Y))
    return model


def same(one, other) -> bool:
    """Whether all weights are, to the bit."""
    return all(map(np.array_equal, one.coefs_ + one.intercepts_, other.coefs_ + other.intercepts_))


class Watcher:
    """Looks on, so that each pass is a call of its own."""

    def on_pass_end(self, loop):
        return False


def test_a_name_an_object_and_a_list_are_the_same():
    for name, augmentation in (("input_noise", InputNoise()), ("mixup", Mixup())):
        expected = fitted(name)
        assert same(fitted(augmentation), expected)
        assert same(fitted([augmentation]), expected)
        assert not same(fitted(None), expected)
    assert same(fitted([]), fitted(None))
    assert not same(fitted(["mixup", "input_noise"]), fitted(["input_noise", "mixup"]))


def test_settings_matter_and_random_state_decides():
    assert not same(fitted(InputNoise(0.2)), fitted(InputNoise(0.1)))
    assert same(fitted(InputNoise(0.2)), fitted(InputNoise(0.2)))
    assert not same(fitted("mixup", random_state=6), fitted("mixup"))


def test_who_watches_changes_nothing():
    expected = fitted(["input_noise", "mixup"])
    with watched_by(Watcher()):
        assert same(fitted(["input_noise", "mixup"]), expected)


def test_calls_of_partial_fit_go_on():
    whole = fitted("mixup", shuffle=False, max_iter=2)
    parts = MLPRegressor(**{**PARAMS, "augment": "mixup", "shuffle": False}).partial_fit(X, Y)
    parts = pickle.loads(pickle.dumps(parts)).partial_fit(X, Y)
    assert same(parts, whole)


def test_a_classifier_learns_from_mixed_classes():
    labels = np.argmax(X[:, :3], axis=1)
    for y in (labels, labels == 0, np.eye(3, dtype=int)[labels]):
        model = MLPClassifier(**PARAMS, augment=["input_noise", "mixup"], early_stopping=True)
        train(model, lambda model, y=y: model.fit(X, y))
        assert np.isfinite(model.loss_curve_).all()


def test_clones_grids_and_pickles_reach_the_settings():
    model = fitted(Mixup(0.3))
    assert model.get_params()["augment__alpha"] == 0.3
    copy = clone(model).set_params(augment__alpha=0.5)
    assert (copy.augment, model.augment) == (Mixup(0.5), Mixup(0.3))
    assert repr(copy.augment) == "Mixup(alpha=0.5)"
    assert pickle.loads(pickle.dumps(model)).augment == Mixup(0.3)
    assert fastnn.augment.Mixup is Mixup


REFUSED = {
    "name": ("smoothing", r"The 'augment' parameter .* Got 'smoothing' instead"),
    "name in a list": (["x"], r"^augment must be one of \['input_noise', 'mixup'\], got 'x'\.$"),
    "scale": (
        InputNoise(-1),
        r"^augment=InputNoise\(scale=-1\): scale must be a number in \[0, inf\), got -1\.$",
    ),
    "not finite": (InputNoise(np.inf), r"scale must be a number in \[0, inf\), got inf\.$"),
    "of another family": (
        ["mixup", Huber()],
        r"^augment must hold names, of \['input_noise', 'mixup'\], or objects of fastnn\.augment,"
        r" got Huber\(\)\.$",
    ),
    "alpha": (["mixup", Mixup(0)], r"alpha must be a number in \(0, inf\), got 0\.$"),
}


@pytest.mark.parametrize(("augment", "message"), REFUSED.values(), ids=REFUSED)
def test_others_are_refused(augment, message):
    model = fitted(None)
    before = pickle.dumps(model.coefs_)
    with pytest.raises(ValueError, match=message):
        model.set_params(augment=augment).fit(X, Y)
    assert pickle.dumps(model.coefs_) == before


def test_noise_on_a_sparse_X_is_refused():
    message = (
        r"^augment=InputNoise\(scale=0\.2\) needs a dense X, got a sparse one, which it would"
        r" fill\. Pass X\.toarray\(\), or choose another augmentation\.$"
    )
    with pytest.raises(ValueError, match=message):
        MLPRegressor(augment=["mixup", InputNoise(0.2)]).fit(csr_array(X), Y)
    assert np.isfinite(fitted("mixup", csr_array(X)).coefs_[0]).all()


def test_lbfgs_refuses_it():
    message = (
        r"^augment='mixup' cannot be used with solver='lbfgs', which compares losses of the same"
        r" network on the same rows in float64\. Choose another solver, or leave augment out\.$"
    )
    with pytest.raises(ValueError, match=message):
        MLPRegressor(solver="lbfgs", augment="mixup").fit(X, Y)
