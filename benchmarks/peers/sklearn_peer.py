"""scikit-learn, and what looks like it: the public estimators, nothing else."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from time import perf_counter
from types import ModuleType
from typing import Any

import numpy as np
import sklearn.neural_network
from sklearn.exceptions import ConvergenceWarning

from benchmarks.peers.problems import Array, Problem, Weights


class Peer:
    PACKAGES = ("scikit-learn", "numpy", "scipy")
    module: ModuleType = sklearn.neural_network

    def __init__(self, n_threads: int) -> None:
        self.extra: dict[
            str, Any
        ] = {}  # scikit-learn takes its number of threads from the environment
        warnings.simplefilter("ignore", ConvergenceWarning)  # every fit ends at max_iter here

    def _estimator(self, regression: bool, **parameters: Any) -> Any:
        return getattr(self.module, "MLPRegressor" if regression else "MLPClassifier")(
            **self.extra, **parameters
        )

    def load(self, problem: Problem) -> None:
        self.problem = problem
        self.X, self.y = problem.data()

    def fit(self, n_epochs: int) -> float:
        """Seconds of one fit from the first weights."""
        problem = self.problem
        model = self._estimator(
            problem.regression,
            hidden_layer_sizes=problem.units[1:-1],
            activation=problem.activation,
            batch_size=problem.batch,
            max_iter=n_epochs,
            n_iter_no_change=np.inf,
            random_state=0,
        )
        start = perf_counter()
        model.fit(self.X, self.y)
        seconds = perf_counter() - start
        self.model = model
        return seconds

    def weights(self) -> Weights:
        return list(zip(self.model.coefs_, self.model.intercepts_, strict=True))

    def predictor(
        self, problem: Problem, weights: Weights, method: str
    ) -> Callable[[Array], Array]:
        self.load(problem)
        self.fit(1)
        for mine, given in zip(self.weights(), weights, strict=True):
            for array, values in zip(mine, given, strict=True):
                array[...] = values  # in place: fastnn copies arrays assigned anew at every call
        return getattr(self.model, method)

    def fit_dataset(self, name: str, dtype: str) -> tuple[float, float, int]:
        """Seconds of a whole fit with default parameters, its last loss, its epochs."""
        from sklearn import datasets
        from sklearn.preprocessing import scale

        X, y = getattr(datasets, f"load_{name}")(return_X_y=True)
        X = scale(X).astype(dtype)
        model = self._estimator(name == "diabetes", random_state=0)
        start = perf_counter()
        model.fit(X, y)
        return perf_counter() - start, model.loss_, model.n_iter_

    def search(self, n_fits: int, n_jobs: int) -> float:
        """Seconds of a grid search of ``n_fits`` fits over the threading backend."""
        import joblib
        from sklearn.datasets import load_digits
        from sklearn.model_selection import GridSearchCV

        X, y = load_digits(return_X_y=True)
        grid = {"alpha": np.logspace(-6, 0, n_fits // 3)}
        model = self._estimator(False, random_state=0)
        if "n_threads" in model.get_params():
            model.set_params(n_threads=1)
        search = GridSearchCV(model, grid, cv=3, n_jobs=n_jobs, refit=False)
        start = perf_counter()
        with joblib.parallel_config("threading"):
            search.fit(X.astype(np.float32), y)
        return perf_counter() - start

    def fit_memory_map(self, path: str, shape: tuple[int, int]) -> float:
        """Seconds of one epoch over a float32 file that is mapped, not read."""
        X = np.memmap(path, np.float32, "r", shape=shape)
        y = np.random.default_rng(0).standard_normal(len(X), dtype=np.float32)
        model = self._estimator(True, max_iter=1, random_state=0)
        start = perf_counter()
        model.fit(X, y)
        return perf_counter() - start
