"""What the end of an answer means: status codes and reasons to errors.

Source: Lingma local protocol, "Pushes during a chat" (`chat/finish.statusCode`) and "Errors".
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from lingma_cli.engines.quoting import quoted
from lingma_cli.errors import ErrorKind, LingmaError

LOGIN_HINT: Final = "sign in to Lingma again, then repeat the request"

_KINDS: Final[Mapping[int, ErrorKind]] = MappingProxyType(
    {
        110: ErrorKind.QUOTA_EXCEEDED,
        400: ErrorKind.ENGINE_FAILED,
        401: ErrorKind.LOGIN_REQUIRED,
        403: ErrorKind.QUOTA_EXCEEDED,
        406: ErrorKind.CONTENT_FILTERED,
        408: ErrorKind.ENGINE_TIMEOUT,
        429: ErrorKind.OVERLOADED,
        601: ErrorKind.CONTENT_FILTERED,
        80408: ErrorKind.ENGINE_TIMEOUT,
    }
)
_SENTENCES: Final[Mapping[ErrorKind, str]] = MappingProxyType(
    {
        ErrorKind.QUOTA_EXCEEDED: "Lingma refused the request: the account's quota is used up",
        ErrorKind.OVERLOADED: "Lingma refused the request: too many at once",
        ErrorKind.LOGIN_REQUIRED: "Lingma refused the request: its login is missing or expired",
        ErrorKind.CONTENT_FILTERED: "Lingma's content filter stopped the answer",
        ErrorKind.ENGINE_TIMEOUT: "Lingma's own service did not answer in time",
        ErrorKind.ENGINE_FAILED: "Lingma ended the answer with an error",
    }
)
# quirk: 403 is sent for a used-up quota and for a dead login alike, and error code 110 (daily
# limit) turns up inside other endings; the reason tells them apart.
_ABOUT_QUOTA: Final = re.compile(r"(?i)\b110\b|quota|usage limit|daily limit|配额|额度|次数")
_ABOUT_LOGIN: Final = re.compile(r"(?i)log[ -]?in|logged|sign[ -]?in|auth|token|登录|认证|鉴权")
_AMBIGUOUS: Final = frozenset(
    {ErrorKind.ENGINE_FAILED, ErrorKind.QUOTA_EXCEEDED, ErrorKind.OVERLOADED}
)
_RETRY_AFTER: Final = {ErrorKind.QUOTA_EXCEEDED: 60.0, ErrorKind.OVERLOADED: 10.0}


def failure(status: int | None, reason: str) -> LingmaError:
    """Return the error for an answer that ended with `status` and `reason`."""
    kind = _KINDS.get(status or 0, ErrorKind.ENGINE_FAILED)
    if kind in _AMBIGUOUS and _ABOUT_QUOTA.search(reason):
        kind = ErrorKind.QUOTA_EXCEEDED
    elif (status == 403 or (status or 0) < 0) and _ABOUT_LOGIN.search(reason):
        # Codes below zero are JSON-RPC's own.
        kind = ErrorKind.LOGIN_REQUIRED
    shown = ", ".join(filter(None, ("" if status is None else f"status {status}", quoted(reason))))
    return LingmaError(
        kind,
        f"{_SENTENCES[kind]}: {shown}" if shown else _SENTENCES[kind],
        hint=LOGIN_HINT if kind is ErrorKind.LOGIN_REQUIRED else None,
        retry_after=_RETRY_AFTER.get(kind),
    )


def filtered() -> LingmaError:
    """Return the error for `isFiltered` and `chat/filterTimeout`."""
    return LingmaError(ErrorKind.CONTENT_FILTERED, _SENTENCES[ErrorKind.CONTENT_FILTERED])


def not_logged_in() -> LingmaError:
    """Return the error for a binary that answers but has no login."""
    return LingmaError(ErrorKind.LOGIN_REQUIRED, "Lingma is not logged in", hint=LOGIN_HINT)


def unsupported_runtime() -> LingmaError:
    """Return the error for a binary that does not know `chat/ask`."""
    return LingmaError(
        ErrorKind.ENGINE_UNSUPPORTED,
        "this Lingma runtime does not know `chat/ask` and is not supported yet",
        hint="use the binary of the VS Code or JetBrains plugin",
    )
