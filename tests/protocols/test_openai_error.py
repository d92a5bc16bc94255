"""OpenAI's error object."""

from __future__ import annotations

import json

import pytest

from lingma_cli.errors import ErrorKind, LingmaError
from lingma_cli.protocols.openai_error import encode_error


def test_all_four_fields() -> None:
    """Message with its hint, type, path and code."""
    error = LingmaError(ErrorKind.INVALID_REQUEST, "bad", hint="fix it", param="messages[0]")
    expected = {
        "message": "bad; fix it",
        "type": "invalid_request_error",
        "param": "messages[0]",
        "code": "invalid_request",
    }

    assert {"error": expected} == json.loads(encode_error(error))


@pytest.mark.parametrize(
    ("kind", "type_", "code"),
    [
        (ErrorKind.UNAUTHENTICATED, "invalid_request_error", "invalid_api_key"),
        (ErrorKind.QUOTA_EXCEEDED, "insufficient_quota", "insufficient_quota"),
        (ErrorKind.CONTENT_FILTERED, "invalid_request_error", "content_filter"),
        (ErrorKind.OVERLOADED, "rate_limit_error", "overloaded"),
        (ErrorKind.INTERNAL, "server_error", "internal"),
    ],
)
def test_codes_that_sdks_know(kind: ErrorKind, type_: str, code: str) -> None:
    """Where OpenAI has a word of its own, it is used; else the kind's name."""
    body = json.loads(encode_error(LingmaError(kind, "x")))["error"]

    assert (type_, code) == (body["type"], body["code"])
