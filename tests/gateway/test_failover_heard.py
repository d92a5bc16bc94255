"""What the pool hears of attempts and answers, and what it keeps of that."""

from __future__ import annotations

import asyncio
import gc
import weakref
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import replace

import pytest

from lingma_cli.control.breaker import BreakerState
from lingma_cli.core.chat import ChatRequest, Sampling
from lingma_cli.core.events import BlockDelta, BlockKind, Failed, Finished, FinishReason
from lingma_cli.engines.base import Ask
from lingma_cli.errors import ErrorKind, LingmaError
from tests.support.house import REQUEST, House
from tests.support.scripted_engine import SILENCE, Script, ScriptedEngine
from tests.support.virtual_time import run, settle

TEXT = BlockDelta(kind=BlockKind.TEXT, text="fine")
BROKEN = LingmaError(ErrorKind.ENGINE_FAILED, "it broke")
GOOD: Script = [[TEXT], [Finished(reason=FinishReason.STOP)]]
BAD: Script = [[Failed(error=BROKEN)]]


def test_breakers_and_cooldowns_hear_of_every_attempt() -> None:
    """A failure before the first word, one after it, a used-up quota, a good answer."""

    async def main() -> list[object]:
        used_up = LingmaError(ErrorKind.QUOTA_EXCEEDED, "used up")
        scripts: list[Script] = [[[Failed(error=BROKEN)]], [[TEXT], [Failed(error=BROKEN)]]]
        first = ScriptedEngine(name="a", scripts=[*scripts, GOOD, [[Failed(error=used_up)]]])
        house = House(first, ScriptedEngine(GOOD, name="b"))
        (slot, _), seen = house.registry.slots, list[object]()
        for _ in range(4):
            await house.ask()
            seen.append((slot.breaker.failures, slot.cooldown.is_cold))
        return seen

    assert run(main()) == [(1, False), (2, False), (0, False), (0, True)]


def test_answers_that_break_off_add_up() -> None:
    """Whoever begins each of them and ends none of them is left alone too."""

    async def main() -> BreakerState:
        house = House(ScriptedEngine([[TEXT], [Failed(error=BROKEN)]]))
        for _ in range(10):
            await house.ask()
        return house.registry.slots[0].breaker.state

    assert run(main()) is BreakerState.OPEN


def test_an_answer_that_the_client_leaves_is_no_success() -> None:
    """Nor a failure: it tells nothing of the engine. One that we cut short is."""

    async def main() -> list[int]:
        engine = ScriptedEngine(name="a", scripts=[BAD, [[TEXT], SILENCE], [[TEXT], SILENCE]])
        house, seen = House(engine), list[int]()
        (slot,) = house.registry.slots
        await house.ask()
        for stop in (), ("in",):
            asked = replace(REQUEST, sampling=Sampling(stop=stop))
            asking = asyncio.ensure_future(house.ask(asked))
            await settle()
            seen.append(asking.done())
            asking.cancel()
            await asyncio.wait([asking])
            seen.append(slot.breaker.failures)
        house.assert_nothing_is_held()
        return seen

    assert run(main()) == [False, 1, True, 0]


def test_an_engine_that_fails_on_and_on_is_left_alone() -> None:
    """Its breaker opens; requests go to the other at once."""

    async def main() -> tuple[int, BreakerState, set[str]]:
        bad = ScriptedEngine(BAD, name="a")
        house = House(bad, ScriptedEngine(GOOD, name="b"))
        for _ in range(30):
            await house.ask()
        ends = {record.end for record in house.records}
        return len(bad.asked), house.registry.slots[0].breaker.state, ends

    assert run(main()) == (10, BreakerState.OPEN, {"stop"})


@pytest.mark.parametrize("way", ["refused", "raised"])
def test_no_error_outlives_its_exchange(way: str) -> None:
    """Not even in the pool, which keeps why an engine rests."""
    made: list[weakref.ref[LingmaError]] = []

    class Spent(ScriptedEngine):
        @asynccontextmanager
        async def ask(self, request: ChatRequest) -> AsyncIterator[Ask]:
            error = LingmaError(ErrorKind.QUOTA_EXCEEDED, "used up")
            made.append(weakref.ref(error))
            if way == "refused":
                raise error
            self._script = [error]
            del error
            async with super().ask(request) as ask:
                yield ask
            self._script = ()

    async def main() -> int:
        house = House(Spent(name="a"), Spent(name="b"))
        for _ in range(3):
            with suppress(LingmaError):
                await house.ask()
        gc.collect()
        return sum(error() is not None for error in made)

    assert run(main()) == 0
    assert len(made) > 3
