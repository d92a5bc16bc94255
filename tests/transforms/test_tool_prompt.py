"""Tools in the prompt."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lingma_cli.core.chat import Tool, ToolChoice, ToolMode
from lingma_cli.transforms.tool_prompt import (
    describe,
    results_hint,
    written_call,
    written_result,
)
from lingma_cli.transforms.tool_text import TextCall, ToolTextReader
from tests.support.strategies import texts

PATH = {"type": "string", "description": "where it is"}
SCHEMA: dict[str, Any] = {
    "$schema": "https://json-schema.org/draft/2020-12/schema",
    "type": "object",
    "properties": {"path": PATH, "title": {"type": "string", "title": "Title"}},
    "required": ["path"],
    "additionalProperties": False,
}
TOOLS = [Tool(name="read", description="Reads a file.", parameters=SCHEMA), Tool(name="ls")]
AUTO = ToolChoice()


def _schemas(prompt: str) -> list[Any]:
    prefix = "Parameters: "
    lines = [line for line in prompt.splitlines() if line.startswith(prefix)]
    return [json.loads(line.removeprefix(prefix)) for line in lines]


def test_each_tool_is_described() -> None:
    """Its name, description and parameters, without what tells a model nothing."""
    prompt = describe(TOOLS, AUTO, parallel=True).text

    assert "## read\nReads a file.\n" in prompt
    assert "## ls\n" in prompt
    properties = {"path": PATH, "title": {"type": "string"}}
    rest = {name: SCHEMA[name] for name in ("type", "required", "additionalProperties")}
    assert [{**rest, "properties": properties}, {}] == _schemas(prompt)


def test_the_form_is_one_that_is_understood() -> None:
    """What the prompt shows as a call would be read as one."""
    reader = ToolTextReader([Tool(name="NAME")])
    given_out = [*reader.feed(describe(TOOLS, AUTO, parallel=True).text), *reader.close()]

    assert [TextCall(name="NAME", arguments='{"KEY": "VALUE"}')] == [
        piece for piece in given_out if isinstance(piece, TextCall)
    ]


def test_demands_are_put_into_words() -> None:
    """A call, one call, a certain call; and once more in firmer words."""
    plain = describe(TOOLS, AUTO, parallel=True).text
    single = describe(TOOLS, AUTO, parallel=False).text
    required = describe(TOOLS, ToolChoice(mode=ToolMode.REQUIRED), parallel=True).text
    named = describe(TOOLS, ToolChoice(mode=ToolMode.NAMED, name="ls"), parallel=True).text
    firm = describe(TOOLS, ToolChoice(mode=ToolMode.REQUIRED), parallel=True, firm=True).text

    assert len({plain, single, required, named, firm}) == 5
    assert "several blocks in one answer" in plain
    assert "one call only" in single
    assert "must call at least one tool" in required
    assert "must call the tool `ls`" in named
    assert "## read" not in named
    assert firm.startswith(required)
    assert results_hint() in plain


def test_many_tools_are_cut_to_size() -> None:
    """Descriptions get shorter; names and parameters stay."""
    long = {"type": "string", "description": "d" * 5000}
    tools = [
        Tool(name=f"tool_{n}", description="t" * 9000, parameters={"properties": {"a": long}})
        for n in range(40)
    ]
    few, many = (describe(some, AUTO, parallel=True).text for some in (tools[:2], tools))

    assert "t" * 8000 in few
    assert len(many) < 62_000
    assert all(f"## {tool.name}\n" in many for tool in tools)
    assert {"a"} == {name for schema in _schemas(many) for name in schema["properties"]}


@pytest.mark.parametrize("key", ["tool", "parameter"])
def test_it_tells_when_descriptions_were_cut(key: str) -> None:
    """Of a tool or of a parameter, and only then."""
    limit = {"tool": 8000, "parameter": 2000}[key]

    def shortened(size: int) -> bool:
        text = "d" * size
        schema = {"properties": {"a": {"description": text if key == "parameter" else ""}}}
        tool = Tool(name="read", description=text if key == "tool" else "", parameters=schema)
        return describe([tool], AUTO, parallel=True).shortened

    assert (shortened(limit), shortened(limit + 1)) == (False, True)


arguments = st.dictionaries(texts, texts | st.integers() | st.lists(texts)).map(json.dumps)


@given(arguments)
def test_an_earlier_call_reads_as_that_call(written: str) -> None:
    """The model sees the form that it shall keep."""
    reader = ToolTextReader([Tool(name="read")])
    call, *rest = [*reader.feed(written_call("read", written)), *reader.close()]

    assert isinstance(call, TextCall)
    assert json.loads(written) == json.loads(call.arguments)
    assert rest == []


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [("", {}), ("no JSON", "no JSON"), ("1e999", "1e999"), ('{"a": "\\ud83d"}', {"a": "\ud83d"})],
)
def test_an_earlier_call_may_be_broken(arguments: str, expected: object) -> None:
    """A client can send what it likes as arguments."""
    body = written_call('a"b', arguments).splitlines()[1]

    assert {"tool": 'a"b', "parameters": expected} == json.loads(body)


def test_a_result_tells_whose_it_is() -> None:
    """And whether the call failed."""
    assert written_result("c1", "ls", "a\nb", is_error=False) == (
        "Tool result for id c1 (ls):\na\nb"
    )
    assert written_result("c1", "", "", is_error=True) == (
        "Tool result for id c1 (the call failed):\n(no output)"
    )


def test_a_schema_without_end() -> None:
    """It is cut at a depth that nobody reads, and told; nothing overflows."""
    nested: Any = {}
    for _ in range(950):
        nested = {"items": [nested]}
    section = describe([Tool(name="read", parameters=nested)], AUTO, parallel=True)

    assert section.shortened
    assert section.text.count("items") == 32
