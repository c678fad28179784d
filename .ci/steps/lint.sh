# The linters of pyproject.toml's extra "dev", each pinned there. Nothing is compiled for them.
"$PYTHON" -m venv "$WORK/lint"
. "$WORK/lint/bin/activate"
CC=/bin/false CXX=/bin/false pip install --editable ".[dev]"
ruff check .
ruff format --check .
mypy
