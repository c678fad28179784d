"""Tables to try things on, and files to write them to."""

import numpy as np
import pytest

pd = pytest.importorskip("pandas", reason="pandas comes with fastnn[cli]")
pytest.importorskip("pyarrow", reason="pyarrow comes with fastnn[cli]")

from fastnn.tabular.encode import features, targets, with_known_target  # noqa: E402
from fastnn.tabular.options import TypeOptions  # noqa: E402
from fastnn.tabular.recognise import recognise  # noqa: E402


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


def beside(values, name="x", target=None):
    """A table of one column of interest, one harmless number, and a target of two classes."""
    n = len(values)
    y = ["no", "yes"] * (n // 2) + ["no"] * (n % 2) if target is None else target
    return pd.DataFrame({name: values, "other": np.resize([0.5, 1.5, 2.5], n), "y": y})


def learned(frame, target="y", **options):
    """Return schema, features and targets of a training table."""
    schema = recognise(frame, target, TypeOptions(**options))
    known = with_known_target(schema, frame)
    return schema, features(schema, known), targets(schema, known)
