# Without a C compiler installing succeeds, says so, and what it installs works.
"$PYTHON" -m venv "$WORK/pure"
CC=/bin/false CXX=/bin/false "$WORK/pure/bin/pip" install .
cd "$WORK/pure"
bin/fastnn info | tee "$WORK/info"
grep -q '^  cython  *not usable: ' "$WORK/info" || { echo "the extension was built by /bin/false?"; exit 1; }
bin/python -c "
import fastnn
model = fastnn.MLPRegressor(solver='lbfgs', random_state=0).fit([[0.0], [1.0], [2.0]], [0.0, 1.0, 2.0])
print('fitted without the extension:', model.predict([[1.5]]))"
