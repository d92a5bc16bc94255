"""Pushes, typed, and the answers the binary expects."""

from __future__ import annotations

import json
from typing import Any

import msgspec
import pytest

from lingma_cli.engines.lingma.pushes import ToolPush, chat_push, refused_tool, reply_to, tool_push


@pytest.mark.parametrize(
    ("push", "expected"),
    [
        ({"text": "a"}, "a"),
        ({"content": "b"}, "b"),
        ({"text": "a", "content": "b"}, "a"),
        ({"text": "", "content": "b"}, "b"),
        ({"text": None, "content": "b"}, "b"),
        ({}, ""),
    ],
)
def test_the_piece_of_a_push(push: dict[str, Any], expected: str) -> None:
    """`text` first, then `content`."""
    assert expected == chat_push(json.dumps(push).encode()).piece


def test_a_whole_push() -> None:
    """All fields that matter, the others ignored, a status code as text read as a number."""
    fields = {
        "requestId": "R",
        "sessionId": "S",
        "overwrite": True,
        "isFiltered": False,
        "statusCode": "200",
        "reason": "success",
        "fullAnswer": "x",
        "timestamp": 1,
        "extra": {},
    }
    push = chat_push(json.dumps(fields).encode())

    assert (
        push.requestId,
        push.sessionId,
        push.overwrite,
        push.statusCode,
        push.reason,
        push.fullAnswer,
    ) == ("R", "S", True, 200, "success", "x")


REFUSED = {
    "toolCallId": "T",
    "name": "read_file",
    "success": False,
    "errorMessage": "this client runs no tools",
    "result": {},
}
INVOKE = {"requestId": "R", "toolCallId": "T", "name": "read_file", "parameters": {}}


@pytest.mark.parametrize(
    ("method", "params", "expected"),
    [
        ("chat/answer", {}, None),
        ("client/registerCapability", {}, None),
        ("workspace/configuration", {"items": [{"section": "a"}, {}]}, [None, None]),
        ("workspace/configuration", {}, []),
        ("workspace/applyEdit", {"edit": {}}, {"applied": False}),
        ("tool/invoke", INVOKE | {"async": False}, REFUSED),
        ("tool/invoke", INVOKE, REFUSED),
        ("tool/invoke", INVOKE | {"async": True}, None),
    ],
)
def test_what_a_request_is_answered_with(method: str, params: Any, expected: Any) -> None:
    """Every request gets a result of the shape its sender waits for."""
    assert expected == reply_to(method, msgspec.Raw(json.dumps(params).encode()))


def test_a_refusal_says_that_nothing_ran() -> None:
    """The five fields, and no success."""
    push = tool_push(json.dumps(INVOKE).encode())

    assert isinstance(push, ToolPush)
    assert refused_tool(push) == REFUSED
