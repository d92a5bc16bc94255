"""A server that outlived us: written down while it runs, found again, and ended.

The guardian ends a server with us, so there is one only if somebody has ended the guardian as well.
Then it holds its port and its memory, and nobody reads its output: it is ended before another one
starts. A process is believed to be it by its id, its start time and a token in its environment
together: ids are used again.
"""

from __future__ import annotations

import contextlib
from pathlib import Path
from typing import Final

import msgspec
import psutil

from lingma_cli.errors import LingmaError
from lingma_cli.paths import write_private

TOKEN_VARIABLE: Final = "LINGMA_ENGINE_TOKEN"  # noqa: S105 - a name, and no secret behind it

# The start time is derived from the clock, which may have been set meanwhile.
_CLOCK_SECONDS: Final = 2.0


class ServerRecord(msgspec.Struct, frozen=True, kw_only=True):
    """By what a server is found again; `started` is seconds since the epoch."""

    pid: int
    started: float
    token: str
    port: int


def record_of(process: psutil.Process, token: str, port: int) -> ServerRecord | None:
    """Return what to remember of a server, `None` if it has gone."""
    try:
        started = process.create_time()
    except psutil.Error:
        return None
    return ServerRecord(pid=process.pid, started=started, token=token, port=port)


def remember(path: Path, record: ServerRecord) -> None:
    """Write `record` down; without a place for it the server runs all the same."""
    with contextlib.suppress(LingmaError):
        write_private(path, msgspec.json.encode(record))


def forget(path: Path) -> None:
    """Remove what was written down."""
    with contextlib.suppress(OSError):
        path.unlink()


def recall(path: Path) -> ServerRecord | None:
    """Return what was written down, `None` if that is nothing or nonsense."""
    try:
        return msgspec.json.decode(path.read_bytes(), type=ServerRecord)
    except (OSError, msgspec.DecodeError, UnicodeDecodeError):
        return None


def find_again(record: ServerRecord) -> psutil.Process | None:
    """Return the process of `record` if it still runs and is the same one; blocks."""
    try:
        process = psutil.Process(record.pid)
        is_same = abs(process.create_time() - record.started) < _CLOCK_SECONDS
        if is_same and process.environ().get(TOKEN_VARIABLE) == record.token:
            return process
    except (psutil.Error, OSError, ValueError, OverflowError):
        pass
    return None


def end_survivor(path: Path, patience: float) -> int | None:
    """End the server that `path` remembers, if it lives; return its id if it did. Blocks.

    Args:
        path: where it was written down; forgotten afterwards.
        patience: seconds between asking and killing.
    """
    record = recall(path)
    process = find_again(record) if record is not None else None
    if process is not None:
        _end(process, patience)
    forget(path)
    return process.pid if process is not None else None


def _end(process: psutil.Process, patience: float) -> None:
    family = [process]
    with contextlib.suppress(psutil.Error):
        family += process.children(recursive=True)
    for member in family:
        with contextlib.suppress(psutil.Error):
            member.terminate()
    _, alive = psutil.wait_procs(family, timeout=patience)
    for member in alive:
        with contextlib.suppress(psutil.Error):
            member.kill()
    psutil.wait_procs(alive, timeout=patience)
