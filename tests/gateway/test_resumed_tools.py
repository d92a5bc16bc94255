"""The tools of a turn that goes on, and what was learnt of their route."""

from __future__ import annotations

from dataclasses import replace

import pytest

from lingma_cli.core.chat import ChatRequest, ToolChoice, ToolMode, ToolRoute
from lingma_cli.core.collect import Collector
from lingma_cli.core.events import ChatEvent, Finished, FinishReason
from lingma_cli.gateway.pipeline import ToolOptions
from tests.gateway.parked import ANSWERED, codes_of, engine_of, in_house, words_of
from tests.support.house import House
from tests.support.scripted_engine import ScriptedEngine
from tests.support.tool_turns import CALLED, QUESTION, STOP, called, said

FENCE = '```json action\n{"tool": "Bash", "parameters": {"command": "ls"}}\n```'


@pytest.mark.parametrize("route", ["auto", "native"])
def test_calls_in_the_text_of_a_resumed_turn(route: str) -> None:
    """The ask was told how to write calls, or it was not: its later turns are read alike."""

    async def play(house: House, engine: ScriptedEngine) -> tuple[str, list[str]]:
        await house.ask(QUESTION)
        answer = Collector()
        answer.feed(await house.ask(ANSWERED))
        return answer.text(), [block.name for block in answer.blocks if block.name]

    engine = engine_of(called("a"), [said(FENCE), STOP])
    expected = ("", ["Bash"]) if route == "auto" else (FENCE, [])

    assert in_house(play, engine, tools=ToolOptions(route=route)) == expected


def _demanding(request: ChatRequest) -> ChatRequest:
    return replace(request, tool_choice=ToolChoice(mode=ToolMode.REQUIRED))


def test_a_demand_in_a_resumed_turn() -> None:
    """It is not put again, as tools have had their effects; that it is unmet is told."""

    async def play(house: House, engine: ScriptedEngine) -> tuple[str, tuple[str, ...], int]:
        await house.ask(_demanding(QUESTION))
        words = words_of(await house.ask(_demanding(ANSWERED)))
        return words, codes_of(house), len(engine.asks)

    words, notes, asks = in_house(play, engine_of(called("a"), [said("no"), STOP]))

    assert (words, asks) == ("no", 1)
    assert "tool_choice_unmet" in notes
    assert "tool_retried" not in notes


def test_the_ask_gets_the_tools_of_the_next_request() -> None:
    """And its own route, model and notes."""

    async def play(house: House, engine: ScriptedEngine) -> None:
        await house.ask(QUESTION)
        await house.ask(replace(ANSWERED, tools=QUESTION.tools[:1], model="agent"))
        (resumed,) = engine.asks[0].resumed
        assert resumed.tools == QUESTION.tools[:1]
        assert (resumed.model, resumed.tool_route) == ("org_auto", ToolRoute.BOTH)

    in_house(play)


def test_native_tools_are_learnt_and_the_next_ask_is_native() -> None:
    """By the model that served, whatever name the client called it by."""

    async def play(house: House, engine: ScriptedEngine) -> tuple[str, list[ToolRoute]]:
        request = replace(QUESTION, model="a name that nobody knows")
        await house.ask(request)
        await house.ask(request)
        return house.gateway.tool_route("org_auto"), [asked.tool_route for asked in engine.asked]

    assert in_house(play) == ("native", [ToolRoute.BOTH, ToolRoute.NATIVE])


def test_text_calls_are_learnt() -> None:
    """Tools are not forwarded any more."""

    async def play(house: House, engine: ScriptedEngine) -> tuple[str, list[ToolRoute]]:
        before = house.gateway.tool_route("org_auto")
        assert before == "unknown"
        await house.ask(QUESTION)
        await house.ask(QUESTION)
        assert len(house.lot) == 0
        return house.gateway.tool_route("org_auto"), [asked.tool_route for asked in engine.asked]

    engine = engine_of([said(FENCE), STOP])

    assert in_house(play, engine) == ("prompt", [ToolRoute.BOTH, ToolRoute.PROMPT])


def test_text_teaches_nothing() -> None:
    """An answer without calls leaves the route open."""

    async def play(house: House, engine: ScriptedEngine) -> str:
        await house.ask(QUESTION)
        return house.gateway.tool_route("org_auto")

    assert in_house(play, engine_of([said("hello"), STOP])) == "unknown"


def test_an_engine_that_takes_tools() -> None:
    """Its route is known, and nothing is described."""

    async def play(house: House, engine: ScriptedEngine) -> tuple[str, int]:
        await house.ask(QUESTION)
        return house.gateway.tool_route("org_auto"), len(engine.asked[0].messages)

    assert in_house(play, engine_of([STOP], native_tools=True)) == ("native", 1)


def test_the_end_of_a_turn_is_one_event() -> None:
    """The stream ends with the calls, once."""

    async def play(house: House, engine: ScriptedEngine) -> list[ChatEvent]:
        return [
            event
            for event in await house.ask(QUESTION)
            if isinstance(event, Finished) and event.reason is FinishReason.TOOL_CALLS
        ]

    assert in_house(play) == [CALLED]
