"""Does every file that is no table say so, and does every table become a frame?"""

from __future__ import annotations

import gzip
import io
import sys

import pytest

pd = pytest.importorskip("pandas", reason="pandas comes with fastnn[cli]")

from support.tables import people, write  # noqa: E402

from fastnn.tabular.encode import features  # noqa: E402
from fastnn.tabular.read import read_table  # noqa: E402
from fastnn.tabular.schema import TableError, recognise  # noqa: E402


@pytest.mark.parametrize("sep", [",", ";", "\t", "|"])
def test_csv_in_any_dress(tmp_path, sep):
    text = f"a{sep}b b{sep}c\n1{sep}x{sep}0.5\n?{sep}{sep}1\n"
    for raw, name in [
        (text.encode(), "t.csv"),
        (gzip.compress(text.encode()), "t.csv.gz"),
        (("\ufeff" + text).encode(), "bom.csv"),
    ]:
        frame = read_table(write(tmp_path, raw, name))
        assert list(frame.columns) == ["a", "b b", "c"]
        assert frame["a"].tolist()[0] == 1 and frame["a"].isna().tolist() == [False, True]
        assert frame["b b"].isna().tolist() == [False, True]


def test_decimal_commas_are_read_on_request_and_pointed_out_otherwise(tmp_path):
    path = write(tmp_path, "a;b;y\n" + "".join(f"{i},{i % 10};{i % 7};{i},5\n" for i in range(200)))
    frame = read_table(path, decimal=",")
    assert frame.loc[13].tolist() == [13.3, 6, 13.5]
    assert recognise(frame, "y").task == "regression"

    as_text = read_table(path)
    hint = "; if these are numbers with a decimal comma, say --decimal ,"
    with pytest.raises(TableError, match=f"neither classes nor numbers{hint}"):
        recognise(as_text, "y")
    with pytest.raises(TableError, match=f"Nothing is left .* such as '0,0'{hint}"):
        recognise(as_text, "b")
    with pytest.raises(
        TableError, match=f"Column 'a' is one of numbers, but holds '0,0' .*empty them{hint}; empty"
    ):
        features(recognise(frame, "y"), as_text)
    names = pd.DataFrame({"y": [f"{i} Main Street, {i}" for i in range(200)], "b": range(200)})
    with pytest.raises(TableError, match=r"neither classes nor numbers\.$"):
        recognise(names, "y")


def test_separators_inside_quotes_do_not_count(tmp_path):
    frame = read_table(write(tmp_path, '"a;b;c;d",e\n1,2\n'))
    assert list(frame.columns) == ["a;b;c;d", "e"]


def test_parquet_is_known_by_its_content(tmp_path):
    pytest.importorskip("pyarrow", reason="pyarrow comes with fastnn[cli]")
    people().to_parquet(tmp_path / "t.bin")
    pd.testing.assert_frame_equal(read_table(str(tmp_path / "t.bin")), people(), check_dtype=False)


def test_standard_input(monkeypatch):
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(b"a,b\n1,2\n")))
    assert read_table("-").shape == (1, 2)


@pytest.mark.parametrize(
    ("raw", "message"),
    [
        (b"", r"data\.csv is empty\. A table has a first line"),
        (b"\n\n", r"data\.csv is empty"),
        (b"a,b\n", r"has no rows: a header of 2 columns and nothing below it"),
        (
            b"a,b\n1,2\n1,2,3\n",
            r"not a regular table: Expected 2 fields in line 3, saw 3 \(cells are separated by "
            r"','; --sep",
        ),
        (b"a,a\n1,2\n", r"more than one column named 'a'; rename them"),
        (b"a,b\ncaf\xe9,2\n", r"is not utf-8 text: byte 0xe9 at position 7\..*--encoding latin-1"),
        (
            b"\x7fELF\x00\x00",
            r"not text \(it holds zero bytes\).*CSV \(plain or \.gz\) and Parquet",
        ),
        (b"\x1f\x8b\x08\x00broken", r"is gzip but damaged"),
        (b"PAR1 and then nonsense", r"begins like a Parquet file but cannot be read"),
    ],
)
def test_files_that_are_no_tables_say_why(tmp_path, raw, message):
    with pytest.raises(TableError, match=message):
        read_table(write(tmp_path, raw))


def test_a_file_that_is_not_there(tmp_path):
    write(tmp_path, "a\n1\n", "sales.csv")
    with pytest.raises(
        TableError, match=r"There is no file .*sale\.csv\. Did you mean .*sales\.csv\?"
    ):
        read_table(str(tmp_path / "sale.csv"))
    with pytest.raises(TableError, match="is a directory, not a file"):
        read_table(str(tmp_path))
    with pytest.raises(TableError, match="There is no file"):
        read_table(str(tmp_path / "no" / "folder.csv"))


def test_another_encoding(tmp_path):
    path = write(tmp_path, "caf\u00e9,b\n1,2\n".encode("latin-1"))
    assert read_table(path, encoding="latin-1").columns[0] == "caf\u00e9"
    with pytest.raises(TableError, match="Unknown encoding 'klingon'"):
        read_table(path, encoding="klingon")
