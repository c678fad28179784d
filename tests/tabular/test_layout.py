"""Is the table found in a text: below titles, by its separator, with no rows lost in quotes?"""

from __future__ import annotations

import pytest

pd = pytest.importorskip("pandas", reason="pandas comes with fastnn[cli]")

from support.tables import write  # noqa: E402

from fastnn.tabular.read import read_table  # noqa: E402
from fastnn.tabular.schema import TableError  # noqa: E402

ROWS = "1,2,x\n3,4,y\n5,6,z\n"


def read(folder, text, **how):
    """Return the columns' names, the number of rows, and the notes without the file's name."""
    path, notes = write(folder, text), []
    frame = read_table(path, note=notes.append, **how)
    return list(frame.columns), len(frame), [note.replace(path, "FILE") for note in notes]


@pytest.mark.parametrize(
    ("above", "said"),
    [
        ("Report\n", "line 1 left out, above the header: 'Report'"),
        ("\n\nReport\n\n", "line 3 left out, above the header: 'Report'"),
        ("Report,,\n", "line 1 left out, above the header: 'Report,,'"),
        ("Report,,\n,,\n", "lines from 1 on left out, above the header: 'Report,,', ',,'"),
        ("# made, by hand\n", "line 1 left out, above the header: '# made, by hand'"),
        ("# one\n# two, and, three\n", "lines from 1 on left out, above the header: "
         "'# one', '# two, and, three'"),
        ("Sales, 2023\n", "line 1 left out, above the header: 'Sales, 2023'"),
    ],
)  # fmt: skip
def test_titles_and_comments_above_a_header(tmp_path, above, said):
    assert read(tmp_path, above + "a,b,c\n" + ROWS) == (["a", "b", "c"], 3, [said])


def test_what_looks_like_a_title_and_is_a_header(tmp_path):
    assert read(tmp_path, "#id,b,c\n" + ROWS) == (["#id", "b", "c"], 3, [])
    # one name fewer than cells, as R writes tables; with words it is a title
    names, _, notes = read(tmp_path, "b,c\nr1,x,2\nr2,y,3\n")
    assert names == ["row names", "b", "c"] and "as R writes tables" in notes[0]
    names, _, notes = read(tmp_path, "b\nr1,2\nr2,3\nr3,4\n")
    assert names == ["row names", "b"] and "as R writes tables" in notes[0]
    assert read(tmp_path, "A report\na,b\n1,2\n3,4\n")[:2] == (["a", "b"], 2)
    # a header that is not filled, above numbers or another row of texts
    assert read(tmp_path, "a,,\n" + ROWS)[0] == ["a", "Unnamed: 1", "Unnamed: 2"]
    # and a title above numbers without a header
    with pytest.raises(
        TableError, match=r"header has 1 name, but line 2 has 3 cells .* If line 1 is a title, take"
    ):
        read(tmp_path, "Report\n1,2,3\n4,5,6\n7,8,9\n")


def test_line_numbers_count_all_lines(tmp_path):
    with pytest.raises(TableError, match=r"line 6 has 2 cells and the first row 3"):
        read(tmp_path, "\n\n# title\na,b,c\n1,2,3\n4,5\n")
    with pytest.raises(TableError, match=r"line 5 has 2 cells and the first row 3"):
        read(tmp_path, "sep=,\n\na,b,c\n1,2,3\n4,5\n")


def test_a_separator_that_is_not_there_is_pointed_to(tmp_path):
    table = "a|b|c\n1|2|x\n3|4|y\n"
    with pytest.raises(TableError, match=r"--sep ';' is nowhere in .*, but '\|' is in its header"):
        read(tmp_path, table, sep=";")
    assert read(tmp_path, table, sep="|") == (["a", "b", "c"], 2, [])
    for mark in "~:^":
        _, _, notes = read(tmp_path, table.replace("|", mark))
        assert notes == [
            f"FILE has one column only; if its cells are separated by '{mark}', say --sep '{mark}'"
        ]
    one = ["FILE has one column only; if its cells are separated by something, say --sep"]
    assert read(tmp_path, "a\n1\n2\n") == (["a"], 2, one)
    assert read(tmp_path, "a\n1\n2\n", sep=";") == (["a"], 2, one)  # of a model of one column


def test_the_separator_is_the_one_that_makes_a_regular_table(tmp_path):
    names, rows, _ = read(tmp_path, "Price, EUR;Weight, kg;y\n1,5;2,5;x\n3,5;7;y\n")
    assert names == ["Price, EUR", "Weight, kg", "y"] and rows == 2
    # decimal commas, of which each row has as many
    for n in (1, 2, 3, 5):
        row = ";".join(["1,5"] * n)
        names, _, notes = read(tmp_path, f"{';'.join('abcde'[:n])};y\n" + f"{row};u\n" * 3)
        assert names == [*"abcde"[:n], "y"] and not notes
    names, _, notes = read(tmp_path, "Report, 2023\na;b;c\n1,5;2;x\n3;4,5;y\n")
    assert names == ["a", "b", "c"] and len(notes) == 1


def test_stray_quotes_that_merge_rows(tmp_path):
    stray = 'a,b,c\n1,2,x\n3,"4,y\n5,6,z\n7,"8,w\n9,10,v\n'
    with pytest.raises(
        TableError,
        match=r"a quote in line 3 makes one cell of the lines up to 5, which have 3 cells each "
        r"without it: '3,\"4,y'\. Take stray quotes away, or write them twice\.",
    ):
        read(tmp_path, stray)
    # where the second quote may end a cell, it is said
    _, rows, notes = read(tmp_path, stray.replace('7,"8,w', '7,8",w'))
    assert rows == 3 and notes == [
        "a cell in quotes holds line breaks from line 3 to 5, where lines have 3 cells each "
        "without the quotes: if they are rows, take the quotes away"
    ]
    # cells with line breaks as they should be
    for cells in ('"two\nlines"', '"two, or\nthree, or\nfour, lines, or more"', '"a ""b""\n"'):
        assert read(tmp_path, f"a,b,c\n1,{cells},x\n3,4,y\n")[1:] == (2, [])


def test_a_header_that_ends_with_a_separator(tmp_path):
    names, rows, notes = read(tmp_path, "a,b,c,\n" + ROWS)
    assert names == ["a", "b", "c"] and rows == 3
    assert notes == [
        "the header ends with a separator, and the rows do not: its last, empty name left out"
    ]


def test_braces_in_a_header_are_no_json(tmp_path):
    assert read(tmp_path, "{a},b,{c}\n" + ROWS) == (["{a}", "b", "{c}"], 3, [])
    with pytest.raises(TableError, match=r"begins like JSON lines, but line 2 holds no JSON"):
        read(tmp_path, '{"a": 1}\n{"a": 2\n')
