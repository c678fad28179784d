"""Does the report say what is true, in a page that needs nothing else and that no data breaks?"""

from __future__ import annotations

import html
import html.parser
import re
import shutil
import subprocess
from importlib.resources import files

import numpy as np
import pytest

pd = pytest.importorskip("pandas", reason="pandas comes with fastnn[cli]")
pytest.importorskip("optuna", reason="optuna comes with fastnn[search]")

from hypothesis import given  # noqa: E402
from hypothesis import strategies as st  # noqa: E402
from sklearn import metrics  # noqa: E402
from sklearn.compose import ColumnTransformer, TransformedTargetRegressor  # noqa: E402
from sklearn.datasets import load_breast_cancer, load_diabetes, load_iris  # noqa: E402
from sklearn.ensemble import RandomForestRegressor  # noqa: E402
from sklearn.exceptions import NotFittedError  # noqa: E402
from sklearn.linear_model import LinearRegression, LogisticRegression  # noqa: E402
from sklearn.model_selection import train_test_split  # noqa: E402
from sklearn.pipeline import Pipeline, make_pipeline  # noqa: E402
from sklearn.preprocessing import FunctionTransformer, StandardScaler  # noqa: E402
from sklearn.svm import LinearSVC  # noqa: E402

from fastnn import MLPClassifier, MLPRegressor, TradeoffSearchCV  # noqa: E402
from fastnn.report import write_report  # noqa: E402
from fastnn.report.assessment import (  # noqa: E402
    assess_classes,
    assess_values,
    importance,
    out_of_fold,
    predictions,
)
from fastnn.report.code import training_code  # noqa: E402
from fastnn.report.content import Candidate, Content  # noqa: E402
from fastnn.report.figures import Axis, Chart, number, si, tick  # noqa: E402
from fastnn.report.front import front  # noqa: E402

# Few epochs suffice here; that they are few is said by a warning.
pytestmark = pytest.mark.filterwarnings(
    "ignore:.*Maximum iterations:sklearn.exceptions.ConvergenceWarning"
)

HOSTILE = [
    "<script>alert(1)</script>",
    '"><img src=x onerror=alert(2)>',
    "</title></svg><b>",
    "a & b's \u2014 %s {x}",
]
SPACE = {"hidden_layer_sizes": [(), (3,), (8,), (16, 4)], "max_iter": [20, 60]}


def searched(estimator, X, y, space, objectives=("score", "flops")):
    """A search by deterministic objectives: nothing is timed, so it takes as long as its fits."""
    search = TradeoffSearchCV(
        estimator, space, objectives=objectives, n_trials=6, cv=3, random_state=0, refit="score"
    )
    return search.fit(X, y)


@pytest.fixture(scope="module")
def classified(tmp_path_factory):
    """A report on two classes with hostile names: the search, the held-out rows, the page."""
    X, y = load_breast_cancer(return_X_y=True, as_frame=True)
    X = X.iloc[:, :5].set_axis([*HOSTILE, "plain"], axis=1)
    y = np.array([HOSTILE[0], HOSTILE[1]])[y]
    X, X_test, y, y_test = train_test_split(X, y, random_state=0, stratify=y)
    network = Pipeline([("scale", StandardScaler()), ("network", MLPClassifier(random_state=0))])
    search = searched(network, X, y, {f"network__{name}": values for name, values in SPACE.items()})
    path = tmp_path_factory.mktemp("report") / "report.html"
    write_report(path, search, X, y, X_test, y_test, title=HOSTILE[2])
    return search, X_test, y_test, path


class Page(html.parser.HTMLParser):
    """What stands in a page: elements with their attributes, its text, and what is left open."""

    VOID = frozenset({"meta", "input", "br", "img", "link"})
    SHAPES = frozenset({"path", "circle", "rect"})

    def __init__(self, text):
        super().__init__()
        self.elements, self.open, self.texts = [], [], []
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.elements.append((tag, dict(attrs)))
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.elements.append((tag, dict(attrs)))

    def handle_endtag(self, tag):
        assert self.open and self.open.pop() == tag, f"</{tag}> closes nothing"

    def handle_data(self, data):
        if not self.open or self.open[-1] not in ("script", "style"):
            self.texts.append(data)

    @property
    def text(self):
        return " ".join(" ".join(self.texts).split())


# ---- the page


def test_the_page_stands_alone_and_is_well_formed(classified):
    page = Page(classified[3].read_text(encoding="utf-8"))
    assert not page.open
    tags = [tag for tag, _ in page.elements]
    assert tags.count("html") == tags.count("main") == tags.count("h1") == 1
    assert not {"link", "img", "iframe", "object", "b"} & set(tags)
    for _, attributes in page.elements:
        for name in ("src", "href", "data", "action", "srcset"):
            assert attributes.get(name, "#").startswith("#"), attributes
    outside = re.sub(r"<pre.*?</pre>", "", classified[3].read_text(encoding="utf-8"), flags=re.S)
    assert not re.search(r"https?://|@import|url\(", outside)
    anchors = {attributes["href"][1:] for tag, attributes in page.elements if tag == "a"}
    ids = [attributes["id"] for _, attributes in page.elements if "id" in attributes]
    assert anchors <= set(ids) and len(ids) == len(set(ids))


def test_hostile_names_stay_text(classified):
    text = classified[3].read_text(encoding="utf-8")
    page = Page(text)
    assert [tag for tag, _ in page.elements].count("script") == 1  # ours
    assert not [
        name for _, attributes in page.elements for name in attributes if name.startswith("on")
    ]
    for name in HOSTILE:
        assert name not in text
        assert name in page.text or name in str([attributes for _, attributes in page.elements])


def test_the_page_says_what_is_true(classified):
    search, X_test, y_test, path = classified
    text = Page(path.read_text(encoding="utf-8")).text
    model = search.best_estimator_
    predicted, chance = model.predict(X_test), model.predict_proba(X_test)[:, 1]
    positive = model.classes_[1]
    expected = {
        "accuracy": metrics.accuracy_score(y_test, predicted),
        "precision": metrics.precision_score(y_test, predicted, pos_label=positive),
        "recall": metrics.recall_score(y_test, predicted, pos_label=positive),
        "F1": metrics.f1_score(y_test, predicted, pos_label=positive),
        "AUC": metrics.roc_auc_score(y_test == positive, chance),
        "log loss": metrics.log_loss(y_test, model.predict_proba(X_test)),
        "Brier score": metrics.brier_score_loss(y_test == positive, chance),
    }
    for name, value in expected.items():
        assert f"{name} {number(value)}" in text, name
    assert f"Measured on {len(y_test)} rows that were held out" in text
    assert (
        f"{len(search.cv_results_['params'])} candidates tried,"
        f" {len(search.pareto_front_)} on the front" in text
    )
    for part in (
        "Confusion matrix",
        "ROC curve",
        "Calibration",
        "Loss",
        "Permutation importance",
        "Every candidate",
        "How it was",
    ):
        assert part in text, part
    curve = model[-1].loss_curve_
    assert f"{len(curve)} epochs, ending at {number(curve[-1])}." in text
    confusion = metrics.confusion_matrix(y_test, predicted)
    found = re.findall(r'class="heat[^>]*>(\d+)<', path.read_text(encoding="utf-8"))
    assert [int(cell) for cell in found] == confusion.ravel().tolist()


def test_every_candidate_is_drawn_and_listed(classified):
    search, *_, path = classified
    page = Page(path.read_text(encoding="utf-8"))
    n = len(search.cv_results_["params"])
    rows = [
        attributes for tag, attributes in page.elements if tag == "tr" and "data-key" in attributes
    ]
    assert sorted(int(row["data-key"]) for row in rows) == list(range(n))
    assert sorted(int(row["data-key"]) for row in rows if "front" in row["class"]) == sorted(
        search.pareto_front_
    )
    assert [int(row["data-key"]) for row in rows if "chosen" in row["class"]] == [
        search.best_index_
    ]
    dots = [
        attributes
        for tag, attributes in page.elements
        if tag == "circle" and "chosen" in attributes["class"] and "data-key" in attributes
    ]
    assert dots and {int(dot["data-key"]) for dot in dots} == {search.best_index_}
    assert all(dot["tabindex"] == "0" for dot in dots)


def test_regression_and_out_of_fold(tmp_path):
    X, y = load_diabetes(return_X_y=True)
    network = TransformedTargetRegressor(
        MLPRegressor(random_state=0, learning_rate_init=0.01), transformer=StandardScaler()
    )
    search = searched(
        network, X, y, {f"regressor__{name}": values for name, values in SPACE.items()}
    )
    write_report(tmp_path / "r.html", search, X, y)
    text = Page((tmp_path / "r.html").read_text(encoding="utf-8")).text
    expected = out_of_fold(search.best_estimator_, X, y, 3)[0]
    assert f"R² {number(metrics.r2_score(y, expected))}" in text
    assert f"MAE {number(metrics.mean_absolute_error(y, expected))}" in text
    assert f"RMSE {number(metrics.root_mean_squared_error(y, expected))}" in text
    assert f"{search.best_estimator_.regressor_.n_iter_} epochs, ending at" in text
    assert "Measured out of fold: each of the 442 rows was predicted by a copy" in text
    assert "True against predicted" in text and "Residuals" in text and "ROC" not in text


def test_models_without_probabilities_or_loss_curves(tmp_path):
    X, y = load_iris(return_X_y=True, as_frame=True)
    linear = searched(
        LogisticRegression(max_iter=500), X, y, {"C": [0.1, 1.0, 10.0]}, ("score", "model_bytes")
    )
    write_report(tmp_path / "r.html", linear, X, y)
    text = Page((tmp_path / "r.html").read_text(encoding="utf-8")).text
    assert "This model has no loss curve." in text and "Each class against the others" in text
    machine = searched(LinearSVC(), X, y, {"C": [0.1, 1.0]}, ("score", "model_bytes"))
    write_report(tmp_path / "s.html", machine, X, y, X, y)
    text = Page((tmp_path / "s.html").read_text(encoding="utf-8")).text
    assert "ROC curve" in text and "Calibration error" not in text


def test_what_no_report_can_be_about(tmp_path):
    X, y = load_iris(return_X_y=True, as_frame=True)
    search = TradeoffSearchCV(
        LogisticRegression(max_iter=500), {"C": [0.1, 1.0]}, objectives=("score", "model_bytes")
    )
    with pytest.raises(NotFittedError):
        write_report(tmp_path / "r.html", search, X, y)
    with pytest.raises(ValueError, match="about a chosen model, but the search has refit=False"):
        write_report(tmp_path / "r.html", search.set_params(refit=False).fit(X, y), X, y)
    with pytest.raises(ValueError, match=r"one target per row, but y has shape \(150, 2\)"):
        write_report(
            tmp_path / "r.html",
            search.set_params(refit="score").fit(X, y),
            X,
            np.column_stack([y, y]),
        )
    assert not (tmp_path / "r.html").exists()


@pytest.mark.skipif(shutil.which("chromium") is None, reason="chromium is not installed")
def test_the_script_runs_in_a_browser(classified, tmp_path):
    path = classified[3]
    probe = """<script>
      document.querySelectorAll(".sortable th button")[1].click();
      const focus = new FocusEvent("focusin", {bubbles: true});
      document.querySelector("circle[tabindex]").dispatchEvent(focus);
    </script></body>"""
    (tmp_path / "probe.html").write_text(
        path.read_text(encoding="utf-8").replace("</body>", probe), encoding="utf-8"
    )
    quiet = [
        "--disable-background-networking",
        "--disable-component-update",
        "--disable-sync",
        "--no-first-run",
    ]
    command = [
        "chromium",
        "--headless",
        "--no-sandbox",
        "--disable-gpu",
        *quiet,
        f"--user-data-dir={tmp_path}",
        "--dump-dom",
        f"file://{tmp_path}/probe.html",
    ]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True)
    dom = done.stdout
    assert (
        'class="copy"' in dom
        and 'aria-sort="descending"' in dom
        and "<title>" not in dom.partition("<body>")[2]
    )
    scores = [
        float(score)
        for score in re.findall(
            r'<tr class="[^"]*" data-key="\d+"><td[^>]*>\d+</td><td[^>]*data-v="([^"]+)"', dom
        )
    ]
    assert len(scores) > 2 and scores == sorted(scores, reverse=True)
    assert re.search(r'<div id="tip" role="status" style="[^"]+">candidate \d+\naccuracy: ', dom)


# ---- figures


def content(candidates, objectives=("score", "fit_time")):
    """What a page says, of which only the candidates matter."""
    return Content(
        title="t",
        summary="",
        facts=[],
        columns=[],
        left_out={},
        candidates=candidates,
        objectives=list(objectives),
        score="accuracy",
        choice="",
        assessment=assess_values(np.array([0.0, 1.0]), np.array([0.0, 1.0])),
        assessed_on="",
        loss=np.zeros(0),
        validation=np.zeros(0),
        importances=[],
        method=[],
        code="",
    )


points = st.lists(st.tuples(st.integers(1, 9), st.integers(0, 9)), min_size=1, max_size=20)


@given(points)
def test_the_line_of_the_front_joins_what_nothing_beats(points):
    beaten = [
        any(c <= cost and s >= score and (c, s) != (cost, score) for c, s in points)
        for cost, score in points
    ]
    candidates = [
        Candidate(i, {}, {"score": float(score), "fit_time": float(cost)}, on_front=not beaten[i])
        for i, (cost, score) in enumerate(points)
    ]
    svg = front(content(candidates)).partition("</svg>")[0]
    # The line is level from one candidate of the front to the next.
    corners = set(re.search(r'class="line edge" d="M([^"]*)"', svg)[1].split("L"))
    dots = re.findall(r'class="dot on-front" cx="([\d.]+)" cy="([\d.]+)"', svg)
    assert len(dots) == beaten.count(False)
    assert {f"{x} {y}" for x, y in dots} <= corners
    levels = {corner.split()[1] for corner in corners}
    assert levels == {y for _, y in dots}


def test_the_front_has_its_colour_in_one_place():
    css = files("fastnn.report").joinpath("page.css").read_text(encoding="utf-8")
    rules = dict(re.findall(r"^(\S[^{}]*) \{ ([^{}]*) \}$", css, re.M))
    for marks in (".edge", ".spread", ".dot.on-front", ".key-front", "tr.front td:first-child"):
        assert "var(--front)" in rules[marks] and "--accent" not in rules[marks]


@pytest.mark.parametrize(
    ("value", "unit", "text"),
    [
        (0.0123, "s", "12.3 ms"),
        (8.8e-6, "s", "8.8 \u00b5s"),
        (999.9, "B", "1 kB"),
        (999.4, "B", "999 B"),
        (0, "J", "0 J"),
        (1.5e15, "", "1500 T"),
        (-2500, "", "-2.5 k"),
        (float("nan"), "s", "\u2013"),
    ],
)
def test_quantities_are_written_for_people(value, unit, text):
    assert si(value, unit) == text


def test_numbers_and_ticks():
    assert [number(v) for v in (0.5, 3, 0.00123, 12345, float("inf"))] == [
        "0.500",
        "3",
        "0.0012",
        "12\u2009345",
        "\u2013",
    ]
    assert [tick(v) for v in (0.25, 100, -2, 50_000)] == ["0.25", "100", "\u22122", "50 k"]


@given(st.floats(-1e6, 1e6), st.floats(1e-3, 1e6), st.booleans())
def test_ticks_are_inside_and_readable(low, span, log):
    axis = Axis(abs(low) + 1e-3, abs(low) + 1e-3 + span, log=True) if log else Axis(low, low + span)
    ticks = axis.ticks(5)
    assert 1 <= len(ticks) <= 12
    assert all(-1e-6 <= axis.at(value) <= 1 + 1e-6 for value in ticks) and ticks == sorted(ticks)


def test_marks_stand_where_their_values_are():
    chart = Chart(Axis(0, 10), Axis(1, 100, log=True), "t")
    left, right = chart.px(0), chart.px(10)
    assert chart.px(5) == pytest.approx((left + right) / 2, abs=0.1)
    assert chart.py(10) == pytest.approx((chart.py(1) + chart.py(100)) / 2, abs=0.1)
    assert chart.py(100) < chart.py(1)  # up is more
    assert Axis.around([-1, 5], log=True).log is False and Axis.around([np.nan]).ticks(5)


# ---- figures about a model


def test_calibration_error_by_hand():
    chance = np.array([0.05, 0.05, 0.35, 0.35, 0.95])
    y = np.array([0, 1, 0, 1, 1])
    found = assess_classes(
        y, (chance > 0.5).astype(int), np.column_stack([1 - chance, chance]), True, np.array([0, 1])
    )
    assert found.metrics["calibration_error"] == pytest.approx((2 * 0.45 + 2 * 0.15 + 0.05) / 5)
    assert found.metrics["accuracy_se"] == pytest.approx(np.sqrt(0.6 * 0.4 / 5))
    assert found.calibration.rows.tolist() == [2, 2, 1]


def test_a_class_that_the_model_has_never_seen():
    y = np.array(["a", "b", "new", "a"])
    scores = np.array([[0.9, 0.1], [0.2, 0.8], [0.6, 0.4], [0.7, 0.3]])
    found = assess_classes(y, np.array(["a", "b", "a", "a"]), scores, True, np.array(["a", "b"]))
    assert found.labels.tolist() == ["a", "b", "new"] and found.confusion.tolist() == [
        [2, 0, 0],
        [0, 1, 0],
        [1, 0, 0],
    ]
    assert found.metrics["accuracy"] == 0.75 and found.metrics["auc"] == 1.0


def test_values_against_scikit_learn():
    rng = np.random.default_rng(0)
    y, predicted = rng.normal(size=200), rng.normal(size=200)
    found = assess_values(y, predicted).metrics
    assert found["r2"] == pytest.approx(metrics.r2_score(y, predicted))
    assert found["mae"] == pytest.approx(metrics.mean_absolute_error(y, predicted))
    assert found["rmse"] == pytest.approx(metrics.root_mean_squared_error(y, predicted))
    assert found["always_mean_rmse"] == pytest.approx(y.std())


def test_scores_of_a_model_without_probabilities():
    X, y = load_iris(return_X_y=True)
    predicted, scores, are_probabilities = predictions(LinearSVC().fit(X, y), X)
    assert scores.shape == (150, 3) and not are_probabilities and predicted.shape == (150,)
    assert predictions(LinearRegression().fit(X, y), X)[1] is None


def test_importance_finds_the_column_that_matters():
    rng = np.random.default_rng(0)
    X = pd.DataFrame(rng.normal(size=(2500, 3)), columns=["noise", "signal", "more noise"])
    y = 3 * X["signal"].to_numpy()
    found = importance(LinearRegression().fit(X, y), X, y)
    assert found[0][0] == "signal" and found[0][1] == pytest.approx(
        2, rel=0.1
    )  # R2 falls from 1 to -1
    assert abs(found[-1][1]) < 1e-9


# ---- code


@pytest.mark.parametrize(
    "model",
    [
        MLPClassifier(
            hidden_layer_sizes=(), alpha=1e-3, learning_rate_init=0.1, n_iter_no_change=np.inf
        ),
        Pipeline(
            [
                ("a", StandardScaler(with_mean=False)),
                ("b", MLPRegressor(hidden_layer_sizes=(64, 64), random_state=3)),
            ]
        ),
        make_pipeline(
            FunctionTransformer(np.log1p),
            TransformedTargetRegressor(RandomForestRegressor(5), transformer=StandardScaler()),
        ),
        ColumnTransformer(
            [("x", StandardScaler(), ["it's", 'a "quoted" \\ name'])], remainder="passthrough"
        ),
        LogisticRegression(class_weight={"a": 1.0, "b": np.nan}),
    ],
)
def test_the_code_of_an_estimator_makes_it_again(model):
    code = training_code(model, "x = 1", "y = x")
    scope = {}
    exec(code, scope)
    assert repr(scope["model"]) == repr(model) and scope["y"] == 1
    assert max(map(len, code.splitlines())) <= 100


def test_many_columns_are_written_in_few_lines():
    names = [f"it's column {i}" for i in range(100)]
    code = training_code(ColumnTransformer([("x", StandardScaler(), names)]), "", "")
    assert len(code.splitlines()) < 40 and max(map(len, code.splitlines())) <= 100
    scope = {}
    exec(code, scope)
    assert scope["model"].transformers[0][2] == names


def test_numpy_numbers_are_written_as_plain_ones():
    assert "alpha=0.001," in training_code(
        MLPClassifier(alpha=np.float64(1e-3), max_iter=np.int64(7)), "", ""
    )
