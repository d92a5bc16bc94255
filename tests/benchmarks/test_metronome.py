"""The metronome wakes in order of time, and lets go when it is closed."""

import asyncio
import time

from benchmarks.metronome import Metronome


def test_tasks_wake_in_order_of_their_times() -> None:
    """A later call with an earlier time goes first; past times do not wait."""
    woken: list[str] = []

    async def wait(name: str, due: float, metronome: Metronome) -> None:
        await metronome.until(due)
        woken.append(name)

    async def run() -> None:
        now = time.monotonic()
        with Metronome() as metronome:
            async with asyncio.timeout(10), asyncio.TaskGroup() as group:
                for name, delay in (("late", 0.06), ("early", 0.03), ("past", -1.0)):
                    group.create_task(wait(name, now + delay, metronome))

    asyncio.run(run())

    assert woken == ["past", "early", "late"]
