"""The question as it is put to an engine, with its tools read out of the answer."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import AsyncExitStack
from dataclasses import dataclass
from functools import partial

from lingma_cli.control.registry import Slot
from lingma_cli.core.chat import ChatRequest, ToolMode
from lingma_cli.core.ids import NewId, new_call_id
from lingma_cli.core.record import ReuseReason
from lingma_cli.engines.base import Ask
from lingma_cli.errors import LingmaError
from lingma_cli.gateway.pipeline import for_engine, is_described
from lingma_cli.gateway.reuse import ContinuedAsk, Recalled
from lingma_cli.gateway.tool_asks import DemandedAsk, ToolAsk
from lingma_cli.transforms.tool_text import ToolTextTransform

Turn = ToolAsk | DemandedAsk | ContinuedAsk


@dataclass(frozen=True, slots=True, kw_only=True)
class Seat:
    """A request on the engine that serves it.

    `held` gives back what was taken for it; `ask` is there when it goes on with a parked one.
    `recalled` is what is known of its conversation; `asked` is the request before the engine's
    model and tool route were put in, and `headers` what came with it.
    """

    asked: ChatRequest
    headers: Mapping[str, str]
    request: ChatRequest
    slot: Slot
    held: AsyncExitStack
    recalled: Recalled
    ask: Ask | None = None


class Turns:
    """Puts questions.

    Args:
        new_id: makes the ids of tool calls.
    """

    def __init__(self, new_id: NewId) -> None:
        self._new_call_id = partial(new_call_id, new_id)

    async def put(self, seat: Seat) -> Turn:
        """Put the question, or go on with the one that was parked.

        Raises:
            LingmaError: the engine refuses.
        """
        request, recalled = seat.request, seat.recalled
        reader = partial(self._reader, request)
        attempt = AsyncExitStack()

        async def put(*, firm: bool) -> ToolAsk:
            await attempt.aclose()
            engine = seat.slot.engine
            question = recalled.question(
                for_engine(request, native=engine.native_options, firm=firm)
            )
            try:
                ask = await attempt.enter_async_context(engine.ask(question))
            except LingmaError as error:
                raise seat.slot.advised(error) from None
            recalled.sent()
            return ToolAsk(ask, reader(), question.notes[len(request.notes) :])

        async def put_anew() -> ToolAsk:
            recalled.forget(ReuseReason.SESSION_LOST)
            return await put(firm=False)

        if seat.ask is not None:
            first = ToolAsk(seat.ask, reader())
        else:
            await seat.held.enter_async_context(attempt)
            first = await put(firm=False)
        if recalled.has_session:
            return ContinuedAsk(first, put_anew)
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
