"""One checker for all engines."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Sequence
from itertools import pairwise
from typing import Any

import pytest

from lingma_cli.control.checker import Checker, CheckOptions
from lingma_cli.control.registry import EngineState, Registry, Slot
from lingma_cli.control.supervisor import Supervisor
from lingma_cli.errors import ErrorKind, LingmaError
from tests.support.scripted_engine import ScriptedEngine
from tests.support.virtual_time import now, run, settle

READY, ERROR, DRAINING = EngineState.READY, EngineState.ERROR, EngineState.DRAINING
ILL = LingmaError(ErrorKind.ENGINE_UNAVAILABLE, "it is ill")


class CheckedEngine(ScriptedEngine):
    """An engine whose checks are written down: well, ill, silent, or a fault.

    Attributes:
        checks: what the next ones find; when none is left it is well.
        checked: the clock at each.
    """

    def __init__(self, checks: Sequence[Exception | float | None] = (), name: str = "e") -> None:
        super().__init__(name=name)
        self.checks = [*checks]
        self.checked: list[float] = []

    async def check(self, within: float | None = None) -> None:
        """Find what is written."""
        self.checked.append(now())
        found = self.checks.pop(0) if self.checks else None
        if isinstance(found, float):
            await asyncio.sleep(found)
        elif found is not None:
            raise found


def _pool(*engines: ScriptedEngine, is_owned: bool = False) -> Registry:
    registry = Registry([Slot(engine=engine, is_owned=is_owned) for engine in engines])
    for slot in registry.slots:
        registry.move(slot, READY)
    return registry


def _states(registry: Registry, seconds: Sequence[float]) -> list[list[EngineState]]:
    """Return the states of all engines at these moments of a checker's life."""
    seen: list[list[EngineState]] = []

    async def main() -> None:
        checking = asyncio.ensure_future(Checker(registry, CheckOptions()).run())
        for moment in seconds:
            await asyncio.sleep(moment - now())
            await settle()
            seen.append([slot.state for slot in registry.slots])
        await _ended(checking)

    run(main())
    return seen


async def _ended(task: asyncio.Future[None]) -> None:
    task.cancel()
    await asyncio.wait([task])
    assert task.cancelled()


def test_three_strikes_and_two_successes() -> None:
    """Every ten seconds; out at the third strike in a row, back at the second success in a row."""
    engine = CheckedEngine([ILL, ILL, None, ILL, ILL, ILL, None, ILL, None, None])
    registry = _pool(engine)

    states = _states(registry, [10.0 * place for place in range(1, 11)])

    expected = [READY] * 5 + [ERROR] * 4 + [READY]
    assert [one for (one,) in states] == expected
    assert engine.checked == [10.0 * place for place in range(1, 11)]
    assert registry.slots[0].generation == 2


def test_the_reason_is_kept() -> None:
    """For requests and for whoever looks, until it is back."""
    registry = _pool(CheckedEngine([ILL] * 3))
    (slot,) = registry.slots

    _states(registry, [30.0])

    assert (slot.last_error, slot.reason) == (ILL, "it is ill")


def test_silence_is_a_strike() -> None:
    """It may take five seconds; the other engines are asked at the same time."""
    silent, well = CheckedEngine([60.0] * 3, "silent"), CheckedEngine(name="well")
    registry = _pool(silent, well)

    states = _states(registry, [34.9, 46.0])

    assert states == [[READY, READY], [ERROR, READY]]
    assert well.checked == silent.checked == [10.0, 25.0, 40.0]
    assert registry.slots[0].last_error is not None
    assert registry.slots[0].last_error.kind is ErrorKind.ENGINE_TIMEOUT


def test_a_fault_of_ours_ends_no_checks() -> None:
    """It is a strike like another."""
    broken, well = CheckedEngine([ZeroDivisionError()] * 9, "broken"), CheckedEngine(name="well")

    states = _states(_pool(broken, well), [35.0])

    assert states == [[ERROR, READY]]
    assert len(well.checked) == 3


def test_a_drain_is_not_disturbed() -> None:
    """It is not even asked; nor is one that cannot be."""
    draining, mute = CheckedEngine([ILL] * 9), ScriptedEngine(name="mute")
    registry = _pool(draining, mute)
    registry.move(registry.slots[0], DRAINING)

    states = _states(registry, [45.0])

    assert states == [[DRAINING, READY]]
    assert draining.checked == []


def test_an_answer_of_an_earlier_life_does_not_count() -> None:
    """The engine was started anew while it was asked."""
    registry = _pool(CheckedEngine([ILL, ILL, 4.0]))
    (slot,) = registry.slots

    async def main() -> None:
        checking = asyncio.ensure_future(
            Checker(registry, CheckOptions(timeout=3.0, strikes=3)).run()
        )
        await asyncio.sleep(31)
        registry.move(slot, EngineState.STARTING)
        registry.move(slot, READY)
        await asyncio.sleep(5)
        await _ended(checking)

    run(main())

    assert (slot.state, slot.generation) == (READY, 2)


def _beside(registry: Registry, main: Callable[[], Coroutine[Any, Any, None]]) -> None:
    """Run `main` beside a supervisor and a checker, in virtual time."""

    async def both() -> None:
        supervisor = Supervisor(registry, on_trouble=lambda _: None, jitter=lambda: 1.0)
        tasks = [
            asyncio.ensure_future(supervisor.run()),
            asyncio.ensure_future(Checker(registry, CheckOptions()).run()),
        ]
        await settle()
        await main()
        for task in tasks:
            await _ended(task)

    run(both())


@pytest.mark.parametrize("is_owned", [True, False])
def test_who_starts_it_again(is_owned: bool) -> None:
    """One of ours has a new life after its strikes; another's is asked until it is well."""
    engine = CheckedEngine([ILL] * 3)
    registry = Registry([Slot(engine=engine, is_owned=is_owned)])
    states: list[EngineState] = []

    async def main() -> None:
        for moment in (29.0, 30.1, 31.0, 51.0):
            await asyncio.sleep(moment - now())
            await settle()
            states.append(registry.slots[0].state)

    _beside(registry, main)

    if is_owned:
        assert (engine.starts, states) == (
            [0.0, 30.5],
            [READY, EngineState.STARTING, READY, READY],
        )
    else:
        assert (engine.starts, states) == ([0.0], [READY, ERROR, ERROR, READY])


def test_one_that_is_struck_on_and_on_is_started_ever_more_slowly() -> None:
    """Strikes are failures: no storm."""
    engine = CheckedEngine([ILL] * 10_000)
    registry = Registry([Slot(engine=engine)])

    async def main() -> None:
        await asyncio.sleep(3600)

    _beside(registry, main)

    later = [start for start in engine.starts if start >= 60]
    assert all(after - before >= 59.9 for before, after in pairwise(later))
    assert 30 < len(engine.starts) < 62
