"""Tools of a Responses request: flattened, bridged, dropped, and the choice among them."""

from __future__ import annotations

from typing import Any

import pytest

from lingma_cli.core.chat import Tool, ToolChoice, ToolMode
from lingma_cli.core.notes import Note, codes
from lingma_cli.errors import LingmaError
from lingma_cli.protocols.openai_responses_tools import read_choice, read_tools

SCHEMA = {"type": "object"}
HOSTED = [
    "web_search",
    "web_search_preview",
    "local_shell",
    "shell",
    "mcp",
    "file_search",
    "code_interpreter",
    "image_generation",
    "tool_search",
    "computer_use_preview",
    "something_new",
]


def function(name: str, **fields: Any) -> dict[str, Any]:
    return {"type": "function", "name": name} | fields


def namespace(name: str, *tools: dict[str, Any]) -> dict[str, Any]:
    return {"type": "namespace", "name": name, "tools": list(tools)}


def read(*tools: dict[str, Any]) -> tuple[tuple[Tool, ...], list[Note]]:
    notes: list[Note] = []
    placed = [(f"tools[{index}]", tool) for index, tool in enumerate(tools)]
    return read_tools(placed, notes), notes


def test_a_function() -> None:
    """Description, schema and strictness arrive; a missing type means a function."""
    expected = Tool(name="f", description="does f", parameters=SCHEMA, strict=False)

    whole = function("f", description="does f", parameters=SCHEMA, strict=False)
    assert ((expected,), []) == read(whole)
    assert ((Tool(name="f"),), []) == read({"name": "f", "parameters": None})


def test_a_freeform_tool_is_bridged() -> None:
    """It becomes a function with one text, and its grammar a part of the description."""
    grammar = {"type": "grammar", "syntax": "lark", "definition": "start: /x/"}
    ((tool,), _) = read({"type": "custom", "name": "p", "description": "d", "format": grammar})

    assert (tool.name, tool.custom, list(tool.parameters["properties"])) == ("p", True, ["input"])
    assert "start: /x/" in tool.description


def test_a_namespace_is_flattened() -> None:
    """Its tools stand among the others and remember where they came from."""
    tools, notes = read(
        function("f"), namespace("n", function("g"), {"type": "custom", "name": "h"})
    )

    told = [(tool.name, tool.namespace, tool.client_name, tool.custom) for tool in tools]
    assert told == [("f", None, None, False), ("g", "n", None, False), ("h", "n", None, True)]
    assert notes == []


def test_names_that_clash_become_unique() -> None:
    """A tool of no namespace keeps its name wherever it stands; the others get longer ones."""
    tools, _ = read(
        namespace("a", function("f")),
        namespace("b", function("f")),
        function("f"),
        function("a__f"),
        namespace("c", function("g")),
    )

    told = [(tool.name, tool.namespace, tool.client_name) for tool in tools]
    assert told == [
        ("a__f_", "a", "f"),
        ("b__f", "b", "f"),
        ("f", None, None),
        ("a__f", None, None),
        ("g", "c", None),
    ]


def test_a_tool_is_offered_once() -> None:
    """The first of two with one name is taken, the other is noted."""
    tools, notes = read(function("f", description="first"), function("f"))

    assert [tool.description for tool in tools] == ["first"]
    assert codes(notes) == ("tool_dropped",)


@pytest.mark.parametrize("kind", [*HOSTED, None, ["function"]])
def test_tools_that_cannot_run_here_are_left_out(kind: Any) -> None:
    """They come beside others in every agent's request, so they are never refused."""
    tools, notes = read({"type": kind, "name": 5}, function("f"))

    assert [tool.name for tool in tools] == ["f"]
    assert codes(notes) == ("tool_dropped",)


@pytest.mark.parametrize(
    ("tool", "param"),
    [
        (function("f", parameters=[]), "tools[0].parameters"),
        ({"type": "function"}, "tools[0].name"),
        ({"type": "custom", "name": 1}, "tools[0].name"),
        (namespace("n", function("f"), {"type": "function"}), "tools[0].tools[1].name"),
        ({"type": "namespace", "name": "n"}, "tools[0].tools"),
    ],
)
def test_a_malformed_tool_is_named(tool: dict[str, Any], param: str) -> None:
    """The path leads into namespaces too."""
    with pytest.raises(LingmaError) as caught:
        read(tool)

    assert param == caught.value.param


# the choice


OFFERED = (
    Tool(name="n__f", client_name="f", namespace="n"),
    Tool(name="f"),
    Tool(name="g", namespace="n"),
    Tool(name="p", custom=True),
)


def choose(choice: Any) -> tuple[list[str], ToolChoice, tuple[str, ...]]:
    notes: list[Note] = []
    tools, chosen = read_choice(choice, OFFERED, notes)
    return [tool.name for tool in tools], chosen, codes(notes)


ALL = [tool.name for tool in OFFERED]


@pytest.mark.parametrize(
    ("choice", "expected"),
    [
        (None, ToolChoice()),
        ("auto", ToolChoice()),
        ("none", ToolChoice(mode=ToolMode.NONE)),
        ("required", ToolChoice(mode=ToolMode.REQUIRED)),
        (function("f"), ToolChoice(mode=ToolMode.NAMED, name="f")),
        (function("g"), ToolChoice(mode=ToolMode.NAMED, name="g")),
        (function("f", namespace="n"), ToolChoice(mode=ToolMode.NAMED, name="n__f")),
        ({"type": "custom", "name": "p"}, ToolChoice(mode=ToolMode.NAMED, name="p")),
    ],
)
def test_choices(choice: Any, expected: ToolChoice) -> None:
    """Words, and tools by the names that the client gave them."""
    assert (ALL, expected, ()) == choose(choice)


@pytest.mark.parametrize(
    "choice",
    [
        {"type": "web_search"},
        {"type": "mcp", "server_label": "s"},
        {"type": ["function"]},
    ],
)
def test_choices_that_cannot_be_followed(choice: Any) -> None:
    """The model is free again, and a note says so."""
    assert (ALL, ToolChoice(), ("tool_choice_ignored",)) == choose(choice)


@pytest.mark.parametrize(
    ("mode", "wanted", "expected", "chosen", "noted"),
    [
        ("auto", [function("f", namespace="n")], ["n__f"], ToolMode.AUTO, ()),
        ("required", [function("g")], ["g"], ToolMode.REQUIRED, ()),
        ("auto", [{"type": "namespace", "name": "n"}], ["n__f", "g"], ToolMode.AUTO, ()),
        ("auto", [{"type": "web_search"}], [], ToolMode.AUTO, ()),
        ("required", [{"type": "mcp"}], [], ToolMode.AUTO, ("tool_choice_ignored",)),
    ],
)
def test_allowed_tools(
    mode: str,
    wanted: list[Any],
    expected: list[str],
    chosen: ToolMode,
    noted: tuple[str, ...],
) -> None:
    """Only the allowed tools are offered; none of them cannot be required."""
    choice = {"type": "allowed_tools", "mode": mode, "tools": wanted}

    assert (expected, ToolChoice(mode=chosen), noted) == choose(choice)


@pytest.mark.parametrize(
    ("choice", "param"),
    [
        ("any", "tool_choice"),
        ({"type": "function"}, "tool_choice.name"),
        ({"type": "custom", "name": 5}, "tool_choice.name"),
        (function("unknown"), "tool_choice.name"),
        (function("f", namespace="other"), "tool_choice.name"),
        ({"type": "allowed_tools", "mode": [], "tools": []}, "tool_choice.mode"),
        ({"type": "allowed_tools", "mode": "auto"}, "tool_choice.tools"),
        ({"type": "allowed_tools", "mode": "auto", "tools": [5]}, "tool_choice.tools"),
    ],
)
def test_a_wrong_choice_is_named(choice: Any, param: str) -> None:
    """The error says which part of the choice is wrong."""
    with pytest.raises(LingmaError) as caught:
        choose(choice)

    assert param == caught.value.param
