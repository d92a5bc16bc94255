"""What became of one exchange: the line in the log and the answer to "why was that so"."""

from __future__ import annotations

from dataclasses import dataclass

from lingma_cli.core.events import Usage
from lingma_cli.core.notes import Note


@dataclass(frozen=True, slots=True, kw_only=True)
class Attempt:
    """One try at an engine; `error` is empty when it served."""

    engine: str
    generation: int
    error: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Timings:
    """Seconds since the request entered: admitted, engine leased, first event, end."""

    queued: float | None = None
    leased: float | None = None
    first_event: float | None = None
    total: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Record:
    """What became of one exchange; logged as one line.

    `end` is `stop`, `length`, `tool_calls`, an error kind, or `cancelled` when the client left.
    `reuse` says why an upstream session was or was not continued.
    """

    id: str
    caller: str
    protocol: str
    model: str
    engine: str
    notes: tuple[Note, ...]
    attempts: tuple[Attempt, ...]
    reuse: str
    timings: Timings
    usage: Usage | None
    end: str
