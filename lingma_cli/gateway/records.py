"""The record of an exchange: kept while it goes on, and written to the log as one line."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any, Final

from lingma_cli.core.events import Usage
from lingma_cli.core.notes import Note, codes
from lingma_cli.core.record import Attempt, Record, Timings
from lingma_cli.errors import LingmaError

_log: Final = logging.getLogger(__name__)

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
        "reuse": record.reuse,
        "input_tokens": usage.input_tokens if usage else None,
        "output_tokens": usage.output_tokens if usage else None,
    } | {name: round(value, 4) for name, value in seconds.items() if value is not None}
