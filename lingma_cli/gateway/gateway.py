"""The loop that every request goes through, whatever its protocol and whichever its engine.

Enter (admission), choose (lease), run (ask), seal, record: each thing that is taken is given back
in reverse by the same `async with`, on finish, failure, disconnect and shutdown alike.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, replace
from functools import partial
from typing import Final

from lingma_cli.control.parking import Parked, ParkingLot
from lingma_cli.control.registry import Registry, Slot
from lingma_cli.core.chat import AskMode, ChatRequest, Model, ToolMode, ToolRoute
from lingma_cli.core.events import Failed, Finished, FinishReason
from lingma_cli.core.ids import NewId, new_call_id
from lingma_cli.core.notes import Note, NoteCode
from lingma_cli.core.record import Attempt, Record
from lingma_cli.engines.base import Ask
from lingma_cli.errors import ErrorKind, LingmaError
from lingma_cli.gateway.admission import Admission
from lingma_cli.gateway.exchange import Exchange
from lingma_cli.gateway.login_advice import LoginAdvice
from lingma_cli.gateway.model_names import resolve_model
from lingma_cli.gateway.pipeline import ToolOptions, admitted, for_engine, is_described, stages
from lingma_cli.gateway.records import Clock, RecordKeeper
from lingma_cli.gateway.returned import Returned, returned
from lingma_cli.gateway.tool_asks import DemandedAsk, ToolAsk
from lingma_cli.gateway.tool_routes import on_route
from lingma_cli.transforms.tool_text import ToolTextTransform

_CANCELLED: Final = "cancelled"
_ESTIMATED: Final = Note.of(NoteCode.USAGE_ESTIMATED)
_LOST: Final = Note.of(NoteCode.PARKED_ASK_LOST)
_CALLED: Final = Finished(reason=FinishReason.TOOL_CALLS)


@dataclass(frozen=True, slots=True, kw_only=True)
class GatewayOptions:
    """What the gateway is told; durations are seconds."""

    default_model: str
    default_mode: AskMode
    startup_timeout: float
    tools: ToolOptions


@dataclass(slots=True, kw_only=True)
class Totals:
    """Plain counters of all exchanges since the start."""

    requests: int = 0
    success: int = 0
    error: int = 0
    cancelled: int = 0
    tokens_estimated: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class _Seat:
    """A request on the engine that serves it.

    `held` gives back what was taken for it; `ask` is there when it goes on with a parked one.
    """

    request: ChatRequest
    slot: Slot
    held: AsyncExitStack
    ask: Ask | None = None


class Gateway:
    """Takes requests to engines.

    Args:
        registry: the pool.
        admission: the door.
        lot: where asks wait for tool results.
        options: see `GatewayOptions`.
        new_id: makes the ids of tool calls.
        clock: seconds, monotonic.
        on_record: told of each finished exchange.
    """

    def __init__(
        self,
        registry: Registry,
        admission: Admission,
        lot: ParkingLot,
        options: GatewayOptions,
        *,
        new_id: NewId,
        clock: Clock,
        on_record: Callable[[Record], None],
    ) -> None:
        self.registry = registry
        self.admission = admission
        self.lot = lot
        self.totals = Totals()
        self._options = options
        self._new_call_id = partial(new_call_id, new_id)
        self._clock = clock
        self._on_record = on_record
        self._open: set[Exchange] = set()

    @asynccontextmanager
    async def open(
        self, request: ChatRequest, *, request_id: str, protocol: str, caller: str
    ) -> AsyncIterator[Exchange]:
        """Run `request` for the length of this context.

        Raises:
            LingmaError: nothing was sent yet: the door is closed, no engine is ready, or the
                engine refused. Later failures are events.
        """
        keeper = RecordKeeper(request_id, caller=caller, protocol=protocol, clock=self._clock)
        keeper.model = request.model
        exchange: Exchange | None = None
        end = ErrorKind.INTERNAL.value
        try:
            prepared = admitted(request, self._options.tools)
            async with self.admission.ticket(), AsyncExitStack() as held:
                keeper.queued = keeper.now()
                seat = await self._seated(request, prepared, caller, held)
                keeper.leased, keeper.model = keeper.now(), seat.request.model
                slot = seat.slot
                keeper.attempts.append(Attempt(engine=slot.engine.name, generation=slot.generation))
                turn = await self._turn(seat)
                steps = [*stages(seat.request), LoginAdvice(slot.advised)]
                exchange = Exchange(seat.request, turn, steps, keeper)
                self._open.add(exchange)
                yield exchange
                self._learn(seat, turn, exchange)
                self._park(seat, turn, exchange, caller)
            end = _CANCELLED
        except asyncio.CancelledError:
            end = _CANCELLED
            raise
        except LingmaError as error:
            end = error.kind.value
            keeper.attempt_failed(error)
            raise
        finally:
            if exchange is not None:
                self._open.discard(exchange)
                end = self._end_of(exchange, keeper) or end
            self._record(keeper, exchange, request, end)

    async def models(self) -> Sequence[Model]:
        """Return the live list of all engines that are ready, each key once.

        Raises:
            LingmaError: no engine is ready, or none answers.
        """
        await self.registry.wait_ready(self._options.startup_timeout)
        with self.registry.lease() as slot:
            models = await slot.engine.refresh_models()
        return tuple({model.key: model for model in models}.values())

    def tool_route(self, model: str) -> str:
        """Return how tools are known to reach a model: `native`, `prompt` or `unknown`."""
        for slot in self.registry.slots:
            if slot.engine.native_tools:
                return ToolRoute.NATIVE.value
            if model in slot.tool_routes:
                return slot.tool_routes[model].value
        return "unknown"

    async def drain(self) -> None:
        """Let no new request in and return when the last one has left."""
        self.admission.close()
        await self.admission.empty()

    def abort(self, error: LingmaError) -> None:
        """End every exchange under way, and every wait for an engine, with `error`."""
        self.registry.close(error)
        for exchange in list(self._open):
            exchange.abort(error)

    async def _seated(
        self, request: ChatRequest, prepared: ChatRequest, caller: str, held: AsyncExitStack
    ) -> _Seat:
        """Go on with the ask that waits for this request's results, else choose an engine.

        Args:
            request: as the client sent it, without results of our making.
            prepared: what is to be served.
            caller: whose request it is.
            held: owns what is taken.
        """
        back = returned(request.messages)
        if (parked := self.lot.take(caller, back.latest, back.earlier)) is not None:
            await held.enter_async_context(parked.held)
            if (seat := self._resumed(prepared, back, parked)) is not None:
                return seat
            await parked.held.aclose()
        if self.lot.has_known(caller, back.latest):
            prepared = replace(prepared, notes=(*prepared.notes, _LOST))
        return await self._leased(prepared, held)

    def _resumed(self, request: ChatRequest, back: Returned, parked: Parked) -> _Seat | None:
        """Give a parked ask its results; `None` when it is of no use."""
        resolved = self._resolve(request, parked.slot)
        pending = parked.ask.pending_calls
        # It cannot change its model, or take results of calls that it did not make.
        if resolved.model != parked.model or not back.latest <= pending:
            return None
        notes = (*resolved.notes, *back.notes)
        resolved = replace(resolved, tool_route=parked.route, notes=notes)
        results = {id_: result for id_, result in back.results.items() if id_ in pending}
        try:
            parked.ask.resume(resolved, results)
        except LingmaError:
            return None
        return _Seat(request=resolved, slot=parked.slot, held=parked.held, ask=parked.ask)

    async def _leased(self, request: ChatRequest, held: AsyncExitStack) -> _Seat:
        """Choose an engine and lease it."""
        await self.registry.wait_ready(self._options.startup_timeout)
        own = await held.enter_async_context(AsyncExitStack())
        slot = own.enter_context(self.registry.lease())
        resolved = self._resolve(request, slot)
        resolved = on_route(
            resolved,
            setting=self._options.tools.route,
            takes_tools=slot.engine.native_tools,
            learnt=slot.tool_routes.get(resolved.model),
        )
        return _Seat(request=resolved, slot=slot, held=own)

    async def _turn(self, seat: _Seat) -> ToolAsk | DemandedAsk:
        """Put the question, or go on with the one that was parked."""
        request, reader = seat.request, partial(self._reader, seat.request)
        attempt = AsyncExitStack()

        async def put(*, firm: bool) -> ToolAsk:
            await attempt.aclose()
            question = for_engine(request, firm=firm)
            try:
                ask = await attempt.enter_async_context(seat.slot.engine.ask(question))
            except LingmaError as error:
                raise seat.slot.advised(error) from None
            return ToolAsk(ask, reader(), question.notes[len(request.notes) :])

        if seat.ask is not None:
            first = ToolAsk(seat.ask, reader())
        else:
            await seat.held.enter_async_context(attempt)
            first = await put(firm=False)
        if request.tool_choice.mode not in (ToolMode.REQUIRED, ToolMode.NAMED):
            return first
        named = [tool for tool in request.tools if tool.name == request.tool_choice.name]
        only = named or request.tools
        # A parked ask is no question that can be put again: its tools have had their effects.
        may_retry = seat.ask is None and is_described(request)
        return DemandedAsk(
            first,
            partial(put, firm=True) if may_retry else None,
            tool=only[0] if len(only) == 1 else None,
            new_call_id=self._new_call_id,
        )

    def _reader(self, request: ChatRequest) -> ToolTextTransform | None:
        if not is_described(request):
            return None
        return ToolTextTransform(
            request.tools, new_call_id=self._new_call_id, parallel=request.parallel_tool_calls
        )

    def _learn(self, seat: _Seat, turn: ToolAsk | DemandedAsk, exchange: Exchange) -> None:
        seat.slot.answered += isinstance(exchange.end, Finished)
        if turn.learnt is not None:
            seat.slot.tool_routes[seat.request.model] = turn.learnt

    def _park(
        self, seat: _Seat, turn: ToolAsk | DemandedAsk, exchange: Exchange, caller: str
    ) -> None:
        """Move an ask that waits for results, and its lease, to the lot."""
        # Of several answers only one is continued: nobody could come back for the others.
        if seat.request.choices > 1 or not seat.request.results_have_ids:
            return
        if exchange.end == _CALLED and turn.ask.pending_calls:
            self.lot.park(
                Parked(
                    owner=caller,
                    slot=seat.slot,
                    model=seat.request.model,
                    route=seat.request.tool_route,
                    ask=turn.ask,
                    held=seat.held.pop_all(),
                )
            )

    def _resolve(self, request: ChatRequest, slot: Slot) -> ChatRequest:
        resolved = resolve_model(
            request,
            slot.engine.models,
            default=self._options.default_model,
            default_mode=self._options.default_mode,
        )
        if slot.engine.reports_usage:
            return resolved
        return replace(resolved, notes=(*resolved.notes, _ESTIMATED))

    def _end_of(self, exchange: Exchange, keeper: RecordKeeper) -> str | None:
        match exchange.end:
            case Finished(reason=reason):
                return reason.value
            case Failed(error=error):
                keeper.attempt_failed(error)
                return error.kind.value
            case None:
                return None

    def _record(
        self, keeper: RecordKeeper, exchange: Exchange | None, request: ChatRequest, end: str
    ) -> None:
        notes = exchange.notes if exchange is not None else request.notes
        usage = exchange.usage if exchange is not None else None
        record = keeper.finish(end, notes, usage)
        self._count(record, exchange)
        self._on_record(record)

    def _count(self, record: Record, exchange: Exchange | None) -> None:
        totals = self.totals
        totals.requests += 1
        if exchange is not None and isinstance(exchange.end, Finished):
            totals.success += 1
        elif record.end == _CANCELLED:
            totals.cancelled += 1
        else:
            totals.error += 1
        if record.usage is not None:
            totals.tokens_estimated += record.usage.input_tokens + record.usage.output_tokens
