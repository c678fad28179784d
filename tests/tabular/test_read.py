"""Does every file that is no table say so, and does every table become a frame?"""

from __future__ import annotations

import bz2
import gzip
import io
import json
import lzma
import sys
import zipfile

import pytest

pd = pytest.importorskip("pandas", reason="pandas comes with fastnn[cli]")

import pyarrow as pa  # noqa: E402
from support.tables import people, write  # noqa: E402

from fastnn.tabular.read import read_table  # noqa: E402
from fastnn.tabular.schema import TableError  # noqa: E402


def read(folder, text, name="data.csv", **said):
    """Write and read; return names, rows with None for missing cells, and the notes."""
    notes = []
    frame = read_table(write(folder, text, name), note=notes.append, **said)
    rows = [
        [None if gone else cell for cell, gone in zip(row, missing, strict=True)]
        for row, missing in zip(frame.to_numpy(object), frame.isna().to_numpy(), strict=True)
    ]
    return list(frame.columns), rows, notes


# ---- text


@pytest.mark.parametrize("sep", [",", ";", "\t", "|"])
@pytest.mark.parametrize("newline", ["\n", "\r\n", "\r"])
def test_text_in_any_dress(tmp_path, sep, newline):
    text = f"a{sep}b b{sep}\u00e9\n1.50{sep}x{sep}007\n?{sep}{sep} 1\n".replace("\n", newline)
    for raw in (
        text.encode(),
        text.encode("utf-8-sig"),
        text.encode("utf-16"),
        text.encode("utf-32"),
        b"\xfe\xff" + text.encode("utf-16-be"),
        b"\x00\x00\xfe\xff" + text.encode("utf-32-be"),
        text.encode() + b"\x1a",
        (text + newline * 2).encode(),
        (newline + text).encode(),
        text.replace("?", f"   {newline}{newline}?", 1).encode(),
    ):
        names, rows, notes = read(tmp_path, raw)
        assert names == ["a", "b b", "\u00e9"] and not notes
        assert [[cell and cell.strip() for cell in row] for row in rows] == [
            ["1.50", "x", "007"],
            ["?", None, "1"],
        ]


def zipped(raw, *names):
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        for name in names:
            archive.writestr(name, raw)
    return out.getvalue()


def zstd(raw):
    out = pa.BufferOutputStream()
    with pa.CompressedOutputStream(out, "zstd") as stream:
        stream.write(raw)
    return out.getvalue().to_pybytes()


def test_packed_files_are_known_by_their_content(tmp_path):
    raw = b"a,b\n1,2\n"
    packed = [gzip.compress(raw), bz2.compress(raw), lzma.compress(raw), zstd(raw)]
    for content in (*packed, zipped(raw, "t.csv"), zipped(raw, "folder/", "__MACOSX/x", "t.csv")):
        assert read(tmp_path, content, "t.bin") == (["a", "b"], [["1", "2"]], [])


def test_quotes(tmp_path):
    assert read(tmp_path, '"a;b;c;d",e\n1,2\n')[0] == ["a;b;c;d", "e"]
    names, rows, _ = read(tmp_path, '"a\n,x";b;"c ""q"""\n"1\n2";"x;y";"say ""hi"""\n')
    assert names == ["a\n,x", "b", 'c "q"'] and rows == [["1\n2", "x;y", 'say "hi"']]
    # blanks before a quote, as hand-written tables have them
    assert read(tmp_path, 'a, b\n1, "x, y"\n')[1] == [["1", "x, y"]]
    assert read(tmp_path, 'a, b\n1, "x"\n')[1] == [["1", "x"]]
    assert read(tmp_path, 'a,b\n5" pipe,2\n"",3\n')[1] == [['5" pipe', "2"], [None, "3"]]


def test_the_separator_can_be_said_and_is_remembered(tmp_path):
    text = "a;b,c\n1;2,3\n"
    assert read(tmp_path, text, sep=",")[0] == ["a;b", "c"]
    assert read(tmp_path, "a:b\n1:2\n", sep=":")[1] == [["1", "2"]]
    assert read(tmp_path, "a\tb,c\n1\t2,3\n", sep="tab")[0] == ["a", "b,c"]
    assert read(tmp_path, "a:b\n1:2\n", remembered={"sep": ":"})[0] == ["a", "b"]
    assert read(tmp_path, "a;b\n1;2\n", remembered={"sep": ":"})[0] == ["a", "b"]
    with pytest.raises(TableError, match=r"--sep '::' is not one character, such as ; or \|"):
        read(tmp_path, text, sep="::")
    notes = read(tmp_path, "a:b\n1:2\n")[2]
    assert len(notes) == 1 and "has one column only; if its cells are separated" in notes[0]


@pytest.mark.parametrize("first", ["sep=;\r\n", '"sep=;"\n', "sep=|\n"])
def test_the_first_line_may_say_the_separator(tmp_path, first):
    sep = "|" if "|" in first else ";"
    text = first + f"a{sep}b, c, d\n1{sep}2\n"
    assert read(tmp_path, text)[:2] == (["a", "b, c, d"], [["1", "2"]])
    assert read(tmp_path, first + "a,b\n1,2\n", sep=",")[0] == ["a", "b"]


def test_encodings(tmp_path):
    latin = "caf\u00e9,b\n1,2\n".encode("latin-1")
    for said in ({"encoding": "latin-1"}, {"remembered": {"encoding": "latin-1"}}):
        assert read(tmp_path, latin, **said)[0] == ["caf\u00e9", "b"]
    # plainly UTF-8, whatever the training table was
    again = "caf\u00e9,b\n1,2\n".encode()
    assert read(tmp_path, again, remembered={"encoding": "latin-1"})[0] == ["caf\u00e9", "b"]
    bare = "a,b\n1,2\n".encode("utf-16-le")
    assert read(tmp_path, bare, encoding="utf-16-le")[0] == ["a", "b"]
    assert read(tmp_path, bare, remembered={"encoding": "utf-16-le"})[0] == ["a", "b"]
    with pytest.raises(TableError, match="Unknown encoding 'klingon'"):
        read(tmp_path, latin, encoding="klingon")
    with pytest.raises(TableError, match=r"it holds zero bytes.*say --encoding utf-16-le"):
        read(tmp_path, bare)


# ---- headers


def test_tables_that_r_has_written(tmp_path):
    text = '"mpg" "cyl"\n"Mazda RX4" 21 6\n"Datsun 710" 22.8 4\n'
    for sep in (" ", ",", "\t"):
        lines = text.replace('" "', f'"{sep}"').replace('" 2', f'"{sep}2')
        lines = lines.replace(" 6", f"{sep}6").replace(" 4\n", f"{sep}4\n")
        names, rows, notes = read(tmp_path, lines)
        assert names == ["row names", "mpg", "cyl"] and rows[0] == ["Mazda RX4", "21", "6"]
        assert (
            "one name fewer than the rows have cells, as R writes" in notes[0] and len(notes) == 1
        )
    with pytest.raises(TableError, match=r"header has 2 names, but every row has 3 cells .*--sep"):
        read(tmp_path, "a,b\n1,2,3\n1,4,5\n")  # row names would differ
    with pytest.raises(TableError, match=r"header has 2 names, but line 2 has 4 cells .*--sep"):
        read(tmp_path, "a,b\n1,2,3,4\n5,6,7,8\n")
    with pytest.raises(TableError, match=r"header has 3 names, but line 3 has 2 cells .*--sep"):
        read(tmp_path, '"a\n",b,c\n1,2\n5,6\n')


def test_columns_without_a_name(tmp_path):
    names, rows, notes = read(tmp_path, "a,b,,\n1,2,,\n3,4,,\n")
    assert names == ["a", "b"] and rows == [["1", "2"], ["3", "4"]]
    assert notes == ["2 empty columns without a name left out"]
    names, rows, notes = read(tmp_path, "a,b\n1,2,\n3,4,\n")  # a separator at the end of rows
    assert names == ["a", "b"] and notes == ["1 empty column without a name left out"]
    names, rows, notes = read(tmp_path, ",a,\n0,1,x\n1,2,y\n")
    assert names == ["Unnamed: 0", "a", "Unnamed: 2"] and not notes


# ---- tables that know their types


def test_parquet_keeps_its_types(tmp_path):
    frame = people().assign(n=pd.Series([2**60 + 1, None] * 20, dtype="Int64"))
    frame.to_parquet(tmp_path / "t.bin")
    again = read_table(str(tmp_path / "t.bin"))
    assert again["n"].tolist()[0] == 2**60 + 1 and again["age"].dtype == "double[pyarrow]"
    assert again["city"].dropna().tolist() == frame["city"].dropna().tolist()

    notes = []
    frame.set_index("city").to_parquet(tmp_path / "t.bin")
    again = read_table(str(tmp_path / "t.bin"), note=notes.append)
    assert "city" in again.columns and notes == ["the index 'city' is read as a column"]
    frame[frame["age"] > 30].to_parquet(tmp_path / "t.bin")  # an index without a name
    assert list(read_table(str(tmp_path / "t.bin")).columns) == list(frame.columns)


def test_json_lines(tmp_path):
    rows = [{"id": 2**60 + 1, "x": 1.5, "t": "a"}, {"id": None, "x": 2, "t": None}, {"u": True}]
    for text in ("\n".join(map(json.dumps, rows)), json.dumps(rows)):
        names, found, _ = read(tmp_path, text, "t.jsonl")
        assert names == ["id", "x", "t", "u"]
        assert found == [
            [2**60 + 1, 1.5, "a", None],
            [None, 2, None, None],
            [None, None, None, True],
        ]
    rows = '{"t": "a\u2028b\u0085"}\r\n\r\n{"t": "c"}\r\n'
    assert read(tmp_path, rows, "t.jsonl")[1] == [["a\u2028b\u0085"], ["c"]]
    with pytest.raises(TableError, match=r"like JSON lines, but line 3 holds no JSON: Expecting"):
        read(tmp_path, '{"a": 1}\n\n{"a": }\n')
    with pytest.raises(TableError, match=r"but holds no JSON: Expecting value: line 2 column 7"):
        read(tmp_path, '[{"a": 1},\n{"a": }]')
    with pytest.raises(TableError, match=r"is JSON, but not of rows: one \{\.\.\.\} for each row"):
        read(tmp_path, "[1, 2]")
    assert read(tmp_path, "[a],{b\n1,2\n")[0] == ["[a]", "{b"]  # CSV all the same


def test_excel(tmp_path, monkeypatch):
    pytest.importorskip("openpyxl", reason="openpyxl is not installed")
    path = tmp_path / "t.xlsx"
    with pd.ExcelWriter(path) as book:
        frame = pd.DataFrame({"a": [1, 2], "b": ["x", None], "c": [0.5, 1.5]})
        frame.to_excel(book, sheet_name="one", index=False)
        frame.to_excel(book, sheet_name="two")
    names, rows, notes = read(tmp_path, path.read_bytes(), "t.xlsx")
    assert names == ["a", "b", "c"] and rows == [[1, "x", 0.5], [2, None, 1.5]]
    assert notes == ["of 2 sheets the first is read, 'one'"]


def test_excel_without_its_reader(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "openpyxl", None)
    with pytest.raises(TableError, match=r"is an Excel file\. Save it as CSV, or install openpyxl"):
        read(tmp_path, zipped(b"", "[Content_Types].xml", "xl/workbook.xml"), "t.xlsx")


def test_standard_input(monkeypatch):
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(b"a,b\n1,2\n")))
    assert read_table("-").shape == (1, 2)


# ---- what is no table


@pytest.mark.parametrize(
    ("raw", "message"),
    [
        (b"", r"data\.csv is empty\. A table has a first line"),
        (b"\n\n", r"data\.csv is empty"),
        (b"a,b\n", r"has no rows: a header of 2 columns and nothing below it"),
        (
            b"a,b\n1,2\n1,2,3\n",
            r"not a regular table: line 3 has 3 cells and the first row 2 \(cells are separated by "
            r"','; --sep changes that\)\.$",
        ),
        (b"a,b\n1,2,3\n1,2\n1,2\n", r"line 2 has 3 cells and the header 2 \(cells"),
        (b"a\n1,2,3\n1,2,3\n1,2\n", r"line 4 has 2 cells and the first row 3 \(cells"),
        (b"a,a\n1,2\n", r"more than one column named 'a'; rename them"),
        (b"a,b\ncaf\xe9,2\n", r"is not utf-8 text: byte 0xe9 at position 7\..*--encoding latin-1"),
        (
            b"\x7fELF\x00\x00",
            r"not text \(it holds zero bytes\).*reads CSV, JSON lines, Parquet and \.xlsx",
        ),
        (b"\x1f\x8b\x08\x00broken", r"is gzip but damaged"),
        (b'a,b\n1,2\n"3\n4",5\n6\n7,8\n', r"line 5 has 1 cell and the first row 2"),
        (b'a,b\n1,2\n"3,4\n5,6\n', r"line 3 has 1 cell and the first row 2.*A quote may not"),
        (b'a,b\n1,"2\n3,4\n5,6\n', r"last cell has 3 lines and no quote at its end"),
        (b"PK\x03\x04broken", r"is a zip archive but damaged"),
        (b"\xfd7zXZ\x00broken", r"is xz but damaged"),
        (b"\x28\xb5\x2f\xfdbroken", r"is zstd but damaged"),
        (b"BZhbroken", r"is bz2 but damaged"),
        (
            zipped(b"a\n1\n", "a.csv", "b.csv"),
            r"holds 2 files \(a\.csv, b\.csv\); it must hold one",
        ),
        (zipped(b""), r"archive holds 0 files; it must hold one"),
        (b"\xd0\xcf\x11\xe0 old", r"is an old Excel file \(\.xls\)\. Save it as \.xlsx or CSV"),
        (zipped(b"", "[Content_Types].xml"), r"Excel file"),
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
