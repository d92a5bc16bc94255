"""Brackets around blocks, inferred once for all engines.

Loose in: deltas may come without `BlockOpened` and `BlockClosed`, and kinds may alternate.
Strict out: every delta stands inside a block of its own kind, one block open at a time; empty
deltas are dropped, and so are arguments outside any call, which has no name to be inferred from. A
usage report inside a block waits for the block's end.
"""

from __future__ import annotations

from collections.abc import Iterable

from lingma_cli.core.events import (
    BlockClosed,
    BlockDelta,
    BlockKind,
    BlockOpened,
    ChatEvent,
    Failed,
    Finished,
    Started,
    UsageReported,
)


class BlockBrackets:
    """A stream's bracket state: feed loose events, get bracketed ones."""

    def __init__(self) -> None:
        self._open: BlockKind | None = None
        self._held_usage: UsageReported | None = None

    def feed(self, events: Iterable[ChatEvent]) -> list[ChatEvent]:
        """Return `events` with every missing bracket added and every stray one dropped."""
        out: list[ChatEvent] = []
        for event in events:
            match event:
                case BlockDelta(kind=kind, text=text):
                    if text and self._enter(kind, out):
                        out.append(event)
                case BlockOpened(kind=kind):
                    self._leave(out)
                    self._open = kind
                    out.append(event)
                case BlockClosed():
                    self._leave(out)
                case UsageReported() if self._open is not None:
                    self._held_usage = event
                case Started() | UsageReported() | Finished() | Failed():
                    self._leave(out)
                    out.append(event)
        return out

    def _enter(self, kind: BlockKind, out: list[ChatEvent]) -> bool:
        """Be in a block of `kind`; tell whether there is one."""
        if self._open is kind:
            return True
        if kind is BlockKind.TOOL_CALL:
            return False
        self._leave(out)
        self._open = kind
        out.append(BlockOpened(kind=kind))
        return True

    def _leave(self, out: list[ChatEvent]) -> None:
        if self._open is not None:
            self._open = None
            out.append(BlockClosed())
        if self._held_usage is not None:
            out.append(self._held_usage)
            self._held_usage = None
