"""Does the explorer find better networks than scikit-learn's random search in the same seconds?

For each of five real tables, on a random four fifths of it: ``fastnn.TradeoffSearchCV`` with
fastnn's MLPClassifier in its default space, against what ``RandomizedSearchCV`` does with
scikit-learn's MLPClassifier in that space without ``dtype`` - candidates drawn at random, five
folds each, in as many worker processes - until the seconds are over. The explorer's seconds include
measuring its front and the last fit; the random search's do not include its last fit. Then:

* the best five-fold mean on the explorer's front, and that of the random search;
* on the fifth held out, the accuracy of the model that each chooses, with the standard error of a
  proportion;
* the chosen model's fit time and one-row latency as reported, over those of a fresh measurement in
  this process.

It prints a Markdown table, and under it what does not hold.

    python -m benchmarks.explorer_vs_random_search --data DIR [--seconds 60] [--jobs 2]
                                                   [--tables NAME ...]

DIR holds NAME.csv.gz, the last column called target; FASTNN_DATA names it as well. Without it the
script says so and ends.
"""

from __future__ import annotations

import argparse
import math
import os
import sys
import time
import warnings
from pathlib import Path

import joblib
import numpy as np
import pandas as pd
from sklearn.base import BaseEstimator, clone
from sklearn.compose import make_column_selector, make_column_transformer
from sklearn.impute import SimpleImputer
from sklearn.model_selection import ParameterSampler, StratifiedKFold, train_test_split
from sklearn.neural_network import MLPClassifier as SklearnMLPClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler

from fastnn import MLPClassifier, TradeoffSearchCV
from fastnn.search.default_space import default_space

TABLES = ("credit_g", "phoneme", "spambase", "satimage", "churn_modelling")
FOLDS = 5


def pipeline(network: BaseEstimator) -> BaseEstimator:
    """Preprocessing that is the same for both, and the network."""
    return make_pipeline(
        make_column_transformer(
            (
                make_pipeline(SimpleImputer(strategy="median"), StandardScaler()),
                make_column_selector(dtype_include="number"),
            ),
            (
                make_pipeline(
                    SimpleImputer(strategy="most_frequent"),
                    OneHotEncoder(handle_unknown="ignore", sparse_output=False),
                ),
                make_column_selector(dtype_exclude="number"),
            ),
        ),
        network,
    )


def fold_score(
    estimator: BaseEstimator, number: int, X: pd.DataFrame, y: np.ndarray, train, test
) -> tuple[int, float]:
    """The candidate's number, and its accuracy on one fold; NaN if it fails."""
    warnings.simplefilter("ignore")
    try:
        return number, estimator.fit(X.iloc[train], y[train]).score(X.iloc[test], y[test])
    except ValueError:
        return number, math.nan


def random_search(
    X: pd.DataFrame, y: np.ndarray, seconds: float, jobs: int
) -> tuple[BaseEstimator, float, int]:
    """What RandomizedSearchCV does until time is over: best estimator, its mean, candidates."""
    splits = list(StratifiedKFold(FOLDS).split(X, y))
    estimator = pipeline(SklearnMLPClassifier(random_state=0))
    space = default_space(estimator, len(splits[0][0]))
    candidates = list(ParameterSampler(space, 100_000, random_state=0))
    scores: dict[int, list[float]] = {}
    end = time.perf_counter() + seconds
    pool = joblib.Parallel(
        n_jobs=jobs, return_as="generator_unordered", pre_dispatch=2 * jobs, batch_size=1
    )
    results = pool(
        joblib.delayed(fold_score)(clone(estimator).set_params(**params), i, X, y, train, test)
        for i, params in enumerate(candidates)
        for train, test in splits
        if time.perf_counter() < end
    )
    for i, score in results:
        if time.perf_counter() < end:
            scores.setdefault(i, []).append(score)
    means = {
        i: float(np.mean(s)) for i, s in scores.items() if len(s) == FOLDS and not np.isnan(s).any()
    }
    best = max(means, key=lambda i: means[i])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return clone(estimator).set_params(**candidates[best]).fit(X, y), means[best], len(means)


def agreement(search: TradeoffSearchCV, X: pd.DataFrame, y: np.ndarray) -> tuple[float, float]:
    """The chosen candidate's reported fit time and latency over those measured here and now."""
    rows = next(StratifiedKFold(FOLDS).split(X, y))[0]
    seconds = []
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for _ in range(6):
            model = clone(search.best_estimator_)
            start = time.perf_counter()
            model.fit(X.iloc[rows], y[rows])
            seconds.append(time.perf_counter() - start)
    row, micros = X.iloc[:1], []
    for _ in range(300):
        start = time.perf_counter()
        model.predict(row)
        micros.append(1e6 * (time.perf_counter() - start))
    reported = search.cv_results_
    best = search.best_index_
    return reported["fit_time"][best] / np.median(seconds[1:]), reported["latency_us"][
        best
    ] / np.median(micros)


def compare(path: Path, seconds: float, jobs: int) -> tuple[str, list[str]]:
    """A line of the table, and what does not hold."""
    name = path.name.removesuffix(".csv.gz")
    frame = pd.read_csv(path)
    X, y = frame.drop(columns="target"), frame["target"].to_numpy()
    X, X_held, y, y_held = train_test_split(X, y, test_size=0.2, stratify=y, random_state=0)

    start = time.perf_counter()
    search = TradeoffSearchCV(
        pipeline(MLPClassifier(random_state=0)),
        max_time=seconds,
        cv=StratifiedKFold(FOLDS),
        n_jobs=jobs,
        random_state=0,
    ).fit(X, y)
    took = time.perf_counter() - start
    front = search.cv_results_["mean_test_score"][search.pareto_front_].max()
    chosen = search.score(X_held, y_held)
    fit_ratio, latency_ratio = agreement(search, X, y)

    peer, peer_mean, n_peer = random_search(X, y, seconds, jobs)
    held = peer.score(X_held, y_held)
    error = math.sqrt(held * (1 - held) / len(y_held))
    n_ok = int((search.cv_results_["failure"] == "").sum())
    n_isolated = int((search.cv_results_["measured"][search.pareto_front_] == "isolated").sum())
    line = (
        f"| {name} | {len(X)} x {X.shape[1]} | {n_ok} | {n_peer} | {front:.4f} | {peer_mean:.4f}"
        f" | {chosen:.4f} | {held:.4f} ± {error:.4f}"
        f" | {search.cv_results_['fit_time'][search.best_index_]:.2f}"
        f" | {n_isolated} of {len(search.pareto_front_)} | {fit_ratio:.2f} | {latency_ratio:.2f}"
        f" | {took:.0f} |"
    )
    complaints = []
    if front < peer_mean:
        complaints.append(
            f"{name}: the front's best five-fold mean {front:.4f} is below the random search's"
            f" {peer_mean:.4f}"
        )
    if chosen < held - error:
        complaints.append(
            f"{name}: the chosen model is more than a standard error below on the held-out fifth"
        )
    for what, ratio in (("fit time", fit_ratio), ("latency", latency_ratio)):
        if not 1 / 1.2 <= ratio <= 1.2:
            complaints.append(
                f"{name}: reported over fresh {what} is {ratio:.2f}, more than 20 % off"
            )
    if took > seconds:
        complaints.append(f"{name}: the search took {took:.1f} s")
    return line, complaints


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    default = os.environ.get("FASTNN_DATA", "../shared/data")
    parser.add_argument(
        "--data",
        type=Path,
        default=Path(default),
        help=f"folder of NAME.csv.gz (default {default})",
    )
    parser.add_argument("--seconds", type=float, default=60.0)
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--tables", nargs="+", default=TABLES)
    arguments = parser.parse_args()
    if not arguments.data.is_dir():
        print(
            f"skipped: there is no folder {arguments.data}; name it by --data or FASTNN_DATA.",
            file=sys.stderr,
        )
        return 0
    print(
        "| table | rows x columns | candidates, explorer | random search | five-fold mean, front"
        " | random search | held out, chosen | random search | fit s, chosen | front isolated"
        " | fit time, reported/fresh | latency | search s |"
    )
    print("|---" + "|---:" * 12 + "|")
    complaints = []
    for name in arguments.tables:
        line, more = compare(arguments.data / f"{name}.csv.gz", arguments.seconds, arguments.jobs)
        complaints += more
        print(line, flush=True)
    print("\n" + ("\n".join(complaints) if complaints else "Everything holds."))
    return 0


if __name__ == "__main__":
    sys.exit(main())
