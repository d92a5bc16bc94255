"""Names that mean a tool, and arguments that fit it."""

from __future__ import annotations

import json
from typing import Any

import pytest

from lingma_cli.core.chat import Tool
from lingma_cli.transforms.tool_fit import Offer, fit, sole_property

NAMES = {
    "exact": ("read_file", "read_file"),
    "other case": ("Read_File", "read_file"),
    "functions. before it": ("functions.read_file", "read_file"),
    "mcp_ before it": ("mcp_read_file", "read_file"),
    "white space": (" read_file ", "read_file"),
    "exact before case": ("BASH", "BASH"),
    "case that means two": ("bASH", None),
    "unknown": ("terminal", None),
    "empty": ("", None),
    "no text": (3, None),
    "offered with a prefix": ("mcp_web", "mcp_web"),
}


@pytest.mark.parametrize(("name", "expected"), NAMES.values(), ids=NAMES.keys())
def test_a_name_means_one_tool_or_none(name: object, expected: str | None) -> None:
    """There is no table of aliases."""
    offered = ("read_file", "Bash", "BASH", "mcp_web")
    tool = Offer(Tool(name=each) for each in offered).find(name)

    assert expected == (tool.name if tool else None)


def test_no_tools_are_no_offer() -> None:
    """So that a reader may stand aside."""
    assert not Offer([])
    assert Offer([Tool(name="a")])


def _tool(properties: dict[str, Any], **schema: Any) -> Tool:
    return Tool(name="t", parameters={"type": "object", "properties": properties, **schema})


COERCED: dict[str, tuple[dict[str, Any], Any, Any]] = {
    "integer": ({"type": "integer"}, "5", 5),
    "negative integer": ({"type": "integer"}, " -5 ", -5),
    "no integer": ({"type": "integer"}, "5.5", "5.5"),
    "leading zero": ({"type": "integer"}, "007", "007"),
    "number": ({"type": "number"}, "5.5", 5.5),
    "whole number": ({"type": "number"}, "5", 5),
    "boolean": ({"type": "boolean"}, "true", True),
    "Python's boolean": ({"type": "boolean"}, "False", False),
    "no boolean": ({"type": "boolean"}, "yes", "yes"),
    "null": ({"type": ["integer", "null"]}, "null", None),
    "string stays": ({"type": "string"}, "5", "5"),
    "string or integer stays": ({"type": ["string", "integer"]}, "5", "5"),
    "any of": ({"anyOf": [{"type": "integer"}, {"type": "null"}]}, "5", 5),
    "any of with an unknown": ({"anyOf": [{"type": "integer"}, {"$ref": "#/x"}]}, "5", "5"),
    "no type": ({}, "5", "5"),
    "array": ({"type": "array"}, '["a"]', ["a"]),
    "object": ({"type": "object"}, '{"a": 1}', {"a": 1}),
    "no array": ({"type": "array"}, "{}", "{}"),
    "in an array": ({"type": "array", "items": {"type": "integer"}}, ["1", 2], [1, 2]),
    "in an object": (
        {"type": "object", "properties": {"a": {"type": "boolean"}}},
        {"a": "true", "b": "true"},
        {"a": True, "b": "true"},
    ),
    "number for a string stays": ({"type": "string"}, 5, 5),
}


@pytest.mark.parametrize(("schema", "value", "expected"), COERCED.values(), ids=COERCED.keys())
def test_texts_become_what_the_schema_wants(
    schema: dict[str, Any], value: Any, expected: Any
) -> None:
    """Only where there is no doubt."""
    fitted = fit({"a": value}, _tool({"a": schema}))

    assert fitted is not None
    assert {"a": expected} == json.loads(fitted.arguments)


def test_a_missing_argument_does_not_fit() -> None:
    """A call without it would only fail."""
    tool = _tool({"a": {}}, required=["a"])

    assert fit({"b": 1}, tool) is None
    assert fit({"a": None}, tool) is not None


def test_unknown_arguments_go_where_the_schema_forbids_them() -> None:
    """And stay where it does not."""
    closed = fit({"a": 1, "b": 2}, _tool({"a": {}}, additionalProperties=False))
    open_ = fit({"a": 1, "b": 2}, _tool({"a": {}}))

    assert closed is not None
    assert open_ is not None
    assert (closed.arguments, closed.dropped) == ('{"a": 1}', ("b",))
    assert (open_.arguments, open_.dropped) == ('{"a": 1, "b": 2}', ())


def test_what_json_cannot_say_does_not_fit() -> None:
    """A Python literal may be a set."""
    assert fit({"a": {1}}, _tool({})) is None


def test_the_only_property() -> None:
    """A single positional argument can only mean that one."""
    assert sole_property(_tool({"a": {}})) == "a"
    assert sole_property(_tool({"a": {}, "b": {}})) is None
    assert sole_property(Tool(name="t")) is None
