"""One question and its answer, shown while it comes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from typing import Final

from lingma_cli.client.server import Answer
from lingma_cli.core.collect import Collector
from lingma_cli.core.events import BlockClosed
from lingma_cli.core.notes import NoteCode
from lingma_cli.protocols.client.openai_chat import Turn
from lingma_cli.repl.view import View

_ON_USAGE: Final = NoteCode.USAGE_ESTIMATED.value

Chat = Callable[[Sequence[Turn]], AbstractContextManager[Answer]]


@dataclass(slots=True, kw_only=True)
class Reply:
    """What came of one question; after an interruption, what had come by then."""

    collected: Collector = field(default_factory=Collector)
    notes: tuple[str, ...] = ()

    @property
    def is_estimated(self) -> bool:
        """Whether the token counts are an estimate."""
        return _ON_USAGE in self.notes

    def remarks(self) -> tuple[str, ...]:
        """Return the notes that matter to a reader of the answer, which shows no token counts."""
        return tuple(note for note in self.notes if note != _ON_USAGE)


def ask(chat: Chat, turns: Sequence[Turn], reply: Reply, view: View | None = None) -> None:
    """Ask, show the events in `view` and fold them into `reply` as they come.

    Raises:
        LingmaError: the answer did not begin or did not end well; what came of it is in `reply`.
    """
    with chat(turns) as answer:
        reply.notes = answer.notes
        try:
            for event in answer.events:
                reply.collected.feed((event,))
                if view is not None:
                    view.feed(event)
        finally:
            reply.collected.feed((BlockClosed(),))
            if view is not None:
                view.end()
