"""OpenAI Chat Completions: bodies that are refused, and where they are wrong."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import pytest

from lingma_cli.errors import ErrorKind, LingmaError
from lingma_cli.protocols.openai_chat_parse import parse

HI = {"role": "user", "content": "hi"}


def _tool(name: str) -> dict[str, Any]:
    return {"type": "function", "function": {"name": name}}


WRONG: Mapping[str, tuple[dict[str, Any], str]] = {
    "messages missing": ({"messages": ...}, "messages"),
    "messages empty": ({"messages": []}, "messages"),
    "messages null": ({"messages": None}, "messages"),
    "messages object": ({"messages": {}}, "messages"),
    "message number": ({"messages": [HI, 5]}, "messages[1]"),
    "message null": ({"messages": [None]}, "messages[0]"),
    "role missing": ({"messages": [{"content": "x"}]}, "messages[0].role"),
    "role unknown": ({"messages": [HI, {"role": "robot"}]}, "messages[1].role"),
    "role list": ({"messages": [{"role": ["user"]}]}, "messages[0].role"),
    "content number": ({"messages": [{"role": "user", "content": 5}]}, "messages[0].content"),
    "content object": ({"messages": [{"role": "user", "content": {}}]}, "messages[0].content"),
    "part text": ({"messages": [{"role": "user", "content": ["a"]}]}, "messages[0].content[0]"),
    "part type missing": (
        {"messages": [{"role": "user", "content": [{"text": "a"}]}]},
        "messages[0].content[0].type",
    ),
    "part type list": (
        {"messages": [{"role": "user", "content": [{"type": []}]}]},
        "messages[0].content[0].type",
    ),
    "part text number": (
        {"messages": [HI, {"role": "user", "content": [{"type": "text", "text": 5}]}]},
        "messages[1].content[0].text",
    ),
    "part text missing": (
        {"messages": [{"role": "user", "content": [{"type": "text"}]}]},
        "messages[0].content[0].text",
    ),
    "call id": (
        {"messages": [{"role": "assistant", "tool_calls": [{"id": 5, "function": {"name": "f"}}]}]},
        "messages[0].tool_calls[0].id",
    ),
    "call arguments": (
        {
            "messages": [
                {
                    "role": "assistant",
                    "tool_calls": [{"id": "c", "function": {"name": "f", "arguments": {}}}],
                }
            ]
        },
        "messages[0].tool_calls[0].function.arguments",
    ),
    "model": ({"model": 5}, "model"),
    "stream": ({"stream": "yes"}, "stream"),
    "include_usage": ({"stream_options": {"include_usage": 1}}, "stream_options.include_usage"),
    "tools": ({"tools": {}}, "tools"),
    "tool name": ({"tools": [{"function": {}}]}, "tools[0].function.name"),
    "tool parameters": (
        {"tools": [{"function": {"name": "f", "parameters": []}}]},
        "tools[0].function.parameters",
    ),
    "choice word": ({"tool_choice": "any"}, "tool_choice"),
    "choice number": ({"tool_choice": 5}, "tool_choice"),
    "choice unnamed": ({"tool_choice": {"type": "function"}}, "tool_choice.function.name"),
    "choice name": ({"tool_choice": {"function": {"name": 5}}}, "tool_choice.function.name"),
    "old choice name": ({"function_call": {"name": 5}}, "function_call.name"),
    "choice not offered": (
        {"tool_choice": {"type": "function", "function": {"name": "x"}}},
        "tool_choice.function.name",
    ),
    "custom choice": ({"tool_choice": {"type": "custom"}}, "tool_choice.custom.name"),
    "flat choice not offered": ({"tool_choice": {"type": "tool", "name": "x"}}, "tool_choice.name"),
    "old choice not offered": ({"function_call": {"name": "x"}}, "function_call.name"),
    "allowed mode": (
        {"tool_choice": {"type": "allowed_tools", "allowed_tools": {"mode": "x", "tools": []}}},
        "tool_choice.allowed_tools.mode",
    ),
    "allowed missing": (
        {"tool_choice": {"type": "allowed_tools"}},
        "tool_choice.allowed_tools",
    ),
    "allowed not offered": (
        {"tool_choice": {"type": "allowed_tools", "allowed_tools": {"tools": [_tool("x")]}}},
        "tool_choice.allowed_tools.tools[0].function.name",
    ),
    "tool undefined": ({"tools": [{"type": "function"}]}, "tools[0].function"),
    "freeform undefined": ({"tools": [{"type": "custom"}]}, "tools[0].custom"),
    "call undefined": (
        {"messages": [{"role": "assistant", "tool_calls": [{"id": "c"}]}]},
        "messages[0].tool_calls[0].function",
    ),
    "result block": (
        {
            "messages": [
                {
                    "role": "user",
                    "content": [{"type": "tool_result", "content": [{"type": "text"}]}],
                }
            ]
        },
        "messages[0].content[0].content[0].text",
    ),
    "nine choices": ({"n": 9}, "n"),
    "no choice": ({"n": 0}, "n"),
    "n as text": ({"n": "1"}, "n"),
    "two answers in a session": ({"n": 2, "session_id": "conv_1"}, "n"),
    "a session's number": ({"session_id": 1}, "session_id"),
    "temperature": ({"temperature": "hot"}, "temperature"),
    "temperature too large": ({"temperature": 10**400}, "temperature"),
    "max_tokens": ({"max_tokens": 1.5}, "max_tokens"),
    "no tokens": ({"max_tokens": 0}, "max_tokens"),
    "no completion tokens": (
        {"max_tokens": 5, "max_completion_tokens": 0},
        "max_completion_tokens",
    ),
    "seed": ({"seed": True}, "seed"),
    "stop": ({"stop": ["a", 1]}, "stop[1]"),
    "response_format": ({"response_format": "json"}, "response_format"),
    "format unknown": ({"response_format": {"type": "xml"}}, "response_format.type"),
    "schema missing": (
        {"response_format": {"type": "json_schema"}},
        "response_format.json_schema",
    ),
    "schema empty": (
        {"response_format": {"type": "json_schema", "json_schema": {"name": "x"}}},
        "response_format.json_schema.schema",
    ),
}


@pytest.mark.parametrize(("fields", "param"), WRONG.values(), ids=WRONG.keys())
def test_a_wrong_field_is_named_by_its_path(fields: dict[str, Any], param: str) -> None:
    """The error says where in the body the first wrong thing stands, in `param` and in words."""
    body = {"messages": [HI]} | fields
    body = {key: value for key, value in body.items() if value is not ...}

    with pytest.raises(LingmaError) as caught:
        parse(json.dumps(body).encode())

    assert (ErrorKind.INVALID_REQUEST, param) == (caught.value.kind, caught.value.param)
    assert f"`{param}`" in caught.value.message
