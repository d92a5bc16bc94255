"""Several who change which engines there are, at the same time."""

from __future__ import annotations

import asyncio
from contextlib import ExitStack
from pathlib import Path

import pytest

from lingma_cli.auth.vault.base import locked
from lingma_cli.control.persisted import HttpEntry
from lingma_cli.control.registry import EngineState
from lingma_cli.errors import ErrorKind, LingmaError
from tests.control.test_fleet import HTTP, play, ready, refused, until
from tests.support.fleets import Fleets


def test_two_at_once_cannot_both_have_a_url(tmp_path: Path) -> None:
    """What was checked holds until it is written."""
    fleets = Fleets(tmp_path)
    twin = HttpEntry(id="twin", url=HTTP.url)

    async def main() -> None:
        both = [fleets.fleet.add(HTTP), fleets.fleet.add(twin)]
        ends = await asyncio.gather(*both, return_exceptions=True)
        assert [isinstance(end, LingmaError) for end in ends] == [False, True]

    play(fleets, main)

    assert fleets.ids == ["box"]


def test_the_loop_lives_while_the_disk_is_slow(tmp_path: Path) -> None:
    """Another process holds the file; requests go on."""
    fleets = Fleets(tmp_path)

    async def main() -> None:
        with ExitStack() as held:
            held.enter_context(locked(fleets.path.with_suffix(".lock")))
            adding = asyncio.ensure_future(fleets.fleet.add(HTTP))
            for _ in range(5):
                await asyncio.sleep(0)
            assert not adding.done()
        await adding

    play(fleets, main)

    assert fleets.ids == ["box"]


@pytest.mark.parametrize("is_stopped_last", [True, False])
def test_a_stop_and_a_restart_at_once(tmp_path: Path, is_stopped_last: bool) -> None:
    """Whoever comes second finds what the first has done; pool and disk say the same."""
    fleets = Fleets(tmp_path)
    fleet = fleets.fleet

    async def main() -> None:
        (slot,) = await ready(fleets, HTTP)
        with fleets.registry.lease():
            both = [
                asyncio.ensure_future(one)
                for one in (
                    [fleet.restart("box"), fleet.stop("box")]
                    if is_stopped_last
                    else [fleet.stop("box"), fleet.restart("box")]
                )
            ]
            await until(fleets, lambda: slot.state is EngineState.DRAINING)
            if not is_stopped_last:
                assert (await refused(both.pop())).kind is ErrorKind.CONFLICT
        await asyncio.gather(*both)
        assert slot.state is EngineState.STOPPED

    play(fleets, main)

    (found,) = fleets.kept.all()
    assert found.stopped


def test_what_is_brought_back_meanwhile_is_not_pruned(tmp_path: Path) -> None:
    """It has neither stopped nor failed any more when its turn comes."""
    fleets = Fleets(tmp_path)

    async def main() -> None:
        (slot,) = await ready(fleets, HTTP)
        await fleets.fleet.stop("box")
        restarting = asyncio.ensure_future(fleets.fleet.restart("box"))
        await asyncio.sleep(0)
        assert await fleets.fleet.prune() == 0
        await restarting
        await until(fleets, lambda: slot.state is EngineState.READY)

    play(fleets, main)

    assert fleets.kept.all() == (HTTP,)
