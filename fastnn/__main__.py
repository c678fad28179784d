"""Where does ``python -m fastnn`` lead? To the command line in :mod:`fastnn.cli`."""

import sys

from fastnn.cli.main import main

sys.exit(main())
