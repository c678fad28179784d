"""Who runs what only Python knows, and does the README's way to add an activation work?"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tomllib
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import numpy as np
import pytest
from packaging.requirements import Requirement
from sklearn.base import clone
from sklearn.exceptions import ConvergenceWarning
from support import members
from support.problems import fresh_state, problem

from fastnn import MLPClassifier, MLPRegressor, backends
from fastnn.backends.base import Data, Passes, Plan
from fastnn.core.activations import ACTIVATIONS
from fastnn.core.links import INVERSE_LINKS, InverseLink
from fastnn.core.losses import LOSSES
from fastnn.core.network import NetworkSpec
from fastnn.core.optimizers import OPTIMIZERS, SGD, Optimizer
from fastnn.estimators.targets import negative_loss

F64 = np.dtype(np.float64)
ROOT = Path(__file__).parents[2]
CUBE = members.activation("cube", lambda z: (z**3, 3 * z**2))


class SignDescent(Optimizer):
    """``p <- p - rate sign(g)``."""

    name = "sign"
    rule_slots = 0

    def update(self, params, grad, slots, rate, epsilon_factor=1.0):
        params -= rate * np.sign(grad)


@pytest.fixture(params=["activation", "loss", "optimizer"])
def new(request, monkeypatch) -> tuple[str, NetworkSpec, Plan]:
    """(what is new and its name, a network and a plan with it), registered in Python only."""
    kind = request.param
    activation, loss, optimizer = "relu", "squared_error", SGD()
    if kind == "activation":
        activation = "cube"
        monkeypatch.setitem(ACTIVATIONS, "cube", CUBE)
    elif kind == "loss":
        loss = "log_cosh"

        def log_cosh(raw, y):
            return np.sum(np.log(np.cosh(raw - y)), axis=1), np.tanh(raw - y)

        monkeypatch.setitem(LOSSES, "log_cosh", members.loss("log_cosh", "identity", log_cosh))
    else:
        optimizer = SignDescent()
        monkeypatch.setitem(OPTIMIZERS, "sign", SignDescent())
    name = {"activation": "cube", "loss": "log_cosh", "optimizer": "sign"}[kind]
    return f"{kind} {name!r}", NetworkSpec.dense([3, 4, 1], activation, loss), Plan(optimizer, 5)


def test_auto_takes_the_reference_which_trains_it(new):
    _, spec, plan = new
    backend = backends.choose("auto", spec, F64, plan)
    assert backend.name == "numpy"
    state = fresh_state(spec, plan.optimizer)
    passes = Passes(np.tile(np.arange(20), (1, 40, 1)), np.full((1, 40, 4), 0.01))
    losses = backend.engine(spec, F64).trainer(plan).train(state, problem(spec, 20), passes)
    assert losses[0, -1] < 0.9 * losses[0, 0]


def test_compiled_backends_refuse_it_by_name(new, compiled_backend):
    what, spec, plan = new
    sentence = (
        rf"backend='{compiled_backend}' cannot run this network: its kernels do not know the"
        rf" {what}; README\.md says how to add it\."
    )
    with pytest.raises(ValueError, match=sentence):
        backends.choose(compiled_backend, spec, F64, plan)


def test_an_engine_without_a_plan_asks_for_no_optimizer(compiled_backend):
    spec = NetworkSpec.dense([3, 4, 1], "relu", "squared_error")
    assert backends.choose(compiled_backend, spec, F64).name == compiled_backend
    with pytest.raises(ValueError, match="do not know the optimizer 'sign'"):
        backends.choose(compiled_backend, spec, F64, Plan(SignDescent()))


def test_the_estimators_take_what_is_registered_after_their_import(new):
    what = new[0].split()[0]
    settings = {"activation": "cube", "loss": "log_cosh", "optimizer": "sign"}
    parameter = {"optimizer": "solver"}.get(what, what)
    model = MLPRegressor(
        **{parameter: settings[what]}, hidden_layer_sizes=(4,), max_iter=30, tol=0, random_state=0
    )
    X, y = np.random.RandomState(0).normal(size=(2, 40, 3))
    with pytest.warns(ConvergenceWarning):
        auto = clone(model).fit(X, y[:, 0])
    with pytest.warns(ConvergenceWarning):
        numpy = clone(model).set_params(backend="numpy").fit(X, y[:, 0])
    assert auto.loss_curve_ == numpy.loss_curve_
    np.testing.assert_array_equal(auto.coefs_[0], numpy.coefs_[0])


def test_a_classifier_takes_an_activation_registered_after_its_import(monkeypatch):
    monkeypatch.setitem(ACTIVATIONS, "cube", CUBE)
    model = MLPClassifier((4,), "cube", max_iter=5, tol=0, random_state=0)
    X = np.random.RandomState(0).normal(size=(40, 3))
    y = X[:, 0] > 0
    with pytest.warns(ConvergenceWarning):
        auto = clone(model).fit(X, y)
    with pytest.warns(ConvergenceWarning):
        numpy = clone(model).set_params(backend="numpy").fit(X, y)
    np.testing.assert_array_equal(auto.predict_proba(X), numpy.predict_proba(X))


def test_what_is_not_registered_is_refused_with_the_names_there_are(new):
    X, y = np.zeros((4, 2)), np.zeros(4)
    kind, name = new[0].split()
    parameter = {"optimizer": "solver"}.get(kind, kind)
    with pytest.raises(ValueError, match=rf"'{parameter}' parameter of .* among \{{.*{name}.*\}}"):
        MLPRegressor(**{parameter: "none such"}).fit(X, y)


def test_a_new_inverse_link_brings_its_own_inverse(monkeypatch):
    def squared_root_error(raw, y):
        error = raw**2 - y
        return 0.5 * (error**2).sum(axis=1), 2 * raw * error

    monkeypatch.setitem(INVERSE_LINKS, "square", InverseLink(np.square, np.sqrt))
    root = members.loss("root", "square", squared_root_error)
    predictions, y = np.array([[4.0], [9.0]]), np.array([[3.0], [9.0]])
    assert negative_loss(root, predictions, Data(np.zeros((2, 1)), y)) == -0.25


# The recipe: for each file a line that is in it and what goes before it. One activation keeps its
# output, one its input.
RECIPE = {
    "fastnn/core/activations.py": [
        (
            "ACTIVATIONS: dict",
            '''@dataclass(repr=False)
class Softsign(Activation):
    """``a = z / (width + |z|)``; its slope is ``(1 - |a|)**2 / width``."""

    width: float = 1.5

    name = "softsign"
    allowed: ClassVar[Mapping[str, Allowed]] = {"width": number("(0, inf)")}

    def value_and_slope(self, z: Array) -> tuple[Array, Array]:
        a = z / (float(self.width) + abs(z))
        return a, (1 - abs(a)) ** 2 / float(self.width)


class Swish(Activation):
    """``a = z p`` with ``p = expit(z)``; its slope is ``p + a (1 - p)``."""

    name = "swish"
    keeps = "input"

    def value_and_slope(self, z: Array) -> tuple[Array, Array]:
        p = expit(z)
        return z * p, p + z * p * (1 - p)


''',
        ),
        ("    Identity(),", "    Softsign(),\n    Swish(),\n"),
    ],
    "csrc/activations.inc": [
        (
            "    X(identity, OUTPUT,",
            "    X(softsign, OUTPUT, SEPARATE, 1)     \\\n    X(swish, INPUT, SEPARATE, 0) \\\n",
        ),
        (
            "INLINE V FN(silu)(V z",
            """INLINE V FN(softsign)(V z, V width) { return z / (width + FN(absolute)(z)); }
INLINE V FN(softsign_backward)(V delta, V a, V width)
{
    const V s = 1 - FN(absolute)(a);
    return delta * (s * s) / width;
}
INLINE V FN(swish)(V z, V *slope)
{
    const V p = FN(logistic_by)(FN(exp)(-FN(absolute)(z)), z), a = z * p;
    *slope = p + a * (1 - p);
    return a;
}
""",
        ),
    ],
    "fastnn/backends/numba/math.py": [
        (
            "ACTIVATIONS = {",
            '''@fast
def softsign(z, width):
    """z / (width + abs(z))."""
    return z / (type(z)(width) + abs(z))


@fast
def softsign_slope(a, width):
    """(1 - abs(a))**2 / width."""
    s = type(a)(1) - abs(a)
    return s * s / type(a)(width)


@fast
def swish(z):
    """z expit(z)."""
    return z * expit(z)


@fast
def swish_slope(z):
    """The slope, as a function of z."""
    p = expit(z)
    return p + z * p * (type(z)(1) - p)


''',
        ),
        (
            '    "identity": (',
            '    "softsign": (softsign, softsign_slope),\n    "swish": (swish, swish_slope),\n',
        ),
    ],
}


def readme_section() -> str:
    """What README.md says under "To add an activation"."""
    text = (ROOT / "README.md").read_text()
    return text.partition("## To add an activation")[2].partition("\n## ")[0]


@pytest.mark.parametrize("path", RECIPE)
def test_the_readme_names_each_file_of_the_recipe(path):
    assert path in readme_section()


def lacking_to_build() -> list[str]:
    """Which of the build's requirements are not installed here."""
    build = tomllib.loads((ROOT / "pyproject.toml").read_text())["build-system"]
    return [line for line in build["requires"] if not is_installed(Requirement(line))]


def is_installed(requirement: Requirement) -> bool:
    try:
        return requirement.specifier.contains(version(requirement.name))
    except PackageNotFoundError:
        return False


@pytest.mark.skipif(not (ROOT / "csrc/activations.inc").exists(), reason="no sources here")
def test_an_activation_is_added_as_the_readme_says(tmp_path):
    why_not = {name: backends.why_not(name) for name in ("cython", "numba")}
    if lacking := lacking_to_build():
        why_not["cython"] = f"building takes {lacking}, not installed here"
    names = [name for name, reason in why_not.items() if reason is None]
    if not names:
        pytest.skip(f"no compiled backend can be tried here: {why_not}")
    for folder in ("fastnn", "csrc", "tests"):
        ignore = shutil.ignore_patterns("*.so", "__pycache__")
        shutil.copytree(ROOT / folder, tmp_path / folder, ignore=ignore)
    for file in ("pyproject.toml", "README.md"):
        shutil.copy(ROOT / file, tmp_path)
    # Not of the recipe: one instruction set builds sooner, and the same lines serve them all.
    (tmp_path / "setup.py").write_text((ROOT / "setup.py").read_text().replace("-O3", "-O1"))
    (tmp_path / "csrc/isa/list.inc").write_text("ISA(generic)\n")
    for file in (tmp_path / "csrc/isa").glob("*.c"):
        if file.stem != "generic":
            file.unlink()
    for file, insertions in RECIPE.items():
        text = (tmp_path / file).read_text()
        for anchor, insertion in insertions:
            before, found, after = text.partition(anchor)
            assert found, f"{file} has no line {anchor!r}"
            text = before + insertion + found + after
        (tmp_path / file).write_text(text)

    environment = {  # without the settings of the pytest that runs this, such as its workers
        **{name: value for name, value in os.environ.items() if not name.startswith("PYTEST_")},
        "PYTHONPATH": str(tmp_path),
        "FASTNN_REQUIRE": ",".join(names),
        "FASTNN_TEST_BACKENDS": ",".join(names),
        "NUMBA_OPT": "1",  # compiles sooner
    }

    def run(*arguments: str) -> str:
        done = subprocess.run(
            [sys.executable, *arguments],
            cwd=tmp_path,
            env=environment,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stdout[-5000:] + done.stderr[-5000:]
        return done.stdout

    if "cython" in names:
        run("setup.py", "build_ext", "--inplace")
    # The last step, for two activations at once; one precision halves what Numba compiles.
    found = run("-m", "pytest", "-q", "-k", "(softsign or swish) and not float32", "tests/backends")
    tested = re.search(r"^tested backends: (.*)$", found, re.MULTILINE)[1]
    assert all(name in tested for name in names), found
