"""Embeddings and plain completions: passed on to an engine that takes them, and back as they come.

The way is that of `gateway`: enter, choose, lease, ask, record. What differs is that no engine has
to understand the answer, so its bytes are left alone.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Collection, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any, Final

from lingma_cli.control.checker import Checkable
from lingma_cli.control.registry import Slot
from lingma_cli.core.chat import ChatRequest, Message, Role, TextPart
from lingma_cli.core.notes import Note
from lingma_cli.core.record import Record, Reuse, ReuseReason
from lingma_cli.engines.base import Ask, Engine
from lingma_cli.errors import ErrorKind, LingmaError
from lingma_cli.gateway.admission import Admission
from lingma_cli.gateway.errands import Errand
from lingma_cli.gateway.failover import Failover, FailoverCalls, RetryOptions
from lingma_cli.gateway.model_names import aimed
from lingma_cli.gateway.raw_answers import EVENTS, RawTurn
from lingma_cli.gateway.records import Clock, RecordKeeper
from lingma_cli.gateway.router import Router

_ALIVE_SECONDS: Final = 1.5
_STATELESS: Final = Reuse(reason=ReuseReason.NO_MEMORY)


@dataclass(frozen=True, slots=True, kw_only=True)
class ForwardSeat:
    """A request on the engine that serves it; `request` carries its model and notes."""

    request: ChatRequest
    slot: Slot
    held: AsyncExitStack
    ask: Ask | None = None


class Forward(Failover[ForwardSeat, RawTurn]):
    """An answer on its way to the client.

    Attributes:
        end: the record's last word, once the answer has ended well.

    Args:
        seat: the first one.
        calls: see `FailoverCalls`.
        options: see `RetryOptions`.
        keeper: told of each chunk.
    """

    def __init__(
        self,
        seat: ForwardSeat,
        calls: FailoverCalls[ForwardSeat, RawTurn],
        options: RetryOptions,
        keeper: RecordKeeper,
    ) -> None:
        super().__init__(seat, calls, options)
        self._keeper = keeper
        self.end = ""

    @property
    def notes(self) -> tuple[Note, ...]:
        """What the client is told of the choice of model."""
        return self.seat.request.notes

    @property
    def is_stream(self) -> bool:
        """Whether the answer comes as events; known with the first chunk."""
        return self.turn.content_type == EVENTS

    async def next_chunk(self) -> bytes:
        """Return whole events of a stream, or the whole of anything else; none at the end.

        Raises:
            LingmaError: the engine refused or broke off, and no other one can be asked.
        """
        try:
            chunk = await (self._later() if self._is_settled else self._first())
        except LingmaError as error:
            raise self.advised(error) from None
        if chunk:
            self._keeper.heard()
        elif not self.end:
            self._finish()
        return chunk

    async def _first(self) -> bytes:
        while True:
            try:
                chunk = await self.turn.next_chunk()
            except LingmaError as error:
                if (failure := await self._move(error)) is not None:
                    self._is_settled = True
                    raise failure from None
            else:
                self._settle()
                return chunk

    async def _later(self) -> bytes:
        try:
            return await self.turn.next_chunk()
        except LingmaError as error:
            self._tell(error)
            raise

    def _finish(self) -> None:
        if self.turn.has_failed:
            error = LingmaError(ErrorKind.ENGINE_FAILED, "the engine ended its answer as a failure")
            self._keeper.attempt_failed(error)
            self._tell(error)
            self.end = error.kind.value
            return
        self.finished()
        self.end = self.turn.end.value


@dataclass(frozen=True, slots=True, kw_only=True)
class _Asked:
    """What is wanted of the engines, and how one is chosen."""

    errand: Errand
    body: Mapping[str, Any]
    request: ChatRequest
    headers: Mapping[str, str]


class Forwarding:
    """Takes bodies to engines.

    Args:
        router: chooses among the engines of the pool.
        admission: the door.
        retry: when another engine is asked.
        patience: seconds to wait for an engine that is coming.
        clock: seconds, monotonic.
        on_record: told of each finished exchange.
    """

    def __init__(
        self,
        router: Router,
        admission: Admission,
        retry: RetryOptions,
        *,
        patience: float,
        clock: Clock,
        on_record: Callable[[Record], None],
    ) -> None:
        self._router = router
        self._registry = router.registry
        self._admission = admission
        self._retry = retry
        self._patience = patience
        self._clock = clock
        self._on_record = on_record
        self._open: set[Forward] = set()

    @asynccontextmanager
    async def open(
        self,
        errand: Errand,
        body: Mapping[str, Any],
        *,
        request_id: str,
        caller: str,
        headers: Mapping[str, str],
    ) -> AsyncIterator[Forward]:
        """Pass `body` on for the length of this context.

        Args:
            errand: what is wanted.
            body: as the client sent it; the engine gets its own name of the model in it.
            request_id: for the record.
            caller: whose request it is.
            headers: names in lower case; only the routing headers are read.

        Raises:
            LingmaError: the door is closed, nobody can do it, or no engine is ready. What engines
                say comes with the first chunk.
        """
        keeper = RecordKeeper(
            request_id, caller=caller, protocol=errand.protocol, clock=self._clock
        )
        asked = _Asked(errand=errand, body=body, request=_request(errand, body), headers=headers)
        keeper.model = asked.request.model
        forward: Forward | None = None
        end = ErrorKind.INTERNAL.value
        try:
            async with self._admission.ticket(), AsyncExitStack() as held:
                keeper.queued = keeper.now()
                forward = await self._begun(asked, keeper, held)
                self._open.add(forward)
                yield forward
            end = forward.end or ErrorKind.CANCELLED.value
        except asyncio.CancelledError:
            end = ErrorKind.CANCELLED.value
            raise
        except LingmaError as error:
            end = error.kind.value
            keeper.attempt_failed(error)
            raise
        finally:
            if forward is not None:
                self._open.discard(forward)
            self._record(keeper, forward, end)

    def abort(self, error: LingmaError) -> None:
        """End everything under way with `error`."""
        for forward in list(self._open):
            forward.abort(error)

    async def _begun(self, asked: _Asked, keeper: RecordKeeper, held: AsyncExitStack) -> Forward:
        def sit(seat: ForwardSeat) -> ForwardSeat:
            keeper.seated(seat.request.model, seat.slot.engine.name, seat.slot.generation)
            keeper.reuse = _STATELESS
            return seat

        async def another(seat: ForwardSeat, error: LingmaError) -> ForwardSeat:
            keeper.attempt_failed(error)
            await seat.held.aclose()
            lease = partial(self._leased, asked, held)
            return sit(await self._router.elsewhere(lease, keeper.tried, keeper.away))

        async def put(seat: ForwardSeat) -> RawTurn:
            engine, model = seat.slot.engine, seat.request.model
            body = {**asked.body, "model": model} if model else asked.body
            is_alive = partial(_is_well, engine)
            return RawTurn(asked.errand.put(engine, body), seat.held, is_alive)

        try:
            await self._registry.wait_ready(self._patience, serves=asked.errand.able)
            seat = sit(await self._leased(asked, held, ()))
        except LingmaError as error:
            raise _with_hint(error, asked.errand) from None
        calls = FailoverCalls(
            put=put,
            another=another,
            begun=self._registry.begun,
            heard=self._registry.heard,
            sleep=asyncio.sleep,
        )
        forward = Forward(seat, calls, self._retry, keeper)
        await forward.begin()
        return forward

    async def _leased(
        self, asked: _Asked, held: AsyncExitStack, avoid: Collection[str]
    ) -> ForwardSeat:
        errand, router = asked.errand, self._router
        plan = partial(errand.plan, router, asked.request.model)
        goal, serves = await router.reachable(plan, self._patience, avoid)
        choose = router.chooser(asked.request, goal, asked.headers, purpose=errand.protocol)
        own = await held.enter_async_context(AsyncExitStack())
        slot = own.enter_context(self._registry.lease(choose, serves=serves, avoid=avoid))
        request = aimed(asked.request, goal, slot.engine.models, agent_mode=False)
        return ForwardSeat(request=request, slot=slot, held=own)

    def _record(self, keeper: RecordKeeper, forward: Forward | None, end: str) -> None:
        notes = forward.notes if forward is not None else ()
        usage = forward.turn.usage if forward is not None else None
        record = keeper.finish(end, notes, usage)
        self._router.tallies.observe(record)
        self._on_record(record)


def _request(errand: Errand, body: Mapping[str, Any]) -> ChatRequest:
    """Return what policies are told of `body`."""
    text, user = errand.text(body), body.get("user")
    turns = (Message(role=Role.USER, parts=(TextPart(text=text),)),) if text else ()
    return ChatRequest(
        model=body.get("model") or "",
        messages=turns,
        user=user if isinstance(user, str) else None,
    )


def _with_hint(error: LingmaError, errand: Errand) -> LingmaError:
    """Return the error of a pool in which only engines of other kinds may be ready."""
    if error.kind is not ErrorKind.ENGINE_UNAVAILABLE or error.hint is not None:
        return error
    hint = f"see `lingma engine list`, or {errand.hint}"
    return LingmaError(error.kind, error.message, hint=hint, retry_after=error.retry_after)


async def _is_well(engine: Engine) -> bool:
    if not isinstance(engine, Checkable):
        return False
    try:
        async with asyncio.timeout(_ALIVE_SECONDS):
            await engine.check(_ALIVE_SECONDS)
    except (LingmaError, TimeoutError):
        return False
    return True
