"""A child process under its guardian; more of it in the tests of the engines that have one."""

from __future__ import annotations

import asyncio
import os
import socket
import sys
from pathlib import Path

import psutil
import pytest

from lingma_cli.engines.child import (
    GuardedChild,
    OutputRing,
    allowed_environment,
    free_port,
    ports_of,
    start_guarded,
)
from lingma_cli.errors import ErrorKind, LingmaError
from tests.engines.lingma.binary import survivors

pytestmark = pytest.mark.skipif(os.name != "posix", reason="signals and process groups")


async def _start(folder: Path, program: str, **more: object) -> GuardedChild:
    command = (sys.executable, "-S", "-c", program)
    return await start_guarded(
        command,
        folder=folder,
        environ={"MARK": "1"},
        patience=0.2,
        **more,  # type: ignore[arg-type]
    )


def test_the_environment_that_is_allowed() -> None:
    """Names in any case, those that are named besides, and beginnings; nothing else."""
    environ = {"path": "1", "lc_all": "2", "Cuda_Home": "3", "LINGMA_KEY": "4", "OWN_X": "5"}

    assert allowed_environment(environ) == {"path": "1", "lc_all": "2"}
    more = allowed_environment(environ, names=("CUDA_HOME",), prefixes=("OWN_",))
    assert more == {"path": "1", "lc_all": "2", "Cuda_Home": "3", "OWN_X": "5"}


def test_the_ring_keeps_the_end() -> None:
    """The last 64 KiB, whatever the pieces; broken characters are replaced."""
    ring = OutputRing()
    for place in range(10_000):
        ring.add(f"{place:019d}\n".encode())
    ring.add(b"\xff")

    text = ring.text()

    assert text.endswith(f"{9_999:019d}\n\ufffd")
    assert len(text.encode("utf-8", "replace")) - 2 == 64 * 1024


def test_the_last_line_is_one_with_words() -> None:
    """Empty lines behind it do not count; nothing printed is no line."""
    ring = OutputRing()
    assert ring.last_line() == ""

    ring.add(b"one\ntwo \r\n\n  \n")

    assert ring.last_line() == "two"


def test_all_that_it_prints_is_kept(tmp_path: Path) -> None:
    """Whoever wants it gets every byte of both streams, while the ring has the end only."""
    pieces: list[bytes] = []

    async def keep(piece: bytes) -> None:
        await asyncio.sleep(0)
        pieces.append(piece)

    async def main() -> tuple[int, str]:
        program = "import os\nfor n in range(200): os.write(1 + n % 2, b'%09d ' % n * 100)"
        child = await _start(tmp_path, program, keep=keep)
        status = await child.exited
        await child.end()
        return status, child.output.text()

    status, text = asyncio.run(main())
    whole = b"".join(pieces).decode()

    assert (status, len(whole)) == (0, 200_000)
    assert whole.endswith(text)
    assert len(text) == 64 * 1024


def test_its_family_and_ports(tmp_path: Path) -> None:
    """The guardian comes first, the command second; a port counts if it listens on loopback."""
    program = (
        "import socket, time\n"
        "one, two = socket.create_server(('127.0.0.1', 0)), socket.socket()\n"
        "two.bind(('127.0.0.1', 0))\n"
        "print(one.getsockname()[1], two.getsockname()[1], flush=True); time.sleep(600)"
    )

    async def main() -> tuple[list[str], str, frozenset[int]]:
        child = await _start(tmp_path, program)
        try:
            while not child.output.text():  # noqa: ASYNC110 - another process
                await asyncio.sleep(0.005)
            family = child.family()
            return [member.cmdline()[1] for member in family], child.output.text(), ports_of(family)
        finally:
            await child.end()

    flags, printed, ports = asyncio.run(main())
    listening, bound = map(int, printed.split())

    assert flags == ["-I", "-S"]
    assert ports == {listening}
    assert bound not in ports


def test_the_end_takes_what_the_guardian_leaves(tmp_path: Path) -> None:
    """If somebody has ended the guardian, the family that was known is ended by us."""
    program = (
        "import subprocess, sys, time\n"
        "subprocess.Popen([sys.executable, '-S', '-c', 'import time; time.sleep(600)'])\n"
        "print('up', flush=True); time.sleep(600)"
    )

    async def main() -> list[int]:
        child = await _start(tmp_path, program)
        while not child.output.text():  # noqa: ASYNC110 - another process
            await asyncio.sleep(0.005)
        guardian, command, grandchild = child.family()
        guardian.kill()
        assert grandchild.is_running()
        while child.family():  # noqa: ASYNC110 - another process
            await asyncio.sleep(0.005)
        await child.end()
        return [command.pid, grandchild.pid]

    assert survivors(asyncio.run(main()), within=2) == []


@pytest.mark.skipif(sys.platform != "linux", reason="nobody else kills with the parent")
def test_the_command_dies_with_its_guardian(tmp_path: Path) -> None:
    """Also before anybody has looked at the family: its end is told, and nobody is left."""
    program = "import os, time; print(os.getpid(), flush=True); time.sleep(600)"

    async def main() -> list[int]:
        child = await _start(tmp_path, program)
        while not child.output.text():  # noqa: ASYNC110 - another process
            await asyncio.sleep(0.005)
        (guardian,) = (one for one in psutil.Process().children() if "-I" in one.cmdline())
        guardian.kill()
        async with asyncio.timeout(5):
            assert await child.exited == -9
        await child.end()
        return [int(child.output.text())]

    assert survivors(asyncio.run(main()), within=2) == []


def test_a_folder_that_is_not_there(tmp_path: Path) -> None:
    """That is an error with a reason."""
    with pytest.raises(LingmaError) as caught:
        asyncio.run(_start(tmp_path / "nowhere", "pass"))

    assert caught.value.kind is ErrorKind.ENGINE_UNAVAILABLE
    assert "No such file" in caught.value.message


def test_a_free_port_can_be_taken() -> None:
    """Nobody listens there."""
    with socket.create_server(("127.0.0.1", free_port())):
        pass
