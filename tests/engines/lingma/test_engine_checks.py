"""Whether an engine is well, and how often a binary is started that does not take its flags."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import psutil
import pytest

from lingma_cli.engines.lingma.engine import LingmaEngine, LingmaOptions
from lingma_cli.errors import ErrorKind, LingmaError
from tests.engines.lingma.binary import program
from tests.engines.lingma.live import LIMIT, Live, options

pytestmark = pytest.mark.skipif(os.name != "posix", reason="signals and process groups")
BRIEF = 0.05


@pytest.fixture
def live(tmp_path: Path) -> Iterator[Live]:
    """An engine of the test's own."""
    engine = Live(tmp_path)
    yield engine
    engine.close()


def _until(live: Live, wanted: ErrorKind | None) -> None:
    """Check the engine until that is how it is."""

    async def found() -> ErrorKind | None:
        try:
            await live.engine.check(BRIEF)
        except LingmaError as error:
            return error.kind
        return None

    async def wait() -> None:
        while await found() is not wanted:  # noqa: ASYNC110 - another process
            await asyncio.sleep(0)

    live.run(wait())


def test_a_frozen_engine_is_not_well(live: Live) -> None:
    """It gives no sign of life, and once it is thawed it does, though nobody asks it anything."""
    live.run(live.engine.check())
    (listening,) = live.journal("listening")
    process = psutil.Process(listening["pid"])
    process.send_signal(signal.SIGSTOP)
    try:
        _until(live, ErrorKind.ENGINE_TIMEOUT)
    finally:
        process.send_signal(signal.SIGCONT)
    _until(live, None)


def test_an_engine_that_is_away_is_not_well(live: Live) -> None:
    """Nobody waits for that."""
    live.end()

    with pytest.raises(LingmaError) as caught:
        live.run(live.engine.check())

    assert caught.value.kind is ErrorKind.ENGINE_UNAVAILABLE


class Counted:
    """A binary that notes the first word after its name at each start."""

    def __init__(self, folder: Path, body: str, more: LingmaOptions) -> None:
        self._notes = folder / "starts"
        note = f"open({str(self._notes)!r}, 'a').write(sys.argv[1] + '\\n')\n"
        command = program(folder, note + body)
        self._engine = LingmaEngine("odd-0", replace(more, command=command), lambda: "id")

    def live(self) -> list[str]:
        """Run the engine until it is ready or dies; return the starts that this took."""
        before = len(self._read())

        async def main() -> None:
            ready = asyncio.Event()
            life = asyncio.ensure_future(
                self._engine.run(lambda error: ready.set() if error is None else None)
            )
            waiting = asyncio.ensure_future(ready.wait())
            async with asyncio.timeout(LIMIT):
                await asyncio.wait([life, waiting], return_when=asyncio.FIRST_COMPLETED)
            waiting.cancel()
            life.cancel()
            with suppress(asyncio.CancelledError, LingmaError):
                await life

        asyncio.run(main())
        return self._read()[before:]

    def _read(self) -> list[str]:
        return self._notes.read_text().split() if self._notes.exists() else []


@pytest.fixture
def counted(tmp_path: Path) -> Callable[..., Counted]:
    """Return what makes such a binary of a body, with the simulator's switches."""
    return lambda body, **switches: Counted(tmp_path, body, options(tmp_path / "work", **switches))


def test_a_binary_that_wants_no_subcommand(counted: Callable[..., Counted], tmp_path: Path) -> None:
    """What it wants is found out once."""
    demo = options(tmp_path).command
    binary = counted(f"os.execv({demo[0]!r}, [*{demo!r}, *sys.argv[1:]])", sides="command=bare")

    assert binary.live() == ["start", "--workDir"]
    assert [binary.live() for _ in range(2)] == [["--workDir"]] * 2


def test_a_binary_that_takes_neither(counted: Callable[..., Counted]) -> None:
    """After its first life it is started once a life, by both forms in turn."""
    binary = counted("print('Usage: odd [flags]'); sys.exit(2)")

    lives = [binary.live() for _ in range(4)]

    assert lives == [["start", "--workDir"], ["start"], ["--workDir"], ["start"]]


def test_a_binary_that_just_dies(counted: Callable[..., Counted]) -> None:
    """It has not said that it wants something else."""
    binary = counted("sys.exit(2)")

    assert [binary.live() for _ in range(2)] == [["start"]] * 2
