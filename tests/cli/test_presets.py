"""Does `fastnn fit --preset` train a bag that every command can use?"""

from __future__ import annotations

import json

import numpy as np
import pandas as pd
import pytest
from support.homes import homes

import fastnn
from fastnn.tabular.estimator import TabularClassifier, TabularRegressor

pytest.importorskip("skops.io")


@pytest.fixture
def table(tmp_path):
    homes(200).to_csv(tmp_path / "homes.csv", index=False)
    return tmp_path


@pytest.mark.parametrize(
    ("target", "drop", "kind"),
    [("kind", "price", TabularClassifier), ("price", "kind", TabularRegressor)],
)
def test_it_is_fitted_shown_and_predicts(run, table, target, drop, kind):
    csv, model = str(table / "homes.csv"), str(table / "m.model")
    arguments = ["--target", target, "--drop", drop, "--preset", "fast", "-o", model]
    status, out, err = run("fit", csv, *arguments)
    assert status == 0, err
    loaded = fastnn.persistence.load_model(model)
    inside = loaded.model[-1]
    assert type(inside if target == "kind" else inside.regressor_) is kind
    status, out, err = run("info", model, "--json")
    facts = json.loads(out)["training"]
    assert facts["preset"] == "fast"
    assert 1 <= facts["epochs"] <= 32
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


@pytest.mark.filterwarnings("ignore:.*left out")
def test_weights_thresholds_and_logarithms_go_along(table):
    frame = homes(200)
    found = fastnn.fit_table(
        frame, "kind", preset="fast", drop=["price"], class_weight="balanced", threshold=0.3
    )
    assert found.model.model[-1].threshold == 0.3
    found = fastnn.fit_table(frame, "price", preset="fast", drop=["kind"], target_transform="log")
    assert found.model.predict(frame).min() > 0


def test_another_preset_is_refused(run, table):
    status, _, err = run(
        "fit", str(table / "homes.csv"), "--target", "kind", "--preset", "slow", "-o", "m"
    )
    assert status == 2
    assert "--preset: invalid choice: 'slow'" in err
