"""Do the functions for Python do what the command line does?"""

from __future__ import annotations

import numpy as np
import pytest
from support.homes import homes, pd

import fastnn
from fastnn.tabular.model import TableWarning
from fastnn.tabular.schema import TableError

pytestmark = [
    pytest.mark.usefixtures("folder"),
    pytest.mark.filterwarnings("ignore:Maximum iterations"),
]


def test_a_frame_and_its_file_give_the_same_model(run, tmp_path):
    frame = homes().drop(columns="price")
    by_frame = fastnn.fit_table(frame, target="kind", epochs=15, seed=1, network="plain")
    by_path = fastnn.fit_table(tmp_path / "homes.csv", "kind", epochs=15, seed=1, network="plain")
    assert (
        run(
            "fit",
            "homes.csv",
            "--target",
            "kind",
            *["--network", "plain", "--epochs", "15", "--seed", "1", "-o", "m"],
        )[0]
        == 0
    )
    by_command = fastnn.persistence.load_model("m")
    expected = by_frame.model.predict_proba(frame)
    for model in (by_path.model, by_command):
        np.testing.assert_array_equal(model.predict_proba(frame), expected)
    assert by_frame.model.about["data"] == "a DataFrame"
    assert by_path.model.about["data"] == str(tmp_path / "homes.csv")


def test_predict_and_evaluate(tmp_path):
    frame = homes().drop(columns="price")
    found = fastnn.fit_table(frame, "kind", epochs=15, network="plain", output=tmp_path / "m")
    by_file = fastnn.predict_table(
        tmp_path / "m", "homes.csv", proba=True, output=tmp_path / "p.csv"
    )
    by_frame = fastnn.predict_table(found.model, frame, proba=True)
    pd.testing.assert_frame_equal(by_file, by_frame)
    assert (tmp_path / "p.csv").exists()
    kept = fastnn.predict_table(found.model, frame, keep=["age,town"])
    assert list(kept.columns) == ["age", "town", "kind"]
    quality = fastnn.evaluate_table(found.model, "homes.csv")
    assert quality == fastnn.evaluate_table(str(tmp_path / "m"), frame)
    assert quality.metrics["accuracy"] == found.model.score(frame)


@pytest.mark.filterwarnings("ignore:column 'price'")
def test_options_have_the_command_lines_names(tmp_path):
    homes().to_csv("semi.csv", sep="~", index=False)
    found = fastnn.fit_table(
        "semi.csv",
        "kind",
        sep="~",
        drop=["price"],
        network="plain",
        hidden=(5,),
        epochs=3,
        holdout=0,
    )
    assert found.held_out is None and found.model.schema.reading == {"sep": "~"}
    assert found.model.model[-1].hidden_layer_sizes == (5,)
    assert "price" in found.model.schema.left_out
    with pytest.raises(
        TypeError, match=r"There is no option 'epoch'\. Did you mean 'epochs'\? The"
    ):
        fastnn.fit_table("semi.csv", "kind", epoch=3)
    with pytest.raises(TypeError, match="There is no option 'path'"):
        fastnn.fit_table("semi.csv", "kind", path="other.csv")
    with pytest.raises(TypeError, match=r"There is no option 'epochs'\. The options are: encod"):
        fastnn.evaluate_table(found.model, "semi.csv", epochs=3)


@pytest.mark.filterwarnings("ignore:the model does not beat")
def test_notes_are_warnings():
    frame = homes().drop(columns="price").assign(constant=1)
    with pytest.warns(TableWarning, match="'constant': left out: it is constant"):
        fastnn.fit_table(frame, "kind", epochs=2)


def test_raw_tables_are_refused_by_the_pipeline_of_a_bag(tmp_path):
    frame = homes().drop(columns="price")
    found = fastnn.fit_table(frame, "kind", preset="fast", epochs=2, output=tmp_path / "m")
    for model in (found.model, fastnn.persistence.load_model(tmp_path / "m")):
        X = fastnn.tabular.encode.features(model.schema, frame)
        np.testing.assert_array_equal(model.model.predict(X), model.predict(frame))
        # Its categories are text here, which a bag on its own would read in its own way.
        with pytest.raises(TableError, match="makes of a table, not the table itself"):
            model.model.predict(frame[list(X.columns)])


def test_explore_a_frame(tmp_path):
    frame = homes().drop(columns="price")
    options = {"trials": 2, "cv": 2, "jobs": 1, "models": ["plain"]}
    options["objectives"] = ("score", "flops")
    paths = {"output": tmp_path / "m", "report": tmp_path / "r.html"}
    found = fastnn.explore_table(frame, "kind", **options, **paths)
    assert len(found.search.cv_results_["params"]) == 2
    assert "# frame is the table, a pandas.DataFrame." in (tmp_path / "r.html").read_text()
    loaded = fastnn.persistence.load_model(tmp_path / "m")
    np.testing.assert_array_equal(loaded.predict(frame), found.model.predict(frame))
