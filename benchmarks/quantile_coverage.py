"""How often does a value lie below the quantile that was predicted for it? On held-out rows.

    python -m benchmarks.quantile_coverage FOLDER [NAME ...]

FOLDER holds tables NAME.csv.gz with a header line, whose last column is the number to predict. For
each table it prints the shares of held-out rows at or below each predicted quantile, the mean of
five random splits, and how much of the rows lies between the outermost two.
"""

from __future__ import annotations

import sys
import warnings
from pathlib import Path

import numpy as np
import pandas as pd
from sklearn.compose import (
    TransformedTargetRegressor,
    make_column_selector,
    make_column_transformer,
)
from sklearn.exceptions import ConvergenceWarning
from sklearn.impute import SimpleImputer
from sklearn.model_selection import train_test_split
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, QuantileTransformer, StandardScaler

from fastnn import MLPRegressor
from fastnn.losses import Quantile

TABLES = ("california", "abalone", "cpu_act")
LEVELS = (0.05, 0.25, 0.5, 0.75, 0.95)
N_SPLITS = 5


def model(seed: int) -> TransformedTargetRegressor:
    """A network of five outputs behind the usual preparation of columns."""
    numbers = make_pipeline(
        SimpleImputer(),
        QuantileTransformer(n_quantiles=200, output_distribution="normal", random_state=0),
    )
    columns = make_column_transformer(
        (numbers, make_column_selector(dtype_include="number")),
        (OneHotEncoder(handle_unknown="ignore"), make_column_selector(dtype_exclude="number")),
        sparse_threshold=0,
    )
    network = MLPRegressor(
        Quantile(LEVELS),
        (32,),
        early_stopping=True,
        validation_fraction=0.15,
        n_iter_no_change=20,
        max_iter=400,
        random_state=seed,
        n_threads=1,
    )
    return TransformedTargetRegressor(make_pipeline(columns, network), transformer=StandardScaler())


def shares(X: pd.DataFrame, y: np.ndarray, seed: int) -> tuple[np.ndarray, float, float]:
    """Of a split: the share of rows below each quantile, between the outer two, and D2."""
    X_train, X_test, y_train, y_test = train_test_split(X, y, test_size=0.25, random_state=seed)
    fitted = model(seed).fit(X_train, y_train)
    predicted = fitted.predict(X_test)
    assert (np.diff(predicted, axis=1) >= 0).all()
    between = (predicted[:, 0] < y_test) & (y_test <= predicted[:, -1])
    scaled = fitted.transformer_.transform(y_test[:, None])
    return (
        (y_test[:, None] <= predicted).mean(axis=0),
        between.mean(),
        fitted.regressor_.score(X_test, scaled),
    )


def main(folder: str, *names: str) -> None:
    """Print a row for each table."""
    warnings.simplefilter("ignore", ConvergenceWarning)
    print("table       rows  " + "".join(f"{level:8.2f}" for level in LEVELS) + " between      D2")
    for name in names or TABLES:
        table = pd.read_csv(Path(folder) / f"{name}.csv.gz")
        X, y = table.iloc[:, :-1], table.iloc[:, -1].to_numpy(float)
        below, between, scores = zip(*(shares(X, y, seed) for seed in range(N_SPLITS)), strict=True)
        each = "".join(f"{share:8.3f}" for share in np.mean(below, axis=0))
        print(
            f"{name:11}{len(y):6}  {each}{np.mean(between):8.3f}{np.mean(scores):8.3f}", flush=True
        )


if __name__ == "__main__":
    main(*sys.argv[1:])
