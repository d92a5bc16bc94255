"""A download that may be interrupted: its bytes so far, and what a server must confirm to go on.

Two files beside each other: `….part` with the bytes and `….part.json` with the validator.
"""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

import msgspec

from lingma_cli.errors import ErrorKind, LingmaError
from lingma_cli.paths import PRIVATE_FILE, write_private


class _Known(msgspec.Struct, frozen=True, kw_only=True):
    validator: str
    total: int | None


class Part:
    """The bytes of `url` that have arrived below `folder`.

    Attributes:
        path: the file that holds them.
        size: how many they are.
        validator: the `ETag` or date that names the very file they are of; empty for none.
        total: how many there will be, if that is known.
    """

    def __init__(self, folder: Path, url: str) -> None:
        name = hashlib.sha256(url.encode()).hexdigest()
        self._note = folder / f"{name}.part.json"
        self.path = folder / f"{name}.part"
        self.size = 0
        self.validator = ""
        self.total: int | None = None
        self._remember()

    def _remember(self) -> None:
        try:
            known = msgspec.json.decode(self._note.read_bytes(), type=_Known)
            size = self.path.stat().st_size
        except (OSError, msgspec.DecodeError, UnicodeDecodeError):
            return
        self.size, self.validator, self.total = size, known.validator, known.total

    def restart(self, validator: str = "", total: int | None = None) -> None:
        """Forget the bytes; what comes now is named by `validator` and `total`.

        Raises:
            LingmaError: the files cannot be written.
        """
        self.discard()
        self.validator, self.total = validator, total
        known = _Known(validator=validator, total=total)
        write_private(self._note, msgspec.json.encode(known))
        self.add(b"")

    def add(self, piece: bytes) -> None:
        """Append `piece`.

        Raises:
            LingmaError: the disk is full, or the like.
        """
        flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND | getattr(os, "O_NOFOLLOW", 0)
        flags |= getattr(os, "O_BINARY", 0)
        try:
            with os.fdopen(os.open(self.path, flags, PRIVATE_FILE), "wb") as file:
                file.write(piece)
        except OSError as error:
            raise LingmaError(
                ErrorKind.INSTALL_FAILED,
                f"cannot write `{self.path}`: {error.strerror}",
                hint="check the disk's free space",
            ) from error
        self.size += len(piece)

    def discard(self) -> None:
        """Remove the bytes and what is known of them."""
        self.path.unlink(missing_ok=True)
        self._note.unlink(missing_ok=True)
        self.size, self.validator, self.total = 0, "", None
