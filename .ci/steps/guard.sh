# The compiled core against NumPy, a ratio within one run.
"$WORK/user/bin/python" -m benchmarks.guard
