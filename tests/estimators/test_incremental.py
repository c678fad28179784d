"""Does learning in parts add up? Epochs of ``partial_fit``, multilabel targets, batches."""

from __future__ import annotations

import signal
from contextlib import nullcontext
from itertools import pairwise

import numpy as np
import pytest
from support.parity import difference, numbers

from fastnn import MLPClassifier, MLPRegressor
from fastnn.training.callbacks import watched_by

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")

RNG = np.random.default_rng(7)
X = RNG.normal(size=(90, 4))
LABELS = np.array(["a", "b", "c"])[np.argmax(X[:, :3], axis=1)]
MULTILABEL = (X[:, :3] > 0.2).astype(int)
NUMBERS = X @ [1.0, -2.0, 0.5, 0.0]
WEIGHT = RNG.uniform(0.5, 2, len(X))
SETTINGS = {"hidden_layer_sizes": (6,), "batch_size": 16, "random_state": 3}
Y = {MLPClassifier: LABELS, MLPRegressor: NUMBERS}
CLASSES = {MLPClassifier: {"classes": ["a", "b", "c"]}, MLPRegressor: {}}
kinds = pytest.mark.parametrize("kind", [MLPClassifier, MLPRegressor])


# ---- partial_fit


@kinds
@pytest.mark.parametrize("solver", ["adam", "sgd"])
def test_epochs_are_calls(backend, kind, solver):
    # The orders of the rows are the same where they are not shuffled.
    params = {**SETTINGS, "solver": solver, "shuffle": False, "backend": backend}
    params |= {"learning_rate": "adaptive", "tol": 1e9, "n_iter_no_change": 2}  # plateaus
    at_once = kind(**params).partial_fit(X, Y[kind], n_epochs=7, **CLASSES[kind])
    in_turn = kind(**params)
    for _ in range(7):
        in_turn.partial_fit(X, Y[kind], **CLASSES[kind])
    shown, expected = numbers(at_once, X), numbers(in_turn, X)
    assert (shown.pop("n_iter_"), expected.pop("n_iter_")) == (7, 1)
    assert difference(shown, expected)[0] == 0


def test_epochs_shuffle_as_a_fit_does():
    many = MLPRegressor(**SETTINGS, max_iter=5).fit(X, NUMBERS)
    added = MLPRegressor(**SETTINGS).partial_fit(X, NUMBERS, n_epochs=5)
    assert difference(numbers(added, X), numbers(many, X))[0] == 0


@kinds
@pytest.mark.parametrize("n_epochs", [0, 1.5, 2.0, "2", True])
def test_other_numbers_of_epochs_are_refused(kind, n_epochs):
    message = f"^n_epochs must be a whole number, at least 1, got {n_epochs!r}.$"
    model = kind(**SETTINGS)
    with pytest.raises(ValueError, match=message):
        model.partial_fit(X, Y[kind], n_epochs=n_epochs, **CLASSES[kind])
    with pytest.raises(ValueError, match=message):
        model.fit_batches([(X, Y[kind])], n_epochs=n_epochs, **CLASSES[kind])
    assert not hasattr(model, "coefs_")


def test_lbfgs_has_no_epochs():
    message = (
        r"^n_epochs=3 needs a solver that goes through the data in passes, such as 'adam';"
        r" solver='lbfgs' ends by itself, at the latest after max_iter=200 iterations\.$"
    )
    with pytest.raises(ValueError, match=message):
        MLPRegressor(**SETTINGS, solver="lbfgs").partial_fit(X, NUMBERS, n_epochs=3)


@pytest.mark.parametrize("classes", [None, [0, 1, 2], ["x", "y", "z"]])
def test_an_indicator_matrix_names_its_classes(backend, classes):
    model = MLPClassifier(**SETTINGS, shuffle=False, backend=backend)
    for rows in (slice(0, 48), slice(48, 90)):
        model.partial_fit(X[rows], MULTILABEL[rows], classes=classes)
    whole = MLPClassifier(**SETTINGS, shuffle=False, max_iter=1, backend=backend)
    whole.fit(X, MULTILABEL)
    assert model.predict(X).shape == MULTILABEL.shape
    np.testing.assert_array_equal(model.predict(X), whole.predict(X))
    np.testing.assert_array_equal(model.classes_, [0, 1, 2] if classes is None else classes)


def test_a_part_of_an_indicator_matrix_may_lack_labels():
    model = MLPClassifier(**SETTINGS, learning_rate_init=0.02)
    model.partial_fit(X[:20], np.zeros((20, 3), int)).partial_fit(X, MULTILABEL, n_epochs=30)
    assert (model.predict(X) == MULTILABEL).mean() > 0.9


def test_classes_of_an_indicator_matrix_that_do_not_fit():
    message = r"^classes=\[0, 1\] names 2 classes, but y has 3 columns, one for each\.$"
    with pytest.raises(ValueError, match=message):
        MLPClassifier(**SETTINGS).partial_fit(X, MULTILABEL, classes=[0, 1])


@kinds
def test_lbfgs_goes_on_from_the_weights_of_the_fit_before(backend, kind):
    model = kind(**SETTINGS, solver="lbfgs", max_iter=4, warm_start=True, backend=backend)
    losses = []
    for _ in range(6):
        model.fit(X, Y[kind])
        losses.append(model.loss_)
    assert losses == sorted(losses, reverse=True)
    assert losses[-1] < losses[0] / 2


# ---- fit_batches


def batches(kind, weighted=False, sizes=(0, 48, 80, 90)):
    for start, stop in pairwise(sizes):
        part = (X[start:stop], Y[kind][start:stop])
        yield (*part, WEIGHT[start:stop]) if weighted else part


@kinds
@pytest.mark.parametrize("weighted", [False, True], ids=["", "weighted"])
def test_batches_are_calls_of_partial_fit(backend, kind, weighted):
    params = {**SETTINGS, "batch_size": 10, "backend": backend}
    model = kind(**params)
    assert model.fit_batches(lambda: batches(kind, weighted), n_epochs=3, **CLASSES[kind]) is model
    in_turn, losses = kind(**params | {"random_state": np.random.RandomState(3)}), []
    for _ in range(3):
        for part in batches(kind, weighted):
            in_turn.partial_fit(*part, **CLASSES[kind])
            losses.append(in_turn.loss_)
    np.testing.assert_array_equal(model.coefs_[0], in_turn.coefs_[0])
    epochs = np.average(np.reshape(losses, (3, 3)), axis=1, weights=[48, 32, 10])
    np.testing.assert_allclose(model.loss_curve_, epochs, rtol=1e-12)
    assert (model.n_iter_, model.t_, model.random_state) == (3, 270, 3)
    assert model.loss_ == model.loss_curve_[-1]


@kinds
def test_one_batch_of_all_rows_is_the_first_pass_of_a_fit(kind):
    model = kind(**SETTINGS).fit_batches([(X, Y[kind])], **CLASSES[kind])
    expected = kind(**SETTINGS, max_iter=1).fit(X, Y[kind])
    assert difference(numbers(model, X), numbers(expected, X))[0] == 0


def test_it_starts_anew_unless_warm():
    parts = list(batches(MLPClassifier, sizes=(0, 48, 90)))
    once = MLPClassifier(**SETTINGS).fit_batches(parts, classes=["a", "b", "c"], n_epochs=2)
    twice = MLPClassifier(**SETTINGS, early_stopping=True).fit(X[:, :2], X[:, 0] > 0)
    twice.set_params(early_stopping=False)
    twice.fit_batches(parts, classes=["a", "b", "c"], n_epochs=2)
    assert difference(numbers(twice, X), numbers(once, X))[0] == 0
    twice.set_params(warm_start=True).fit_batches(parts, n_epochs=3)
    assert twice.loss_curve_[:2] == once.loss_curve_
    assert (len(twice.loss_curve_), twice.n_iter_, twice.t_) == (5, 3, 450)


def test_indicator_matrices_in_batches():
    parts = [(X[:50], MULTILABEL[:50]), (X[50:], MULTILABEL[50:])]
    model = MLPClassifier(**SETTINGS, learning_rate_init=0.02).fit_batches(parts, n_epochs=30)
    assert (model.predict(X) == MULTILABEL).mean() > 0.9


REFUSED = {
    "an iterator for two epochs": (
        lambda: iter([(X, NUMBERS)]),
        r"^batches is an iterator \(list_iterator\), which can be read once, but n_epochs=2\."
        r" Give a list, or a function that returns a new iterator\.$",
    ),
    "no batch": (lambda: [], r"^batches held no batch in epoch 1\.$"),
    "a list": (
        lambda: [[X, NUMBERS]],
        r"^batches must hold tuples \(X, y\) or \(X, y, sample_weight\), got a list\.$",
    ),
    "None": (
        lambda: None,
        r"^batches must be an iterable of tuples \(X, y\) or \(X, y, sample_weight\), or a function"
        r" that returns one, got None\.$",
    ),
    "a function that returns no batches": (lambda: lambda: 3, r"that returns one, got 3\.$"),
    "four": (lambda: [(X, NUMBERS, WEIGHT, 1)], "sample_weight\\), got a tuple of 4\\.$"),
    "a second that does not fit": (lambda: [(X, NUMBERS), (X[:, :2], NUMBERS)], "X has 2 features"),
}


@pytest.mark.parametrize(("given", "message"), REFUSED.values(), ids=REFUSED)
def test_what_holds_no_batches_is_refused_and_the_model_stays(given, message):
    model = MLPRegressor(**SETTINGS).fit(X, NUMBERS)
    before = numbers(model, X)
    with pytest.raises(ValueError, match=message):
        model.fit_batches(given(), n_epochs=2)
    assert difference(numbers(model, X), before)[0] == 0
    assert model.random_state == 3


def test_a_batch_that_fails_leaves_a_warm_model_as_it_was():
    model = MLPRegressor(**SETTINGS, warm_start=True).partial_fit(X, NUMBERS, n_epochs=3)
    curve = list(model.loss_curve_)
    with pytest.raises(ValueError, match="X has 2 features"):
        model.fit_batches([(X, NUMBERS), (X[:, :2], NUMBERS)])
    assert model.loss_curve_ == curve


def test_a_function_whose_iterator_is_used_up_is_refused():
    parts = iter([(X, NUMBERS)])
    with pytest.raises(ValueError, match=r"^batches held no batch in epoch 2\.$"):
        MLPRegressor(**SETTINGS).fit_batches(lambda: parts, n_epochs=2)


@kinds
def test_what_batches_cannot_have(kind):
    message = "^fit_batches is only available for stochastic optimizers. lbfgs is not stochastic.$"
    with pytest.raises(AttributeError, match="has no attribute 'fit_batches'") as caught:
        kind(solver="lbfgs").fit_batches([(X, Y[kind])])
    with pytest.raises(AttributeError, match=message):
        raise caught.value.__cause__
    with pytest.raises(ValueError, match=r"^fit_batches does not support early_stopping=True$"):
        kind(early_stopping=True).fit_batches([(X, Y[kind])])


def test_classes_are_needed_for_labels():
    with pytest.raises(ValueError, match=r"^classes must be passed"):
        MLPClassifier(**SETTINGS).fit_batches([(X, LABELS)])


class StopAt:
    def __init__(self, n):
        self.n = n

    def on_pass_end(self, loop):
        self.n -= 1
        return not self.n


@pytest.mark.parametrize("callbacks_set", [False, True])
def test_whoever_watches_stops_it_after_a_batch(callbacks_set):
    model = MLPRegressor(**SETTINGS | {"batch_size": 10})
    if callbacks_set:
        model.set_callbacks(StopAt(5))
    with nullcontext() if callbacks_set else watched_by(StopAt(5)):
        model.fit_batches(lambda: batches(MLPRegressor), n_epochs=9)
    assert (model.n_iter_, model.t_) == (2, 90 + 48 + 32)


def test_the_time_limit_is_that_of_the_whole():
    model = MLPRegressor(**SETTINGS, max_time=1e-9)
    with pytest.warns(match="as max_time=1e-09 seconds have passed"):
        model.fit_batches([(X, NUMBERS), (X, NUMBERS)], n_epochs=9)
    assert (model.n_iter_, model.t_) == (1, 90)


@pytest.mark.parametrize("reading", [False, True], ids=["training", "reading"])
def test_ctrl_c_keeps_what_was_learned(reading):
    class Interrupt:
        def on_pass_end(self, loop):
            if not reading:
                signal.raise_signal(signal.SIGINT)

    def read():
        yield X, NUMBERS
        if reading:
            signal.raise_signal(signal.SIGINT)
        yield X, NUMBERS

    model = MLPRegressor(**SETTINGS)
    with watched_by(Interrupt()), pytest.warns(match="^Training interrupted by user.$") as given:
        model.fit_batches(read, n_epochs=3)
    assert len(given) == 1
    assert (model.n_iter_, model.t_, len(model.loss_curve_)) == (1, 90, 1)
    assert model.random_state == 3


def test_ctrl_c_before_the_first_batch_is_raised():
    def read():
        signal.raise_signal(signal.SIGINT)
        yield X, NUMBERS

    model = MLPRegressor(**SETTINGS)
    with pytest.raises(KeyboardInterrupt):
        model.fit_batches(read)
    assert model.random_state == 3
    assert not hasattr(model, "coefs_")
