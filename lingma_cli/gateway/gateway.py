"""The loop that every request goes through, whatever its protocol and whichever its engine.

Enter (admission), choose (lease), run (ask), seal, record: each thing that is taken is given back
in reverse by the same `async with`, on finish, failure, disconnect and shutdown alike.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, replace
from functools import partial
from types import MappingProxyType
from typing import Final

from lingma_cli.control.parking import Parked, ParkingLot
from lingma_cli.control.registry import EngineState
from lingma_cli.core.chat import ChatRequest, Model, ToolRoute
from lingma_cli.core.events import Failed, Finished, FinishReason
from lingma_cli.core.ids import NewId
from lingma_cli.core.record import Record
from lingma_cli.engines.base import Engine
from lingma_cli.errors import ErrorKind, LingmaError
from lingma_cli.gateway.admission import Admission
from lingma_cli.gateway.exchange import Exchange, LateStages, Stage
from lingma_cli.gateway.failover import ChatFailover, FailoverCalls, RetryOptions
from lingma_cli.gateway.forwarding import Forwarding
from lingma_cli.gateway.login_advice import LoginAdvice
from lingma_cli.gateway.pipeline import ToolOptions, admitted, stages
from lingma_cli.gateway.records import Clock, RecordKeeper
from lingma_cli.gateway.reuse import SessionReuse
from lingma_cli.gateway.router import Router
from lingma_cli.gateway.seating import Seating
from lingma_cli.gateway.tool_routes import route_for
from lingma_cli.gateway.turns import Seat, Turn, Turns

# An engine that hangs is not to hide the models of the others.
_LIST_SECONDS: Final = 2.0
_CALLED: Final = Finished(reason=FinishReason.TOOL_CALLS)
_NO_HEADERS: Final[Mapping[str, str]] = MappingProxyType({})


@dataclass(frozen=True, slots=True, kw_only=True)
class GatewayOptions:
    """What the gateway is told; durations are seconds."""

    startup_timeout: float
    tools: ToolOptions
    retry: RetryOptions = RetryOptions()


class Gateway:
    """Takes requests to engines.

    Args:
        router: chooses among the engines of the pool.
        admission: the door.
        lot: where asks wait for tool results.
        options: see `GatewayOptions`.
        reuse: which conversation goes on in which session; `None` when each gets a new one.
        new_id: makes the ids of tool calls.
        clock: seconds, monotonic.
        on_record: told of each finished exchange.
    """

    def __init__(
        self,
        router: Router,
        admission: Admission,
        lot: ParkingLot,
        options: GatewayOptions,
        *,
        reuse: SessionReuse | None = None,
        new_id: NewId,
        clock: Clock,
        on_record: Callable[[Record], None],
    ) -> None:
        self.registry = registry = router.registry
        self.admission = admission
        self.lot = lot
        self.reuse = reuse or SessionReuse(registry, None, secret=b"", clock=clock)
        self.tallies = router.tallies
        self._router = router
        self._options = options
        self._seating = Seating(
            registry,
            lot,
            self.reuse,
            router,
            patience=options.startup_timeout,
            tool_route=options.tools.route,
        )
        self._turns = Turns(new_id)
        self.forwarding = Forwarding(
            router,
            admission,
            options.retry,
            patience=options.startup_timeout,
            clock=clock,
            on_record=on_record,
        )
        self._clock = clock
        self._on_record = on_record
        self._open: set[Exchange] = set()

    @asynccontextmanager
    async def open(
        self,
        request: ChatRequest,
        *,
        request_id: str,
        protocol: str,
        caller: str,
        headers: Mapping[str, str] = _NO_HEADERS,
    ) -> AsyncIterator[Exchange]:
        """Run `request` for the length of this context.

        Args:
            request: what the client wants.
            request_id: for the record.
            protocol: its name.
            caller: whose request it is.
            headers: names in lower case; only the routing headers are read.

        Raises:
            LingmaError: nothing was sent yet. Later failures are events.
        """
        keeper = RecordKeeper(request_id, caller=caller, protocol=protocol, clock=self._clock)
        keeper.model = request.model
        exchange: Exchange | None = None
        seat: Seat | None = None
        end = ErrorKind.INTERNAL.value
        try:
            prepared = admitted(request, self._options.tools)
            async with self.admission.ticket(), AsyncExitStack() as held:
                keeper.queued = keeper.now()
                seat = await self._seating.seated(request, prepared, caller, headers, held)
                failover, exchange = await self._begun(seat, keeper, held)
                yield exchange
                seat = failover.seat
                self._finished(failover, exchange, caller)
            end = ErrorKind.CANCELLED.value
        except asyncio.CancelledError:
            end = ErrorKind.CANCELLED.value
            raise
        except LingmaError as error:
            end = error.kind.value
            keeper.attempt_failed(error)
            raise
        finally:
            if seat is not None:
                keeper.reuse = seat.recalled.reuse
            if exchange is not None:
                self._open.discard(exchange)
                end = self._end_of(exchange, keeper) or end
            self._record(keeper, exchange, request, end)

    async def models(self) -> Sequence[Model]:
        """Return the live lists of all engines that are ready, each key once; writers first.

        Of an engine that does not answer in time, it is the last list that it gave.

        Raises:
            LingmaError: no engine is ready, or none answers.
        """
        await self.registry.wait_ready(self._options.startup_timeout)
        ready = [slot for slot in self.registry.slots if slot.state is EngineState.READY]
        asked = sorted(ready, key=lambda slot: slot.kind != "llm")
        lists = await asyncio.gather(*(_listed(slot.engine) for slot in asked))
        errors = [heard for heard in lists if isinstance(heard, LingmaError)]
        if len(errors) == len(lists):
            raise errors[0]
        found: dict[str, Model] = {}
        for slot, models in zip(asked, lists, strict=True):
            if not isinstance(models, LingmaError):
                for model in models:
                    found.setdefault(model.key, replace(model, kind=slot.kind))
        return tuple(found.values())

    def tool_route(self, model: str) -> str:
        """Return how tools are known to reach a model: `native`, `prompt` or `unknown`."""
        for slot in self._router.offering(model):
            route: str = route_for(
                setting=self._options.tools.route,
                takes_tools=slot.engine.native_tools,
                learnt=slot.tool_routes.get(model),
            ).value
            if route != ToolRoute.BOTH.value:
                return route
        return "unknown"

    async def drain(self) -> None:
        """Let no new request in and return when the last one has left."""
        self.admission.close()
        await self.admission.empty()

    def abort(self, error: LingmaError) -> None:
        """End every exchange under way, and every wait for an engine, with `error`."""
        self.registry.close(error)
        self.forwarding.abort(error)
        for exchange in list(self._open):
            exchange.abort(error)

    async def _begun(
        self, seat: Seat, keeper: RecordKeeper, held: AsyncExitStack
    ) -> tuple[ChatFailover[Seat, Turn], Exchange]:
        """Put the question."""
        _sit(seat, keeper)
        failover = self._failover(seat, keeper, held)
        await failover.begin()
        served = LateStages(partial(_stages_of, failover))
        steps: list[Stage] = [served, LoginAdvice(failover.advised), seat.recalled]
        # Notes come from the engine that serves in the end.
        exchange = Exchange(replace(seat.request, notes=()), failover, steps, keeper)
        self._open.add(exchange)
        return failover, exchange

    def _finished(
        self, failover: ChatFailover[Seat, Turn], exchange: Exchange, caller: str
    ) -> None:
        """Keep what comes of an answer that was read to its end."""
        seat, turn = failover.seat, failover.turn
        seat.recalled.remember(exchange.end, turn.ask)
        if isinstance(exchange.end, Finished):
            failover.finished()
        if turn.learnt is not None:
            seat.slot.tool_routes[seat.request.model] = turn.learnt
        self._park(seat, turn, exchange, caller)

    def _failover(
        self, seat: Seat, keeper: RecordKeeper, held: AsyncExitStack
    ) -> ChatFailover[Seat, Turn]:
        async def another(seat: Seat, error: LingmaError) -> Seat:
            keeper.attempt_failed(error)
            await seat.held.aclose()
            new = await self._seating.elsewhere(seat, held, keeper.tried, keeper.away)
            _sit(new, keeper)
            return new

        calls = FailoverCalls(
            put=self._turns.put,
            another=another,
            begun=self.registry.begun,
            heard=self.registry.heard,
            sleep=asyncio.sleep,
        )
        return ChatFailover(seat, calls, self._options.retry)

    def _park(self, seat: Seat, turn: Turn, exchange: Exchange, caller: str) -> None:
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
        self.reuse.note(record)
        self.tallies.observe(record)
        self._on_record(record)


def _sit(seat: Seat, keeper: RecordKeeper) -> None:
    keeper.seated(seat.request.model, seat.slot.engine.name, seat.slot.generation)


def _stages_of(failover: ChatFailover[Seat, Turn]) -> Sequence[Stage]:
    seat = failover.seat
    return stages(seat.request, native=seat.slot.engine.native_options)


async def _listed(engine: Engine) -> Sequence[Model] | LingmaError:
    try:
        async with asyncio.timeout(_LIST_SECONDS):
            return await engine.refresh_models()
    except TimeoutError:
        late = f"engine `{engine.name}` did not list its models in {_LIST_SECONDS:g} s"
        return engine.models or LingmaError(ErrorKind.ENGINE_TIMEOUT, late)
    except LingmaError as error:
        return error
