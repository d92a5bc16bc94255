"""A server that we start: waited for, watched, its output kept, and stopped with us.

Owns one life of one server: its port, its process, its log. Must not know what is asked of it, nor
whether it is to be started again.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import shutil
import socket
from collections.abc import AsyncIterator, Coroutine, Mapping
from pathlib import Path
from typing import Final

from lingma_cli.engines import child
from lingma_cli.engines.managed import survivors
from lingma_cli.engines.managed.output_log import OutputLog, file_of
from lingma_cli.engines.managed.survivors import TOKEN_VARIABLE
from lingma_cli.engines.managed.templates import (
    HOST,
    Launch,
    check_launch,
    command_of,
    environment_of,
)
from lingma_cli.engines.quoting import quoted
from lingma_cli.errors import ErrorKind, LingmaError
from lingma_cli.paths import private_folder

_PATIENCE_SECONDS: Final = 5.0
_PROBE_SECONDS: Final = 2.0
_FIRST_POLL: Final = 0.05
_LONGEST_POLL: Final = 1.0
_HEAD_BYTES: Final = 64

_log: Final = logging.getLogger(__name__)


class ManagedServer:
    """A server under way.

    Attributes:
        name: of the engine that it is for.
        port: on which it is told to listen.
        pid: of the server, `None` until that is seen.
        exited: done when it has ended, with its exit status.

    Args:
        name: see above.
        launch: what was started.
        port: see above.
        process: the process that runs it.
        token: what its environment is marked with.
        record: the file by which it is found again.
    """

    def __init__(
        self,
        name: str,
        launch: Launch,
        port: int,
        process: child.GuardedChild,
        *,
        token: str,
        record: Path,
    ) -> None:
        self.name = name
        self.port = port
        self.pid: int | None = None
        self.exited = process.exited
        self._launch = launch
        self._child = process
        self._token = token
        self._record = record
        self._is_recorded = False

    @property
    def url(self) -> str:
        """Its address, without a path."""
        return f"http://{HOST}:{self.port}"

    async def ready(self, within: float) -> None:
        """Wait until it can be asked.

        Args:
            within: seconds to wait; a large model takes minutes.

        Raises:
            LingmaError: it ended, or time is up; both say what it printed last.
        """
        doubt, pause = "it does not listen", _FIRST_POLL
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(within):
                while not self.exited.done():
                    doubt = await self._doubt()
                    if not doubt:
                        return
                    await asyncio.wait([self.exited], timeout=pause)
                    pause = min(_LONGEST_POLL, pause * 1.5)
                raise self.died()
        raise LingmaError(
            ErrorKind.ENGINE_UNAVAILABLE,
            f"the server of `{self.name}` did not get ready in {within:g} s: {doubt}; "
            f"it said last: {self.last_words()}",
        )

    async def during(self, work: Coroutine[object, object, None]) -> None:
        """Do `work` for as long as the server lives.

        Raises:
            LingmaError: the server has ended; or whatever `work` raises.
        """
        task = asyncio.ensure_future(work)
        try:
            await asyncio.wait([task, self.exited], return_when=asyncio.FIRST_COMPLETED)
            if self.exited.done():
                raise self.died()
        finally:
            task.cancel()
            await asyncio.wait([task])
        task.result()

    def died(self) -> LingmaError:
        """Return the error that tells of its end and its last words."""
        return LingmaError(
            ErrorKind.ENGINE_UNAVAILABLE,
            f"the server of `{self.name}` exited with status {self._child.status()}; "
            f"it said last: {self.last_words()}",
            hint=f"run `lingma engine logs {self.name}`",
        )

    def last_words(self) -> str:
        """Return the last line that it printed, without secrets."""
        return quoted(self._child.output.last_line()) or "nothing"

    async def _doubt(self) -> str:
        """Return why it is not ready, or nothing if it is."""
        if not self._is_recorded:
            self._is_recorded = await asyncio.to_thread(self._write_record)
        path = self._launch.template.ready_path
        status = await _status(self.port, path)
        if status is None:
            return f"nothing answers on port {self.port}"
        if status != 200:
            return f"`{path}` answers with status {status}"
        own = await asyncio.to_thread(lambda: child.ports_of(self._child.family()))
        return "" if self.port in own else f"port {self.port} is somebody else's"

    def _write_record(self) -> bool:
        """Write down whom to look for after a restart, once there is somebody."""
        _, *below = self._child.family() or (None,)
        record = survivors.record_of(below[0], self._token, self.port) if below else None
        if record is not None:
            self.pid = record.pid
            survivors.remember(self._record, record)
        return record is not None


@contextlib.asynccontextmanager
async def running(
    launch: Launch, *, name: str, folder: Path, environ: Mapping[str, str], token: str
) -> AsyncIterator[ManagedServer]:
    """Start a server; leaving the context ends it: asked first, killed after five seconds.

    Args:
        launch: what to start.
        name: of the engine that it is for; no two servers of a folder share one.
        folder: its working directory, with its log and its record.
        environ: the environment of ours; the server gets the allowed part.
        token: random, to know the server by.

    Raises:
        LingmaError: the launch means nothing, its program is not there, or its port is taken.
    """
    check_launch(launch)
    program = _program(launch, environ)
    record, log = file_of(folder, name, "json"), OutputLog(file_of(folder, name, "log"))
    private_folder(folder)
    await _clear(record, name)
    port = launch.port or child.free_port()
    _check_free(port)
    process = await child.start_guarded(
        (program, *command_of(launch, port)[1:]),
        folder=folder,
        environ=_environment(launch, port, environ, token),
        patience=_PATIENCE_SECONDS,
        keep=lambda piece: asyncio.to_thread(log.write, piece),
    )
    try:
        yield ManagedServer(name, launch, port, process, token=token, record=record)
    finally:
        await asyncio.shield(_end(process, log, record))


async def _end(process: child.GuardedChild, log: OutputLog, record: Path) -> None:
    await process.end()
    log.close()
    survivors.forget(record)


async def _clear(record: Path, name: str) -> None:
    pid = await asyncio.to_thread(survivors.end_survivor, record, _PATIENCE_SECONDS)
    if pid is not None:
        _log.warning("engine %s: ended process %d, left over from an earlier run", name, pid)


def _program(launch: Launch, environ: Mapping[str, str]) -> str:
    wanted = launch.template.command[0]
    found = shutil.which(wanted, path=environ.get("PATH"))
    if found is None:
        raise LingmaError(
            ErrorKind.EXECUTABLE_NOT_FOUND,
            f"the program `{wanted}` is not on this machine",
            hint="install it, or name where it is in an engine template of the settings file",
        )
    return str(Path(found).absolute())


def _check_free(port: int) -> None:
    try:
        with socket.create_server((HOST, port)):
            return
    except OSError as error:
        raise LingmaError(
            ErrorKind.CONFLICT, f"cannot start an engine on port {port}: {error.strerror}"
        ) from error


def _environment(
    launch: Launch, port: int, environ: Mapping[str, str], token: str
) -> dict[str, str]:
    passed = frozenset(name.upper() for name in launch.template.passed)
    inherited = child.allowed_environment(environ, names=passed)
    return inherited | environment_of(launch, port) | {TOKEN_VARIABLE: token}


async def _status(port: int, path: str) -> int | None:
    """Return the status of a GET, `None` if there is no answer that is one of HTTP."""
    try:
        async with asyncio.timeout(_PROBE_SECONDS):
            reader, writer = await asyncio.open_connection(HOST, port)
            try:
                head = f"GET {path} HTTP/1.1\r\nHost: {HOST}:{port}\r\nConnection: close\r\n\r\n"
                writer.write(head.encode())
                line = await reader.read(_HEAD_BYTES)
            finally:
                writer.transport.abort()
    except (OSError, TimeoutError):
        return None
    version, _, rest = line.partition(b" ")
    return int(rest[:3]) if version.startswith(b"HTTP/1.") and rest[:3].isdigit() else None
