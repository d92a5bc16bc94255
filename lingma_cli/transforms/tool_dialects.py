"""Calls in the forms that models write them: JSON, Python calls, tags. Whole blocks, no streaming.

Source: Lingma protocol document, section 8.1, and the forms that models were trained on: OpenAI's
`{"type": "function", "function": {…}}`, Gemini's `tool_code`, Qwen's `<tool_call>` and
`<function=…>`, Anthropic's `<function_calls>`. Python is parsed with `ast` and never evaluated.
"""

from __future__ import annotations

import ast
import json
import re
import textwrap
import warnings
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import Enum
from typing import Any, Final

from lingma_cli.core.chat import Tool
from lingma_cli.transforms.json_repair import read_objects
from lingma_cli.transforms.tool_fit import Fitted, Offer, fit, properties, sole_property


class Dialect(Enum):
    """The forms of a block."""

    ACTION = "json action"
    JSON = "json"
    PYTHON = "tool_code"
    TOOL_CALL = "<tool_call>"
    FUNCTION = "<function=…>"
    INVOKES = "<function_calls>"


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """A call of an offered tool, with arguments that fit it."""

    tool: Tool
    fitted: Fitted
    repaired: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Arguments:
    """Arguments as they were written; `repaired` if their JSON text was mended."""

    values: Mapping[str, Any]
    repaired: bool = False


Piece = Call | str

_NAME_KEYS: Final = ("tool", "name", "tool_name", "function")
_ARGUMENT_KEYS: Final = ("parameters", "arguments", "input")
_FIRST_KEYS: Final = frozenset((*_NAME_KEYS, *_ARGUMENT_KEYS, "type", "id", "tool_calls"))
_FIRST_KEY: Final = re.compile(r"""\s*\[?\s*(?:\{\s*(?:["“”]|\Z)|\Z)""")
_FIRST_PAIR: Final = re.compile(
    r"""\s*\[?\s*\{\s*["“”](?P<key>[^"“”\\]*)["“”]\s*:\s*(?:["“](?P<value>[^"“”\\]*)["”])?"""
)
_FIRST_CALL: Final = re.compile(r"\s*(?P<name>[\w.]+)[ \t]*(?P<next>[^\w.\s])")
_FIRST_INVOKE: Final = re.compile(r"""\s*<invoke\s+name=["'](?P<name>[^"'<>]*)["']""")
_FUNCTION: Final = re.compile(r"""\s*<function=["']?(?P<name>[^"'<>\n]*)["']?\s*>""")
_INVOKE: Final = re.compile(r"""\s*<invoke\s+name=["'](?P<name>[^"'<>]*)["'][^<>]*>""")
_PARAMETER: Final = re.compile(
    r"""\s*<parameter(?:=["']?(?P<short>[^"'<>\n]*)["']?"""
    r"""|\s+name=["'](?P<name>[^"'<>\n]*)["'][^<>]*)>"""
)
_PYTHON_PREFIX: Final = "default_api."
_MAX_PYTHON: Final = 1 << 20
_JSON_WORDS: Final[Mapping[str, Any]] = {"true": True, "false": False, "null": None}


def plausible(dialect: Dialect, head: str, offer: Offer) -> bool:
    """Tell whether a block that begins with `head` may still hold calls; a no is final."""
    start = head.lstrip()
    if not start:
        return True
    match dialect:
        case Dialect.ACTION:
            return start[0] in "{["
        case Dialect.JSON:
            return start[0] in "{[" and _first_pair_fits(head, offer)
        case Dialect.PYTHON:
            first = _FIRST_CALL.match(head)
            if first is None or first["next"] == "=":
                return True
            name = first["name"]
            return first["next"] == "(" and (
                name == "print" or _python_tool(name, offer) is not None
            )
        case Dialect.TOOL_CALL:
            return start[0] in "{[" or _begins(start, "<function=")
        case Dialect.FUNCTION:
            return any(_begins(start, word) for word in ("{", "<parameter", "</function>"))
        case Dialect.INVOKES:
            invoke = _FIRST_INVOKE.match(head)
            return _begins(start, "<invoke") and (invoke is None or _offers(invoke["name"], offer))


def _begins(start: str, word: str) -> bool:
    return start.startswith(word) or word.startswith(start)


def _offers(name: str, offer: Offer) -> bool:
    return offer.find(name) is not None


def _first_pair_fits(head: str, offer: Offer) -> bool:
    pair = _FIRST_PAIR.match(head)
    if pair is None:
        return _FIRST_KEY.match(head) is not None
    if pair["key"] not in _FIRST_KEYS:
        return False
    names_tool = pair["key"] in _NAME_KEYS and pair["value"] is not None
    return not names_tool or _offers(pair["value"], offer)


def read_block(dialect: Dialect, body: str, offer: Offer, *, closed: bool) -> list[Piece] | None:
    """Return the calls in a block, and the source of what beside them is no call.

    Args:
        dialect: how the block was opened.
        body: what stands inside; for `FUNCTION` its own tags too.
        offer: the tools that may be called.
        closed: whether the block was closed, and not just cut by the end of the answer.

    Returns:
        `None` when the block holds no call at all.
    """
    match dialect:
        case Dialect.PYTHON:
            calls = read_python(body, offer)
            return list(calls) if calls else None
        case Dialect.FUNCTION | Dialect.INVOKES:
            pieces = read_tags(body, offer)
        case Dialect.TOOL_CALL if body.lstrip().startswith("<"):
            pieces = read_tags(body, offer)
        case _:
            pieces = _read_json(body, offer, loose=dialect is not Dialect.JSON, closed=closed)
    return pieces if any(isinstance(piece, Call) for piece in pieces) else None


def _read_json(body: str, offer: Offer, *, loose: bool, closed: bool) -> list[Piece]:
    values = read_objects(body, closed=closed)
    if values is None:
        return []
    pieces: list[Piece] = []
    for item, source in values.items:
        wrapped = item.get("tool_calls")
        inner = wrapped if isinstance(wrapped, list) else [item]
        found = [_json_call(each, offer, loose=loose, repaired=values.repaired) for each in inner]
        calls = [call for call in found if call is not None]
        pieces += calls if len(calls) == len(found) else [source]
    return pieces


def _json_call(item: Any, offer: Offer, *, loose: bool, repaired: bool) -> Call | None:
    if not isinstance(item, dict):
        return None
    key = next((key for key in _NAME_KEYS if key in item), None)
    if key is None:
        return None
    inner = item[key]
    if isinstance(inner, dict):
        # A wrapped function says name and arguments itself.
        return _json_call(inner, offer, loose=loose, repaired=repaired) if "name" in inner else None
    # `{"type": "function", "name": …}` is OpenAI's other form.
    rest = {name: value for name, value in item.items() if name != key}
    tool = offer.find(inner)
    arguments = None if tool is None else arguments_in(rest, tool, loose=loose)
    fitted = None if tool is None or arguments is None else fit(arguments.values, tool)
    if tool is None or arguments is None or fitted is None:
        return None
    return Call(tool=tool, fitted=fitted, repaired=repaired or arguments.repaired)


def arguments_in(rest: Mapping[str, Any], tool: Tool, *, loose: bool) -> Arguments | None:
    """Return the arguments that stand beside a call's name: as an object, or as JSON text.

    Args:
        rest: the call without its name.
        tool: what is called.
        loose: whether arguments may stand there without a key around them.
    """
    key = next((key for key in _ARGUMENT_KEYS if key in rest), None)
    if key is None:
        return Arguments(values=rest) if loose else None
    arguments = _unpacked(rest[key], tool)
    if loose and key in properties(tool):
        # `key` may be one of the tool's own parameters, and not what holds them all.
        others = (name for name in rest if name != key)
        if arguments is None or any(name in properties(tool) for name in others):
            return Arguments(values=rest)
    only = sole_property(tool)
    if arguments is None and only is not None:
        return Arguments(values={only: rest[key]})
    return arguments


def _unpacked(value: Any, tool: Tool) -> Arguments | None:
    if value is None or value == "":
        return Arguments(values={})
    if isinstance(value, dict):
        return Arguments(values=value)
    if not isinstance(value, str) or not value.lstrip().startswith("{"):
        return None
    read = read_objects(value)
    if read is None or len(read.items) != 1:
        return None
    inner = read.items[0][0]
    if tool.custom and set(inner) != set(properties(tool)):
        # The raw text of a freeform tool may itself be JSON.
        return None
    return Arguments(values=inner, repaired=read.repaired)


def read_python(body: str, offer: Offer) -> list[Call]:
    """Return the calls of a Python block; none if it holds anything else."""
    if len(body) > _MAX_PYTHON:
        return []
    try:
        with warnings.catch_warnings():
            # Doubtful escapes in a model's strings are no concern of our own log.
            warnings.simplefilter("ignore")
            statements = ast.parse(textwrap.dedent(body).strip()).body
        calls = [_python_call(statement, offer) for statement in statements]
    except (SyntaxError, ValueError, TypeError, MemoryError, RecursionError):
        return []
    return [call for call in calls if call is not None] if None not in calls else []


def _python_call(statement: ast.stmt, offer: Offer) -> Call | None:
    value = statement.value if isinstance(statement, ast.Expr | ast.Assign) else None
    if isinstance(value, ast.Call) and _dotted(value.func) == "print" and len(value.args) == 1:
        value = value.args[0] if not value.keywords else None
    if not isinstance(value, ast.Call):
        return None
    tool = _python_tool(_dotted(value.func), offer)
    if tool is None:
        return None
    arguments: dict[str, Any] = {}
    if value.args:
        only = sole_property(tool)
        if len(value.args) > 1 or value.keywords or only is None:
            return None
        arguments[only] = _literal(value.args[0])
    for keyword in value.keywords:
        if keyword.arg is None or keyword.arg in arguments:
            return None
        arguments[keyword.arg] = _literal(keyword.value)
    fitted = fit(arguments, tool)
    return None if fitted is None else Call(tool=tool, fitted=fitted)


def _python_tool(name: str, offer: Offer) -> Tool | None:
    return offer.find(name) or offer.find(name.removeprefix(_PYTHON_PREFIX))


def _dotted(node: ast.expr) -> str:
    parts: list[str] = []
    while isinstance(node, ast.Attribute):
        parts.append(node.attr)
        node = node.value
    return ".".join([node.id, *reversed(parts)]) if isinstance(node, ast.Name) else ""


def _literal(node: ast.expr) -> Any:
    if isinstance(node, ast.Name) and node.id in _JSON_WORDS:
        return _JSON_WORDS[node.id]
    return ast.literal_eval(node)


def read_tags(body: str, offer: Offer) -> list[Piece]:
    """Return the calls written as `<function=…>` or `<invoke …>`, and the source of the others."""
    pieces: list[Piece] = []
    at, end = 0, len(body.rstrip())
    while at < end:
        function, invoke = _FUNCTION.match(body, at), _INVOKE.match(body, at)
        opening = function or invoke
        if opening is None:
            return []
        closing = "</function>" if function else "</invoke>"
        read = _read_parameters(body, opening.end(), closing, end)
        if read is None:
            return []
        arguments, after = read
        call = _tag_call(opening["name"], arguments, offer)
        pieces.append(call if call is not None else body[at:after].strip())
        at = after
    return pieces


def _tag_call(name: str, arguments: str | dict[str, Any], offer: Offer) -> Call | None:
    if isinstance(arguments, str):
        written = f'{{"tool": {json.dumps(name)}, "parameters": {arguments}}}'
        pieces = _read_json(written, offer, loose=False, closed=False)
        return pieces[0] if len(pieces) == 1 and isinstance(pieces[0], Call) else None
    tool = offer.find(name)
    fitted = None if tool is None else fit(arguments, tool)
    return None if tool is None or fitted is None else Call(tool=tool, fitted=fitted)


def _read_parameters(
    body: str, at: int, closing: str, end: int
) -> tuple[str | dict[str, Any], int] | None:
    """Return a call's arguments, as JSON text if they are written so, and where the call ends."""
    arguments: dict[str, Any] = {}
    for name, value, after in _parameters(body, at):
        arguments[name] = value
        at = after
    # An answer may end without the last closing tag.
    stop = body.find(closing, at)
    rest, after = (body[at:end], end) if stop < 0 else (body[at:stop], stop + len(closing))
    if not rest.strip():
        return (arguments, after) if arguments or stop >= 0 else None
    is_json = not arguments and rest.lstrip().startswith("{")
    return (rest, after) if is_json else None


def _parameters(body: str, at: int) -> Iterator[tuple[str, str, int]]:
    closing = "</parameter>"
    while found := _PARAMETER.match(body, at):
        end = body.find(closing, found.end())
        if end < 0:
            return
        value = body[found.end() : end].removeprefix("\n").removesuffix("\n")
        at = end + len(closing)
        yield (found["short"] or found["name"] or "").strip(), value, at
