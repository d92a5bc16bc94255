"""What a scrape shows of the server at one moment, as plain values."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType


@dataclass(frozen=True, slots=True, kw_only=True)
class EngineValues:
    """One engine.

    Attributes:
        state: the word for where it is in its life.
        in_flight: requests that it serves now.
        generation: how often it has got ready.
        answered: requests that it finished well.
        breaker: the word for what its circuit breaker does: `closed`, `open` or `half_open`.
        cooldown: seconds that it still rests after its quota was used up.
    """

    name: str
    state: str
    is_ready: bool
    in_flight: int = 0
    generation: int = 0
    answered: int = 0
    breaker: str = "closed"
    cooldown: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class SessionCacheValues:
    """The upstream sessions that are kept.

    Attributes:
        hits: turns that went on in one.
        misses: turns that looked for one in vain.
        reasons: how many turns were dealt with for which reason, out of a closed list.
    """

    hits: int = 0
    misses: int = 0
    entries: int = 0
    bytes: int = 0
    reasons: Mapping[str, int] = field(default_factory=lambda: MappingProxyType({}))


@dataclass(frozen=True, slots=True, kw_only=True)
class Snapshot:
    """All of it.

    Attributes:
        in_flight: requests inside.
        queued: requests that wait at the door.
        rejected: requests that were sent away there, since the start.
        limit: how many may be inside, 0 for any number.
        parked: answers that wait for a client's tool results.
    """

    in_flight: int = 0
    queued: int = 0
    rejected: int = 0
    limit: int = 0
    parked: int = 0
    engines: tuple[EngineValues, ...] = ()
    sessions: SessionCacheValues = SessionCacheValues()
