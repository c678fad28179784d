"""Do folds, validation rows, metrics, losses, weights and callbacks mean what they say?"""

from __future__ import annotations

from contextlib import nullcontext

import numpy as np
import pandas as pd
import pytest
import sklearn
from sklearn import metrics
from sklearn.exceptions import ConvergenceWarning
from sklearn.inspection import permutation_importance
from sklearn.model_selection import GroupKFold, TimeSeriesSplit, cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils.class_weight import compute_sample_weight
from support.bags import QUICK, homes

from fastnn import TabularClassifier, TabularRegressor
from fastnn.callbacks import Checkpoint
from fastnn.losses import Huber, Quantile
from fastnn.schedules import Constant, Function
from fastnn.tabular import importances, recipe
from fastnn.training import loop
from fastnn.training.callbacks import watched_by
from fastnn.training.loop import InterruptedWarning
from fastnn.training.stopping import TimeLimit

X, Y, KIND = homes(160)
HALVES = [(np.arange(80, 160), np.arange(80)), (np.arange(80), np.arange(80, 160))]


def classifier(**settings):
    return TabularClassifier(**{**QUICK, **settings})


def regressor(**settings):
    return TabularRegressor(**{**QUICK, **settings})


# ---- validation rows


def test_rows_to_validate_on_take_the_place_of_folds():
    new_X, _, new_kind = homes(90, seed=1)
    model = classifier().fit(X, KIND, X_val=new_X, y_val=new_kind)
    assert np.isnan(model.oof_prediction_).all()
    assert [len(member.held_out) for member in model.members_] == [0, 0]
    assert model.validation_score_ == pytest.approx(model.score(new_X, new_kind), abs=1e-12)
    codes = np.searchsorted(model.classes_, new_kind)
    for own, member in zip(model._by_member(new_X), model.members_, strict=True):
        loss = -np.mean(np.log(own[np.arange(90), codes].astype(float)))
        wrong = np.mean(own.argmax(axis=1) != codes)
        assert member.best_value == pytest.approx(wrong + 1e-6 * loss, rel=1e-9)


def test_weights_of_rows_to_validate_on_count():
    new_X, new_y, _ = homes(40, seed=1)
    weight = np.repeat([1.0, 0.0], 20)
    some = regressor().fit(X, Y, X_val=new_X, y_val=new_y, sample_weight_val=weight)
    fewer = regressor().fit(X, Y, X_val=new_X[:20], y_val=new_y[:20])
    assert some.validation_curve_ == pytest.approx(fewer.validation_curve_, rel=1e-6)
    assert some.validation_score_ == pytest.approx(fewer.validation_score_, rel=1e-6)


def test_intervals_of_rows_to_validate_on_are_those_of_the_whole_bag():
    new_X, new_y, _ = homes(60, seed=1)
    model = regressor().fit(X, Y, X_val=new_X, y_val=new_y)
    low, high = model.predict_interval(X, 0.8)
    width = np.sort(np.abs(model.predict(new_X) - new_y))[int(np.ceil(0.8 * 61)) - 1]
    np.testing.assert_allclose(high - low, 2 * width, rtol=1e-5)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"X_val": X}, "X_val is given without y_val"),
        ({"X_val": X, "y_val": KIND, "groups": KIND}, "X_val takes the place of folds: leave out"),
        ({"X_val": X, "y_val": ["?"] * 160}, r"y_val holds classes that y does not: \['\?'\]"),
        ({"X_val": X[["area"]], "y_val": KIND}, "X_val, y_val, .*: X lacks columns .* 'rooms'"),
        ({"X_val": X, "y_val": KIND[:3]}, "X_val, y_val, .* inconsistent numbers of samples"),
    ],
)
def test_rows_to_validate_on_that_do_not_go_with_the_others_are_refused(given, message):
    with pytest.raises(ValueError, match=message):
        classifier().fit(X, KIND, **given)


def test_targets_to_validate_on_must_be_as_many():
    with pytest.raises(ValueError, match="y_val has 2 outputs, but y has 1"):
        regressor().fit(X, Y, X_val=X, y_val=np.column_stack([Y, Y]))


# ---- folds


def test_groups_are_held_out_whole():
    groups = np.random.default_rng(0).integers(0, 11, 160)
    model = classifier(n_members=8, max_iter=1).fit(X, KIND, groups=groups)
    held_out = [member.held_out for member in model.members_]
    assert sorted(np.concatenate(held_out)) == list(range(160))
    of_groups = [set(groups[rows]) for rows in held_out]
    assert sum(map(len, of_groups)) == 11
    few = classifier(n_members=3, max_iter=1).fit(X, KIND, groups=np.repeat(["a", "b"], 80))
    assert [len(member.held_out) for member in few.members_] == [80] * 3  # folds come round again


def test_folds_are_as_given():
    split = TimeSeriesSplit(3)
    model = regressor(n_members=None, cv=split).fit(X, Y)
    expected = [held_out for _, held_out in split.split(X)]
    for member, held_out in zip(model.members_, expected, strict=True):
        np.testing.assert_array_equal(member.held_out, held_out)
    np.testing.assert_array_equal(np.isfinite(model.oof_prediction_), np.arange(160) >= 40)
    members = regressor(n_members=None, cv=5, max_iter=1).fit(X, Y).members_
    assert [len(member.held_out) for member in members] == [32] * 5
    groups = np.repeat(np.arange(4), 40)
    by_group = regressor(n_members=None, cv=GroupKFold(4), max_iter=1).fit(X, Y, groups=groups)
    assert {tuple(groups[m.held_out]) for m in by_group.members_} == {(g,) * 40 for g in range(4)}


def test_where_folds_are_given_weights_are_repetitions_in_any_order():
    weight = np.random.default_rng(0).integers(0, 3, 160)
    weighted = classifier(cv=HALVES).fit(X, KIND, sample_weight=weight)
    rows = np.random.default_rng(1).permutation(np.repeat(np.arange(160), weight))
    halves = [(rows >= 80, rows < 80), (rows < 80, rows >= 80)]
    repeated = classifier(cv=halves).fit(X.iloc[rows], KIND[rows])
    np.testing.assert_array_equal(weighted.predict_proba(X), repeated.predict_proba(X))
    np.testing.assert_array_equal(repeated.oof_prediction_, weighted.oof_prediction_[rows])


@pytest.mark.parametrize(
    ("cv", "message"),
    [
        ([(np.arange(80), np.arange(70, 160))], "Split 0 of cv trains on rows that it holds out,"),
        ([(np.arange(80), np.arange(80, 161))], "Split 0 of cv must hold row numbers .* to 159"),
        ([(np.arange(80), [])], "Split 0 of cv has 80 rows to train on and 0 to hold"),
        ([], "gives no split; at least 1 is needed"),
        (1, "'cv' parameter of TabularClassifier must be an int in .* an iterable or None. Got 1"),
        (GroupKFold(3), "The 'groups' parameter should not be None"),
    ],
)
def test_folds_that_are_none_are_refused(cv, message):
    with pytest.raises(ValueError, match=message):
        classifier(cv=cv).fit(X, KIND)


def test_groups_that_cannot_be_divided_are_refused():
    with pytest.raises(ValueError, match=r"groups holds one group only, 'a'; .* need at least 2"):
        classifier().fit(X, KIND, groups=["a"] * 160)
    with pytest.raises(ValueError, match="inconsistent numbers of samples"):
        classifier().fit(X, KIND, groups=["a", "b"])
    for missing in (None, pd.NA):
        with pytest.raises(ValueError, match="groups has no label for row 1; each row needs one"):
            classifier().fit(X, KIND, groups=np.array(["a", missing] * 80, object))


# ---- metrics


def own_scorer(estimator, X, y):
    return -float(np.mean(estimator.predict(X) != y))


OF_CLASSES = {
    "log_loss": lambda y, p: metrics.log_loss(y, p),
    "loss": lambda y, p: metrics.log_loss(y, p),
    "error": lambda y, p: 1 - metrics.accuracy_score(y, p.argmax(axis=1)),
    "roc_auc_ovr": lambda y, p: -metrics.roc_auc_score(y, p, multi_class="ovr"),
    "accuracy": lambda y, p: -metrics.accuracy_score(y, p.argmax(axis=1)),
    own_scorer: lambda y, p: 1 - metrics.accuracy_score(y, p.argmax(axis=1)),
}


@pytest.mark.parametrize("metric", OF_CLASSES)
def test_the_best_epoch_is_best_by_the_metric(metric):
    model = classifier(cv=HALVES, eval_metric=metric).fit(X, KIND)
    codes = np.searchsorted(model.classes_, KIND)
    for member, predictions in zip(model.members_, model._by_member(X), strict=True):
        rows = member.held_out
        p = predictions[rows].astype(float)
        expected = OF_CLASSES[metric](codes[rows], p / p.sum(axis=1, keepdims=True))
        assert member.best_value == pytest.approx(expected, rel=1e-6)
        assert member.best_value == min(member.validation_curve)
        assert member.validation_curve[member.best_iter - 1] == member.best_value


@pytest.mark.parametrize("metric", ["rmse", "neg_mean_absolute_error"])
def test_the_best_epoch_of_numbers(metric):
    model = regressor(cv=HALVES, eval_metric=metric).fit(X, Y)
    for member, predictions in zip(model.members_, model._by_member(X), strict=True):
        errors = (model._shown(predictions) - Y)[member.held_out]
        rmse = np.sqrt(np.mean(errors**2)) / Y.std()
        expected = rmse if metric == "rmse" else np.abs(errors).mean()
        assert member.best_value == pytest.approx(expected, rel=0.05)  # predictions are clipped


def test_metrics_that_cannot_choose_are_refused():
    with pytest.raises(ValueError, match="eval_metric='auc' is none of error, log_loss, loss, and"):
        classifier(eval_metric="auc").fit(X, KIND)
    with pytest.raises(ValueError, match=r"eval_metric=<function .* gives NaN for the rows that a"):
        classifier(eval_metric=lambda estimator, X, y: np.nan).fit(X, KIND)


def test_the_validation_score_is_that_of_the_answers():
    model = classifier(cv=HALVES).fit(X, KIND)
    answers = model.classes_[model.oof_prediction_.argmax(axis=1)]
    assert model.validation_score_ == np.mean(answers == KIND)
    numbers = regressor().fit(X, Y, sample_weight=np.arange(160) % 3)
    known = np.isfinite(numbers.oof_prediction_)
    expected = metrics.r2_score(
        Y[known], numbers.oof_prediction_[known], sample_weight=(np.arange(160) % 3)[known]
    )
    assert numbers.validation_score_ == pytest.approx(expected, rel=1e-6)


# ---- weights and losses


def test_weights_of_classes_are_weights_of_their_rows():
    by_class = classifier(class_weight={"dear": 3.0}).fit(X, KIND)
    by_row = classifier().fit(X, KIND, sample_weight=np.where(KIND == "dear", 3.0, 1.0))
    np.testing.assert_array_equal(by_class.predict_proba(X), by_row.predict_proba(X))
    balanced = classifier(class_weight="balanced").fit(X, KIND)
    by_row = classifier().fit(X, KIND, sample_weight=compute_sample_weight("balanced", KIND))
    np.testing.assert_array_equal(balanced.predict_proba(X), by_row.predict_proba(X))
    assert (balanced.predict_proba(X) != by_class.predict_proba(X)).any()


def test_members_without_any_weight_are_refused():
    cheap = np.flatnonzero(KIND == "cheap")
    cv = [(np.setdiff1d(np.arange(160), cheap), cheap)]
    with pytest.raises(ValueError, match=r"Member 0 holds out \d+ rows whose weights are all 0"):
        classifier(class_weight={"cheap": 0}, cv=cv).fit(X, KIND)


NAMES = ("squared_error", "absolute_error", "huber", "quantile", "poisson", "gamma")


def test_a_loss_is_what_is_minimised():
    losses = {"high": Quantile(0.9)} | {name: name for name in NAMES}
    settings = {"n_members": 2, "cv": 2, "random_state": 1}
    fitted = {
        name: TabularRegressor("fast", loss=loss, **settings).fit(X, Y)
        for name, loss in losses.items()
    }
    for loss, model in fitted.items():
        assert (model.predict(X) > 0).all()
        if loss != "high":
            assert metrics.r2_score(Y, model.predict(X)) > 0.85, loss
    above = {loss: np.mean(Y > model.oof_prediction_) for loss, model in fitted.items()}
    assert above["quantile"] == pytest.approx(0.5, abs=0.15)
    assert above["high"] == pytest.approx(0.1, abs=0.1)


@pytest.mark.parametrize("loss", ["poisson", "squared_error"])
def test_a_bag_predicts_the_mean_of_its_members_on_the_scale_of_the_targets(loss):
    model = regressor(loss=loss).fit(X, Y)
    by_member = [model._shown_columns(own) for own in model._by_member(X)]
    np.testing.assert_allclose(model.predict(X), np.mean(by_member, axis=0)[:, 0], rtol=1e-6)


def test_intervals_of_numbers_that_are_not_negative_are_not():
    lowest = {
        loss: regressor(loss=loss).fit(X, Y - Y.min()).predict_interval(X, 0.95)[0].min()
        for loss in ("poisson", "squared_error")
    }
    assert lowest["poisson"] == 0 > lowest["squared_error"]


def test_several_quantiles():
    model = TabularRegressor("fast", loss=Quantile([0.1, 0.5, 0.9]), random_state=0).fit(X, Y)
    assert model.predict(X).shape == model.oof_prediction_.shape == (160, 3)
    assert (np.diff(model.predict(X), axis=1) >= 0).all()
    below = np.mean(Y[:, None] <= model.oof_prediction_, axis=0)
    np.testing.assert_allclose(below, [0.1, 0.5, 0.9], atol=0.15)
    assert 0.4 < model.score(X, Y) < 1
    assert model.validation_score_ == pytest.approx(model.score(X, Y), abs=0.4)
    with pytest.raises(ValueError, match="takes one target, but y has 2 columns"):
        regressor(loss=Quantile([0.1, 0.9])).fit(X, np.column_stack([Y, Y]))


def test_losses_refuse_what_they_are_not_made_for():
    with pytest.raises(ValueError, match="loss='poisson' needs y >= 0, got values down to -"):
        regressor(loss="poisson").fit(X, -Y)
    with pytest.raises(ValueError, match=r"X_val, y_val, .*loss='gamma' needs y > 0"):
        regressor(loss="gamma").fit(X, Y, X_val=X, y_val=-Y)
    with pytest.raises(ValueError, match="delta must be a number in"):
        regressor(loss=Huber(delta=-1)).fit(X, Y)


# ---- the recipe


def test_each_constant_is_a_parameter():
    told = regressor(
        activation="mish",
        max_categories=254,
        learning_rate="coslog4",
        learning_rate_init=0.07,
        bias_rate=0.1,
        embedding_rate=2.0,
        scale_rate=6.0,
        batch_size=64,
        dtype="float32",
        n_bins=32,
        embedding_size=8,
    )
    np.testing.assert_array_equal(told.fit(X, Y).predict(X), regressor().fit(X, Y).predict(X))
    for name, value in {
        "activation": "relu",
        "solver": "rmsprop",
        "max_categories": 3,
        "bias_rate": 1.0,
        "embedding_rate": 1.0,
        "scale_rate": 1.0,
        "dtype": "float64",
        "learning_rate": "constant",
    }.items():
        other = regressor(**{name: value}).fit(X, Y)
        assert (other.predict(X) != told.predict(X)).any(), name
        assert other._params.dtype == (value if name == "dtype" else "float32")


def test_any_schedule_is_taken():
    constant = regressor(learning_rate=Constant()).fit(X, Y)
    function = regressor(learning_rate=lambda t: 1.0).fit(X, Y)
    object_ = regressor(learning_rate=Function(function=lambda t: 1.0)).fit(X, Y)
    np.testing.assert_array_equal(constant.predict(X), function.predict(X))
    np.testing.assert_array_equal(constant.predict(X), object_.predict(X))
    with pytest.raises(ValueError, match="learning_rate='adaptive' waits for a plateau"):
        regressor(learning_rate="adaptive").fit(X, Y)


def test_one_epoch_of_one_step_learns():
    model = TabularRegressor("fast", max_iter=1, random_state=0).fit(X[:50], Y[:50])
    assert np.std(model.predict(X)) > 0.01 * Y.std()


# ---- callbacks, interrupts


class Ours:
    def __init__(self, function):
        self.on_pass_end = function


def test_callbacks_see_epochs_and_may_end_the_fit():
    seen = []
    model = classifier().set_callbacks(
        Ours(lambda loop: seen.append(loop.n_iter) or loop.n_iter == 2)
    )
    assert model.fit(X, KIND).n_iter_ == 2
    assert seen == [1, 2]


def test_callbacks_hear_of_the_epochs_of_rows_that_count(monkeypatch):
    monkeypatch.setattr(recipe, "MANY_ROWS", 40)
    told, seen = [], []
    model = TabularRegressor("fast", hidden_layer_sizes=2, n_members=2, random_state=0)
    monkeypatch.setattr(
        TabularRegressor, "_watched", lambda *args: told.append(args[-1]) or nullcontext()
    )
    monkeypatch.setattr(recipe, "LEAST_MEMBERS", 6)  # so that 160 rows have fewer epochs than 40
    with watched_by(Ours(lambda loop: seen.append(loop.rules.max_iter) or True)):
        model.fit(X, Y, sample_weight=np.repeat([1.0, 0.0], [40, 120]))
    assert told == seen == [32]
    assert model._recipe(160).max_iter < 32


def test_scikit_learns_callbacks_see_a_model_after_each_epoch():
    pytest.importorskip("sklearn.callback", reason="callbacks need scikit-learn 1.9")
    scores = []

    class Theirs:
        def setup(self, estimator, context):
            pass

        def on_fit_task_begin(self, estimator, context):
            pass

        def on_fit_task_end(self, estimator, context, *, fitted_estimator):
            if fitted_estimator is not None:
                scores.append(fitted_estimator.score(X, KIND))

        def teardown(self, estimator, context):
            pass

    model = classifier().set_callbacks(Theirs()).fit(X, KIND)
    assert len(scores) >= QUICK["max_iter"]
    assert model.score(X, KIND) in scores


def test_ctrl_c_keeps_the_best_so_far():
    def interrupt(loop):
        if loop.n_iter == 2:
            raise KeyboardInterrupt

    model = classifier(max_iter=9).set_callbacks(Ours(interrupt))
    with pytest.warns(InterruptedWarning, match="Training interrupted by user"):
        model.fit(X, KIND)
    assert model.n_iter_ == 2
    same = classifier(max_iter=9).set_callbacks(Ours(lambda loop: loop.n_iter == 2)).fit(X, KIND)
    np.testing.assert_array_equal(model.predict_proba(X), same.predict_proba(X))


def test_time_counts_from_the_start_of_fit():
    with pytest.warns(ConvergenceWarning, match="after 1 iterations, as max_time=1e-09 seconds"):
        assert classifier(max_time=1e-9).fit(X, KIND).n_iter_ == 1


def test_time_that_is_up_within_an_epoch_ends_it(monkeypatch):
    monkeypatch.setattr(loop, "CALL_VISITS", 32)  # several calls an epoch
    with pytest.warns(ConvergenceWarning, match=r"after 1 iter.* epoch is kept, as far as it went"):
        model = regressor(max_time=1e-9, batch_size=32).fit(X, Y)
    assert np.isnan(model.loss_curve_).all()
    one = regressor(max_iter=1, batch_size=32).fit(X, Y)
    assert abs(model.predict(X) - one.predict(X)).max() > 1e-3

    limit = TimeLimit(1000)
    later = Ours(lambda loop: setattr(limit, "end", 0.0))  # in the second epoch
    with (
        watched_by(limit, later),
        pytest.warns(ConvergenceWarning, match=r"after 1 iter.* hasn't converged yet\.$"),
    ):
        model = regressor(batch_size=32, learning_rate="constant").fit(X, Y)
    one = regressor(max_iter=1, batch_size=32, learning_rate="constant").fit(X, Y)
    np.testing.assert_array_equal(model.predict(X), one.predict(X))


def test_checkpoints_are_refused(tmp_path):
    with pytest.raises(
        ValueError, match=r"a bag trains several side by side\. Remove the callback"
    ):
        classifier().set_callbacks(Checkpoint(tmp_path / "x.npz")).fit(X, KIND)


def test_epochs_are_printed(capsys):
    model = classifier(verbose=True).fit(X, KIND)
    line = f"Epoch 4, loss = {model.loss_curve_[3]:.6f}, validation = "
    assert capsys.readouterr().out.splitlines()[3].startswith(line)


# ---- importances, ecosystem


def test_importances_tell_columns_apart():
    table = X.assign(noise=np.random.default_rng(0).normal(size=160), nothing=1.0)
    model = TabularRegressor("fast", cv=2, importance_repeats=3, random_state=2).fit(table, Y)
    found = dict(zip(table, model.feature_importances_, strict=True))
    assert found["nothing"] == 0
    assert abs(found["noise"]) < 0.25 * found["town"]
    theirs = permutation_importance(model, table, Y, random_state=0).importances_mean
    order = [name for name in found if name not in ("noise", "nothing")]
    assert sorted(order, key=found.get) == sorted(
        order, key=dict(zip(table, theirs, strict=True)).get
    )
    assert not hasattr(regressor().fit(X, Y), "feature_importances_")


@pytest.mark.parametrize(
    ("n_shuffles", "kept"), [(3, "are missing"), (15, "are the mean of 1 of 2")]
)
def test_ctrl_c_among_importances_keeps_the_model_and_whole_members(monkeypatch, n_shuffles, kept):
    shuffles, shuffled = [], importances._shuffled

    def interrupted(*args):
        shuffles.append(1)
        if len(shuffles) > n_shuffles:
            raise KeyboardInterrupt
        return shuffled(*args)

    settings = {"importance_repeats": 2, "cv": HALVES, "n_members": None}
    whole = regressor(**settings).fit(X, Y)
    one = regressor(**{**settings, "cv": HALVES[:1]}).fit(X, Y).feature_importances_
    monkeypatch.setattr(importances, "_shuffled", interrupted)
    message = f"Interrupted by user: the model is fitted, its feature_importances_ {kept}"
    with pytest.warns(InterruptedWarning, match=message):
        model = regressor(**settings).fit(X, Y)
    np.testing.assert_array_equal(model.predict(X), whole.predict(X))
    assert hasattr(model, "feature_importances_") == (n_shuffles == 15)
    if n_shuffles == 15:
        np.testing.assert_allclose(model.feature_importances_, one, rtol=1e-6)


def test_there_is_no_partial_fit():
    assert not hasattr(classifier(), "partial_fit")
    message = "TabularRegressor has no partial_fit: .* need the whole table. Call fit"
    with pytest.raises(AttributeError, match=message):
        regressor().partial_fit(X, Y)


def test_weights_and_groups_are_routed():
    groups = np.repeat(np.arange(8), 20)
    with sklearn.config_context(enable_metadata_routing=True):
        bag = regressor(max_iter=1).set_fit_request(sample_weight=True, groups=True)
        scorer = metrics.get_scorer("r2").set_score_request(sample_weight=True)
        model = make_pipeline(StandardScaler().set_fit_request(sample_weight=False), bag)
        params = {"sample_weight": np.ones(160), "groups": groups}
        scores = cross_val_score(model, X[["area"]], Y, cv=2, params=params, scoring=scorer)
        assert len(scores) == 2
        params["groups"] = np.zeros(160)
        with pytest.raises(ValueError, match="groups holds one group only"):
            cross_val_score(
                model, X[["area"]], Y, cv=2, params=params, scoring=scorer, error_score="raise"
            )
