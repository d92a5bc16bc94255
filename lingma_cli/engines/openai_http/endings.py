"""What a refusal means: status, code and words of a server, to an error. Pure.

Dialects: OpenAI `{"error": {"message", "type", "param", "code"}}`; llama.cpp the same with the
status as code; older vLLM `{"object": "error", "message", "code"}`; FastAPI `{"detail": …}`;
Ollama `{"error": "…"}`; anything else is quoted if it is plain text.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, Final

import msgspec

from lingma_cli.engines.quoting import quoted
from lingma_cli.errors import ErrorKind, LingmaError
from lingma_cli.secret import Redactor

_BAD: Final = ErrorKind.INVALID_REQUEST
_STATUSES: Final[Mapping[int, ErrorKind]] = MappingProxyType(
    {
        400: _BAD,
        401: ErrorKind.LOGIN_REQUIRED,
        402: ErrorKind.QUOTA_EXCEEDED,
        403: ErrorKind.LOGIN_REQUIRED,
        404: ErrorKind.NOT_FOUND,
        405: ErrorKind.ENGINE_UNSUPPORTED,
        408: ErrorKind.ENGINE_TIMEOUT,
        413: ErrorKind.BODY_TOO_LARGE,
        415: ErrorKind.ENGINE_UNSUPPORTED,
        422: _BAD,
        429: ErrorKind.OVERLOADED,
        501: ErrorKind.ENGINE_UNSUPPORTED,
        503: ErrorKind.ENGINE_UNAVAILABLE,
        504: ErrorKind.ENGINE_TIMEOUT,
        524: ErrorKind.ENGINE_TIMEOUT,
        529: ErrorKind.OVERLOADED,
    }
)
# What a server calls it, in `code` or `type`; this says more than the status.
_NAMES: Final[Mapping[str, ErrorKind]] = MappingProxyType(
    {
        "insufficient_quota": ErrorKind.QUOTA_EXCEEDED,
        "content_filter": ErrorKind.CONTENT_FILTERED,
        "content_policy_violation": ErrorKind.CONTENT_FILTERED,
        "context_length_exceeded": _BAD,
        "exceed_context_size_error": _BAD,
        "invalid_request_error": _BAD,
        "badrequesterror": _BAD,
        "invalid_api_key": ErrorKind.LOGIN_REQUIRED,
        "authentication_error": ErrorKind.LOGIN_REQUIRED,
        "permission_error": ErrorKind.LOGIN_REQUIRED,
        "model_not_found": ErrorKind.NOT_FOUND,
        "not_found_error": ErrorKind.NOT_FOUND,
        "notfounderror": ErrorKind.NOT_FOUND,
        "not_supported_error": ErrorKind.ENGINE_UNSUPPORTED,
        "rate_limit_error": ErrorKind.OVERLOADED,
        "rate_limit_exceeded": ErrorKind.OVERLOADED,
        "overloaded_error": ErrorKind.OVERLOADED,
        "unavailable_error": ErrorKind.ENGINE_UNAVAILABLE,
    }
)
# quirk: llama.cpp and Ollama answer 500 to what is the request's fault.
_REQUESTS_FAULT: Final = re.compile(
    r"(?i)\b(?:image|audio|video)s? input is not supported|does not support (?:tools|images)"
)
_PAUSES: Final = {ErrorKind.QUOTA_EXCEEDED: 60.0, ErrorKind.OVERLOADED: 10.0}
_MAX_PAUSE: Final = 3600.0
_ASKED_AGAIN: Final = (
    ErrorKind.OVERLOADED,
    ErrorKind.QUOTA_EXCEEDED,
    ErrorKind.ENGINE_UNAVAILABLE,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Refusal:
    """What a server said: its status, its words, and the name it gives to the error."""

    status: int | None
    message: str
    name: str = ""
    param: str | None = None
    retry_after: str = ""


def read_refusal(status: int, content_type: str, body: bytes, *, retry_after: str = "") -> Refusal:
    """Return what an answer with an error status says, whatever the dialect."""
    try:
        value = msgspec.json.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        # Pages for people say nothing to a program.
        plain = content_type in ("text/plain", "")
        value = body[:4096].decode(errors="replace") if plain else ""
    return _refusal(value, status, retry_after)


def read_stream_error(value: Any) -> Refusal:
    """Return what an error inside a stream says; there the status stands in the code."""
    return _refusal(value, None, "")


def _refusal(value: Any, status: int | None, retry_after: str) -> Refusal:
    if isinstance(value, dict) and value.get("error"):
        value = value["error"]
    if not isinstance(value, dict):
        message = value if isinstance(value, str) else ""
        return Refusal(status=status, message=message, retry_after=retry_after)
    code, kind = value.get("code"), value.get("type")
    if status is None and isinstance(code, int):
        status = code
    names = [name for name in (code, kind) if isinstance(name, str)]
    known = [name for name in names if name.lower() in _NAMES]
    param = value.get("param")
    return Refusal(
        status=status,
        message=_words(value.get("message") or value.get("detail") or ""),
        name=(known or names or [""])[0],
        param=param if isinstance(param, str) else None,
        retry_after=retry_after,
    )


def _words(detail: Any) -> str:
    """Return a message, or FastAPI's list of them."""
    if isinstance(detail, str):
        return detail
    if isinstance(detail, list):
        said = (each.get("msg") for each in detail if isinstance(each, dict))
        return "; ".join(each for each in said if isinstance(each, str))
    return ""


class Endings:
    """Makes the errors of one engine.

    Args:
        name: of the engine, for the sentence.
        redact: hides the engine's key, should the server repeat it.
    """

    def __init__(self, name: str, redact: Redactor) -> None:
        self._name = name
        self._redact = redact
        self._renew = (
            f"renew its key and run `lingma engine restart {name}`; "
            "if it has none, remove it and add it with `--api-key-ref`"
        )

    def error(self, refusal: Refusal) -> LingmaError:
        """Return the error to raise for `refusal`."""
        kind = _kind(refusal)
        said = quoted(refusal.message, self._redact)
        shown = ", ".join(filter(None, (_status(refusal.status), said)))
        return LingmaError(
            kind,
            f"engine `{self._name}` refused the request" + (f": {shown}" if shown else ""),
            hint=self._renew if kind is ErrorKind.LOGIN_REQUIRED else None,
            param=refusal.param if kind is _BAD else None,
            retry_after=_pause(kind, refusal.retry_after),
        )

    def named(self, error: LingmaError) -> LingmaError:
        """Return `error` with the engine's name in front."""
        return LingmaError(error.kind, f"engine `{self._name}`: {error.message}", hint=error.hint)

    def failed(self, what: str, kind: ErrorKind = ErrorKind.ENGINE_FAILED) -> LingmaError:
        """Return an error about this engine."""
        return LingmaError(kind, f"engine `{self._name}` {what}")


def _status(status: int | None) -> str:
    return "" if status is None else f"status {status}"


def _kind(refusal: Refusal) -> ErrorKind:
    named = _NAMES.get(refusal.name.lower())
    is_missing = named is ErrorKind.NOT_FOUND or (named is None and refusal.status == 404)
    if is_missing and "model" not in f"{refusal.name} {refusal.message}".lower():
        # The path is not there: the server does not offer this at all.
        return ErrorKind.ENGINE_UNSUPPORTED
    if named is not None:
        return named
    if (refusal.status or 500) >= 500 and _REQUESTS_FAULT.search(refusal.message):
        return _BAD
    return _STATUSES.get(refusal.status or 0, ErrorKind.ENGINE_FAILED)


def _pause(kind: ErrorKind, header: str) -> float | None:
    """Return the seconds to wait: the server's own number if it gives one (dates are rare)."""
    if kind not in _ASKED_AGAIN:
        return None
    try:
        seconds = float(header)
    except ValueError:
        return _PAUSES.get(kind)
    return min(seconds, _MAX_PAUSE) if seconds >= 0 else _PAUSES.get(kind)
