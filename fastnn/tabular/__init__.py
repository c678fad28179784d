"""How does a table of mixed columns become numbers, and back?"""

from fastnn._lazy import submodules

__getattr__ = submodules(__name__)
