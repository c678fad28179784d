"""Where does ``python -m fastnn`` lead? To the command line in :mod:`fastnn.cli`."""

import sys

from fastnn.cli.process import start

sys.exit(start())
