# The wheel with the oldest packages allowed, each backend on one instruction set. Left out are parity with
# scikit-learn 1.9 and the test that reads the sources; what newer packages deprecate is let pass.
"$PYTHON" -m venv "$WORK/oldest"
. "$WORK/oldest/bin/activate"
pip install --constraint .ci/oldest.txt "$(echo "$WORK"/dist/*.whl)[test]"
mkdir "$WORK/old"
cp -r pyproject.toml README.md docs tests "$WORK/old"
cd "$WORK/old"
FASTNN_REQUIRE=cython,numba,numpy FASTNN_TEST_BACKENDS=cython,numba,numpy \
    pytest -q -W default --numprocesses=2 --ignore=tests/estimators/test_parity.py --ignore=tests/test_architecture.py
