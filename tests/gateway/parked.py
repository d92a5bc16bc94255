"""A house whose engine waits for tool results, played in virtual time."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import TypeVar

from lingma_cli.core.chat import Model
from lingma_cli.core.collect import Collector
from lingma_cli.core.events import ChatEvent
from lingma_cli.core.notes import codes
from tests.support.house import House
from tests.support.scripted_engine import ScriptedEngine
from tests.support.tool_turns import STOP, after, call_turn, called, result_turn, said
from tests.support.virtual_time import run, settle

T = TypeVar("T")
TWO_STEPS = [[said("first"), *called("a")], [said("second"), *called("b")], [said("done"), STOP]]
ANSWERED = after(call_turn("a"), result_turn("a"))
MODELS = (Model(key="org_auto", name="Auto", is_default=True), Model(key="other", name="Other"))


def engine_of(*steps: list[ChatEvent], **options: object) -> ScriptedEngine:
    """Return an engine whose first ask gives `steps`, one a turn; the next says `anew`."""
    chosen = {"scripts": [steps or TWO_STEPS], "waits_for_tools": True, "models": MODELS} | options
    return ScriptedEngine([[said("anew"), STOP]], **chosen)  # type: ignore[arg-type]


def in_house(
    play: Callable[[House, ScriptedEngine], Awaitable[T]],
    engine: ScriptedEngine | None = None,
    **options: object,
) -> T:
    """Run `play`; afterwards nothing is held, and no call was refused twice."""

    async def main() -> T:
        scripted = engine or engine_of()
        house = House(scripted, **options)  # type: ignore[arg-type]
        lot = asyncio.ensure_future(house.lot.run())
        await settle()
        found = await play(house, scripted)
        lot.cancel()
        await asyncio.wait([lot])
        house.assert_nothing_is_held()
        assert all(len(ask.refused) == 1 for ask in scripted.asks)
        return found

    return run(main())


def words_of(events: list[ChatEvent]) -> str:
    """Return the text of an answer."""
    answer = Collector()
    answer.feed(events)
    return answer.text()


def codes_of(house: House) -> tuple[str, ...]:
    """Return what was noted of the last request."""
    return codes(house.records[-1].notes)
