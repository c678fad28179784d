"""Are numbers and dates read in whatever they are written, and is the notation said and kept?"""

from __future__ import annotations

import numpy as np
import pytest

pd = pytest.importorskip("pandas", reason="pandas comes with fastnn[cli]")

from support.tables import beside, learned  # noqa: E402

from fastnn.tabular.encode import features  # noqa: E402
from fastnn.tabular.notation import Notation  # noqa: E402
from fastnn.tabular.schema import TableError  # noqa: E402


@pytest.mark.parametrize(
    ("cells", "numbers", "notation"),
    [
        (["$38,026", "$1,200", "$7"], [38026, 1200, 7], Notation(".", ",", "$")),
        (["$5.50", "-$1,200.25", "$-3"], [5.5, -1200.25, -3], Notation(".", ",", "$")),
        (["€ 1.234,50", "€ 0,99", "€ 12,00"], [1234.5, 0.99, 12], Notation(",", ".", "€")),
        (["CHF 1'234.50", "CHF 7.00", "CHF 8.25"], [1234.5, 7, 8.25], Notation(".", "'", "CHF")),
        (["67.6%", "5%", "-0.5 %"], [67.6, 5, -0.5], Notation(suffix="%")),
        (["(1,200)", "3,400", "(5)"], [-1200, 3400, -5], Notation(".", ",", negatives=("(5)",))),
        (
            ["($1,200)", "$3,400.5", "$5"],
            [-1200, 3400.5, 5],
            Notation(".", ",", "$", negatives=("(5)",)),
        ),
        (["1 234,5", "2,25", "12 345 678,0"], [1234.5, 2.25, 12345678], Notation(",", " ")),
        (["1\u00a0234,5", "2,25", "1\u202f000,5"], [1234.5, 2.25, 1000.5], Notation(",", " ")),
        (["4,102", "12,345", "1,234,567"], [4102, 12345, 1234567], Notation(".", ",")),
        (["12,34,567", "1,00,000", "5,000"], [1234567, 100000, 5000], Notation(".", ",")),
        (["0,125", "0,250", "1,375"], [0.125, 0.25, 1.375], Notation(",")),
        (["4,5", "12,25", "3"], [4.5, 12.25, 3], Notation(",")),
        (["1.234.567", "2.345.678", "1.000"], [1234567, 2345678, 1000], Notation(",", ".")),
        (["4.102", "12.345", "1.5"], [4.102, 12.345, 1.5], Notation()),
        (["70 kg", "82.5 kg", "65kg"], [70, 82.5, 65], Notation(suffix="kg")),
        (["70.5 m2", "82 m2", "9m2"], [70.5, 82, 9], Notation(suffix="m2")),
        (["5 kg/m3", "6 kg/m3", "7.5 kg/m3"], [5, 6, 7.5], Notation(suffix="kg/m3")),
        (["15 °C", "-3 °C", "22.5 °C"], [15, -3, 22.5], Notation(suffix="°C")),
        (["1.2e3", "5E-1", "7"], [1200, 0.5, 7], Notation()),
        (["+5", "-3", "+0.5"], [5, -3, 0.5], Notation()),
        (["\u22123", "4", "\u22120.5"], [-3, 4, -0.5], Notation(negatives=("\u22125",))),
        (["5-", "7", "3.5-"], [-5, 7, -3.5], Notation(negatives=("5-",))),
        ([" 5", "7 ", "\u00a03.5"], [5, 7, 3.5], Notation()),
        ([".5", "5.", "-.25"], [0.5, 5, -0.25], Notation()),
    ],
)
def test_numbers_in_the_clothes_people_put_on_them(cells, numbers, notation):
    frame = beside(cells * 8)
    schema, X, _ = learned(frame)
    assert schema.numbers["x"] == notation
    np.testing.assert_array_equal(X["x"], numbers * 8)
    said = [note for note in schema.notes if note.startswith("column 'x': read as numbers with")]
    assert len(said) == bool(notation.unusual)
    # one row of it later is read by the schema, not afresh
    np.testing.assert_array_equal(features(schema, frame.iloc[2:3])["x"], numbers[2:3])
    # and so is a target
    schema, _, y = learned(beside(cells * 8, target=cells * 8), task="regression")
    np.testing.assert_array_equal(y, numbers * 8)
    assert schema.target_notation == notation


@pytest.mark.parametrize(
    "cells",
    [
        ["A1", "B2", "C3"],
        ["1st", "2nd", "3rd"],
        ["10:30 pm today", "x", "y"],
        ["1_000", "2_000", "x"],
        ["12-24", "3/4", "1.2.3.4"],
        ["0x1F", "0x2A", "0x00"],
        ["1,2,3", "4,5,6", "7,8,9"],
        ["$5", "€5", "£5"],
        ["5/2", "7/2", "9/2"],
        ["5 kg", "6", "7"],
        ["H2", "CO2", "O2"],
        ["-", "--", "+"],
    ],
)
def test_what_is_no_notation_stays_text(cells):
    schema, X, _ = learned(beside(cells * 8))
    assert schema.categorical["x"] == sorted(cells)
    assert X["x"].tolist() == cells * 8


def test_the_note_names_column_counts_and_the_option():
    schema, _, _ = learned(beside(["$1,200", "$3"] * 20))
    assert schema.notes == [
        "column 'x': read as numbers with the thousands mark ',' and '$' before them (40 cells); "
        "--thousands and --decimal overrule"
    ]
    schema, _, _ = learned(beside(["5%", "7%"] * 20))
    assert schema.notes == [
        "column 'x': read as numbers with '%' after them (40 cells); --categorical x overrules"
    ]


def test_marks_can_be_said():
    frame = beside(["4,102", "12,345"] * 10)
    assert learned(frame, decimal=",")[1]["x"].tolist()[:2] == [4.102, 12.345]
    assert learned(frame, thousands=",")[1]["x"].tolist()[:2] == [4102, 12345]
    frame = beside(["4.102", "12.345"] * 10)
    assert learned(frame)[1]["x"].tolist()[:2] == [4.102, 12.345]
    assert learned(frame, thousands=".")[1]["x"].tolist()[:2] == [4102, 12345]
    assert learned(frame, decimal=",")[1]["x"].tolist()[:2] == [4102, 12345]


def test_marks_that_are_said_and_yet_nowhere_are_not_noted():
    whole = beside(["5", "7", "x", *["9"] * 37])
    for said in ({"decimal": ","}, {"thousands": ","}, {"thousands": " "}):
        schema, _, _ = learned(whole.astype({"other": int}), **said)
        assert schema.notes == [
            "column 'x': texts among the numbers count as missing, such as 'x' (1 cell); "
            "correct them, or --categorical x keeps them"
        ]
        mark = said.get("decimal", ".")
        assert features(schema, beside([f"5{mark}5"]))["x"].tolist() == [5.5]  # but kept
    with_blanks = beside(["1 200", "3"] * 10)
    assert "the thousands mark ' '" in learned(with_blanks, thousands=" ")[0].notes[0]


def test_a_mark_left_open_is_read_as_the_other_columns_are_written():
    frame = beside(["4,102", "12,345"] * 10).assign(other=["0,5", "2,75"] * 10)
    assert learned(frame)[1]["x"].tolist()[:2] == [4.102, 12.345]
    frame = beside(["4.102", "12.345"] * 10).assign(other=["0,5", "2,75"] * 10)
    assert learned(frame)[1]["x"].tolist()[:2] == [4102, 12345]
    for other in (["0.5", "2.75"], ["1,234.5", "2,345.75"]):
        frame = beside(["4,102", "12,345"] * 10).assign(other=other * 10)
        assert learned(frame)[1]["x"].tolist()[:2] == [4102, 12345]
    # the target, too, and by the target
    open_, commas = ["€ 4.102", "€ 12.345", "€ 7.001"], ["0,5", "2,75", "1"]
    schema, _, y = learned(beside(commas * 10, target=open_ * 10), task="regression")
    assert y.tolist()[:3] == [4102, 12345, 7001] and len(schema.notes) == 2
    assert learned(beside(open_ * 10, target=open_ * 10), task="regression")[2][0] == 4.102
    frame = beside(open_ * 10, target=commas * 10)
    assert learned(frame, task="regression")[1]["x"].tolist()[:2] == [4102, 12345]


def test_a_later_table_may_have_other_marks():
    schema, _, _ = learned(beside(["1.5", "1,200.25"] * 10))
    later = beside(["1,5", "1.200,25"])
    with pytest.raises(TableError, match=r"'x' is one of numbers, but holds '1\.200,25' in row 2"):
        features(schema, later.iloc[[0, 1]].replace("1,5", "1.5"))
    other = schema.written_with(decimal=",", thousands=".")
    assert features(other, later)["x"].tolist() == [1.5, 1200.25]
    assert schema.numbers["x"].decimal == "."  # unchanged
    with pytest.raises(TableError, match=r"numbers with 'kg' after them; empty cells are allowed"):
        features(schema, beside(["70 kg"]))  # no option changes the unit


def test_many_texts_among_numbers_make_a_category_with_a_note():
    frame = beside([*map(str, range(9)), "not known"] * 10)
    schema, _, _ = learned(frame)
    assert "x" in schema.categorical
    assert schema.notes == [
        "column 'x': a category, though most cells are numbers; others are not, such as "
        "'not known' (10 cells); if they mean missing, --also-missing says so"
    ]
    assert learned(frame, also_missing=["not known"])[0].numbers
    assert not learned(frame, categorical=["x"])[0].notes


def test_a_few_texts_among_numbers_are_missing():
    frame = beside([*map(str, np.linspace(0, 9, 95)), *["unknown"] * 3, "n. d.", "?"])
    schema, X, _ = learned(frame)
    assert X["x"].isna().sum() == 5 and schema.numbers["x"].words == ("unknown", "n. d.")
    assert schema.notes == [
        "column 'x': texts among the numbers count as missing, such as 'unknown', 'n. d.' "
        "(4 cells); correct them, or --categorical x keeps them"
    ]
    # a row of which that is known, in a later table
    assert features(schema, beside(["unknown", "2"]))["x"].isna().tolist() == [True, False]
    notes = []
    later = beside([*map(str, range(40)), "unheard"])
    assert features(schema, later, notes.append)["x"].isna().sum() == 1
    assert notes == ["column 'x': texts among the numbers count as missing: 'unheard' (1 cell)"]
    # fewer than nearly all: a category, or text
    schema, _, _ = learned(beside([*map(str, [1, 2, 3] * 30), *["unknown"] * 6]))
    assert schema.categorical["x"] == ["1", "2", "3", "unknown"]


def test_a_number_that_stands_for_missing_is_pointed_out():
    x = np.random.default_rng(0).integers(0, 50, 300).astype(float)
    x[:30] = -999
    schema, X, _ = learned(beside(x))
    assert schema.notes == [
        "column 'x': -999 stands far from all other numbers (30 cells); "
        '--also-missing "-999" if it means missing'
    ]
    for frame in (beside(x), beside(x.astype(int)), beside(x.astype(int).astype(str))):
        schema, X, _ = learned(frame, also_missing=["-999"])
        assert X["x"].isna().sum() == 30 and not schema.notes
        assert features(schema, frame.iloc[:1])["x"].isna().all()
    assert not learned(beside(np.where(x < 0, 99, x)))[0].notes  # not far from the others


# ---- dates


@pytest.mark.parametrize(
    ("cells", "order", "first", "values"),
    [
        (["2024-01-31", "2023-12-01"], "year-month-day", "2023-12-01", [61, 0]),
        (["2024/1/31", "2023/12/1"], "year-month-day", "2023-12-01", [61, 0]),
        (["2024-01-31T12:00:00Z", "2024-01-30 00:00"], "year-month-day", "2024-01-30", [1.5, 0]),
        (["2024-01-31 06:00:00.5+02:00", "2024-01-31 00:00:00"], "year-month-day", "2024-01-31",
         [0.25 + 0.5 / 86400, 0]),
        (["31.01.2024", "1.12.2023"], "day/month/year", "2023-12-01", [61, 0]),
        (["31/01/2024", "01/12/2023"], "day/month/year", "2023-12-01", [61, 0]),
        (["01/31/2024", "12/01/2023"], "month/day/year", "2023-12-01", [61, 0]),
        (["1/31/24 6:00 PM", "12/1/23"], "month/day/year", "2023-12-01", [61.75, 0]),
        (["31 January 2024", "1 Dec. 2023"], "day month year", "2023-12-01", [61, 0]),
        (["31-Jan-24", "01-Dec-23"], "day month year", "2023-12-01", [61, 0]),
        (["Jan 31, 2024", "December 1, 2023"], "month day year", "2023-12-01", [61, 0]),
        (["2024-02", "2023-12"], "year-month", "2023-12-01", [62, 0]),
        (["18:00", "6:30:00"], "hour:minute", "1970-01-01T06:30", [11.5 / 24, 0]),
        (["12:15 am", "11:15 PM"], "hour:minute", "1970-01-01T00:15", [0, 23 / 24]),
    ],
)  # fmt: skip
def test_dates_become_numbers(cells, order, first, values):
    schema, X, _ = learned(beside(cells * 10))
    dates = schema.dates["x"]
    assert dates.order == order and dates.first.startswith(first)
    np.testing.assert_allclose(X["x: days"], values * 10, atol=1e-9)
    assert all("dates in the order" in note and "--d" in note for note in schema.notes)


def test_parts_of_dates_that_vary():
    stamps = pd.date_range("2023-12-31 22:00", periods=30, freq="3h")
    schema, X, _ = learned(beside(stamps))
    assert schema.dates["x"].parts == ("year", "month", "day", "weekday", "hour", "days")
    for part in ("year", "month", "day", "hour"):
        assert X[f"x: {part}"].tolist() == getattr(stamps, part).tolist()
    assert X["x: weekday"].tolist() == [stamp.weekday() for stamp in stamps]
    assert X["x: days"].tolist() == (np.arange(30) / 8).tolist()
    schema, X, _ = learned(beside(pd.Series(stamps).dt.strftime("%Y-%m-%d")))
    assert "hour" not in schema.dates["x"].parts
    assert schema.notes == [
        "column 'x': dates in the order year-month-day, used as year, month, day, weekday, days "
        "(30 cells); --drop x leaves it out"
    ]
    early = features(schema, beside(["2023-12-01", None]))
    assert early["x: days"].tolist()[0] == -30 and early.filter(like="x:").iloc[1].isna().all()


def test_days_and_months_that_cannot_be_told_apart():
    frame = beside(["01/02/2024", "03/04/2024"] * 10)
    schema, X, _ = learned(frame)
    assert schema.dates["x"].order == "month/day/year"
    assert schema.notes == [
        "column 'x': dates in the order month/day/year, though no day is after the 12th, "
        "used as month, day, weekday, days (20 cells); --day-first overrules"
    ]
    assert X["x: month"].tolist()[:2] == [1, 3]
    assert learned(frame, day_first=True)[1]["x: month"].tolist()[:2] == [2, 4]


@pytest.mark.parametrize(
    "text",
    ["1.2.3.4", "12-24", "2024", "3/4", "a-b-c", "2024-13-01", "2023-02-29", "31.04.2024", "25:00"],
)
def test_text_that_only_looks_like_dates(text):
    # Nearly all cells hold it: were it a date, the column would be one of dates.
    assert not learned(beside([text] * 39 + ["other"]))[0].dates


def test_later_dates_are_read_in_the_order_of_training():
    schema, _, _ = learned(beside(["31.12.2024", "01.02.2024"] * 10))
    later = beside(["03.04.2025"])
    assert features(schema, later)["x: month"].tolist() == [4]
    assert features(schema, beside([pd.Timestamp("2025-04-03")]))["x: month"].tolist() == [4]
    with pytest.raises(
        TableError, match=r"one of dates in the order day/month/year, but holds 'soon' in row 1"
    ):
        features(schema, beside(["soon"]))
