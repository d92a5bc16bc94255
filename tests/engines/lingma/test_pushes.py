"""Pushes, typed, and the answers the binary expects."""

from __future__ import annotations

import json
from typing import Any

import msgspec
import pytest

from lingma_cli.engines.lingma.pushes import chat_push, reply_to, tool_push, tool_result


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
    ],
)
def test_what_a_request_is_answered_with(method: str, params: Any, expected: Any) -> None:
    """Every request gets a result of the shape its sender waits for."""
    assert expected == reply_to(method, msgspec.Raw(json.dumps(params).encode()))


def test_a_refusal_says_that_nothing_ran() -> None:
    """The five fields, and no success."""
    assert tool_result("T", "read_file", str(REFUSED["errorMessage"]), success=False) == REFUSED


def test_a_result_is_told_as_it_is() -> None:
    """Success, no error, and the text as the result's content."""
    told = tool_result("t1", "read_file", "line", success=True)

    assert (
        told["success"],
        told["errorMessage"],
        told["result"],
    ) == (True, "", {"content": "line"})


@pytest.mark.parametrize(
    "fields",
    [
        {"name": "grep"},
        {"toolCall": {"name": "grep"}},
        {"tool_call": {"name": "grep"}},
        {"tool": {"name": "grep"}},
        {"data": {"name": "grep"}},
        {"tool": 7, "data": {"name": "grep"}},
    ],
)
def test_a_name_is_found_wherever_it_stands(fields: dict[str, Any]) -> None:
    """Builds differ in where they put it."""
    assert tool_push(json.dumps(fields).encode()).tool_name == "grep"


@pytest.mark.parametrize(
    ("fields", "arguments"),
    [
        ({"parameters": {"a": 1}}, {"a": 1}),
        ({"parameters": '{"a": 1}'}, {"a": 1}),
        ({"toolCall": {"name": "x", "parameters": {"a": 1}}}, {"a": 1}),
        ({"parameters": "no json"}, None),
        ({}, None),
    ],
)
def test_parameters_are_an_object(fields: dict[str, Any], arguments: Any) -> None:
    """As an object, as JSON in a text, or nested; else there are none."""
    found = tool_push(json.dumps(fields).encode()).arguments

    assert arguments == (None if found is None else json.loads(found))
