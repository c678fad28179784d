"""What can be done from the command line? ``fastnn`` and ``python -m fastnn``."""
