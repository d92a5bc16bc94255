"""Servers that we start: small Python programs that behave well or badly."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import sys
from collections.abc import Awaitable, Callable
from dataclasses import replace
from pathlib import Path
from typing import TypeVar

import psutil
import pytest

from lingma_cli.engines.managed.output_log import file_of, last_lines
from lingma_cli.engines.managed.process import ManagedServer, running
from lingma_cli.engines.managed.survivors import TOKEN_VARIABLE, recall
from lingma_cli.engines.managed.templates import EngineKind, Launch
from lingma_cli.errors import ErrorKind, LingmaError
from tests.engines.lingma.binary import read_when_written, survivors
from tests.engines.managed.servers import launch_of

T = TypeVar("T")

GOOD = "write('pids', [os.getpid()]); serve()"
pytestmark = pytest.mark.skipif(os.name != "posix", reason="signals and process groups")


def _with_server(
    folder: Path,
    launch: Launch,
    look: Callable[[ManagedServer], Awaitable[T]],
    environ: dict[str, str] | None = None,
) -> T:
    async def main() -> T:
        async with running(
            launch,
            name="one",
            folder=folder / "engines",
            environ=dict(os.environ) if environ is None else environ,
            token="t0ken",
        ) as server:
            return await look(server)

    return asyncio.run(main())


async def _ready(server: ManagedServer) -> ManagedServer:
    await server.ready(20)
    return server


async def _refusal(server: ManagedServer, within: float = 20) -> LingmaError:
    with pytest.raises(LingmaError) as caught:
        await server.ready(within)
    return caught.value


def _pids(folder: Path) -> list[int]:
    pids = read_when_written(folder / "engines" / "pids")
    assert isinstance(pids, list)
    return pids


# getting ready


def test_a_server_gets_ready_and_is_gone_at_the_end(tmp_path: Path) -> None:
    """Its address is the port that it was given; nothing of it stays, but for its log."""

    async def look(server: ManagedServer) -> tuple[str, int, bool]:
        await server.ready(20)
        with socket.create_connection(("127.0.0.1", server.port)):
            return server.url, server.port, (tmp_path / "engines" / "one.json").exists()

    url, port, was_recorded = _with_server(tmp_path, launch_of(tmp_path, GOOD), look)

    assert url == f"http://127.0.0.1:{port}"
    assert was_recorded
    assert survivors(_pids(tmp_path), within=0) == []
    assert not (tmp_path / "engines" / "one.json").exists()


LATE = {
    "listens late": "time.sleep(0.5); serve()",
    "answers 503 while it loads": (
        "import threading\n"
        "status[0] = 503\n"
        "threading.Timer(0.5, lambda: status.__setitem__(0, 200)).start(); serve()"
    ),
    "talks nonsense first": (
        "with socket.create_server(('127.0.0.1', port)) as other:\n"
        "    for _ in range(2):\n"
        "        one = other.accept()[0]; one.sendall(b'220 mail ready\\r\\n'); one.close()\n"
        "serve()"
    ),
    "behind a wrapper": "pid = os.fork()\nif pid: os.waitpid(pid, 0)\nserve()",
}


@pytest.mark.parametrize("body", LATE.values(), ids=LATE.keys())
def test_a_server_that_is_ready_late(tmp_path: Path, body: str) -> None:
    """It is waited for."""
    _with_server(tmp_path, launch_of(tmp_path, body), _ready)


NEVER = {
    "deaf": ("print('warming up'); sys.stdout.flush(); rest()", "nothing answers on port"),
    "always 503": ("print('warming up', flush=True)\nstatus[0] = 503; serve()", "status 503"),
    "no HTTP": (
        (
            "print('warming up', flush=True)\n"
            "with socket.create_server(('127.0.0.1', port)) as other:\n"
            "    while True: other.accept()[0].sendall(b'220 mail\\r\\n')"
        ),
        "nothing answers on port",
    ),
}


@pytest.mark.parametrize(("body", "why"), NEVER.values(), ids=NEVER.keys())
def test_a_server_that_is_never_ready(tmp_path: Path, body: str, why: str) -> None:
    """After a while the error says what was wrong, and what the server said last."""

    async def look(server: ManagedServer) -> LingmaError:
        while not server.last_words().startswith("warming"):  # noqa: ASYNC110 - another process
            await asyncio.sleep(0.005)
        return await _refusal(server, 0.4)

    error = _with_server(tmp_path, launch_of(tmp_path, body), look)

    assert error.kind is ErrorKind.ENGINE_UNAVAILABLE
    assert error.message.startswith("the server of `one` did not get ready in 0.4 s: ")
    assert why in error.message
    assert error.message.endswith("it said last: warming up")


def test_a_server_that_dies_at_the_start(tmp_path: Path) -> None:
    """The error comes at once, with status and last words, without secrets in them."""
    body = "print('loading'); print('bad key token=abcdef123456'); sys.exit(3)"

    error = _with_server(tmp_path, launch_of(tmp_path, body), _refusal)

    assert error.kind is ErrorKind.ENGINE_UNAVAILABLE
    assert error.message == (
        "the server of `one` exited with status 3; it said last: bad key token=••••"
    )
    assert error.hint == "run `lingma engine logs one`"


def test_somebody_elses_answer_does_not_count(tmp_path: Path) -> None:
    """A stranger who listens where the server should is not asked anything."""
    (tmp_path / "stranger").mkdir()

    async def main() -> LingmaError:
        async with running(
            launch_of(tmp_path / "stranger", GOOD),
            name="stranger",
            folder=tmp_path / "other",
            environ=dict(os.environ),
            token="x",
        ) as stranger:
            await stranger.ready(20)
            launch = launch_of(tmp_path, "rest()")
            async with running(
                launch, name="one", folder=tmp_path / "e", environ=dict(os.environ), token="y"
            ) as server:
                server.port = stranger.port
                return await _refusal(server, 1)

    error = asyncio.run(main())

    assert "is somebody else's" in error.message


# what is refused before anything starts


def test_a_port_that_is_taken(tmp_path: Path) -> None:
    """Nothing is started."""
    with socket.create_server(("127.0.0.1", 0)) as busy:
        launch = launch_of(tmp_path, GOOD, port=busy.getsockname()[1])
        with pytest.raises(LingmaError) as caught:
            _with_server(tmp_path, launch, _ready)

    assert caught.value.kind is ErrorKind.CONFLICT
    assert not (tmp_path / "engines" / "pids").exists()


def test_the_port_that_is_asked_for(tmp_path: Path) -> None:
    """A free one is used."""
    with socket.create_server(("127.0.0.1", 0)) as probe:
        wanted = probe.getsockname()[1]

    assert _with_server(tmp_path, launch_of(tmp_path, GOOD, port=wanted), _ready).port == wanted


def test_a_program_that_is_not_there(tmp_path: Path) -> None:
    """The error names it and says what to do."""
    launch = launch_of(tmp_path, GOOD)
    launch = replace(launch, template=replace(launch.template, command=("no-such-server",)))

    with pytest.raises(LingmaError) as caught:
        _with_server(tmp_path, launch, _ready)

    assert caught.value.kind is ErrorKind.EXECUTABLE_NOT_FOUND
    assert "`no-such-server`" in caught.value.message
    assert caught.value.hint


def test_a_launch_without_sense(tmp_path: Path) -> None:
    """What the program would take for an option is refused."""
    with pytest.raises(LingmaError) as caught:
        _with_server(tmp_path, replace(launch_of(tmp_path, GOOD), model="--trust"), _ready)

    assert caught.value.kind is ErrorKind.USAGE


# what it is given


def test_what_the_server_is_given(tmp_path: Path) -> None:
    """Arguments, folder, no input, and an environment with what is passed but none of ours."""
    body = "write('seen', [sys.argv[1:], os.getcwd(), sys.stdin.read(), dict(os.environ)]); serve()"
    launch = launch_of(
        tmp_path,
        body,
        kind=EngineKind.EMBEDDING,
        environment={"ADDRESS": "{host}:{port}"},
        passed=("CUDA_VISIBLE_DEVICES",),
    )
    environ = {
        "PATH": os.environ["PATH"],
        "CUDA_VISIBLE_DEVICES": "1",
        "HF_TOKEN": "canary-1",
        "LINGMA_API_KEYS": "canary-2",
        "LINGMA_DEMO_FAULTS": "canary-3",
        "PYTHONPATH": "canary-4",
    }

    port = _with_server(tmp_path, replace(launch, extra=("a b; $c",)), _ready, environ).port
    seen = read_when_written(tmp_path / "engines" / "seen")

    assert isinstance(seen, list)
    words, folder, typed, env = seen
    assert words == [str(port), "some/model", "some/model", "--embed", "a b; $c"]
    assert (folder, typed) == (str((tmp_path / "engines").resolve()), "")
    assert env["ADDRESS"] == f"127.0.0.1:{port}"
    assert (env["CUDA_VISIBLE_DEVICES"], env[TOKEN_VARIABLE]) == ("1", "t0ken")
    assert "canary" not in str(env)


# its life and its end


def test_work_ends_with_the_server(tmp_path: Path) -> None:
    """Whoever works with it hears of its death at once, and is cancelled."""
    seen: list[str] = []

    async def work() -> None:
        try:
            await asyncio.sleep(600)
        except asyncio.CancelledError:
            seen.append("cancelled")
            raise

    async def look(server: ManagedServer) -> LingmaError:
        await server.ready(20)
        (pid,) = await asyncio.to_thread(_pids, tmp_path)
        os.kill(pid, 9)
        with pytest.raises(LingmaError) as caught:
            await server.during(work())
        return caught.value

    error = _with_server(tmp_path, launch_of(tmp_path, GOOD), look)

    assert "exited with status 137" in error.message
    assert seen == ["cancelled"]


def test_work_that_ends_by_itself(tmp_path: Path) -> None:
    """Its own error is what is raised."""

    async def work() -> None:
        raise ZeroDivisionError

    async def look(server: ManagedServer) -> None:
        with pytest.raises(ZeroDivisionError):
            await server.during(work())

    _with_server(tmp_path, launch_of(tmp_path, GOOD), look)


def test_the_end_is_polite_first(tmp_path: Path) -> None:
    """A server that heeds SIGTERM can put its things in order."""
    body = (
        "def bye(*_): write('bye', True); sys.exit(0)\nsignal.signal(signal.SIGTERM, bye); serve()"
    )

    _with_server(tmp_path, launch_of(tmp_path, body), _ready)

    assert (tmp_path / "engines" / "bye").exists()


def test_a_stubborn_server_is_killed(tmp_path: Path) -> None:
    """With all its relatives, also one in a session of its own; it was asked before."""
    body = (
        "signal.signal(signal.SIGTERM, lambda *_: write('asked', True))\n"
        "write('pids', [os.getpid(), child(), child(start_new_session=True)]); serve()"
    )

    _with_server(tmp_path, launch_of(tmp_path, body), _ready)

    assert (tmp_path / "engines" / "asked").exists()
    assert survivors(_pids(tmp_path), within=0) == []


# its output


def test_a_flood_of_output_is_kept_in_part(tmp_path: Path) -> None:
    """100 MB neither block the server nor fill memory or disk; the end is there to read."""
    body = (
        "block = b'x' * 999 + b'\\n'\n"
        "for place in range(100): os.write(1 + place % 2, block * 1000)\n"
        "print('done', flush=True); serve()"
    )

    _with_server(tmp_path, launch_of(tmp_path, body), _ready)
    log = file_of(tmp_path / "engines", "one", "log")

    assert last_lines(log, 2) == ["x" * 999, "done"]
    kept = [log, log.with_name("one.log.1")]
    assert sum(path.stat().st_size for path in kept) <= 8 * 1024 * 1024
    assert {path.stat().st_mode & 0o777 for path in kept} == {0o600}


# after a restart

_HOLDER = """
import asyncio, os, sys
from pathlib import Path
from lingma_cli.engines.managed.process import running
from tests.engines.managed.servers import launch_of
async def main():
    launch = launch_of(Path(sys.argv[1]), sys.argv[2])
    folder = Path(sys.argv[1]) / "engines"
    async with running(launch, name="one", folder=folder, environ=os.environ, token="old") as it:
        await it.ready(20)
        print("ready", flush=True)
        await asyncio.sleep(600)
asyncio.run(main())
"""


# On Linux the kernel ends a server with its guardian, unless the server will not have it.
_UNBOUND = """
import ctypes
if sys.platform == "linux":
    ctypes.CDLL(None).prctl(1, 0, 0, 0, 0)
"""


async def _held(folder: Path, body: str = GOOD) -> asyncio.subprocess.Process:
    holder = await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", _HOLDER, str(folder), body), stdout=asyncio.subprocess.PIPE
    )
    assert holder.stdout is not None
    assert await holder.stdout.readline() == b"ready\n"
    return holder


def test_nobody_outlives_us(tmp_path: Path) -> None:
    """After `kill -9` of the process that holds the guardian, the server goes."""

    async def main() -> None:
        holder = await _held(tmp_path)
        holder.kill()
        await holder.wait()

    asyncio.run(main())

    assert survivors(_pids(tmp_path), within=3.0) == []


def test_a_server_that_outlived_us_is_found_and_ended(tmp_path: Path) -> None:
    """Guardian and holder are killed; the next start finds the server by its record."""

    async def main() -> int:
        holder = await _held(tmp_path, _UNBOUND + GOOD)
        (pid,) = await asyncio.to_thread(_pids, tmp_path)
        (guardian,) = psutil.Process(holder.pid).children()
        os.kill(holder.pid, signal.SIGSTOP)
        guardian.kill()
        holder.kill()
        await holder.wait()
        assert survivors([pid], within=0) == [pid]
        return pid

    pid = asyncio.run(main())
    record = recall(tmp_path / "engines" / "one.json")
    assert record is not None
    assert record.pid == pid

    again = _with_server(tmp_path, launch_of(tmp_path, GOOD, port=record.port), _ready)

    assert survivors([pid], within=0) == []
    assert again.port == record.port
