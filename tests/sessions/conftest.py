"""What runs a scene on every kind of store."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from lingma_cli.sessions.stored import Limits
from tests.support.stores import ROOMY, STORES, Clock, Play, Scene, opened


@pytest.fixture(params=STORES)
def play(request: pytest.FixtureRequest, tmp_path: Path) -> Play:
    """Return what runs a scene on a fresh store of each kind."""

    def run(scene: Scene, limits: Limits = ROOMY) -> None:
        async def main() -> None:
            clock = Clock()
            async with opened(STORES[request.param](tmp_path, limits, clock)) as store:
                await scene(store, clock)

        asyncio.run(main())

    return run
