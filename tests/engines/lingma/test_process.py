"""The binary as a child process."""

from __future__ import annotations

import asyncio
import os
import socket
import sys
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TypeVar

import pytest

from lingma_cli.engines.lingma.process import (
    LingmaProcess,
    Subcommand,
    allowed_environment,
    spawned,
)
from lingma_cli.errors import ErrorKind, LingmaError
from tests.engines.lingma.binary import program, read_when_written, survivors

T = TypeVar("T")

HONEST = "listener, port = listen(); tell(port, os.getpid()); rest()"
pytestmark = pytest.mark.skipif(os.name != "posix", reason="signals and process groups")


def _with_child(
    folder: Path,
    body: str,
    look: Callable[[LingmaProcess], Awaitable[T]],
    *,
    environ: dict[str, str] | None = None,
    port: int = 0,
) -> T:
    """Start a program and return what `look` sees of it."""

    async def main() -> T:
        async with spawned(
            program(folder, body),
            work_dir=folder / "work",
            socket_port=port,
            environ=dict(os.environ) if environ is None else environ,
        ) as process:
            return await look(process)

    return asyncio.run(main())


async def _address(process: LingmaProcess) -> tuple[int, int]:
    address = await process.address(10)
    return address.port, address.pid


async def _refusal(process: LingmaProcess) -> LingmaError:
    with pytest.raises(LingmaError) as caught:
        await process.address(0.5)
    return caught.value


async def _death(process: LingmaProcess) -> LingmaError:
    with pytest.raises(LingmaError) as caught:
        await process.address(10)
    return caught.value


# the proof that the listener is our child


def test_an_honest_child_is_believed(tmp_path: Path) -> None:
    """Its info file names its own pid and a port on which it listens."""
    port, pid = _with_child(tmp_path, HONEST, _address)

    assert port > 0
    assert survivors([pid], within=0) == []


def test_a_child_behind_a_wrapper_is_believed(tmp_path: Path) -> None:
    """The listener may be a grandchild."""
    body = "pid = os.fork()\nif pid: os.waitpid(pid, 0)\n" + HONEST

    _, pid = _with_child(tmp_path, body, _address)

    assert survivors([pid], within=0) == []


def test_another_port_than_the_one_asked_for_is_believed(tmp_path: Path) -> None:
    """The wanted port is not a promise, the info file is."""
    body = "flags['--socketPort'] = 0\n" + HONEST
    with socket.create_server(("127.0.0.1", 0)) as busy:
        taken = busy.getsockname()[1]
        port, _ = _with_child(tmp_path, body, _address, port=taken)

    assert taken != port


def test_the_wanted_port_is_passed_on(tmp_path: Path) -> None:
    """A free port that was asked for is the child's."""
    with socket.create_server(("127.0.0.1", 0)) as probe:
        wanted = probe.getsockname()[1]

    assert wanted == _with_child(tmp_path, HONEST, _address, port=wanted)[0]


def test_a_foreign_pid_is_refused(tmp_path: Path) -> None:
    """An info file that names a living process that is not ours is not believed."""
    body = f"listener, port = listen(); tell(port, {os.getpid()}); rest()"

    error = _with_child(tmp_path, body, _refusal)

    assert ErrorKind.ENGINE_UNAVAILABLE is error.kind
    assert f"process {os.getpid()}, which is not ours" in error.message


def test_a_foreign_listener_is_refused(tmp_path: Path) -> None:
    """Somebody else's port is not talked to, even under our child's pid."""
    with socket.create_server(("127.0.0.1", 0)) as foreign:
        port = foreign.getsockname()[1]
        error = _with_child(tmp_path, f"tell({port}, os.getpid()); rest()", _refusal)

    assert f"port {port} of its info file is not its own" in error.message


def test_a_port_without_a_listener_is_refused(tmp_path: Path) -> None:
    """A socket that is bound but does not listen is no server."""
    body = (
        "bound = socket.socket(); bound.bind(('127.0.0.1', 0))\n"
        "tell(bound.getsockname()[1], os.getpid()); rest()"
    )

    assert "is not its own" in _with_child(tmp_path, body, _refusal).message


def test_an_old_info_file_is_not_read(tmp_path: Path) -> None:
    """What an earlier process left is removed before the start."""
    work_dir = tmp_path / "work"
    work_dir.mkdir(mode=0o700)
    (work_dir / ".info.json").write_text('{"websocketPort": 1, "pid": 1}')
    (work_dir / ".info").write_text("1\n1\n")

    assert "it wrote no info file" in _with_child(tmp_path, "rest()", _refusal).message


# ends at the start


def test_a_child_that_dies_at_the_start(tmp_path: Path) -> None:
    """The error has its status; its last words are kept for the log, without secrets."""
    body = "print('loading'); print('no licence found, token=abcdef123456'); sys.exit(3)"
    started = time.monotonic()

    async def death(process: LingmaProcess) -> tuple[LingmaError, str]:
        return await _death(process), process.last_words()

    error, last_words = _with_child(tmp_path, body, death)

    assert time.monotonic() - started < 5
    assert error.message == "Lingma exited with status 3"
    assert error.hint is None
    assert last_words == "no licence found, token=••••"


def test_a_child_killed_by_a_signal(tmp_path: Path) -> None:
    """The status is the shell's: 128 and the signal."""
    error = _with_child(tmp_path, "os.kill(os.getpid(), signal.SIGKILL)", _death)

    assert "status 137" in error.message


def test_a_death_is_seen_though_a_relative_holds_the_output(tmp_path: Path) -> None:
    """A grandchild that inherited the pipe does not hide the end of its parent."""
    started = time.monotonic()

    error = _with_child(tmp_path, "child(); sys.exit(4)", _death)

    assert "status 4" in error.message
    assert time.monotonic() - started < 5


def test_a_command_that_cannot_run(tmp_path: Path) -> None:
    """What the system said about it is among the last words."""

    async def main() -> tuple[LingmaError, str]:
        command = (str(tmp_path / "nothing"),)
        async with spawned(
            command, work_dir=tmp_path / "work", socket_port=0, environ={}
        ) as process:
            return await _death(process), process.last_words()

    error, last_words = asyncio.run(main())

    assert "status 127" in error.message
    assert "No such file" in last_words


def test_a_work_directory_that_cannot_be_made(tmp_path: Path) -> None:
    """The error names it."""
    (tmp_path / "work").write_text("a file")

    with pytest.raises(LingmaError) as caught:
        _with_child(tmp_path, "rest()", _address)

    assert ErrorKind.ENGINE_UNAVAILABLE is caught.value.kind
    assert str(tmp_path / "work") in caught.value.message


# what the child is given


async def _written(process: LingmaProcess) -> object:
    await process.exited
    return None


def test_what_the_child_is_given(tmp_path: Path) -> None:
    """Flags, working directory, no input, and an environment without our secrets."""
    environ = {
        "PATH": os.environ["PATH"],
        "HTTPS_PROXY": "http://proxy",
        "LC_ALL": "C",
        "LINGMA_DEMO_FAULTS": "x=1",
        "LINGMA_API_KEYS": "canary-1",
        "LINGMA_ADMIN_TOKEN": "canary-2",
        "OPENAI_API_KEY": "canary-3",
        "PYTHONPATH": "canary-4",
        "LD_PRELOAD": "",
    }
    body = "write('seen', [sys.argv[1:], os.getcwd(), sys.stdin.read(), dict(os.environ)])"

    _with_child(tmp_path, body, _written, environ=environ)
    seen = read_when_written(tmp_path / "work" / "seen")

    assert isinstance(seen, list)
    words, folder, typed, env = seen
    flags = dict(zip(words[::2], words[1::2], strict=True))
    assert {"--workDir", "--socketPort", "--httpPort", "--transportType"} == set(flags)
    assert (str(tmp_path / "work"), "websocket") == (flags["--workDir"], flags["--transportType"])
    assert flags["--socketPort"] != flags["--httpPort"]
    assert (str((tmp_path / "work").resolve()), "") == (folder, typed)
    assert {"PATH", "HTTPS_PROXY", "LC_ALL", "LINGMA_DEMO_FAULTS"} <= set(env)
    assert "canary" not in str(env)
    assert "LD_PRELOAD" not in env


def test_the_allow_list() -> None:
    """Names in any case; nothing else passes."""
    environ = {"path": "1", "Http_Proxy": "2", "LINGMA_KEY": "3", "HOMEBREW_TOKEN": "4", "LC": "5"}

    assert allowed_environment(environ) == {"path": "1", "Http_Proxy": "2"}


def test_the_address_of_a_dedicated_service(tmp_path: Path) -> None:
    """It is one more flag."""

    async def main() -> None:
        async with spawned(
            program(tmp_path, "write('seen', flags)"),
            work_dir=tmp_path / "work",
            socket_port=0,
            environ=dict(os.environ),
            endpoint="https://own.example",
        ) as process:
            await process.exited

    asyncio.run(main())
    seen = read_when_written(tmp_path / "work" / "seen")

    assert isinstance(seen, dict)
    assert seen["--endpoint"] == "https://own.example"


# the port of its login callback

_TWO_PORTS = """
listener, port = listen()
callback = socket.create_server(("127.0.0.1", {wanted}))
line = "ready - WebSocket: %d, HTTP: %d, IPC: /x" % ({told_socket}, {told})
{tell}
write("callback", callback.getsockname()[1])
tell(port, os.getpid())
rest()
"""
_OWN = "callback.getsockname()[1]"
_WANTED = "int(flags['--httpPort'])"
_PRINT = "print(line, flush=True)"
_LOG = "os.makedirs('logs'); open('logs/lingma.log', 'w').write('old\\n' * 50000 + line)"


@pytest.mark.parametrize(
    ("wanted", "told_socket", "told", "tell", "is_known"),
    [
        ("0", "port", _OWN, _PRINT, True),
        ("0", "port", _OWN, _LOG, True),
        (_WANTED, "port", "0", "", True),
        (_WANTED, "port", "1", _PRINT, True),
        ("0", "port", "1", _PRINT, False),
        ("0", "1", _OWN, _LOG, False),
        ("0", "port", _OWN, "", False),
    ],
    ids=["printed", "logged", "as asked", "a lie", "only a lie", "of another life", "untold"],
)
def test_the_port_of_the_login_callback(
    tmp_path: Path, wanted: str, told_socket: str, told: str, tell: str, is_known: bool
) -> None:
    """It is what the binary says, else what it was asked for, and in any case its own."""
    body = _TWO_PORTS.format(wanted=wanted, told_socket=told_socket, told=told, tell=tell)

    async def look(process: LingmaProcess) -> int:
        address = await process.address(10)
        while tell == _PRINT and not process.output.text():  # noqa: ASYNC110 - another process
            await asyncio.sleep(0.005)
        return process.http_port(address)

    port = _with_child(tmp_path, body, look)

    callback = read_when_written(tmp_path / "work" / "callback")
    assert port == (callback if is_known else 0)


# its output


def test_a_flood_of_output_is_drained(tmp_path: Path) -> None:
    """100 MB neither block the child nor stay in memory."""
    body = (
        "block = b'x' * 999_999 + b'\\n'\n"
        "for place in range(100): os.write(1 + place % 2, block)\n"
        "os.write(2, b'done\\n')"
    )

    async def look(process: LingmaProcess) -> tuple[int, str]:
        return await process.exited, process.output.text()

    status, text = _with_child(tmp_path, body, look)

    assert status == 0
    assert text.endswith("done\n")
    assert len(text) <= 64 * 1024


# its end

FAMILIES = {
    "plain": "write('pids', [os.getpid()]); rest()",
    "stubborn grandchild": "write('pids', [os.getpid(), child()]); rest()",
    "all stubborn, one in a session of its own": (
        "ignore_signals()\n"
        "write('pids', [os.getpid(), child(), child(start_new_session=True)]); rest()"
    ),
}


async def _pids(process: LingmaProcess) -> list[int]:
    pids = await asyncio.to_thread(read_when_written, process._work_dir / "pids")
    assert isinstance(pids, list)
    return pids


@pytest.mark.parametrize("body", FAMILIES.values(), ids=FAMILIES.keys())
def test_leaving_ends_the_whole_family(tmp_path: Path, body: str) -> None:
    """When the context is left, nobody is left, however stubborn."""
    pids = _with_child(tmp_path, body, _pids)

    assert survivors(pids, within=0) == []


def test_the_end_is_polite_first(tmp_path: Path) -> None:
    """A child that heeds SIGTERM can put its things in order."""
    body = (
        "def bye(*_): write('bye', True); sys.exit(0)\n"
        "signal.signal(signal.SIGTERM, bye); write('pids', [os.getpid()]); rest()"
    )

    started = time.monotonic()
    _with_child(tmp_path, body, _pids)

    assert (tmp_path / "work" / "bye").exists()
    assert time.monotonic() - started < 3


def test_a_failure_inside_ends_the_family_too(tmp_path: Path) -> None:
    """An exception leaves nobody behind."""
    seen: list[int] = []

    async def look(process: LingmaProcess) -> None:
        seen.extend(await _pids(process))
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        _with_child(tmp_path, FAMILIES["plain"], look)

    assert len(seen) == 1
    assert survivors(seen, within=0) == []


_HOLDER = """
import asyncio, os, sys
from pathlib import Path
from lingma_cli.engines.lingma.process import spawned
async def main():
    work_dir = Path(sys.argv[1])
    async with spawned(sys.argv[2:], work_dir=work_dir, socket_port=0, environ=os.environ):
        await asyncio.sleep(600)
asyncio.run(main())
"""


@pytest.mark.parametrize("body", FAMILIES.values(), ids=FAMILIES.keys())
def test_nobody_outlives_us(tmp_path: Path, body: str) -> None:
    """Two seconds after `kill -9` of the process that holds the guardian, all are gone."""
    work_dir = tmp_path / "work"

    async def main() -> list[int]:
        holder = await asyncio.create_subprocess_exec(
            sys.executable, "-c", _HOLDER, str(work_dir), *program(tmp_path, body)
        )
        pids = await asyncio.to_thread(read_when_written, work_dir / "pids")
        assert isinstance(pids, list)
        holder.kill()
        await holder.wait()
        return await asyncio.to_thread(survivors, pids, 2.0)

    assert asyncio.run(main()) == []


def test_the_subcommand_that_worked_is_kept() -> None:
    """Whatever the binary prints at its end later on."""
    subcommand = Subcommand()

    assert not subcommand.failed("segmentation fault")
    assert subcommand.failed("USAGE: lingma [flags]")
    assert subcommand.words == ()
    subcommand.worked()
    assert not subcommand.failed("memory usage: 100 %")
    assert subcommand.words == ()
