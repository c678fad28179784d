# The README's first command, in an empty environment. The environment it leaves, $WORK/user, serves the tests.
"$PYTHON" -m venv "$WORK/user"
. "$WORK/user/bin/activate"
echo "\$ $README_INSTALL"
bash -euc "$README_INSTALL" | tee "$WORK/demo"
for backend in cython numba numpy scikit-learn; do
    grep -q "^  $backend  *[0-9]" "$WORK/demo" || { echo "the demo shows no time for $backend"; exit 1; }
done
[ -s fastnn-demo.png ] || { echo "the demo drew no loss curves"; exit 1; }
