"""How accurate are the tabular estimators for their cost? Beside trees, on a folder of real tables.

    python -m benchmarks.accuracy FOLDER [--models fast balanced catboost] [--tables adult ames]
    python -m benchmarks.accuracy FOLDER --rows 100000 --tables adult otto synthetic

FOLDER holds NAME.csv.gz, whose last column is ``target``, and meta.json, which gives each table's
task (binary, multiclass, regression) and the names of its numeric and categorical columns.
``synthetic`` is made here: 30 columns and as many rows as are asked for. Each table is split once
by a fixed seed: up to 6,000 rows to train, or ``--rows``, and up to 10,000 others to test, which
are the same whatever ``--rows`` is. All models run on one core, one after the other, each in a
process of its own: CPU seconds of fit, and the megabytes by which fit raised the process's peak,
without those that reading the table had left free.

Scores are ratios to those of ``--reference``, geometric means over the tables: TA is 1 - AUC, log
loss or RMSE; error the misclassified share or RMSE. Below 1 is better than the reference.
"""

from __future__ import annotations

import argparse
import importlib
import json
import multiprocessing
import os
import resource
import time
from collections.abc import Callable, Iterable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from sklearn.compose import make_column_transformer
from sklearn.ensemble import HistGradientBoostingClassifier, HistGradientBoostingRegressor
from sklearn.metrics import log_loss, roc_auc_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OrdinalEncoder

from fastnn import TabularClassifier, TabularRegressor

MAX_TRAIN, MAX_TEST = 6000, 10_000
SPLIT_SEED = 1000


class Table:
    """A table's task, and its rows to train and to test on."""

    def __init__(self, name: str, about: dict[str, Any], frame: pd.DataFrame, n_rows: int) -> None:
        self.name = name
        self.task = about["task"]
        self.categorical = about["categorical"]
        order = np.random.default_rng(SPLIT_SEED).permutation(len(frame))
        start = min(MAX_TRAIN, int(0.7 * len(frame)))
        others, test, more = np.split(order, [start, start + MAX_TEST])
        columns = about["numeric"] + self.categorical
        target = frame["target"] if self.is_regression else frame["target"].astype(str)
        parts = np.concatenate([others, more])[:n_rows], test
        self.X_train, self.X_test = (frame[columns].iloc[p].reset_index(drop=True) for p in parts)
        self.y_train, self.y_test = (target.to_numpy()[p] for p in parts)

    @classmethod
    def read(cls, folder: Path, name: str, about: dict[str, Any], n_rows: int) -> Table:
        """One of a folder."""
        frame = pd.read_csv(folder / f"{name}.csv.gz", low_memory=False)
        for column in about["categorical"]:
            cells = frame[column].astype(object)
            frame[column] = [None if pd.isna(v) else str(v) for v in cells]
        return cls(name, about, frame, n_rows)

    @classmethod
    def made(cls, n_rows: int) -> Table:
        """Two classes by 20 numbers, some skewed, tied or missing, and 10 columns of texts."""
        random, n = np.random.default_rng(0), n_rows + MAX_TEST
        z = random.normal(size=(n, 20))
        logit = 1.2 * np.sin(2 * z[:, 0]) + np.where(z[:, 1] > 0.5, 1, -0.5) * z[:, 2]
        logit += (
            0.8 * np.abs(z[:, 3]) - 0.7 * z[:, 4] * z[:, 5] + 0.6 * np.tanh(3 * z[:, 6]) * z[:, 7]
        )
        columns: dict[str, Any] = {f"n{i}": z[:, i] for i in range(20)}
        for i in range(8, 12):
            columns[f"n{i}"] = np.exp(z[:, i])
            columns[f"n{i + 4}"] = np.round(2 * z[:, i + 4])
            logit += 0.3 * (z[:, i] > 0) * z[:, i + 4]
        numeric = list(columns)
        for i, n_levels in enumerate([3, 4, 5, 8, 12, 20, 40, 80, 150, 250]):
            codes = (random.random(n) ** 1.5 * n_levels).astype(int)
            effects = random.normal(size=n_levels)[codes]
            logit += effects * (0.4 + 0.4 * z[:, 16] * (i % 3 == 0))
            columns[f"c{i}"] = np.array([f"level {k}" for k in range(n_levels)], object)[codes]
        frame = pd.DataFrame(columns)
        for name in ("n6", "n10", "n14"):
            frame.loc[random.random(n) < 0.05, name] = np.nan
        frame["target"] = random.random(n) < 1 / (1 + np.exp(1 - logit))
        about = {"task": "binary", "numeric": numeric, "categorical": list(columns)[20:]}
        return cls("synthetic", about, frame, n_rows)

    @property
    def is_regression(self) -> bool:
        """Whether numbers are predicted."""
        return self.task == "regression"

    def scores(self, model: Any) -> tuple[float, float]:
        """TA and error of a fitted model on the test rows."""
        if self.is_regression:
            rmse = float(np.sqrt(np.mean((model.predict(self.X_test) - self.y_test) ** 2)))
            return rmse, rmse
        p = np.asarray(model.predict_proba(self.X_test), np.float64)
        p /= p.sum(axis=1, keepdims=True)
        wrong = np.mean(np.asarray(model.classes_).astype(str)[p.argmax(axis=1)] != self.y_test)
        if self.task == "binary":
            return 1 - roc_auc_score(self.y_test, p[:, 1]), float(wrong)
        return log_loss(self.y_test, p, labels=model.classes_), float(wrong)


def ours(preset: str, dtype: str | None = None) -> Callable[[Table, int], Any]:
    """The estimators of this project."""

    def fit(table: Table, seed: int) -> Any:
        kind = TabularRegressor if table.is_regression else TabularClassifier
        model = kind(preset, dtype=dtype, random_state=seed, n_threads=1)
        return model.fit(table.X_train, table.y_train)

    return fit


def catboost(table: Table, seed: int) -> Any:
    """CatBoost's default on one thread, its own categories."""
    import catboost as peer

    kind = peer.CatBoostRegressor if table.is_regression else peer.CatBoostClassifier
    model = kind(
        thread_count=1,
        verbose=0,
        random_seed=seed,
        cat_features=table.categorical,
        allow_writing_files=False,
    )
    return _WithTexts(model, table).fit()


def lightgbm(table: Table, seed: int) -> Any:
    """LightGBM's default on one thread, its own categories."""
    import lightgbm as peer

    kind = peer.LGBMRegressor if table.is_regression else peer.LGBMClassifier
    return _WithCategories(kind(n_jobs=1, verbose=-1, random_state=seed), table).fit()


def hist(table: Table, seed: int) -> Any:
    """scikit-learn's histogram gradient boosting, its default."""
    kind = HistGradientBoostingRegressor if table.is_regression else HistGradientBoostingClassifier
    codes = OrdinalEncoder(
        handle_unknown="use_encoded_value", unknown_value=np.nan, max_categories=254
    )
    encoder = make_column_transformer((codes, table.categorical), remainder="passthrough")
    n = len(table.categorical)
    model = kind(random_state=seed, categorical_features=list(range(n)) or None)
    return make_pipeline(encoder, model).fit(table.X_train, table.y_train)


class _Adapter:
    """A peer's model with its own way to be given categories."""

    def __init__(self, model: Any, table: Table) -> None:
        self.model = model
        self.table = table

    def fit(self) -> _Adapter:
        self.model.fit(self._X(self.table.X_train), self.table.y_train)
        return self

    @property
    def classes_(self) -> np.ndarray:
        return self.model.classes_

    def predict(self, X: pd.DataFrame) -> np.ndarray:
        return self.model.predict(self._X(X))

    def predict_proba(self, X: pd.DataFrame) -> np.ndarray:
        return self.model.predict_proba(self._X(X))


class _WithTexts(_Adapter):
    def _X(self, X: pd.DataFrame) -> pd.DataFrame:
        return X.assign(**{name: X[name].fillna("(missing)") for name in self.table.categorical})


class _WithCategories(_Adapter):
    def _X(self, X: pd.DataFrame) -> pd.DataFrame:
        train = self.table.X_train
        return X.assign(
            **{
                name: pd.Categorical(X[name], categories=sorted(train[name].dropna().unique()))
                for name in self.table.categorical
            }
        )


MODELS: dict[str, Callable[[Table, int], Any]] = {
    "fast": ours("fast"),
    "balanced": ours("balanced"),
    "best": ours("best"),
    "fast_bfloat16": ours("fast", "bfloat16"),
    "hist": hist,
    "lightgbm": lightgbm,
    "catboost": catboost,
}


def measure(tables: Iterable[Table], models: list[str], seeds: list[int]) -> pd.DataFrame:
    """A row for each table, model and seed: rows, ta, error, seconds, megabytes."""
    found = []
    for table in tables:
        for seed in seeds:
            for name in models:
                numbers = in_its_own_process(partial(measure_one, table, name, seed))
                found.append((table.name, name, seed, len(table.y_train), *numbers))
                shown = "{:.4f} {:.4f} {:.2f} s {:.0f} MB".format(*numbers)
                print(f"{table.name} {len(table.y_train)} {name} seed {seed}: {shown}", flush=True)
    names = ["table", "model", "seed", "rows", "ta", "error", "seconds", "megabytes"]
    return pd.DataFrame(found, columns=names)


def measure_one(table: Table, name: str, seed: int) -> tuple[float, float, float, float]:
    """TA, error, CPU seconds of fit, and the megabytes by which it raised the peak."""
    if name in ("catboost", "lightgbm"):
        importlib.import_module(name)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    started = time.process_time()
    model = MODELS[name](table, seed)
    seconds = time.process_time() - started
    raised = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
    return *table.scores(model), seconds, raised / 1024


def in_its_own_process(function: Callable[[], Any]) -> Any:
    """What a function returns in a fork of this process, whose peak begins with what is in use."""
    fork = multiprocessing.get_context("fork")
    receiver, sender = fork.Pipe(duplex=False)
    process = fork.Process(target=lambda: sender.send(function()))
    process.start()
    sender.close()
    found = receiver.recv()
    process.join()
    return found


def summary(measured: pd.DataFrame, reference: str) -> pd.DataFrame:
    """Geometric means of ratios to the reference, seed by seed, and their spread over seeds."""
    numbers = ["ta", "error", "seconds"]
    logs = measured.assign(**np.log(measured[numbers]))
    base = logs[logs["model"] == reference].set_index(["table", "seed"])[numbers]
    logs = logs.set_index(["table", "seed"])
    logs[numbers] -= base.reindex(logs.index)
    by_seed = np.exp(logs.reset_index().groupby(["model", "seed"])[numbers].mean())
    means = by_seed.groupby("model").mean()
    means["ta, +- over seeds"] = by_seed["ta"].groupby("model").std()
    return means.sort_values("ta")


def main() -> None:
    """Run the models and print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--models", nargs="+", choices=MODELS, default=["fast", "hist"])
    parser.add_argument("--tables", nargs="+")
    parser.add_argument("--rows", type=int, default=MAX_TRAIN, help="to train on, at most")
    parser.add_argument("--seeds", nargs="+", type=int, default=[0])
    parser.add_argument("--reference", default="catboost")
    parser.add_argument("--out", type=Path, help="write every measurement here, as CSV")
    args = parser.parse_args()
    about = json.loads((args.folder / "meta.json").read_text())
    tables = (
        Table.made(args.rows)
        if name == "synthetic"
        else Table.read(args.folder, name, about[name], args.rows)
        for name in args.tables or about
    )
    measured = measure(tables, args.models, args.seeds)
    if args.out:
        measured.to_csv(args.out, index=False)
    if args.reference in args.models:
        print(summary(measured, args.reference).round(4).to_string())


if __name__ == "__main__":
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
    main()
