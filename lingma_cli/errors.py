"""The one tree of errors, and what each kind looks like on every surface.

Owns: the closed set of kinds and their table (HTTP status, OpenAI type and code, Anthropic
type, exit code, worth a retry or not). Must not know: who raises them. Foreign exceptions are
mapped to a `LingmaError` at the border where they appear, so nothing above knows their types.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum
from types import MappingProxyType
from typing import Any, Final


class ErrorKind(Enum):
    """What went wrong, in one closed list; each member has a row in `FACES`."""

    INVALID_REQUEST = "invalid_request"
    UNAUTHENTICATED = "unauthenticated"
    FORBIDDEN = "forbidden"
    NOT_FOUND = "not_found"
    METHOD_NOT_ALLOWED = "method_not_allowed"
    REQUEST_TIMEOUT = "request_timeout"
    BODY_TOO_LARGE = "body_too_large"
    UNSUPPORTED_MEDIA_TYPE = "unsupported_media_type"
    MISDIRECTED = "misdirected"
    OVERLOADED = "overloaded"
    QUOTA_EXCEEDED = "quota_exceeded"
    CONTENT_FILTERED = "content_filtered"
    CANCELLED = "cancelled"
    CONFLICT = "conflict"
    LOGIN_REQUIRED = "login_required"
    ENGINE_UNAVAILABLE = "engine_unavailable"
    ENGINE_FAILED = "engine_failed"
    ENGINE_TIMEOUT = "engine_timeout"
    ENGINE_UNSUPPORTED = "engine_unsupported"
    SHUTTING_DOWN = "shutting_down"
    USAGE = "usage"
    PORT_IN_USE = "port_in_use"
    ALREADY_RUNNING = "already_running"
    SERVER_NOT_FOUND = "server_not_found"
    EXECUTABLE_NOT_FOUND = "executable_not_found"
    INSTALL_FAILED = "install_failed"
    INTERNAL = "internal"


class LingmaError(Exception):
    """An error that a person or a client program will read.

    Args:
        kind: the row of `FACES` that it wears.
        message: lower-case sentence without a full stop: what happened, value last.
        hint: what to do about it, for a person at a terminal.
        param: the path into the request body (`messages[0].content`), if there is one.
        retry_after: seconds after which another try makes sense.
        details: what a program may want to know besides; only Anthropic's body has a place for it.
    """

    def __init__(
        self,
        kind: ErrorKind,
        message: str,
        *,
        hint: str | None = None,
        param: str | None = None,
        retry_after: float | None = None,
        details: Mapping[str, Any] | None = None,
    ) -> None:
        super().__init__(message)
        self.kind = kind
        self.message = message
        self.hint = hint
        self.param = param
        self.retry_after = retry_after
        self.details = details

    @property
    def advice(self) -> str:
        """The message with the hint behind it, for those who get one text only."""
        return self.message if self.hint is None else f"{self.message}; {self.hint}"

    def copy(self) -> LingmaError:
        """Return an error that says the same and was not raised yet.

        Whoever keeps an error to raise it for each request raises a copy: an exception holds on
        to every frame that it went through, and to what stands in them.
        """
        return LingmaError(
            self.kind,
            self.message,
            hint=self.hint,
            param=self.param,
            retry_after=self.retry_after,
            details=self.details,
        )


@dataclass(frozen=True, slots=True)
class Face:
    """One kind on the four surfaces; the OpenAI `code` is the kind's own name unless given.

    `retryable` false is sent as `x-should-retry: false`: SDKs and agents then give up at once
    instead of repeating what cannot succeed.
    """

    status: int
    openai_type: str
    anthropic_type: str
    exit_code: int
    retryable: bool = False
    openai_code: str | None = None


# Exit codes: 0 done, 1 unexpected, 2 usage or port in use, 3 already running or not found,
# 4 download, 5 login, 6 upstream, 130 / 143 signals.
_BAD: Final = "invalid_request_error"
_OURS: Final = "server_error"
FACES: Final[Mapping[ErrorKind, Face]] = MappingProxyType(
    {
        ErrorKind.INVALID_REQUEST: Face(400, _BAD, _BAD, 2),
        ErrorKind.UNAUTHENTICATED: Face(
            401, _BAD, "authentication_error", 5, openai_code="invalid_api_key"
        ),
        ErrorKind.FORBIDDEN: Face(403, _BAD, "permission_error", 5),
        ErrorKind.NOT_FOUND: Face(404, _BAD, "not_found_error", 6),
        ErrorKind.METHOD_NOT_ALLOWED: Face(405, _BAD, _BAD, 6),
        ErrorKind.REQUEST_TIMEOUT: Face(408, _BAD, _BAD, 6, retryable=True),
        ErrorKind.BODY_TOO_LARGE: Face(413, _BAD, "request_too_large", 6),
        ErrorKind.UNSUPPORTED_MEDIA_TYPE: Face(415, _BAD, _BAD, 6),
        ErrorKind.MISDIRECTED: Face(421, _BAD, _BAD, 6),
        ErrorKind.OVERLOADED: Face(429, "rate_limit_error", "rate_limit_error", 6, retryable=True),
        ErrorKind.QUOTA_EXCEEDED: Face(
            429,
            "insufficient_quota",
            "rate_limit_error",
            6,
            retryable=True,
            openai_code="insufficient_quota",
        ),
        ErrorKind.CONTENT_FILTERED: Face(400, _BAD, _BAD, 6, openai_code="content_filter"),
        ErrorKind.CANCELLED: Face(409, _BAD, _BAD, 6),
        ErrorKind.CONFLICT: Face(409, _BAD, _BAD, 6),
        ErrorKind.LOGIN_REQUIRED: Face(401, _BAD, "authentication_error", 5),
        ErrorKind.ENGINE_UNAVAILABLE: Face(503, _OURS, "api_error", 6, retryable=True),
        ErrorKind.ENGINE_FAILED: Face(502, _OURS, "api_error", 6, retryable=True),
        ErrorKind.ENGINE_TIMEOUT: Face(504, _OURS, "timeout_error", 6, retryable=True),
        ErrorKind.ENGINE_UNSUPPORTED: Face(501, _OURS, "api_error", 6),
        ErrorKind.SHUTTING_DOWN: Face(503, _OURS, "api_error", 6, retryable=True),
        ErrorKind.USAGE: Face(400, _BAD, _BAD, 2),
        ErrorKind.PORT_IN_USE: Face(500, _OURS, "api_error", 2),
        ErrorKind.ALREADY_RUNNING: Face(500, _OURS, "api_error", 3),
        ErrorKind.SERVER_NOT_FOUND: Face(502, _OURS, "api_error", 3),
        ErrorKind.EXECUTABLE_NOT_FOUND: Face(503, _OURS, "api_error", 3),
        ErrorKind.INSTALL_FAILED: Face(502, _OURS, "api_error", 4),
        ErrorKind.INTERNAL: Face(500, _OURS, "api_error", 1, retryable=True),
    }
)
