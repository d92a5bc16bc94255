"""The file of generated keys: made once, read only while it is certainly the user's own.

Owns: what the file holds and when it is trusted. Must not know: what the keys open, or which of
them the settings replace.
"""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import msgspec

from lingma_cli.auth.keys import weakness
from lingma_cli.errors import ErrorKind, LingmaError
from lingma_cli.paths import private_folder, write_private
from lingma_cli.secret import Secret

_MAX_FILE: Final = 64 * 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class GeneratedKeys:
    """The key and token that this installation made for itself.

    Attributes:
        api_key: begins with `lgm-`.
        admin_token: begins with `lga-`.
        is_new: made by this very call.
    """

    api_key: Secret
    admin_token: Secret
    is_new: bool


class _KeysFile(msgspec.Struct):
    api_key: str
    admin_token: str


def load(keys_file: Path) -> GeneratedKeys | None:
    """Return the keys in `keys_file`, `None` if there is no such file.

    Args:
        keys_file: JSON, `{"api_key": "lgm-…", "admin_token": "lga-…"}`, mode 0600.

    Raises:
        LingmaError: the file is a link or not the user's own and private, or it is corrupt.
    """
    content = _read_private(keys_file)
    return None if content is None else _generated(_parse(keys_file, content), is_new=False)


def load_or_create(keys_file: Path, new_token: Callable[[], str]) -> GeneratedKeys:
    """Return the keys in `keys_file`; make and store them if there is no such file.

    Args:
        keys_file: as for `load`.
        new_token: a source of unguessable texts, say `secrets.token_urlsafe`.

    Raises:
        LingmaError: the file or its folder is not the user's own and private, or the file is
            corrupt: it is never made anew by itself, since clients hold the old key.
    """
    private_folder(keys_file.parent)
    stored = load(keys_file)
    if stored is not None:
        return stored
    made = _KeysFile(api_key=f"lgm-{new_token()}", admin_token=f"lga-{new_token()}")
    write_private(keys_file, msgspec.json.encode(made).decode() + "\n")
    return _generated(made, is_new=True)


def _generated(keys: _KeysFile, *, is_new: bool) -> GeneratedKeys:
    return GeneratedKeys(
        api_key=Secret(keys.api_key), admin_token=Secret(keys.admin_token), is_new=is_new
    )


def _read_private(path: Path) -> bytes | None:
    # Opened first and looked at afterwards, so that nobody can swap the file in between; without
    # O_NONBLOCK a planted FIFO would hang the start.
    flags = os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0)
    try:
        descriptor = os.open(path, flags)
    except FileNotFoundError:
        return None
    except OSError as error:
        reason = "it is a symbolic link" if error.errno == errno.ELOOP else error.strerror
        raise _unusable(path, f"{reason}") from error
    try:
        status = os.fstat(descriptor)
        if not stat.S_ISREG(status.st_mode):
            raise _unusable(path, "it is no regular file")
        if os.name == "posix" and (status.st_uid != os.getuid() or status.st_mode & 0o077):
            raise _unusable(path, "it belongs to somebody else or others may open it")
        return os.read(descriptor, _MAX_FILE)
    finally:
        os.close(descriptor)


def _parse(path: Path, content: bytes) -> _KeysFile:
    try:
        keys = msgspec.json.decode(content, type=_KeysFile)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise _unusable(path, "it is corrupt") from error
    if weakness(keys.api_key) or weakness(keys.admin_token):
        raise _unusable(path, "it is corrupt")
    return keys


def _unusable(path: Path, reason: str) -> LingmaError:
    return LingmaError(
        ErrorKind.USAGE,
        f"cannot trust the keys in `{path}`: {reason}",
        hint=f"run `chmod 600 {path}`, or remove it and a new key will be made",
    )
