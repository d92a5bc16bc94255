"""What stands in the way of a lease: limits, quotas, and a breaker that is open."""

from __future__ import annotations

import asyncio

import pytest

from lingma_cli.control.breaker import Breaker, BreakerOptions, BreakerState
from lingma_cli.control.registry import EngineState, Registry, Slot
from lingma_cli.errors import ErrorKind, LingmaError
from tests.support.scripted_engine import ScriptedEngine
from tests.support.virtual_time import now, run

READY, STARTING, ERROR = EngineState.READY, EngineState.STARTING, EngineState.ERROR
TROUBLE = LingmaError(ErrorKind.LOGIN_REQUIRED, "no login")


def _pool(*states: EngineState) -> Registry:
    slots = [Slot(engine=ScriptedEngine(name=str(place))) for place in range(len(states))]
    registry = Registry(slots)
    for slot, state in zip(slots, states, strict=True):
        registry.move(slot, state)
    return registry


def test_a_full_engine_is_waited_for() -> None:
    """Up to its limit it is leased; the next one waits for a place, the last in vain."""

    async def main() -> tuple[list[float], ErrorKind]:
        registry = _pool(READY)
        registry.slots[0].limit = 1

        async def hold() -> float:
            await registry.wait_ready(10)
            with registry.lease():
                began = now()
                await asyncio.sleep(6)
            return began

        holding = [asyncio.ensure_future(hold()) for _ in range(3)]
        await asyncio.wait(holding)
        error = holding[2].exception()
        assert isinstance(error, LingmaError)
        return [one.result() for one in holding[:2]], error.kind

    assert run(main()) == ([0.0, 6.0], ErrorKind.OVERLOADED)


def test_an_engine_without_quota_comes_last() -> None:
    """Before none at all: only an answer tells that there is quota again."""
    registry = _pool(READY, READY)
    first, second = registry.slots
    used_up = LingmaError(ErrorKind.QUOTA_EXCEEDED, "used up")
    names: list[str] = []

    for slot, error in ((first, used_up), (second, used_up), (first, None)):
        registry.heard(slot, error)
        with registry.lease() as leased, registry.lease() as other:
            names.append(leased.engine.name + other.engine.name)

    assert names == ["11", "01", "00"]
    assert (first.cooldown.is_cold, str(second.cooldown.error)) == (False, "used up")


def test_an_answer_from_before_ends_no_rest() -> None:
    """It was asked for while there was quota; one that is asked for later tells more."""
    registry = _pool(READY)
    (slot,) = registry.slots
    with registry.lease():
        with registry.lease():
            registry.heard(slot, LingmaError(ErrorKind.QUOTA_EXCEEDED, "used up"))
        registry.heard(slot, None)
        is_cold = [slot.cooldown.is_cold]
    with registry.lease():
        registry.heard(slot, None)
        is_cold.append(slot.cooldown.is_cold)

    assert is_cold == [True, False]


def test_an_engine_that_fails_on_and_on_is_left_alone() -> None:
    """Then for a while nobody is asked; what is not its fault does not count."""
    registry, clock = _pool(READY, READY), [0.0]
    slot, other = registry.slots
    slot.breaker = Breaker(BreakerOptions(failures=2, pause=60), lambda: clock[0])
    broken = LingmaError(ErrorKind.ENGINE_FAILED, "broken")

    for error in (broken, None, broken, TROUBLE, broken):
        registry.heard(slot, error)
    chosen = []
    for moment in (0.0, 59.0, 60.0):
        clock[0] = moment
        with registry.lease() as leased:
            chosen.append(leased)

    assert chosen == [other, other, slot]


def test_the_only_engine_is_left_alone_for_a_moment_only() -> None:
    """Then one request at a time may see whether it works after all."""
    registry, clock = _pool(READY, ERROR), [0.0]
    slot, _ = registry.slots
    slot.breaker = Breaker(BreakerOptions(failures=1, pause=60, successes=2), lambda: clock[0])
    registry.heard(slot, LingmaError(ErrorKind.ENGINE_FAILED, "broken"))

    with pytest.raises(LingmaError, match="failed too often") as caught, registry.lease():
        pass
    clock[0] = 2.0
    with registry.lease() as probe, pytest.raises(LingmaError), registry.lease():
        pass
    registry.heard(slot, LingmaError(ErrorKind.ENGINE_FAILED, "broken"))
    clock[0] = 3.9
    with pytest.raises(LingmaError), registry.lease():
        pass
    clock[0] = 4.0
    with registry.lease():
        registry.heard(slot, None)
        registry.heard(slot, None)
    with registry.lease(), registry.lease():
        pass

    assert (probe, caught.value.retry_after) == (slot, 2.0)


def test_a_probe_without_a_verdict_makes_way_for_the_next() -> None:
    """Its client has left before the answer's end."""
    registry, clock = _pool(READY), [0.0]
    (slot,) = registry.slots
    slot.breaker = Breaker(BreakerOptions(failures=1, pause=60), lambda: clock[0])
    registry.heard(slot, LingmaError(ErrorKind.ENGINE_FAILED, "broken"))
    clock[0] = 60.0

    for _ in range(2):
        with registry.lease() as probe:
            assert probe is slot


def test_a_probe_is_waited_for() -> None:
    """Whoever comes meanwhile is served when it has gone well."""

    async def main() -> float:
        registry = _pool(READY)
        (slot,) = registry.slots
        slot.breaker = Breaker(BreakerOptions(failures=1, pause=5, successes=1), now)
        registry.heard(slot, LingmaError(ErrorKind.ENGINE_FAILED, "broken"))
        await asyncio.sleep(5)
        with registry.lease():
            waiting = asyncio.ensure_future(registry.wait_ready(10))
            await asyncio.sleep(3)
            registry.heard(slot, None)
            await waiting
            return now()

    assert run(main()) == 8.0


def test_a_new_life_closes_the_breaker() -> None:
    """What has been started again may show what it can."""
    registry = _pool(READY)
    (slot,) = registry.slots
    slot.breaker = Breaker(BreakerOptions(failures=1), lambda: 0.0)
    registry.heard(slot, LingmaError(ErrorKind.ENGINE_FAILED, "broken"))
    registry.move(slot, STARTING)
    registry.move(slot, READY)

    with registry.lease() as leased:
        assert leased is slot


def test_a_probe_whose_answer_has_begun_lets_the_next_one_pass() -> None:
    """A long answer would keep all others waiting; whether it was good is told at its end."""
    registry, clock = _pool(READY), [0.0]
    (slot,) = registry.slots
    slot.breaker = Breaker(BreakerOptions(failures=1, pause=5, successes=1), lambda: clock[0])
    registry.heard(slot, LingmaError(ErrorKind.ENGINE_FAILED, "broken"))
    clock[0] = 5.0

    with registry.lease() as first:
        registry.begun(first)
        with registry.lease() as second:
            assert second is slot
        states = [slot.breaker.state]
        registry.heard(first, None)
    assert [*states, slot.breaker.state] == [BreakerState.HALF_OPEN, BreakerState.CLOSED]
