"""A child process under its guardian: started, drained, looked at, and ended with its family.

Owns what every engine with a process of its own needs; must not know what the process is, nor what
is said to it.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
import sys
from collections import deque
from collections.abc import Awaitable, Callable, Collection, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Final

import psutil

from lingma_cli.engines import guardian
from lingma_cli.errors import ErrorKind, LingmaError

# What the guardian may need beyond the patience that it was given.
_END_SECONDS: Final = 2.0
_DRAIN_SECONDS: Final = 1.0
_RING_BYTES: Final = 64 * 1024
_READ_BYTES: Final = 64 * 1024
# Addresses under which a listener is found at 127.0.0.1.
_REACHED: Final = frozenset({"127.0.0.1", "0.0.0.0", "::", "::ffff:127.0.0.1"})

# The child gets these and nothing else: no key or token of ours can leak into it. Proxy variables
# pass because the child reaches the internet through them.
_ENVIRONMENT: Final = frozenset(
    """
    PATH HOME USER LOGNAME SHELL LANG LANGUAGE TZ TMPDIR TMP TEMP
    XDG_CONFIG_HOME XDG_CACHE_HOME XDG_DATA_HOME XDG_RUNTIME_DIR
    SYSTEMROOT SYSTEMDRIVE WINDIR COMSPEC PATHEXT USERPROFILE APPDATA LOCALAPPDATA PROGRAMDATA
    HTTP_PROXY HTTPS_PROXY NO_PROXY ALL_PROXY SSL_CERT_FILE SSL_CERT_DIR
    """.split()
)

Keep = Callable[[bytes], Awaitable[None]]


def allowed_environment(
    environ: Mapping[str, str],
    *,
    names: Collection[str] = (),
    prefixes: tuple[str, ...] = (),
) -> dict[str, str]:
    """Return the part of `environ` that a child may see.

    Args:
        environ: the environment of ours.
        names: further names, in capitals.
        prefixes: beginnings of further names, in capitals.
    """
    return {
        name: value
        for name, value in environ.items()
        if (upper := name.upper()) in _ENVIRONMENT
        or upper in names
        or upper.startswith(("LC_", *prefixes))
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

    def last_line(self) -> str:
        """Return the last line that is not empty, as it was printed."""
        lines = self.text().strip().splitlines()
        return lines[-1] if lines else ""


class GuardedChild:
    """A running command and its family.

    Attributes:
        exited: done when they have ended, with the exit status.
        output: the end of what they printed.

    Args:
        process: the guardian.
        patience: seconds that it waits between asking and killing.
        keep: given all that they print, piece by piece.
    """

    def __init__(
        self, process: asyncio.subprocess.Process, patience: float, keep: Keep | None
    ) -> None:
        self._process = process
        self._patience = patience
        self._keep = keep
        self._known: Sequence[psutil.Process] = ()
        self.output = OutputRing()
        self.exited: asyncio.Task[int] = asyncio.ensure_future(self._drain())

    async def _drain(self) -> int:
        stream = self._process.stdout
        while stream is not None and (piece := await stream.read(_READ_BYTES)):
            self.output.add(piece)
            if self._keep is not None:
                await self._keep(piece)
        return await self._process.wait()

    def family(self) -> Sequence[psutil.Process]:
        """Return the guardian and everybody below it, the command itself second; blocks.

        There is none without a guardian; who was known before is still ended by `end`.
        """
        try:
            guard = psutil.Process(self._process.pid)
            self._known = (guard, *guard.children(recursive=True))
        except psutil.Error:
            return ()
        return self._known

    def status(self) -> str:
        """Return its exit status in words."""
        return str(self.exited.result()) if self.exited.done() else "unknown"

    async def end(self) -> None:
        """Have the guardian end the family; returns when it is gone."""
        orders = self._process.stdin
        if orders is not None and not orders.is_closing():
            orders.write(b"q")
            orders.close()
        await asyncio.wait([self.exited], timeout=self._patience + _END_SECONDS)
        for member in self._known:
            # Only if somebody ended the guardian: then its family is ours to end.
            with contextlib.suppress(psutil.Error):
                member.kill()
        # A stranger who inherited the pipe may still hold up the exit status.
        await asyncio.wait([self.exited], timeout=_DRAIN_SECONDS)
        self.exited.cancel()
        await asyncio.gather(self.exited, return_exceptions=True)
        self._process._transport.close()  # type: ignore[attr-defined]  # noqa: SLF001 - nothing public closes the pipes


async def start_guarded(
    command: Sequence[str],
    *,
    folder: Path,
    environ: Mapping[str, str],
    patience: float,
    keep: Keep | None = None,
) -> GuardedChild:
    """Start `command` under a guardian; whoever does so must `end` it.

    Args:
        command: the executable and its arguments; no shell reads them.
        folder: the working directory.
        environ: all that the child gets.
        patience: seconds between a polite end and a killing.
        keep: given all that it prints, piece by piece; while it waits, the child may have to.

    Raises:
        LingmaError: no process can be started. That the command cannot run shows in its output.
    """
    try:
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-I", "-S", guardian.__file__, f"{patience:g}", *command),
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
            cwd=folder,
            env=environ,
            start_new_session=True,
        )
    except (OSError, ValueError) as error:
        why = error.strerror if isinstance(error, OSError) else str(error)
        raise LingmaError(ErrorKind.ENGINE_UNAVAILABLE, f"cannot start a process: {why}") from error
    return GuardedChild(process, patience, keep)


def ports_of(family: Sequence[psutil.Process]) -> frozenset[int]:
    """Return the ports at which members of `family` are found at 127.0.0.1; blocks."""
    return frozenset(port for member in family for port in _listening(member))


def _listening(process: psutil.Process) -> Iterator[int]:
    with contextlib.suppress(psutil.Error):
        for connection in process.net_connections(kind="tcp"):
            if connection.status != psutil.CONN_LISTEN or not connection.laddr:
                continue
            # Another address would be another socket, and that may be a stranger's.
            if connection.laddr.ip in _REACHED:
                yield connection.laddr.port


def free_port() -> int:
    """Return a port of 127.0.0.1 on which nobody listens now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
