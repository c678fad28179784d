"""How does the process of the command line begin? With what has to be set before all imports."""

from __future__ import annotations

import os


def start() -> int:
    """Run the command line; the exit status."""
    # Threads of OpenMP that wait let others run. On a busy machine trees else take 50 times as
    # long: 13 s for 60 rows, measured.
    os.environ.setdefault("OMP_WAIT_POLICY", "passive")
    from fastnn.cli.main import main

    return main()
