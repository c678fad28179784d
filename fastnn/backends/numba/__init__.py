"""How is a network run by Numba? By kernels that are compiled when they are first called."""

from fastnn._optional import install

try:
    import numba  # noqa: F401  every module of this package needs it
except ImportError as error:
    raise ImportError(
        f"it needs Numba, which cannot be imported ({error}): {install('numba')}"
    ) from error
