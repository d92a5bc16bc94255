"""One task an engine: started, and started again when it dies."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from itertools import pairwise

import pytest

from lingma_cli.control.registry import EngineState, Registry, Slot
from lingma_cli.control.supervisor import Supervisor
from lingma_cli.errors import ErrorKind, LingmaError
from tests.support.scripted_engine import Life, ScriptedEngine
from tests.support.virtual_time import run, settle

NEVER_STARTS = Life(starts_in=None, lasts=0.0)
FOR_EVER = 10_000.0


def _pool(*engines: ScriptedEngine) -> Registry:
    return Registry([Slot(engine=engine) for engine in engines])


def _supervise(
    *engines: ScriptedEngine, seconds: float, jitter: float = 1.0
) -> tuple[Registry, list[LingmaError]]:
    """Run a supervisor for a while of virtual time, then cancel it."""
    registry, troubles = _pool(*engines), list[LingmaError]()

    async def main() -> None:
        supervisor = Supervisor(registry, on_trouble=troubles.append, jitter=lambda: jitter)
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await supervisor.run()

    run(main())
    return registry, troubles


def _pauses(engine: ScriptedEngine) -> list[float]:
    starts = engine.starts
    return [later - earlier for earlier, later in pairwise(starts)]


def test_pauses_double_up_to_a_minute() -> None:
    """Half a second, doubled at each failure, never more than sixty seconds."""
    engine = ScriptedEngine(lives=[NEVER_STARTS] * 10)
    expected = [0.5, 1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 60.0, 60.0, 60.0]

    _, troubles = _supervise(engine, seconds=FOR_EVER)

    assert pytest.approx(expected) == _pauses(engine)
    assert len(troubles) == 10


def test_jitter_shortens_a_pause_by_half_at_most() -> None:
    """Several engines that died together do not come back together."""
    engine = ScriptedEngine(lives=[NEVER_STARTS] * 2)

    _supervise(engine, seconds=FOR_EVER, jitter=0.0)

    assert pytest.approx([0.25, 0.5]) == _pauses(engine)


def test_getting_ready_alone_does_not_reset_the_pauses() -> None:
    """A binary that starts and dies over and over costs ever less."""
    engine = ScriptedEngine(lives=[Life(starts_in=0.0, lasts=0.0)] * 3)

    _supervise(engine, seconds=FOR_EVER)

    assert pytest.approx([0.5, 1.0, 2.0]) == _pauses(engine)


def test_an_answer_resets_the_pauses() -> None:
    """A life that was good for something is followed by the next one at once."""
    engine = ScriptedEngine(
        lives=[NEVER_STARTS, NEVER_STARTS, Life(lasts=10.0), NEVER_STARTS, Life()]
    )
    registry = _pool(engine)

    async def main() -> None:
        supervisor = Supervisor(registry, on_trouble=lambda _: None, jitter=lambda: 1.0)
        running = asyncio.ensure_future(supervisor.run())
        await asyncio.sleep(1.6)
        assert EngineState.READY is registry.slots[0].state
        registry.slots[0].answered += 1
        await asyncio.sleep(FOR_EVER)
        running.cancel()
        await asyncio.wait([running])

    run(main())

    assert pytest.approx([0.5, 1.0, 10.0, 0.5]) == _pauses(engine)


def _states(engine: ScriptedEngine, moments: Sequence[float]) -> list[EngineState]:
    """Return the engine's state at given moments and after the end."""
    registry, seen = _pool(engine), list[EngineState]()

    async def main() -> None:
        supervisor = Supervisor(registry, on_trouble=lambda _: None, jitter=lambda: 1.0)
        running = asyncio.ensure_future(supervisor.run())
        for moment in moments:
            await asyncio.sleep(moment - asyncio.get_running_loop().time())
            await settle()
            seen.append(registry.slots[0].state)
        running.cancel()
        await asyncio.wait([running])
        seen.append(registry.slots[0].state)

    run(main())
    return seen


def test_the_states_of_a_good_life() -> None:
    """Starting, ready, and starting again right after a death, so that requests wait for it."""
    engine = ScriptedEngine(lives=[Life(starts_in=2.0, lasts=10.0), Life(starts_in=1.0)])
    starting, ready = EngineState.STARTING, EngineState.READY
    expected = [starting, ready, starting, ready, EngineState.STOPPED]

    assert expected == _states(engine, [1.0, 3.0, 12.2, 14.0])


def test_the_states_of_a_life_that_never_begins() -> None:
    """What could not start fails requests at once until its next try."""
    engine = ScriptedEngine(
        lives=[Life(starts_in=None, lasts=1.0), Life(starts_in=None, lasts=1.0)]
    )
    starting, error = EngineState.STARTING, EngineState.ERROR
    expected = [starting, error, starting, error, EngineState.STOPPED]

    assert expected == _states(engine, [0.5, 1.2, 2.0, 3.0])


def test_each_time_it_gets_ready_is_a_generation() -> None:
    """What was true of an earlier life can be recognised."""
    engine = ScriptedEngine(lives=[Life(lasts=1.0), Life(lasts=1.0)])

    registry, _ = _supervise(engine, seconds=FOR_EVER)

    assert registry.slots[0].generation == 3


def test_a_trouble_is_told_and_kept() -> None:
    """The person at the terminal hears of it, and so do requests while the engine is away."""
    error = LingmaError(ErrorKind.LOGIN_REQUIRED, "no login")
    engine = ScriptedEngine(lives=[Life(starts_in=None, lasts=0.0, error=error)] * 40)

    registry, troubles = _supervise(engine, seconds=5)

    assert {error} == set(troubles)
    assert EngineState.STOPPED is registry.slots[0].state


def test_engines_do_not_disturb_each_other() -> None:
    """One dies on and on, the other lives."""
    bad = ScriptedEngine(lives=[NEVER_STARTS] * 50, name="bad")
    good = ScriptedEngine(name="good")

    registry, _ = _supervise(bad, good, seconds=100)

    assert (good.starts, registry.slots[1].generation) == ([0.0], 1)
    assert len(bad.starts) > 5


def test_a_connection_that_breaks_and_comes_back() -> None:
    """In between the engine is on its way, not in error, and the new one is a new generation."""
    engine = ScriptedEngine(lives=[Life(breaks_after=1.0)])
    starting, ready = EngineState.STARTING, EngineState.READY

    assert [ready, starting, ready, EngineState.STOPPED] == _states(engine, [0.5, 1.5, 2.5])
    assert engine.starts == [0.0]


# what surrounds a life


def _surrounded(engine: ScriptedEngine, fails: int = 0) -> tuple[list[str], list[LingmaError]]:
    """Supervise for 5 s with surroundings that fail to begin so many times."""
    seen, troubles = list[str](), list[LingmaError]()

    @asynccontextmanager
    async def around(slot: Slot) -> AsyncIterator[None]:
        seen.append("enter")
        if seen.count("enter") <= fails:
            raise LingmaError(ErrorKind.LOGIN_REQUIRED, "the vault is locked")
        try:
            yield
        finally:
            seen.append("leave" if slot.engine is engine else "?")

    async def main() -> None:
        supervisor = Supervisor(
            _pool(engine), on_trouble=troubles.append, around=around, jitter=lambda: 1.0
        )
        with suppress(TimeoutError):
            async with asyncio.timeout(5):
                await supervisor.run()

    run(main())
    return seen, troubles


def test_each_life_is_surrounded() -> None:
    """One that ends by itself, and one that is cancelled."""
    seen, _ = _surrounded(ScriptedEngine(lives=[Life(lasts=1.0)]))

    assert seen == ["enter", "leave", "enter", "leave"]


def test_surroundings_that_fail_are_a_failed_start() -> None:
    """Told, and tried again after the pause."""
    engine = ScriptedEngine()
    seen, troubles = _surrounded(engine, fails=2)

    assert seen == ["enter", "enter", "enter", "leave"]
    assert [error.message for error in troubles] == ["the vault is locked"] * 2
    assert engine.starts == [1.5]


# again


def test_an_engine_is_started_again_on_demand() -> None:
    """At once, after the answers under way; it takes no new ones meanwhile, and nobody hears."""
    engine = ScriptedEngine()
    registry, troubles = _pool(engine), list[LingmaError]()
    (slot,) = registry.slots
    states: list[EngineState] = []

    async def hold() -> None:
        with registry.lease():
            await asyncio.sleep(4)

    async def main() -> None:
        supervisor = Supervisor(registry, on_trouble=troubles.append)
        running = asyncio.ensure_future(supervisor.run())
        await settle()
        holding = asyncio.ensure_future(hold())
        await asyncio.sleep(1)
        slot.again.set()
        await settle()
        states.append(slot.state)
        await holding
        await settle()
        states.append(slot.state)
        running.cancel()
        await asyncio.wait([running])

    run(main())

    assert (engine.starts, troubles) == ([0.0, 4.0], [])
    assert states == [EngineState.STARTING, EngineState.READY]


def test_a_demand_ends_a_pause() -> None:
    """Whoever has repaired something does not wait a minute."""
    engine = ScriptedEngine(lives=[NEVER_STARTS] * 7)
    registry = _pool(engine)

    async def main() -> None:
        supervisor = Supervisor(registry, on_trouble=lambda _: None, jitter=lambda: 1.0)
        running = asyncio.ensure_future(supervisor.run())
        await asyncio.sleep(40)
        registry.slots[0].again.set()
        await asyncio.sleep(1)
        running.cancel()
        await asyncio.wait([running])

    run(main())

    assert engine.starts[-2:] == [31.5, 40.0]
