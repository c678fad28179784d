"""Does the wheel hold what it should, and does it work away from the sources?

Run where it is installed, in an empty folder.
"""

import sys
import zipfile
from pathlib import Path

import numpy as np

import fastnn

wheel = Path(sys.argv[1])
assert wheel.stat().st_size < 3 * 2**20, (
    f"{wheel.name} has {wheel.stat().st_size} bytes, more than 3 MB"
)
names = zipfile.ZipFile(wheel).namelist()
sources = [name for name in names if name.endswith((".pyx", ".c", ".h", ".inc"))]
assert not sources, f"the wheel holds sources: {sources}"
assert "fastnn/py.typed" in names
assert any(name.startswith("fastnn/backends/_core.") for name in names), (
    "the wheel holds no extension"
)
outside = {name.split("/")[0] for name in names} - {
    "fastnn",
    "fastnn.libs",  # what repairing a wheel may put beside the package
    f"fastnn-{fastnn.__version__}.dist-info",
}
assert not outside, f"the wheel installs more than fastnn: {outside}"
assert "site-packages" in fastnn.__file__, f"fastnn was imported from {fastnn.__file__}"

fastnn.show_config()
X = np.random.default_rng(0).normal(size=(500, 5))
y = X[:, 0] * X[:, 1] > 0
for dtype in (np.float32, np.float64):
    model = fastnn.MLPClassifier(max_iter=400, random_state=0, backend="cython").fit(
        X.astype(dtype), y
    )
    accuracy = model.score(X.astype(dtype), y)
    assert accuracy > 0.9, accuracy
    print(f"{np.dtype(dtype)}: accuracy {accuracy:.3f} after {model.n_iter_} compiled epochs")
