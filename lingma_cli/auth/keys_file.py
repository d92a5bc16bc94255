"""The file of generated keys: made once, read only while it is certainly the user's own.

Owns: what the file holds and when it is trusted. Must not know: what the keys open, or which of
them the settings replace.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import msgspec

from lingma_cli.auth.keys import weakness
from lingma_cli.auth.private_file import read_private, untrusted
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


class _Keys(msgspec.Struct):
    api_key: str
    admin_token: str


def make(new_token: Callable[[], str]) -> GeneratedKeys:
    """Return new keys.

    Args:
        new_token: a source of unguessable texts, say `secrets.token_urlsafe`.
    """
    return GeneratedKeys(
        api_key=Secret(f"lgm-{new_token()}"),
        admin_token=Secret(f"lga-{new_token()}"),
        is_new=True,
    )


def encode(keys: GeneratedKeys) -> bytes:
    """Return `keys` as JSON, `{"api_key": "lgm-…", "admin_token": "lga-…"}`."""
    return msgspec.json.encode(
        _Keys(api_key=keys.api_key.reveal(), admin_token=keys.admin_token.reveal())
    )


def decode(content: bytes) -> GeneratedKeys:
    """Return the keys in `content`, made by `encode`.

    Raises:
        ValueError: it is corrupt.
    """
    keys = msgspec.json.decode(content, type=_Keys)
    if weakness(keys.api_key) or weakness(keys.admin_token):
        raise ValueError("weak keys")
    return GeneratedKeys(
        api_key=Secret(keys.api_key), admin_token=Secret(keys.admin_token), is_new=False
    )


def load(keys_file: Path) -> GeneratedKeys | None:
    """Return the keys in `keys_file`, `None` if there is no such file.

    Args:
        keys_file: as `encode` makes it, mode 0600.

    Raises:
        LingmaError: the file is a link or not the user's own and private, or it is corrupt.
    """
    content = read_private(keys_file, _MAX_FILE)
    if content is None:
        return None
    try:
        return decode(content)
    except ValueError:
        raise untrusted(keys_file, "it is corrupt") from None


def load_or_create(keys_file: Path, new_token: Callable[[], str]) -> GeneratedKeys:
    """Return the keys in `keys_file`; make and store them if there is no such file.

    Args:
        keys_file: as for `load`.
        new_token: as for `make`.

    Raises:
        LingmaError: the file or its folder is not the user's own and private, or the file is
            corrupt: it is never made anew by itself, since clients hold the old key.
    """
    private_folder(keys_file.parent)
    stored = load(keys_file)
    if stored is not None:
        return stored
    made = make(new_token)
    write_private(keys_file, encode(made) + b"\n")
    return made
