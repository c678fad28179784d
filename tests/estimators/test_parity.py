"""Does training give scikit-learn's model, number by number, over random parameters and data?

A fixed seed draws configurations of solver x task x activation x depth x batch size x shuffle x
momentum x learning-rate rule x early stopping x sample weights x sparsity x history of calls.
scikit-learn runs each once; every backend is compared to it.
"""

from __future__ import annotations

import random
from dataclasses import dataclass
from itertools import product
from typing import Any

import numpy as np
import pytest
import sklearn.neural_network
from scipy.sparse import csc_array, csr_array, issparse
from support.parity import difference, numbers, train

import fastnn

# Relative, after 30 epochs; see parity.difference. Rounding alone makes 1e-12 for adam and sgd;
# L-BFGS's line search grows it.
TOLERANCE = {"adam": 1e-9, "sgd": 1e-9, "lbfgs": 1e-6}
# A configuration is left out where scikit-learn moves by more when X moves by one ulp.
SENSITIVE = 1e-7
EPOCHS = 30

TASKS = ["binary", "multiclass", "multilabel", "regression", "multi-output", "poisson"]
CONTAINERS = {"dense": np.asarray, "fortran": np.asfortranarray, "csr": csr_array, "csc": csc_array}
PER_SOLVER_AND_TASK = {"adam": 16, "sgd": 18, "lbfgs": 10}  # 264 in all


@dataclass(frozen=True)
class Config:
    """One model, its constructor's arguments as pairs, and the calls that train it."""

    number: int
    task: str
    n_rows: int
    n_features: int
    weighted: bool
    container: str
    history: str
    seed_is_stream: bool
    params: tuple[tuple[str, Any], ...]

    def __str__(self) -> str:
        params = " ".join(f"{name}={value}" for name, value in self.params)
        flags = f"{'weighted ' * self.weighted}{'RandomState ' * self.seed_is_stream}"
        data = f"{self.task} {self.n_rows}x{self.n_features} {self.container}"
        return f"{self.number}: {data} {self.history} {flags}{params}"

    @property
    def is_classifier(self) -> bool:
        return self.task in ("binary", "multiclass", "multilabel")

    @property
    def solver(self) -> str:
        return dict(self.params)["solver"]

    def model(self, library: Any, **extra: Any) -> Any:
        """An unfitted model of ``library`` (fastnn or sklearn.neural_network)."""
        params = dict(self.params)
        if self.seed_is_stream:
            params["random_state"] = np.random.RandomState(self.number)
        return (library.MLPClassifier if self.is_classifier else library.MLPRegressor)(
            **params, **extra
        )

    def data(self, nudge: bool = False) -> tuple[Any, np.ndarray, np.ndarray | None]:
        """X, y and sample weights; with ``nudge`` each non-zero number of X moves by one ulp."""
        rng = np.random.default_rng(self.number)
        n, n_out = (
            self.n_rows,
            {"multiclass": 4, "multilabel": 3, "multi-output": 2}.get(self.task, 1),
        )
        X = np.where(
            rng.random((n, self.n_features)) < 0.3, 0, rng.normal(size=(n, self.n_features))
        )
        signal = X @ rng.normal(size=(self.n_features, n_out)) + 0.3 * rng.normal(size=(n, n_out))
        if self.task == "binary":
            y = np.where(signal[:, 0] > 0, "yes", "no")
        elif self.task == "multiclass":
            y = signal.argmax(axis=1) * 10 - 5
        elif self.task == "multilabel":
            y = (signal > 0).astype(int)
        elif self.task == "poisson":
            y = rng.poisson(np.exp(np.clip(signal[:, 0], -2, 2))).astype(float)
        else:
            y = signal[:, 0] if n_out == 1 else signal
        weight = rng.uniform(0.1, 3, n) if self.weighted else None
        if nudge:
            X = np.where(X == 0, 0, np.nextafter(X, rng.choice([-np.inf, np.inf], X.shape)))
        return CONTAINERS[self.container](X), y, weight

    def train(self, model: Any, nudge: bool = False) -> dict[str, Any]:
        """Train ``model``; return all that it shows, the warnings of its training included."""
        X, y, weight = self.data(nudge)
        rows = np.arange(self.n_rows)
        X_rows = X.tocsr() if issparse(X) else X
        chunks = [
            (X_rows[part], y[part], None if weight is None else weight[part])
            for part in np.array_split(rows, 3)
        ]
        classes = (
            {"classes": np.arange(3) if self.task == "multilabel" else np.unique(y)}
            if self.is_classifier
            else {}
        )

        def history(model: Any) -> None:
            if self.history in ("fit", "warm start", "fit, partial_fit"):
                model.fit(X, y, weight)
            if self.history == "warm start":
                model.fit(X, y if self.is_classifier else y[::-1], weight)
            if self.history in ("partial_fit", "fit, partial_fit"):
                for _ in range(5):
                    for X_part, y_part, weight_part in chunks:
                        model.partial_fit(X_part, y_part, sample_weight=weight_part, **classes)

        given = train(model, history)
        return numbers(model, X) | {"warnings": given}


def draw() -> list[Config]:
    """The configurations."""
    rng = random.Random(20261123)
    configs = []
    pairs = [
        pair
        for pair in product(PER_SOLVER_AND_TASK, TASKS)
        for _ in range(PER_SOLVER_AND_TASK[pair[0]])
    ]
    for number, (solver, task) in enumerate(pairs):
        n_rows = rng.randint(60, 150)
        histories = (
            ["fit"] * 3 + ["warm start"] + ["partial_fit", "fit, partial_fit"] * (solver != "lbfgs")
        )
        history = rng.choice(histories)
        params: dict[str, Any] = {
            "hidden_layer_sizes": rng.choice(
                [(), (1,), (3,), (7,), 9, (16,), (5, 4), (8, 3), (4, 4, 4)]
            ),
            "activation": rng.choice(["identity", "logistic", "tanh", "relu"]),
            "solver": solver,
            "alpha": rng.choice([0.0, 1e-4, 0.01, 1.0]),
            "max_iter": EPOCHS if history == "fit" else EPOCHS // 2,
            "random_state": number,
            "warm_start": history == "warm start",
        }
        if task == "poisson":
            params["loss"] = "poisson"
        if solver != "lbfgs":
            early_stopping = history in ("fit", "warm start") and rng.random() < 0.4
            params |= {
                "batch_size": rng.choice(["auto", 16, 23, 32, 50, n_rows, 1000]),
                "shuffle": rng.random() < 0.7,
                "tol": rng.choice([0.0, 1e-4, 0.02]),
                "n_iter_no_change": rng.choice([2, 5, 10]),
                "learning_rate_init": rng.choice([0.001, 0.003, 0.01]),
                "early_stopping": early_stopping,
                "validation_fraction": rng.choice([0.1, 0.25]),
            }
        if solver == "sgd":
            params |= {
                "momentum": rng.choice([0.0, 0.5, 0.9]),
                "nesterovs_momentum": rng.random() < 0.5,
                "learning_rate": rng.choice(["constant", "invscaling", "adaptive"]),
                "power_t": rng.choice([0.25, 0.5]),
            }
        if solver == "adam":
            params |= {
                "beta_1": rng.choice([0.9, 0.5]),
                "beta_2": rng.choice([0.999, 0.9]),
                "epsilon": rng.choice([1e-8, 1e-4]),
            }
        configs.append(
            Config(
                number=number,
                task=task,
                n_rows=n_rows,
                n_features=rng.randint(3, 9),
                weighted=rng.random() < 0.4,
                container=rng.choice(["dense", "dense", "fortran", "csr", "csc"]),
                history=history,
                seed_is_stream=rng.random() < 0.25,
                params=tuple(params.items()),
            )
        )
    return configs


CONFIGS = draw()


def of_scikit_learn(config: Config) -> tuple[dict[str, Any], float]:
    """What scikit-learn's model shows, and how much that moves when X moves by one ulp."""
    expected, nudged = (
        config.train(config.model(sklearn.neural_network), nudge) for nudge in (False, True)
    )
    return expected, difference(nudged, expected)[0]


@pytest.fixture
def reference(once_per_run):
    """``of_scikit_learn``, computed once for all backends."""
    return lambda config: once_per_run(f"parity {config.number}", of_scikit_learn, config)


@pytest.mark.parametrize("config", CONFIGS, ids=lambda config: f"{config.number}")
def test_equals_scikit_learn(backend, reference, config):
    expected, sensitivity = reference(config)
    if sensitivity > SENSITIVE:
        pytest.skip(f"scikit-learn itself moves by {sensitivity:.0e} in {config}")
    shown = config.train(config.model(fastnn, backend=backend))
    found, where = difference(shown, expected)
    assert found <= TOLERANCE[config.solver], (
        f"{config}\ndiffers by {found:.1e} from scikit-learn in {where}"
    )


def test_few_configurations_are_left_out(reference):
    left_out = [config for config in CONFIGS if reference(config)[1] > SENSITIVE]
    assert len(CONFIGS) - len(left_out) >= 200
    assert len(left_out) <= len(CONFIGS) // 20


SINGLE = [config for config in CONFIGS if config.solver != "lbfgs" and config.history == "fit"][::3]


@pytest.mark.parametrize("config", SINGLE, ids=lambda config: f"{config.number}")
def test_float32_is_float64_within_rounding(backend, config):
    # Five epochs: rounding is a unit of 6e-8 and training spreads it, the more so where ReLUs sit
    # on their edge.
    X, y, weight = config.data()
    X = X.astype(np.float32)
    models = []
    for dtype in (np.float32, np.float64):
        model = config.model(fastnn, backend=backend).set_params(
            max_iter=5, tol=0, n_iter_no_change=10
        )
        train(model, lambda model, dtype=dtype: model.fit(X.astype(dtype), y, weight))
        models.append(numbers(model, X.astype(dtype)))
    single, double = models
    for name in single:
        if name.startswith(("coefs_", "intercepts_")) or name == (
            "predict_proba" if config.is_classifier else "predict"
        ):
            assert single[name].dtype == np.float32, name
            assert double[name].dtype == np.float64, name
            scale = np.abs(double[name]).max()
            np.testing.assert_allclose(
                single[name], double[name], rtol=0, atol=2e-5 * scale, err_msg=f"{config}: {name}"
            )
    np.testing.assert_allclose(
        single["loss_curve_"], double["loss_curve_"], rtol=1e-5, err_msg=str(config)
    )


@pytest.mark.parametrize("solver", ["adam", "sgd", "lbfgs"])
@pytest.mark.parametrize("task", TASKS)
def test_float32_stays_float32_whatever_the_targets_are(backend, task, solver):
    config = next(
        c for c in CONFIGS if c.task == task and c.solver == solver and c.history == "fit"
    )
    X, y, weight = config.data()
    X = X.astype(np.float32)
    model = config.model(fastnn, backend=backend).set_params(max_iter=3)
    # scikit-learn's L-BFGS gives float64 whatever X is, and so does ours.
    expected = np.float64 if solver == "lbfgs" else np.float32
    targets = [y, y.astype(np.float32), y.astype(int)] if y.dtype.kind in "fi" else [y]
    for target in targets:
        train(model, lambda model, target=target: model.fit(X, target, weight))
        assert {array.dtype.type for array in [*model.coefs_, *model.intercepts_]} == {expected}
        if config.is_classifier:
            assert model.predict_proba(X).dtype == model.predict_log_proba(X).dtype == expected
            assert model.predict(X).dtype == (int if task == "multilabel" else target.dtype)
        else:
            assert model.predict(X).dtype == expected
        assert np.isfinite(model.loss_)
        if solver != "lbfgs":
            train(
                model,
                lambda model, target=target: model.set_params(early_stopping=False).partial_fit(
                    X, target, weight
                ),
            )
            assert {array.dtype.type for array in [*model.coefs_, *model.intercepts_]} == {expected}
