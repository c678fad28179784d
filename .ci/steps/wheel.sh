# An sdist, a wheel from that sdist, and the wheel at work in an empty environment away from the sources.
"$PYTHON" -m venv "$WORK/builder"
"$WORK/builder/bin/pip" install build
"$WORK/builder/bin/python" -m build --outdir "$WORK/dist" . > "$WORK/build" || { cat "$WORK/build"; exit 1; }
ls -l "$WORK/dist"
"$PYTHON" -m venv "$WORK/wheel"
"$WORK/wheel/bin/pip" install "$WORK"/dist/*.whl
mkdir "$WORK/empty"
cd "$WORK/empty"
"$WORK/wheel/bin/python" "$WORK/fastnn/.ci/wheel.py" "$WORK"/dist/*.whl
