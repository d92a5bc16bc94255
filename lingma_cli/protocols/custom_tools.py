"""OpenAI's freeform (`custom`) tools, bridged to functions and back.

A freeform tool takes raw text instead of JSON. Engines know functions only, so it is offered with
one string parameter, and a call of it is turned back into raw text on the way out.

Source: OpenAI API reference, `custom` tools (fields `name`, `description`, `format`).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import msgspec

from lingma_cli.core.chat import Tool

_INPUT: Final = "input"
_PARAMETERS: Final[Mapping[str, Any]] = {
    "type": "object",
    "properties": {_INPUT: {"type": "string", "description": "the whole input, as raw text"}},
    "required": [_INPUT],
    "additionalProperties": False,
}


def bridged(name: str, description: str, format_: Mapping[str, Any] | None) -> Tool:
    """Return the function that stands for a freeform tool; a grammar goes into its description."""
    definition = format_.get("definition") if format_ else None
    if isinstance(definition, str) and format_:
        syntax = format_.get("syntax", "grammar")
        description = f"{description}\n\nThe input must follow this {syntax} grammar:\n{definition}"
    return Tool(name=name, description=description.strip(), parameters=_PARAMETERS, custom=True)


def to_arguments(text: str) -> str:
    """Return raw text as the bridged function's arguments, JSON text."""
    return msgspec.json.encode({_INPUT: text}).decode()


def to_text(arguments: str) -> str:
    """Return the raw text in a bridged function's arguments.

    Arguments of another form come back as they are: a model may have written the text itself.
    """
    try:
        value = msgspec.json.decode(arguments)
    except (msgspec.DecodeError, RecursionError):
        return arguments
    if isinstance(value, dict) and isinstance(value.get(_INPUT), str):
        text: str = value[_INPUT]
        return text
    return value if isinstance(value, str) else arguments
