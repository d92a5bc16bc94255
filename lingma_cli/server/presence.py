"""One server a home: a lock that is held, and a file that says where the server is.

The lock is the operating system's, on an open file: it goes with the process however that ends,
and a stale file or a reused pid means nothing. Who looks for the server takes the lock for a
moment, shared where the system can: only who serves keeps it.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import msgspec

from lingma_cli.errors import ErrorKind, LingmaError
from lingma_cli.paths import Paths, opened, private_folder, try_lock, write_private

# A finder holds the lock far shorter than all these tries together take.
_TRIES: Final = 7
_PAUSE_SECONDS: Final = 0.05


class ServerFile(msgspec.Struct, frozen=True, kw_only=True):
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
    with opened(paths.server_lock, os.O_RDWR | os.O_CREAT) as descriptor:
        if not _lock_patiently(descriptor):
            other = _read(paths.server_file)
            whereabouts = f": {other.url}, process {other.pid}" if other else ""
            raise LingmaError(
                ErrorKind.ALREADY_RUNNING,
                f"a server already runs for this home{whereabouts}",
                hint="run `lingma gateway stop`, or give this one another home by `LINGMA_HOME`",
            )
        # One that was killed could not remove its own, and with the lock held it would count.
        paths.server_file.unlink(missing_ok=True)
        try:
            yield
        finally:
            paths.server_file.unlink(missing_ok=True)


def announce(paths: Paths, server: ServerFile) -> None:
    """Write the server file, readable by the user alone."""
    write_private(paths.server_file, msgspec.json.encode(server).decode())


def is_served(paths: Paths) -> bool:
    """Tell whether somebody holds the server lock; that server may not be up yet, or any more."""
    try:
        with opened(paths.server_lock, os.O_RDONLY) as descriptor:
            return not try_lock(descriptor, shared=True)
    except OSError:
        return False


def find_server(paths: Paths) -> ServerFile | None:
    """Return what the running server says of itself, `None` if none runs or it is not up yet.

    The server file counts only while somebody holds the server lock.
    """
    return _read(paths.server_file) if is_served(paths) else None


def _read(path: Path) -> ServerFile | None:
    try:
        return msgspec.json.decode(path.read_bytes(), type=ServerFile)
    except (OSError, msgspec.DecodeError, UnicodeDecodeError):
        return None


def _lock_patiently(descriptor: int) -> bool:
    for _ in range(_TRIES - 1):
        if try_lock(descriptor, shared=False):
            return True
        time.sleep(_PAUSE_SECONDS)
    return try_lock(descriptor, shared=False)
