"""Does the command line do what its users expect: results on one stream, messages on the other, and the right exit status?"""

from __future__ import annotations

import html
import json
import os
import pickle
import re
import signal
import subprocess
import sys

import numpy as np
import pytest

pd = pytest.importorskip("pandas", reason="pandas comes with fastnn[cli]")
for package in ("rich", "skops", "optuna"):
    pytest.importorskip(package, reason="fastnn[cli,search] is not installed")

import skops.io  # noqa: E402
from sklearn.linear_model import LogisticRegression  # noqa: E402
from sklearn.metrics import accuracy_score, r2_score  # noqa: E402

import fastnn  # noqa: E402
from fastnn._optional import install  # noqa: E402
from fastnn.cli import main as cli
from fastnn.cli import terminal  # noqa: E402
from fastnn.persistence import TRUSTED, ModelFileError, TableModel, load_model, save_model  # noqa: E402
from fastnn.search.estimator import TradeoffSearchCV  # noqa: E402
from fastnn.search.run import Run  # noqa: E402
from fastnn.tabular.options import TypeOptions  # noqa: E402
from fastnn.tabular.recognise import recognise  # noqa: E402


def table(n=80, seed=0):
    """Two numbers, a category, missing cells, and what they say about `kind` (two classes) and `price`."""
    rng = np.random.default_rng(seed)
    size, age = rng.normal(100, 20, n).round(1), rng.integers(0, 50, n).astype(float)
    town = rng.choice(["Oslo", "Rome", "Lima"], n).astype(object)
    price = 3 * size - age + 40 * (town == "Rome")
    kind = np.where(price > np.median(price), "dear", "cheap")
    size[::9], town[5] = np.nan, None
    return pd.DataFrame(
        {"size": size, "age": age, "town": town, "kind": kind, "price": price.round(2)}
    )


@pytest.fixture(autouse=True)
def in_a_folder_with_tables(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    table().drop(columns="price").to_csv("homes.csv", index=False)
    table().drop(columns="kind").to_csv("prices.csv.gz", index=False)


@pytest.fixture
def run(capsys):
    """Run the command line; return exit status, standard output and standard error."""

    def run(*argv):
        try:
            status = cli.main([str(word) for word in argv])
        except SystemExit as error:  # argparse
            status = error.code
        captured = capsys.readouterr()
        return status, captured.out, captured.err

    return run


# ---- fit, predict, evaluate


def test_fit_predict_evaluate(run):
    status, out, err = run("fit", "homes.csv", "--target", "kind", "-o", "m.skops", "--epochs", 30)
    assert status == 0
    assert re.search(r"^task +binary \('kind' holds 2 different values\)$", out, re.M)
    assert re.search(r"^table +80 rows; 2 numeric and 1 categorical columns$", out, re.M)
    assert re.search(r"^missing +10 cells$", out, re.M) and re.search(
        r"^trained +on 64 rows, 30 epochs", out, re.M
    )
    assert re.search(r"^measured +on 16 rows held out$", out, re.M) and re.search(
        r"^saved +m\.skops$", out, re.M
    )
    assert (
        err
        == "fastnn: note: Maximum iterations (30) reached and the optimization hasn't converged yet. (--epochs)\n"
    )

    status, out, err = run("predict", "m.skops", "homes.csv")
    lines = out.splitlines()
    assert status == 0 and err == "" and lines[0] == "kind" and len(lines) == 81
    accuracy = accuracy_score(table()["kind"], lines[1:])
    assert accuracy > 0.6

    status, out, _ = run("evaluate", "m.skops", "homes.csv")
    assert (
        status == 0
        and re.search(r"^precision, recall, F1 of +dear$", out, re.M)
        and f"{accuracy:.4g}" in re.search(r"^accuracy +(\S+)$", out, re.M)[1]
    )
    status, out, _ = run("evaluate", "m.skops", "homes.csv", "--json")
    found = json.loads(out)
    assert (
        found["task"] == "binary"
        and found["rows"] == 80
        and found["accuracy"] == pytest.approx(accuracy)
    )

    table().assign(kind="palace").to_csv("palaces.csv", index=False)
    status, _, err = run("evaluate", "m.skops", "palaces.csv")
    assert (
        status == 1
        and "column 'kind' holds 'palace' and the like; the model's classes are cheap, dear." in err
    )


def test_regression(run):
    status, out, _ = run(
        "fit",
        "prices.csv.gz",
        "--target",
        "price",
        "-o",
        "m.skops",
        "--hidden",
        0,
        "--epochs",
        2000,
    )
    assert status == 0 and re.search(
        r"^task +regression \('price' holds numbers with fractions\)$", out, re.M
    )
    assert load_model("m.skops").model[-1].regressor_.hidden_layer_sizes == ()
    status, out, _ = run("predict", "m.skops", "prices.csv.gz")
    predicted = np.array(out.splitlines()[1:], dtype=float)
    assert r2_score(table()["price"], predicted) > 0.8  # missing sizes cost the rest
    status, out, _ = run("evaluate", "m.skops", "prices.csv.gz", "--json")
    assert json.loads(out)["r2"] == pytest.approx(r2_score(table()["price"], predicted))


def test_parquet_in_and_out(run):
    table().to_parquet("t.parquet")
    assert (
        run(
            "fit",
            "t.parquet",
            "--target",
            "kind",
            "--drop",
            "price",
            "-o",
            "m.skops",
            "--epochs",
            5,
        )[0]
        == 0
    )
    assert run("predict", "m.skops", "t.parquet", "--proba", "-o", "p.parquet")[0] == 0
    out = pd.read_parquet("p.parquet")
    assert list(out.columns) == ["kind", "probability of cheap", "probability of dear"]
    np.testing.assert_allclose(out.iloc[:, 1] + out.iloc[:, 2], 1)
    assert (out["kind"] == np.where(out["probability of dear"] > 0.5, "dear", "cheap")).all()


def test_predictions_do_not_depend_on_the_order_of_columns(run):
    run("fit", "homes.csv", "--target", "kind", "-o", "m.skops", "--epochs", 5)
    table()[["town", "kind", "age", "size", "price"]].to_csv("turned.csv", index=False)
    status, turned, err = run("predict", "m.skops", "turned.csv")
    assert (
        status == 0
        and err == "fastnn: note: columns the model does not know are ignored: 'price'\n"
    )
    assert turned == run("predict", "m.skops", "homes.csv")[1]


def test_unknown_categories_and_missing_targets_are_noted(run):
    run("fit", "homes.csv", "--target", "kind", "-o", "m.skops", "--epochs", 5)
    later = table().drop(columns="price").assign(town="Bern")
    later.loc[:9, "kind"] = None
    later.to_csv("later.csv", index=False)
    status, out, err = run("evaluate", "m.skops", "later.csv")
    assert status == 0 and re.search(r"^rows +70$", out, re.M)
    assert "10 of 80 rows are left out: their target 'kind' is missing" in err
    assert "column 'town' holds values never seen in training ('Bern') in 70 rows" in err


def test_without_holding_rows_back(run):
    status, out, err = run(
        "fit", "homes.csv", "--target", "kind", "-o", "m.skops", "--epochs", 5, "--holdout", 0
    )
    assert status == 0 and "trained                    on 80 rows" in out and "measured" not in out
    table(12).to_csv("few.csv", index=False)
    status, out, err = run("fit", "few.csv", "--target", "price", "-o", "m.skops", "--epochs", 5)
    assert status == 0 and "12 rows are too few to keep any back" in err and "on 12 rows" in out


def test_rows_of_a_rare_class_can_be_held_out(run):
    frame = table()
    frame.loc[0, "kind"] = "odd"  # one row cannot stand on both sides
    frame.drop(columns="price").to_csv("odd.csv", index=False)
    status, out, _ = run("fit", "odd.csv", "--target", "kind", "-o", "m.skops", "--epochs", 5)
    assert status == 0 and "multiclass" in out and "measured" in out


def test_seeds_decide(run):
    def fitted(seed):
        run("fit", "homes.csv", "--target", "kind", "-o", "m.skops", "--epochs", 5, "--seed", seed)
        return run("predict", "m.skops", "homes.csv", "--proba")[1]

    assert fitted(1) == fitted(1) != fitted(2)


# ---- what can be wrong


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
            r"There is no model file none\.skops\. `fastnn fit data\.csv --target COLUMN -o none\.skops`",
        ),
        (
            "predict homes.csv homes.csv",
            r"homes\.csv is not a model file of fastnn \(models are saved with skops, not pickle\)",
        ),
        (
            "explore homes.csv --target kind --report no/r.html",
            r"no/r\.html: cannot be written: there is no folder 'no'",
        ),
        (
            "explore homes.csv --target kind --objectives score,beauty",
            r"objectives must be among .*got 'beauty'",
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
    ],
)
def test_wrong_usage_is_status_2(run, argv, message):
    status, _, err = run(*argv.split())
    assert status == 2 and message in err and err.startswith("usage: fastnn")


def test_probabilities_of_a_number_are_refused(run):
    run("fit", "prices.csv.gz", "--target", "price", "-o", "m.skops", "--epochs", 5)
    status, _, err = run("predict", "m.skops", "prices.csv.gz", "--proba")
    assert status == 1 and "--proba is for classes, but this model predicts numbers" in err


def test_columns_missing_at_prediction(run):
    run("fit", "homes.csv", "--target", "kind", "-o", "m.skops", "--epochs", 5)
    table().rename(columns={"age": "Age"}).to_csv("renamed.csv", index=False)
    status, out, err = run("predict", "m.skops", "renamed.csv")
    assert (
        status == 1
        and out == ""
        and "needs columns that are not there: 'age'. Is 'Age' meant to be 'age'?" in err
    )


@pytest.mark.parametrize("module", ["pandas", "rich", "skops"])
def test_absent_packages_name_the_extra(run, monkeypatch, module):
    for name in list(sys.modules):
        if name.partition(".")[0] == module:
            monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, module, None)
    status, _, err = run(
        "predict" if module == "skops" else "fit",
        "homes.csv",
        *(["homes.csv"] if module == "skops" else ["--target", "kind", "-o", "m"]),
    )
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


# ---- exploring


def explored(run, *more, trials=4):
    deterministic = [
        "--objectives",
        "score,flops",
        "--trials",
        trials,
        "--cv",
        2,
        "--jobs",
        1,
    ]  # nothing is timed
    return run("explore", "homes.csv", "--target", "kind", *deterministic, *more)


def test_explore_and_train_again(run):
    status, out, err = explored(run, "--report", "r.html", "-o", "m.skops", "--choose", "score")
    assert status == 0 and err == ""
    assert (
        re.search(r"^4 candidates, \d+ on the front, \* chosen$", out, re.M)
        and len(re.findall(r"^\* ", out, re.M)) == 1
    )
    assert re.search(r"^report +r\.html$", out, re.M)
    with open("r.html", encoding="utf-8") as file:
        page = file.read()
    code = html.unescape(re.search(r"<pre[^>]*><code>(.*?)</code>", page, re.S)[1])
    scope = {}
    exec(code, scope)  # the program at the end of the report
    chosen = load_model("m.skops").model
    np.testing.assert_array_equal(
        scope["model"].predict_proba(scope["X_test"]), chosen.predict_proba(scope["X_test"])
    )
    accuracy = accuracy_score(scope["y_test"], chosen.predict(scope["X_test"]))
    assert (
        f"accuracy                   {accuracy:.4g}\n" in out
        and f"<strong>{accuracy:.3f}</strong>" in page
    )
    assert run("predict", "m.skops", "homes.csv")[0] == 0


def test_a_limit_decides(run):
    status, out, _ = explored(run, "--limit", "model_bytes=1e9")
    assert status == 0 and "* chosen" in out
    status, out, err = explored(run, "--limit", "model_bytes=1")
    assert status == 1 and "no candidate keeps within it. The nearest, candidate" in err
    assert re.search(r"on the front$", out, re.M) and not re.search(r"^\*", out, re.M)
    assert re.search(r"  measured  parameters$", out, re.M) and "beside others" in out
    assert "with --storage FILE these candidates would be there for another --limit" in err
    assert (
        "--storage FILE" not in explored(run, "--limit", "model_bytes=1", "--storage", "s.log")[2]
    )


def test_a_stored_search_goes_on(run, monkeypatch):
    assert "2 candidates" in explored(run, "--storage", "s.log", trials=2)[1]
    assert "4 candidates" in explored(run, "--storage", "s.log", trials=4)[1]
    monkeypatch.setattr(Run, "_begin", lambda *_: pytest.fail("a candidate was tried again"))
    assert "4 candidates" in explored(run, "--storage", "s.log", trials=4)[1]


# ---- Ctrl-C


def test_ctrl_c_in_fit_saves_what_was_trained(run, monkeypatch):
    write = terminal._EpochLines.write

    def interrupting(self, text):
        if text.startswith("Iteration 3,"):
            signal.raise_signal(signal.SIGINT)
        return write(self, text)

    monkeypatch.setattr(terminal._EpochLines, "write", interrupting)
    before = signal.getsignal(signal.SIGINT)
    status, out, err = run("fit", "homes.csv", "--target", "kind", "-o", "m.skops")
    assert status == 130 and signal.getsignal(signal.SIGINT) is before
    assert "Training interrupted by user." in err and re.search(
        r"^trained +on 64 rows, 3 epochs", out, re.M
    )
    assert run("predict", "m.skops", "homes.csv")[0] == 0


def test_ctrl_c_in_explore_reports_what_was_found(run, monkeypatch):
    pytest.importorskip(
        "sklearn.callback", reason="scikit-learn has callbacks, where this test waits, from 1.9 on"
    )
    end = terminal._Candidates.on_fit_task_end

    def interrupting(self, *args, **kwargs):
        n_before = self.n_done
        end(self, *args, **kwargs)
        if n_before == 2 and self.n_done == 3:
            signal.raise_signal(signal.SIGINT)

    monkeypatch.setattr(terminal._Candidates, "on_fit_task_end", interrupting)
    status, out, err = explored(run, "--report", "r.html", "-o", "m.skops", trials=50)
    assert status == 130 and "Search interrupted by user" in err
    assert re.search(r"^3 candidates, ", out, re.M) and os.path.exists("r.html")
    assert run("predict", "m.skops", "homes.csv")[0] == 0


def test_ctrl_c_before_anything(run, monkeypatch):
    monkeypatch.setattr(cli, "_read", lambda _: signal.raise_signal(signal.SIGINT))
    status, out, err = run("fit", "homes.csv", "--target", "kind", "-o", "m.skops")
    assert (status, out, err) == (130, "", "fastnn: interrupted\n")
    assert not os.path.exists("m.skops")


# ---- model files


def test_unknown_types_are_refused_by_name(run, tmp_path):
    class Stranger(LogisticRegression):
        pass

    Stranger.__module__, Stranger.__qualname__ = "evil.things", "Stranger"
    frame = table()
    schema = recognise(frame, "kind", TypeOptions(drop=["price", "town"]))
    save_model("m.skops", TableModel(Stranger(), schema, {}))
    status, _, err = run("predict", "m.skops", "homes.csv")
    assert (
        status == 1
        and "m.skops is refused: it holds types that fastnn does not know to be safe: evil.things.Stranger"
        in err
    )
    assert "evil" not in sys.modules


def test_files_that_are_no_models(tmp_path):
    (tmp_path / "m.pickle").write_bytes(pickle.dumps({"a": 1}))
    with pytest.raises(ModelFileError, match="not a model file of fastnn"):
        load_model(tmp_path / "m.pickle")
    skops.io.dump({"a": 1}, tmp_path / "other.skops")
    with pytest.raises(
        ModelFileError, match="is a skops file, but not a model saved by `fastnn fit`"
    ):
        load_model(tmp_path / "other.skops")


def test_every_trusted_type_exists():
    for name in TRUSTED:
        module, _, kind = name.rpartition(".")
        assert hasattr(__import__(module, fromlist=[kind]), kind), name


@pytest.mark.parametrize("solver", ["adam", "sgd", "lbfgs"])
@pytest.mark.parametrize("learning_rate", ["constant", "invscaling", "adaptive"])
@pytest.mark.filterwarnings("ignore:.*(Maximum iterations|failed to converge)")
def test_every_kind_of_network_can_be_saved(tmp_path, solver, learning_rate):
    frame = table()
    schema = recognise(frame, "kind", TypeOptions(drop=["town", "size", "price"]))
    network = fastnn.MLPClassifier(
        solver=solver,
        learning_rate=learning_rate,
        max_iter=3,
        early_stopping=solver == "adam",
        random_state=0,
    ).fit(frame[["age"]], frame["kind"])
    save_model(tmp_path / "m.skops", TableModel(network, schema, {"rows": 80}))
    loaded = load_model(tmp_path / "m.skops")
    np.testing.assert_array_equal(
        loaded.model.predict_proba(frame[["age"]]), network.predict_proba(frame[["age"]])
    )
    assert loaded.schema == schema and loaded.about == {"rows": 80}


def test_a_model_file_is_replaced_whole_or_not_at_all(tmp_path):
    path = tmp_path / "m.skops"
    path.write_text("the old one")
    with pytest.raises(TypeError):
        save_model(path, TableModel(None, recognise(table(), "kind"), {"not JSON": object()}))
    assert path.read_text() == "the old one" and os.listdir(tmp_path).count("m.skops.part") == 0


# ---- a process of its own


def python_m_fastnn(*argv, **settings):
    root = os.path.dirname(os.path.dirname(fastnn.__file__))
    environment = {**os.environ, "PYTHONPATH": root}
    return subprocess.Popen([sys.executable, "-m", "fastnn", *argv], env=environment, **settings)


def test_a_reader_that_leaves_is_no_disaster(run):
    run("fit", "homes.csv", "--target", "kind", "-o", "m.skops", "--epochs", 5)
    pd.concat([table()] * 300).to_csv("long.csv", index=False)
    process = python_m_fastnn(
        "predict", "m.skops", "long.csv", stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    process.stdout.close()
    assert process.wait(60) == 1
    assert b"Traceback" not in process.stderr.read()
    process.stderr.close()


@pytest.mark.skipif(sys.platform == "win32", reason="needs a pseudo-terminal")
def test_progress_is_shown_in_a_terminal_and_nowhere_else():
    import pty

    ours, theirs = pty.openpty()
    argv = ["fit", "homes.csv", "--target", "kind", "-o", "m.skops", "--epochs", "400"]
    process = python_m_fastnn(*argv, stdout=subprocess.PIPE, stderr=theirs)
    os.close(theirs)
    shown = b""
    while True:
        try:
            shown += os.read(ours, 4096)
        except OSError:  # the other end is closed
            break
    os.close(ours)
    out = process.stdout.read().decode()
    process.stdout.close()
    assert process.wait(60) == 0
    assert b"training, loss" in shown
    assert "Iteration" not in out and "saved" in out
