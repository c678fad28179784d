"""Is everything that a person can get wrong one line, with the right exit status?"""

from __future__ import annotations

import os
import re
import sys

import pytest
from support.homes import homes

from fastnn._optional import install
from fastnn.cli.parser import parse
from fastnn.search.estimator import TradeoffSearchCV


@pytest.mark.parametrize(
    ("argv", "message"),
    [
        ("fit nothing.csv --target kind -o m", r"There is no file nothing\.csv"),
        (
            "fit home.csv --target kind -o m",
            r"There is no file home\.csv\. Did you mean homes\.csv\?",
        ),
        ("fit . --target kind -o m", r"\. is a directory, not a file"),
        (
            "fit homes.csv --target Kind -o m",
            r"There is no column 'Kind'\. Did you mean 'kind'\? The columns are: 'size', 'age'",
        ),
        ("fit header.csv --target b -o m", r"header\.csv has no rows"),
        (
            "fit one.csv --target b -o m",
            r"'b' holds one class only \(x\) in all 3 rows: nothing to learn",
        ),
        (
            "fit same.csv --target b -o m",
            r"Nothing is left to predict 'b' from: 'a': it is constant \(1 in every row\)",
        ),
        (
            "fit dates.csv --target b -o m",
            r"Nothing is left to predict 'b' from: 'a': it is constant \(2024-01-01 in every row\)",
        ),
        ("fit noise.csv --target b -o m", r"noise\.csv is not utf-8 text: byte 0xff at position 4"),
        (
            "fit homes.csv --target kind -o no/folder/m",
            r"no/folder/m: cannot be written: there is no folder 'no/folder'",
        ),
        ("fit homes.csv --target kind -o .", r"\.: is a directory; name a file"),
        (
            "fit homes.csv --target kind --task regression -o m",
            r"Regression needs a target of numbers, but 'kind' holds",
        ),
        (
            "predict none.skops homes.csv",
            r"There is no model file none\.skops\."
            r" `fastnn fit data\.csv --target COLUMN -o none\.skops`",
        ),
        (
            "predict homes.csv homes.csv",
            r"homes\.csv is damaged, or not a model file of fastnn \(models are saved with skops,"
            r" not pickle\)",
        ),
        (
            "explore homes.csv --target kind --report no/r.html",
            r"no/r\.html: cannot be written: there is no folder 'no'",
        ),
        (
            "explore few.csv --target b",
            r"4 rows are too few to compare candidates on; at least 30 are needed",
        ),
        (
            "demo --plot no/folder/p.png",
            r"The folder 'no/folder' for the loss curves does not exist",
        ),
    ],
)
def test_failures_are_one_line_and_status_1(run, tmp_path, argv, message):
    files = {
        "header.csv": b"a,b\n",
        "one.csv": b"a,b\n1,x\n2,x\n3,x\n",
        "same.csv": b"a,b\n1,x\n1,y\n",
        "dates.csv": b"a,b\n2024-01-01,x\n2024-01-01,y\n",
        "noise.csv": b"a,b\n\xff\xfe,2\n",
        "few.csv": b"a,b\n1,x\n2,y\n3,x\n4,y\n",
    }
    for name, raw in files.items():
        (tmp_path / name).write_bytes(raw)
    status, _, err = run(*argv.split())
    assert status == 1
    assert re.search("^fastnn: error: .*" + message, err, re.M) and "Traceback" not in err
    assert not (tmp_path / "m").exists()


@pytest.mark.parametrize(
    ("argv", "message"),
    [
        ("", "the following arguments are required: command"),
        ("fly", "invalid choice: 'fly'"),
        ("fit homes.csv -o m", "the following arguments are required: --target"),
        ("fit homes.csv --target kind", "the following arguments are required: -o/--output"),
        (
            "fit homes.csv --target kind -o m --hidden 3,,4",
            "'3,,4' is not a list of layer sizes such as 100 or 64,32",
        ),
        (
            "fit homes.csv --target kind -o m --holdout 1",
            "'1' is not a share of the rows, from 0 to below 1",
        ),
        ("fit homes.csv --target kind -o m --epochs 0", "'0' is not a whole number of at least 1"),
        (
            "explore homes.csv --target kind --max-time forever",
            "'forever' is not a number of seconds above 0",
        ),
        (
            "explore homes.csv --target kind --limit latency_us",
            "'' is not a limit: give it as latency_us=VALUE, such as latency_us=20",
        ),
        (
            "explore homes.csv --target kind --objectives score,beauty",
            "argument --objectives: there is no 'beauty'. There are score, fit_time, ",
        ),
        (
            "explore homes.csv --target kind --limit latencyus=20",
            "argument --limit: there is no 'latencyus'. Did you mean 'latency_us'?",
        ),
        (
            "explore homes.csv --target kind --models bag,forest",
            "argument --models: There is no kind of model 'forest'; there are bag, trees, linear",
        ),
        ("explore homes.csv --target kind --choose beauty", "argument --choose: there is no 'be"),
        ("fit homes.csv --target kind -o m --sep ab", "--sep 'ab' is not one character"),
        ("predict m homes.csv --encoding klingon", "argument --encoding: there is no 'klingon'"),
        ("predict m homes.csv -o p.xlsx", "the ending of its name must be one of .csv, .parquet"),
        (
            "fit homes.csv --target kind -o m --decimal , --thousands ,",
            "The decimal mark and the thousands mark are both ','; they differ.",
        ),
    ],
)
def test_wrong_usage_is_status_2(run, argv, message):
    status, _, err = run(*argv.split())
    assert status == 2 and message in err and err.startswith("usage: fastnn")


def test_words_that_begin_with_a_hyphen_are_taken_as_they_are():
    fit = ["fit", "data.csv", "--target", "-y", "-o", "m"]
    for said, found in (("-,NA", ("-", "NA")), ("-", ("-",)), ("-999,-1", ("-999", "-1"))):
        parsed = parse([*fit, "--missing", said, "--also-missing", said, "--seed", "3"])
        assert parsed.missing == parsed.also_missing == found and parsed.seed == 3
        assert parsed.target == "-y"
    with pytest.raises(SystemExit):  # an option is no value
        parse([*fit, "--missing", "--json"])


def test_probabilities_of_a_number_are_refused(run):
    run("fit", "prices.csv.gz", "--target", "price", "-o", "m.skops", "--epochs", 5)
    status, _, err = run("predict", "m.skops", "prices.csv.gz", "--proba")
    assert status == 1 and "--proba is for classes, but this model predicts numbers" in err


def test_columns_missing_at_prediction(run):
    run("fit", "homes.csv", "--target", "kind", "-o", "m.skops", "--epochs", 5)
    homes().rename(columns={"age": "Age"}).to_csv("renamed.csv", index=False)
    status, out, err = run("predict", "m.skops", "renamed.csv")
    assert (
        status == 1
        and out == ""
        and "needs columns that are not there: 'age'. Is 'Age' meant to be 'age'?" in err
    )


@pytest.mark.parametrize("module", ["pandas", "skops"])
def test_absent_packages_name_the_extra(run, monkeypatch, module):
    for name in list(sys.modules):
        if name.partition(".")[0] == module:
            monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, module, None)
    fit = ["fit", "homes.csv", "--target", "kind", "-o", "m", "--epochs", 2, "--quiet"]
    status, _, err = run(*fit)
    assert status == 1
    assert err == f"fastnn: error: This needs {module}, which is not installed: {install('cli')}\n"


def test_no_room_is_found_out_before_the_work(run, monkeypatch):
    resource = pytest.importorskip("resource", reason="limits of file sizes are a Unix thing")
    monkeypatch.setattr(TradeoffSearchCV, "fit", lambda *_: pytest.fail("the search has begun"))
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    try:
        resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 20, hard))
        status, _, err = run("explore", "homes.csv", "--target", "kind", "--report", "r.html")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert status == 1 and err == "fastnn: error: r.html: cannot be written: file too large\n"
    assert sorted(os.listdir()) == ["homes.csv", "prices.csv.gz"]  # nothing is left behind


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="/dev/full is not there")
def test_a_full_device_is_found_out_before_the_work(run, monkeypatch):
    monkeypatch.setattr(TradeoffSearchCV, "fit", lambda *_: pytest.fail("the search has begun"))
    status, _, err = run("explore", "homes.csv", "--target", "kind", "--report", "/dev/full")
    assert (
        status == 1
        and err == "fastnn: error: /dev/full: cannot be written: no space left on device\n"
    )
