"""Is what gets installed what it should be.

Names on demand, a command, a configuration to show, a README that works?
"""

from __future__ import annotations

import importlib.metadata
import re
import subprocess
import sys
from pathlib import Path

import pytest

import fastnn
from fastnn import backends
from fastnn.cli.main import main

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text()


def run_python(code: str) -> str:
    """What ``code`` prints in a new process."""
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=120, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def test_every_public_name_can_be_had():
    for name in fastnn.__all__:
        assert getattr(fastnn, name) is not None
        assert name in dir(fastnn)


def test_an_unknown_name_is_an_attribute_error():
    with pytest.raises(AttributeError, match="module 'fastnn' has no attribute 'MLPTransformer'"):
        fastnn.MLPTransformer  # noqa: B018


DOTTED_NAMES = {
    name
    for path in [ROOT / "README.md", *(ROOT / "docs").glob("*.md")]
    for name in re.findall(r"\bfastnn(?:\.[A-Za-z_]\w*){2,}", path.read_text())
} | {"fastnn.callbacks.watched_by"}  # a warning names it


@pytest.mark.parametrize("name", sorted(DOTTED_NAMES))
def test_a_documented_dotted_name_needs_no_further_import(name):
    run_python(f"import fastnn; {name}")


def test_a_private_module_is_no_attribute():
    with pytest.raises(AttributeError, match="module 'fastnn' has no attribute '__main__'"):
        fastnn.__main__  # noqa: B018


def test_the_version_is_the_distributions():
    try:
        installed = importlib.metadata.version("fastnn")
    except importlib.metadata.PackageNotFoundError:
        pytest.skip("fastnn is not installed, only imported from its folder")
    assert fastnn.__version__ == installed


def test_importing_fastnn_imports_nothing_else():
    code = (
        "import sys; before = set(sys.modules); import fastnn;"
        " print(sorted(set(sys.modules) - before))"
    )
    # importlib and typing are fastnn's own needs
    loaded = {
        name.split(".")[0]
        for name in eval(run_python(f"import importlib, typing, __future__; {code}"))
    }
    assert loaded == {"fastnn"}


def test_the_estimators_load_no_optional_package_and_no_rival():
    # scikit-learn's base itself loads some of these where they are installed
    optional = {
        "numba",
        "matplotlib",
        "optuna",
        "pandas",
        "pyarrow",
        "skops",
        "dask",
        "distributed",
        "sklearn.neural_network",
    }
    code = f"""
import sys, sklearn.base
before = set(sys.modules)
from fastnn import MLPClassifier, TradeoffSearchCV
print({optional} & (set(sys.modules) - before))
"""
    assert run_python(code) == "set()"


def test_show_config_as_dictionaries():
    config = fastnn.show_config(mode="dicts")
    assert config["versions"]["fastnn"] == fastnn.__version__
    assert config["versions"]["numpy"] == importlib.metadata.version("numpy")
    assert {"pandas", "pyarrow", "skops", "onnx"} <= config["versions"].keys()
    assert list(config["backends"]) == list(backends.BACKENDS)
    for name, state in config["backends"].items():
        assert state.startswith("usable") == (backends.why_not(name) is None)
    assert config["backends"]["numpy"] == "usable"
    assert config["threads"]["available"] >= 1
    found = config["instruction sets"]["bfloat16"]
    compiled = config["backends"]["cython"] == "usable"
    active = config["instruction sets"]["active"]
    names = {"amx": "AMX", "avx512_bf16": "AVX512_BF16"}
    by = names.get(active, "float32 arithmetic" if compiled else "NumPy")
    assert re.match(rf"by {by}\b", found), found


def test_show_config_prints(capsys):
    assert fastnn.show_config() is None
    out = capsys.readouterr().out
    assert re.search(rf"^  fastnn +{re.escape(fastnn.__version__)}$", out, re.MULTILINE)
    assert re.search(r"^  numpy +usable$", out, re.MULTILINE)


def test_show_config_knows_two_modes():
    with pytest.raises(ValueError, match="mode must be 'stdout' or 'dicts', got 'yaml'"):
        fastnn.show_config(mode="yaml")


def test_without_compiler_and_numba_numpy_does_the_work():
    # None in sys.modules is what Python itself takes for "cannot be imported".
    code = """
import sys
sys.modules["fastnn.backends._core"] = sys.modules["numba"] = None
import fastnn
config = fastnn.show_config(mode="dicts")["backends"]
assert config["cython"].startswith("not usable: "), config
assert config["numba"].startswith("not usable: "), config
assert "[numba]" in config["numba"], config
model = fastnn.MLPRegressor(solver="lbfgs", random_state=0)
model.fit([[0.0], [1.0], [2.0]], [0.0, 1.0, 2.0])
print(config["numpy"], model.n_features_in_)
"""
    assert run_python(code) == "usable 1"


def test_the_command_info(capsys):
    assert main(["info"]) == 0
    assert "backends:" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "status"), [(["--version"], 0), (["--help"], 0), ([], 2), (["dance"], 2)]
)
def test_the_commands_exit_status(arguments, status, capsys):
    with pytest.raises(SystemExit) as stopped:
        main(arguments)
    assert stopped.value.code == status
    said = capsys.readouterr()
    assert (said.out if status == 0 else said.err) != ""


def test_python_m_fastnn_is_the_same_command():
    done = subprocess.run(
        [sys.executable, "-m", "fastnn", "--version"],
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    assert done.stdout.strip() == f"fastnn {fastnn.__version__}"


def test_the_readme_has_exactly_two_set_up_commands():
    commands = re.findall(
        r"```bash\n(.*?)```", README.split("## Set up")[1].split("\n## ")[0], re.DOTALL
    )
    assert len(commands) == 2
    assert all(len(command.strip().splitlines()) == 1 for command in commands)


def test_the_readmes_quick_start_runs(capsys):
    (code,) = re.findall(r"```python\n(.*?)```", README, re.DOTALL)
    exec(code, {})
    accuracy = float(capsys.readouterr().out.split()[0])
    assert accuracy > 0.95


def test_the_user_guides_examples_run(capsys):
    pytest.importorskip(
        "matplotlib", reason="the guide draws loss curves, which needs the extra fastnn[plot]"
    ).use("Agg")
    names = {}
    examples = re.findall(
        r"```python\n(.*?)```", (ROOT / "docs" / "index.md").read_text(), re.DOTALL
    )
    for code in examples:
        exec(code, names)
    assert len(examples) == 14
    assert names["grid"].best_params_["alpha"] in (0.0001, 0.1)
    assert "backends:" in capsys.readouterr().out
