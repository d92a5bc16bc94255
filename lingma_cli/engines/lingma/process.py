"""The binary as a child process: started, proved to be ours, drained, and ended for good.

Owns the command line, the work directory and the proof that a listening port belongs to the
process. Must not know what is said over that port.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import re
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Final

from lingma_cli.engines import child
from lingma_cli.engines.lingma import workdir
from lingma_cli.engines.quoting import quoted
from lingma_cli.errors import ErrorKind, LingmaError
from lingma_cli.paths import opened, private_folder, try_lock

_POLL_SECONDS: Final = 0.03
_PATIENCE_SECONDS: Final = 3.0
_LOG_BYTES: Final = 64 * 1024
_START: Final = ("start",)
_LOCK_FILE: Final = ".lingma-cli.lock"
_READY: Final = re.compile(r"WebSocket: (\d{1,5}), HTTP: (\d{1,5})")


def allowed_environment(environ: Mapping[str, str]) -> dict[str, str]:
    """Return the part of `environ` that the binary may see."""
    return child.allowed_environment(environ, prefixes=("LINGMA_DEMO_",))


class Subcommand:
    """What stands before the flags; the same for good once it has worked.

    Attributes:
        words: `start`, or nothing.
    """

    def __init__(self) -> None:
        self.words: tuple[str, ...] = _START
        self._has_worked = self._has_turned = False

    def worked(self) -> None:
        """Be told that the binary took it."""
        self._has_worked = True

    def failed(self, output: str) -> bool:
        """Be told how the binary ended; tell whether the other form is worth a try at once.

        That is so the first time only: what fails with both is started once a try, like any other.
        """
        if self._has_worked or "usage" not in output.lower():
            return False
        # quirk: some builds take the flags without a subcommand.
        self.words = () if self.words else _START
        is_first, self._has_turned = not self._has_turned, True
        return is_first


class LingmaProcess:
    """A running binary.

    Attributes:
        exited: done when the process has ended, with its exit status.
        output: the end of what it printed.
    """

    def __init__(self, process: child.GuardedChild, work_dir: Path, http_port: int) -> None:
        self._child = process
        self._work_dir = work_dir
        self._wanted_http_port = http_port
        self.output = process.output
        self.exited = process.exited

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
        family = self._child.family()
        if address.pid not in {member.pid for member in family}:
            return f"its info file names process {address.pid}, which is not ours"
        if address.port in child.ports_of(family):
            return ""
        return f"port {address.port} of its info file is not its own"

    def http_port(self, address: workdir.ServerAddress) -> int:
        """Return the port of its login callback, 0 when it has none of its own.

        What was asked for is no promise, and the info file has no field for it: what it printed or
        logged comes first. Blocks for a moment.
        """
        own = child.ports_of(self._child.family())
        words = self.output.text() + _end_of(self._work_dir / "logs" / "lingma.log")
        told = [int(found[2]) for found in _READY.finditer(words) if int(found[1]) == address.port]
        return next((port for port in (*told, self._wanted_http_port) if port in own), 0)

    def died(self) -> LingmaError:
        """Return the error that tells of its end."""
        return LingmaError(
            ErrorKind.ENGINE_UNAVAILABLE, f"Lingma exited with status {self._child.status()}"
        )

    def last_words(self) -> str:
        """Return the last line it printed, without secrets."""
        return quoted(self.output.last_line()) or "nothing"

    async def end(self) -> None:
        """End it and its family; returns when they are gone."""
        await self._child.end()


def _end_of(log: Path) -> str:
    with contextlib.suppress(OSError), log.open("rb") as file:
        file.seek(max(0, os.fstat(file.fileno()).st_size - _LOG_BYTES))
        return file.read(_LOG_BYTES).decode(errors="replace")
    return ""


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
            "--socketPort": str(socket_port or child.free_port()),
            "--httpPort": str(http_port := child.free_port()),
            "--transportType": "websocket",
        }
        if endpoint:
            flags["--endpoint"] = endpoint
        words = [word for flag in flags.items() for word in flag]
        started = await child.start_guarded(
            (*command, *words),
            folder=work_dir,
            environ=allowed_environment(environ),
            patience=_PATIENCE_SECONDS,
        )
        process = LingmaProcess(started, work_dir, http_port)
        try:
            yield process
        finally:
            await asyncio.shield(process.end())


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
