"""Reasoning that the client did not ask to see: it leaves no trace but a note."""

from __future__ import annotations

from collections.abc import Iterable

from lingma_cli.core.events import BlockDelta, BlockKind, BlockOpened, ChatEvent
from lingma_cli.core.notes import Note, NoteCode


class HiddenReasoning:
    """Drops reasoning; its closing bracket, if any, is dropped by the seal as a stray one."""

    def __init__(self) -> None:
        self.notes: list[Note] = []

    def feed(self, events: Iterable[ChatEvent]) -> list[ChatEvent]:
        """Return `events` without reasoning."""
        given = list(events)
        shown = [event for event in given if not _is_reasoning(event)]
        if len(shown) < len(given) and not self.notes:
            self.notes.append(Note.of(NoteCode.REASONING_HIDDEN))
        return shown


def _is_reasoning(event: ChatEvent) -> bool:
    return isinstance(event, BlockOpened | BlockDelta) and event.kind is BlockKind.REASONING
