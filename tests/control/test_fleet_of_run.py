"""Engines that are added to a fleet that writes nothing down."""

from __future__ import annotations

import asyncio
from pathlib import Path

from lingma_cli.control.persisted import HttpEntry
from lingma_cli.control.registry import EngineState
from tests.control.test_fleet import HTTP, MANAGED, OTHER, play, ready
from tests.support.fleets import Fleets


def test_what_is_added_counts_for_this_run(tmp_path: Path) -> None:
    """It is changed, stopped, started, pruned and removed like any other; no file comes of it."""
    fleets = Fleets(tmp_path, remembers=False)

    async def main() -> None:
        (box, *_) = await ready(fleets, HTTP, OTHER, MANAGED)
        await fleets.fleet.change("box", limit=7, labels={"a": "b"})
        await fleets.fleet.stop("box")
        assert (box.is_remembered, box.limit, box.state) == (False, 7, EngineState.STOPPED)
        await fleets.fleet.restart("box")
        await fleets.fleet.remove("other")
        await fleets.fleet.stop("llama")
        assert await fleets.fleet.prune() == 1
        assert [slot.id for slot in fleets.registry.slots] == ["box"]

    play(fleets, main)

    assert not fleets.path.exists()


def test_what_was_remembered_before_stays_changeable(tmp_path: Path) -> None:
    """An engine of the file is written and forgotten there; its new neighbour is not."""
    fleets = Fleets(tmp_path, remembers=False)
    for entry in (HTTP, OTHER):
        fleets.kept.put(entry)
    fleets.fleet.restore()

    async def main() -> None:
        await fleets.fleet.add(HttpEntry(id="new", url="http://127.0.0.1:8082"))
        await fleets.fleet.stop("box", within=0)
        await fleets.fleet.remove("other", within=0)
        remembered = {slot.id: slot.is_remembered for slot in fleets.registry.slots}
        assert remembered == {"box": True, "new": False}

    play(fleets, main)

    assert [(one.id, one.stopped) for one in fleets.kept.all()] == [("box", True)]


def test_what_is_written_down_is_remembered(tmp_path: Path) -> None:
    """As the fleet of a guarded server does it."""
    fleets = Fleets(tmp_path)
    slot = asyncio.run(fleets.fleet.add(HTTP))

    assert (slot.is_remembered, fleets.ids) == (True, ["box"])
