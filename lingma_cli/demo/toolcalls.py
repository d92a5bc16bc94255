"""Tool calls as the simulator's model makes them, read from a directive. Pure.

A step is what the model asks for at once; steps follow each other, each after the last one's
results.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from lingma_cli.demo.language import LanguageError


@dataclass(frozen=True, slots=True, kw_only=True)
class ToolCall:
    """One call; `id` is empty unless the directive gives one."""

    name: str
    arguments: Mapping[str, Any]
    id: str = ""


Step = tuple[ToolCall, ...]


def read(text: str) -> tuple[Step, ...]:
    """Read a list of steps; a lone object, or one among the steps, is a step of its own.

    Raises:
        LanguageError: for text that is no JSON, and objects that are no calls.
    """
    try:
        value = json.loads(text, strict=False)
    except ValueError as error:
        raise LanguageError(f"`calls` is no JSON: {error}") from None
    items = value if isinstance(value, list) else [value]
    steps = (item if isinstance(item, list) else [item] for item in items)
    return tuple(tuple(map(_call, step)) for step in steps if step)


def _call(item: object) -> ToolCall:
    if not isinstance(item, dict) or not isinstance(item.get("name"), str):
        raise LanguageError(f"`calls` needs objects with a name, not: {json.dumps(item)[:60]}")
    arguments = item.get("arguments", {})
    if not isinstance(arguments, dict):
        raise LanguageError(f"`calls` needs arguments that are an object: {item['name']}")
    return ToolCall(name=item["name"], arguments=arguments, id=str(item.get("id", "")))
