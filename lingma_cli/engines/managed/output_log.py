"""What a server printed, in a private file that cannot fill the disk."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path
from typing import BinaryIO, Final
from urllib.parse import quote

from lingma_cli.errors import LingmaError
from lingma_cli.paths import PRIVATE_FILE, private_folder
from lingma_cli.secret import Redactor

_LONGEST: Final = 4 * 1024 * 1024
_TAIL: Final = 1024 * 1024


def file_of(folder: Path, name: str, ending: str) -> Path:
    """Return the file of the engine `name`; no two names share one."""
    return folder / f"{quote(name, safe=' @+')}.{ending}"


class OutputLog:
    """Appends to a file; a full one becomes `….log.1`, in the place of the one before.

    A disk that takes nothing more costs the rest of the output, and nobody an answer.

    Args:
        path: of the file.
        longest: bytes of one file.
    """

    def __init__(self, path: Path, longest: int = _LONGEST) -> None:
        self._path = path
        self._longest = longest
        self._file: BinaryIO | None = None

    def write(self, piece: bytes) -> None:
        """Append `piece`; blocks."""
        with contextlib.suppress(OSError, LingmaError):
            file = self._file or self._opened()
            if file.tell() + len(piece) > self._longest:
                self.close()
                self._path.replace(self._path.with_name(f"{self._path.name}.1"))
                file = self._opened()
            file.write(piece[-self._longest :])

    def close(self) -> None:
        """Close the file; the next piece opens it again."""
        if self._file is not None:
            self._file.close()
            self._file = None

    def _opened(self) -> BinaryIO:
        private_folder(self._path.parent)
        flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND | getattr(os, "O_NOFOLLOW", 0)
        file = os.fdopen(os.open(self._path, flags, PRIVATE_FILE), "ab", buffering=0)
        file.seek(0, os.SEEK_END)
        self._file = file
        return file


def last_lines(path: Path, count: int) -> list[str]:
    """Return the last `count` lines of an engine's log without secrets; none if it has none."""
    content = b""
    for piece in (path, path.with_name(f"{path.name}.1")):
        if content.count(b"\n") <= count:
            content = _end_of(piece) + content
    redact = Redactor()
    lines = content.decode(errors="replace").splitlines()
    return [redact(line) for line in lines[max(0, len(lines) - count) :]]


def _end_of(path: Path) -> bytes:
    with contextlib.suppress(OSError), path.open("rb") as file:
        file.seek(max(0, os.fstat(file.fileno()).st_size - _TAIL))
        return file.read(_TAIL)
    return b""
