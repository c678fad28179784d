"""Does `fastnn fit` train a bag that does what a plain network does, by rows out of fold?"""

from __future__ import annotations

import json
import warnings

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import accuracy_score, f1_score, r2_score
from support.homes import homes

import fastnn
from fastnn.cli.settings import Training
from fastnn.cli.training import most_epochs
from fastnn.persistence import load_model
from fastnn.tabular.estimator import TabularClassifier, TabularRegressor
from fastnn.tabular.scale import LogScale
from fastnn.tabular.unseen import intervals, out_of_fold

pytest.importorskip("skops.io")

# A bag that is trained in some milliseconds.
SMALL = {"preset": "fast", "epochs": 20, "hidden": (16,)}


@pytest.fixture
def table(tmp_path):
    homes(200).to_csv(tmp_path / "homes.csv", index=False)
    return tmp_path


def quietly(frame, target, **options):
    """Fit a table; return what was found and the notes."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        found = fastnn.fit_table(frame, target, **options)
    return found, [str(one.message) for one in caught]


@pytest.mark.parametrize(
    ("target", "drop", "kind"),
    [("kind", "price", TabularClassifier), ("price", "kind", TabularRegressor)],
)
def test_it_is_fitted_shown_and_predicts(run, table, target, drop, kind):
    csv, model = str(table / "homes.csv"), str(table / "m.model")
    arguments = ["--target", target, "--drop", drop, "--preset", "fast", "-o", model]
    status, out, err = run("fit", csv, *arguments)
    assert status == 0, err
    assert "model                      bag of 7 networks (preset fast)\n" in out
    loaded = load_model(model)
    inside = loaded.model[-1]
    assert type(inside if target == "kind" else inside.regressor_) is kind
    status, out, err = run("info", model, "--json")
    about = json.loads(out)
    facts = about["training"]
    assert (facts["preset"], facts["members"], facts["hidden"]) == ("fast", 7, [64, 64])
    assert 1 <= facts["epochs"] <= 32
    assert about["out of fold"].keys() == about["held out"].keys()
    status, out, err = run("predict", model, csv, "-o", str(table / "p.csv"))
    assert status == 0, err
    written = pd.read_csv(table / "p.csv")
    direct = loaded.predict(pd.read_csv(csv))
    if target == "price":
        np.testing.assert_allclose(written.iloc[:, -1], direct)
    else:
        assert written.iloc[:, -1].tolist() == direct.tolist()
    status, out, err = run("evaluate", model, csv)
    assert status == 0, err


def test_a_bag_is_what_is_trained_unless_a_plain_network_is_asked_for(run):
    fit = ["fit", "homes.csv", "--target", "kind", "-o", "m", "--epochs", "2", "--json"]
    said = json.loads(run(*fit)[1])
    assert said["model"] == "bag of 6 networks (preset balanced)"
    assert said["out_of_fold"]["rows"] == 48 and said["held_out"]["rows"] == 16
    said = json.loads(run(*fit, "--network", "plain")[1])
    assert said["model"] == "plain network" and said["out_of_fold"] is None
    said = json.loads(run(*fit, "--preset", "best", "--hidden", 0)[1])
    assert said["model"] == "bag of 8 networks (preset best)"
    facts = json.loads(run("info", "m", "--json")[1])["training"]
    assert facts["hidden"] == [] and facts["epochs"] == 2


def test_what_means_nothing_is_refused(run):
    fit = ["fit", "homes.csv", "--target", "kind", "-o", "m"]
    status, _, err = run(*fit, "--preset", "fast", "--network", "plain")
    assert status == 2 and err.endswith(
        "fit: error: --preset fast is for a bag, but --network plain trains one network. Leave"
        " one of them out; --hidden and --epochs are for both.\n"
    )
    for option in ("preset", "network"):
        status, _, err = run(*fit, f"--{option}", "slow")
        assert status == 2 and f"--{option}: invalid choice: 'slow'" in err
        with pytest.raises(ValueError, match=f"There is no {option} 'slow'; there are "):
            Training(**{option: "slow"})


@pytest.mark.filterwarnings("ignore:.*left out")
@pytest.mark.parametrize(("target", "drop"), [("kind", "price"), ("price", "kind")])
def test_without_rows_held_out_it_is_measured_out_of_fold(target, drop):
    found = fastnn.fit_table(homes(100), target, holdout=0, drop=[drop], **SMALL)
    model, y = found.model.model, found.table.y
    known, answers = out_of_fold(model)
    assert found.held_out is None and found.out_of_fold.rows == known.sum() == 88
    metrics = found.out_of_fold.metrics
    if target == "kind":
        predicted = model.classes_[answers.argmax(axis=1)]
        assert metrics["accuracy"] == accuracy_score(y[known], predicted)
        np.testing.assert_allclose(answers.sum(axis=1), 1, rtol=1e-12)
    else:
        assert metrics["r2"] == pytest.approx(r2_score(y[known], answers), rel=1e-12)
        # On the scale of the target, and not those of rows that were learned from.
        learned = model.predict(found.table.X)
        assert 0 < np.mean((answers - y[known]) ** 2) > np.mean((learned - y) ** 2)
    assert found.model.about["out_of_fold"] == metrics


@pytest.mark.filterwarnings("ignore:.*left out")
def test_weights_and_a_threshold_go_along():
    frame, options = homes(200), {"drop": ["price"], **SMALL}
    found = fastnn.fit_table(frame, "kind", class_weight="balanced", threshold=0.3, **options)
    assert found.model.model[-1].threshold == 0.3
    known, answers = out_of_fold(found.model.model)
    predicted = np.where(answers[:, 1] >= 0.3, "costly", "cheap")
    expected = accuracy_score(found.table.y[known], predicted)
    assert found.out_of_fold.metrics["accuracy"] == expected


def test_a_threshold_is_chosen_out_of_fold():
    rng = np.random.default_rng(0)
    X = rng.normal(size=(500, 3))
    chance = X @ [1.5, -1.2, 0.9] + rng.logistic(size=500)
    state = np.where(chance > np.quantile(chance, 0.85), "sick", "healthy")
    frame = pd.DataFrame(X, columns=list("abc")).assign(state=state)
    found, notes = quietly(frame, "state", threshold="f1", **SMALL)
    model, threshold = found.model.model, found.model.about["threshold"]
    known, answers = out_of_fold(model)
    came = found.table.y[known] == "sick"
    best = f1_score(came, answers[:, 1] >= threshold)
    assert best > f1_score(came, answers[:, 1] >= 0.5)
    said = f"'sick' is predicted from a probability of {threshold:.3g} (f1 {best:.3g} on "
    assert f"{said}{len(came)} training rows, out of fold); --threshold overrules" in notes


def test_the_logarithm_of_a_heavy_tail_is_learned_where_it_wins_out_of_fold():
    rng = np.random.default_rng(0)
    X = rng.normal(size=(400, 3))
    income = np.exp(7 + X @ [1.6, -1.2, 0.8] + rng.normal(size=400) * 0.1)
    frame = pd.DataFrame(X, columns=list("abc")).assign(income=income)
    found, notes = quietly(frame, "income", **SMALL)
    assert isinstance(found.model.model[-1].transformer_, LogScale)
    (note,) = [note for note in notes if "heavy tail" in note]
    known, answers = out_of_fold(found.model.model)
    r2 = r2_score(found.table.y[known], answers)
    assert f"its logarithm is learned (R2 {r2:.3g} instead of " in note
    assert f"on {known.sum()} training rows, out of fold); --target-transform none" in note
    # Ends of intervals are on the scale of the target, too.
    low, high = intervals(found.model.model, found.table.X_test, 0.9)
    assert np.mean((low <= found.table.y_test) & (found.table.y_test <= high)) > 0.75
    plain, notes = quietly(frame, "income", target_transform="none", **SMALL)
    assert not isinstance(plain.model.model[-1].transformer_, LogScale)
    assert not any("tail" in note for note in notes)


@pytest.mark.parametrize("network", ["bag", "plain"])
def test_max_time_ends_the_training(network):
    found, _ = quietly(homes(), "kind", drop=["price"], network=network, max_time=1e-9)
    assert found.epochs == 1


@pytest.mark.parametrize(
    ("training", "n"),
    [({}, 18), ({"preset": "fast"}, 11), ({"network": "plain"}, 200), ({"epochs": 7}, 7)],
)
def test_progress_counts_to_the_epochs_of_what_is_trained(training, n):
    assert most_epochs(Training(**training), n_rows=10**6) == n
