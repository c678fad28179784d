"""Is what a Dask cluster learns what one machine learns, wherever the rows lie?"""

from __future__ import annotations

import os
import pickle
import signal
import sys

import numpy as np
import pytest
from scipy.sparse import csr_matrix
from sklearn.base import clone
from sklearn.metrics import accuracy_score, r2_score
from support import cluster
from support.cluster import on_each_worker, within

from fastnn import MLPClassifier, MLPRegressor
from fastnn.callbacks import Checkpoint
from fastnn.dask import (
    DaskMLPClassifier,
    DaskMLPRegressor,
    DaskTabularClassifier,
    DaskTabularRegressor,
    WorkersLost,
)
from fastnn.dask import cluster as asking
from fastnn.tabular.base import BaseTabular

dd = pytest.importorskip("dask.dataframe", reason="Dask comes with fastnn[dask]")
distributed = pytest.importorskip("distributed", reason="Dask comes with fastnn[dask]")
da = pytest.importorskip("dask.array")
pd = pytest.importorskip("pandas")

SMALL = {"hidden_layer_sizes": (5,), "random_state": 0, "max_iter": 5, "tol": 0.0}
CUTS = (50, 0, 30, 40)
pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")


@pytest.fixture(scope="session")
def rows():
    """X, a target, labels and weights, sorted by label: partitions miss some of them."""
    generator = np.random.RandomState(0)
    X = generator.randn(120, 4)
    y = X[:, 0] + np.sin(2 * X[:, 1]) + 0.1 * generator.randn(120)
    order = np.argsort(np.digitize(y, [-0.5, 0.7]), kind="stable")
    X, y = X[order], y[order]
    labels = np.array(["low", "middle", "upper"])[np.digitize(y, [-0.5, 0.7])]
    return X, y, labels, np.where(np.arange(120) < 50, 0, np.abs(X[:, 3]))


def cut(array, chunks=CUTS):
    return cluster.cut(array, chunks)


def unknown(array):
    return cluster.unknown(array, 20)


def frame(array):
    table = pd.DataFrame(array, columns=list("abcd")) if array.ndim == 2 else pd.Series(array)
    return dd.from_pandas(table, npartitions=3).persist()


def sparse(array):
    return cut(array).map_blocks(csr_matrix) if array.ndim == 2 else cut(array)


def assert_same(model, expected, rtol=1e-9):
    for own, other in zip(
        [*model.coefs_, *model.intercepts_], [*expected.coefs_, *expected.intercepts_], strict=True
    ):
        np.testing.assert_allclose(own, other, rtol, 1e-11)
    assert model.n_iter_ == expected.n_iter_
    assert model.t_ == expected.t_
    assert model.loss_ == pytest.approx(expected.loss_, rtol)


# ---- the laws


SUMMED = {
    "L-BFGS, an empty partition": (cut, {"solver": "lbfgs", "max_fun": 12}),
    "L-BFGS, unknown sizes": (unknown, {"solver": "lbfgs"}),
    "L-BFGS, sparse": (sparse, {"solver": "lbfgs"}),
    "Adam": (cut, {"batch_size": 50, "alpha": 0.5}),
    "SGD, a DataFrame": (frame, {"batch_size": 50, "solver": "sgd", "learning_rate": "adaptive"}),
}


@pytest.mark.parametrize("case", SUMMED)
def test_sums_over_workers_are_the_fit_of_one_machine(client, rows, case):
    partitioned, settings = SUMMED[case]
    X, y, labels, weight = rows
    there = partitioned(X)
    classes = DaskMLPClassifier(**SMALL, **settings, synchronous=True)
    classes.fit(there, partitioned(labels), partitioned(weight))
    assert_same(classes, MLPClassifier(**SMALL, **settings).fit(X, labels, weight))
    numbers = DaskMLPRegressor(**SMALL, **settings, synchronous=True, dtype="float32")
    expected = MLPRegressor(**SMALL, **settings, dtype="float32").fit(X, y)
    rtol = 1e-9 if settings.get("solver") == "lbfgs" else 1e-4
    assert_same(numbers.fit(there, partitioned(y)), expected, rtol)


def test_a_single_worker_learns_as_one_machine(client, rows):
    X, y, _, weight = rows
    settings = {**SMALL, "shuffle": False, "batch_size": 50, "early_stopping": True}
    settings |= {"dropout": 0.2, "augment": "input_noise", "scoring": "neg_max_error"}
    held_out = {"X_val": X[:30], "y_val": y[:30]}
    model = DaskMLPRegressor(**settings).fit(*(cut(a, (120,)) for a in (X, y, weight)), **held_out)
    expected = MLPRegressor(**settings).fit(X, y, weight, **held_out)
    assert_same(model, expected)
    assert model.loss_curve_ == expected.loss_curve_
    assert model.validation_scores_ == expected.validation_scores_


def test_networks_are_averaged_by_rows_after_each_pass(client, rows):
    X, y, _, _ = rows
    settings = {**SMALL, "solver": "sgd", "momentum": 0, "shuffle": False, "max_iter": 2}
    _, there = on_each_worker(client, X[:80], X[80:])
    model = DaskMLPRegressor(**settings).fit(there, on_each_worker(client, y[:80], y[80:])[1])
    each = [MLPRegressor(**settings) for _ in range(2)]
    for _ in range(2):
        for own, part in zip(each, (slice(80), slice(80, 120)), strict=True):
            own.partial_fit(X[part], y[part])
        for name in ("coefs_", "intercepts_"):
            for a, b in zip(getattr(each[0], name), getattr(each[1], name), strict=True):
                a[...] = b[...] = (2 * a + b) / 3
    for own, other in zip(model.coefs_, each[0].coefs_, strict=True):
        np.testing.assert_allclose(own, other, 1e-9)
    assert model.loss_ == pytest.approx((2 * each[0].loss_ + each[1].loss_) / 3)


def test_the_optimizers_memory_is_averaged_too(client, rows):
    """Two workers with the same rows are one."""
    X, y, _, _ = rows
    _, twice = on_each_worker(client, X, X)
    settings = {**SMALL, "shuffle": False}
    model = DaskMLPRegressor(**settings).fit(twice, on_each_worker(client, y, y)[1])
    expected = MLPRegressor(**settings).fit(X, y)
    for own, other in zip(model.coefs_, expected.coefs_, strict=True):
        np.testing.assert_allclose(own, other, 1e-9)


# ---- what is found out about targets


def test_classes_are_those_of_all_partitions(client, rows):
    X, _, labels, _ = rows
    settings = {**SMALL, "solver": "lbfgs", "class_weight": "balanced"}
    model = DaskMLPClassifier(**settings, warm_start=True).fit(cut(X), cut(labels[:, None]))
    expected = MLPClassifier(**settings).fit(X, labels)
    assert_same(model, expected)
    assert model.classes_.tolist() == ["low", "middle", "upper"]
    assert model.class_count_.tolist() == [np.sum(labels == label) for label in model.classes_]
    again = model.fit(cut(X), cut(labels))
    assert_same(again, expected.set_params(warm_start=True).fit(X, labels))


def test_rows_with_several_labels(client, rows):
    X, y, _, _ = rows
    indicators = np.stack([y > 0, X[:, 0] > 0], axis=1)
    settings = {**SMALL, "solver": "lbfgs"}
    model = DaskMLPClassifier(**settings).fit(cut(X), cut(indicators))
    expected = MLPClassifier(**settings).fit(X, indicators)
    assert_same(model, expected)
    assert model.predict(cut(X)).compute().tolist() == expected.predict(X).tolist()
    score = float(model.score(cut(X), cut(indicators)))
    assert score == expected.score(X, indicators)


# ---- answers


@pytest.mark.parametrize("partitioned", [cut, unknown, frame, sparse])
def test_answers_are_lazy_and_lie_as_X_does(client, rows, partitioned):
    X, y, labels, weight = rows
    columns = {"columns": list("abcd")} if partitioned is frame else {}
    local_X = pd.DataFrame(X, **columns) if columns else X
    classes = _fitted(DaskMLPClassifier, MLPClassifier, local_X, labels)
    numbers = _fitted(DaskMLPRegressor, MLPRegressor, local_X, y)
    there = partitioned(X)
    for model, method in [
        (classes, "predict"),
        (classes, "predict_proba"),
        (classes, "predict_log_proba"),
        (numbers, "predict"),
    ]:
        found = getattr(model, method)(there)
        expected = getattr(model.to_local(), method)(local_X)
        assert isinstance(found, da.Array)
        assert found.dtype == expected.dtype
        assert found.numblocks[0] == (there.npartitions if columns else there.numblocks[0])
        assert found.compute().tolist() == expected.tolist()
        assert getattr(model, method)(local_X).tolist() == expected.tolist()
    lasting = partitioned(labels), partitioned(y + 1e6), partitioned(weight)
    score = classes.score(there, lasting[0], lasting[2])
    assert score.compute() == pytest.approx(
        accuracy_score(labels, classes.predict(local_X), sample_weight=weight)
    )
    score = numbers.score(there, *lasting[1:])
    assert score.compute() == pytest.approx(
        r2_score(y + 1e6, numbers.predict(local_X), sample_weight=weight)
    )


def _fitted(of_dask, local, X, y):
    """A model for Dask without a fit on it: a local one's attributes."""
    return _with_attributes(of_dask(**SMALL), local(**SMALL).fit(X, y))


def _with_attributes(model, fitted):
    model.__setstate__({**fitted.__getstate__(), **vars(model)})
    return model


@pytest.mark.parametrize("constant", [0.0, 2.0])
def test_the_score_of_a_constant_target(rows, constant):
    X = rows[0]
    model = _fitted(DaskMLPRegressor, MLPRegressor, X, np.zeros(120))
    model.coefs_[-1][...], model.intercepts_[-1][...] = 0, 2
    y = np.full(120, constant)
    assert float(model.score(cut(X), cut(y))) == r2_score(y, np.full(120, 2.0))


# ---- an estimator of scikit-learn's


def test_a_client_is_neither_copied_nor_kept(client, rows):
    model = _with_attributes(
        DaskMLPClassifier(client=client, alpha=0.5, synchronous=True),
        MLPClassifier(max_iter=1).fit(rows[0], rows[2]),
    )
    assert clone(model).client is client
    assert clone(model).get_params() == model.get_params()
    assert model.get_params()["client"] is client
    assert pickle.loads(pickle.dumps(model)).client is None
    local = model.to_local()
    assert type(local) is MLPClassifier
    assert local.alpha == 0.5
    assert not {"client", "synchronous"} & set(vars(local))
    local.coefs_[0][...] = 0
    assert model.coefs_[0].any()


@pytest.mark.parametrize(
    "of_dask",
    [DaskMLPClassifier, DaskMLPRegressor, DaskTabularClassifier, DaskTabularRegressor],
)
def test_the_parameters_are_those_of_one_machine_and_one_or_two_more(of_dask):
    names = set(of_dask._local_class().get_params())
    more = {"client"} if issubclass(of_dask, BaseTabular) else {"client", "synchronous"}
    assert set(of_dask().get_params()) == names | more
    with pytest.raises(TypeError, match="unexpected keyword argument 'clients'"):
        of_dask(clients=1)


# ---- what is refused


REFUSED = {
    "in memory": (
        lambda X, y: (DaskMLPRegressor(), X, y),
        TypeError,
        r"^X must be a Dask Array or DataFrame, got ndarray\. Data in memory are learned by"
        r" the estimators of fastnn itself\.$",
    ),
    "y in memory": (
        lambda X, y: (DaskMLPRegressor(), cut(X), y),
        TypeError,
        "^y must be a Dask Array or DataFrame, got ndarray",
    ),
    "partitions": (
        lambda X, y: (DaskMLPRegressor(), unknown(X), cut(y)),
        ValueError,
        r"^X has 2 partitions, but y has 4\. Partition them alike: take them from one table, or"
        r" repartition one of them\.$",
    ),
    "lengths": (
        lambda X, y: (DaskMLPRegressor(), unknown(X), unknown(y[1:])),
        ValueError,
        r"^Partition 1 of X has 100 rows, but that of y has 99\. Partition them alike",
    ),
    "known lengths": (
        lambda X, y: (DaskMLPRegressor(), cut(X), cut(y[:80], (80,))),
        ValueError,
        "^X has 120 rows, but y has 80",
    ),
    "one dimension": (
        lambda X, y: (DaskMLPRegressor(), cut(y), cut(y)),
        ValueError,
        r"^X must have two dimensions, got 1\.$",
    ),
    "no rows": (
        lambda X, y: (DaskMLPRegressor(), cut(X[:0], (0,)), cut(y[:0], (0,))),
        ValueError,
        r"^X has no rows in any of its 1 partitions; at least one is needed\.$",
    ),
    "no weight": (
        lambda X, y: (DaskMLPRegressor(), cut(X), cut(y), cut(0 * y)),
        ValueError,
        r"^Sample weights must contain at least one non-zero number\.$",
    ),
    "NaN": (
        lambda X, y: (
            DaskMLPRegressor(),
            cut(np.where(np.arange(120) < 119, X.T, np.nan).T),
            cut(y),
        ),
        ValueError,
        "^Input X contains NaN",
    ),
    "no labels": (
        lambda X, y: (DaskMLPClassifier(), cut(X), cut(y)),
        ValueError,
        "^Unknown label type: continuous",
    ),
    "rows to hold out": (
        lambda X, y: (DaskMLPRegressor(early_stopping=True), cut(X), cut(y)),
        ValueError,
        r"^early_stopping=True holds out rows, which lie on the workers\. Give fit X_val and y_val,"
        r" in memory, or set early_stopping=False\.$",
    ),
    "a checkpoint": (
        lambda X, y: (DaskMLPRegressor().set_callbacks(Checkpoint("fit.npz")), cut(X), cut(y)),
        ValueError,
        "^Checkpoint cannot tell fits apart whose rows lie on the workers",
    ),
    "augmented batches": (
        lambda X, y: (DaskMLPRegressor(augment="mixup", synchronous=True), cut(X), cut(y)),
        ValueError,
        "^augment='mixup' cannot be used with synchronous=True",
    ),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_is_refused(client, rows, case):
    make, error, message = REFUSED[case]
    model, *there = make(*rows[:2])
    with pytest.raises(error, match=message):
        model.fit(*there)
    assert not hasattr(model, "coefs_")


def test_other_calls_that_are_refused(rows):
    X, y, *_ = rows
    model = _fitted(DaskMLPRegressor, MLPRegressor, X, y)
    with pytest.raises(AttributeError, match=r"has no partial_fit and no fit_batches\."):
        model.partial_fit(X, y)
    quantiles = _with_attributes(DaskMLPRegressor(), MLPRegressor("quantile", **SMALL).fit(X, y))
    with pytest.raises(ValueError, match=r"^The score of quantiles, D2, needs .*to_local\(\)"):
        quantiles.score(cut(X), cut(y))


def test_a_missing_package_and_a_missing_client(rows, monkeypatch):
    X, y, *_ = rows
    monkeypatch.setattr(distributed, "get_client", _no_client)
    with pytest.raises(ValueError, match=r"^There is no Dask client\. Make one, such as"):
        DaskMLPRegressor().fit(cut(X), cut(y))
    monkeypatch.setitem(sys.modules, "distributed", None)
    with pytest.raises(ImportError, match=r"^This needs distributed.*\[dask\]"):
        DaskMLPRegressor().fit(cut(X), cut(y))


def _no_client():
    raise ValueError("No global client found and no address provided")


# ---- workers that end


class Kill:
    """Ends the processes of workers after the second pass: of those that hold ``future``."""

    def __init__(self, client, future):
        self.client, self.future = client, future

    def on_pass_end(self, loop):
        if loop.n_iter == 2:
            holders = list(self.client.who_has(self.future)[self.future.key])
            for process in self.client.run(os.getpid, workers=holders).values():
                os.kill(process, signal.SIGKILL)


def test_a_killed_worker_changes_no_number(client, rows):
    X, y, *_ = rows
    parts = list(client.persist([cut(X), cut(y)]))
    distributed.wait(parts)
    kill = Kill(client, distributed.futures_of(parts[0])[0])
    model = DaskMLPRegressor(**SMALL, solver="lbfgs").set_callbacks(kill)
    within(120, lambda: model.fit(*parts))
    assert_same(model, MLPRegressor(**SMALL, solver="lbfgs").fit(X, y))


def test_what_cannot_be_computed_again_is_said(client, rows):
    X, y, *_ = rows
    client.wait_for_workers(2)
    sent, there = on_each_worker(client, X[:80], X[80:])
    model = DaskMLPRegressor(**SMALL).set_callbacks(Kill(client, sent[1]))
    message = (
        r"^Workers ended in the middle of the fit: partitions .*1 of X and y \(\d+ rows\) are lost,"
        r" and the cluster cannot compute them again.*client\.scatter"
    )
    with pytest.raises(WorkersLost, match=message):
        within(120, lambda: model.fit(there, on_each_worker(client, y[:80], y[80:])[1]))
    assert not hasattr(model, "coefs_")


def test_a_task_that_ends_its_workers_is_given_up(client, rows, monkeypatch):
    X, y, *_ = rows
    client.wait_for_workers(2)
    monkeypatch.setattr(client.cluster.scheduler, "allowed_failures", 0)

    def end_this_process(block):  # in here, so that it is pickled by value
        os.kill(os.getpid(), signal.SIGKILL)

    fatal = cut(X).map_blocks(end_this_process, dtype=float, meta=np.empty((0, 0)))
    message = (
        r"^Dask gave up a task of this fit, as several workers ended while they did it: .*memory"
    )
    with pytest.raises(WorkersLost, match=message):
        within(120, lambda: DaskMLPRegressor().fit(fatal, cut(y)))


def test_a_fit_does_not_wait_for_ever_for_workers(rows, monkeypatch):
    X, y, *_ = rows
    monkeypatch.setattr(asking, "PATIENCE", 0.5)
    in_process = distributed.LocalCluster(n_workers=1, processes=False, dashboard_address=":0")

    class EndAll:
        def on_pass_end(self, loop):
            in_process.scale(0)

    with in_process, distributed.Client(in_process) as own:
        model = DaskMLPRegressor(**SMALL, client=own).set_callbacks(EndAll())
        message = r"has had no worker for 0 s\. Start workers, and call fit again\.$"
        with pytest.raises(WorkersLost, match=message):
            within(120, lambda: model.fit(cut(X), cut(y)))


def test_workers_need_the_same_version(rows, monkeypatch):
    X, y, *_ = rows

    class Elsewhere:
        """A client whose worker has another fastnn."""

        def nthreads(self):
            return {"tcp://a:1": 1}

        def run(self, function):
            monkeypatch.setattr("fastnn.__version__", "0.0.1")
            return {"tcp://a:1": function()}

    message = (
        r"^All workers need fastnn .*, which is in use here, but tcp://a:1 has 0\.0\.1\. Install"
    )
    with pytest.raises(RuntimeError, match=message):
        DaskMLPRegressor(client=Elsewhere()).fit(cut(X), cut(y))
