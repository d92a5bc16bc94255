"""One exchange: the sealed events of one request."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Protocol

from lingma_cli.core.chat import ChatRequest
from lingma_cli.core.events import ChatEvent, Failed, Finished, Usage
from lingma_cli.core.grammar import Seal, broken_off
from lingma_cli.core.notes import Note
from lingma_cli.errors import LingmaError
from lingma_cli.gateway.records import RecordKeeper
from lingma_cli.transforms.counting import UsageCounter, estimate_input


class EventSource(Protocol):
    """Where the events of one exchange come from; see `engines.base.Ask`."""

    @property
    def notes(self) -> Sequence[Note]:
        """What was dropped or degraded so far."""
        ...

    async def next_batch(self) -> Sequence[ChatEvent]:
        """Return the next events; an empty batch is the end."""
        ...

    async def is_alive(self) -> bool:
        """Tell whether the engine gives a sign of life."""
        ...

    def abort(self, error: LingmaError) -> None:
        """End the events with `error` and stop the engine."""
        ...


class Stage(Protocol):
    """Something that changes events on their way; it may end the stream early."""

    @property
    def notes(self) -> Sequence[Note]:
        """What it has dropped or degraded so far."""
        ...

    def feed(self, events: Iterable[ChatEvent]) -> list[ChatEvent]:
        """Return what becomes of `events`."""
        ...


class LateStages:
    """Stages that are chosen when the first events come: only then it is clear who serves.

    Args:
        choose: returns them.
    """

    def __init__(self, choose: Callable[[], Sequence[Stage]]) -> None:
        self._choose = choose
        self._chosen: Sequence[Stage] | None = None

    @property
    def notes(self) -> Sequence[Note]:
        """What they have dropped or degraded so far."""
        return tuple(note for stage in self._chosen or () for note in stage.notes)

    def feed(self, events: Iterable[ChatEvent]) -> list[ChatEvent]:
        """Return what becomes of `events`."""
        if self._chosen is None:
            self._chosen = self._choose()
        passed = [*events]
        for stage in self._chosen:
            passed = stage.feed(passed)
        return passed


class Exchange:
    """The events of a request that an engine has taken.

    Args:
        request: as the client meant it.
        source: the engine's side.
        stages: what the events go through, in order.
        keeper: told of the first event.
    """

    def __init__(
        self,
        request: ChatRequest,
        source: EventSource,
        stages: Sequence[Stage],
        keeper: RecordKeeper,
    ) -> None:
        self._request = request
        self._source = source
        self._stages = stages
        self._keeper = keeper
        input_tokens = estimate_input(request.messages, request.tools)
        self._seal = Seal(request.model, input_tokens)
        self._counter = UsageCounter(input_tokens)
        self._remarks: list[Note] = []
        self.end: Finished | Failed | None = None

    def remark(self, note: Note) -> None:
        """Add to the record what happened outside."""
        self._remarks.append(note)

    @property
    def notes(self) -> Sequence[Note]:
        """What was dropped, degraded or estimated so far."""
        staged = (note for stage in self._stages for note in stage.notes)
        return (*self._request.notes, *self._source.notes, *staged, *self._remarks)

    @property
    def usage(self) -> Usage | None:
        """Token counts, once the engine has reported or we have estimated them."""
        return self._counter.usage

    def abort(self, error: LingmaError) -> None:
        """End the events with `error` and stop the engine."""
        self._source.abort(error)

    async def is_alive(self) -> bool:
        """Tell whether the engine gives a sign of life right now."""
        return await self._source.is_alive()

    async def next_batch(self) -> Sequence[ChatEvent]:
        """Return the next sealed events, empty after the end."""
        while self.end is None:
            try:
                loose = await self._source.next_batch() or [Failed(error=broken_off())]
            except LingmaError as error:
                loose = [Failed(error=error)]
            if batch := self._sealed(loose):
                self._keeper.heard()
                if isinstance(batch[-1], Finished | Failed):
                    self.end = batch[-1]
                return batch
        return []

    def _sealed(self, events: Sequence[ChatEvent]) -> list[ChatEvent]:
        for stage in self._stages:
            events = stage.feed(events)
        return self._seal.feed(self._counter.feed(events))
