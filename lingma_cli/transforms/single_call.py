"""One call an answer, for clients that can take no more, wherever the calls come from."""

from __future__ import annotations

from collections.abc import Iterable

from lingma_cli.core.events import BlockDelta, BlockKind, BlockOpened, ChatEvent
from lingma_cli.core.notes import Note, NoteCode


class SingleCall:
    """Drops calls after the first; the seal drops their closing brackets as stray ones."""

    def __init__(self) -> None:
        self.notes: list[Note] = []
        self._has_call = False
        self._drops = False

    def feed(self, events: Iterable[ChatEvent]) -> list[ChatEvent]:
        """Return `events` with at most one call."""
        return [event for event in events if not self._is_dropped(event)]

    def _is_dropped(self, event: ChatEvent) -> bool:
        match event:
            case BlockOpened(kind=BlockKind.TOOL_CALL):
                self._drops, self._has_call = self._has_call, True
                if self._drops and not self.notes:
                    self.notes.append(Note.of(NoteCode.CALLS_DROPPED))
                return self._drops
            case BlockDelta(kind=BlockKind.TOOL_CALL):
                return self._drops
            case _:
                return False
