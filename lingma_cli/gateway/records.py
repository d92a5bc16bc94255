"""The record of an exchange: kept while it goes on, and written to the log as one line."""

from __future__ import annotations

import logging
from collections.abc import Callable, Collection, Sequence
from dataclasses import replace
from typing import Any, Final

from lingma_cli.core.events import Usage
from lingma_cli.core.gaps import GapCounter
from lingma_cli.core.notes import Note, codes
from lingma_cli.core.record import Attempt, Record, Reuse, ReuseReason, Timings
from lingma_cli.errors import ErrorKind, LingmaError

_log: Final = logging.getLogger(__name__)
_AWAY: Final = ErrorKind.ENGINE_UNAVAILABLE.value

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
        self.reuse = Reuse(reason=ReuseReason.NOT_SEATED)
        self.attempts: list[Attempt] = []
        self._gaps = GapCounter()

    def now(self) -> float:
        """Return seconds since the request entered."""
        return self._clock() - self._entered

    @property
    def tried(self) -> Collection[str]:
        """Names of the engines that were asked."""
        return {attempt.engine for attempt in self.attempts}

    @property
    def away(self) -> Collection[str]:
        """Names of those of them that were not there, and may be back."""
        were_there = {one.engine for one in self.attempts if one.error != _AWAY}
        return {name for name in self.tried if name not in were_there}

    def seated(self, model: str, engine: str, generation: int) -> None:
        """Note that an attempt begins; the first one ends the wait for an engine."""
        self.model = model
        if self.leased is None:
            self.leased = self.now()
        self.attempts.append(Attempt(engine=engine, generation=generation))

    def heard(self) -> None:
        """Note that events have come."""
        now = self.now()
        if self.first_event is None:
            self.first_event = now
        self._gaps.mark(now)

    def attempt_failed(self, error: LingmaError) -> None:
        """Note what the last attempt ended with, if there was one."""
        if self.attempts:
            self.attempts[-1] = replace(self.attempts[-1], error=error.kind.value)

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
            reuse=self.reuse,
            timings=Timings(
                queued=self.queued,
                leased=self.leased,
                first_event=self.first_event,
                total=self.now(),
                gaps=self._gaps.gaps(),
            ),
            usage=usage,
            end=end,
        )


def log_record(record: Record) -> None:
    """Write one line about a finished exchange."""
    _log.info("%s %s", record.protocol, record.end, extra={"values": _flat(record)})


def _flat(record: Record) -> dict[str, Any]:
    timings, usage = record.timings, record.usage
    seconds = {
        "queued_s": timings.queued,
        "leased_s": timings.leased,
        "first_event_s": timings.first_event,
        "total_s": timings.total,
    }
    return {
        "caller": record.caller,
        "model": record.model,
        "engine": record.engine,
        "end": record.end,
        "notes": ",".join(codes(record.notes)),
        "attempts": len(record.attempts),
        "tried": ",".join(map(_life, record.attempts)),
        "reuse": str(record.reuse),
        "input_tokens": usage.input_tokens if usage else None,
        "output_tokens": usage.output_tokens if usage else None,
    } | {name: round(value, 4) for name, value in seconds.items() if value is not None}


def _life(attempt: Attempt) -> str:
    """Return an attempt as `engine#generation`, and what it failed with."""
    told = f"{attempt.engine}#{attempt.generation}"
    return f"{told}:{attempt.error}" if attempt.error else told
