"""Where is the command line? In main; parser, commands, output and terminal are its parts."""

from fastnn._lazy import submodules

__getattr__ = submodules(__name__)
