"""Does the C file compile without a warning, and answer as the model that it was written from?"""

from __future__ import annotations

import re
import subprocess

import numpy as np
import pytest
from sklearn.compose import TransformedTargetRegressor
from sklearn.exceptions import NotFittedError
from sklearn.feature_selection import VarianceThreshold
from sklearn.impute import SimpleImputer
from sklearn.model_selection import GridSearchCV
from sklearn.neural_network import MLPClassifier as SklearnMLPClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import MaxAbsScaler, MinMaxScaler, RobustScaler, StandardScaler
from support.c_files import ARM, COMPILERS, STRICT, Compiled, check, compile_with, needs
from support.fitted import FORMULAS, QUANTILES, TASKS, answers, network, random_network
from support.members import activation, loss

from fastnn import MLPClassifier, MLPRegressor
from fastnn.core import activations, losses
from fastnn.export import c_program, c_text, flash_bytes, to_c


@pytest.mark.parametrize("compiler", COMPILERS)
@pytest.mark.parametrize("seed", range(12))
def test_random_networks_agree(seed, compiler, tmp_path):
    model = random_network(seed, np.float64)
    check(model, model.rows, tmp_path, 2e-6, compiler=compiler)


@pytest.mark.parametrize("task", TASKS)
def test_each_task(task, tmp_path):
    model = network(task, n_features=20, hidden_layer_sizes=(30, 20))
    # exp turns the rounding of a sum of size 10 into ten times that of its outcome
    check(model, model.rows, tmp_path, 3e-6 if task == "poisson" else 1e-6)


@pytest.mark.parametrize("weights", c_program.WEIGHTS)
def test_of_a_network_trained_in_bfloat16_the_float32_weights_are_written(weights, tmp_path):
    rows = network("classes").rows.astype(np.float32)
    model = MLPRegressor(dtype="bfloat16", hidden_layer_sizes=(30,), random_state=0)
    model.partial_fit(rows, rows[:, 0] * rows[:, 1])
    check(model, rows, tmp_path, 1e-6 if weights == "float32" else 0.02, weights=weights)


@pytest.mark.parametrize("task", ["two classes", "classes", "labels"])
def test_large_outputs_do_not_overflow(task, tmp_path):
    model = network(task)
    model.coefs_[-1] *= 1000
    model.intercepts_[-1] *= 1000
    want = answers(model, model.rows)
    written = to_c(model, tmp_path / "model.c")
    got = Compiled(written.source, want.shape[1]).answers(model.rows)
    np.testing.assert_allclose(got, want, rtol=0, atol=1e-4)  # sums of some hundred in float32


@pytest.mark.parametrize("name", c_text.ACTIVATIONS)
def test_activations_agree(name, tmp_path, monkeypatch):
    if name not in activations.ACTIVATIONS:
        new = activation(name, lambda z: (FORMULAS[name](z).astype(z.dtype), z), "input")
        monkeypatch.setitem(activations.ACTIVATIONS, name, new)
    model = network("squared_error", backend="numpy")
    model.activation = name
    model.rows[0] *= 5  # where exponentials are far from one
    check(model, model.rows, tmp_path)


@pytest.mark.parametrize("task", TASKS)
def test_nan_stays_nan(task, tmp_path):
    model = network(task, activation="relu")
    written = to_c(model, tmp_path / "model.c")
    compiled = Compiled(written.source, answers(model, model.rows).shape[1])
    assert np.isnan(compiled.answers(np.full((1, 7), np.nan))).all()


@pytest.mark.parametrize("compiler", COMPILERS)
def test_tanh_is_right_to_six_units_in_the_last_place(compiler, tmp_path):
    model = network("squared_error", n_features=1, hidden_layer_sizes=(1,), activation="tanh")
    model.coefs_, model.intercepts_ = [np.ones((1, 1))] * 2, [np.zeros(1)] * 2
    compiled = Compiled(to_c(model, tmp_path / "model.c").source, 1, compiler)
    z = np.concatenate([np.geomspace(1e-37, 20, 2000), np.linspace(0.01, 10, 20_000)])
    z = np.concatenate([z, -z, [0, np.inf, -np.inf]]).astype(np.float32)
    got, want = compiled.answers(z[:, None])[:, 0], np.tanh(z.astype(np.float64))
    ulp = np.spacing(abs(want).astype(np.float32))
    assert (abs(got - want) <= np.minimum(2.1e-7, 6 * ulp)).all()
    assert (abs(got) <= 1).all() and np.isnan(compiled.answers([[np.nan]])).all()


@pytest.mark.parametrize(("weights", "width"), [("float32", 36), ("int8", 32)])
def test_gcc_vectorises_the_sums_at_o2(weights, width, tmp_path):
    needs("gcc")
    model = network("classes", hidden_layer_sizes=(36, 37))
    written = to_c(model, tmp_path / "m.c", weights=weights, X_val=model.rows, max_loss=1)
    flags = [*STRICT, "-fopt-info-vec-optimized", "-c", written.source, "-o", "/dev/null"]
    said = subprocess.run(["gcc", *map(str, flags)], capture_output=True, text=True).stderr
    lines = ["", *written.source.read_text().splitlines()]
    found = {lines[int(i)].strip() for i in re.findall(r"c:(\d+):\d+: opt\S+ loop vect", said)}
    if "for (int j = 0; j < 36; j++) {" not in found:  # the first layer's activation
        pytest.skip("this gcc does not vectorise at -O2")
    assert f"for (; j < {width}; j++) y[j] += x[i] * w[j];" in found


@pytest.fixture
def table():
    """Columns of unlike sizes, one far from zero for its spread, and a target of its own size."""
    rng = np.random.default_rng(0)
    X = rng.normal(size=(90, 4)) * [1, 10, 0.1, 1] + [0, 5, 0, 1e5]
    X = X.astype(np.float32).astype(np.float64)
    return X, X[:, 0] * 30 + 1000


def regressor():
    return MLPRegressor(hidden_layer_sizes=(9,), solver="lbfgs", max_fun=30, random_state=0)


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
class TestAroundANetwork:
    @pytest.mark.parametrize(
        "parts",
        [
            [StandardScaler()],
            ["passthrough", StandardScaler(with_mean=False), StandardScaler(with_std=False)],
            [MinMaxScaler((-1, 2), clip=True)],
            [RobustScaler()],
            [RobustScaler(with_centering=False, with_scaling=False), "passthrough", MaxAbsScaler()],
            [SimpleImputer(), StandardScaler()],
            [SimpleImputer(strategy="constant", fill_value=-1.5), StandardScaler()],
            [make_pipeline(SimpleImputer(strategy="median"), StandardScaler())],
        ],
        ids=str,
    )
    def test_numeric_steps(self, parts, table, tmp_path):
        X, y = table
        model = make_pipeline(*parts, StandardScaler(), regressor()).fit(X, y)
        if "Imputer" in str(parts):
            X[::7, 1] = np.nan
        X[0] *= 1.5  # beyond what the scalers have seen
        check(model, X, tmp_path)

    @pytest.mark.parametrize(
        "transform",
        [
            {"transformer": StandardScaler()},
            {"transformer": MinMaxScaler(clip=True)},
            {"func": np.log1p, "inverse_func": np.expm1},
            {"func": np.log, "inverse_func": np.exp},
            {},
        ],
    )
    @pytest.mark.parametrize("loss", ["squared_error", QUANTILES], ids=["mean", "quantiles"])
    def test_transformed_targets(self, loss, transform, table, tmp_path):
        X, y = table
        network = make_pipeline(StandardScaler(), regressor().set_params(loss=loss))
        model = TransformedTargetRegressor(network, **transform).fit(X, y)
        check(model, X, tmp_path)

    def test_what_is_done_to_a_target_is_done_to_each_quantile(self, table, tmp_path):
        # Beyond the array a compiler may read what it likes, the right numbers too.
        network = regressor().set_params(loss=QUANTILES)
        model = TransformedTargetRegressor(network, transformer=StandardScaler()).fit(*table)
        written = to_c(model, tmp_path / "model.c", X_val=table[0])
        assert "float after_0_0[3]" in written.source.read_text()

    @pytest.mark.parametrize("search_outside", [True, False])
    def test_a_search_is_its_best_model(self, search_outside, table, tmp_path):
        X, y = table
        if search_outside:
            network = make_pipeline(StandardScaler(), regressor())
            model = GridSearchCV(network, {"mlpregressor__alpha": [1e-3]}, cv=2)
        else:
            model = make_pipeline(
                StandardScaler(), GridSearchCV(regressor(), {"alpha": [1e-3]}, cv=2)
            )
        model.fit(X, y)
        check(model, X, tmp_path)
        check(model, X, tmp_path, weights="int8", rtol=0.05)

    @pytest.mark.parametrize(
        ("part", "error", "message"),
        [
            (VarianceThreshold(), TypeError, "VarianceThreshold is not plain arithmetic on colu"),
            (SimpleImputer(add_indicator=True), ValueError, "with add_indicator=True; set it to"),
            (SimpleImputer(missing_values=0), ValueError, "with missing_values=nan, got 0"),
        ],
    )
    def test_other_parts_are_refused(self, part, error, message, table, tmp_path):
        X, y = table
        X[0, 0] = np.nan if "indicator" in message else X[0, 0]
        X[1, 1] = 0
        model = make_pipeline(part, StandardScaler(), regressor()).fit(X, y)
        with pytest.raises(error, match=message):
            to_c(model, tmp_path / "model.c")
        assert not list(tmp_path.iterdir())

    def test_a_column_without_a_value_is_refused(self, table, tmp_path):
        X, y = table
        X[:, 2] = np.nan
        with pytest.warns(UserWarning, match="without any observed values"):
            model = make_pipeline(SimpleImputer(), regressor()).fit(X, y)
        with pytest.raises(ValueError, match="SimpleImputer drops column 2, which has no value"):
            to_c(model, tmp_path / "model.c")

    def test_a_scale_beyond_float32_is_refused(self, table, tmp_path):
        X, y = table
        model = make_pipeline(StandardScaler(), regressor()).fit(X * 1e45, y)
        with pytest.raises(ValueError, match="A column's mean or scale is not finite in float32"):
            to_c(model, tmp_path / "model.c")


class TestInt8:
    @pytest.mark.parametrize("task", TASKS)
    def test_answers_are_those_of_the_rounded_weights(self, task, tmp_path):
        model = network(task, hidden_layer_sizes=(20, 10))
        written = to_c(model, tmp_path / "q.c", weights="int8", X_val=model.rows, max_loss=1)
        for i, coef in enumerate(model.coefs_):
            scale = np.abs(coef).max(axis=0) / 127
            model.coefs_[i] = np.rint(coef / scale) * scale
        compiled = Compiled(written.source, answers(model, model.rows).shape[1])
        assert compiled.self_test() == 0
        want = answers(model, model.rows)
        np.testing.assert_allclose(
            compiled.answers(model.rows), want, rtol=0, atol=2e-6 * np.abs(want).max()
        )

    def test_a_neuron_without_weights(self, tmp_path):
        model = network("classes")
        model.coefs_[0][:, 3] = 0
        check(model, model.rows, tmp_path, rtol=0.05, weights="int8", max_loss=1)

    def test_the_loss_of_a_classifier_is_the_share_of_labels_that_change(self, tmp_path):
        model = network("classes")
        model.coefs_[0] *= 0.1  # probabilities close to each other
        model.coefs_[0][0] = 3  # and weights that set the scale, of a column that is 0
        model.rows[:, 0] = 0
        written = to_c(model, tmp_path / "q.c", weights="int8", X_val=model.rows, max_loss=1)
        compiled = Compiled(written.source, 3)
        got = compiled.answers(model.rows).argmax(axis=1)
        changed = (model.classes_[got] != model.predict(model.rows)).mean()
        assert 0 < changed < 1
        assert written.loss == changed

    def test_the_loss_of_a_regressor_is_by_what_r2_falls(self, tmp_path):
        model = network("squared_error")
        written = to_c(model, tmp_path / "q.c", weights="int8", X_val=model.rows)
        exact, got = model.predict(model.rows), Compiled(written.source, 1).answers(model.rows)
        assert written.loss == pytest.approx(
            np.square(got[:, 0] - exact).mean() / exact.var(), 1e-3
        )

    def test_too_large_a_loss_is_refused_and_nothing_written(self, tmp_path):
        model = network("squared_error")
        before = [coef.copy() for coef in model.coefs_]
        with pytest.raises(ValueError, match=r"lose .* on X_val, more than max_loss=1e-09. Raise"):
            to_c(model, tmp_path / "q.c", weights="int8", X_val=model.rows, max_loss=1e-9)
        assert not list(tmp_path.iterdir())
        for coef, old in zip(model.coefs_, before, strict=True):
            np.testing.assert_array_equal(coef, old)

    def test_validation_rows_are_needed(self, tmp_path):
        with pytest.raises(ValueError, match="weights='int8' needs X_val: rows to measure on"):
            to_c(network("classes"), tmp_path / "q.c", weights="int8")


@pytest.mark.parametrize("weights", c_program.WEIGHTS)
def test_sizes(weights, tmp_path):
    model = network("classes", hidden_layer_sizes=(20, 30))
    written = to_c(model, tmp_path / "m.c", weights=weights, X_val=model.rows, max_loss=1)
    sizes = Compiled(written.source, 3).sizes()
    n_weights, n_biases = 7 * 20 + 20 * 30 + 30 * 3, 20 + 30 + 3
    bytes_of = {"float32": 4 * (n_weights + n_biases), "int8": n_weights + 8 * n_biases}
    assert (sizes.n_inputs, sizes.n_outputs, sizes.n_layers) == (7, 3, 3)
    assert sizes.n_parameters == n_weights + n_biases
    assert sizes.stack_bytes == 4 * (20 + 30)
    assert sizes.flash_bytes == written.flash_bytes == bytes_of[weights]
    assert flash_bytes(model, weights=weights) == bytes_of[weights]


def test_the_same_model_is_the_same_text(tmp_path):
    model = network("classes")
    texts = set()
    for _ in range(2):
        written = to_c(model, tmp_path / "model.c")
        texts.add((written.source.read_text(), written.header.read_text()))
    assert len(texts) == 1


def test_the_self_test_finds_a_changed_weight(tmp_path):
    model = network("squared_error")
    written = to_c(model, tmp_path / "model.c")
    text = written.source.read_text()
    changed = re.sub(r"(biases_1\[1\] = \{)", r"\g<1>0.001f + ", text)
    assert changed != text
    written.source.write_text(changed)
    assert Compiled(written.source, 1).self_test() == 3


@pytest.mark.parametrize(("compiler", "runner"), ARM)
@pytest.mark.parametrize("weights", c_program.WEIGHTS)
@pytest.mark.parametrize("task", ["classes", "poisson"])
def test_arm(task, weights, compiler, runner, tmp_path):
    needs(compiler, runner)
    model = network(task, activation="tanh")
    written = to_c(model, tmp_path / "model.c", weights=weights, X_val=model.rows, max_loss=1)
    main = tmp_path / "main.c"
    main.write_text('#include "model.h"\nint main(void) { return model_self_test(); }\n')
    program = tmp_path / "program"
    flags = [*STRICT, "-static", "-Dmodel_SELF_TEST"]
    compile_with(compiler, *flags, written.source, main, "-o", program, "-lm")
    assert subprocess.run([runner, str(program)]).returncode == 0


def test_microcontrollers(tmp_path):
    needs("arm-none-eabi-gcc")
    written = to_c(network("classes", activation="tanh"), tmp_path / "model.c")
    flags = [*STRICT, "-mcpu=cortex-m4", "-mthumb", "-mfloat-abi=hard", "-mfpu=fpv4-sp-d16"]
    compile_with("arm-none-eabi-gcc", *flags, "-Wdouble-promotion", "-c", written.source, "-o",
                 tmp_path / "model.o")  # fmt: skip


def test_the_header_is_cxx_too(tmp_path):
    needs("g++")
    to_c(network("classes"), tmp_path / "model.c")
    main = tmp_path / "main.cc"
    main.write_text('#include "model.h"\nint n = model_sizes.n_inputs + model_N_INPUTS;\n')
    compile_with("g++", "-Wall", "-Wextra", "-Werror", "-pedantic", "-c", main, "-o", "/dev/null")


HOSTILE = [
    "*/ int evil; /*",
    "what??/",
    '"; #error "',
    "a\\",
    "\n#error broken\n",
    "Größe",
    "%s%n",
    "//",
]


@pytest.mark.parametrize("compiler", COMPILERS)
def test_hostile_names_reach_comments_quoted_and_nothing_else(compiler, tmp_path):
    pd = pytest.importorskip("pandas")
    X = pd.DataFrame(np.random.default_rng(0).normal(size=(60, len(HOSTILE))), columns=HOSTILE)
    classes = [*HOSTILE, "\ud800"]  # half a character, which no encoding can write
    labels = np.resize(np.array(classes, object), 60)
    model = MLPClassifier(hidden_layer_sizes=(5,), solver="lbfgs", max_fun=5, random_state=0)
    with pytest.warns(UserWarning, match="lbfgs failed to converge"):
        model.fit(X, labels)
    written = to_c(model, tmp_path / "model.c", X_val=X)
    assert Compiled(written.source, len(classes), compiler).self_test() == 0
    header = written.header.read_text()
    assert "x[5]: Gr%C3%B6%C3%9Fe\n" in header
    for text in (header, written.source.read_text()):
        assert text.isascii()
        assert text.count("/*") == text.count("*/")
        for name in HOSTILE:
            assert name not in text


@pytest.mark.parametrize("name", ["", "1st", "_x", "a-b", "a b", 'a"', "é", "int main(){}", "a\n"])
def test_names_that_c_lacks_are_refused(name, tmp_path):
    message = re.escape(
        f"name must begin with a letter and hold letters, digits and '_' only, got {name!r}"
    )
    with pytest.raises(ValueError, match=message):
        to_c(network("classes"), tmp_path / "model.c", name=name)


@pytest.mark.parametrize(
    "file", ["model", "model.h", 'a"b.c', "a b.c", "a\n.c", "é.c", ".c", "??/.c"]
)
def test_file_names_that_an_include_cannot_hold_are_refused(file, tmp_path):
    with pytest.raises(ValueError, match="path must name a file of letters, digits, '_', '-' and"):
        to_c(network("classes"), tmp_path / file)
    assert not list(tmp_path.iterdir())


def test_names_come_from_the_file_or_the_user(tmp_path):
    model = network("classes")
    written = to_c(model, tmp_path / "my-model.v2.c")
    assert "void my_model_v2_predict(" in written.header.read_text()
    assert written.header.name == "my-model.v2.h"
    written = to_c(model, tmp_path / "1.c", name="int")  # a keyword, but only as a beginning
    compile_with("gcc", *STRICT, "-c", written.source, "-o", tmp_path / "model.o")


def test_unknown_activations_and_losses_are_refused(tmp_path, monkeypatch):
    model = network("squared_error", backend="numpy")
    monkeypatch.setitem(activations.ACTIVATIONS, "bent", activation("bent", np.tanh))
    model.activation = "bent"
    with pytest.raises(
        ValueError, match=r"activation='bent' cannot be exported to C; these can: i"
    ):
        to_c(model, tmp_path / "model.c")
    model._loss = loss("squared_error", "probit", losses.LOSSES["squared_error"].loss_and_grad)
    model.activation = "tanh"
    with pytest.raises(
        ValueError, match="A loss whose inverse link is 'probit' cannot be exported"
    ):
        to_c(model, tmp_path / "model.c")


def test_other_models_are_refused(tmp_path):
    other = SklearnMLPClassifier(solver="lbfgs").fit([[0.0], [1.0]], [0, 1])
    with pytest.raises(
        TypeError, match=r"A sklearn\.neural_network\S* cannot be exported; fastnn's"
    ):
        to_c(other, tmp_path / "model.c")
    with pytest.raises(NotFittedError):
        to_c(MLPClassifier(), tmp_path / "model.c")


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"weights": "int4"}, "weights must be 'float32' or 'int8', got 'int4'"),
        ({"X_val": np.zeros((3, 6))}, r"X_val must have shape \(n_rows, 7\), .* got \(3, 6\)"),
        ({"X_val": np.zeros((0, 7))}, r"X_val must have shape \(n_rows, 7\), .* got \(0, 7\)"),
        ({"X_val": np.zeros(7)}, r"X_val must have shape \(n_rows, 7\), .* got \(7,\)"),
    ],
)
def test_wrong_parameters(wrong, message, tmp_path):
    with pytest.raises(ValueError, match=message):
        to_c(network("classes"), tmp_path / "model.c", **wrong)
    assert not list(tmp_path.iterdir())
