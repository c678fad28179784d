"""Is a network trained so that rare classes and long tails are learned, and is it said if not?"""

from __future__ import annotations

import json
import warnings

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import balanced_accuracy_score, f1_score, r2_score, roc_auc_score
from support.homes import pd

import fastnn
from fastnn.cli.quality import Quality, against_constant
from fastnn.persistence import load_model
from fastnn.tabular.scale import LogScale
from fastnn.tabular.schema import TableError

pytestmark = pytest.mark.filterwarnings("ignore:Maximum iterations")


def rare(n=3000, share=0.057, seed=0):
    """Two classes, ``share`` of the rows in the second."""
    rng = np.random.default_rng(seed)
    X = rng.normal(size=(n, 5))
    chance = X @ [1.5, -1.2, 0.9, 0.4, 0.0] + rng.logistic(size=n)
    sick = chance > np.quantile(chance, 1 - share)
    return pd.DataFrame(X, columns=list("abcde")).assign(state=np.where(sick, "sick", "healthy"))


def incomes(n=600, seed=0):
    """A target with a heavy tail."""
    rng = np.random.default_rng(seed)
    X = rng.normal(size=(n, 3))
    income = np.exp(7 + X @ [1.0, -0.8, 0.5] + rng.normal(size=n) * 0.3)
    return pd.DataFrame(X, columns=list("abc")).assign(income=income)


@pytest.fixture
def quietly():
    """Fit a table; return what was found and the notes."""

    def fit(frame, target, **options):
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            found = fastnn.fit_table(frame, target, **options)
        return found, [str(one.message) for one in caught]

    return fit


@pytest.mark.filterwarnings("ignore::fastnn.tabular.model.TableWarning")
def test_a_rare_class_is_learned_as_well_as_by_logistic_regression():
    found = fastnn.fit_table(rare(), "state", network="plain")
    table = found.table
    other = LogisticRegression().fit(table.X, table.y).predict_proba(table.X_test)[:, 1]
    assert found.held_out.metrics["auc"] > roc_auc_score(table.y_test == "sick", other) - 0.03
    network = found.model.model[-1]
    assert network.early_stopping and network.scoring == "loss" and found.epochs > 20
    assert max(network.validation_scores_) == network.best_validation_score_ < 0


@pytest.mark.filterwarnings("ignore::fastnn.tabular.model.TableWarning")
def test_balanced_weights_find_more_of_a_rare_class():
    frame = rare()
    plain = fastnn.fit_table(frame, "state", network="plain")
    balanced = fastnn.fit_table(frame, "state", class_weight="balanced", network="plain")
    recall = balanced.held_out.metrics["recall"]
    assert recall > plain.held_out.metrics["recall"] + 0.2
    assert balanced.model.about["class_weight"] == "balanced"
    assert "balanced_log_loss" in balanced.held_out.metrics
    assert "balanced_log_loss" not in plain.held_out.metrics


@pytest.mark.filterwarnings("ignore::fastnn.tabular.model.TableWarning")
def test_a_threshold_decides(tmp_path):
    frame = rare(800, 0.2)
    found = fastnn.fit_table(
        frame, "state", network="plain", epochs=30, threshold=0.2, output=tmp_path / "m"
    )
    loaded = load_model(tmp_path / "m")
    chances = loaded.predict_proba(frame)[:, 1]
    assert (loaded.predict(frame) == np.where(chances >= 0.2, "sick", "healthy")).all()
    assert ((chances >= 0.2) != (chances >= 0.5)).any()
    assert loaded.about["threshold"] == 0.2 and found.epochs == 30
    plain = fastnn.fit_table(frame, "state", network="plain", epochs=30)
    np.testing.assert_array_equal(plain.model.predict_proba(frame)[:, 1], chances)


@pytest.mark.parametrize(
    ("name", "score"), [("f1", f1_score), ("balanced_accuracy", balanced_accuracy_score)]
)
def test_a_threshold_is_chosen_on_rows_not_learned_from(quietly, name, score):
    frame = rare(2000, 0.1)
    found, notes = quietly(frame, "state", network="plain", epochs=30, threshold=name)
    table, threshold = found.table, found.model.about["threshold"]
    assert any(note.startswith(f"'sick' is predicted from a probability of {threshold:.3g} (")
               for note in notes)  # fmt: skip
    came = table.y_test == "sick"
    chances = found.model.model.predict_proba(table.X_test)[:, 1]
    assert score(came, chances >= threshold) > score(came, chances >= 0.5) + 0.05


def test_the_logarithm_of_a_heavy_tail_is_learned_where_it_wins(quietly):
    found, notes = quietly(incomes(), "income", network="plain", epochs=60)
    assert isinstance(found.model.model[-1].transformer_, LogScale)
    assert any(
        note.startswith("the target 'income' has a heavy tail: its logarithm is learned (R2 0.")
        and note.endswith("; --target-transform none overrules")
        for note in notes
    )
    plain, notes = quietly(incomes(), "income", network="plain", epochs=60, target_transform="none")
    assert not any("tail" in note for note in notes)
    assert not isinstance(plain.model.model[-1].transformer_, LogScale)
    assert found.held_out.metrics["r2"] > plain.held_out.metrics["r2"] + 0.1
    table = found.table
    r2 = r2_score(table.y_test, found.model.model.predict(table.X_test))
    assert found.held_out.metrics["r2"] == r2
    even = incomes().assign(income=lambda frame: np.log(frame["income"]))
    said, _ = quietly(even, "income", network="plain", epochs=5, target_transform="log")
    assert isinstance(said.model.model[-1].transformer_, LogScale)
    unsaid, _ = quietly(even, "income", network="plain", epochs=5)
    assert not isinstance(unsaid.model.model[-1].transformer_, LogScale)


def test_logarithms_stay_in_the_range_that_was_seen():
    scale = LogScale().fit([[1.0], [np.e], [np.e**2]])
    np.testing.assert_allclose(scale.transform([[np.e]]), [[0.0]], atol=1e-15)
    back = scale.inverse_transform([[-1e9], [0.0], [1e9]])
    np.testing.assert_allclose(back, [[1.0], [np.e], [np.e**2]])
    np.testing.assert_allclose(LogScale().fit([[5.0]]).inverse_transform([[0.0]]), [[5.0]])
    with pytest.raises(ValueError, match="A logarithm needs positive numbers, got 0"):
        LogScale().fit([[0.0], [1.0]])


def test_one_row_of_a_class_trains(quietly):
    frame = rare(1200).assign(state="no")
    frame.loc[7, "state"] = "yes"
    for seed in range(12):  # by chance alone, the row would be held out in some
        found, notes = quietly(frame, "state", epochs=1, seed=seed, network="plain")
        assert (found.table.y == "yes").sum() == 1 and len(found.table.y_test) == 240
    assert not found.model.model[-1].early_stopping
    assert list(found.model.classes_) == ["no", "yes"]
    assert not any("constant" in note for note in notes)  # rows of one class tell nothing


def test_the_code_of_a_split_makes_that_split(quietly):
    single = rare(1200).assign(state="no")
    single.loc[7, "state"] = "yes"
    for frame, target in ((single, "state"), (rare(60), "state"), (incomes(60), "income")):
        table = quietly(frame, target, epochs=1, network="plain")[0].table
        X = pd.concat([table.X, table.X_test]).sort_index()
        y = pd.Series([*table.y, *table.y_test], [*table.X.index, *table.X_test.index])
        names = {"X": X, "y": y.sort_index().to_numpy()}
        exec(table.split, names)
        pd.testing.assert_frame_equal(names["X"], table.X)
        pd.testing.assert_frame_equal(names["X_test"], table.X_test)
        assert names["y_test"].tolist() == table.y_test.tolist()


@pytest.mark.parametrize(
    ("frame", "target", "options", "message"),
    [
        (incomes(60), "income", {"threshold": 0.2}, "--threshold is for two classes, but the task"),
        (incomes(60), "income", {"class_weight": "balanced"}, "--class-weight is for classes, but"),
        (rare(60), "state", {"target_transform": "log"}, "--target-transform is for numbers, but"),
        (
            incomes(60) - 1e6,
            "income",
            {"target_transform": "log"},
            "--target-transform log needs positive numbers, but 'income' holds -",
        ),
        (rare(40, 0.5), "state", {"threshold": "f1"}, "32 rows are too few to choose a threshold"),
    ],
)
def test_options_for_another_task_are_refused(frame, target, options, message):
    with pytest.raises(TableError, match=message):
        fastnn.fit_table(frame, target, **options)


# What is said of a model that is no better than a constant.

CLASSES = {
    "accuracy": 0.9,
    "always_most_frequent": 0.8,
    "log_loss": 0.3,
    "always_shares_log_loss": 0.5,
}
WORSE = "the model does not beat a constant: "
LOSS = "its log loss is 0.6, that of the class shares 0.5"
RIGHT = "its accuracy is 0.8, that of always predicting the most frequent class 0.8"


@pytest.mark.parametrize(
    ("changes", "about", "sentence"),
    [
        ({}, {}, None),
        ({"log_loss": 0.6, "accuracy": 0.8}, {}, f"{WORSE}{LOSS}; {RIGHT}"),
        (
            {"log_loss": 0.6},
            {},
            f"the model's decisions beat a constant, but its probabilities do not: {LOSS}",
        ),
        (
            {"accuracy": 0.8},
            {},
            f"the model's probabilities beat a constant, but its decisions do not: {RIGHT} (fit"
            " with --class-weight balanced or --threshold f1 finds more of rare classes)",
        ),
        ({"accuracy": 0.7}, {"threshold": 0.2}, None),
        (
            {
                "accuracy": 0.7,
                "log_loss": 0.9,
                "balanced_log_loss": 0.4,
                "always_equal_log_loss": 0.69,
            },
            {"class_weight": "balanced"},
            None,
        ),
        (
            {
                "accuracy": 0.8,
                "log_loss": 0.3,
                "balanced_log_loss": 0.6,
                "always_equal_log_loss": 0.5,
            },
            {"class_weight": "balanced"},
            f"{WORSE}{LOSS}; {RIGHT}",
        ),
    ],
)
def test_classes_against_a_constant(changes, about, sentence):
    quality = Quality("binary", 100, CLASSES | changes, "yes")
    assert against_constant(quality, about) == sentence


def test_numbers_against_a_constant():
    found = Quality("regression", 9, {"rmse": 2.0, "always_mean_rmse": 2.0}, None)
    sentence = f"{WORSE}its RMSE is 2, that of the mean 2"
    assert against_constant(found, {}) == sentence
    found.metrics["rmse"] = 1.9
    assert against_constant(found, {}) is None


def test_noise_is_said_to_be_noise(run):
    rng = np.random.default_rng(0)
    noise = pd.DataFrame({"a": rng.normal(size=200), "b": rng.normal(size=200)})
    noise.to_csv("noise.csv", index=False)
    for command in ("fit noise.csv --target b -o m --network plain", "evaluate m noise2.csv"):
        noise.assign(b=rng.normal(size=200)).to_csv("noise2.csv", index=False)
        status, _, err = run(*command.split())
        assert status == 0 and f"fastnn: note: {WORSE}its RMSE is " in err
    explore = "explore noise.csv --target b --trials 2 --cv 2 --jobs 1 --models plain"
    explore += " --objectives score,flops"
    assert f"fastnn: note: {WORSE}its RMSE is " in run(*explore.split())[2]


def test_explore_takes_weights_and_a_metric(run):
    rare(300, 0.2).to_csv("rare.csv", index=False)
    words = "explore rare.csv --target state --trials 2 --cv 2 --jobs 1 --objectives score,flops"
    words += " --models plain"
    out = {}
    for metric in ("f1", "roc_auc", "accuracy"):
        status, text, err = run(*words.split(), "--metric", metric, "--json")
        assert status == 0, err
        out[metric] = json.loads(text)["front"][0]["score"]
    assert len(set(out.values())) == 3
    status, text, _ = run(*words.split(), "--class-weight", "balanced", "--json")
    assert status == 0 and "balanced_log_loss" in json.loads(text)["held_out"]
    status, _, err = run(*words.split(), "--metric", "rocauc")
    assert status == 2
    assert "'rocauc' is not a scorer of scikit-learn's, such as roc_auc, " in err
