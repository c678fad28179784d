"""Does a classifier that decides by a threshold decide so where it is exported to?"""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.frozen import FrozenEstimator
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import f1_score, make_scorer
from sklearn.model_selection import FixedThresholdClassifier, TunedThresholdClassifierCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from support.c_files import check

from fastnn import MLPClassifier, TabularClassifier
from fastnn.export import to_c, to_onnx

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")

Fixed, Tuned = FixedThresholdClassifier, TunedThresholdClassifierCV
RNG = np.random.default_rng(0)
X = RNG.normal(size=(120, 4)).astype(np.float32)
Y = np.where(X[:, 0] + RNG.normal(size=120) > 0.5, "yes", "no")


def network():
    return MLPClassifier(hidden_layer_sizes=(9,), max_iter=60, random_state=0)


def bag():
    small = {"n_members": 2, "hidden_layer_sizes": (5,), "max_iter": 2, "random_state": 0}
    return TabularClassifier("fast", **small)


def tuned(estimator, label):
    scoring = make_scorer(f1_score, pos_label=label)
    return Tuned(estimator, scoring=scoring, cv=2, random_state=0)


MODELS = {
    "a network": lambda: Fixed(network(), threshold=0.3),
    "of the first class": lambda: Fixed(network(), threshold=0.3, pos_label="no"),
    "automatic": lambda: Fixed(network(), pos_label="yes", response_method="predict_proba"),
    "tuned": lambda: tuned(network(), "yes"),
    "tuned for the first class": lambda: tuned(make_pipeline(StandardScaler(), network()), "no"),
    "in a pipeline": lambda: make_pipeline(StandardScaler(), tuned(network(), "yes")),
    "around a frozen pipeline with a threshold of its own": lambda: Fixed(
        FrozenEstimator(make_pipeline(StandardScaler(), Fixed(network(), threshold=0.9)).fit(X, Y)),
        threshold=0.2,
    ),
    "frozen": lambda: FrozenEstimator(Fixed(network(), threshold=0.3).fit(X, Y)),
    "a linear model": lambda: make_pipeline(
        StandardScaler(), Fixed(LogisticRegression(), threshold=0.2)
    ),
    "a bag": lambda: tuned(bag(), "yes"),
    "a frozen bag": lambda: Fixed(FrozenEstimator(bag().fit(X, Y)), threshold=0.7, pos_label="no"),
}


@pytest.fixture(params=MODELS)
def model(request):
    fitted = MODELS[request.param]().fit(X, Y)
    likelier = fitted.classes_[fitted.predict_proba(X).argmax(axis=1)]
    assert request.param == "automatic" or (fitted.predict(X) != likelier).any()
    return fitted


class TestEachModel:
    @pytest.mark.parametrize("weights", ["float32", "int8"])
    def test_in_c(self, model, weights, tmp_path):
        before = model.predict_proba(X)
        written = to_c(model, tmp_path / "m.c", weights=weights, X_val=X, max_loss=1)
        if weights == "float32":
            check(model, X, tmp_path)
        else:
            assert written.loss < 0.1
        np.testing.assert_array_equal(model.predict_proba(X), before)

    def test_in_onnx(self, model):
        pytest.importorskip("skl2onnx")
        runtime = pytest.importorskip("onnxruntime")
        session = runtime.InferenceSession(to_onnx(model).SerializeToString())
        (one,) = session.get_inputs()
        rows = X.astype(np.float64 if one.type == "tensor(double)" else np.float32)
        labels, probabilities = session.run(None, {one.name: rows})
        np.testing.assert_array_equal(labels, model.predict(X))
        np.testing.assert_allclose(probabilities, model.predict_proba(X), rtol=1e-5)


@pytest.mark.parametrize("label", ["no", "yes"])
def test_the_threshold_itself_is_reached(label, tmp_path):
    inside = network().fit(X, Y)
    inside.coefs_ = [np.zeros_like(coef) for coef in inside.coefs_]
    inside.intercepts_ = [np.zeros_like(intercept) for intercept in inside.intercepts_]
    model = Fixed(FrozenEstimator(inside), threshold=0.5, pos_label=label).fit(X, Y)
    assert {*model.predict(X)} == {label}
    check(model, X, tmp_path)
    runtime = pytest.importorskip("onnxruntime")
    session = runtime.InferenceSession(to_onnx(model).SerializeToString())
    assert {*session.run(None, {"X": X})[0]} == {label}


def test_thresholds_of_other_numbers_than_probabilities_are_refused(tmp_path):
    model = Fixed(LogisticRegression(), response_method="decision_function", threshold=1.0)
    model = make_pipeline(StandardScaler(), model).fit(X, Y)
    said = "FixedThresholdClassifier cannot be exported with response_method='decision_function'; c"
    with pytest.raises(ValueError, match=said):
        to_c(model, tmp_path / "model.c")
    pytest.importorskip("skl2onnx")
    with pytest.raises(ValueError, match=said):
        to_onnx(model)
