"""A small table, and settings with which a bag of it is fitted soon."""

from __future__ import annotations

import numpy as np
import pandas as pd

QUICK = {"n_members": 2, "max_iter": 4, "hidden_layer_sizes": (8,), "random_state": 0}


def homes(n=400, seed=0):
    """A table of every kind of column, and the price and kind that they make."""
    rng = np.random.default_rng(seed)
    X = pd.DataFrame(
        {
            "area": rng.lognormal(4, 0.5, n),
            "rooms": rng.integers(1, 6, n).astype(float),
            "town": rng.choice(["Oslo", "Rome", "Lima", "Bonn"], n),
            "pool": rng.random(n) < 0.3,
        }
    )
    worth = X["town"].map({"Oslo": 2.0, "Rome": 1.0, "Lima": 0.5, "Bonn": 1.5})
    price = np.sqrt(X["area"]) * worth + 2 * X["pool"] + 0.3 * X["rooms"]
    X.loc[::7, "rooms"] = np.nan
    y = (price + rng.normal(0, 0.5, n)).to_numpy()
    kind = np.array(["cheap", "dear", "usual"])[np.digitize(y, np.quantile(y, [0.4, 0.8])) % 3]
    return X, y, kind
