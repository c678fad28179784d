"""Which network reads digits best, if an answer may take no longer than so many microseconds?

``python docs/examples/latency_limit.py [--microseconds 8] [--seconds 60]`` searches with the data
set of handwritten digits that scikit-learn ships, prints the front and the decision, and writes
latency_limit.png and latency_limit_parameters.png beside this file.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import matplotlib

matplotlib.use("Agg")

from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split

from fastnn import MLPClassifier, TradeoffDisplay, TradeoffSearchCV

parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
parser.add_argument("--microseconds", type=float, default=8.0)
parser.add_argument("--seconds", type=float, default=60.0)
arguments = parser.parse_args()

X, y = load_digits(return_X_y=True)
X, X_held, y, y_held = train_test_split(X / 16, y, test_size=0.2, stratify=y, random_state=0)

search = TradeoffSearchCV(
    MLPClassifier(random_state=0),
    objectives=("score", "latency_us"),
    refit={"latency_us": arguments.microseconds, "score": "max"},
    max_time=arguments.seconds,
    n_jobs=-1,
    random_state=0,
)
search.fit(X, y)

found = search.cv_results_
print(f"{len(found['params'])} candidates, {len(search.pareto_front_)} on the front:\n")
print("| latency, us | accuracy | fit, s | bytes | hidden layers | precision | measured |")
print("|---:|---:|---:|---:|---|---|---|")
for i in search.pareto_front_:
    params = found["params"][i]
    print(
        f"| {found['latency_us'][i]:.1f}"
        f" | {found['mean_test_score'][i]:.4f} ± {found['std_test_score'][i]:.4f}"
        f" | {found['fit_time'][i]:.3f} | {found['model_bytes'][i]:.0f}"
        f" | {params['hidden_layer_sizes']} | {params['dtype']} | {found['measured'][i]} |"
    )
best = search.best_index_
print(
    f"\nThe limit is {arguments.microseconds:g} us. The most accurate within it answers in"
    f" {found['latency_us'][best]:.1f} us:"
)
print(search.best_params_)
print(
    f"Accuracy {search.best_score_:.4f} over five folds,"
    f" {search.score(X_held, y_held):.4f} on rows it has never seen."
)

display = TradeoffDisplay.from_search(search)
here = Path(__file__)
display.plot(x="latency_us", y="score")
display.ax_.axvline(arguments.microseconds, color="0.4", linestyle=":", zorder=0)
display.ax_.set(
    xlim=(None, 2 * arguments.microseconds), ylim=(0.94, 0.99)
)  # some candidates lie far off
display.figure_.savefig(here.with_suffix(".png"), dpi=110, bbox_inches="tight")
display.parallel_coordinates().figure_.savefig(
    here.with_name("latency_limit_parameters.png"), dpi=60, bbox_inches="tight"
)
