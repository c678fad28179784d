"""How does a command report its progress? To a reporter; this base class shows nothing."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from typing import Any


class Reporter:
    """What a command tells its caller before it returns; subclasses show it."""

    def note(self, message: str) -> None:
        """Take a sentence that the user should know."""

    def detail(self, message: str) -> None:
        """Take a sentence for those who want to know more."""

    def show(self, text: str) -> None:
        """Take a part of the result, as text, before the whole is there."""

    def busy(self, what: str) -> AbstractContextManager[None]:
        """Say what is being done in the body."""
        return nullcontext()

    def training(self, n_epochs: int) -> AbstractContextManager[None]:
        """Follow the fit in the body, of at most ``n_epochs`` passes."""
        return nullcontext()

    def exploring(self, search: Any) -> AbstractContextManager[None]:
        """Follow ``search``, a TradeoffSearchCV, while the body fits it."""
        return nullcontext()
