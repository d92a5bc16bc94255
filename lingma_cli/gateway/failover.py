"""Another engine for a question that its engine did not begin to answer.

Only while nothing has been heard: no event, and no byte that went to the client. Never for a turn
whose tools may have had effects. A question that an engine took and failed on is put once more and
not again: it may be what kills engines. The pool hears of every failure here, and of good ends
from whoever reads the answer: one that is left by its client tells nothing of the engine.
"""

from __future__ import annotations

import random
from collections.abc import Awaitable, Callable, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass
from typing import Final, Generic, Protocol, TypeVar

from lingma_cli.control.registry import Slot
from lingma_cli.core.chat import AskMode, ChatRequest
from lingma_cli.core.events import ChatEvent, Failed, Started
from lingma_cli.core.grammar import broken_off, failed_early
from lingma_cli.core.notes import Note
from lingma_cli.engines.base import Ask
from lingma_cli.errors import ErrorKind, LingmaError
from lingma_cli.gateway.exchange import EventSource

_ELSEWHERE: Final = frozenset(
    {
        ErrorKind.ENGINE_FAILED,
        ErrorKind.ENGINE_TIMEOUT,
        ErrorKind.ENGINE_UNAVAILABLE,
        ErrorKind.OVERLOADED,
        ErrorKind.QUOTA_EXCEEDED,
    }
)
# Whoever fails so has taken the question, whether it says so when asked or later. Others refuse: it
# did not reach them, or they have no place or quota for it.
_TAKEN: Final = frozenset({ErrorKind.ENGINE_FAILED, ErrorKind.ENGINE_TIMEOUT})
_MOST_TAKEN: Final = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class RetryOptions:
    """How often a question is put, and the pauses between; durations are seconds.

    Attributes:
        attempts: all of them, the first one too; 1 for no retries.
        first_pause: before the second attempt.
        longest_pause: what it grows to.
        multiplier: how it grows.
        jitter: the part of a pause by which it may be shorter or longer, 0 to 1.
        draw: returns a random number between 0 and 1.
    """

    attempts: int = 5
    first_pause: float = 0.05
    longest_pause: float = 30.0
    multiplier: float = 1.5
    jitter: float = 0.2
    draw: Callable[[], float] = random.random

    def pause(self, attempt: int) -> float:
        """Return the pause after an attempt; the first has number 0."""
        grown: float = min(self.first_pause * self.multiplier**attempt, self.longest_pause)
        return max(0.0, grown * (1 + self.jitter * (2 * self.draw() - 1)))


class Stoppable(Protocol):
    """What an engine makes of a question."""

    async def is_alive(self) -> bool:
        """Tell whether the engine gives a sign of life."""
        ...

    def abort(self, error: LingmaError) -> None:
        """End it with `error` and stop the engine."""
        ...


class Seated(Protocol):
    """A request on the engine that serves it."""

    @property
    def request(self) -> ChatRequest:
        """With its model and mode resolved."""
        ...

    @property
    def slot(self) -> Slot:
        """The engine's place in the pool."""
        ...

    @property
    def held(self) -> AsyncExitStack:
        """Gives back what was taken for it."""
        ...

    @property
    def ask(self) -> Ask | None:
        """The ask it goes on with, if that was parked."""
        ...


S = TypeVar("S", bound=Seated)
T = TypeVar("T", bound=Stoppable)
Q = TypeVar("Q", bound=EventSource)


@dataclass(frozen=True, slots=True, kw_only=True)
class FailoverCalls(Generic[S, T]):
    """What a failover can do.

    Attributes:
        put: puts the question to the engine of a seat.
        another: gives a seat back and returns the next one, of an engine that was not asked yet or
            was away; told the error. Raises `LingmaError` when nobody else can be had.
        begun: told of an answer that has begun.
        heard: told why an attempt or an answer has failed, or `None` of a good end.
        sleep: waits for so many seconds.
    """

    put: Callable[[S], Awaitable[T]]
    another: Callable[[S, LingmaError], Awaitable[S]]
    begun: Callable[[Slot], None]
    heard: Callable[[Slot, LingmaError | None], None]
    sleep: Callable[[float], Awaitable[None]]


class Failover(Generic[S, T]):
    """A question that moves to another engine while nothing of its answer has been heard.

    Whoever derives from it reads the answer, and says when there is no way back.

    Attributes:
        seat: the request on the engine that counts now.
        turn: what that engine makes of it; there after `begin`.

    Args:
        seat: the first one.
        calls: see `FailoverCalls`.
        options: see `RetryOptions`.
    """

    turn: T

    def __init__(self, seat: S, calls: FailoverCalls[S, T], options: RetryOptions) -> None:
        self.seat = seat
        self._calls = calls
        self._options = options
        self._attempt = 0
        self._taken = 0
        self._is_moving = False
        # From now on there is no way back.
        self._is_settled = False
        self._has_moved = False
        self._aborted_by: LingmaError | None = None

    async def begin(self) -> None:
        """Put the question for the first time.

        Raises:
            LingmaError: the engine refuses, and so do all others that may be asked.
        """
        try:
            self.turn = await self._calls.put(self.seat)
        except LingmaError as error:
            if (failure := await self._move(error)) is not None:
                raise failure from None

    def advised(self, error: LingmaError) -> LingmaError:
        """Return `error` with the advice of the engine that counts now."""
        return self.seat.slot.advised(error)

    async def is_alive(self) -> bool:
        """Tell whether the engine gives a sign of life; the client hears of it."""
        if self._is_moving:
            return False
        is_alive = await self.turn.is_alive()
        self._is_settled |= is_alive
        return is_alive

    def abort(self, error: LingmaError) -> None:
        """End the answer with `error` and stop the engine."""
        self._aborted_by = error
        self.turn.abort(error)

    def finished(self) -> None:
        """Tell the pool that the answer has come to a good end."""
        self.seat.slot.answered += 1
        self._tell(None)

    async def _move(self, error: LingmaError) -> LingmaError | None:
        """Put the question elsewhere; return what to end with if that is of no use."""
        self._is_moving = True
        try:
            while True:
                self._tell(error)
                self._taken += error.kind in _TAKEN
                if not self._may_move(error):
                    return error
                await self._calls.sleep(self._options.pause(self._attempt))
                self._attempt += 1
                try:
                    self.seat = await self._calls.another(self.seat, error)
                except LingmaError:
                    return self._aborted_by or error
                self._has_moved = True
                try:
                    self.turn = await self._calls.put(self.seat)
                except LingmaError as refusal:
                    error = refusal
                    continue
                if self._aborted_by is not None:
                    self.turn.abort(self._aborted_by)
                return None
        finally:
            self._is_moving = False

    def _may_move(self, error: LingmaError) -> bool:
        request = self.seat.request
        # Agents act: what they did before they failed must not be done twice.
        has_effects = self.seat.ask is not None or request.mode is AskMode.AGENT
        is_over = self._is_settled or self._aborted_by is not None
        is_spent = self._attempt + 1 >= self._options.attempts or self._taken >= _MOST_TAKEN
        return error.kind in _ELSEWHERE and not (has_effects or is_over or is_spent)

    def _settle(self) -> None:
        """From now on there is no way back: the answer has begun."""
        self._is_settled = True
        self._calls.begun(self.seat.slot)

    def _tell(self, error: LingmaError | None) -> None:
        if self._aborted_by is None:
            self._calls.heard(self.seat.slot, error)


class ChatFailover(Failover[S, Q]):
    """A turn of chat events that may move."""

    @property
    def notes(self) -> Sequence[Note]:
        """What was dropped or degraded so far, on the way to the engine that counts too."""
        return (*self.seat.request.notes, *self.turn.notes)

    async def next_batch(self) -> Sequence[ChatEvent]:
        """Return the next events; an empty batch is the end."""
        if self._is_settled:
            batch = await self._next()
            if batch and isinstance(end := batch[-1], Failed):
                self._tell(end.error)
            return batch
        while (error := failed_early(batch := await self._next())) is not None:
            if (failure := await self._move(error)) is not None:
                self._is_settled = True
                return [Failed(error=failure)]
        self._settle()
        if isinstance(end := batch[-1], Failed):
            self._tell(end.error)
        # What the first engine calls its model is not what serves.
        return [Started(model=self.seat.request.model), *batch] if self._has_moved else batch

    async def _next(self) -> Sequence[ChatEvent]:
        try:
            return await self.turn.next_batch() or [Failed(error=broken_off())]
        except LingmaError as error:
            return [Failed(error=error)]
