"""Conversations that go on in a session of their engine, so that only the new turn is sent.

Who may: chat mode without tools, from the second turn on, if the engine keeps sessions. A session
is kept after a clean end only; each that is given up is removed upstream.
"""

from __future__ import annotations

import asyncio
from collections import Counter, deque
from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Final, Protocol, runtime_checkable

from lingma_cli.control.registry import Registry, Slot
from lingma_cli.core.chat import (
    AskMode,
    ChatRequest,
    Message,
    Role,
    ToolOutputPart,
    ToolUsePart,
)
from lingma_cli.core.events import (
    BlockDelta,
    BlockKind,
    ChatEvent,
    Failed,
    Finished,
    FinishReason,
)
from lingma_cli.core.login import LoginState
from lingma_cli.core.notes import Note
from lingma_cli.core.record import Record, Reuse, ReuseReason
from lingma_cli.engines.base import Ask
from lingma_cli.errors import ErrorKind, LingmaError
from lingma_cli.gateway.tool_asks import ToolAsk
from lingma_cli.sessions.keys import Conversation, Fingerprints, Scope, turn_starts
from lingma_cli.sessions.upstream import Pin, SessionLimits, UpstreamSessions

_SWEEP_SECONDS: Final = 1.0
_LAST_TURNS: Final = 20
# Names of models that no engine has are the client's.
_LONGEST_NAME: Final = 100
_CLEAN: Final = Finished(reason=FinishReason.STOP)


@runtime_checkable
class KeepsSessions(Protocol):
    """An engine that remembers conversations, beside what every engine is."""

    def drop_session(self, session: str) -> None:
        """Forget a session that nobody asks in, if the engine can be told now."""
        ...


@runtime_checkable
class SessionAsk(Protocol):
    """An ask of such an engine."""

    def keep_session(self) -> str | None:
        """Keep the ask's session when it is left, and return its id; `None` if it is no good."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class PastTurn:
    """What became of one turn; `id` is the request's."""

    id: str
    model: str
    engine: str
    reuse: Reuse


class SessionReuse:
    """Which conversation goes on in which session.

    Attributes:
        counts: how many turns had which reason.
        last: the latest turns, the oldest first.

    Args:
        registry: the pool.
        limits: of what is kept; `None` keeps nothing.
        secret: random bytes of this run.
        clock: seconds, monotonic.
    """

    def __init__(
        self,
        registry: Registry,
        limits: SessionLimits | None,
        *,
        secret: bytes,
        clock: Callable[[], float],
    ) -> None:
        self.counts: Counter[ReuseReason] = Counter()
        self.last: deque[PastTurn] = deque(maxlen=_LAST_TURNS)
        self.sessions: UpstreamSessions | None = None
        if limits is not None:
            self.sessions = UpstreamSessions(limits, clock, self.drop)
        self._registry = registry
        self._fingerprints = Fingerprints(secret)

    def recall(self, request: ChatRequest, caller: str) -> Recalled:
        """Return what is known of the conversation; a session for it is taken out.

        Args:
            request: with the client's name of the model.
            caller: whose request it is.
        """
        sessions = self.sessions
        if sessions is None:
            return Recalled(self, Reuse(reason=ReuseReason.OFF))
        if (reason := _unfit(request)) is not None:
            return Recalled(self, Reuse(reason=reason))
        scope = Scope(
            caller=caller,
            model=request.model,
            user=request.user,
            tools=request.tools,
            output_format=request.output_format,
        )
        conversation = self._fingerprints.of(scope, request.messages)
        if not conversation.answered:
            reuse = Reuse(reason=ReuseReason.FIRST_TURN)
            return Recalled(self, reuse, conversation=conversation)
        found = sessions.take(conversation)
        reuse = _told(found.reason, request.messages, found.turn)
        recalled = Recalled(self, reuse, conversation=conversation, pin=found.pin)
        if found.pin is not None:
            recalled.slot = self._slot(found.pin)
            if recalled.slot is None:
                recalled.forget(ReuseReason.ENGINE_CHANGED)
        return recalled

    def keep(self, conversation: Conversation, answer: str, pin: Pin) -> None:
        """Put a session back, with the answer that was sent."""
        if self.sessions is not None:
            self.sessions.put(self._fingerprints.followed(conversation, answer), pin)

    def note(self, record: Record) -> None:
        """Count what became of one turn, and keep it among the last ones."""
        self.counts[record.reuse.reason] += 1
        model = record.model[:_LONGEST_NAME]
        turn = PastTurn(id=record.id, model=model, engine=record.engine, reuse=record.reuse)
        self.last.append(turn)

    def drop(self, pin: Pin) -> None:
        """Remove a session upstream, if its engine can be told.

        A later life of the engine is told as well: the binary may keep its history on disk.
        """
        for slot in self._registry.slots:
            if slot.id == pin.engine and isinstance(slot.engine, KeepsSessions):
                slot.engine.drop_session(pin.session)

    async def run(self) -> None:
        """Give up what is of no use, for as long as the server runs; at the end give up all."""
        if self.sessions is None:
            return
        try:
            while True:
                await asyncio.sleep(_SWEEP_SECONDS)
                self.sessions.expire({slot.id for slot in self._registry.slots})
        finally:
            # Without an `await`: the engines end right after this.
            self.sessions.clear()

    def _slot(self, pin: Pin) -> Slot | None:
        """Return the slot that has a session, if it can serve now."""
        for slot in self._registry.slots:
            is_same_life = (slot.id, slot.generation) == (pin.engine, pin.generation)
            is_fit = slot.is_free and not slot.cooldown.is_cold
            if is_same_life and is_fit and slot.engine.login is not LoginState.OUT:
                return slot
        return None


class Recalled:
    """What one request has to do with sessions; also the last stage of its events.

    Attributes:
        slot: the engine that must serve it, if there is a session.
        model: that engine's key of the model that holds the session.
    """

    notes: Sequence[Note] = ()

    def __init__(
        self,
        owner: SessionReuse,
        reuse: Reuse,
        *,
        conversation: Conversation | None = None,
        pin: Pin | None = None,
    ) -> None:
        self.slot: Slot | None = None
        self.model = pin.model if pin is not None else ""
        self._owner = owner
        self._reuse = reuse
        # Why the engine that counts now keeps no session of this turn.
        self._unkept: ReuseReason | None = None
        self._conversation = conversation
        self._pin = pin
        self._seat = Pin(engine="", generation=0, session="", model="")
        self._was_sent = False
        self._said: list[str] = []

    @property
    def reuse(self) -> Reuse:
        """Why the turn goes on in a session, or does not."""
        return self._reuse if self._unkept is None else Reuse(reason=self._unkept)

    def only(self, slots: Sequence[Slot]) -> Sequence[Slot]:
        """Return the engine that must serve, out of the pool's."""
        return [slot for slot in slots if slot is self.slot]

    def seat(self, request: ChatRequest, slot: Slot) -> None:
        """Be told who serves it, and how.

        Args:
            request: with its model and mode resolved.
            slot: the engine that was chosen.
        """
        self._seat = Pin(
            engine=slot.id, generation=slot.generation, session="", model=request.model
        )
        self._unkept = None
        if self._conversation is None:
            return
        if not isinstance(slot.engine, KeepsSessions):
            self._unkept = ReuseReason.NO_MEMORY
        elif request.mode is AskMode.AGENT:
            self._unkept = ReuseReason.AGENT_MODE

    def question(self, request: ChatRequest) -> ChatRequest:
        """Return what the engine is asked: the new turn in its session, or everything."""
        if self._pin is None:
            return request
        new = tuple(_new_turns(request.messages))
        parts = tuple(part for message in new for part in message.parts)
        turn = Message(role=Role.USER, parts=parts)
        return replace(request, messages=(turn,), session=self._pin.session)

    @property
    def has_session(self) -> bool:
        """Whether there is a session to go on in."""
        return self._pin is not None

    def sent(self) -> None:
        """Be told that the question is put: from now on the ask sees to the session's end."""
        self._was_sent = True

    def forget(self, reason: ReuseReason) -> None:
        """Go on without the session, if there is one."""
        self.release()
        self._pin = self.slot = None
        self._reuse = Reuse(reason=reason)

    def release(self) -> None:
        """Remove a session upstream that was taken for nothing."""
        if self._pin is not None and not self._was_sent:
            self._was_sent = True
            self._owner.drop(self._pin)

    def feed(self, events: Iterable[ChatEvent]) -> list[ChatEvent]:
        """Listen to the answer as the client gets it."""
        heard = [*events]
        if self._conversation is not None:
            deltas = (event for event in heard if isinstance(event, BlockDelta))
            self._said += [delta.text for delta in deltas if delta.kind is BlockKind.TEXT]
        return heard

    def remember(self, end: Finished | Failed | None, ask: Ask) -> None:
        """Keep the session, if all that was said there is what the client has.

        Args:
            end: of the events as the client got them.
            ask: the engine's, not left yet.
        """
        answer = "".join(self._said)
        if self._conversation is None or self._unkept is not None:
            return
        # A stop sequence or a limit has cut what the session knows in full.
        if end != _CLEAN or not answer.strip():
            return
        if isinstance(ask, SessionAsk) and (session := ask.keep_session()) is not None:
            pin = replace(self._seat, session=session)
            self._owner.keep(self._conversation, answer, pin)


class ContinuedAsk:
    """A turn in a session; put anew, with all that was said, if the engine does not know it.

    Args:
        first: the turn as it was put.
        again: leaves it and puts it anew.
    """

    def __init__(self, first: ToolAsk, again: Callable[[], Awaitable[ToolAsk]]) -> None:
        self._turn = first
        self._again: Callable[[], Awaitable[ToolAsk]] | None = again
        self._aborted_by: LingmaError | None = None

    @property
    def ask(self) -> Ask:
        """The engine's ask that counts in the end."""
        return self._turn.ask

    @property
    def learnt(self) -> None:
        """Nothing: there are no tools."""
        return

    @property
    def notes(self) -> Sequence[Note]:
        """What was dropped or degraded so far."""
        return self._turn.notes

    async def is_alive(self) -> bool:
        """Tell whether the engine gives a sign of life."""
        return await self._turn.is_alive()

    def abort(self, error: LingmaError) -> None:
        """End the events with `error` and stop the engine."""
        self._again, self._aborted_by = None, error
        self._turn.abort(error)

    async def next_batch(self) -> Sequence[ChatEvent]:
        """Return the next events; an empty batch is the end."""
        batch = await self._turn.next_batch()
        again, self._again = self._again, None
        if again is None or not batch or not _is_refusal(batch[0]):
            return batch
        try:
            self._turn = await again()
        except LingmaError:
            return batch
        if self._aborted_by is not None:
            self._turn.abort(self._aborted_by)
        return await self._turn.next_batch()


def _is_refusal(event: ChatEvent) -> bool:
    """Tell whether the engine fails without a word, and not for want of login, quota or time."""
    return isinstance(event, Failed) and event.error.kind is ErrorKind.ENGINE_FAILED


def _unfit(request: ChatRequest) -> ReuseReason | None:
    """Return why a request has nothing to do with sessions."""
    parts = (part for message in request.messages for part in message.parts)
    if request.tools or any(isinstance(part, ToolUsePart | ToolOutputPart) for part in parts):
        return ReuseReason.TOOLS
    new = _new_turns(request.messages)
    is_first = len(new) == len(request.messages)
    asked = new[-1:] if is_first else new
    if not new or any(message.role is not Role.USER for message in asked):
        return ReuseReason.NO_QUESTION
    return None


def _new_turns(messages: Sequence[Message]) -> Sequence[Message]:
    """Return what follows the last answer."""
    spoken = [index for index, turn in enumerate(messages) if turn.role is Role.ASSISTANT]
    return messages[spoken[-1] + 1 :] if spoken else messages


def _told(reason: ReuseReason, messages: Sequence[Message], turn: int | None) -> Reuse:
    if turn is None:
        return Reuse(reason=reason)
    index = turn_starts(messages)[turn]
    return Reuse(reason=reason, message=index, role=messages[index].role.value)
