"""The offered tools: which one a written name means, and whether arguments fit its schema.

Names are never rewritten to others: a name must be an offered one, or differ from exactly one by
case or by the prefix `functions.` or `mcp_`. Arguments are only made to fit where the schema
leaves no doubt.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from lingma_cli.core.chat import Tool
from lingma_cli.transforms.json_repair import read_value, write

_PREFIXES: Final = ("functions.", "mcp_")
_NUMBER: Final = re.compile(r"-?(?:0|[1-9]\d{0,17})(?P<fraction>(?:\.\d+)?(?:[eE][+-]?\d+)?)")
_PYTHON_WORDS: Final = {"True": "true", "False": "false", "None": "null"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Fitted:
    """Arguments that fit: JSON text of an object, and the names that the schema forbids."""

    arguments: str
    dropped: tuple[str, ...] = ()


class Offer:
    """The tools of a request, to be found by the names that models write."""

    def __init__(self, tools: Iterable[Tool]) -> None:
        self._tools = {tool.name: tool for tool in tools}
        self._folded: dict[str, list[Tool]] = {}
        for tool in self._tools.values():
            self._folded.setdefault(tool.name.casefold(), []).append(tool)

    def __bool__(self) -> bool:
        return bool(self._tools)

    def find(self, name: Any) -> Tool | None:
        """Return the tool that `name` can only mean."""
        if not isinstance(name, str):
            return None
        name = name.strip()
        bare = (name.removeprefix(prefix) for prefix in _PREFIXES if name.startswith(prefix))
        for spelling in (name, *bare):
            if tool := self._tools.get(spelling):
                return tool
            alike = self._folded.get(spelling.casefold(), ())
            if len(alike) == 1:
                return alike[0]
        return None


def properties(tool: Tool) -> Mapping[str, Any]:
    """Return the properties of a tool's parameters."""
    found = tool.parameters.get("properties")
    return found if isinstance(found, Mapping) else {}


def sole_property(tool: Tool) -> str | None:
    """Return the name of a tool's only parameter."""
    names = list(properties(tool))
    return names[0] if len(names) == 1 else None


def fit(arguments: Mapping[str, Any], tool: Tool) -> Fitted | None:
    """Return `arguments` as `tool` takes them.

    Texts become the numbers, truth values, arrays or objects that the schema wants, and
    arguments that it forbids are left out.

    Returns:
        `None` when a required argument is missing or JSON cannot say one.
    """
    required = tool.parameters.get("required")
    if isinstance(required, list | tuple) and any(name not in arguments for name in required):
        return None
    known = properties(tool)
    is_closed = tool.parameters.get("additionalProperties") is False
    dropped = tuple(name for name in arguments if is_closed and name not in known)
    kept = {name: value for name, value in arguments.items() if name not in dropped}
    try:
        return Fitted(arguments=write(_coerced(kept, tool.parameters)), dropped=dropped)
    except (ValueError, RecursionError):
        return None


def _coerced(value: Any, schema: Any) -> Any:
    if not isinstance(schema, Mapping):
        return value
    if isinstance(value, str):
        return _from_text(value, _types(schema))
    if isinstance(value, dict):
        inner = schema.get("properties")
        schemas = inner if isinstance(inner, Mapping) else {}
        return {name: _coerced(item, schemas.get(name)) for name, item in value.items()}
    if isinstance(value, list | tuple):
        return [_coerced(item, schema.get("items")) for item in value]
    return value


def _types(schema: Mapping[str, Any]) -> frozenset[str]:
    """Return the types that a schema allows; none when it does not say them all."""
    match schema.get("type"):
        case str() as name:
            return frozenset({name})
        case list() as names:
            return frozenset(map(str, names))
        case _:
            pass
    branches = schema.get("anyOf") or schema.get("oneOf")
    if not isinstance(branches, list):
        return frozenset()
    each = [_types(branch) if isinstance(branch, Mapping) else frozenset() for branch in branches]
    return frozenset().union(*each) if all(each) else frozenset()


def _from_text(text: str, types: frozenset[str]) -> Any:
    """Return what `text` says if it can be no text and is of one of `types`."""
    if not types or "string" in types:
        return text
    stripped = _PYTHON_WORDS.get(text.strip(), text.strip())
    number = _NUMBER.fullmatch(stripped)
    if number and ("number" in types or ("integer" in types and not number["fraction"])):
        return float(stripped) if number["fraction"] else int(stripped)
    try:
        value = read_value(stripped)
    except ValueError:
        return text
    match value:
        case bool():
            return value if "boolean" in types else text
        case None:
            return value if "null" in types else text
        case dict():
            return value if "object" in types else text
        case list():
            return value if "array" in types else text
        case _:
            return text
