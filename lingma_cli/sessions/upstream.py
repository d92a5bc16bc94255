"""Sessions that engines keep for us, by the conversation that each of them knows.

A session is taken out for the turn that goes on in it and put back, under the longer conversation,
when that turn has ended well: nobody else can go on from a state that is gone. Must not know what
an engine is; whoever makes this is told of each session that nobody will ask for any more.
"""

from __future__ import annotations

from collections import OrderedDict, defaultdict
from collections.abc import Callable, Collection
from dataclasses import dataclass
from typing import Final

from lingma_cli.core.record import ReuseReason
from lingma_cli.sessions.keys import Conversation

# What an entry takes besides its digests and names: objects, and its place in two tables.
_ENTRY_BYTES: Final = 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class SessionLimits:
    """How many sessions may be kept, for how many seconds, and in how much memory."""

    entries: int
    seconds: float
    bytes: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Pin:
    """A session, and the one life of the one engine that knows it.

    `model` is the engine's key of the model that holds the conversation.
    """

    engine: str
    generation: int
    session: str
    model: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """What was found for a conversation.

    Attributes:
        reason: why there is a pin or none.
        pin: the session to go on in.
        turn: index of the first turn that differs from what is known.
    """

    reason: ReuseReason
    pin: Pin | None = None
    turn: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class _Entry:
    conversation: Conversation
    pin: Pin
    since: float
    size: int


class UpstreamSessions:
    """All sessions that are kept, the oldest first.

    Args:
        limits: see `SessionLimits`.
        clock: seconds, never going back.
        on_drop: told each session that is given up, once; not one that was taken.
    """

    def __init__(
        self, limits: SessionLimits, clock: Callable[[], float], on_drop: Callable[[Pin], None]
    ) -> None:
        self.limits = limits
        self.bytes = 0
        self._clock = clock
        self._on_drop = on_drop
        self._entries: OrderedDict[bytes, _Entry] = OrderedDict()
        # By owner, so that what it costs to look has to do with the caller's own entries only.
        self._owned: defaultdict[bytes, dict[bytes, _Entry]] = defaultdict(dict)

    def __len__(self) -> int:
        return len(self._entries)

    def put(self, conversation: Conversation, pin: Pin) -> None:
        """Keep a session that knows exactly `conversation`; the oldest ones make room."""
        key = conversation.key
        if key in self._entries:
            self._drop(key)
        digests = len(conversation.turns) + len(conversation.roles)
        names = len(pin.engine) + len(pin.session) + len(pin.model)
        entry = _Entry(
            conversation=conversation,
            pin=pin,
            since=self._clock(),
            size=_ENTRY_BYTES + digests + names,
        )
        self._entries[key] = self._owned[conversation.owner][key] = entry
        self.bytes += entry.size
        while len(self._entries) > self.limits.entries or self.bytes > self.limits.bytes:
            self._drop(next(iter(self._entries)))

    def take(self, conversation: Conversation) -> Found:
        """Take out the session that knows all but the last turns of `conversation`.

        Clients trim answers: if only the last one differs, and no other version of it is known
        than the one in a session, that session is taken.
        """
        self.expire()
        known = conversation.answered
        if known.key in self._entries:
            return Found(reason=ReuseReason.CONTINUED, pin=self._remove(known.key).pin)
        own = self._owned.get(conversation.owner)
        if own is None:
            return Found(reason=ReuseReason.UNKNOWN)
        turn = max(one.conversation.shared(known) for one in own.values())
        alike = [one for one in own.values() if one.conversation.scope == known.scope]
        if turn == len(known):
            went_on = any(one.conversation.shared(known) == turn for one in alike)
            reason = ReuseReason.MOVED_ON if went_on else ReuseReason.OTHER_SETTINGS
            return Found(reason=reason)
        last = len(known) - 1
        near = [one.conversation for one in alike if one.conversation.shared(known) == last]
        answers = {one.answer(last) for one in near} - {None}
        if len(answers) > 1:
            return Found(reason=ReuseReason.AMBIGUOUS, turn=turn)
        if ends := [one for one in near if one.answer(last) and len(one) == len(known)]:
            pin = self._remove(ends[0].key).pin
            return Found(reason=ReuseReason.REWRITTEN, pin=pin, turn=turn)
        return Found(reason=ReuseReason.DIFFERS, turn=turn)

    def expire(self, engines: Collection[str] | None = None) -> None:
        """Give up all sessions whose time is up, and those of engines that are not in `engines`."""
        latest = self._clock() - self.limits.seconds
        while self._entries:
            key, entry = next(iter(self._entries.items()))
            if entry.since > latest:
                break
            self._drop(key)
        if engines is not None:
            gone = [key for key, one in self._entries.items() if one.pin.engine not in engines]
            for key in gone:
                self._drop(key)

    def clear(self) -> None:
        """Give up all sessions."""
        while self._entries:
            self._drop(next(iter(self._entries)))

    def _drop(self, key: bytes) -> None:
        self._on_drop(self._remove(key).pin)

    def _remove(self, key: bytes) -> _Entry:
        entry = self._entries.pop(key)
        self.bytes -= entry.size
        owner = entry.conversation.owner
        del self._owned[owner][key]
        if not self._owned[owner]:
            del self._owned[owner]
        return entry
