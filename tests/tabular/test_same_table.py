"""Is a table the same, however it is stored: text in every dialect, Parquet, JSON or a frame?"""

from __future__ import annotations

import csv
import datetime
import gzip
import io

import numpy as np
import pytest

pd = pytest.importorskip("pandas", reason="pandas comes with fastnn[cli]")
hypothesis = pytest.importorskip("hypothesis")

import pyarrow as pa  # noqa: E402
from hypothesis import HealthCheck, assume, given, settings  # noqa: E402
from hypothesis import strategies as st  # noqa: E402
from support.tables import write  # noqa: E402

from fastnn.tabular.encode import TableEncoder, features, targets, with_known_target  # noqa: E402
from fastnn.tabular.read import read_table  # noqa: E402
from fastnn.tabular.recognise import recognise  # noqa: E402
from fastnn.tabular.schema import TableError  # noqa: E402

N_ROWS = 24
# Quotes and separators are in, which the writers quote; blanks are not, which are taken away.
WORDS = st.text(
    st.characters(
        codec="utf-8", exclude_categories=("Cs", "Cc", "Cf", "Zs", "Zl", "Zp", "Cn", "Co")
    ),
    min_size=1,
    max_size=6,
)
PLAIN = st.sampled_from(
    ["red", "Green", "a,b", 'say "hi"', "x;y", "a|b", "007", "1.0", "TRUE", "é"]
)


def rows(cells):
    return st.lists(cells, min_size=N_ROWS, max_size=N_ROWS)


def with_holes(cells):
    return rows(st.one_of(cells, cells, cells, st.none()))


# A column as Python objects; the dtype it has in a frame.
COLUMNS = st.one_of(
    st.tuples(
        with_holes(st.integers(-(2**53), 2**53)), st.sampled_from(["Int64", "int64[pyarrow]"])
    ),
    st.tuples(rows(st.integers(-1000, 1000)), st.just("int64")),
    st.tuples(rows(st.integers(2**62, 2**64 - 1)), st.just("uint64")),
    st.tuples(
        with_holes(st.floats(-1e9, 1e9, allow_subnormal=False).map(lambda x: x + 0.1)),
        st.sampled_from(["float64", "Float64", "double[pyarrow]"]),
    ),
    st.tuples(
        with_holes(st.one_of(PLAIN, WORDS)),
        st.sampled_from(["str", "object", "category", "string[pyarrow]"]),
    ),
    st.tuples(with_holes(PLAIN), st.sampled_from(["str", "category"])),
    st.tuples(rows(st.booleans()), st.just("bool")),
    st.tuples(
        with_holes(st.datetimes(datetime.datetime(1950, 1, 1), datetime.datetime(2050, 1, 1))),
        st.just("datetime64[us]"),
    ),
    st.tuples(
        with_holes(st.decimals(-1000, 1000, places=2)), st.just(pd.ArrowDtype(pa.decimal128(9, 2)))
    ),
)
LABELS = st.one_of(
    rows(st.sampled_from(["no", "yes"])),
    rows(st.sampled_from(["01", "1", "1.0"])),
    rows(st.sampled_from(["TRUE", "False", "None", "N/A"])),
    rows(st.sampled_from([str(2**53), str(2**53 + 1), str(2**64), str(-(2**70))])),
    rows(st.sampled_from([str(i) for i in range(3)])),
)


def spelt(value):
    """Return a cell as a CSV writer writes it."""
    if value is None:
        return ""
    return repr(value) if isinstance(value, float) else str(value)


def as_csv(names, columns, **dialect):
    out = io.StringIO()
    writer = csv.writer(out, **dialect)
    writer.writerow(names)
    writer.writerows([spelt(cell) for cell in row] for row in zip(*columns, strict=True))
    return out.getvalue()


def read_and_encoded(table):
    """Return schema, features, the matrix and the labels; or why there are none."""
    try:
        schema = recognise(table, "y")
        known = with_known_target(schema, table)
        X, y = features(schema, known), targets(schema, known)
    except TableError as error:
        return str(error)
    assert X.equals(features(schema, known))
    return schema, X, TableEncoder().fit_transform(X), y


@settings(max_examples=25, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.lists(COLUMNS, min_size=1, max_size=5), LABELS)
def test_the_same_table_however_it_is_stored(tmp_path_factory, found, labels):
    assume(len(set(labels)) > 1)
    names = [f"c{j}" for j in range(len(found))] + ["y"]
    columns = [values for values, _ in found] + [labels]
    frame = pd.DataFrame(
        {
            name: pd.Series(values, dtype=dtype)
            for name, values, dtype in zip(
                names, columns, [d for _, d in found] + ["str"], strict=True
            )
        }
    )
    folder = tmp_path_factory.mktemp("same")
    expected = read_and_encoded(frame)

    frame.to_parquet(folder / "t.parquet")
    plain = as_csv(names, columns)
    texts = [
        plain.encode(),
        plain.encode("utf-16"),
        plain.encode("utf-32"),
        gzip.compress(plain.encode()),
        as_csv(names, columns, delimiter=";").encode(),
        as_csv(names, columns, delimiter="\t", lineterminator="\n").encode(),
        as_csv(names, columns, delimiter="|", quoting=csv.QUOTE_ALL).encode(),
    ]
    stored = [write(folder, text, f"t{i}.csv") for i, text in enumerate(texts)]
    for path in [str(folder / "t.parquet"), *stored]:
        again = read_and_encoded(read_table(path))
        if isinstance(expected, str):
            assert again == expected
            continue
        schema, X, Z, y = expected
        schema_again, X_again, Z_again, y_again = again
        assert schema_again == schema
        pd.testing.assert_frame_equal(X_again, X, check_exact=True)
        np.testing.assert_array_equal(Z_again, Z)
        assert y_again.tolist() == y.tolist()
        # and by the schema of the frame
        assert features(schema, read_table(path)).equals(X)
    if not isinstance(expected, str):
        assert [str(label) for label in expected[3]] == labels


@settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.data())
def test_no_mutation_of_a_file_ends_in_anything_but_a_table_error(tmp_path_factory, data):
    rng = np.random.default_rng(0)
    n = 30
    frame = pd.DataFrame(
        {
            "price": [f"${value:,.2f}" for value in rng.uniform(1, 5000, n)],
            "size": rng.normal(size=n).round(3),
            "when": pd.date_range("2024-01-01", periods=n).strftime("%d.%m.%Y"),
            "town": rng.choice(["Oslo", "Rome", 'a "b", c'], n),
            "y": rng.choice(["no", "yes"], n),
        }
    )
    schema = recognise(frame, "y")
    raw = frame.to_csv(index=False).encode()
    start = data.draw(st.integers(0, len(raw) - 1))
    end = data.draw(st.integers(start, min(len(raw), start + 12)))
    new = data.draw(
        st.one_of(
            st.binary(max_size=4),
            st.sampled_from([b'"', b",", b"\n", b'""', b"\r", b"\0", b"1e999", b"9" * 400, b"-",
                             b"\xff", b"(", b"nan", b"inf", b"1,2", b"\xe2\x88\x92", b"=1+1"]),
        )
    )  # fmt: skip
    path = write(tmp_path_factory.mktemp("mutated"), raw[:start] + new + raw[end:])
    try:
        again = read_table(path)
        features(schema, again)
        targets(schema, with_known_target(schema, again))
    except TableError:
        pass
    try:
        again = read_table(path)
        for target in ("y", "price"):
            fresh = recognise(again, target)
            known = with_known_target(fresh, again)
            TableEncoder().fit_transform(features(fresh, known))
            targets(fresh, known)
    except TableError:
        pass
