"""An engine's ask with its tools read: calls in the text become calls, and a demanded call is had.

A demand (`required` or a named tool) is met on a buffered turn: nothing is sent until the answer
is whole; when it holds no call it is read as one, and put once more in firmer words.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import Final

from lingma_cli.core.chat import Tool, ToolRoute
from lingma_cli.core.events import (
    BlockClosed,
    BlockDelta,
    BlockKind,
    BlockOpened,
    ChatEvent,
    Failed,
    Finished,
    FinishReason,
    Started,
    UsageReported,
)
from lingma_cli.core.grammar import broken_off
from lingma_cli.core.ids import NewId
from lingma_cli.core.notes import Note, NoteCode
from lingma_cli.engines.base import Ask
from lingma_cli.errors import LingmaError
from lingma_cli.transforms.forced_tool import parse_forced
from lingma_cli.transforms.tool_text import ToolTextTransform

_CALLED: Final = Finished(reason=FinishReason.TOOL_CALLS)


class ToolAsk:
    """One turn of an ask.

    Args:
        ask: the engine's.
        reader: reads calls out of the text; `None` when none are expected there.
        told: what was degraded when the question was put.
    """

    def __init__(
        self, ask: Ask, reader: ToolTextTransform | None, told: Sequence[Note] = ()
    ) -> None:
        self.ask = ask
        self._told = told
        self.learnt: ToolRoute | None = None
        self._reader = reader
        self._has_ended = False

    @property
    def notes(self) -> Sequence[Note]:
        """What was dropped or degraded so far."""
        return (*self._told, *self.ask.notes, *(self._reader.notes if self._reader else ()))

    async def is_alive(self) -> bool:
        """Tell whether the engine gives a sign of life."""
        return await self.ask.is_alive()

    def abort(self, error: LingmaError) -> None:
        """End the events with `error` and stop the engine."""
        self.ask.abort(error)

    async def next_batch(self) -> Sequence[ChatEvent]:
        """Return the next events; an empty batch is the end."""
        while events := await self.ask.next_batch():
            if any(_is_call(event) for event in events):
                self.learnt = ToolRoute.NATIVE
            if self._reader is None:
                return events
            self._has_ended = isinstance(events[-1], Finished | Failed)
            read = self._reader.feed(events)
            if self._reader.calls and self.learnt is None:
                self.learnt = ToolRoute.PROMPT
            if read:
                return read
        if self._reader is None or self._has_ended:
            return ()
        # The reader may hold text back, which comes before the bad end.
        self._has_ended = True
        return self._reader.feed([Failed(error=broken_off())])


class DemandedAsk:
    """A turn that must be a call.

    Args:
        first: the turn as it was put.
        again: leaves it and puts it in firmer words; `None` when that is no use.
        tool: the only tool that may be called, if there is only one; no other's call will do.
        new_call_id: makes the id of a call that is read out of a whole answer.
    """

    def __init__(
        self,
        first: ToolAsk,
        again: Callable[[], Awaitable[ToolAsk]] | None,
        *,
        tool: Tool | None,
        new_call_id: NewId,
    ) -> None:
        self._turn = first
        self._again = again
        self._tool = tool
        self._new_call_id = new_call_id
        self._is_given = False
        self._aborted_by: LingmaError | None = None
        self._notes: list[Note] = []

    @property
    def ask(self) -> Ask:
        """The engine's ask that counts in the end."""
        return self._turn.ask

    @property
    def learnt(self) -> ToolRoute | None:
        """How the call came."""
        return self._turn.learnt

    @property
    def notes(self) -> Sequence[Note]:
        """What was dropped or degraded so far."""
        return (*self._turn.notes, *self._notes)

    async def is_alive(self) -> bool:
        """Tell whether the engine gives a sign of life."""
        return await self._turn.is_alive()

    def abort(self, error: LingmaError) -> None:
        """End the events with `error` and stop the engine."""
        self._again, self._aborted_by = None, error
        self._turn.abort(error)

    async def next_batch(self) -> Sequence[ChatEvent]:
        """Return the whole turn, once."""
        if self._is_given:
            return ()
        self._is_given = True
        events = self._read(await self._whole())
        if self._again is not None and not self._is_settled(events):
            self._notes.append(Note.of(NoteCode.TOOL_RETRIED))
            self._turn = await self._again()
            if self._aborted_by is not None:
                self._turn.abort(self._aborted_by)
            events = self._read(await self._whole())
        if not self._is_settled(events):
            self._notes.append(Note.of(NoteCode.TOOL_CHOICE_UNMET))
        return events

    def _is_settled(self, events: Sequence[ChatEvent]) -> bool:
        """Tell whether `events` hold such a call, or an error that no second try would cure."""
        name = self._tool.name if self._tool is not None else None
        return any(_is_call(event, name) or isinstance(event, Failed) for event in events)

    async def _whole(self) -> list[ChatEvent]:
        events: list[ChatEvent] = []
        while batch := await self._turn.next_batch():
            events += batch
            if isinstance(batch[-1], Finished | Failed):
                break
        return events

    def _read(self, events: list[ChatEvent]) -> list[ChatEvent]:
        """Read the whole text as a call of the one tool, if it is one."""
        if self._tool is None or any(_is_call(one) or isinstance(one, Failed) for one in events):
            return events
        deltas = [event for event in events if isinstance(event, BlockDelta)]
        text = "".join(delta.text for delta in deltas if delta.kind is BlockKind.TEXT)
        arguments = parse_forced(text, self._tool)
        if arguments is None:
            return events
        kind, call_id = BlockKind.TOOL_CALL, self._new_call_id()
        kept = [event for event in events if _is_beside_the_text(event)]
        return [
            *kept,
            BlockOpened(kind=kind, call_id=call_id, name=self._tool.name),
            BlockDelta(kind=kind, text=arguments),
            BlockClosed(),
            _CALLED,
        ]


def _is_call(event: ChatEvent, name: str | None = None) -> bool:
    """Tell whether a call begins, of the tool `name` if one is given."""
    if not isinstance(event, BlockOpened) or event.kind is not BlockKind.TOOL_CALL:
        return False
    return name in (None, event.name)


def _is_beside_the_text(event: ChatEvent) -> bool:
    if isinstance(event, BlockDelta):
        return event.kind is BlockKind.REASONING
    return isinstance(event, Started | UsageReported)
