"""Are codes, versions and dates that look like numbers told from numbers, and what is missing?"""

from __future__ import annotations

import numpy as np
import pytest

pd = pytest.importorskip("pandas", reason="pandas comes with fastnn[cli]")

from support.tables import beside, learned  # noqa: E402

from fastnn.tabular.encode import features  # noqa: E402
from fastnn.tabular.schema import Schema, TableError  # noqa: E402

# ---- codes


def test_zeros_before_whole_numbers_make_codes():
    frame = beside(["007", "012", "120", "007"] * 10)
    schema, X, _ = learned(frame)
    assert schema.categorical == {"x": ["007", "012", "120"]} and X["x"][0] == "007"
    assert schema.notes == [
        "column 'x': a category, because of zeros before whole numbers (30 cells); "
        "--numeric x reads numbers"
    ]
    # a later table of them is read by the schema: 7 is none of the codes' own spellings, but one
    assert features(schema, beside(["012", "7"]))["x"].tolist() == ["012", "007"]
    schema, X, _ = learned(frame, numeric=["x"])
    assert X["x"].tolist()[:3] == [7, 12, 120] and not schema.notes
    # beside missing cells and words, and of different lengths where they are many
    schema = learned(beside(["01", "2", "NA", "03"] * 10))[0]
    assert schema.categorical["x"] == ["01", "03", "2"]
    # identifiers
    different = [f"{i * i:05}" for i in range(40)]
    assert learned(beside(different))[0].left_out["x"] == (
        "40 different codes in 40 rows, like identifiers (--keep x uses it, --numeric x as numbers)"
    )
    assert learned(beside(different), numeric=["x"])[1]["x"].tolist()[:3] == [0, 1, 4]


def test_what_has_zeros_and_is_no_code():
    few = beside([*map(str, range(10, 109)), "05"])
    schema, X, _ = learned(few, keep=["x"])
    assert X["x"].tolist()[-1] == 5
    assert schema.notes == [
        "column 'x': zeros before whole numbers are not kept (1 cell); "
        "--categorical x keeps them as written"
    ]
    for cells in (["0", "1", "10"], ["0.5", "00.7", "0.25"], ["-01", "2", "3"]):
        assert learned(beside(cells * 10))[0].numbers and not learned(beside(cells * 10))[0].notes
    # numbers of a typed column have no zeros before them
    assert learned(beside([7, 12, 120] * 10))[0].numbers


def test_versions_and_codes_with_an_e_are_noted():
    schema, X, _ = learned(beside(["1.9", "1.10", "1.11"] * 10))
    assert X["x"].tolist()[:2] == [1.9, 1.1]
    assert schema.notes == [
        "column 'x': '1.10' is read as 1.1; --categorical x keeps them as written"
    ]
    schema, X, _ = learned(beside(["1E5", "200", "3E2"] * 10))
    assert X["x"].tolist()[:3] == [1e5, 200, 300]
    assert schema.notes == [
        "column 'x': '1E5' is read as 100000 (20 cells); --categorical x keeps them as written"
    ]
    for cells in (["1.90", "1.10", "1.11"], ["1.9", "1.5", "1.0"], ["1e+05", "2.5e3", "1e-05"]):
        assert not learned(beside(cells * 10))[0].notes
        assert not learned(beside(cells * 10), numeric=["x"])[0].notes


def test_numbers_with_different_units_are_pointed_to():
    schema, _, _ = learned(beside(["5 kg", "7 kg", "5 lb", "6 kg", "8 lb", "9 kg"] * 5))
    assert schema.notes == [
        "column 'x': a category: its numbers have different units, such as 'kg' and 'lb': "
        "write all in one"
    ]
    many = [f"{i}.5 {'kg' if i % 2 else 'lb'}" for i in range(40)]
    assert "its numbers have different units" in learned(beside(many))[0].left_out["x"]
    for cells in (["1st", "2nd", "3rd"], ["5 kg", "6", "7"], ["A1", "B2"]):
        assert "units" not in str(learned(beside(cells * 10))[0].notes)


def test_numeric_names_only_numbers():
    with pytest.raises(TableError, match=r"'x' is said to be numeric, but holds 'b'\. Correct"):
        learned(beside(["1", "b", "2"] * 10), numeric=["x"])


# ---- dates


@pytest.mark.parametrize(
    ("cells", "order", "days"),
    [
        (["20240131", "20231201"], "yearmonthday", [61, 0]),
        ([20240131, 20231201], "yearmonthday", [61, 0]),
        ([20240131.0, np.nan, 20231201], "yearmonthday", [61, np.nan, 0]),
        (["20240131T120000Z", "20240131T000000Z"], "yearmonthday", [0.5, 0]),
        (["20240131120000", "20240131000000"], "yearmonthday", [0.5, 0]),
        (["01/2023", "12/2022"], "month/year", [31, 0]),
        (["1.2023", "12.2022"], "month/year", [31, 0]),
        (["2023-W05", "2022-W52"], "year-week", [35, 0]),
        (["2021-W01-1", "2020-W53-7"], "year-week", [1, 0]),
        (["2024-01-31T12:00:00+02:00", "2024-01-31T00:00:00+02:00"], "year-month-day", [0.5, 0]),
        (["12:30Z", "00:30Z"], "hour:minute", [0.5, 0]),
        (["12:30+01:00", "00:30+01:00"], "hour:minute", [0.5, 0]),
    ],
)
def test_dates_that_look_like_numbers(cells, order, days):
    frame = beside(cells * 12)
    schema, X, _ = learned(frame)
    assert schema.dates["x"].order == order
    np.testing.assert_allclose(X["x: days"][: len(cells)], days, atol=1e-9)
    assert len(schema.notes) == 1 and f"dates in the order {order}, used as" in schema.notes[0]
    later = features(schema, frame.iloc[:1])["x: days"]
    np.testing.assert_allclose(later, days[:1], atol=1e-9)
    if order in ("yearmonthday", "month/year"):
        assert schema.notes[0].endswith("; --numeric x reads numbers")


def test_a_target_of_dates_that_look_like_numbers():
    frame = beside([1.5, 2.5] * 12, target=[20240131, 20231201, 20231101] * 8)
    with pytest.raises(TableError, match=r"holds dates \(20240131\)\. .* say --task regression"):
        learned(frame)
    assert learned(frame, task="regression")[2][0] == 20240131


def test_numbers_that_are_no_dates():
    for cells in (
        ["20240131", "20241301"],  # no such month
        ["20230229", "20240131"],  # no such day
        ["18991231", "19000101"],
        ["1.2023", "12.5"],
        [20240131, 7],
    ):
        schema, _, _ = learned(beside(cells * 12))
        assert schema.numbers and not schema.dates
    for cells in (["20240131", "20231201"], ["1.2023", "12.2022"]):
        assert learned(beside(cells * 12), numeric=["x"])[0].numbers
    assert not learned(beside(["2023-W54", "2022-W00"] * 12))[0].dates
    assert not learned(beside(["2021-W53", "2022-W53"] * 12))[0].dates  # years of 52 weeks
    assert learned(beside(["20240131", "20231201"] * 12, name="order_id"))[0].numbers


# ---- what is missing


def test_dashes_and_the_errors_of_a_spreadsheet_are_missing_among_numbers():
    marks = ["-", "--", "\u2013", "#DIV/0!", "#N/A", "#VALUE!", "#REF!", "#NAME?", "#NUM!"]
    schema, X, _ = learned(beside(["1.5", "-2", *marks, "#NULL!"] * 4))
    assert X["x"].isna().sum() == 40 and not schema.numbers["x"].words
    assert "column 'x': '-' counts as missing (4 cells); --missing says what does" in schema.notes
    assert features(schema, beside(["-", "#REF!", "3"]))["x"].isna().tolist() == [1, 1, 0]
    assert learned(beside(["-", "a"] * 10))[0].categorical["x"] == ["-", "a"]
    # the list that is said holds alone
    assert learned(beside(["1.5", "-", "2"] * 10), missing=["NA"])[0].categorical


def test_marks_can_be_added_to_the_usual_ones():
    frame = beside(["1", "-999", "NA"] * 10).assign(town=["Rome", "NA", "nowhere"] * 10)
    schema, X, _ = learned(frame, also_missing=["-999", "nowhere"])
    assert X["x"].isna().sum() == 20 and schema.categorical["town"] == ["Rome"]
    again = Schema.from_dict(schema.to_dict())
    assert again == schema and again.marks[-2:] == ("-999", "nowhere")
    # a label NA is a class still, and -999 none
    frame = beside([1.5, 2.5, 3.5, 4.5] * 10, target=["a", "NA", "b", "-999"] * 10)
    assert learned(frame, also_missing=["-999"])[0].labels == ["NA", "a", "b"]
    with pytest.raises(TableError, match="also_missing='x' is a text; give a list"):
        learned(frame, also_missing="x")


# ---- spellings


def test_one_word_in_two_forms_of_unicode_is_one():
    composed, apart = "caf\u00e9", "cafe\u0301"
    schema = learned(beside([composed, apart, "bar"] * 10))[0]
    assert schema.categorical["x"] == ["bar", composed]
    assert schema.notes == [
        "column 'x': accents written apart are put together, as in Unicode's form NFC (10 cells)"
    ]
    assert features(schema, beside([apart]))["x"].tolist() == [composed]
    schema, _, _ = learned(beside([1.5, 2.5, 3.5] * 10, target=[composed, apart, "bar"] * 10))
    assert schema.labels == ["bar", composed] and len(schema.notes) == 1


def test_the_spelling_that_is_kept_is_said():
    schema, _, _ = learned(beside(["Rome", "rome", "Rome", "Oslo"] * 10), ignore_case=True)
    assert schema.notes == [
        "column 'x': 'Rome' and 'rome' are one value, written 'Rome' (10 cells); "
        "without --ignore-case they are not"
    ]


# ---- later tables


def test_a_later_table_in_another_notation_is_pointed_to():
    schema, _, _ = learned(beside(["1234,5", "2,25"] * 10))
    with pytest.raises(
        TableError,
        match=r"^Column 'x' is one of numbers, but holds '1234\.5' in row 1 \(and 1 more such "
        r"cell\)\. Correct these cells or empty them; they are numbers with the decimal mark '\.', "
        r"which --decimal \. says; empty cells are allowed\.$",
    ):
        features(schema, beside(["1234.5", "2.25"]))
    assert features(schema.written_with(decimal="."), beside(["1234.5"]))["x"].tolist() == [1234.5]


def test_a_later_table_may_write_negative_numbers_otherwise():
    schema, _, _ = learned(beside(["1.5", "-2"] * 10))
    notes = []
    assert features(schema, beside(["(3)", "4-"]), notes.append)["x"].tolist() == [-3, -4]
    assert notes == ["column 'x': numbers written like '(5)' and '5-' are read as -5 is"]


def test_infinity_names_its_row_and_long_texts_are_cut():
    schema, _, _ = learned(beside(["1.5", "2"] * 10))
    with pytest.raises(TableError, match=r"too large for one, in 1 row, such as row 2\."):
        features(schema, beside(["1", "1e400"]))
    with pytest.raises(TableError) as error:
        features(schema, beside(["x" * 10_000]))
    assert len(str(error.value)) < 300 and "xxx...'" in str(error.value)
