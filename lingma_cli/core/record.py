"""What became of one exchange: the line in the log and the answer to "why was that so"."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum
from typing import Final

from lingma_cli.core.events import Usage
from lingma_cli.core.gaps import Gaps
from lingma_cli.core.notes import Note


@dataclass(frozen=True, slots=True, kw_only=True)
class Attempt:
    """One try at an engine; `error` is empty when it served."""

    engine: str
    generation: int
    error: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Timings:
    """Seconds since the request entered: admitted, engine leased, first event, end.

    `gaps` are the pauses between its chunks; two timings are equal without regard to them.
    """

    queued: float | None = None
    leased: float | None = None
    first_event: float | None = None
    total: float = 0.0
    gaps: Gaps = field(default=Gaps(), compare=False)


class ReuseReason(Enum):
    """Why a turn went on in a session of its engine, or did not."""

    CONTINUED = "the conversation is known"
    REWRITTEN = "known but for the last answer, of which one version is known"
    OFF = "switched off"
    PARKED = "an ask that waited for results goes on"
    NOT_SEATED = "no engine was chosen"
    NO_MEMORY = "the engine keeps no sessions"
    TOOLS = "tools are on offer or in the history"
    AGENT_MODE = "agent mode"
    NO_QUESTION = "something else than a user turn stands at the end"
    FIRST_TURN = "the first turn"
    UNKNOWN = "nothing is known of this caller's conversations"
    DIFFERS = "the first message unlike what is known"
    AMBIGUOUS = "several versions of the last answer are known, and none is this one"
    MOVED_ON = "the session has gone on from there"
    OTHER_SETTINGS = "it was held with another model or output format"
    ENGINE_CHANGED = "its engine was started again, or cannot serve now"
    SESSION_LOST = "the engine did not go on in the session"


_HITS: Final = frozenset({ReuseReason.CONTINUED, ReuseReason.REWRITTEN})


@dataclass(frozen=True, slots=True, kw_only=True)
class Reuse:
    """Whether a turn went on in a session of its engine, and why.

    Attributes:
        reason: from the closed list.
        message: index in the request's messages, system turns included, of the first that differs
            from what is known.
        role: whose message that is.
    """

    reason: ReuseReason
    message: int | None = None
    role: str = ""

    @property
    def is_hit(self) -> bool:
        """Tell whether only the new turn was sent."""
        return self.reason in _HITS

    def __str__(self) -> str:
        where = "" if self.message is None else f": messages[{self.message}] ({self.role})"
        return f"{'reused' if self.is_hit else 'new session'}: {self.reason.value}{where}"


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
    reuse: Reuse
    timings: Timings
    usage: Usage | None
    end: str
