"""JSON as the answer: asked for in the prompt, found in the text, and checked at the end.

Models wrap JSON in fences and sentences, so text that does not begin with a bracket waits for the
end, where the first value in it that fits goes out alone. Text that fits nowhere stays as it is.

Source of the checks: JSON Schema, by the package `jsonschema`; references are followed inside the
schema only, so nothing is ever fetched, and patterns are not checked: one that backtracks would
stop the whole server.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Final, NoReturn

import msgspec

from lingma_cli.core.blocks import BlockBrackets
from lingma_cli.core.chat import OutputFormat
from lingma_cli.core.events import (
    BlockDelta,
    BlockKind,
    BlockOpened,
    ChatEvent,
    Failed,
    Finished,
)
from lingma_cli.core.notes import Note, NoteCode
from lingma_cli.errors import ErrorKind, LingmaError

_FENCE: Final = re.compile(r"\A```\w*\n(?P<inside>.*)\n```\Z", re.DOTALL)
_BRACKET: Final = re.compile(r"[{\[]")
# A failed try costs time in proportion to its place; text with more brackets holds no answer.
_MOST_TRIES: Final = 1000


def instruction(format_: OutputFormat) -> str:
    """Return the sentences that ask a model for the format."""
    only = "Your whole answer must be"
    rest = "Write nothing before or after it, and no code fence."
    if format_.schema is None:
        return f"{only} one JSON object. {rest}"
    schema = msgspec.json.encode(format_.schema).decode()
    return f"{only} one JSON value that fits the JSON schema below. {rest}\n\n{schema}"


def check_schema(format_: OutputFormat) -> None:
    """Make sure that answers can be checked.

    Raises:
        LingmaError: the schema is none.
    """
    if format_.schema is None:
        return
    param = format_.param
    from jsonschema.exceptions import SchemaError  # noqa: PLC0415

    schema = dict(format_.schema)
    try:
        # Patterns are JavaScript's, some of which Python cannot read: no reason to refuse.
        _draft(schema).check_schema(schema, format_checker=None)
    except SchemaError as error:
        what = f"the schema is no valid JSON schema at `{param}`: {error.message[:200]}"
        raise LingmaError(ErrorKind.INVALID_REQUEST, what, param=param) from None
    except RecursionError:
        what = f"the schema is nested too deeply at `{param}`"
        raise LingmaError(ErrorKind.INVALID_REQUEST, what, param=param) from None


def _draft(schema: Mapping[str, Any]) -> Any:
    """Return the validator class of the draft that the schema names."""
    from jsonschema import Draft202012Validator  # noqa: PLC0415
    from jsonschema.validators import validator_for  # noqa: PLC0415

    named = schema.get("$schema")
    try:
        known = {"$schema": named} if isinstance(named, str) else {}
        return validator_for(known, default=Draft202012Validator)
    except ValueError:
        return Draft202012Validator


def _without_patterns(schema: Mapping[str, Any]) -> Any:
    """Return the validator class for answers, which never runs a client's regular expression."""
    from jsonschema.validators import extend  # noqa: PLC0415

    unchecked = ["pattern"]
    if b'"patternProperties"' in msgspec.json.encode(schema):
        # The last two would look at its patterns, too.
        unchecked += ["patternProperties", "additionalProperties", "unevaluatedProperties"]
    validator = _draft(schema)
    return extend(validator, dict.fromkeys(unchecked, _accept))  # type: ignore[no-untyped-call]


def _accept(*_: object) -> None:
    """Find no fault, in the form of a keyword's check."""


def _fits(value: Any, format_: OutputFormat) -> bool:
    if format_.schema is None:
        return isinstance(value, dict)
    from referencing import Registry  # noqa: PLC0415
    from referencing.exceptions import Unresolvable  # noqa: PLC0415

    schema = dict(format_.schema)
    try:
        return bool(_without_patterns(schema)(schema, registry=Registry()).is_valid(value))
    except (Unresolvable, RecursionError, ArithmeticError, ValueError):
        # A schema that cannot be followed vouches for nothing.
        return False


def _first_fit(values: Iterable[tuple[str, Any]], format_: OutputFormat) -> str | None:
    return next((text for text, value in values if _fits(value, format_)), None)


def _whole(text: str) -> Iterator[tuple[str, Any]]:
    """Yield the JSON value that the whole text is, with its text."""
    try:
        value = json.loads(text, parse_constant=_refuse)
    except (ValueError, RecursionError):
        return
    yield text.strip(), value


def _anywhere(text: str) -> Iterator[tuple[str, Any]]:
    """Yield JSON values: the whole text, a fence that is all of it, what brackets enclose."""
    yield from _whole(text)
    if fence := _FENCE.match(text.strip()):
        yield from _whole(fence["inside"])
    decoder = json.JSONDecoder(parse_constant=_refuse)
    at = 0
    for _ in range(_MOST_TRIES):
        if (bracket := _BRACKET.search(text, at)) is None:
            return
        start = bracket.start()
        try:
            value, at = decoder.raw_decode(text, start)
        except json.JSONDecodeError as error:
            at = max(error.pos, start + 1)
        except (ValueError, RecursionError):
            return
        else:
            yield text[start:at], value


def _refuse(constant: str) -> NoReturn:
    raise ValueError(constant)


class JsonAnswer:
    """Brings an answer's text into its format, as far as that is possible.

    An answer that calls tools is left alone from the first call on.

    Args:
        format_: what the client asks for.

    Attributes:
        notes: that the format was asked for in words, and whether the answer does not fit.
    """

    def __init__(self, format_: OutputFormat) -> None:
        self.notes = [Note.of(NoteCode.RESPONSE_FORMAT_EMULATED)]
        self._format = format_
        self._brackets = BlockBrackets()
        self._pieces: list[str] = []
        self._is_held = True
        self._has_begun = False
        self._has_calls = False

    def feed(self, events: Iterable[ChatEvent]) -> list[ChatEvent]:
        """Return what of `events` may go out by now; all of it after the end."""
        return self._brackets.feed(self._loose(events))

    def _loose(self, events: Iterable[ChatEvent]) -> Iterator[ChatEvent]:
        for event in events:
            match event:
                case BlockDelta(kind=BlockKind.TEXT, text=text):
                    yield from self._text(text)
                    continue
                case BlockOpened(kind=BlockKind.TEXT):
                    # Inferred again where text goes out.
                    continue
                case BlockOpened(kind=BlockKind.TOOL_CALL) if not self._has_calls:
                    self._has_calls = True
                    yield from self._release()
                case Failed():
                    yield from self._release()
                case Finished() if not self._has_calls:
                    yield from self._finish()
                case _:
                    pass
            yield event

    def _text(self, text: str) -> Iterator[ChatEvent]:
        self._pieces.append(text)
        if not self._is_held or self._has_calls:
            yield BlockDelta(kind=BlockKind.TEXT, text=text)
        elif not self._has_begun and (visible := text.lstrip()):
            self._has_begun = True
            if visible[0] in "{[":
                yield from self._release()

    def _release(self) -> Iterator[ChatEvent]:
        if self._is_held:
            self._is_held = False
            yield BlockDelta(kind=BlockKind.TEXT, text="".join(self._pieces))

    def _finish(self) -> Iterator[ChatEvent]:
        text = "".join(self._pieces)
        values = _anywhere(text) if self._is_held else _whole(text)
        fitting = _first_fit(values, self._format)
        if self._is_held:
            yield BlockDelta(kind=BlockKind.TEXT, text=text if fitting is None else fitting)
        if fitting is None:
            self.notes.append(Note.of(NoteCode.RESPONSE_FORMAT_UNMET))
