"""The binary as a child process: started, proved to be ours, drained, and ended for good.

Owns the process, its family, its output and the proof that a listening port belongs to it. Must
not know what is said over that port.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import re
import socket
import sys
from collections import deque
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Final

import psutil

from lingma_cli.engines.lingma import guardian, workdir
from lingma_cli.engines.lingma.endings import quoted
from lingma_cli.errors import ErrorKind, LingmaError
from lingma_cli.paths import opened, private_folder, try_lock

_POLL_SECONDS: Final = 0.03
# Longer than the guardian's own patience, which is three seconds.
_END_SECONDS: Final = 5.0
_DRAIN_SECONDS: Final = 1.0
_RING_BYTES: Final = 64 * 1024
# Addresses under which a listener is found at 127.0.0.1.
_REACHED: Final = frozenset({"127.0.0.1", "0.0.0.0", "::", "::ffff:127.0.0.1"})
_LOCK_FILE: Final = ".lingma-cli.lock"
_READ_BYTES: Final = 16 * 1024
_READY: Final = re.compile(r"WebSocket: (\d{1,5}), HTTP: (\d{1,5})")

# The child gets these and nothing else: no key or token of ours can leak into it. Proxy variables
# pass because the binary reaches its service through them.
_ENVIRONMENT: Final = frozenset(
    """
    PATH HOME USER LOGNAME SHELL LANG LANGUAGE TZ TMPDIR TMP TEMP
    XDG_CONFIG_HOME XDG_CACHE_HOME XDG_DATA_HOME XDG_RUNTIME_DIR
    SYSTEMROOT SYSTEMDRIVE WINDIR COMSPEC PATHEXT USERPROFILE APPDATA LOCALAPPDATA PROGRAMDATA
    HTTP_PROXY HTTPS_PROXY NO_PROXY ALL_PROXY SSL_CERT_FILE SSL_CERT_DIR
    """.split()
)
_ENVIRONMENT_PREFIXES: Final = ("LC_", "LINGMA_DEMO_")


def allowed_environment(environ: Mapping[str, str]) -> dict[str, str]:
    """Return the part of `environ` that a child may see."""
    return {
        name: value
        for name, value in environ.items()
        if name.upper() in _ENVIRONMENT or name.upper().startswith(_ENVIRONMENT_PREFIXES)
    }


class OutputRing:
    """The last 64 KiB that the child printed."""

    def __init__(self) -> None:
        self._pieces: deque[bytes] = deque()
        self._size = 0

    def add(self, piece: bytes) -> None:
        """Keep `piece` and let go of what is older than the ring is long."""
        self._pieces.append(piece)
        self._size += len(piece)
        while self._size - len(self._pieces[0]) >= _RING_BYTES:
            self._size -= len(self._pieces.popleft())

    def text(self) -> str:
        """Return what is kept, decoded as far as possible."""
        return b"".join(self._pieces)[-_RING_BYTES:].decode(errors="replace")


class LingmaProcess:
    """A running binary.

    Attributes:
        exited: done when the process has ended, with its exit status.
        output: the end of what it printed.
    """

    def __init__(self, process: asyncio.subprocess.Process, work_dir: Path, http_port: int) -> None:
        self._process = process
        self._work_dir = work_dir
        self._wanted_http_port = http_port
        self._known: list[psutil.Process] = []
        self.output = OutputRing()
        self.exited: asyncio.Task[int] = asyncio.ensure_future(self._drain())

    async def _drain(self) -> int:
        stream = self._process.stdout
        while stream is not None and (piece := await stream.read(_READ_BYTES)):
            self.output.add(piece)
        return await self._process.wait()

    async def address(self, within: float) -> workdir.ServerAddress:
        """Wait until the info file names a port on which this very process listens.

        Args:
            within: seconds to wait.

        Raises:
            LingmaError: the process ended, or time is up.
        """
        doubt = "it wrote no info file"
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(within):
                while not self.exited.done():
                    address = workdir.read_address(self._work_dir)
                    if address is not None:
                        doubt = await asyncio.to_thread(self._doubt, address)
                        if not doubt:
                            return address
                    await asyncio.wait([self.exited], timeout=_POLL_SECONDS)
                raise self.died()
        raise LingmaError(
            ErrorKind.ENGINE_UNAVAILABLE,
            f"Lingma did not get ready in {within:g} s: {doubt}",
        )

    def _doubt(self, address: workdir.ServerAddress) -> str:
        """Return why the port should not be believed, or nothing when it should."""
        family = self._known = self._family()
        if address.pid not in {member.pid for member in family}:
            return f"its info file names process {address.pid}, which is not ours"
        if address.port in _ports(family):
            return ""
        return f"port {address.port} of its info file is not its own"

    def http_port(self, address: workdir.ServerAddress) -> int:
        """Return the port of its login callback, 0 when it has none of its own.

        What was asked for is no promise, and the info file has no field for it: what it printed or
        logged comes first. Blocks for a moment.
        """
        own = _ports(self._family())
        words = self.output.text() + _end_of(self._work_dir / "logs" / "lingma.log")
        told = [int(found[2]) for found in _READY.finditer(words) if int(found[1]) == address.port]
        return next((port for port in (*told, self._wanted_http_port) if port in own), 0)

    def _family(self) -> list[psutil.Process]:
        try:
            guard = psutil.Process(self._process.pid)
            return [guard, *guard.children(recursive=True)]
        except psutil.Error:
            return []

    def died(self) -> LingmaError:
        """Return the error that tells of its end and its last words."""
        status = self.exited.result() if self.exited.done() else "unknown"
        return LingmaError(
            ErrorKind.ENGINE_UNAVAILABLE,
            f"Lingma exited with status {status}",
        )

    def last_words(self) -> str:
        """Return the last line it printed, without secrets."""
        lines = self.output.text().strip().splitlines()
        return quoted(lines[-1]) if lines else "nothing"

    async def end(self) -> None:
        """Have the guardian end the family; returns when it is gone."""
        orders = self._process.stdin
        if orders is not None and not orders.is_closing():
            orders.write(b"q")
            orders.close()
        await asyncio.wait([self.exited], timeout=_END_SECONDS)
        for member in self._known:
            # Only if somebody ended the guardian: then its family is ours to end.
            with contextlib.suppress(psutil.Error):
                member.kill()
        # A stranger who inherited the pipe may still hold up the exit status.
        await asyncio.wait([self.exited], timeout=_DRAIN_SECONDS)
        self.exited.cancel()
        await asyncio.gather(self.exited, return_exceptions=True)
        self._process._transport.close()  # type: ignore[attr-defined]  # noqa: SLF001 - nothing public closes the pipes


def _end_of(log: Path) -> str:
    with contextlib.suppress(OSError), log.open("rb") as file:
        file.seek(max(0, os.fstat(file.fileno()).st_size - _RING_BYTES))
        return file.read(_RING_BYTES).decode(errors="replace")
    return ""


def _ports(family: Sequence[psutil.Process]) -> frozenset[int]:
    return frozenset(port for member in family for port in _listening(member))


def _listening(process: psutil.Process) -> Iterator[int]:
    """Yield the ports on which a process is found at 127.0.0.1."""
    with contextlib.suppress(psutil.Error):
        for connection in process.net_connections(kind="tcp"):
            if connection.status != psutil.CONN_LISTEN or not connection.laddr:
                continue
            # Another address would be another socket, and that may be a stranger's.
            if connection.laddr.ip in _REACHED:
                yield connection.laddr.port


@contextlib.asynccontextmanager
async def spawned(
    command: Sequence[str],
    *,
    work_dir: Path,
    socket_port: int,
    environ: Mapping[str, str],
    endpoint: str = "",
) -> AsyncIterator[LingmaProcess]:
    """Start `command start …` under a guardian; leaving the context ends it.

    Args:
        command: the executable and what stands before its flags.
        work_dir: its data folder and working directory, created if need be.
        socket_port: the port to ask for; 0 picks a free one.
        environ: the environment of ours; the child gets the allowed part.
        endpoint: the address of a dedicated service; empty for the usual one.

    Raises:
        LingmaError: the folder or the executable cannot be used.
    """
    with _claimed(work_dir):
        flags = {
            "--workDir": str(work_dir),
            "--socketPort": str(socket_port or _free_port()),
            "--httpPort": str(http_port := _free_port()),
            "--transportType": "websocket",
        }
        if endpoint:
            flags["--endpoint"] = endpoint
        words = [word for flag in flags.items() for word in flag]
        child = await _start((*command, *words), work_dir, environ)
        process = LingmaProcess(child, work_dir, http_port)
        try:
            yield process
        finally:
            await asyncio.shield(process.end())


async def _start(
    command: Sequence[str], work_dir: Path, environ: Mapping[str, str]
) -> asyncio.subprocess.Process:
    try:
        return await asyncio.create_subprocess_exec(
            *(sys.executable, "-I", "-S", guardian.__file__, *command),
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
            cwd=work_dir,
            env=allowed_environment(environ),
            start_new_session=True,
        )
    except OSError as error:
        raise LingmaError(
            ErrorKind.ENGINE_UNAVAILABLE, f"cannot start a process: {error.strerror}"
        ) from error


@contextlib.contextmanager
def _claimed(work_dir: Path) -> Iterator[None]:
    """Keep the work directory for ourselves: two processes on one would spoil its login."""
    with contextlib.ExitStack() as held:
        try:
            private_folder(work_dir)
            lock = held.enter_context(opened(work_dir / _LOCK_FILE, os.O_RDWR | os.O_CREAT))
            is_free = try_lock(lock)
            if is_free:
                workdir.forget_address(work_dir)
        except (OSError, LingmaError) as error:
            raise LingmaError(
                ErrorKind.ENGINE_UNAVAILABLE, f"cannot use the work directory `{work_dir}`: {error}"
            ) from error
        if not is_free:
            raise LingmaError(
                ErrorKind.ENGINE_UNAVAILABLE,
                f"another server uses the work directory `{work_dir}`",
            )
        yield


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
