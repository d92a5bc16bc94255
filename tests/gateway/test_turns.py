"""The question as it is put to an engine."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AsyncExitStack
from dataclasses import replace

import pytest

from lingma_cli.control.registry import Registry, Slot
from lingma_cli.core.chat import ChatRequest, Tool, ToolChoice, ToolMode, ToolRoute
from lingma_cli.core.events import (
    BlockDelta,
    BlockKind,
    BlockOpened,
    ChatEvent,
    Finished,
    FinishReason,
)
from lingma_cli.core.record import Reuse, ReuseReason
from lingma_cli.engines.base import Ask
from lingma_cli.errors import ErrorKind, LingmaError
from lingma_cli.gateway.reuse import Recalled, SessionReuse
from lingma_cli.gateway.tool_asks import DemandedAsk, ToolAsk
from lingma_cli.gateway.turns import Seat, Turn, Turns
from lingma_cli.transforms.tool_prompt import written_call
from tests.support.house import REQUEST
from tests.support.scripted_engine import ScriptedAsk, ScriptedEngine
from tests.support.virtual_time import now, run

TOOL = Tool(name="look", description="looks", parameters={"type": "object"})
TEXT = BlockDelta(kind=BlockKind.TEXT, text="fine")
CALL = BlockDelta(kind=BlockKind.TEXT, text=written_call("look", "{}"))
STOP = Finished(reason=FinishReason.STOP)


def _seat(engine: ScriptedEngine, request: ChatRequest, ask: Ask | None = None) -> Seat:
    slot = Slot(engine=engine, login_hint="run it")
    reuse = SessionReuse(Registry([slot]), None, secret=b"", clock=now)
    return Seat(
        headers={},
        asked=request,
        request=request,
        slot=slot,
        held=AsyncExitStack(),
        recalled=Recalled(reuse, Reuse(reason=ReuseReason.OFF)),
        ask=ask,
    )


async def _put(seat: Seat) -> tuple[Turn, Sequence[ChatEvent]]:
    async with seat.held:
        turn = await Turns(lambda: "0" * 32).put(seat)
        return turn, await turn.next_batch()


def test_a_question_is_held_by_its_seat() -> None:
    """The engine is asked once, and leaving the seat leaves the ask."""

    async def main() -> None:
        engine = ScriptedEngine([[TEXT]])
        turn, events = await _put(_seat(engine, REQUEST))
        assert isinstance(turn, ToolAsk)
        assert (list(events), len(engine.asked), engine.open_asks) == ([TEXT], 1, 0)

    run(main())


def test_a_refusal_comes_with_advice() -> None:
    """The engine's, about its login."""

    async def main() -> str:
        engine = ScriptedEngine()
        engine.refusal = LingmaError(ErrorKind.LOGIN_REQUIRED, "no login")
        with pytest.raises(LingmaError) as caught:
            await _put(_seat(engine, REQUEST))
        return caught.value.advice

    assert run(main()) == "no login; run it"


def test_a_parked_ask_is_not_put_again() -> None:
    """Its events go on; the engine is not asked."""

    async def main() -> None:
        engine = ScriptedEngine([[TEXT]])
        ask = ScriptedAsk([[TEXT]], ())
        turn, events = await _put(_seat(engine, REQUEST, ask))
        assert (turn.ask, list(events), engine.asked) == (ask, [TEXT], [])

    run(main())


def test_calls_are_read_from_the_text_of_a_described_tool() -> None:
    """With ids of ours; and a demanded call makes a demanded turn."""

    async def main() -> None:
        request = replace(
            REQUEST,
            tools=(TOOL,),
            tool_route=ToolRoute.PROMPT,
            tool_choice=ToolChoice(mode=ToolMode.REQUIRED),
        )
        turn, events = await _put(_seat(ScriptedEngine([[CALL], [STOP]]), request))
        assert isinstance(turn, DemandedAsk)
        (call,) = [event for event in events if isinstance(event, BlockOpened)]
        assert (call.name, call.call_id) == ("look", "call_" + "0" * 24)

    run(main())
