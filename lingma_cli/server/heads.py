"""What a request head must be beyond what the parser asks for.

Owns: which targets, versions and header bytes are served. Must not know: connections. Twin
lengths, a length beside an encoding, folded lines and bare line ends are the parser's own errors.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Final
from urllib.parse import unquote_to_bytes

from lingma_cli.errors import ErrorKind, LingmaError
from lingma_cli.server.replies import HeaderPair

# Visible ASCII without `#`, which never travels, and with whole escapes only.
_TARGET: Final = re.compile(rb"/(?:[!\"$&-~]|%[0-9A-Fa-f]{2})*")
_CONTROL: Final = re.compile(rb"[\x00-\x1f\x7f]")


def check_head(method: bytes, target: bytes, version: str, headers: Sequence[HeaderPair]) -> None:
    """Refuse a head that could be read in two ways, or that this server does not speak.

    Args:
        method: as sent.
        target: the request target as sent.
        version: `1.1` and the like.
        headers: names in lower case, values as sent.

    Raises:
        LingmaError: `MISDIRECTED` for a request to a proxy, else `INVALID_REQUEST`.
    """
    _check_target(method, target)
    if version not in {"1.0", "1.1"}:
        raise LingmaError(
            ErrorKind.INVALID_REQUEST, f"only HTTP/1.0 and HTTP/1.1 are spoken: {version}"
        )
    _check_headers(version, headers)


def _check_target(method: bytes, target: bytes) -> None:
    if method == b"CONNECT" or not target.startswith((b"/", b"*")):
        raise LingmaError(
            ErrorKind.MISDIRECTED, "this server is no proxy: the request target must be a path"
        )
    path = unquote_to_bytes(target.partition(b"?")[0])
    if not _TARGET.fullmatch(target) or _CONTROL.search(path) or not _is_utf8(path):
        raise LingmaError(
            ErrorKind.INVALID_REQUEST, "the request target holds bytes or escapes of no valid URL"
        )


def _is_utf8(text: bytes) -> bool:
    try:
        text.decode()
    except UnicodeDecodeError:
        return False
    return True


def _check_headers(version: str, headers: Sequence[HeaderPair]) -> None:
    for name, value in headers:
        if not value.isascii():
            raise LingmaError(
                ErrorKind.INVALID_REQUEST,
                f"a header holds bytes that are not ASCII: `{name.decode()}`",
            )
        if name == b"transfer-encoding" and (version, value.strip().lower()) != ("1.1", b"chunked"):
            raise LingmaError(
                ErrorKind.INVALID_REQUEST, "the only transfer encoding accepted is chunked"
            )
