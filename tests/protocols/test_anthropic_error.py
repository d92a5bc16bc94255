"""Anthropic's error envelope."""

from __future__ import annotations

import json

import pytest

from lingma_cli.errors import ErrorKind, LingmaError
from lingma_cli.protocols.anthropic_error import encode_error


def test_the_envelope() -> None:
    """Type and message, with the hint; no `details` when there are none."""
    error = LingmaError(ErrorKind.INVALID_REQUEST, "bad", hint="fix it", param="messages[0]")
    expected = {
        "type": "error",
        "error": {"type": "invalid_request_error", "message": "bad; fix it"},
    }

    assert expected == json.loads(encode_error(error))


def test_details_are_told() -> None:
    """What a program may want to know stands beside the message."""
    details = {"error_code": "thread_unsupported_request", "unsupported": ["thread"]}
    error = LingmaError(ErrorKind.INVALID_REQUEST, "bad", details=details)

    assert details == json.loads(encode_error(error))["error"]["details"]


@pytest.mark.parametrize(
    ("kind", "type_"),
    [
        (ErrorKind.UNAUTHENTICATED, "authentication_error"),
        (ErrorKind.FORBIDDEN, "permission_error"),
        (ErrorKind.NOT_FOUND, "not_found_error"),
        (ErrorKind.BODY_TOO_LARGE, "request_too_large"),
        (ErrorKind.QUOTA_EXCEEDED, "rate_limit_error"),
        (ErrorKind.ENGINE_TIMEOUT, "timeout_error"),
        (ErrorKind.INTERNAL, "api_error"),
    ],
)
def test_types_that_sdks_know(kind: ErrorKind, type_: str) -> None:
    """Each kind wears Anthropic's costume."""
    assert type_ == json.loads(encode_error(LingmaError(kind, "x")))["error"]["type"]
