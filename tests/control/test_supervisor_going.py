"""Engines that are added, drained, started again and removed while the others run."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

import pytest

from lingma_cli.control.registry import EngineState, Registry, Slot
from lingma_cli.control.supervisor import Supervisor
from lingma_cli.engines.base import OnChange
from lingma_cli.errors import LingmaError
from lingma_cli.logs import request_id
from tests.support.scripted_engine import Life, ScriptedEngine
from tests.support.virtual_time import now, run, settle

NEVER_STARTS = Life(starts_in=None, lasts=0.0)
PATIENT = 30.0


class Running:
    """A supervisor beside a test, in virtual time."""

    def __init__(self, *engines: ScriptedEngine) -> None:
        self.registry = Registry([Slot(engine=engine) for engine in engines])
        self.troubles: list[LingmaError] = []
        self.supervisor = Supervisor(
            self.registry, on_trouble=self.troubles.append, jitter=lambda: 1.0
        )

    def play(self, main: Callable[[], Coroutine[Any, Any, None]]) -> None:
        """Run `main`; at its end everything is stopped."""

        async def both() -> None:
            running = asyncio.ensure_future(self.supervisor.run())
            await settle()
            await main()
            running.cancel()
            await asyncio.wait([running])
            assert running.cancelled()
            assert {slot.state for slot in self.registry.slots} <= {EngineState.STOPPED}

        run(both())

    async def hold(self, seconds: float) -> None:
        """Hold a lease."""
        with self.registry.lease():
            await asyncio.sleep(seconds)


def test_an_engine_is_added_to_a_running_pool() -> None:
    """It is started at once and serves; one that is added before is started with the others."""
    running, seen = Running(), list[tuple[str, EngineState]]()
    early, late = ScriptedEngine(name="early"), ScriptedEngine(name="late")
    running.supervisor.add(Slot(engine=early))

    async def main() -> None:
        await asyncio.sleep(5)
        running.supervisor.add(Slot(engine=late))
        await running.registry.wait_ready(1)
        await settle()
        seen.extend((slot.id, slot.state) for slot in running.registry.slots)

    running.play(main)

    assert (early.starts, late.starts) == ([0.0], [5.0])
    assert seen == [("early", EngineState.READY), ("late", EngineState.READY)]


def test_a_drain_keeps_live_streams() -> None:
    """No new lease from now on; when the last one is back the engine stops and stays so."""
    engine, other = ScriptedEngine(name="a"), ScriptedEngine(name="b")
    running, seen = Running(engine, other), list[object]()

    async def main() -> None:
        slot = running.registry.slots[0]
        holding = asyncio.ensure_future(running.hold(7))
        await settle()
        draining = asyncio.ensure_future(running.supervisor.drain(slot, PATIENT))
        await settle()
        seen.append(slot.state)
        with running.registry.lease() as leased:
            seen.append(leased.id)
        await draining
        seen.extend([now(), holding.done(), slot.state])
        await asyncio.sleep(100)

    running.play(main)

    assert seen == [EngineState.DRAINING, "b", 7.0, True, EngineState.STOPPED]
    assert (engine.starts, running.troubles) == ([0.0], [])


def test_a_drain_ends_in_time() -> None:
    """What is not done by then ends with the engine."""
    running, seen = Running(ScriptedEngine()), list[object]()

    async def main() -> None:
        (slot,) = running.registry.slots
        holding = asyncio.ensure_future(running.hold(600))
        await settle()
        first = asyncio.ensure_future(running.supervisor.drain(slot, within=30))
        await asyncio.sleep(10)
        await running.supervisor.drain(slot, within=5)
        await first
        seen.extend([now(), slot.state, slot.in_flight])
        holding.cancel()

    running.play(main)

    assert seen == [15.0, EngineState.STOPPED, 1]


@pytest.mark.parametrize("within", [[3600.0, 0.0], [0.0, 3600.0], [3600.0, 5.0, 7200.0]])
def test_the_shortest_drain_counts(within: list[float]) -> None:
    """Whoever has no more patience need not wait for those who have; nobody can prolong it."""
    running, seen = Running(ScriptedEngine()), list[object]()

    async def main() -> None:
        (slot,) = running.registry.slots
        holding = asyncio.ensure_future(running.hold(600))
        await settle()
        await asyncio.gather(*(running.supervisor.drain(slot, each) for each in within))
        seen.extend([now(), slot.state])
        # Its next life is not ended by what is left of the last one's.
        running.supervisor.restart(slot)
        await asyncio.sleep(10_000)
        seen.append(slot.state)
        await holding

    running.play(main)

    assert seen == [min(within), EngineState.STOPPED, EngineState.READY]


def test_a_shorter_drain_counts_if_its_caller_goes() -> None:
    """It was asked for."""
    running, seen = Running(ScriptedEngine()), list[object]()

    async def main() -> None:
        (slot,) = running.registry.slots
        holding = asyncio.ensure_future(running.hold(600))
        await settle()
        first = asyncio.ensure_future(running.supervisor.drain(slot, 3600.0))
        second = asyncio.ensure_future(running.supervisor.drain(slot, 5.0))
        await settle()
        second.cancel()
        await first
        seen.extend([now(), slot.state])
        holding.cancel()

    running.play(main)

    assert seen == [5.0, EngineState.STOPPED]


def test_what_died_in_its_drain_can_be_started_again() -> None:
    """The last answer of its earlier life does not end the next one."""
    engine = ScriptedEngine(lives=[Life(lasts=2.0)])
    running = Running(engine)

    async def main() -> None:
        (slot,) = running.registry.slots
        holding = asyncio.ensure_future(running.hold(10))
        await settle()
        await running.supervisor.drain(slot, 20.0)
        assert not holding.done()
        running.supervisor.restart(slot)
        await asyncio.sleep(100)
        assert (slot.state, slot.generation) == (EngineState.READY, 2)

    running.play(main)


def test_a_drain_outlives_its_caller() -> None:
    """A client that hangs up does not leave an engine half stopped."""
    running = Running(ScriptedEngine())

    async def main() -> None:
        (slot,) = running.registry.slots
        holding = asyncio.ensure_future(running.hold(5))
        await settle()
        draining = asyncio.ensure_future(running.supervisor.drain(slot, PATIENT))
        await settle()
        draining.cancel()
        await holding
        await settle()
        assert slot.state is EngineState.STOPPED

    running.play(main)


@pytest.mark.parametrize(
    "life",
    [NEVER_STARTS, Life(starts_in=30.0), Life(lasts=2.0), Life(breaks_after=2.0)],
    ids=["rests", "starts", "dies", "breaks and comes back"],
)
def test_a_drain_of_an_engine_in_any_state(life: Life) -> None:
    """It ends with `STOPPED`, and with no further start, whatever happens meanwhile."""
    engine = ScriptedEngine(lives=[life])
    running, seen = Running(engine), list[EngineState]()

    async def main() -> None:
        (slot,) = running.registry.slots
        holding = asyncio.ensure_future(running.hold(10)) if life.starts_in == 0.0 else None
        await settle()
        draining = asyncio.ensure_future(running.supervisor.drain(slot, PATIENT))
        for _ in range(6):
            await asyncio.sleep(1)
            seen.append(slot.state)
        await draining
        seen.append(slot.state)
        if holding is not None:
            await holding
        await asyncio.sleep(1000)

    running.play(main)

    assert set(seen[:-1]) <= {EngineState.DRAINING, EngineState.STOPPED}
    assert seen[-1] is EngineState.STOPPED
    assert engine.starts == [0.0]


def test_what_has_stopped_can_be_started_and_forgotten() -> None:
    """A restart brings it back as a new generation; a removal takes its place away."""
    engine = ScriptedEngine()
    running, seen = Running(engine), list[object]()

    async def main() -> None:
        (slot,) = running.registry.slots
        await running.supervisor.drain(slot, PATIENT)
        running.supervisor.restart(slot)
        await settle()
        seen.extend([slot.state, slot.generation])
        await running.supervisor.remove(slot, PATIENT)
        seen.append(len(running.registry.slots))
        running.supervisor.add(Slot(engine=ScriptedEngine()))

    running.play(main)

    assert seen == [EngineState.READY, 2, 0]
    assert len(engine.starts) == 2


def test_what_is_about_to_stop_is_not_started_again() -> None:
    """Nor does a new login hasten its end."""

    class Ending(ScriptedEngine):
        ends: list[float] = []  # noqa: RUF012

        async def run(self, on_change: OnChange) -> None:
            try:
                await super().run(on_change)
            finally:
                self.ends.append(now())

    engine = Ending()
    running = Running(engine)

    async def main() -> None:
        (slot,) = running.registry.slots
        holding = asyncio.ensure_future(running.hold(5))
        await settle()
        draining = asyncio.ensure_future(running.supervisor.drain(slot, PATIENT))
        await settle()
        with pytest.raises(LingmaError, match="about to stop"):
            running.supervisor.restart(slot)
        slot.again.set()
        await asyncio.sleep(1)
        assert (slot.state, engine.ends) == (EngineState.DRAINING, [])
        await draining
        assert (holding.done(), engine.ends) == (True, [5.0])

    running.play(main)

    assert engine.starts == [0.0]


def test_an_engine_is_nobody_s_request() -> None:
    """What it logs for the rest of its lives is not what the request that added it has done."""
    running, seen = Running(), list[str]()

    class Telling(ScriptedEngine):
        """An engine that notes by which request it runs."""

        async def run(self, on_change: OnChange) -> None:
            """Note it."""
            seen.append(request_id.get())
            await super().run(on_change)

    async def main() -> None:
        token = request_id.set("req-1")
        running.supervisor.add(Slot(engine=Telling()))
        request_id.reset(token)
        await settle()

    running.play(main)

    assert seen == ["-"]
