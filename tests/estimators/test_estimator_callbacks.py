"""Do callbacks given to an estimator, scikit-learn's and ours, see its fits and stop them?"""

from __future__ import annotations

import pickle

import numpy as np
import pytest
import scipy.sparse
from sklearn.base import clone
from sklearn.exceptions import ConvergenceWarning
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from support.parity import difference, numbers

import fastnn
from fastnn import MLPClassifier, MLPRegressor
from fastnn.estimators import callbacks

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")

theirs = pytest.importorskip("sklearn.callback", reason="callbacks need scikit-learn 1.9")

RNG = np.random.default_rng(5)
X = RNG.normal(size=(70, 4))
LABELS = np.array(["a", "b", "c"])[np.argmax(X[:, :3], axis=1)]
NUMBERS = X @ [1.0, -2.0, 0.5, 0.0]
WEIGHT = RNG.uniform(0.5, 2, len(X))
SETTINGS = {"hidden_layer_sizes": (6,), "max_iter": 5, "random_state": 3}
solvers = pytest.mark.parametrize("solver", ["adam", "lbfgs"])


class Ours:
    """Counts passes, and stops at one."""

    def __init__(self, stop_at=np.inf):
        self.n, self.stop_at = 0, stop_at

    def on_pass_end(self, loop):
        self.n += 1
        return loop.n_iter >= self.stop_at


class Theirs:
    """Notes what scikit-learn's protocol shows, and stops at a pass."""

    def __init__(self, stop_at=np.inf, fail_at=np.inf):
        self.events, self.fitted, self.stop_at, self.fail_at = [], [], stop_at, fail_at

    def setup(self, estimator, context):
        self.events.append("setup")

    def on_fit_task_begin(self, estimator, context, *, X, y, metadata):
        self.events.append(f"begin {context.task_name} {context.task_id}")
        self.shown = X, y, metadata

    def on_fit_task_end(self, estimator, context, *, fitted_estimator):
        self.events.append(f"end {context.task_name} {context.task_id}")
        self.fitted.append(fitted_estimator)
        if context.task_name == "pass" and context.task_id + 1 >= self.fail_at:
            raise RuntimeError("the disk is full")
        return context.task_name == "pass" and context.task_id + 1 >= self.stop_at

    def teardown(self, estimator, context):
        self.events.append("teardown")


@solvers
def test_every_pass_is_a_task(backend, solver):
    watcher, model = Theirs(), MLPClassifier(**SETTINGS, solver=solver, backend=backend)
    model.set_callbacks(watcher).fit(X, LABELS, WEIGHT)
    inner = [f"{what} pass {i}" for i in range(5) for what in ("begin", "end")]
    assert watcher.events == ["setup", "begin fit 0", *inner, "end fit 0", "teardown"]
    assert watcher.shown[0] is X and watcher.shown[1] is LABELS
    assert watcher.shown[2] == {"sample_weight": WEIGHT}
    without = MLPClassifier(**SETTINGS, solver=solver, backend=backend).fit(X, LABELS, WEIGHT)
    assert difference(numbers(model, X), numbers(without, X))[0] == 0
    # What each is shown is the model of a fit that ends there.
    for n, shown in enumerate(watcher.fitted[:-1], start=1):
        params = {**SETTINGS, "max_iter": n}
        shorter = MLPClassifier(**params, solver=solver, backend=backend).fit(X, LABELS, WEIGHT)
        np.testing.assert_array_equal(shown.predict_proba(X), shorter.predict_proba(X))
    np.testing.assert_array_equal(watcher.fitted[-1].predict_proba(X), model.predict_proba(X))


def test_the_model_shown_is_the_best_where_a_fit_ends_with_the_best():
    watcher = Theirs()
    params = {**SETTINGS, "max_iter": 20, "learning_rate_init": 0.3}
    model = MLPClassifier(**params, early_stopping=True).set_callbacks(watcher).fit(X, LABELS)
    np.testing.assert_array_equal(watcher.fitted[-2].coefs_[0], model.coefs_[0])
    assert np.argmax(model.validation_scores_) < model.n_iter_ - 1


@solvers
@pytest.mark.parametrize("watcher", [Ours, Theirs])
def test_either_kind_stops_a_fit(watcher, solver):
    model = MLPRegressor(**SETTINGS, solver=solver)
    others = Theirs(), Ours()
    model.set_callbacks(watcher(stop_at=2), *others).fit(X, NUMBERS)
    assert model.n_iter_ == others[1].n == 2
    events = others[0].events
    assert events.count("setup") == events.count("teardown") == 1
    assert len([e for e in events if "begin" in e]) == len([e for e in events if "end" in e])


def test_an_error_of_a_callback_ends_its_tasks_and_leaves_the_model():
    watcher, model = Theirs(fail_at=2), MLPRegressor(**SETTINGS)
    with pytest.raises(RuntimeError, match="the disk is full"):
        model.set_callbacks(watcher).fit(X, NUMBERS)
    assert watcher.events[-1] == "teardown"
    assert not hasattr(model, "coefs_")
    assert set(vars(model)) == {*vars(MLPRegressor()), "_skl_callbacks"}
    model.set_callbacks().fit(X, NUMBERS)
    assert len(watcher.events) == 7


def test_the_progress_bar_and_the_scores(capsys):
    pytest.importorskip("rich", reason="ProgressBar needs the extra fastnn[progress]")
    scores = theirs.ScoringMonitor(scoring="accuracy")
    model = MLPClassifier(**SETTINGS).set_callbacks(theirs.ProgressBar(), scores)
    model.fit(X, LABELS, WEIGHT)
    shown = [row["accuracy"] for row in scores.get_logs().data if row["task_name"] == "pass"]
    expected = []
    for n in range(1, 6):
        shorter = MLPClassifier(**{**SETTINGS, "max_iter": n}).fit(X, LABELS, WEIGHT)
        expected.append(shorter.score(X, LABELS, WEIGHT))
    np.testing.assert_allclose(shown, expected)
    assert "MLPClassifier - fit" in capsys.readouterr().out


def test_sparse_rows_and_frames_are_scored():
    scores = theirs.ScoringMonitor(scoring="r2")
    model = MLPRegressor(**SETTINGS).set_callbacks(scores)
    model.fit(scipy.sparse.csr_array(X), NUMBERS)
    assert scores.get_logs().data[-1]["r2"] == pytest.approx(model.score(X, NUMBERS))
    pd = pytest.importorskip("pandas")
    model.fit(pd.DataFrame(X, columns=list("abcd")), NUMBERS)
    assert len(scores.get_logs(select="all")) == 2


def test_a_pipeline_hands_its_callbacks_down_and_ours_stay():
    class HandedDown(Theirs):
        max_propagation_depth = None

    watcher, ours = HandedDown(), Ours()
    network = MLPClassifier(**SETTINGS).set_callbacks(ours)
    model = make_pipeline(StandardScaler(), network).set_callbacks(watcher)
    for n in (1, 2):
        model.fit(X, LABELS)
        assert (watcher.events.count("begin pass 4"), ours.n) == (n, 5 * n)


def test_a_search_hands_its_callbacks_down():
    pytest.importorskip("rich")
    search = GridSearchCV(MLPClassifier(**SETTINGS), {"alpha": [0.1, 1.0]}, cv=2)
    search.set_callbacks(theirs.ProgressBar(max_propagation_depth=None)).fit(X, LABELS)
    assert search.best_score_ > 0


def test_copies_keep_them():
    ours = Ours()
    model = MLPRegressor(**SETTINGS).set_callbacks(ours)
    clone(model).fit(X, NUMBERS)
    assert ours.n == 5
    pickle.loads(pickle.dumps(model)).fit(X, NUMBERS)
    assert ours.n == 5  # the copy has its own
    model.set_callbacks().fit(X, NUMBERS)
    assert ours.n == 5


def test_partial_fit_is_not_shown():
    ours, watcher = Ours(), Theirs()
    MLPRegressor(**SETTINGS).set_callbacks(ours, watcher).partial_fit(X, NUMBERS)
    assert (ours.n, watcher.events) == (0, [])


def test_what_is_no_callback_is_refused():
    message = (
        r"^set_callbacks takes objects with a method on_pass_end, and scikit-learn's callbacks, got"
        r" <(object|class '.*\.Ours')"
    )
    for wrong in (object(), Ours):
        with pytest.raises(TypeError, match=message):
            MLPClassifier().set_callbacks(Ours(), wrong)


def test_before_scikit_learn_1_9_ours_work_and_theirs_say_what_they_need(monkeypatch):
    monkeypatch.setattr(callbacks, "_Support", None)
    monkeypatch.setattr("sklearn.__version__", "1.8.0")
    ours = Ours(stop_at=3)
    model = MLPRegressor(**SETTINGS).set_callbacks(ours).fit(X, NUMBERS)
    assert model.n_iter_ == ours.n == 3
    message = (
        r"^<.*Theirs object at .*> is not a callback of fastnn's, as it has no method on_pass_end,"
        r" and scikit-learn 1\.8\.0 has no callbacks: those need scikit-learn 1\.9 or later\.$"
    )
    with pytest.raises(ImportError, match=message):
        model.set_callbacks(Theirs())


def test_a_time_limit_ends_before_a_callback_is_asked():
    watcher = Theirs()
    model = MLPRegressor(**SETTINGS, max_time=1e-9).set_callbacks(watcher)
    with pytest.warns(ConvergenceWarning, match="max_time"):
        model.fit(X, NUMBERS)
    assert watcher.events[2:-2] == ["begin pass 0", "end pass 0"]


def test_the_public_module_is_found():
    assert fastnn.callbacks.watched_by
