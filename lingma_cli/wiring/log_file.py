"""The log file of a server in the background: private, bounded, two files at most, and read back.

When a run begins, or the file is full, what there was becomes `NAME.1` and the older `NAME.1` goes.
"""

from __future__ import annotations

import io
import os
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import closing, suppress
from pathlib import Path
from typing import IO, TYPE_CHECKING, Final, TextIO

from lingma_cli.errors import ErrorKind, LingmaError
from lingma_cli.paths import PRIVATE_FILE, private_folder

if TYPE_CHECKING:
    from _typeshed import ReadableBuffer

LIMIT_BYTES: Final = 8 * 1024 * 1024
_FLAGS: Final = os.O_WRONLY | os.O_CREAT | os.O_APPEND


def begin(path: Path) -> IO[bytes]:
    """Move the log of the run before aside, and open an empty one for the user alone.

    Raises:
        LingmaError: the folder or the file cannot be written.
    """
    private_folder(path.parent)
    try:
        return os.fdopen(_fresh(path), "wb", buffering=0)
    except OSError as error:
        raise LingmaError(
            ErrorKind.USAGE,
            f"cannot write `{path}`: {error.strerror}",
            hint="check the disk and the folder's permissions",
        ) from error


def bounded(descriptor: int, path: Path, limit: int = LIMIT_BYTES) -> TextIO:
    """Return a stream into the open log `descriptor`, which begins `path` anew when it is full.

    The descriptor stays the same, so whatever else writes to it goes along.

    Args:
        descriptor: the log, open for appending.
        path: where it lies.
        limit: bytes that one file may hold.
    """
    raw = io.BufferedWriter(_Rotating(descriptor, path, limit))
    return io.TextIOWrapper(raw, encoding="utf-8", errors="replace", line_buffering=True)


class _Rotating(io.RawIOBase):
    def __init__(self, descriptor: int, path: Path, limit: int) -> None:
        super().__init__()
        self._descriptor = descriptor
        self._path = path
        self._limit = limit
        self._size = os.fstat(descriptor).st_size

    def writable(self) -> bool:
        return True

    def fileno(self) -> int:
        return self._descriptor

    def write(self, data: ReadableBuffer, /) -> int:
        piece = memoryview(data)
        if self._size and self._size + piece.nbytes > self._limit:
            self._rotate()
        written = os.write(self._descriptor, piece)
        self._size += written
        return written

    def _rotate(self) -> None:
        self._size = 0
        # Where an open file cannot be moved (Windows), or the disk is full, it grows on.
        with suppress(OSError):
            fresh = _fresh(self._path)
            os.dup2(fresh, self._descriptor)
            os.close(fresh)


def read(path: Path, count: int, wait: Callable[[], None] | None = None) -> Iterator[str]:
    """Yield the last `count` lines of the log, those of the file before included.

    Args:
        path: the log.
        count: lines from the past.
        wait: called whenever there is nothing more; with it, what is written from now on is
            yielded too, also when the log begins anew, and this ends only if `wait` raises.

    Raises:
        LingmaError: there is no log.
    """
    try:
        file = path.open("rb")
    except OSError as error:
        raise LingmaError(
            ErrorKind.SERVER_NOT_FOUND,
            f"no server has run in the background here: there is no `{path}`",
            hint="run `lingma gateway start`",
        ) from error
    with closing(_Reader(path, file)) as reader:
        past = deque(reader.lines(), maxlen=count)
        yield from map(_text, _before(path, count - len(past)))
        yield from map(_text, past)
        while wait is not None:
            wait()
            yield from map(_text, reader.lines())


class _Reader:
    """Reads whole lines of the log, and goes to the file that lies there when it is moved."""

    def __init__(self, path: Path, file: IO[bytes]) -> None:
        self._path = path
        self._file = file
        self._begun = b""

    def lines(self) -> Iterator[bytes]:
        # Looked for first: what comes after that is not in the old one.
        newer = self._newer()
        yield from self._rest()
        if newer is not None:
            self.close()
            self._file = newer
            if self._begun:
                yield self._begun
            self._begun = b""
            yield from self._rest()

    def close(self) -> None:
        self._file.close()

    def _newer(self) -> IO[bytes] | None:
        try:
            newer = self._path.open("rb")
        except OSError:
            return None
        if not os.path.sameopenfile(newer.fileno(), self._file.fileno()):
            return newer
        newer.close()
        return None

    def _rest(self) -> Iterator[bytes]:
        for piece in iter(self._file.readline, b""):
            self._begun += piece
            if piece.endswith(b"\n"):
                line, self._begun = self._begun, b""
                yield line


def _before(path: Path, count: int) -> Iterator[bytes]:
    with suppress(OSError), _previous(path).open("rb") as file:
        yield from deque(file, maxlen=max(0, count))


def last_lines(path: Path, count: int) -> tuple[str, ...]:
    """Return the last `count` lines of this run that are not empty; none if there is no log."""
    with suppress(OSError), path.open("rb") as file:
        return tuple(deque(filter(str.strip, map(_text, file)), maxlen=count))
    return ()


def _text(line: bytes) -> str:
    return line.decode(errors="replace").rstrip("\r\n")


def _fresh(path: Path) -> int:
    with suppress(FileNotFoundError):
        path.replace(_previous(path))
    return os.open(path, _FLAGS | os.O_EXCL | getattr(os, "O_NOFOLLOW", 0), PRIVATE_FILE)


def _previous(path: Path) -> Path:
    return path.with_name(f"{path.name}.1")
