"""What the binary pushes during a chat, typed, and what its requests must be answered with.

Source: Lingma local protocol, "Pushes during a chat", "Tools" and "Server to client requests".
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, Final, TypeVar

import msgspec

T = TypeVar("T", bound=msgspec.Struct)
Json = bytes | msgspec.Raw

# Steps, titles and notices may look as they like; only these make an answer, and silence in any
# other does not end one.
ANSWER_PUSHES: Final = frozenset({"chat/answer", "chat/think", "chat/finish", "chat/filterTimeout"})


class ChatPush(msgspec.Struct):
    """The union of the fields of `chat/*` pushes that matter here."""

    requestId: str | None = None  # noqa: N815 - the protocol's spelling, here and below
    sessionId: str | None = None  # noqa: N815
    text: str | None = None
    # quirk: some builds put the piece in `content`.
    content: str | None = None
    overwrite: bool | None = None
    isFiltered: bool | None = None  # noqa: N815
    step: str | None = None
    statusCode: int | None = None  # noqa: N815
    reason: str | None = None
    fullAnswer: str | None = None  # noqa: N815
    message: str | None = None
    error: msgspec.Raw = msgspec.Raw(b"null")

    # Not of the wire: fields that were there and could not be read.
    unreadable: frozenset[str] = frozenset()

    @property
    def is_damaged(self) -> bool:
        """Whether a piece of the answer came and is lost."""
        return not self.unreadable.isdisjoint({"text", "content"})

    @property
    def piece(self) -> str:
        """The text of this push, wherever it stands."""
        return self.text or self.content or ""


class ToolPush(msgspec.Struct):
    """`tool/call/sync` and `tool/invoke`."""

    requestId: str | None = None  # noqa: N815
    sessionId: str | None = None  # noqa: N815
    toolCallId: str | None = None  # noqa: N815
    toolCallStatus: str | None = None  # noqa: N815
    name: str | None = None
    parameters: msgspec.Raw = msgspec.Raw(b"null")
    results: msgspec.Raw = msgspec.Raw(b"null")
    # `async` is a Python keyword.
    asynchronous: bool = msgspec.field(default=False, name="async")
    # quirk: the plugin's own class has no name; builds that tell it put it in one of these.
    toolCall: msgspec.Raw = msgspec.Raw(b"null")  # noqa: N815
    tool_call: msgspec.Raw = msgspec.Raw(b"null")
    tool: msgspec.Raw = msgspec.Raw(b"null")
    data: msgspec.Raw = msgspec.Raw(b"null")

    @property
    def tool_name(self) -> str | None:
        """The tool's name, wherever it stands; `None` when this push does not tell it."""
        return self.name or next((found.name for found in self._nested() if found.name), None)

    @property
    def arguments(self) -> str | None:
        """The parameters as JSON object text, wherever they stand."""
        candidates = (self.parameters, *(found.parameters for found in self._nested()))
        return next((text for raw in candidates if (text := _object_text(raw))), None)

    def _nested(self) -> Iterator[_Nested]:
        for raw in (self.toolCall, self.tool_call, self.tool, self.data):
            if bytes(raw) != b"null":
                yield _nested(raw)

    @property
    def has_results(self) -> bool:
        """Whether the tool has run and this tells what came of it."""
        return bytes(self.results) not in (b"null", b"[]")


class _ConfigurationItems(msgspec.Struct):
    items: list[Any] | None = None


class _Nested(msgspec.Struct):
    name: str | None = None
    parameters: msgspec.Raw = msgspec.Raw(b"null")


def _object_text(raw: msgspec.Raw) -> str | None:
    text = bytes(raw).decode()
    if text.startswith('"'):
        # quirk: parameters may come as JSON in a text.
        text = msgspec.json.decode(text, type=str).strip()
    try:
        return text if isinstance(msgspec.json.decode(text), dict) else None
    except msgspec.DecodeError:
        return None


def _lenient(shape: type[T]) -> Callable[[Json], T]:
    """Return a decoder of `shape` that passes over fields of a wrong type.

    A typed decoder does nearly all the work; only what it refuses is read field by field, so one
    odd field of one push costs that field and nothing else.
    """
    decode = msgspec.json.Decoder(shape, strict=False).decode
    fields = msgspec.structs.fields(shape)

    def read(params: Json) -> T:
        try:
            return decode(params)
        except msgspec.ValidationError:
            loose = msgspec.json.decode(params)
        kept: dict[str, Any] = {}
        unreadable: set[str] = set()
        for field in fields if isinstance(loose, dict) else ():
            if field.encode_name in loose:
                try:
                    value = loose[field.encode_name]
                    kept[field.name] = msgspec.convert(value, field.type, strict=False)
                except msgspec.ValidationError:
                    unreadable.add(field.name)
        if shape is ChatPush:
            kept["unreadable"] = frozenset(unreadable)
        return shape(**kept)

    return read


chat_push: Final = _lenient(ChatPush)
tool_push: Final = _lenient(ToolPush)
_nested: Final = _lenient(_Nested)
_configuration_items: Final = _lenient(_ConfigurationItems)


def tool_result(call_id: str, name: str, text: str, *, success: bool) -> dict[str, Any]:
    """Return the five fields that tell what came of a tool; `text` is the result or the reason."""
    return {
        "toolCallId": call_id,
        "name": name,
        "success": success,
        "errorMessage": "" if success else text,
        "result": {"content": text} if success else {},
    }


def reply_to(method: str, params: Json) -> Any:
    """Return the result that the binary expects for its request; `null` for most."""
    match method:
        case "workspace/configuration":
            return [None] * len(_configuration_items(params).items or ())
        case "workspace/applyEdit":
            return {"applied": False}
        case _:
            return None
