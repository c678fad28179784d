# The wheel with the oldest packages allowed: Numba's and the C engine against NumPy's, in one precision because Numba
# compiles each for half a minute, and what calls other packages.
# Left out is what asks nothing of a package's version (laws of the engines, processes, the terminal), parity with
# scikit-learn 1.9, and what reads the sources; what newer packages deprecate is let pass.
"$PYTHON" -m venv "$WORK/oldest"
. "$WORK/oldest/bin/activate"
pip install --constraint .ci/oldest.txt "$(echo "$WORK"/dist/*.whl)[test]"
mkdir "$WORK/old"
cp -r pyproject.toml README.md docs tests "$WORK/old"
cd "$WORK/old"
export FASTNN_REQUIRE=cython,numba PYTEST_ADDOPTS="-q -W default"
FASTNN_TEST_BACKENDS=cython,numba pytest tests/backends/test_agreement.py -k "not float32"
FASTNN_TEST_BACKENDS=cython pytest --numprocesses=2 tests/core tests/estimators tests/training tests/search tests/tabular \
    tests/export tests/report tests/cli tests/test_display.py tests/test_dask.py \
    --ignore=tests/estimators/test_parity.py --ignore=tests/search/test_process.py --ignore=tests/search/test_choice.py \
    --ignore=tests/export/test_c_source.py --ignore=tests/cli/test_output.py --ignore=tests/cli/test_terminal.py
