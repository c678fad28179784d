"""Is the bag that a Dask cluster learns the one that one machine learns, wherever the rows lie?"""

from __future__ import annotations

import os
import signal
import time
from itertools import pairwise

import numpy as np
import pytest
from sklearn.model_selection import KFold
from support.cluster import cut, on_each_worker, unknown, within

from fastnn import TabularClassifier, TabularRegressor
from fastnn.dask import DaskTabularClassifier, DaskTabularRegressor, WorkersLost, tabular
from fastnn.export import flash_bytes
from fastnn.losses import Quantile
from fastnn.tabular.recipe import PRESETS
from fastnn.tabular.tally import SIZE
from fastnn.training.callbacks import watched_by

da = pytest.importorskip("dask.array", reason="Dask comes with fastnn[dask]")
dd = pytest.importorskip("dask.dataframe", reason="Dask comes with fastnn[dask]")
pd = pytest.importorskip("pandas")

QUICK = {"n_members": 3, "max_iter": 4, "hidden_layer_sizes": (8,), "random_state": 0}
N = 160
RNG = np.random.default_rng(0)


def frame(table, stops):
    """Partitions cut before these rows, each with the types that pandas finds in it alone."""
    stops = [0, *stops, len(table)]
    parts = [table.iloc[a:b].infer_objects() for a, b in pairwise(stops)]
    return in_parts(table, parts)


def in_parts(table, parts):
    return dd.from_map(lambda part: part, parts, meta=table[:0], enforce_metadata=False)


@pytest.fixture(scope="module")
def table():
    """Columns whose parts differ, in classes that lie in one part each, and an empty partition."""
    part = np.repeat(np.arange(4), N // 4)
    X = pd.DataFrame(
        {
            "number": RNG.normal(size=N),
            "gaps from row 80 on": np.where(part < 2, RNG.integers(0, 99, N), np.nan),
            "numbers, then texts": np.where(part < 2, part, "text").astype(object),
            "town": RNG.choice(["Lima", "Oslo", None], N).astype(object),
            "rare town": np.where(part == 3, "Bonn", RNG.choice(["Rome", "Pisa"], N)),
            "truth": RNG.random(N) < 0.5,
            "day": pd.to_datetime("2020-01-01") + pd.to_timedelta(RNG.integers(0, 99, N), "D"),
            "group": pd.Categorical(RNG.choice(list("abc"), N), categories=list("cab")),
        }
    )
    X["numbers, then texts"] = [*map(int, part[: N // 2]), *["text"] * (N // 2)]
    y = pd.Series(np.where(part == 3, "late", np.where(X["number"] > 0, "up", "down")))
    return X, y, pd.Series(np.where(part == 1, 0.0, RNG.random(N)))


def assert_same(model, local):
    """To the bit, but for what is a line for every row."""
    np.testing.assert_array_equal(model._params, local._params)
    for name in ("validation_score_", "n_iter_", "loss_curve_", "validation_curve_"):
        assert getattr(model, name) == getattr(local, name), name
    for own, other in zip(model.members_, local.members_, strict=True):
        assert own.held_out.tolist() == other.held_out.tolist()
        assert own.validation_curve == other.validation_curve
    for own, other in zip(model._misses, local._misses, strict=True):
        assert own.tolist() == other.tolist()
    names = {name for name in vars(local) if name.endswith("_")} - {"oof_prediction_"}
    assert names == {name for name in vars(model) if name.endswith("_")}


def test_a_table_in_partitions_is_learned_as_on_one_machine(client, table):
    X, y, weight = table
    stops = [40, 80, 80, 120]
    there, labels, weights = (frame(own, stops) for own in table)
    settings = {**QUICK, "importance_repeats": 1, "class_weight": "balanced"}
    model = DaskTabularClassifier(**settings).fit(there, labels, weights)
    local = TabularClassifier(**settings).fit(X, y, weight)
    assert_same(model, local)
    assert model.classes_.tolist() == ["down", "late", "up"]
    assert model.feature_names_in_.tolist() == X.columns.tolist()
    assert model.feature_importances_.tolist() == local.feature_importances_.tolist()
    for method in ("predict", "predict_proba"):
        found, expected = getattr(model, method)(there), getattr(local, method)(X)
        assert isinstance(found, da.Array)
        assert found.numblocks[0] == 5
        assert found.dtype == expected.dtype
        assert found.compute().tolist() == expected.tolist()
        assert getattr(model, method)(X).tolist() == expected.tolist()
    score = model.score(there, labels, weights)
    assert float(score) == pytest.approx(local.score(X, y, weight))
    assert type(model.to_local()) is TabularClassifier
    assert model.to_local().predict_set(X).tolist() == local.predict_set(X).tolist()
    assert flash_bytes(model.to_local()) == flash_bytes(local)
    with pytest.raises(AttributeError, match=r"has no oof_prediction_, which would be as long as"):
        model.oof_prediction_  # noqa: B018
    with pytest.raises(TypeError, match=r"^Intervals and sets are for rows in memory\. Take to_lo"):
        model.predict_set(there)


ARRAYS = {
    "an empty chunk": lambda array: cut(array, (50, 0, 70, 40)),
    "unknown sizes": lambda array: unknown(array, 0, 30),
}


@pytest.mark.parametrize("partitioned", ARRAYS.values(), ids=ARRAYS)
def test_arrays_with_rows_to_validate_on(client, partitioned):
    X = RNG.normal(size=(N, 3))
    y = np.stack([X[:, 0], X[:, 1] - X[:, 2]], axis=1)
    held_out = {"X_val": X[:30] + 0.1, "y_val": y[:30]}
    model = DaskTabularRegressor(**QUICK).fit(partitioned(X), partitioned(y), **held_out)
    local = TabularRegressor(**QUICK).fit(X, y, **held_out)
    assert_same(model, local)
    assert model.predict(partitioned(X)).compute().tolist() == local.predict(X).tolist()
    assert float(model.score(partitioned(X), partitioned(y))) == pytest.approx(local.score(X, y))


def test_a_column_of_many_values_has_edges_within_the_stated_error(client):
    X = RNG.lognormal(size=(6 * SIZE, 1))
    y = np.floor(X[:, 0])
    settings = {**QUICK, "max_iter": 1, "n_members": None}
    there = cut(X, (2 * SIZE + SIZE // 2, 3 * SIZE + SIZE // 2))
    model = DaskTabularRegressor(**settings).fit(there, cut(y, there.chunks[0]))
    edges = model._encoder.embedding_.edges[0]
    numbers = model._encoder.numbers_
    z = (X[:, 0] - numbers.centers[0]) * numbers.factors[0]
    z = np.sort(z / np.sqrt(1 + (z / 3) ** 2))
    shares = np.searchsorted(z, edges, side="right") / len(z)
    errors = np.abs(shares - np.linspace(0, 1, len(edges)))
    assert errors.max() <= 2 / SIZE + 1 / len(z)
    local = TabularRegressor(**settings).fit(X, y)
    assert model._encoder.embedding_.edges != local._encoder.embedding_.edges, "it was no sketch"
    assert model.predict(X).shape == (len(X),)
    # Of so many rows a bag has fewer members than the preset.
    assert len(model.members_) == len(local.members_) < PRESETS[local.preset].n_members


def test_members_stop_when_time_is_up_and_share_their_folds(client):
    X = RNG.normal(size=(N, 2))
    settings = {**QUICK, "random_state": np.random.RandomState(0), "max_time": 1e-9}
    model = DaskTabularRegressor(**settings)
    with pytest.warns(
        UserWarning, match=r"^Training stopped after 1 iterations, as max_time=1e-09"
    ):
        model.fit(cut(X, (80, 80)), cut(X[:, 0], (80, 80)))
    assert model.n_iter_ == 1
    held_out = np.concatenate([member.held_out for member in model.members_])
    assert len(np.unique(held_out)) == len(held_out) == 60  # three of eight folds


# ---- what is refused


def fails(model, X, y, *args, **kwargs):
    return lambda: model.fit(X, y, *args, **kwargs)


X0 = np.arange(20.0).reshape(10, 2)
THERE = cut(X0, (5, 5)), cut(X0[:, 0], (5, 5))
REFUSED = {
    "in memory": (
        fails(DaskTabularRegressor(), X0, THERE[1]),
        TypeError,
        "^X must be a Dask Array or DataFrame, got ndarray",
    ),
    "a splitter": (
        fails(DaskTabularRegressor(cv=KFold(3)), *THERE),
        ValueError,
        r"^cv=KFold\(.*\) needs all rows, which lie on the workers\. Give the number of folds, or",
    ),
    "folds beside rows to validate on": (
        fails(DaskTabularRegressor(cv=3), *THERE, X_val=X0, y_val=X0[:, 0]),
        ValueError,
        r"^X_val takes the place of folds: leave out cv, or X_val and y_val\.$",
    ),
    "callbacks": (
        fails(DaskTabularRegressor().set_callbacks(type("C", (), {"on_pass_end": max})()), *THERE),
        ValueError,
        r"^Members train on the workers, where no callback sees them\. Remove callbacks by",
    ),
    "one row": (
        fails(DaskTabularRegressor(), *THERE, cut(np.eye(10)[0], (5, 5))),
        ValueError,
        r"^X must have at least 2 samples whose weight is above 0, got 1 sample\.$",
    ),
    "one class": (
        fails(DaskTabularClassifier(), THERE[0], da.zeros_like(THERE[1], dtype=int)),
        ValueError,
        "^y holds one class only, 0; a classifier needs at least 2 classes",
    ),
    "no classes": (
        fails(DaskTabularClassifier(), THERE[0], THERE[1] / 3),
        ValueError,
        "^Unknown label type: continuous",
    ),
    "infinity": (
        fails(DaskTabularRegressor(), THERE[0] / da.zeros_like(THERE[0]), THERE[1]),
        ValueError,
        "^Input X? ?contains infinity",
    ),
}


@pytest.mark.parametrize("case", REFUSED)
@pytest.mark.filterwarnings("ignore:divide by zero:RuntimeWarning")
def test_what_is_refused(client, case):
    fit, error, message = REFUSED[case]
    with pytest.raises(error, match=message):
        fit()


def test_other_calls_that_are_refused(client, table):
    with (
        watched_by(type("C", (), {"on_pass_end": max})()),
        pytest.raises(ValueError, match=r"^Members train on the workers"),
    ):
        DaskTabularRegressor().fit(*THERE)
    X, y, _ = table
    for other, message in [
        (X.drop(columns="town"), r"^Partition 1 of X has 7 columns, but partition 0 has 8\. Give"),
        (X.rename(columns={"town": "city"}), r"^X lacks columns .* fitted with: 'town'\.$"),
    ]:
        with pytest.raises(ValueError, match=message):
            DaskTabularClassifier().fit(in_parts(X, [X[:80], other[80:]]), frame(y, [80]))
    model = DaskTabularRegressor(loss=Quantile(0.9), **QUICK)
    model._take(TabularRegressor(loss=Quantile(0.9), **QUICK).fit(X0, X0[:, 0]).__getstate__())
    with pytest.raises(ValueError, match=r"^The score of quantiles, D2, needs .*to_local\(\)"):
        model.score(*THERE)


# ---- workers that end


def killing(folder, n_epochs):
    """A scorer that waits for a second process; the first with so many epochs ends itself, once."""

    def score(estimator, X, y):  # in here, so that it is pickled by value
        notes = folder / f"of process {os.getpid()}"
        with notes.open("a") as file:
            file.write("an epoch\n")
        end = time.monotonic() + 60
        while len(list(folder.glob("of process *"))) < 2:
            assert time.monotonic() < end, "no other process trains"
            time.sleep(0.01)
        if len(notes.read_text().splitlines()) == n_epochs:
            try:
                (folder / "killed").touch(exist_ok=False)
            except FileExistsError:
                pass
            else:
                os.kill(os.getpid(), signal.SIGKILL)
        return -float(np.mean((estimator.predict(X) - y) ** 2))

    return score


def test_a_killed_worker_changes_no_number(client, tmp_path):
    client.wait_for_workers(2)
    X = np.random.default_rng(1).normal(size=(N, 3))
    there = cut(X, (40, 80, 40)), cut(X[:, 0], (40, 80, 40))
    settings = {**QUICK, "eval_metric": killing(tmp_path, 5)}
    model = DaskTabularRegressor(**settings)
    within(120, lambda: model.fit(*there))
    assert (tmp_path / "killed").exists()
    assert_same(model, TabularRegressor(**settings).fit(X, X[:, 0]))


def test_what_cannot_be_computed_again_is_said(client, monkeypatch):
    """Before the encoded rows have gone to the workers that train."""
    client.wait_for_workers(2)
    X = RNG.normal(size=(N, 3))
    sent, there = on_each_worker(client, X[:60], X[60:])
    y = on_each_worker(client, X[:60, 0], X[60:, 0])[1]

    class Ending(tabular.Cluster):
        def merged(self, *args, **kwargs):
            found = super().merged(*args, **kwargs)
            holding = client.who_has([sent[1], self.shards[1].future]).values()
            holders = sorted(set().union(*holding))
            for pid in client.run(os.getpid, workers=holders).values():
                os.kill(pid, signal.SIGKILL)
            return found

    monkeypatch.setattr(tabular, "Cluster", Ending)
    model = DaskTabularRegressor(**QUICK)
    message = (
        r"^Workers ended in the middle of the fit: partitions .*1 of X and y \(1\d0 rows\) are"
        r" lost, and the cluster cannot compute them again.*client\.scatter"
    )
    with pytest.raises(WorkersLost, match=message):
        within(120, lambda: model.fit(there, y))
    assert not hasattr(model, "_params")
