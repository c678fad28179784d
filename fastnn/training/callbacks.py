"""Who watches a fit? Callbacks with one method per pass, which may stop it."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from contextvars import ContextVar
from typing import Any, Protocol

_WATCHING: ContextVar[tuple[Callback, ...]] = ContextVar("_WATCHING", default=())


class Callback(Protocol):
    """Watches a fit."""

    def on_pass_end(self, loop: Any) -> bool | None:
        """Look at ``loop`` after a pass; True stops the fit."""


@contextlib.contextmanager
def watched_by(*callbacks: Callback) -> Iterator[None]:
    """Let ``callbacks`` watch every fit of this thread in the body."""
    token = _WATCHING.set((*_WATCHING.get(), *callbacks))
    try:
        yield
    finally:
        _WATCHING.reset(token)
