"""The one small language of the demo: `key=value key="quoted text" key='raw text' flag`.

Prompt directives and environment switches are both written in it. Owns tokens, kinds of values and
their error sentences; knows no key by name.
"""

import json
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Literal

Kind = Literal["flag", "count", "seconds", "text", "choice", "choices"]
Value = bool | int | float | str | tuple[str, ...]

# Double quotes hold JSON escapes. Single quotes hold raw text, so that JSON can stand there as it
# is; only `\'` is an escape.
QUOTED = r'"(?:\\.|[^"\\])*"'
RAW = r"'(?:\\.|[^'\\])*'"
_TOKEN = re.compile(rf'\s*([A-Za-z_]+)(?:=({QUOTED}|{RAW}|[^\s"]*))?(?=\s|$)', re.DOTALL)
_RAW_VALUE = re.compile(RAW, re.DOTALL)
_ESCAPED = re.compile(r"\\(.)", re.DOTALL)
_SUFFIXES = {"k": 1_000, "m": 1_000_000}


class LanguageError(ValueError):
    """A directive or switch that cannot be read; the message is a sentence for its author."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Key:
    """One key: its name, the kind of its value, what it means, and what it may say.

    `choices` are the permitted words of a choice, or words a count accepts beside numbers; `bare`
    is the value of the key written without `=`.
    """

    name: str
    kind: Kind
    meaning: str
    choices: tuple[str, ...] = ()
    bare: Value | None = None


def read(text: str, keys: Iterable[Key]) -> dict[str, Value]:
    """Read pairs into values by key name; a later pair replaces an earlier one.

    Raises:
        LanguageError: for an unknown key, a bad value or text that is no pair at all.
    """
    known: Mapping[str, Key] = {key.name: key for key in keys}
    values: dict[str, Value] = {}
    for name, raw in _pairs(text):
        if name not in known:
            raise LanguageError(f"unknown key `{name}`, known are: {' '.join(sorted(known))}")
        values[name] = _value(known[name], raw)
    return values


def _pairs(text: str) -> Iterator[tuple[str, str | None]]:
    text = text.strip()
    position = 0
    while position < len(text):
        match = _TOKEN.match(text, position)
        if match is None:
            raise LanguageError(f"cannot read at: {text[position : position + 40].strip()}")
        yield match.group(1), _unquoted(match.group(2))
        position = match.end()


def _unquoted(raw: str | None) -> str | None:
    if raw is None:
        return None
    if _RAW_VALUE.fullmatch(raw):
        return _ESCAPED.sub(lambda match: "'" if match[1] == "'" else match[0], raw[1:-1])
    if not raw.startswith('"'):
        return raw
    try:
        return str(json.loads(raw, strict=False))
    except ValueError:
        raise LanguageError(f"bad escape in: {raw[:40]}") from None


def _value(key: Key, raw: str | None) -> Value:
    if raw is None:
        if key.kind == "flag":
            return True
        if key.bare is None:
            raise LanguageError(f"`{key.name}` needs a value")
        return key.bare
    match key.kind:
        case "text":
            return raw
        case "choice":
            return _choice(key, raw)
        case "choices":
            return tuple(_choice(key, word) for word in raw.split(","))
        case "count":
            return raw if raw in key.choices else _count(key, raw)
        case "seconds":
            return _seconds(key, raw)
        case "flag":
            raise LanguageError(f"`{key.name}` takes no value")


def _choice(key: Key, raw: str) -> str:
    if raw not in key.choices:
        raise LanguageError(f"`{key.name}` must be one of {', '.join(key.choices)}, not: {raw}")
    return raw


def _count(key: Key, raw: str) -> int:
    factor = _SUFFIXES.get(raw[-1:].lower(), 1)
    digits = raw if factor == 1 else raw[:-1]
    if not (digits.isascii() and digits.isdigit() and len(digits) <= 12):
        words = " or ".join(("a whole number", *key.choices))
        raise LanguageError(f"`{key.name}` must be {words}, not: {raw}")
    return int(digits) * factor


def _seconds(key: Key, raw: str) -> float:
    try:
        seconds = float(raw)
    except ValueError:
        seconds = -1.0
    if not 0 <= seconds <= 86_400:
        raise LanguageError(f"`{key.name}` must be seconds between 0 and 86400, not: {raw}")
    return seconds
