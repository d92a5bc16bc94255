"""The token limit of a request, applied to the answer by our own estimate."""

from __future__ import annotations

import copy
from collections.abc import Iterable

from lingma_cli.core.events import (
    BlockClosed,
    BlockDelta,
    BlockKind,
    BlockOpened,
    ChatEvent,
    Finished,
    FinishReason,
)
from lingma_cli.core.notes import Note, NoteCode
from lingma_cli.transforms.counting import TokenEstimate


class TokenLimit:
    """Ends a stream where its text and reasoning go beyond the limit.

    Calls count too, but none is cut: the stream ends after it, at the next thing that comes.

    Args:
        max_tokens: at least 1.

    Attributes:
        ended: whether the stream was cut; everything after the cut is dropped.
        notes: tells of the cut.
    """

    def __init__(self, max_tokens: int) -> None:
        self._max = max_tokens
        # Two sums, as the usage that is reported later has two.
        self._output = TokenEstimate()
        self._reasoning = TokenEstimate()
        self._in_block = False
        self.ended = False
        self.notes: list[Note] = []

    def feed(self, events: Iterable[ChatEvent]) -> list[ChatEvent]:
        """Return what of `events` the limit lets through."""
        out: list[ChatEvent] = []
        for event in events:
            if self.ended:
                break
            match event:
                case BlockDelta(kind=BlockKind.TOOL_CALL, text=text):
                    self._output.add(text)
                case BlockDelta(kind=kind, text=text):
                    self._limit(kind, text, event, out)
                    continue
                case BlockOpened() if self._tokens > self._max:
                    self._end(out)
                    continue
                case BlockOpened() | BlockClosed():
                    self._in_block = isinstance(event, BlockOpened)
                case _:
                    pass
            out.append(event)
        return out

    @property
    def _tokens(self) -> int:
        return self._output.tokens + self._reasoning.tokens

    def _limit(self, kind: BlockKind, text: str, event: ChatEvent, out: list[ChatEvent]) -> None:
        fitting = self._fitting(kind, text)
        if fitting == len(text):
            out.append(event)
            return
        if fitting:
            out.append(BlockDelta(kind=kind, text=text[:fitting]))
        self._end(out)

    def _fitting(self, kind: BlockKind, text: str) -> int:
        """Count `text` in and return how many of its characters fit."""
        estimate = self._reasoning if kind is BlockKind.REASONING else self._output
        tokens = self._tokens
        if tokens + len(text) < self._max - 1:
            # No character is more than a token, and rounding adds less than one.
            estimate.add(text)
            return len(text)
        others = tokens - estimate.tokens
        before = copy.copy(estimate)
        estimate.add(text)
        if self._tokens <= self._max:
            return len(text)
        fits, too_many = 0, len(text)
        while too_many - fits > 1:
            middle = (fits + too_many) // 2
            probe = copy.copy(before)
            probe.add(text[:middle])
            if probe.tokens + others <= self._max:
                fits = middle
            else:
                too_many = middle
        return fits

    def _end(self, out: list[ChatEvent]) -> None:
        if self._in_block:
            out.append(BlockClosed())
        out.append(Finished(reason=FinishReason.LENGTH))
        self.ended = True
        self.notes.append(Note.of(NoteCode.MAX_TOKENS_ESTIMATED))
