"""A whole answer as the call that was demanded."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given

from lingma_cli.core.chat import Tool
from lingma_cli.transforms.forced_tool import parse_forced
from tests.support.strategies import texts

TOOL = Tool(
    name="save",
    parameters={
        "properties": {"name": {"type": "string"}, "age": {"type": "integer"}},
        "required": ["name"],
    },
)
QUERY = Tool(name="find", parameters={"properties": {"input": {"type": "string"}}})

PARSED: dict[str, tuple[Tool, str, dict[str, Any]]] = {
    "bare arguments": (TOOL, '{"name": "Bo", "age": 3}', {"name": "Bo", "age": 3}),
    "fenced": (TOOL, '```json\n{"name": "Bo"}\n```', {"name": "Bo"}),
    "fenced without a word": (TOOL, '\n```\n{"name": "Bo"}\n```\n', {"name": "Bo"}),
    "our form": (
        TOOL,
        '```json action\n{"tool": "save", "parameters": {"name": "Bo"}}\n```',
        {"name": "Bo"},
    ),
    "name and input": (TOOL, '{"name": "save", "input": {"name": "Bo"}}', {"name": "Bo"}),
    "name and text": (
        TOOL,
        r'{"name": "save", "arguments": "{\"name\": \"Bo\"}"}',
        {"name": "Bo"},
    ),
    "input without a name": (QUERY, '{"arguments": {"input": "x"}}', {"input": "x"}),
    "an argument named like a wrapper": (QUERY, '{"input": "x"}', {"input": "x"}),
    "function": (
        TOOL,
        '{"function": {"name": "save", "arguments": {"name": "Bo"}}}',
        {"name": "Bo"},
    ),
    "tool beside arguments": (TOOL, '{"tool": "save", "name": "Bo"}', {"name": "Bo"}),
    "coerced": (TOOL, '{"name": "Bo", "age": "3"}', {"name": "Bo", "age": 3}),
    "mended": (TOOL, '{"name": "Bo",}', {"name": "Bo"}),
    "a fence in a string": (TOOL, '{"name": "```\\n"}', {"name": "```\n"}),
    "Python": (TOOL, "```tool_code\nsave(name='Bo', age=3)\n```", {"name": "Bo", "age": 3}),
    "Python with a positional": (QUERY, '```tool_code\nfind("x")\n```', {"input": "x"}),
}
REFUSED = {
    "nothing": "",
    "prose": "I will save it.",
    "prose before": 'Here: {"name": "Bo"}',
    "prose behind a fence": '```json\n{"name": "Bo"}\n```\nDone.',
    "other tool": '{"tool": "drop", "parameters": {"name": "Bo"}}',
    "other function": '{"function": {"name": "drop", "arguments": {"name": "Bo"}}}',
    "missing argument": '{"age": 3}',
    "two objects": '{"name": "Bo"} {"name": "Al"}',
    "array": '[{"name": "Bo"}]',
    "two Python calls": "```tool_code\nsave(name='a')\nsave(name='b')\n```",
    "other Python call": "```tool_code\ndrop(name='a')\n```",
    "positional of several": "```tool_code\nsave('a')\n```",
    "Python without its fence": "save(name='a')",
}


@pytest.mark.parametrize(("tool", "text", "expected"), PARSED.values(), ids=PARSED.keys())
def test_an_answer_is_the_call(tool: Tool, text: str, expected: dict[str, Any]) -> None:
    """In the forms of the brief."""
    arguments = parse_forced(text, tool)

    assert arguments is not None
    assert expected == json.loads(arguments)


@pytest.mark.parametrize("text", REFUSED.values(), ids=REFUSED.keys())
def test_another_answer_is_no_call(text: str) -> None:
    """It stays text."""
    assert parse_forced(text, TOOL) is None


@given(texts)
def test_garbage_never_raises(text: str) -> None:
    """Fenced or not."""
    for answer in (text, f"```json\n{text}\n```", f"```tool_code\n{text}\n```", f"{{{text}}}"):
        assert parse_forced(answer, TOOL) is None


def test_long_answers_are_read_in_linear_time() -> None:
    """White space and backticks without end."""
    for filler in (" ", "`\n", "```\n"):
        text = f"```json\n{filler * (5_000_000 // len(filler))}x"
        assert parse_forced(text, TOOL) is None
