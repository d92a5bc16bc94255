"""Tool calls written as text."""

import json
import re
from typing import Any

import pytest

from lingma_cli.demo.dialects import after, before, render
from lingma_cli.demo.toolcalls import ToolCall
from lingma_cli.demo.toolkeys import DIALECTS

WRITE = ToolCall(name="Write", arguments={"path": "a b", "count": 2, "deep": {"x": [True, None]}})
FENCED = ToolCall(name="Write", arguments={"text": 'say "hi"\n```json action\n{}\n```'})
NOTHING = ToolCall(name="Now", arguments={})
ACTION = '{"tool": "Write", "parameters": {"path": "a b", "count": 2, "deep": {"x": [true, null]}}}'
NAMED = ACTION.replace("tool", "name").replace("parameters", "arguments")


@pytest.mark.parametrize(
    ("dialect", "text"),
    [
        ("action", f"```json action\n{ACTION}\n```"),
        ("json", f"```json\n{NAMED}\n```"),
        ("bare", NAMED),
        ("array", f"```json action\n[{ACTION}]\n```"),
        ("pair", f"```json action\n{ACTION}\n```"),
        ("unclosed", f"```json action\n{ACTION}"),
        ("tool_call", f"<tool_call>\n{NAMED}\n</tool_call>"),
        (
            "tool_code",
            "```tool_code\nWrite(path='a b', count=2, deep={'x': [True, None]})\n```",
        ),
        (
            "function",
            (
                "<function=Write>\n<parameter=path>\na b\n</parameter>\n<parameter=count>\n2\n"
                '</parameter>\n<parameter=deep>\n{"x": [true, null]}\n</parameter>\n</function>'
            ),
        ),
        (
            "invoke",
            (
                '<function_calls>\n<invoke name="Write">\n<parameter name="path">a b</parameter>\n'
                '<parameter name="count">2</parameter>\n'
                '<parameter name="deep">{"x": [true, null]}</parameter>\n</invoke>\n'
                "</function_calls>"
            ),
        ),
        (
            "trailing",
            (
                '```json action\n{"tool": "Write", "parameters": {"path": "a b", "count": 2,'
                ' "deep": {"x": [true, null,],},},}\n```'
            ),
        ),
        ("smart", "```json action\n" + re.sub('"([^"]*)"', "“\\1”", ACTION) + "\n```"),
        (
            "loose",
            (
                '```json action\n{"tool": "Write", "path": "a b", "count": 2,'
                ' "deep": {"x": [true, null]}}\n```'
            ),
        ),
    ],
)
def test_writes_one_call(dialect: str, text: str) -> None:
    """Each dialect has its exact form."""
    assert render([WRITE], dialect) == text


def inner(text: str) -> list[Any]:
    """Return the JSON lines inside `json action` fences."""
    return [json.loads(line) for line in text.splitlines() if line.startswith(("{", "["))]


def test_several_calls_of_a_step() -> None:
    """One fence each, one array, two objects in a fence, or only the last unclosed."""
    calls = [NOTHING, WRITE]

    assert [one["tool"] for one in inner(render(calls, "action"))] == ["Now", "Write"]
    assert [one["tool"] for one in inner(render(calls, "array"))[0]] == ["Now", "Write"]
    assert render(calls, "pair").count("```") == 2
    assert len(inner(render(calls, "pair"))) == 2
    assert render(calls, "unclosed").count("```") == 3
    assert len(json.loads(render(calls, "openai"))["tool_calls"]) == 2


def test_arguments_may_be_text() -> None:
    """`string` and `openai` have JSON inside JSON."""
    loose = inner(render([WRITE], "string"))[0]["input"]
    nested = json.loads(render([WRITE], "openai"))["tool_calls"][0]["function"]["arguments"]

    assert json.loads(loose) == json.loads(nested) == WRITE.arguments


def test_fences_inside_strings_stay_on_their_line() -> None:
    """A nested fence never stands at the start of a line of JSON."""
    assert render([FENCED], "action").count("\n```") == 1


@pytest.mark.parametrize("dialect", ["quoted", "blockquote", "inline", "example"])
def test_likenesses_say_that_they_are_none(dialect: str) -> None:
    """What is quoted or an example is no call."""
    text = render([WRITE, NOTHING], dialect)

    assert text.endswith(("I make none.", "I make no call."))
    assert (ACTION in text) == (dialect != "example")


@pytest.mark.parametrize(
    ("prose", "has"),
    [("none", ""), ("before", "b"), ("between", "m"), ("after", "a"), ("all", "bma")],
)
def test_prose_stands_where_it_is_wished(prose: str, has: str) -> None:
    """Before, between and after the calls."""
    text = render([WRITE, NOTHING], "action", prose)

    assert text.startswith("I will use the tools now.\n\n```") == ("b" in has)
    assert ("```\n\nAnd one thing more:\n\n```" in text) == ("m" in has)
    assert text.endswith("```\n\nThat is what I need.") == ("a" in has)
    assert (bool(before(prose)), bool(after(prose))) == ("b" in has, "a" in has)


@pytest.mark.parametrize("dialect", DIALECTS)
def test_every_dialect_writes_calls_without_arguments(dialect: str) -> None:
    """Empty parameters are a case of their own."""
    assert dialect == "example" or "Now" in render([NOTHING], dialect)
