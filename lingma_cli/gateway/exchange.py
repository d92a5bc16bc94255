"""One exchange: the sealed events of one request, and the record of what became of it."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from lingma_cli.core.chat import ChatRequest
from lingma_cli.core.events import ChatEvent, Failed, Finished, Usage
from lingma_cli.core.grammar import Seal
from lingma_cli.core.notes import Note
from lingma_cli.core.record import Attempt, Record, Timings
from lingma_cli.engines.base import Ask
from lingma_cli.errors import LingmaError
from lingma_cli.transforms.counting import UsageCounter, estimate_input

Clock = Callable[[], float]


class RecordKeeper:
    """Gathers what a `Record` needs while an exchange goes on.

    Args:
        id_: the request id.
        caller: who asks, as a label.
        protocol: the protocol's name.
        clock: seconds, monotonic.
    """

    def __init__(self, id_: str, *, caller: str, protocol: str, clock: Clock) -> None:
        self._id, self._caller, self._protocol = id_, caller, protocol
        self._clock = clock
        self._entered = clock()
        self.queued: float | None = None
        self.leased: float | None = None
        self.first_event: float | None = None
        self.model = ""
        self.attempts: list[Attempt] = []

    def now(self) -> float:
        """Return seconds since the request entered."""
        return self._clock() - self._entered

    def finish(self, end: str, notes: Sequence[Note], usage: Usage | None) -> Record:
        """Return the record, with `end` as its last word."""
        return Record(
            id=self._id,
            caller=self._caller,
            protocol=self._protocol,
            model=self.model,
            engine=self.attempts[-1].engine if self.attempts else "",
            notes=tuple(notes),
            attempts=tuple(self.attempts),
            reuse="new session",
            timings=Timings(
                queued=self.queued,
                leased=self.leased,
                first_event=self.first_event,
                total=self.now(),
            ),
            usage=usage,
            end=end,
        )


class Exchange:
    """The events of a request that an engine has taken.

    Args:
        request: as the engine got it.
        ask: the engine's side.
        keeper: told of the first event.
    """

    def __init__(self, request: ChatRequest, ask: Ask, keeper: RecordKeeper) -> None:
        self._request = request
        self._ask = ask
        self._keeper = keeper
        self._seal = Seal(request.model)
        self._counter = UsageCounter(estimate_input(request.messages))
        self.end: Finished | Failed | None = None

    @property
    def notes(self) -> Sequence[Note]:
        """What was dropped, degraded or estimated so far."""
        return (*self._request.notes, *self._ask.notes)

    @property
    def usage(self) -> Usage | None:
        """Token counts, once the engine has reported or we have estimated them."""
        return self._counter.usage

    def abort(self, error: LingmaError) -> None:
        """End the events with `error` and stop the engine."""
        self._ask.abort(error)

    async def next_batch(self) -> Sequence[ChatEvent]:
        """Return the next sealed events, empty after the end."""
        while self.end is None:
            try:
                loose = await self._ask.next_batch()
            except LingmaError as error:
                loose = [Failed(error=error)]
            counted = self._counter.feed(loose)
            if batch := self._seal.feed(counted) if loose else self._seal.close():
                if self._keeper.first_event is None:
                    self._keeper.first_event = self._keeper.now()
                if isinstance(batch[-1], Finished | Failed):
                    self.end = batch[-1]
                return batch
        return []
