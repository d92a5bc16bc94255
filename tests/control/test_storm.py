"""An engine that is good for nothing, in a pool that serves: an hour of virtual time."""

from __future__ import annotations

import asyncio
from itertools import pairwise

import pytest

from lingma_cli.control.supervisor import Supervisor
from lingma_cli.core.events import BlockDelta, BlockKind, Finished, FinishReason
from tests.support.house import House
from tests.support.scripted_engine import Life, Script, ScriptedEngine
from tests.support.virtual_time import run

ANSWER: Script = [
    [BlockDelta(kind=BlockKind.TEXT, text="fine")],
    [Finished(reason=FinishReason.STOP)],
]
LIVES = {
    "dies at once": Life(starts_in=None, lasts=0.0),
    "dies slowly": Life(starts_in=None, lasts=3.0),
    "gets ready and dies": Life(starts_in=0.1, lasts=0.0),
    "answers nothing for a while and dies": Life(starts_in=1.0, lasts=20.0),
}


@pytest.mark.parametrize("jitter", [0.0, 1.0])
@pytest.mark.parametrize("life", LIVES.values(), ids=LIVES.keys())
def test_there_is_no_storm_and_the_rest_serves(life: Life, jitter: float) -> None:
    """At most 12 starts in the first minute, at most one a minute after; no request is lost."""
    bad = ScriptedEngine(name="bad", lives=[life] * 400)
    bad.refusal = life.error
    good = ScriptedEngine(ANSWER, name="good")

    async def main() -> list[str]:
        house = House(bad, good, ready=False)
        supervisor = Supervisor(house.registry, on_trouble=lambda _: None, jitter=lambda: jitter)
        running = asyncio.ensure_future(supervisor.run())
        for _ in range(1800):
            await house.ask()
            await asyncio.sleep(2)
        running.cancel()
        await asyncio.wait([running])
        house.assert_nothing_is_held()
        return [record.end for record in house.records]

    ends = run(main())

    later = [start for start in bad.starts if start >= 60]
    assert len([start for start in bad.starts if start < 60]) <= 12
    assert all(after - before >= 60 - 1e-6 for before, after in pairwise(later))
    assert len(later) > 30
    assert (len(ends), set(ends)) == (1800, {"stop"})


def test_who_runs_elsewhere_is_tried_more_often() -> None:
    """That starts nothing, and it may be back at any moment."""
    away = ScriptedEngine(name="away", lives=[LIVES["dies at once"]] * 400)

    async def main() -> None:
        house = House(away, ready=False)
        house.registry.slots[0].is_owned = False
        supervisor = Supervisor(house.registry, on_trouble=lambda _: None, jitter=lambda: 1.0)
        running = asyncio.ensure_future(supervisor.run())
        await asyncio.sleep(300)
        running.cancel()
        await asyncio.wait([running])

    run(main())

    pauses = [after - before for before, after in pairwise(away.starts)]
    assert pauses[:5] == [0.5, 1.0, 2.0, 4.0, 8.0]
    assert set(pauses[5:]) == {10.0}
