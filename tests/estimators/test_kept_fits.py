"""Does a fit that was killed go on from its file, and is every other file refused?"""

from __future__ import annotations

import json
import os
import pickle
import signal
import subprocess
import sys
import warnings

import numpy as np
import pytest
import scipy.sparse
from sklearn.base import clone
from sklearn.exceptions import ConvergenceWarning
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from support.parity import difference, numbers

import fastnn
from fastnn import MLPClassifier, MLPRegressor
from fastnn.callbacks import Checkpoint, CheckpointError, watched_by
from fastnn.optimizers import SGD

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")

RNG = np.random.default_rng(6)
X = RNG.normal(size=(80, 4))
LABELS = np.array(["a", "b", "c"])[np.argmax(X[:, :3], axis=1)]
NUMBERS = X @ [1.0, -2.0, 0.5, 0.0]
WEIGHT = RNG.uniform(0.5, 2, len(X))
SETTINGS = {"hidden_layer_sizes": (6, 3), "max_iter": 12, "random_state": 3, "batch_size": 16}
FITS = {
    "adam": (MLPClassifier, {}),
    "sgd": (MLPRegressor, {"solver": "sgd", "learning_rate": "invscaling"}),
    "falling rate": (
        MLPRegressor,
        {"solver": "sgd", "learning_rate": "adaptive", "tol": 0.5, "n_iter_no_change": 2},
    ),
    "early stopping": (MLPClassifier, {"early_stopping": True, "learning_rate_init": 0.1}),
    "a plateau": (MLPRegressor, {"tol": 1e9, "n_iter_no_change": 4}),
    "averaged": (MLPRegressor, {"solver": SGD(ema=0.9, max_norm=1), "learning_rate": "one_cycle"}),
    "float32": (MLPClassifier, {"dtype": "float32", "shuffle": False}),
    "dropout": (MLPRegressor, {"dropout": [0.3, 0.1], "augment": ["input_noise", "mixup"]}),
    "a stream": (MLPClassifier, {"random_state": np.random.RandomState}),
}


class Crash(Exception):
    """Ends a fit without leaving a trace in the model."""


class CrashAt:
    def __init__(self, n_iter: int) -> None:
        self.n_iter = n_iter

    def on_pass_end(self, loop) -> None:
        if loop.n_iter == self.n_iter:
            raise Crash


def made(kind, params, backend="auto"):
    params = {**SETTINGS, **params, "backend": backend}
    if params["random_state"] is np.random.RandomState:
        params["random_state"] = np.random.RandomState(5)
    return kind(**params)


def begun(tmp_path, n_iter=5, every=2, **params):
    """The path of a fit that has ended after some passes."""
    path = tmp_path / "fit.npz"
    model = MLPClassifier(**SETTINGS | params).set_callbacks(Checkpoint(path, every=every))
    with watched_by(CrashAt(n_iter)), pytest.raises(Crash):
        model.fit(X, LABELS)
    return path


def content(path):
    with np.load(path) as archive:
        return {name: archive[name] for name in archive.files}


@pytest.mark.parametrize("n_iter", [1, 5])
@pytest.mark.parametrize(("kind", "params"), FITS.values(), ids=FITS)
def test_a_fit_goes_on_to_the_very_numbers(backend, kind, params, n_iter, tmp_path):
    y = LABELS if kind is MLPClassifier else NUMBERS
    expected = made(kind, params, backend).fit(X, y, WEIGHT)
    checkpoint = Checkpoint(tmp_path / "fit.npz", every=2)
    with watched_by(CrashAt(n_iter)), pytest.raises(Crash):
        made(kind, params, backend).set_callbacks(checkpoint).fit(X, y, WEIGHT)
    assert os.path.exists(checkpoint.path) == (n_iter > 2)
    seen = []

    class Watcher:
        def on_pass_end(self, loop):
            seen.append(loop.n_iter)

    again = made(kind, params, backend).set_callbacks(checkpoint, Watcher()).fit(X, y, WEIGHT)
    assert seen == list(range(n_iter // 2 * 2 + 1, expected.n_iter_ + 1))
    assert difference(numbers(again, X), numbers(expected, X))[0] == 0
    assert again.validation_loss_curve_ == expected.validation_loss_curve_
    for each in ("random_state", "_loop"):
        mine, theirs = (getattr(model, each) for model in (again, expected))
        if each == "_loop":
            np.testing.assert_array_equal(mine.state.slots, theirs.state.slots)
            assert (mine.state.step, mine.rate, mine.note) == (
                theirs.state.step,
                theirs.rate,
                theirs.note,
            )
        elif isinstance(mine, np.random.RandomState):
            assert mine.randint(2**31) == theirs.randint(2**31)
    # Once it has ended, its result comes without a further pass.
    seen.clear()
    once_more = made(kind, params, backend).set_callbacks(checkpoint, Watcher()).fit(X, y, WEIGHT)
    assert seen == []
    assert difference(numbers(once_more, X), numbers(expected, X))[0] == 0


SCRIPT = """
import os, signal, sys, warnings
import numpy as np
from fastnn import MLPClassifier
from fastnn.callbacks import Checkpoint

class Kill:
    def on_pass_end(self, loop):
        if loop.n_iter == int(sys.argv[2]):
            os.kill(os.getpid(), signal.SIGKILL)

warnings.simplefilter("ignore")
X, labels = np.load(sys.argv[1] + "/X.npy"), np.load(sys.argv[1] + "/y.npy")
model = MLPClassifier((8,), max_iter=20, n_iter_no_change=20, random_state=1, early_stopping=True)
model.set_callbacks(Checkpoint(sys.argv[1] + "/fit.npz", every=3), Kill()).fit(X, labels)
for value in [*model.coefs_, model.loss_curve_, model.validation_scores_]:
    print(np.asarray(value).tobytes().hex())
"""


@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="this system has no SIGKILL")
def test_a_fit_that_is_killed_goes_on_in_another_process(tmp_path):
    def run(kill_at):
        command = [sys.executable, "-c", SCRIPT, str(tmp_path), str(kill_at)]
        environment = {**os.environ, "PYTHONPATH": os.path.dirname(fastnn.__path__[0])}
        done = subprocess.run(command, capture_output=True, text=True, env=environment)
        return done.returncode, done.stdout.split()

    np.save(tmp_path / "X.npy", X)
    np.save(tmp_path / "y.npy", LABELS)
    assert run(kill_at=8) == (-signal.SIGKILL, [])
    assert content(tmp_path / "fit.npz")["n_iter"] == 6
    params = {"n_iter_no_change": 20, "random_state": 1, "early_stopping": True}
    model = MLPClassifier((8,), max_iter=20, **params).fit(X, LABELS)
    expected = [*model.coefs_, model.loss_curve_, model.validation_scores_]
    assert run(kill_at=0) == (0, [np.asarray(value).tobytes().hex() for value in expected])


def test_without_a_seed_it_goes_on_with_the_rows_that_were_held_out(tmp_path):
    params = {"random_state": None, "early_stopping": True, "dropout": 0.2}
    path = begun(tmp_path, **params)
    kept = content(path)
    model = MLPClassifier(**SETTINGS | params).set_callbacks(Checkpoint(path, every=2))
    model.fit(X, LABELS)
    np.testing.assert_array_equal(model.loss_curve_[:4], kept["losses"])
    for name in ("held_out", "state.seeds"):
        np.testing.assert_array_equal(content(path)[name], kept[name])
    assert model.n_iter_ == 12


def test_sparse_rows_and_rows_to_validate_on(tmp_path):
    sparse, path = scipy.sparse.csr_array(X), tmp_path / "fit.npz"
    fit = {"X": sparse[:60], "y": LABELS[:60], "X_val": sparse[60:], "y_val": LABELS[60:]}
    expected = MLPClassifier(**SETTINGS).fit(**fit)
    model = MLPClassifier(**SETTINGS).set_callbacks(Checkpoint(path))
    with watched_by(CrashAt(6)), pytest.raises(Crash):
        model.fit(**fit)
    assert difference(numbers(model.fit(**fit), X), numbers(expected, X))[0] == 0
    with pytest.raises(CheckpointError, match="with other data"):
        model.fit(**fit | {"X_val": sparse[59:79]})


def test_the_time_limit_counts_from_the_resumption(tmp_path, monkeypatch):
    now = [0.0]
    monkeypatch.setattr("fastnn.training.stopping.time.monotonic", lambda: now[0])

    class Clock:
        def on_pass_end(self, loop):
            now[0] += 1.0

    path, expected = tmp_path / "fit.npz", MLPRegressor(**SETTINGS).fit(X, NUMBERS)
    for n_iter in (5, 10, 12):
        model = MLPRegressor(**SETTINGS, max_time=4.5).set_callbacks(Checkpoint(path, every=100))
        with watched_by(Clock()):
            model.fit(X, NUMBERS)
        assert model.n_iter_ == n_iter
    assert difference(numbers(model, X), numbers(expected, X))[0] == 0


@pytest.mark.parametrize("seed", [3, None])
def test_a_warm_start_has_a_file_of_its_own(tmp_path, seed):
    params = {**SETTINGS, "random_state": seed, "shuffle": False, "warm_start": True}
    model = MLPClassifier(**params).set_callbacks(Checkpoint(tmp_path / "fit"))
    model.fit(X, LABELS)
    first = pickle.dumps(model)
    with pytest.raises(CheckpointError, match="with other first weights or another random_state"):
        model.fit(X, LABELS)
    expected = pickle.loads(first).set_callbacks().fit(X, LABELS)
    model.set_callbacks(Checkpoint(tmp_path / "second"))
    with watched_by(CrashAt(3)), pytest.raises(Crash):
        model.fit(X, LABELS)
    again = pickle.loads(first).set_callbacks(Checkpoint(tmp_path / "second")).fit(X, LABELS)
    assert difference(numbers(again, X), numbers(expected, X))[0] == 0


def test_a_pipeline_around_it_may_be_cloned(tmp_path):
    network = MLPRegressor(**SETTINGS).set_callbacks(Checkpoint(tmp_path / "fit.npz"))
    model = clone(make_pipeline(StandardScaler(), network)).fit(X, NUMBERS)
    assert content(tmp_path / "fit.npz")["n_iter"] == model[-1].n_iter_


def test_threads_and_words_may_be_others(tmp_path, capsys):
    path = begun(tmp_path)
    expected = MLPClassifier(**SETTINGS).fit(X, LABELS)
    model = MLPClassifier(**SETTINGS, n_threads=1, verbose=True, max_time=1e9)
    model.set_callbacks(Checkpoint(path)).fit(X, LABELS)
    assert difference(numbers(model, X), numbers(expected, X))[0] == 0
    assert capsys.readouterr().out.startswith("Iteration 5, loss = ")


OTHERS = {
    "parameters": (
        {"alpha": 0.5, "hidden_layer_sizes": (7,)},
        X,
        LABELS,
        r"with other parameters \(alpha=0.0001 there, alpha=0.5 here; hidden_layer_sizes=\[6, 3\]"
        r" there, hidden_layer_sizes=\[7\] here\)\. Delete it to start anew, or give this fit a"
        r" file of its own\.$",
    ),
    "backend": ({"backend": "numpy"}, X, LABELS, r"backend='?\w+'? there, backend='?numpy'? here"),
    "own function": (
        {"learning_rate": lambda t: 1 - 0.5 * t},
        X,
        LABELS,
        "learning_rate='constant' there, learning_rate=<lambda> [0-9a-f]{12} here",
    ),
    "random state": ({"random_state": 4}, X, LABELS, "random_state=3 there, random_state=4 here"),
    "X": ({}, X + 1, LABELS, r"with other data \(X, y or weights\)\."),
    "X of float32": ({}, X.astype("f4"), LABELS, "with other data"),
    "y": ({}, X, LABELS[::-1].copy(), "with other data"),
}


@pytest.mark.parametrize(("params", "rows", "y", "message"), OTHERS.values(), ids=OTHERS)
def test_another_fit_is_refused(params, rows, y, message, tmp_path):
    path = begun(tmp_path)
    before = path.read_bytes()
    model = MLPClassifier(**SETTINGS | params).set_callbacks(Checkpoint(path))
    with pytest.raises(CheckpointError, match=message) as caught:
        model.fit(rows, y)
    assert str(caught.value).startswith(f"{path} is the checkpoint of a fit with other ")
    assert not hasattr(model, "coefs_")
    assert path.read_bytes() == before


def test_numbers_of_numpy_and_functions_of_the_same_text_are_the_same(tmp_path):
    def rate(slope):
        return {"learning_rate": lambda t: 1 - slope * t}  # another object in each fit

    callback, shown = Checkpoint(tmp_path / "fit.npz"), []
    for alpha, slope in ((1e-4, 0.5), (np.float64(1e-4), 0.5), (1e-4, 0.25)):
        model = MLPClassifier(**SETTINGS, alpha=alpha, **rate(slope)).set_callbacks(callback)
        if slope == 0.5:
            shown.append(model.fit(X, LABELS).loss_curve_)
            continue
        with pytest.raises(CheckpointError, match=r"learning_rate=.*<lambda> \w{12} there"):
            model.fit(X, LABELS)
    assert shown[0] == shown[1]


def test_other_weights_are_refused(tmp_path):
    path = begun(tmp_path)
    with pytest.raises(CheckpointError, match="with other data"):
        MLPClassifier(**SETTINGS).set_callbacks(Checkpoint(path)).fit(X, LABELS, WEIGHT)


def torn(path):
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def flipped(path):
    content = bytearray(path.read_bytes())
    at = content.index(b"state.params.npy") + 300  # in the numbers
    content[at] ^= 1
    path.write_bytes(bytes(content))


def renamed(path):
    about = json.loads(content(path)["about"].tobytes())
    about["format"] = "fastnn checkpoint 0"
    np.savez(path, about=np.frombuffer(json.dumps(about).encode(), np.uint8))


DAMAGED = "is damaged: it was cut off or changed after it was written .* Delete it to start anew"
FOREIGN = "is not a checkpoint of fastnn, and is left as it is. Give Checkpoint another path"
FILES = {
    "torn": (torn, DAMAGED),
    "empty": (lambda path: path.write_bytes(b""), DAMAGED),
    "a flipped bit": (flipped, DAMAGED),
    "text": (lambda path: path.write_text("a,b\n1,2\n"), FOREIGN),
    "a pickle": (lambda path: path.write_bytes(pickle.dumps({"about": 1})), FOREIGN),
    "arrays": (lambda path: np.savez(path, a=np.ones(3)), FOREIGN),
    "objects": (lambda path: np.savez(path, about=np.array([{}], object)), DAMAGED),
    "another format": (renamed, FOREIGN),
}


@pytest.mark.parametrize(("change", "message"), FILES.values(), ids=FILES)
def test_a_file_that_is_no_checkpoint_is_refused(change, message, tmp_path):
    path = begun(tmp_path)
    change(path)
    before = path.read_bytes()
    with pytest.raises(CheckpointError, match=message) as caught:
        MLPClassifier(**SETTINGS).set_callbacks(Checkpoint(path)).fit(X, LABELS)
    assert str(path) in str(caught.value)
    assert path.read_bytes() == before


def test_a_file_is_replaced_whole_or_not_at_all(tmp_path, monkeypatch):
    path = begun(tmp_path)
    before = path.read_bytes()

    def full_disk(file, **arrays):
        file.write(b"PK and no more")
        raise OSError("No space left on device")

    monkeypatch.setattr("fastnn.training.checkpoint.np.savez", full_disk)
    with pytest.raises(OSError, match="No space left"):
        MLPClassifier(**SETTINGS).set_callbacks(Checkpoint(path)).fit(X, LABELS)
    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]


def test_what_it_cannot_keep_is_refused(tmp_path):
    model = MLPRegressor(**SETTINGS, solver="lbfgs").set_callbacks(Checkpoint(tmp_path / "fit"))
    message = (
        "^Checkpoint cannot be used with solver='lbfgs': SciPy keeps what L-BFGS remembers, so that"
        r" it cannot go on later. Use another solver, or remove the callback by set_callbacks\(\)"
    )
    with pytest.raises(ValueError, match=message):
        model.fit(X, NUMBERS)
    message = (
        "^Checkpoint is for fit. partial_fit and fit_batches go on from the model as it is: keep"
        r" the model itself between two calls\.$"
    )
    with watched_by(Checkpoint(tmp_path / "fit")), pytest.raises(ValueError, match=message):
        MLPRegressor(**SETTINGS).partial_fit(X, NUMBERS)
    model = MLPRegressor(**SETTINGS).set_callbacks(Checkpoint(tmp_path / "fit"))
    with pytest.raises(ValueError, match=message):
        model.fit_batches([(X, NUMBERS)])
    model = MLPRegressor(**SETTINGS).set_callbacks(Checkpoint(tmp_path / "none" / "fit.npz"))
    with pytest.raises(FileNotFoundError, match=r"There is no folder \S*none to write the check"):
        model.fit(X, NUMBERS)
    for every in (0, 1.5, None, "2", np.inf):
        message = f"^every must be a whole number of passes, .* got {every!r}.$"
        with pytest.raises(ValueError, match=message):
            Checkpoint("fit.npz", every=every)


def test_partial_fit_does_not_use_it(tmp_path):
    model = MLPRegressor(**SETTINGS).set_callbacks(Checkpoint(tmp_path / "fit"))
    model.partial_fit(X, NUMBERS)
    assert list(tmp_path.iterdir()) == []


def test_a_time_limit_ends_a_fit_after_its_first_pass(backend):
    for solver in ("adam", "lbfgs"):
        model = MLPRegressor(**SETTINGS, solver=solver, max_time=1e-9, backend=backend)
        message = (
            "^Training stopped after 1 iterations, as max_time=1e-09 seconds have passed; the"
            r" optimization hasn't converged yet\.$"
        )
        with pytest.warns(ConvergenceWarning, match=message) as caught:
            model.fit(X, NUMBERS)
        assert model.n_iter_ == len(caught) == 1
    with pytest.raises(ValueError, match="The 'max_time' parameter of MLPRegressor must be"):
        MLPRegressor(max_time=0).fit(X, NUMBERS)


def test_a_time_limit_is_silent_about_a_fit_that_ends_by_itself(monkeypatch):
    now = iter(range(1000))
    monkeypatch.setattr("fastnn.training.stopping.time.monotonic", lambda: next(now))
    params = {**SETTINGS, "tol": 1e9, "n_iter_no_change": 3}
    n_iter = MLPRegressor(**params).fit(X, NUMBERS).n_iter_
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        model = MLPRegressor(**params, max_time=n_iter - 0.5).fit(X, NUMBERS)
    assert model.n_iter_ == n_iter


def test_the_names_that_a_user_imports():
    assert fastnn.callbacks.Checkpoint is Checkpoint
    assert issubclass(CheckpointError, ValueError)
