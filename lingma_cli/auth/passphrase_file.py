"""A passphrase out of a file: its first line."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from lingma_cli.auth.private_file import read_private, untrusted
from lingma_cli.errors import ErrorKind, LingmaError
from lingma_cli.secret import Secret

_MAX_FILE: Final = 4096


def read_passphrase(path: Path) -> Secret:
    """Return the first line of `path`, without its line end.

    Raises:
        LingmaError: there is no such file, others may read it, or the line is empty.
    """
    content = read_private(path, _MAX_FILE)
    if content is None:
        raise LingmaError(
            ErrorKind.USAGE,
            f"there is no file `{path}`",
            hint="`--passphrase-file` or `LINGMA_PASSPHRASE_FILE` names it",
        )
    try:
        first = content.decode().partition("\n")[0].rstrip("\r")
    except UnicodeDecodeError:
        first = ""
    if not first:
        raise untrusted(path, "its first line is no passphrase")
    return Secret(first)
