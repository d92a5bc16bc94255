"""Where a request is served: an ask that waits for it, the engine that knows it, or one chosen."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from contextlib import AsyncExitStack
from dataclasses import replace
from functools import partial
from typing import Final

from lingma_cli.control.parking import Parked, ParkingLot
from lingma_cli.control.registry import Choose, Registry, Serves, Slot, fewest_in_flight
from lingma_cli.core.chat import ChatRequest
from lingma_cli.core.notes import Note, NoteCode
from lingma_cli.core.record import Reuse, ReuseReason
from lingma_cli.errors import LingmaError
from lingma_cli.gateway.model_names import Goal, aimed
from lingma_cli.gateway.returned import Returned, returned
from lingma_cli.gateway.reuse import Recalled, SessionReuse
from lingma_cli.gateway.router import Plan, Router, chats
from lingma_cli.gateway.tool_routes import on_route
from lingma_cli.gateway.turns import Seat

_ESTIMATED: Final = Note.of(NoteCode.USAGE_ESTIMATED)
_LOST: Final = Note.of(NoteCode.PARKED_ASK_LOST)
_PARKED: Final = Reuse(reason=ReuseReason.PARKED)


class Seating:
    """Finds a seat for each request.

    Args:
        registry: the pool.
        lot: where asks wait for tool results.
        reuse: which conversation goes on in which session.
        router: chooses among engines.
        patience: seconds to wait for an engine that is coming.
        tool_route: how tools are to reach models; see `tool_routes.on_route`.
    """

    def __init__(
        self,
        registry: Registry,
        lot: ParkingLot,
        reuse: SessionReuse,
        router: Router,
        *,
        patience: float,
        tool_route: str,
    ) -> None:
        self._registry = registry
        self._lot = lot
        self._reuse = reuse
        self._router = router
        self._patience = patience
        self._tool_route = tool_route

    async def seated(
        self,
        request: ChatRequest,
        prepared: ChatRequest,
        caller: str,
        headers: Mapping[str, str],
        held: AsyncExitStack,
    ) -> Seat:
        """Go on with the ask that waits for this request's results, else lease an engine.

        Args:
            request: as the client sent it, without results of our making.
            prepared: what is to be served.
            caller: whose request it is.
            headers: names in lower case; only the routing headers are read.
            held: owns what is taken.

        Raises:
            LingmaError: no engine can be had.
        """
        back = returned(request.messages)
        if (parked := self._lot.take(caller, back.latest, back.earlier)) is not None:
            await held.enter_async_context(parked.held)
            if (seat := self._resumed(prepared, headers, back, parked)) is not None:
                return seat
            await parked.held.aclose()
        if self._lot.has_known(caller, back.latest):
            prepared = replace(prepared, notes=(*prepared.notes, _LOST))
        await self._registry.wait_ready(self._patience, serves=_that_chat)
        recalled = self._reuse.recall(prepared, caller)
        return await self._leased(prepared, headers, recalled, held)

    async def elsewhere(
        self, seat: Seat, held: AsyncExitStack, tried: Collection[str], away: Collection[str]
    ) -> Seat:
        """Lease an engine that was not asked yet.

        Args:
            seat: the one before, given back already.
            held: owns what is taken.
            tried: names of the engines that were asked.
            away: names of those of them that will do, if they come back.

        Raises:
            LingmaError: nobody else can be had.
        """
        recalled = seat.recalled
        if recalled.has_session:
            recalled.forget(ReuseReason.ENGINE_CHANGED)
        lease = partial(self._leased, seat.asked, seat.headers, recalled, held)
        return await self._router.elsewhere(lease, tried, away)

    def _resumed(
        self, request: ChatRequest, headers: Mapping[str, str], back: Returned, parked: Parked
    ) -> Seat | None:
        """Give a parked ask its results; `None` when it is of no use."""
        goals, _ = self._plan(request)
        wanted = (self._aimed(request, goal, parked.slot) for goal in goals)
        resolved = next((one for one in wanted if one.model == parked.model), None)
        pending = parked.ask.pending_calls
        # It cannot change its model, or take results of calls that it did not make.
        if resolved is None or not back.latest <= pending:
            return None
        notes = (*resolved.notes, *back.notes)
        resolved = replace(resolved, tool_route=parked.route, notes=notes)
        results = {id_: result for id_, result in back.results.items() if id_ in pending}
        try:
            parked.ask.resume(resolved, results)
        except LingmaError:
            return None
        return Seat(
            asked=request,
            headers=headers,
            request=resolved,
            slot=parked.slot,
            held=parked.held,
            recalled=Recalled(self._reuse, _PARKED),
            ask=parked.ask,
        )

    async def _leased(
        self,
        request: ChatRequest,
        headers: Mapping[str, str],
        recalled: Recalled,
        held: AsyncExitStack,
        avoid: Collection[str] = (),
    ) -> Seat:
        """Wait for an engine, the one that knows the conversation if there is one; lease it."""
        plan = partial(self._plan, request)
        goal, serves = await self._router.reachable(plan, self._patience, avoid)
        choose: Choose = fewest_in_flight
        if self._goes_on(request, recalled, goal, serves):
            serves = recalled.only
        else:
            choose = self._router.chooser(request, goal, headers)
        own = await held.enter_async_context(AsyncExitStack())
        own.callback(recalled.release)
        slot = own.enter_context(self._registry.lease(choose, serves=serves, avoid=avoid))
        resolved = self._aimed(request, goal, slot)
        resolved = on_route(
            resolved,
            setting=self._tool_route,
            takes_tools=slot.engine.native_tools,
            learnt=slot.tool_routes.get(resolved.model),
        )
        recalled.seat(resolved, slot)
        return Seat(
            asked=request,
            headers=headers,
            request=resolved,
            slot=slot,
            held=own,
            recalled=recalled,
        )

    def _plan(self, request: ChatRequest) -> Plan:
        return self._router.goals(request.model), chats

    def _goes_on(
        self, request: ChatRequest, recalled: Recalled, goal: Goal, serves: Serves
    ) -> bool:
        """Tell whether a session serves the best model that can be had; if not, give it up."""
        if (slot := recalled.slot) is None:
            return False
        if not slot.is_free:
            recalled.forget(ReuseReason.ENGINE_CHANGED)
            return False
        # A model that stood in for another is left when that one is back.
        is_able = slot in serves(self._registry.slots)
        if not is_able or self._aimed(request, goal, slot).model != recalled.model:
            recalled.forget(ReuseReason.OTHER_SETTINGS)
            return False
        return True

    def _aimed(self, request: ChatRequest, goal: Goal, slot: Slot) -> ChatRequest:
        engine = slot.engine
        resolved = aimed(request, goal, engine.models, agent_mode=engine.agent_mode)
        if engine.reports_usage:
            return resolved
        return replace(resolved, notes=(*resolved.notes, _ESTIMATED))


def _that_chat(slots: Sequence[Slot]) -> Sequence[Slot]:
    return [slot for slot in slots if slot.kind == "llm"]
