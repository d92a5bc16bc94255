"""What a person is told before their first login, and the record that they agreed."""

from __future__ import annotations

from pathlib import Path
from typing import Final

import msgspec

from lingma_cli.errors import ErrorKind, LingmaError
from lingma_cli.paths import write_private

# Grows when the notice says something new; then it is shown once more.
VERSION: Final = 1
NOTICE: Final = """\
Before the first login:
- lingma is not made, endorsed or supported by Alibaba Cloud. It runs the vendor's own program with
  your own account; the vendor's terms of service apply to what you do with it, and may forbid it.
- Use only accounts that are yours, or that their owner lets you use. What you ask is sent to the
  vendor, like in its own editors.
- The login is kept on this machine, in the keyring if there is one. Passwords are never kept.\
"""


class _Record(msgspec.Struct, kw_only=True):
    version: int
    accepted: str


class Terms:
    """The record in a file, `{"version": 1, "accepted": "2026-01-31"}`.

    Args:
        path: the file; need not exist.
    """

    def __init__(self, path: Path) -> None:
        self._path = path

    @property
    def is_accepted(self) -> bool:
        """Whether the notice of this version was accepted; a broken record is none."""
        try:
            record = msgspec.json.decode(self._path.read_bytes(), type=_Record)
        except (OSError, msgspec.MsgspecError, UnicodeDecodeError):
            return False
        return record.version >= VERSION

    def accept(self, today: str) -> None:
        """Record the acceptance.

        Args:
            today: the date, as `2026-01-31`.

        Raises:
            LingmaError: the file cannot be written.
        """
        record = _Record(version=VERSION, accepted=today)
        write_private(self._path, msgspec.json.encode(record) + b"\n")


def not_accepted() -> LingmaError:
    """Return the error of whoever did not agree."""
    return LingmaError(
        ErrorKind.USAGE,
        "the terms notice is not accepted",
        hint="run `lingma login` at a terminal and answer `yes`, or add `--accept-terms`",
    )
