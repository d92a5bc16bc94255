"""JSON as language models write it: read strictly first, then mended in one pass.

Mended are, outside strings, quotes of typographers as delimiters, trailing commas, comments,
Python's `True`, `False` and `None`, and, where a block was closed on purpose, up to three missing
closing brackets or a surplus of them. Inside strings: raw line breaks and control characters, and
backslashes that escape nothing (regular expressions, Windows paths). Anything else is not JSON.

Source: RFC 8259; the faults are those that section 8.1 of the protocol document lists and models
are known for. Linear in the length of the text.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final, NoReturn

_MOST_MISSING: Final = 3
_SPACE: Final = " \t\r\n"
# Each kind of string runs to the end of the text if nothing closes it: no start is tried twice.
_TOKEN: Final = re.compile(
    r"""(?P<string>"[^"\\]*(?:\\.[^"\\]*)*(?:"|\\?\Z))"""
    r"""|(?P<smart>[“”].*?(?:[“”](?=\s{0,8}(?:[,:}\]]|\Z))|\Z))"""
    r"""|(?P<comment>//[^\n]*|/\*.*?(?:\*/|\Z))"""
    r"""|(?P<word>\b(?:True|False|None)\b)"""
    r"""|(?P<bracket>[{}\[\]])|(?P<comma>,)|(?P<space>\s+)|(?P<other>[^\s"“”/{}\[\],]+|/)""",
    re.DOTALL,
)
_WORDS: Final = {"True": "true", "False": "false", "None": "null"}
_PAIRS: Final = {"{": "}", "[": "]"}
_BAD_ESCAPE: Final = re.compile(r"\\(?:[\"\\/bfnrt]|u[0-9a-fA-F]{4}|(?P<bad>.|\Z))", re.DOTALL)


@dataclass(frozen=True, slots=True, kw_only=True)
class Values:
    """What a text holds: objects with their source text, in order; `repaired` if it was mended."""

    items: tuple[tuple[dict[str, Any], str], ...]
    repaired: bool


def read_objects(text: str, *, closed: bool = True) -> Values | None:
    """Return the objects in `text`: one, several after each other, or an array of them.

    Args:
        text: JSON and nothing beside it.
        closed: whether the text is known to be complete, so that brackets may be added.

    Returns:
        `None` when the text is nothing of that kind, even mended.
    """
    found = _objects(text, strict=True)
    if found is not None:
        return Values(items=found, repaired=False)
    mended = _mend(text, closed=closed)
    found = None if mended is None else _objects(mended, strict=False)
    return None if found is None else Values(items=found, repaired=True)


def read_value(text: str) -> Any:
    """Return the JSON value that `text` strictly is.

    Raises:
        ValueError: it is none, or nested too deeply.
    """
    try:
        return json.loads(text, parse_constant=_refuse)
    except RecursionError:
        raise ValueError("nested too deeply") from None


def write(value: Any) -> str:
    """Return `value` as JSON text that UTF-8 can carry.

    Raises:
        ValueError: it has no form in JSON.
    """
    try:
        text = json.dumps(value, ensure_ascii=False, allow_nan=False)
        text.encode()
    except UnicodeEncodeError:
        return json.dumps(value, allow_nan=False)
    except (TypeError, RecursionError) as error:
        raise ValueError(str(error)) from None
    return text


def _objects(text: str, *, strict: bool) -> tuple[tuple[dict[str, Any], str], ...] | None:
    decoder = json.JSONDecoder(parse_constant=_refuse, strict=strict)
    try:
        items = tuple(_walk(text.strip(_SPACE), decoder))
    except (ValueError, RecursionError):
        return None
    return items or None


def _walk(text: str, decoder: json.JSONDecoder) -> Iterator[tuple[dict[str, Any], str]]:
    """Yield the objects of `text`; an array is read as its items."""
    at, end = 0, len(text)
    if text.startswith("["):
        if not text.endswith("]"):
            raise ValueError("an array that does not end")
        at, end = 1, end - 1
    while (at := _skip(text, at, end)) < end:
        value, after = decoder.raw_decode(text, at)
        if not isinstance(value, dict) or after > end:
            raise ValueError("no object")
        yield value, text[at:after]
        at = after


def _skip(text: str, at: int, end: int) -> int:
    """Return where the next object begins, behind white space and commas."""
    while at < end and text[at] in " \t\r\n,":
        at += 1
    return at


def _refuse(constant: str) -> NoReturn:
    raise ValueError(f"{constant} is no JSON")


def _mend(text: str, *, closed: bool) -> str | None:
    out: list[str] = []
    missing: list[str] = []
    for token in _TOKEN.finditer(text):
        piece = token[0]
        match token.lastgroup:
            case "string":
                piece = _BAD_ESCAPE.sub(_escape, piece)
            case "smart":
                piece = _plain_quotes(piece)
            case "comment":
                continue
            case "word":
                piece = _WORDS[piece]
            case "bracket":
                if not _balance(piece, missing, out, closed=closed):
                    continue
            case _:
                pass
        out.append(piece)
    if missing and (not closed or len(missing) > _MOST_MISSING):
        return None
    if missing:
        _drop_comma(out)
    return "".join(out) + "".join(reversed(missing))


def _balance(piece: str, missing: list[str], out: list[str], *, closed: bool) -> bool:
    """Note a bracket; tell whether it belongs into the text."""
    if piece in _PAIRS:
        missing.append(_PAIRS[piece])
        return True
    _drop_comma(out)
    if missing and missing[-1] == piece:
        missing.pop()
        return True
    return bool(missing) or not closed


def _drop_comma(out: list[str]) -> None:
    while out and not out[-1].strip():
        out.pop()
    if out and out[-1] == ",":
        out.pop()


def _plain_quotes(piece: str) -> str:
    if len(piece) < 2 or piece[-1] not in "“”":
        return piece
    inside = re.sub(r'(?<!\\)"', r'\\"', piece[1:-1])
    return '"' + _BAD_ESCAPE.sub(_escape, inside) + '"'


def _escape(found: re.Match[str]) -> str:
    bad = found["bad"]
    if bad is None:
        return found[0]
    return "'" if bad == "'" else rf"\\{bad}"
