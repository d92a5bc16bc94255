"""The stage that tells whose login is missing, and what to run."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

from lingma_cli.core.events import ChatEvent, Failed
from lingma_cli.core.notes import Note
from lingma_cli.errors import LingmaError


class LoginAdvice:
    """Puts the pool's advice into the error that ends an answer.

    Args:
        advised: returns an error with the advice in it, if it needs any.
    """

    notes: Sequence[Note] = ()

    def __init__(self, advised: Callable[[LingmaError], LingmaError]) -> None:
        self._advised = advised

    def feed(self, events: Iterable[ChatEvent]) -> list[ChatEvent]:
        """Return `events` with that error in its place."""
        return [
            Failed(error=self._advised(event.error)) if isinstance(event, Failed) else event
            for event in events
        ]
