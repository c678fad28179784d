"""Did a test pass on every backend and instruction set of this machine? Reads pytest's output."""

import re
import sys
from pathlib import Path

sys.path.insert(0, "tests")  # as pytest does, for tests/support
from support import instruction_sets

import fastnn

(line,) = re.findall(r"^tested backends: (.*)$", Path(sys.argv[1]).read_text(), re.MULTILINE)
tested = set(line.split(", "))
config = fastnn.show_config(mode="dicts")
available = config["instruction sets"]["available"]
expected = {
    "numpy",
    "numba",
    *(f"cython[{name}]" for name in instruction_sets.tested(tuple(available))),
}
if missing := expected - tested:
    sys.exit(f"untested: {', '.join(sorted(missing))} (tested: {line})")
print(f"tested: {line}")
