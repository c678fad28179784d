# The README's second command. No backend and no instruction set of this machine may go untested.
. "$WORK/user/bin/activate"
echo "\$ $README_TEST"
export FASTNN_REQUIRE=cython,numba,numpy PYTEST_ADDOPTS="--numprocesses=2 --durations=10 -q"
bash -euc "$README_TEST" | tee "$WORK/tests"
python .ci/tested.py "$WORK/tests"
