"""Tables to try things on, and files to write them to."""

import numpy as np
import pytest

pd = pytest.importorskip("pandas", reason="pandas comes with fastnn[cli]")


def write(folder, text, name="data.csv"):
    path = folder / name
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return str(path)


def people(n=40):
    """A table with a number, a category and missing cells, and a target of two classes."""
    rng = np.random.default_rng(0)
    age = rng.integers(18, 80, n).astype(float)
    city = rng.choice(["Oslo", "Rome"], n).astype(object)
    age[3], city[5] = np.nan, np.nan
    return pd.DataFrame({"age": age, "city": city, "bought": rng.choice(["no", "yes"], n)})
