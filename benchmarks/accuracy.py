"""How accurate are the tabular estimators for their cost? Beside trees, on a folder of real tables.

    python -m benchmarks.accuracy FOLDER [--models fast balanced catboost] [--tables adult ames]

FOLDER holds NAME.csv.gz, whose last column is ``target``, and meta.json, which gives each table's
task (binary, multiclass, regression) and the names of its numeric and categorical columns. Each
table is split once by a fixed seed: up to 6,000 rows to train, up to 10,000 others to test. All
models run in one process on one core, one after the other, in CPU seconds of fit.

Scores are ratios to those of ``--reference``, geometric means over the tables: TA is 1 - AUC, log
loss or RMSE; error the misclassified share or RMSE. Below 1 is better than the reference.
"""

from __future__ import annotations

import argparse
import json
import os
import time
from collections.abc import Callable
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

    def __init__(self, folder: Path, name: str, about: dict[str, Any]) -> None:
        self.name = name
        self.task = about["task"]
        self.categorical = about["categorical"]
        frame = pd.read_csv(folder / f"{name}.csv.gz", low_memory=False)
        for column in self.categorical:
            cells = frame[column].astype(object)
            frame[column] = [None if pd.isna(v) else str(v) for v in cells]
        order = np.random.default_rng(SPLIT_SEED).permutation(len(frame))
        n_train = min(MAX_TRAIN, int(0.7 * len(frame)))
        columns = about["numeric"] + self.categorical
        target = frame["target"] if self.is_regression else frame["target"].astype(str)
        parts = order[:n_train], order[n_train : n_train + MAX_TEST]
        self.X_train, self.X_test = (frame[columns].iloc[p].reset_index(drop=True) for p in parts)
        self.y_train, self.y_test = (target.to_numpy()[p] for p in parts)

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


def measure(tables: list[Table], models: list[str], seeds: list[int]) -> pd.DataFrame:
    """A row for each table, model and seed: ta, error, seconds."""
    rows = []
    for table in tables:
        for seed in seeds:
            for name in models:
                started = time.process_time()
                model = MODELS[name](table, seed)
                seconds = time.process_time() - started
                ta, error = table.scores(model)
                rows.append((table.name, name, seed, ta, error, seconds))
                print(f"{table.name} {name} seed {seed}: {ta:.4f} {error:.4f} {seconds:.2f} s")
    return pd.DataFrame(rows, columns=["table", "model", "seed", "ta", "error", "seconds"])


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
    parser.add_argument("--seeds", nargs="+", type=int, default=[0])
    parser.add_argument("--reference", default="catboost")
    parser.add_argument("--out", type=Path, help="write every measurement here, as CSV")
    args = parser.parse_args()
    about = json.loads((args.folder / "meta.json").read_text())
    tables = [Table(args.folder, name, about[name]) for name in args.tables or about]
    measured = measure(tables, args.models, args.seeds)
    if args.out:
        measured.to_csv(args.out, index=False)
    if args.reference in args.models:
        print(summary(measured, args.reference).round(4).to_string())


if __name__ == "__main__":
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
    main()
