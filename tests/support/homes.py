"""A table of homes to try the command line on."""

import numpy as np
import pytest

pd = pytest.importorskip("pandas", reason="pandas comes with fastnn[cli]")
for package in ("skops", "optuna"):
    pytest.importorskip(package, reason="fastnn[cli,search] is not installed")

# What a plain network is fitted by, in the folder of homes.csv.
FIT_PLAIN = ["fit", "homes.csv", "--target", "kind", "-o", "m.skops", "--network", "plain"]


def homes(n=80, seed=0):
    """Two numbers and a category with missing cells, and the `kind` and `price` they make."""
    rng = np.random.default_rng(seed)
    size, age = rng.normal(100, 20, n).round(1), rng.integers(0, 50, n).astype(float)
    town = rng.choice(["Oslo", "Rome", "Lima"], n).astype(object)
    price = 3 * size - age + 40 * (town == "Rome")
    kind = np.where(price > np.median(price), "costly", "cheap")
    size[::9], town[5] = np.nan, None
    return pd.DataFrame(
        {"size": size, "age": age, "town": town, "kind": kind, "price": price.round(2)}
    )
