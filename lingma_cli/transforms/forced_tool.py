"""A whole answer read as a call of the one tool that was demanded.

Source: the gateway brief, "Forced tool, no event": the answer is a JSON object, fenced or not, or
a `tool_code` fence with one Python call.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Final

from lingma_cli.core.chat import Tool
from lingma_cli.transforms.json_repair import read_objects
from lingma_cli.transforms.tool_dialects import Arguments, Dialect, arguments_in, read_python
from lingma_cli.transforms.tool_fit import Offer, fit, properties
from lingma_cli.transforms.tool_openings import fence_dialect

_FENCED: Final = re.compile(
    r"(?P<ticks>`{3,})(?P<info>[^`\n]*)\n(?P<body>.*?)(?P=ticks)", re.DOTALL
)


def parse_forced(text: str, tool: Tool) -> str | None:
    """Return the arguments of a call of `tool` that `text` is, as JSON text.

    A name must be the tool's where one is given; one that the tool has as a parameter, and that
    is not the tool's, is an argument.

    Returns:
        `None` when `text` is anything else, or its arguments do not fit.
    """
    fenced = _FENCED.fullmatch(text.strip())
    if fenced is not None and fence_dialect(fenced["info"]) is Dialect.PYTHON:
        calls = read_python(fenced["body"], Offer([tool]))
        return calls[0].fitted.arguments if len(calls) == 1 else None
    body = text if fenced is None else fenced["body"]
    values = read_objects(body) if body.lstrip().startswith("{") else None
    if values is None or len(values.items) != 1:
        return None
    arguments = _arguments(values.items[0][0], tool)
    fitted = None if arguments is None else fit(arguments.values, tool)
    return None if fitted is None else fitted.arguments


def _arguments(written: Mapping[str, Any], tool: Tool) -> Arguments | None:
    rest, offer = dict(written), Offer([tool])
    inner = rest.get("function")
    if isinstance(inner, Mapping) and "name" in inner and "function" not in properties(tool):
        if offer.find(inner["name"]) is None:
            return None
        rest = dict(inner)
    for key in ("name", "tool", "function"):
        if key not in rest:
            continue
        if offer.find(rest[key]) is not None:
            del rest[key]
        elif key not in properties(tool):
            return None
    return arguments_in(rest, tool, loose=True)
