"""One server a home: a lock that is held, and a file that says where the server is.

The lock is the operating system's, on an open file: it goes with the process however that ends,
and a stale file or a reused pid means nothing.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO

import msgspec

from lingma_cli.errors import ErrorKind, LingmaError
from lingma_cli.paths import PRIVATE_FILE, Paths, private_folder, write_private


class ServerFile(msgspec.Struct):
    """`server.json`; `started` is seconds since the epoch."""

    url: str
    pid: int
    started: float


@contextmanager
def only_server(paths: Paths) -> Iterator[None]:
    """Hold the home's server lock for this context, and remove the server file at its end.

    Raises:
        LingmaError: another server holds it; the error names it.
    """
    private_folder(paths.runtime)
    flags = os.O_RDWR | os.O_CREAT | getattr(os, "O_NOFOLLOW", 0)
    with os.fdopen(os.open(paths.server_lock, flags, PRIVATE_FILE), "r+b") as file:
        if not _lock(file):
            raise LingmaError(
                ErrorKind.ALREADY_RUNNING,
                f"a server already runs for this home{_whereabouts(paths.server_file)}",
                hint="stop it, or give this one a home of its own with `LINGMA_HOME`",
            )
        try:
            yield
        finally:
            paths.server_file.unlink(missing_ok=True)


def announce(paths: Paths, server: ServerFile) -> None:
    """Write the server file, readable by the user alone."""
    write_private(paths.server_file, msgspec.json.encode(server).decode())


def _whereabouts(path: Path) -> str:
    with suppress(OSError, msgspec.MsgspecError):
        server = msgspec.json.decode(path.read_bytes(), type=ServerFile)
        return f": {server.url}, process {server.pid}"
    return ""


def _lock(file: IO[bytes]) -> bool:
    try:
        if os.name == "nt":
            import msvcrt  # noqa: PLC0415 - exists on Windows only

            msvcrt.locking(file.fileno(), msvcrt.LK_NBLCK, 1)  # type: ignore[attr-defined]
        else:
            import fcntl  # noqa: PLC0415 - does not exist on Windows

            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    return True
