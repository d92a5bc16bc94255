"""Where asks wait while their clients run tools."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lingma_cli.control.parking import Parked, ParkingLimits, ParkingLot
from lingma_cli.control.registry import Slot
from lingma_cli.core.chat import ToolRoute
from tests.support.scripted_engine import ScriptedAsk, ScriptedEngine
from tests.support.virtual_time import now, run, settle


class Yard:
    """A lot, with the asks that were ever parked there."""

    def __init__(self, capacity: int = 10, seconds: float = 60.0) -> None:
        self.lot = ParkingLot(ParkingLimits(capacity=capacity, seconds=seconds), now)
        self.slot = Slot(engine=ScriptedEngine())
        self.asks: list[ScriptedAsk] = []

    def park(self, *calls: str, owner: str = "key-1") -> Parked:
        """Park an ask that waits for results of `calls`."""
        ask = ScriptedAsk((), ())
        ask.pending_calls = frozenset(calls)
        held = AsyncExitStack()
        held.callback(ask.leave)
        parked = Parked(
            owner=owner, slot=self.slot, model="m", route=ToolRoute.NATIVE, ask=ask, held=held
        )
        self.asks.append(ask)
        self.lot.park(parked)
        return parked

    @property
    def left(self) -> list[int]:
        """How often each ask was left."""
        return [len(ask.refused) for ask in self.asks]


def _yard(play: Any, **options: Any) -> Any:
    """Run `play` on a yard whose lot is being run; all that is left in the end is left once."""

    async def main() -> Any:
        yard = Yard(**options)
        running = asyncio.ensure_future(yard.lot.run())
        try:
            return await play(yard)
        finally:
            await settle()
            running.cancel()
            await asyncio.wait([running])
            assert len(yard.lot) == 0

    return run(main())


def test_an_ask_comes_out_for_one_of_its_results() -> None:
    """It is out of the lot then, and whoever took it has to leave it."""

    async def play(yard: Yard) -> tuple[bool, int, object]:
        parked = yard.park("a", "b")
        taken = yard.lot.take("key-1", ["b"], [])
        return taken is parked, len(yard.lot), yard.lot.take("key-1", ["b"], [])

    assert _yard(play) == (True, 0, None)


@pytest.mark.parametrize(
    ("owner", "results"), [("key-2", ["a"]), ("key-1", ["x"]), ("key-1", [])], ids=str
)
def test_nobody_elses_ask_comes_out(owner: str, results: list[str]) -> None:
    """Another caller, another id, no id: it stays where it is."""

    async def play(yard: Yard) -> tuple[object, int, list[int]]:
        yard.park("a")
        taken = yard.lot.take(owner, results, ["a"] if owner == "key-2" else [])
        await asyncio.sleep(5)
        return taken, len(yard.lot), yard.left

    assert _yard(play) == (None, 1, [0])


@pytest.mark.parametrize(
    ("results", "earlier"), [([], ["a"]), (["x"], ["a", "b"]), (["b", "a"], [])], ids=str
)
def test_an_ask_that_is_passed_over_is_left(results: list[str], earlier: list[str]) -> None:
    """The conversation has gone on without it, or with another ask."""

    async def play(yard: Yard) -> list[int]:
        if "b" in results:
            yard.park("b")
        yard.park("a")
        yard.lot.take("key-1", results, earlier)
        await asyncio.sleep(2)
        return yard.left[-1:]

    assert _yard(play) == [1]


def test_time_runs_out() -> None:
    """At the deadline, give or take a sweep, and not before."""

    async def play(yard: Yard) -> list[list[int]]:
        yard.park("a")
        await asyncio.sleep(20)
        yard.park("b")
        counts = []
        for _ in range(2):
            await asyncio.sleep(39)
            counts.append(yard.left)
            await asyncio.sleep(3)
            counts.append(yard.left)
        return counts

    assert _yard(play) == [[0, 0], [1, 0], [1, 1], [1, 1]]


def test_who_waits_longest_makes_room() -> None:
    """A full lot leaves its oldest ask at once; without any place, all are left."""

    async def play(yard: Yard) -> list[int]:
        for call in "abc":
            yard.park(call)
        await asyncio.sleep(2)
        return yard.left

    assert _yard(play, capacity=2) == [1, 0, 0]
    assert _yard(play, capacity=0) == [1, 1, 1]


def test_an_ask_whose_engine_is_lost_is_left() -> None:
    """Nobody has to come for it."""

    async def play(yard: Yard) -> list[int]:
        for call in "ab":
            yard.park(call)
        yard.asks[0].die()
        await asyncio.sleep(2)
        return yard.left

    assert _yard(play) == [1, 0]


def test_the_end_leaves_everything() -> None:
    """What waits and what is already on its way out, each once."""

    async def main() -> tuple[list[int], int]:
        yard = Yard(capacity=1)
        running = asyncio.ensure_future(yard.lot.run())
        await settle()
        for call in "abc":
            yard.park(call)
        running.cancel()
        await asyncio.wait([running])
        return yard.left, len(yard.lot)

    assert run(main()) == ([1, 1, 1], 0)


def test_an_ask_that_is_slow_to_leave_is_left_all_the_same() -> None:
    """The end comes while one is being left: it is not forgotten, nor are the others."""

    async def main() -> list[int]:
        yard = Yard(capacity=1)
        running = asyncio.ensure_future(yard.lot.run())
        slow = yard.park("a")
        slow.held.push_async_callback(asyncio.sleep, 30)
        yard.park("b")
        await asyncio.sleep(1)
        running.cancel()
        await asyncio.wait([running])
        return yard.left

    assert run(main()) == [1, 1]


def test_it_remembers_whose_calls_have_waited() -> None:
    """Gone or not, for its own caller only."""

    async def play(yard: Yard) -> list[bool]:
        yard.park("a", "b")
        yard.lot.take("key-1", ["a"], [])
        known = yard.lot.has_known
        return [known("key-1", ["x", "b"]), known("key-1", ["x"]), known("key-2", ["b"])]

    assert _yard(play) == [True, False, False]


def test_its_memory_is_bounded() -> None:
    """The oldest are forgotten first."""

    async def play(yard: Yard) -> list[bool]:
        yard.park("first")
        yard.park(*(f"call-{index}" for index in range(10_000)))
        return [yard.lot.has_known("key-1", [call]) for call in ("first", "call-0")]

    assert _yard(play) == [False, True]


STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("park"), st.sampled_from("abcd")),
        st.tuples(st.just("take"), st.sampled_from("abcd")),
        st.tuples(st.just("pass"), st.sampled_from("abcd")),
        st.tuples(st.just("wait"), st.integers(0, 70)),
    ),
    max_size=12,
)


@given(STEPS, st.integers(0, 3))
def test_every_ask_has_one_owner(steps: list[tuple[str, Any]], capacity: int) -> None:
    """Whatever happens, each ask is either taken or left, and never both or twice."""

    async def main() -> None:
        yard = Yard(capacity=capacity)
        running = asyncio.ensure_future(yard.lot.run())
        taken: list[Parked] = []
        for step, value in steps:
            match step:
                case "park":
                    yard.park(value)
                case "take":
                    taken += filter(None, [yard.lot.take("key-1", [value], [])])
                case "pass":
                    yard.lot.take("key-1", [], [value])
                case _:
                    await asyncio.sleep(value)
            assert len(yard.lot) <= capacity
        await settle()
        running.cancel()
        await asyncio.wait([running])
        owned = [parked.ask for parked in taken]
        assert [0 if ask in owned else 1 for ask in yard.asks] == yard.left

    run(main())
