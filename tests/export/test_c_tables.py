"""Do categories, missing cells and bags of a table answer in C as they do in Python?"""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.compose import ColumnTransformer, TransformedTargetRegressor
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, OrdinalEncoder, StandardScaler
from support.c_files import ARM, STRICT, Compiled, check, compile_with, needs

from fastnn import MLPRegressor, TabularClassifier, TabularRegressor
from fastnn.export import flash_bytes, to_c
from fastnn.export.c_program import program_of
from fastnn.export.c_rows import random_rows, rows_in_c
from fastnn.losses import Quantile

pd = pytest.importorskip("pandas")

HOSTILE = ["*/ int evil; /*", "what??/", "a\\", "\n#error broken\n", "%s%n"]


def table(n=90, hostile=False):
    """Numbers in float32, one far from zero for its spread, and categories; cells are missing."""
    rng = np.random.default_rng(0)
    towns = HOSTILE[:4] if hostile else ["Oslo", "Rome", "Lima", "Bonn"]
    X = pd.DataFrame(
        {
            "size": rng.normal(1e4, 5, n),
            "town": rng.choice(np.array(towns, object), n),
            "age": np.exp(rng.normal(0, 2, n)),
            "kind": rng.choice(np.array(["new", "old"], object), n),
            "rooms": rng.choice([1.0, 2.0, 5.0], n),
        }
    )
    X[["size", "age"]] = X[["size", "age"]].astype(np.float32).astype(np.float64)
    y = (X["size"] - 1e4) / 5 + np.log(X["age"]) + 2.0 * (X["town"] == towns[1])
    return X, y.to_numpy()


def with_gaps(X):
    X = X.copy()
    X.loc[::7, ["size", "town"]] = np.nan
    X.loc[::5, "rooms"] = np.nan
    return X


def regressor():
    return MLPRegressor(hidden_layer_sizes=(9,), solver="lbfgs", max_fun=30, random_state=0)


NUMBERS = ("numbers", make_pipeline(SimpleImputer(), StandardScaler()), ["age", "size"])
IGNORING = OneHotEncoder(handle_unknown="ignore")
KNOWING = OrdinalEncoder(
    handle_unknown="use_encoded_value", unknown_value=-1, encoded_missing_value=-2
)


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
class TestCategories:
    @pytest.mark.filterwarnings("ignore:Found unknown categories")
    @pytest.mark.parametrize(
        "parts",
        [
            [NUMBERS, ("towns", IGNORING, ["town", "kind"])],
            [("towns", OneHotEncoder(drop="if_binary", handle_unknown="ignore"), [3, 1]), NUMBERS],
            [NUMBERS, ("towns", KNOWING, slice("kind", "kind")), ("age", "passthrough", [2])],
            [
                ("towns", make_pipeline(SimpleImputer(strategy="most_frequent"), IGNORING), [1]),
                ("rooms", make_pipeline(SimpleImputer(strategy="median"), IGNORING), ["rooms"]),
            ],
            [
                (
                    "towns",
                    OneHotEncoder(max_categories=3, handle_unknown="infrequent_if_exist"),
                    ["town"],
                ),
                ("rooms", KNOWING, [False, False, False, False, True]),
                ("none", StandardScaler(), []),
                ("gone", "drop", ["kind"]),
            ],
        ],
        ids=["one-hot", "drop", "ordinal", "imputed", "rare"],
    )
    def test_they_are_encoded_as_in_python(self, parts, tmp_path):
        X, y = table()
        rare = {"remainder": make_pipeline(SimpleImputer(), StandardScaler())}
        columns = ColumnTransformer(parts, **(rare if len(parts) == 4 else {}))
        gaps = with_gaps(X)
        scale = StandardScaler(with_mean=False)
        model = make_pipeline(columns, scale, regressor()).fit(gaps, y)
        gaps.loc[3, "town"], gaps.loc[4, "rooms"] = "Ulm", 7.0
        check(model, gaps, tmp_path)

    @pytest.mark.parametrize("task", ["numbers", 2, 3])
    def test_linear_models(self, task, tmp_path):
        X, y = table()
        if task != "numbers":
            y = np.digitize(y, [0.0, 2.0][: task - 1])
        last = Ridge() if task == "numbers" else LogisticRegression()
        columns = ColumnTransformer([NUMBERS, ("towns", IGNORING, ["town", "kind"])])
        model = make_pipeline(columns, last).fit(X, y)
        check(model, X, tmp_path)
        written = to_c(model, tmp_path / "q.c", weights="int8", X_val=X, max_loss=0.1)
        assert written.loss < 0.05
        assert Compiled(written.source, 1 if task == "numbers" else task).self_test() == 0

    def test_of_an_array(self, tmp_path):
        X, y = table()
        columns = ColumnTransformer([("one", IGNORING, [0, 2])], remainder=StandardScaler())
        rows = X[["town", "size", "kind"]].to_numpy(object)
        model = make_pipeline(columns, regressor()).fit(rows, y)
        rows[5, 0] = "Ulm"
        check(model, rows, tmp_path)

    @pytest.mark.parametrize(
        "encoder", [OneHotEncoder(), OrdinalEncoder()], ids=["one-hot", "ordinal"]
    )
    def test_what_python_refuses_is_nan(self, encoder, tmp_path):
        X, y = table()
        model = make_pipeline(ColumnTransformer([("t", encoder, ["town"])]), regressor())
        written = to_c(model.fit(X[["town"]], y), tmp_path / "model.c", X_val=X[["town"]])
        compiled = Compiled(written.source, 1)
        assert compiled.self_test() == 0
        answers = compiled.answers(np.array([[-1], [4], [np.nan], [np.inf], [3]]))
        assert np.isnan(answers).ravel().tolist() == [True, True, True, True, False]

    def test_hostile_names_are_quoted_in_comments(self, tmp_path):
        X, y = table(hostile=True)
        model = make_pipeline(ColumnTransformer([("t", IGNORING, ["town"])]), regressor())
        check(model.fit(X[["town"]], y), X[["town"]], tmp_path)
        header = (tmp_path / "model.h").read_text()
        assert " *     0: %0A%23error broken%0A\n *     1: %2A%2F int evil%3B %2F%2A\n" in header
        assert header.isascii() and header.count("/*") == header.count("*/")

    def test_many_categories_take_six_bytes_each_at_most(self, tmp_path):
        X = pd.DataFrame({"town": [f"t{i}" for i in range(300)]})
        model = make_pipeline(
            IGNORING, MLPRegressor(hidden_layer_sizes=(), solver="lbfgs", max_fun=1)
        )
        model.fit(X, np.arange(300.0))
        assert flash_bytes(model) == 4 * 301 + 2 * 302
        check(model, X[::20], tmp_path)

    def test_other_orders_are_refused(self, tmp_path):
        X, y = table()
        for steps, error, message in [
            (
                (IGNORING.__class__(sparse_output=False), OrdinalEncoder()),
                TypeError,
                "OrdinalEncoder after arithmetic on its columns cannot be exported to C; it can",
            ),
            (
                (ColumnTransformer([("a", IGNORING, [0]), ("b", "passthrough", [0])]),),
                ValueError,
                "Column 'rooms' is used both as a number and as categories, or with several lists",
            ),
        ]:
            model = make_pipeline(*steps, regressor()).fit(X[["rooms"]], y)
            with pytest.raises(error, match=message):
                to_c(model, tmp_path / "model.c")
        assert not list(tmp_path.iterdir())


def bag(kind=TabularRegressor, **parameters):
    small = {"n_members": 3, "hidden_layer_sizes": (9, 7), "n_bins": 6, "embedding_size": 3}
    return kind("fast", max_iter=3, random_state=0, **(small | parameters))


def beyond(X):
    """The table with what training has not seen: missing, unknown, far away."""
    X = with_gaps(X)
    X.loc[3, "town"], X.loc[4, "kind"], X.loc[5, "age"], X.loc[6, "size"] = "Ulm", "?", 1e30, -1e30
    return X


class TestBags:
    @pytest.mark.parametrize(
        "parameters",
        [
            {},
            {"loss": "poisson", "n_members": 2, "dtype": "bfloat16"},
            {"loss": Quantile([0.1, 0.5, 0.9])},
            {"activation": "relu", "n_members": 1, "categorical_features": ["rooms", "town"]},
        ],
        ids=["numbers", "counts", "quantiles", "one member"],
    )
    @pytest.mark.parametrize("gaps", [True, False])
    def test_regressors(self, parameters, gaps, tmp_path):
        X, y = table()
        if "categorical_features" in parameters:
            X = X.drop(columns="kind")
        model = bag(**parameters).fit(with_gaps(X) if gaps else X, y - y.min())
        check(model, beyond(X) if "kind" in X else with_gaps(X), tmp_path)

    @pytest.mark.parametrize("n_classes", [2, 3])
    def test_classifiers(self, n_classes, tmp_path):
        X, y = table()
        labels = np.array(["*/", "b", "c"])[np.digitize(y, [0.0, 2.0][: n_classes - 1])]
        model = bag(TabularClassifier).fit(with_gaps(X), labels)
        check(model, beyond(X), tmp_path, compiler="clang")

    @pytest.mark.parametrize("what", ["categories", "numbers", "signals", "nothing"])
    def test_tables_of_one_kind_of_columns(self, what, tmp_path):
        X, y = table()
        columns = {"categories": ["town"], "numbers": ["age", "size"], "signals": ["kind"]}
        X = X[columns[what]] if what in columns else pd.DataFrame({"a": np.zeros(len(y))})
        check(bag().fit(X, y), X, tmp_path)

    def test_arrays_and_several_targets(self, tmp_path):
        X, y = table()
        rows = X[["rooms", "size", "age"]].to_numpy()
        model = bag(categorical_features=[0]).fit(rows, np.column_stack([y, 1000 + y]))
        rows[3, 0] = np.nan
        rows[4, 0] = 7
        check(model, rows, tmp_path)

    def test_dates_are_days(self, tmp_path):
        X, y = table()
        X = X[["town"]].assign(day=pd.date_range("1970-01-03", periods=len(X)))
        model = bag().fit(X, y)
        check(model, X, tmp_path)
        assert rows_in_c(program_of(model).inputs, X)[0, 1] == 2
        said = "A column of dates is days since 1970-01-01"
        assert said in (tmp_path / "model.h").read_text()

    def test_columns_without_names(self, tmp_path):
        X, y = table()
        X = X.rename(columns={name: j for j, name in enumerate(X)})
        check(bag().fit(X, y), X[[4, 2, 0, 1, 3]], tmp_path)

    def test_in_a_transformed_target(self, tmp_path):
        X, y = table()
        model = TransformedTargetRegressor(bag(), func=np.log, inverse_func=np.exp)
        check(model.fit(X, np.exp(y)), beyond(X), tmp_path, 3e-6)

    @pytest.mark.parametrize("kind", [TabularRegressor, TabularClassifier])
    def test_int8(self, kind, tmp_path):
        X, y = table()
        y = y if kind is TabularRegressor else (y > 0).astype(int)
        model = bag(kind).fit(with_gaps(X), y)
        before = model._params.copy()
        check(model, beyond(X), tmp_path, 0.02, weights="int8", max_loss=0.1)
        np.testing.assert_array_equal(model._params, before)
        written = to_c(model, tmp_path / "b.c", weights="int8", X_val=X, max_loss=0.1)
        got = Compiled(written.source, 1 + (kind is TabularClassifier)).self_test()
        assert got == 0 and (written.loss > 0 or kind is TabularClassifier)
        n_weights = sum(layer.weight.size for layer in program_of(model).members[0])
        n_units = sum(layer.bias.size for layer in program_of(model).members[0])
        knots = program_of(model).bins.knots
        n_scales = n_units + len(program_of(model).bins.columns) * knots.shape[2]
        saved = flash_bytes(model) - written.flash_bytes
        assert saved == 3 * knots.size + 3 * (3 * n_weights - 4 * n_scales)

    def test_random_rows_of_the_self_test_stand_among_those_of_training(self):
        X, y = table()
        model = bag().fit(X, y)
        rows = pd.DataFrame(random_rows(program_of(model).inputs, 50), columns=X.columns)
        assert (abs(rows["size"].astype(float) - 1e4) < 50).all()
        assert set(rows["town"]) == {0, 1, 2, 3}

    def test_the_self_test_finds_a_changed_knot(self, tmp_path):
        X, y = table()
        written = to_c(bag().fit(X, y), tmp_path / "model.c")
        text = written.source.read_text()
        start = text.index("static const float knots")
        changed = text[start:].replace("= {", "= {7.0f, 7.0f, ", 1).replace("[", "[2 + ", 1)
        written.source.write_text(text[:start] + changed)
        assert Compiled(written.source, 1).self_test() == 3

    def test_each_run_answers_the_same_bits(self, tmp_path):
        X, y = table()
        compiled = check(bag().fit(X, y), X, tmp_path)
        rows = random_rows(program_of(bag().fit(X, y)).inputs, 20)
        first = compiled.answers(rows)
        for _ in range(5):
            np.testing.assert_array_equal(compiled.answers(rows), first)
        far = compiled.answers(np.full((2, 5), [[np.inf], [3e38]]))  # Python refuses infinity
        assert far[0] == far[1]
        assert compiled.sizes().n_inputs == 5 and compiled.sizes().n_layers == 3

    @pytest.mark.parametrize(("compiler", "runner"), ARM)
    def test_arm(self, compiler, runner, tmp_path):
        import subprocess

        needs(compiler, runner)
        X, y = table()
        model = bag(TabularClassifier).fit(with_gaps(X), y > 0)
        written = to_c(model, tmp_path / "model.c", X_val=beyond(X)[3:])
        main = tmp_path / "main.c"
        main.write_text('#include "model.h"\nint main(void) { return model_self_test(); }\n')
        flags = [*STRICT, "-static", "-Dmodel_SELF_TEST"]
        compile_with(compiler, *flags, written.source, main, "-o", tmp_path / "p", "-lm")
        assert subprocess.run([runner, str(tmp_path / "p")]).returncode == 0

    def test_microcontrollers(self, tmp_path):
        needs("arm-none-eabi-gcc")
        X, y = table()
        written = to_c(bag().fit(X, y), tmp_path / "model.c")
        flags = [*STRICT, "-mcpu=cortex-m4", "-mthumb", "-mfloat-abi=hard", "-mfpu=fpv4-sp-d16"]
        more = ["-Wdouble-promotion", "-c", written.source, "-o", tmp_path / "model.o"]
        compile_with("arm-none-eabi-gcc", *flags, *more)
