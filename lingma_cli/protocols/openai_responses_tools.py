"""The tools of a Responses request, and the choice among them.

Source: OpenAI API reference, "Create a model response" (`tools`, `tool_choice`). What only
OpenAI's own servers can run is left out with a note and never refused: agents offer such tools
beside their own. Namespaces are flattened, because engines know none.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any, Final

from lingma_cli.core.chat import Tool, ToolChoice, ToolMode
from lingma_cli.core.notes import Note, NoteCode
from lingma_cli.protocols import custom_tools
from lingma_cli.protocols.fields import convert, invalid
from lingma_cli.protocols.openai_responses_body import (
    CustomTool,
    FunctionTool,
    NamespaceTool,
)

_MODES: Final[Mapping[str, ToolMode]] = {
    "auto": ToolMode.AUTO,
    "none": ToolMode.NONE,
    "required": ToolMode.REQUIRED,
}
_CALLABLE: Final = ("function", "custom")

Placed = tuple[str, Mapping[str, Any]]
"""A tool as the client sent it, after the path where it stands."""


def read_tools(placed: Sequence[Placed], notes: list[Note]) -> tuple[Tool, ...]:
    """Return the tools that can be offered, each under a name of its own.

    A name that clashes across namespaces becomes `namespace__name`; the client's own name is kept
    in `client_name`.

    Raises:
        LingmaError: a function, freeform tool or namespace is malformed.
    """
    found = list(_flattened(placed, notes))
    taken = {tool.name for tool in found if tool.namespace is None}
    seen: set[tuple[str | None, str]] = set()
    tools = []
    for tool in found:
        own = (tool.namespace, tool.name)
        if own in seen:
            notes.append(_dropped(f"tool {tool.name!r} is offered twice"))
            continue
        seen.add(own)
        tools.append(_unique(tool, taken))
    return tuple(tools)


def _unique(tool: Tool, taken: set[str]) -> Tool:
    if tool.namespace is None:
        return tool
    name = tool.name if tool.name not in taken else f"{tool.namespace}__{tool.name}"
    while name in taken:
        name += "_"
    taken.add(name)
    return tool if name == tool.name else replace(tool, name=name, client_name=tool.name)


def _flattened(
    placed: Sequence[Placed], notes: list[Note], namespace: str | None = None
) -> Iterator[Tool]:
    for path, tool in placed:
        match tool.get("type", "function"):
            case "function":
                function = convert(tool, FunctionTool, path)
                yield Tool(
                    name=function.name,
                    description=function.description or "",
                    parameters=function.parameters or {},
                    strict=function.strict,
                    namespace=namespace,
                )
            case "custom":
                custom = convert(tool, CustomTool, path)
                bridged = custom_tools.bridged(custom.name, custom.description or "", custom.format)
                yield replace(bridged, namespace=namespace)
            case "namespace" if namespace is None:
                outer = convert(tool, NamespaceTool, path)
                inner = [(f"{path}.tools[{at}]", one) for at, one in enumerate(outer.tools)]
                yield from _flattened(inner, notes, outer.name)
            case kind:
                notes.append(_dropped(f"a tool of type {kind!r} cannot run here"))


def _dropped(text: str) -> Note:
    return Note(code=NoteCode.TOOL_DROPPED, text=text)


def read_choice(
    choice: str | Mapping[str, Any] | None, tools: tuple[Tool, ...], notes: list[Note]
) -> tuple[tuple[Tool, ...], ToolChoice]:
    """Return the tools that may be called, and the choice among them.

    A choice of a hosted tool cannot be followed and leaves a note.

    Raises:
        LingmaError: the choice is malformed, or names a tool that is not offered.
    """
    if choice is None:
        return tools, ToolChoice()
    if isinstance(choice, str):
        return tools, ToolChoice(mode=_mode(choice, "tool_choice"))
    kind = choice.get("type", "function")
    if kind == "allowed_tools":
        return _allowed(choice, tools, notes)
    if kind in _CALLABLE:
        name = choice.get("name")
        if not isinstance(name, str):
            raise invalid("must name a tool", param="tool_choice.name")
        if meant := [tool for tool in tools if _is_meant(tool, choice)]:
            # A bare name is a tool of no namespace first.
            chosen = min(meant, key=lambda tool: tool.namespace is not None)
            return tools, ToolChoice(mode=ToolMode.NAMED, name=chosen.name)
        raise invalid("names a tool that is not offered", param="tool_choice.name")
    notes.append(_ignored(f"a choice of type {kind!r} cannot be followed"))
    return tools, ToolChoice()


def _mode(word: Any, param: str) -> ToolMode:
    if not isinstance(word, str) or word not in _MODES:
        raise invalid(f"must be one of {', '.join(_MODES)}", param=param)
    return _MODES[word]


def _allowed(
    choice: Mapping[str, Any], tools: tuple[Tool, ...], notes: list[Note]
) -> tuple[tuple[Tool, ...], ToolChoice]:
    mode = _mode(choice.get("mode", "auto"), "tool_choice.mode")
    wanted = choice.get("tools")
    if not isinstance(wanted, list) or not all(isinstance(one, dict) for one in wanted):
        raise invalid("must be a list of objects", param="tool_choice.tools")
    allowed = tuple(tool for tool in tools if any(_is_meant(tool, one) for one in wanted))
    if not allowed and mode is ToolMode.REQUIRED:
        notes.append(_ignored("none of the allowed tools is offered"))
        mode = ToolMode.AUTO
    return allowed, ToolChoice(mode=mode)


def _is_meant(tool: Tool, wanted: Mapping[str, Any]) -> bool:
    if wanted.get("type") == "namespace":
        return tool.namespace is not None and tool.namespace == wanted.get("name")
    if wanted.get("type", "function") not in _CALLABLE:
        return False
    named = (tool.client_name or tool.name) == wanted.get("name")
    return named and wanted.get("namespace", tool.namespace) in (None, tool.namespace)


def _ignored(text: str) -> Note:
    return Note(code=NoteCode.TOOL_CHOICE_IGNORED, text=text)
