"""Reading a file that is certainly the user's own and private."""

from __future__ import annotations

import errno
import os
import stat
from pathlib import Path

from lingma_cli.errors import ErrorKind, LingmaError


def read_private(path: Path, limit: int) -> bytes | None:
    """Return the content of `path`, `None` if there is no such file.

    Args:
        path: a regular file of this user that nobody else may open, and no link.
        limit: bytes that it may hold.

    Raises:
        LingmaError: it is not so, or it cannot be read.
    """
    # Opened first and looked at afterwards, so that nobody can swap the file in between; without
    # O_NONBLOCK a planted FIFO would hang the start.
    flags = os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0)
    try:
        descriptor = os.open(path, flags | getattr(os, "O_BINARY", 0))
    except FileNotFoundError:
        return None
    except OSError as error:
        reason = "it is a symbolic link" if error.errno == errno.ELOOP else error.strerror
        raise untrusted(path, f"{reason}") from error
    try:
        status = os.fstat(descriptor)
        if not stat.S_ISREG(status.st_mode):
            raise untrusted(path, "it is no regular file")
        if os.name == "posix" and (status.st_uid != os.getuid() or status.st_mode & 0o077):
            raise untrusted(path, "it belongs to somebody else or others may open it")
        with os.fdopen(descriptor, "rb", closefd=False) as file:
            content = file.read(limit + 1)
    except OSError as error:
        raise untrusted(path, f"{error.strerror}") from error
    finally:
        os.close(descriptor)
    if len(content) > limit:
        raise untrusted(path, f"it is larger than {limit} bytes")
    return content


def untrusted(path: Path, reason: str) -> LingmaError:
    """Return the error that tells why the file at `path` is not used."""
    return LingmaError(
        ErrorKind.USAGE,
        f"cannot trust `{path}`: {reason}",
        hint=f"run `chmod 600 {path}` if what it holds is yours, else remove it",
    )
