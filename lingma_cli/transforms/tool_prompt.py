"""Tools in the prompt, for engines that take no tools: what they are, and how to call them.

Source: Lingma protocol document, section 8.1 (the form `json action`, results as "Tool result for
id …"). Earlier calls are written in the form that is asked for, so that the model keeps to it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, Final

from lingma_cli.core.chat import Tool, ToolChoice, ToolMode
from lingma_cli.transforms.json_repair import read_value, write

_MOST_CHARACTERS: Final = 60_000
# A schema that goes deeper says no more to a model.
_DEEPEST: Final = 64
_FENCE: Final = "```json action\n{body}\n```"
_OFFER: Final = (
    "You can use the tools listed below. They are run for you, outside this conversation, and "
    "their results are in the next message. Other tools do not exist here."
)
_FIRM: Final = (
    "Your last answer held no call that could be read. You do have these tools and they work. "
    "Answer now with the fenced block and nothing else: no excuse, no announcement, no prose."
)
_EXAMPLE: Final = '{"tool": "NAME", "parameters": {"KEY": "VALUE"}}'
# Of a schema, what tells a model nothing, or what it would have to say of itself.
_USELESS: Final = frozenset({"$schema", "$id", "title", "examples"})
_OF_SCHEMAS: Final = frozenset({"properties", "$defs", "definitions", "patternProperties"})


@dataclass(frozen=True, slots=True)
class _Limits:
    """The longest descriptions, in characters, of a tool and of each parameter."""

    tool: int
    parameter: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Section:
    """A section of a prompt; `shortened` when something in it was cut."""

    text: str
    shortened: bool


_LIMITS: Final = (_Limits(8000, 2000), _Limits(2000, 400), _Limits(600, 150), _Limits(200, 0))


def describe(
    tools: Sequence[Tool], choice: ToolChoice, *, parallel: bool, firm: bool = False
) -> Section:
    """Return the section of a prompt that offers `tools`.

    Descriptions are cut, longest first, until the list of tools is not much longer than 60,000
    characters; names always stay whole, schemas down to a depth of 64.

    Args:
        tools: what is offered; only the demanded one is listed when there is one.
        choice: what the client demands.
        parallel: whether one answer may hold more than one call.
        firm: for a second try, after an answer without a call.
    """
    named = [tool for tool in tools if choice.mode is ToolMode.NAMED and tool.name == choice.name]
    listed, shortened = _listed(named or tools)
    rules = "\n".join(f"- {rule}" for rule in (*_rules(parallel=parallel), results_hint()))
    sections = [
        "# Tools",
        _OFFER,
        listed,
        "# How to call a tool",
        "Write the call as a fenced block in exactly this form, on lines of its own:",
        _FENCE.format(body=_EXAMPLE),
        rules,
    ]
    if demand := _demand(choice):
        sections.append(demand)
    if firm:
        sections.append(_FIRM)
    return Section(text="\n\n".join(sections), shortened=shortened)


def results_hint() -> str:
    """Return the sentence that tells a model what results look like and how to treat them."""
    return (
        'What comes back begins with "Tool result for id". Go on from it: do not make a call '
        "again whose result you have, and never write such a result yourself."
    )


def written_call(name: str, arguments: str) -> str:
    """Return an earlier call in the form that `describe` asks for; `arguments` is JSON text."""
    try:
        parameters = write(read_value(arguments or "{}"))
    except ValueError:
        parameters = write(arguments)
    return _FENCE.format(body=f'{{"tool": {write(name)}, "parameters": {parameters}}}')


def written_result(call_id: str, name: str, text: str, is_error: bool) -> str:  # noqa: FBT001
    """Return what a tool answered, for a transcript."""
    of = f" ({name})" if name else ""
    failed = " (the call failed)" if is_error else ""
    return f"Tool result for id {call_id}{of}{failed}:\n{text or '(no output)'}"


def _rules(*, parallel: bool) -> Sequence[str]:
    number = (
        "One call per block. For several independent calls write several blocks in one answer."
        if parallel
        else "Write one call only, then wait for its result."
    )
    return (
        "`tool` is a name from the list, letter by letter.",
        "`parameters` is an object that fits the tool's schema, `{}` if there is nothing to say.",
        "The block is valid JSON: double quotes, line breaks in strings as `\\n`, no comments.",
        number,
        "A few words before the block are fine. After the last block stop: do not guess results.",
        "A block in this form is always run. To show an example of it, put it in quotation (`> `).",
        "When no tool is needed, just answer. Do not say that you will use a tool: use it.",
    )


def _demand(choice: ToolChoice) -> str:
    match choice.mode:
        case ToolMode.REQUIRED:
            return "In this answer you must call at least one tool."
        case ToolMode.NAMED:
            return f"In this answer you must call the tool `{choice.name}`."
        case ToolMode.AUTO | ToolMode.NONE:
            return ""


def _listed(tools: Sequence[Tool]) -> tuple[str, bool]:
    """Return the list of tools, and whether descriptions in it were cut."""
    text, scissors = "", _Scissors()
    for limits in _LIMITS:
        scissors = _Scissors()
        text = "\n\n".join(_tool(tool, limits, scissors) for tool in tools)
        if len(text) <= _MOST_CHARACTERS:
            break
    return text, scissors.used


class _Scissors:
    """Cuts texts, and knows whether one was too long."""

    def __init__(self) -> None:
        self.used = False

    def cut(self, text: str, most: int) -> str:
        if len(text) <= most:
            return text
        self.used = True
        return f"{text[:most].rstrip()}…" if most else ""


def _tool(tool: Tool, limits: _Limits, scissors: _Scissors) -> str:
    lines = [f"## {tool.name}"]
    if description := scissors.cut(tool.description.strip(), limits.tool):
        lines.append(description)
    lines.append(f"Parameters: {write(_compact(tool.parameters, limits.parameter, scissors))}")
    return "\n".join(lines)


def _compact(schema: Any, most: int, scissors: _Scissors, depth: int = _DEEPEST) -> Any:
    """Return a schema without what a model has no use for."""
    if not isinstance(schema, list | tuple | Mapping):
        return schema
    if not depth:
        scissors.used = True
        return {}
    compacted = partial(_compact, most=most, scissors=scissors, depth=depth - 1)
    if not isinstance(schema, Mapping):
        return [compacted(item) for item in schema]
    compact: dict[str, Any] = {}
    for key, value in schema.items():
        if key in _USELESS:
            continue
        if key in _OF_SCHEMAS and isinstance(value, Mapping):
            compact[key] = {name: compacted(inner) for name, inner in value.items()}
        elif key == "description" and isinstance(value, str):
            if description := scissors.cut(value, most):
                compact[key] = description
        elif key in ("enum", "const", "default", "required"):
            compact[key] = value
        else:
            compact[key] = compacted(value)
    return compact
