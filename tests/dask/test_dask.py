"""Is what a Dask cluster learns what one machine learns, wherever the rows lie?"""

from __future__ import annotations

import numpy as np
import pytest

da = pytest.importorskip("dask.array")
dd = pytest.importorskip("dask.dataframe")
distributed = pytest.importorskip("distributed")

from fastnn import MLPClassifier, MLPRegressor  # noqa: E402
from fastnn.dask import DaskMLPClassifier, DaskMLPRegressor  # noqa: E402

SMALL = {"hidden_layer_sizes": (5,), "random_state": 0, "max_iter": 8, "tol": 0.0}
pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")


@pytest.fixture(scope="session")
def client():
    with (
        distributed.LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address=None) as c,
        distributed.Client(c) as client,
    ):
        yield client


def made(n=120, seed=0):
    generator = np.random.RandomState(seed)
    X = generator.randn(n, 4)
    y = X[:, 0] + np.sin(2 * X[:, 1]) + 0.1 * generator.randn(n)
    return X, y, np.digitize(y, [-0.5, 0.7])


def test_first(client):
    X, y, labels = made()
    w = np.abs(X[:, 3])
    cuts = ((50, 0, 30, 40), 4)
    for kw in ({"solver": "lbfgs"}, {"synchronous": True}, {}):
        local = {k: v for k, v in kw.items() if k != "synchronous"}
        import time; t0=time.time()
        m = DaskMLPClassifier(**SMALL, **kw).fit(
            da.from_array(X, chunks=cuts), da.from_array(labels, chunks=cuts[:1]), da.from_array(w, chunks=cuts[:1]))
        print("s", time.time()-t0)
        l = MLPClassifier(**SMALL, **local).fit(X, labels, w)
        print(np.abs(m.coefs_[0] - l.coefs_[0]).max(), m.loss_, l.loss_)
        print(float(m.score(da.from_array(X, chunks=cuts), da.from_array(labels, chunks=cuts[:1]))), m.score(X, labels))
        r = DaskMLPRegressor(**SMALL, **kw).fit(da.from_array(X, chunks=cuts), da.from_array(y, chunks=cuts[:1]))
        l = MLPRegressor(**SMALL, **local).fit(X, y)
        print(np.abs(r.coefs_[0] - l.coefs_[0]).max(), r.loss_, l.loss_)
        print(float(r.score(da.from_array(X, chunks=cuts), da.from_array(y, chunks=cuts[:1]))), r.score(X, y))
    assert 0
